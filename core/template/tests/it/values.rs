//! What goes in and comes out.

use std::collections::BTreeMap;

use serde_json::json;
use strongroom_secret::SecretBytes;
use strongroom_template::{Template, Value, function_names};

use crate::{render, settings};

fn rendered(text: &str, data: &Value) -> Vec<u8> {
    Template::parse("test", text, &settings()).unwrap().render(data).unwrap().expose().to_vec()
}

#[test]
fn binary_values_pass_unharmed() {
    let bytes: Vec<u8> = (0..=255).collect();
    let data = Value::from(BTreeMap::from([("key".to_owned(), SecretBytes::new(bytes.clone()))]));
    assert_eq!(rendered("{{ .key }}", &data), bytes);
    assert_eq!(rendered("{{ .key | b64enc | b64dec }}", &data), bytes);
    assert_eq!(rendered("{{ printf \"%s\" .key }}", &data), bytes);
    assert_eq!(rendered("{{ \"\\xff\\xfe\" }}", &data), b"\xff\xfe");
    assert_eq!(rendered("{{ len .key }}", &data), b"256");
}

#[test]
fn the_operators_data_are_strings_whose_absent_entries_are_empty() {
    let data = Value::from(BTreeMap::from([("tls.crt".to_owned(), SecretBytes::from("C".to_owned()))]));
    assert_eq!(
        rendered("{{ index . \"tls.crt\" }}{{ index . \"none\" }}|{{ typeOf . }}", &data),
        b"C|map[string]string"
    );
    // sprig takes no map of strings for a dict; here it does.
    assert_eq!(rendered("{{ hasKey . \"tls.crt\" }}{{ get . \"tls.crt\" }}{{ keys . }}", &data), b"trueC[tls.crt]");
}

#[test]
fn one_rendering_changes_nothing_for_the_next() {
    let data = Value::from(json!({ "m": { "a": 1 } }));
    let template = Template::parse("test", "{{ $_ := set .m \"a\" (add 1 .m.a) }}{{ .m.a }}", &settings()).unwrap();
    for _ in 0..2 {
        assert_eq!(template.render(&data).unwrap().expose(), b"2");
    }
}

#[test]
fn debug_shows_no_value() {
    let data = Value::from(json!({ "m": "canary", "n": 4711 }));
    let template = Template::parse("test", "canary {{ \"canary\" }}", &settings()).unwrap();
    let shown = format!("{data:?} {template:?} {:?}", settings());
    assert!(!shown.contains("canary") && !shown.contains("4711"), "{shown}");
}

#[test]
fn the_page_names_every_function() {
    let page = include_str!("../../../../docs/templates.md");
    let missing: Vec<_> = function_names().into_iter().filter(|name| !page.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn time_is_the_renderings() {
    assert_eq!(render("{{ now | date \"2006-01-02T15:04:05Z07:00\" }}", json!(null)).unwrap(), "2024-05-06T07:08:09Z");
    assert_eq!(render("{{ ago (now | dateModify \"-90s\") }}", json!(null)).unwrap(), "1m30s");
}

//! What holds for any path and any document.

use proptest::prelude::*;
use serde_json::Value;
use strongroom_secret::SecretBytes;
use strongroom_select::{GjsonVersion, Language, select, select_gjson, select_property};

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(".{0,5}", inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// How a value leaves for a workload.
fn exported(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn text(found: Option<SecretBytes>) -> Option<String> {
    found.map(|value| value.expose_text().unwrap().to_owned())
}

fn secret(value: &Value) -> SecretBytes {
    SecretBytes::from(value.to_string())
}

proptest! {
    #[test]
    fn every_key_is_found_by_its_own_name(members in prop::collection::btree_map(".{0,8}", json(), 1..6)) {
        let document = secret(&Value::Object(members.clone().into_iter().collect()));
        for (key, value) in &members {
            let found = select_property(Language::Gjson, &document, key).unwrap();
            prop_assert_eq!(text(found), Some(exported(value)));
        }
    }

    #[test]
    fn every_element_is_found_by_its_place(elements in prop::collection::vec(json(), 0..8)) {
        let document = secret(&Value::from(elements.clone()));
        for (place, element) in elements.iter().enumerate() {
            let found = select(Language::Gjson, &document, &place.to_string()).unwrap();
            prop_assert_eq!(text(found), Some(exported(element)));
        }
        let count = select(Language::Gjson, &document, "#").unwrap();
        prop_assert_eq!(text(count), Some(elements.len().to_string()));
        prop_assert!(select(Language::Gjson, &document, &elements.len().to_string()).unwrap().is_none());
    }

    #[test]
    fn the_three_languages_agree_on_plain_keys(
        members in prop::collection::btree_map("[a-z]{1,6}", json(), 1..6),
        key in "[a-z]{1,6}",
    ) {
        let document = secret(&Value::Object(members.clone().into_iter().collect()));
        let expected = members.get(&key).map(exported);
        let selected = |language, path: &str| text(select(language, &document, path).unwrap());
        prop_assert_eq!(selected(Language::Gjson, &key), expected.clone());
        prop_assert_eq!(selected(Language::Jsonpath, &format!("$.{key}")), expected.clone());
        // JMESPath orders members by name and has no null.
        let scalar = members.get(&key).is_none_or(|value| !value.is_object() && !value.is_array() && !value.is_null());
        if scalar {
            prop_assert_eq!(selected(Language::Jmespath, &key), expected);
        }
    }

    #[test]
    fn formatting_changes_no_value(value in json()) {
        for modifier in ["@pretty", "@ugly", "@pretty|@ugly", "@pretty:{\"width\":5}", "@valid", "@tostr|@fromstr", "@reverse|@reverse"] {
            let found = select(Language::Gjson, &SecretBytes::from(format!("[{value}]")), modifier).unwrap().unwrap();
            let read: Value = serde_json::from_slice(found.expose()).unwrap();
            prop_assert_eq!(&read[0], &value, "{}", modifier);
        }
    }

    #[test]
    fn nothing_panics(path in r#"[a-c0-2.|#@!~*?:,=<>%"\\(){}\[\]é]{0,30}"#, document in r#"[a-c0-2.,:"\\{}\[\] \nutfe-]{0,60}"#) {
        let document = SecretBytes::from(document);
        for version in [GjsonVersion::V1_14, GjsonVersion::V1_18] {
            let _ = select_gjson(version, &document, &path);
        }
        for language in [Language::Jsonpath, Language::Jmespath] {
            let _ = select(language, &document, &path);
        }
    }
}

use serde_json::Value;
use strongroom_kes::values::{members, value};
use strongroom_secret::{RemoteValue, SecretBytes};

fn read(text: &str) -> RemoteValue {
    RemoteValue::new(SecretBytes::from(text.to_owned()), None)
}

fn of_property(document: &str, property: &str) -> Result<String, String> {
    let found = value(read(document), "K", Some(property), false).map_err(|failure| failure.words)?;
    Ok(found.expose_text().unwrap().to_owned())
}

fn all_members(document: &str) -> Value {
    let members = members(&read(document), "K").unwrap();
    members.iter().map(|(name, value)| (name.clone(), Value::from(value.expose_text().unwrap()))).collect()
}

/// `tests/fixtures/values.jsonl` holds what Node and lodash answer; `values.cjs` beside it asks them.
#[test]
fn values_are_what_node_and_lodash_make_of_them() {
    let mut counts = [0; 3];
    for line in include_str!("../fixtures/values.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| case[name].as_str().unwrap().to_owned();
        if case.get("property").is_some() {
            counts[0] += 1;
            let expected = match case.get("value") {
                Some(found) => Ok(found.as_str().unwrap().to_owned()),
                None => Err(format!("Could not find property {} in K", text("property"))),
            };
            assert_eq!(of_property(&text("document"), &text("property")), expected, "{line}");
        } else if case.get("members").is_some() {
            counts[1] += 1;
            assert_eq!(all_members(&text("document")), case["members"], "{line}");
        } else {
            counts[2] += 1;
            let decoded = value(read(&text("encoded")), "K", None, true).unwrap();
            let hex: String = decoded.expose().iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(hex, text("bytes"), "{line}");
        }
    }
    assert!(counts[0] > 200 && counts[1] > 4 && counts[2] > 10, "{counts:?}");
}

#[test]
fn ke_14_a_property_is_a_literal_key_before_it_is_a_path() {
    let document = r#"{"tls.crt":"x","tls":{"crt":"y"},"a":{"b":[{"c":7}]}}"#;
    assert_eq!(of_property(document, "tls.crt"), Ok("x".to_owned()));
    assert_eq!(of_property(document, "a.b[0].c"), Ok("7".to_owned()));
    assert_eq!(of_property(document, "p"), Err("Could not find property p in K".to_owned()));
}

/// The original left the key out and said SUCCESS.
#[test]
fn ke_15_a_property_of_what_is_no_json_is_an_error_that_does_not_quote_it() {
    for failed in [
        of_property("canary-91d2", "p"),
        members(&read("canary-91d2"), "K").map(|_| String::new()).map_err(|f| f.words),
    ] {
        let words = failed.unwrap_err();
        assert!(words.contains("not JSON") && !words.contains("canary"), "{words}");
    }
}

#[test]
fn ke_16_members_are_texts_and_json() {
    let members = all_members(r#"{"a":1,"b":{"c":2},"d":null,"e":true}"#);
    assert_eq!(members.to_string(), r#"{"a":"1","b":"{\"c\":2}","d":"null","e":"true"}"#);
}

#[test]
fn ke_18_binary_is_decoded_where_the_object_says_so() {
    let check = |is_binary, expected: &str| {
        assert_eq!(value(read("aGVsbG8="), "K", None, is_binary).unwrap().expose(), expected.as_bytes());
    };
    check(true, "hello");
    check(false, "aGVsbG8=");
    let of_property = value(read(r#"{"p":"aGVsbG8="}"#), "K", Some("p"), true).unwrap();
    assert_eq!(of_property.expose(), b"hello");
}

#[test]
fn ke_20_what_a_store_keeps_as_bytes_stays_as_it_is() {
    let bytes = RemoteValue { is_binary: true, ..read("aGVsbG8=") };
    assert_eq!(value(bytes, "K", None, true).unwrap().expose(), b"aGVsbG8=");
}

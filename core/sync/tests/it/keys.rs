//! Keys and JSON objects.

use proptest::prelude::*;
use strongroom_secret::SecretBytes;
use strongroom_sync::Values;
use strongroom_sync::json::members;
use strongroom_sync::keys::{Conversion, KEY_LIMIT, check_keys, convert_keys, converted, is_data_key};

use crate::{shown, values};

#[test]
fn characters_that_a_key_cannot_have_are_converted() {
    let check = |key: &str, underscore: &str, unicode: &str| {
        assert_eq!(converted(Conversion::Underscore, key), underscore, "{key}");
        assert_eq!(converted(Conversion::Unicode, key), unicode, "{key}");
    };
    check("a-b.c_D9", "a-b.c_D9", "a-b.c_D9");
    check("foo/bar:baz", "foo_bar_baz", "foo_U002f_bar_U003a_baz");
    check("😀foo", "_foo", "_U1f600_foo");
    // Letters and numbers of every script stay; marks do not.
    check("clé", "clé", "clé");
    check("Ⅷ٣", "Ⅷ٣", "Ⅷ٣");
    check("e\u{301}", "e_", "e_U0301_");
    check("ि", "_", "_U093f_");
    check("", "", "");
}

#[test]
fn two_keys_that_become_one_are_an_error_that_names_them() {
    let clash = values(&[("a/b", "canary"), ("a:b", "canary")]);
    let words = convert_keys(Conversion::Underscore, clash.clone()).unwrap_err().to_string();
    assert!(words.contains("\"a_b\"") && words.contains("\"a:b\"") && !words.contains("canary"), "{words}");
    assert_eq!(convert_keys(Conversion::Unicode, clash).unwrap().len(), 2);
}

#[test]
fn keys_are_letters_numbers_and_three_signs() {
    let check = |key: &str, expected: Option<&str>| {
        let failure = check_keys(values(&[(key, "canary")])).err().map(|failure| failure.to_string());
        match (failure, expected) {
            (None, None) => {}
            (Some(words), Some(expected)) => assert!(words.contains(expected) && !words.contains("canary"), "{words}"),
            (got, _) => panic!("{key}: {got:?}"),
        }
    };
    check("a-b.c_D9", None);
    check("clé", None);
    check("a b", Some("\"a b\" has the character ' '"));
    check("a/b", Some("'/'"));
    check(&"k".repeat(KEY_LIMIT), None);
    check(&"k".repeat(KEY_LIMIT + 1), Some("has 254 bytes, and 253 are allowed"));
    assert!(check_keys(values(&[("", "dropped"), ("a", "1")])).unwrap().keys().eq(["a"]));
}

#[test]
fn the_api_server_takes_less() {
    let check = |key: &str, expected: bool| assert_eq!(is_data_key(key), expected, "{key}");
    check("a-b.c_D9", true);
    check(".dockerconfigjson", true);
    check("clé", false);
    check("", false);
    check(".", false);
    check("..", false);
    check("..a", false);
}

#[test]
fn members_of_an_object_are_texts_or_json_as_it_is_written() {
    let check = |document: &str, expected: &[(&str, &str)]| {
        let found = members(&SecretBytes::from(document.to_owned())).unwrap();
        assert_eq!(shown(&found), expected, "{document}");
    };
    check(
        r#"{"text": "a\n\u00e9", "number": 1.50, "large": 12345678901234567890, "truth": true, "nothing": null,
            "object": {"b": 1,  "a": [1, 2]}}"#,
        &[
            ("large", "12345678901234567890"),
            ("nothing", ""),
            ("number", "1.50"),
            ("object", r#"{"b": 1,  "a": [1, 2]}"#),
            ("text", "a\né"),
            ("truth", "true"),
        ],
    );
    check(r#"{"a": 1, "a": "last"}"#, &[("a", "last")]);
    check("{}", &[]);
    check("null", &[]);
}

#[test]
fn what_is_no_object_is_not_quoted() {
    for document in ["canary", "[\"canary\"]", "{\"canary\": ", "\"canary\"", "{\"a\":1} canary"] {
        let words = members(&SecretBytes::from(document.to_owned())).unwrap_err().to_string();
        assert_eq!(words, "the value is not a JSON object");
    }
    let large = SecretBytes::new(vec![b' '; strongroom_select::DOCUMENT_LIMIT + 1]);
    assert!(members(&large).unwrap_err().to_string().contains("4194305 bytes"));
}

proptest! {
    #[test]
    fn converted_keys_are_valid(keys in prop::collection::btree_set(".{0,20}", 0..4), is_unicode: bool) {
        let conversion = if is_unicode { Conversion::Unicode } else { Conversion::Underscore };
        let values: Values = keys.iter().map(|key| (key.clone(), SecretBytes::default())).collect();
        if let Ok(converted) = convert_keys(conversion, values) {
            let expected = converted.keys().filter(|key| !key.is_empty()).count();
            prop_assert_eq!(check_keys(converted).unwrap().len(), expected);
        }
    }
}

//! What becomes of documents.

use serde_json::{Value, json};
use strongroom_audit::data::Omission;
use strongroom_audit::{ClearKeys, Document, Hasher, Limits};
use strongroom_secret::SecretBytes;

use crate::{hasher, members};

const HUNTER2: &str = "hmac-sha256:326eb4f6783e519f198c32929bd28e66c5229387bcad7eaa651b20613622ec9f";
const TEXT_5: &str = "hmac-sha256:24a5768d5214b556ae9142ff3a9ef88965555b37ee0d3d8887b88bd24f47d10f";
const NUMBER_5: &str = "hmac-sha256:81fff3403b25d541e7cd08368f5ee619741d8f18fd3a6266c33ab7c6af7b6b29";
const TRUE: &str = "hmac-sha256:943a991b538af7866b76a824e524065bbefc42463dd851251228380a7a9ca02d";

fn check(clear: &[&str], data: &Value, expected: &Value) {
    let (hasher, data, clear) = (hasher(), members(data), clear.iter().copied().collect());
    let document = Document::new(&hasher, &data, &clear, Limits::default()).unwrap();
    assert_eq!(serde_json::to_value(document).unwrap(), *expected);
}

#[test]
fn every_scalar_is_hashed_by_its_type_and_null_and_keys_stay() {
    check(&[], &json!({"password": "hunter2"}), &json!({"password": HUNTER2}));
    check(&[], &json!({"a": 5, "b": "5", "c": true}), &json!({"a": NUMBER_5, "b": TEXT_5, "c": TRUE}));
    check(&[], &json!({"a": null, "b": {}, "c": []}), &json!({"a": null, "b": {}, "c": []}));
    let deep = json!({"data": {"list": [5, {"x": ["hunter2"]}, null]}});
    check(&[], &deep, &json!({"data": {"list": [NUMBER_5, {"x": [HUNTER2]}, null]}}));
}

#[test]
fn keys_that_a_mount_names_stay_clear_with_lists_and_not_with_objects_under_them() {
    check(&["a"], &json!({"a": "hunter2", "b": "hunter2"}), &json!({"a": "hunter2", "b": HUNTER2}));
    check(&["a"], &json!({"x": {"a": [5, [true]]}}), &json!({"x": {"a": [5, [true]]}}));
    check(&["a"], &json!({"a": {"b": 5, "a": 5}}), &json!({"a": {"b": NUMBER_5, "a": 5}}));
    check(&["a"], &json!({"a": [{"b": 5}]}), &json!({"a": [{"b": NUMBER_5}]}));
    check(&["a"], &json!({"b": "a"}), &json!({"b": hasher().text("a").as_str()}));
}

#[test]
fn a_string_has_the_hash_that_audit_hash_answers() {
    assert_eq!(hasher().text("hunter2").as_str(), HUNTER2);
    assert_eq!(hasher().token(&SecretBytes::from("hunter2".to_owned())).as_str(), HUNTER2);
}

#[test]
fn accessors_are_clear_where_the_device_says_so_and_tokens_never() {
    let clear = hasher().with_clear_accessors();
    assert_eq!(hasher().accessor("hunter2").as_str(), HUNTER2);
    assert_eq!(clear.accessor("hunter2").as_str(), "hunter2");
    assert_eq!(clear.token(&SecretBytes::from("hunter2".to_owned())).as_str(), HUNTER2);
    assert!(hasher().accessor("").is_empty());
    assert!(hasher().token(&SecretBytes::default()).is_empty());
}

#[test]
fn a_short_key_is_refused_and_another_key_makes_other_hashes() {
    assert!(Hasher::new(SecretBytes::new(vec![7; 31])).is_err());
    let other = Hasher::new(SecretBytes::new(vec![8; 32])).unwrap();
    assert_ne!(other.text("hunter2"), hasher().text("hunter2"));
}

#[test]
fn lists_are_told_by_their_number_where_the_device_elides_them() {
    let (hasher, clear) = (hasher(), ClearKeys::default());
    let data = members(&json!({"keys": ["a", "b/"], "key_info": {"a": {"x": 5}}, "other": ["hunter2"]}));
    let document = Document::of_list(&hasher, &data, &clear, Limits::default()).unwrap();
    let expected = json!({"keys": 2, "key_info": 1, "other": [HUNTER2]});
    assert_eq!(serde_json::to_value(document).unwrap(), expected);
    let odd = members(&json!({"keys": "hunter2", "key_info": 5}));
    let document = Document::of_list(&hasher, &odd, &clear, Limits::default()).unwrap();
    assert_eq!(serde_json::to_value(document).unwrap(), json!({"keys": HUNTER2, "key_info": NUMBER_5}));
}

#[test]
fn equal_documents_are_written_alike_whatever_their_order() {
    let written = |text: &str| {
        let (hasher, clear) = (hasher(), ClearKeys::default());
        let data: Value = serde_json::from_str(text).unwrap();
        let data = members(&data);
        serde_json::to_string(&Document::new(&hasher, &data, &clear, Limits::default()).unwrap()).unwrap()
    };
    assert_eq!(written(r#"{"b": {"y": 1, "x": 2}, "a": 3}"#), written(r#"{"a": 3, "b": {"x": 2, "y": 1}}"#));
}

#[test]
fn documents_beyond_a_limit_are_left_out_and_those_at_it_are_not() {
    let (hasher, clear) = (hasher(), ClearKeys::default());
    let outcome = |data: &Value, depth, bytes| {
        Document::new(&hasher, &members(data), &clear, Limits { depth, bytes }).map(|_| ())
    };
    let deep = json!({"a": {"b": [1]}});
    assert_eq!(outcome(&deep, 3, 1000), Ok(()));
    assert_eq!(outcome(&deep, 2, 1000), Err(Omission::Depth));
    assert_eq!(outcome(&json!({}), 0, 1000), Err(Omission::Depth));
    let wide = json!({"a": vec![1; 100]});
    assert_eq!(outcome(&wide, 3, 7800), Err(Omission::Size));
    assert_eq!(outcome(&wide, 3, 8000), Ok(()));
    assert_eq!(outcome(&json!({"k".repeat(100): null}), 3, 500), Err(Omission::Size));
}

#[test]
fn what_is_written_is_never_longer_than_the_limit_that_let_it_pass() {
    let (hasher, clear) = (hasher(), ["clear"].into_iter().collect());
    let data =
        members(&json!({"clear": ["\u{1}\u{1}\"\\", 1.5e300, true, null], "x": {"\u{0}": "y", "z": [false, -1]}}));
    let written = serde_json::to_string(&Document::new(&hasher, &data, &clear, Limits::default()).unwrap()).unwrap();
    let passes = |bytes| Document::new(&hasher, &data, &clear, Limits { depth: 9, bytes }).is_ok();
    assert!(!passes(written.len() - 1));
    assert!(passes(written.len() * 2));
}

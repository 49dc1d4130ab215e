//! From answers to one map.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use strongroom_api::external_secrets::DeletionPolicy;
use strongroom_failure::{Class, Failure};
use strongroom_secret::{RemoteValue, SecretBytes};
use strongroom_sync::assemble::{Answer, Assembled, assemble};
use strongroom_sync::wants::wants;

use crate::wanting::spec;
use crate::{Engine, shown, values};

fn whole(text: &str) -> Answer {
    Answer::Whole(Ok(RemoteValue::new(SecretBytes::from(text.to_owned()), None)))
}

fn assembled(value: Value, answers: Vec<Answer>) -> Assembled {
    with(value, answers, DeletionPolicy::Retain)
}

fn with(mut value: Value, answers: Vec<Answer>, deletion: DeletionPolicy) -> Assembled {
    value["secretStoreRef"] = json!({"name": "main"});
    assemble(&wants(&spec(value)).unwrap(), answers, deletion, &Engine)
}

fn entry(key: &str, rest: Value) -> Value {
    let mut remote = json!({"key": "prod/db"});
    remote.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    json!({"secretKey": key, "remoteRef": remote})
}

fn failures(assembled: &Assembled) -> Vec<String> {
    assembled.failed.iter().map(ToString::to_string).collect()
}

#[test]
fn the_later_wins_and_data_wins_over_data_from() {
    let value = json!({
        "dataFrom": [{"extract": {"key": "one"}}, {"find": {}}],
        "data": [entry("c", json!({}))],
    });
    let found = Answer::Many(Ok(values(&[("b/x", "2"), ("c", "2")])));
    let made = assembled(value, vec![whole(r#"{"a": "1", "b_x": "1", "c": "1"}"#), found, whole("3")]);
    assert_eq!(shown(&made.data), [("a", "1"), ("b_x", "2"), ("c", "3")]);
    assert!(made.failed.is_empty() && made.missing.is_empty());
}

#[test]
fn a_property_is_a_part_a_key_or_a_path() {
    let check = |answer: Answer, property: &str, expected: Result<&str, &str>| {
        let made = assembled(json!({"data": [entry("k", json!({"property": property}))]}), vec![answer]);
        match expected {
            Ok(text) => assert_eq!(shown(&made.data), [("k", text)], "{property}"),
            Err(words) => assert_eq!(failures(&made), [words]),
        }
    };
    let document = r#"{"tls.crt": "literal", "tls": {"crt": "path", "list": [{"n": 1}, {"n": 2}]}, "empty": null}"#;
    let parts = BTreeMap::from([("tls.crt".to_owned(), SecretBytes::from("part".to_owned()))]);
    let with_parts = |parts| {
        let mut value = RemoteValue::new(SecretBytes::from(document.to_owned()), None);
        value.parts = Some(Arc::new(parts));
        Answer::Whole(Ok(value))
    };
    check(with_parts(parts.clone()), "tls.crt", Ok("part"));
    check(with_parts(parts), "tls.list.#.n", Ok("[1,2]"));
    check(whole(document), "tls.crt", Ok("literal"));
    check(whole(document), "tls.list.1.n", Ok("2"));
    check(whole(document), "empty", Ok(""));
    check(Answer::Part(Ok(SecretBytes::from("selected".to_owned()))), "anything", Ok("selected"));
    let missing = "spec.data[0]: key \"prod/db\": the secret has no property \"gone\"";
    check(whole(document), "gone", Err(missing));
    check(whole("canary"), "gone", Err(missing));
}

#[test]
fn an_extract_takes_parts_or_members() {
    let made = assembled(
        json!({"dataFrom": [{"extract": {"key": "k", "property": "in"}}]}),
        vec![whole(r#"{"in": {"a": 1}}"#)],
    );
    assert_eq!(shown(&made.data), [("a", "1")]);
    let parts = BTreeMap::from([("raw".to_owned(), SecretBytes::new(vec![0, 255]))]);
    let mut value = RemoteValue::new(SecretBytes::from("{}".to_owned()), None);
    value.parts = Some(Arc::new(parts));
    let made = assembled(json!({"dataFrom": [{"extract": {"key": "k"}}]}), vec![Answer::Whole(Ok(value))]);
    assert_eq!(made.data["raw"].expose(), [0, 255]);
    let made = assembled(json!({"dataFrom": [{"extract": {"key": "k"}}]}), vec![whole("canary")]);
    assert_eq!(failures(&made), ["spec.dataFrom[0]: key \"k\": the value is not a JSON object"]);
}

#[test]
fn values_are_decoded_one_by_one_after_their_keys_are_made() {
    let from = json!({"dataFrom": [{"extract": {"key": "k", "decodingStrategy": "Auto", "nullBytePolicy": "Fail"}, "rewrite": [{"regexp": {"source": "^", "target": "x-"}}]}]});
    let made = assembled(from.clone(), vec![whole(r#"{"a": "aGFwcHkgc3RyZWV0", "b": "plain text"}"#)]);
    assert_eq!(shown(&made.data), [("x-a", "happy street"), ("x-b", "plain text")]);
    let made = assembled(from, vec![whole(r#"{"a": "YQBi"}"#)]);
    assert_eq!(
        failures(&made),
        ["spec.dataFrom[0]: key \"k\": x-a: the value has NUL bytes, which nullBytePolicy: Fail forbids"]
    );
    let made = assembled(json!({"data": [entry("k", json!({"decodingStrategy": "Base64"}))]}), vec![whole("canary!")]);
    assert_eq!(failures(&made), ["spec.data[0]: key \"prod/db\": k: the value is not base64"]);
}

#[test]
fn with_a_rewrite_keys_are_not_converted() {
    let from = |rewrite: Value| json!({"dataFrom": [{"find": {}, "rewrite": rewrite}]});
    let found = || vec![Answer::Many(Ok(values(&[("a/b", "1")])))];
    assert_eq!(shown(&assembled(from(json!([])), found()).data), [("a_b", "1")]);
    let made = assembled(from(json!([{"regexp": {"source": "x", "target": "y"}}])), found());
    assert!(failures(&made)[0].contains("the key \"a/b\" has the character '/'"), "{made:?}");
    let broken = json!([{"transform": {"template": "{{ .other }}"}}]);
    assert!(failures(&assembled(from(broken), found()))[0].starts_with("spec.dataFrom[0].rewrite[0]: "));
}

#[test]
fn what_is_not_there_is_for_the_deletion_policy() {
    let value = || json!({"dataFrom": [{"find": {}}], "data": [entry("a", json!({})), entry("b", json!({}))]});
    let gone = || Failure::new(Class::NotFound, "no such secret");
    let answers = || vec![Answer::Many(Err(gone())), Answer::Whole(Err(gone())), whole("2")];
    for deletion in [DeletionPolicy::Delete, DeletionPolicy::Merge] {
        let made = with(value(), answers(), deletion).settle(false).unwrap();
        assert_eq!(shown(&made.data), [("b", "2")]);
        let words: Vec<_> = made.missing.iter().map(|missing| missing.words()).collect();
        assert_eq!(
            words,
            [
                "secret does not exist at provider using spec.dataFrom[0]",
                "secret does not exist at provider using spec.data[0] (key=prod/db)",
            ]
        );
    }
    let made = with(value(), answers(), DeletionPolicy::Retain);
    assert_eq!(failures(&made), ["spec.dataFrom[0]: no such secret", "spec.data[0]: key \"prod/db\": no such secret"]);
    let nothing =
        with(json!({"data": [entry("a", json!({}))]}), vec![Answer::Whole(Err(gone()))], DeletionPolicy::Delete);
    assert!(nothing.found_nothing());
}

#[test]
fn one_failing_key_blocks_the_others_unless_they_may_come_alone() {
    let value = || json!({"data": [entry("a", json!({})), entry("b", json!({}))]});
    let denied = || Answer::Whole(Err(Failure::new(Class::Denied, "access denied").from_store("AWS")));
    let denied_words = "spec.data[0]: cannot read \"prod/db\" from AWS: access denied";
    let made = assembled(value(), vec![denied(), whole("2")]);
    assert_eq!(made.clone().settle(false).unwrap_err()[0].to_string(), denied_words);
    let partial = made.settle(true).unwrap();
    assert_eq!((shown(&partial.data), failures(&partial)), (vec![("b", "2")], vec![denied_words.to_owned()]));
    // An outage is no empty store, and nothing at all is not a part.
    let outage = assembled(value(), vec![denied(), denied()]);
    assert!(!outage.found_nothing());
    assert_eq!(outage.settle(true).unwrap_err().len(), 2);
    // Nor is an answer that never came.
    assert_eq!(assembled(value(), vec![whole("1")]).failed.len(), 1);
}

proptest! {
    #[test]
    fn precedence_is_order(maps in prop::collection::vec(prop::collection::btree_map("[a-c]", "[a-z]", 0..3), 1..4)) {
        let from: Vec<_> = maps.iter().map(|_| json!({"extract": {"key": "k"}})).collect();
        let answers = maps.iter().map(|map| whole(&json!(map).to_string())).collect();
        let made = assembled(json!({"dataFrom": from}), answers);
        let mut expected = BTreeMap::new();
        maps.into_iter().for_each(|map| expected.extend(map));
        let expected: Vec<_> = expected.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect();
        prop_assert_eq!(shown(&made.data), expected);
    }
}

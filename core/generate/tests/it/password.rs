use std::collections::BTreeSet;

use serde_json::{Value, json};
use strongroom_api::generators::{Generator, PasswordSpec};
use strongroom_crypto::random_below;
use strongroom_generate::{password, uuid};

fn spec(spec: &Value) -> PasswordSpec {
    serde_json::from_value(spec.clone()).unwrap()
}

/// A password, in the kinds of its characters: letters, digits, the rest.
fn kinds(made: &str) -> (usize, usize, usize) {
    let count = |is_kind: fn(char) -> bool| made.chars().filter(|character| is_kind(*character)).count();
    let (letters, digits) =
        (count(|character| character.is_ascii_alphabetic()), count(|character| character.is_ascii_digit()));
    (letters, digits, made.len() - letters - digits)
}

#[test]
fn a_password_has_as_many_of_each_kind_as_is_asked_for() {
    let check = |asked: Value, expected: (usize, usize, usize)| {
        let values = password(&spec(&asked), &mut random_below).unwrap();
        let made = values["password"].expose_text().unwrap();
        assert_eq!(kinds(made), expected, "{asked}");
        if asked["allowRepeat"] != json!(true) {
            assert_eq!(made.chars().collect::<BTreeSet<_>>().len(), made.len(), "{asked}: a character came twice");
        }
        if asked["noUpper"] == json!(true) {
            assert!(!made.chars().any(|character| character.is_ascii_uppercase()), "{asked}");
        }
    };
    check(json!({}), (12, 6, 6));
    check(json!({"length": 0}), (12, 6, 6));
    check(json!({"length": 42}), (22, 10, 10));
    check(json!({"length": 10}), (6, 2, 2));
    check(json!({"length": 10, "digits": 0, "symbols": 0}), (10, 0, 0));
    check(json!({"length": 26, "digits": 0, "symbols": 0, "noUpper": true}), (26, 0, 0));
    check(json!({"length": 200, "digits": 100, "symbols": 50, "allowRepeat": true}), (50, 100, 50));
    check(json!({"length": 12, "digits": 2, "symbols": 10, "symbolCharacters": "-_.!#+*,;:"}), (0, 2, 10));
}

#[test]
fn what_cannot_be_is_refused_in_its_field() {
    let check = |asked: Value, field: &str| {
        let failure = password(&spec(&asked), &mut random_below).unwrap_err();
        assert_eq!(failure.subject.field.as_deref(), Some(field), "{asked}: {failure}");
    };
    check(json!({"length": 4, "digits": 3, "symbols": 2}), "spec.length");
    check(json!({"length": 60, "digits": 0, "symbols": 0}), "spec.length");
    check(json!({"length": 60, "digits": 11}), "spec.digits");
    check(json!({"symbols": 3, "symbolCharacters": "--"}), "spec.symbols");
    check(json!({"digits": -1}), "spec.digits");
    let problems = Generator::Password(spec(&json!({"length": 5000, "secretKeys": ["a", "a"]}))).problems();
    let fields: Vec<_> = problems.iter().filter_map(|problem| problem.subject.field.as_deref()).collect();
    assert_eq!(fields, ["spec.length", "spec.secretKeys"]);
}

#[test]
fn each_key_gets_a_password_of_its_own() {
    let values = password(&spec(&json!({"secretKeys": ["one", "two"]})), &mut random_below).unwrap();
    assert_eq!(values.keys().collect::<Vec<_>>(), ["one", "two"]);
    assert!(values["one"].expose() != values["two"].expose());
}

#[test]
fn encodings_are_those_of_go() {
    // Always the first of what is left, at the first place: zyx… of the alphabet backwards.
    let check = |encoding: &str, expected: &str| {
        let asked = json!({"length": 7, "digits": 0, "symbols": 0, "encoding": encoding});
        let values = password(&spec(&asked), &mut |_| Some(0)).unwrap();
        assert_eq!(values["password"].expose_text(), Some(expected), "{encoding}");
    };
    check("raw", "gfedcba");
    check("base64", "Z2ZlZGNiYQ==");
    check("base64url", "Z2ZlZGNiYQ==");
    check("base32", "M5TGKZDDMJQQ====");
    check("hex", "67666564636261");
}

#[test]
fn without_randomness_nothing_is_made() {
    assert!(password(&spec(&json!({})), &mut |_| None).is_err());
    assert!(uuid(&mut |_| None).is_err());
}

#[test]
fn a_uuid_is_of_version_four() {
    assert_eq!(uuid(&mut |_| Some(0)).unwrap()["uuid"].expose(), b"00000000-0000-4000-8000-000000000000");
    assert_eq!(uuid(&mut |_| Some(255)).unwrap()["uuid"].expose(), b"ffffffff-ffff-4fff-bfff-ffffffffffff");
}

//! GJSON against the answers of Go's gjson: `tests/fixtures`, made by `tests/oracle`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use strongroom_secret::SecretBytes;
use strongroom_select::{GjsonVersion, select_gjson};

/// What one version of gjson answered: the value, where there is one.
fn expected(answer: &Value) -> Option<Vec<u8>> {
    let bytes = match (&answer["value"], &answer["bytes"]) {
        (Value::String(text), _) => text.clone().into_bytes(),
        (_, Value::String(encoded)) => STANDARD.decode(encoded).unwrap(),
        _ => panic!("an answer without a value"),
    };
    answer["exists"].as_bool().unwrap().then_some(bytes)
}

fn document(answer: &Value) -> SecretBytes {
    match (&answer["document"], &answer["document_bytes"]) {
        (Value::String(text), _) => SecretBytes::from(text.clone()),
        (_, Value::String(encoded)) => SecretBytes::new(STANDARD.decode(encoded).unwrap()),
        _ => panic!("an answer without a document"),
    }
}

/// A difference between our answer and Go's, in words; nothing where they are the same.
fn difference(version: GjsonVersion, document: &SecretBytes, path: &str, answer: &Value) -> Option<String> {
    let want = expected(answer);
    let got = select_gjson(version, document, path).map(|value| value.map(|value| value.expose().to_vec()));
    let show = |value: &Option<Vec<u8>>| value.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    (got.as_ref() != Ok(&want)).then(|| {
        format!(
            "{version:?} {path:?} of {:?}\n  want {:?}\n  got  {:?}",
            String::from_utf8_lossy(document.expose()),
            show(&want),
            got.as_ref().map(show),
        )
    })
}

/// Checks one document's answers by the rules of both versions.
fn check_answers<'a>(document: &SecretBytes, answers: impl IntoIterator<Item = &'a Value>) -> (usize, Vec<String>) {
    let mut count = 0;
    let mut found = Vec::new();
    for answer in answers {
        let path = answer["path"].as_str().unwrap_or_default();
        let later = if answer["later"].is_null() { answer } else { &answer["later"] };
        found.extend(difference(GjsonVersion::V1_14, document, path, answer));
        found.extend(difference(GjsonVersion::V1_18, document, path, later));
        count += 1;
    }
    (count, found)
}

/// Checks a file of the oracle, which has `at_least` so many answers.
fn check(lines: &str, at_least: usize) {
    let mut count = 0;
    let mut found = Vec::new();
    for line in lines.lines() {
        let question: Value = serde_json::from_str(line).unwrap();
        let (checked, differences) = check_answers(&document(&question), question["answers"].as_array().unwrap());
        count += checked;
        found.extend(differences);
    }
    assert!(count >= at_least, "only {count} answers");
    assert!(found.is_empty(), "{} of {count} differ:\n{}", found.len(), found[..found.len().min(12)].join("\n"));
}

#[test]
fn the_given_answers() {
    let document = SecretBytes::from(include_str!("../fixtures/gjson-given-document.json").to_owned());
    let answers: Vec<Value> =
        include_str!("../fixtures/gjson-given.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(check_answers(&document, &answers), (41, Vec::new()));
}

#[test]
fn the_answers_to_questions_by_hand() {
    check(include_str!("../fixtures/gjson-asked.jsonl"), 2400);
}

#[test]
fn the_answers_to_random_questions() {
    check(include_str!("../fixtures/gjson-random.jsonl"), 1400);
}

/// `GJSON_ANSWERS=/tmp/random.jsonl cargo test -p strongroom-select -- --ignored` with answers made by
/// `go run . generate` in `tests/oracle`.
#[test]
#[ignore = "needs answers that were made beforehand"]
fn answers_made_beforehand() {
    let lines = std::fs::read_to_string(std::env::var("GJSON_ANSWERS").unwrap()).unwrap();
    check(&lines, 1);
}

//! What lodash, js-yaml and EJS answer, and whether we do.

use serde_json::Value;
use strongroom_javascript::{Dialect, Encoding, Engine, Limits};

use crate::{engine, render};

/// The names and texts of a case's values, in its order.
fn texts<'a>(case: &'a Value, field: &str) -> Vec<(&'a str, &'a str)> {
    let values = case[field].as_object().unwrap().iter();
    values.map(|(name, value)| (name.as_str(), value.as_str().unwrap())).collect()
}

/// Renders each line's template with the values in `field`: how many lines there are, and which answers are others.
async fn compare(engine: &Engine, lines: &str, field: &str) -> (usize, String) {
    let (mut count, mut wrong) = (0, Vec::new());
    for line in lines.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let mut data = texts(&case, field);
        if field == "data" {
            // kubernetes-external-secrets has them from a Secret, which is sorted.
            data.sort_unstable();
        }
        let answer = render(engine, &data, &[case["template"].as_str().unwrap()]).await.pop().unwrap();
        let expected = case.get("output").map(|output| output.as_str().unwrap().to_owned());
        // Errors are told in the engine's words, which no template should depend on. What is marked must differ.
        let is_equal = answer.as_ref().ok() == expected.as_ref();
        let is_marked = case.get("engineWords").is_some() && answer.is_ok();
        if is_equal == is_marked {
            wrong.push(format!("{line}\n  gives {answer:?}"));
        }
        count += 1;
    }
    (count, wrong.join("\n"))
}

/// `fixtures/templates.jsonl` holds the answers of the originals; `answers.mjs` beside it asked them.
#[tokio::test]
async fn ke_12_templates_give_what_lodash_and_js_yaml_give() {
    let lines = include_str!("../fixtures/templates.jsonl");
    let (count, wrong) = compare(&engine(Limits::default()), lines, "data").await;
    assert!(wrong.is_empty() && count > 700, "{count}:\n{wrong}");
}

/// `fixtures/ejs.jsonl` holds the answers of the original; `ejs-answers.mjs` beside it asked it.
#[tokio::test]
async fn ka_07_templates_give_what_ejs_gives() {
    let engine = engine(Limits::default()).with_dialect(Dialect::Ejs).with_encoding(Encoding::Json);
    let (count, wrong) = compare(&engine, include_str!("../fixtures/ejs.jsonl"), "secrets").await;
    assert!(wrong.is_empty() && count > 200, "{count}:\n{wrong}");
}

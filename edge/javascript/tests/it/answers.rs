//! What lodash and js-yaml answer, and whether we do.

use serde_json::Value;
use strongroom_javascript::Limits;

use crate::{engine, render};

/// `fixtures/templates.jsonl` holds the answers of the originals; `answers.mjs` beside it asked them.
#[tokio::test]
async fn ke_12_templates_give_what_lodash_and_js_yaml_give() {
    let engine = engine(Limits::default());
    let (mut count, mut wrong) = (0, Vec::new());
    for line in include_str!("../fixtures/templates.jsonl").lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let data: Vec<(&str, &str)> = case["data"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
            .collect();
        let answer = render(&engine, &data, &[case["template"].as_str().unwrap()]).await.pop().unwrap();
        let expected = case.get("output").map(|output| output.as_str().unwrap().to_owned());
        // Errors are told in the engine's words, which no template should depend on. What is marked must differ.
        let is_equal = answer.as_ref().ok() == expected.as_ref();
        let is_marked = case.get("engineWords").is_some() && answer.is_ok();
        if is_equal == is_marked {
            wrong.push(format!("{line}\n  gives {answer:?}"));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 700, "{count}");
}

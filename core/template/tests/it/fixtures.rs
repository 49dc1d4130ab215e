//! What Go's text/template with sprig and External Secrets Operator's functions gave, one case a line.

use serde_json::Value as Json;
use strongroom_template::{Template, Value};

use crate::settings;

/// Runs the cases of a file; gives those that differ, in words.
fn differences(lines: &str) -> Vec<String> {
    lines.lines().filter(|line| !line.trim().is_empty()).filter_map(difference).collect()
}

fn difference(line: &str) -> Option<String> {
    let case: Json = serde_json::from_str(line).unwrap();
    let text = |name: &str| case.get(name).and_then(Json::as_str).unwrap_or_default();
    let (id, template) = (text("id"), text("tpl"));
    let data = Value::from(case.get("data").cloned().unwrap_or(Json::Null));
    let made = Template::parse(id, template, &settings()).and_then(|template| template.render(&data));
    match (made, text("err")) {
        (Ok(output), "") => {
            let output = String::from_utf8_lossy(output.expose()).into_owned();
            (output != text("out")).then(|| format!("{id}: {template}\n  gave {output:?}\n  Go   {:?}", text("out")))
        }
        (Ok(_), error) => Some(format!("{id}: {template}\n  gave no error\n  Go   {error}")),
        (Err(failure), "") => Some(format!("{id}: {template}\n  gave {failure}\n  Go   {:?}", text("out"))),
        (Err(failure), error) => {
            let place = placed(error);
            let is_there = failure.to_string().starts_with(&place);
            (!is_there).then(|| format!("{id}: {template}\n  gave {failure}\n  Go   {error}"))
        }
    }
}

/// `template: NAME:LINE:COLUMN` of Go's words; without a column where Go could not parse.
fn placed(error: &str) -> String {
    let is_number = |part: &&str| part.parse::<usize>().is_ok();
    let mut parts = error.splitn(5, ':');
    let head: Vec<&str> = parts.by_ref().take(3).collect();
    let column = parts.next().filter(is_number).map(|column| format!(":{column}")).unwrap_or_default();
    format!("{}{column}:", head.join(":"))
}

#[test]
fn templates_give_what_go_gives() {
    let found = differences(include_str!("../fixtures/go-templates.jsonl"));
    assert!(found.is_empty(), "{} differ:\n{}", found.len(), found.join("\n"));
}

#[test]
fn every_function_gives_what_sprig_gives() {
    let found = differences(include_str!("../fixtures/sprig.jsonl"));
    assert!(found.is_empty(), "{} differ:\n{}", found.len(), found.join("\n"));
}

//! The chart's values: described, and all of them in its schema.

use std::collections::BTreeSet;
use std::io::Write as _;

use serde_json::Value;

use super::{file, read};

const VALUES: &str = "deploy/helm/strongroom/values.yaml";
const README: &str = "deploy/helm/strongroom/README.md";
const TABLE: [&str; 2] = ["<!-- values: made from values.yaml by `make docs` -->\n", "<!-- end of values -->\n"];

/// A value as `values.yaml` describes it.
struct Described {
    path: String,
    default: String,
    words: String,
}

fn values() -> Value {
    serde_saphyr::from_str(&read(VALUES)).unwrap()
}

fn at<'a>(values: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(values, |value, key| &value[key])
}

/// Every key with a comment above it, in the order of the file.
fn described() -> Vec<Described> {
    let values = values();
    let mut found = Vec::new();
    let mut above: Vec<(usize, String)> = Vec::new();
    let mut words = Vec::new();
    for line in read(VALUES).lines() {
        let text = line.trim_start();
        if let Some(comment) = text.strip_prefix('#') {
            words.push(comment.trim().to_owned());
            continue;
        }
        if let Some((key, _)) = text.split_once(':') {
            let indentation = line.len() - text.len();
            above.retain(|(outer, _)| *outer < indentation);
            above.push((indentation, key.to_owned()));
            if !words.is_empty() {
                let path = above.iter().map(|(_, key)| key.as_str()).collect::<Vec<_>>().join(".");
                let default = at(&values, &path).to_string();
                found.push(Described { path, default, words: words.join(" ") });
            }
        }
        words.clear();
    }
    found
}

/// The paths of everything that is no mapping with entries.
fn leaves(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value.as_object().filter(|entries| !entries.is_empty()) {
        Some(entries) => {
            for (key, value) in entries {
                leaves(value, format!("{path}.{key}").trim_start_matches('.'), found);
            }
        }
        None => drop(found.insert(path.to_owned())),
    }
}

fn table() -> String {
    let row = |value: &Described| format!("| `{}` | `{}` | {} |\n", value.path, value.default, value.words);
    let rows: String = described().iter().map(row).collect();
    format!("\n| Value | Default | What it is |\n|---|---|---|\n{rows}\n")
}

#[test]
fn every_value_is_described_in_the_chart_and_in_its_readme() {
    let described = described();
    let mut all = BTreeSet::new();
    leaves(&values(), "", &mut all);
    let is_described = |path: &&String| {
        described.iter().any(|value| value.path == **path || path.starts_with(&format!("{}.", value.path)))
    };
    let missing: Vec<_> = all.iter().filter(|path| !is_described(path)).collect();
    assert!(missing.is_empty(), "without a comment in {VALUES}: {missing:?}");
    let readme = read(README);
    let (before, rest) = readme.split_once(TABLE[0]).expect("the table's beginning");
    let (found, after) = rest.split_once(TABLE[1]).expect("the table's end");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let made = [before, TABLE[0], &table(), TABLE[1], after].concat();
        std::fs::File::create(file(README)).unwrap().write_all(made.as_bytes()).unwrap();
        return;
    }
    assert_eq!(found, table(), "run `make docs`");
}

#[test]
fn the_schema_knows_every_value_and_refuses_others() {
    let schema: Value = serde_json::from_str(&read("deploy/helm/strongroom/values.schema.json")).unwrap();
    check(&schema, &values(), "");
}

/// Whether `schema` has the keys of `values`, and closes what it lists.
fn check(schema: &Value, values: &Value, path: &str) {
    let (Some(properties), Some(values)) = (schema["properties"].as_object(), values.as_object()) else { return };
    assert_eq!(schema["additionalProperties"], false, "{path} takes any key");
    for (key, value) in values {
        let inner = properties.get(key).unwrap_or_else(|| panic!("{path}.{key} is not in the schema"));
        check(inner, value, &format!("{path}.{key}"));
    }
}

#[test]
fn the_chart_has_the_version_of_the_program() {
    let chart: Value = serde_saphyr::from_str(&read("deploy/helm/strongroom/Chart.yaml")).unwrap();
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

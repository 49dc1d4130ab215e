//! What the schema of a kind says about an object, for files that no API server has seen: unknown fields above all, which
//! an API server drops without a word to most people.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::{Map, Value};
use strongroom_failure::{Class, Failure};
use strongroom_pattern::Pattern;

/// The schema of `kind` in `api_version` (group and version).
pub(crate) fn schema(api_version: &str, kind: &str) -> Option<JSONSchemaProps> {
    let (group, version) = api_version.split_once('/')?;
    let crds = strongroom_api::crds();
    let crd = crds.into_iter().find(|crd| crd.spec.group == group && crd.spec.names.kind == kind)?;
    let version = crd.spec.versions.into_iter().find(|served| served.name == version)?;
    version.schema?.open_api_v3_schema
}

/// Everything in `value` that `schema` does not allow, each in its field below `field`. Values are not quoted.
pub(crate) fn check(value: &Value, schema: &JSONSchemaProps, field: &str, problems: &mut Vec<Failure>) {
    // The API server takes a null for an absent field.
    if value.is_null() || schema.x_kubernetes_int_or_string == Some(true) {
        return;
    }
    if let Some(expected) = schema.type_.as_deref().filter(|expected| !is_of(value, expected)) {
        let words = format!("is {}, and {} is expected", article(kind_of(value)), article(expected));
        problems.push(problem(field, words));
        return;
    }
    if let Some(allowed) = schema.enum_.as_ref().filter(|allowed| !allowed.iter().any(|one| one.0 == *value)) {
        let words: Vec<String> =
            allowed.iter().map(|one| one.0.as_str().map_or(one.0.to_string(), str::to_owned)).collect();
        problems.push(
            problem(field, "has none of the values that are allowed")
                .with_hint(format!("write one of {}", words.join(", "))),
        );
    }
    match value {
        Value::Object(fields) => check_fields(fields, schema, field, problems),
        Value::Array(items) => check_items(items, schema, field, problems),
        Value::String(text) => check_text(text, schema, field, problems),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn check_fields(fields: &Map<String, Value>, schema: &JSONSchemaProps, field: &str, problems: &mut Vec<Failure>) {
    for name in schema.required.iter().flatten().filter(|name| fields.get(*name).is_none_or(Value::is_null)) {
        problems
            .push(problem(&below(field, name), "is missing").with_hint(format!("add {name} below {}", shown(field))));
    }
    let empty = std::collections::BTreeMap::new();
    let known = schema.properties.as_ref().unwrap_or(&empty);
    let takes_any = schema.x_kubernetes_preserve_unknown_fields == Some(true) || schema.properties.is_none();
    // What every object has and no schema of a kind repeats.
    let is_usual = |name: &str| field.is_empty() && ["apiVersion", "kind", "metadata"].contains(&name);
    for (name, value) in fields.iter().filter(|(name, _)| !is_usual(name)) {
        match (known.get(name), &schema.additional_properties) {
            (Some(schema), _) => check(value, schema, &below(field, name), problems),
            (None, Some(JSONSchemaPropsOrBool::Schema(schema))) => check(value, schema, &below(field, name), problems),
            (None, Some(JSONSchemaPropsOrBool::Bool(true))) => {}
            (None, _) if takes_any => {}
            (None, _) => {
                let unknown = problem(&below(field, name), "there is no such field, and the API server drops it");
                problems.push(unknown.with_hint(cure(name, known.keys().map(String::as_str), field)));
            }
        }
    }
}

fn check_items(items: &[Value], schema: &JSONSchemaProps, field: &str, problems: &mut Vec<Failure>) {
    let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
    if schema.min_items.is_some_and(|least| count < least) {
        problems.push(problem(field, format!("has {count} entries, too few")));
    }
    if schema.max_items.is_some_and(|most| count > most) {
        problems.push(problem(field, format!("has {count} entries, too many")));
    }
    if let Some(JSONSchemaPropsOrArray::Schema(schema)) = &schema.items {
        for (index, item) in items.iter().enumerate() {
            check(item, schema, &format!("{field}[{index}]"), problems);
        }
    }
}

fn check_text(text: &str, schema: &JSONSchemaProps, field: &str, problems: &mut Vec<Failure>) {
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    if schema.min_length.is_some_and(|least| length < least) {
        problems.push(problem(field, "must not be empty"));
    } else if schema.max_length.is_some_and(|most| length > most) {
        problems.push(problem(field, format!("has {length} characters, too many")));
    } else if let Some(pattern) = &schema.pattern
        && Pattern::new(pattern).is_ok_and(|compiled| !compiled.is_match(text))
    {
        problems.push(
            problem(field, "has characters or a form that is not allowed")
                .with_hint(format!("it must match {pattern}")),
        );
    }
}

fn problem(field: &str, words: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words).in_field(shown(field))
}

fn shown(field: &str) -> &str {
    if field.is_empty() { "the object" } else { field }
}

fn below(field: &str, name: &str) -> String {
    if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") }
}

fn is_of(value: &Value, expected: &str) -> bool {
    match expected {
        "integer" => value.is_i64() || value.is_u64(),
        expected => kind_of(value) == expected,
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn article(kind: &str) -> String {
    match kind {
        "object" => "a set of fields".to_owned(),
        "array" => "a list".to_owned(),
        "string" => "a text".to_owned(),
        "integer" => "a whole number".to_owned(),
        "boolean" => "true or false".to_owned(),
        kind => format!("a {kind}"),
    }
}

/// The nearest known name, or all of them.
fn cure<'n>(name: &str, known: impl Iterator<Item = &'n str> + Clone, field: &str) -> String {
    let nearest = known.clone().map(|candidate| (distance(name, candidate), candidate)).min();
    // One letter in three may be wrong; what differs more is another word.
    match nearest {
        Some((distance, candidate)) if distance * 3 <= name.len().max(3) => format!("did you mean {candidate}?"),
        _ => format!("{} has {}", shown(field), known.collect::<Vec<_>>().join(", ")),
    }
}

/// How many letters must be put in, taken out or changed to make `one` of `other`, whatever their case.
fn distance(one: &str, other: &str) -> usize {
    let (one, other) = (one.to_lowercase(), other.to_lowercase());
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (place, another) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *another);
            diagonal = row[place + 1];
            row[place + 1] = changed.min(row[place] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(spec: &Value) -> Vec<String> {
        let schema = schema("external-secrets.io/v1", "ExternalSecret").unwrap();
        let object = json!({"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
            "metadata": {"name": "app", "labels": {"any": "thing"}}, "spec": spec});
        let mut problems = Vec::new();
        check(&object, &schema, "", &mut problems);
        let told = |failure: Failure| format!("{failure} ({})", failure.hint.clone().unwrap_or_default());
        problems.into_iter().map(told).collect()
    }

    #[test]
    fn what_the_schema_forbids_is_told_with_its_field_and_a_cure() {
        let check = |spec: Value, expected: &[&str]| assert_eq!(problems(&spec), expected);
        let entry = |remote: Value| json!({"data": [{"secretKey": "a", "remoteRef": remote}]});
        check(entry(json!({"key": "k", "property": null})), &[]);
        check(
            entry(json!({"key": "k", "propety": "p"})),
            &[
                "spec.data[0].remoteRef.propety: there is no such field, and the API server drops it (did you mean property?)",
            ],
        );
        check(entry(json!({})), &["spec.data[0].remoteRef.key: is missing (add key below spec.data[0].remoteRef)"]);
        check(entry(json!({"key": 5})), &["spec.data[0].remoteRef.key: is a number, and a text is expected ()"]);
        check(json!({"data": {}}), &["spec.data: is a set of fields, and a list is expected ()"]);
        check(
            json!({"target": {"creationPolicy": "Own"}}),
            &[
                "spec.target.creationPolicy: has none of the values that are allowed (write one of Owner, Orphan, Merge, \
               None, CreateOrMerge)",
            ],
        );
        let name = &problems(&json!({"target": {"name": "My_Secret"}}))[0];
        assert!(
            name.starts_with("spec.target.name: has characters or a form that is not allowed (it must match"),
            "{name}"
        );
        let far = &problems(&json!({"target": {"zzzzzzzz": 1}}))[0];
        assert!(far.contains("spec.target has creationPolicy, deletionPolicy"), "{far}");
    }

    #[test]
    fn letters_are_counted() {
        let check = |one: &str, other: &str, expected: usize| assert_eq!(distance(one, other), expected);
        check("", "abc", 3);
        check("Key", "key", 0);
        check("propety", "property", 1);
        check("secretRef", "secretStoreRef", 5);
    }
}

//! What templates make.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use strongroom_api::external_secrets::Template;
use strongroom_sync::render::{Input, Rendered, TemplateSource, render, sources};
use strongroom_sync::{Texts, Values};

use crate::{Engine, shown, values};

pub(crate) fn texts(pairs: &[(&str, &str)]) -> Texts {
    pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
}

pub(crate) fn objects() -> BTreeMap<TemplateSource, Values> {
    BTreeMap::from([
        (
            TemplateSource::ConfigMap("cm".to_owned()),
            values(&[("one", "cm {{ .user }}"), ("map", "m: '{{ .user }}'\nn: cm")]),
        ),
        (TemplateSource::Secret("sec".to_owned()), values(&[("one", "sec {{ .user }}"), ("bad", "{{ .gone }}")])),
    ])
}

fn rendered(template: Option<Value>, is_partial: bool) -> Result<Rendered, Vec<String>> {
    let template: Option<Template> = template.map(|template| serde_json::from_value(template).unwrap());
    let input = Input {
        template: template.as_ref(),
        labels: &texts(&[("app", "es")]),
        annotations: &texts(&[("note", "es"), ("strongroom.dev/partial", "true")]),
        values: &values(&[("user", "u"), ("password", "canary"), ("encoded", "aGk=")]),
        sources: &objects(),
        is_partial,
        render: &Engine,
    };
    render(&input).map_err(|failures| failures.iter().map(ToString::to_string).collect())
}

fn check(template: Value, expected: &[(&str, &str)]) {
    let made = rendered(Some(template.clone()), false).unwrap();
    assert_eq!(shown(&made.data), expected, "{template}");
}

fn check_failures(template: Value, expected: &[&str]) {
    assert_eq!(rendered(Some(template), false).unwrap_err(), expected);
}

#[test]
fn without_a_template_values_labels_and_annotations_are_copied() {
    let made = rendered(None, false).unwrap();
    assert_eq!(shown(&made.data), [("encoded", "aGk="), ("password", "canary"), ("user", "u")]);
    assert_eq!((made.labels, made.annotations), (texts(&[("app", "es")]), texts(&[("note", "es")])));
}

#[test]
fn with_a_template_only_its_own_metadata_is_written() {
    let made = rendered(
        Some(json!({
            "type": "kubernetes.io/tls",
            "metadata": {"labels": {"l": "{{ .user }}"}, "annotations": {"a": "x{{ .user }}"}, "finalizers": ["example.com/f"]},
        })),
        false,
    )
    .unwrap();
    assert_eq!((made.labels, made.annotations), (texts(&[("l", "u")]), texts(&[("a", "xu")])));
    assert_eq!(
        (made.kind.as_deref(), &made.finalizers[..]),
        (Some("kubernetes.io/tls"), &["example.com/f".to_owned()][..])
    );
    // A template without data leaves the values as they are.
    assert_eq!(made.data.len(), 3);
}

#[test]
fn own_data_wins_over_templates_from_elsewhere_and_these_over_values() {
    let from = json!([{"configMap": {"name": "cm", "items": [{"key": "one"}, {"key": "map", "templateAs": "KeysAndValues"}]}}]);
    check(json!({"data": {"k": "<{{ .user }}>"}}), &[("k", "<u>")]);
    check(
        json!({"data": {"k": "1"}, "mergePolicy": "Merge"}),
        &[("encoded", "aGk="), ("k", "1"), ("password", "canary"), ("user", "u")],
    );
    check(json!({"templateFrom": from}), &[("m", "u"), ("n", "cm"), ("one", "cm u")]);
    check(json!({"templateFrom": from, "data": {"n": "own"}}), &[("m", "u"), ("n", "own"), ("one", "cm u")]);
    let literal = json!([{"literal": "user: from-template"}]);
    let merged = json!({"templateFrom": literal, "mergePolicy": "Merge"});
    check(merged, &[("encoded", "aGk="), ("password", "canary"), ("user", "from-template")]);
    // All of an entry's sources count, the later over the earlier.
    let both = json!([{"configMap": {"name": "cm", "items": [{"key": "one"}]}, "secret": {"name": "sec", "items": [{"key": "one"}]}, "literal": "l: x"}]);
    check(json!({"templateFrom": both}), &[("l", "x"), ("one", "sec u")]);
}

#[test]
fn templates_from_elsewhere_go_where_they_are_told_to() {
    let made = rendered(
        Some(json!({
            "metadata": {"labels": {"own": "1"}},
            "templateFrom": [
                {"literal": "a: '{{ .user }}'\nown: '0'", "target": "LABELS"},
                {"literal": "b: '{{ .user }}'", "target": "Annotations"},
                {"literal": "c: '{{ .encoded }}'", "target": "Data", "valuesDecodingStrategy": "Base64"},
                {"literal": ""},
                {"literal": "d:\ne: ~\n1: one\nf: first\nf: last"},
            ],
        })),
        false,
    )
    .unwrap();
    assert_eq!(made.labels, texts(&[("a", "u"), ("own", "1")]));
    assert_eq!(made.annotations, texts(&[("b", "u")]));
    assert_eq!(shown(&made.data), [("1", "one"), ("c", "hi"), ("d", ""), ("e", ""), ("f", "last")]);
}

#[test]
fn what_fails_is_told_in_its_field_and_never_with_a_value() {
    let from = |entry: Value| json!({"templateFrom": [entry]});
    check_failures(json!({"data": {"k": "{{ .gone }}"}}), &["spec.target.template.data.k: k: no key \"gone\""]);
    check_failures(
        json!({"metadata": {"labels": {"l": "{{ .gone }}"}}}),
        &["spec.target.template.metadata.labels.l: l: no key \"gone\""],
    );
    let items = |name: &str, key: &str| json!({"name": name, "items": [{"key": "one"}, {"key": key}]});
    check_failures(
        from(json!({"secret": items("sec", "bad")})),
        &["spec.target.template.templateFrom[0].secret.items[1]: bad: no key \"gone\""],
    );
    check_failures(
        from(json!({"secret": items("sec", "nope")})),
        &["spec.target.template.templateFrom[0].secret.items[1]: there is no key nope in sec"],
    );
    check_failures(
        from(json!({"configMap": items("nope", "x")})),
        &["spec.target.template.templateFrom[0].configMap.items[0]: there is no nope"],
    );
    let words = "spec.target.template.templateFrom[0]: the template does not make a YAML map of keys and texts";
    check_failures(from(json!({"literal": "{{ .password }}"})), &[words]);
    check_failures(from(json!({"literal": "a: {{ .password }}: ["})), &[words]);
    let no_text = "spec.target.template.templateFrom[0]: what the template makes under \"a\" is no text";
    for value in ["[{{ .password }}]", "{x: y}"] {
        check_failures(from(json!({"literal": format!("a: {value}")})), &[no_text]);
    }
    let coded = json!({"literal": "a: '{{ .password }}!'", "valuesDecodingStrategy": "Base64"});
    check_failures(from(coded), &["spec.target.template.templateFrom[0]: a: the value is not base64"]);
    let path = json!({"literal": "a: b", "target": "metadata.ownerReferences"});
    check_failures(
        from(path),
        &[
            "spec.target.template.templateFrom[0]: the target \"metadata.ownerReferences\" is none of a Secret's: Data, Labels or Annotations",
        ],
    );
    check_failures(
        from(json!({"literal": "clé: x"})),
        &["spec.target: a Secret cannot have the key \"clé\": its keys are letters, digits, - . _"],
    );
}

#[test]
fn numbers_and_truths_of_a_map_are_texts_as_kubernetes_reads_them() {
    let check = |value: &str, expected: &str| {
        let template = json!({"templateFrom": [{"literal": format!("a: {value}")}]});
        let made = rendered(Some(template), false).unwrap();
        assert_eq!(shown(&made.data), [("a", expected)], "{value}");
    };
    check("5432", "5432");
    check("-7", "-7");
    check("18446744073709551615", "18446744073709551615");
    check("true", "true");
    check("yes", "true");
    check("1.50", "1.5");
    check("1.0", "1");
    check("0.0001", "0.0001");
    check("0.00001", "1e-05");
    check("1234567.5", "1.2345675e+06");
    check("1.23456789", "1.2345679");
    check("'1.50'", "1.50");
    check("", "");
}

#[test]
fn in_part_only_what_fails_is_left_out() {
    let made = rendered(Some(json!({"data": {"good": "{{ .user }}", "bad": "{{ .gone }}"}})), true).unwrap();
    assert_eq!(shown(&made.data), [("good", "u")]);
    assert_eq!(made.failed.len(), 1);
}

#[test]
fn secrets_that_the_cluster_makes_credentials_of_are_refused_even_in_part() {
    let check = |template: Value, is_refused: bool| {
        assert_eq!(rendered(Some(template.clone()), true).is_err(), is_refused, "{template}");
    };
    let account = json!({"annotations": {"kubernetes.io/service-account.name": "default"}});
    check(json!({"type": "bootstrap.kubernetes.io/token"}), true);
    check(json!({"type": "kubernetes.io/service-account-token", "metadata": account}), true);
    let from = json!([{"literal": "a: b", "target": "annotations"}]);
    check(json!({"type": "kubernetes.io/service-account-token", "templateFrom": from}), true);
    check(json!({"type": "kubernetes.io/service-account-token"}), false);
    check(json!({"type": "Opaque", "metadata": account, "templateFrom": from}), false);
}

#[test]
fn the_objects_that_hold_templates_are_known_beforehand() {
    let template: Template = serde_json::from_value(json!({"templateFrom": [
        {"configMap": {"name": "b", "items": []}, "secret": {"name": "a", "items": []}},
        {"configMap": {"name": "b", "items": []}},
        {"literal": "x: y"},
    ]}))
    .unwrap();
    let expected = [TemplateSource::ConfigMap("b".to_owned()), TemplateSource::Secret("a".to_owned())];
    assert_eq!(sources(Some(&template)), expected);
    assert!(sources(None).is_empty());
}

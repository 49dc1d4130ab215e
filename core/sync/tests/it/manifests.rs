//! Targets of other kinds.

use proptest::prelude::*;
use serde_json::{Value, json};
use strongroom_api::external_secrets::{CreationPolicy, DeletionPolicy, ManifestRef, Template};
use strongroom_sync::current::Validity;
use strongroom_sync::hash::created_by;
use strongroom_sync::manifest::{Plan, Wanted, build, content_hash, plan, removal, validity};
use strongroom_sync::object::ManifestObject;
use strongroom_sync::render::Input;
use strongroom_sync::target::Outcome;

use crate::rendering::{objects, texts};
use crate::targets::{HASH, owner};
use crate::{Engine, values};

fn built(kind: &str, template: Option<&Value>) -> Result<ManifestObject, Vec<String>> {
    let template: Option<Template> = template.map(|template| serde_json::from_value(template.clone()).unwrap());
    let input = Input {
        template: template.as_ref(),
        labels: &texts(&[("app", "es")]),
        annotations: &texts(&[("strongroom.dev/partial", "true")]),
        values: &values(&[("user", "u"), ("number", "5"), ("list", "[a, b]")]),
        sources: &objects(),
        is_partial: false,
        render: &Engine,
    };
    let kind = ManifestRef { api_version: "example.com/v1".to_owned(), kind: kind.to_owned() };
    let made = build(&kind, "target", &owner(), CreationPolicy::Owner, &input);
    made.map_err(|failures| failures.iter().map(ToString::to_string).collect())
}

fn check(template: Value, expected: Value) {
    let object = built("Kind", Some(&template)).unwrap();
    for (part, expected) in expected.as_object().unwrap() {
        assert_eq!(object.expose().get(part), Some(expected), "{template}");
    }
}

#[test]
fn without_a_template_values_go_into_data_or_spec_data() {
    let data = json!({"list": "[a, b]", "number": "5", "user": "u"});
    let map = built("ConfigMap", None).unwrap();
    assert_eq!(map.expose()["data"], data);
    assert_eq!(built("Kind", None).unwrap().expose()["spec"], json!({"data": data}));
    let metadata = &map.expose()["metadata"];
    assert_eq!((&metadata["name"], &metadata["namespace"]), (&json!("target"), &json!("team-a")));
    assert_eq!(
        metadata["labels"],
        json!({
            "app": "es",
            "reconcile.external-secrets.io/managed": "true",
            "reconcile.external-secrets.io/created-by": created_by("team-a", "es"),
        })
    );
    assert_eq!(metadata["ownerReferences"][0]["uid"], "es-1");
    assert_eq!(metadata["annotations"].as_object().unwrap().keys().collect::<Vec<_>>(), [HASH]);
}

#[test]
fn templates_go_to_the_path_that_they_name() {
    check(json!({"data": {"k": "<{{ .user }}>"}}), json!({"data": {"k": "<u>"}}));
    let from = |entries: Value| json!({"templateFrom": entries});
    check(from(json!([{"literal": "a: {b: {{ .number }}}", "target": "spec"}])), json!({"spec": {"a": {"b": 5}}}));
    // What a path holds is merged with what comes later.
    let twice = json!([
        {"literal": "a: {{ .number }}", "target": "spec.rules[1].From"},
        {"literal": "b: {{ .list }}", "target": "spec.rules[1].From"},
    ]);
    check(from(twice), json!({"spec": {"rules": [null, {"From": {"a": 5, "b": ["a", "b"]}}]}}));
    let single = json!([{"configMap": {"name": "cm", "items": [{"key": "one"}]}, "target": "spec.text"}]);
    check(from(single), json!({"spec": {"text": "cm u"}}));
    let named = json!([{"configMap": {"name": "cm", "items": [{"key": "one"}]}, "target": "spec"}]);
    check(from(named), json!({"spec": {"one": "cm u"}}));
    let labels = json!([{"literal": "l: '{{ .user }}'", "target": "labels"}]);
    assert_eq!(built("Kind", Some(&from(labels))).unwrap().expose()["metadata"]["labels"]["l"], "u");
}

#[test]
fn paths_that_do_not_fit_are_told() {
    let check = |target: &str, expected: &str| {
        let template = json!({"templateFrom": [{"literal": "a: b", "target": "spec.list[0]"}, {"literal": "a: b", "target": target}]});
        let failures = built("Kind", Some(&template)).unwrap_err();
        assert!(failures[0].starts_with("spec.target.template.templateFrom[1]: "), "{failures:?}");
        assert!(failures[0].contains(expected), "{failures:?}");
    };
    check("spec..a", "a part of it is empty");
    check("[0]", "a part of it is empty");
    check("spec.a[x]", "an index is a number up to 10000");
    check("spec.a[-1]", "an index is a number up to 10000");
    check("spec.a[10001]", "an index is a number up to 10000");
    check("spec.a[0", "an index is written [0]");
    check("spec.a[0]b", "an index is written [0]");
    check("spec.list.a", "what holds \"a\" is no map");
    check("spec[0]", "what holds [0] is no list");
    check(&format!("spec{}", "[0]".repeat(40)), "at most 32 steps");
    for target in ["metadata.ownerReferences", "metadata", "status.x", "kind", "apiVersion", "metadata.namespace"] {
        check(target, "templates cannot write to");
    }
}

#[test]
fn a_place_that_something_else_holds_is_told_too() {
    let template = json!({"templateFrom": [{"literal": "[1]", "target": "data.x"}, {"literal": "text", "target": "spec"}], "data": {"k": "v"}});
    assert!(built("Kind", Some(&template)).is_ok());
    let template = json!({"templateFrom": [
        {"literal": "[1]", "target": "metadata.labels"},
        {"literal": "text", "target": "spec"},
        {"configMap": {"name": "cm", "items": [{"key": "one"}]}, "target": "spec"},
    ]});
    assert!(built("Kind", Some(&template)).unwrap_err()[0].contains("what holds \"one\" is no map"));
    let template = json!({"templateFrom": [{"literal": "[1]", "target": "metadata.labels"}]});
    assert!(built("Kind", Some(&template)).unwrap_err()[0].contains("is no map"));
}

#[test]
fn the_hash_is_of_what_templates_write_as_external_secrets_has_it() {
    let check = |object: Value, template: Option<Value>, printed: &str| {
        let template: Option<Template> = template.map(|template| serde_json::from_value(template).unwrap());
        let expected = strongroom_crypto::sha3_224(printed.as_bytes());
        let expected: String = expected.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(content_hash(&object, template.as_ref()), expected, "{printed}");
    };
    let object = json!({"data": {"b": "2", "a": "1"}});
    check(object.clone(), None, "map[a:1 b:2]");
    check(json!({"data": {"a": "1"}, "spec": {"n": [1, true, null]}}), None, "map[n:[1 true <nil>]]");
    let from = |target: &str| Some(json!({"templateFrom": [{"literal": "x", "target": target}]}));
    check(json!({"spec": {"a": {"b": 1}, "other": 2}}), from("spec.a"), "map[spec:map[a:map[b:1]]]");
    check(json!({"spec": {"a": 1}, "data": {"c": 1}}), from("data"), "map[data:map[c:1]]");
    check(json!({"spec": {"a": 1}}), from("spec.gone"), "map[a:1]");
    check(json!({"metadata": {"labels": {"l": "1"}}}), from("Labels"), "map[metadata:map[labels:map[l:1]]]");
    // "Data" is not found under its capital letter: the whole counts.
    check(object, from("Data"), "map[a:1 b:2]");
}

fn wanted(creation: CreationPolicy) -> Wanted {
    Wanted {
        owner: owner(),
        name: "target".to_owned(),
        creation,
        deletion: DeletionPolicy::Retain,
        found_nothing: false,
        object: built("ConfigMap", None).unwrap(),
    }
}

#[test]
fn an_object_is_applied_where_it_lacks_something() {
    let wanted_object = wanted(CreationPolicy::Owner);
    let check = |current: Option<&Value>, creation, expected: &str| {
        let shown = match plan(current, &wanted(creation)) {
            Plan::Nothing(outcome) => format!("nothing {outcome:?}"),
            Plan::Apply { creates, .. } => format!("apply {creates}"),
            Plan::Delete(_) => "delete".to_owned(),
            Plan::Refuse(refusal) => refusal.message.to_owned(),
        };
        assert_eq!(shown, expected, "{creation:?} {current:?}");
    };
    check(None, CreationPolicy::Owner, "apply true");
    check(None, CreationPolicy::Merge, "nothing Missing");
    check(None, CreationPolicy::None, "nothing Synced");
    let mut live = wanted_object.object.expose().clone();
    live["metadata"]["uid"] = json!("u1");
    live["metadata"]["labels"]["theirs"] = json!("1");
    live["data"]["theirs"] = json!("1");
    check(Some(&live), CreationPolicy::Owner, "nothing Synced");
    live["data"]["user"] = json!("wrong");
    check(Some(&live), CreationPolicy::Owner, "apply false");
    live["metadata"]["ownerReferences"][0]["name"] = json!("other");
    check(Some(&live), CreationPolicy::Owner, "target is owned by another ExternalSecret");
    live["metadata"]["ownerReferences"][0]["kind"] = json!("Certificate");
    check(Some(&live), CreationPolicy::Owner, "failed to take ownership of target secret");
    check(Some(&live), CreationPolicy::Merge, "apply false");
    check(Some(&live), CreationPolicy::None, "nothing Synced");
}

#[test]
fn an_object_is_applied_where_we_wrote_more_than_is_wanted() {
    let check = |manager: &str, fields: Value, is_applied: bool| {
        let mut live = wanted(CreationPolicy::Orphan).object.expose().clone();
        live["metadata"]["managedFields"] = json!([{"manager": manager, "operation": "Apply", "fieldsV1": fields}]);
        let planned = plan(Some(&live), &wanted(CreationPolicy::Orphan));
        assert_eq!(matches!(planned, Plan::Apply { creates: false, .. }), is_applied, "{manager}");
    };
    let ours = "externalsecrets.external-secrets.io/es";
    check(ours, json!({"f:data": {".": {}, "f:user": {}}}), false);
    check(ours, json!({"f:data": {"f:old": {}}}), true);
    check(ours, json!({"f:metadata": {"f:labels": {"f:old": {}}}}), true);
    check(ours, json!({"f:metadata": {"f:finalizers": {"v:\"example.com/f\"": {}}}}), true);
    check("helm", json!({"f:data": {"f:old": {}}}), false);
}

#[test]
fn only_an_own_object_is_deleted_when_the_stores_hold_nothing() {
    let mut empty = wanted(CreationPolicy::Owner);
    empty.found_nothing = true;
    empty.deletion = DeletionPolicy::Delete;
    let own = empty.object.expose().clone();
    assert!(matches!(plan(Some(&own), &empty), Plan::Delete(_)));
    assert_eq!(plan(None, &empty), Plan::Nothing(Outcome::Deleted));
    assert!(removal(Some(&own), &owner(), DeletionPolicy::Retain).is_none());
    let foreign = json!({"metadata": {"name": "target"}});
    assert!(
        matches!(plan(Some(&foreign), &empty), Plan::Refuse(refusal) if refusal.message == "could not delete secret")
    );
    empty.deletion = DeletionPolicy::Retain;
    assert_eq!(plan(Some(&own), &empty), Plan::Nothing(Outcome::Retained));
}

#[test]
fn an_object_is_mended_where_its_hash_does_not_fit() {
    let wanted = wanted(CreationPolicy::Owner);
    let mut live = wanted.object.expose().clone();
    live["metadata"]["resourceVersion"] = json!("7");
    let check = |live: Option<&Value>, seen: Option<&str>, expected| {
        assert_eq!(validity(live, CreationPolicy::Owner, None, seen), expected);
    };
    check(None, None, Validity::Missing);
    check(Some(&live), None, Validity::Valid);
    live["data"]["user"] = json!("wrong");
    check(Some(&live), None, Validity::Drifted);
    check(Some(&live), Some("7"), Validity::Valid);
    check(Some(&json!({"metadata": {}})), None, Validity::Unmanaged);
    assert_eq!(validity(None, CreationPolicy::Merge, None, None), Validity::Valid);
}

#[test]
fn objects_do_not_show_their_values() {
    let object = ManifestObject::new(json!({"kind": "ConfigMap", "data": {"a": "canary"}}));
    assert!(!format!("{object:?}").contains("canary"));
}

proptest! {
    #[test]
    fn no_path_and_no_text_breaks_the_build(path in "[a-d.\\[\\]0-9]{0,12}|spec[.a-d\\[\\]0-3]{0,8}", text in "[a-c:,{} \\[\\]'\n-]{0,16}") {
        let template = json!({
            "templateFrom": [{"literal": text, "target": path}, {"literal": "a: b", "target": "spec"}],
            "data": {"k": "v"},
        });
        if let Ok(object) = built("Kind", Some(&template)) {
            prop_assert_eq!(&object.expose()["metadata"]["name"], "target");
        }
    }
}

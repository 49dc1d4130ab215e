//! Targets of other kinds than Secret: what is made, followed and taken away, and what is refused.

use serde_json::{Value, json};

use super::super::api::API;
use super::super::support::{CLUSTER, Operator, eventually};
use super::super::world_of_stores::{core, create, post};
use super::{SHARED, one, reading, ready, restock, served, served_by};

const SYNCED: &str = "True ResourceSynced secret synced";

/// A spec with this target, refreshed every second.
fn targeting(target: Value, rest: Value) -> Value {
    let mut spec = reading("fake", rest);
    spec["refreshInterval"] = json!("1s");
    spec["target"] = target;
    spec
}

/// Waits until the ExternalSecret's Ready condition is this, in one line.
fn told(namespace: &str, name: &str, expected: &str) {
    eventually(&format!("{name} is told"), || {
        let found = ready(&API.get("externalsecrets", namespace, name).unwrap());
        if found == expected { Ok(()) } else { Err(format!("\n found {found}\nwanted {expected}")) }
    });
}

/// Waits until `part` of the object at `path` is this; of none it is null.
fn becomes(path: &str, part: &str, expected: &Value) {
    eventually(&format!("{part} of {path} is {expected}"), || {
        let (status, object) = API.ask("GET", path, "application/json", "");
        let found = if status == 200 { object.pointer(part).cloned().unwrap_or_default() } else { Value::Null };
        if status != 0 && found == *expected { Ok(()) } else { Err(format!("{status} {found}")) }
    });
}

fn map(namespace: &str, name: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps/{name}")
}

#[test]
fn a_config_map_is_made_followed_mended_and_taken_away() {
    let namespace = served(&[("/a", "one"), ("/b", "two")]);
    let entry = |key: &str| json!({"secretKey": key, "remoteRef": {"key": format!("/{key}")}});
    let both = json!({"data": [entry("a"), entry("b")]});
    let target = |rest: Value| {
        let mut target = manifest("v1", "ConfigMap");
        target.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        target
    };
    let objects = [
        ("owned", target(json!({"name": "settings"})), both.clone()),
        ("orphaned", target(json!({"creationPolicy": "Orphan"})), both.clone()),
        ("deleted", target(json!({"deletionPolicy": "Delete"})), both),
    ];
    for (name, target, rest) in objects {
        create(&namespace, "ExternalSecret", name, &targeting(target, rest));
    }
    let settings = map(&namespace, "settings");
    for name in ["owned", "orphaned", "deleted"] {
        told(&namespace, name, SYNCED);
        let path = if name == "owned" { settings.clone() } else { map(&namespace, name) };
        becomes(&path, "/data", &json!({"a": "one", "b": "two"}));
    }
    let made = API.get("configmaps", &namespace, "settings").unwrap()["metadata"].clone();
    assert_eq!(made["labels"]["reconcile.external-secrets.io/managed"], "true");
    assert_eq!(made["labels"]["reconcile.external-secrets.io/created-by"].as_str().unwrap().len(), 56);
    assert_eq!(made["annotations"]["reconcile.external-secrets.io/data-hash"].as_str().unwrap().len(), 56);
    assert_eq!((&made["ownerReferences"][0]["name"], &made["ownerReferences"][1]), (&json!("owned"), &Value::Null));
    let status = API.get("externalsecrets", &namespace, "owned").unwrap()["status"].clone();
    assert!(status["binding"].is_null(), "a binding is to a Secret: {status}");

    // What others write beside it stays; what they write over it, and what the store changes, is put right.
    API.patch("configmaps", &namespace, "settings", &json!({"data": {"a": "wrong", "theirs": "x"}}));
    becomes(&settings, "/data", &json!({"a": "one", "b": "two", "theirs": "x"}));
    restock(&namespace, SHARED, &[("/a", "new"), ("/b", "two")]);
    becomes(&settings, "/data", &json!({"a": "new", "b": "two", "theirs": "x"}));
    API.patch("externalsecrets", &namespace, "owned", &json!({"spec": {"data": [entry("a")]}}));
    becomes(&settings, "/data", &json!({"a": "new", "theirs": "x"}));

    let second = targeting(target(json!({"name": "settings"})), one(&json!({"key": "/b"})));
    create(&namespace, "ExternalSecret", "second", &second);
    told(
        &namespace,
        "second",
        "False ResourceSyncedError target is owned by another ExternalSecret: spec.target.name: the object settings \
         belongs to the ExternalSecret owned [Invalid]",
    );
    for name in ["second", "owned", "orphaned", "deleted"] {
        API.delete("externalsecrets", &namespace, name);
    }
    becomes(&settings, "/data", &Value::Null);
    becomes(&map(&namespace, "deleted"), "/data", &Value::Null);
    becomes(&map(&namespace, "orphaned"), "/data", &json!({"a": "new", "b": "two"}));
    assert!(API.list("secrets", &namespace).is_empty(), "no Secret was made");
}

/// A kind of its own for one test, in the group `NAMESPACE.example.com`.
fn widgets(namespace: &str) -> String {
    let group = format!("{namespace}.example.com");
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }});
    let name = format!("widgets.{group}");
    let names = json!({"plural": "widgets", "singular": "widget", "kind": "Widget"});
    let version = json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
    });
    post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition);
    let crd = format!("crd/{name}");
    CLUSTER.kubectl(&["wait", "--for=condition=Established", "--timeout=30s", &crd]).unwrap();
    group
}

/// An operator for stores of its own class, which may make these kinds.
fn operator(class: &str, kinds: &str) -> Operator {
    let (class, kinds) = (format!("--controller-class={class}"), format!("--target-kinds={kinds}"));
    Operator::start(&CLUSTER, &[&class, "--unsafe-allow-generic-targets", &kinds])
}

#[test]
fn templates_fill_an_object_of_any_kind_where_they_are_told_to() {
    let class = "widgets";
    let namespace = served_by(class, &[("/db", r#"{"host":"h1","port":5432,"user":"ann"}"#)]);
    let group = widgets(&namespace);
    let operator = operator(class, &format!("{group}/Widget"));
    core(&namespace, "ConfigMap", "parts", &json!({"data": {"mode": "for {{ .user }}"}}));
    let template = json!({
        "metadata": {"labels": {"team": "{{ .user }}"}},
        "templateFrom": [
            {"target": "spec.rules[0].from", "literal": "host: {{ .host }}\nport: {{ .port }}"},
            {"target": "spec.rules[1]", "literal": "{from: [{{ .user }}, any]}"},
            {"target": "spec.owner", "literal": "{{ .user }}"},
            {"target": "spec.replicas", "literal": "{{ len .user }}"},
            {"target": "spec", "configMap": {"name": "parts", "items": [{"key": "mode"}]}},
            {"target": "Annotations", "literal": "who: '{{ .user }}'"},
        ],
    });
    let target = json!({
        "name": "made", "deletionPolicy": "Delete", "template": template,
        "manifest": {"apiVersion": format!("{group}/v1"), "kind": "Widget"},
    });
    let spec = targeting(target, json!({"dataFrom": [{"extract": {"key": "/db"}}]}));
    create(&namespace, "ExternalSecret", "app", &spec);
    told(&namespace, "app", SYNCED);
    let path = format!("/apis/{group}/v1/namespaces/{namespace}/widgets/made");
    let expected = |host: &str| {
        json!({
            "mode": "for ann", "owner": "ann", "replicas": 3,
            "rules": [{"from": {"host": host, "port": 5432}}, {"from": ["ann", "any"]}],
        })
    };
    becomes(&path, "/spec", &expected("h1"));
    becomes(&path, "/metadata/labels/team", &json!("ann"));
    becomes(&path, "/metadata/annotations/who", &json!("ann"));
    becomes(&path, "/metadata/ownerReferences/0/kind", &json!("ExternalSecret"));
    restock(&namespace, class, &[("/db", r#"{"host":"h2","port":5432,"user":"ann"}"#)]);
    becomes(&path, "/spec", &expected("h2"));
    // A part that no template makes any more goes.
    let without = json!([{"target": "spec.owner", "literal": "{{ .user }}"}]);
    let less = json!({"spec": {"target": {"template": {"templateFrom": without}}}});
    API.patch("externalsecrets", &namespace, "app", &less);
    becomes(&path, "/spec", &json!({"owner": "ann"}));
    becomes(&path, "/metadata/annotations/who", &Value::Null);
    // Without a template values go to spec.data.
    API.patch("externalsecrets", &namespace, "app", &json!({"spec": {"target": {"template": null}}}));
    becomes(&path, "/spec", &json!({"data": {"host": "h2", "port": "5432", "user": "ann"}}));
    API.delete("externalsecrets", &namespace, "app");
    becomes(&path, "/spec", &Value::Null);
    let (code, _) = operator.stop();
    assert_eq!(code, Some(0));
}

/// Makes ExternalSecrets of these names, targets and the rest, and waits until each was refused with these words.
fn are_refused(namespace: &str, cases: &[(&str, Value, &Value, String)]) {
    for (name, target, rest, _) in cases {
        create(namespace, "ExternalSecret", name, &targeting(target.clone(), (*rest).clone()));
    }
    for (name, _, _, words) in cases {
        told(namespace, name, &format!("False ResourceSyncedError could not update secret: {words}"));
        assert!(API.get("configmaps", namespace, name).is_none(), "{name}");
    }
}

fn manifest(version: &str, kind: &str) -> Value {
    json!({"manifest": {"apiVersion": version, "kind": kind}})
}

#[test]
fn kinds_that_are_not_allowed_are_refused_with_what_to_do() {
    let class = "refusing";
    let namespace = served_by(class, &[("/a", "one"), ("/bytes", "/w==")]);
    let group = format!("{namespace}.example.com");
    let operator = operator(class, &format!("ConfigMap,Namespace,{group}/Widget"));
    let plain = one(&json!({"key": "/a"}));
    let bytes = one(&json!({"key": "/bytes", "decodingStrategy": "Base64"}));
    let field = "spec.target.manifest";
    let unlisted = "targets of the kind rbac.authorization.k8s.io/Role are not allowed [AccessDenied]";
    are_refused(
        &namespace,
        &[
            (
                "unlisted",
                manifest("rbac.authorization.k8s.io/v1", "Role"),
                &plain,
                format!("{field}: {unlisted} (list it in --target-kinds)"),
            ),
            (
                "of-the-cluster",
                manifest("v1", "Namespace"),
                &plain,
                format!("{field}: the kind Namespace belongs to no namespace [AccessDenied]"),
            ),
            (
                "unknown",
                manifest(&format!("{group}/v1"), "Widget"),
                &plain,
                format!("{field}: cannot find the kind Widget of {group}/v1: it does not exist [NotFound]"),
            ),
            (
                "bytes",
                manifest("v1", "ConfigMap"),
                &bytes,
                format!("{field}: the value of \"a\" is no text, which this kind of object needs [Invalid]"),
            ),
        ],
    );
    // Spelled out, the usual kind is the usual kind.
    create(&namespace, "ExternalSecret", "secret", &targeting(manifest("v1", "Secret"), plain));
    told(&namespace, "secret", "True SecretSynced secret synced");
    assert_eq!(API.list("secrets", &namespace).into_keys().collect::<Vec<_>>(), ["secret"]);
    let (code, _) = operator.stop();
    assert_eq!(code, Some(0));
}

#[test]
fn templates_say_neither_which_object_it_is_nor_whose() {
    let namespace = served(&[("/a", "one")]);
    let plain = one(&json!({"key": "/a"}));
    let case = |name: &'static str, place: &str| {
        let mut target = manifest("v1", "ConfigMap");
        target["template"]["templateFrom"] = json!([{"target": place, "literal": "a: b"}]);
        let words = format!("spec.target.template.templateFrom[0]: templates cannot write to \"{place}\" [Invalid]");
        (name, target, &plain, words)
    };
    are_refused(
        &namespace,
        &[
            case("owner", "metadata.ownerReferences[0].name"),
            case("name", "metadata.name"),
            case("metadata", "metadata"),
            case("status", "status.phase"),
            case("kind", "kind"),
            case("version", "apiVersion"),
        ],
    );
}

#[test]
fn without_the_flag_no_other_kind_than_secret_is_made() {
    let class = "careful";
    let operator = Operator::start(&CLUSTER, &["--controller-class=careful", "--target-kinds=ConfigMap"]);
    let namespace = served_by(class, &[("/a", "one")]);
    let words = "spec.target.manifest: targets of other kinds than Secret are not allowed [AccessDenied] (start the \
                 operator with --unsafe-allow-generic-targets)";
    let plain = one(&json!({"key": "/a"}));
    are_refused(&namespace, &[("app", manifest("v1", "ConfigMap"), &plain, words.to_owned())]);
    assert!(API.list("secrets", &namespace).is_empty());
    let (code, _) = operator.stop();
    assert_eq!(code, Some(0));
}

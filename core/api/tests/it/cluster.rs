//! The kinds in a real API server.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use strongroom_api::StorePolicy;
use strongroom_api::external_secrets::ExternalSecret;
use strongroom_policy::{KeyPattern, Namespace, StorePolicies, TargetKind};
use world::control_plane::{ControlPlane, Options};

static CLUSTER: LazyLock<ControlPlane> = LazyLock::new(|| {
    let cluster = ControlPlane::start(&Options::default()).unwrap();
    cluster.apply(&strongroom_api::crds_yaml().unwrap()).unwrap();
    cluster.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).unwrap();
    cluster
});

/// A namespace of its own for a test.
fn namespace() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("test-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    CLUSTER.kubectl(&["create", "namespace", &name]).unwrap();
    name
}

fn manifest(kind: &str, name: &str, namespace: Option<&str>, spec: &str) -> String {
    let group = if kind == "StorePolicy" { "strongroom.dev/v1alpha1" } else { "external-secrets.io/v1" };
    let namespace = namespace.map(|namespace| format!(", namespace: {namespace}")).unwrap_or_default();
    format!("{{apiVersion: {group}, kind: {kind}, metadata: {{name: {name}{namespace}}}, spec: {spec}}}")
}

fn spec(kind: &str, name: &str, namespace: &str) -> Value {
    let object = CLUSTER.kubectl(&["get", kind, name, "-n", namespace, "-o", "json"]).unwrap();
    serde_json::from_str::<Value>(&object).unwrap()["spec"].clone()
}

/// Whether the API server takes an object: `None`, or words of its refusal.
fn check(kind: &str, namespace: Option<&str>, spec: &str, expected: Option<&str>) {
    let answer = CLUSTER.apply(&manifest(kind, "table", namespace, spec));
    match (expected, answer) {
        (None, answer) => {
            answer.unwrap_or_else(|error| panic!("{spec}: {error:#}"));
        }
        (Some(words), Ok(_)) => panic!("{spec} was taken, not refused with {words}"),
        (Some(words), Err(error)) => {
            let told = format!("{error:#}");
            assert!(told.contains(words), "{spec}: {told}");
        }
    }
}

#[test]
fn external_secrets_are_taken_or_refused_with_a_reason() {
    let namespace = namespace();
    let check = |spec: &str, expected: Option<&str>| check("ExternalSecret", Some(&namespace), spec, expected);
    let data = "secretStoreRef: {name: s}, data: [{secretKey: k, remoteRef: {key: x}}]";
    check(&format!("{{{data}}}"), None);
    check(&format!("{{{data}, refreshInterval: 15s}}"), None);
    check(&format!("{{{data}, refreshInterval: '0'}}"), None);
    check(&format!("{{{data}, refreshInterval: 1h30m}}"), None);
    check(&format!("{{{data}, refreshInterval: soon}}"), Some("spec.refreshInterval"));
    check(&format!("{{{data}, refreshPolicy: Sometimes}}"), Some("supported values: \"CreatedOnce\""));
    check(&format!("{{{data}, target: {{creationPolicy: Owner, deletionPolicy: Delete}}}}"), None);
    check(&format!("{{{data}, target: {{creationPolicy: Orphan, deletionPolicy: Delete}}}}"), None);
    check(&format!("{{{data}, target: {{creationPolicy: CreateOrMerge}}}}"), None);
    for policy in ["Merge", "None", "CreateOrMerge"] {
        let spec = format!("{{{data}, target: {{creationPolicy: {policy}, deletionPolicy: Delete}}}}");
        check(&spec, Some("deletionPolicy Delete needs a Secret of our own: set creationPolicy to Owner"));
    }
    let spec = format!("{{{data}, target: {{creationPolicy: None, deletionPolicy: Merge}}}}");
    check(&spec, Some("deletionPolicy Merge needs a Secret, and creationPolicy None writes none"));
    check("{secretStoreRef: {name: s}}", Some("either data or dataFrom must name something to read"));
    check("{secretStoreRef: {name: s}, data: []}", Some("either data or dataFrom must name something to read"));
    check("{secretStoreRef: {name: s}, dataFrom: [{extract: {key: x}}]}", None);
    check(
        "{secretStoreRef: {name: s}, dataFrom: [{rewrite: [{transform: {template: a}}]}]}",
        Some("one of extract, find and sourceRef.generatorRef is needed"),
    );
    check(
        "{secretStoreRef: {name: s}, dataFrom: [{extract: {key: x}, find: {path: p}}]}",
        Some("only one of extract, find and sourceRef.generatorRef may be set"),
    );
    check(
        "{dataFrom: [{find: {path: p}, sourceRef: {generatorRef: {kind: Password, name: p}}}]}",
        Some("only one of extract, find and sourceRef.generatorRef may be set"),
    );
    check("{dataFrom: [{extract: {key: x}, sourceRef: {}}]}", Some("should have at least 1 properties"));
    check(
        "{secretStoreRef: {name: s}, dataFrom: [{extract: {key: x}, rewrite: [{}]}]}",
        Some("should have at least 1 properties"),
    );
    check(
        &format!("{{{data}, target: {{template: {{type: bootstrap.kubernetes.io/token}}}}}}"),
        Some("template.type bootstrap.kubernetes.io/token is not allowed"),
    );
    let account = "{template: {type: kubernetes.io/service-account-token, metadata: {annotations: \
                   {kubernetes.io/service-account.name: admin}}}}";
    check(
        &format!("{{{data}, target: {account}}}"),
        Some("template.type kubernetes.io/service-account-token with the annotation"),
    );
    check(
        "{secretStoreRef: {name: Wrong_Name}, data: [{secretKey: k, remoteRef: {key: x}}]}",
        Some("secretStoreRef.name"),
    );
    check("{secretStoreRef: {name: s}, data: [{secretKey: 'a/b', remoteRef: {key: x}}]}", Some("secretKey"));
    check(&format!("{{{data}, syncWindows: {{kind: allow, windows: []}}}}"), Some("should have at least 1 items"));
    check(
        &format!("{{{data}, syncWindows: {{kind: allow, windows: [{{schedule: often, duration: 1h}}]}}}}"),
        Some("schedule"),
    );
    check(
        &format!("{{{data}, syncWindows: {{kind: deny, windows: [{{schedule: '@every 1h', duration: 10m}}]}}}}"),
        None,
    );
}

#[test]
fn stores_are_taken_or_refused_with_a_reason() {
    let namespace = namespace();
    let both = |spec: &str, expected: Option<&str>| {
        check("SecretStore", Some(&namespace), spec, expected);
        check("ClusterSecretStore", None, spec, expected);
    };
    // Before there is an object: what is left out of one that was applied would be null, and not absent.
    both("{}", Some("spec.provider: Required value"));
    both("{provider: {}}", Some("should have at least 1 properties"));
    both("{provider: {fake: {data: [{key: a, value: b}]}}}", None);
    both("{provider: {fake: {data: [{key: a, value: b}]}}, refreshInterval: 60}", None);
    both("{provider: {fake: {data: [{key: a, value: b}]}}, refreshInterval: 5m}", None);
    both(
        "{provider: {fake: {data: [{key: a, value: b}]}}, controller: c, retrySettings: {maxRetries: 3, retryInterval: \
         10s}, conditions: [{namespaces: [a], namespaceRegexes: ['^b'], namespaceSelector: {matchLabels: {c: d}}}]}",
        None,
    );
    both("{provider: {fake: {data: []}, akeyless: {}}}", Some("must have at most 1 item"));
    both("{provider: {fake: {data: []}}, conditions: [{namespaces: ['A B']}]}", Some("namespaces[0]"));
    // Of a system that we do not serve, everything is kept.
    both("{provider: {doppler: {auth: {secretRef: {dopplerToken: {name: a, key: b}}}, project: p}}}", None);
    let kept = &spec("css", "table", "default")["provider"]["doppler"];
    assert_eq!(*kept, json!({"auth": {"secretRef": {"dopplerToken": {"name": "a", "key": "b"}}}, "project": "p"}));
}

#[test]
fn defaults_are_filled_in_and_no_more() {
    let namespace = namespace();
    let plain = "{secretStoreRef: {name: s}, data: [{secretKey: k, remoteRef: {key: x}}]}";
    // As charts write what was not said.
    let with_nulls = "{secretStoreRef: {name: s}, data: [{secretKey: k, remoteRef: {key: x}}], refreshInterval: null, \
                      target: null}";
    for (name, given) in [("plain", plain), ("nulls", with_nulls)] {
        CLUSTER.apply(&manifest("ExternalSecret", name, Some(&namespace), given)).unwrap();
        let expected = json!({
            "data": [{"remoteRef": {"key": "x"}, "secretKey": "k"}],
            "refreshInterval": "1h0m0s",
            "secretStoreRef": {"name": "s"},
            "target": {"creationPolicy": "Owner", "deletionPolicy": "Retain"},
        });
        assert_eq!(spec("es", name, &namespace), expected, "{name}");
    }
    let more = "{secretStoreRef: {name: s}, target: {name: t, template: {templateFrom: [{configMap: {name: c, items: \
                [{key: k}]}}]}}, dataFrom: [{extract: {key: x}, rewrite: [{merge: {}}]}, {sourceRef: {generatorRef: \
                {kind: Password, name: p}}}]}";
    CLUSTER.apply(&manifest("ExternalSecret", "more", Some(&namespace), more)).unwrap();
    let filled = spec("es", "more", &namespace);
    assert_eq!(
        filled["target"],
        json!({"name": "t", "creationPolicy": "Owner", "deletionPolicy": "Retain", "template": {"engineVersion": "v2",
            "mergePolicy": "Replace", "templateFrom": [{"target": "Data", "configMap": {"name": "c", "items":
            [{"key": "k", "templateAs": "Values"}]}}]}})
    );
    assert_eq!(
        filled["dataFrom"],
        json!([
            {"extract": {"key": "x"}, "rewrite": [{"merge": {"into": "", "priorityPolicy": "Strict",
                "conflictPolicy": "Error", "strategy": "Extract"}}]},
            {"sourceRef": {"generatorRef": {"apiVersion": "generators.external-secrets.io/v1alpha1",
                "kind": "Password", "name": "p"}}},
        ])
    );
}

#[test]
fn people_see_the_columns_that_they_know() {
    let namespace = namespace();
    let spec = "{secretStoreRef: {name: s, kind: ClusterSecretStore}, dataFrom: [{extract: {key: x}}]}";
    CLUSTER.apply(&manifest("ExternalSecret", "app", Some(&namespace), spec)).unwrap();
    // As External Secrets writes it: null before the first sync, a binding without a name.
    let status = r#"{"status": {"refreshTime": null, "binding": {}, "conditions": [{"type": "Ready", "status": "False",
        "reason": "SecretSyncedError", "message": "m", "lastTransitionTime": "2026-08-08T09:10:11Z"}]}}"#;
    let patch = ["patch", "es", "app", "-n", &namespace, "--subresource=status", "--type=merge", "-p", status];
    CLUSTER.kubectl(&patch).unwrap();
    let shown = |arguments: &[&str]| -> Vec<Vec<String>> {
        let table = CLUSTER.kubectl(arguments).unwrap();
        table
            .lines()
            .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect())
            .collect()
    };
    let table = shown(&["get", "es", "-n", &namespace]);
    assert_eq!(table[0], ["NAME", "STORETYPE", "STORE", "REFRESH INTERVAL", "STATUS", "READY", "LAST SYNC"]);
    assert_eq!(table[1], ["app", "ClusterSecretStore", "s", "1h0m0s", "SecretSyncedError", "False"]);

    let fake = "{provider: {fake: {data: [{key: a, value: b}]}}}";
    CLUSTER.apply(&manifest("SecretStore", "store", Some(&namespace), fake)).unwrap();
    let status = r#"{"status": {"capabilities": "ReadOnly", "conditions": [{"type": "Ready", "status": "True", "reason":
        "Valid"}]}}"#;
    CLUSTER
        .kubectl(&["patch", "ss", "store", "-n", &namespace, "--subresource=status", "--type=merge", "-p", status])
        .unwrap();
    let table = shown(&["get", "ss", "-n", &namespace]);
    assert_eq!(table[0], ["NAME", "AGE", "STATUS", "CAPABILITIES", "READY"]);
    assert_eq!(table[1][2..], ["Valid", "ReadOnly", "True"]);

    let spec = "{externalSecretSpec: {secretStoreRef: {name: s}, dataFrom: [{extract: {key: x}}]}, refreshTime: 1m, \
                namespaceSelectors: [{matchLabels: {a: b}}]}";
    CLUSTER.apply(&manifest("ClusterExternalSecret", "everywhere", None, spec)).unwrap();
    assert_eq!(shown(&["get", "ces"])[0], ["NAME", "STORE", "REFRESH INTERVAL", "READY"]);
    assert_eq!(shown(&["get", "ces"])[1], ["everywhere", "s", "1m"]);

    let all = CLUSTER.kubectl(&["get", "external-secrets", "-n", &namespace, "-o", "name"]).unwrap();
    assert!(all.contains("externalsecret.external-secrets.io/app"), "{all}");
    assert!(all.contains("secretstore.external-secrets.io/store"), "{all}");
}

#[test]
fn objects_are_selected_by_their_fields() {
    let namespace = namespace();
    for (name, store, kind, target) in
        [("a", "one", "SecretStore", "first"), ("b", "two", "ClusterSecretStore", "second")]
    {
        let spec = format!(
            "{{secretStoreRef: {{name: {store}, kind: {kind}}}, target: {{name: {target}}}, dataFrom: [{{extract: {{key: \
             x}}}}]}}"
        );
        CLUSTER.apply(&manifest("ExternalSecret", name, Some(&namespace), &spec)).unwrap();
    }
    let check = |selector: &str, expected: &[&str]| {
        let found = CLUSTER
            .kubectl(&[
                "get",
                "es",
                "-n",
                &namespace,
                "--field-selector",
                selector,
                "-o",
                "jsonpath={.items[*].metadata.name}",
            ])
            .unwrap();
        assert_eq!(found.split_whitespace().collect::<Vec<_>>(), expected, "{selector}");
    };
    check("spec.secretStoreRef.name=one", &["a"]);
    check("spec.secretStoreRef.kind=ClusterSecretStore", &["b"]);
    check("spec.target.name!=first", &["b"]);
    check("spec.refreshInterval=1h0m0s", &["a", "b"]);
}

#[test]
fn what_the_server_stores_is_read_as_it_was_written() {
    let namespace = namespace();
    CLUSTER.apply(&include_str!("../fixtures/external-secret.yaml").replace("NAMESPACE", &namespace)).unwrap();
    let object = CLUSTER.kubectl(&["get", "es", "everything", "-n", &namespace, "-o", "json"]).unwrap();
    let read: ExternalSecret = serde_json::from_str(&object).unwrap();
    assert_eq!(read.problems(), Vec::new());
    let given: Value = serde_json::from_str(&object).unwrap();
    assert_eq!(serde_json::to_value(&read.spec).unwrap(), without_empty_texts(&given["spec"]));
}

/// What is written back leaves out texts that say nothing, as Go does.
fn without_empty_texts(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| *value != "")
            .map(|(name, value)| (name.clone(), without_empty_texts(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_empty_texts).collect(),
        other => other.clone(),
    }
}

#[test]
fn store_policies_are_taken_or_refused_and_decide() {
    let check = |spec: &str, expected: Option<&str>| check("StorePolicy", None, spec, expected);
    check("{stores: [{name: aws}]}", None);
    check("{stores: []}", Some("should have at least 1 items"));
    check("{stores: [{name: aws}], rules: [{keys: []}]}", Some("should have at least 1 items"));
    for pattern in ["a", "*", "**", "a/**", "a-*-b/*", "/a/**", "a//b", "{{ .namespace }}/*", "x-{{.namespace}}_*"] {
        check(&format!("{{stores: [{{name: aws}}], rules: [{{keys: ['{pattern}']}}]}}"), None);
        assert!(KeyPattern::new(pattern).is_ok(), "{pattern}");
    }
    for pattern in ["", "a**", "***", "a/**b", "{{ .name }}", "{{ .namespace", "a{b"] {
        check(&format!("{{stores: [{{name: aws}}], rules: [{{keys: ['{pattern}']}}]}}"), Some("spec.rules[0].keys[0]"));
    }
    check("{stores: [{name: aws}], rules: [{namespaces: {names: ['A']}, keys: [a]}]}", Some("names[0]"));
    check(
        "{stores: [{name: aws}], rules: [{namespaces: {names: ['team-*'], selector: {matchLabels: {tier: app}}}, keys: \
         ['{{ .namespace }}/**'], targets: [{apiVersion: v1, kind: ConfigMap}]}]}",
        None,
    );
    let object = CLUSTER.kubectl(&["get", "storepolicies", "table", "-o", "json"]).unwrap();
    let policy = serde_json::from_str::<StorePolicy>(&object).unwrap().policy();
    assert_eq!(policy.problems(), []);
    let policies = StorePolicies::new([policy]);
    let labels = [("tier".to_owned(), "app".to_owned())].into();
    let team = Namespace { name: "team-a".to_owned(), labels };
    let config_map = TargetKind { api_version: "v1".to_owned(), kind: "ConfigMap".to_owned() };
    assert!(policies.allows("aws", &team, "team-a/db", &config_map).into_result().is_ok());
    assert!(policies.allows("aws", &team, "team-b/db", &config_map).into_result().is_err());
    let other = Namespace { name: "team-a".to_owned(), ..Namespace::default() };
    assert!(policies.allows("aws", &other, "team-a/db", &config_map).into_result().is_err());
}

#[test]
fn manifests_in_the_style_of_external_secrets_guides_apply_unchanged() {
    let namespace = namespace();
    let manifests = include_str!("../fixtures/guides.yaml").replace("NAMESPACE", &namespace);
    let applied = CLUSTER.apply(&manifests).unwrap();
    assert_eq!(applied.lines().count(), manifests.split("---\n").count(), "{applied}");
    let objects = CLUSTER.kubectl(&["get", "external-secrets", "-n", &namespace, "-o", "json"]).unwrap();
    let objects: Value = serde_json::from_str(&objects).unwrap();
    for document in manifests.split("---\n") {
        let given: Value = serde_saphyr::from_str(document).unwrap();
        let is_same = |object: &&Value| {
            object["kind"] == given["kind"] && object["metadata"]["name"] == given["metadata"]["name"]
        };
        let object = objects["items"].as_array().unwrap().iter().find(is_same).unwrap();
        let name = given["metadata"]["name"].as_str().unwrap();
        assert!(holds(&object["spec"], &given["spec"]), "{name} lost something: {}", object["spec"]);
        if object["kind"] == "ExternalSecret" {
            let read: ExternalSecret = serde_json::from_value(object.clone()).unwrap();
            assert_eq!(read.problems(), Vec::new(), "{name}");
        }
    }
}

/// Whether all that is in `part` is in `whole` too: nothing was pruned, and only defaults were added.
fn holds(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(name, value)| whole.get(name).is_some_and(|other| holds(other, value)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(one, other)| holds(one, other))
        }
        (whole, part) => whole == part,
    }
}

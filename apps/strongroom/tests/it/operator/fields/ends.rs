//! The end of objects that External Secrets Operator served before, with its finalizers on them: they go, and what they
//! made goes or stays as their policies say.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::api::{API, line};
use super::super::support::{CLUSTER, OPERATOR, eventually, namespace};
use super::super::world_of_stores::{core, create};
use super::{A_WHILE, SHARED, fake, has, one, reading, ready, served};

/// On every ExternalSecret of External Secrets Operator.
const OF_EXTERNAL_SECRETS: &str = "externalsecrets.external-secrets.io/externalsecret-cleanup";

/// On every ClusterExternalSecret of External Secrets Operator.
const OF_CLUSTER_EXTERNAL_SECRETS: &str = "externalsecrets.external-secrets.io/clusterexternalsecret-cleanup";

/// Somebody else's.
const FOREIGN: &str = "example.com/theirs";

/// Makes an object of External Secrets Operator with finalizers on it.
fn create_held(namespace: &str, kind: &str, name: &str, finalizers: &[&str], spec: &Value) {
    let object = json!({
        "apiVersion": "external-secrets.io/v1", "kind": kind,
        "metadata": {"name": name, "finalizers": finalizers}, "spec": spec,
    });
    let plural = format!("{}s", kind.to_lowercase());
    assert_eq!(API.create(&plural, namespace, &object), (201, String::new()), "{kind} {name}");
}

fn finalizers(kind: &str, namespace: &str, name: &str) -> Value {
    API.get(kind, namespace, name).map(|object| object["metadata"]["finalizers"].clone()).unwrap_or_default()
}

fn is_gone(kind: &str, namespace: &str, name: &str) {
    eventually(&format!("the {kind} {namespace}/{name} is gone"), || match API.get(kind, namespace, name) {
        None => Ok(()),
        Some(object) => Err(format!("{} {}", object["metadata"], object["status"])),
    });
}

#[test]
fn an_external_secret_with_the_finalizer_goes_and_its_secret_as_the_policies_say() {
    let namespace = served(&[("/a", "one")]);
    // Name, creationPolicy, deletionPolicy, what is left in the end.
    let cases = [
        ("owner-retain", "Owner", "Retain", None),
        ("owner-delete", "Owner", "Delete", None),
        ("owner-merge", "Owner", "Merge", None),
        ("orphan-retain", "Orphan", "Retain", Some("a=one")),
        ("orphan-delete", "Orphan", "Delete", Some("a=one")),
        ("merge-retain", "Merge", "Retain", Some("a=one own=x")),
        ("create-or-merge", "CreateOrMerge", "Merge", Some("a=one")),
    ];
    core(&namespace, "Secret", "merge-retain", &json!({"stringData": {"own": "x"}}));
    for (name, creation, deletion, _) in cases {
        let mut spec = reading("fake", one(&json!({"key": "/a"})));
        spec["target"] = json!({"creationPolicy": creation, "deletionPolicy": deletion});
        create_held(&namespace, "ExternalSecret", name, &[OF_EXTERNAL_SECRETS, FOREIGN], &spec);
    }
    // It was never synchronised, and cannot be.
    let lost = reading("none", one(&json!({"key": "/a"})));
    create_held(&namespace, "ExternalSecret", "lost", &[OF_EXTERNAL_SECRETS], &lost);
    for (name, _, _, left) in cases {
        has(&namespace, name, left.unwrap_or("a=one"));
        let kept = json!([OF_EXTERNAL_SECRETS, FOREIGN]);
        assert_eq!(
            finalizers("externalsecrets", &namespace, name),
            kept,
            "{name}: nothing is taken off before its time"
        );
    }
    for name in cases.map(|case| case.0).iter().chain(&["lost"]) {
        API.delete("externalsecrets", &namespace, name);
    }
    is_gone("externalsecrets", &namespace, "lost");
    for (name, ..) in cases {
        eventually(&format!("{name} is held by others alone"), || {
            let found = finalizers("externalsecrets", &namespace, name);
            if found == json!([FOREIGN]) { Ok(()) } else { Err(found) }
        });
    }
    // While its ExternalSecret is still held, nobody but the operator has taken the Secret away.
    assert!(API.get("secrets", &namespace, "owner-delete").is_none(), "deletionPolicy: Delete");
    assert_eq!(line(&API.get("secrets", &namespace, "owner-retain").unwrap()), "a=one", "deletionPolicy: Retain");
    for (name, ..) in cases {
        API.patch("externalsecrets", &namespace, name, &json!({"metadata": {"finalizers": null}}));
    }
    let left = || API.list("secrets", &namespace).into_iter().map(|(name, secret)| (name, line(&secret)));
    let expected = cases.iter().filter_map(|(name, _, _, left)| Some(((*name).to_owned(), (*left)?.to_owned())));
    let expected: BTreeMap<_, _> = expected.collect();
    eventually("what is to stay is left", || {
        let left: BTreeMap<_, _> = left().collect();
        if left == expected { Ok(()) } else { Err(format!("{left:?}")) }
    });
    std::thread::sleep(A_WHILE);
    assert_eq!(left().collect::<BTreeMap<_, _>>(), expected, "and stays");
    assert!(API.list("externalsecrets", &namespace).is_empty());
}

#[test]
fn a_cluster_external_secret_and_its_namespaces_are_let_go_of() {
    assert!(OPERATOR.process() > 0);
    let [stays, leaves, ends, strays] = [(); 4].map(|()| namespace(&CLUSTER, &[]));
    let name = format!("held-{stays}");
    let mark = format!("externalsecrets.external-secrets.io/ces-{name}");
    let held = json!([FOREIGN, mark]);
    for namespace in [&stays, &leaves, &ends] {
        create(namespace, "SecretStore", "fake", &fake(SHARED, &[("/a", "one")]));
        let metadata = json!({"labels": {"held": name}, "finalizers": held});
        API.patch("namespaces", "", namespace, &json!({"metadata": metadata}));
    }
    // External Secrets Operator forgets it where it selects no more.
    API.patch("namespaces", "", &strays, &json!({"metadata": {"finalizers": held}}));
    let selector = json!({"matchLabels": {"held": name}});
    let child = reading("fake", one(&json!({"key": "/a"})));
    let spec = json!({"externalSecretName": "child", "namespaceSelectors": [selector], "externalSecretSpec": child});
    create_held("", "ClusterExternalSecret", &name, &[OF_CLUSTER_EXTERNAL_SECRETS], &spec);
    for namespace in [&stays, &leaves, &ends] {
        has(namespace, "child", "a=one");
        assert_eq!(finalizers("namespaces", "", namespace), held, "it is still in use");
        let own = json!({"metadata": {"finalizers": [OF_EXTERNAL_SECRETS]}});
        API.patch("externalsecrets", namespace, "child", &own);
    }
    let lets_go = |namespace: &str| {
        eventually(&format!("the namespace {namespace} is held by others alone"), || {
            let found = finalizers("namespaces", "", namespace);
            if found == json!([FOREIGN]) { Ok(()) } else { Err(found) }
        });
    };
    lets_go(&strays);
    API.patch("namespaces", "", &leaves, &json!({"metadata": {"labels": {"held": null}}}));
    lets_go(&leaves);
    is_gone("externalsecrets", &leaves, "child");
    // A namespace that ends must not wait for a ClusterExternalSecret that goes on.
    API.patch("namespaces", "", &ends, &json!({"metadata": {"finalizers": [mark]}}));
    API.delete("namespaces", "", &ends);
    is_gone("namespaces", "", &ends);
    assert_eq!(finalizers("namespaces", "", &stays), held);
    assert_eq!(ready(&API.get("externalsecrets", &stays, "child").unwrap()), "True SecretSynced secret synced");
    API.delete("clusterexternalsecrets", "", &name);
    is_gone("clusterexternalsecrets", "", &name);
    lets_go(&stays);
    is_gone("externalsecrets", &stays, "child");
    is_gone("secrets", &stays, "child");
    for namespace in [&stays, &leaves, &strays] {
        API.patch("namespaces", "", namespace, &json!({"metadata": {"finalizers": null}}));
    }
}

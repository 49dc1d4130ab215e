//! Whose Secrets are: against a real API server.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::command::migrate;
use crate::{CLUSTER, kubeconfig};
use serde_json::{Value, json};

const KES: &str = "kubernetes-client.io/v1";
const OTHER: &str = "external-secrets.io/v1";

fn namespace() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("owned-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    CLUSTER.kubectl(&["create", "namespace", &name]).unwrap();
    name
}

/// A Secret that objects of these API versions own.
fn make(namespace: &str, name: &str, owners: &[&str]) {
    let owner = |(place, api_version): (usize, &&str)| {
        json!({
            "apiVersion": api_version,
            "kind": "ExternalSecret",
            "name": format!("{name}-{place}"),
            "uid": format!("{place}"),
            "controller": place == 0,
        })
    };
    let owners: Vec<Value> = owners.iter().enumerate().map(owner).collect();
    let metadata = json!({"name": name, "namespace": namespace, "ownerReferences": owners, "labels": {"app": "x"}});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"key": "value"}});
    CLUSTER.apply(&secret.to_string()).unwrap();
}

fn secret(namespace: &str, name: &str) -> Value {
    serde_json::from_str(&CLUSTER.kubectl(&["get", "secret", name, "-n", namespace, "-o", "json"]).unwrap()).unwrap()
}

/// The API versions of a Secret's owners.
fn owners(namespace: &str, name: &str) -> Vec<String> {
    let secret = secret(namespace, name);
    let owners = secret["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
    owners.iter().map(|owner| owner["apiVersion"].as_str().unwrap().to_owned()).collect()
}

fn move_ownership(arguments: &[&str]) -> bool {
    let arguments: Vec<&str> = ["kes", "--move-ownership"].iter().chain(arguments).copied().collect();
    migrate(&arguments, &kubeconfig()).unwrap()
}

#[test]
fn cv_02_of_several_owners_only_kes_goes() {
    let namespace = namespace();
    let check = |name: &str, given: &[&str], kept: &[&str]| {
        make(&namespace, name, given);
        assert!(move_ownership(&["-n", &namespace, "--yes", name]));
        assert_eq!(owners(&namespace, name), kept, "{name}");
        let after = secret(&namespace, name);
        assert_eq!((&after["data"]["key"], &after["metadata"]["labels"]["app"]), (&json!("dmFsdWU="), &json!("x")));
    };
    check("two", &[KES, KES], &[]);
    check("one", &[KES], &[]);
    check("two-and-others", &[KES, OTHER, KES, "apps/v1"], &[OTHER, "apps/v1"]);
    check("four", &[KES, KES, KES, KES], &[]);
    check("last", &[OTHER, KES], &[OTHER]);
}

#[test]
fn cv_02_nothing_is_changed_without_yes() {
    let namespace = namespace();
    make(&namespace, "kept", &[KES, OTHER]);
    let before = secret(&namespace, "kept");
    assert!(move_ownership(&["-n", &namespace]));
    assert_eq!(secret(&namespace, "kept"), before);
}

#[test]
fn cv_02_a_namespace_is_done_and_a_second_run_changes_nothing() {
    let (namespace, other) = (namespace(), namespace());
    for name in ["a", "b"] {
        make(&namespace, name, &[KES]);
    }
    make(&namespace, "foreign", &[OTHER]);
    make(&other, "a", &[KES]);
    let foreign = secret(&namespace, "foreign");
    assert!(move_ownership(&["-n", &namespace, "--yes"]));
    for name in ["a", "b"] {
        assert!(owners(&namespace, name).is_empty(), "{name}");
    }
    assert_eq!(secret(&namespace, "foreign"), foreign);
    assert_eq!(owners(&other, "a"), [KES]);
    let before = secret(&namespace, "a");
    assert!(move_ownership(&["-n", &namespace, "--yes"]));
    assert_eq!(secret(&namespace, "a"), before);
    assert!(!move_ownership(&["-n", &namespace, "--yes", "missing"]));
}

//! The operator's objects.

use serde_json::json;

use super::support::{SEEN, SHARED};
use crate::operator::support::{CLUSTER, namespace, object};

fn external_secret(namespace: &str, name: &str, pattern: &str) -> String {
    json!({"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"refreshInterval": "1h", "secretStoreRef": {"name": "store"},
            "dataFrom": [{"find": {"name": {"regexp": pattern}}}]}})
    .to_string()
}

#[test]
fn what_is_wrong_with_an_object_is_told_when_it_is_written_and_what_was_wrong_before_stays_writable() {
    let _ = &*SHARED;
    let (seen, later) = (namespace(&CLUSTER, &[SEEN]), namespace(&CLUSTER, &[]));
    CLUSTER.apply(&external_secret(&seen, "right", "^a.*")).unwrap();
    // No rule of a definition reads a pattern.
    let error = CLUSTER.apply(&external_secret(&seen, "wrong", "(")).unwrap_err().to_string();
    assert!(error.contains("denied the request") && error.contains("find.name.regexp"), "{error}");
    assert_eq!(object(&CLUSTER, "externalsecret", &seen, "wrong"), None);
    // It was there before the webhook saw its namespace.
    CLUSTER.apply(&external_secret(&later, "old", "(")).unwrap();
    CLUSTER.kubectl(&["label", "namespace", &later, &format!("{}={}", SEEN.0, SEEN.1)]).unwrap();
    CLUSTER.kubectl(&["label", "externalsecret", "old", "-n", &later, "touched=yes"]).unwrap();
    CLUSTER.kubectl(&["delete", "externalsecret", "old", "-n", &later]).unwrap();
}

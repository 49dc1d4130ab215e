use serde_json::{Value, json};
use strongroom_restart::{Scope, SecretFacts};

fn facts(metadata: Value, scope: Scope) -> SecretFacts {
    SecretFacts::of(&serde_json::from_value(metadata).unwrap(), scope)
}

#[test]
fn ours_are_those_that_external_secrets_write() {
    let check = |metadata: Value, is_ours: bool, external_secret: Option<&str>| {
        let shown = metadata.to_string();
        let all = facts(metadata.clone(), Scope::All);
        assert!(!all.is_silent(), "{shown}");
        let facts = facts(metadata, Scope::Ours);
        assert_eq!((!facts.is_silent(), facts.external_secret.as_deref()), (is_ours, external_secret), "{shown}");
    };
    let owner = |version: &str, kind: &str| json!({"ownerReferences": [{"apiVersion": version, "kind": kind, "name": "es", "uid": "u"}]});
    let written = |manager: &str| json!({"managedFields": [{"manager": "kubectl"}, {"manager": manager}]});
    check(json!({}), false, None);
    check(json!({"labels": {"reconcile.external-secrets.io/managed": "true"}}), true, None);
    check(json!({"labels": {"reconcile.external-secrets.io/managed": "false"}}), false, None);
    check(owner("external-secrets.io/v1", "ExternalSecret"), true, Some("es"));
    check(owner("external-secrets.io/v1beta1", "ExternalSecret"), true, Some("es"));
    // One of kubernetes-external-secrets has no windows.
    check(owner("kubernetes-client.io/v1", "ExternalSecret"), true, None);
    check(owner("example.org/v1", "ExternalSecret"), false, None);
    check(owner("external-secrets.io/v1", "PushSecret"), false, None);
    check(written("externalsecrets.external-secrets.io/merged"), true, Some("merged"));
    check(written("externalsecrets.external-secrets.io"), false, None);
    check(written("externalsecrets.external-secrets.io/sha3/0a0b"), false, None);
}

//! The usual way: a store, an ExternalSecret, a Secret as External Secrets Operator writes it.

use super::support::{CLUSTER, OPERATOR, condition, eventually, namespace, object, ready, secret, value};

const STORE: &str = "
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: fake}
spec:
  provider:
    fake:
      data:
      - {key: /db, value: '{\"user\":\"ann\",\"password\":\"s3cret\"}'}
      - {key: /token, value: value1}
";

/// A namespace with a fake store, served by the shared operator.
fn served() -> String {
    let namespace = namespace(&CLUSTER, &[]);
    assert!(OPERATOR.process() > 0);
    apply(&namespace, STORE);
    namespace
}

pub(crate) fn apply(namespace: &str, manifests: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), manifests).unwrap();
    CLUSTER.kubectl(&["apply", "-n", namespace, "-f", file.path().to_str().unwrap()]).unwrap();
}

#[test]
fn an_external_secret_becomes_the_secret_that_external_secrets_operator_would_write() {
    let namespace = served();
    apply(
        &namespace,
        "
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: app, labels: {team: a}}
spec:
  secretStoreRef: {name: fake}
  target: {name: credentials}
  data:
  - {secretKey: password, remoteRef: {key: /db, property: password}}
  dataFrom:
  - extract: {key: /db}
",
    );
    let (reason, message) = ready(&CLUSTER, &namespace, "app", "True");
    assert_eq!((reason.as_str(), message.as_str()), ("SecretSynced", "secret synced"));
    let secret = secret(&CLUSTER, &namespace, "credentials").unwrap();
    assert_eq!(value(&secret, "password").unwrap(), "s3cret");
    assert_eq!(value(&secret, "user").unwrap(), "ann");
    let metadata = &secret["metadata"];
    assert_eq!(metadata["labels"]["reconcile.external-secrets.io/managed"], "true");
    assert_eq!(metadata["labels"]["team"], "a");
    assert_eq!(metadata["ownerReferences"][0]["name"], "app");
    assert_eq!(metadata["annotations"]["reconcile.external-secrets.io/data-hash"].as_str().unwrap().len(), 56);
    let store = object(&CLUSTER, "secretstore", &namespace, "fake").unwrap();
    assert_eq!(condition(&store, "Ready").unwrap().0, "True");
    let app = object(&CLUSTER, "externalsecret", &namespace, "app").unwrap();
    assert_eq!(app["status"]["binding"]["name"], "credentials");
    assert!(app["status"]["syncedResourceVersion"].as_str().unwrap().starts_with("1-"));
    assert!(app["metadata"]["finalizers"].is_null(), "no finalizer without deletionPolicy: Delete");
}

#[test]
fn a_missing_key_is_told_in_the_condition_with_its_cause_and_mends_itself() {
    let namespace = served();
    apply(
        &namespace,
        "
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: app}
spec:
  secretStoreRef: {name: fake}
  data:
  - {secretKey: token, remoteRef: {key: /token}}
  - {secretKey: other, remoteRef: {key: /absent}}
",
    );
    let (reason, message) = ready(&CLUSTER, &namespace, "app", "False");
    assert_eq!(reason, "SecretSyncedError");
    assert!(message.contains("could not get secret data from provider"), "{message}");
    assert!(message.contains("spec.data[1] (other)") && message.contains("/absent"), "{message}");
    assert!(secret(&CLUSTER, &namespace, "app").is_none(), "all or nothing");
    apply(&namespace, &STORE.replace("/token", "/absent"));
    let (_, message) = ready(&CLUSTER, &namespace, "app", "False");
    assert!(message.contains("/token") || message.contains("/absent"), "{message}");
    apply(&namespace, &format!("{STORE}      - {{key: /absent, value: here}}\n"));
    ready(&CLUSTER, &namespace, "app", "True");
}

#[test]
fn a_secret_that_somebody_deletes_or_changes_is_mended_at_once() {
    let namespace = served();
    apply(
        &namespace,
        "
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: app}
spec:
  secretStoreRef: {name: fake}
  data:
  - {secretKey: token, remoteRef: {key: /token}}
",
    );
    ready(&CLUSTER, &namespace, "app", "True");
    CLUSTER.kubectl(&["delete", "secret", "app", "-n", &namespace]).unwrap();
    let token = |expected: &'static str| {
        let namespace = namespace.clone();
        move || match secret(&CLUSTER, &namespace, "app").and_then(|secret| value(&secret, "token")) {
            Some(found) if found == expected => Ok(()),
            other => Err(format!("{other:?}")),
        }
    };
    eventually("the Secret is made again", token("value1"));
    let patch = r#"{"stringData":{"token":"changed"}}"#;
    CLUSTER.kubectl(&["patch", "secret", "app", "-n", &namespace, "--type=merge", "-p", patch]).unwrap();
    eventually("the value is put right", token("value1"));
}

use serde_json::json;
use world::moto::{Kind, Value as Stored};

use super::support::{API, CLUSTER, create, namespace, wait_for};
use crate::operator::api::line;
use crate::operator::support::eventually;
use crate::{AWS, REGION, strongroom};

/// What becomes of an object of kubernetes-external-secrets, read by one operator in both forms.
#[test]
fn cv_01_what_migrate_writes_fetches_the_same_values() {
    let [from, to] = [(); 2].map(|()| namespace(&json!({})));
    AWS.put_secret(REGION, "moved/db", Stored::Text(r#"{"user.name":"u","nested":{"a":[7]},"tls":"x"}"#)).unwrap();
    AWS.put_secret(REGION, "moved/encoded", Stored::Text("aGVsbG8=")).unwrap();
    for (name, value) in [("/moved/one", "1"), ("/moved/two", "2"), ("/moved/deep/three", "3")] {
        AWS.put_parameter(REGION, name, Kind::SecureString, value).unwrap();
    }
    let table = [
        ("keys", "secretsManager, data: [{key: moved/db, name: a, property: user.name}, {key: moved/db, name: b}]"),
        ("paths", "secretsManager, data: [{key: moved/db, name: a, property: 'nested.a[0]'}]"),
        ("members", "secretsManager, dataFrom: [moved/db], type: example.com/own"),
        ("binary", "secretsManager, data: [{key: moved/encoded, name: a, isBinary: true}]"),
        ("parameter", "systemManager, data: [{key: /moved/one, name: a}]"),
        ("parameters", "systemManager, data: [{path: /moved, recursive: true}]"),
        ("labels", "secretsManager, data: [{key: moved/encoded, name: a}], template: {metadata: {labels: {l: v}}}"),
    ];
    for (name, spec) in table {
        create(&from, name, &format!("{{backendType: {spec}}}"));
    }
    let credentials = json!({"id": "AKIAIOSFODNN7EXAMPLE", "key": "not-a-real-key"});
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "kes-aws"}, "stringData": credentials});
    assert_eq!(API.create("secrets", &to, &secret), (201, String::new()));
    let region = format!("AWS_REGION={REGION}");
    let kubeconfig = CLUSTER.kubeconfig().to_str().unwrap();
    let words = [
        "migrate",
        "kes",
        "--kubeconfig",
        kubeconfig,
        "--from-cluster",
        "-n",
        &from,
        "--to-stdout",
        "--kes-namespace",
        &to,
        "--set",
        &region,
        "--set-secret",
        "AWS_ACCESS_KEY_ID=kes-aws/id",
        "--set-secret",
        "AWS_SECRET_ACCESS_KEY=kes-aws/key",
    ];
    let made = strongroom(&words, &[], b"");
    assert_eq!(made.code, 0, "{}", made.stderr);
    assert!(!made.text().contains("not-a-real-key"), "a credential is written out");
    // In a namespace of their own, since the Secrets in this one have an owner.
    CLUSTER.apply(&made.text().replace(&from, &to)).unwrap();
    for (name, _) in table {
        let original = eventually(&format!("{name} is there"), || API.get("secrets", &from, name).ok_or("not yet"));
        let original = wait_for(&from, name, &line(&original));
        eventually(&format!("{name} is the same"), || match API.get("secrets", &to, name) {
            Some(made) if line(&made) == line(&original) && made["type"] == original["type"] => Ok(()),
            other => Err(format!("{:?} {:?}", other.as_ref().map(line), API.get("externalsecrets", &to, name))),
        });
    }
}

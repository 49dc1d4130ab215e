//! NASE's Secrets.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::support::{SEEN, SHARED};
use crate::operator::support::{CLUSTER, namespace, object};
use crate::{AWS, REGION};

const VALUE: &str = "supersecret-canary51";

fn secret(namespace: &str, name: &str, value: &str) -> String {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace},
        "data": {"nase": STANDARD.encode(value), "other": STANDARD.encode("kept")}})
    .to_string()
}

fn stored(namespace: &str, name: &str) -> Value {
    object(&CLUSTER, "secret", namespace, name).unwrap()["data"].clone()
}

fn at_aws(name: &str) -> Option<Value> {
    AWS.call(REGION, "secretsmanager.GetSecretValue", &json!({"SecretId": name})).ok()
}

fn write(manifest: &str, more: &[&str]) -> anyhow::Result<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret.json");
    std::fs::write(&file, manifest).unwrap();
    CLUSTER.kubectl(&[&["apply", "--server-side", "--force-conflicts", "-f", file.to_str().unwrap()], more].concat())
}

#[test]
fn na_01_the_value_moves_to_aws_where_the_namespace_asks_for_it() {
    let _ = &*SHARED;
    let opted_in = namespace(&CLUSTER, &[SEEN, ("strongroom.dev/native-secrets", "\"true\"")]);
    let other = namespace(&CLUSTER, &[SEEN]);
    write(&secret(&opted_in, "dry", VALUE), &["--dry-run=server"]).unwrap();
    assert_eq!(at_aws(&format!("{opted_in}.dry")), None, "a dry run makes no call");
    write(&secret(&opted_in, "app", VALUE), &[]).unwrap();
    let name = format!("{opted_in}.app");
    let kept = at_aws(&name).unwrap();
    assert!(kept["SecretString"] == VALUE, "another value is at AWS");
    let arn = kept["ARN"].as_str().unwrap();
    assert_eq!(stored(&opted_in, "app"), json!({"nase": STANDARD.encode(arn), "other": STANDARD.encode("kept")}));
    // An ARN is left alone, a new value is put.
    write(&secret(&opted_in, "app", arn), &[]).unwrap();
    assert_eq!(at_aws(&name).unwrap()["VersionId"], kept["VersionId"]);
    write(&secret(&opted_in, "app", "next-canary51"), &[]).unwrap();
    assert!(at_aws(&name).unwrap()["SecretString"] == "next-canary51", "another value is at AWS");
    assert_eq!(stored(&opted_in, "app")["nase"], STANDARD.encode(arn));

    write(&secret(&other, "app", VALUE), &[]).unwrap();
    assert!(stored(&other, "app")["nase"] == STANDARD.encode(VALUE), "nobody asked for that");
    assert_eq!(at_aws(&format!("{other}.app")), None);
    assert!(!SHARED.logged().contains("canary51"), "a value is in the log");
}

#[test]
fn na_02_what_aws_refuses_is_told_and_the_secret_is_not_stored() {
    let _ = &*SHARED;
    let opted_in = namespace(&CLUSTER, &[SEEN, ("strongroom.dev/native-secrets", "\"true\"")]);
    let foreign = json!({"Name": format!("{opted_in}.taken"), "SecretString": "foreign"});
    AWS.call(REGION, "secretsmanager.CreateSecret", &foreign).unwrap();
    let error = write(&secret(&opted_in, "taken", VALUE), &[]).unwrap_err().to_string();
    assert!(error.contains("Can't create secret in Secret Manager: "), "{error}");
    assert!(error.contains("not made from a Secret") && !error.contains("canary51"), "{error}");
    assert_eq!(object(&CLUSTER, "secret", &opted_in, "taken"), None);
    assert_eq!(at_aws(&format!("{opted_in}.taken")).unwrap()["SecretString"], "foreign");
}

//! The examples of the documentation, one or more for each backend that is served, as they stand in their files.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use world::moto::{Kind, Value as Stored};

use super::support::{API, WORLD, namespace, wait_for};
use crate::operator::api::KES;
use crate::{AWS, REGION, VAULT};

/// File, the Secret's type, its data.
const EXAMPLES: [(&str, &str, &str); 12] = [
    ("aws-secrets-manager", "Opaque", "password=s3cret token=abc user=ann"),
    ("aws-secrets-manager-versions", "Opaque", "current=new keystore=hello previous=old"),
    ("aws-parameter-store", "Opaque", "first=one password=two"),
    ("aws-parameter-store-path", "Opaque", "a=1 b=2 c=3 d=4"),
    ("azure-key-vault", "Opaque", "password=blue token=sky"),
    ("google-secret-manager", "Opaque", "first=one keystore=hello token=two"),
    ("vault", "Opaque", "password=of version two"),
    ("vault-kv1", "Opaque", "level=high password=of version one"),
    ("data-from", "Opaque", "level=low region=here token=abc"),
    ("tls", "kubernetes.io/tls", "tls.crt=certificate tls.key=key"),
    ("registry", "kubernetes.io/dockerconfigjson", r#".dockerconfigjson={"auths":{}}"#),
    (
        "template",
        "Opaque",
        "application.yaml=database:\n  url: \"postgres://ann@db.example/app\"\n \
         database={\"user\":\"ann\",\"password\":\"s3cret\"}",
    ),
];

/// Puts into the stores what the examples read.
fn fill() {
    let put = |name: &str, value: &str| drop(AWS.put_secret(REGION, name, Stored::Text(value)).unwrap());
    let again = |name: &str, value: &str| drop(AWS.put_secret_version(REGION, name, Stored::Text(value), &[]).unwrap());
    put("example/database", r#"{"user":"ann","password":"s3cret"}"#);
    put("example/token", "abc");
    put("example/rotated", "old");
    again("example/rotated", "new");
    put("example/keystore", "aGVsbG8=");
    put("example/settings", r#"{"level":"high","region":"here","token":"of the document"}"#);
    put("example/overrides", r#"{"level":"low"}"#);
    again("example/overrides", r#"{"level":"another"}"#);
    put("example/certificate", r#"{"tls.crt":"certificate","tls.key":"key"}"#);
    put("example/registry", r#"{"auths":{}}"#);
    for (name, value) in [
        ("/example/service/password", "one"),
        ("/example/service/password", "two"),
        ("/example/flat/a", "1"),
        ("/example/flat/b", "2"),
        ("/example/flat/below/x", "not read"),
        ("/example/deep/c", "3"),
        ("/example/deep/below/d", "4"),
    ] {
        AWS.put_parameter(REGION, name, Kind::SecureString, value).unwrap();
    }
    WORLD.azure.put_secret("example-token", "sky");
    WORLD.azure.put_secret("example-database", r#"{"password":"blue"}"#);
    for (name, value) in [("example-token", "one"), ("example-token", "two"), ("example-keystore", "aGVsbG8=")] {
        WORLD.google.put(WORLD.google.project(), name, value.as_bytes());
    }
    VAULT.command(&["kv", "put", "secret/example/database", "password=of version two"]).unwrap();
    VAULT.command(&["secrets", "enable", "-path=example-kv1", "-version=1", "kv"]).unwrap();
    VAULT.command(&["kv", "put", "example-kv1/database", "password=of version one"]).unwrap();
    VAULT.command(&["kv", "put", "example-kv1/settings", "level=high"]).unwrap();
}

/// An example as it stands in its file, but for the names that only their owner can have.
fn example(folder: &Path, file: &str) -> Value {
    let text = std::fs::read_to_string(folder.join(format!("{file}.yaml"))).unwrap();
    let text = text.replace("example-vault", "world").replace("example-project", WORLD.google.project());
    serde_saphyr::from_str(&text).unwrap()
}

#[test]
fn examples_for_each_served_backend_become_secrets() {
    let namespace = namespace(&json!({}));
    fill();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples/kes");
    let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<String> = files.collect();
    let known: BTreeSet<String> = EXAMPLES.iter().map(|(file, ..)| format!("{file}.yaml")).collect();
    assert_eq!(files, known, "each example is tested");
    for (file, ..) in EXAMPLES {
        assert_eq!(API.create(KES, &namespace, &example(&folder, file)), (201, String::new()), "{file}");
    }
    for (file, kind, data) in EXAMPLES {
        let secret = wait_for(&namespace, file, data);
        assert_eq!(secret["type"], kind, "{file}");
        if file == "template" {
            assert_eq!(secret["metadata"]["labels"]["user"], "ann");
            assert_eq!(secret["metadata"]["annotations"]["team"], "payments");
        }
    }
    assert!(WORLD.aws.counts().of("AssumeRole") > 0, "the role was not taken");
}

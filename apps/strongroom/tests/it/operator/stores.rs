//! One store of each kind, written as for External Secrets Operator, against the real thing or its stand-in.

use std::time::Duration;

use serde_json::{Value, json};
use world::moto::{self, Kind};

use super::api::API;
use super::support::{CLUSTER, condition, namespace};
use super::world_of_stores::{World, core, create, hook, wait_until_read};
use crate::{AWS, REGION, VAULT};

/// The operator's class: it has an environment of its own, and stores of its own.
const CLASS: &str = "real";

/// What the stores hold.
fn fill(world: &World, namespace: &str) {
    let database = r#"{"user":"ann","password":"s3cret"}"#;
    for name in ["ops/db", "ops/one", "ops/two"] {
        AWS.put_secret(REGION, name, moto::Value::Text(database)).unwrap();
    }
    AWS.put_parameter(REGION, "/ops/token", Kind::SecureString, "parameter").unwrap();
    VAULT.command(&["kv", "put", "secret/ops", "user=ann", "password=s3cret"]).unwrap();
    world.google.put(world.google.project(), "ops-db", database.as_bytes());
    world.azure.put_secret("ops-db", database);
    core(namespace, "Secret", "source", &json!({"stringData": {"user": "ann", "password": "s3cret"}}));
    core(namespace, "ConfigMap", "settings", &json!({"data": {"level": "high"}}));
}

/// The Secrets and accounts with which the stores of a namespace are opened.
pub(super) fn logins(world: &World, namespace: &str) {
    let key = std::fs::read_to_string(world.google.service_account_file()).unwrap();
    let secret = |name: &str, data: Value| core(namespace, "Secret", name, &json!({"stringData": data}));
    secret("aws-login", json!({"id": "AKIAIOSFODNN7EXAMPLE", "key": "not-a-real-key"}));
    secret("vault-login", json!({"token": VAULT.root_token()}));
    secret("google-login", json!({"key": key}));
    secret("azure-login", json!({"id": world.azure.client_id(), "secret": world.azure.client_secret()}));
    let label = json!({"labels": {"external-secrets.io/type": "webhook"}});
    core(namespace, "Secret", "hook-login", &json!({"metadata": label, "stringData": {"token": "hook-5f2c"}}));
    core(namespace, "ServiceAccount", "reader", &json!({}));
    let account = format!("--serviceaccount={namespace}:reader");
    CLUSTER.kubectl(&["create", "rolebinding", "reader", "-n", namespace, "--clusterrole=admin", &account]).unwrap();
}

/// Name, provider, the rest of the ExternalSecret's spec, the Secret's data.
pub(super) fn stores(world: &World, namespace: &str) -> Vec<(&'static str, Value, Value, &'static str)> {
    let key = |name: &str, key: &str| json!({"name": name, "key": key});
    let aws = |service: &str| {
        let auth = json!({"accessKeyIDSecretRef": key("aws-login", "id"), "secretAccessKeySecretRef": key("aws-login", "key")});
        json!({"aws": {"service": service, "region": REGION, "auth": {"secretRef": auth}}})
    };
    let extract = |key: &str| json!({"dataFrom": [{"extract": {"key": key}}]});
    let one = |key: &str| json!({"data": [{"secretKey": "a", "remoteRef": {"key": key}}]});
    let property = |key: &str, property: &str| json!({"data": [{"secretKey": "a", "remoteRef": {"key": key, "property": property}}]});
    let both = "password=s3cret user=ann";
    let auth = json!({"tokenSecretRef": key("vault-login", "token")});
    let vault = json!({"server": VAULT.address(), "path": "secret", "version": "v2", "auth": auth});
    let reader = json!({"serviceAccount": {"name": "reader"}});
    let azure = json!({
        "vaultUrl": "https://world.vault.azure.net", "tenantId": world.azure.tenant(),
        "authSecretRef": {"clientId": key("azure-login", "id"), "clientSecret": key("azure-login", "secret")},
    });
    let webhook = json!({
        "url": format!("http://{}/secrets/{{{{ .remoteRef.key }}}}", hook("Bearer hook-5f2c", r#"{"value":{"a":"hooked"}}"#)),
        "headers": {"Authorization": "Bearer {{ .auth.token }}"}, "result": {"jsonPath": "$.value.a"},
        "secrets": [{"name": "auth", "secretRef": {"name": "hook-login"}}],
    });
    let three = ["ops/db", "ops/one", "ops/two"]
        .map(|name| json!({"secretKey": name.replace('/', "-"), "remoteRef": {"key": name, "property": "user"}}));
    let three = json!({"data": three});
    let crd = json!({"auth": reader, "resource": {"group": "", "version": "v1", "kind": "ConfigMap"}});
    let fake = json!({"data": [{"key": "a", "value": "made up"}]});
    let google = json!({
        "projectID": world.google.project(), "auth": {"secretRef": {"secretAccessKeySecretRef": key("google-login", "key")}},
    });
    vec![
        ("aws-secrets", aws("SecretsManager"), extract("ops/db"), both),
        ("aws-batch", aws("SecretsManager"), three, "ops-db=ann ops-one=ann ops-two=ann"),
        ("aws-parameters", aws("ParameterStore"), one("/ops/token"), "a=parameter"),
        ("vault", json!({"vault": vault}), extract("ops"), both),
        ("vault-property", json!({"vault": vault}), property("ops", "user"), "a=ann"),
        ("openbao", json!({"openBao": vault}), extract("ops"), both),
        ("google", json!({"gcpsm": google}), extract("ops-db"), both),
        ("azure", json!({"azurekv": azure}), extract("ops-db"), both),
        ("kubernetes", json!({"kubernetes": {"remoteNamespace": namespace, "auth": reader}}), extract("source"), both),
        ("crd", json!({"crd": crd}), property("settings", "data.level"), "a=high"),
        ("webhook", json!({"webhook": webhook}), one("app"), "a=hooked"),
        ("fake", json!({"fake": fake}), one("a"), "a=made up"),
    ]
}

#[test]
fn a_store_of_each_kind_is_read_as_its_spec_says() {
    let namespace = namespace(&CLUSTER, &[]);
    let world = World::start();
    let operator = world.operator(CLASS, &[]);
    fill(&world, &namespace);
    logins(&world, &namespace);
    let stores = stores(&world, &namespace);
    for (name, provider, rest, _) in &stores {
        create(&namespace, "SecretStore", name, &json!({"controller": CLASS, "provider": provider}));
        let mut spec = json!({"secretStoreRef": {"name": name}});
        spec.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        create(&namespace, "ExternalSecret", name, &spec);
    }
    let expected: Vec<_> = stores.iter().map(|(name, _, _, expected)| (*name, *expected)).collect();
    wait_until_read(&namespace, &expected);
    let stores_told = API.list("secretstores", &namespace);
    for (name, ..) in &stores {
        let (status, reason, _) = condition(&stores_told[*name], "Ready").unwrap();
        assert_eq!(status, "True", "{name}");
        assert!(reason == "Valid" || reason == "ValidationUnknown", "{name}: {reason}");
        let is_only_read = matches!(*name, "crd" | "webhook");
        let capabilities = if is_only_read { "ReadOnly" } else { "ReadWrite" };
        assert_eq!(stores_told[*name]["status"]["capabilities"], capabilities, "{name}");
    }
    assert!(world.aws.counts().of("BatchGetSecretValue") > 0, "{:?}", world.aws.counts());
    let scraped = operator.scraped();
    let counted = "externalsecret_provider_api_calls_count{provider=\"AWS/SecretsManager\"";
    assert!(scraped.lines().any(|line| line.starts_with(counted)), "{scraped}");
    let logged = operator.logged();
    for value in ["s3cret", "hook-5f2c", "not-a-real-key", VAULT.root_token(), &world.azure.client_secret()] {
        assert!(!logged.contains(value) && !scraped.contains(value), "a value is shown");
    }
    let (code, took) = operator.stop();
    assert!(code == Some(0) && took < Duration::from_secs(5), "{code:?} {took:?}");
}

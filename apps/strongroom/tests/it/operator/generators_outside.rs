//! Generators that ask somebody else: an HTTP endpoint, and AWS for tokens.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use world::switchboard::{Fault, Switchboard};

use super::api::{API, data};
use super::support::{CLUSTER, Operator, condition, eventually, namespace, ready, secret};
use super::world_of_stores::{World, core, create, post};
use crate::REGION;

/// The class of the operator here: by a generator of its own an ExternalSecret is left alone by the shared one.
const CLASS: &str = "asking-outside";

/// In what endpoints give and in what they are asked with.
const CANARY: &str = "canary-90d1";

fn generator(namespace: &str, kind: &str, name: &str, spec: &Value) {
    let object = json!({
        "apiVersion": "generators.external-secrets.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    });
    let plural = format!("{}s", kind.to_lowercase());
    let place = if namespace.is_empty() { plural } else { format!("namespaces/{namespace}/{plural}") };
    post(&format!("/apis/generators.external-secrets.io/v1alpha1/{place}"), &object);
}

/// A namespace whose ExternalSecrets are ours, with keys for AWS and a login for endpoints.
fn ours() -> String {
    let namespace = namespace(&CLUSTER, &[]);
    generator(&namespace, "Fake", "ours", &json!({"controller": CLASS, "data": {"ours": "yes"}}));
    core(&namespace, "Secret", "keys", &json!({"stringData": {"id": "AKIAIOSFODNN7EXAMPLE", "key": CANARY}}));
    let label = |name: &str| json!({"labels": {name: "webhook"}});
    let login = json!({"token": CANARY});
    let labels = ["generators.external-secrets.io/type", "external-secrets.io/type", "unrelated"];
    for (name, labelled) in ["login", "login-of-stores", "unlabelled"].into_iter().zip(labels) {
        core(&namespace, "Secret", name, &json!({"metadata": label(labelled), "stringData": login}));
    }
    namespace
}

fn wanted(namespace: &str, name: &str, kind: &str) {
    let from = |kind: &str, name: &str| json!({"sourceRef": {"generatorRef": {"kind": kind, "name": name}}});
    create(namespace, "ExternalSecret", name, &json!({"dataFrom": [from("Fake", "ours"), from(kind, name)]}));
}

fn values(namespace: &str, name: &str) -> BTreeMap<String, String> {
    data(&secret(&CLUSTER, namespace, name).unwrap())
}

fn with_keys(more: Value) -> Value {
    let key = |key: &str| json!({"name": "keys", "key": key});
    let auth = json!({"secretRef": {"accessKeyIDSecretRef": key("id"), "secretAccessKeySecretRef": key("key")}});
    let mut spec = json!({"region": REGION, "auth": auth});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

/// Waits until `name` is not ready, and gives what its condition says.
fn refusal(namespace: &str, name: &str) -> String {
    eventually("the refusal is told", || {
        let object = API.get("externalsecrets", namespace, name).ok_or("not there")?;
        match condition(&object, "Ready") {
            Some((status, _, message)) if status == "False" => Ok(message),
            _ => Err("not told"),
        }
    })
}

fn assert_clean(namespace: &str, operator: &Operator) {
    let told = [API.list("externalsecrets", namespace), API.list("events", namespace)];
    assert!(!format!("{told:?}").contains(CANARY), "a status or an event shows a secret");
    assert!(!operator.logged().contains(CANARY), "the log shows a secret");
}

#[test]
fn tokens_of_aws_arrive_under_the_keys_that_external_secrets_gives_them() {
    let (world, namespace) = (World::start(), ours());
    let operator = world.operator(CLASS, &[]);
    generator(&namespace, "ECRAuthorizationToken", "registry", &with_keys(json!({})));
    generator(
        &namespace,
        "STSSessionToken",
        "session",
        &with_keys(json!({"requestParameters": {"sessionDuration": 900}})),
    );
    let cluster = format!("registry-{namespace}");
    let held =
        json!({"kind": "ECRAuthorizationToken", "generator": {"ecrAuthorizationTokenSpec": with_keys(json!({}))}});
    generator("", "ClusterGenerator", &cluster, &held);
    wanted(&namespace, "registry", "ECRAuthorizationToken");
    wanted(&namespace, "session", "STSSessionToken");
    wanted(&namespace, &cluster, "ClusterGenerator");
    for name in ["registry", cluster.as_str()] {
        ready(&CLUSTER, &namespace, name, "True");
        let values = values(&namespace, name);
        let keys: Vec<&str> = values.keys().map(String::as_str).collect();
        assert_eq!(keys, ["expires_at", "ours", "password", "proxy_endpoint", "username"]);
        assert_eq!((values["username"].as_str(), values["expires_at"].as_str()), ("AWS", "1420070400"));
        assert!(values["proxy_endpoint"].ends_with(&format!(".dkr.ecr.{REGION}.amazonaws.com")));
    }
    ready(&CLUSTER, &namespace, "session", "True");
    let keys: Vec<String> = values(&namespace, "session").into_keys().collect();
    assert_eq!(keys, ["access_key_id", "expiration", "ours", "secret_access_key", "session_token"]);
    // AWS gives roles no session, and whoever may make generators is not lent the operator's own identity.
    let jwt = json!({"region": REGION, "auth": {"jwt": {"serviceAccountRef": {"name": "app"}}}});
    generator(&namespace, "STSSessionToken", "role", &jwt);
    wanted(&namespace, "role", "STSSessionToken");
    let told = refusal(&namespace, "role");
    assert!(told.contains("spec.auth.jwt: jwt auth cannot be used for STS session tokens"), "{told}");
    generator(&namespace, "ECRAuthorizationToken", "ambient", &json!({"region": REGION}));
    wanted(&namespace, "ambient", "ECRAuthorizationToken");
    let told = refusal(&namespace, "ambient");
    assert!(told.contains("spec.auth") && told.contains("the operator's own identity"), "{told}");
    world.aws.add(Fault::aws("AccessDeniedException").on_operation("GetAuthorizationToken"));
    generator(&namespace, "ECRAuthorizationToken", "denied", &with_keys(json!({})));
    wanted(&namespace, "denied", "ECRAuthorizationToken");
    let told = refusal(&namespace, "denied");
    assert!(told.contains("Amazon ECR gives no token: access denied"), "{told}");
    assert_clean(&namespace, &operator);
}

#[test]
fn an_endpoint_makes_values_and_is_sent_only_what_a_label_allows() {
    let (world, namespace) = (World::start(), ours());
    let operator = world.operator(CLASS, &[]);
    let server = Switchboard::to("127.0.0.1:1").unwrap();
    let body = format!(r#"{{"made":{{"user":"ann","password":"{CANARY}","ports":[1,2]}},"text":"{{\"a\":\"b\"}}"}}"#);
    server.add(Fault::answer(200, &[], &body));
    let endpoint = |path: &str, login: &str| {
        json!({
            "url": format!("{}/make", server.address()), "method": "POST", "body": "{{ .auth.token }}",
            "headers": {"Authorization": "Bearer {{ .auth.token }}"}, "result": {"jsonPath": path},
            "secrets": [{"name": "auth", "secretRef": {"name": login}}],
        })
    };
    let all = [
        ("object", "$.made", "login"),
        ("text", "$.text", "login-of-stores"),
        ("nothing", "$.made.user", "login"),
        ("unlabelled", "$.made", "unlabelled"),
    ];
    for (name, path, login) in all {
        generator(&namespace, "Webhook", name, &endpoint(path, login));
        wanted(&namespace, name, "Webhook");
    }
    ready(&CLUSTER, &namespace, "object", "True");
    let made = values(&namespace, "object");
    let shown: Vec<&str> = ["ours", "ports", "user"].map(|key| made[key].as_str()).into();
    assert_eq!((shown, made.len()), (vec!["yes", "[1,2]", "ann"], 4));
    assert!(made["password"] == CANARY, "another password");
    let asked = server.requests().pop().unwrap();
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/make"));
    assert!(asked.header("authorization") == Some(&format!("Bearer {CANARY}")) && asked.body == CANARY.as_bytes());
    ready(&CLUSTER, &namespace, "text", "True");
    assert_eq!(values(&namespace, "text")["a"], "b");
    let told = refusal(&namespace, "nothing");
    assert!(told.contains("spec.result.jsonPath: what the endpoint gives is no JSON object"), "{told}");
    let told = refusal(&namespace, "unlabelled");
    let label = "may not be used here without the label generators.external-secrets.io/type: webhook";
    assert!(told.contains("spec.secrets[0].secretRef") && told.contains(label), "{told}");
    assert_clean(&namespace, &operator);
}

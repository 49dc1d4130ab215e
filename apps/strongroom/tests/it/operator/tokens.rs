//! Generators whose values somebody else makes and that end: of AWS, and of an HTTP endpoint.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::api::{API, data};
use super::support::{CLUSTER, Operator, namespace, ready, secret};
use super::sync::apply;
use super::world_of_stores::{World, core, create, serve};
use crate::REGION;

/// The operator's class: it has an environment of its own.
const CLASS: &str = "tokens";

/// In every credential and value of these tests: must be in no status, event, log or metric.
const CANARY: &str = "canary-9d41";

/// An operator of its own, and a namespace with what its generators log in with.
fn started(world: &World) -> (Operator, String) {
    let namespace = namespace(&CLUSTER, &[]);
    let aws = ["AWS_ECR_ENDPOINT", "AWS_ECR_PUBLIC_ENDPOINT"].map(|name| (name, world.aws.address().to_owned()));
    let own = [("AWS_ACCESS_KEY_ID", "AKIAOPERATOR".to_owned()), ("AWS_SECRET_ACCESS_KEY", CANARY.to_owned())];
    let more: Vec<_> = aws.into_iter().chain(own).collect();
    let operator = world.operator(CLASS, &more);
    let login = json!({"stringData": {"id": "AKIAIOSFODNN7EXAMPLE", "key": CANARY}});
    core(&namespace, "Secret", "aws-login", &login);
    let label = json!({"labels": {"external-secrets.io/type": "webhook"}});
    core(&namespace, "Secret", "hook-login", &json!({"metadata": label, "stringData": {"token": CANARY}}));
    core(&namespace, "Secret", "plain", &json!({"stringData": {"token": CANARY}}));
    // Objects that read a store of this class are left alone by the shared operator.
    let fake = json!({"fake": {"data": [{"key": "a", "value": "b"}]}});
    create(&namespace, "SecretStore", "fake", &json!({"controller": CLASS, "provider": fake}));
    (operator, namespace)
}

fn generator(namespace: &str, kind: &str, name: &str, spec: &Value) {
    let object = json!({
        "apiVersion": "generators.external-secrets.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    });
    apply(namespace, &object.to_string());
}

fn wish(namespace: &str, name: &str, kind: &str, generator: &str) {
    let spec = json!({
        "refreshInterval": "1h", "secretStoreRef": {"name": "fake"}, "target": {"deletionPolicy": "Delete"},
        "data": [{"secretKey": "a", "remoteRef": {"key": "a"}}],
        "dataFrom": [{"sourceRef": {"generatorRef": {"kind": kind, "name": generator}}}],
    });
    create(namespace, "ExternalSecret", name, &spec);
}

fn of_aws(more: &Value) -> Value {
    let key = |key: &str| json!({"name": "aws-login", "key": key});
    let auth = json!({"secretRef": {"accessKeyIDSecretRef": key("id"), "secretAccessKeySecretRef": key("key")}});
    let mut spec = json!({"region": REGION, "auth": auth});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

/// An endpoint that makes values for whoever shows the token, once for each request.
fn endpoint() -> String {
    serve(|asked| match asked.header("authorization") {
        Some(shown) if shown == format!("Bearer {CANARY}") => {
            (200, json!({"made": {"user": "ann", "token": format!("{CANARY}-made")}, "word": CANARY}).to_string())
        }
        _ => (403, CANARY.to_owned()),
    })
}

fn of_endpoint(address: &str, path: &str, login: &str) -> Value {
    json!({
        "url": format!("http://{address}/make"), "result": {"jsonPath": path},
        "headers": {"Authorization": "Bearer {{ .auth.token }}"},
        "secrets": [{"name": "auth", "secretRef": {"name": login}}],
    })
}

fn values(namespace: &str, name: &str) -> BTreeMap<String, String> {
    ready(&CLUSTER, namespace, name, "True");
    let mut values = data(&secret(&CLUSTER, namespace, name).unwrap());
    // The store's own.
    assert_eq!(values.remove("a").as_deref(), Some("b"));
    values
}

/// Fails where something that people see shows the word of the credentials.
fn assert_unseen(operator: &Operator, namespace: &str) {
    for kind in ["externalsecrets", "events"] {
        for (name, object) in API.list(kind, namespace) {
            assert!(!object.to_string().contains(CANARY), "{kind} {name} shows a secret");
        }
    }
    assert!(!operator.logged().contains(CANARY), "the log shows a secret");
    assert!(!operator.scraped().contains(CANARY), "the metrics show a secret");
}

#[test]
fn what_others_make_arrives_under_the_keys_that_external_secrets_gives_it() {
    let world = World::start();
    let (operator, namespace) = started(&world);
    let address = endpoint();
    generator(&namespace, "ECRAuthorizationToken", "registry", &of_aws(&json!({})));
    let asked = json!({"requestParameters": {"sessionDuration": 900}});
    generator(&namespace, "STSSessionToken", "session", &of_aws(&asked));
    generator(&namespace, "Webhook", "hook", &of_endpoint(&address, "$.made", "hook-login"));
    for (name, kind) in [("registry", "ECRAuthorizationToken"), ("session", "STSSessionToken"), ("hook", "Webhook")] {
        wish(&namespace, name, kind, name);
    }
    let login = values(&namespace, "registry");
    let keys: Vec<&str> = login.keys().map(String::as_str).collect();
    assert_eq!(keys, ["expires_at", "password", "proxy_endpoint", "username"]);
    assert_eq!(login["username"], "AWS");
    assert_eq!(login["proxy_endpoint"], format!("https://123456789012.dkr.ecr.{REGION}.amazonaws.com"));
    assert!(login["expires_at"].parse::<u64>().is_ok(), "{}", login["expires_at"]);
    let session = values(&namespace, "session");
    let keys: Vec<&str> = session.keys().map(String::as_str).collect();
    assert_eq!(keys, ["access_key_id", "expiration", "secret_access_key", "session_token"]);
    assert!(session["expiration"].parse::<u64>().is_ok(), "{}", session["expiration"]);
    let made = values(&namespace, "hook");
    assert!(made["user"] == "ann" && made["token"] == format!("{CANARY}-made") && made.len() == 2);
    assert_unseen(&operator, &namespace);
}

#[test]
fn a_cluster_generator_may_ask_aws_as_the_operator_and_one_of_a_namespace_may_not() {
    let world = World::start();
    let (operator, namespace) = started(&world);
    let name = format!("registry-{namespace}");
    let held = json!({"kind": "ECRAuthorizationToken", "generator": {"ecrAuthorizationTokenSpec": {"region": REGION}}});
    generator(&namespace, "ClusterGenerator", &name, &held);
    wish(&namespace, "lent", "ClusterGenerator", &name);
    assert_eq!(values(&namespace, "lent")["username"], "AWS");
    let seen = world.aws.requests().pop().unwrap();
    assert!(seen.header("authorization").unwrap().contains("Credential=AKIAOPERATOR/"));
    generator(&namespace, "ECRAuthorizationToken", "own", &json!({"region": REGION}));
    wish(&namespace, "own", "ECRAuthorizationToken", "own");
    let (_, message) = ready(&CLUSTER, &namespace, "own", "False");
    let expected = "ECRAuthorizationToken \"own\" spec.auth: the generator names no credentials, and may not use";
    assert!(message.contains(expected), "{message}");
    assert_unseen(&operator, &namespace);
}

#[test]
fn what_cannot_be_made_names_the_generators_field_and_shows_no_value() {
    let world = World::start();
    let (operator, namespace) = started(&world);
    let address = endpoint();
    let check = |kind: &str, name: &str, spec: Value, expected: &str| {
        generator(&namespace, kind, name, &spec);
        wish(&namespace, name, kind, name);
        let (_, message) = ready(&CLUSTER, &namespace, name, "False");
        assert!(message.contains(&format!("{kind} \"{name}\"{expected}")), "{message}");
        assert!(secret(&CLUSTER, &namespace, name).is_none(), "{name}: there is a target");
    };
    let unlabelled = of_endpoint(&address, "$.made", "plain");
    check("Webhook", "unlabelled", unlabelled, " spec.secrets[0].secretRef: the Secret ");
    let elsewhere = of_endpoint(&address, "$.nope", "hook-login");
    check("Webhook", "elsewhere", elsewhere, " spec.result.jsonPath: the answer has nothing at this JSONPath");
    let word = of_endpoint(&address, "$.word", "hook-login");
    check("Webhook", "word", word, " spec.result.jsonPath: the value is not a JSON object");
    let mut unauthorized = of_endpoint(&address, "$.made", "hook-login");
    unauthorized["headers"] = json!({});
    check("Webhook", "unauthorized", unauthorized, ": access denied (HTTP 403)");
    check(
        "STSSessionToken",
        "endless",
        of_aws(&json!({"requestParameters": {"sessionDuration": 1}})),
        " spec.requestParameters.sessionDuration: is no duration that AWS gives",
    );
    check("ECRAuthorizationToken", "scopeless", of_aws(&json!({"scope": "mine"})), " spec.scope: is no known scope");
    assert_unseen(&operator, &namespace);
}

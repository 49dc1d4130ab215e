//! Values, versions, metadata.

use serde_json::json;
use strongroom_azure::{Form, Settings};
use strongroom_failure::Class;
use strongroom_provider::{Facet, Outcome, Provider, RemoteKey, Validation, Version};
use world::azure::{AzureStandIn, Denial, Kind, Object};

use crate::{CANARY, check_failure, failure, open, open_metered, read, read_one, settings, text};

#[tokio::test]
async fn secrets_keys_and_certificates_are_read_in_every_version() {
    let azure = AzureStandIn::start().unwrap();
    let first = azure.put_secret("db", "first");
    let second = azure.put_secret("db", "second");
    azure.put_secret("empty", "");
    azure.put(Kind::Key, "signing", Object::new(json!({"kty": "RSA", "n": "AQ", "e": "AQAB", "key_ops": ["sign"]})));
    azure.put(Kind::Certificate, "web", Object::new(json!("MAD/")));
    let store = open(settings(&azure));
    let answers = read(&store, &["db", "secret/db", "empty", "key/signing", "cert/web"]).await;
    assert_eq!((text(&answers[0]), text(&answers[1]), text(&answers[2])), ("second", "second", ""));
    assert_eq!(answers[0].as_ref().unwrap().version.as_deref(), Some(second.as_str()));
    assert!(text(&answers[3]).starts_with(r#"{"kid":"https://127.0.0.1:"#), "{}", text(&answers[3]));
    assert!(text(&answers[3]).ends_with(r#","kty":"RSA","key_ops":["sign"],"n":"AQ","e":"AQAB"}"#));
    assert_eq!(answers[4].as_ref().unwrap().value.expose(), b"\x30\x00\xff");
    let old = [
        RemoteKey::at("db", Version::Stage(first.clone())),
        RemoteKey::at("secret/db", Version::Id(first.clone())),
        RemoteKey::at("db", Version::Stage("0000".to_owned())),
    ];
    let answers = store.read(&old).await;
    assert_eq!((text(&answers[0]), text(&answers[1])), ("first", "first"));
    assert_eq!(answers[0].as_ref().unwrap().version, Some(first));
    check_failure(&answers[2], Class::NotFound, "not found: SecretNotFound");
}

#[tokio::test]
async fn metadata_is_read_in_both_forms() {
    let azure = AzureStandIn::start().unwrap();
    let object = Object { expires: Some(1_720_486_800), ..Object::new(json!(CANARY)) };
    azure.put(Kind::Secret, "db", object.with_tag("team", "a"));
    let key = RemoteKey { facet: Facet::Metadata, ..RemoteKey::current("db") };
    let classic = open(settings(&azure)).read(std::slice::from_ref(&key)).await.remove(0);
    let classic: serde_json::Value = serde_json::from_str(text(&classic)).unwrap();
    assert_eq!((&classic["team"], &classic["attribute.expires"]), (&json!("a"), &json!("2024-07-09T01:00:00Z")));
    assert!(classic["attribute.created"].is_string() && classic["attribute.updated"].is_string());
    let current = open(Settings { form: Form::Current, ..settings(&azure) }).read(&[key]).await.remove(0);
    assert_eq!(text(&current), r#"{"team":"a"}"#);
}

#[tokio::test]
async fn one_bad_key_spoils_only_its_own_answer() {
    let azure = AzureStandIn::start().unwrap();
    azure.put_secret("a", "value a");
    azure.put_secret("b", "value b");
    let (store, meter) = open_metered(settings(&azure));
    let answers = read(&store, &["a", "missing", "not a name", "b"]).await;
    assert_eq!((text(&answers[0]), text(&answers[3])), ("value a", "value b"));
    check_failure(&answers[1], Class::NotFound, "cannot read \"missing\" from Azure Key Vault (127.0.0.1:");
    check_failure(&answers[2], Class::Invalid, "this does not name an object of a vault");
    let counts = meter.counts();
    assert!(counts.contains(&("keyvault:GetSecret", Outcome::Answered, 3)), "{counts:?}");
    assert!(counts.contains(&("azure:GetToken", Outcome::Answered, 1)), "{counts:?}");
}

#[tokio::test]
async fn what_cannot_be_read_says_why_and_what_to_do() {
    let azure = AzureStandIn::start().unwrap();
    for name in ["disabled", "policy", "role", "firewall"] {
        azure.put_secret(name, CANARY);
    }
    azure.disable(Kind::Secret, "disabled");
    azure.deny("policy", Denial::Policy);
    azure.deny("role", Denial::Role);
    azure.deny("firewall", Denial::Firewall);
    let store = open(settings(&azure));
    let answers = read(&store, &["disabled", "policy", "role", "firewall", "cert/none", "key/none"]).await;
    check_failure(&answers[0], Class::Invalid, "this secret cannot be read as it is: Forbidden (SecretDisabled)");
    check_failure(
        &answers[1],
        Class::Denied,
        "access denied: Forbidden (AccessDenied): The user, group or application",
    );
    check_failure(&answers[2], Class::Denied, "access denied: Forbidden (ForbiddenByRbac)");
    check_failure(&answers[3], Class::Denied, "access denied: Forbidden (ForbiddenByFirewall)");
    check_failure(&answers[4], Class::NotFound, "CertificateNotFound");
    check_failure(&answers[5], Class::NotFound, "KeyNotFound");
    let hints: Vec<_> = answers[..4].iter().map(|answer| failure(answer).hint.clone().unwrap()).collect();
    for (hint, part) in hints.iter().zip(["enable", "access policies", "Key Vault Secrets User", "firewall"]) {
        assert!(hint.contains(part), "{hint}");
    }
    azure.allow("policy");
    assert_eq!(text(&read_one(&store, "policy").await), CANARY);
}

#[tokio::test]
async fn costs_and_identity_are_told_before_anything_is_asked_and_validation_is_one_login() {
    let azure = AzureStandIn::start().unwrap();
    let (store, meter) = open_metered(settings(&azure));
    let plan = store.plan(&[RemoteKey::current("a"), RemoteKey::current("key/b"), RemoteKey::current("cert/c")]);
    let told: Vec<_> = plan.iter().map(|call| (call.operation.as_str(), call.keys.as_slice())).collect();
    let expected = ["keyvault:GetSecret", "keyvault:GetKey", "keyvault:GetCertificate"];
    assert_eq!(told, [(expected[0], &[0][..]), (expected[1], &[1][..]), (expected[2], &[2][..])]);
    assert!(store.identity().contains(&azure.client_id()), "{}", store.identity());
    assert_eq!((meter.counts().len(), azure.tokens_issued()), (0, 0));
    assert_eq!(store.validate().await.unwrap(), Validation::Valid);
    // Of a private cloud the vault is asked, without a token, what tokens are for.
    let asked = ("keyvault:GetSecrets", Outcome::Answered, 1);
    assert_eq!(meter.counts(), [("azure:GetToken", Outcome::Answered, 1), asked]);
}

//! Other engines than KV, and namespaces: what the built-in store does not serve.

use serde_json::json;
use strongroom_failure::Class;
use strongroom_provider::{Provider, RemoteKey};
use strongroom_vault::Settings;

use super::server::{Server, open, read, read_name};

#[tokio::test]
async fn other_engines_are_read_and_written_as_they_are() {
    let server = Server::shared();
    server.admin("POST", "sys/mounts/reads-transit", json!({"type": "transit"})).await;
    server.admin("POST", "reads-transit/keys/app", json!({})).await;
    let vault = open(server.root());
    let read_key = read_name(&vault, "reads-transit/keys/app").await.unwrap();
    assert_eq!(json_of(&read_key.0)["name"], "app");
    let request = |name: &str, body: &str| RemoteKey { request: Some(body.to_owned()), ..RemoteKey::current(name) };
    let encrypt = request("reads-transit/encrypt/app", r#"{"plaintext":"aGVsbG8="}"#);
    assert_eq!(vault.plan(std::slice::from_ref(&encrypt))[0].operation, "POST reads-transit/encrypt/app");
    let written = read(&vault, encrypt).await.unwrap();
    assert!(json_of(&written.0)["ciphertext"].as_str().unwrap().starts_with("vault:v1:"));
    let bad = read(&vault, request("reads-transit/encrypt/app", r#"{"plaintext":"%"}"#)).await.unwrap_err();
    assert_eq!(bad.class, Class::Invalid);
    assert!(bad.words.contains("base64"), "{bad}");
    let no_object = read(&vault, request("reads-transit/encrypt/app", "plain")).await.unwrap_err();
    assert!(no_object.words.contains("JSON object"), "{no_object}");
}

#[tokio::test]
async fn namespaces_are_worlds_of_their_own() {
    let server = Server::shared();
    server.admin("POST", "sys/namespaces/reads-team", json!({})).await;
    let mount = json!({"type": "kv", "options": {"version": "2"}});
    server.admin_in("reads-team", "POST", "sys/mounts/secret", mount).await;
    server.admin_in("reads-team", "POST", "secret/data/ns/app", json!({"data": {"k": "team"}})).await;
    server.put("ns/app", json!({"k": "root"})).await;
    let inside = open(Settings { namespace: Some("/reads-team/".to_owned()), ..server.root() });
    assert_eq!(read_name(&inside, "secret/ns/app").await.unwrap().0, r#"{"k":"team"}"#);
    assert_eq!(inside.describe(), format!("Vault ({}, namespace reads-team)", server.running.address()));
    assert_eq!(read_name(&open(server.root()), "secret/ns/app").await.unwrap().0, r#"{"k":"root"}"#);
    let missing = open(Settings { namespace: Some("nowhere".to_owned()), ..server.root() });
    let failure = read_name(&missing, "secret/data/ns/app").await.unwrap_err();
    assert!(matches!(failure.class, Class::NotFound | Class::Unauthenticated | Class::Denied), "{failure:?}");
}

fn json_of(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

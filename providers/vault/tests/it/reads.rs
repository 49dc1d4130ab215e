use std::time::Duration;

use serde_json::{Value, json};
use strongroom_failure::Class;
use strongroom_provider::{Provider, RemoteKey, Version};
use strongroom_vault::{KvVersion, Settings};
use world::switchboard::Fault;

use super::running::LARGEST_TEXT;
use super::server::{CANARY, Server, at, checked, open, read, read_name, token};

fn read_as_json(read: &(String, Option<String>)) -> Value {
    serde_json::from_str(&read.0).unwrap()
}

#[tokio::test]
async fn a_key_is_a_path_as_people_or_as_the_api_write_it() {
    let server = Server::shared();
    server.put("forms/app", json!({"user": "app", "password": CANARY})).await;
    let vault = open(server.root());
    for name in ["secret/forms/app", "/secret/forms/app", "secret/data/forms/app"] {
        let got = read_name(&vault, name).await.unwrap();
        assert_eq!(read_as_json(&got), json!({"user": "app", "password": CANARY}), "{name}");
        assert_eq!(got.1.as_deref(), Some("1"), "{name}");
    }
    assert_eq!(vault.describe(), format!("Vault ({})", server.running.address()));
    assert_eq!(vault.identity(), "token from VAULT_TOKEN");
    assert!(!format!("{vault:?}").contains(server.running.root_token()));
}

#[tokio::test]
async fn one_bad_key_spoils_only_its_own_answer() {
    let server = Server::shared();
    server.put("batch/a", json!({"k": "1"})).await;
    server.put("batch/c", json!({"k": "3"})).await;
    let names = ["secret/batch/a", "secret/batch/missing", "secret//c", "secret/batch/c"];
    let keys: Vec<_> = names.into_iter().map(RemoteKey::current).collect();
    let vault = open(server.root());
    let got: Vec<_> = vault.read(&keys).await.into_iter().map(|answer| answer.map_err(checked)).collect();
    assert_eq!(got[0].as_ref().unwrap().value.expose(), br#"{"k":"1"}"#);
    let missing = got[1].as_ref().unwrap_err();
    assert_eq!(missing.class, Class::NotFound);
    assert_eq!(
        missing.to_string(),
        format!(
            "cannot read \"secret/batch/missing\" from Vault ({}): there is no secret at the path secret/data/batch/missing",
            server.running.address()
        )
    );
    assert_eq!(got[2].as_ref().unwrap_err().class, Class::Invalid);
    assert_eq!(got[3].as_ref().unwrap().value.expose(), br#"{"k":"3"}"#);
    let plan = vault.plan(&keys);
    assert_eq!(plan.iter().map(|call| call.keys.clone()).collect::<Vec<_>>(), [[0], [1], [2], [3]]);
    assert_eq!(plan[0].operation, "GET secret/data/batch/a");
}

#[tokio::test]
async fn versions_are_read_by_number() {
    let server = Server::shared();
    for number in 1..=3 {
        server.put("versions/app", json!({ "k": number })).await;
    }
    let vault = open(server.root());
    let version = async |name, version| read(&vault, at(name, version)).await.map(|got| (got.0, got.1.unwrap()));
    for name in ["secret/versions/app", "secret/data/versions/app"] {
        assert_eq!(version(name, "2").await.unwrap(), (r#"{"k":2}"#.to_owned(), "2".to_owned()));
        assert_eq!(version(name, "0").await.unwrap().1, "3");
        let missing = version(name, "9").await.unwrap_err();
        assert_eq!(missing.class, Class::NotFound);
        assert!(missing.words.contains("no version 9"), "{missing}");
        assert_eq!(version(name, "newest").await.unwrap_err().class, Class::Invalid);
    }
    let stage = RemoteKey::at("secret/versions/app", Version::Stage("prod".to_owned()));
    assert!(read(&vault, stage).await.unwrap_err().words.contains("by number only"));
}

#[tokio::test]
async fn what_is_not_there_is_told_apart() {
    let server = Server::shared();
    for _ in 0..3 {
        server.put("gone/app", json!({"k": CANARY})).await;
    }
    server.admin("POST", "secret/delete/gone/app", json!({"versions": [3]})).await;
    server.admin("POST", "secret/destroy/gone/app", json!({"versions": [1]})).await;
    let vault = open(server.root());
    let words = async |key| {
        let failure = read(&vault, key).await.unwrap_err();
        assert_eq!(failure.class, Class::NotFound, "{failure}");
        failure.words
    };
    assert!(words(RemoteKey::current("secret/gone/app")).await.starts_with("version 3 was deleted (at 2"));
    assert_eq!(words(at("secret/gone/app", "1")).await, "version 1 was destroyed for good");
    let nowhere = words(RemoteKey::current("no-such-mount/app")).await;
    assert_eq!(nowhere, "no secrets engine is mounted at no-such-mount/app (or not in this namespace)");
    assert_eq!(
        words(RemoteKey::current("secret/never/was")).await,
        "there is no secret at the path secret/data/never/was"
    );
    assert_eq!(read(&vault, at("secret/gone/app", "2")).await.unwrap().1.as_deref(), Some("2"));
}

#[tokio::test]
async fn version_1_keeps_the_text_of_numbers() {
    let server = Server::shared();
    server.admin("POST", "sys/mounts/reads-kv1", json!({"type": "kv", "options": {"version": "1"}})).await;
    let exact: Value = serde_json::from_str(r#"{"big":9007199254740993,"small":1.50}"#).unwrap();
    server.admin("POST", "reads-kv1/app", exact.clone()).await;
    server.admin("POST", "reads-kv1/data/app", exact.clone()).await;
    let vault = open(server.root());
    for name in ["reads-kv1/app", "reads-kv1/data/app"] {
        let got = read_name(&vault, name).await.unwrap();
        assert_eq!(got, (r#"{"big":9007199254740993,"small":1.50}"#.to_owned(), None), "{name}");
        let versioned = read(&vault, at(name, "1")).await.unwrap_err();
        assert_eq!(versioned.class, Class::Invalid);
        assert!(versioned.words.contains("keeps none"), "{versioned}");
    }
    let fixed =
        open(Settings { kv_version: Some(KvVersion::One), mount: Some("reads-kv1".to_owned()), ..server.root() });
    assert_eq!(read_name(&fixed, "app").await.unwrap().0, r#"{"big":9007199254740993,"small":1.50}"#);
}

#[tokio::test]
async fn settings_that_fix_the_mount_ask_for_nothing_else() {
    let server = Server::shared();
    server.admin("POST", "sys/mounts/reads/deep/kv", json!({"type": "kv", "options": {"version": "2"}})).await;
    server.admin("POST", "reads/deep/kv/data/app", json!({"data": {"k": "v"}})).await;
    let (switchboard, settings) = server.behind_switchboard();
    let mount = Some("reads/deep/kv".to_owned());
    let vault = open(Settings { kv_version: Some(KvVersion::Two), mount, ..settings.clone() });
    for name in ["app", "reads/deep/kv/app", "reads/deep/kv/data/app"] {
        assert_eq!(read_name(&vault, name).await.unwrap().0, r#"{"k":"v"}"#, "{name}");
    }
    assert_eq!(switchboard.counts().of("GET /v1/reads/deep/kv/data/app"), 3);
    assert_eq!(switchboard.counts().requests, 3);
    // Without them, the server says where the mount ends.
    assert_eq!(read_name(&open(settings), "reads/deep/kv/app").await.unwrap().0, r#"{"k":"v"}"#);
    assert_eq!(switchboard.counts().requests, 5);
}

#[tokio::test]
async fn one_mount_is_asked_about_once_and_reads_run_together() {
    let server = Server::shared();
    let mut keys = Vec::new();
    for number in 0..20 {
        server.put(&format!("parallel/{number}"), json!({ "k": number })).await;
        keys.push(RemoteKey::current(format!("secret/parallel/{number}")));
    }
    let (switchboard, settings) = server.behind_switchboard();
    switchboard.add(Fault::delay(Duration::from_millis(500)));
    let vault = open(settings);
    let answers = vault.read(&keys).await;
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.unwrap().value.expose(), format!(r#"{{"k":{number}}}"#).as_bytes());
    }
    let counts = switchboard.counts();
    assert_eq!(counts.requests, 21, "one question about the mount, one read for each path: {:?}", counts.by_operation);
    assert_eq!(counts.in_flight_peak, 20);
    vault.read(&keys).await;
    assert_eq!(switchboard.counts().requests, 41);
    assert!(switchboard.counts().connections <= 21, "connections are kept: {}", switchboard.counts().connections);
}

#[tokio::test]
async fn the_largest_document_and_binary_text_arrive_whole() {
    let server = Server::shared();
    // KV holds JSON only: bytes are stored as text, often base64, and any text comes back as it was written.
    let binary: String = (0..=255_u8).map(char::from).chain("\u{10ffff}\u{2028}".chars()).collect();
    server.put("large/binary", json!({ "blob": binary })).await;
    let large = "x".repeat(LARGEST_TEXT);
    server.put("large/app", json!({ "blob": large })).await;
    let vault = open(server.root());
    let got = read_name(&vault, "secret/large/binary").await.unwrap();
    assert_eq!(read_as_json(&got), json!({ "blob": binary }));
    let got = read_name(&vault, "secret/large/app").await.unwrap();
    assert!(got.0 == format!("{{\"blob\":\"{large}\"}}"), "the large document differs, its length is {}", got.0.len());
}

#[tokio::test]
async fn a_denial_says_what_to_allow() {
    let server = Server::shared();
    server.put("denied/mine/app", json!({"k": "v"})).await;
    server.put("denied/other/app", json!({"k": CANARY})).await;
    server.allow_reading("reads-denied", "denied/mine").await;
    let made = server.admin("POST", "auth/token/create", json!({"policies": ["reads-denied"], "ttl": "1h"})).await;
    let settings = Settings { auth: token(made["auth"]["client_token"].as_str().unwrap()), ..server.root() };
    let vault = open(settings);
    let names = ["secret/denied/mine/app", "secret/denied/other/app", "no-such-mount/app"];
    let keys: Vec<_> = names.into_iter().map(RemoteKey::current).collect();
    let got: Vec<_> = vault.read(&keys).await.into_iter().map(|answer| answer.map_err(checked)).collect();
    assert!(got[0].is_ok());
    let denied = got[1].as_ref().unwrap_err();
    assert_eq!(denied.class, Class::Denied);
    assert_eq!(denied.words, "access denied: the token may not read secret/data/denied/other/app (permission denied)");
    assert_eq!(
        denied.hint.as_deref(),
        Some("allow it in the token's policy: path \"secret/data/denied/other/app\" { capabilities = [\"read\"] }")
    );
    assert_eq!(got[2].as_ref().unwrap_err().class, Class::Denied);
}

#[tokio::test]
async fn names_with_odd_characters_are_names() {
    let server = Server::shared();
    server.admin("POST", "secret/data/odd/a%20b%3Fc%23d%25", json!({"data": {"k": "v"}})).await;
    let vault = open(server.root());
    assert_eq!(read_name(&vault, "secret/odd/a b?c#d%").await.unwrap().0, r#"{"k":"v"}"#);
}

//! Secrets that are written, against a real server.

use serde_json::{Value, json};
use strongroom_failure::{Class, Failure};
use strongroom_provider::{Content, Deleted, Place, Provider, Push, Pushed, RemoteKey, SecretBytes, Source};
use strongroom_vault::{KvVersion, Settings, Vault};
use world::switchboard::Fault;

use super::server::{CANARY, Server, checked, open, read_name, token};

fn place(key: &str, property: Option<&str>) -> Place {
    Place { key: key.to_owned(), property: property.map(str::to_owned), ..Place::default() }
}

fn one(key: &str, property: Option<&str>, value: &str) -> Push {
    let content = Content::One(SecretBytes::from(value.to_owned()));
    Push { place: place(key, property), content, metadata: None, source: Source::default(), only_if_absent: false }
}

async fn push(vault: &Vault, pushes: &[Push]) -> Vec<Result<Pushed, Failure>> {
    vault.push(pushes).await.into_iter().map(|answer| answer.map_err(checked)).collect()
}

async fn pushed(vault: &Vault, pushes: &[Push]) -> Vec<Pushed> {
    push(vault, pushes).await.into_iter().map(Result::unwrap).collect()
}

async fn refused(vault: &Vault, wanted: Push) -> Failure {
    push(vault, &[wanted]).await.remove(0).unwrap_err()
}

async fn delete(vault: &Vault, places: &[Place]) -> Vec<Deleted> {
    vault.delete(places).await.into_iter().map(|answer| answer.map_err(checked).unwrap()).collect()
}

async fn value(vault: &Vault, name: &str) -> Option<(Value, Option<String>)> {
    match read_name(vault, name).await {
        Ok((value, version)) => Some((serde_json::from_str(&value).unwrap(), version)),
        Err(failure) if failure.class == Class::NotFound => None,
        Err(failure) => panic!("{failure}"),
    }
}

/// The settings for KV 1 below `mount`, which is made.
async fn first_version(server: &Server, mount: &str) -> Settings {
    server.admin("POST", &format!("sys/mounts/{mount}"), json!({"type": "kv", "options": {"version": "1"}})).await;
    Settings { mount: Some(mount.to_owned()), kv_version: Some(KvVersion::One), ..server.root() }
}

#[tokio::test]
async fn properties_of_one_secret_are_one_version_and_what_is_there_is_not_written_again() {
    let server = Server::shared();
    let vault = open(server.root());
    let wanted = [one("secret/push/app", Some("user"), "app"), one("secret/push/app", Some("tls.key"), CANARY)];
    assert_eq!(pushed(&vault, &wanted).await, [Pushed::Written; 2]);
    let stored = json!({"user": "app", "tls.key": CANARY});
    assert_eq!(value(&vault, "secret/push/app").await, Some((stored, Some("1".to_owned()))));
    let metadata = server.admin("GET", "secret/metadata/push/app", Value::Null).await;
    assert_eq!(metadata["data"]["custom_metadata"], json!({"managed-by": "external-secrets"}));
    assert_eq!(pushed(&vault, &wanted).await, [Pushed::Unchanged; 2]);
    let changed = [one("secret/push/app", Some("user"), "db"), wanted[1].clone()];
    assert_eq!(pushed(&vault, &changed).await, [Pushed::Written, Pushed::Unchanged]);
    let stored = json!({"user": "db", "tls.key": CANARY});
    assert_eq!(value(&vault, "secret/push/app").await, Some((stored, Some("2".to_owned()))));
}

#[tokio::test]
async fn a_whole_secret_is_an_object_and_a_bare_value_is_refused() {
    let server = Server::shared();
    let vault = open(Settings { mount: Some("secret".to_owned()), kv_version: Some(KvVersion::Two), ..server.root() });
    let all = [("a", CANARY), ("b", "2")].map(|(key, value)| (key.to_owned(), SecretBytes::from(value.to_owned())));
    let all = Push { content: Content::Whole(all.into()), ..one("push/whole", None, "") };
    assert_eq!(pushed(&vault, std::slice::from_ref(&all)).await, [Pushed::Written]);
    assert_eq!(value(&vault, "push/whole").await.unwrap().0, json!({"a": CANARY, "b": "2"}));
    assert_eq!(pushed(&vault, &[all]).await, [Pushed::Unchanged]);
    let failure = refused(&vault, one("push/bare", None, CANARY)).await;
    assert_eq!((failure.class, failure.subject.key.as_deref()), (Class::Invalid, Some("push/bare")));
    assert!(failure.words.contains("no JSON object"), "{failure}");
    assert_eq!(value(&vault, "push/bare").await, None);
}

#[tokio::test]
async fn version_1_keeps_the_mark_in_the_secret() {
    let server = Server::shared();
    let vault = open(first_version(&server, "push1").await);
    assert_eq!(pushed(&vault, &[one("app", Some("b"), "1")]).await, [Pushed::Written]);
    assert_eq!(pushed(&vault, &[one("app", Some("a"), "2")]).await, [Pushed::Written]);
    let (stored, _) = value(&vault, "app").await.unwrap();
    assert_eq!(stored, json!({"a": "2", "b": "1", "custom_metadata": {"managed-by": "external-secrets"}}));
    assert_eq!(pushed(&vault, &[one("app", Some("a"), "2")]).await, [Pushed::Unchanged]);
    server.admin("POST", "push1/foreign", json!({"a": CANARY})).await;
    assert_eq!(refused(&vault, one("foreign", Some("a"), "x")).await.class, Class::Denied);
    assert_eq!(delete(&vault, &[place("foreign", None)]).await, [Deleted::Foreign]);
    assert_eq!(value(&vault, "foreign").await.unwrap().0, json!({"a": CANARY}));
    assert_eq!(
        delete(&vault, &[place("app", Some("a")), place("none", None)]).await,
        [Deleted::Removed, Deleted::Absent]
    );
    assert_eq!(delete(&vault, &[place("app", Some("b"))]).await, [Deleted::Removed]);
    assert_eq!(value(&vault, "app").await, None);
}

#[tokio::test]
async fn what_others_keep_is_refused_and_stays() {
    let server = Server::shared();
    server.put("push/foreign", json!({"a": CANARY})).await;
    let vault = open(server.root());
    let failure = refused(&vault, one("secret/push/foreign", Some("b"), "x")).await;
    assert_eq!(failure.class, Class::Denied);
    assert!(failure.words.contains("managed-by: external-secrets"), "{failure}");
    let kept = Push { only_if_absent: true, ..one("secret/push/foreign", Some("a"), "x") };
    assert_eq!(pushed(&vault, &[kept]).await, [Pushed::Kept]);
    let places = [place("secret/push/foreign", Some("a")), place("secret/push/foreign", None)];
    assert_eq!(delete(&vault, &places).await, [Deleted::Foreign; 2]);
    let stored = (json!({"a": CANARY}), Some("1".to_owned()));
    assert_eq!(value(&vault, "secret/push/foreign").await, Some(stored));
}

#[tokio::test]
async fn only_what_is_absent_is_written_where_that_is_asked() {
    let server = Server::shared();
    let vault = open(server.root());
    let only = |property, value| Push { only_if_absent: true, ..one("secret/push/absent", Some(property), value) };
    assert_eq!(pushed(&vault, &[only("a", "1")]).await, [Pushed::Written]);
    assert_eq!(pushed(&vault, &[only("a", "2"), only("b", "2")]).await, [Pushed::Kept, Pushed::Written]);
    assert_eq!(value(&vault, "secret/push/absent").await.unwrap().0, json!({"a": "1", "b": "2"}));
}

#[tokio::test]
async fn a_secret_goes_with_its_last_property_and_its_metadata() {
    let server = Server::shared();
    let vault = open(server.root());
    let key = "secret/push/gone";
    pushed(&vault, &[one(key, Some("a"), "1"), one(key, Some("b"), "2")]).await;
    let places = [place(key, Some("a")), place(key, Some("c"))];
    assert_eq!(delete(&vault, &places).await, [Deleted::Removed, Deleted::Absent]);
    assert_eq!(value(&vault, key).await.unwrap().0, json!({"b": "2"}));
    assert_eq!(delete(&vault, &[place(key, Some("b"))]).await, [Deleted::Removed]);
    assert_eq!(delete(&vault, &[place(key, Some("b"))]).await, [Deleted::Absent]);
    let listed = server.admin("GET", "secret/metadata/push?list=true", Value::Null).await;
    assert!(!listed["data"]["keys"].as_array().unwrap().contains(&json!("gone")), "{listed}");
}

#[tokio::test]
async fn a_secret_that_was_marked_and_never_filled_is_filled() {
    let server = Server::shared();
    let mark = json!({"custom_metadata": {"managed-by": "external-secrets"}});
    server.admin("POST", "secret/metadata/push/half", mark).await;
    server.admin("POST", "secret/metadata/push/theirs", json!({"custom_metadata": {"owner": "them"}})).await;
    let vault = open(server.root());
    assert_eq!(pushed(&vault, &[one("secret/push/half", Some("a"), "1")]).await, [Pushed::Written]);
    assert_eq!(refused(&vault, one("secret/push/theirs", Some("a"), "1")).await.class, Class::Denied);
}

#[tokio::test]
async fn a_deleted_version_of_ours_is_followed_by_another() {
    let server = Server::shared();
    let vault = open(server.root());
    let wanted = [one("secret/push/again", Some("a"), "1")];
    pushed(&vault, &wanted).await;
    server.admin("DELETE", "secret/data/push/again", Value::Null).await;
    assert_eq!(pushed(&vault, &wanted).await, [Pushed::Written]);
    assert_eq!(value(&vault, "secret/push/again").await.unwrap().1.as_deref(), Some("2"));
}

#[tokio::test]
async fn who_may_not_write_is_told_what_to_allow() {
    let server = Server::shared();
    server.allow_reading("push-reader", "push").await;
    let made = server.admin("POST", "auth/token/create", json!({"policies": ["push-reader"]})).await;
    let auth = token(made["auth"]["client_token"].as_str().unwrap());
    let vault =
        open(Settings { auth, mount: Some("secret".to_owned()), kv_version: Some(KvVersion::Two), ..server.root() });
    let failure = refused(&vault, one("push/denied", Some("a"), CANARY)).await;
    assert_eq!(failure.class, Class::Denied);
    assert!(failure.words.contains("secret/metadata/push/denied"), "{failure}");
    assert!(failure.hint.unwrap().contains("capabilities"));
}

#[tokio::test]
async fn one_secret_that_is_throttled_spoils_no_other() {
    let server = Server::shared();
    let (switchboard, settings) = server.behind_switchboard();
    let vault = open(settings);
    vault.read(&[RemoteKey::current("secret/push/none")]).await;
    switchboard.add(Fault::throttle(None).on_path("push/t1"));
    let answers = push(&vault, &[one("secret/push/t1", Some("a"), "1"), one("secret/push/t2", Some("a"), "1")]).await;
    let throttled = answers
        .iter()
        .filter(|answer| answer.as_ref().is_err_and(|failure| matches!(failure.class, Class::Throttled { .. })));
    assert_eq!((throttled.count(), answers.iter().filter(|answer| answer.is_ok()).count()), (1, 1));
}

#[tokio::test]
async fn settings_are_refused_by_name() {
    let vault = open(Server::shared().root());
    let metadata = json!({
        "apiVersion": "kubernetes.external-secrets.io/v1alpha1", "kind": "PushSecretMetadata", "spec": {"tags": {}}
    });
    let failure =
        refused(&vault, Push { metadata: Some(metadata), ..one("secret/push/settings", Some("a"), "1") }).await;
    assert!(failure.class == Class::Invalid && failure.words.contains("`tags`"), "{failure}");
    assert_eq!(value(&vault, "secret/push/settings").await, None);
}

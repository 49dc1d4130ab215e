use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use strongroom_failure::Class;
use strongroom_provider::{Meter, Outcome, Provider, RemoteKey};
use strongroom_vault::{AppRole, Auth, Credential, Password, Settings, Token, Vault};
use world::switchboard::{Fault, Switchboard};

use super::server::{CANARY, Server, checked, given, open, read_name, token};

/// A server with secrets `0` to `19` below `secret/PREFIX/`, a role that may read them, and a switchboard that counts.
async fn with_role(prefix: &str, options: Value) -> (Arc<Server>, Switchboard, AppRole) {
    let server = Server::shared();
    for number in 0..20 {
        server.put(&format!("{prefix}/{number}"), json!({ "k": number })).await;
    }
    server.allow_reading(prefix, prefix).await;
    let mut role = json!({"token_policies": [prefix]});
    role.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    let role = server.app_role(prefix, role).await;
    let switchboard = Switchboard::to(server.running.host_port()).unwrap();
    (server, switchboard, role)
}

fn settings(switchboard: &Switchboard, auth: Auth) -> Settings {
    Settings::new(switchboard.address(), auth)
}

pub(crate) fn logins(switchboard: &Switchboard) -> usize {
    let counts = switchboard.counts();
    counts.by_operation.iter().filter(|(operation, _)| operation.ends_with("/login")).map(|(_, count)| count).sum()
}

pub(crate) fn count(switchboard: &Switchboard, part: &str) -> usize {
    let counts = switchboard.counts();
    counts.by_operation.iter().filter(|(operation, _)| operation.contains(part)).map(|(_, count)| count).sum()
}

/// Reads all twenty at once and returns how many answered.
async fn read_all(vault: &Vault, prefix: &str) -> usize {
    let keys: Vec<_> = (0..20).map(|number| RemoteKey::current(format!("secret/data/{prefix}/{number}"))).collect();
    vault.read(&keys).await.into_iter().filter(|answer| answer.is_ok()).count()
}

async fn revoke_all(server: &Server, mount: &str) {
    server.admin("POST", &format!("sys/leases/revoke-prefix/auth/{mount}/login"), json!({})).await;
}

#[tokio::test]
async fn twenty_reads_log_in_once_and_only_when_needed() {
    let (_server, switchboard, role) = with_role("logins-once", json!({})).await;
    let meter = Arc::new(Meter::default());
    let vault = Vault::open(settings(&switchboard, Auth::AppRole(role)), Arc::clone(&meter)).unwrap();
    assert_eq!(switchboard.counts().requests, 0, "opening asks nobody");
    assert_eq!(read_all(&vault, "logins-once").await, 20);
    assert_eq!(read_all(&vault, "logins-once").await, 20);
    assert_eq!(logins(&switchboard), 1);
    assert_eq!(switchboard.counts().requests, 41);
    let counts = [("vault:login", Outcome::Answered, 1), ("vault:read", Outcome::Answered, 40)];
    assert_eq!(meter.counts(), counts);
    assert_eq!(vault.identity(), "the AppRole of the test by auth/logins-once with the secret id from the test");
}

#[tokio::test]
async fn a_token_that_expires_is_replaced_before_it_is_used() {
    let options = json!({"token_ttl": "2m", "token_max_ttl": "2m"});
    let (_server, switchboard, role) = with_role("logins-expiry", options).await;
    let vault = open(settings(&switchboard, Auth::AppRole(role)));
    assert_eq!(read_all(&vault, "logins-expiry").await, 20);
    pass_time(Duration::from_secs(116)).await;
    switchboard.reset_counts();
    assert_eq!(read_all(&vault, "logins-expiry").await, 20);
    assert_eq!(logins(&switchboard), 1);
    assert_eq!(switchboard.counts().requests, 21, "no read is wasted on the expired token");
}

#[tokio::test]
async fn a_token_that_lives_for_a_second_is_replaced_again_and_again() {
    let options = json!({"token_ttl": "1s", "token_max_ttl": "1s"});
    let (_server, switchboard, role) = with_role("logins-brief", options).await;
    let vault = open(settings(&switchboard, Auth::AppRole(role)));
    for _ in 0..3 {
        assert!(read_name(&vault, "secret/data/logins-brief/0").await.is_ok());
        tokio::time::sleep(Duration::from_millis(1200)).await;
    }
    assert!(logins(&switchboard) >= 3, "{}", logins(&switchboard));
}

#[tokio::test]
async fn a_revoked_token_costs_one_login_however_many_reads_find_out() {
    let (server, switchboard, role) = with_role("logins-revoked", json!({})).await;
    let vault = open(settings(&switchboard, Auth::AppRole(role)));
    assert_eq!(read_all(&vault, "logins-revoked").await, 20);
    revoke_all(&server, "logins-revoked").await;
    switchboard.reset_counts();
    assert_eq!(read_all(&vault, "logins-revoked").await, 20);
    assert_eq!(logins(&switchboard), 1);
    assert!(switchboard.counts().requests <= 20 + 1 + 1 + 20, "{:?}", switchboard.counts());
}

#[tokio::test]
async fn a_denied_key_costs_no_login_while_the_token_is_young_and_one_when_it_is_old() {
    let (server, switchboard, role) = with_role("logins-denied", json!({})).await;
    server.put("logins-denied-other/app", json!({"k": CANARY})).await;
    let vault = open(settings(&switchboard, Auth::AppRole(role)));
    let other = "secret/data/logins-denied-other/app";
    for _ in 0..5 {
        assert_eq!(read_name(&vault, other).await.unwrap_err().class, Class::Denied);
    }
    assert_eq!(logins(&switchboard), 1);
    assert_eq!(count(&switchboard, "lookup-self"), 1);
    // The role is given more: a token that is old is replaced by one that has it.
    server.allow_reading("logins-denied-more", "logins-denied-other").await;
    let more = json!({"token_policies": ["logins-denied", "logins-denied-more"]});
    server.admin("POST", "auth/logins-denied/role/logins-denied", more).await;
    assert_eq!(read_name(&vault, other).await.unwrap_err().class, Class::Denied);
    pass_time(Duration::from_secs(61)).await;
    assert!(read_name(&vault, other).await.is_ok());
    assert_eq!(logins(&switchboard), 2);
    // A login that fails takes nothing away from who may read with the token that is there.
    pass_time(Duration::from_secs(61)).await;
    switchboard.add(Fault::answer(503, &[], "").on_path("auth/logins-denied/login"));
    assert_eq!(read_name(&vault, "secret/data/forbidden/app").await.unwrap_err().class, Class::Unavailable);
    assert!(read_name(&vault, other).await.is_ok());
}

/// Lets the program's clock jump; the server's stays.
pub(crate) async fn pass_time(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_renewable_token_is_renewed_in_its_last_third() {
    let options = json!({"token_ttl": "2m", "token_max_ttl": "1h"});
    let (_server, switchboard, role) = with_role("logins-renewal", options).await;
    let vault = open(settings(&switchboard, Auth::AppRole(role)));
    assert_eq!(read_all(&vault, "logins-renewal").await, 20);
    pass_time(Duration::from_secs(60)).await;
    assert_eq!(read_all(&vault, "logins-renewal").await, 20);
    assert_eq!(count(&switchboard, "renew-self"), 0);
    pass_time(Duration::from_secs(21)).await;
    assert_eq!(read_all(&vault, "logins-renewal").await, 20);
    assert_eq!(count(&switchboard, "renew-self"), 1, "one renewal for twenty reads");
    pass_time(Duration::from_secs(60)).await;
    assert_eq!(read_all(&vault, "logins-renewal").await, 20);
    assert_eq!((count(&switchboard, "renew-self"), logins(&switchboard)), (1, 1));
}

#[tokio::test]
async fn a_renewal_that_fails_or_gives_little_does_not_stop_reads() {
    let options = json!({"token_ttl": "2m", "token_max_ttl": "1h"});
    let (_server, switchboard, role) = with_role("logins-no-renewal", options).await;
    let vault = open(settings(&switchboard, Auth::AppRole(role.clone())));
    assert_eq!(read_all(&vault, "logins-no-renewal").await, 20);
    switchboard.add(Fault::answer(500, &[], CANARY).on_path("renew-self"));
    pass_time(Duration::from_secs(81)).await;
    assert_eq!(read_all(&vault, "logins-no-renewal").await, 20);
    assert_eq!((count(&switchboard, "renew-self"), logins(&switchboard)), (1, 1));

    switchboard.clear();
    let short = json!({"auth": {"client_token": "", "lease_duration": 5, "renewable": true}}).to_string();
    switchboard.add(Fault::answer(200, &[], &short).on_path("renew-self"));
    switchboard.reset_counts();
    let vault = open(settings(&switchboard, Auth::AppRole(role)));
    assert_eq!(read_all(&vault, "logins-no-renewal").await, 20);
    pass_time(Duration::from_secs(81)).await;
    assert_eq!(read_all(&vault, "logins-no-renewal").await, 20);
    assert_eq!((count(&switchboard, "renew-self"), logins(&switchboard)), (1, 2));
}

#[tokio::test]
async fn a_given_token_is_learned_about_when_the_program_lasts() {
    let server = Server::shared();
    server.put("logins-given/app", json!({"k": "v"})).await;
    let made = server.admin("POST", "auth/token/create", json!({"policies": ["root"], "period": "10m"})).await;
    let switchboard = Switchboard::to(server.running.host_port()).unwrap();
    let vault = open(settings(&switchboard, token(made["auth"]["client_token"].as_str().unwrap())));
    let name = "secret/data/logins-given/app";
    read_name(&vault, name).await.unwrap();
    assert_eq!(switchboard.counts().requests, 1, "a short program reads and nothing else");
    pass_time(Duration::from_secs(61)).await;
    read_name(&vault, name).await.unwrap();
    read_name(&vault, name).await.unwrap();
    assert_eq!((count(&switchboard, "lookup-self"), count(&switchboard, "renew-self")), (1, 0));
    pass_time(Duration::from_secs(401)).await;
    read_name(&vault, name).await.unwrap();
    assert_eq!((count(&switchboard, "lookup-self"), count(&switchboard, "renew-self")), (1, 1));
}

#[tokio::test]
async fn an_expired_given_token_is_said_to_be_one() {
    let server = Server::shared();
    server.put("logins-expired/app", json!({"k": CANARY})).await;
    let made = server
        .admin("POST", "auth/token/create", json!({"policies": ["root"], "ttl": "1s", "explicit_max_ttl": "1s"}))
        .await;
    let vault = open(Settings { auth: token(made["auth"]["client_token"].as_str().unwrap()), ..server.root() });
    let name = "secret/logins-expired/app";
    assert!(read_name(&vault, name).await.is_ok());
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let failure = read_name(&vault, name).await.unwrap_err();
    assert_eq!(failure.class, Class::Unauthenticated);
    assert!(failure.words.starts_with("the token from VAULT_TOKEN is refused: it has expired"), "{failure}");
    let never = open(Settings { auth: token("s.never-was-a-token-0000"), ..server.root() });
    assert_eq!(read_name(&never, name).await.unwrap_err().class, Class::Unauthenticated);
}

fn write(path: &Path, text: &str) {
    std::fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

#[tokio::test]
async fn a_token_file_that_is_written_anew_is_followed() {
    let server = Server::shared();
    server.put("logins-file/app", json!({"k": "v"})).await;
    let made = async || {
        let made = server.admin("POST", "auth/token/create", json!({"policies": ["root"], "ttl": "1h"})).await;
        made["auth"]["client_token"].as_str().unwrap().to_owned()
    };
    let (first, second) = (made().await, made().await);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    write(&path, &format!("{first}\n"));
    let vault = open(Settings { auth: Auth::Token(Token(Credential::File(path.clone()))), ..server.root() });
    let name = "secret/logins-file/app";
    assert!(read_name(&vault, name).await.is_ok());
    server.admin("POST", "auth/token/revoke", json!({ "token": first })).await;
    let failure = read_name(&vault, name).await.unwrap_err();
    assert_eq!(failure.class, Class::Unauthenticated);
    assert!(failure.words.contains("is refused"), "{failure}");
    write(&path, &second);
    assert!(read_name(&vault, name).await.is_ok());
    std::fs::remove_file(&path).unwrap();
    assert!(read_name(&vault, name).await.is_ok(), "what was read is used until it is refused");
    let missing = open(Settings { auth: Auth::Token(Token(Credential::File(path))), ..server.root() });
    let failure = read_name(&missing, name).await.unwrap_err();
    assert_eq!(failure.class, Class::Unauthenticated);
    assert!(failure.words.contains("No such file"), "{failure}");
}

#[tokio::test]
async fn refused_logins_say_why_and_are_shared() {
    let (_server, switchboard, role) = with_role("logins-refused", json!({})).await;
    let wrong = AppRole { secret_id: Some(given("canary-5b1d-secret-id")), ..role.clone() };
    let vault = open(settings(&switchboard, Auth::AppRole(wrong)));
    switchboard.add(Fault::delay(Duration::from_millis(200)));
    let keys: Vec<_> =
        (0..20).map(|number| RemoteKey::current(format!("secret/data/logins-refused/{number}"))).collect();
    for answer in vault.read(&keys).await {
        let failure = checked(answer.unwrap_err());
        assert_eq!(failure.class, Class::Unauthenticated);
        assert!(failure.words.contains("is refused: invalid"), "{failure}");
    }
    assert_eq!(switchboard.counts().requests, 1, "one login fails for all twenty");
    assert_eq!(read_name(&vault, "secret/data/logins-refused/0").await.unwrap_err().class, Class::Unauthenticated);
    assert_eq!(switchboard.counts().requests, 2, "a later read tries again");

    let nowhere = AppRole { mount: Some("logins-nowhere".to_owned()), ..role.clone() };
    let failure = read_name(&open(settings(&switchboard, Auth::AppRole(nowhere))), "secret/x").await.unwrap_err();
    assert_eq!(failure.class, Class::Unauthenticated);
    assert!(failure.hint.unwrap().contains("mounted"), "{:?}", failure.words);

    for (fault, class) in [
        (Fault::throttle(Some(4)), Class::Throttled { retry_after: Some(Duration::from_secs(4)) }),
        (Fault::answer(503, &[], r#"{"errors":["Vault is sealed"]}"#), Class::Unavailable),
        (Fault::hangup(), Class::Unavailable),
    ] {
        switchboard.clear();
        switchboard.add(fault);
        let vault = open(settings(&switchboard, Auth::AppRole(role.clone())));
        assert_eq!(read_name(&vault, "secret/x").await.unwrap_err().class, class);
    }
}

#[tokio::test]
async fn a_wrapped_secret_id_is_unwrapped_once() {
    let (server, switchboard, role) = with_role("logins-wrapped", json!({})).await;
    let path = "auth/logins-wrapped/role/logins-wrapped/secret-id";
    let wrapped = server.wrapped(path).await;
    let role = AppRole { secret_id: Some(given(&wrapped)), wrapped: true, ..role };
    let vault = open(settings(&switchboard, Auth::AppRole(role.clone())));
    assert_eq!(read_all(&vault, "logins-wrapped").await, 20);
    revoke_all(&server, "logins-wrapped").await;
    assert_eq!(read_all(&vault, "logins-wrapped").await, 20);
    assert_eq!((count(&switchboard, "unwrap"), logins(&switchboard)), (1, 2));
    let failure = read_name(&open(settings(&switchboard, Auth::AppRole(role))), "secret/x").await.unwrap_err();
    assert_eq!(failure.class, Class::Unauthenticated);
    assert!(failure.words.contains("cannot be unwrapped") && failure.hint.is_some(), "{failure}");
}

#[tokio::test]
async fn a_user_of_the_server_logs_in() {
    let server = Server::shared();
    server.put("people-own/app", json!({"k": "v"})).await;
    server.allow_reading("people-own", "people-own").await;
    server.admin("POST", "sys/auth/people-own", json!({"type": "userpass"})).await;
    let user = json!({"password": "canary-5b1d \"quoted\"", "token_policies": ["people-own"]});
    server.admin("POST", "auth/people-own/users/app", user).await;
    let vault = |name: &str, secret| {
        let mount = Some("people-own".to_owned());
        let password = Password { mount, username: name.to_owned(), password: given(secret) };
        open(Settings { auth: Auth::UserPass(password), ..server.root() })
    };
    let app = vault("app", "canary-5b1d \"quoted\"");
    assert_eq!(read_name(&app, "secret/data/people-own/app").await.unwrap().0, r#"{"k":"v"}"#);
    let wrong = vault("app", "canary-5b1d");
    assert_eq!(wrong.validate().await.unwrap_err().class, Class::Unauthenticated);
    let elsewhere = read_name(&vault("../../sys/seal", "canary-5b1d"), "secret/x").await.unwrap_err();
    assert_eq!(elsewhere.class, Class::Invalid);
}

//! What is leased, renewed and revoked, against a real server.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use strongroom_failure::{Class, Failure};
use strongroom_provider::SecretBytes;
use strongroom_vault::{Action, Auth, Handle, Lease, Login, Settings, Vault};

use world::switchboard::Fault;

use crate::server::{Server, checked, open};

/// A server that leases one-time passwords for a minute, and who may do all about them, by an AppRole.
async fn leasing(server: &Server, name: &str) -> Vault {
    let config = json!({"type": "ssh", "config": {"default_lease_ttl": "60s"}});
    server.admin("POST", &format!("sys/mounts/{name}"), config).await;
    let role = json!({"key_type": "otp", "default_user": "app", "cidr_list": "10.0.0.0/8"});
    server.admin("POST", &format!("{name}/roles/app"), role).await;
    let creds = format!("{name}/creds/app");
    let paths = [
        creds.as_str(),
        "auth/token/create",
        "sys/leases/renew",
        "sys/leases/revoke",
        "auth/token/renew-accessor",
        "auth/token/revoke-accessor",
    ];
    let rules = paths.map(|path| format!("path \"{path}\" {{ capabilities = [\"create\", \"update\"] }}"));
    server.admin("PUT", &format!("sys/policies/acl/{name}"), json!({"policy": rules.join("\n")})).await;
    let role = server.app_role(name, json!({"token_policies": [name], "token_ttl": "10m"})).await;
    open(Settings { auth: Auth::AppRole(role), ..server.root() })
}

fn written(body: &Value) -> Action {
    Action::Write(SecretBytes::from(body.to_string()))
}

async fn leased(vault: &Vault, login: &Login, path: &str, body: &Value) -> Lease {
    let answered = vault.ask(login, path, &written(body)).await.map_err(checked).unwrap().unwrap();
    answered.lease.unwrap()
}

/// Whether the lease is known to the server.
async fn lives(server: &Server, vault: &Vault, handle: &Handle) -> bool {
    match handle {
        Handle::Lease(id) => {
            let (folder, name) = id.rsplit_once('/').unwrap();
            let root = open(server.root());
            let login = root.log_in().await.unwrap();
            let listed = root.ask(&login, &format!("sys/leases/lookup/{folder}"), &Action::List).await.unwrap();
            listed.is_some_and(|listed| listed.body.expose_text().unwrap().contains(name))
        }
        Handle::Token(_) | Handle::Login(_) => {
            let login = vault.log_in().await.unwrap();
            vault.renew(&login, handle, Duration::from_secs(30)).await.is_ok()
        }
    }
}

#[tokio::test]
async fn what_an_engine_leases_is_revoked_once_and_again() {
    let server = Server::shared();
    let vault = leasing(&server, "lease-ssh").await;
    let login = vault.log_in().await.unwrap();
    assert!(login.is_own && login.renewable && login.accessor.is_some());
    assert!(login.remaining.is_some_and(|remaining| remaining <= Duration::from_secs(600)));
    let lease = leased(&vault, &login, "/lease-ssh/creds/app", &json!({"ip": "10.0.0.1"})).await;
    assert_eq!((lease.duration.as_secs(), lease.renewable, lease.ends_with_login), (60, false, true));
    let handle = lease.handle.unwrap();
    assert!(lives(&server, &vault, &handle).await);
    let refused: Failure = vault.renew(&login, &handle, Duration::from_secs(60)).await.map_err(checked).unwrap_err();
    assert_eq!(refused.class, Class::Invalid, "{refused}");
    for _ in 0..2 {
        vault.revoke(&login, &handle).await.map_err(checked).unwrap();
        assert!(!lives(&server, &vault, &handle).await);
    }
}

#[tokio::test]
async fn a_login_tells_what_it_is_and_a_given_token_is_looked_up() {
    let server = Server::shared();
    let role = json!({"token_policies": ["nothing"], "token_no_default_policy": true, "token_ttl": "10m"});
    let role = server.app_role("lease-blind", role).await;
    let (switchboard, settings) = server.behind_switchboard();
    let address = settings.address.clone();
    let blind = open(Settings { auth: Auth::AppRole(role), address: address.clone(), ..server.root() });
    let login = blind.log_in().await.map_err(checked).unwrap();
    assert!(login.is_own && login.accessor.is_some(), "it may not look itself up, and need not");
    assert!(login.remaining.is_some_and(|left| (590..=600).contains(&left.as_secs())), "{login:?}");
    assert_eq!(switchboard.counts().of("GET /v1/auth/token/lookup-self"), 0);
    // Without an answer nobody knows what would hang from a given one.
    let given = open(Settings { address, ..server.root() });
    switchboard.add(Fault::answer(500, &[], "{}").on_path("lookup-self"));
    let failure = given.log_in().await.map_err(checked).unwrap_err();
    assert_eq!(failure.class, Class::Unavailable, "{failure}");
    switchboard.clear();
    assert!(given.log_in().await.map_err(checked).unwrap().accessor.is_some());
}

#[tokio::test]
async fn a_token_is_renewed_and_revoked_by_its_accessor() {
    let server = Server::shared();
    let vault = leasing(&server, "lease-token").await;
    let login = vault.log_in().await.unwrap();
    let lease = leased(&vault, &login, "auth/token/create", &json!({"ttl": "60s", "policies": ["default"]})).await;
    assert_eq!((lease.duration.as_secs(), lease.renewable, lease.ends_with_login), (60, true, true));
    let handle = lease.handle.unwrap();
    let (duration, renewable) = vault.renew(&login, &handle, Duration::from_secs(120)).await.map_err(checked).unwrap();
    assert_eq!((duration.as_secs(), renewable), (120, true));
    vault.revoke(&login, &handle).await.map_err(checked).unwrap();
    let refused = vault.renew(&login, &handle, Duration::from_secs(120)).await.map_err(checked).unwrap_err();
    assert_eq!(refused.class, Class::Invalid, "{refused}");
    vault.revoke(&login, &handle).await.map_err(checked).unwrap();
}

#[tokio::test]
async fn what_hangs_from_a_login_ends_with_it_whoever_ends_it() {
    let server = Server::shared();
    let vault = leasing(&server, "lease-login").await;
    let login = vault.log_in().await.unwrap();
    let lease = leased(&vault, &login, "lease-login/creds/app", &json!({"ip": "10.0.0.1"})).await;
    let handle = lease.handle.unwrap();
    let root = open(server.root());
    let other = root.log_in().await.unwrap();
    assert!(!other.is_own);
    root.revoke(&other, &Handle::Login(login.accessor.clone().unwrap())).await.map_err(checked).unwrap();
    // What hangs from it is ended in the background.
    for _ in 0..100 {
        if !lives(&server, &vault, &handle).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the lease outlives its login");
}

#[tokio::test]
async fn any_path_is_asked_and_what_is_missing_is_told() {
    let server = Server::shared();
    let vault = leasing(&server, "lease-any").await;
    let login = vault.log_in().await.unwrap();
    let read = Action::Read(BTreeMap::from([("a b".to_owned(), vec!["1".to_owned(), "ü&".to_owned()])]));
    let answered = vault.ask(&login, "auth/token/lookup-self", &read).await.unwrap().unwrap();
    assert_eq!(answered.lease, None);
    assert!(answered.data().unwrap().is_some() && answered.auth().unwrap().is_none());
    let refused = vault.ask(&login, "lease-any/creds/other", &written(&json!({}))).await.map_err(checked).unwrap_err();
    assert_eq!(refused.class, Class::Denied);
    assert!(refused.hint.as_ref().is_some_and(|hint| hint.contains("capabilities = [\"update\"]")), "{refused:?}");
    let root = open(server.root());
    let other = root.log_in().await.unwrap();
    assert!(root.ask(&other, "secret/data/lease-none", &Action::Read(BTreeMap::new())).await.unwrap().is_none());
    assert!(root.ask(&other, "secret/data/lease-none", &Action::Delete).await.unwrap().is_none());
    for path in ["", "a//b", "a/../sys/seal"] {
        let refused = root.ask(&other, path, &Action::Delete).await.unwrap_err();
        assert_eq!(refused.class, Class::Invalid, "{path}");
    }
    assert!(!root.log_out(other).await, "a token that was given is not ours to end");
    assert!(vault.log_out(login).await);
}

//! What a read was lent and how it is renewed: leases of a real server, whose message broker is a switchboard that
//! takes every user.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use strongroom_failure::{Class, Failure};
use strongroom_provider::{Lease, Provider, RemoteKey, RemoteValue};
use strongroom_vault::{AppRole, Auth, Settings, Vault};
use world::switchboard::{Fault, Switchboard};

use crate::logins::{count, logins, pass_time};
use crate::server::{CANARY, Server, checked, open, token};

/// A server that lends a broker's users from `NAME/creds/app`, and a way to it that counts.
struct Lending {
    server: Arc<Server>,
    role: AppRole,
    switchboard: Switchboard,
    _broker: Switchboard,
}

impl Lending {
    /// Users are lent for ten minutes, to who logs in by a role with these `options`.
    async fn new(name: &str, options: Value) -> Self {
        let server = Server::shared();
        let broker = Switchboard::to(server.running.host_port()).unwrap();
        broker.add(Fault::answer(204, &[], ""));
        server.admin("POST", &format!("sys/mounts/{name}"), json!({"type": "rabbitmq"})).await;
        let connection = json!({
            "connection_uri": broker.address(), "username": "a", "password": "b", "verify_connection": false,
        });
        server.admin("POST", &format!("{name}/config/connection"), connection).await;
        server.admin("POST", &format!("{name}/config/lease"), json!({"ttl": "10m", "max_ttl": "1h"})).await;
        let vhosts = json!({"/": {"configure": ".*", "write": ".*", "read": ".*"}}).to_string();
        server.admin("POST", &format!("{name}/roles/app"), json!({ "vhosts": vhosts })).await;
        let rules = format!("path \"{name}/creds/app\" {{ capabilities = [\"read\"] }}");
        server.admin("PUT", &format!("sys/policies/acl/{name}"), json!({ "policy": rules })).await;
        let mut role = json!({"token_policies": [name]});
        role.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        let role = server.app_role(name, role).await;
        let switchboard = Switchboard::to(server.running.host_port()).unwrap();
        Self { server, role, switchboard, _broker: broker }
    }

    fn vault(&self, auth: Auth) -> Vault {
        open(Settings::new(self.switchboard.address(), auth))
    }
}

async fn read(vault: &Vault, name: &str) -> Result<RemoteValue, Failure> {
    vault.read(&[RemoteKey::current(name)]).await.remove(0).map_err(checked)
}

/// Reads a user, which is lent.
async fn lent(vault: &Vault, name: &str) -> (String, Lease) {
    let read = read(vault, &format!("{name}/creds/app")).await.unwrap();
    (read.value.expose_text().unwrap().to_owned(), read.lease.unwrap())
}

async fn renew(vault: &Vault, lease: &Lease) -> Result<Lease, Failure> {
    Provider::renew(vault, lease).await.map_err(checked)
}

#[tokio::test]
async fn a_leased_read_is_renewed_by_the_policy_that_every_token_has() {
    let lending = Lending::new("lent-renewed", json!({"token_ttl": "1h"})).await;
    let vault = lending.vault(Auth::AppRole(lending.role.clone()));
    let (_, lease) = lent(&vault, "lent-renewed").await;
    assert!(lease.id.starts_with("lent-renewed/creds/app/"), "{lease:?}");
    assert_eq!((lease.duration.as_secs(), lease.is_renewable), (600, true));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let renewed = renew(&vault, &lease).await.unwrap();
    assert_eq!(renewed, lease, "ten minutes from now");
    let left = json!({"lease_id": lease.id});
    let left = lending.server.admin("PUT", "sys/leases/lookup", left).await["data"]["ttl"].as_u64().unwrap();
    assert!((599..=600).contains(&left), "{left}");
    // Another read is lent another user.
    let (_, other) = lent(&vault, "lent-renewed").await;
    assert_ne!(other.id, lease.id);
    lending.server.admin("PUT", "sys/leases/revoke", json!({"lease_id": lease.id, "sync": true})).await;
    let failure = renew(&vault, &lease).await.unwrap_err();
    assert_eq!(failure.class, Class::Invalid, "{failure}");
    assert!(renew(&vault, &other).await.is_ok());
    assert_eq!((logins(&lending.switchboard), count(&lending.switchboard, "lookup-self")), (1, 0));
}

#[tokio::test]
async fn only_what_an_engine_leases_is_lent() {
    let server = Server::shared();
    server.put("lent/app", json!({"lease_id": CANARY})).await;
    server.admin("POST", "sys/mounts/lent-kv1", json!({"type": "kv"})).await;
    server.admin("POST", "lent-kv1/app", json!({"lease_id": CANARY, "ttl": "1h"})).await;
    server.admin("POST", "sys/mounts/lent-ssh", json!({"type": "ssh"})).await;
    let role = json!({"key_type": "otp", "default_user": "app", "cidr_list": "10.0.0.0/8"});
    server.admin("POST", "lent-ssh/roles/app", role).await;
    let (switchboard, settings) = server.behind_switchboard();
    let vault = open(settings);
    for name in ["secret/data/lent/app", "secret/lent/app", "lent-kv1/app", "auth/token/lookup-self"] {
        assert_eq!(read(&vault, name).await.unwrap().lease, None, "{name}");
    }
    let password =
        RemoteKey { request: Some(json!({"ip": "10.0.0.1"}).to_string()), ..RemoteKey::current("lent-ssh/creds/app") };
    let lease = vault.read(&[password]).await.remove(0).unwrap().lease.unwrap();
    assert!(!lease.is_renewable && !lease.duration.is_zero(), "{lease:?}");
    switchboard.reset_counts();
    assert_eq!(renew(&vault, &lease).await.unwrap_err().class, Class::Invalid);
    assert_eq!(switchboard.counts().requests, 0, "what cannot be renewed is not asked for");
}

#[tokio::test]
async fn a_certificate_without_a_lease_is_lent_until_it_expires() {
    let server = Server::shared();
    server.admin("POST", "sys/mounts/lent-pki", json!({"type": "pki"})).await;
    server.admin("POST", "lent-pki/root/generate/internal", json!({"common_name": "lent", "key_type": "ec"})).await;
    server.admin("POST", "lent-pki/roles/app", json!({"allow_any_name": true, "key_type": "ec", "ttl": "1h"})).await;
    let request = Some(json!({"common_name": "app.example"}).to_string());
    let vault = open(server.root());
    let issued = vault.read(&[RemoteKey { request, ..RemoteKey::current("lent-pki/issue/app") }]).await.remove(0);
    let lease = issued.unwrap().lease.unwrap();
    assert!((3500..=3600).contains(&lease.duration.as_secs()) && !lease.is_renewable, "{lease:?}");
    assert_eq!(renew(&vault, &lease).await.unwrap_err().class, Class::Invalid);
    // The same certificate, read.
    assert_eq!(read(&vault, "lent-pki/cert/ca").await.unwrap().lease, None);
}

#[tokio::test]
async fn a_lease_lasts_no_longer_than_its_token_and_its_renewal_renews_both() {
    let lending = Lending::new("lent-token", json!({"token_ttl": "2m"})).await;
    let vault = lending.vault(Auth::AppRole(lending.role.clone()));
    let (_, lease) = lent(&vault, "lent-token").await;
    assert!((118..=120).contains(&lease.duration.as_secs()), "{lease:?}");
    pass_time(lease.duration * 2 / 3 + Duration::from_secs(1)).await;
    let renewed = renew(&vault, &lease).await.unwrap();
    assert!((118..=120).contains(&renewed.duration.as_secs()), "{renewed:?}");
    assert_eq!((renewed.id, renewed.login), (lease.id, lease.login));
    assert_eq!((count(&lending.switchboard, "renew-self"), logins(&lending.switchboard)), (1, 1));
}

#[tokio::test]
async fn a_token_that_cannot_be_renewed_is_replaced_and_its_leases_are_over() {
    let lending = Lending::new("lent-last", json!({"token_ttl": "2m"})).await;
    let vault = lending.vault(Auth::AppRole(lending.role.clone()));
    let (user, lease) = lent(&vault, "lent-last").await;
    lending.switchboard.add(Fault::answer(400, &[], "{}").on_path("renew-self"));
    pass_time(Duration::from_secs(81)).await;
    for _ in 0..2 {
        let failure = renew(&vault, &lease).await.unwrap_err();
        assert_eq!(failure.class, Class::Invalid, "{failure}");
        assert!(failure.words.contains("a login that is over"), "{failure}");
    }
    assert_eq!(logins(&lending.switchboard), 2, "a third of its life before the old one ends");
    let (other, next) = lent(&vault, "lent-last").await;
    assert!(other != user && next.login != lease.login && next.duration.as_secs() >= 118, "{next:?}");
    assert!(renew(&vault, &next).await.is_ok());
    assert_eq!(logins(&lending.switchboard), 2);
}

#[tokio::test]
async fn a_server_that_is_away_ends_neither_lease_nor_token() {
    let lending = Lending::new("lent-away", json!({"token_ttl": "2m"})).await;
    let vault = lending.vault(Auth::AppRole(lending.role.clone()));
    let (_, lease) = lent(&vault, "lent-away").await;
    pass_time(Duration::from_secs(81)).await;
    lending.switchboard.add(Fault::answer(503, &[], ""));
    for _ in 0..3 {
        assert_eq!(renew(&vault, &lease).await.unwrap_err().class, Class::Unavailable);
    }
    assert_eq!(count(&lending.switchboard, "renew-self"), 1, "the token rests after a renewal that failed");
    lending.switchboard.clear();
    pass_time(Duration::from_secs(11)).await;
    let renewed = renew(&vault, &lease).await.unwrap();
    assert!(renewed.duration.as_secs() >= 118, "{renewed:?}");
    assert_eq!((count(&lending.switchboard, "renew-self"), logins(&lending.switchboard)), (2, 1));
}

#[tokio::test]
async fn a_revoked_token_takes_its_leases_along() {
    let lending = Lending::new("lent-revoked", json!({"token_ttl": "1h"})).await;
    let vault = lending.vault(Auth::AppRole(lending.role.clone()));
    let (_, lease) = lent(&vault, "lent-revoked").await;
    lending.server.admin("POST", "sys/leases/revoke-prefix/auth/lent-revoked/login", json!({})).await;
    let failure = renew(&vault, &lease).await.unwrap_err();
    assert_eq!(failure.class, Class::Invalid, "{failure}");
    let (_, next) = lent(&vault, "lent-revoked").await;
    assert_ne!(next.login, lease.login);
    assert_eq!(logins(&lending.switchboard), 2);
}

#[tokio::test]
async fn a_given_token_is_asked_once_how_long_what_hangs_from_it_can_last() {
    let lending = Lending::new("lent-given", json!({})).await;
    let wanted = json!({"policies": ["lent-given"], "ttl": "2m"});
    let made = lending.server.admin("POST", "auth/token/create", wanted).await;
    let vault = lending.vault(token(made["auth"]["client_token"].as_str().unwrap()));
    let (_, lease) = lent(&vault, "lent-given").await;
    let (_, other) = lent(&vault, "lent-given").await;
    for lease in [&lease, &other] {
        assert!((110..=120).contains(&lease.duration.as_secs()), "{lease:?}");
    }
    assert_eq!(count(&lending.switchboard, "lookup-self"), 1);
    pass_time(Duration::from_secs(81)).await;
    let renewed = renew(&vault, &lease).await.unwrap();
    assert!((118..=120).contains(&renewed.duration.as_secs()), "{renewed:?}");
    assert_eq!(count(&lending.switchboard, "renew-self"), 1);
}

#[tokio::test]
async fn a_key_that_is_denied_for_good_costs_leases_at_most_once_an_hour() {
    let lending = Lending::new("lent-denied", json!({"token_ttl": "24h"})).await;
    let vault = lending.vault(Auth::AppRole(lending.role.clone()));
    let (_, lease) = lent(&vault, "lent-denied").await;
    let denied = async || read(&vault, "secret/data/lent-denied/app").await.unwrap_err().class;
    pass_time(Duration::from_secs(300)).await;
    assert_eq!(denied().await, Class::Denied);
    assert!(renew(&vault, &lease).await.is_ok());
    assert_eq!(logins(&lending.switchboard), 1);
    // A role that was given more must be noticed some time.
    pass_time(Duration::from_secs(3600)).await;
    assert_eq!(denied().await, Class::Denied);
    assert_eq!(logins(&lending.switchboard), 2);
    assert_eq!(renew(&vault, &lease).await.unwrap_err().class, Class::Invalid);
}

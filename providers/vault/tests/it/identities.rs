//! Logins by name and password, by certificate and by an agent; namespaces and nodes that are behind.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use strongroom_failure::Class;
use strongroom_http::{ClientCertificate, Pem, Roots, TlsSettings};
use strongroom_provider::{Provider, Validation};
use strongroom_vault::{Auth, Certificate, Consistency, Password, Settings};
use world::certificates::Authority;
use world::directory::{Directory, GROUPS, USERS};
use world::open_bao::{OpenBao, Options};
use world::part::{Part, free_port};
use world::switchboard::{Fault, Seen};

use crate::server::{CANARY, Server, given, open, read_name};

/// A server with one secret below `secret/NAME/` and a policy NAME that allows to read it.
async fn prepared(name: &str) -> std::sync::Arc<Server> {
    let server = Server::shared();
    server.put(&format!("{name}/app"), json!({"k": "v"})).await;
    server.allow_reading(name, name).await;
    server
}

const VALUE: &str = r#"{"k":"v"}"#;

fn password(mount: &str, username: &str, password: &str) -> Password {
    Password { mount: Some(mount.to_owned()), username: username.to_owned(), password: given(password) }
}

#[tokio::test]
async fn a_person_of_a_directory_logs_in() {
    let options = Options { has_vault_logins: true, ..Options::default() };
    let server = Server { running: OpenBao::start_with(&options).unwrap() };
    server.put("people-ldap/app", json!({"k": "v"})).await;
    server.allow_reading("people-ldap", "people-ldap").await;
    let directory = Directory::start("alice", "canary-5b1d-alice", "readers").unwrap();
    server.admin("POST", "sys/auth/people-ldap", json!({"type": "ldap"})).await;
    let config = json!({
        "url": directory.address(), "userdn": USERS, "userattr": "cn", "groupdn": GROUPS, "groupattr": "cn",
    });
    server.admin("POST", "auth/people-ldap/config", config).await;
    server.admin("POST", "auth/people-ldap/groups/readers", json!({"policies": "people-ldap"})).await;
    let vault =
        |name, secret| open(Settings { auth: Auth::Ldap(password("people-ldap", name, secret)), ..server.root() });
    let alice = vault("alice", "canary-5b1d-alice");
    assert_eq!(read_name(&alice, "secret/data/people-ldap/app").await.unwrap().0, VALUE);
    assert_eq!(alice.identity(), "user alice by auth/people-ldap with the password from the test");
    assert_eq!(alice.validate().await.unwrap(), Validation::Valid);
    for (name, secret) in [("alice", "canary-5b1d-wrong"), ("bob", "canary-5b1d-alice")] {
        let failure = read_name(&vault(name, secret), "secret/data/people-ldap/app").await.unwrap_err();
        assert_eq!(failure.class, Class::Unauthenticated);
        assert!(failure.words.contains(&format!("user {name} by auth/people-ldap")), "{failure}");
    }
}

#[tokio::test]
async fn a_client_certificate_logs_in() {
    let authority = Authority::new().unwrap();
    let server = Server {
        running: OpenBao::start_with(&Options { authority: Some(&authority), ..Options::default() }).unwrap(),
    };
    server.put("web/app", json!({"k": "v"})).await;
    server.allow_reading("web", "web").await;
    server.admin("POST", "sys/auth/cert", json!({"type": "cert"})).await;
    let role = json!({
        "certificate": authority.certificate_pem(), "allowed_common_names": ["app.client"], "token_policies": ["web"],
    });
    server.admin("POST", "auth/cert/certs/web", role).await;
    let certificate = |name: &str| {
        let (certificate, key) = authority.issue_client(name).unwrap();
        ClientCertificate { certificate: Pem::Text(certificate.into()), key: Pem::Text(key.into()) }
    };
    let roots = Roots::Only(vec![Pem::Text(authority.certificate_pem().into())]);
    let vault = |role: Option<&str>, own: Option<ClientCertificate>, connection: Option<ClientCertificate>| {
        let auth = Auth::Certificate(Certificate { mount: None, role: role.map(str::to_owned), certificate: own });
        let tls = TlsSettings { roots: roots.clone(), client: connection, ..TlsSettings::default() };
        open(Settings { tls, ..Settings::new(server.running.secure_address().unwrap(), auth) })
    };
    let good = [
        vault(Some("web"), Some(certificate("app.client")), None),
        vault(None, Some(certificate("app.client")), Some(certificate("other.client"))),
        vault(None, None, Some(certificate("app.client"))),
    ];
    for vault in good {
        assert_eq!(read_name(&vault, "secret/data/web/app").await.unwrap().0, VALUE);
    }
    let bad = [
        vault(Some("web"), Some(certificate("other.client")), None),
        vault(Some("other"), Some(certificate("app.client")), None),
        vault(None, None, None),
    ];
    for vault in bad {
        let failure = read_name(&vault, "secret/data/web/app").await.unwrap_err();
        assert_eq!(failure.class, Class::Unauthenticated, "{failure}");
        assert!(failure.words.contains("the client certificate by auth/cert"), "{failure}");
    }
}

/// Runs OpenBao's own proxy before `server`: it holds the token and adds it to what comes without one.
fn proxy(server: &Server, folder: &std::path::Path) -> (Part, String) {
    let (port, token) = (free_port().unwrap(), folder.join("token"));
    world::cache::write(&token, server.running.root_token().as_bytes()).unwrap();
    let settings = json!({
        "vault": {"address": server.running.address()},
        "auto_auth": {"method": [{"type": "token_file", "config": {"token_file_path": token}}]},
        "api_proxy": {"use_auto_auth_token": true},
        "listener": [{"tcp": {"address": format!("127.0.0.1:{port}"), "tls_disable": true}}],
    });
    let file = folder.join("proxy.json");
    world::cache::write(&file, settings.to_string().as_bytes()).unwrap();
    let mut command = Command::new(world::python::prepare().unwrap().program("bao"));
    command.args(["proxy", &format!("-config={}", file.display())]).env("HOME", folder);
    let mut part = Part::start("bao-proxy", &command, folder).unwrap();
    part.wait_until(Duration::from_secs(30), || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()).unwrap();
    (part, format!("http://127.0.0.1:{port}"))
}

#[tokio::test]
async fn an_agent_at_the_address_logs_in_for_us() {
    let server = prepared("people-agent").await;
    let folder = tempfile::tempdir().unwrap();
    let (_part, address) = proxy(&server, folder.path());
    let vault = open(Settings::new(address, Auth::Agent));
    // The proxy listens a moment before it has its token.
    let start = std::time::Instant::now();
    while vault.validate().await.is_err() && start.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(read_name(&vault, "secret/people-agent/app").await.unwrap().0, VALUE);
    let bare = open(Settings::new(server.running.address(), Auth::Agent));
    let failure = read_name(&bare, "secret/data/people-agent/app").await.unwrap_err();
    assert_eq!(failure.class, Class::Unauthenticated);
    assert!(failure.words.contains("the token of the agent at the address"), "{failure}");
}

#[tokio::test]
async fn a_login_may_have_a_namespace_of_its_own() {
    let server = Server::shared();
    server.admin("POST", "sys/namespaces/people-team", json!({})).await;
    let mount = json!({"type": "kv", "options": {"version": "2"}});
    server.admin_in("people-team", "POST", "sys/mounts/secret", mount).await;
    server.admin_in("people-team", "POST", "secret/data/ns/app", json!({"data": {"k": "v"}})).await;
    let rules = json!({"policy": r#"path "people-team/secret/*" { capabilities = ["read", "list"] }"#});
    server.admin("PUT", "sys/policies/acl/people-team", rules).await;
    let role = server.app_role("people-ns", json!({"token_policies": ["people-team"], "token_ttl": "1h"})).await;
    let settings = |login_namespace: Option<&str>| Settings {
        namespace: Some("people-team".to_owned()),
        login_namespace: login_namespace.map(str::to_owned),
        auth: Auth::AppRole(role.clone()),
        ..server.root()
    };
    let outside = open(settings(Some("")));
    assert_eq!(read_name(&outside, "secret/data/ns/app").await.unwrap().0, VALUE);
    assert_eq!(outside.validate().await.unwrap(), Validation::Valid);
    let inside = read_name(&open(settings(None)), "secret/data/ns/app").await.unwrap_err();
    assert_eq!(inside.class, Class::Unauthenticated, "the role is not in that namespace");
}

#[tokio::test]
async fn nodes_that_are_behind_are_told_how_new_they_must_be() {
    let server = Server::shared();
    let (switchboard, root) = server.behind_switchboard();
    let token = server.running.root_token();
    let granted = json!({"auth": {"client_token": token, "lease_duration": 3600, "renewable": false}}).to_string();
    switchboard.add(Fault::answer(200, &[("X-Vault-Index", "djE6YWJj")], &granted).on_path("/login"));
    // One node alone has no index, and refuses one.
    let answered =
        json!({"data": {"data": {"k": "v"}, "metadata": {"version": 1, "deletion_time": "", "destroyed": false}}});
    switchboard.add(Fault::answer(200, &[], &answered.to_string()).on_path("/data/"));
    let sent = async |consistency| {
        switchboard.reset_counts();
        let auth = Auth::UserPass(password("userpass", "app", CANARY));
        let vault = open(Settings { auth, consistency, ..root.clone() });
        assert_eq!(read_name(&vault, "secret/data/people-index/app").await.unwrap().0, VALUE);
        let requests = switchboard.requests();
        let header = |request: &Seen, name| request.header(name).map(str::to_owned);
        let read = requests.last().unwrap();
        (header(read, "x-vault-index"), header(read, "x-vault-inconsistent"))
    };
    let (index, forward) = (Some("djE6YWJj".to_owned()), Some("forward-active-node".to_owned()));
    assert_eq!(sent(Consistency::Eventual).await, (None, None));
    assert_eq!(sent(Consistency::ReadYourWrites).await, (index.clone(), None));
    assert_eq!(sent(Consistency::Forward).await, (index, forward));
}

#[tokio::test]
async fn a_store_is_valid_when_its_login_and_mount_are() {
    let server = prepared("people-valid").await;
    let words = async |settings: Settings| match open(settings).validate().await {
        Ok(Validation::Valid) => String::new(),
        Ok(Validation::Unknown) => "unknown".to_owned(),
        Err(failure) => failure.words,
    };
    let kv = |mount: &str, version: u8| Settings {
        mount: Some(mount.to_owned()),
        kv_version: Some(version.try_into().unwrap()),
        ..server.root()
    };
    assert_eq!(words(server.root()).await, "");
    assert_eq!(words(kv("/secret/", 2)).await, "");
    assert_eq!(words(kv("secret", 1)).await, "secret is KV version 2, and the store says that it is version 1");
    assert_eq!(words(kv("sys", 2)).await, "sys is mounted, but it is no KV engine");
    let stranger = Settings { auth: crate::server::token("canary-5b1d"), ..server.root() };
    assert!(words(stranger).await.contains("is refused"));
    let bare =
        server.admin("POST", "auth/token/create", json!({"no_default_policy": true, "policies": ["people-valid"]}));
    let bare: Value = bare.await;
    let bare = bare["auth"]["client_token"].as_str().unwrap().to_owned();
    assert_eq!(words(Settings { auth: crate::server::token(&bare), ..server.root() }).await, "");
}

//! One server for all tests that run at the same time; it ends with the last of them.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use serde_json::{Value, json};
use strongroom_failure::Failure;
use strongroom_http::{Client, HeaderValue, Method, Request, Settings as HttpSettings, StatusCode};
use strongroom_provider::{Meter, Provider, RemoteKey, SecretBytes, Version};
use strongroom_vault::{AppRole, Auth, Credential, Settings, Token, Vault};
use world::open_bao::is_still_mounting;
use world::switchboard::Switchboard;

use super::running::{self, Running};

/// In every stored value of these tests: must be in no error and no Debug output.
pub(crate) const CANARY: &str = "canary-5b1d";

/// How often a mount that was just made is asked again, every 50 ms.
const MOUNTING_ROUNDS: usize = 200;

pub(crate) struct Server {
    pub(crate) running: Running,
}

impl Server {
    /// The server that runs, or a new one.
    pub(crate) fn shared() -> Arc<Self> {
        static RUNNING: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = running.upgrade() {
            return server;
        }
        let server = Arc::new(Self { running: running::start() });
        *running = Arc::downgrade(&server);
        server
    }

    /// Asks as root; anything but success ends the test.
    pub(crate) async fn admin(&self, method: &str, path: &str, body: Value) -> Value {
        self.admin_in("", method, path, body).await
    }

    pub(crate) async fn admin_in(&self, namespace: &str, method: &str, path: &str, body: Value) -> Value {
        let body = if body.is_null() { SecretBytes::default() } else { SecretBytes::from(body.to_string()) };
        let headers = [("x-vault-namespace", namespace)];
        let ask = || self.ask(&headers, method, path, body.clone());
        let mut asked = ask().await;
        for _ in 0..MOUNTING_ROUNDS {
            if !is_still_mounting(&asked.1.to_string()) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            asked = ask().await;
        }
        let (status, answer) = asked;
        assert!(status.is_success(), "{method} {path}: {status} {answer}");
        answer
    }

    /// Asks as root, with those of the headers that have a value.
    async fn ask(
        &self,
        headers: &[(&'static str, &str)],
        method: &str,
        path: &str,
        body: SecretBytes,
    ) -> (StatusCode, Value) {
        let mut request = Request::new(body);
        *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        *request.uri_mut() = format!("{}/v1/{path}", self.running.address()).parse().unwrap();
        let token = [("x-vault-token", self.running.root_token())];
        for (name, value) in token.iter().chain(headers).filter(|(_, value)| !value.is_empty()) {
            request.headers_mut().insert(*name, HeaderValue::from_str(value).unwrap());
        }
        let response = Client::new(HttpSettings::default()).unwrap().send(request).await.unwrap();
        (response.status, serde_json::from_slice(response.body.expose()).unwrap_or_default())
    }

    /// The token behind which the answer to a write waits.
    pub(crate) async fn wrapped(&self, path: &str) -> String {
        let (status, answer) = self.ask(&[("x-vault-wrap-ttl", "60s")], "POST", path, SecretBytes::default()).await;
        assert!(status.is_success(), "{path}: {status}");
        answer["wrap_info"]["token"].as_str().unwrap().to_owned()
    }

    /// Writes a version of the secret `name` below `secret/`, KV version 2.
    pub(crate) async fn put(&self, name: &str, data: Value) {
        self.admin("POST", &format!("secret/data/{name}"), json!({ "data": data })).await;
    }

    /// Settings for this server with the root token.
    pub(crate) fn root(&self) -> Settings {
        Settings::new(self.running.address(), token(self.running.root_token()))
    }

    /// A switchboard before the server, and settings with the root token that lead through it.
    pub(crate) fn behind_switchboard(&self) -> (Switchboard, Settings) {
        let switchboard = Switchboard::to(self.running.host_port()).unwrap();
        let settings = Settings { address: switchboard.address().to_owned(), ..self.root() };
        (switchboard, settings)
    }

    /// A policy that allows to read everything below `secret/data/PREFIX/`.
    pub(crate) async fn allow_reading(&self, policy: &str, prefix: &str) {
        let rules = format!("path \"secret/data/{prefix}/*\" {{ capabilities = [\"read\"] }}");
        self.admin("PUT", &format!("sys/policies/acl/{policy}"), json!({ "policy": rules })).await;
    }

    /// An AppRole `name` at a mount of its own, `auth/NAME`, with `options` for its tokens.
    pub(crate) async fn app_role(&self, name: &str, options: Value) -> AppRole {
        self.admin("POST", &format!("sys/auth/{name}"), json!({"type": "approle"})).await;
        let role = format!("auth/{name}/role/{name}");
        self.admin("POST", &role, options).await;
        let role_id = self.admin("GET", &format!("{role}/role-id"), Value::Null).await;
        let secret_id = self.admin("POST", &format!("{role}/secret-id"), json!({})).await;
        AppRole {
            mount: Some(name.to_owned()),
            role_id: given(role_id["data"]["role_id"].as_str().unwrap()),
            secret_id: Some(given(secret_id["data"]["secret_id"].as_str().unwrap())),
            wrapped: false,
        }
    }
}

pub(crate) fn token(text: &str) -> Auth {
    Auth::Token(Token(Credential::Value { value: text.to_owned().into(), origin: "VAULT_TOKEN".to_owned() }))
}

pub(crate) fn given(text: &str) -> Credential {
    Credential::Value { value: text.to_owned().into(), origin: "the test".to_owned() }
}

pub(crate) fn open(settings: Settings) -> Vault {
    Vault::open(settings, Arc::new(Meter::default())).unwrap()
}

/// Reads one key: the value as text and its version.
pub(crate) async fn read(vault: &Vault, key: RemoteKey) -> Result<(String, Option<String>), Failure> {
    let mut answers = tokio::time::timeout(Duration::from_secs(60), vault.read(&[key])).await.unwrap();
    assert_eq!(answers.len(), 1);
    let answer = answers.remove(0);
    answer.map(|read| (read.value.expose_text().unwrap().to_owned(), read.version)).map_err(checked)
}

pub(crate) async fn read_name(vault: &Vault, name: &str) -> Result<(String, Option<String>), Failure> {
    read(vault, RemoteKey::current(name)).await
}

/// The failure, after a look at all of it: no value, no token.
pub(crate) fn checked(failure: Failure) -> Failure {
    let shown = format!("{failure} {failure:?}");
    assert!(!shown.contains(CANARY) && !shown.contains("s."), "a failure shows a secret: {}", shown.len());
    failure
}

pub(crate) fn at(name: &str, version: &str) -> RemoteKey {
    RemoteKey::at(name, Version::Id(version.to_owned()))
}

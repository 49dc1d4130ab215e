//! A store in memory that answers without a network: for fuzzing.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use strongroom_http::{HeaderMap, HeaderName, HeaderValue, Method, Peer, Received, ReplyBody, Uri};
use strongroom_secret::SecretBytes;
use strongroom_storage::memory::Memory;

use crate::keys::Keys;
use crate::seal::{Seal, unwrap_under, wrap_under};
use crate::store::Store;
use crate::trail::Unaudited;

/// The value that nobody but the root token may have.
pub const HIDDEN: &str = "canary7f3a9c51";

/// A store with a secret that the token of [`InProcess::token`] may not read.
pub struct InProcess {
    store: Arc<Store>,
    token: String,
}

/// A key that lies nowhere.
struct InMemory(SecretBytes);

#[async_trait::async_trait]
impl Seal for InMemory {
    fn kind(&self) -> &'static str {
        "memory"
    }

    async fn wrap(&self, root: &SecretBytes) -> Result<Vec<u8>, strongroom_failure::Failure> {
        wrap_under(&self.0, root)
    }

    async fn unwrap(&self, wrapped: &[u8]) -> Result<SecretBytes, strongroom_failure::Failure> {
        unwrap_under(&self.0, wrapped)
    }
}

impl InProcess {
    /// A new one.
    ///
    /// # Errors
    /// Words, where it cannot be made.
    pub async fn new() -> Result<Self, String> {
        let seal: Arc<dyn Seal> = Arc::new(InMemory(SecretBytes::new(vec![7; 32])));
        let keys = Keys::new(Arc::new(Memory::default()), Some(seal)).await.map_err(|failure| failure.to_string())?;
        let store = Arc::new(Store::new(keys, "memory", None, Arc::new(Unaudited), true));
        let made = store.initialise(crate::clock::now()).await.map_err(|failure| failure.to_string())?;
        let root = made.root_token.expose_text().unwrap_or_default().to_owned();
        let mut own = Self { store, token: String::new() };
        let policy =
            "path \"secret/data/mine/*\" { capabilities = [\"create\", \"read\", \"update\", \"patch\", \"delete\"] }";
        for (path, body) in [
            ("sys/mounts/secret", json!({"type": "kv", "options": {"version": "2"}})),
            ("sys/mounts/plain", json!({"type": "kv"})),
            ("sys/auth/approle", json!({"type": "approle"})),
            ("secret/data/other", json!({"data": {"k": HIDDEN}})),
            ("plain/other", json!({"k": HIDDEN})),
            ("sys/policies/acl/mine", json!({"policy": policy})),
        ] {
            own.asked("POST", path, &root, &body).await?;
        }
        let made = own.asked("POST", "auth/token/create", &root, &json!({"policies": ["mine"]})).await?;
        let made: Value = serde_json::from_slice(&made).map_err(|error| error.to_string())?;
        made["auth"]["client_token"].as_str().unwrap_or_default().clone_into(&mut own.token);
        Ok(own)
    }

    /// A token that may do little.
    pub fn token(&self) -> &str {
        &self.token
    }

    async fn asked(&self, method: &str, path: &str, token: &str, body: &Value) -> Result<Vec<u8>, String> {
        let (status, answer) = self
            .answer(method, &format!("/v1/{path}"), &[("x-vault-token", token)], body.to_string().as_bytes())
            .await
            .ok_or("no request")?;
        if status < 300 { Ok(answer) } else { Err(format!("{path}: {status}")) }
    }

    /// The status and the body that a request gets; nothing for what HTTP does not let through.
    pub async fn answer(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<(u16, Vec<u8>)> {
        let mut given = HeaderMap::new();
        for (name, value) in headers {
            given.insert(HeaderName::try_from(*name).ok()?, HeaderValue::try_from(*value).ok()?);
        }
        let received = Received {
            method: Method::from_bytes(method.as_bytes()).ok()?,
            uri: Uri::try_from(path).ok()?,
            headers: given,
            body: SecretBytes::new(body.to_vec()),
            peer: Peer { address: SocketAddr::from(([127, 0, 0, 1], 1)), certificate: None },
        };
        let reply = self.store.answer(received).await;
        match reply.body {
            ReplyBody::Whole(body) => Some((reply.status.as_u16(), body.expose().to_vec())),
            ReplyBody::Parts(_) => Some((reply.status.as_u16(), Vec::new())),
        }
    }
}

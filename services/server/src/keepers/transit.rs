//! The root key under a key of another Vault's, OpenBao's or built-in store's transit engine.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;
use strongroom_vault::{Action, Settings, Vault};

use crate::seal::Seal;

/// Reads a variable of the environment.
pub(crate) type Lookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// A key of a transit engine.
pub(crate) struct Transit {
    /// Where the engine is mounted, and the key's name.
    mount: String,
    key: String,
    /// The environment, in which the other store is named as for any client: `VAULT_ADDR`, `VAULT_TOKEN` ...
    variables: Lookup,
}

impl Transit {
    /// The key `MOUNT/KEY`.
    pub(crate) fn new(place: &str, variables: Lookup) -> Self {
        let (mount, key) = place.rsplit_once('/').unwrap_or(("transit", place));
        Self { mount: mount.to_owned(), key: key.to_owned(), variables }
    }

    /// Asks the engine; a text of its answer's data.
    async fn ask(&self, verb: &str, body: Value, wanted: &str) -> Result<String, Failure> {
        let variables = &self.variables;
        let vault = Vault::open(Settings::from_environment(&|name| variables(name))?, Arc::default())?;
        let login = vault.log_in().await?;
        let path = format!("{}/{verb}/{}", self.mount, self.key);
        let unread =
            || Failure::new(Class::Unavailable, "the answer is not what a transit engine answers").on_key(&path);
        let answered = vault.ask(&login, &path, &Action::Write(SecretBytes::from(body.to_string()))).await;
        vault.log_out(login).await;
        let data = answered?.ok_or_else(unread)?.data()?.ok_or_else(unread)?;
        let data: Value = serde_json::from_slice(data.expose()).map_err(|_| unread())?;
        data[wanted].as_str().map(str::to_owned).ok_or_else(unread)
    }
}

#[async_trait]
impl Seal for Transit {
    fn kind(&self) -> &'static str {
        "transit"
    }

    async fn wrap(&self, root: &SecretBytes) -> Result<Vec<u8>, Failure> {
        let body = json!({"plaintext": STANDARD.encode(root.expose())});
        self.ask("encrypt", body, "ciphertext").await.map(String::into_bytes)
    }

    async fn unwrap(&self, wrapped: &[u8]) -> Result<SecretBytes, Failure> {
        let unread = |_| Failure::new(Class::Invalid, "what the store keeps about its seal is no transit ciphertext");
        let body = json!({"ciphertext": std::str::from_utf8(wrapped).map_err(|_| unread(()))?});
        let plain = SecretBytes::from(self.ask("decrypt", body, "plaintext").await?);
        STANDARD.decode(plain.expose()).map(SecretBytes::new).map_err(|_| unread(()))
    }
}

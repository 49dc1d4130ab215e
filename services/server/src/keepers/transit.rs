//! The root key under a key of another Vault's, OpenBao's or built-in store's transit engine.

use std::sync::Arc;

use async_trait::async_trait;
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;
use strongroom_vault::{Login, Settings, TransitKey, Vault};

use crate::seal::Seal;

/// Reads a variable of the environment.
pub(crate) type Lookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// A key of a transit engine.
pub(crate) struct Transit {
    key: TransitKey,
    /// The environment, in which the other store is named as for any client: `VAULT_ADDR`, `VAULT_TOKEN` ...
    variables: Lookup,
}

impl Transit {
    /// The key `MOUNT/KEY`.
    pub(crate) fn new(place: &str, variables: Lookup) -> Self {
        Self { key: TransitKey::new(place), variables }
    }

    /// The store is opened seldom: the other one is logged in to when it is, and out of at once.
    async fn log_in(&self) -> Result<(Vault, Login), Failure> {
        let variables = &self.variables;
        let vault = Vault::open(Settings::from_environment(&|name| variables(name))?, Arc::default())?;
        let login = vault.log_in().await?;
        Ok((vault, login))
    }
}

#[async_trait]
impl Seal for Transit {
    fn kind(&self) -> &'static str {
        "transit"
    }

    async fn wrap(&self, root: &SecretBytes) -> Result<Vec<u8>, Failure> {
        let (vault, login) = self.log_in().await?;
        let wrapped = self.key.encrypt(&vault, &login, root).await;
        vault.log_out(login).await;
        wrapped.map(String::into_bytes)
    }

    async fn unwrap(&self, wrapped: &[u8]) -> Result<SecretBytes, Failure> {
        let words = "what the store keeps about its seal is no transit ciphertext";
        let wrapped = std::str::from_utf8(wrapped).map_err(|_| Failure::new(Class::Invalid, words))?;
        let (vault, login) = self.log_in().await?;
        let root = self.key.decrypt(&vault, &login, wrapped).await;
        vault.log_out(login).await;
        root
    }
}

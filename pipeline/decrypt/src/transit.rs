use std::sync::Arc;

use async_trait::async_trait;
use strongroom_failure::Failure;
use strongroom_kamus::Identity;
use strongroom_secret::SecretBytes;
use strongroom_vault::{TransitKey, Vault};

use crate::management::{KeyManagement, elsewhere};

/// A key of the transit engine of Vault, OpenBao or a built-in store.
pub struct TransitManagement {
    vault: Arc<Vault>,
    place: String,
    key: TransitKey,
}

impl TransitManagement {
    /// The key `MOUNT/NAME`, or `NAME` of the engine at `transit`.
    pub fn new(vault: Arc<Vault>, place: &str) -> Self {
        Self { vault, place: place.to_owned(), key: TransitKey::new(place) }
    }
}

#[async_trait]
impl KeyManagement for TransitManagement {
    fn describe(&self) -> String {
        format!("the transit key {}", self.place)
    }

    async fn wrap(&self, key: &SecretBytes) -> Result<String, Failure> {
        let login = self.vault.log_in().await?;
        self.key.encrypt(&self.vault, &login, key).await
    }

    async fn unwrap(&self, wrapped: &str) -> Result<SecretBytes, Failure> {
        let login = self.vault.log_in().await?;
        self.key.decrypt(&self.vault, &login, wrapped).await
    }

    async fn unwrap_legacy(&self, _: &[u8], _: &Identity) -> Result<SecretBytes, Failure> {
        Err(elsewhere("one of Kamus, which knew no transit engines"))
    }

    async fn open_legacy(&self, _: &[u8], _: &Identity) -> Result<SecretBytes, Failure> {
        Err(elsewhere("one of Kamus, which knew no transit engines"))
    }
}

//! Keys of a transit engine, which encrypt and decrypt for who may use them and never leave it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use strongroom_failure::{Class, Failure};
use strongroom_provider::SecretBytes;

use crate::leases::{Action, Login};
use crate::vault::Vault;

/// A key of an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransitKey {
    mount: String,
    name: String,
}

impl TransitKey {
    /// The key `MOUNT/NAME`, or `NAME` of the engine at `transit`.
    pub fn new(place: &str) -> Self {
        let (mount, name) = place.rsplit_once('/').unwrap_or(("transit", place));
        Self { mount: mount.to_owned(), name: name.to_owned() }
    }

    /// Encrypts `plain` with the key's newest version: `vault:vN:…`.
    ///
    /// # Errors
    /// What the server answers, or that it does not.
    pub async fn encrypt(&self, vault: &Vault, login: &Login, plain: &SecretBytes) -> Result<String, Failure> {
        let body = json!({"plaintext": STANDARD.encode(plain.expose())});
        self.ask(vault, login, "encrypt", body, "ciphertext").await
    }

    /// Decrypts what a version of the key has encrypted.
    ///
    /// # Errors
    /// As [`TransitKey::encrypt`]; `Invalid` for anything else.
    pub async fn decrypt(&self, vault: &Vault, login: &Login, ciphertext: &str) -> Result<SecretBytes, Failure> {
        let plain = self.ask(vault, login, "decrypt", json!({"ciphertext": ciphertext}), "plaintext").await?;
        let plain = SecretBytes::from(plain);
        STANDARD.decode(plain.expose()).map(SecretBytes::new).map_err(|_| self.unread("decrypt"))
    }

    async fn ask(
        &self,
        vault: &Vault,
        login: &Login,
        verb: &str,
        body: Value,
        wanted: &str,
    ) -> Result<String, Failure> {
        let action = Action::Write(SecretBytes::from(body.to_string()));
        let answered = vault.ask(login, &self.path(verb), &action).await?;
        let data = answered.ok_or_else(|| self.unread(verb))?.data()?.ok_or_else(|| self.unread(verb))?;
        let data: Value = serde_json::from_slice(data.expose()).map_err(|_| self.unread(verb))?;
        data[wanted].as_str().map(str::to_owned).ok_or_else(|| self.unread(verb))
    }

    fn path(&self, verb: &str) -> String {
        format!("{}/{verb}/{}", self.mount, self.name)
    }

    fn unread(&self, verb: &str) -> Failure {
        let words = "the answer is not what a transit engine answers";
        Failure::new(Class::Unavailable, words).on_key(self.path(verb))
    }
}

use async_trait::async_trait;
use strongroom_failure::{Class, Failure};
use strongroom_kamus::Identity;
use strongroom_secret::SecretBytes;

/// Who keeps the key under which everything else is wrapped.
#[async_trait]
pub trait KeyManagement: Send + Sync {
    /// In people's words: `AWS KMS key alias/strongroom`.
    fn describe(&self) -> String;

    /// Wraps 32 bytes; what comes back is text that only this key unwraps.
    ///
    /// # Errors
    /// What the key management answers, or that it does not.
    async fn wrap(&self, key: &SecretBytes) -> Result<String, Failure>;

    /// Unwraps what [`KeyManagement::wrap`] made.
    ///
    /// # Errors
    /// As there; `Invalid` for anything else.
    async fn unwrap(&self, wrapped: &str) -> Result<SecretBytes, Failure>;

    /// The fresh key of an envelope that Kamus made for `identity` with this key management.
    ///
    /// # Errors
    /// `Invalid` where Kamus made none with it, or made it for somebody else; else as [`KeyManagement::unwrap`].
    async fn unwrap_legacy(&self, wrapped_key: &[u8], identity: &Identity) -> Result<SecretBytes, Failure>;

    /// What a text of Kamus holds that the key management itself encrypted for `identity`.
    ///
    /// # Errors
    /// As [`KeyManagement::unwrap_legacy`].
    async fn open_legacy(&self, encrypted: &[u8], identity: &Identity) -> Result<SecretBytes, Failure>;
}

/// A text of Kamus that another key management must open.
pub(crate) fn elsewhere(what: &str) -> Failure {
    let words = format!("the text is {what}, which is not this installation's key management");
    Failure::new(Class::Invalid, words).with_hint("name the key management that Kamus used, or encrypt the value again")
}

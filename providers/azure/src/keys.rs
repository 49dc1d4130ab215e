//! A vault's keys: small things are encrypted and decrypted with them, such as other keys.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use strongroom_failure::{Class, Failure};
use strongroom_http::{Method, Response, json_body};
use strongroom_provider::{Meter, Provider as _, SecretBytes};

use crate::name::{Kind, is_name};
use crate::settings::Settings;
use crate::{KeyVault, VERSION, answer};

const ENCRYPT: &str = "keyvault:Encrypt";
const DECRYPT: &str = "keyvault:Decrypt";

/// The keys of one vault, used by one identity.
pub struct Keys(KeyVault);

/// A key of a vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyName {
    name: String,
    version: Option<String>,
}

/// How RSA keys encrypt. A key of N bits takes N/8 bytes, less two digests and two: of 2048 bits 214 bytes by
/// [`Algorithm::RsaOaep`], and 190 by [`Algorithm::RsaOaep256`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Algorithm {
    /// RSA-OAEP with SHA-1, as Kamus has it.
    #[serde(rename = "RSA-OAEP")]
    RsaOaep,
    /// RSA-OAEP with SHA-256.
    #[serde(rename = "RSA-OAEP-256")]
    RsaOaep256,
}

/// What a key encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encrypted {
    /// The ciphertext, as many bytes as the key has.
    pub bytes: Vec<u8>,
    /// The key's version that encrypted it, and that alone decrypts it: a key's current one changes.
    pub version: String,
}

#[derive(Serialize)]
struct Question<'a> {
    alg: Algorithm,
    /// Base64 for URLs, as in answers.
    value: &'a str,
}

#[derive(Deserialize)]
struct Answered {
    kid: String,
    value: String,
}

impl KeyName {
    /// The key `name`, in its current version where none is named.
    ///
    /// # Errors
    /// `Invalid` for what no key can have as its name or version.
    pub fn new(name: &str, version: Option<&str>) -> Result<Self, Failure> {
        if !is_name(name) || !version.is_none_or(is_name) {
            return Err(Failure::new(Class::Invalid, "this does not name a key of a vault")
                .with_hint("names and versions have letters, digits and dashes"));
        }
        Ok(Self { name: name.to_owned(), version: version.map(ToOwned::to_owned) })
    }
}

/// `NAME`, or `NAME/VERSION`.
impl fmt::Display for KeyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(formatter, "{}/{version}", self.name),
            None => formatter.write_str(&self.name),
        }
    }
}

impl Keys {
    /// The keys of the vault of `settings` (whose `form` says nothing here): asks nothing of the network.
    ///
    /// # Errors
    /// Where a setting or the credentials cannot be used.
    pub fn open(settings: Settings, meter: Arc<Meter>) -> Result<Self, Failure> {
        KeyVault::open(settings, meter).map(Self)
    }

    /// Encrypts as many bytes as `key` takes by `algorithm`.
    ///
    /// # Errors
    /// What the vault answers, or that it does not. `NotFound` where there is no such key, `Invalid` where it is
    /// disabled and for more bytes than it takes.
    pub async fn encrypt(
        &self,
        key: &KeyName,
        algorithm: Algorithm,
        plain: &SecretBytes,
    ) -> Result<Encrypted, Failure> {
        let (kid, bytes) = self.use_key(ENCRYPT, key, algorithm, plain.expose()).await?;
        let version = kid.rsplit('/').next().filter(|version| is_name(version));
        let version = version.ok_or_else(|| self.about(unread(), key))?.to_owned();
        Ok(Encrypted { bytes: bytes.expose().to_vec(), version })
    }

    /// Decrypts what `key` encrypted by `algorithm`. Without a version it is the current one that tries: the texts of
    /// Kamus name none, so that they open until the key is rotated.
    ///
    /// # Errors
    /// As for [`Keys::encrypt`]; `Invalid` for what another key or version encrypted or was changed, too.
    pub async fn decrypt(
        &self,
        key: &KeyName,
        algorithm: Algorithm,
        ciphertext: &[u8],
    ) -> Result<SecretBytes, Failure> {
        self.use_key(DECRYPT, key, algorithm, ciphertext).await.map(|(_, plain)| plain)
    }

    /// The key's identifier and what it made of `bytes`.
    async fn use_key(
        &self,
        operation: &'static str,
        key: &KeyName,
        algorithm: Algorithm,
        bytes: &[u8],
    ) -> Result<(String, SecretBytes), Failure> {
        let used = Box::pin(self.asked(operation, key, algorithm, bytes)).await;
        used.map_err(|failure| self.about(failure, key))
    }

    async fn asked(
        &self,
        operation: &'static str,
        key: &KeyName,
        algorithm: Algorithm,
        bytes: &[u8],
    ) -> Result<(String, SecretBytes), Failure> {
        let verb = if operation == ENCRYPT { "encrypt" } else { "decrypt" };
        // Without a version nothing stands between the slashes, as Azure's own clients have it.
        let (base, name, version) = (&self.0.vault.base, &key.name, key.version.as_deref().unwrap_or_default());
        let address = format!("{base}/keys/{name}/{version}/{verb}?api-version={VERSION}");
        let value = SecretBytes::from(URL_SAFE_NO_PAD.encode(bytes));
        let body = json_body(&Question { alg: algorithm, value: value.expose_text().unwrap_or_default() })?;
        let (response, token) = self.0.ask_twice(Method::POST, &address, &body, operation).await?;
        if !response.status.is_success() {
            return Err(self.refusal(&response, operation, &token.secret));
        }
        let Answered { kid, value } = answer::read(response.body.expose())?;
        let value = SecretBytes::from(value);
        let bytes = value.expose_text().map(|text| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')));
        match bytes {
            Some(Ok(bytes)) => Ok((kid, SecretBytes::new(bytes))),
            _ => Err(unread()),
        }
    }

    fn refusal(&self, response: &Response, operation: &str, token: &SecretBytes) -> Failure {
        let failure = answer::refusal(response, Kind::Key, &[token]);
        let is_about_network = failure.hint.as_deref().is_some_and(|hint| hint.contains("firewall"));
        match (failure.class, response.status.as_u16(), operation) {
            (Class::Denied, ..) if !is_about_network => {
                let (verb, identity) = (if operation == ENCRYPT { "encrypt" } else { "decrypt" }, self.0.identity());
                failure.with_hint(format!(
                    "assign the role \"Key Vault Crypto User\", or allow keys' {verb} in the vault's access policies, to \
                     {identity}"
                ))
            }
            (Class::Invalid, 400, DECRYPT) => {
                let words = format!("another key encrypted it, or it was changed: {}", failure.words);
                Failure { words, ..failure }
            }
            _ => failure,
        }
    }

    fn about(&self, failure: Failure, key: &KeyName) -> Failure {
        failure.on_key(key.to_string()).from_store(self.0.describe())
    }
}

fn unread() -> Failure {
    Failure::new(Class::Unavailable, "the answer is not what Azure Key Vault sends")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_names_and_maybe_versions() {
        let check = |name: &str, version: Option<&str>, expected: Option<&str>| {
            let key = KeyName::new(name, version).ok().map(|key| key.to_string());
            assert_eq!(key.as_deref(), expected, "{name}");
        };
        let kid = "ha-2LBp7QepEbeofHtp3-UnU1a8DebK9HccStW0KecQ";
        check(kid, None, Some(kid));
        check("k", Some("0a1b"), Some("k/0a1b"));
        for wrong in ["", "..", "a/b", "a?x", "a_b", "a b", "%2e", "ü"] {
            check(wrong, None, None);
            check("k", Some(wrong), None);
        }
    }
}

//! The clouds' key managements. Each wraps the installation's key under one key, and opens what Kamus encrypted under the
//! keys that it made for each service account.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use strongroom_aws::Session;
use strongroom_azure::{Algorithm, KeyName, Keys};
use strongroom_failure::{Class, Failure};
use strongroom_google::KeyManagement as GoogleKeys;
use strongroom_kamus::Identity;
use strongroom_kamus::legacy::{aws_alias, data_key_of_text, google_key};
use strongroom_secret::SecretBytes;

use crate::decrypter::failure;
use crate::management::{KeyManagement, elsewhere};

/// What a wrapped key is for: AWS gives it to nobody who does not say so, and CloudTrail shows it.
const CONTEXT: [(&str, &str); 1] = [("strongroom", "kamus")];

/// A key of AWS KMS.
pub struct AwsManagement {
    session: Session,
    key: String,
    prefix: String,
}

impl AwsManagement {
    /// The key by id, ARN or alias; `prefix` is Kamus' setting `CmkPrefix`, empty for none.
    pub fn new(session: Session, key: String, prefix: String) -> Self {
        Self { session, key, prefix }
    }
}

#[async_trait]
impl KeyManagement for AwsManagement {
    fn describe(&self) -> String {
        format!("AWS KMS, key {}", self.key)
    }

    async fn wrap(&self, key: &SecretBytes) -> Result<String, Failure> {
        self.session.wrap_with_key(&self.key, &CONTEXT, key).await.map(|wrapped| STANDARD.encode(wrapped))
    }

    async fn unwrap(&self, wrapped: &str) -> Result<SecretBytes, Failure> {
        self.session.unwrap_with_key(&self.key, &CONTEXT, &bytes(wrapped)?).await
    }

    async fn unwrap_legacy(&self, wrapped_key: &[u8], identity: &Identity) -> Result<SecretBytes, Failure> {
        self.session.unwrap_with_key(&aws_alias(&self.prefix, identity), &[], wrapped_key).await
    }

    async fn open_legacy(&self, _: &[u8], _: &Identity) -> Result<SecretBytes, Failure> {
        Err(elsewhere("one that Kamus made with Google KMS or Azure Key Vault"))
    }
}

/// A key of Google Cloud KMS.
pub struct GoogleManagement {
    keys: GoogleKeys,
    key: String,
}

impl GoogleManagement {
    /// The key by its whole name, `projects/P/locations/L/keyRings/R/cryptoKeys/K`. Kamus' keys are looked for in the same
    /// ring.
    ///
    /// # Errors
    /// `Invalid` for another kind of name.
    pub fn new(keys: GoogleKeys, key: String) -> Result<Self, Failure> {
        let made = Self { keys, key };
        made.ring().map(|_| ()).ok_or_else(|| {
            let hint = "write projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY";
            Failure::new(Class::Invalid, "this does not name a key of Google Cloud KMS").with_hint(hint)
        })?;
        Ok(made)
    }

    /// Project, location and ring.
    fn ring(&self) -> Option<(&str, &str, &str)> {
        match self.key.split('/').collect::<Vec<_>>().as_slice() {
            ["projects", project, "locations", location, "keyRings", ring, "cryptoKeys", _] => {
                Some((project, location, ring))
            }
            _ => None,
        }
    }
}

#[async_trait]
impl KeyManagement for GoogleManagement {
    fn describe(&self) -> String {
        format!("Google Cloud KMS, key {}", self.key)
    }

    async fn wrap(&self, key: &SecretBytes) -> Result<String, Failure> {
        self.keys.encrypt(&self.key, key).await.map(|wrapped| STANDARD.encode(wrapped))
    }

    async fn unwrap(&self, wrapped: &str) -> Result<SecretBytes, Failure> {
        self.keys.decrypt(&self.key, &bytes(wrapped)?).await
    }

    async fn unwrap_legacy(&self, _: &[u8], _: &Identity) -> Result<SecretBytes, Failure> {
        Err(elsewhere("an envelope: Kamus made it with AWS KMS or Azure Key Vault"))
    }

    async fn open_legacy(&self, encrypted: &[u8], identity: &Identity) -> Result<SecretBytes, Failure> {
        let (project, location, ring) = self.ring().unwrap_or_default();
        self.keys.decrypt(&google_key(project, location, ring, identity), encrypted).await
    }
}

/// A key of Azure Key Vault.
pub struct AzureManagement {
    keys: Keys,
    key: String,
}

impl AzureManagement {
    /// The key `name` of the vault of `keys`. Kamus' keys are looked for in the same vault.
    ///
    /// # Errors
    /// `Invalid` for a name that no key has.
    pub fn new(keys: Keys, name: String) -> Result<Self, Failure> {
        KeyName::new(&name, None)?;
        Ok(Self { keys, key: name })
    }

    async fn opened(&self, encrypted: &[u8], identity: &Identity) -> Result<SecretBytes, Failure> {
        self.keys.decrypt(&KeyName::new(&identity.key_id(), None)?, Algorithm::RsaOaep, encrypted).await
    }
}

#[async_trait]
impl KeyManagement for AzureManagement {
    fn describe(&self) -> String {
        format!("Azure Key Vault, key {}", self.key)
    }

    /// `VERSION:BASE64`: a version alone decrypts what it encrypted.
    async fn wrap(&self, key: &SecretBytes) -> Result<String, Failure> {
        let encrypted = self.keys.encrypt(&KeyName::new(&self.key, None)?, Algorithm::RsaOaep256, key).await?;
        Ok(format!("{}:{}", encrypted.version, STANDARD.encode(encrypted.bytes)))
    }

    async fn unwrap(&self, wrapped: &str) -> Result<SecretBytes, Failure> {
        let (version, encrypted) = wrapped.split_once(':').ok_or_else(not_ours)?;
        let key = KeyName::new(&self.key, Some(version))?;
        self.keys.decrypt(&key, Algorithm::RsaOaep256, &bytes(encrypted)?).await
    }

    async fn unwrap_legacy(&self, wrapped_key: &[u8], identity: &Identity) -> Result<SecretBytes, Failure> {
        data_key_of_text(&self.opened(wrapped_key, identity).await?).map_err(failure)
    }

    async fn open_legacy(&self, encrypted: &[u8], identity: &Identity) -> Result<SecretBytes, Failure> {
        self.opened(encrypted, identity).await
    }
}

fn bytes(wrapped: &str) -> Result<Vec<u8>, Failure> {
    STANDARD.decode(wrapped).map_err(|_| not_ours())
}

fn not_ours() -> Failure {
    Failure::new(Class::Invalid, "the installation's key was wrapped by another kind of key management")
}

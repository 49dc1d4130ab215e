use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use strongroom_crypto::{AEAD_KEY_LENGTH, NewKey, OpeningKey, PrivateKey, SealingKey, open, random_bytes, seal};
use strongroom_secret::SecretBytes;

use crate::{KamusError, KeyId};

/// The longest name of an installation, as a label in Kubernetes.
const LONGEST_NAME: usize = 63;

/// What values are bound to besides their service account, so that those of one cluster do not open in another one that
/// has its keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Installation(String);

impl Installation {
    /// An installation of this name.
    ///
    /// # Errors
    /// [`KamusError::BadInstallation`].
    pub fn new(name: &str) -> Result<Self, KamusError> {
        let is_inside = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_good = (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(is_inside);
        if is_good { Ok(Self(name.to_owned())) } else { Err(KamusError::BadInstallation) }
    }
}

impl TryFrom<String> for Installation {
    type Error = KamusError;

    fn try_from(name: String) -> Result<Self, KamusError> {
        Self::new(&name)
    }
}

impl From<Installation> for String {
    fn from(installation: Installation) -> Self {
        installation.0
    }
}

impl fmt::Display for Installation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The keys of an installation, as they are kept: nothing in it is secret to who cannot unwrap.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyRing {
    /// Whose keys they are.
    pub installation: Installation,
    /// The newest last: it is what new values are sealed for.
    pub keys: Vec<KeyRecord>,
}

/// One key of an installation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyRecord {
    /// When it was made, RFC 3339.
    pub created: String,
    /// Its public half: `SubjectPublicKeyInfo` in DER, base64.
    pub public_key: String,
    /// The key that its private half is sealed under, as the key management wrapped it.
    pub wrapped_key: String,
    /// The private half, PKCS#8, sealed under that key for this installation and name, base64.
    pub private_key: String,
}

/// A key that was just made: its record lacks what only the key management can give.
pub struct NewRecord {
    /// 32 bytes for the key management to wrap.
    pub key: SecretBytes,
    public_key: Vec<u8>,
    private_key: Vec<u8>,
}

/// The private half of a record, ready to open texts.
#[derive(Debug)]
pub struct OpenedKey {
    /// Its name.
    pub id: KeyId,
    /// What opens.
    pub key: OpeningKey,
}

impl KeyRing {
    /// Reads a ring, JSON.
    ///
    /// # Errors
    /// [`KamusError::BadRing`].
    pub fn read(bytes: &[u8]) -> Result<Self, KamusError> {
        let ring: Self = serde_json::from_slice(bytes).map_err(|_| KamusError::BadRing)?;
        ring.keys.iter().try_for_each(|record| record.public().map(drop))?;
        Ok(ring)
    }

    /// The ring as JSON, one member a line.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// The record with this name.
    pub fn find(&self, id: &KeyId) -> Option<&KeyRecord> {
        self.keys.iter().find(|record| record.id().as_ref() == Ok(id))
    }

    /// What new values are sealed for, and its name.
    ///
    /// # Errors
    /// [`KamusError::UnknownKey`] where there is none yet.
    pub fn sealing_key(&self) -> Result<(KeyId, SealingKey), KamusError> {
        let record = self.keys.last().ok_or(KamusError::UnknownKey)?;
        let public = record.public()?;
        let key = SealingKey::new(&public).map_err(|_| KamusError::BadRing)?;
        Ok((KeyId::of_public_key(&public), key))
    }
}

impl KeyRecord {
    /// The key's name.
    ///
    /// # Errors
    /// [`KamusError::BadRing`] where its public half is not base64.
    pub fn id(&self) -> Result<KeyId, KamusError> {
        self.public().map(|public| KeyId::of_public_key(&public))
    }

    /// The public half, DER.
    ///
    /// # Errors
    /// [`KamusError::BadRing`].
    pub fn public(&self) -> Result<Vec<u8>, KamusError> {
        STANDARD.decode(&self.public_key).map_err(|_| KamusError::BadRing)
    }

    /// The private half, by the `key` that the key management unwrapped.
    ///
    /// # Errors
    /// [`KamusError::Wrong`] where it is another key, or the record was changed or brought from elsewhere.
    pub fn open(&self, installation: &Installation, key: &SecretBytes) -> Result<OpenedKey, KamusError> {
        let id = self.id()?;
        let sealed = STANDARD.decode(&self.private_key).map_err(|_| KamusError::BadRing)?;
        let pkcs8 = open(key, &place(installation, &id), &sealed).map_err(|_| KamusError::Wrong)?;
        let private = PrivateKey::from_der(pkcs8.expose()).ok_or(KamusError::Wrong)?;
        // Whoever can write the ring must not have values sealed for a key of theirs.
        if private.public_key().ok() != Some(self.public()?) {
            return Err(KamusError::Wrong);
        }
        Ok(OpenedKey { id, key: OpeningKey::new(&private).map_err(|_| KamusError::Failed)? })
    }
}

impl NewRecord {
    /// Makes a key for an installation: RSA of 3072 bits, which is good beyond 2030 (SP 800-57) and opens in about a
    /// millisecond.
    ///
    /// # Errors
    /// [`KamusError::Failed`].
    pub fn generate(installation: &Installation) -> Result<Self, KamusError> {
        let failed = |_| KamusError::Failed;
        let private = PrivateKey::generate(NewKey::Rsa3072).map_err(failed)?;
        let public_key = private.public_key().map_err(failed)?;
        let key = random_bytes(AEAD_KEY_LENGTH).ok_or(KamusError::Failed)?;
        let place = place(installation, &KeyId::of_public_key(&public_key));
        let private_key = seal(&key, &place, private.expose_pkcs8()).map_err(failed)?;
        Ok(Self { key, public_key, private_key })
    }

    /// The record, once the key management has wrapped [`NewRecord::key`].
    pub fn wrapped(self, wrapped_key: String, created: String) -> KeyRecord {
        KeyRecord {
            created,
            public_key: STANDARD.encode(self.public_key),
            wrapped_key,
            private_key: STANDARD.encode(self.private_key),
        }
    }
}

fn place(installation: &Installation, id: &KeyId) -> Vec<u8> {
    format!("kamus|{installation}|{id}").into_bytes()
}

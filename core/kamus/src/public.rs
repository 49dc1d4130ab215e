use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use strongroom_crypto::SealingKey;
use strongroom_secret::SecretBytes;

use crate::{Identity, Installation, KamusError, KeyId, SealedText};

/// What who encrypts needs to have, and everybody may: the newest key of an installation, its public half.
///
/// `strongroom kamus keys public` and the encryptor's `GET /api/v1/public-key` give it as a JSON document.
pub struct PublicKey {
    installation: Installation,
    id: KeyId,
    key: SealingKey,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    installation: Installation,
    key: String,
    public_key: String,
}

impl PublicKey {
    /// Reads the document.
    ///
    /// # Errors
    /// [`KamusError::BadPublicKey`], also where the key's name is not that of the key.
    pub fn read(json: &[u8]) -> Result<Self, KamusError> {
        let bad = KamusError::BadPublicKey;
        let document: Document = serde_json::from_slice(json).map_err(|_| bad)?;
        let spki = STANDARD.decode(&document.public_key).map_err(|_| bad)?;
        let id = KeyId::of_public_key(&spki);
        let key = SealingKey::new(&spki).map_err(|_| bad)?;
        if id.to_string() == document.key {
            Ok(Self { installation: document.installation, id, key })
        } else {
            Err(bad)
        }
    }

    /// The key's name.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// Seals `plain` for `identity`.
    ///
    /// # Errors
    /// As [`SealedText::seal`].
    pub fn seal(&self, identity: &Identity, plain: &SecretBytes) -> Result<SealedText, KamusError> {
        SealedText::seal(&self.key, &self.id, &self.installation, identity, plain)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PublicKey({} of {})", self.id, self.installation)
    }
}

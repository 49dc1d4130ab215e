//! Encrypting and decrypting.

use strongroom_crypto::{AEAD_OVERHEAD, OaepDigest, hkdf_sha256_32, rsa_oaep_decrypt, rsa_oaep_encrypt};
use strongroom_secret::SecretBytes;

use crate::encoding::{decode_base64, split, versioned};
use crate::error::TransitError;
use crate::key::{Key, KeyVersion};
use crate::material::Material;

/// What stands around a text: it has to be the same on the way back, and is not kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Around<'a> {
    /// The context whose key is used, of a derived key; other keys pass over it.
    pub context: &'a [u8],
    /// Data that are authenticated and not encrypted, by AES and ChaCha20.
    pub associated_data: &'a [u8],
}

/// What was made, and by which version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// `vault:v3:BASE64`.
    pub text: String,
    /// The version.
    pub version: u64,
}

impl Key {
    /// Encrypts by a version; 0 for the latest. A version of AES or ChaCha20 encrypts 2^32 times: rotate it before.
    ///
    /// # Errors
    /// [`TransitError::Invalid`] for a type that does not encrypt, a version that may not, a derived key without
    /// context, or what is too long for RSA.
    pub fn encrypt(&self, version: i64, around: Around<'_>, plain: &[u8]) -> Result<Made, TransitError> {
        self.can_encrypt("encryption", around)?;
        let (version, key) = self.version_for(version, "encryption")?;
        let sealed = match self.kind().aead() {
            Some(aead) => {
                let key = self.in_context(key, around.context)?;
                aead.seal(&key, around.associated_data, plain).map_err(TransitError::Failed)?
            }
            None => {
                let unfit = |reason| TransitError::invalid(format!("failed to RSA encrypt the plaintext: {reason}"));
                rsa_oaep_encrypt(key.spki()?, OaepDigest::Sha256, plain).map_err(unfit)?
            }
        };
        Ok(Made { text: versioned(version, &sealed), version })
    }

    /// Decrypts what [`Self::encrypt`] made.
    ///
    /// # Errors
    /// [`TransitError::Invalid`] for anything else, and for versions that may not decrypt any more.
    pub fn decrypt(&self, around: Around<'_>, text: &str) -> Result<SecretBytes, TransitError> {
        self.can_encrypt("decryption", around)?;
        let (version, body) = split(text, "ciphertext")?;
        let key = self.version_of(version, "ciphertext")?;
        let sealed =
            decode_base64(body).ok_or_else(|| TransitError::invalid("invalid ciphertext: could not decode base64"))?;
        match self.kind().aead() {
            Some(_) if sealed.len() < AEAD_OVERHEAD => Err(TransitError::invalid("invalid ciphertext length")),
            Some(aead) => {
                let key = self.in_context(key, around.context)?;
                let opened = aead.open(&key, around.associated_data, sealed.expose());
                opened.map_err(|_| TransitError::invalid("cipher: message authentication failed"))
            }
            None => {
                let mut plain = rsa_oaep_decrypt(&key.private_key()?, OaepDigest::Sha256, sealed.expose())
                    .map_err(|_| TransitError::invalid("failed to RSA decrypt the ciphertext"))?;
                Ok(SecretBytes::new(std::mem::take(&mut *plain)))
            }
        }
    }

    /// Encrypts anew what was encrypted by an older version, and shows it to nobody.
    ///
    /// # Errors
    /// As on the way there and back.
    pub fn rewrap(&self, version: i64, around: Around<'_>, text: &str) -> Result<Made, TransitError> {
        self.encrypt(version, around, self.decrypt(around, text)?.expose())
    }

    fn can_encrypt(&self, what: &str, around: Around<'_>) -> Result<(), TransitError> {
        let name = self.kind().name();
        if !self.kind().encrypts() {
            return Err(TransitError::invalid(format!("message {what} not supported for key type {name}")));
        }
        if self.kind().aead().is_none() && !around.associated_data.is_empty() {
            return Err(TransitError::invalid(format!("associated_data provided for non-AEAD cipher suite {name}")));
        }
        Ok(())
    }

    /// The key of a version, or of a context of it.
    fn in_context(&self, version: &KeyVersion, context: &[u8]) -> Result<SecretBytes, TransitError> {
        let Material(key) = &version.material;
        if !self.settings().derived {
            return Ok(key.clone());
        }
        self.derived(key, context)
    }

    /// The key of a context.
    pub(crate) fn derived(&self, key: &SecretBytes, context: &[u8]) -> Result<SecretBytes, TransitError> {
        if context.is_empty() {
            return Err(TransitError::invalid(
                "missing 'context' for key derivation; the key was created using a derived key, which means \
                 additional, per-request information must be included in order to perform operations with the key",
            ));
        }
        hkdf_sha256_32(key, context).map_err(TransitError::Failed)
    }
}

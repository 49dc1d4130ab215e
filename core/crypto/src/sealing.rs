//! Sealing for the owner of a public key: a fresh key by RSA-OAEP, what is sealed by AES-256-GCM under it.
//!
//! The bytes are those of SealedSecret: the length of the first part as two bytes, big-endian; the fresh key by
//! RSA-OAEP with SHA-256 and a label; what is sealed under it with a nonce of zeros, since the key is used once. Who
//! has the public key alone can seal; only with the private key and the same label it opens.

use std::fmt;

use aws_lc_rs::rsa::{
    OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use strongroom_secret::SecretBytes;

use crate::aead::{AEAD_KEY_LENGTH, open_once, seal_once};
use crate::random::random_bytes;
use crate::{PrivateKey, Reason};

const NO_PUBLIC_KEY: Reason = "it is no RSA public key of 2048 to 8192 bits";
const NO_PRIVATE_KEY: Reason = "it is no RSA private key of 2048 to 8192 bits";
const FAILED: Reason = "sealing failed";
const WRONG: Reason = "it was not sealed for this key and label, or was changed";

/// An RSA public key that things are sealed for.
pub struct SealingKey(OaepPublicEncryptingKey);

impl SealingKey {
    /// Reads X.509's `SubjectPublicKeyInfo`, in DER.
    ///
    /// # Errors
    /// What is no RSA key of 2048 to 8192 bits.
    pub fn new(spki_der: &[u8]) -> Result<Self, Reason> {
        let public = PublicEncryptingKey::from_der(spki_der).map_err(|_| NO_PUBLIC_KEY)?;
        OaepPublicEncryptingKey::new(public).map(Self).map_err(|_| NO_PUBLIC_KEY)
    }

    /// Seals `plain`, bound to `label` and to `context`, neither of which is kept. Each call takes a fresh key.
    ///
    /// # Errors
    /// Where the library or the kernel's randomness fails.
    pub fn seal(&self, label: &[u8], context: &[u8], plain: &[u8]) -> Result<Vec<u8>, Reason> {
        let key = random_bytes(AEAD_KEY_LENGTH).ok_or(FAILED)?;
        let mut wrapped = vec![0; self.0.ciphertext_size()];
        let made = self.0.encrypt(&OAEP_SHA256_MGF1SHA256, key.expose(), &mut wrapped, Some(label));
        let wrapped: &[u8] = made.map_err(|_| FAILED)?;
        let length = u16::try_from(wrapped.len()).map_err(|_| FAILED)?;
        let body = seal_once(&key, context, plain)?;
        Ok([length.to_be_bytes().as_slice(), wrapped, &body].concat())
    }
}

/// An RSA private key that opens what was sealed for its public key; prepared once, since that takes longer than to open.
pub struct OpeningKey(OaepPrivateDecryptingKey);

impl OpeningKey {
    /// Prepares a private key.
    ///
    /// # Errors
    /// What is no RSA key of 2048 to 8192 bits.
    pub fn new(key: &PrivateKey) -> Result<Self, Reason> {
        let private = PrivateDecryptingKey::from_pkcs8(key.expose_pkcs8()).map_err(|_| NO_PRIVATE_KEY)?;
        OaepPrivateDecryptingKey::new(private).map(Self).map_err(|_| NO_PRIVATE_KEY)
    }

    /// The fresh key of something sealed with `label`: about a millisecond of work, so that who opens it often keeps it.
    ///
    /// # Errors
    /// What was sealed for another key or label.
    pub fn unwrap(&self, label: &[u8], sealed: &Sealed<'_>) -> Result<SecretBytes, Reason> {
        let mut key = SecretBytes::new(vec![0; self.0.min_output_size()]);
        let opened = self.0.decrypt(&OAEP_SHA256_MGF1SHA256, sealed.wrapped_key, key.expose_mut(), Some(label));
        let length = opened.map_err(|_| WRONG)?.len();
        let key = SecretBytes::new(key.expose()[..length].to_vec());
        if key.len() == AEAD_KEY_LENGTH { Ok(key) } else { Err(WRONG) }
    }
}

impl fmt::Debug for OpeningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

/// The two parts of something sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'bytes> {
    /// The fresh key, for the owner of the private one.
    pub wrapped_key: &'bytes [u8],
    body: &'bytes [u8],
}

impl<'bytes> Sealed<'bytes> {
    /// Takes the bytes apart; `None` where they are too few.
    pub fn read(bytes: &'bytes [u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk()?;
        let (wrapped_key, body) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        Some(Self { wrapped_key, body })
    }

    /// What is sealed, by the fresh `key` ([`OpeningKey::unwrap`]) and the same `context`.
    ///
    /// # Errors
    /// Anything else, and what was changed.
    pub fn open(&self, key: &SecretBytes, context: &[u8]) -> Result<SecretBytes, Reason> {
        open_once(key, context, self.body).map_err(|_| WRONG)
    }
}

#[cfg(test)]
mod tests {
    use crate::NewKey;

    use super::*;

    fn opened(key: &OpeningKey, label: &[u8], context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let sealed = Sealed::read(sealed)?;
        let plain = sealed.open(&key.unwrap(label, &sealed).ok()?, context).ok()?;
        Some(plain.expose().to_vec())
    }

    #[test]
    fn only_the_key_the_label_and_the_context_open_and_every_byte_counts() {
        let key = PrivateKey::generate(NewKey::Rsa2048).unwrap();
        let sealing = SealingKey::new(&key.public_key().unwrap()).unwrap();
        let (opening, other) =
            (OpeningKey::new(&key).unwrap(), OpeningKey::new(&PrivateKey::generate(NewKey::Rsa2048).unwrap()).unwrap());
        for plain in [&b""[..], b"x", &[7; 3000]] {
            let sealed = sealing.seal(b"label", b"context", plain).unwrap();
            assert_eq!(opened(&opening, b"label", b"context", &sealed).as_deref(), Some(plain));
            assert_eq!(opened(&other, b"label", b"context", &sealed), None);
            assert_eq!(opened(&opening, b"other", b"context", &sealed), None);
            assert_eq!(opened(&opening, b"label", b"other", &sealed), None);
        }
        let sealed = sealing.seal(b"label", b"context", b"plain").unwrap();
        assert_ne!(sealed, sealing.seal(b"label", b"context", b"plain").unwrap());
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(opened(&opening, b"label", b"context", &changed), None, "byte {place} may be changed");
            assert_eq!(opened(&opening, b"label", b"context", &sealed[..place]), None, "{place} bytes are enough");
        }
        let elliptic = PrivateKey::generate(NewKey::P256).unwrap();
        assert!(SealingKey::new(&elliptic.public_key().unwrap()).is_err() && OpeningKey::new(&elliptic).is_err());
    }
}

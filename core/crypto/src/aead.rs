//! Authenticated encryption: AES-256-GCM, with a random nonce or with one made of what is encrypted, and
//! ChaCha20-Poly1305 for whoever asks for it.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use strongroom_secret::SecretBytes;
use zeroize::Zeroizing;

use crate::Reason;
use crate::digest::{HmacKey, hmac_sha256};
use crate::random::fill_random;

/// Bytes of a key for [`seal`] and [`AlikeKey`].
pub const AEAD_KEY_LENGTH: usize = 32;

/// Bytes that something sealed has more than what is in it: a nonce of 12 before it and a tag of 16 behind it.
pub const AEAD_OVERHEAD: usize = NONCE_LEN + 16;

const FAILED: Reason = "encryption failed";
const WRONG: Reason = "it was not encrypted under this key for this place, or was changed";

/// The ciphers. Both have keys of [`AEAD_KEY_LENGTH`] bytes and add [`AEAD_OVERHEAD`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aead {
    /// AES-256-GCM (SP 800-38D).
    Aes256Gcm,
    /// ChaCha20-Poly1305 (RFC 8439).
    ChaCha20Poly1305,
}

impl Aead {
    /// [`seal`] by this cipher.
    ///
    /// # Errors
    /// As there.
    pub fn seal(self, key: &SecretBytes, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, Reason> {
        let mut nonce = [0; NONCE_LEN];
        fill_random(&mut nonce).ok_or(FAILED)?;
        seal_under(&prepared(self.algorithm(), key.expose())?, nonce, context, plain)
    }

    /// [`open`] by this cipher.
    ///
    /// # Errors
    /// As there.
    pub fn open(self, key: &SecretBytes, context: &[u8], sealed: &[u8]) -> Result<SecretBytes, Reason> {
        open_under(&prepared(self.algorithm(), key.expose())?, context, sealed)
    }

    fn algorithm(self) -> &'static Algorithm {
        match self {
            Self::Aes256Gcm => &AES_256_GCM,
            Self::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        }
    }
}

/// Encrypts `plain` and authenticates it together with `context`, which is not kept. One key may seal 2^32 times, since
/// nonces are random.
///
/// # Errors
/// A key that does not have [`AEAD_KEY_LENGTH`] bytes, or a kernel that gives no randomness.
pub fn seal(key: &SecretBytes, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, Reason> {
    Aead::Aes256Gcm.seal(key, context, plain)
}

/// Decrypts what [`seal`] made with the same `key` and `context`.
///
/// # Errors
/// Anything else.
pub fn open(key: &SecretBytes, context: &[u8], sealed: &[u8]) -> Result<SecretBytes, Reason> {
    Aead::Aes256Gcm.open(key, context, sealed)
}

/// Encrypts `plain` under a `key` that is never used again, authenticated together with `context`: a nonce of zeros, which
/// is not kept.
pub(crate) fn seal_once(key: &SecretBytes, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, Reason> {
    let mut sealed = seal_under(&prepared(&AES_256_GCM, key.expose())?, [0; NONCE_LEN], context, plain)?;
    sealed.drain(..NONCE_LEN);
    Ok(sealed)
}

/// Decrypts what [`seal_once`] made.
pub(crate) fn open_once(key: &SecretBytes, context: &[u8], sealed: &[u8]) -> Result<SecretBytes, Reason> {
    open_inside(&prepared(&AES_256_GCM, key.expose())?, [0; NONCE_LEN], context, sealed)
}

/// A key that seals alike for alike: the same context and plain bytes always give the same bytes, which is all that they
/// tell. The nonce is a keyed hash of context and plain bytes: any two that differ share one with a chance of 2^-96.
pub struct AlikeKey {
    encryption: LessSafeKey,
    hashing: HmacKey,
}

impl AlikeKey {
    /// Prepares a key for many uses; from its bytes come one for each purpose.
    ///
    /// # Errors
    /// A key that does not have [`AEAD_KEY_LENGTH`] bytes.
    pub fn new(key: &SecretBytes) -> Result<Self, Reason> {
        if key.len() != AEAD_KEY_LENGTH {
            return Err(FAILED);
        }
        let derived = |label: &[u8]| Zeroizing::new(hmac_sha256(key.expose(), label));
        let encryption = derived(b"strongroom alike: encryption");
        let hashing = HmacKey::new(derived(b"strongroom alike: nonce").as_slice());
        Ok(Self { encryption: prepared(&AES_256_GCM, encryption.as_slice())?, hashing })
    }

    /// Encrypts `plain` and authenticates it together with `context`, which is not kept.
    ///
    /// # Errors
    /// Where the library fails.
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, Reason> {
        let context_hash = self.hashing.sign(context);
        let whole = Zeroizing::new([context_hash.as_slice(), plain].concat());
        let nonce = *self.hashing.sign(&whole).first_chunk().ok_or(FAILED)?;
        seal_under(&self.encryption, nonce, context, plain)
    }

    /// Decrypts what [`AlikeKey::seal`] made with the same `context`.
    ///
    /// # Errors
    /// Anything else.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<SecretBytes, Reason> {
        open_under(&self.encryption, context, sealed)
    }
}

impl fmt::Debug for AlikeKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

fn prepared(cipher: &'static Algorithm, key: &[u8]) -> Result<LessSafeKey, Reason> {
    UnboundKey::new(cipher, key).map(LessSafeKey::new).map_err(|_| FAILED)
}

fn seal_under(key: &LessSafeKey, nonce: [u8; NONCE_LEN], context: &[u8], plain: &[u8]) -> Result<Vec<u8>, Reason> {
    // As long as it will be: growing would leave a copy of the plain bytes behind.
    let mut sealed = Vec::with_capacity(plain.len().saturating_add(AEAD_OVERHEAD));
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plain);
    let (_, inside) = sealed.split_at_mut(NONCE_LEN);
    let tag = key
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), inside)
        .map_err(|_| FAILED)?;
    sealed.extend_from_slice(tag.as_ref());
    Ok(sealed)
}

fn open_under(key: &LessSafeKey, context: &[u8], sealed: &[u8]) -> Result<SecretBytes, Reason> {
    let (nonce, inside) = sealed.split_first_chunk().ok_or(WRONG)?;
    open_inside(key, *nonce, context, inside)
}

fn open_inside(
    key: &LessSafeKey,
    nonce: [u8; NONCE_LEN],
    context: &[u8],
    inside: &[u8],
) -> Result<SecretBytes, Reason> {
    let mut plain = Zeroizing::new(inside.to_vec());
    let length = key
        .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut plain)
        .map_err(|_| WRONG)?
        .len();
    plain.truncate(length);
    Ok(SecretBytes::new(std::mem::take(&mut *plain)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SecretBytes {
        SecretBytes::new(vec![byte; AEAD_KEY_LENGTH])
    }

    #[test]
    fn a_vector_of_the_specification_opens() {
        // Test case 14 of McGrew and Viega's GCM: a key, a nonce and a block of zeros.
        let sealed = [
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xce, 0xa7, 0x40, 0x3d, 0x4d, 0x60, 0x6b, 0x6e, 0x07, 0x4e, 0xc5, 0xd3,
            0xba, 0xf3, 0x9d, 0x18, 0xd0, 0xd1, 0xc8, 0xa7, 0x99, 0x99, 0x6b, 0xf0, 0x26, 0x5b, 0x98, 0xb5, 0xd4, 0x8a,
            0xb9, 0x19,
        ];
        assert_eq!(open(&key(0), b"", &sealed).map(|plain| plain.expose().to_vec()), Ok(vec![0; 16]));
    }

    #[test]
    fn only_the_same_key_context_and_bytes_open() {
        type Pair = (
            fn(&SecretBytes, &[u8], &[u8]) -> Result<Vec<u8>, Reason>,
            fn(&SecretBytes, &[u8], &[u8]) -> Result<SecretBytes, Reason>,
        );
        let chacha: Pair = (
            |key, context, plain| Aead::ChaCha20Poly1305.seal(key, context, plain),
            |key, context, sealed| Aead::ChaCha20Poly1305.open(key, context, sealed),
        );
        let alike: Pair = (
            |key, context, plain| AlikeKey::new(key)?.seal(context, plain),
            |key, context, sealed| AlikeKey::new(key)?.open(context, sealed),
        );
        let pairs: [Pair; 3] = [(seal, open), alike, chacha];
        for (seal, open) in pairs {
            for plain in [&b""[..], b"x", &[7; 1000]] {
                let sealed = seal(&key(1), b"place", plain).unwrap();
                assert_eq!(sealed.len(), plain.len() + AEAD_OVERHEAD);
                assert_eq!(open(&key(1), b"place", &sealed).unwrap().expose(), plain);
                assert!(open(&key(2), b"place", &sealed).is_err());
                assert!(open(&key(1), b"other", &sealed).is_err());
                for place in 0..sealed.len() {
                    let mut changed = sealed.clone();
                    changed[place] ^= 1;
                    assert!(open(&key(1), b"place", &changed).is_err(), "byte {place} may be changed");
                    assert!(open(&key(1), b"place", &sealed[..place]).is_err(), "{place} bytes are enough");
                }
            }
            assert!(seal(&SecretBytes::new(vec![1; 31]), b"", b"").is_err());
        }
    }

    #[test]
    fn alike_is_sealed_alike_and_nothing_else_is() {
        let sealed = |context: &[u8], plain: &[u8]| AlikeKey::new(&key(1)).unwrap().seal(context, plain).unwrap();
        assert_eq!(sealed(b"a", b"bc"), sealed(b"a", b"bc"));
        assert_ne!(sealed(b"a", b"bc"), sealed(b"ab", b"c"));
        assert_ne!(sealed(b"a", b"bc")[..12], sealed(b"a", b"bd")[..12]);
        assert_ne!(seal(&key(1), b"a", b"bc"), seal(&key(1), b"a", b"bc"));
    }
}

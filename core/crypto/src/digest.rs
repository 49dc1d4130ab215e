//! Digests, authentication codes and checksums, and comparison that tells nothing by its time.

use std::fmt;

use aws_lc_rs::{constant_time, digest, hmac};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use sha3::Digest as _;

/// The digests that signatures are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Hash {
    /// The digest of `bytes`.
    pub fn of(self, bytes: &[u8]) -> Vec<u8> {
        digest::digest(self.algorithm(), bytes).as_ref().to_vec()
    }

    /// HMAC (RFC 2104) of `message` under `key`.
    pub fn hmac(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
            Self::Sha512 => hmac::HMAC_SHA512,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), message).as_ref().to_vec()
    }

    /// How many bytes a digest has.
    pub fn length(self) -> usize {
        self.algorithm().output_len()
    }

    /// The library's name for it.
    pub(crate) fn algorithm(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }
}

/// SHA-1 (FIPS 180-4). For formats that ask for it: it is no protection against whoever chooses both messages.
pub fn sha1(bytes: &[u8]) -> [u8; 20] {
    of_length(&digest::SHA1_FOR_LEGACY_USE_ONLY, bytes)
}

/// SHA-256 (FIPS 180-4).
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    of_length(&digest::SHA256, bytes)
}

/// SHA-384 (FIPS 180-4).
pub fn sha384(bytes: &[u8]) -> [u8; 48] {
    of_length(&digest::SHA384, bytes)
}

/// SHA-512 (FIPS 180-4).
pub fn sha512(bytes: &[u8]) -> [u8; 64] {
    of_length(&digest::SHA512, bytes)
}

/// SHA3-224 (FIPS 202), which aws-lc-rs lacks: the data hash of External Secrets Operator.
pub fn sha3_224(bytes: &[u8]) -> [u8; 28] {
    sha3::Sha3_224::digest(bytes).into()
}

fn of_length<const N: usize>(algorithm: &'static digest::Algorithm, bytes: &[u8]) -> [u8; N] {
    let mut made = [0; N];
    made.copy_from_slice(digest::digest(algorithm, bytes).as_ref());
    made
}

/// HMAC with SHA-1 (RFC 2104) of `message` under `key`: as one-time passwords have it (RFC 6238).
pub fn hmac_sha1(key: &[u8], message: &[u8]) -> [u8; 20] {
    authenticated(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key, message)
}

/// HMAC with SHA-256 (RFC 2104) of `message` under `key`.
pub fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    authenticated(hmac::HMAC_SHA256, key, message)
}

/// HMAC with SHA-512 (RFC 2104) of `message` under `key`.
pub fn hmac_sha512(key: &[u8], message: &[u8]) -> [u8; 64] {
    authenticated(hmac::HMAC_SHA512, key, message)
}

fn authenticated<const N: usize>(algorithm: hmac::Algorithm, key: &[u8], message: &[u8]) -> [u8; N] {
    wiped(|| tag(&hmac::Key::new(algorithm, key), message))
}

/// A key of HMAC with SHA-256 that is prepared once for many messages.
#[derive(Clone)]
pub struct HmacKey(hmac::Key);

impl HmacKey {
    /// Prepares a key.
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// As [`hmac_sha256`] under this key.
    pub fn sign(&self, message: &[u8]) -> [u8; 32] {
        wiped(|| tag(&self.0, message))
    }
}

/// Not inlined: what it leaves on the stack has to lie below whoever wipes it.
#[inline(never)]
fn tag<const N: usize>(key: &hmac::Key, message: &[u8]) -> [u8; N] {
    let mut made = [0; N];
    made.copy_from_slice(hmac::sign(key, message).as_ref());
    made
}

/// Does something and overwrites the stack below: the library's contexts are moved about, and each place keeps the last
/// block of the message, which may be a whole short secret.
fn wiped<T>(make: impl FnOnce() -> T) -> T {
    #[inline(never)]
    fn wipe() {
        let mut left = [0_u8; 8192];
        std::hint::black_box(&mut left);
    }
    let made = make();
    wipe();
    made
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

/// Whether both are the same, in time that depends on their lengths alone.
pub fn equal_in_constant_time(left: &[u8], right: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(left, right).is_ok()
}

/// Adler-32 (RFC 1950): a checksum, no protection.
pub fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65521;
    let (mut low, mut high) = (1_u32, 0_u32);
    // The most bytes whose sums stay below 2^32, as zlib has it.
    for part in bytes.chunks(5552) {
        for byte in part {
            low += u32::from(*byte);
            high += low;
        }
        low %= MODULUS;
        high %= MODULUS;
    }
    (high << 16) | low
}

/// The SHA-1 of a PEM certificate's DER, JOSE's `x5t`; `None` where `pem` holds no certificate.
pub fn thumbprint_sha1(pem: &[u8]) -> Option<[u8; 20]> {
    CertificateDer::from_pem_slice(pem).ok().map(|certificate| sha1(&certificate))
}

/// The SHA-256 of a PEM certificate's DER, JOSE's `x5t#S256`; `None` where `pem` holds no certificate.
pub fn thumbprint_sha256(pem: &[u8]) -> Option<[u8; 32]> {
    CertificateDer::from_pem_slice(pem).ok().map(|certificate| sha256(&certificate))
}

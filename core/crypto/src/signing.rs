//! Signatures: of JSON Web Tokens, by keys that come as PEM; and whatever [`crate::verify_signature`] verifies.

use std::fmt;

use aws_lc_rs::digest::Digest;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
    RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaKeyPair, RsaSignatureEncoding,
};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use strongroom_secret::SecretBytes;
use zeroize::Zeroize;

use crate::verifying::SignatureAlgorithm;
use crate::{Hash, PrivateKey, Reason};

/// A private RSA key that signs as RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017): JOSE's `RS256`.
pub struct RsaSigningKey(RsaKeyPair);

impl RsaSigningKey {
    /// Reads PEM, PKCS#8 or PKCS#1; `None` where it is no RSA key of 2048 to 8192 bits.
    pub fn from_pem(pem: &SecretBytes) -> Option<Self> {
        read_pem(pem, rsa).map(Self)
    }

    /// The signature of `message`, as many bytes as the modulus has; `None` where the library fails.
    pub fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        rsa_signature(&self.0, &RSA_PKCS1_SHA256, message)
    }
}

impl fmt::Debug for RsaSigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RsaSigningKey([redacted])")
    }
}

/// The signature algorithms of RFC 7518 that client assertions use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JwtAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256, both numbers one after the other.
    Es256,
}

impl JwtAlgorithm {
    /// The name in a token's header.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
        }
    }
}

/// A private key that signs JSON Web Tokens by one algorithm.
pub struct JwtSigningKey(Key);

enum Key {
    Rs256(RsaKeyPair),
    Ps256(RsaKeyPair),
    Es256(EcdsaKeyPair),
}

impl JwtSigningKey {
    /// Reads the first private key of `pem` (PKCS#8, PKCS#1 or SEC 1); `None` where it does not fit `algorithm`: RSA
    /// of 2048 to 8192 bits, or P-256.
    pub fn from_pem(algorithm: JwtAlgorithm, pem: &SecretBytes) -> Option<Self> {
        let key = match algorithm {
            JwtAlgorithm::Rs256 => Key::Rs256(read_pem(pem, rsa)?),
            JwtAlgorithm::Ps256 => Key::Ps256(read_pem(pem, rsa)?),
            JwtAlgorithm::Es256 => Key::Es256(read_pem(pem, p256)?),
        };
        Some(Self(key))
    }

    /// The algorithm by which it signs.
    pub fn algorithm(&self) -> JwtAlgorithm {
        match &self.0 {
            Key::Rs256(_) => JwtAlgorithm::Rs256,
            Key::Ps256(_) => JwtAlgorithm::Ps256,
            Key::Es256(_) => JwtAlgorithm::Es256,
        }
    }

    /// The signature of `message` as a token carries it, before base64; `None` where the library fails.
    pub fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match &self.0 {
            Key::Rs256(key) => rsa_signature(key, &RSA_PKCS1_SHA256, message),
            Key::Ps256(key) => rsa_signature(key, &RSA_PSS_SHA256, message),
            Key::Es256(key) => Some(key.sign(&SystemRandom::new(), message).ok()?.as_ref().to_vec()),
        }
    }
}

impl fmt::Debug for JwtSigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "JwtSigningKey({}, [redacted])", self.algorithm().name())
    }
}

const FAILED: Reason = "the key does not fit this kind of signature";

/// The signature of `message` by `algorithm`.
///
/// # Errors
/// A key of another kind or curve.
pub fn sign(key: &PrivateKey, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, Reason> {
    match algorithm.hash() {
        Some(hash) => sign_hash(key, algorithm, &hash.of(message)),
        None => {
            let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.expose_pkcs8()).map_err(|_| FAILED)?;
            Ok(pair.try_sign(message).map_err(|_| FAILED)?.as_ref().to_vec())
        }
    }
}

/// [`sign`] for whoever has the hash of the message.
///
/// # Errors
/// As [`sign`]; a hash of another length; Ed25519, which signs no hash.
pub fn sign_hash(key: &PrivateKey, algorithm: SignatureAlgorithm, hash: &[u8]) -> Result<Vec<u8>, Reason> {
    let kind = algorithm.hash().ok_or("Ed25519 signs the message itself")?;
    if hash.len() != kind.length() {
        return Err("input must be hashed with given hash");
    }
    let encoding: &'static RsaSignatureEncoding = match algorithm {
        SignatureAlgorithm::RsaPkcs1(Hash::Sha256) => &RSA_PKCS1_SHA256,
        SignatureAlgorithm::RsaPkcs1(Hash::Sha384) => &RSA_PKCS1_SHA384,
        SignatureAlgorithm::RsaPkcs1(Hash::Sha512) => &RSA_PKCS1_SHA512,
        SignatureAlgorithm::RsaPss(Hash::Sha256) => &RSA_PSS_SHA256,
        SignatureAlgorithm::RsaPss(Hash::Sha384) => &RSA_PSS_SHA384,
        SignatureAlgorithm::RsaPss(Hash::Sha512) => &RSA_PSS_SHA512,
        SignatureAlgorithm::Ecdsa(curve, _, form) => {
            let pair = EcdsaKeyPair::from_pkcs8(curve.signing_as(form), key.expose_pkcs8()).map_err(|_| FAILED)?;
            let signature = pair.sign_digest(&curve.fitted(hash).ok_or(FAILED)?).map_err(|_| FAILED)?;
            return Ok(signature.as_ref().to_vec());
        }
        SignatureAlgorithm::Ed25519 => return Err(FAILED),
    };
    let pair = RsaKeyPair::from_pkcs8(key.expose_pkcs8()).map_err(|_| FAILED)?;
    let digest = Digest::import_less_safe(hash, kind.algorithm()).map_err(|_| FAILED)?;
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign_digest(encoding, &digest, &mut signature).map_err(|_| FAILED)?;
    Ok(signature)
}

fn read_pem<K>(pem: &SecretBytes, read: impl FnOnce(&PrivateKeyDer<'_>) -> Option<K>) -> Option<K> {
    let mut key = PrivateKeyDer::from_pem_slice(pem.expose()).ok()?;
    let pair = read(&key);
    key.zeroize();
    pair
}

fn rsa(key: &PrivateKeyDer<'_>) -> Option<RsaKeyPair> {
    match key {
        PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).ok(),
        PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()).ok(),
        _ => None,
    }
}

fn p256(key: &PrivateKeyDer<'_>) -> Option<EcdsaKeyPair> {
    EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_der()).ok()
}

fn rsa_signature(
    key: &RsaKeyPair,
    encoding: &'static aws_lc_rs::signature::RsaSignatureEncoding,
    message: &[u8],
) -> Option<Vec<u8>> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(encoding, &SystemRandom::new(), message, &mut signature).ok()?;
    Some(signature)
}

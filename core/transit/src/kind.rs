//! What a key can do.

use serde::{Deserialize, Serialize};
use strongroom_crypto::{Aead, Curve, NewKey};

/// The type of a key, for its whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// AES-256-GCM.
    #[serde(rename = "aes256-gcm96")]
    Aes256Gcm,
    /// ChaCha20-Poly1305.
    #[serde(rename = "chacha20-poly1305")]
    ChaCha20Poly1305,
    /// Ed25519.
    #[serde(rename = "ed25519")]
    Ed25519,
    /// ECDSA on P-256.
    #[serde(rename = "ecdsa-p256")]
    EcdsaP256,
    /// ECDSA on P-384.
    #[serde(rename = "ecdsa-p384")]
    EcdsaP384,
    /// RSA of 2048 bits.
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    /// RSA of 3072 bits.
    #[serde(rename = "rsa-3072")]
    Rsa3072,
    /// RSA of 4096 bits.
    #[serde(rename = "rsa-4096")]
    Rsa4096,
    /// HMAC alone.
    #[serde(rename = "hmac")]
    Hmac,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Aes256Gcm,
        Self::ChaCha20Poly1305,
        Self::Ed25519,
        Self::EcdsaP256,
        Self::EcdsaP384,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::Hmac,
    ];

    /// The type's name in Vault's API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aes256-gcm96",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa-p256",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa3072 => "rsa-3072",
            Self::Rsa4096 => "rsa-4096",
            Self::Hmac => "hmac",
        }
    }

    /// The type that bears a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What the public keys of the type are called in Vault's answers.
    pub fn public_name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "P-256",
            Self::EcdsaP384 => "P-384",
            _ => self.name(),
        }
    }

    /// Whether it encrypts and decrypts.
    pub fn encrypts(self) -> bool {
        self.aead().is_some() || self.is_rsa()
    }

    /// Whether it signs and verifies.
    pub fn signs(self) -> bool {
        self.is_asymmetric()
    }

    /// Whether a key of its own can be derived for each context.
    pub fn derives(self) -> bool {
        self.aead().is_some() || self == Self::Ed25519
    }

    /// Whether a version is a pair of a private and a public key.
    pub fn is_asymmetric(self) -> bool {
        self.new_key().is_some()
    }

    /// Whether it is RSA.
    pub fn is_rsa(self) -> bool {
        matches!(self, Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096)
    }

    /// The cipher, where it is a symmetric one.
    pub(crate) fn aead(self) -> Option<Aead> {
        match self {
            Self::Aes256Gcm => Some(Aead::Aes256Gcm),
            Self::ChaCha20Poly1305 => Some(Aead::ChaCha20Poly1305),
            _ => None,
        }
    }

    /// The curve, where it is ECDSA.
    pub(crate) fn curve(self) -> Option<Curve> {
        match self {
            Self::EcdsaP256 => Some(Curve::P256),
            Self::EcdsaP384 => Some(Curve::P384),
            _ => None,
        }
    }

    /// How a pair of keys is made.
    pub(crate) fn new_key(self) -> Option<NewKey> {
        match self {
            Self::Ed25519 => Some(NewKey::Ed25519),
            Self::EcdsaP256 => Some(NewKey::P256),
            Self::EcdsaP384 => Some(NewKey::P384),
            Self::Rsa2048 => Some(NewKey::Rsa2048),
            Self::Rsa3072 => Some(NewKey::Rsa3072),
            Self::Rsa4096 => Some(NewKey::Rsa4096),
            Self::Aes256Gcm | Self::ChaCha20Poly1305 | Self::Hmac => None,
        }
    }
}

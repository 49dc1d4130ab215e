//! The one place that names crypto libraries: aws-lc-rs, which is also what TLS uses, and kept crates for formats of
//! others that it lacks.
//!
//! Pure but for the randomness that the libraries take from the kernel: bytes in, bytes out. Where a reason would say
//! nothing that the caller does not know, the answer is an `Option`; otherwise it is a [`Reason`], which never holds
//! what was read.

#![forbid(unsafe_code)]

mod aead;
mod authority;
mod certificates;
mod containers;
mod der;
mod derive;
mod digest;
mod encryption;
mod jwk;
mod keys;
mod locked;
mod pem;
mod random;
mod sealing;
mod signing;
mod ssh;
mod verifying;

pub use crate::aead::{AEAD_KEY_LENGTH, AEAD_OVERHEAD, Aead, AlikeKey, open, seal};
pub use crate::authority::{Certificate, KeyedCertificate, Validity};
pub use crate::certificates::{CertificateFacts, NewCertificate};
pub use crate::containers::{Container, make_container, make_trust_store, open_container};
pub use crate::derive::{argon2id_32, bcrypt_hash, hkdf_expand_sha256_32, hkdf_sha256_32, scrypt_64};
pub use crate::digest::{
    Hash, HmacKey, adler32, equal_in_constant_time, hmac_sha1, hmac_sha256, hmac_sha512, sha1, sha3_224, sha256,
    sha384, sha512, thumbprint_sha1, thumbprint_sha256,
};
pub use crate::encryption::{OaepDigest, aes_decrypt, aes_encrypt, rsa_oaep_decrypt, rsa_oaep_encrypt};
pub use crate::jwk::{Jwk, JwkParts};
pub use crate::keys::{NewKey, PrivateKey};
pub use crate::locked::open_locked_key;
pub use crate::pem::{PemBlock, pem_blocks, pem_encode};
pub use crate::random::{fill_random, random_below, random_bytes};
pub use crate::sealing::{OpeningKey, Sealed, SealingKey};
pub use crate::signing::{JwtAlgorithm, JwtSigningKey, RsaSigningKey, sign, sign_hash};
pub use crate::ssh::SshKeyPair;
pub use crate::verifying::{Curve, EcdsaForm, SignatureAlgorithm, verify_hash_signature, verify_signature};

/// Why something cannot be done: words that were written here.
pub type Reason = &'static str;

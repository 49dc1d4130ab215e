//! The one place that names a crypto library: aws-lc-rs, which is also what TLS uses.
//!
//! Pure but for the randomness that the library takes from the kernel. Holds what is needed today: RSA signatures.

#![forbid(unsafe_code)]

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject as _;
use strongroom_secret::SecretBytes;
use zeroize::Zeroize;

/// A private RSA key that signs as RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017): JOSE's `RS256`.
pub struct RsaSigningKey(RsaKeyPair);

impl RsaSigningKey {
    /// Reads PEM, PKCS#8 or PKCS#1; `None` where it is no RSA key of 2048 to 8192 bits.
    pub fn from_pem(pem: &SecretBytes) -> Option<Self> {
        let mut key = PrivateKeyDer::from_pem_slice(pem.expose()).ok()?;
        let pair = match &key {
            PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).ok(),
            PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()).ok(),
            _ => None,
        };
        key.zeroize();
        pair.map(Self)
    }

    /// The signature of `message`, as many bytes as the modulus has; `None` where the library fails.
    pub fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).ok()?;
        Some(signature)
    }
}

impl fmt::Debug for RsaSigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("RsaSigningKey([redacted])")
    }
}

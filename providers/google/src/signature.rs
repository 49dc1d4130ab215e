//! Signed claims that a service account's key vouches for (RFC 7523).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use strongroom_crypto::RsaSigningKey;
use strongroom_secret::SecretBytes;

/// How long Google accepts a claim; it takes no longer ones.
const VALIDITY: Duration = Duration::from_secs(3600);

/// A service account's RSA key.
pub(crate) struct Key {
    id: String,
    key: RsaSigningKey,
}

impl Key {
    /// Reads PEM (PKCS#8 as Google writes it, or PKCS#1); `None` where it is no RSA key.
    pub(crate) fn from_pem(id: &str, pem: &SecretBytes) -> Option<Self> {
        Some(Self { id: id.to_owned(), key: RsaSigningKey::from_pem(pem)? })
    }

    /// A claim from `issuer` to `audience` for `scope`, made at `now`. `None` where signing fails.
    pub(crate) fn assertion(&self, issuer: &str, audience: &str, scope: &str, now: SystemTime) -> Option<SecretBytes> {
        let now = now.duration_since(UNIX_EPOCH).ok()?;
        let header = serde_json::json!({"alg": "RS256", "typ": "JWT", "kid": self.id});
        let (from, until) = (now.as_secs(), (now + VALIDITY).as_secs());
        let claims = serde_json::json!({"iss": issuer, "scope": scope, "aud": audience, "iat": from, "exp": until});
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let signed = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let signature = self.key.sign(signed.as_bytes())?;
        Some(SecretBytes::from(format!("{signed}.{}", encode(&signature))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key that was made for this test, and what `openssl dgst -sha256 -sign` gives for the claims below.
    const KEY: &str = include_str!("../tests/it/key.pem");
    const SIGNED_BY_OPENSSL: &str = include_str!("../tests/it/assertion.txt");

    #[test]
    fn assertions_are_those_that_openssl_makes() {
        let key = Key::from_pem("key-1", &SecretBytes::from(KEY.to_owned())).unwrap();
        let now = UNIX_EPOCH + Duration::from_secs(1_764_000_000);
        let (issuer, audience) = ("app@p.iam.gserviceaccount.com", "https://example.test/token");
        let assertion = key.assertion(issuer, audience, "https://example.test/scope", now).unwrap();
        assert_eq!(assertion.expose_text(), Some(SIGNED_BY_OPENSSL.trim_end()));
    }

    #[test]
    fn other_keys_are_refused() {
        let elliptic = "-----BEGIN PRIVATE KEY-----\n\
            MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2\n\
            OF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r\n\
            1RTwjmYSi9R/zpBnuQ4EiMnCqfMPWiZqB4QdbAd0E7oH50VpuZ1P087G\n\
            -----END PRIVATE KEY-----\n";
        for text in ["", "not PEM", elliptic, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            assert!(Key::from_pem("", &SecretBytes::from(text.to_owned())).is_none());
        }
    }
}

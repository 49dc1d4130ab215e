//! Signed claims that an application's certificate vouches for (RFC 7523).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use strongroom_crypto::{JwtAlgorithm, JwtSigningKey, random_bytes, thumbprint_sha1, thumbprint_sha256};
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

/// How long a claim holds: it is used at once, and clocks may differ by some minutes.
const VALIDITY: Duration = Duration::from_secs(600);

/// A certificate of an application and its key.
pub(crate) struct Certificate {
    key: JwtSigningKey,
    header: String,
}

impl Certificate {
    /// Reads PEM: the application's certificate before any other, and its RSA key. A federation server of one's own
    /// (`is_local`) knows the older of two forms only.
    pub(crate) fn from_pem(pem: &SecretBytes, is_local: bool) -> Result<Self, Failure> {
        let invalid = |words: &str| {
            Failure::new(Class::Invalid, format!("the client certificate holds {words}"))
                .with_hint("give certificate and RSA key both as PEM: openssl pkcs12 -in FILE -nodes")
        };
        let algorithm = if is_local { JwtAlgorithm::Rs256 } else { JwtAlgorithm::Ps256 };
        let no_certificate = || invalid("no certificate in PEM");
        let (name, thumbprint) = match algorithm {
            JwtAlgorithm::Rs256 => ("x5t", thumbprint_sha1(pem.expose()).ok_or_else(no_certificate)?.to_vec()),
            _ => ("x5t#S256", thumbprint_sha256(pem.expose()).ok_or_else(no_certificate)?.to_vec()),
        };
        let key = JwtSigningKey::from_pem(algorithm, pem).ok_or_else(|| invalid("no RSA key in PEM"))?;
        let thumbprint = URL_SAFE_NO_PAD.encode(thumbprint);
        let header = serde_json::json!({"typ": "JWT", "alg": algorithm.name(), name: thumbprint}).to_string();
        Ok(Self { key, header })
    }

    /// A claim of `client_id` for the token endpoint `audience`, made at `now`. `None` where signing fails.
    pub(crate) fn assertion(&self, client_id: &str, audience: &str, now: SystemTime) -> Option<SecretBytes> {
        let now = now.duration_since(UNIX_EPOCH).ok()?;
        let (from, until) = (now.as_secs(), (now + VALIDITY).as_secs());
        let id = URL_SAFE_NO_PAD.encode(random_bytes(16)?.expose());
        let claims = serde_json::json!({
            "aud": audience, "iss": client_id, "sub": client_id, "jti": id, "iat": from, "nbf": from, "exp": until,
        });
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(&self.header), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = self.key.sign(signed.as_bytes())?;
        Some(SecretBytes::from(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_with_a_key_is_refused_without_showing_it() {
        let key = "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----\n";
        let certificate = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        let check = |pem: &str, words: &str| {
            let failure = Certificate::from_pem(&SecretBytes::from(pem.to_owned()), false).err().unwrap();
            assert_eq!((failure.class, failure.words.as_str()), (Class::Invalid, words));
        };
        check("", "the client certificate holds no certificate in PEM");
        check("canary", "the client certificate holds no certificate in PEM");
        check(key, "the client certificate holds no certificate in PEM");
        check(certificate, "the client certificate holds no RSA key in PEM");
        check(&format!("{key}{certificate}"), "the client certificate holds no RSA key in PEM");
    }
}

//! A key of the Key Management Service that wraps other keys.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

use crate::caller_identity::regional_endpoint;
use crate::json_service::Operation;
use crate::session::Session;

/// What AWS takes at once, in bytes.
const MOST: usize = 4096;

/// What is wrapped is wrapped for this alone: KMS gives it to nobody who does not say so, and CloudTrail shows it.
const CONTEXT: (&str, &str) = ("strongroom", "seal");

impl Session {
    /// Encrypts up to 4096 bytes with the key that `key` names (an id, an ARN or an alias).
    ///
    /// # Errors
    /// What AWS answers, or that it does not; `Invalid` for more bytes.
    pub async fn wrap_with_key(&self, key: &str, plain: &SecretBytes) -> Result<Vec<u8>, Failure> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Answer {
            ciphertext_blob: String,
        }
        if plain.len() > MOST {
            return Err(Failure::new(Class::Invalid, format!("KMS encrypts at most {MOST} bytes")));
        }
        let (name, value) = CONTEXT;
        let body =
            json!({"KeyId": key, "Plaintext": STANDARD.encode(plain.expose()), "EncryptionContext": {name: value}});
        let answer = self.ask_kms("kms:Encrypt", "TrentService.Encrypt", key, body).await?;
        let answer: Answer = serde_json::from_slice(answer.expose()).map_err(|_| unread(key))?;
        STANDARD.decode(answer.ciphertext_blob).map_err(|_| unread(key))
    }

    /// Decrypts what [`Session::wrap_with_key`] encrypted with the same key.
    ///
    /// # Errors
    /// As there; `Invalid` for anything else.
    pub async fn unwrap_with_key(&self, key: &str, wrapped: &[u8]) -> Result<SecretBytes, Failure> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Answer {
            plaintext: String,
        }
        let (name, value) = CONTEXT;
        let body =
            json!({"KeyId": key, "CiphertextBlob": STANDARD.encode(wrapped), "EncryptionContext": {name: value}});
        let answer = self.ask_kms("kms:Decrypt", "TrentService.Decrypt", key, body).await?;
        let answer: Answer = serde_json::from_slice(answer.expose()).map_err(|_| unread(key))?;
        let encoded = SecretBytes::from(answer.plaintext);
        STANDARD.decode(encoded.expose()).map(SecretBytes::new).map_err(|_| unread(key))
    }

    async fn ask_kms(
        &self,
        name: &'static str,
        target: &'static str,
        key: &str,
        body: serde_json::Value,
    ) -> Result<SecretBytes, Failure> {
        let region = self.region().await?.to_string();
        let endpoint = match &self.settings().endpoints.kms {
            Some(endpoint) => endpoint.clone(),
            None => regional_endpoint("kms", &region).await?,
        };
        let body = SecretBytes::from(body.to_string());
        let operation = Operation { name, service: "kms", target, region, endpoint, body };
        operation.call(self).await.map_err(|refusal| {
            let hint = format!("allow {name} on {key} to {}", self.identity());
            let failure = refusal.failure;
            let failure = if failure.class == Class::Denied { failure.with_hint(hint) } else { failure };
            failure.on_key(key).from_store("AWS KMS")
        })
    }
}

fn unread(key: &str) -> Failure {
    Failure::new(Class::Unavailable, "the answer is not what KMS answers").on_key(key).from_store("AWS KMS")
}

//! Keys of the Key Management Service: small things are encrypted and decrypted with them, such as other keys.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use strongroom_failure::{Class, Failure};
use strongroom_http::json_body;
use strongroom_secret::SecretBytes;

use crate::caller_identity::regional_endpoint;
use crate::failure::Refusal;
use crate::json_service::Operation;
use crate::session::Session;

/// What AWS takes at once, in bytes.
const MOST: usize = 4096;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Encrypt<'a> {
    key_id: &'a str,
    plaintext: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    encryption_context: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Decrypt<'a> {
    key_id: &'a str,
    ciphertext_blob: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    encryption_context: BTreeMap<&'a str, &'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Encrypted {
    ciphertext_blob: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Decrypted {
    plaintext: String,
}

impl Session {
    /// Encrypts up to 4096 bytes with the key that `key` names (an id, an ARN or an alias), for `context`: names and
    /// values that whoever decrypts must say again, and that CloudTrail shows; nothing of it is secret. Empty for none.
    ///
    /// # Errors
    /// What AWS answers, or that it does not; `NotFound` where there is no such key, `Invalid` where it is disabled and
    /// for more bytes.
    pub async fn wrap_with_key(
        &self,
        key: &str,
        context: &[(&str, &str)],
        plain: &SecretBytes,
    ) -> Result<Vec<u8>, Failure> {
        if plain.len() > MOST {
            return Err(Failure::new(Class::Invalid, format!("KMS encrypts at most {MOST} bytes")));
        }
        let plaintext = SecretBytes::from(STANDARD.encode(plain.expose()));
        let plaintext = plaintext.expose_text().unwrap_or_default();
        let encryption_context = context.iter().copied().collect();
        let body = json_body(&Encrypt { key_id: key, plaintext, encryption_context })?;
        let answer = self.ask_kms("kms:Encrypt", "TrentService.Encrypt", key, body).await?;
        let answer: Encrypted = serde_json::from_slice(answer.expose()).map_err(|_| unread(key))?;
        STANDARD.decode(answer.ciphertext_blob).map_err(|_| unread(key))
    }

    /// Decrypts what the key that `key` names encrypted for `context`, as [`Session::wrap_with_key`] does: what another
    /// key encrypted is refused, even where this identity may use that one. With an alias and no context, it opens the
    /// keys of Kamus' envelopes.
    ///
    /// # Errors
    /// What AWS answers, or that it does not. `Invalid` (or `Denied`, where AWS does not say more) for what another key
    /// encrypted, for another context, for what was changed and where the key is disabled; `NotFound` where there is no
    /// such key.
    pub async fn unwrap_with_key(
        &self,
        key: &str,
        context: &[(&str, &str)],
        wrapped: &[u8],
    ) -> Result<SecretBytes, Failure> {
        let ciphertext_blob = &STANDARD.encode(wrapped);
        let encryption_context = context.iter().copied().collect();
        let body = json_body(&Decrypt { key_id: key, ciphertext_blob, encryption_context })?;
        let answer = self.ask_kms("kms:Decrypt", "TrentService.Decrypt", key, body).await?;
        let answer: Decrypted = serde_json::from_slice(answer.expose()).map_err(|_| unread(key))?;
        let encoded = SecretBytes::from(answer.plaintext);
        STANDARD.decode(encoded.expose()).map(SecretBytes::new).map_err(|_| unread(key))
    }

    async fn ask_kms(
        &self,
        name: &'static str,
        target: &'static str,
        key: &str,
        body: SecretBytes,
    ) -> Result<SecretBytes, Failure> {
        let region = self.region().await?.to_string();
        let endpoint = match &self.settings().endpoints.kms {
            Some(endpoint) => endpoint.clone(),
            None => regional_endpoint("kms", &region).await?,
        };
        let operation = Operation { name, service: "kms", target, region, endpoint, body };
        operation.call(self).await.map_err(|refusal| {
            let failure = failure_of(refusal);
            let hint = format!("allow {name} on {key} to {}", self.identity());
            let failure = if failure.class == Class::Denied { failure.with_hint(hint) } else { failure };
            failure.on_key(key).from_store("AWS KMS")
        })
    }
}

/// The codes that KMS alone has, in classes and words; the others are as everywhere in AWS.
fn failure_of(Refusal { failure, code }: Refusal) -> Failure {
    let words = &failure.words;
    match code.as_str() {
        "NotFoundException" => Failure::new(Class::NotFound, format!("there is no such key: {words}"))
            .with_hint("look at the region and the account"),
        "IncorrectKeyException" => Failure::new(Class::Invalid, format!("another key encrypted it: {words}")),
        "InvalidCiphertextException" => {
            let words = format!("it was not encrypted like this, or was changed: {words}");
            Failure::new(Class::Invalid, words)
        }
        "DisabledException" => {
            Failure::new(Class::Invalid, format!("the key is disabled: {words}")).with_hint("enable the key")
        }
        "KMSInvalidStateException" => {
            Failure::new(Class::Invalid, format!("the key cannot be used in its state: {words}"))
                .with_hint("cancel its deletion, or give it its material again")
        }
        "DependencyTimeoutException" | "KMSInternalException" | "KeyUnavailableException" => {
            Failure { class: Class::Unavailable, ..failure }
        }
        _ => failure,
    }
}

fn unread(key: &str) -> Failure {
    Failure::new(Class::Unavailable, "the answer is not what KMS answers").on_key(key).from_store("AWS KMS")
}

//! Keys of Cloud KMS: small things are encrypted and decrypted with them, such as other keys.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use strongroom_failure::{Class, Failure};
use strongroom_http::{
    Client, HeaderName, HeaderValue, Request, Response, StatusCode, header, json_body, secret_header,
};
use strongroom_provider::{Meter, Outcome};
use strongroom_secret::SecretBytes;

use crate::answer::{self, ErrorWords};
use crate::is_answer;
use crate::name::{is_location, is_project};
use crate::opened::Opened;
use crate::settings::Settings;
use crate::tokens::{Token, Tokens};

const ENCRYPT: &str = "cloudkms.cryptoKeys.encrypt";
const DECRYPT: &str = "cloudkms.cryptoKeys.decrypt";

/// What Google takes at once, in bytes.
const MOST: usize = 64 * 1024;

/// The largest answer that is read, in bytes: the largest ciphertext in base64, and what stands around it.
const BODY_LIMIT: usize = 128 * 1024;

/// Cloud KMS under one identity.
pub struct KeyManagement {
    client: Client,
    tokens: Tokens,
    quota_project: Option<HeaderValue>,
    endpoint: String,
    meter: Arc<Meter>,
}

/// Checksums are CRC-32C in decimal digits.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Encrypt<'a> {
    plaintext: &'a str,
    plaintext_crc32c: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Decrypt<'a> {
    ciphertext: &'a str,
    ciphertext_crc32c: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Encrypted {
    ciphertext: String,
    #[serde(default)]
    ciphertext_crc32c: Option<String>,
    /// Whether Google saw the checksum that was sent, and it fits; left out where it did not.
    #[serde(default)]
    verified_plaintext_crc32c: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Decrypted {
    /// Left out where it is empty.
    #[serde(default)]
    plaintext: String,
    #[serde(default)]
    plaintext_crc32c: Option<String>,
}

impl KeyManagement {
    /// Cloud KMS as the identity of `settings`, whose `endpoint` and place of secrets say nothing here; at `endpoint`
    /// (`https://HOST[:PORT]`) instead of Google's own address, where that is given. Reads the credentials' file, asks
    /// nothing of the network.
    ///
    /// # Errors
    /// Where a setting or the credentials cannot be used; the field says which.
    pub fn open(settings: &Settings, endpoint: Option<String>, meter: Arc<Meter>) -> Result<Self, Failure> {
        let Opened { metadata, source, universe, quota_project } = Opened::of(settings)?;
        let client = Client::new(settings.client(BODY_LIMIT)?)?;
        let endpoint = endpoint.unwrap_or_else(|| format!("https://cloudkms.{universe}"));
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let tokens = Tokens::new(source, client.clone(), metadata, Arc::clone(&meter));
        Ok(Self { client, tokens, quota_project, endpoint, meter })
    }

    /// Encrypts up to 64 KiB with the primary version of `key`:
    /// `projects/P/locations/L/keyRings/R/cryptoKeys/K`.
    ///
    /// # Errors
    /// What Google answers, or that it does not. `NotFound` where there is no such key, `Invalid` where it is disabled,
    /// for another kind of name and for more bytes, `Unavailable` where a checksum does not fit.
    pub async fn encrypt(&self, key: &str, plain: &SecretBytes) -> Result<Vec<u8>, Failure> {
        let encrypted = Box::pin(self.encrypted(key, plain)).await;
        encrypted.map_err(|failure| failure.on_key(key).from_store("Google Cloud KMS"))
    }

    /// Decrypts what any enabled version of `key` encrypted, named as for [`KeyManagement::encrypt`].
    ///
    /// # Errors
    /// As there; `Invalid` for what another key encrypted or was changed, too.
    pub async fn decrypt(&self, key: &str, ciphertext: &[u8]) -> Result<SecretBytes, Failure> {
        let decrypted = Box::pin(self.decrypted(key, ciphertext)).await;
        decrypted.map_err(|failure| failure.on_key(key).from_store("Google Cloud KMS"))
    }

    async fn encrypted(&self, key: &str, plain: &SecretBytes) -> Result<Vec<u8>, Failure> {
        if plain.len() > MOST {
            return Err(Failure::new(Class::Invalid, format!("Cloud KMS encrypts at most {MOST} bytes")));
        }
        let plaintext = SecretBytes::from(STANDARD.encode(plain.expose()));
        let plaintext = plaintext.expose_text().unwrap_or_default();
        let body = json_body(&Encrypt { plaintext, plaintext_crc32c: checksum(plain.expose()) })?;
        let Encrypted { ciphertext, ciphertext_crc32c, verified_plaintext_crc32c } =
            self.post(ENCRYPT, key, "encrypt", &body).await?;
        let ciphertext = STANDARD.decode(ciphertext).map_err(|_| damaged(NO_BASE64))?;
        if !verified_plaintext_crc32c || !fits(ciphertext_crc32c, &ciphertext) {
            return Err(damaged(CHECKSUM));
        }
        Ok(ciphertext)
    }

    async fn decrypted(&self, key: &str, ciphertext: &[u8]) -> Result<SecretBytes, Failure> {
        let encoded = STANDARD.encode(ciphertext);
        let body = json_body(&Decrypt { ciphertext: &encoded, ciphertext_crc32c: checksum(ciphertext) })?;
        let Decrypted { plaintext, plaintext_crc32c } = self.post(DECRYPT, key, "decrypt", &body).await?;
        let encoded = SecretBytes::from(plaintext);
        let plain = STANDARD.decode(encoded.expose()).map(SecretBytes::new).map_err(|_| damaged(NO_BASE64))?;
        if fits(plaintext_crc32c, plain.expose()) { Ok(plain) } else { Err(damaged(CHECKSUM)) }
    }

    /// A successful answer, with one fresh token where the first is refused.
    async fn post<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        key: &str,
        verb: &str,
        body: &SecretBytes,
    ) -> Result<T, Failure> {
        if !is_key(key) {
            return Err(Failure::new(Class::Invalid, "this does not name a key")
                .with_hint("write projects/P/locations/L/keyRings/R/cryptoKeys/K"));
        }
        let address = format!("{}/v1/{key}:{verb}", self.endpoint);
        let mut token = self.tokens.current().await?;
        let mut response = self.ask(operation, &address, body, &token).await?;
        if response.status == StatusCode::UNAUTHORIZED {
            tracing::debug!("Google refuses the access token; asking for another");
            token = self.tokens.instead_of(&token).await?;
            response = self.ask(operation, &address, body, &token).await?;
        }
        if response.status.is_success() {
            let unread = |_| damaged("the answer is not what Cloud KMS sends");
            return serde_json::from_slice(response.body.expose()).map_err(unread);
        }
        Err(self.refusal(&response, operation, &token))
    }

    async fn ask(
        &self,
        operation: &'static str,
        address: &str,
        body: &SecretBytes,
        token: &Token,
    ) -> Result<Response, Failure> {
        let mut request = Request::post(address)
            .body(body.clone())
            .map_err(|_| Failure::new(Class::Invalid, "the endpoint is not an address").in_field("endpoint"))?;
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, secret_header("Bearer ", &token.secret)?);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(project) = &self.quota_project {
            headers.insert(HeaderName::from_static("x-goog-user-project"), project.clone());
        }
        let result = self.client.send(request).await;
        let answered = matches!(&result, Ok(response) if is_answer(response.status));
        self.meter.record(operation, if answered { Outcome::Answered } else { Outcome::Failed });
        Ok(result?)
    }

    fn refusal(&self, response: &Response, operation: &str, token: &Token) -> Failure {
        let known = [&token.secret];
        let failure = answer::refusal(response, &known);
        let words = ErrorWords::of(response.body.expose());
        let shown = words.shown(response.status, &known);
        let identity = self.tokens.identity();
        match (failure.class, words.code.as_deref(), operation) {
            (Class::Invalid, Some("FAILED_PRECONDITION"), _) => {
                Failure::new(Class::Invalid, format!("the key cannot be used as it is: {shown}"))
                    .with_hint("enable the key's version, or restore it")
            }
            (Class::Invalid, Some("INVALID_ARGUMENT"), DECRYPT) => {
                Failure::new(Class::Invalid, format!("another key encrypted it, or it was changed: {shown}"))
            }
            (Class::Denied, _, ENCRYPT) => {
                failure.with_hint(format!("grant roles/cloudkms.cryptoKeyEncrypter on the key to {identity}"))
            }
            (Class::Denied, ..) => {
                failure.with_hint(format!("grant roles/cloudkms.cryptoKeyDecrypter on the key to {identity}"))
            }
            (Class::Unauthenticated, ..) => failure.with_hint(format!("look at the credentials: {identity}")),
            _ => failure,
        }
    }
}

const NO_BASE64: &str = "what is in the answer is not base64";
const CHECKSUM: &str = "what was sent or answered was damaged on its way: a checksum does not fit";

fn damaged(words: &str) -> Failure {
    Failure::new(Class::Unavailable, words)
}

fn checksum(bytes: &[u8]) -> String {
    crc32c::crc32c(bytes).to_string()
}

/// Whether `bytes` are what was sent; so they are where nobody sent a checksum.
fn fits(expected: Option<String>, bytes: &[u8]) -> bool {
    expected.is_none_or(|expected| expected == checksum(bytes))
}

/// `projects/P/locations/L/keyRings/R/cryptoKeys/K`; every part becomes a part of an address.
fn is_key(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_id = |id: &str| (1..=63).contains(&id.len()) && id.bytes().all(is_letter);
    match *name.split('/').collect::<Vec<_>>() {
        ["projects", project, "locations", location, "keyRings", ring, "cryptoKeys", key] => {
            is_project(project) && is_location(location) && is_id(ring) && is_id(key)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_named_in_full() {
        let check = |name: &str, expected: bool| assert_eq!(is_key(name), expected, "{name}");
        let kid = "ha-2LBp7QepEbeofHtp3-UnU1a8DebK9HccStW0KecQ";
        check(&format!("projects/shop/locations/global/keyRings/kamus/cryptoKeys/{kid}"), true);
        check("projects/example.com:shop/locations/europe-west3/keyRings/a_B-9/cryptoKeys/-k", true);
        check("projects/shop/locations/global/keyRings/kamus/cryptoKeys/k/cryptoKeyVersions/1", false);
        check("projects/shop/locations/global/keyRings/kamus/cryptoKeys/", false);
        check("projects/shop/locations/global/keyRings/kamus/cryptoKeys/..", false);
        check("projects/shop/locations/global/keyRings/kamus/cryptoKeys/k:decrypt", false);
        check("projects/shop/locations/global/keyRings/kamus/cryptoKeys/k?x=y", false);
        check("projects/../locations/global/keyRings/kamus/cryptoKeys/k", false);
        check(&format!("projects/shop/locations/global/keyRings/{}/cryptoKeys/k", "x".repeat(64)), false);
        check(kid, false);
    }
}

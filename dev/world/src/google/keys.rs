//! Key rings, keys and their versions: what Cloud KMS v1 says about them, without any network. Its keys really encrypt.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, RandomizedNonceKey};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value as Json, json};

use super::answer::Refusal;
use super::secrets::now;

/// The most that the real service encrypts at once, in bytes.
const LARGEST: usize = 64 << 10;

/// Bytes that name a version's key at the beginning of what it encrypted.
const MARK: usize = 16;

const WRONG_KEY: &str = "Decryption failed: verify that 'name' refers to the correct CryptoKey.";
const WRONG_TEXT: &str = "Decryption failed: the ciphertext is invalid.";

/// Every key ring and key, by its resource name.
#[derive(Debug, Default)]
pub(super) struct Keys {
    rings: BTreeMap<String, String>,
    keys: BTreeMap<String, Key>,
    denied: BTreeSet<String>,
    corrupt: BTreeSet<String>,
}

#[derive(Debug)]
struct Key {
    created: String,
    protection: String,
    versions: Vec<Version>,
    /// A place in `versions`.
    primary: usize,
}

#[derive(Debug)]
struct Version {
    is_enabled: bool,
    created: String,
    mark: [u8; MARK],
    bytes: [u8; 32],
}

impl Keys {
    /// Answers a request whose token was good; `None` where its path is none of a key ring.
    pub(super) fn answer(
        &mut self,
        method: &str,
        path: &str,
        query: &BTreeMap<String, String>,
        body: &[u8],
    ) -> Option<Result<Json, Refusal>> {
        let (path, verb) = path.split_once(':').unwrap_or((path, ""));
        let segments: Vec<_> = path.split('/').collect();
        let ["projects", project, "locations", location, "keyRings", rest @ ..] = segments.as_slice() else {
            return None;
        };
        let place = format!("projects/{project}/locations/{location}");
        let id = |name: &str| query.get(name).cloned().unwrap_or_default();
        let body = match body {
            [] => Json::Null,
            body => serde_json::from_slice(body).unwrap_or_default(),
        };
        Some(match (method, rest, verb) {
            ("POST", [], "") => self.make_ring(&format!("{place}/keyRings/{}", id("keyRingId"))),
            ("GET", [ring], "") => self.ring(&format!("{place}/keyRings/{ring}")),
            ("POST", [ring, "cryptoKeys"], "") => {
                self.create(&format!("{place}/keyRings/{ring}"), &id("cryptoKeyId"), &body)
            }
            (method, [ring, "cryptoKeys", key, rest @ ..], verb) => {
                let name = format!("{place}/keyRings/{ring}/cryptoKeys/{key}");
                self.admit(&name, method, verb).and_then(|()| self.of_key(method, &name, rest, verb, &body))
            }
            _ => Err(Refusal::not_found("Method not found.".to_owned())),
        })
    }

    fn of_key(&mut self, method: &str, name: &str, rest: &[&str], verb: &str, body: &Json) -> Result<Json, Refusal> {
        match (method, rest, verb) {
            ("GET", [], "") => Ok(self.key(name)?.describe(name)),
            ("POST", [], "encrypt") => self.encrypt(name, body),
            ("POST", [], "decrypt") => self.decrypt(name, body),
            ("POST", ["cryptoKeyVersions"], "") => {
                let number = self.rotate(name)?;
                Ok(self.key(name)?.describe_version(name, number))
            }
            ("POST", [], "updatePrimaryVersion") => {
                let number = body["cryptoKeyVersionId"].as_str().and_then(|number| number.parse().ok());
                self.key(name)?.version(name, number.unwrap_or_default())?;
                self.key_mut(name)?.primary = number.unwrap_or_default() - 1;
                Ok(self.key(name)?.describe(name))
            }
            ("PATCH", ["cryptoKeyVersions", number], "") => {
                let number = number.parse().unwrap_or_default();
                // The number is what clients send that ask for enums as numbers.
                let is_enabled = body["state"] == json!("ENABLED") || body["state"] == json!(1);
                self.set_enabled(name, Some(number), is_enabled)?;
                Ok(self.key(name)?.describe_version(name, number))
            }
            _ => Err(Refusal::not_found("Method not found.".to_owned())),
        }
    }

    /// Makes a key with one version, and its ring where that is missing.
    pub(super) fn make(&mut self, ring: &str, id: &str) -> Result<String, Refusal> {
        self.rings.entry(ring.to_owned()).or_insert_with(now);
        self.create(ring, id, &json!({"purpose": "ENCRYPT_DECRYPT"}))?;
        Ok(format!("{ring}/cryptoKeys/{id}"))
    }

    /// Makes a version, and uses it from now on; returns its number.
    pub(super) fn renew(&mut self, name: &str) -> Result<usize, Refusal> {
        let number = self.rotate(name)?;
        self.key_mut(name)?.primary = number - 1;
        Ok(number)
    }

    /// Enables or disables a version, the primary one where none is named.
    pub(super) fn set_enabled(&mut self, name: &str, number: Option<usize>, is_enabled: bool) -> Result<(), Refusal> {
        let key = self.key(name)?;
        let number = number.unwrap_or(key.primary + 1);
        key.version(name, number)?;
        self.key_mut(name)?.versions[number - 1].is_enabled = is_enabled;
        Ok(())
    }

    /// Whether a key may be used.
    pub(super) fn deny(&mut self, name: &str, denied: bool) {
        match denied {
            true => self.denied.insert(name.to_owned()),
            false => self.denied.remove(name),
        };
    }

    /// From now on the checksums that are sent with what this key makes are wrong.
    pub(super) fn corrupt(&mut self, name: &str) {
        self.corrupt.insert(name.to_owned());
    }

    fn admit(&self, name: &str, method: &str, verb: &str) -> Result<(), Refusal> {
        let permission = match (method, verb) {
            (_, "encrypt") => "cloudkms.cryptoKeyVersions.useToEncrypt",
            (_, "decrypt") => "cloudkms.cryptoKeyVersions.useToDecrypt",
            ("GET", _) => "cloudkms.cryptoKeys.get",
            _ => "cloudkms.cryptoKeys.update",
        };
        if self.denied.contains(name) { Err(Refusal::denied(permission, name)) } else { Ok(()) }
    }

    fn make_ring(&mut self, name: &str) -> Result<Json, Refusal> {
        if self.rings.contains_key(name) {
            return Err(Refusal::exists(format!("KeyRing {name} already exists.")));
        }
        self.rings.insert(name.to_owned(), now());
        self.ring(name)
    }

    fn ring(&self, name: &str) -> Result<Json, Refusal> {
        let created = self.rings.get(name).ok_or_else(|| Refusal::not_found(format!("KeyRing {name} not found.")))?;
        Ok(json!({"name": name, "createTime": created}))
    }

    fn create(&mut self, ring: &str, id: &str, body: &Json) -> Result<Json, Refusal> {
        self.ring(ring)?;
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if !(1..=63).contains(&id.len()) || !id.bytes().all(is_letter) {
            return Err(Refusal::invalid("CryptoKey ID must match [a-zA-Z0-9_-]{1,63}."));
        }
        if body["purpose"] != json!("ENCRYPT_DECRYPT") && body["purpose"] != json!(1) {
            return Err(Refusal::invalid("Only the purpose ENCRYPT_DECRYPT is known here."));
        }
        let name = format!("{ring}/cryptoKeys/{id}");
        if self.keys.contains_key(&name) {
            return Err(Refusal::exists(format!("CryptoKey {name} already exists.")));
        }
        let protection = match &body["versionTemplate"]["protectionLevel"] {
            Json::String(level) if level == "HSM" => "HSM",
            Json::Number(level) if level.as_u64() == Some(2) => "HSM",
            _ => "SOFTWARE",
        };
        let key = Key { created: now(), protection: protection.to_owned(), versions: Vec::new(), primary: 0 };
        self.keys.insert(name.clone(), key);
        self.rotate(&name)?;
        Ok(self.key(&name)?.describe(&name))
    }

    fn rotate(&mut self, name: &str) -> Result<usize, Refusal> {
        let key = self.key_mut(name)?;
        let (mut mark, mut bytes) = ([0; MARK], [0; 32]);
        let random = rand::fill(&mut mark).and_then(|()| rand::fill(&mut bytes));
        random.map_err(|_| Refusal::precondition("There are no random bytes.".to_owned()))?;
        key.versions.push(Version { is_enabled: true, created: now(), mark, bytes });
        Ok(key.versions.len())
    }

    fn encrypt(&self, name: &str, body: &Json) -> Result<Json, Refusal> {
        let plain = bytes(body, "plaintext")?;
        if plain.len() > LARGEST {
            return Err(Refusal::invalid("The plaintext must have at most 65536 bytes."));
        }
        let is_verified = verified(body, "plaintextCrc32c", "plaintext_crc32c", &plain)?;
        let key = self.key(name)?;
        let (number, version) = (key.primary + 1, &key.versions[key.primary]);
        version.check_enabled(name, number)?;
        let ciphertext = version.encrypt(&bytes(body, "additionalAuthenticatedData")?, plain)?;
        let mut answer = json!({
            "name": format!("{name}/cryptoKeyVersions/{number}"),
            "ciphertext": STANDARD.encode(&ciphertext),
            "ciphertextCrc32c": self.checksum(name, &ciphertext),
            "protectionLevel": key.protection,
        });
        if is_verified {
            answer["verifiedPlaintextCrc32c"] = json!(true);
        }
        Ok(answer)
    }

    fn decrypt(&self, name: &str, body: &Json) -> Result<Json, Refusal> {
        let ciphertext = bytes(body, "ciphertext")?;
        verified(body, "ciphertextCrc32c", "ciphertext_crc32c", &ciphertext)?;
        let key = self.key(name)?;
        let (mark, rest) = ciphertext.split_at_checked(MARK).ok_or_else(|| Refusal::invalid(WRONG_TEXT))?;
        let place = key.versions.iter().position(|version| version.mark == mark);
        let place = place.ok_or_else(|| Refusal::invalid(WRONG_KEY))?;
        key.versions[place].check_enabled(name, place + 1)?;
        let plain = key.versions[place].decrypt(&bytes(body, "additionalAuthenticatedData")?, rest)?;
        let mut answer = json!({
            "plaintextCrc32c": self.checksum(name, &plain),
            "usedPrimary": place == key.primary,
            "protectionLevel": key.protection,
        });
        if !plain.is_empty() {
            answer["plaintext"] = json!(STANDARD.encode(plain));
        }
        Ok(answer)
    }

    fn checksum(&self, name: &str, bytes: &[u8]) -> String {
        (crc32c::crc32c(bytes) ^ u32::from(self.corrupt.contains(name))).to_string()
    }

    fn key(&self, name: &str) -> Result<&Key, Refusal> {
        self.keys.get(name).ok_or_else(|| missing(name))
    }

    fn key_mut(&mut self, name: &str) -> Result<&mut Key, Refusal> {
        self.keys.get_mut(name).ok_or_else(|| missing(name))
    }
}

impl Key {
    fn version(&self, name: &str, number: usize) -> Result<&Version, Refusal> {
        let found = number.checked_sub(1).and_then(|place| self.versions.get(place));
        found.ok_or_else(|| missing(&format!("{name}/cryptoKeyVersions/{number}")))
    }

    fn describe(&self, name: &str) -> Json {
        json!({
            "name": name, "createTime": self.created, "purpose": "ENCRYPT_DECRYPT",
            "primary": self.describe_version(name, self.primary + 1),
            "versionTemplate": {"protectionLevel": self.protection, "algorithm": "GOOGLE_SYMMETRIC_ENCRYPTION"},
        })
    }

    fn describe_version(&self, name: &str, number: usize) -> Json {
        let version = &self.versions[number - 1];
        json!({
            "name": format!("{name}/cryptoKeyVersions/{number}"), "createTime": version.created,
            "state": version.state(), "protectionLevel": self.protection,
            "algorithm": "GOOGLE_SYMMETRIC_ENCRYPTION",
        })
    }
}

impl Version {
    fn state(&self) -> &'static str {
        if self.is_enabled { "ENABLED" } else { "DISABLED" }
    }

    fn check_enabled(&self, name: &str, number: usize) -> Result<(), Refusal> {
        if self.is_enabled {
            return Ok(());
        }
        let version = format!("{name}/cryptoKeyVersions/{number}");
        Err(Refusal::precondition(format!("{version} is not enabled, current state is: {}.", self.state())))
    }

    fn cipher(&self) -> Result<RandomizedNonceKey, Refusal> {
        RandomizedNonceKey::new(&AES_256_GCM, &self.bytes).map_err(|_| Refusal::invalid(WRONG_TEXT))
    }

    fn encrypt(&self, additional: &[u8], mut bytes: Vec<u8>) -> Result<Vec<u8>, Refusal> {
        let nonce = self.cipher()?.seal_in_place_append_tag(Aad::from(additional), &mut bytes);
        let nonce = nonce.map_err(|_| Refusal::invalid("Encryption failed."))?;
        Ok([&self.mark, nonce.as_ref().as_slice(), &bytes].concat())
    }

    fn decrypt(&self, additional: &[u8], bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
        let wrong = || Refusal::invalid(WRONG_TEXT);
        let (nonce, bytes) = bytes.split_first_chunk::<NONCE_LEN>().ok_or_else(wrong)?;
        let mut bytes = bytes.to_vec();
        let plain = self.cipher()?.open_in_place(nonce.into(), Aad::from(additional), &mut bytes);
        Ok(plain.map_err(|_| wrong())?.to_vec())
    }
}

fn bytes(body: &Json, field: &str) -> Result<Vec<u8>, Refusal> {
    let text = body[field].as_str().unwrap_or_default();
    let decoded = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text));
    decoded.map_err(|_| Refusal::invalid(format!("Invalid value at '{field}': Base64 decoding failed.")))
}

/// Whether a checksum was sent; one that does not fit is refused.
fn verified(body: &Json, field: &str, name: &str, bytes: &[u8]) -> Result<bool, Refusal> {
    let sent = match &body[field] {
        Json::Null => return Ok(false),
        Json::String(sent) => sent.clone(),
        other => other.to_string(),
    };
    if sent == crc32c::crc32c(bytes).to_string() {
        return Ok(true);
    }
    Err(Refusal::invalid(format!("The checksum in field {name} did not match the data.")))
}

fn missing(name: &str) -> Refusal {
    let kind = if name.contains("/cryptoKeyVersions/") { "CryptoKeyVersion" } else { "CryptoKey" };
    Refusal::not_found(format!("{kind} {name} not found."))
}

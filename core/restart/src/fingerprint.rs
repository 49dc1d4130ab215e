//! Fingerprints of values: equal where the values are, and of no use to anybody without the key.

use std::collections::BTreeMap;
use std::fmt;

use strongroom_crypto::hmac_sha256;
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

use crate::consumption::EVERY_KEY;

/// The fewest bytes of a key: what HMAC-SHA-256 keeps of a longer one.
pub const KEY_LENGTH: usize = 32;

/// Bytes of a fingerprint: one change in 2^64 is missed, and an annotation holds many of them.
const LENGTH: usize = 8;

/// What a value, or all values of a Secret, come to under one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; LENGTH]);

impl Fingerprint {
    /// What [`fmt::Display`] wrote; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let is_hex = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (text.len() == 2 * LENGTH && is_hex)
            .then(|| u64::from_str_radix(text, 16).ok())?
            .map(u64::to_be_bytes)
            .map(Self)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// The fingerprints of one Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprints {
    whole: Fingerprint,
    keys: BTreeMap<Box<str>, Fingerprint>,
}

impl Fingerprints {
    /// That of a key, or of the whole for [`EVERY_KEY`]; `None` where the Secret has no such key.
    pub fn of_slot(&self, slot: &str) -> Option<Fingerprint> {
        if slot == EVERY_KEY { Some(self.whole) } else { self.keys.get(slot).copied() }
    }
}

/// The key of all fingerprints in a cluster. It outlives processes, and replicas share it.
#[derive(Clone, Debug)]
pub struct Key {
    bytes: SecretBytes,
    id: Box<str>,
}

impl Key {
    /// Takes [`KEY_LENGTH`] bytes or more.
    ///
    /// # Errors
    /// `Invalid` for fewer, which could be guessed.
    pub fn new(bytes: SecretBytes) -> Result<Self, Failure> {
        if bytes.len() < KEY_LENGTH {
            let words = format!("the key for fingerprints has {} bytes, and {KEY_LENGTH} are needed", bytes.len());
            return Err(Failure::new(Class::Invalid, words));
        }
        let id = shortened(hmac_sha256(bytes.expose(), b"strongroom restart key id")).to_string().into();
        Ok(Self { bytes, id })
    }

    /// What tells this key from others and nothing else about it: fingerprints under another key say nothing here.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The fingerprints of a Secret with these values. Equal values of two Secrets, or of two keys, have two
    /// fingerprints.
    pub fn fingerprints(&self, namespace: &str, name: &str, data: &BTreeMap<String, SecretBytes>) -> Fingerprints {
        let of_slot = |slot: &str, content: &[u8]| {
            self.sign(&[b"value", namespace.as_bytes(), name.as_bytes(), slot.as_bytes(), content])
        };
        let mut keys = BTreeMap::new();
        let mut all = Vec::new();
        for (key, value) in data {
            // The value's own code first, so that no copy of it is made.
            let fingerprint = of_slot(key, &hmac_sha256(self.bytes.expose(), value.expose()));
            all.extend_from_slice(&fingerprint.0);
            keys.insert(key.as_str().into(), fingerprint);
        }
        Fingerprints { whole: of_slot(EVERY_KEY, &all), keys }
    }

    /// The mark that a pod template gets after it had `before`: never the same again, even when values come back.
    pub(crate) fn mark(&self, uid: &str, before: &str, baseline: &str) -> String {
        self.sign(&[b"mark", uid.as_bytes(), before.as_bytes(), baseline.as_bytes()]).to_string()
    }

    /// Each part with its length before it: `a`, `bc` is not `ab`, `c`.
    fn sign(&self, parts: &[&[u8]]) -> Fingerprint {
        let mut message = Vec::new();
        for part in parts {
            message.extend_from_slice(&(part.len() as u64).to_be_bytes());
            message.extend_from_slice(part);
        }
        shortened(hmac_sha256(self.bytes.expose(), &message))
    }
}

fn shortened(code: [u8; 32]) -> Fingerprint {
    let mut short = [0; LENGTH];
    short.copy_from_slice(&code[..LENGTH]);
    Fingerprint(short)
}

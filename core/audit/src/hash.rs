//! Keyed hashes of single values.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};
use strongroom_crypto::HmacKey;
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

/// The fewest bytes of a device's key: what HMAC-SHA-256 keeps of a longer one.
pub const KEY_LENGTH: usize = 32;

/// Bytes of a hash as it is written: `hmac-sha256:` and 64 hexadecimal digits.
pub const WRITTEN_LENGTH: usize = PREFIX.len() + 64;

const PREFIX: &str = "hmac-sha256:";

/// What stands in an entry for a value: `hmac-sha256:<hex>`, or, where the device is told so, an accessor in clear.
///
/// Only a [`Hasher`] makes one, so that an entry cannot be given a token by mistake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hashed(Arc<str>);

impl Hashed {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there was nothing to hash; such members are left out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Hashed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// The keys of one audit device, and what it tells in clear. A device that is enabled anew gets a new key.
///
/// Strings are hashed under the device's key itself, so that `sys/audit-hash` answers what Vault's clients expect.
/// Numbers and booleans have keys of their own, derived from it: `5` and `"5"` have two hashes, and no string that
/// somebody asks `sys/audit-hash` for hashes like a number.
#[derive(Clone)]
pub struct Hasher {
    texts: HmacKey,
    numbers: HmacKey,
    booleans: HmacKey,
    has_clear_accessors: bool,
}

impl Hasher {
    /// Takes the device's key: [`KEY_LENGTH`] random bytes or more.
    ///
    /// # Errors
    /// `Invalid` for fewer, which could be guessed.
    pub fn new(key: SecretBytes) -> Result<Self, Failure> {
        if key.len() < KEY_LENGTH {
            let words = format!("the key of an audit device has {} bytes, and {KEY_LENGTH} are needed", key.len());
            return Err(Failure::new(Class::Invalid, words));
        }
        let texts = HmacKey::new(key.expose());
        let derived = |label: &[u8]| HmacKey::new(&texts.sign(label));
        let numbers = derived(b"\0strongroom audit: numbers");
        let booleans = derived(b"\0strongroom audit: booleans");
        Ok(Self { texts, numbers, booleans, has_clear_accessors: false })
    }

    /// Tells accessors in clear: the device's option `hmac_accessor=false`.
    #[must_use]
    pub fn with_clear_accessors(self) -> Self {
        Self { has_clear_accessors: true, ..self }
    }

    /// The hash of a string: what stands in entries for it, and what `sys/audit-hash` answers.
    pub fn text(&self, text: &str) -> Hashed {
        written(&self.texts, text)
    }

    /// The hash of a token, which stands for none where there is none. Never in clear, whatever the options are.
    ///
    /// A token is hashed as the string that clients send; bytes that are no UTF-8 are hashed as they are.
    pub fn token(&self, token: &SecretBytes) -> Hashed {
        if token.is_empty() { Hashed::default() } else { Hashed(hex_of(&self.texts, token.expose())) }
    }

    /// An accessor: its hash, or itself in clear where the device is told so; nothing where it is empty.
    pub fn accessor(&self, accessor: &str) -> Hashed {
        match accessor {
            "" => Hashed::default(),
            clear if self.has_clear_accessors => Hashed(clear.into()),
            hidden => self.text(hidden),
        }
    }

    /// The hash of a number by its JSON text, as it was sent: `1` and `1.0` have two.
    pub(crate) fn number(&self, number: &serde_json::Number) -> Hashed {
        written(&self.numbers, number.as_str())
    }

    /// The hash of a boolean. There are two, and each entry tells which of its booleans are equal.
    pub(crate) fn boolean(&self, boolean: bool) -> Hashed {
        written(&self.booleans, if boolean { "true" } else { "false" })
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Hasher").field("has_clear_accessors", &self.has_clear_accessors).finish_non_exhaustive()
    }
}

fn written(key: &HmacKey, text: &str) -> Hashed {
    Hashed(hex_of(key, text.as_bytes()))
}

fn hex_of(key: &HmacKey, bytes: &[u8]) -> Arc<str> {
    let mut text = String::with_capacity(WRITTEN_LENGTH);
    text.push_str(PREFIX);
    push_hex(&mut text, &key.sign(bytes));
    text.into()
}

/// Appends `bytes` in lower-case hexadecimal digits.
pub(crate) fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

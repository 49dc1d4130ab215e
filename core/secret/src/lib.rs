//! Values that cannot be printed, and the words in which stores name them: keys and versions.
//!
//! Never does I/O and never formats a value. Everything in the pipeline that carries a secret carries a
//! [`SecretBytes`].

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use zeroize::Zeroizing;

/// A secret value: arbitrary bytes that nothing can print, compare in variable time or leave behind in memory.
///
/// There is no `Display` and no `Serialize` on purpose: whoever needs the bytes calls [`SecretBytes::expose`],
/// a word that reviewers and the linter search for.
#[derive(Clone, Default)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes ownership of the bytes; the caller keeps no copy.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves, at the last step before they leave for a workload.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes to be filled in place, while a value is read.
    pub fn expose_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// The value as text, where it is UTF-8; for selection and for the environment.
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Length in bytes: sizes may be told to people, values may not.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the value has no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for SecretBytes {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

/// One value's address inside one store, in the store's own terms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RemoteKey {
    /// The store's name for the secret: an ARN, a path, a resource name.
    pub name: String,
    /// Which version; the store's current one when absent.
    pub version: Option<Version>,
    /// A JSON body to send so that the store makes the value (Vault's dynamic engines, `>>vault:`); `None` for a
    /// plain read. Not a secret: it was written beside the reference.
    pub request: Option<String>,
    /// Which part of the secret is wanted, for stores that address parts themselves (a webhook's template, a policy on
    /// properties); everywhere else the whole is read and the part selected from it.
    pub property: Option<String>,
    /// Whether the secret itself is wanted, or what the store says about it.
    pub facet: Facet,
}

/// The secret itself, or what the store says about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Facet {
    /// The value.
    #[default]
    Value,
    /// Tags, labels and annotations, as a JSON object: `metadataPolicy: Fetch` of External Secrets Operator.
    Metadata,
}

impl RemoteKey {
    /// The current version of `name`.
    pub fn current(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// A given version of `name`.
    pub fn at(name: impl Into<String>, version: Version) -> Self {
        Self { name: name.into(), version: Some(version), ..Self::default() }
    }
}

/// A version as stores tell them apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// An exact version: never changes its value.
    Id(String),
    /// A moving name such as `AWSPREVIOUS` or a parameter's label.
    Stage(String),
}

/// What was read, and which version it was.
#[derive(Clone, Debug)]
pub struct RemoteValue {
    /// The bytes as the store gave them: text, a JSON object of properties, or binary.
    pub value: SecretBytes,
    /// The version that was read, where the store tells it.
    pub version: Option<String>,
    /// The secret's parts as the store keeps them, where it keeps parts of any bytes (a Kubernetes Secret's `data`);
    /// `value` is then a JSON object of them, as far as they are text.
    pub parts: Option<std::sync::Arc<BTreeMap<String, SecretBytes>>>,
    /// Whether the store keeps it as bytes (`SecretBinary` of AWS Secrets Manager), and not as text.
    pub is_binary: bool,
    /// For how long the store lends it, where it made the value for whoever asked; nothing where it stays.
    pub lease: Option<Lease>,
}

impl RemoteValue {
    /// A value without parts of its own, which stays.
    pub fn new(value: SecretBytes, version: Option<String>) -> Self {
        Self { value, version, parts: None, is_binary: false, lease: None }
    }
}

/// For how long a value is lent that a store made for whoever asked: the next who asks gets another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// What the store knows it by; empty where it keeps no account of it. Not a secret.
    pub id: String,
    /// Which of its logins the provider asked with: the value ends with that login's token, whatever was agreed.
    pub login: u64,
    /// How long it lasts from the answer on; zero where it has no end of its own.
    pub duration: Duration,
    /// Whether the store may lend it for longer.
    pub is_renewable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_a_value() {
        let read = RemoteValue::new(SecretBytes::from("canary-7f3a".to_owned()), Some("1".to_owned()));
        let shown = format!("{read:?} {:#?}", read.value);
        assert!(!shown.contains("canary"));
        assert!(shown.contains("[redacted]"));
    }
}

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use strongroom_failure::Failure;
use strongroom_secret::SecretBytes;

use crate::invalid;

/// The longest `NAME=value` that Linux gives to a program, in bytes without the closing NUL (MAX_ARG_STRLEN, execve(2)).
pub const LONGEST_ENTRY: usize = 128 * 1024 - 1;

/// One entry of an environment as the kernel knows it: usually `NAME=value`, wiped on drop because the value may be a
/// secret.
#[derive(Clone)]
pub struct Entry(SecretBytes);

impl Entry {
    /// Takes an entry as it was found; it may lack a `=` and may be any bytes without NUL.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(SecretBytes::new(bytes))
    }

    /// `name=value` where an environment can hold it.
    ///
    /// # Errors
    /// A name that is empty or holds `=` or NUL; a value that is not UTF-8, holds NUL or is too long.
    pub(crate) fn from_value(name: &str, value: &SecretBytes) -> Result<Self, Failure> {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(invalid("the secret's key cannot be the name of a variable")
                .with_hint("take single keys with #KEY, or deliver the secret with --file PATH=REF"));
        }
        if value.expose_text().is_none() || value.expose().contains(&0) {
            let words = format!("the value ({} bytes) is binary and an environment holds text", value.len());
            return Err(
                invalid(words).with_hint("deliver it as a file with --file PATH=REF, or decode it with ?decode=base64")
            );
        }
        let length = name.len() + 1 + value.len();
        if length > LONGEST_ENTRY {
            let words =
                format!("{name} is {length} bytes long and Linux takes at most {LONGEST_ENTRY} in one variable");
            return Err(invalid(words).with_hint("deliver it as a file with --file PATH=REF"));
        }
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(b'=');
        bytes.extend_from_slice(value.expose());
        Ok(Self::from_bytes(bytes))
    }

    /// The whole entry, at the last step before the child gets it.
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }

    /// The whole entry, for the program that is started with it.
    pub fn into_secret(self) -> SecretBytes {
        self.0
    }

    /// The name, where the entry has one that is text.
    pub fn name(&self) -> Option<&str> {
        std::str::from_utf8(self.split()?.0).ok()
    }

    /// The value, where there is one that is text: for variables that say how secrets are delivered.
    pub fn expose_value(&self) -> Option<&str> {
        std::str::from_utf8(self.split()?.1).ok()
    }

    /// Whether the whole entry is UTF-8.
    pub(crate) fn is_text(&self) -> bool {
        self.0.expose_text().is_some()
    }

    /// Name and value as text, with replacement characters for what is none.
    pub(crate) fn lossy(&self) -> Option<(String, Cow<'_, str>)> {
        let (name, value) = self.split()?;
        Some((String::from_utf8_lossy(name).into_owned(), String::from_utf8_lossy(value)))
    }

    fn split(&self) -> Option<(&[u8], &[u8])> {
        let bytes = self.expose();
        let equals = bytes.iter().position(|&byte| byte == b'=')?;
        Some((&bytes[..equals], &bytes[equals + 1..]))
    }

    /// What tells entries apart: the name, or all of an entry without one.
    fn identity(&self) -> &[u8] {
        self.split().map_or(self.expose(), |(name, _)| name)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}=[redacted]", self.name().unwrap_or_default())
    }
}

/// Keeps the last entry of each name, in the place of the first.
pub fn last_wins(entries: impl Iterator<Item = Entry>) -> Vec<Entry> {
    let mut kept: Vec<Entry> = Vec::new();
    let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
    for entry in entries {
        match places.get(entry.identity()) {
            Some(&place) => kept[place] = entry,
            None => {
                places.insert(entry.identity().to_vec(), kept.len());
                kept.push(entry);
            }
        }
    }
    kept
}

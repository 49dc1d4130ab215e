//! Whole documents with every scalar hashed.
//!
//! What is written is made while it is written: no second document is built, and no value is copied.

use std::collections::BTreeSet;

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use crate::hash::{Hasher, WRITTEN_LENGTH};

/// What one document may cost in an entry. A document beyond is left out and the entry says so: a request is never
/// unaudited because it is large, and no request makes a line that nobody can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most lists and objects inside one another.
    pub depth: usize,
    /// The most bytes that its hashed form may have. A hash has 78 bytes, whatever the scalar had.
    pub bytes: usize,
}

impl Default for Limits {
    /// 128 levels, which is what serde_json reads; 1 MiB, which is some 13,000 scalars.
    fn default() -> Self {
        Self { depth: 128, bytes: 1 << 20 }
    }
}

/// The keys whose scalars stay in clear: a mount's `audit_non_hmac_request_keys` or `audit_non_hmac_response_keys`.
///
/// A key counts wherever in a document it stands, for the scalar under it and for scalars in lists under it; inside an
/// object under it, that object's own keys count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClearKeys(BTreeSet<Box<str>>);

impl ClearKeys {
    /// Whether the scalars under `key` stay in clear.
    pub fn contains(&self, key: &str) -> bool {
        self.0.contains(key)
    }
}

impl<S: Into<Box<str>>> FromIterator<S> for ClearKeys {
    fn from_iter<I: IntoIterator<Item = S>>(keys: I) -> Self {
        Self(keys.into_iter().map(Into::into).collect())
    }
}

/// Why a document is not in its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Omission {
    /// It is deeper than [`Limits::depth`].
    Depth,
    /// Its hashed form is longer than [`Limits::bytes`].
    Size,
}

/// The data of a request or a response, ready to be written with every scalar hashed.
#[derive(Clone, Copy)]
pub struct Document<'a> {
    hasher: &'a Hasher,
    clear: &'a ClearKeys,
    members: &'a Map<String, Value>,
    is_elided: bool,
}

impl<'a> Document<'a> {
    /// Takes the object `members`, of which the scalars under `clear` keys stay as they are.
    ///
    /// # Errors
    /// The limit that it is beyond; entries tell it in place of the data.
    pub fn new(
        hasher: &'a Hasher,
        members: &'a Map<String, Value>,
        clear: &'a ClearKeys,
        limits: Limits,
    ) -> Result<Self, Omission> {
        Self::measured(Self { hasher, clear, members, is_elided: false }, limits)
    }

    /// Takes what a list answered, and tells of `keys` and `key_info` how many there are in place of what they are: the
    /// device's option `elide_list_responses`.
    ///
    /// # Errors
    /// The limit that the rest is beyond.
    pub fn of_list(
        hasher: &'a Hasher,
        members: &'a Map<String, Value>,
        clear: &'a ClearKeys,
        limits: Limits,
    ) -> Result<Self, Omission> {
        Self::measured(Self { hasher, clear, members, is_elided: true }, limits)
    }

    fn measured(self, limits: Limits) -> Result<Self, Omission> {
        let depth = limits.depth.checked_sub(1).ok_or(Omission::Depth)?;
        let mut budget = Budget { clear: self.clear, bytes: limits.bytes };
        budget.spend("{},".len())?;
        for (key, value) in self.members {
            budget.spend_text(key)?;
            match self.count_of(key, value) {
                Some(_) => budget.spend(COUNT_LENGTH)?,
                None => budget.spend_value(value, self.clear.contains(key), depth)?,
            }
        }
        Ok(self)
    }

    /// The number that stands in place of `value`.
    fn count_of(&self, key: &str, value: &Value) -> Option<usize> {
        match (self.is_elided, key, value) {
            (true, "keys", Value::Array(items)) => Some(items.len()),
            (true, "key_info", Value::Object(members)) => Some(members.len()),
            _ => None,
        }
    }

    /// Whether there is nothing to tell; such members are left out.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }
}

impl std::fmt::Debug for Document<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("[redacted]")
    }
}

/// Digits of the largest count, with a comma.
const COUNT_LENGTH: usize = 21;

/// What a document may still come to.
struct Budget<'a> {
    clear: &'a ClearKeys,
    bytes: usize,
}

impl Budget<'_> {
    fn spend(&mut self, bytes: usize) -> Result<(), Omission> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or(Omission::Size)?;
        Ok(())
    }

    /// A string in JSON has six bytes for one at most (`\u0000`), its quotes and what separates it.
    fn spend_text(&mut self, text: &str) -> Result<(), Omission> {
        self.spend(text.len().saturating_mul(6).saturating_add(3))
    }

    /// Takes what `value` can come to, with `depth` levels allowed below the one in which it stands.
    fn spend_value(&mut self, value: &Value, is_clear: bool, depth: usize) -> Result<(), Omission> {
        match value {
            Value::Null => self.spend("null,".len()),
            Value::Array(items) => {
                let depth = depth.checked_sub(1).ok_or(Omission::Depth)?;
                self.spend("[],".len())?;
                items.iter().try_for_each(|item| self.spend_value(item, is_clear, depth))
            }
            Value::Object(members) => {
                let depth = depth.checked_sub(1).ok_or(Omission::Depth)?;
                self.spend("{},".len())?;
                members.iter().try_for_each(|(key, member)| {
                    self.spend_text(key)?;
                    self.spend_value(member, self.clear.contains(key), depth)
                })
            }
            _ if !is_clear => self.spend(WRITTEN_LENGTH + 3),
            Value::Bool(_) => self.spend("false,".len()),
            Value::Number(number) => self.spend(number.as_str().len().saturating_add(1)),
            Value::String(text) => self.spend_text(text),
        }
    }
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.members.len()))?;
        for (key, value) in sorted(self.members) {
            match self.count_of(key, value) {
                Some(count) => map.serialize_entry(key, &count)?,
                None => map.serialize_entry(key, &Part::under(self, key, value))?,
            }
        }
        map.end()
    }
}

/// Keys in byte order, as Go writes them: equal documents have equal lines.
fn sorted(members: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut members: Vec<_> = members.iter().collect();
    members.sort_unstable_by_key(|(key, _)| *key);
    members
}

/// A value inside a document.
struct Part<'a> {
    document: &'a Document<'a>,
    value: &'a Value,
    is_clear: bool,
}

impl<'a> Part<'a> {
    fn under(document: &'a Document<'a>, key: &str, value: &'a Value) -> Self {
        Self { document, value, is_clear: document.clear.contains(key) }
    }
}

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Document { hasher, .. } = self.document;
        match self.value {
            Value::Null => serializer.serialize_unit(),
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for value in items {
                    list.serialize_element(&Part { value, ..*self })?;
                }
                list.end()
            }
            Value::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (key, value) in sorted(members) {
                    map.serialize_entry(key, &Part::under(self.document, key, value))?;
                }
                map.end()
            }
            scalar if self.is_clear => scalar.serialize(serializer),
            Value::Bool(boolean) => hasher.boolean(*boolean).serialize(serializer),
            Value::Number(number) => hasher.number(number).serialize(serializer),
            Value::String(text) => hasher.text(text).serialize(serializer),
        }
    }
}

//! How the values are written down.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use strongroom_secret::SecretBytes;

/// The entries of a fake store.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {
    /// In any order; (key, version) must be unique.
    pub data: Vec<Entry>,
}

/// One value of a fake store.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Entry {
    /// The name that a reference asks for.
    pub key: String,
    /// The version that a reference must ask for, letter by letter; absent or empty for references without one.
    #[serde(default)]
    pub version: Option<String>,
    /// The value: text as it is, anything else as its JSON text.
    #[serde(default)]
    pub value: Option<FakeValue>,
    /// Instead of `value`: properties, delivered as one JSON object in order of name.
    #[serde(default)]
    pub value_map: Option<BTreeMap<String, FakeValue>>,
}

/// A value as the settings give it: text, or JSON that is no text. Cannot be printed.
#[derive(Clone, Debug)]
pub struct FakeValue {
    text: SecretBytes,
    is_json: bool,
}

impl FakeValue {
    /// The bytes that a reader gets.
    pub(crate) fn into_bytes(self) -> SecretBytes {
        self.text
    }
}

impl From<&str> for FakeValue {
    fn from(text: &str) -> Self {
        Self { text: SecretBytes::from(text.to_owned()), is_json: false }
    }
}

impl<'de> Deserialize<'de> for FakeValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Self { text: SecretBytes::from(text), is_json: false },
            other => Self { text: SecretBytes::from(other.to_string()), is_json: true },
        })
    }
}

/// The properties as the text of one JSON object.
pub(crate) fn as_json(map: &BTreeMap<String, FakeValue>) -> SecretBytes {
    let members: Vec<_> = map.iter().map(|(name, value)| format!("{}:{}", quoted(name), member(value))).collect();
    SecretBytes::from(format!("{{{}}}", members.join(",")))
}

fn member(value: &FakeValue) -> String {
    let text = value.text.expose_text().unwrap_or_default();
    if value.is_json { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

//! What a template is given: values that may be secret.

use std::collections::BTreeMap;
use std::fmt;

use strongroom_secret::SecretBytes;

/// Data for a template. Bytes pass through unharmed, UTF-8 or not.
#[derive(Clone)]
pub enum Value {
    /// Nothing: printed as `<no value>`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number; numbers from JSON are floats, as Go reads them.
    Int(i64),
    /// A number.
    Float(f64),
    /// A string.
    Bytes(SecretBytes),
    /// Values in order.
    List(Vec<Value>),
    /// Values by name: Go's `map[string]interface{}`.
    Map(BTreeMap<String, Value>),
    /// Strings by name: Go's `map[string]string`, whose absent entries are empty strings for `index`. What the
    /// operator gives.
    Texts(BTreeMap<String, SecretBytes>),
}

impl Value {
    /// The members of the JSON object that `stored` is, for templates over one secret: numbers are printed as they were
    /// stored, and not as the floats that Go makes of them (as bank-vaults has it). `None` where it is no object.
    pub fn members(stored: &SecretBytes) -> Option<BTreeMap<String, Self>> {
        let object: serde_json::Map<_, _> = serde_json::from_slice(stored.expose()).ok()?;
        Some(object.into_iter().map(|(name, value)| (name, Self::as_stored(value))).collect())
    }

    fn as_stored(value: serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match value {
            Json::Number(number) => Self::Bytes(SecretBytes::from(number.to_string())),
            Json::Array(items) => Self::List(items.into_iter().map(Self::as_stored).collect()),
            Json::Object(entries) => {
                Self::Map(entries.into_iter().map(|(name, value)| (name, Self::as_stored(value))).collect())
            }
            plain => plain.into(),
        }
    }
}

impl From<BTreeMap<String, SecretBytes>> for Value {
    fn from(entries: BTreeMap<String, SecretBytes>) -> Self {
        Self::Texts(entries)
    }
}

impl From<BTreeMap<String, Value>> for Value {
    fn from(entries: BTreeMap<String, Value>) -> Self {
        Self::Map(entries)
    }
}

impl From<SecretBytes> for Value {
    fn from(bytes: SecretBytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        match value {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(value),
            serde_json::Value::Number(number) => Self::Float(number.as_str().parse().unwrap_or(f64::NAN)),
            serde_json::Value::String(text) => Self::Bytes(SecretBytes::from(text)),
            serde_json::Value::Array(items) => Self::List(items.into_iter().map(Self::from).collect()),
            serde_json::Value::Object(entries) => {
                Self::Map(entries.into_iter().map(|(key, value)| (key, Self::from(value))).collect())
            }
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A number can be a PIN as well: only the shape is shown.
        formatter.write_str(match self {
            Self::Null => "Null",
            Self::Bool(_) => "Bool([redacted])",
            Self::Int(_) => "Int([redacted])",
            Self::Float(_) => "Float([redacted])",
            Self::Bytes(_) => "Bytes([redacted])",
            Self::List(_) => "List([redacted])",
            Self::Map(_) => "Map([redacted])",
            Self::Texts(_) => "Texts([redacted])",
        })
    }
}

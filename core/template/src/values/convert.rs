//! From the data that comes in to what templates compute with.

use std::collections::BTreeMap;

use super::{Datum, Text};
use crate::data::Value;

impl Datum {
    /// A copy of `value` that a template may change. Deeper than `depth` it is nil: no store gives that.
    pub(crate) fn of(value: &Value, depth: usize) -> Self {
        let Some(depth) = depth.checked_sub(1) else { return Self::Nil };
        match value {
            Value::Null => Self::Nil,
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(value) => Self::Int(*value),
            Value::Float(value) => Self::Float(*value),
            Value::Bytes(bytes) => Self::text(bytes.expose()),
            Value::List(items) => Self::list(items.iter().map(|item| Self::of(item, depth)).collect()),
            Value::Map(entries) => Self::map(
                entries.iter().map(|(key, value)| (Text::from(key.as_str()), Self::of(value, depth))).collect(),
            ),
            Value::Texts(entries) => {
                let text = |(key, value): (&String, &strongroom_secret::SecretBytes)| {
                    (Text::from(key.as_str()), Self::text(value.expose()))
                };
                Self::map_of_texts(entries.iter().map(text).collect::<BTreeMap<_, _>>())
            }
        }
    }
}

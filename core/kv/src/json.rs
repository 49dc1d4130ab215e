//! JSON text that is a secret: objects, merge patches, and the names of members without their values.

use serde_json::{Map, Value};
use strongroom_secret::SecretBytes;
use zeroize::Zeroize as _;

use crate::error::KvError;

/// A JSON value whose texts are wiped when it goes.
pub struct Wiped(pub Value);

impl Drop for Wiped {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Wipes all texts in a value. Numbers stay: their texts are their library's own.
pub fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Reads what was kept, or sent.
///
/// # Errors
/// [`KvError::Invalid`]; quotes nothing.
pub fn read(text: &SecretBytes) -> Result<Wiped, KvError> {
    let unreadable = |_| KvError::Invalid("the data are no JSON".to_owned());
    serde_json::from_slice(text.expose()).map(Wiped).map_err(unreadable)
}

/// JSON text of a value.
///
/// # Errors
/// [`KvError::Invalid`] where it cannot be written, which does not happen.
pub fn write(value: &Value) -> Result<SecretBytes, KvError> {
    let mut text = Vec::with_capacity(256);
    serde_json::to_writer(&mut text, value).map_err(|_| KvError::Invalid("the data are no JSON".to_owned()))?;
    Ok(SecretBytes::new(text))
}

/// Changes `target` as a merge patch says (RFC 7396): null takes away, objects go into each other, all else replaces.
pub fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, change) in patch {
        match (change, target.get_mut(name)) {
            (Value::Null, _) => drop(target.remove(name)),
            (Value::Object(inner), Some(Value::Object(there))) => merge(there, inner),
            (Value::Object(inner), _) => {
                let mut made = Map::new();
                merge(&mut made, inner);
                target.insert(name.clone(), Value::Object(made));
            }
            (change, _) => drop(target.insert(name.clone(), change.clone())),
        }
    }
}

/// The names of members, with null in place of values, down to `depth` levels (0: all).
pub fn names_alone(members: &Map<String, Value>, depth: u64) -> Map<String, Value> {
    let below = |value: &Value| match value {
        Value::Object(inner) if depth != 1 && !inner.is_empty() => {
            Value::Object(names_alone(inner, depth.saturating_sub(1)))
        }
        _ => Value::Null,
    };
    members.iter().map(|(name, value)| (name.clone(), below(value))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(members) => members,
            _ => panic!("an object"),
        }
    }

    #[test]
    fn a_merge_patch_changes_what_it_names() {
        let check = |target: Value, patch: Value, expected: Value| {
            let mut target = object(target);
            merge(&mut target, &object(patch.clone()));
            assert_eq!(Value::Object(target), expected, "{patch}");
        };
        check(json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"}));
        check(json!({"a": "b"}), json!({"a": null}), json!({}));
        check(json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": null, "d": 3}}), json!({"a": {"c": 2, "d": 3}}));
        check(json!({"a": [1]}), json!({"a": {"b": null, "c": 1}}), json!({"a": {"c": 1}}));
        check(json!({}), json!({"a": {"b": {"c": null}}}), json!({"a": {"b": {}}}));
    }

    #[test]
    fn subkeys_show_names_down_to_a_depth() {
        let data = object(json!({"a": {"b": {"c": "x"}, "e": {}}, "d": ["y"]}));
        assert_eq!(Value::Object(names_alone(&data, 0)), json!({"a": {"b": {"c": null}, "e": null}, "d": null}));
        assert_eq!(Value::Object(names_alone(&data, 1)), json!({"a": null, "d": null}));
        assert_eq!(Value::Object(names_alone(&data, 2)), json!({"a": {"b": null, "e": null}, "d": null}));
    }
}

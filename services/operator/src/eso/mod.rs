//! External Secrets Operator's interface: its kinds, its stores, its metadata, its conditions, its metrics. Everything
//! here only translates between them and our own types.

pub(crate) mod external_secret;
pub(crate) mod fan_out;
mod fanned_out;
pub(crate) mod generators;
pub(crate) mod push_secret;
pub(crate) mod store;
pub mod stores;
mod templates;
mod timing;

use serde_json::Value;

/// A merge patch that makes `next` of `before`: what is not in it any more is null.
fn replaced(before: &Value, next: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (before, next) else { return next.clone() };
    let gone = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let kept = new
        .iter()
        .map(|(key, value)| (key.clone(), old.get(key).map_or_else(|| value.clone(), |old| replaced(old, value))));
    Value::Object(gone.chain(kept).collect())
}

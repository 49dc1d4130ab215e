use serde_json::Value;
use strongroom_failure::Failure;
use strongroom_reference::{Decode, ProviderKind, Reference};
use strongroom_secret::SecretBytes;

use crate::{Wanted, invalid};

/// Whether a whole value read by `reference` becomes one variable for each member, if it is an object of plain values.
///
/// So do the stores whose secrets are by custom objects of keys: Secrets Manager (secrets-init, SI-10), Vault, the
/// built-in store. Parameter Store's and Google's values never are (secrets-init expands neither).
pub fn expands(reference: &Reference) -> bool {
    let of_objects = matches!(
        reference.provider,
        ProviderKind::AwsSecretsManager | ProviderKind::Vault | ProviderKind::Strongroom | ProviderKind::Fake
    );
    of_objects && reference.property.is_none() && reference.decode == Decode::None
}

/// The members of a JSON object whose members are all strings, numbers or booleans; `None` for every other value, which
/// then stays the text that was stored (SI-11, SI-12).
pub(crate) fn members(wanted: &Wanted, value: &SecretBytes) -> Option<Vec<(String, SecretBytes)>> {
    if !wanted.expands() || value.expose().iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return None;
    }
    let Ok(Value::Object(object)) = serde_json::from_slice(value.expose()) else { return None };
    let plain = |value: &Value| matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_));
    // An empty object would make its variable vanish without a word.
    let expandable = !object.is_empty() && object.values().all(plain);
    // Taken apart either way, so that no string is dropped without being wiped.
    let members: Vec<_> = object.into_iter().map(|(name, value)| (name, text(value))).collect();
    expandable.then_some(members)
}

/// The members of a secret that must be an object of plain values, as bank-vaults takes them: nothing is an empty text.
pub(crate) fn all_members(value: &SecretBytes) -> Result<Vec<(String, SecretBytes)>, Failure> {
    let Ok(Value::Object(object)) = serde_json::from_slice(value.expose()) else {
        return Err(invalid("the secret has no keys, which should become variables"));
    };
    let mut nested = None;
    // Taken apart to the end, so that no string is dropped without being wiped.
    let members = object.into_iter().map(|(name, value)| {
        if matches!(value, Value::Object(_) | Value::Array(_)) {
            nested = Some(name.clone());
        }
        (name, if value.is_null() { SecretBytes::default() } else { text(value) })
    });
    let members = members.collect();
    match nested {
        None => Ok(members),
        Some(name) => Err(invalid(format!("the secret's key \"{name}\" is no plain value"))
            .with_hint("store it as text, or write variables for single keys: vault:PATH#KEY")),
    }
}

/// A string as it is, anything else as its JSON text.
fn text(value: Value) -> SecretBytes {
    match value {
        Value::String(text) => SecretBytes::from(text),
        other => SecretBytes::from(other.to_string()),
    }
}

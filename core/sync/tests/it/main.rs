//! What External Secrets Operator does, as tables; what must always hold, as properties.

#![allow(clippy::unwrap_used)]

mod assembling;
mod cluster;
mod hashes;
mod keys;
mod manifests;
mod matrix;
mod pushing;
mod refreshing;
mod rendering;
mod rewriting;
mod statuses;
mod targets;
mod wanting;

use strongroom_secret::SecretBytes;
use strongroom_sync::Values;

/// Values of texts.
fn values(pairs: &[(&str, &str)]) -> Values {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), SecretBytes::from((*value).to_owned()))).collect()
}

/// Texts of values, to be compared.
fn shown(values: &Values) -> Vec<(&str, &str)> {
    values.iter().map(|(key, value)| (key.as_str(), value.expose_text().unwrap_or("(binary)"))).collect()
}

/// As much of a template engine as these tests need: `{{ .key }}`, and a failure for a key that is not there.
struct Engine;

impl strongroom_sync::render::Render for Engine {
    fn render(&self, name: &str, text: &str, values: &Values) -> Result<SecretBytes, strongroom_failure::Failure> {
        let mut made = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{ .") {
            let (key, after) = after.split_once(" }}").unwrap();
            made.extend_from_slice(before.as_bytes());
            let value = values.get(key).ok_or_else(|| {
                strongroom_failure::Failure::new(strongroom_failure::Class::Invalid, format!("{name}: no key {key:?}"))
            })?;
            made.extend_from_slice(value.expose());
            rest = after;
        }
        made.extend_from_slice(rest.as_bytes());
        Ok(SecretBytes::new(made))
    }
}

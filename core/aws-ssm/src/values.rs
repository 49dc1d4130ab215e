//! The keys that a Secret gets.

use std::collections::BTreeMap;

use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;
use strongroom_sync::keys::is_data_key;

use crate::{Kind, Values};

/// The keys for the value of one parameter (AS-01): one that is named after the type, and for a list its entries, too.
///
/// # Errors
/// `Invalid` where an entry of a list cannot be a key.
pub fn single(kind: Kind, value: SecretBytes) -> Result<Values, Failure> {
    let mut values = match kind {
        Kind::StringList => entries(&value)?,
        Kind::String | Kind::SecureString | Kind::Directory => Values::new(),
    };
    values.insert(kind.name().to_owned(), value);
    Ok(values)
}

/// The entries of a list (AS-02): `a=1,b` is `1` under `a`, and nothing under `b`. Of two with one key the later wins.
///
/// # Errors
/// `Invalid` where an entry cannot be a key. It is told by its place alone: it is a part of a value.
pub fn entries(list: &SecretBytes) -> Result<Values, Failure> {
    let text = list.expose_text().ok_or_else(|| Failure::new(Class::Invalid, "the list is no text"))?;
    let mut values = Values::new();
    for (place, entry) in text.split(',').map(str::trim).enumerate().filter(|(_, entry)| !entry.is_empty()) {
        let (key, value) = entry.split_once('=').unwrap_or((entry, ""));
        if !is_data_key(key) {
            let words = format!("entry {} of the list is no key of a Secret", place + 1);
            return Err(Failure::new(Class::Invalid, words)
                .with_hint("a key has letters, numbers, - . _; annotate the type String to take the list as it is"));
        }
        values.insert(key.to_owned(), SecretBytes::from(value.to_owned()));
    }
    Ok(values)
}

/// The keys for the parameters below a path, by name: each under the last part of its name.
///
/// # Errors
/// `NotFound` where there is none: what was delivered is not blanked by that. `Invalid` where two would have one key,
/// of which aws-ssm lost either.
pub fn directory(path: &str, found: Vec<(String, SecretBytes)>) -> Result<Values, Failure> {
    if found.is_empty() {
        return Err(Failure::new(Class::NotFound, format!("there is no parameter below {path}")));
    }
    let mut values = Values::new();
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in found {
        let key = safe_key_name(name.trim_end_matches('/').rsplit('/').next().unwrap_or_default());
        if let Some(other) = names.insert(key.clone(), name.clone()) {
            return Err(Failure::new(Class::Invalid, format!("{other} and {name} would both be the key {key}"))
                .with_hint("rename one of the two, or annotate the longer path"));
        }
        if !is_data_key(&key) {
            return Err(Failure::new(Class::Invalid, format!("{key:?} of {name} is no key of a Secret")));
        }
        values.insert(key, value);
    }
    Ok(values)
}

/// A parameter's name as a key (AS-02): without the slashes at its end and one at its beginning, others are `_`.
pub fn safe_key_name(name: &str) -> String {
    let name = name.trim_end_matches('/');
    name.strip_prefix('/').unwrap_or(name).replace('/', "_")
}

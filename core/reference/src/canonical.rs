//! The canonical URI, `sr://PROVIDER[@STORE]/KEY[?query][#PROPERTY]`: read, and written by `Display`.

use std::fmt;

use strongroom_failure::Failure;

use crate::escape::{KEY, STORE, decode, encode, invalid};
use crate::suffix::{Parts, either, split_off, write_query};
use crate::{ProviderKind, Reference};

/// How a canonical reference begins.
pub(crate) const SCHEME: &str = "sr://";

/// The longest canonical reference, in bytes: what Linux takes in one environment variable (`MAX_ARG_STRLEN`).
/// It also holds the canonical form of the longest foreign text, of which each byte becomes six at most (`%5C%XX`).
pub(crate) const LIMIT: usize = 128 * 1024;

/// Reads a text that begins with [`SCHEME`].
pub(crate) fn parse(text: &str) -> Result<Reference, Failure> {
    if text.len() > LIMIT {
        return Err(invalid(format!("the reference is longer than {LIMIT} bytes"), "shorten its default or request"));
    }
    let parts = Parts::of(text.strip_prefix(SCHEME).unwrap_or(text));
    let (authority, key) = split_off(parts.form, '/');
    let (provider, store) = split_off(authority, '@');
    let provider = ProviderKind::from_name(provider).ok_or_else(|| {
        let names = either(ProviderKind::ALL.map(ProviderKind::name));
        invalid("the provider after sr:// is not known", format!("use {names}"))
    })?;
    let store = store.map(|store| decode("store", store)).transpose()?;
    if store.as_deref() == Some("") {
        return Err(invalid("the store after @ has no name", "name a store of the configuration, or leave @ out"));
    }
    let key = decode("key", key.unwrap_or_default())?;
    if key.is_empty() {
        return Err(invalid("the key is missing", format!("write sr://{provider}/KEY")));
    }
    parts.complete(Reference { store, ..Reference::whole(provider, key) })
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{SCHEME}{}", self.provider)?;
        if let Some(store) = &self.store {
            write!(formatter, "@{}", encode(store, STORE))?;
        }
        // A first slash of the key's own would be taken for an empty part of a path by other readers of URIs.
        match self.key.name.strip_prefix('/') {
            Some(rest) => write!(formatter, "/%2F{}", encode(rest, KEY))?,
            None => write!(formatter, "/{}", encode(&self.key.name, KEY))?,
        }
        write_query(self, formatter)?;
        match &self.property {
            Some(property) => write!(formatter, "#{}", encode(property, KEY)),
            None => Ok(()),
        }
    }
}

//! The request headers that entries tell: those that were configured, each in clear or hashed.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::hash::{Hashed, Hasher};

/// Headers that are never told in clear, whatever was configured: they carry tokens.
const NEVER_CLEAR: &[&str] = &["authorization", "cookie", "proxy-authorization", "x-vault-token"];

/// Which headers entries tell: `sys/config/auditing/request-headers`. A header that is not named here is not told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditedHeaders(BTreeMap<Box<str>, bool>);

impl AuditedHeaders {
    /// Tells the header `name`, in whichever case it comes; hashed where `is_hashed`, and where it carries a token.
    #[must_use]
    pub fn with(mut self, name: &str, is_hashed: bool) -> Self {
        let name = name.to_ascii_lowercase();
        let is_hashed = is_hashed || NEVER_CLEAR.contains(&name.as_str());
        self.0.insert(name.into(), is_hashed);
        self
    }

    /// What an entry tells of the headers `given`, as (name, value), in any case and more than once each.
    pub fn pick<'a>(&self, hasher: &Hasher, given: impl IntoIterator<Item = (&'a str, &'a str)>) -> Headers {
        let mut picked: BTreeMap<Box<str>, Vec<Box<str>>> = BTreeMap::new();
        for (name, value) in given {
            let name = name.to_ascii_lowercase();
            let Some(is_hashed) = self.0.get(name.as_str()) else { continue };
            let told = if *is_hashed { written(&hasher.text(value)) } else { value.into() };
            picked.entry(name.into()).or_default().push(told);
        }
        Headers(picked)
    }
}

fn written(hashed: &Hashed) -> Box<str> {
    hashed.as_str().into()
}

/// Headers as entries tell them: names in lower case, each with its values in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Headers(BTreeMap<Box<str>, Vec<Box<str>>>);

impl Headers {
    /// Whether there is nothing to tell; such members are left out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

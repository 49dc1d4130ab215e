use std::collections::BTreeMap;

use strongroom_pattern::Pattern;
use strongroom_secret::{RemoteKey, RemoteValue};

/// A search for secrets. What is absent does not restrict; a store that cannot restrict by something refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Find {
    /// Only below this path, in the store's own terms.
    pub path: Option<String>,
    /// Only names that have a match.
    pub name: Option<Pattern>,
    /// Only secrets that carry all of these tags (labels).
    pub tags: BTreeMap<String, String>,
}

/// One secret that a search found.
#[derive(Clone, Debug)]
pub struct Found {
    /// What it is called in the result: the store's name for it as External Secrets Operator gives it.
    pub name: String,
    /// How to read it.
    pub key: RemoteKey,
    /// Its value, where the search gave it.
    pub value: Option<RemoteValue>,
}

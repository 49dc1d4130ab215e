//! A change of a secret, and whether it concerns a key.

use strongroom_reference::ProviderKind;

use crate::key::{Author, Spelled, stems};

/// What a source said about one secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The kind of store that it lies in.
    pub provider: ProviderKind,
    /// What happened.
    pub happening: Happening,
    /// The message's own id, by which a second delivery is known.
    pub id: Option<String>,
    /// The one store that is meant: a SecretStore's namespace, if it is one, and its name.
    pub store: Option<(Option<String>, String)>,
    /// AWS: the region in which it happened.
    pub(crate) region: Option<String>,
    /// AWS: the account in which it happened.
    pub(crate) account: Option<String>,
    /// The secret, in each form that the source gave.
    pub(crate) keys: Vec<Spelled>,
}

/// What happened to a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// There is a new version, or another one is the current one.
    Written,
    /// It or something about it is new, which may be its value.
    Updated,
    /// It is gone, or will be.
    Removed,
    /// It is back.
    Restored,
}

/// What a store reads, as far as its settings tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its kind.
    pub provider: ProviderKind,
    /// AWS: its region.
    pub region: Option<String>,
    /// Google: its project.
    pub project: Option<String>,
    /// What stands before every key that objects write.
    pub prefix: String,
}

impl Place {
    /// A store of which only the kind is known.
    pub fn of(provider: ProviderKind) -> Self {
        Self { provider, region: None, project: None, prefix: String::new() }
    }
}

impl Change {
    pub(crate) fn new(provider: ProviderKind, happening: Happening) -> Self {
        Self { provider, happening, id: None, store: None, region: None, account: None, keys: Vec::new() }
    }

    /// Adds a form of the secret's name.
    pub(crate) fn called(&mut self, key: &str, author: Author) {
        self.keys.push(Spelled::of(self.provider, key, author));
    }

    /// The secret's name, for people: the first form that the source gave.
    pub fn name(&self) -> &str {
        self.keys.iter().flat_map(|key| &key.names).next().map(String::as_str).unwrap_or_default()
    }

    /// Whether a store there can hold the secret. What is not known is not held against it.
    pub fn reaches(&self, place: &Place) -> bool {
        let is_region = agrees(self.region.as_deref(), place.region.as_deref());
        place.provider == self.provider
            && self.keys.iter().all(|key| {
                is_region
                    && agrees(key.region.as_deref(), place.region.as_deref())
                    && is_same_project(key.project.as_deref(), place.project.as_deref())
            })
    }

    /// Whether `key`, as an object writes it, reads the secret from a store there.
    pub fn is_read_as(&self, key: &str, place: &Place) -> bool {
        if place.provider != self.provider {
            return false;
        }
        let read = Spelled::of(self.provider, &format!("{}{key}", place.prefix), Author::Person);
        // What a key names itself wins over its store's settings.
        let region = read.region.as_deref().or(place.region.as_deref());
        let project = read.project.as_deref().or(place.project.as_deref());
        agrees(self.region.as_deref(), region)
            && agrees(self.account.as_deref(), read.account.as_deref())
            && self.keys.iter().any(|key| {
                key.names.iter().any(|name| read.names.contains(name))
                    && agrees(key.region.as_deref(), region)
                    && agrees(key.account.as_deref(), read.account.as_deref())
                    && is_same_project(key.project.as_deref(), project)
            })
    }

    /// Whether a search in a store there may find the secret: its names begin with `path` and please `is_match`.
    pub fn may_be_found(&self, path: Option<&str>, is_match: impl Fn(&str) -> bool, place: &Place) -> bool {
        let begins = |name: &str| {
            let path = path.unwrap_or_default();
            // The first slash of a parameter is no part of its name here.
            name.starts_with(path.strip_prefix('/').unwrap_or(path)) || name.starts_with(path)
        };
        let mut names = self.keys.iter().flat_map(|key| &key.names);
        self.reaches(place)
            && names.any(|name| {
                let slashed = format!("/{name}");
                let is_named = |name: &str| {
                    let short = name.strip_prefix(&place.prefix);
                    is_match(name) || short.is_some_and(&is_match)
                };
                let is_below = begins(name) || name.strip_prefix(&place.prefix).is_some_and(begins);
                is_below && (is_named(name) || is_named(&slashed))
            })
    }

    /// What to look keys up by, as they are written for stores whose prefix is `prefix`.
    pub fn stems(&self, prefix: &str) -> Vec<String> {
        let slashed = prefix.strip_prefix('/').unwrap_or(prefix);
        let names = self.keys.iter().flat_map(|key| &key.names);
        let mut found: Vec<String> = names
            .filter_map(|name| name.strip_prefix(prefix).or_else(|| name.strip_prefix(slashed)))
            .flat_map(stems)
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Whether two may be the same as far as both are known.
fn agrees(one: Option<&str>, other: Option<&str>) -> bool {
    one.is_none() || other.is_none() || one == other
}

/// Google's notifications have a project's number where people write its id; the two cannot be compared.
fn is_same_project(one: Option<&str>, other: Option<&str>) -> bool {
    let is_number = |project: &str| project.bytes().all(|byte| byte.is_ascii_digit());
    match (one, other) {
        (Some(one), Some(other)) if is_number(one) == is_number(other) => one == other,
        _ => true,
    }
}

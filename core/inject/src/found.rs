//! What a pod's variables come from outside of the pod: what to look up, and what was found.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use strongroom_secret::SecretBytes;

use crate::pod::{Container, list, text};
use crate::survey::Candidates;

/// The kinds that variables come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceKind {
    /// `configMapRef`, `configMapKeyRef`.
    ConfigMap,
    /// `secretRef`, `secretKeyRef`.
    Secret,
}

impl SourceKind {
    /// The kind's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }

    /// The resource's name in the API.
    pub fn plural(self) -> &'static str {
        match self {
            Self::ConfigMap => "configmaps",
            Self::Secret => "secrets",
        }
    }
}

/// Which keys of a ConfigMap or Secret are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    /// All of them (`envFrom`).
    All,
    /// These.
    Some(BTreeSet<String>),
}

/// A ConfigMap or Secret to look up, in the pod's namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// Which of the two.
    pub kind: SourceKind,
    /// Its name.
    pub name: String,
    /// The keys that are used, by all containers together.
    pub keys: Keys,
    /// Whether the pod starts without it.
    pub optional: bool,
}

/// What was found of one of them.
#[derive(Clone, Debug)]
pub enum Source {
    /// Its values by key (those of [`Lookup::keys`] are enough). Those of a Secret may be secrets.
    Values(BTreeMap<String, SecretBytes>),
    /// It does not exist.
    Absent,
    /// It may not be read: whoever takes a variable from it is wrapped without looking.
    Unreadable,
}

/// What was found of all of them. One that nobody put in counts as unreadable, so that nothing starts raw by mistake.
#[derive(Clone, Debug, Default)]
pub struct Found {
    config_maps: BTreeMap<String, Source>,
    secrets: BTreeMap<String, Source>,
}

impl Found {
    /// Notes what was found of a ConfigMap or Secret.
    pub fn insert(&mut self, kind: SourceKind, name: impl Into<String>, source: Source) {
        match kind {
            SourceKind::ConfigMap => self.config_maps.insert(name.into(), source),
            SourceKind::Secret => self.secrets.insert(name.into(), source),
        };
    }

    pub(crate) fn get(&self, kind: SourceKind, name: &str) -> &Source {
        let of_kind = match kind {
            SourceKind::ConfigMap => &self.config_maps,
            SourceKind::Secret => &self.secrets,
        };
        of_kind.get(name).unwrap_or(&Source::Unreadable)
    }
}

impl Candidates<'_> {
    /// Which ConfigMaps and Secrets must be read, each once and in the order of kind and name. Nothing for a pod that is
    /// left alone.
    pub fn lookups(&self) -> Vec<Lookup> {
        let mut merged: BTreeMap<(SourceKind, &str), (Keys, bool)> = BTreeMap::new();
        for container in self.open() {
            for feed in feeds(container) {
                let (origin, key) = match feed {
                    Feed::Literal { .. } => continue,
                    Feed::Key { origin, key, .. } => (origin, Some(key)),
                    Feed::All { origin, .. } => (origin, None),
                };
                let fresh = || (Keys::Some(BTreeSet::new()), true);
                let (keys, optional) = merged.entry((origin.kind, origin.name)).or_insert_with(fresh);
                *optional &= origin.is_optional;
                match (key, &mut *keys) {
                    (None, _) => *keys = Keys::All,
                    (Some(key), Keys::Some(some)) => {
                        some.insert(key.to_owned());
                    }
                    (Some(_), Keys::All) => {}
                }
            }
        }
        let lookup =
            |((kind, name), (keys, optional)): ((_, &str), _)| Lookup { kind, name: name.to_owned(), keys, optional };
        merged.into_iter().map(lookup).collect()
    }
}

/// Something that gives a container variables.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Feed<'pod> {
    /// `env[].value`.
    Literal { variable: &'pod str, value: &'pod str },
    /// `env[].valueFrom`.
    Key { variable: &'pod str, origin: Origin<'pod>, key: &'pod str },
    /// `envFrom[]`.
    All { index: usize, prefix: &'pod str, origin: Origin<'pod> },
}

/// The ConfigMap or Secret that variables come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin<'pod> {
    pub(crate) kind: SourceKind,
    pub(crate) name: &'pod str,
    pub(crate) is_optional: bool,
}

impl Feed<'_> {
    /// The field of the container that it is, in people's words.
    pub(crate) fn field(&self) -> String {
        match self {
            Self::Literal { variable, .. } => format!("env[{variable}].value"),
            Self::Key { variable, origin, .. } => match origin.kind {
                SourceKind::ConfigMap => format!("env[{variable}].valueFrom.configMapKeyRef"),
                SourceKind::Secret => format!("env[{variable}].valueFrom.secretKeyRef"),
            },
            Self::All { index, origin, .. } => match origin.kind {
                SourceKind::ConfigMap => format!("envFrom[{index}].configMapRef"),
                SourceKind::Secret => format!("envFrom[{index}].secretRef"),
            },
        }
    }
}

/// All that gives a container variables, `envFrom` first, as kubelet has it.
pub(crate) fn feeds<'pod>(container: &Container<'pod>) -> impl Iterator<Item = Feed<'pod>> + use<'pod> {
    let whole = list(container.value, "envFrom").iter().enumerate().flat_map(|(index, entry)| {
        let prefix = text(entry, "prefix").unwrap_or_default();
        let members = [("configMapRef", SourceKind::ConfigMap), ("secretRef", SourceKind::Secret)];
        members.into_iter().filter_map(move |(member, kind)| {
            Some(Feed::All { index, prefix, origin: origin(entry.get(member)?, kind)? })
        })
    });
    whole.chain(list(container.value, "env").iter().filter_map(variable))
}

/// Whether the container sets a variable of this name, as far as can be seen; an empty one counts as none.
pub(crate) fn sets(container: &Container<'_>, found: &Found, variable: &str) -> bool {
    let is_it = |entry: &Value| {
        text(entry, "name") == Some(variable) && (text(entry, "value").is_some() || entry.get("valueFrom").is_some())
    };
    let gives = |feed: Feed<'_>| match feed {
        Feed::All { prefix, origin, .. } => match found.get(origin.kind, origin.name) {
            Source::Values(values) => variable.strip_prefix(prefix).is_some_and(|key| values.contains_key(key)),
            Source::Absent | Source::Unreadable => false,
        },
        Feed::Literal { .. } | Feed::Key { .. } => false,
    };
    list(container.value, "env").iter().any(is_it) || feeds(container).any(gives)
}

fn variable(entry: &Value) -> Option<Feed<'_>> {
    let variable = text(entry, "name")?;
    if let Some(value) = text(entry, "value") {
        return Some(Feed::Literal { variable, value });
    }
    let from = entry.get("valueFrom")?;
    let members = [("secretKeyRef", SourceKind::Secret), ("configMapKeyRef", SourceKind::ConfigMap)];
    members.into_iter().find_map(|(member, kind)| {
        let reference = from.get(member)?;
        Some(Feed::Key { variable, origin: origin(reference, kind)?, key: text(reference, "key")? })
    })
}

fn origin(reference: &Value, kind: SourceKind) -> Option<Origin<'_>> {
    let is_optional = reference.get("optional").and_then(Value::as_bool) == Some(true);
    Some(Origin { kind, name: text(reference, "name")?, is_optional })
}

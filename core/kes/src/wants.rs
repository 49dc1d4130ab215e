//! What an object wants read, in the order in which its parts win: `dataFrom`, `dataFromWithOptions`, `data` (KE-17).

use strongroom_api::kes::{Backend, DataEntry, ExternalSecretSpec};
use strongroom_failure::{Class, Failure};
use strongroom_secret::{RemoteKey, Version};

/// One thing to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// Where it stands in the object: `spec.data[0]`.
    pub field: String,
    /// What to read, and what becomes of it.
    pub what: What,
}

/// What to read, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A value, or the part of it that `property` names, under `name`.
    Value {
        /// The store's name for it.
        key: RemoteKey,
        /// The key in the Secret.
        name: String,
        /// A path into the value, which is then JSON.
        property: Option<String>,
        /// Whether it is written as base64.
        is_binary: bool,
    },
    /// The members of a value that is JSON, each under its own name.
    Members {
        /// The store's name for it.
        key: RemoteKey,
    },
    /// Every parameter below a path, under the last part of its name (KE-25).
    Path {
        /// The path.
        path: String,
        /// Whether what is deeper below it counts too.
        is_recursive: bool,
        /// A path into each value, which is then JSON.
        property: Option<String>,
        /// Whether they are written as base64.
        is_binary: bool,
    },
}

/// What `spec`, which stands in the object's field `spec_field`, wants.
///
/// # Errors
/// `Invalid` where a store is asked for what it does not have, or a text is missing.
pub fn wants(spec_field: &str, spec: &ExternalSecretSpec, backend: Backend) -> Result<Vec<Want>, Failure> {
    let mut wants = Vec::new();
    for (place, key) in spec.data_from.iter().flatten().enumerate() {
        let what = What::Members { key: remote_key(key.clone(), None, backend) };
        wants.push(Want { field: format!("{spec_field}.dataFrom[{place}]"), what });
    }
    for (place, entry) in spec.data_from_with_options.iter().flatten().enumerate() {
        let field = format!("{spec_field}.dataFromWithOptions[{place}]");
        let name = entry.key.clone().ok_or_else(|| missing(&field, "key"))?;
        let version = stage_or_id(backend, entry.version_id.as_ref(), entry.version_stage.as_ref());
        wants.push(Want { field, what: What::Members { key: remote_key(name, version, backend) } });
    }
    let (list, entries) = spec.entries();
    for (place, entry) in entries.iter().enumerate() {
        let field = format!("{spec_field}.{list}[{place}]");
        let what = wanted(&field, entry, backend)?;
        wants.push(Want { field, what });
    }
    Ok(wants)
}

fn wanted(field: &str, entry: &DataEntry, backend: Backend) -> Result<What, Failure> {
    let (property, is_binary) = (entry.property.clone(), entry.is_binary.unwrap_or_default());
    if let Some(path) = entry.path.clone().filter(|path| !path.is_empty()) {
        if backend != Backend::SystemManager {
            let hint = format!("{} has no paths; name a key", backend.name());
            return Err(Failure::new(Class::Invalid, "_getByPath not implemented").in_field(field).with_hint(hint));
        }
        return Ok(What::Path { path, is_recursive: entry.recursive.unwrap_or_default(), property, is_binary });
    }
    let name = entry.name.clone().ok_or_else(|| missing(field, "name"))?;
    let key = entry.key.clone().ok_or_else(|| missing(field, "key"))?;
    let version = match backend {
        Backend::GcpSecretsManager => entry.version.clone().map(Version::Stage),
        _ => stage_or_id(backend, entry.version_id.as_ref(), entry.version_stage.as_ref()),
    };
    Ok(What::Value { key: remote_key(key, version, backend), name, property, is_binary })
}

fn missing(field: &str, name: &str) -> Failure {
    Failure::new(Class::Invalid, "is missing").in_field(format!("{field}.{name}"))
}

/// Secrets Manager takes an id before a stage (KE-19); nothing else has either.
fn stage_or_id(backend: Backend, id: Option<&String>, stage: Option<&String>) -> Option<Version> {
    let id = id.cloned().map(Version::Id);
    id.or_else(|| stage.cloned().map(Version::Stage)).filter(|_| backend == Backend::SecretsManager)
}

/// A parameter's version may stand behind its name (`name:3`, `name:label`).
fn remote_key(name: String, version: Option<Version>, backend: Backend) -> RemoteKey {
    let split = name.rsplit_once(':').filter(|(base, _)| backend == Backend::SystemManager && !base.contains(':'));
    match split {
        Some((base, version)) => RemoteKey::at(base, Version::Stage(version.to_owned())),
        None => RemoteKey { name, version, ..RemoteKey::default() },
    }
}

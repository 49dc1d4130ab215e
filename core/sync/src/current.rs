//! A target as the cluster has it, seen through its metadata: whose it is, and who wrote which part of it.
//!
//! The API server keeps in `managedFields` which writer set which key, so that most of what matters about a Secret is
//! known without reading it.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use strongroom_api::external_secrets::CreationPolicy;
use strongroom_api::external_secrets::vocabulary::{annotation, label};
use strongroom_crypto::sha3_224;

use crate::Texts;
use crate::hash::field_managers;
use crate::object::SecretObject;
use crate::outline::{Outline, Writer};
use crate::target::Wanted;

/// A Secret as the cluster has it.
#[derive(Clone, Debug, Default)]
pub struct Current {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// The version that was seen.
    pub resource_version: String,
    /// Its labels.
    pub labels: Texts,
    /// Its annotations.
    pub annotations: Texts,
    pub(crate) finalizers: Vec<String>,
    pub(crate) owners: Vec<OwnerReference>,
    /// What our field manager wrote.
    pub(crate) owned: Parts,
    /// The keys of data that others wrote.
    pub foreign_data: BTreeSet<String>,
    /// When others last wrote data, by manager; only to see that they did again.
    foreign_writes: Vec<(String, Option<i64>)>,
    /// Whether anybody set `immutable`.
    pub(crate) sets_immutable: bool,
    /// The whole Secret, where it was read.
    pub(crate) full: Option<SecretObject>,
}

/// The parts of a Secret that one writer wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) data: BTreeSet<String>,
    pub(crate) labels: BTreeSet<String>,
    pub(crate) annotations: BTreeSet<String>,
    pub(crate) finalizers: BTreeSet<String>,
}

impl Current {
    /// What an outline tells to the ExternalSecret `owner` (its name, from which its field manager follows).
    pub fn from_outline(outline: &Outline, owner: &str) -> Self {
        let texts = |pairs: &[(Box<str>, Box<str>)]| {
            pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
        };
        let mut current = Self {
            name: outline.name.to_string(),
            uid: outline.uid.to_string(),
            resource_version: outline.resource_version.to_string(),
            labels: texts(&outline.labels),
            annotations: texts(&outline.annotations),
            finalizers: outline.finalizers.iter().map(ToString::to_string).collect(),
            owners: outline.owners.to_vec(),
            ..Self::default()
        };
        let ours = field_managers(owner);
        for writer in &outline.writers {
            current.note(writer, ours.iter().any(|manager| **manager == *writer.manager));
        }
        current
    }

    /// As [`Current::from_outline`], of the metadata itself.
    pub fn from_metadata(metadata: &ObjectMeta, owner: &str) -> Self {
        Self::from_outline(&Outline::of(metadata), owner)
    }

    /// What a Secret tells that was read whole.
    pub fn from_secret(secret: Secret, owner: &str) -> Self {
        Self { full: Some(SecretObject::new(secret.clone())), ..Self::from_metadata(&secret.metadata, owner) }
    }

    /// The whole Secret, where it was read.
    pub fn full(&self) -> Option<&SecretObject> {
        self.full.as_ref()
    }

    /// Whether it was read whole.
    pub fn is_full(&self) -> bool {
        self.full.is_some()
    }

    fn note(&mut self, writer: &Writer, is_ours: bool) {
        let names = |part: &[Box<str>]| part.iter().map(ToString::to_string).collect::<Vec<_>>();
        self.sets_immutable |= writer.sets_immutable;
        if is_ours {
            self.owned.data.extend(names(&writer.data));
            self.owned.labels.extend(names(&writer.labels));
            self.owned.annotations.extend(names(&writer.annotations));
            self.owned.finalizers.extend(names(&writer.finalizers));
        } else if !writer.data.is_empty() {
            self.foreign_writes.push((writer.manager.to_string(), writer.seconds));
            self.foreign_data.extend(names(&writer.data));
        }
    }

    /// The owner that controls it, if any.
    pub(crate) fn controller(&self) -> Option<&OwnerReference> {
        self.owners.iter().find(|owner| owner.controller == Some(true))
    }

    /// What changes when anybody else changes what concerns us.
    fn fingerprint(&self) -> [u8; 28] {
        let seen = (
            &self.uid,
            &self.owned.data,
            &self.foreign_data,
            &self.foreign_writes,
            self.labels.get(label::MANAGED),
            self.annotations.get(annotation::DATA_HASH),
        );
        sha3_224(format!("{seen:?}").as_bytes())
    }

    fn version(&self) -> [u8; 28] {
        sha3_224(format!("{}/{}", self.uid, self.resource_version).as_bytes())
    }

    /// What to remember after [`crate::target::plan`] found nothing to do for `wanted`, or after it was written and the
    /// API server answered with this.
    pub fn remember(&self, wanted: &Wanted) -> Memory {
        Memory { version: self.version(), fingerprint: self.fingerprint(), wanted: wanted.digest() }
    }
}

/// What a process remembers of a target that it found or made right. Not to be kept beyond its life: it holds a digest
/// of the values, without a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Of the UID and the resource version, which take no memory of their own like this.
    version: [u8; 28],
    fingerprint: [u8; 28],
    wanted: [u8; 28],
}

impl Memory {
    /// That it is right that there is no target: the stores hold nothing for it.
    pub fn of_absence() -> Self {
        Self { version: [0; 28], fingerprint: [0; 28], wanted: [0; 28] }
    }

    /// Whether neither the target nor what is wanted has changed since.
    pub(crate) fn holds(&self, current: &Current, wanted: &Wanted) -> bool {
        self.version == current.version() && self.wanted == wanted.digest()
    }
}

/// Whether a target is as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// It is, or nothing needs to be there.
    Valid,
    /// It does not exist.
    Missing,
    /// It does not carry the label of what is managed: it is new to us.
    Unmanaged,
    /// It carries no data hash.
    Unhashed,
    /// Somebody else wrote or removed data.
    Drifted,
}

/// Whether a target needs to be mended before its time. `memory` is of this process, if it has seen the target before;
/// without it, a key that somebody removed while no operator ran is only noticed when the values are read again.
///
/// Orphan is never mended before its time and None keeps nothing. Merge waits for a Secret that is not there.
pub fn validity(current: Option<&Current>, creation: CreationPolicy, memory: Option<&Memory>) -> Validity {
    let merges = match creation {
        CreationPolicy::Orphan | CreationPolicy::None => return Validity::Valid,
        CreationPolicy::Owner => false,
        CreationPolicy::Merge | CreationPolicy::CreateOrMerge => true,
    };
    let Some(current) = current else {
        let is_right = creation == CreationPolicy::Merge || memory == Some(&Memory::of_absence());
        return if is_right { Validity::Valid } else { Validity::Missing };
    };
    if current.labels.get(label::MANAGED).map(String::as_str) != Some(label::MANAGED_VALUE) {
        return Validity::Unmanaged;
    }
    if !current.annotations.contains_key(annotation::DATA_HASH) {
        return Validity::Unhashed;
    }
    let has_drifted = match memory {
        Some(memory) if memory.version == current.version() => false,
        Some(memory) => memory.fingerprint != current.fingerprint(),
        None => !merges && !current.foreign_data.is_empty(),
    };
    if has_drifted { Validity::Drifted } else { Validity::Valid }
}

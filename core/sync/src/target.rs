//! What to write: compares a Secret as it should be with the Secret as it is.
//!
//! In steady state this is decided from metadata alone: no Secret is read and none is written. A Secret is read only
//! where its metadata says that it differs, or that somebody else wrote into it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use strongroom_api::external_secrets::vocabulary::{GROUP, annotation, label, message};
use strongroom_api::external_secrets::{CreationPolicy, DeletionPolicy};
use strongroom_crypto::sha3_224;
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;
use zeroize::Zeroizing;

use crate::current::{Current, Memory, Parts};
use crate::hash::{DataHash, created_by};
use crate::object::SecretObject;
use crate::render::Rendered;
use crate::{Texts, Values};

/// The ExternalSecret that a target belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its namespace, which is the target's.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

/// A Secret as it should be.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Whose it is.
    pub owner: Owner,
    /// Its name.
    pub name: String,
    /// `spec.target.creationPolicy`.
    pub creation: CreationPolicy,
    /// `spec.target.deletionPolicy`.
    pub deletion: DeletionPolicy,
    /// `spec.target.immutable`: once it exists, its data and the template's metadata are left alone.
    pub immutable: bool,
    /// Whether the stores gave no value at all, before the template.
    pub found_nothing: bool,
    /// Whether some values could not be had: what was written for them earlier stays.
    pub is_partial: bool,
    /// Whether the ExternalSecret changed since it was last synchronised. The type, and whether the Secret is immutable,
    /// are compared only then: they are not in its metadata.
    pub has_changed: bool,
    /// Its data, labels, annotations, finalizers and type.
    pub rendered: Rendered,
    /// How its data is hashed.
    pub data_hash: DataHash,
}

/// What to do about a target.
#[derive(Debug, PartialEq)]
pub enum Plan {
    /// Nothing: it is as it should be, or nothing should be there.
    Nothing(Outcome),
    /// Read the Secret, make a [`Current::from_secret`] of it and plan again; says why.
    Read(&'static str),
    /// Create this Secret.
    Create(SecretObject),
    /// Replace the Secret by this one, which carries the resource version that was seen.
    Replace {
        /// The Secret.
        secret: SecretObject,
        /// Whether it was not managed before.
        adopts: bool,
    },
    /// Delete the Secret; the outcome is then [`Outcome::Deleted`].
    Delete(Deletion),
    /// Write nothing and tell why.
    Refuse(Refusal),
}

/// How a synchronisation ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target is as the stores say.
    Synced,
    /// The stores hold nothing, and the target was left as it is.
    Retained,
    /// The stores hold nothing, and the target was deleted.
    Deleted,
    /// There is no target to merge into.
    Missing,
}

/// A Secret to delete, in exactly this version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// Its name.
    pub name: String,
    /// Its UID, for the precondition.
    pub uid: String,
    /// Its version, for the precondition.
    pub resource_version: String,
}

/// Why nothing is written. Trying again does not help before something changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The words of External Secrets Operator, which dashboards know.
    pub message: &'static str,
    /// The cause.
    pub cause: Failure,
}

impl Wanted {
    /// A digest of everything that is wanted, for [`Memory`].
    pub(crate) fn digest(&self) -> [u8; 28] {
        let seen = format!(
            "{:?} {:?} {:?} {} {} {} {:?} {:?} {:?} {:?} {}",
            self.owner,
            self.name,
            self.creation,
            self.immutable,
            self.found_nothing,
            self.is_partial,
            self.rendered.labels,
            self.rendered.annotations,
            self.rendered.finalizers,
            self.rendered.kind,
            self.data_hash.of(&self.rendered.data),
        );
        sha3_224(Zeroizing::new(seen).as_bytes())
    }

    /// All labels that the target should have of us.
    fn labels(&self, is_frozen: bool) -> Texts {
        let mut labels = if is_frozen { Texts::new() } else { self.rendered.labels.clone() };
        labels.remove(label::OWNER);
        if self.creation == CreationPolicy::Owner {
            labels.insert(label::OWNER.to_owned(), created_by(&self.owner.namespace, &self.owner.name));
        }
        labels.insert(label::MANAGED.to_owned(), label::MANAGED_VALUE.to_owned());
        labels
    }

    /// All annotations that the target should have of us, with `data`'s hash.
    fn annotations(&self, is_frozen: bool, data: &Values) -> Texts {
        let mut annotations = if is_frozen { Texts::new() } else { self.rendered.annotations.clone() };
        annotations.insert(annotation::DATA_HASH.to_owned(), self.data_hash.of(data));
        annotations
    }

    /// Whether data of others and of earlier writers stays.
    fn merges(&self) -> bool {
        matches!(self.creation, CreationPolicy::Merge | CreationPolicy::CreateOrMerge)
    }

    fn owner_reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: format!("{GROUP}/v1"),
            block_owner_deletion: Some(true),
            controller: Some(true),
            kind: "ExternalSecret".to_owned(),
            name: self.owner.name.clone(),
            uid: self.owner.uid.clone(),
        }
    }

    /// The owners that the target should have, given those that it has.
    fn owners(&self, current: &[OwnerReference]) -> Vec<OwnerReference> {
        let mut owners = current.to_vec();
        let ours = |owner: &OwnerReference| is_external_secret(owner) && owner.name == self.owner.name;
        if self.creation != CreationPolicy::Owner {
            owners.retain(|owner| !(ours(owner) && owner.controller == Some(true)));
        } else if let Some(owner) = owners.iter_mut().find(|owner| ours(owner)) {
            *owner = self.owner_reference();
        } else {
            owners.push(self.owner_reference());
        }
        owners
    }
}

fn is_external_secret(owner: &OwnerReference) -> bool {
    owner.kind == "ExternalSecret" && owner.api_version.split('/').next() == Some(GROUP)
}

/// What to do so that the target is as it is wanted. `current` is the Secret of this name, if there is one; `memory` is
/// what [`Current::remember`] gave the last time.
pub fn plan(current: Option<&Current>, wanted: &Wanted, memory: Option<&Memory>) -> Plan {
    if wanted.found_nothing
        && let Some(plan) = plan_for_nothing(current, wanted)
    {
        return plan;
    }
    if wanted.creation == CreationPolicy::None {
        return Plan::Nothing(Outcome::Synced);
    }
    let Some(current) = current else {
        return match wanted.creation {
            CreationPolicy::Merge => Plan::Nothing(Outcome::Missing),
            _ => Plan::Create(created(wanted)),
        };
    };
    if let Some(refusal) = foreign_controller(current, wanted) {
        return Plan::Refuse(refusal);
    }
    if memory.is_some_and(|memory| memory.holds(current, wanted)) {
        return Plan::Nothing(Outcome::Synced);
    }
    match &current.full {
        Some(full) => replaced(current, full, wanted),
        None => difference(current, wanted).map_or(Plan::Nothing(Outcome::Synced), Plan::Read),
    }
}

/// What the deletion policy says where the stores hold nothing; `None` where the target is written all the same.
fn plan_for_nothing(current: Option<&Current>, wanted: &Wanted) -> Option<Plan> {
    match wanted.deletion {
        DeletionPolicy::Merge => None,
        DeletionPolicy::Retain => Some(Plan::Nothing(Outcome::Retained)),
        DeletionPolicy::Delete if wanted.creation != CreationPolicy::Owner => {
            Some(not_deleted("the stores hold nothing for it, and deletionPolicy: Delete needs creationPolicy: Owner"))
        }
        DeletionPolicy::Delete => Some(match current {
            None => Plan::Nothing(Outcome::Deleted),
            Some(current) if is_controlled(current, &wanted.owner) => Plan::Delete(deletion(current)),
            Some(_) => {
                not_deleted("the stores hold nothing for it, and the Secret is not this ExternalSecret's to delete")
            }
        }),
    }
}

fn not_deleted(words: &str) -> Plan {
    let cause = Failure::new(Class::Invalid, words).in_field("spec.target.deletionPolicy");
    Plan::Refuse(Refusal { message: message::NOT_DELETED, cause })
}

fn deletion(current: &Current) -> Deletion {
    Deletion {
        name: current.name.clone(),
        uid: current.uid.clone(),
        resource_version: current.resource_version.clone(),
    }
}

/// Whether a Secret is `owner`'s own, by its controller.
fn is_controlled(current: &Current, owner: &Owner) -> bool {
    current.controller().is_some_and(|controller| is_external_secret(controller) && controller.name == owner.name)
}

fn foreign_controller(current: &Current, wanted: &Wanted) -> Option<Refusal> {
    let controller = current.controller()?;
    if is_external_secret(controller) && controller.name != wanted.owner.name {
        let words = format!("the Secret {} belongs to the ExternalSecret {}", current.name, controller.name);
        return Some(refusal(message::OWNED_BY_ANOTHER, words));
    }
    if wanted.creation == CreationPolicy::Owner && !is_external_secret(controller) {
        let words = format!("the Secret {} belongs to the {} {}", current.name, controller.kind, controller.name);
        return Some(refusal(message::NOT_OWNED, words));
    }
    None
}

fn refusal(message: &'static str, words: String) -> Refusal {
    let cause = Failure::new(Class::Invalid, words).in_field("spec.target.name");
    Refusal { message, cause: cause.with_hint("give the target another name, or let go of the Secret") }
}

/// The Secret that is made where none is.
fn created(wanted: &Wanted) -> SecretObject {
    let data = &wanted.rendered.data;
    SecretObject::new(Secret {
        metadata: ObjectMeta {
            name: Some(wanted.name.clone()),
            namespace: Some(wanted.owner.namespace.clone()),
            labels: Some(wanted.labels(false)),
            annotations: Some(wanted.annotations(false, data)),
            finalizers: filled(wanted.rendered.finalizers.clone()),
            owner_references: filled(wanted.owners(&[])),
            ..ObjectMeta::default()
        },
        data: encoded(data),
        immutable: wanted.immutable.then_some(true),
        type_: wanted.rendered.kind.clone(),
        string_data: None,
    })
}

fn filled<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn encoded(data: &Values) -> Option<BTreeMap<String, ByteString>> {
    let bytes = |(key, value): (&String, &SecretBytes)| (key.clone(), ByteString(value.expose().to_vec()));
    (!data.is_empty()).then(|| data.iter().map(bytes).collect())
}

/// In what a Secret differs, as far as its metadata tells.
fn difference(current: &Current, wanted: &Wanted) -> Option<&'static str> {
    let is_frozen = wanted.immutable;
    if let Some(why) = data_difference(current, wanted) {
        return Some(why);
    }
    let labels = wanted.labels(is_frozen);
    let has_label = |(key, value): (&String, &String)| current.labels.get(key) == Some(value);
    if !labels.iter().all(has_label) || stale(&current.owned.labels, &labels, is_frozen) {
        return Some("its labels differ");
    }
    if !labels.contains_key(label::OWNER) && current.labels.contains_key(label::OWNER) {
        return Some("its labels differ");
    }
    let annotations = wanted.annotations(is_frozen, &wanted.rendered.data);
    let has_annotation = |(key, value): (&String, &String)| match current.annotations.get(key) {
        // The hash of data that is left alone is not known.
        Some(_) if is_frozen && key == annotation::DATA_HASH => true,
        found => found == Some(value),
    };
    if !annotations.iter().all(has_annotation) || stale(&current.owned.annotations, &annotations, is_frozen) {
        return Some("its annotations or its data differ");
    }
    if finalizers(current, wanted, is_frozen) != current.finalizers {
        return Some("its finalizers differ");
    }
    if wanted.owners(&current.owners) != current.owners {
        return Some("its owner differs");
    }
    if wanted.immutable && !current.sets_immutable {
        return Some("it can still change");
    }
    // Neither the type nor the value of `immutable` is in the metadata.
    let is_unsure = wanted.rendered.kind.is_some() || wanted.immutable;
    (wanted.has_changed && is_unsure).then_some("it may have another type, or still change")
}

fn data_difference(current: &Current, wanted: &Wanted) -> Option<&'static str> {
    if wanted.immutable {
        return None;
    }
    if !current.foreign_data.is_empty() {
        return Some("others write into its data");
    }
    (!current.owned.data.iter().eq(wanted.rendered.data.keys())).then_some("its keys differ")
}

/// Whether something that we wrote earlier is not wanted any more.
fn stale(owned: &BTreeSet<String>, wanted: &Texts, is_frozen: bool) -> bool {
    !is_frozen && owned.iter().any(|key| !wanted.contains_key(key))
}

fn finalizers(current: &Current, wanted: &Wanted, is_frozen: bool) -> Vec<String> {
    let mut finalizers = current.finalizers.clone();
    if !is_frozen {
        let names = &wanted.rendered.finalizers;
        finalizers.retain(|name| names.contains(name) || !current.owned.finalizers.contains(name));
        finalizers.extend(names.iter().filter(|name| !current.finalizers.contains(name)).cloned());
    }
    finalizers
}

/// What is to be done about a Secret that was read whole.
fn replaced(current: &Current, full: &SecretObject, wanted: &Wanted) -> Plan {
    let is_frozen = wanted.immutable;
    let live = full.expose();
    if let (Some(kind), false) = (&wanted.rendered.kind, is_frozen)
        && live.type_.as_ref().is_some_and(|live| live != kind)
    {
        return Plan::Refuse(wrong_type(live.type_.as_deref().unwrap_or_default(), kind));
    }
    let data = next_data(current, full, wanted);
    let mut next = full.clone();
    let secret = next.expose_mut();
    let Parts { labels, annotations, .. } = &current.owned;
    merge(&mut secret.metadata.labels, labels, wanted.labels(is_frozen), is_frozen);
    if wanted.creation != CreationPolicy::Owner {
        secret.metadata.labels.iter_mut().for_each(|labels| drop(labels.remove(label::OWNER)));
    }
    merge(&mut secret.metadata.annotations, annotations, wanted.annotations(is_frozen, &data), is_frozen);
    secret.metadata.finalizers = filled(finalizers(current, wanted, is_frozen));
    secret.metadata.owner_references = filled(wanted.owners(&current.owners));
    let has_other_data = !full.values().iter().map(exposed).eq(data.iter().map(exposed));
    if has_other_data {
        if live.immutable == Some(true) {
            return Plan::Refuse(immutable(current));
        }
        secret.data = encoded(&data);
    }
    if wanted.immutable {
        secret.immutable = Some(true);
    }
    if next == *full {
        return Plan::Nothing(Outcome::Synced);
    }
    // Who wrote what is the API server's to say: without the list it keeps its own.
    next.expose_mut().metadata.managed_fields = None;
    let adopts = !current.labels.contains_key(label::MANAGED);
    Plan::Replace { secret: next, adopts }
}

fn exposed<'v>((key, value): (&'v String, &'v SecretBytes)) -> (&'v str, &'v [u8]) {
    (key, value.expose())
}

/// The data that a Secret should have, given what it has.
fn next_data(current: &Current, full: &SecretObject, wanted: &Wanted) -> Values {
    if wanted.immutable {
        return full.values();
    }
    let mut data = full.values();
    data.retain(|key, _| {
        let is_ours = current.owned.data.contains(key);
        (wanted.merges() && !is_ours) || (wanted.is_partial && is_ours)
    });
    data.extend(wanted.rendered.data.clone());
    data
}

/// Takes out of `live` what we wrote earlier, and puts in what is wanted.
fn merge(live: &mut Option<Texts>, owned: &BTreeSet<String>, wanted: Texts, is_frozen: bool) {
    let texts = live.get_or_insert_default();
    if !is_frozen {
        texts.retain(|key, _| !owned.contains(key));
    }
    texts.extend(wanted);
}

fn wrong_type(live: &str, wanted: &str) -> Refusal {
    let words = format!("the Secret has the type {live}, and {wanted} is wanted; a Secret's type never changes");
    let cause = Failure::new(Class::Invalid, words).in_field("spec.target.template.type");
    Refusal { message: message::NOT_UPDATED, cause: cause.with_hint("delete the Secret, so that it is made anew") }
}

fn immutable(current: &Current) -> Refusal {
    let words = format!("the Secret {} is immutable, and its data should change", current.name);
    let cause = Failure::new(Class::Invalid, words).in_field("spec.target.name");
    Refusal { message: message::IMMUTABLE, cause: cause.with_hint("delete the Secret, so that it is made anew") }
}

/// The Secrets that an ExternalSecret made under other names and that are to go: of `labelled`, which are those with
/// its `created-by` label in its namespace, the ones that it controls and that are not its target now.
pub fn orphaned<'c>(labelled: impl IntoIterator<Item = &'c Current>, wanted: &Wanted) -> Vec<Deletion> {
    if wanted.creation != CreationPolicy::Owner {
        return Vec::new();
    }
    let is_orphaned = |current: &&Current| current.name != wanted.name && is_controlled(current, &wanted.owner);
    labelled.into_iter().filter(is_orphaned).map(deletion).collect()
}

/// What to delete when an ExternalSecret is deleted itself: its own Secret, with `deletionPolicy: Delete`. With every
/// other policy the garbage collector sees to it, or nobody.
pub fn removal(current: Option<&Current>, owner: &Owner, deletion_policy: DeletionPolicy) -> Option<Deletion> {
    match deletion_policy {
        DeletionPolicy::Delete => current.filter(|current| is_controlled(current, owner)).map(deletion),
        DeletionPolicy::Merge | DeletionPolicy::Retain => None,
    }
}

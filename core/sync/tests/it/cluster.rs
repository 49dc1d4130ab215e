//! A cluster with at most one Secret of interest, with the API server's bookkeeping: an update gives its writer what it
//! changed, takes it from everybody else, and leaves the rest with whoever has it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use serde_json::{Map, Value, json};
use strongroom_sync::current::{Current, Memory};
use strongroom_sync::hash::field_manager;
use strongroom_sync::target::{Outcome, Plan, Refusal, Wanted, plan};

#[derive(Default)]
pub(crate) struct Cluster {
    secret: Option<Secret>,
    owned: BTreeMap<String, BTreeSet<[String; 3]>>,
    counter: u64,
    pub(crate) reads: usize,
    pub(crate) writes: usize,
}

impl Cluster {
    pub(crate) fn secret(&self) -> Option<&Secret> {
        self.secret.as_ref()
    }

    /// What `manager` makes of the Secret, or of an empty one.
    pub(crate) fn edit(&mut self, manager: &str, edit: impl FnOnce(&mut Secret)) {
        let mut secret = self.secret.clone().unwrap_or_default();
        edit(&mut secret);
        self.write(manager, secret);
    }

    pub(crate) fn delete(&mut self) {
        *self = Self { counter: self.counter, reads: self.reads, writes: self.writes, ..Self::default() };
    }

    pub(crate) fn text(&self, key: &str) -> Option<String> {
        let value = self.secret.as_ref()?.data.as_ref()?.get(key)?;
        Some(String::from_utf8(value.0.clone()).unwrap())
    }

    pub(crate) fn metadata(&self, owner: &str) -> Option<Current> {
        self.secret.as_ref().map(|secret| Current::from_metadata(&secret.metadata, owner))
    }

    /// Plans and does as planned until there is nothing to do; remembers as an operator does.
    pub(crate) fn synchronise(&mut self, wanted: &Wanted, memory: &mut Option<Memory>) -> Result<Outcome, Refusal> {
        let mut current = self.metadata(&wanted.owner.name);
        for _ in 0..2 {
            match plan(current.as_ref(), wanted, memory.as_ref()) {
                Plan::Nothing(outcome) => {
                    *memory = match &current {
                        Some(current) => Some(current.remember(wanted)),
                        None => Some(Memory::of_absence()),
                    };
                    return Ok(outcome);
                }
                Plan::Read(_) => {
                    self.reads += 1;
                    let secret = self.secret.clone().unwrap();
                    current = Some(Current::from_secret(secret, &wanted.owner.name));
                }
                Plan::Create(secret) => {
                    assert!(self.secret.is_none());
                    self.write(&field_manager(&wanted.owner.name), secret.expose().clone());
                    *memory = self.metadata(&wanted.owner.name).map(|current| current.remember(wanted));
                    return Ok(Outcome::Synced);
                }
                Plan::Replace { secret, .. } => {
                    let seen = self.secret.as_ref().unwrap();
                    assert_eq!(secret.metadata().resource_version, seen.metadata.resource_version);
                    self.write(&field_manager(&wanted.owner.name), secret.expose().clone());
                    *memory = self.metadata(&wanted.owner.name).map(|current| current.remember(wanted));
                    return Ok(Outcome::Synced);
                }
                Plan::Delete(deletion) => {
                    let seen = &self.secret.as_ref().unwrap().metadata;
                    assert_eq!(Some(&deletion.uid), seen.uid.as_ref());
                    self.writes += 1;
                    self.delete();
                    *memory = Some(Memory::of_absence());
                    return Ok(Outcome::Deleted);
                }
                Plan::Refuse(refusal) => return Err(refusal),
            }
        }
        panic!("a Secret that was read whole must not be read again");
    }

    fn write(&mut self, manager: &str, mut secret: Secret) {
        self.writes += 1;
        self.counter += 1;
        let before = self.secret.as_ref().map(fields).unwrap_or_default();
        let after = fields(&secret);
        let changed: BTreeSet<_> = after
            .iter()
            .filter(|(field, value)| before.get(*field) != Some(value))
            .map(|(field, _)| field.clone())
            .collect();
        for (writer, owned) in &mut self.owned {
            owned.retain(|field| after.contains_key(field) && (writer == manager || !changed.contains(field)));
        }
        self.owned.entry(manager.to_owned()).or_default().extend(changed);
        self.owned.retain(|_, owned| !owned.is_empty());
        let known = self.secret.as_ref().and_then(|secret| secret.metadata.uid.clone());
        secret.metadata.uid = known.or_else(|| Some(format!("uid-{}", self.counter)));
        secret.metadata.resource_version = Some(self.counter.to_string());
        secret.type_.get_or_insert_with(|| "Opaque".to_owned());
        secret.metadata.managed_fields = Some(self.owned.iter().map(|(name, fields)| entry(name, fields)).collect());
        self.secret = Some(secret);
    }
}

/// What a Secret has, by the place of each part in `fieldsV1`.
fn fields(secret: &Secret) -> BTreeMap<[String; 3], Vec<u8>> {
    let mut fields = BTreeMap::new();
    let mut put = |place: [&str; 3], value: &[u8]| drop(fields.insert(place.map(str::to_owned), value.to_vec()));
    for (key, value) in secret.data.iter().flatten() {
        put(["f:data", &format!("f:{key}"), ""], &value.0);
    }
    for (key, text) in secret.metadata.labels.iter().flatten() {
        put(["f:metadata", "f:labels", &format!("f:{key}")], text.as_bytes());
    }
    for (key, text) in secret.metadata.annotations.iter().flatten() {
        put(["f:metadata", "f:annotations", &format!("f:{key}")], text.as_bytes());
    }
    for name in secret.metadata.finalizers.iter().flatten() {
        put(["f:metadata", "f:finalizers", &format!("v:{}", json!(name))], b"");
    }
    if let Some(immutable) = secret.immutable {
        put(["f:immutable", "", ""], &[u8::from(immutable)]);
    }
    fields
}

fn entry(manager: &str, fields: &BTreeSet<[String; 3]>) -> ManagedFieldsEntry {
    let mut root = json!({});
    for place in fields {
        let mut node = &mut root;
        for (depth, name) in place.iter().filter(|name| !name.is_empty()).enumerate() {
            let members = node.as_object_mut().unwrap();
            if depth > 0 {
                members.entry(".").or_insert_with(|| json!({}));
            }
            node = members.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
        }
    }
    ManagedFieldsEntry {
        manager: Some(manager.to_owned()),
        operation: Some("Update".to_owned()),
        fields_v1: Some(FieldsV1(root)),
        ..ManagedFieldsEntry::default()
    }
}

/// Puts a text into a Secret's data.
pub(crate) fn put(secret: &mut Secret, key: &str, text: &str) {
    secret.metadata.name = Some("target".to_owned());
    secret.data.get_or_insert_default().insert(key.to_owned(), ByteString(text.as_bytes().to_vec()));
}

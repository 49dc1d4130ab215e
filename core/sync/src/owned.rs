//! A Secret that belongs to one object of its own name: what must be written so that the cluster has it. Of
//! kubernetes-external-secrets' kind and of Kamus'.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta, OwnerReference};
use serde_json::Value;
use strongroom_crypto::sha3_224;
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

use crate::Values;

/// The type where nothing is said.
pub const OPAQUE: &str = "Opaque";

/// The annotation on a Secret that somebody else made, `true`, by which an object of its name may take it over.
pub const ADOPT_ANNOTATION: &str = "strongroom.dev/adopt";

/// A Secret as it is to be.
#[derive(Clone)]
pub struct Wanted {
    /// Its name: that of the object that owns it.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its type.
    pub kind: String,
    /// Its labels, as far as they are ours.
    pub labels: BTreeMap<String, String>,
    /// Its annotations, as far as they are ours.
    pub annotations: BTreeMap<String, String>,
    /// Whether it is sealed, where the object says.
    pub immutable: Option<bool>,
    /// All of its values.
    pub data: Values,
    /// The object that it belongs to.
    pub owner: OwnerReference,
    /// The object's field that says the type.
    pub kind_field: &'static str,
}

impl Wanted {
    /// A digest of all of it, by which a process sees that nothing has changed. Made without a key: not to be kept
    /// beyond the process.
    pub fn digest(&self) -> [u8; 28] {
        let mut all = Vec::new();
        let mut add = |bytes: &[u8]| {
            all.extend_from_slice(&bytes.len().to_be_bytes());
            all.extend_from_slice(bytes);
        };
        for (name, value) in &self.data {
            add(name.as_bytes());
            add(value.expose());
        }
        let shown = format!("{:?}", (&self.kind, &self.labels, &self.annotations, self.immutable, &self.owner));
        add(shown.as_bytes());
        // Wiped when it is dropped.
        sha3_224(SecretBytes::new(all).expose())
    }

    /// What must be done so that the cluster has it, given the Secret of its name that is there.
    ///
    /// # Errors
    /// `Invalid` where that one is somebody else's, or can never become this one.
    pub fn plan(&self, current: Option<&Current>) -> Result<Plan, Failure> {
        let Some(current) = current else { return Ok(Plan::Create(self.metadata(None))) };
        self.may_take(current)?;
        let metadata = self.metadata(Some(current));
        let is_same = metadata.labels.clone().unwrap_or_default()
            == current.metadata.labels.clone().unwrap_or_default()
            && metadata.annotations.clone().unwrap_or_default()
                == current.metadata.annotations.clone().unwrap_or_default()
            && metadata.owner_references == current.metadata.owner_references
            && self.immutable.unwrap_or_default() == current.immutable
            && are_same(&self.data, &current.data);
        if self.kind != current.kind {
            let words = format!("the Secret's type is {}, and a type never changes", current.kind);
            return Err(Failure::new(Class::Invalid, words)
                .in_field(self.kind_field)
                .with_hint(format!("delete the Secret, and it is made anew with the type {}", self.kind)));
        }
        if is_same {
            return Ok(Plan::Nothing);
        }
        if current.immutable {
            return Err(Failure::new(Class::Invalid, "the Secret is immutable and would have to change")
                .with_hint("delete the Secret, and it is made anew"));
        }
        Ok(Plan::Replace(metadata))
    }

    fn may_take(&self, current: &Current) -> Result<(), Failure> {
        let owners = current.metadata.owner_references.iter().flatten();
        let mut controllers = owners.filter(|owner| owner.controller == Some(true));
        let may = match controllers.next() {
            Some(owner) => self.is_owner(owner),
            None => {
                let adopt = current.metadata.annotations.as_ref().and_then(|all| all.get(ADOPT_ANNOTATION));
                let mut owners = current.metadata.owner_references.iter().flatten();
                owners.any(|owner| self.is_owner(owner)) || adopt.is_some_and(|text| text == "true")
            }
        };
        if may {
            return Ok(());
        }
        let words = format!("the Secret {} exists, and this {} did not make it", self.name, self.owner.kind);
        let hint =
            format!("rename one of the two, or annotate the Secret with {ADOPT_ANNOTATION}=true to have it taken over");
        Err(Failure::new(Class::Invalid, words).with_hint(hint))
    }

    /// Whether this is the object, in whichever version and life.
    fn is_owner(&self, owner: &OwnerReference) -> bool {
        let group = |owner: &OwnerReference| owner.api_version.split('/').next().map(str::to_owned);
        owner.kind == self.owner.kind && owner.name == self.owner.name && group(owner) == group(&self.owner)
    }

    /// The metadata to write: what others added stays.
    fn metadata(&self, current: Option<&Current>) -> ObjectMeta {
        let old = current.map(|current| &current.metadata);
        let ours = current.map(|current| Written::of(&current.metadata)).unwrap_or_default();
        let others = |texts: Option<&BTreeMap<String, String>>, ours: &BTreeSet<String>| {
            let kept = texts.into_iter().flatten().filter(|(name, _)| !ours.contains(*name));
            kept.map(|(name, value)| (name.clone(), value.clone())).collect::<BTreeMap<_, _>>()
        };
        let mut labels = others(old.and_then(|old| old.labels.as_ref()), &ours.labels);
        labels.extend(self.labels.clone());
        let mut annotations = others(old.and_then(|old| old.annotations.as_ref()), &ours.annotations);
        annotations.extend(self.annotations.clone());
        let owners = old.and_then(|old| old.owner_references.clone()).unwrap_or_default().into_iter();
        let mut owners: Vec<_> = owners.filter(|owner| !self.is_owner(owner)).collect();
        owners.insert(0, self.owner.clone());
        ObjectMeta {
            name: Some(self.name.clone()),
            namespace: Some(self.namespace.clone()),
            labels: Some(labels).filter(|labels| !labels.is_empty()),
            annotations: Some(annotations).filter(|annotations| !annotations.is_empty()),
            owner_references: Some(owners),
            finalizers: old.and_then(|old| old.finalizers.clone()),
            resource_version: old.and_then(|old| old.resource_version.clone()),
            uid: old.and_then(|old| old.uid.clone()),
            ..ObjectMeta::default()
        }
    }
}

fn are_same(left: &Values, right: &Values) -> bool {
    let exposed = |((name, value), (other, other_value)): ((&String, &SecretBytes), (&String, &SecretBytes))| {
        name == other && value.expose() == other_value.expose()
    };
    left.len() == right.len() && left.iter().zip(right).all(exposed)
}

/// A Secret as it is.
#[derive(Clone)]
pub struct Current {
    /// Its metadata, managed fields included.
    pub metadata: ObjectMeta,
    /// Its type.
    pub kind: String,
    /// Whether it is sealed.
    pub immutable: bool,
    /// Its values.
    pub data: Values,
}

/// What must be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// Nothing: it is as it is to be.
    Nothing,
    /// Make it, with this metadata.
    Create(ObjectMeta),
    /// Replace it, which must still have the resource version of this metadata.
    Replace(ObjectMeta),
}

/// The labels and annotations of a Secret that came with its values: whoever wrote `data` wrote all that it wanted of
/// them, under whatever name (KES's own was that of its HTTP client).
#[derive(Default)]
struct Written {
    labels: BTreeSet<String>,
    annotations: BTreeSet<String>,
}

impl Written {
    fn of(metadata: &ObjectMeta) -> Self {
        let mut written = Self::default();
        for fields in metadata.managed_fields.iter().flatten().filter_map(fields) {
            if fields.get("f:data").is_none() {
                continue;
            }
            let names = |part: &str| {
                let members =
                    fields.get("f:metadata").and_then(|metadata| metadata.get(part)).and_then(Value::as_object);
                let names = members.into_iter().flatten().filter_map(|(name, _)| name.strip_prefix("f:"));
                names.map(str::to_owned).collect::<Vec<_>>()
            };
            written.labels.extend(names("f:labels"));
            written.annotations.extend(names("f:annotations"));
        }
        written
    }
}

fn fields(entry: &ManagedFieldsEntry) -> Option<&Value> {
    entry.fields_v1.as_ref().map(|fields| &fields.0)
}

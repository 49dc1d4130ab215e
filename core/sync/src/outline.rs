//! What matters of a Secret's metadata, in little space: who serves a whole cluster keeps one for each target.
//!
//! The API server tells in `managedFields` which writer set which key, as JSON; a tree of that is ten times as large as
//! the names in it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta, OwnerReference};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Texts;

/// A Secret as its metadata tells: whose it is, and who wrote which part of it. Never a value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outline {
    pub(crate) name: Box<str>,
    pub(crate) uid: Box<str>,
    pub(crate) resource_version: Box<str>,
    pub(crate) labels: Pairs,
    pub(crate) annotations: Pairs,
    pub(crate) finalizers: Names,
    pub(crate) owners: Box<[OwnerReference]>,
    pub(crate) writers: Box<[Writer]>,
}

/// What one writer wrote.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Writer {
    pub(crate) manager: Box<str>,
    /// When it wrote last, in seconds since 1970.
    pub(crate) seconds: Option<i64>,
    pub(crate) data: Names,
    pub(crate) labels: Names,
    pub(crate) annotations: Names,
    pub(crate) finalizers: Names,
    pub(crate) sets_immutable: bool,
}

type Names = Box<[Box<str>]>;
type Pairs = Box<[(Box<str>, Box<str>)]>;

impl Outline {
    /// The outline of `metadata`.
    pub fn of(metadata: &ObjectMeta) -> Self {
        let text = |text: &Option<String>| Box::<str>::from(text.as_deref().unwrap_or_default());
        Self {
            name: text(&metadata.name),
            uid: text(&metadata.uid),
            resource_version: text(&metadata.resource_version),
            labels: pairs(metadata.labels.as_ref()),
            annotations: pairs(metadata.annotations.as_ref()),
            finalizers: metadata.finalizers.iter().flatten().map(|name| name.as_str().into()).collect(),
            owners: metadata.owner_references.iter().flatten().cloned().collect(),
            writers: metadata.managed_fields.iter().flatten().filter_map(Writer::of).collect(),
        }
    }

    /// The outline as JSON, in less space. Nothing can be in it that JSON has not.
    pub fn pack(&self) -> Box<[u8]> {
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// What [`Outline::pack`] gave; `None` for anything else.
    pub fn unpack(packed: &[u8]) -> Option<Self> {
        serde_json::from_slice(packed).ok()
    }

    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| **label == *name).map(|(_, value)| &**value)
    }
}

impl Writer {
    /// What `entry` tells; nothing where it names no fields.
    fn of(entry: &ManagedFieldsEntry) -> Option<Self> {
        let fields = &entry.fields_v1.as_ref()?.0;
        let metadata = fields.get("f:metadata");
        let part = |name: &str| metadata.and_then(|metadata| metadata.get(name));
        Some(Self {
            manager: entry.manager.as_deref().unwrap_or_default().into(),
            seconds: entry.time.as_ref().map(|time| time.0.as_second()),
            data: names(fields.get("f:data")),
            labels: names(part("f:labels")),
            annotations: names(part("f:annotations")),
            finalizers: elements(part("f:finalizers")),
            sets_immutable: fields.get("f:immutable").is_some(),
        })
    }
}

fn pairs(texts: Option<&Texts>) -> Pairs {
    texts.into_iter().flatten().map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect()
}

/// The names below `f:…` of a part of `fieldsV1`.
fn names(part: Option<&Value>) -> Names {
    let members = part.and_then(Value::as_object).into_iter().flatten();
    members.filter_map(|(name, _)| name.strip_prefix("f:").map(Into::into)).collect()
}

/// The elements of a list of texts in `fieldsV1`: `v:"text"`.
fn elements(part: Option<&Value>) -> Names {
    let members = part.and_then(Value::as_object).into_iter().flatten();
    members.filter_map(|(name, _)| serde_json::from_str(name.strip_prefix("v:")?).ok()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_the_same() {
        let metadata: ObjectMeta = serde_json::from_value(json!({
            "name": "app", "namespace": "team", "uid": "u-1", "resourceVersion": "17", "finalizers": ["a/b"],
            "labels": {"x": "\"1\""}, "annotations": {"é": ""},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u-2", "controller": true}],
            "managedFields": [
                {"manager": "m", "time": "2026-01-02T03:04:05Z", "fieldsV1": {
                    "f:data": {"f:key": {}}, "f:immutable": {},
                    "f:metadata": {"f:labels": {"f:x": {}}, "f:annotations": {"f:é": {}}, "f:finalizers": {"v:\"a/b\"": {}}},
                }},
                {"manager": "none"},
            ],
        }))
        .unwrap();
        let outline = Outline::of(&metadata);
        assert_eq!(outline.writers.len(), 1);
        assert_eq!(Outline::unpack(&outline.pack()), Some(outline));
        assert_eq!(Outline::unpack(b""), None);
    }
}

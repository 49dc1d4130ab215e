//! The Secret that an object wants.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use strongroom_api::kamus::{API_VERSION, KIND, KamusSecret};
use strongroom_crypto::sha3_224;
use strongroom_sync::Values;
use strongroom_sync::owned::{OPAQUE, Wanted};

use crate::mark::MARK_ANNOTATION;

/// kubectl's own copy of the object, which is not the Secret's.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What `object` wants, given its values.
pub fn wanted(object: &KamusSecret, values: Values) -> Wanted {
    let metadata = &object.metadata;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut annotations = BTreeMap::new();
    if object.propagate_annotations {
        annotations = metadata.annotations.clone().unwrap_or_default();
        annotations.retain(|name, _| name != LAST_APPLIED && name != MARK_ANNOTATION);
    }
    Wanted {
        name: text(&metadata.name),
        namespace: text(&metadata.namespace),
        kind: object.kind.clone().filter(|kind| !kind.is_empty()).unwrap_or_else(|| OPAQUE.to_owned()),
        labels: metadata.labels.clone().unwrap_or_default(),
        annotations,
        immutable: None,
        data: values,
        owner: OwnerReference {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            name: text(&metadata.name),
            uid: text(&metadata.uid),
            controller: Some(true),
            block_owner_deletion: Some(true),
        },
        kind_field: "type",
    }
}

/// A digest of all of `object` that decides about its Secret, by which a process sees that it asks for nothing new.
pub fn wish(object: &KamusSecret) -> [u8; 28] {
    let KamusSecret { metadata, data, string_data, service_account, kind, propagate_annotations, texts, .. } = object;
    let placed = (&metadata.uid, &metadata.labels, &metadata.annotations);
    // What is encrypted is no secret.
    let all = format!("{:?}", (placed, data, string_data, service_account, kind, propagate_annotations, texts));
    sha3_224(all.as_bytes())
}

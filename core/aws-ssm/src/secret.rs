//! What must be written so that a Secret has its keys.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use serde_json::Value;
use strongroom_crypto::sha3_224;
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

use crate::Values;

/// Who writes these Secrets, as `managedFields` have it: the name under which aws-ssm itself wrote.
pub const FIELD_MANAGER: &str = "aws-ssm";

/// A digest of `values`, by which a process sees that nothing has changed. Made without a key: not to be kept beyond
/// the process.
pub fn digest(values: &Values) -> [u8; 28] {
    let mut all = Vec::new();
    for part in values.iter().flat_map(|(key, value)| [key.as_bytes(), value.expose()]) {
        all.extend_from_slice(&part.len().to_be_bytes());
        all.extend_from_slice(part);
    }
    // Wiped when it is dropped.
    sha3_224(SecretBytes::new(all).expose())
}

/// The whole data that the Secret must be given so that it has `wanted`; `None` where it has that. Keys of others stay,
/// and those that we wrote once and want no more go.
///
/// # Errors
/// `Invalid` where it is immutable and would have to change.
pub fn plan(
    wanted: &Values,
    metadata: &ObjectMeta,
    is_immutable: bool,
    data: &Values,
) -> Result<Option<Values>, Failure> {
    let ours = ours(metadata);
    let mut next = data.clone();
    next.retain(|key, _| wanted.contains_key(key) || !ours.contains(key));
    next.extend(wanted.iter().map(|(key, value)| (key.clone(), value.clone())));
    if are_same(&next, data) {
        return Ok(None);
    }
    if is_immutable {
        return Err(Failure::new(Class::Invalid, "the Secret is immutable and would have to change")
            .with_hint("delete it and make it anew"));
    }
    Ok(Some(next))
}

/// The keys that the API server has down as written by us, and by nobody since.
fn ours(metadata: &ObjectMeta) -> BTreeSet<String> {
    let entries = metadata.managed_fields.iter().flatten();
    let own = entries.filter(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER));
    own.flat_map(keys).collect()
}

fn keys(entry: &ManagedFieldsEntry) -> Vec<String> {
    let data = entry.fields_v1.as_ref().and_then(|fields| fields.0.get("f:data")).and_then(Value::as_object);
    let names = data.into_iter().flatten().filter_map(|(name, _)| name.strip_prefix("f:"));
    names.map(str::to_owned).collect()
}

fn are_same(left: &Values, right: &Values) -> bool {
    let is_same = |((key, value), (other, other_value)): ((&String, &SecretBytes), (&String, &SecretBytes))| {
        key == other && value.expose() == other_value.expose()
    };
    left.len() == right.len() && left.iter().zip(right).all(is_same)
}

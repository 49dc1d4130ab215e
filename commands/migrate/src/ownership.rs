//! Taking Secrets away from kubernetes-external-secrets: what an object owns goes with it, and these must not.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, Patch, PatchParams};
use kube::core::PartialObjectMeta;
use kube::{Client, ResourceExt as _};
use serde_json::json;
use strongroom_api::kes::API_VERSION;
use strongroom_failure::{Class, Failure};
use strongroom_kube::WriteFailure;
use strongroom_kube::failure::{checked_name, failure};

use crate::cluster::list_metadata;
use crate::read::one;
use crate::report::full_name;

/// Who changes the references.
const FIELD_MANAGER: &str = "strongroom-migrate";

/// How often a Secret that somebody else changes at the same time is looked at again. Two writers rarely meet twice.
const TRIES: usize = 5;

/// Whose Secrets are meant.
pub(crate) struct Whose {
    /// Of one namespace, or of all.
    pub(crate) namespace: Option<String>,
    /// These alone, where there are any.
    pub(crate) names: Vec<String>,
}

/// What became of one Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// References to KES's objects, by the objects' names, that go or went.
    pub(crate) removed: Vec<String>,
    /// References to others that stay.
    pub(crate) kept: usize,
    /// Why nothing was changed, where it was to be.
    pub(crate) failure: Option<String>,
}

/// The references without those to objects of `api_version`; the others as they were, in their order.
fn without_owner(owners: &[OwnerReference], api_version: &str) -> Vec<OwnerReference> {
    owners.iter().filter(|owner| owner.api_version != api_version).cloned().collect()
}

/// Takes the references to KES's objects off all Secrets that are meant, or says what would be taken off. No Secret is
/// deleted, and of none anything but its metadata is read. Where there are none any more nothing is changed.
///
/// # Errors
/// Where the Secrets cannot be listed, and `NotFound` where one that was named is not there.
pub(crate) async fn move_ownership(client: &Client, whose: &Whose, is_dry: bool) -> Result<Vec<Moved>, Failure> {
    let mut moved = Vec::new();
    for secret in secrets(client, whose).await? {
        let Some(mut change) = change(&secret) else { continue };
        if !is_dry && let Err(failure) = remove(client, secret).await {
            change.failure = Some(failure.to_string());
        }
        moved.push(change);
    }
    Ok(moved)
}

/// Whether KES runs: a Deployment of this name that is not scaled to nothing.
///
/// # Errors
/// Where the API server does not say.
pub(crate) async fn kes_runs(client: &Client, namespace: &str, name: &str) -> Result<bool, Failure> {
    let deployments: Api<k8s_openapi::api::apps::v1::Deployment> = Api::namespaced(client.clone(), namespace);
    let found = one(&deployments, name).await?;
    Ok(found.is_some_and(|found| found.spec.as_ref().and_then(|spec| spec.replicas) != Some(0)))
}

async fn secrets(client: &Client, whose: &Whose) -> Result<Vec<PartialObjectMeta<Secret>>, Failure> {
    let api: Api<Secret> = match &whose.namespace {
        Some(namespace) => Api::namespaced(client.clone(), checked_name(namespace)?),
        None => Api::all(client.clone()),
    };
    let mut secrets = list_metadata(&api, "Secrets").await?;
    if !whose.names.is_empty() {
        let there: BTreeSet<String> = secrets.iter().map(|secret| secret.name_any()).collect();
        if let Some(missing) = whose.names.iter().find(|name| !there.contains(*name)) {
            let missing = full_name(whose.namespace.as_deref(), missing);
            return Err(Failure::new(Class::NotFound, format!("there is no Secret {missing}")));
        }
        secrets.retain(|secret| whose.names.contains(&secret.name_any()));
    }
    secrets.sort_by_cached_key(|secret| (secret.namespace(), secret.name_any()));
    Ok(secrets)
}

/// What is to be done with a Secret; `None` where KES owns nothing of it.
fn change(secret: &PartialObjectMeta<Secret>) -> Option<Moved> {
    let owners = secret.owner_references();
    let kept = without_owner(owners, API_VERSION).len();
    let removed = owners.iter().filter(|owner| owner.api_version == API_VERSION);
    let removed: Vec<String> = removed.map(|owner| owner.name.clone()).collect();
    (!removed.is_empty()).then(|| Moved {
        namespace: secret.namespace().unwrap_or_default(),
        name: secret.name_any(),
        removed,
        kept,
        failure: None,
    })
}

/// Takes the references off one Secret, against the version that was seen.
async fn remove(client: &Client, mut secret: PartialObjectMeta<Secret>) -> Result<(), Failure> {
    let (namespace, name) = (secret.namespace().unwrap_or_default(), secret.name_any());
    let asked = format!("change the owners of the Secret {namespace}/{name}");
    let api: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let mut tries = 1;
    loop {
        if change(&secret).is_none() {
            return Ok(());
        }
        let owners = without_owner(secret.owner_references(), API_VERSION);
        let metadata = json!({
            "uid": secret.uid(),
            "resourceVersion": secret.resource_version(),
            // An empty list is written as none at all.
            "ownerReferences": if owners.is_empty() { serde_json::Value::Null } else { json!(owners) },
        });
        let patch = Patch::Merge(json!({"metadata": metadata}));
        let Err(error) = api.patch_metadata(&name, &parameters, &patch).await else { return Ok(()) };
        match WriteFailure::from_error(&error, &asked, &[]) {
            WriteFailure::Conflict if tries < TRIES => tries += 1,
            refused => return Err(refused.into_failure(&asked)),
        }
        match api.get_metadata_opt(&name).await.map_err(|error| failure(&error, &asked, &[]))? {
            Some(seen) => secret = seen,
            None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_stay_owners_in_their_order() {
        let owner = |api_version: &str, name: &str| OwnerReference {
            api_version: api_version.to_owned(),
            kind: "ExternalSecret".to_owned(),
            name: name.to_owned(),
            ..OwnerReference::default()
        };
        let check = |owners: &[&str], kept: &[usize]| {
            let owners: Vec<_> = owners.iter().enumerate().map(|(at, api)| owner(api, &at.to_string())).collect();
            let expected: Vec<_> = kept.iter().map(|at| owners[*at].clone()).collect();
            assert_eq!(without_owner(&owners, API_VERSION), expected);
        };
        let eso = "external-secrets.io/v1";
        check(&[], &[]);
        check(&[API_VERSION], &[]);
        check(&[API_VERSION, API_VERSION], &[]);
        check(&[eso, API_VERSION, "apps/v1", API_VERSION], &[0, 2]);
        check(&["kubernetes-client.io/v2", eso], &[0, 1]);
    }
}

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, ObjectList};
use kube::core::GroupVersionKind;
use strongroom_failure::{Class, Failure};

use crate::failure::failure;

/// Deployments in one page of a list: a cluster may have thousands, of which one page at a time is kept.
const PAGE: u32 = 250;

/// Whether somebody is there who would write to the same objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Somebody is; in words for people: `Lease external-secrets/external-secrets-controller held by POD`.
    Live(String),
    /// Nobody is.
    Absent,
    /// We may not look.
    Unknown(Failure),
}

/// Looks in all namespaces for Leases of these names that somebody holds at `now`, which is compared with the holder's
/// clock. Without the right to list Leases it is unknown.
///
/// # Errors
/// Where the API server does not answer.
pub async fn lease_held(client: &Client, names: &[&str], now: Timestamp) -> Result<Presence, Failure> {
    let leases: Api<Lease> = Api::all(client.clone());
    for name in names {
        let selection = ListParams::default().fields(&format!("metadata.name={name}"));
        let found = match leases.list(&selection).await {
            Ok(found) => found,
            Err(error) => return unknown(failure(&error, "list Leases", &[])),
        };
        if let Some(words) = found.items.iter().find_map(|lease| held(lease, now)) {
            return Ok(Presence::Live(words));
        }
    }
    Ok(Presence::Absent)
}

/// Looks in all namespaces for Deployments with these labels (`app.kubernetes.io/name=external-secrets`; all, where it
/// is empty) that have a replica at work; with `image` only those of which a container has an image of this name
/// (`aws-ssm`), from whichever registry. Without the right to list Deployments it is unknown.
///
/// # Errors
/// Where the API server does not answer.
pub async fn deployments_available(client: &Client, labels: &str, image: Option<&str>) -> Result<Presence, Failure> {
    // Untyped: a Deployment's numbers-or-texts do not survive serde_json's exact numbers.
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", "Deployment"));
    let deployments: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
    let is_meant = |deployment: &DynamicObject| image.is_none_or(|image| has_image(deployment, image));
    let mut page = ListParams { limit: Some(PAGE), ..ListParams::default() };
    if !labels.is_empty() {
        page = page.labels(labels);
    }
    loop {
        let found: ObjectList<DynamicObject> = match deployments.list(&page).await {
            Ok(found) => found,
            Err(error) => return unknown(failure(&error, "list Deployments", &[])),
        };
        let working = found.items.iter().find(|deployment| available(deployment) > 0 && is_meant(deployment));
        if let Some(deployment) = working {
            return Ok(Presence::Live(words(deployment)));
        }
        page.continue_token = found.metadata.continue_.filter(|token| !token.is_empty());
        if page.continue_token.is_none() {
            return Ok(Presence::Absent);
        }
    }
}

fn words(deployment: &DynamicObject) -> String {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    let (namespace, name) = (text(&deployment.metadata.namespace), text(&deployment.metadata.name));
    format!("Deployment {namespace}/{name} with {} available replicas", available(deployment))
}

fn unknown(failure: Failure) -> Result<Presence, Failure> {
    match failure.class {
        Class::Denied => Ok(Presence::Unknown(failure)),
        _ => Err(failure),
    }
}

fn available(deployment: &DynamicObject) -> u64 {
    deployment.data.pointer("/status/availableReplicas").and_then(serde_json::Value::as_u64).unwrap_or(0)
}

fn has_image(deployment: &DynamicObject, wanted: &str) -> bool {
    let containers = deployment.data.pointer("/spec/template/spec/containers").and_then(serde_json::Value::as_array);
    let mut images = containers.into_iter().flatten().filter_map(|container| container["image"].as_str());
    images.any(|image| {
        let name = image.rsplit('/').next().unwrap_or(image);
        name.split([':', '@']).next() == Some(wanted)
    })
}

fn held(lease: &Lease, now: Timestamp) -> Option<String> {
    let spec = lease.spec.as_ref()?;
    let holder = spec.holder_identity.as_deref().filter(|holder| !holder.is_empty())?;
    let duration = SignedDuration::from_secs(spec.lease_duration_seconds?.into());
    let until = spec.renew_time.as_ref()?.0.checked_add(duration).ok()?;
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    let place = format!("{}/{}", text(&lease.metadata.namespace), text(&lease.metadata.name));
    (until > now).then(|| format!("Lease {place} held by {holder}"))
}

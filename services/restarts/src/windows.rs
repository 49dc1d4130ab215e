//! The time windows of an ExternalSecret, which hold for restarts as well: whoever wants quiet wants it whole.

use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::GroupVersionKind;
use serde::Deserialize as _;
use strongroom_api::external_secrets::SyncWindows;
use strongroom_api::external_secrets::vocabulary::GROUP;
use strongroom_failure::Failure;
use strongroom_kube::failure::{checked_name, failure};
use strongroom_restart::Hold;
use strongroom_sync::windows::Windows;

/// Whether the windows of an ExternalSecret forbid a restart at `now`. It is read for this: restarts are rare, and
/// ExternalSecrets are many.
///
/// # Errors
/// Where it cannot be read. One that is gone forbids nothing.
pub(crate) async fn closed(
    client: &Client,
    namespace: &str,
    name: &str,
    now: Timestamp,
) -> Result<Option<Hold>, Failure> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1", "ExternalSecret"));
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind);
    let object = api.get_opt(checked_name(name)?).await;
    let asked = format!("read ExternalSecret {namespace}/{name}");
    let Some(object) = object.map_err(|error| failure(&error, &asked, &[]))? else { return Ok(None) };
    let windows = SyncWindows::deserialize(&object.data["spec"]["syncWindows"]);
    Ok(windows.ok().and_then(|windows| hold(&windows, now)))
}

fn hold(windows: &SyncWindows, now: Timestamp) -> Option<Hold> {
    let (windows, _) = Windows::parse(windows);
    if windows.permits(now) {
        return None;
    }
    let next = windows.next_permitted(now);
    Some(Hold::Closed(next.and_then(|next| Duration::try_from(next.duration_since(now)).ok())))
}

//! What kubernetes-external-secrets does with an object, as tables named after the behaviours.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod permissions;
mod schedules;
mod secrets;
mod statuses;
mod values;
mod wants;

use strongroom_api::kes::ExternalSecret;

/// An ExternalSecret with this spec, in YAML's flow style.
fn object(spec: &str) -> ExternalSecret {
    let yaml = format!(
        "{{apiVersion: kubernetes-client.io/v1, kind: ExternalSecret, spec: {spec}, \
         metadata: {{name: app, namespace: team, uid: u-1, generation: 1}}}}"
    );
    serde_saphyr::from_str(&yaml).unwrap()
}

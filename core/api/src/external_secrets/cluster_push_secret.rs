//! ClusterPushSecret: the same PushSecret in many namespaces (`external-secrets.io/v1alpha1`).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, ExternalSecretMetadata, FailedNamespace, PushSecretSpec};
use crate::lenient::filled;
use crate::{GoDuration, names};

/// A PushSecret for many namespaces.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "external-secrets.io",
    version = "v1alpha1",
    kind = "ClusterPushSecret",
    plural = "clusterpushsecrets",
    category = "external-secrets",
    status = "ClusterPushSecretStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "The same PushSecret in many namespaces.",
    label("external-secrets.io/component", "controller"),
    printcolumn = r#"{"name": "AGE", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "Status", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    crates(
        kube_core = "::kube_core",
        k8s_openapi = "::k8s_openapi",
        schemars = "::schemars",
        serde = "::serde",
        serde_json = "::serde_json"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterPushSecretSpec {
    /// What each of them asks for.
    pub push_secret_spec: PushSecretSpec,
    /// What each of them is called; as this object where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(length(min = 1, max = 253), regex(pattern = names::OBJECT))]
    pub push_secret_name: Option<String>,
    /// What each of them carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_secret_metadata: Option<ExternalSecretMetadata>,
    /// The namespaces by labels: those that any of these selects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespace_selectors: Vec<LabelSelector>,
    /// How often namespaces and PushSecrets are looked at, as a Go duration such as 1h.
    #[serde(default, rename = "refreshTime", skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub refresh_interval: Option<GoDuration>,
}

/// What became of a ClusterPushSecret.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterPushSecretStatus {
    /// What the PushSecrets are called.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub push_secret_name: Option<String>,
    /// Where one could not be made, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_namespaces: Vec<FailedNamespace>,
    /// Where one is, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provisioned_namespaces: Vec<String>,
    /// How it stands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

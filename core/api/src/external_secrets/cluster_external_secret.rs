//! ClusterExternalSecret: the same ExternalSecret in many namespaces.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ExternalSecretSpec;
use crate::lenient::filled;
use crate::{GoDuration, names};

/// An ExternalSecret for many namespaces.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "external-secrets.io",
    version = "v1",
    kind = "ClusterExternalSecret",
    plural = "clusterexternalsecrets",
    shortname = "ces",
    category = "external-secrets",
    status = "ClusterExternalSecretStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "The same ExternalSecret in many namespaces.",
    label("external-secrets.io/component", "controller"),
    printcolumn = r#"{"name": "Store", "type": "string", "jsonPath": ".spec.externalSecretSpec.secretStoreRef.name"}"#,
    printcolumn = r#"{"name": "Refresh Interval", "type": "string", "jsonPath": ".spec.refreshTime"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    crates(
        kube_core = "::kube_core",
        k8s_openapi = "::k8s_openapi",
        schemars = "::schemars",
        serde = "::serde",
        serde_json = "::serde_json"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterExternalSecretSpec {
    /// What each of them asks for.
    pub external_secret_spec: ExternalSecretSpec,
    /// What each of them is called; as this object where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(length(min = 1, max = 253), regex(pattern = names::OBJECT))]
    pub external_secret_name: Option<String>,
    /// What each of them carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_secret_metadata: Option<ExternalSecretMetadata>,
    /// The namespaces by labels. Deprecated: use namespaceSelectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// The namespaces by labels: those that any of these selects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespace_selectors: Vec<LabelSelector>,
    /// More namespaces, by name. Deprecated: use namespaceSelectors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(length(min = 1, max = 63), regex(pattern = names::NAMESPACE)))]
    pub namespaces: Vec<String>,
    /// How often namespaces and ExternalSecrets are looked at, as a Go duration such as 1h.
    #[serde(default, rename = "refreshTime", skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub refresh_interval: Option<GoDuration>,
}

/// Labels and annotations of the ExternalSecrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalSecretMetadata {
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// What became of a ClusterExternalSecret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterExternalSecretStatus {
    /// What the ExternalSecrets are called.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub external_secret_name: Option<String>,
    /// Where one could not be made, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_namespaces: Vec<FailedNamespace>,
    /// Where one is, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub provisioned_namespaces: Vec<String>,
    /// How it stands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<ClusterCondition>,
}

/// A namespace without the ExternalSecret that it should have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailedNamespace {
    /// The namespace.
    pub namespace: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub reason: Option<String>,
}

/// How a ClusterExternalSecret stands in one respect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterCondition {
    /// In which respect.
    #[serde(rename = "type")]
    pub kind: String,
    /// True, False or Unknown.
    pub status: String,
    /// Why, in words for people.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub message: Option<String>,
}

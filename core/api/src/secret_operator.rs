//! `awssecretsoperator.secretoperator/v1` SecretsRotationMapping: secret-operator's kind, as it is in clusters.

use std::collections::BTreeMap;

use kube_core::CustomResourceExt as _;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::crds::{finish, yaml};

/// Which workloads are rolled when a secret of AWS has a new value.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "awssecretsoperator.secretoperator",
    version = "v1",
    kind = "SecretsRotationMapping",
    plural = "secretsrotationmappings",
    namespaced,
    derive = "PartialEq",
    derive = "Default",
    doc = "Which workloads are rolled when a secret of AWS has a new value.",
    crates(
        kube_core = "::kube_core",
        k8s_openapi = "::k8s_openapi",
        schemars = "::schemars",
        serde = "::serde",
        serde_json = "::serde_json"
    )
)]
pub struct SecretsRotationMappingSpec {
    /// The secret's name or ARN.
    #[serde(default, rename = "SecretID")]
    #[schemars(length(max = 2048))]
    pub secret_id: String,
    /// What a workload's own labels must all have, in every namespace.
    #[serde(default, rename = "Labels")]
    pub labels: BTreeMap<String, String>,
}

/// The kind's definition as a YAML file, the same at every call: a file of its own, since only who comes from
/// secret-operator has such objects.
///
/// # Errors
/// Where it cannot be written, which only a wrong type can cause.
pub fn crd_yaml() -> Result<String, serde_json::Error> {
    let mut crd = SecretsRotationMapping::crd();
    finish(&mut crd);
    yaml(&[crd])
}

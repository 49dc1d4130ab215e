//! VaultDynamicSecret: values that HashiCorp Vault or OpenBao make when they are asked, most of them with a lease.

use std::collections::BTreeMap;

use kube_derive::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strongroom_failure::Failure;

use super::problems::problem;
use crate::external_secrets::RetrySettings;
use crate::external_secrets::provider::VaultProvider;
use crate::lenient::filled;

/// What is asked of a server, and what of its answer becomes values.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "generators.external-secrets.io",
    version = "v1alpha1",
    kind = "VaultDynamicSecret",
    plural = "vaultdynamicsecrets",
    category = "external-secrets",
    category = "external-secrets-generators",
    namespaced,
    derive = "PartialEq",
    derive = "Default",
    doc = "Has HashiCorp Vault or OpenBao make values, and keeps their leases.",
    label("external-secrets.io/component", "controller"),
    crates(
        kube_core = "::kube_core",
        k8s_openapi = "::k8s_openapi",
        schemars = "::schemars",
        serde = "::serde",
        serde_json = "::serde_json"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct VaultDynamicSecretSpec {
    /// The class of the controller that serves the generator, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub controller: Option<String>,
    /// How it is asked: GET (what is taken where nothing is said), LIST, DELETE, or POST, PUT or PATCH, which write.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub method: Option<String>,
    /// What is written, for methods that write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "anything")]
    pub parameters: Option<Value>,
    /// What follows the path, for GET.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub get_parameters: BTreeMap<String, Vec<String>>,
    /// Which part of the answer becomes values: its data, its auth (of paths that give tokens), or all of it.
    #[serde(default)]
    pub result_type: VaultResultType,
    /// How often a failed call is tried again. Without effect: whoever uses the generator comes again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_settings: Option<RetrySettings>,
    /// The server, and how to log in.
    pub provider: VaultProvider,
    /// What is asked for, below `/v1/`: such as `database/creds/app`.
    pub path: String,
    /// Whether an answer without data is none.
    #[serde(default)]
    pub allow_empty_response: bool,
}

/// Which part of an answer becomes values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum VaultResultType {
    /// What the engine gives.
    #[default]
    Data,
    /// A token and what belongs to it.
    Auth,
    /// The whole answer.
    Raw,
}

impl VaultDynamicSecretSpec {
    /// The method in capitals; GET where nothing is said.
    pub fn method(&self) -> String {
        self.method.as_deref().unwrap_or("GET").to_ascii_uppercase()
    }

    /// What is wrong with it; each problem names its field.
    pub(super) fn problems(&self) -> Vec<Failure> {
        let mut problems = Vec::new();
        if !["GET", "LIST", "DELETE", "POST", "PUT", "PATCH"].contains(&self.method().as_str()) {
            problems.push(problem("method", "is no known method", "set GET, LIST, DELETE, POST, PUT or PATCH"));
        }
        if self.path.trim_matches('/').is_empty() {
            problems.push(problem("path", "is empty", "write what is asked for, such as database/creds/app"));
        }
        if self.parameters.as_ref().is_some_and(|parameters| !parameters.is_object() && !parameters.is_null()) {
            problems.push(problem("parameters", "is not an object", "write names and values"));
        }
        problems
    }
}

/// Anything: what it means is the server's business.
pub(super) fn anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
}

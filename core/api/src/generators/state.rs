//! GeneratorState: what is to be undone when a generator's values are used no more.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::vault::anything;
use crate::external_secrets::Condition;

/// The label by which all states of one user of one generator are found.
pub const OWNER_KEY: &str = "generators.external-secrets.io/owner-key";

/// The finalizer that holds a state until what it stands for is undone.
pub const FINALIZER: &str = "generatorstate.externalsecrets.io/finalizer";

/// What a generator made at somebody else's, and when it is undone.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "generators.external-secrets.io",
    version = "v1alpha1",
    kind = "GeneratorState",
    plural = "generatorstates",
    shortname = "gs",
    category = "external-secrets",
    category = "external-secrets-generators",
    namespaced,
    status = "GeneratorStateStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "What a generator made at somebody else's, to be undone when it is used no more.",
    label("external-secrets.io/component", "controller"),
    printcolumn = r#"{"name": "GC Deadline", "type": "string", "jsonPath": ".spec.garbageCollectionDeadline"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    crates(
        kube_core = "::kube_core",
        k8s_openapi = "::k8s_openapi",
        schemars = "::schemars",
        serde = "::serde",
        serde_json = "::serde_json"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct GeneratorStateSpec {
    /// When it is deleted, and what it stands for undone; never where it is absent, while its user lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub garbage_collection_deadline: Option<Time>,
    /// The generator as it was when it made the values: by it they are undone, so what it names must still be there.
    #[schemars(schema_with = "anything")]
    pub resource: Value,
    /// What the generator needs to know to undo them.
    #[schemars(schema_with = "anything")]
    pub state: Value,
}

/// How a state stands.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct GeneratorStateStatus {
    /// Conditions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Any object of a Kubernetes API server.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomResourceProvider {}

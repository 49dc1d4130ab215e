use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Google Secret Manager.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GoogleProvider {}

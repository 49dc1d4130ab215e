use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Azure Key Vault.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AzureProvider {}

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// HashiCorp Vault, and OpenBao by the same slot or its own.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultProvider {}

/// OpenBao by its own slot.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenBaoProvider {}

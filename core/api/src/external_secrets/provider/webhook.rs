use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Any HTTP endpoint.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookProvider {}

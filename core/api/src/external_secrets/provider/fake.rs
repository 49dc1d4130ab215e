use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Values written in the store itself.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FakeProvider {}

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Values written in the store itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FakeProvider {
    /// The values.
    pub data: Vec<FakeProviderData>,
    /// What validating the store comes to: 0 ready, 1 unknown, 2 an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation_result: Option<i32>,
}

/// One value of a fake store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FakeProviderData {
    /// Its name.
    pub key: String,
    /// The value; in the clear, which is why such stores are for tests only.
    pub value: String,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// AWS Secrets Manager, Parameter Store and Certificate Manager.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsProvider {}

//! SecretStore and ClusterSecretStore: places that hold secrets, and how to get in.

use std::borrow::Cow;
use std::ops::Deref;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube_derive::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use strongroom_failure::Failure;

use super::Condition;
use super::provider::SecretStoreProvider;
use crate::lenient::filled;
use crate::{GoDuration, names};

/// A place that holds secrets, and how to get in.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "external-secrets.io",
    version = "v1",
    kind = "SecretStore",
    plural = "secretstores",
    shortname = "ss",
    category = "external-secrets",
    namespaced,
    status = "SecretStoreStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "A place that holds secrets, for one namespace.",
    label("external-secrets.io/component", "controller"),
    printcolumn = r#"{"name": "AGE", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "Status", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name": "Capabilities", "type": "string", "jsonPath": ".status.capabilities"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    crates(
        kube_core = "::kube_core",
        k8s_openapi = "::k8s_openapi",
        schemars = "::schemars",
        serde = "::serde",
        serde_json = "::serde_json"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct SecretStoreSpec {
    /// The class of the controller that serves the store, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub controller: Option<String>,
    /// The system behind it: exactly one.
    pub provider: SecretStoreProvider,
    /// How often a failed call is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_settings: Option<RetrySettings>,
    /// How often the store is looked at: seconds as a number, or a Go duration; the controller decides where nothing
    /// or 0 is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_interval: Option<StoreInterval>,
    /// Which namespaces may use a ClusterSecretStore: those that any of these names, and all where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<NamespaceCondition>,
}

/// What a ClusterSecretStore holds: the same as a SecretStore.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "external-secrets.io",
    version = "v1",
    kind = "ClusterSecretStore",
    plural = "clustersecretstores",
    shortname = "css",
    category = "external-secrets",
    status = "SecretStoreStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "A place that holds secrets, for many namespaces.",
    label("external-secrets.io/component", "controller"),
    printcolumn = r#"{"name": "AGE", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "Status", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name": "Capabilities", "type": "string", "jsonPath": ".status.capabilities"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    crates(
        kube_core = "::kube_core",
        k8s_openapi = "::k8s_openapi",
        schemars = "::schemars",
        serde = "::serde",
        serde_json = "::serde_json"
    )
)]
#[serde(transparent)]
pub struct ClusterSecretStoreSpec(pub SecretStoreSpec);

impl Deref for ClusterSecretStoreSpec {
    type Target = SecretStoreSpec;

    fn deref(&self) -> &SecretStoreSpec {
        &self.0
    }
}

/// How often a failed call is tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetrySettings {
    /// How many times after the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<i32>,
    /// How long between two of them, as a Go duration such as 10s.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub retry_interval: Option<GoDuration>,
}

/// How often a store is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum StoreInterval {
    /// Seconds.
    Seconds(i64),
    /// A duration as Go writes it.
    Duration(GoDuration),
}

impl StoreInterval {
    /// How long it is; `None` where it is zero or less, which leaves it to the controller.
    ///
    /// # Errors
    /// `Invalid` where the text is no duration.
    pub fn duration(&self) -> Result<Option<Duration>, Failure> {
        let duration = match self {
            Self::Seconds(seconds) => Duration::from_secs(u64::try_from(*seconds).unwrap_or_default()),
            Self::Duration(duration) => duration.duration()?,
        };
        Ok((!duration.is_zero()).then_some(duration))
    }
}

impl<'de> Deserialize<'de> for StoreInterval {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Not by `untagged`: numbers do not survive its buffer when serde_json keeps them as they were written.
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Number(number) => {
                let seconds = number.as_i64().ok_or_else(|| serde::de::Error::custom("seconds are a whole number"))?;
                Ok(Self::Seconds(seconds))
            }
            serde_json::Value::String(text) => Ok(Self::Duration(GoDuration::from(text.as_str()))),
            _ => Err(serde::de::Error::custom("seconds or a duration are expected")),
        }
    }
}

impl JsonSchema for StoreInterval {
    fn schema_name() -> Cow<'static, str> {
        "StoreInterval".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "x-kubernetes-int-or-string": true })
    }
}

/// Namespaces that may use a ClusterSecretStore: those that any of the three names.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceCondition {
    /// By labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// By name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(length(min = 1, max = 63), regex(pattern = names::NAMESPACE)))]
    pub namespaces: Vec<String>,
    /// By a regular expression (RE2) that matches anywhere in the name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub namespace_regexes: Vec<String>,
}

/// How a store stands.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretStoreStatus {
    /// How it stands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// What can be done with it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub capabilities: Option<Capabilities>,
}

/// What can be done with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum Capabilities {
    /// Its secrets can be read.
    ReadOnly,
    /// Secrets can be written to it.
    WriteOnly,
    /// Both.
    ReadWrite,
}

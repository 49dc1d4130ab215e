//! PushSecret: which values of which Secret go into which stores (`external-secrets.io/v1alpha1`).

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use kube_derive::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::{Condition, GeneratorRef, Rewrite, RewriteRegexp, RewriteTransform, SecretStoreKind, Template, rules};
use crate::lenient::filled;
use crate::{GoDuration, names};

/// What a PushSecret asks for.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "external-secrets.io",
    version = "v1alpha1",
    kind = "PushSecret",
    plural = "pushsecrets",
    shortname = "ps",
    category = "external-secrets",
    namespaced,
    status = "PushSecretStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "Which values of which Secret go into which stores.",
    label("external-secrets.io/component", "controller"),
    printcolumn = r#"{"name": "AGE", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name": "Status", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    crates(
        kube_core = "::kube_core",
        k8s_openapi = "::k8s_openapi",
        schemars = "::schemars",
        serde = "::serde",
        serde_json = "::serde_json"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct PushSecretSpec {
    /// How often the stores are compared with the source, as a Go duration such as 1h30m; a change of the source is
    /// pushed at once. 0 compares on changes alone.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = "1h0m0s"))]
    pub refresh_interval: Option<GoDuration>,
    /// The stores that values go into.
    pub secret_store_refs: Vec<PushStoreRef>,
    /// What happens to what a store has already; Replace where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = "Replace"))]
    pub update_policy: Option<PushUpdatePolicy>,
    /// What happens to what was pushed when it is asked for no more; None where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = "None"))]
    pub deletion_policy: Option<PushDeletionPolicy>,
    /// Where the values come from.
    pub selector: PushSelector,
    /// Single values, or the whole Secret, each to a place of its own. They win over those of dataTo.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<PushData>,
    /// Many values at once, each entry into stores of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_to: Vec<PushDataTo>,
    /// The shape of what is pushed: what templates make is added to the source's values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
}

/// Stores by name or by labels.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushStoreRef {
    /// The store's name.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(length(min = 1, max = 253), regex(pattern = names::OBJECT))]
    pub name: Option<String>,
    /// The labels of stores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// The stores' kind; SecretStore where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = "SecretStore"))]
    pub kind: Option<SecretStoreKind>,
}

/// What happens to what a store has already; Replace where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum PushUpdatePolicy {
    /// It becomes what is pushed.
    #[default]
    Replace,
    /// It stays; only what is absent is written.
    IfNotExists,
}

/// What happens to what was pushed when it is asked for no more; None where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum PushDeletionPolicy {
    /// It is deleted from the store.
    Delete,
    /// It stays in the store.
    #[default]
    None,
}

/// Where the values come from: exactly one of the two.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct PushSelector {
    /// Secrets of the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<PushSource>,
    /// An object that makes values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator_ref: Option<GeneratorRef>,
}

/// Secrets by name or by labels.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushSource {
    /// The Secret's name.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(length(min = 1, max = 253), regex(pattern = names::OBJECT))]
    pub name: Option<String>,
    /// The labels of Secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// One value, or the whole Secret, and its place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushData {
    /// What goes where.
    #[serde(rename = "match")]
    pub matching: PushMatch,
    /// The store's own settings for it, which each kind of store describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "anything")]
    pub metadata: Option<serde_json::Value>,
    /// What keys of the Secret become before they are looked up; None where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = "None"))]
    pub conversion_strategy: Option<PushConversion>,
}

/// What goes where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushMatch {
    /// The key in the Secret; the whole Secret where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub secret_key: Option<String>,
    /// The place in the store.
    pub remote_ref: PushRemoteRef,
}

/// A place in a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushRemoteRef {
    /// The store's name for the secret.
    pub remote_key: String,
    /// A property of it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub property: Option<String>,
}

/// What keys of the Secret become; None where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum PushConversion {
    /// They stay as they are.
    #[default]
    None,
    /// Codes such as _U0020_ become the letters that they stand for.
    ReverseUnicode,
}

/// Many values at once.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::DATA_TO))]
pub struct PushDataTo {
    /// The stores that they go into, of those in secretStoreRefs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_ref: Option<PushStoreRef>,
    /// The secret in which all of them become one JSON object; a secret for each of them where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(length(max = 2048))]
    pub remote_key: Option<String>,
    /// Which keys; all where nothing is said.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matching: Option<PushDataToMatch>,
    /// What keys become, in this order, to be the names of secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rewrite: Vec<PushRewrite>,
    /// The store's own settings for them, which each kind of store describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "anything")]
    pub metadata: Option<serde_json::Value>,
    /// What keys of the Secret become before they are matched; None where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = "None"))]
    pub conversion_strategy: Option<PushConversion>,
}

/// Which keys of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushDataToMatch {
    /// A regular expression (RE2) that matches anywhere in the key; all keys where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub regexp: Option<String>,
}

/// One thing that happens to keys: exactly one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct PushRewrite {
    /// Replaces what a regular expression matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regexp: Option<RewriteRegexp>,
    /// Makes each key by a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<RewriteTransform>,
}

impl From<&PushRewrite> for Rewrite {
    fn from(step: &PushRewrite) -> Self {
        Self { regexp: step.regexp.clone(), transform: step.transform.clone(), merge: None }
    }
}

/// What was pushed where: by store (`SecretStore/name`), then by place (`key` or `key/property`).
pub type SyncedPushSecrets = BTreeMap<String, BTreeMap<String, PushData>>;

/// What became of a PushSecret.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushSecretStatus {
    /// When something was last pushed with success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_time: Option<Time>,
    /// The PushSecret that was then seen.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub synced_resource_version: Option<String>,
    /// What the stores may hold of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub synced_push_secrets: SyncedPushSecrets,
    /// How it stands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

fn anything(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
}

//! ExternalSecret: which values of which stores become which Kubernetes Secret.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::LocalObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules;
use crate::lenient::filled;
use crate::{GoDuration, names};

/// What an ExternalSecret asks for.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "external-secrets.io",
    version = "v1",
    kind = "ExternalSecret",
    plural = "externalsecrets",
    shortname = "es",
    category = "external-secrets",
    namespaced,
    status = "ExternalSecretStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "Which values of which stores become which Secret.",
    label("external-secrets.io/component", "controller"),
    selectable = ".spec.secretStoreRef.name",
    selectable = ".spec.secretStoreRef.kind",
    selectable = ".spec.target.name",
    selectable = ".spec.refreshInterval",
    printcolumn = r#"{"name": "StoreType", "type": "string", "jsonPath": ".spec.secretStoreRef.kind"}"#,
    printcolumn = r#"{"name": "Store", "type": "string", "jsonPath": ".spec.secretStoreRef.name"}"#,
    printcolumn = r#"{"name": "Refresh Interval", "type": "string", "jsonPath": ".spec.refreshInterval"}"#,
    printcolumn = r#"{"name": "Status", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name": "Last Sync", "type": "date", "jsonPath": ".status.refreshTime"}"#,
    crates(
        kube_core = "::kube_core",
        k8s_openapi = "::k8s_openapi",
        schemars = "::schemars",
        serde = "::serde",
        serde_json = "::serde_json"
    )
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::EXTERNAL_SECRET))]
pub struct ExternalSecretSpec {
    /// The store for all entries that do not name their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_store_ref: Option<SecretStoreRef>,
    /// What is written, and how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = {"creationPolicy": "Owner", "deletionPolicy": "Retain"}))]
    pub target: Option<Target>,
    /// When values are read again; Periodic where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub refresh_policy: Option<RefreshPolicy>,
    /// How long after the last sync values are read again, as a Go duration such as 1h30m; 0 reads them once.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = "1h0m0s"))]
    pub refresh_interval: Option<GoDuration>,
    /// When periodic refreshes may happen; does not concern other refresh policies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_windows: Option<SyncWindows>,
    /// Single values, each under a key of its own. They win over those of dataFrom.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<DataEntry>,
    /// Many values at once, in this order; the later wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_from: Vec<DataFromEntry>,
}

/// A store by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretStoreRef {
    /// The store's name.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(length(min = 1, max = 253), regex(pattern = names::OBJECT))]
    pub name: Option<String>,
    /// The store's kind; SecretStore where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub kind: Option<SecretStoreKind>,
}

/// The kind of a store; SecretStore where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum SecretStoreKind {
    /// A store of one namespace.
    #[default]
    SecretStore,
    /// A store for many namespaces.
    ClusterSecretStore,
}

/// When values are read again; Periodic where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum RefreshPolicy {
    /// Once, when the Secret is made.
    CreatedOnce,
    /// Every refreshInterval, and on a change of the ExternalSecret.
    #[default]
    Periodic,
    /// On a change of the ExternalSecret only.
    OnChange,
}

/// When periodic refreshes may happen.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncWindows {
    /// Whether refreshes happen inside of the windows only, or outside only.
    pub kind: SyncWindowKind,
    /// The windows, in UTC.
    #[schemars(length(min = 1))]
    pub windows: Vec<SyncWindow>,
}

/// What windows mean for refreshes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SyncWindowKind {
    /// Refreshes happen while a window is open.
    Allow,
    /// Refreshes happen while no window is open.
    Deny,
}

/// One window that opens again and again.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncWindow {
    /// When it opens, in UTC: five fields as cron has them, or a shorthand such as @daily or @every 1h.
    #[schemars(
        length(min = 1),
        regex(
            pattern = r"^(@(annually|yearly|monthly|weekly|daily|midnight|hourly)|@every [^\s]+.*|[^\s]+( [^\s]+){4})$"
        )
    )]
    pub schedule: String,
    /// How long it stays open, as a Go duration such as 8h.
    pub duration: GoDuration,
}

/// What is written, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::TARGET))]
pub struct Target {
    /// The Secret's name; the ExternalSecret's where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(length(min = 1, max = 253), regex(pattern = names::OBJECT))]
    pub name: Option<String>,
    /// Who makes and owns the Secret; Owner where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = "Owner"))]
    pub creation_policy: Option<CreationPolicy>,
    /// What happens to the Secret when the stores hold nothing any more; Retain where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = "Retain"))]
    pub deletion_policy: Option<DeletionPolicy>,
    /// The shape of what is written; the values under their keys where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// Another kind of object to write instead of a Secret, where the operator allows it. Its readers may be more than
    /// those of Secrets, and it may lie unencrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<ManifestRef>,
    /// Whether the Secret, once made, can never change.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub immutable: bool,
}

/// Who makes and owns the Secret; Owner where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum CreationPolicy {
    /// It is made, owned, and goes with its ExternalSecret.
    #[default]
    Owner,
    /// It is made, and stays when its ExternalSecret goes.
    Orphan,
    /// Keys are added to a Secret that somebody else makes.
    Merge,
    /// Nothing is written.
    None,
    /// It is made where it is missing and added to where it exists, and stays.
    CreateOrMerge,
}

/// What happens to the Secret when the stores hold nothing for it any more; Retain where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum DeletionPolicy {
    /// The Secret goes too.
    Delete,
    /// Its keys go, the Secret stays.
    Merge,
    /// It stays as it is, and a value that is missing is an error.
    #[default]
    Retain,
}

/// A kind of object to write instead of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ManifestRef {
    /// The kind's group and version, such as argoproj.io/v1alpha1.
    #[schemars(length(min = 1))]
    pub api_version: String,
    /// The kind.
    #[schemars(length(min = 1))]
    pub kind: String,
}

impl ManifestRef {
    /// Whether it only spells out what is written anyway.
    pub fn is_secret(&self) -> bool {
        self.api_version == "v1" && self.kind == "Secret"
    }
}

/// The shape of what is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Template {
    /// The Secret's type; Opaque where nothing is said.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub kind: Option<String>,
    /// The version of the template language.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = "v2"))]
    pub engine_version: Option<EngineVersion>,
    /// Labels, annotations and finalizers of what is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<TemplateMetadata>,
    /// Whether values that no template names are written too; Replace (they are not) where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = "Replace"))]
    pub merge_policy: Option<TemplateMergePolicy>,
    /// A template for each key. They win over those of templateFrom.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, String>,
    /// Templates from elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub template_from: Vec<TemplateFrom>,
}

/// The version of the template language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EngineVersion {
    /// Go templates with sprig's functions.
    #[default]
    V2,
}

/// Whether values that no template names are written too; Replace (they are not) where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum TemplateMergePolicy {
    /// Only what templates make.
    #[default]
    Replace,
    /// Also the other values.
    Merge,
}

/// Labels, annotations and finalizers of what is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateMetadata {
    /// Templates of annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Templates of labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Finalizers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
}

/// Templates from elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateFrom {
    /// Keys of a ConfigMap in the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<TemplateRef>,
    /// Keys of a Secret in the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<TemplateRef>,
    /// Where the result goes. For a Secret: Data, Annotations or Labels, in any case of letters. For another kind also
    /// a path such as spec.rules[0].from.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = "Data"))]
    pub target: Option<String>,
    /// A template written here, which makes keys and values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub literal: Option<String>,
    /// How the values that templates made are decoded; None where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub values_decoding_strategy: Option<DecodingStrategy>,
}

/// Keys of a ConfigMap or Secret that hold templates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateRef {
    /// The object's name.
    #[schemars(length(min = 1, max = 253), regex(pattern = names::OBJECT))]
    pub name: String,
    /// The keys.
    pub items: Vec<TemplateRefItem>,
}

/// One key that holds a template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateRefItem {
    /// The key.
    #[schemars(length(min = 1, max = 253), regex(pattern = names::DATA_KEY))]
    pub key: String,
    /// What the template makes; Values where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = "Values"))]
    pub template_as: Option<TemplateScope>,
}

/// What a template makes; Values where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum TemplateScope {
    /// The value of its key.
    #[default]
    Values,
    /// Keys and values, as YAML.
    KeysAndValues,
}

/// One value under a key of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DataEntry {
    /// The key in the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = names::DATA_KEY))]
    pub secret_key: String,
    /// Which value.
    pub remote_ref: RemoteRef,
    /// The entry's own store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ref: Option<SourceRef>,
}

/// Which value of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RemoteRef {
    /// The store's name for the secret.
    pub key: String,
    /// Whether the secret's metadata is read in place of its value; None (the value) where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub metadata_policy: Option<MetadataPolicy>,
    /// A part of the value: a key of it, or a path into its JSON.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub property: Option<String>,
    /// A version of the value; the current one where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub version: Option<String>,
    /// What becomes of keys that a Secret cannot have; Default where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub conversion_strategy: Option<ConversionStrategy>,
    /// How the value is decoded; None where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub decoding_strategy: Option<DecodingStrategy>,
    /// Whether a value may hold NUL bytes; Ignore (it may) where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub null_byte_policy: Option<NullBytePolicy>,
}

/// Whether a secret's metadata is read in place of its value; None (the value) where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum MetadataPolicy {
    /// The value.
    #[default]
    None,
    /// Its tags or labels, as JSON.
    Fetch,
}

/// What becomes of keys that a Secret cannot have; Default where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum ConversionStrategy {
    /// Letters that are not allowed become an underscore.
    #[default]
    Default,
    /// They become their code, such as _U0020_.
    Unicode,
}

/// How values are decoded; None where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum DecodingStrategy {
    /// What decodes as base64 is decoded, anything else stays.
    Auto,
    /// Base64.
    Base64,
    /// Base64 in its spelling for addresses.
    #[serde(rename = "Base64URL")]
    Base64Url,
    /// It stays as it is.
    #[default]
    None,
}

/// Whether values may hold NUL bytes; Ignore (they may) where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum NullBytePolicy {
    /// It may.
    #[default]
    Ignore,
    /// It is an error.
    Fail,
}

/// Where one entry's value comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct SourceRef {
    /// A store other than the ExternalSecret's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_ref: Option<SecretStoreRef>,
    /// An object that makes values. Only dataFrom, without extract and find, can have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator_ref: Option<GeneratorRef>,
}

/// An object that makes values.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GeneratorRef {
    /// The generator's group and version.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = "generators.external-secrets.io/v1alpha1"))]
    pub api_version: Option<String>,
    /// The generator's kind.
    #[schemars(length(min = 1))]
    pub kind: String,
    /// The generator's name.
    #[schemars(length(min = 1, max = 253), regex(pattern = names::OBJECT))]
    pub name: String,
}

/// Many values at once: exactly one of extract, find and a generator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::DATA_FROM))]
pub struct DataFromEntry {
    /// All keys of one secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extract: Option<RemoteRef>,
    /// All secrets whose names or tags match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub find: Option<Find>,
    /// What happens to the keys, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rewrite: Vec<Rewrite>,
    /// The entry's own store, or a generator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ref: Option<SourceRef>,
}

/// Which secrets of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Find {
    /// Where to look; everywhere where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// By name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<FindName>,
    /// By tags, all of which a secret must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// What becomes of keys that a Secret cannot have; Default where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub conversion_strategy: Option<ConversionStrategy>,
    /// How the values are decoded; None where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub decoding_strategy: Option<DecodingStrategy>,
    /// Whether values may hold NUL bytes; Ignore (they may) where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub null_byte_policy: Option<NullBytePolicy>,
}

/// Secrets by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FindName {
    /// A regular expression (RE2) that matches anywhere in the name.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub regexp: Option<String>,
}

/// One thing that happens to keys: exactly one of the three.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct Rewrite {
    /// Replaces what a regular expression matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regexp: Option<RewriteRegexp>,
    /// Makes each key by a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transform: Option<RewriteTransform>,
    /// Makes one of values that are JSON objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge: Option<RewriteMerge>,
}

/// Replaces in keys what a regular expression matches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RewriteRegexp {
    /// The regular expression (RE2).
    pub source: String,
    /// What takes the place of a match; $1 and ${name} are its groups.
    pub target: String,
}

/// Makes each key by a template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RewriteTransform {
    /// The template; .value is the key.
    pub template: String,
}

/// Makes one of values that are JSON objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RewriteMerge {
    /// The key of the merged value; needed by the strategy JSON alone.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = ""))]
    pub into: Option<String>,
    /// Keys that win over all others, the last most of all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub priority: Vec<String>,
    /// What a key of priority that does not exist means; Strict where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = "Strict"))]
    pub priority_policy: Option<MergePriorityPolicy>,
    /// What a key that two values have means; Error where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = "Error"))]
    pub conflict_policy: Option<MergeConflictPolicy>,
    /// What the result is; Extract where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = "Extract"))]
    pub strategy: Option<MergeStrategy>,
}

/// What a key of priority that does not exist means; Strict (an error) where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum MergePriorityPolicy {
    /// It is passed over.
    IgnoreNotFound,
    /// It is an error.
    #[default]
    Strict,
}

/// What a key that two values have means; Error where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum MergeConflictPolicy {
    /// The later wins.
    Ignore,
    /// It is an error.
    #[default]
    Error,
}

/// What the result of a merge is; Extract where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum MergeStrategy {
    /// The merged keys, one by one.
    #[default]
    Extract,
    /// One JSON object under one key.
    #[serde(rename = "JSON")]
    Json,
}

/// What became of an ExternalSecret.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExternalSecretStatus {
    /// When the last successful sync began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_time: Option<Time>,
    /// What the last successful sync saw of the ExternalSecret: its generation and a hash of its metadata.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub synced_resource_version: Option<String>,
    /// How it stands.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The Secret, for those who bind services (servicebinding.io).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<LocalObjectReference>,
}

/// How an object stands in one respect.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// In which respect.
    #[serde(rename = "type")]
    pub kind: String,
    /// True, False or Unknown.
    pub status: String,
    /// Why, in a word for machines.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub reason: Option<String>,
    /// Why, in words for people.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub message: Option<String>,
    /// When status last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
}

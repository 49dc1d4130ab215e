//! `strongroom.dev/v1alpha1` StorePolicy: which keys of a ClusterSecretStore a namespace may read.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube_core::ResourceExt;
use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strongroom_policy::{Policy, PolicySource, RuleSource, TargetKind};

use crate::external_secrets::{Condition, ManifestRef};
use crate::names;
use crate::selection::selector_source;

/// Which keys of cluster stores namespaces may read. Once a policy names a store, what no rule of any policy allows is
/// denied, on every way that leads to a key; a store that none names is open to all whom its conditions admit.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "strongroom.dev",
    version = "v1alpha1",
    kind = "StorePolicy",
    plural = "storepolicies",
    category = "strongroom",
    status = "StorePolicyStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "Which keys of cluster stores namespaces may read.",
    printcolumn = r#"{"name": "Stores", "type": "string", "jsonPath": ".spec.stores[*].name"}"#,
    printcolumn = r#"{"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}"#,
    crates(
        kube_core = "::kube_core",
        k8s_openapi = "::k8s_openapi",
        schemars = "::schemars",
        serde = "::serde",
        serde_json = "::serde_json"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct StorePolicySpec {
    /// The stores that the policy is about.
    #[schemars(length(min = 1, max = 64))]
    pub stores: Vec<PolicyStore>,
    /// What is allowed; nothing where there are none. One rule must allow all of a request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub rules: Vec<PolicyRule>,
}

/// A store that a policy is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyStore {
    /// The ClusterSecretStore's name.
    #[schemars(length(min = 1, max = 253), regex(pattern = names::OBJECT))]
    pub name: String,
}

/// What some namespaces may read.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRule {
    /// Who; every namespace where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<PolicyNamespaces>,
    /// Patterns of keys as ExternalSecrets write them. A * stands for any letters within one segment, ** alone between
    /// slashes for one or more whole segments, and {{ .namespace }} for the name of the namespace that asks. Keys are
    /// compared letter by letter, without decoding or folding case. A wildcard never stands for an empty segment, for
    /// . and .., nor for any of % \ ? # and control characters. Let {{ .namespace }} fill a segment, or end it by a
    /// letter that names of namespaces cannot have (such as _): by {{ .namespace }}-* the namespace a reads a-b-key,
    /// which the namespace a-b calls its own.
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 2048), regex(pattern = KEY)))]
    pub keys: Vec<String>,
    /// Kinds of object, besides Secrets, into which these namespaces may have the values written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub targets: Vec<ManifestRef>,
}

/// `**`, or stars between texts and variables; between slashes.
const KEY: &str = concat!(
    r"^(\*\*|\*?(([^*/{}]|\{\{ *\.namespace *\}\})+\*)*([^*/{}]|\{\{ *\.namespace *\}\})*)",
    r"(/(\*\*|\*?(([^*/{}]|\{\{ *\.namespace *\}\})+\*)*([^*/{}]|\{\{ *\.namespace *\}\})*))*$"
);

/// Namespaces. One must match both where both are said.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyNamespaces {
    /// By name: one of these must match, in which * stands for any letters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 63), regex(pattern = r"^[-a-z0-9*]+$")))]
    pub names: Vec<String>,
    /// By labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// How a policy stands.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorePolicyStatus {
    /// Ready is False while a part of the policy cannot be understood; that part allows nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

impl StorePolicy {
    /// The policy as decisions take it, with its problems.
    pub fn policy(&self) -> Policy {
        Policy::new(&PolicySource {
            name: self.name_any(),
            stores: self.spec.stores.iter().map(|store| store.name.clone()).collect(),
            rules: self.spec.rules.iter().map(PolicyRule::source).collect(),
        })
    }
}

impl PolicyRule {
    fn source(&self) -> RuleSource {
        let namespaces = self.namespaces.as_ref();
        RuleSource {
            names: namespaces.map(|namespaces| namespaces.names.clone()).unwrap_or_default(),
            selector: namespaces.and_then(|namespaces| namespaces.selector.as_ref()).map(selector_source),
            keys: self.keys.clone(),
            targets: self.targets.iter().map(TargetKind::from).collect(),
        }
    }
}

impl From<&ManifestRef> for TargetKind {
    fn from(manifest: &ManifestRef) -> Self {
        Self { api_version: manifest.api_version.clone(), kind: manifest.kind.clone() }
    }
}

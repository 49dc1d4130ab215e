//! Webhook: values that any HTTP endpoint makes.

use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::external_secrets::provider::WebhookProvider;

/// The endpoint, and where in its answer the values are.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "generators.external-secrets.io",
    version = "v1alpha1",
    kind = "Webhook",
    root = "WebhookGenerator",
    plural = "webhooks",
    category = "external-secrets",
    category = "external-secrets-generators",
    namespaced,
    derive = "PartialEq",
    derive = "Default",
    doc = "Has an HTTP endpoint make values.",
    label("external-secrets.io/component", "controller"),
    crates(
        kube_core = "::kube_core",
        k8s_openapi = "::k8s_openapi",
        schemars = "::schemars",
        serde = "::serde",
        serde_json = "::serde_json"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct WebhookGeneratorSpec {
    /// The same fields as a store's, without a key: templates see the Secrets alone.
    #[serde(flatten)]
    pub endpoint: WebhookProvider,
}

//! Webhook: values that an HTTP endpoint makes.

use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strongroom_failure::Failure;

use super::problems::problem;
use crate::external_secrets::provider::WebhookProvider;

/// What is asked of which endpoint, and what of its answer becomes values.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "generators.external-secrets.io",
    version = "v1alpha1",
    kind = "Webhook",
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
pub struct WebhookSpec {
    /// The endpoint, as a store has it. Templates see the Secrets and no key, and the JSONPath leads to an object.
    #[serde(flatten)]
    pub endpoint: WebhookProvider,
}

impl WebhookSpec {
    /// What is wrong with it; each problem names its field.
    pub(super) fn problems(&self) -> Vec<Failure> {
        let words = "NTLM is not served: Windows' servers of today take Kerberos or a token";
        let cure = "send a token or a user and password in headers";
        self.endpoint.auth.is_some().then(|| problem("auth.ntlm", words, cure)).into_iter().collect()
    }
}

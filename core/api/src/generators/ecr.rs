//! ECRAuthorizationToken: a login for the registries of AWS.

use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strongroom_failure::Failure;

use super::problems::problem;
use crate::external_secrets::provider::AwsAuth;
use crate::lenient::filled;

/// Which registry is logged in to, and as whom.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "generators.external-secrets.io",
    version = "v1alpha1",
    kind = "ECRAuthorizationToken",
    root = "EcrAuthorizationToken",
    plural = "ecrauthorizationtokens",
    category = "external-secrets",
    category = "external-secrets-generators",
    namespaced,
    derive = "PartialEq",
    derive = "Default",
    doc = "Makes logins for the registries of AWS, for twelve hours each.",
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
pub struct EcrAuthorizationTokenSpec {
    /// The region of the registry.
    pub region: String,
    /// As whom to ask; as the operator's own identity where nothing is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AwsAuth>,
    /// The ARN of a role to assume before.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub role: Option<String>,
    /// Which registries: private (what is taken where nothing is said) or public.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub scope: Option<String>,
}

impl EcrAuthorizationTokenSpec {
    /// Whether it is for the public registry.
    pub fn is_public(&self) -> bool {
        self.scope.as_deref() == Some("public")
    }

    /// What is wrong with it; each problem names its field.
    pub(super) fn problems(&self) -> Vec<Failure> {
        let known = ["private", "public"];
        let is_unknown = self.scope.as_deref().is_some_and(|scope| !known.contains(&scope));
        is_unknown.then(|| problem("scope", "is no known scope", "set private or public")).into_iter().collect()
    }
}

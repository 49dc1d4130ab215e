//! What AWS makes for a while: tokens for its registries of images, and keys of sessions.

use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strongroom_failure::Failure;

use super::problems::problem;
use crate::external_secrets::provider::{AwsAuth, AwsProvider};
use crate::lenient::filled;

/// Which registry a token is for.
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
    doc = "Gets tokens for Amazon's registries of images, which hold for twelve hours.",
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
    /// The registry's region.
    pub region: String,
    /// As whom AWS is asked: the operator's own identity, where it may be used and nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AwsAuth>,
    /// The ARN of a role that is assumed first.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub role: Option<String>,
    /// Which registry: private (what is taken where nothing is said) or public.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub scope: Option<String>,
}

/// Whose session, and for how long.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "generators.external-secrets.io",
    version = "v1alpha1",
    kind = "STSSessionToken",
    root = "StsSessionToken",
    plural = "stssessiontokens",
    category = "external-secrets",
    category = "external-secrets-generators",
    namespaced,
    derive = "PartialEq",
    derive = "Default",
    doc = "Gets keys of a session of an AWS user.",
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
pub struct StsSessionTokenSpec {
    /// The region whose token service is asked.
    pub region: String,
    /// The user whose session it is. AWS gives sessions to users with access keys alone, not to roles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AwsAuth>,
    /// The ARN of a role that is assumed first.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub role: Option<String>,
    /// What is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_parameters: Option<StsRequestParameters>,
}

/// What is asked of AWS's token service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StsRequestParameters {
    /// How many seconds the session lasts, 900 to 129,600; AWS takes 43,200 where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "int32"))]
    pub session_duration: Option<i32>,
    /// The serial number or ARN of the user's device for one-time passwords.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub serial_number: Option<String>,
    /// The one-time password that the device shows.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub token_code: Option<String>,
}

impl EcrAuthorizationTokenSpec {
    /// The public registries, instead of the account's own.
    pub fn is_public(&self) -> bool {
        self.scope.as_deref() == Some("public")
    }

    /// Where AWS is and as whom it is asked, as a store says it.
    pub fn identity(&self) -> AwsProvider {
        identity(&self.region, self.auth.as_ref(), self.role.as_ref())
    }

    pub(super) fn problems(&self) -> Vec<Failure> {
        let is_known = self.scope.as_deref().is_none_or(|scope| matches!(scope, "private" | "public"));
        if is_known { Vec::new() } else { vec![problem("scope", "is no kind of registry", "set private or public")] }
    }
}

impl StsSessionTokenSpec {
    /// Where AWS is and as whom it is asked, as a store says it.
    pub fn identity(&self) -> AwsProvider {
        identity(&self.region, self.auth.as_ref(), self.role.as_ref())
    }

    pub(super) fn problems(&self) -> Vec<Failure> {
        let mut problems = Vec::new();
        if self.auth.as_ref().is_some_and(|auth| auth.jwt.is_some()) {
            let words = "jwt auth cannot be used for STS session tokens: AWS gives them to users, not to roles";
            problems.push(problem("auth.jwt", words, "name the user's access key in auth.secretRef"));
        }
        let seconds = self.request_parameters.as_ref().and_then(|parameters| parameters.session_duration);
        if seconds.is_some_and(|seconds| !(900..=129_600).contains(&seconds)) {
            let words = "is no time that AWS gives a session";
            problems.push(problem("requestParameters.sessionDuration", words, "set 900 to 129600 seconds"));
        }
        problems
    }
}

fn identity(region: &str, auth: Option<&AwsAuth>, role: Option<&String>) -> AwsProvider {
    AwsProvider { region: region.to_owned(), auth: auth.cloned(), role: role.cloned(), ..AwsProvider::default() }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Generator;

    #[test]
    fn what_aws_would_refuse_is_told_before_it_is_asked() {
        let check = |kind: &str, spec: Value, expected: Option<&str>| {
            let problems = Generator::read(kind, spec).unwrap().problems();
            let fields: Vec<_> = problems.iter().filter_map(|problem| problem.subject.field.as_deref()).collect();
            assert_eq!(fields, expected.into_iter().collect::<Vec<_>>(), "{kind}");
        };
        let (ecr, sts) = ("ECRAuthorizationToken", "STSSessionToken");
        check(ecr, json!({"region": "eu-west-1"}), None);
        check(ecr, json!({"region": "eu-west-1", "scope": ""}), None);
        check(ecr, json!({"region": "us-east-1", "scope": "public"}), None);
        check(ecr, json!({"region": "us-east-1", "scope": "Public"}), Some("spec.scope"));
        let lasting = |seconds: i32| json!({"region": "eu-west-1", "requestParameters": {"sessionDuration": seconds}});
        check(sts, lasting(900), None);
        check(sts, lasting(899), Some("spec.requestParameters.sessionDuration"));
        check(sts, lasting(129_601), Some("spec.requestParameters.sessionDuration"));
        let jwt = json!({"region": "eu-west-1", "auth": {"jwt": {"serviceAccountRef": {"name": "app"}}}});
        check(sts, jwt.clone(), Some("spec.auth.jwt"));
        check(ecr, jwt, None);
    }
}

//! STSSessionToken: credentials of AWS that end.

use std::fmt;

use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strongroom_failure::Failure;

use super::problems::problem;
use crate::external_secrets::provider::AwsAuth;
use crate::lenient::filled;

/// How long credentials last, in seconds, that AWS makes of a user's (GetSessionToken).
const OF_USERS: std::ops::RangeInclusive<i64> = 900..=129_600;

/// How long a role's last, in seconds (AssumeRole).
const OF_ROLES: std::ops::RangeInclusive<i64> = 900..=43_200;

/// Whose credentials are made, and for how long.
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
    doc = "Makes credentials of AWS that end.",
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
    /// The region whose STS is asked.
    pub region: String,
    /// As whom to ask; as the operator's own identity where nothing is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AwsAuth>,
    /// The ARN of the role whose credentials are made, instead of the user's own.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub role: Option<String>,
    /// What else is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_parameters: Option<StsRequestParameters>,
}

/// What else is asked for.
#[derive(Clone, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StsRequestParameters {
    /// How many seconds the credentials last: 900 to 129600, a role's at most 43200. AWS takes 12 hours where nothing
    /// is said, of a role one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_duration: Option<i64>,
    /// The serial number or the ARN of the user's MFA device.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub serial_number: Option<String>,
    /// What the device shows. It holds once, and for half a minute.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub token_code: Option<String>,
}

impl fmt::Debug for StsRequestParameters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("StsRequestParameters");
        shown.field("session_duration", &self.session_duration).field("serial_number", &self.serial_number);
        shown.finish_non_exhaustive()
    }
}

impl StsSessionTokenSpec {
    /// What is wrong with it; each problem names its field.
    pub(super) fn problems(&self) -> Vec<Failure> {
        let mut problems = Vec::new();
        if self.auth.as_ref().is_some_and(|auth| auth.jwt.is_some()) && self.role.is_none() {
            let words = "a service account has a role's credentials, of which AWS makes no others";
            problems.push(problem("auth.jwt", words, "name an access key in auth.secretRef, or a role to assume"));
        }
        let asked = self.request_parameters.clone().unwrap_or_default();
        let allowed = if self.role.is_some() { OF_ROLES } else { OF_USERS };
        if asked.session_duration.is_some_and(|seconds| !allowed.contains(&seconds)) {
            let cure = format!("set {} to {}", allowed.start(), allowed.end());
            problems.push(problem("requestParameters.sessionDuration", "is no duration that AWS gives", &cure));
        }
        let (serial, code) = (asked.serial_number.is_some(), asked.token_code.is_some());
        if serial != code {
            let words = "an MFA device has a serialNumber and shows a tokenCode";
            problems.push(problem("requestParameters", words, "set both or neither"));
        }
        problems
    }
}

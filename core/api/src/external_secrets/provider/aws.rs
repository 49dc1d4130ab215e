use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::external_secrets::{SecretKeySelector, ServiceAccountSelector};
use crate::lenient::filled;

/// AWS Secrets Manager, Parameter Store and Certificate Manager.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsProvider {
    /// Which service holds the secrets.
    pub service: AwsService,
    /// As whom to ask; as the operator's own identity where nothing is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AwsAuth>,
    /// The ARN of a role to assume.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub role: Option<String>,
    /// The region of the secrets.
    pub region: String,
    /// The ARNs of roles to assume one after the other, before `role`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub additional_roles: Vec<String>,
    /// The external id that `role` asks for.
    #[serde(default, rename = "externalID", skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub external_id: Option<String>,
    /// Tags of the session in which `role` is assumed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub session_tags: Vec<AwsTag>,
    /// How secrets are deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets_manager: Option<AwsSecretsManager>,
    /// The keys of session tags that later roles of a chain inherit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transitive_tag_keys: Vec<String>,
    /// Which further tags the session gets: those that say who asks.
    #[serde(default)]
    pub session_tags_policy: AwsSessionTagsPolicy,
    /// The tags of the policy `Custom`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub custom_session_tags: BTreeMap<String, String>,
    /// What stands before every key.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub prefix: Option<String>,
}

/// A service of AWS that holds secrets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum AwsService {
    /// Secrets Manager.
    #[default]
    SecretsManager,
    /// Systems Manager Parameter Store.
    ParameterStore,
    /// Certificate Manager.
    CertificateManager,
}

/// As whom to ask AWS; at most one is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsAuth {
    /// An access key in a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<AwsAuthSecretRef>,
    /// A Kubernetes service account, as on EKS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<AwsJwtAuth>,
}

/// An access key in a Secret.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsAuthSecretRef {
    /// The key's id.
    #[serde(default, rename = "accessKeyIDSecretRef", skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<SecretKeySelector>,
    /// The key itself.
    #[serde(default, rename = "secretAccessKeySecretRef", skip_serializing_if = "Option::is_none")]
    pub secret_access_key: Option<SecretKeySelector>,
    /// The session's token, for temporary keys.
    #[serde(default, rename = "sessionTokenSecretRef", skip_serializing_if = "Option::is_none")]
    pub session_token: Option<SecretKeySelector>,
}

/// A Kubernetes service account, as on EKS.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsJwtAuth {
    /// The account. Its annotation `eks.amazonaws.com/role-arn` names the role that is taken with its token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<ServiceAccountSelector>,
}

/// A tag of a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsTag {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// Which tags a session gets beside those that are written out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum AwsSessionTagsPolicy {
    /// None.
    #[default]
    None,
    /// `esoNamespace`, `esoStoreName` and `esoStoreKind`.
    Simple,
    /// Those of `Simple`, and `customSessionTags`.
    Custom,
}

/// How secrets of Secrets Manager are deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsSecretsManager {
    /// At once and for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub force_delete_without_recovery: Option<bool>,
    /// After so many days, 7 to 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_window_in_days: Option<i64>,
}

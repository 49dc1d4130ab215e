use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::external_secrets::{SecretKeySelector, ServiceAccountSelector};

/// Google Secret Manager.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GoogleProvider {
    /// As whom to ask; as the operator's own identity where it is empty.
    #[serde(default)]
    pub auth: GoogleAuth,
    /// The project of the secrets; the one of the machine where it is absent.
    #[serde(default, rename = "projectID", skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// The region of regional secrets; global ones where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// What to do where the latest version is disabled or destroyed.
    #[serde(default)]
    pub secret_version_selection_policy: GoogleVersionSelection,
}

/// What to do where the latest version is disabled or destroyed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum GoogleVersionSelection {
    /// Fail.
    #[default]
    LatestOrFail,
    /// Take the newest version that is enabled.
    LatestOrFetch,
}

/// As whom to ask Google; at most one is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GoogleAuth {
    /// A service account's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<GoogleAuthSecretRef>,
    /// A Kubernetes service account, by the workload identity of GKE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_identity: Option<GoogleWorkloadIdentity>,
    /// An outside identity, by workload identity federation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_identity_federation: Option<GoogleWorkloadIdentityFederation>,
}

/// A service account's key.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GoogleAuthSecretRef {
    /// The key in the JSON form in which Google gives it.
    #[serde(default, rename = "secretAccessKeySecretRef")]
    pub secret_access_key: SecretKeySelector,
}

/// A Kubernetes service account, by the workload identity of GKE.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GoogleWorkloadIdentity {
    /// The account. Its annotation `iam.gke.io/gcp-service-account` names a Google service account to act as.
    pub service_account_ref: ServiceAccountSelector,
    /// The cluster's region or zone; asked of the metadata server where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_location: Option<String>,
    /// The cluster's name; asked of the metadata server where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<String>,
    /// The cluster's project; asked of the metadata server where it is absent.
    #[serde(default, rename = "clusterProjectID", skip_serializing_if = "Option::is_none")]
    pub cluster_project_id: Option<String>,
}

/// An outside identity, by workload identity federation: exactly one of `credConfig`, `serviceAccountRef` and
/// `awsSecurityCredentials` is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GoogleWorkloadIdentityFederation {
    /// Credentials of the type `external_account`, which hold no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cred_config: Option<ConfigMapReference>,
    /// A Kubernetes service account, whose tokens the pool was told to trust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<ServiceAccountSelector>,
    /// An AWS identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aws_security_credentials: Option<AwsCredentialsConfig>,
    /// The provider of the pool: `//iam.googleapis.com/projects/…/workloadIdentityPools/…/providers/…`. Stands over the
    /// one in `credConfig`; needed for the other two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// What `credential_source.url` of `credConfig` must be, word for word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_token_endpoint: Option<String>,
    /// The e-mail address of the Google service account that is acted as. Stands over the one that `credConfig` or the
    /// annotation of the Kubernetes service account names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcp_service_account_email: Option<String>,
}

/// One key of a ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapReference {
    /// The ConfigMap's name.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: String,
    /// Its namespace; only a ClusterSecretStore may name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: Option<String>,
    /// The key inside of it.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// An AWS identity for workload identity federation.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AwsCredentialsConfig {
    /// The region.
    #[schemars(length(min = 1, max = 50), regex(pattern = r"^[a-z0-9-]+$"))]
    pub region: String,
    /// The Secret with the keys `aws_access_key_id`, `aws_secret_access_key` and `aws_session_token`.
    pub aws_credentials_secret_ref: SecretReference,
}

/// A whole Secret.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretReference {
    /// The Secret's name.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: String,
    /// Its namespace; only a ClusterSecretStore may name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: Option<String>,
}

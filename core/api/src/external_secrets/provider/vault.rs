use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AwsAuthSecretRef, AwsJwtAuth, GoogleAuthSecretRef, GoogleWorkloadIdentity};
use crate::external_secrets::{CaProvider, SecretKeySelector, ServiceAccountSelector};
use crate::lenient::filled;

/// HashiCorp Vault, and OpenBao by the same slot or its own.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultProvider {
    /// How to log in; where there is nothing, a Vault agent or proxy at the address does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<VaultAuth>,
    /// The server's address, such as `https://vault.example.com:8200`.
    pub server: String,
    /// The mount of the KV engine, such as `secret`. Where it is absent, keys begin with their mount.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub path: Option<String>,
    /// The version of the KV engine.
    #[serde(default)]
    pub version: VaultKvVersion,
    /// The namespace of the secrets.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub namespace: Option<String>,
    /// The server's certificate authorities, base64 of PEM; the system's where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("format" = "byte"))]
    pub ca_bundle: Option<String>,
    /// A certificate of our own for every connection. A login by certificate has one of its own under `auth.cert`.
    #[serde(default)]
    pub tls: VaultClientTls,
    /// Where the server's certificate authorities lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_provider: Option<CaProvider>,
    /// Whether nodes that are behind the active one must catch up before they answer.
    #[serde(default)]
    pub read_your_writes: bool,
    /// Whether such nodes pass requests on to the active one instead.
    #[serde(default)]
    pub forward_inconsistent: bool,
    /// Further headers of every request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// What to check before a secret is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_and_set: Option<VaultCheckAndSet>,
}

/// A version of the KV engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum VaultKvVersion {
    /// Without versions of secrets.
    #[serde(rename = "v1")]
    One,
    /// With versions of secrets.
    #[default]
    #[serde(rename = "v2")]
    Two,
}

/// A certificate of our own. Both fields are set or neither.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultClientTls {
    /// The certificate in PEM; under `tls.crt` where no key is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_secret_ref: Option<SecretKeySelector>,
    /// Its private key in PEM; under `tls.key` where no key is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_secret_ref: Option<SecretKeySelector>,
}

/// What to check before a secret of KV version 2 is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultCheckAndSet {
    /// Whether every write must name the version that it follows.
    #[serde(default)]
    pub required: bool,
}

/// How to log in to Vault; one way is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultAuth {
    /// The namespace of the login; the store's where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// A token that is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<SecretKeySelector>,
    /// A role id and secret id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_role: Option<VaultAppRole>,
    /// A Kubernetes service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<VaultKubernetesAuth>,
    /// A name and password of a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ldap: Option<VaultLdapAuth>,
    /// A JWT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<VaultJwtAuth>,
    /// A TLS client certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert: Option<VaultCertAuth>,
    /// An identity of AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iam: Option<Box<VaultIamAuth>>,
    /// A name and password that the server keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_pass: Option<VaultUserPassAuth>,
    /// An identity of Google.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcp: Option<Box<VaultGcpAuth>>,
}

/// A login by AppRole. The role id is written here or lies in a Secret.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultAppRole {
    /// Where the method is mounted.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = "approle"))]
    pub path: Option<String>,
    /// The role id.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub role_id: Option<String>,
    /// Where the role id lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_ref: Option<SecretKeySelector>,
    /// Where the secret id lies.
    pub secret_ref: SecretKeySelector,
}

/// A login as a Kubernetes service account: one whose token is requested or lies in a Secret, or the operator's own.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultKubernetesAuth {
    /// Where the method is mounted.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = "kubernetes"))]
    pub mount_path: Option<String>,
    /// The service account whose token is requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<ServiceAccountSelector>,
    /// Where a token lies; under `token` where no key is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeySelector>,
    /// The role to take.
    pub role: String,
}

/// A login by a name and password of a directory.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultLdapAuth {
    /// Where the method is mounted.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = "ldap"))]
    pub path: Option<String>,
    /// Who.
    pub username: String,
    /// Where the password lies.
    #[serde(default)]
    pub secret_ref: SecretKeySelector,
}

/// A login by a name and password that the server keeps.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultUserPassAuth {
    /// Where the method is mounted.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = "userpass"))]
    pub path: Option<String>,
    /// Who.
    pub username: String,
    /// Where the password lies.
    #[serde(default)]
    pub secret_ref: SecretKeySelector,
}

/// A login by a JWT, which lies in a Secret or is a service account's.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultJwtAuth {
    /// Where the method is mounted.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = "jwt"))]
    pub path: Option<String>,
    /// The role to take; the mount's default role where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub role: Option<String>,
    /// Where the JWT lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeySelector>,
    /// A service account whose token is requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes_service_account_token: Option<VaultServiceAccountToken>,
}

/// A service account whose token is requested.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultServiceAccountToken {
    /// The service account.
    pub service_account_ref: ServiceAccountSelector,
    /// Whom the token is for, beside the audiences of `serviceAccountRef`; `vault` where it is absent. Deprecated: those
    /// of `serviceAccountRef` do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audiences: Option<Vec<String>>,
    /// How long the token should last. Deprecated, and without effect: a token is requested for each login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration_seconds: Option<i64>,
}

/// A login by a TLS client certificate.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultCertAuth {
    /// Where the method is mounted.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = "cert"))]
    pub path: Option<String>,
    /// The role to take; the first that fits where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub vault_role: Option<String>,
    /// Where the certificate lies, in PEM.
    #[serde(default)]
    pub client_cert: SecretKeySelector,
    /// Where its private key lies, in PEM.
    #[serde(default)]
    pub secret_ref: SecretKeySelector,
}

/// A login by an identity of AWS: a service account's, an access key's, or the operator's own.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultIamAuth {
    /// Where the method is mounted; `aws` where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub path: Option<String>,
    /// The region whose STS is asked; `us-east-1` where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub region: Option<String>,
    /// The ARN of a role of AWS to assume first.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub role: Option<String>,
    /// The role of Vault to take.
    pub vault_role: String,
    /// The external id that `role` asks for.
    #[serde(default, rename = "externalID", skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub external_id: Option<String>,
    /// What the server calls itself in `X-Vault-AWS-IAM-Server-ID`.
    #[serde(
        default,
        rename = "vaultAwsIamServerID",
        skip_serializing_if = "Option::is_none",
        deserialize_with = "filled"
    )]
    pub server_id: Option<String>,
    /// An access key in a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<AwsAuthSecretRef>,
    /// A Kubernetes service account, as on EKS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwt: Option<AwsJwtAuth>,
}

/// A login by an identity of Google.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VaultGcpAuth {
    /// Where the method is mounted.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = "gcp"))]
    pub path: Option<String>,
    /// The role to take.
    pub role: String,
    /// The project of the identity.
    #[serde(default, rename = "projectID", skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// The region of the identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// A service account's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<GoogleAuthSecretRef>,
    /// A Kubernetes service account, by the workload identity of GKE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_identity: Option<GoogleWorkloadIdentity>,
    /// A Kubernetes service account that stands for one of Google's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<ServiceAccountSelector>,
}

/// OpenBao by its own slot.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenBaoProvider {
    /// How to log in; where there is nothing, an agent or proxy at the address does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<OpenBaoAuth>,
    /// The server's certificate authorities, base64 of PEM; the system's where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("format" = "byte"))]
    pub ca_bundle: Option<String>,
    /// Where the server's certificate authorities lie; excludes `caBundle`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_provider: Option<CaProvider>,
    /// The namespace of the secrets.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub namespace: Option<String>,
    /// The server's address, such as `https://openbao.example.com:8200`.
    pub server: String,
    /// The mount of the KV engine; `kv` where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    pub path: Option<String>,
    /// The version of the KV engine.
    #[serde(default)]
    pub version: VaultKvVersion,
}

/// How to log in to OpenBao. Exactly one way is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenBaoAuth {
    /// A role id and secret id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_role: Option<VaultAppRole>,
    /// A Kubernetes service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<OpenBaoKubernetesAuth>,
    /// The namespace of the login; the store's where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// A token that is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_secret_ref: Option<SecretKeySelector>,
    /// A name and password that the server keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_pass: Option<VaultUserPassAuth>,
}

/// A login as a Kubernetes service account: one whose token is requested, or lies in a Secret.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenBaoKubernetesAuth {
    /// Where the method is mounted.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "filled")]
    #[schemars(extend("default" = "kubernetes"))]
    pub path: Option<String>,
    /// The service account whose token is requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<ServiceAccountSelector>,
    /// Where a token lies; under `token` where no key is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeySelector>,
    /// The role to take.
    #[schemars(length(min = 1))]
    pub role: String,
}

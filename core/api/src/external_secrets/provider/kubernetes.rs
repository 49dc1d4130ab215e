use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::external_secrets::{CaProvider, SecretKeySelector, ServiceAccountSelector};

/// How External Secrets Operator's schema spells "the cluster that the operator runs in".
pub const THIS_CLUSTER: &str = "kubernetes.default";

/// Secrets of a Kubernetes API server.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesProvider {
    /// Which API server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<KubernetesServer>,
    /// Who asks. Exactly one way is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<KubernetesAuth>,
    /// A kubeconfig in a Secret, instead of `server` and `auth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_ref: Option<SecretKeySelector>,
    /// The namespace whose Secrets are read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"),
        extend("default" = "default")
    )]
    pub remote_namespace: Option<String>,
}

/// An API server and whom to trust for it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesServer {
    /// Its address; this cluster's own where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = THIS_CLUSTER))]
    pub url: Option<String>,
    /// Its certificate authorities, base64 of PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "byte"))]
    pub ca_bundle: Option<String>,
    /// Where its certificate authorities lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_provider: Option<CaProvider>,
}

/// How to log in to an API server.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct KubernetesAuth {
    /// By a client certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert: Option<KubernetesCertificate>,
    /// By a token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<KubernetesToken>,
    /// As a service account of this cluster, whose tokens are requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ServiceAccountSelector>,
}

/// A client certificate and its key, as PEM in Secrets.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesCertificate {
    /// The certificate.
    #[serde(default)]
    pub client_cert: SecretKeySelector,
    /// Its key.
    #[serde(default)]
    pub client_key: SecretKeySelector,
}

/// A token in a Secret.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubernetesToken {
    /// The token.
    #[serde(default)]
    pub bearer_token: SecretKeySelector,
}

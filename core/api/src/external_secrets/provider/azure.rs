use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::external_secrets::{SecretKeySelector, ServiceAccountSelector};

/// Azure Key Vault.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AzureProvider {
    /// How to authenticate.
    #[serde(default)]
    pub auth_type: AzureAuthType,
    /// The vault: `https://NAME.vault.azure.net`.
    pub vault_url: String,
    /// The tenant to authenticate in. Required for `ServicePrincipal`; for `WorkloadIdentity` it may come from the
    /// service account instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// Which of Microsoft's clouds the vault is in.
    #[serde(default)]
    pub environment_type: AzureEnvironmentType,
    /// The application's id and what proves it. Required for `ServicePrincipal`, optional for `WorkloadIdentity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_secret_ref: Option<AzureAuth>,
    /// The service account whose token is exchanged, for `WorkloadIdentity`; the operator's own where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_ref: Option<ServiceAccountSelector>,
    /// Which managed identity, where the machine or pod has several: its client id or resource id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_id: Option<String>,
    /// Which of two libraries External Secrets Operator uses. Strongroom has one client; the field decides about what
    /// the two give differently: the order of a key's fields, and the times among a secret's metadata.
    #[serde(default, rename = "useAzureSDK", skip_serializing_if = "Option::is_none")]
    pub use_azure_sdk: Option<bool>,
    /// Addresses of a private cloud. Required for `AzureStackCloud`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom_cloud_config: Option<AzureCustomCloudConfig>,
}

/// How to authenticate with Azure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum AzureAuthType {
    /// An application with a client secret or a client certificate.
    #[default]
    ServicePrincipal,
    /// The identity of the machine or pod that the operator runs on.
    ManagedIdentity,
    /// A service account's token, which the application was told to trust.
    WorkloadIdentity,
}

/// One of Microsoft's clouds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum AzureEnvironmentType {
    /// The public one.
    #[default]
    PublicCloud,
    /// For the government of the United States.
    #[serde(rename = "USGovernmentCloud")]
    UsGovernmentCloud,
    /// In China, operated by 21Vianet.
    ChinaCloud,
    /// In Germany; closed in 2021.
    GermanCloud,
    /// A private one, whose addresses stand in `customCloudConfig`.
    AzureStackCloud,
}

/// An application's id and what proves it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AzureAuth {
    /// The client id of the application or managed identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<SecretKeySelector>,
    /// The tenant, for `WorkloadIdentity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<SecretKeySelector>,
    /// The application's client secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<SecretKeySelector>,
    /// The application's certificate and its private key, both as PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<SecretKeySelector>,
}

/// Addresses of a private cloud.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AzureCustomCloudConfig {
    /// Where tokens are asked for: `https://login.example.com/`.
    pub active_directory_endpoint: String,
    /// What tokens are for, where the vault itself is not to be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_vault_endpoint: Option<String>,
    /// The domain of vaults: `vault.local.azurestack.external`.
    #[serde(default, rename = "keyVaultDNSSuffix", skip_serializing_if = "Option::is_none")]
    pub key_vault_dns_suffix: Option<String>,
    /// The resource manager; not used for reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_manager_endpoint: Option<String>,
    /// The audience of service-account tokens, in place of `api://AzureADTokenExchange`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
}

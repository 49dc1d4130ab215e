//! What a store's `spec.provider` holds: one slot a kind of system. Those that we serve are typed; others are kept as
//! they are and answered with a clear condition.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

mod aws;
mod azure;
mod custom_resource;
mod fake;
mod google;
mod kubernetes;
mod vault;
mod webhook;

pub use aws::*;
pub use azure::*;
pub use custom_resource::*;
pub use fake::*;
pub use google::*;
pub use kubernetes::*;
pub use vault::*;
pub use webhook::*;

/// The one system that a store reads from. Exactly one slot is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true, "minProperties" = 1, "maxProperties" = 1))]
pub struct SecretStoreProvider {
    /// AWS Secrets Manager, Parameter Store and Certificate Manager.
    #[serde(default, rename = "aws", skip_serializing_if = "Option::is_none")]
    pub aws: Option<Box<AwsProvider>>,
    /// Azure Key Vault.
    #[serde(default, rename = "azurekv", skip_serializing_if = "Option::is_none")]
    pub azure: Option<Box<AzureProvider>>,
    /// Google Secret Manager.
    #[serde(default, rename = "gcpsm", skip_serializing_if = "Option::is_none")]
    pub google: Option<Box<GoogleProvider>>,
    /// HashiCorp Vault, and OpenBao by the same slot or its own.
    #[serde(default, rename = "vault", skip_serializing_if = "Option::is_none")]
    pub vault: Option<Box<VaultProvider>>,
    /// OpenBao by its own slot.
    #[serde(default, rename = "openBao", skip_serializing_if = "Option::is_none")]
    pub open_bao: Option<Box<OpenBaoProvider>>,
    /// Secrets of a Kubernetes API server.
    #[serde(default, rename = "kubernetes", skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<Box<KubernetesProvider>>,
    /// Any object of a Kubernetes API server.
    #[serde(default, rename = "crd", skip_serializing_if = "Option::is_none")]
    pub custom_resource: Option<Box<CustomResourceProvider>>,
    /// Any HTTP endpoint.
    #[serde(default, rename = "webhook", skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Box<WebhookProvider>>,
    /// Values written in the store itself.
    #[serde(default, rename = "fake", skip_serializing_if = "Option::is_none")]
    pub fake: Option<Box<FakeProvider>>,
    /// The slots of systems that we do not serve, by their names.
    #[serde(flatten)]
    #[schemars(skip)]
    pub others: BTreeMap<String, Value>,
}

impl SecretStoreProvider {
    /// The names of the slots that are set, of those that we serve.
    pub fn served(&self) -> Vec<&'static str> {
        let slots = [
            ("aws", self.aws.is_some()),
            ("azurekv", self.azure.is_some()),
            ("gcpsm", self.google.is_some()),
            ("vault", self.vault.is_some()),
            ("openBao", self.open_bao.is_some()),
            ("kubernetes", self.kubernetes.is_some()),
            ("crd", self.custom_resource.is_some()),
            ("webhook", self.webhook.is_some()),
            ("fake", self.fake.is_some()),
        ];
        slots.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect()
    }
}

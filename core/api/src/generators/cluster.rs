//! ClusterGenerator: a generator for all namespaces.

use std::collections::BTreeMap;

use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use strongroom_failure::{Class, Failure};

use super::{
    EcrAuthorizationTokenSpec, FakeSpec, Generator, MfaSpec, PasswordSpec, SshKeySpec, StsSessionTokenSpec, UuidSpec,
    VaultDynamicSecretSpec, WebhookSpec, not_served,
};

/// A generator for all namespaces. What it refers to is looked up in the namespace of who uses it.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[kube(
    group = "generators.external-secrets.io",
    version = "v1alpha1",
    kind = "ClusterGenerator",
    plural = "clustergenerators",
    category = "external-secrets",
    category = "external-secrets-generators",
    derive = "PartialEq",
    derive = "Default",
    doc = "A generator for all namespaces.",
    label("external-secrets.io/component", "controller"),
    crates(
        kube_core = "::kube_core",
        k8s_openapi = "::k8s_openapi",
        schemars = "::schemars",
        serde = "::serde",
        serde_json = "::serde_json"
    )
)]
pub struct ClusterGeneratorSpec {
    /// The kind of generator.
    pub kind: String,
    /// Its spec, in the slot of its kind.
    pub generator: GeneratorSlots,
}

/// The one slot that is set: that of the generator's kind.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true, "minProperties" = 1, "maxProperties" = 1))]
pub struct GeneratorSlots {
    /// Passwords.
    #[serde(default, rename = "passwordSpec", skip_serializing_if = "Option::is_none")]
    pub password: Option<PasswordSpec>,
    /// UUIDs.
    #[serde(default, rename = "uuidSpec", skip_serializing_if = "Option::is_none")]
    pub uuid: Option<UuidSpec>,
    /// Pairs of SSH keys.
    #[serde(default, rename = "sshKeySpec", skip_serializing_if = "Option::is_none")]
    pub ssh_key: Option<SshKeySpec>,
    /// Values that are written in the object.
    #[serde(default, rename = "fakeSpec", skip_serializing_if = "Option::is_none")]
    pub fake: Option<FakeSpec>,
    /// One-time passwords.
    #[serde(default, rename = "mfaSpec", skip_serializing_if = "Option::is_none")]
    pub mfa: Option<MfaSpec>,
    /// What Vault makes.
    #[serde(default, rename = "vaultDynamicSecretSpec", skip_serializing_if = "Option::is_none")]
    pub vault_dynamic_secret: Option<Box<VaultDynamicSecretSpec>>,
    /// Logins for the registries of AWS.
    #[serde(default, rename = "ecrAuthorizationTokenSpec", skip_serializing_if = "Option::is_none")]
    pub ecr_authorization_token: Option<Box<EcrAuthorizationTokenSpec>>,
    /// Credentials of AWS that end.
    #[serde(default, rename = "stsSessionTokenSpec", skip_serializing_if = "Option::is_none")]
    pub sts_session_token: Option<Box<StsSessionTokenSpec>>,
    /// What an HTTP endpoint makes.
    #[serde(default, rename = "webhookSpec", skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Box<WebhookSpec>>,
    /// The slots of kinds that we do not serve, by their names.
    #[serde(flatten)]
    #[schemars(skip)]
    pub others: BTreeMap<String, Value>,
}

impl ClusterGeneratorSpec {
    /// The generator that it holds.
    ///
    /// # Errors
    /// `Invalid` where the kind is not served, or its slot is not set.
    pub fn generator(&self) -> Result<Generator, Failure> {
        let slots = &self.generator;
        let held = match self.kind.as_str() {
            "Password" => slots.password.clone().map(Generator::Password),
            "UUID" => slots.uuid.as_ref().map(|_| Generator::Uuid),
            "SSHKey" => slots.ssh_key.clone().map(Generator::SshKey),
            "Fake" => slots.fake.clone().map(Generator::Fake),
            "MFA" => slots.mfa.clone().map(Generator::Mfa),
            "VaultDynamicSecret" => slots.vault_dynamic_secret.clone().map(Generator::VaultDynamicSecret),
            "ECRAuthorizationToken" => slots.ecr_authorization_token.clone().map(Generator::EcrAuthorizationToken),
            "STSSessionToken" => slots.sts_session_token.clone().map(Generator::StsSessionToken),
            "Webhook" => slots.webhook.clone().map(Generator::Webhook),
            other => return Err(not_served(other).in_field("spec.kind")),
        };
        held.ok_or_else(|| {
            let words = format!("the spec of the {} that it holds is missing", self.kind);
            Failure::new(Class::Invalid, words).in_field("spec.generator")
        })
    }
}

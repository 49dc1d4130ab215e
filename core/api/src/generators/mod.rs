//! `generators.external-secrets.io/v1alpha1`: kinds that make values, as External Secrets Operator has them, field by
//! field.
//!
//! Typed are those that are served. What others are named is known ([`KINDS`]), so that who names one is told so.

mod cluster;
mod ecr;
mod kinds;
mod problems;
mod state;
mod sts;
mod vault;
mod webhook;

use serde::de::DeserializeOwned;
use serde_json::Value;
use strongroom_failure::{Class, Failure};

pub use cluster::{ClusterGenerator, ClusterGeneratorSpec, GeneratorSlots};
pub use ecr::{EcrAuthorizationToken, EcrAuthorizationTokenSpec};
pub use kinds::{
    Encoding, Fake, FakeSpec, Mfa, MfaSpec, Password, PasswordSpec, SshKey, SshKeySpec, SshKeyType, Uuid, UuidSpec,
};
pub use state::{FINALIZER, GeneratorState, GeneratorStateSpec, GeneratorStateStatus, OWNER_KEY};
pub use sts::{StsRequestParameters, StsSessionToken, StsSessionTokenSpec};
pub use vault::{VaultDynamicSecret, VaultDynamicSecretSpec, VaultResultType};
pub use webhook::{Webhook, WebhookSpec};

/// The group of the kinds.
pub const GROUP: &str = "generators.external-secrets.io";

/// The version of the kinds.
pub const VERSION: &str = "v1alpha1";

/// The kind that holds a generator for all namespaces.
pub const CLUSTER_KIND: &str = "ClusterGenerator";

/// Every kind of generator of External Secrets Operator, with the name under which the API server lists it. The first
/// ones are served.
pub const KINDS: &[(&str, &str)] = &[
    ("Password", "passwords"),
    ("UUID", "uuids"),
    ("SSHKey", "sshkeys"),
    ("Fake", "fakes"),
    ("MFA", "mfas"),
    ("VaultDynamicSecret", "vaultdynamicsecrets"),
    ("ECRAuthorizationToken", "ecrauthorizationtokens"),
    ("STSSessionToken", "stssessiontokens"),
    ("Webhook", "webhooks"),
    ("ACRAccessToken", "acraccesstokens"),
    ("BeyondtrustWorkloadCredentialsDynamicSecret", "beyondtrustworkloadcredentialsdynamicsecrets"),
    ("CloudsmithAccessToken", "cloudsmithaccesstokens"),
    ("GCRAccessToken", "gcraccesstokens"),
    ("GithubAccessToken", "githubaccesstokens"),
    ("GitlabDeployToken", "gitlabdeploytokens"),
    ("Grafana", "grafanas"),
    ("QuayAccessToken", "quayaccesstokens"),
];

/// A generator of any kind that is served.
#[derive(Clone, Debug, PartialEq)]
pub enum Generator {
    /// Passwords.
    Password(PasswordSpec),
    /// A random UUID.
    Uuid,
    /// A pair of SSH keys.
    SshKey(SshKeySpec),
    /// Values that are written in the object.
    Fake(FakeSpec),
    /// A one-time password that follows from the time.
    Mfa(MfaSpec),
    /// What Vault makes.
    VaultDynamicSecret(Box<VaultDynamicSecretSpec>),
    /// A login for the registries of AWS.
    EcrAuthorizationToken(Box<EcrAuthorizationTokenSpec>),
    /// Credentials of AWS that end.
    StsSessionToken(Box<StsSessionTokenSpec>),
    /// What an HTTP endpoint makes.
    Webhook(Box<WebhookSpec>),
}

impl Generator {
    /// Reads the `spec` of an object of `kind`.
    ///
    /// # Errors
    /// `Invalid` where the kind is not served or unknown, or the spec is not what the kind says.
    pub fn read(kind: &str, spec: Value) -> Result<Self, Failure> {
        match kind {
            "Password" => typed(kind, spec).map(Self::Password),
            "UUID" => Ok(Self::Uuid),
            "SSHKey" => typed(kind, spec).map(Self::SshKey),
            "Fake" => typed(kind, spec).map(Self::Fake),
            "MFA" => typed(kind, spec).map(Self::Mfa),
            "VaultDynamicSecret" => typed(kind, spec).map(Self::VaultDynamicSecret),
            "ECRAuthorizationToken" => typed(kind, spec).map(Self::EcrAuthorizationToken),
            "STSSessionToken" => typed(kind, spec).map(Self::StsSessionToken),
            "Webhook" => typed(kind, spec).map(Self::Webhook),
            _ => Err(not_served(kind)),
        }
    }

    /// The class of the controller that serves the generator, of kinds that have one.
    pub fn controller(&self) -> Option<&str> {
        match self {
            Self::Fake(spec) => spec.controller.as_deref(),
            Self::VaultDynamicSecret(spec) => spec.controller.as_deref(),
            Self::Password(_) | Self::Uuid | Self::SshKey(_) | Self::Mfa(_) => None,
            Self::EcrAuthorizationToken(_) | Self::StsSessionToken(_) | Self::Webhook(_) => None,
        }
    }
}

/// Not in serde's words: they quote what they could not read, and Fake holds values.
fn typed<T: DeserializeOwned>(kind: &str, spec: Value) -> Result<T, Failure> {
    let spec = if spec.is_null() { Value::Object(serde_json::Map::new()) } else { spec };
    serde_json::from_value(spec).map_err(|_| {
        Failure::new(Class::Invalid, format!("the spec is not that of a {kind}"))
            .with_hint("apply it with our definitions installed: the API server then names the field")
    })
}

/// Why a generator of `kind` makes nothing.
pub fn not_served(kind: &str) -> Failure {
    let served: Vec<&str> = SERVED.iter().map(|(kind, _)| *kind).collect();
    let hint = format!("served are {} and {CLUSTER_KIND}", served.join(", "));
    let is_known = KINDS.iter().any(|(known, _)| *known == kind);
    let words = match is_known {
        true => format!("generators of the kind {kind} are not served by Strongroom yet"),
        false => format!("there is no generator of the kind {kind:?}"),
    };
    Failure::new(Class::Invalid, words).with_hint(hint)
}

/// The kinds of [`KINDS`] that are served.
pub const SERVED: &[(&str, &str)] = KINDS.split_at(9).0;

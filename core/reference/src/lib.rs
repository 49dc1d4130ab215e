//! Every syntax that names a secret, translated to one type: [`Reference`].
//!
//! The first step of the pipeline. Pure: parsing never asks the environment, a file or a store. What a person wrote
//! is recognised by its [`Syntax`], translated by the module that bears that system's name, and shown again by
//! `Display` as the one canonical URI: parsing what was shown gives an equal [`Reference`].
//!
//! A text that merely looks like a reference could be a secret, so a [`Failure`](strongroom_failure::Failure) of this
//! crate never repeats it: it names the part that is wrong and the cure.

#![forbid(unsafe_code)]

mod bank_vaults;
mod canonical;
mod composition;
mod escape;
mod secrets_init;
mod suffix;
mod syntax;

use std::fmt;

use strongroom_secret::{RemoteKey, Version};

pub use bank_vaults::{KEY_TEMPLATE_DELIMITERS, OWN_TOKEN_PATH, parse_paths};
pub use composition::{Composition, Slot};
pub use syntax::{Syntax, detect, parse};

/// The kind of store that a reference names (the PROVIDER of the canonical URI).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProviderKind {
    /// `aws-sm`: AWS Secrets Manager.
    AwsSecretsManager,
    /// `aws-ssm`: AWS Systems Manager Parameter Store.
    AwsParameterStore,
    /// `gcp-sm`: Google Secret Manager.
    GoogleSecretManager,
    /// `azure-kv`: Azure Key Vault.
    AzureKeyVault,
    /// `vault`: HashiCorp Vault or OpenBao.
    Vault,
    /// `kubernetes`: Secrets of a cluster.
    Kubernetes,
    /// `webhook`: an HTTP endpoint of the user's own.
    Webhook,
    /// `file`: files on this machine.
    File,
    /// `env`: this process's environment.
    Environment,
    /// `fake`: values written in the settings, for tests.
    Fake,
    /// `strongroom`: the built-in store.
    Strongroom,
}

impl ProviderKind {
    /// Every kind, in the order in which people are shown them.
    pub const ALL: [Self; 11] = [
        Self::AwsSecretsManager,
        Self::AwsParameterStore,
        Self::GoogleSecretManager,
        Self::AzureKeyVault,
        Self::Vault,
        Self::Kubernetes,
        Self::Webhook,
        Self::File,
        Self::Environment,
        Self::Fake,
        Self::Strongroom,
    ];

    /// The PROVIDER of the canonical URI.
    pub fn name(self) -> &'static str {
        match self {
            Self::AwsSecretsManager => "aws-sm",
            Self::AwsParameterStore => "aws-ssm",
            Self::GoogleSecretManager => "gcp-sm",
            Self::AzureKeyVault => "azure-kv",
            Self::Vault => "vault",
            Self::Kubernetes => "kubernetes",
            Self::Webhook => "webhook",
            Self::File => "file",
            Self::Environment => "env",
            Self::Fake => "fake",
            Self::Strongroom => "strongroom",
        }
    }

    /// The kind that is called `name`, in exactly these letters.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// How the stored bytes become the value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Decode {
    /// As they are.
    #[default]
    None,
    /// Standard base64.
    Base64,
    /// URL-safe base64.
    Base64Url,
    /// Base64 where it is base64, else as they are.
    Auto,
}

impl Decode {
    const ALL: [Self; 4] = [Self::None, Self::Base64, Self::Base64Url, Self::Auto];

    /// The value of `decode=` in the canonical URI.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Base64 => "base64",
            Self::Base64Url => "base64url",
            Self::Auto => "auto",
        }
    }
}

/// The language that a property is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Language {
    /// tidwall/gjson's paths, the default.
    #[default]
    Gjson,
    /// RFC 9535.
    Jsonpath,
    /// jmespath.org.
    Jmespath,
}

impl Language {
    const ALL: [Self; 3] = [Self::Gjson, Self::Jsonpath, Self::Jmespath];

    /// The value of `select=` in the canonical URI.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gjson => "gjson",
            Self::Jsonpath => "jsonpath",
            Self::Jmespath => "jmespath",
        }
    }
}

/// Where a value lives and how it is shaped: the canonical form that every syntax translates to.
///
/// Written `sr://PROVIDER[@STORE]/KEY[?version=…&stage=…&decode=…&select=…&optional&default=…&region=…][#PROPERTY]`,
/// with `request=…` beside them where the store makes the value. `Display` writes it with its query sorted and
/// defaults left out; [`parse`] of that text gives an equal reference, for every reference that a parser made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The kind of store.
    pub provider: ProviderKind,
    /// A store's name in the configuration; the ambient settings when absent.
    pub store: Option<String>,
    /// The store's own name for the secret, and which version of it.
    pub key: RemoteKey,
    /// How the value is decoded, after selection (as ESO's `decodingStrategy`).
    pub decode: Decode,
    /// The language of `property`.
    pub language: Language,
    /// Which part of the value; all of it when absent.
    pub property: Option<String>,
    /// Whether the consumer can do without it.
    pub optional: bool,
    /// What to deliver where the key or property does not exist. Not a secret: it was written beside the reference.
    pub default: Option<String>,
    /// A region that wins over the store's own settings: an ARN's.
    pub region: Option<String>,
}

impl Reference {
    /// The current version of `key` in the ambient store of `provider`, whole.
    pub fn whole(provider: ProviderKind, key: impl Into<String>) -> Self {
        Self {
            provider,
            store: None,
            key: RemoteKey::current(key),
            decode: Decode::None,
            language: Language::Gjson,
            property: None,
            optional: false,
            default: None,
            region: None,
        }
    }

    /// The same reference at `version`.
    #[must_use]
    pub fn at(mut self, version: Version) -> Self {
        self.key.version = Some(version);
        self
    }
}

use std::collections::BTreeMap;

use serde::Deserialize;
use strongroom_failure::{Class, Failure};

/// The configuration file: YAML with `stores: {NAME: {provider: {KIND: SETTINGS}}}`. Unknown keys are errors.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// The stores that references name as `@NAME`.
    #[serde(default)]
    pub stores: BTreeMap<String, Store>,
}

/// One store of the configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// The kind of store and its settings.
    pub provider: StoreSettings,
}

/// The settings of one store, by the kind of system that it is.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreSettings {
    /// AWS Secrets Manager and Parameter Store under one identity: `aws-sm@NAME`, `aws-ssm@NAME`.
    #[cfg(feature = "aws")]
    Aws(Box<strongroom_aws::Settings>),
    /// Google Secret Manager: `gcp-sm@NAME`.
    #[cfg(feature = "google")]
    Google(Box<strongroom_google::Settings>),
    /// Vault or OpenBao: `vault@NAME`.
    #[cfg(feature = "vault")]
    Vault(Box<strongroom_vault::Settings>),
    /// Files below a folder: `file@NAME`.
    File(strongroom_file::Settings),
    /// Values written here, for tests: `fake@NAME`.
    Fake(strongroom_fake::Settings),
}

impl Configuration {
    /// Reads a configuration file's text.
    ///
    /// # Errors
    /// A [`Class::Invalid`] failure with the place of what is wrong; never a value.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        serde_saphyr::from_str(text)
            .map_err(|error| Failure::new(Class::Invalid, format!("the configuration is wrong: {}", explain(&error))))
    }
}

/// Where and why, in words that the parser or our own types chose: a tag, a variant or a scalar of the file may be a
/// credential.
fn explain(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error;
    let place = error.location().map(|at| format!("line {}, column {}: ", at.line(), at.column())).unwrap_or_default();
    let words = match error.without_snippet() {
        Error::SerdeUnknownField { field, expected, .. } => {
            format!("unknown key \"{field}\", expected one of {}", expected.join(", "))
        }
        Error::SerdeMissingField { field, .. } => format!("the key \"{field}\" is missing"),
        Error::SerdeUnknownVariant { expected, .. } => format!("expected one of {}", expected.join(", ")),
        Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => {
            format!("expected {expected}")
        }
        Error::Unexpected { expected, .. } => format!("expected {expected}"),
        _ => "this is no YAML, or a value that does not fit".to_owned(),
    };
    place + &words
}

impl StoreSettings {
    /// The word that the configuration file has for this kind.
    pub fn kind(&self) -> &'static str {
        match self {
            #[cfg(feature = "aws")]
            Self::Aws(_) => "aws",
            #[cfg(feature = "google")]
            Self::Google(_) => "google",
            #[cfg(feature = "vault")]
            Self::Vault(_) => "vault",
            Self::File(_) => "file",
            Self::Fake(_) => "fake",
        }
    }
}

//! Which provider serves a reference: the stores of the configuration, and the ambient settings of each system.
//!
//! Translates names into settings and settings into opened providers; knows every provider crate, so that nothing else
//! has to. Reads no file and no environment: both come in.

#![forbid(unsafe_code)]

#[cfg(feature = "aws")]
mod aws;
mod configuration;
#[cfg(feature = "google")]
mod google;
#[cfg(feature = "vault")]
mod vault;

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::Arc;

use strongroom_failure::{Class, Failure};
use strongroom_provider::{Meter, Provider};
use strongroom_reference::ProviderKind;
use strongroom_resolve::{Open, Place};

pub use crate::configuration::{Configuration, Store, StoreSettings};

/// The process's own variables, captured once; the ambient settings come from them.
#[derive(Clone, Default)]
pub struct Ambient(Arc<Vec<(OsString, OsString)>>);

impl Ambient {
    /// The `NAME=value` entries that a program was started with.
    pub fn of(entries: &[OsString]) -> Self {
        let split = |entry: &OsString| {
            let bytes = entry.as_bytes();
            let equals = bytes.iter().position(|&byte| byte == b'=')?;
            let part = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
            Some((part(&bytes[..equals]), part(&bytes[equals + 1..])))
        };
        Self(Arc::new(entries.iter().filter_map(split).collect()))
    }

    /// The last value of `name`, where it is text and not empty.
    pub fn get(&self, name: &str) -> Option<String> {
        let found = self.0.iter().rev().find(|(key, _)| key == name)?;
        found.1.to_str().filter(|value| !value.is_empty()).map(str::to_owned)
    }
}

/// Opens the stores that references name. One session with AWS per store, however many regions and kinds of secret it
/// serves.
pub struct Stores {
    configuration: Configuration,
    ambient: Ambient,
    google_project: Option<String>,
    meter: Arc<Meter>,
    #[cfg(feature = "aws")]
    sessions: aws::Sessions,
}

impl Stores {
    /// The stores of `configuration`, and the ambient ones of `ambient`.
    pub fn new(configuration: Configuration, ambient: Ambient) -> Self {
        Self {
            configuration,
            ambient,
            google_project: None,
            meter: Arc::default(),
            #[cfg(feature = "aws")]
            sessions: aws::Sessions::default(),
        }
    }

    /// Names the project that short Google secret names belong to in the ambient store (`--google-project`).
    #[must_use]
    pub fn with_google_project(mut self, project: Option<String>) -> Self {
        self.google_project = project;
        self
    }

    /// The counts of calls to all these stores.
    pub fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.meter)
    }

    /// The settings of the store that `place` names; `None` for the ambient ones.
    fn settings(&self, place: &Place) -> Result<Option<&StoreSettings>, Failure> {
        let Some(name) = &place.store else { return Ok(None) };
        let unknown = || {
            invalid(format!("no store is named \"{name}\""))
                .with_hint("name it under stores: in the file that --config gives, or leave @NAME out of the reference")
        };
        self.configuration.stores.get(name).map(|store| Some(&store.provider)).ok_or_else(unknown)
    }
}

impl Open for Stores {
    fn open(&self, place: &Place) -> Result<Arc<dyn Provider>, Failure> {
        let settings = self.settings(place)?;
        match place.provider {
            #[cfg(feature = "aws")]
            ProviderKind::AwsSecretsManager => {
                Ok(Arc::new(self.aws(place, settings)?.secrets_manager(place.region.as_deref())))
            }
            #[cfg(feature = "aws")]
            ProviderKind::AwsParameterStore => {
                Ok(Arc::new(self.aws(place, settings)?.parameter_store(place.region.as_deref())))
            }
            #[cfg(feature = "google")]
            ProviderKind::GoogleSecretManager => Ok(Arc::new(self.google(place, settings)?)),
            #[cfg(feature = "vault")]
            ProviderKind::Vault => Ok(Arc::new(self.vault(place, settings)?)),
            ProviderKind::File => match settings {
                None => Ok(Arc::new(strongroom_file::Files::open(strongroom_file::Settings::default())?)),
                Some(StoreSettings::File(settings)) => Ok(Arc::new(strongroom_file::Files::open(settings.clone())?)),
                Some(other) => Err(mismatch(place, other)),
            },
            ProviderKind::Environment => match settings {
                None => Ok(Arc::new(strongroom_environment::Environment::of(self.ambient.0.iter().cloned()))),
                Some(other) => Err(mismatch(place, other)),
            },
            ProviderKind::Fake => match settings {
                Some(StoreSettings::Fake(settings)) => Ok(Arc::new(strongroom_fake::Fake::open(settings.clone())?)),
                None => Err(invalid("the fake store has no values of its own").with_hint(
                    "give it some under stores: in the file that --config gives, and name it: sr://fake@NAME/KEY",
                )),
                Some(other) => Err(mismatch(place, other)),
            },
            other => Err(invalid(format!("the provider {} is not served by this program", other.name()))),
        }
    }
}

/// A reference and the store that it names speak of different systems.
fn mismatch(place: &Place, settings: &StoreSettings) -> Failure {
    let name = place.store.as_deref().unwrap_or_default();
    invalid(format!(
        "the store \"{name}\" is of kind {}, which does not serve {}",
        settings.kind(),
        place.provider.name()
    ))
}

fn invalid(words: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words)
}

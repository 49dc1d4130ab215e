//! Values written in the settings as a store, for tests and for trying things out: every answer can be read beside
//! the question, and nothing outside is asked.

#![forbid(unsafe_code)]

mod settings;

use std::collections::HashMap;

use async_trait::async_trait;
use strongroom_failure::{Class, Failure};
use strongroom_provider::{Answer, Call, Limits, Provider, RemoteKey, RemoteValue, Version, one_by_one};
use strongroom_secret::SecretBytes;

pub use crate::settings::{Entry, FakeValue, Settings};

/// Answers from its settings. A key without version is the entry without version: no entry is "the latest".
#[derive(Clone, Debug)]
pub struct Fake(HashMap<(String, Option<String>), SecretBytes>);

impl Fake {
    /// A store of the entries in `settings`.
    ///
    /// # Errors
    /// `Invalid`, naming the entry, where it has no key, not exactly one of `value` and `valueMap`, or comes twice.
    pub fn open(settings: Settings) -> Result<Self, Failure> {
        let mut values = HashMap::new();
        for (place, entry) in settings.data.into_iter().enumerate() {
            let refused = |words: &str| Failure::new(Class::Invalid, words).in_field(format!("data[{place}]"));
            if entry.key.is_empty() {
                return Err(refused("key must not be empty"));
            }
            let value = match (entry.value, entry.value_map) {
                (Some(value), None) => value.into_bytes(),
                (None, Some(map)) => settings::as_json(&map),
                (None, None) => return Err(refused("one of value and valueMap is needed")),
                (Some(_), Some(_)) => return Err(refused("value and valueMap exclude each other")),
            };
            // An empty version is how other people's settings leave it out.
            let version = entry.version.filter(|version| !version.is_empty());
            if values.insert((entry.key, version), value).is_some() {
                return Err(refused("an entry before it has the same key and version"));
            }
        }
        Ok(Self(values))
    }

    fn answer(&self, key: &RemoteKey) -> Answer {
        let version = key.version.as_ref().map(|version| match version {
            Version::Id(name) | Version::Stage(name) => name.clone(),
        });
        let value = self.0.get(&(key.name.clone(), version.clone())).cloned().ok_or_else(|| {
            let words = match &version {
                Some(version) => format!("no entry with this key and version \"{version}\""),
                None => "no entry with this key and no version".to_owned(),
            };
            Failure::new(Class::NotFound, words).on_key(&key.name).from_store(self.describe())
        })?;
        Ok(RemoteValue::new(value, version))
    }
}

#[async_trait]
impl Provider for Fake {
    fn describe(&self) -> String {
        "the fake store".to_owned()
    }

    fn identity(&self) -> String {
        "anyone".to_owned()
    }

    /// No quota: the values are in memory.
    fn limits(&self) -> Limits {
        Limits { concurrency: 8, rate: 100_000.0, burst: 100_000 }
    }

    fn plan(&self, keys: &[RemoteKey]) -> Vec<Call> {
        one_by_one(keys, |_| "look up".to_owned())
    }

    async fn read(&self, keys: &[RemoteKey]) -> Vec<Answer> {
        keys.iter().map(|key| self.answer(key)).collect()
    }
}

//! Environment variables as a store: a key is a variable's name.
//!
//! The variables are passed in at construction, so that nothing here depends on the process that it runs in.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use async_trait::async_trait;
use serde::Deserialize;
use strongroom_failure::{Class, Failure};
use strongroom_provider::{Answer, Call, Limits, Provider, RemoteKey, RemoteValue, one_by_one};
use strongroom_secret::SecretBytes;

/// What can be said about a store of variables: nothing yet, and nothing else is accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Settings {}

/// Answers from variables that were captured once.
#[derive(Clone, Debug)]
pub struct Environment(HashMap<Vec<u8>, SecretBytes>);

impl Environment {
    /// A store of `variables`, such as `std::env::vars_os()`. Where a name comes twice the first counts, as for
    /// `getenv`.
    pub fn of(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut captured = HashMap::new();
        for (name, value) in variables {
            let value = SecretBytes::new(value.into_vec());
            captured.entry(name.into_vec()).or_insert(value);
        }
        Self(captured)
    }

    fn answer(&self, key: &RemoteKey) -> Answer {
        let read = if key.version.is_some() {
            Err(Failure::new(Class::Invalid, "environment variables have no versions"))
        } else if key.request.is_some() {
            Err(Failure::new(Class::Invalid, "an environment variable takes no request"))
        } else {
            self.0.get(key.name.as_bytes()).ok_or_else(|| Failure::new(Class::NotFound, "no such variable"))
        };
        read.map(|value| RemoteValue::new(value.clone(), None))
            .map_err(|failure| failure.on_key(&key.name).from_store(self.describe()))
    }
}

#[async_trait]
impl Provider for Environment {
    fn describe(&self) -> String {
        "the environment".to_owned()
    }

    fn identity(&self) -> String {
        "this process".to_owned()
    }

    /// No quota: the values are in memory.
    fn limits(&self) -> Limits {
        Limits { concurrency: 8, rate: 100_000.0, burst: 100_000 }
    }

    fn plan(&self, keys: &[RemoteKey]) -> Vec<Call> {
        one_by_one(keys, |_| "getenv".to_owned())
    }

    async fn read(&self, keys: &[RemoteKey]) -> Vec<Answer> {
        keys.iter().map(|key| self.answer(key)).collect()
    }
}

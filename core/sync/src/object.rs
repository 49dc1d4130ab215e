//! Objects for the cluster that hold values: they cannot be printed, and are wiped when they are done with.

use std::fmt;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;
use strongroom_secret::SecretBytes;
use zeroize::Zeroize as _;

use crate::{Values, json};

/// A Secret as it is in the cluster or will be.
#[derive(Clone, Default)]
pub struct SecretObject(Secret);

impl SecretObject {
    /// Takes ownership of `secret`; the caller keeps no copy.
    pub fn new(secret: Secret) -> Self {
        Self(secret)
    }

    /// The object itself, at the last step before it leaves for the API server.
    pub fn expose(&self) -> &Secret {
        &self.0
    }

    pub(crate) fn expose_mut(&mut self) -> &mut Secret {
        &mut self.0
    }

    /// Its metadata, which holds no value.
    pub fn metadata(&self) -> &ObjectMeta {
        &self.0.metadata
    }

    /// The names of its values.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.data.iter().flatten().map(|(key, _)| key.as_str())
    }

    /// Its values.
    pub fn values(&self) -> Values {
        let data = self.0.data.iter().flatten();
        data.map(|(key, value)| (key.clone(), SecretBytes::new(value.0.clone()))).collect()
    }
}

impl Drop for SecretObject {
    fn drop(&mut self) {
        self.0.data.iter_mut().flatten().for_each(|(_, value)| value.0.zeroize());
        self.0.string_data.iter_mut().flatten().for_each(|(_, value)| value.zeroize());
    }
}

impl PartialEq for SecretObject {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl fmt::Debug for SecretObject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("SecretObject");
        shown
            .field("name", &self.0.metadata.name)
            .field("keys", &self.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// An object of any kind, as JSON.
#[derive(Clone, PartialEq)]
pub struct ManifestObject(Value);

impl ManifestObject {
    /// Takes ownership of `object`; the caller keeps no copy.
    pub fn new(object: Value) -> Self {
        Self(object)
    }

    /// The object itself, at the last step before it leaves for the API server.
    pub fn expose(&self) -> &Value {
        &self.0
    }

    pub(crate) fn expose_mut(&mut self) -> &mut Value {
        &mut self.0
    }
}

impl Drop for ManifestObject {
    fn drop(&mut self) {
        json::wipe(&mut self.0);
    }
}

impl fmt::Debug for ManifestObject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.0.get("kind").and_then(Value::as_str);
        formatter.debug_struct("ManifestObject").field("kind", &kind).finish_non_exhaustive()
    }
}

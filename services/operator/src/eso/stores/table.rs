//! A cluster in tables, for tests of how stores are opened.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use strongroom_failure::{Class, Failure};
use strongroom_provider::Meter;
use strongroom_secret::SecretBytes;

use super::{ClusterReader, LabelledSecret, Scope, ServiceAccount, StoreIdentity};

type Objects = BTreeMap<(String, String), BTreeMap<String, String>>;

/// Secrets and their labels, ConfigMaps, service accounts with their annotations, variables, and the one token of all accounts.
#[derive(Default)]
pub(crate) struct Cluster {
    pub(crate) secrets: Objects,
    pub(crate) labels: Objects,
    pub(crate) config_maps: Objects,
    pub(crate) accounts: Objects,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) token: String,
}

impl Cluster {
    pub(crate) fn secret(&mut self, namespace: &str, name: &str, data: &[(&str, &str)]) {
        put(&mut self.secrets, namespace, name, data);
    }

    pub(crate) fn labels(&mut self, namespace: &str, name: &str, labels: &[(&str, &str)]) {
        put(&mut self.labels, namespace, name, labels);
    }

    pub(crate) fn config_map(&mut self, namespace: &str, name: &str, data: &[(&str, &str)]) {
        put(&mut self.config_maps, namespace, name, data);
    }

    pub(crate) fn account(&mut self, namespace: &str, name: &str, annotations: &[(&str, &str)]) {
        put(&mut self.accounts, namespace, name, annotations);
    }

    pub(crate) fn variable(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }
}

fn put(objects: &mut Objects, namespace: &str, name: &str, pairs: &[(&str, &str)]) {
    let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    objects.insert((namespace.to_owned(), name.to_owned()), pairs.collect());
}

fn find(objects: &Objects, namespace: &str, name: &str) -> Result<BTreeMap<String, String>, Failure> {
    let found = objects.get(&(namespace.to_owned(), name.to_owned()));
    found.cloned().ok_or_else(|| Failure::new(Class::NotFound, format!("there is no {namespace}/{name}")))
}

#[async_trait]
impl ClusterReader for Cluster {
    async fn secret(&self, namespace: &str, name: &str) -> Result<BTreeMap<String, SecretBytes>, Failure> {
        let data = find(&self.secrets, namespace, name)?;
        Ok(data.into_iter().map(|(key, value)| (key, SecretBytes::from(value))).collect())
    }

    async fn labelled_secret(&self, namespace: &str, name: &str) -> Result<LabelledSecret, Failure> {
        let data = self.secret(namespace, name).await?;
        Ok(LabelledSecret { data, labels: find(&self.labels, namespace, name).unwrap_or_default() })
    }

    async fn config_map(&self, namespace: &str, name: &str) -> Result<BTreeMap<String, String>, Failure> {
        find(&self.config_maps, namespace, name)
    }

    async fn service_account(&self, namespace: &str, name: &str) -> Result<ServiceAccount, Failure> {
        Ok(ServiceAccount { annotations: find(&self.accounts, namespace, name)? })
    }

    async fn token(&self, _: &str, _: &str, _: &[String], _: u32) -> Result<SecretBytes, Failure> {
        Ok(SecretBytes::from(self.token.clone()))
    }

    fn api_server(&self) -> (String, Option<String>) {
        ("https://kubernetes.default.svc".to_owned(), None)
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }
}

/// A SecretStore of `namespace`, or a ClusterSecretStore that team-a asks.
pub(crate) fn scope_with(cluster: Cluster, namespace: Option<&str>, is_ambient_allowed: bool) -> Scope {
    let store =
        StoreIdentity { namespace: namespace.map(str::to_owned), name: "store".to_owned(), asker: "team-a".to_owned() };
    Scope::new(Arc::new(cluster), store, is_ambient_allowed, false, Arc::new(Meter::default()))
}

/// A SecretStore of team-a.
pub(crate) fn team_scope(cluster: Cluster) -> Scope {
    scope_with(cluster, Some("team-a"), false)
}

/// A ClusterSecretStore that team-a asks.
pub(crate) fn cluster_scope(cluster: Cluster) -> Scope {
    scope_with(cluster, None, false)
}

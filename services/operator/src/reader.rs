//! The cluster as a store's spec may read it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use strongroom_failure::{Class, Failure};
use strongroom_kube::{Connection, Secrets, read_config_map, read_service_account, request_token};
use strongroom_secret::SecretBytes;

use crate::eso::stores::{ClusterReader, LabelledSecret, ServiceAccount};
use crate::names::Name;
use crate::operator::FIELD_MANAGER;

/// Variables of the operator's own environment, captured at the start.
pub(crate) type Variables = BTreeMap<String, String>;

/// Reads for one opening of a store, and keeps account of what was read.
pub(crate) struct Reader {
    connection: Connection,
    variables: Arc<Variables>,
    seen: Mutex<Seen>,
    /// Secrets that were read: a spec often names several keys of one.
    read: Mutex<BTreeMap<Name, LabelledSecret>>,
}

/// What an opening was made from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// The Secrets that were read, with the version that was read; `None` where there was none.
    pub(crate) secrets: BTreeMap<Name, Option<String>>,
    /// Whether something was read that nobody watches.
    pub(crate) unwatched: bool,
}

impl Reader {
    pub(crate) fn new(connection: Connection, variables: Arc<Variables>) -> Arc<Self> {
        Arc::new(Self { connection, variables, seen: Mutex::default(), read: Mutex::default() })
    }

    /// What was read so far.
    pub(crate) fn seen(&self) -> Seen {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ClusterReader for Reader {
    async fn secret(&self, namespace: &str, name: &str) -> Result<BTreeMap<String, SecretBytes>, Failure> {
        Ok(self.labelled_secret(namespace, name).await?.data)
    }

    async fn labelled_secret(&self, namespace: &str, name: &str) -> Result<LabelledSecret, Failure> {
        let known = self.read.lock().unwrap_or_else(PoisonError::into_inner).get(&Name::new(namespace, name)).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let secrets = Secrets::new(self.connection.client(), FIELD_MANAGER);
        let read = secrets.read(namespace, name).await?;
        let version = read.as_ref().and_then(|secret| secret.metadata.resource_version.clone());
        self.lock().secrets.insert(Name::new(namespace, name), version);
        let missing = || Failure::new(Class::NotFound, format!("the Secret {namespace}/{name} does not exist"));
        let secret = read.ok_or_else(missing)?;
        let found = LabelledSecret { data: secret.data, labels: secret.metadata.labels.unwrap_or_default() };
        self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(Name::new(namespace, name), found.clone());
        Ok(found)
    }

    async fn config_map(&self, namespace: &str, name: &str) -> Result<BTreeMap<String, String>, Failure> {
        self.lock().unwatched = true;
        let data = read_config_map(&self.connection.client(), namespace, name).await?;
        Ok(data.into_iter().filter_map(|(key, value)| Some((key, String::from_utf8(value).ok()?))).collect())
    }

    async fn service_account(&self, namespace: &str, name: &str) -> Result<ServiceAccount, Failure> {
        self.lock().unwatched = true;
        let account = read_service_account(&self.connection.client(), namespace, name).await?;
        Ok(ServiceAccount { annotations: account.metadata.annotations.unwrap_or_default() })
    }

    async fn token(
        &self,
        namespace: &str,
        name: &str,
        audiences: &[String],
        seconds: u32,
    ) -> Result<SecretBytes, Failure> {
        let lifetime = Duration::from_secs(seconds.into());
        let token = request_token(&self.connection.client(), namespace, name, audiences, lifetime).await?;
        Ok(token.token)
    }

    fn api_server(&self) -> (String, Option<String>) {
        self.connection.server()
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }
}

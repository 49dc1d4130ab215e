use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use strongroom_api::external_secrets::{CaProvider, CaProviderKind, SecretKeySelector, ServiceAccountSelector};
use strongroom_failure::{Class, Failure};
use strongroom_http::AddressPolicy;
use strongroom_provider::{Meter, TokenSource};
use strongroom_secret::SecretBytes;

/// How long a requested service-account token lasts, in seconds: the shortest that the API server gives.
const TOKEN_SECONDS: u32 = 600;

/// What a store's spec may read of the cluster. Implemented by the operator's client; by a table in tests.
#[async_trait]
pub trait ClusterReader: Send + Sync {
    /// The `data` of a Secret.
    ///
    /// # Errors
    /// `NotFound`, `Denied` or `Unavailable`.
    async fn secret(&self, namespace: &str, name: &str) -> Result<BTreeMap<String, SecretBytes>, Failure>;

    /// The `data` of a Secret and its labels. A reader that sees no labels finds none, so that what needs one is
    /// refused.
    ///
    /// # Errors
    /// As [`ClusterReader::secret`].
    async fn labelled_secret(&self, namespace: &str, name: &str) -> Result<LabelledSecret, Failure> {
        let data = self.secret(namespace, name).await?;
        Ok(LabelledSecret { data, labels: BTreeMap::new() })
    }

    /// The `data` of a ConfigMap.
    ///
    /// # Errors
    /// As [`ClusterReader::secret`].
    async fn config_map(&self, namespace: &str, name: &str) -> Result<BTreeMap<String, String>, Failure>;

    /// A service account.
    ///
    /// # Errors
    /// As [`ClusterReader::secret`].
    async fn service_account(&self, namespace: &str, name: &str) -> Result<ServiceAccount, Failure>;

    /// A token of a service account, by the TokenRequest API.
    ///
    /// # Errors
    /// As [`ClusterReader::secret`].
    async fn token(
        &self,
        namespace: &str,
        name: &str,
        audiences: &[String],
        seconds: u32,
    ) -> Result<SecretBytes, Failure>;

    /// The API server that we ourselves speak to, and its authorities in PEM, for stores that mean "this cluster".
    fn api_server(&self) -> (String, Option<String>);

    /// A variable of the operator's own environment: endpoints (`AWS_SECRETSMANAGER_ENDPOINT`), proxies, regions.
    fn variable(&self, name: &str) -> Option<String>;
}

/// A Secret whose labels say what it may be used for.
#[derive(Clone, Debug, Default)]
pub struct LabelledSecret {
    /// Its data.
    pub data: BTreeMap<String, SecretBytes>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// What we look at of a service account.
#[derive(Clone, Debug, Default)]
pub struct ServiceAccount {
    /// Its annotations: cloud roles are named there.
    pub annotations: BTreeMap<String, String>,
}

/// Which store is opened, and for whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StoreIdentity {
    /// The namespace of a SecretStore; `None` for a ClusterSecretStore.
    pub namespace: Option<String>,
    /// The store's name.
    pub name: String,
    /// The namespace of whoever asks: where references of a cluster store that name no namespace are looked up.
    pub asker: String,
}

/// What a provider may use while it is opened: the one door to Secrets, service accounts and the operator's own
/// identity, where the rules of namespaces are kept.
pub struct Scope {
    cluster: Arc<dyn ClusterReader>,
    store: StoreIdentity,
    is_ambient_allowed: bool,
    are_local_addresses_allowed: bool,
    meter: Arc<Meter>,
    seen: Mutex<Seen>,
}

/// What was looked at while a store was opened.
#[derive(Default)]
struct Seen {
    secrets: BTreeSet<(String, String)>,
    depends_on_asker: bool,
}

impl Scope {
    /// A scope for one store and one asker.
    ///
    /// `is_ambient_allowed`: whether a store without credentials of its own may use the operator's
    /// (`--ambient-credentials`). `are_local_addresses_allowed`: whether tenants may name loopback addresses.
    pub fn new(
        cluster: Arc<dyn ClusterReader>,
        store: StoreIdentity,
        is_ambient_allowed: bool,
        are_local_addresses_allowed: bool,
        meter: Arc<Meter>,
    ) -> Self {
        Self { cluster, store, is_ambient_allowed, are_local_addresses_allowed, meter, seen: Mutex::default() }
    }

    /// Which store is opened, and for whom.
    pub fn store(&self) -> &StoreIdentity {
        &self.store
    }

    /// Whether this is a ClusterSecretStore.
    pub fn is_cluster_store(&self) -> bool {
        self.store.namespace.is_none()
    }

    /// The counts of calls to stores, shared by all of them.
    pub fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.meter)
    }

    /// A variable of the operator's own environment.
    pub fn variable(&self, name: &str) -> Option<String> {
        self.cluster.variable(name)
    }

    /// The API server that we ourselves speak to, and its authorities in PEM.
    pub fn api_server(&self) -> (String, Option<String>) {
        self.cluster.api_server()
    }

    /// Where addresses that the spec names may lead: a cluster store's were chosen by an administrator, a namespaced
    /// store's by a tenant (design invariant 9).
    pub fn addresses(&self) -> AddressPolicy {
        if self.is_cluster_store() || self.are_local_addresses_allowed {
            AddressPolicy::Any
        } else {
            AddressPolicy::NoLocal
        }
    }

    /// Allows the operator's own cloud identity to be used, or says why not.
    ///
    /// # Errors
    /// `Denied` for a namespaced store without credentials, unless the operator was told to lend its own.
    pub fn ambient(&self, field: &str) -> Result<(), Failure> {
        if self.is_cluster_store() || self.is_ambient_allowed {
            return Ok(());
        }
        let words = "the store names no credentials, and a SecretStore may not use the operator's own identity";
        Err(Failure::new(Class::Denied, words)
            .in_field(field)
            .with_hint("give the store credentials, or start the operator with --ambient-credentials=all"))
    }

    /// One value of a Secret; `default_key` where the selector names none.
    ///
    /// # Errors
    /// `Denied` for a namespace that this store may not name, `NotFound` for a Secret or key that is missing.
    pub async fn secret(
        &self,
        field: &str,
        selector: &SecretKeySelector,
        default_key: &str,
    ) -> Result<SecretBytes, Failure> {
        let namespace = self.namespace(field, selector.namespace.as_deref())?;
        let name = selector.name.as_deref().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Failure::new(Class::Invalid, "the Secret's name is missing").in_field(field))?;
        self.seen().secrets.insert((namespace.clone(), name.to_owned()));
        let key = selector.key.as_deref().filter(|key| !key.is_empty()).unwrap_or(default_key);
        let mut data = self.secret_data(field, &namespace, name).await?;
        data.remove(key).ok_or_else(|| {
            let words = format!("the Secret {namespace}/{name} has no key \"{key}\"");
            Failure::new(Class::NotFound, words).in_field(field)
        })
    }

    /// The whole data of a Secret in the namespace that `namespace` means for this store.
    ///
    /// # Errors
    /// As [`Scope::secret`].
    pub async fn whole_secret(
        &self,
        field: &str,
        name: &str,
        namespace: Option<&str>,
    ) -> Result<(BTreeMap<String, SecretBytes>, String), Failure> {
        let namespace = self.namespace(field, namespace)?;
        self.seen().secrets.insert((namespace.clone(), name.to_owned()));
        Ok((self.secret_data(field, &namespace, name).await?, namespace))
    }

    /// The whole data of a Secret of which one of `labels` says `value`: its owner allows this use of it. The last one is
    /// what its owner is told to put on.
    ///
    /// # Errors
    /// As [`Scope::secret`], and `Denied` where the label is missing.
    pub async fn labelled_secret(
        &self,
        field: &str,
        selector: &SecretKeySelector,
        labels: &[&str],
        value: &str,
    ) -> Result<BTreeMap<String, SecretBytes>, Failure> {
        let namespace = self.namespace(field, selector.namespace.as_deref())?;
        let name = selector.name.as_deref().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Failure::new(Class::Invalid, "the Secret's name is missing").in_field(field))?;
        self.seen().secrets.insert((namespace.clone(), name.to_owned()));
        let read = self.cluster.labelled_secret(&namespace, name).await;
        let secret = read.map_err(|failure| failure.in_field(field))?;
        if labels.iter().any(|label| secret.labels.get(*label).is_some_and(|found| found == value)) {
            return Ok(secret.data);
        }
        let label = labels.last().copied().unwrap_or_default();
        let words = format!("the Secret {namespace}/{name} may not be used here without the label {label}: {value}");
        Err(Failure::new(Class::Denied, words)
            .in_field(field)
            .with_hint(format!("kubectl label secret -n {namespace} {name} {label}={value}")))
    }

    async fn secret_data(
        &self,
        field: &str,
        namespace: &str,
        name: &str,
    ) -> Result<BTreeMap<String, SecretBytes>, Failure> {
        self.cluster.secret(namespace, name).await.map_err(|failure| failure.in_field(field))
    }

    /// The tokens of a service account: of `audiences` and those that the selector adds.
    ///
    /// # Errors
    /// `Denied` for a namespace that this store may not name.
    pub fn tokens(
        &self,
        field: &str,
        selector: &ServiceAccountSelector,
        audiences: &[String],
    ) -> Result<Arc<dyn TokenSource>, Failure> {
        let namespace = self.namespace(field, selector.namespace.as_deref())?;
        let audiences = audiences.iter().chain(&selector.audiences).cloned().collect();
        let cluster = Arc::clone(&self.cluster);
        Ok(Arc::new(AccountTokens { cluster, namespace, name: selector.name.clone(), audiences }))
    }

    /// The annotations of a service account.
    ///
    /// # Errors
    /// `Denied` for a namespace that this store may not name, `NotFound` where the account is missing.
    pub async fn annotations(
        &self,
        field: &str,
        selector: &ServiceAccountSelector,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let namespace = self.namespace(field, selector.namespace.as_deref())?;
        let account = self.cluster.service_account(&namespace, &selector.name).await;
        account.map(|account| account.annotations).map_err(|failure| failure.in_field(field))
    }

    /// One value of a ConfigMap.
    ///
    /// # Errors
    /// `Denied` for a namespace that this store may not name, `NotFound` for a ConfigMap or key that is missing.
    pub async fn config_map(
        &self,
        field: &str,
        name: &str,
        namespace: Option<&str>,
        key: &str,
    ) -> Result<String, Failure> {
        let namespace = self.namespace(field, namespace)?;
        let read = self.cluster.config_map(&namespace, name).await;
        let mut data = read.map_err(|failure| failure.in_field(field))?;
        data.remove(key).ok_or_else(|| {
            let words = format!("the ConfigMap {namespace}/{name} has no key \"{key}\"");
            Failure::new(Class::NotFound, words).in_field(field)
        })
    }

    /// The authorities to trust instead of the system's, in PEM: `caBundle` (base64 of PEM, or PEM itself), else
    /// `caProvider`, else none.
    ///
    /// # Errors
    /// `Denied` for a namespace that this store may not name, `NotFound` for an object or key that is missing.
    pub async fn authorities(
        &self,
        bundle: Option<&str>,
        provider: Option<&CaProvider>,
    ) -> Result<Option<SecretBytes>, Failure> {
        if let Some(bundle) = bundle.filter(|bundle| !bundle.is_empty()) {
            let text = SecretBytes::from(bundle.to_owned());
            return Ok(Some(strongroom_select::decode(strongroom_select::Decode::Auto, text)?));
        }
        let Some(provider) = provider else { return Ok(None) };
        let field = "caProvider";
        let namespace = self.namespace(field, provider.namespace.as_deref())?;
        let key = provider.key.as_deref().unwrap_or_default();
        let found = match provider.kind {
            CaProviderKind::Secret => {
                self.seen().secrets.insert((namespace.clone(), provider.name.clone()));
                self.secret_data(field, &namespace, &provider.name).await?.remove(key)
            }
            CaProviderKind::ConfigMap => {
                let read = self.cluster.config_map(&namespace, &provider.name).await;
                let mut data = read.map_err(|failure| failure.in_field(field))?;
                data.remove(key).map(SecretBytes::from)
            }
        };
        let missing = || {
            let words = format!("{namespace}/{} has no key \"{key}\"", provider.name);
            Failure::new(Class::NotFound, words).in_field(field)
        };
        found.map(Some).ok_or_else(missing)
    }

    /// The namespace that a selector of this store means.
    ///
    /// # Errors
    /// `Denied` where a SecretStore names another namespace than its own.
    pub fn namespace(&self, field: &str, named: Option<&str>) -> Result<String, Failure> {
        let named = named.filter(|named| !named.is_empty());
        match (&self.store.namespace, named) {
            (Some(own), None) => Ok(own.clone()),
            (Some(own), Some(named)) if named == own => Ok(own.clone()),
            (Some(own), Some(_)) => {
                let words = format!("a SecretStore may only refer to its own namespace, {own}");
                Err(Failure::new(Class::Denied, words).in_field(field))
            }
            (None, Some(named)) => Ok(named.to_owned()),
            (None, None) => {
                self.seen().depends_on_asker = true;
                Ok(self.store.asker.clone())
            }
        }
    }

    /// The Secrets that were read so far (namespace, name): when one changes, the store must be opened again.
    pub fn secrets_seen(&self) -> BTreeSet<(String, String)> {
        self.seen().secrets.clone()
    }

    /// Whether anything was looked up in the asker's namespace: then the opened provider serves that namespace alone
    /// (design invariant 6).
    pub fn depends_on_asker(&self) -> bool {
        self.seen().depends_on_asker
    }

    /// Says that the opened provider serves the asker's namespace alone though nothing was looked up there: its name
    /// became part of the identity.
    pub fn mark_dependent_on_asker(&self) {
        self.seen().depends_on_asker = true;
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct AccountTokens {
    cluster: Arc<dyn ClusterReader>,
    namespace: String,
    name: String,
    audiences: Vec<String>,
}

#[async_trait]
impl TokenSource for AccountTokens {
    fn describe(&self) -> String {
        let audiences = self.audiences.join(", ");
        match self.audiences.len() {
            0 => format!("service account {}/{}", self.namespace, self.name),
            _ => format!("service account {}/{} (audience {audiences})", self.namespace, self.name),
        }
    }

    async fn token(&self) -> Result<SecretBytes, Failure> {
        self.cluster.token(&self.namespace, &self.name, &self.audiences, TOKEN_SECONDS).await
    }
}

impl std::fmt::Debug for AccountTokens {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.describe())
    }
}

//! Who may read what, and by which door: checked for each asker before anything is shared (design invariant 6).

use std::sync::Arc;
use std::time::Duration;

use strongroom_failure::{Class, Failure};
use strongroom_policy::{Namespace, TargetKind};
use strongroom_resolve::{Lane, Policy};

use crate::eso::stores::{self, Scope, StoreIdentity};
use crate::index::{Store, is_ready, ready_condition};
use crate::names::{Name, StoreName};
use crate::openings::Opened;
use crate::operator::Operator;
use crate::reader::Reader;

impl Operator {
    /// The store, if `asker` (a namespace) may use it at all and it is ready.
    ///
    /// # Errors
    /// `NotFound` where there is none, `Denied` where it admits other namespaces only, `Unavailable` where it is not
    /// ready (its own condition says why).
    pub(crate) fn admitted(&self, name: &StoreName, asker: &str) -> Result<Arc<Store>, Failure> {
        let missing = || {
            Failure::new(Class::NotFound, format!("{name} does not exist"))
                .with_hint(format!("create it, or name another store: kubectl get {} -A", plural(name)))
        };
        let store = self.index().store(name).ok_or_else(missing)?;
        if name.namespace.as_ref().is_some_and(|namespace| **namespace != *asker) {
            return Err(Failure::new(Class::Denied, format!("{name} belongs to another namespace")));
        }
        if name.namespace.is_none() {
            self.admits(&store, asker)?;
        }
        if self.settings.enable_flood_gate && !is_ready(&store) {
            return Err(Failure::new(Class::Unavailable, format!("{name} is not ready{}", why_not(&store))));
        }
        Ok(store)
    }

    fn admits(&self, store: &Store, asker: &str) -> Result<(), Failure> {
        let unclear = |problems: Vec<Failure>| {
            let first = problems.into_iter().next();
            first.unwrap_or_else(|| Failure::new(Class::Invalid, "the store's conditions cannot be understood"))
        };
        let conditions = store.spec.namespace_conditions();
        if conditions.map_err(unclear)?.admits(&self.namespace(asker)) {
            return Ok(());
        }
        let words = format!("{} may not be used from namespace \"{asker}\"", store.name);
        Err(Failure::new(Class::Denied, words).with_hint("its spec.conditions say from which namespaces it may"))
    }

    /// Whether `asker` may read `key` of the store and have it written into a `target`.
    ///
    /// # Errors
    /// `Denied`, with the policies that were asked.
    pub(crate) fn may_read(
        &self,
        store: &StoreName,
        asker: &str,
        key: &str,
        target: &TargetKind,
    ) -> Result<(), Failure> {
        match store.namespace {
            // A namespace's own store, with credentials of its own, is its own business.
            Some(_) => Ok(()),
            None => self.policies().allows(&store.name, &self.namespace(asker), key, target).into_result(),
        }
    }

    /// A namespace as policies see it. One that is not known has no labels, so that no selector lets it in.
    pub(crate) fn namespace(&self, name: &str) -> Namespace {
        let labels = self.index().namespace(name).map(|namespace| namespace.labels.clone()).unwrap_or_default();
        Namespace { name: name.to_owned(), labels }
    }

    /// The lane to `store` for `asker`, who must have been admitted.
    ///
    /// # Errors
    /// Why the store could not be opened.
    pub(crate) async fn lane(&self, store: &Arc<Store>, asker: &str) -> Result<Arc<Lane>, Failure> {
        let edition =
            (store.metadata.uid.as_deref().unwrap_or_default(), store.metadata.generation.unwrap_or_default());
        let version_of = |name: &Name| {
            let index = self.index();
            let is_watched = index.namespace(&name.namespace).is_some() || self.is_served(&name.namespace);
            is_watched.then(|| index.secret(name).map(|facts| facts.resource_version.to_string()))
        };
        self.openings.lane(&store.name, asker, edition, version_of, || self.open(store, asker)).await
    }

    /// Whether the Secrets of a namespace are watched, as far as the flags tell.
    fn is_served(&self, namespace: &str) -> bool {
        self.settings.serves_cluster_kinds() || self.settings.namespaces.iter().any(|served| served == namespace)
    }

    async fn open(&self, store: &Store, asker: &str) -> Result<Opened, (Failure, crate::reader::Seen)> {
        let reader = Reader::new(self.connection.clone(), Arc::clone(&self.variables));
        let scope = self.scope(&store.name, asker, Arc::clone(&reader));
        match stores::open(&store.spec.provider, &scope).await {
            Ok(provider) => Ok(Opened {
                provider,
                policy: retry_policy(store),
                seen: reader.seen(),
                depends_on_asker: scope.depends_on_asker(),
            }),
            Err(failure) => Err((failure, reader.seen())),
        }
    }

    /// What a store may use of the cluster while it is opened.
    pub(crate) fn scope(&self, store: &StoreName, asker: &str, reader: Arc<Reader>) -> Scope {
        let identity = StoreIdentity {
            namespace: store.namespace.as_deref().map(str::to_owned),
            name: store.name.to_string(),
            asker: asker.to_owned(),
        };
        let is_ambient_allowed = self.settings.ambient_credentials == "all";
        let are_local_allowed = self.settings.allow_local_addresses;
        Scope::new(reader, identity, is_ambient_allowed, are_local_allowed, Arc::clone(&self.meter))
    }
}

/// The one retry policy, with the numbers of the store's `retrySettings`.
pub(crate) fn retry_policy(store: &Store) -> Policy {
    let mut policy = Policy::default();
    let Some(settings) = &store.spec.retry_settings else { return policy };
    if let Some(retries) = settings.max_retries.and_then(|retries| u32::try_from(retries).ok()) {
        // More would outlast every deadline.
        policy.attempts = retries.min(20) + 1;
    }
    let interval = settings.retry_interval.as_ref().and_then(|interval| interval.duration().ok());
    if let Some(interval) = interval.filter(|interval| !interval.is_zero()) {
        policy.first_pause = interval.min(Duration::from_secs(60));
        policy.longest_pause = policy.first_pause;
    }
    policy
}

/// The store's own words about why it is not ready.
fn why_not(store: &Store) -> String {
    ready_condition(store)
        .and_then(|ready| ready.message.as_ref())
        .map(|message| format!(": {message}"))
        .unwrap_or_default()
}

fn plural(name: &StoreName) -> &'static str {
    if name.namespace.is_some() { "secretstores" } else { "clustersecretstores" }
}

//! What is known of PushSecrets and ClusterPushSecrets, and whom a Secret or a store concerns: a part of the index.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use strongroom_api::external_secrets::{ClusterPushSecret, PushSecret, PushSecretStatus, SecretStoreKind};
use strongroom_api::label_selector;
use strongroom_reconcile::Priority;
use strongroom_sync::Texts;
use strongroom_sync::push;

use crate::index::{Key, Store, Wakes, controller_of, is_another_wish, name_of, put};
use crate::names::{Name, StoreName};

/// What is known of PushSecrets.
#[derive(Debug, Default)]
pub(crate) struct Pushes {
    /// In the order of namespaces: a Secret concerns those of its own.
    known: BTreeMap<Name, Known>,
    clusters: HashMap<Arc<str>, Arc<ClusterPushSecret>>,
}

/// What is known of one PushSecret.
#[derive(Debug)]
struct Known {
    object: Arc<PushSecret>,
    /// Whether its source or its stores changed since they were last looked at; so it is when nobody has looked yet.
    is_changed: bool,
    /// When the stores were last compared with the source, with success.
    last_success: Option<Timestamp>,
    /// The Secrets that were last pushed.
    sources: BTreeSet<Arc<str>>,
}

impl Pushes {
    /// Takes in a PushSecret as it is now.
    pub(crate) fn apply(&mut self, mut object: PushSecret) -> Wakes {
        let Some(name) = name_of(&object.metadata) else { return Vec::new() };
        object.metadata.managed_fields = None;
        let before = self.known.get(&name);
        let same = before.filter(|before| before.object.metadata.uid == object.metadata.uid);
        let is_new = same.is_none_or(|before| is_another_wish(&before.object.metadata, &object.metadata));
        let parent = parent_of(&object).filter(|_| is_new);
        let known = Known {
            is_changed: same.is_none_or(|before| before.is_changed),
            last_success: same.and_then(|before| before.last_success),
            sources: same.map(|before| before.sources.clone()).unwrap_or_default(),
            object: Arc::new(object),
        };
        self.known.insert(name.clone(), known);
        let own = is_new.then_some((Key::PushSecret(name), Priority::Urgent));
        own.into_iter().chain(parent.map(|parent| (Key::ClusterPushSecret(parent), Priority::Routine))).collect()
    }

    /// Takes in that a PushSecret is gone.
    pub(crate) fn delete(&mut self, name: &Name) -> Wakes {
        let Some(before) = self.known.remove(name) else { return Vec::new() };
        let parent = parent_of(&before.object).map(|parent| (Key::ClusterPushSecret(parent), Priority::Urgent));
        [(Key::PushSecret(name.clone()), Priority::Routine)].into_iter().chain(parent).collect()
    }

    /// Takes in a ClusterPushSecret as it is now.
    pub(crate) fn apply_cluster(&mut self, object: ClusterPushSecret) -> Wakes {
        let wish = put(&mut self.clusters, object);
        wish.map(|name| (Key::ClusterPushSecret(name), Priority::Urgent)).into_iter().collect()
    }

    /// Takes in that a ClusterPushSecret is gone.
    pub(crate) fn delete_cluster(&mut self, name: &str) -> Wakes {
        self.clusters.remove(name);
        vec![(Key::ClusterPushSecret(name.into()), Priority::Routine)]
    }

    /// A PushSecret.
    pub(crate) fn get(&self, name: &Name) -> Option<Arc<PushSecret>> {
        self.known.get(name).map(|known| Arc::clone(&known.object))
    }

    /// A ClusterPushSecret.
    pub(crate) fn cluster(&self, name: &str) -> Option<Arc<ClusterPushSecret>> {
        self.clusters.get(name).cloned()
    }

    /// Names of all PushSecrets that are known.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Name> {
        self.known.keys()
    }

    /// Names of all ClusterPushSecrets that are known.
    pub(crate) fn cluster_names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.clusters.keys()
    }

    /// The PushSecrets that the ClusterPushSecret `parent` controls.
    pub(crate) fn children_of(&self, parent: &str) -> Vec<Name> {
        let is_child = |known: &Known| parent_of(&known.object).as_deref() == Some(parent);
        self.known.iter().filter(|(_, known)| is_child(known)).map(|(name, _)| name.clone()).collect()
    }

    /// Whom the Secret `secret` concerns: it is there, with these labels, or gone.
    pub(crate) fn secret_changed(&mut self, secret: &Name, labels: Option<&Texts>) -> Wakes {
        self.wake(Some(&secret.namespace), |known| {
            let source = known.object.spec.selector.secret.as_ref();
            let named = source.and_then(|source| source.name.as_deref());
            let selector = source.and_then(|source| source.selector.as_ref()).filter(|_| named.is_none());
            let is_selected = || {
                let selector = selector.and_then(|selector| label_selector(selector).ok());
                labels.zip(selector).is_some_and(|(labels, selector)| selector.selects(labels))
            };
            named == Some(&*secret.name) || known.sources.contains(&secret.name) || is_selected()
        })
    }

    /// Whom a store concerns that is new, another, ready at last, or gone.
    pub(crate) fn store_changed(&mut self, name: &StoreName, store: Option<&Store>) -> Wakes {
        let kind = match name.namespace {
            Some(_) => SecretStoreKind::SecretStore,
            None => SecretStoreKind::ClusterSecretStore,
        };
        let labels = store.and_then(|store| store.metadata.labels.clone()).unwrap_or_default();
        let store = push::Store { kind, name: name.name.to_string(), labels };
        self.wake(name.namespace.as_deref(), |known| {
            let status = known.object.status.as_ref();
            let is_pushed_to = status.is_some_and(|status| status.synced_push_secrets.contains_key(&store.key()));
            is_pushed_to || known.object.spec.secret_store_refs.iter().any(|reference| store.is_meant(reference))
        })
    }

    /// Wakes all in a namespace whose labels changed: stores may admit others now.
    pub(crate) fn namespace_changed(&mut self, namespace: &str) -> Wakes {
        self.wake(Some(namespace), |_| true)
    }

    /// Every PushSecret.
    pub(crate) fn everybody(&self) -> impl Iterator<Item = (Key, Priority)> {
        self.known.keys().map(|name| (Key::PushSecret(name.clone()), Priority::Routine))
    }

    /// Every ClusterPushSecret.
    pub(crate) fn clusters(&self) -> impl Iterator<Item = (Key, Priority)> {
        self.clusters.keys().map(|name| (Key::ClusterPushSecret(Arc::clone(name)), Priority::Routine))
    }

    /// Marks those of `namespace` (of all where there is none) whom something concerns.
    fn wake(&mut self, namespace: Option<&str>, concerns: impl Fn(&Known) -> bool) -> Wakes {
        let first = Name::new(namespace.unwrap_or_default(), "");
        let inside = self.known.range_mut(first..);
        let inside = inside.take_while(|(name, _)| namespace.is_none_or(|namespace| *name.namespace == *namespace));
        let concerned = inside.filter(|(_, known)| concerns(known)).map(|(name, known)| {
            known.is_changed = true;
            (Key::PushSecret(name.clone()), Priority::Urgent)
        });
        concerned.collect()
    }

    /// Whether its source or stores changed since somebody looked, and when that was.
    pub(crate) fn state(&self, name: &Name) -> (bool, Option<Timestamp>) {
        self.known.get(name).map_or((true, None), |known| (known.is_changed, known.last_success))
    }

    /// Somebody is about to look: whatever changes from now on is news.
    pub(crate) fn looking(&mut self, name: &Name) {
        if let Some(known) = self.known.get_mut(name) {
            known.is_changed = false;
        }
    }

    /// Who looked could not do what was asked.
    pub(crate) fn failed(&mut self, name: &Name) {
        if let Some(known) = self.known.get_mut(name) {
            known.is_changed = true;
        }
    }

    /// All was done at `moment`.
    pub(crate) fn succeeded(&mut self, name: &Name, moment: Timestamp) {
        if let Some(known) = self.known.get_mut(name) {
            known.last_success = Some(moment);
        }
    }

    /// It is pushed from these Secrets now.
    pub(crate) fn note_sources(&mut self, name: &Name, sources: impl IntoIterator<Item = Arc<str>>) {
        if let Some(known) = self.known.get_mut(name) {
            known.sources = sources.into_iter().collect();
        }
    }

    /// Takes in a status that we ourselves just wrote, so that nobody decides by the one before.
    pub(crate) fn note_status(&mut self, name: &Name, status: PushSecretStatus, resource_version: Option<String>) {
        let Some(object) = self.known.get_mut(name).map(|known| Arc::make_mut(&mut known.object)) else { return };
        object.status = Some(status);
        object.metadata.resource_version = resource_version.or(object.metadata.resource_version.take());
    }
}

/// The ClusterPushSecret that made it.
fn parent_of(object: &PushSecret) -> Option<Arc<str>> {
    controller_of(&object.metadata, "ClusterPushSecret")
}

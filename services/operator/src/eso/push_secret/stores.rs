//! The stores of a PushSecret: which are meant, and writing to them and deleting from them, each store by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use strongroom_api::external_secrets::vocabulary::message;
use strongroom_api::external_secrets::{PushRemoteRef, SecretStoreKind, SyncedPushSecrets};
use strongroom_failure::{Class, Deed, Failure};
use strongroom_policy::TargetKind;
use strongroom_provider::{Content, Deleted, Place, Push, Pushed, Source};
use strongroom_resolve::Lane;
use strongroom_sync::push::{self, Removal, Share, namespace_of, place_key, store_of_key};

use super::{Round, Trouble, policies};
use crate::index::ready_condition;
use crate::names::StoreName;

/// How long one store may take for all that is pushed to it, or deleted from it.
const LIMIT: Duration = Duration::from_secs(60);

/// A store that a PushSecret means.
pub(super) struct Meant {
    pub(super) store: push::Store,
    pub(super) name: StoreName,
    /// Whether it is ours to serve, and not about to go.
    pub(super) is_ours: bool,
    /// Whether it is another controller's, by its class or because its kind is not served here.
    pub(super) is_others: bool,
}

/// A store that can be written to.
pub(super) struct Opened<'a> {
    pub(super) meant: &'a Meant,
    lane: Arc<Lane>,
}

/// What came of pushing.
pub(super) struct Outcome {
    /// Whether anything was written.
    pub(super) wrote: bool,
    pub(super) failed: Vec<Failure>,
}

impl Round<'_> {
    /// The stores that are meant, each once: those that are named, whether they exist or not, and those with the labels.
    pub(super) fn meant(&self) -> Vec<Meant> {
        let index = self.operator.index();
        let references = &self.object.spec.secret_store_refs;
        let named = references.iter().filter(|reference| reference.label_selector.is_none());
        let named = named.filter_map(|reference| {
            Some(self.store_name(reference.kind.unwrap_or_default(), reference.name.as_deref()?))
        });
        let mut names: Vec<StoreName> = named.collect();
        if references.iter().any(|reference| reference.label_selector.is_some()) {
            let own = |name: &StoreName| name.namespace.as_ref().is_none_or(|own| *own == self.name.namespace);
            names.extend(index.store_names().into_iter().filter(own));
        }
        names.sort();
        names.dedup();
        let meant = names.into_iter().filter_map(|name| {
            let known = index.store(&name);
            let kind = match name.namespace {
                Some(_) => SecretStoreKind::SecretStore,
                None => SecretStoreKind::ClusterSecretStore,
            };
            let labels = known.as_ref().and_then(|store| store.metadata.labels.clone()).unwrap_or_default();
            let store = push::Store { kind, name: name.name.to_string(), labels };
            let is_going = known.as_ref().is_some_and(|store| store.metadata.deletion_timestamp.is_some());
            let class = known.as_ref().and_then(|store| store.spec.controller.as_deref());
            let is_others = !(self.operator.serves(&name) && self.operator.is_ours(class));
            let is_ours = !is_others && !is_going;
            let is_meant = references.iter().any(|reference| store.is_meant(reference));
            is_meant.then_some(Meant { store, name, is_ours, is_others })
        });
        meant.collect()
    }

    fn store_name(&self, kind: SecretStoreKind, name: &str) -> StoreName {
        let namespace = match kind {
            SecretStoreKind::SecretStore => Some(Arc::clone(&self.name.namespace)),
            SecretStoreKind::ClusterSecretStore => None,
        };
        StoreName { namespace, name: name.into() }
    }

    /// Whether nobody has looked yet whether the store can be used.
    pub(super) fn is_unseen(&self, store: &Meant) -> bool {
        let settings = &self.operator.settings;
        let is_looked_at = match store.name.namespace {
            Some(_) => settings.enable_secret_store_reconciler,
            None => settings.enable_cluster_store_reconciler,
        };
        let is_new = || self.operator.index().store(&store.name).is_some_and(|store| ready_condition(&store).is_none());
        settings.enable_flood_gate && store.is_ours && is_looked_at && is_new()
    }

    /// Opens the stores that are ours, and says why others cannot be.
    pub(super) async fn opened<'m>(&self, stores: &'m [Meant]) -> (Vec<Opened<'m>>, Vec<Failure>) {
        let (mut opened, mut failed) = (Vec::new(), Vec::new());
        for meant in stores.iter().filter(|store| store.is_ours) {
            match self.open(&meant.name).await {
                Ok(lane) => opened.push(Opened { meant, lane }),
                Err(failure) => failed.push(failure),
            }
        }
        (opened, failed)
    }

    /// Writes what is not there yet, to all stores at once.
    pub(super) async fn push(&self, stores: &[Opened<'_>], shares: Vec<Share>, sources: &[push::Source]) -> Outcome {
        let mut by_store: BTreeMap<String, Vec<Share>> = BTreeMap::new();
        shares.into_iter().for_each(|share| by_store.entry(share.store.clone()).or_default().push(share));
        let pushing = stores.iter().filter_map(|store| {
            let shares = by_store.remove(&store.meant.store.key())?;
            Some(self.push_to(&store.lane, shares, sources))
        });
        let mut outcome = Outcome { wrote: false, failed: Vec::new() };
        for one in join_all(pushing.collect::<Vec<_>>()).await {
            outcome.wrote |= one.wrote;
            outcome.failed.extend(one.failed);
        }
        outcome
    }

    async fn push_to(&self, lane: &Lane, shares: Vec<Share>, sources: &[push::Source]) -> Outcome {
        let mut outcome = Outcome { wrote: false, failed: Vec::new() };
        let mut asked = Vec::new();
        let mut pushes = Vec::new();
        for share in shares {
            let Some(source) = sources.get(share.source) else { continue };
            let field = share.entry.field.clone();
            match self.with_policy(share.entry.data.metadata.clone()).await {
                Ok(metadata) => {
                    asked.push((field, place_key(share.entry.place())));
                    pushes.push(Push { metadata, ..push_of(share, source, self.only_if_absent()) });
                }
                Err(failure) => outcome.failed.push(failure.in_field(format!("{field}.{}", policies::FIELD))),
            }
        }
        let Ok(answers) = tokio::time::timeout(LIMIT, lane.provider().push(&pushes)).await else {
            outcome.failed.push(late(lane));
            return outcome;
        };
        for (answer, (field, key)) in answers.into_iter().zip(asked) {
            match answer {
                Ok(pushed) => outcome.wrote |= pushed == Pushed::Written,
                Err(failure) => outcome.failed.push(placed(failure, lane, &key, Deed::Write).in_field(field)),
            }
        }
        outcome
    }

    /// Deletes what is wanted no more, and forgets of `held` what is gone; whether anything was deleted.
    pub(super) async fn take_back(&self, removals: &[Removal], held: &mut SyncedPushSecrets) -> Result<bool, Trouble> {
        let mut by_store: BTreeMap<&str, Vec<&Removal>> = BTreeMap::new();
        removals.iter().for_each(|removal| by_store.entry(removal.store.as_str()).or_default().push(removal));
        let mut wrote = false;
        let mut failed = Vec::new();
        for (store, removals) in by_store {
            for (removal, answer) in removals.iter().zip(self.delete_from(store, &removals).await) {
                match answer {
                    Ok(deleted) => {
                        wrote |= deleted == Deleted::Removed;
                        forget(held, removal);
                    }
                    Err(failure) => failed.push(failure),
                }
            }
        }
        if failed.is_empty() {
            return Ok(wrote);
        }
        failed.dedup();
        Err(Trouble { synced: Some(held.clone()), ..Trouble::of(message::NOT_TAKEN_BACK, failed) })
    }

    async fn delete_from(&self, store: &str, removals: &[&Removal]) -> Vec<Result<Deleted, Failure>> {
        let all = |failure: Failure| removals.iter().map(|_| Err(failure.clone())).collect();
        let Some(name) = store_of_key(store).map(|(kind, name)| self.store_name(kind, name)) else {
            let words = format!("{store} is no store; mend status.syncedPushSecrets");
            return all(Failure::new(Class::Invalid, words));
        };
        let lane = match self.open(&name).await {
            Ok(lane) => lane,
            Err(failure) => {
                let cure =
                    "what was pushed there cannot be deleted without it: bring it back, or set deletionPolicy: None";
                return all(failure.with_hint(cure));
            }
        };
        let places: Vec<Place> =
            removals.iter().map(|removal| place_of(&removal.place, removal.namespace.as_deref())).collect();
        let may: Vec<_> = places.iter().map(|place| self.may_write(&name, &lane, place)).collect();
        let allowed = places.into_iter().zip(&may).filter(|(_, may)| may.is_ok());
        let places: Vec<Place> = allowed.map(|(place, _)| place).collect();
        let Ok(answers) = tokio::time::timeout(LIMIT, lane.provider().delete(&places)).await else {
            return all(late(&lane));
        };
        let mut answers = answers.into_iter();
        let answer = |(may, removal): (Result<(), Failure>, &&Removal)| -> Result<Deleted, Failure> {
            may?;
            let answer = answers.next().unwrap_or_else(|| Err(late(&lane)));
            answer.map_err(|failure| placed(failure, &lane, &removal.key, Deed::Delete))
        };
        may.into_iter().zip(removals).map(answer).collect()
    }

    /// A push needs what a read of the same key needs, and so does a deletion: the status, which names what is deleted,
    /// may be written by others.
    fn may_write(&self, store: &StoreName, lane: &Lane, place: &Place) -> Result<(), Failure> {
        let key = lane.provider().name_for_rules(place)?;
        self.operator.may_read(store, &self.name.namespace, &key, &TargetKind::secret())
    }

    /// Whether the entry may be written to the store.
    pub(super) fn may_push(&self, store: &Opened<'_>, entry: &push::Entry) -> Result<(), Failure> {
        let place = place_of(entry.place(), namespace_of(&entry.data));
        self.may_write(&store.meant.name, &store.lane, &place)
    }

    async fn open(&self, store: &StoreName) -> Result<Arc<Lane>, Failure> {
        let named = |failure: Failure| match failure.subject.store {
            Some(_) => failure,
            None => failure.from_store(store.to_string()),
        };
        let admitted = self.operator.admitted(store, &self.name.namespace).map_err(named)?;
        self.operator.lane(&admitted, &self.name.namespace).await.map_err(named)
    }
}

fn place_of(place: &PushRemoteRef, namespace: Option<&str>) -> Place {
    let (key, property) = (place.remote_key.clone(), place.property.clone());
    Place { key, property, namespace: namespace.map(str::to_owned) }
}

fn push_of(share: Share, source: &push::Source, only_if_absent: bool) -> Push {
    Push {
        place: place_of(share.entry.place(), namespace_of(&share.entry.data)),
        content: match share.entry.content {
            push::Content::One(value) => Content::One(value),
            push::Content::Whole(values) => Content::Whole(values),
        },
        metadata: share.entry.data.metadata,
        source: Source {
            secret_type: source.kind.clone(),
            labels: source.labels.clone(),
            annotations: source.annotations.clone(),
            data: source.data.clone(),
        },
        only_if_absent,
    }
}

fn forget(held: &mut SyncedPushSecrets, removal: &Removal) {
    if let Some(places) = held.get_mut(&removal.store) {
        places.remove(&removal.key);
        if places.is_empty() {
            held.remove(&removal.store);
        }
    }
}

/// A failure that says what could not be done to which key of which store.
fn placed(failure: Failure, lane: &Lane, key: &str, deed: Deed) -> Failure {
    let failure = failure.while_doing(deed);
    let failure = if failure.subject.key.is_some() { failure } else { failure.on_key(key) };
    if failure.subject.store.is_some() { failure } else { failure.from_store(lane.provider().describe()) }
}

fn late(lane: &Lane) -> Failure {
    let words = format!("no answer within {} s", LIMIT.as_secs());
    Failure::new(Class::Unavailable, words).from_store(lane.provider().describe())
}

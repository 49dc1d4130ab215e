//! A PushSecret, brought from its source into its stores: decides whether it is time, reads the source, plans, says in
//! the status what the stores may hold of it, pushes, takes back what is wanted no more, and says how that went.
//!
//! **Architecture Invariant:** `status.syncedPushSecrets` names a place before anything is written there, and forgets it
//! after it was deleted: whoever goes on after the end of a process at any point finds all that there is to delete.

mod policies;
mod removal;
mod source;
mod status;
mod stores;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use strongroom_api::external_secrets::vocabulary::{message, reason};
use strongroom_api::external_secrets::{
    PushDeletionPolicy, PushSecret, PushUpdatePolicy, RefreshPolicy, SyncedPushSecrets,
};
use strongroom_failure::{Class, Failure};
use strongroom_reconcile::Outcome;
use strongroom_sync::current::Validity;
use strongroom_sync::hash::synced_version;
use strongroom_sync::push::{self, Share, removals, synced, united, without_duplicates};
use strongroom_sync::push_status::Ending;
use strongroom_sync::refresh::{self, Refresh, decide};
use strongroom_sync::status::told;

use self::source::Sources;
use self::stores::{Meant, Opened};
use crate::eso::generators::Tended;
use crate::eso::templates;
use crate::eso::timing::{DEFAULT_INTERVAL, retry_after, until};
use crate::index::Key;
use crate::names::Name;
use crate::operator::{Operator, reference};

/// The version of its kind.
const API_VERSION: &str = "external-secrets.io/v1alpha1";

/// The kind as its metrics begin.
const METRICS: &str = "pushsecret";

/// Why it did not end well.
#[derive(Debug)]
struct Trouble {
    /// External Secrets Operator's words for it.
    message: &'static str,
    /// The causes, the first one first.
    causes: Vec<Failure>,
    /// What the stores may hold now, where that is not what it was.
    synced: Option<SyncedPushSecrets>,
}

impl Trouble {
    fn of(message: &'static str, causes: Vec<Failure>) -> Self {
        Self { message, causes, synced: None }
    }

    /// Whether trying again, unchanged, can help. What is missing in the cluster wakes us when it comes.
    fn can_retry(&self) -> bool {
        let is_final =
            |cause: &Failure| matches!(cause.class, Class::Invalid | Class::NotFound) && cause.subject.store.is_none();
        !self.causes.iter().all(is_final)
    }

    fn words(&self) -> String {
        format!("{}: {}", self.message, told(&self.causes))
    }
}

/// How it went well.
#[derive(Debug)]
struct Done {
    /// What the stores hold.
    synced: SyncedPushSecrets,
    /// Whether anything was written to a store, or deleted there.
    wrote: bool,
    /// Whether the source is gone, and all that was pushed with it.
    is_source_gone: bool,
}

/// One PushSecret that is looked at.
struct Round<'a> {
    operator: &'a Operator,
    name: &'a Name,
    object: &'a PushSecret,
    about: ObjectReference,
    /// What `status.syncedResourceVersion` would be now.
    version: String,
}

/// Looks at the PushSecret `name` and does what is due.
pub(crate) async fn reconcile(operator: Arc<Operator>, name: Name) -> Outcome {
    let found = operator.index().pushes.get(&name);
    let Some(object) = found else {
        operator.index().generator_states.settle(&Key::PushSecret(name.clone()));
        operator.forget_told(&Key::PushSecret(name.clone()));
        operator.metrics.forget(METRICS, Some(&name.namespace), &name.name);
        return Outcome::Done(None);
    };
    if operator.foreign().is_some() {
        return Outcome::Done(None);
    }
    let round = Round::new(&operator, &name, &object);
    if object.metadata.deletion_timestamp.is_some() {
        return round.remove().await;
    }
    let start = std::time::Instant::now();
    let outcome = round.look().await;
    operator.metrics.reconciled(METRICS, &object.metadata, start.elapsed());
    outcome
}

impl<'a> Round<'a> {
    fn new(operator: &'a Operator, name: &'a Name, object: &'a PushSecret) -> Self {
        let metadata = &object.metadata;
        let generation = metadata.generation.unwrap_or_default();
        let version = synced_version(generation, metadata.labels.as_ref(), metadata.annotations.as_ref());
        Self { operator, name, object, about: reference(API_VERSION, "PushSecret", metadata), version }
    }

    fn key(&self) -> Key {
        Key::PushSecret(self.name.clone())
    }

    fn deletes(&self) -> bool {
        self.object.spec.deletion_policy == Some(PushDeletionPolicy::Delete)
    }

    fn only_if_absent(&self) -> bool {
        self.object.spec.update_policy == Some(PushUpdatePolicy::IfNotExists)
    }

    /// What the stores may hold of it, as far as its status knows.
    fn pushed(&self) -> SyncedPushSecrets {
        self.object.status.as_ref().map(|status| status.synced_push_secrets.clone()).unwrap_or_default()
    }

    async fn look(&self) -> Outcome {
        let now = Timestamp::now();
        let tended = self.tend(now).await;
        let outcome = Box::pin(self.do_what_is_due(now, tended)).await;
        // However the rest went: what was generated and ends is looked at in time.
        outcome.by(self.standing(now).next_renewal())
    }

    async fn do_what_is_due(&self, now: Timestamp, tended: Tended) -> Outcome {
        let problems = self.object.problems();
        if !problems.is_empty() {
            return self.failed(Trouble::of(message::NOT_PUSHED, problems)).await;
        }
        let stores = self.meant();
        if !stores.is_empty() && stores.iter().all(|store| !store.is_ours) {
            return Outcome::Done(None);
        }
        match self.decide(now) {
            Refresh::Now(_) => {}
            // What was generated ends before anything else is due.
            _ if tended.needs_new => {}
            Refresh::At(moment) => return Outcome::Done(Some(until(now, moment))),
            Refresh::OnChange | Refresh::OnDamage => return Outcome::Done(None),
        }
        if self.leaves_to_others().await {
            return Outcome::Done(None);
        }
        if stores.iter().any(|store| self.is_unseen(store)) {
            // It is being looked at for the first time, and wakes us then.
            return Outcome::Done(None);
        }
        match self.keep_finalizer().await {
            Ok(true) => {}
            Ok(false) => return Outcome::failed(None),
            Err(failure) => return self.failed(Trouble::of(message::NOT_PUSHED, vec![failure])).await,
        }
        self.operator.index().pushes.looking(self.name);
        match self.synchronise(now, &stores).await {
            Ok(None) => Outcome::Done(None),
            Ok(Some(done)) => self.succeeded(now, done).await,
            Err(trouble) => self.failed(trouble).await,
        }
    }

    fn decide(&self, now: Timestamp) -> Refresh {
        let (is_changed, last_success) = self.operator.index().pushes.state(self.name);
        if is_changed {
            return Refresh::Now(refresh::Reason::Changed);
        }
        let status = self.object.status.as_ref();
        let synced_version = status.and_then(|status| status.synced_resource_version.as_deref());
        let refresh_time = status.and_then(|status| status.refresh_time.as_ref()).map(|time| time.0);
        let interval = self.interval();
        decide(&refresh::Input {
            now,
            // An interval of nothing waits for changes, and unlike an ExternalSecret's sees them.
            policy: if interval.is_zero() { RefreshPolicy::OnChange } else { RefreshPolicy::Periodic },
            interval,
            windows: None,
            synced_version,
            version: &self.version,
            refresh_time,
            last_success,
            is_announced: false,
            target: Validity::Valid,
            immutable: false,
            spread: None,
        })
    }

    /// Does it all; nothing where the object is gone meanwhile.
    async fn synchronise(&self, now: Timestamp, stores: &[Meant]) -> Result<Option<Done>, Trouble> {
        let no_source = |failure| Trouble::of(message::NO_SOURCE, vec![failure]);
        let not_pushed = |causes| Trouble::of(message::NOT_PUSHED, causes);
        let found = match self.sources(now).await.map_err(no_source)? {
            Sources::Gone(_) if self.goes_with_its_source() => return self.clear(stores).await.map(Some),
            Sources::Gone(failure) => return Err(no_source(failure)),
            Sources::Found(found) => self.shaped(found).await.map_err(not_pushed)?,
        };
        // What cannot be written to is not said to hold anything.
        let (opened, mut failed) = self.opened(stores).await;
        let (shares, wrong) = self.planned(&found, &opened);
        failed.extend(wrong);
        let wanted = synced(&shares);
        // Before anything is written: what may be there must be known to whoever goes on after us.
        let mut held = united(&self.pushed(), &wanted);
        match self.note_intent(&held).await {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(failure) => return Err(not_pushed(vec![failure])),
        }
        // What failed is wanted still: nothing is taken back before everything is where it belongs.
        let obsolete = if self.deletes() && failed.is_empty() { self.obsolete(stores, &wanted) } else { Vec::new() };
        let (first, last): (Vec<_>, Vec<_>) = obsolete.into_iter().partition(|removal| removal.is_first);
        let mut wrote = self.take_back(&first, &mut held).await?;
        let pushed = self.push(&opened, shares, &found).await;
        wrote |= pushed.wrote;
        failed.extend(pushed.failed);
        if !failed.is_empty() {
            return Err(Trouble { synced: Some(held), ..not_pushed(failed) });
        }
        wrote |= self.take_back(&last, &mut held).await?;
        if !self.deletes() {
            held = wanted;
        }
        if stores.is_empty() {
            let none = Failure::new(Class::NotFound, "selects no store").in_field("spec.secretStoreRefs");
            return Err(Trouble { synced: Some(held), ..not_pushed(vec![none]) });
        }
        Ok(Some(Done { synced: held, wrote, is_source_gone: false }))
    }

    /// The sources as the template shapes them.
    async fn shaped(&self, found: Vec<push::Source>) -> Result<Vec<push::Source>, Vec<Failure>> {
        let template = self.object.spec.template.as_ref();
        let engine = templates::Engine::new(&self.operator.settings);
        let objects = templates::sources_of(self.operator, &self.name.namespace, template).await;
        let objects = objects.map_err(|failure| vec![failure.in_field("spec.template.templateFrom")])?;
        found.into_iter().map(|source| push::templated(template, source, &objects, &engine)).collect()
    }

    /// What goes where, of all sources, and what cannot.
    fn planned(&self, sources: &[push::Source], stores: &[Opened<'_>]) -> (Vec<Share>, Vec<Failure>) {
        let engine = templates::Engine::new(&self.operator.settings);
        let (mut shares, mut failed) = (Vec::new(), Vec::new());
        for opened in stores {
            let meant = opened.meant;
            for (place, source) in sources.iter().enumerate() {
                let (entries, wrong) = push::entries(&self.object.spec, &meant.store, source, &engine);
                // What is wrong with the source is so for every store.
                let wrong = wrong.into_iter().filter(|wrong| !failed.contains(wrong)).collect::<Vec<_>>();
                failed.extend(wrong);
                for entry in entries {
                    match self.may_push(opened, &entry) {
                        Ok(()) => shares.push(Share { store: meant.store.key(), source: place, entry }),
                        Err(failure) => failed.push(failure.in_field(entry.field)),
                    }
                }
            }
        }
        let (shares, twice) = without_duplicates(shares, sources);
        failed.extend(twice);
        (shares, failed)
    }

    /// What was pushed into stores of ours and is wanted no more.
    fn obsolete(&self, stores: &[Meant], wanted: &SyncedPushSecrets) -> Vec<push::Removal> {
        let mut obsolete = removals(&self.pushed(), wanted);
        let is_others = |key: &str| stores.iter().any(|store| !store.is_ours && store.store.key() == key);
        obsolete.retain(|removal| !is_others(&removal.store));
        obsolete
    }

    /// Whether the end of its source is the end of what was pushed, or was so already.
    fn goes_with_its_source(&self) -> bool {
        let mut conditions = self.object.status.iter().flat_map(|status| &status.conditions);
        let is_gone = conditions.any(|known| known.reason.as_deref() == Some(reason::SOURCE_DELETED));
        self.deletes() && (is_gone || !self.pushed().is_empty())
    }

    /// The source is gone: so goes what was pushed from it.
    async fn clear(&self, stores: &[Meant]) -> Result<Done, Trouble> {
        let mut held = self.pushed();
        let wrote = self.take_back(&self.obsolete(stores, &SyncedPushSecrets::new()), &mut held).await?;
        Ok(Done { synced: held, wrote, is_source_gone: true })
    }

    async fn succeeded(&self, began: Timestamp, done: Done) -> Outcome {
        self.operator.tell(&self.key(), &self.about, reason::ERRORED, None);
        let ending = match done.is_source_gone {
            true => Ending::SourceDeleted { synced: done.synced },
            false => Ending::Success {
                synced: done.synced,
                began,
                version: &self.version,
                wrote: done.wrote,
                only_if_absent: self.only_if_absent(),
            },
        };
        if self.tell(&ending).await.is_err() {
            self.operator.index().pushes.failed(self.name);
            return Outcome::failed(None);
        }
        if done.is_source_gone {
            // When it comes back, it wakes us.
            return Outcome::Done(None);
        }
        self.operator.index().pushes.succeeded(self.name, began);
        let tended = self.settle_generated(began).await;
        Outcome::Done(tended.next_look(self.next()))
    }

    fn interval(&self) -> Duration {
        let interval = self.object.spec.refresh_interval.as_ref().and_then(|interval| interval.duration().ok());
        interval.unwrap_or(DEFAULT_INTERVAL)
    }

    /// How long until it is looked at again where nothing changes.
    fn next(&self) -> Option<Duration> {
        Some(self.interval()).filter(|interval| !interval.is_zero())
    }

    async fn failed(&self, trouble: Trouble) -> Outcome {
        self.operator.index().pushes.failed(self.name);
        self.operator.tell(&self.key(), &self.about, reason::ERRORED, Some(&trouble.words()));
        let retry_after = retry_after(&trouble.causes);
        let can_retry = trouble.can_retry();
        let told = self.tell(&Ending::Failure { words: trouble.words(), synced: trouble.synced }).await;
        if can_retry || told.is_err() { Outcome::failed(retry_after) } else { Outcome::Done(self.next()) }
    }
}

//! An ExternalSecret, brought from its stores into its target: decides whether it is time, asks, assembles, renders,
//! plans, writes, and says in its status how that went.

mod ask;
mod generated;
mod manifest;
pub(crate) mod rehearse;
mod removal;
mod status;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use strongroom_api::external_secrets::vocabulary::{event, message};
use strongroom_api::external_secrets::{CreationPolicy, DeletionPolicy, ExternalSecret, Target};
use strongroom_failure::Failure;
use strongroom_kube::EventKind;
use strongroom_policy::TargetKind;
use strongroom_reconcile::Outcome;
use strongroom_sync::assemble::{Assembled, assemble};
use strongroom_sync::current::{Validity, validity};
use strongroom_sync::hash::synced_version;
use strongroom_sync::refresh::{self, Refresh, Spread, decide};
use strongroom_sync::render::{self, Rendered};
use strongroom_sync::status::told;
use strongroom_sync::target::{Owner, Wanted};
use strongroom_sync::wants::{Want, wants};
use strongroom_sync::windows::Windows;
use tokio::time::Instant;

use self::ask::Asker;
use self::write::{Writer, Written};
use crate::announcements::Announced;
use crate::eso::generators::Tended;
use crate::eso::templates;
use crate::eso::timing::{DEFAULT_INTERVAL, retry_after, until};
use crate::index::{Key, ready_condition, stores_of, target_of};
use crate::memory::Remembered;
use crate::names::{Name, StoreName};
use crate::operator::{Operator, reference};

/// How long all stores together may take to answer for one object. Retries with pauses fit in; a store that is away for
/// longer is asked again by the backoff.
const ASKING_LIMIT: Duration = Duration::from_secs(60);

/// The annotation that lets one missing key not block the others.
const PARTIAL: &str = "strongroom.dev/partial";

/// Why a synchronisation did not end well.
#[derive(Debug)]
pub(super) struct Trouble {
    /// External Secrets Operator's words for it.
    message: &'static str,
    /// The causes, the first one first.
    causes: Vec<Failure>,
    /// Whether trying again, unchanged, can help.
    can_retry: bool,
}

impl Trouble {
    fn of(message: &'static str, cause: Failure) -> Self {
        Self { message, causes: vec![cause], can_retry: true }
    }

    /// Something that passes.
    fn passing(message: &'static str, cause: Failure) -> Self {
        Self::of(message, cause)
    }

    /// Something that stays until the object, its target or its store changes.
    fn final_(message: &'static str, cause: Failure) -> Self {
        Self { can_retry: false, ..Self::of(message, cause) }
    }

    /// One sentence for the event and the log, as the condition has it: the known words, then the real cause and what
    /// to do.
    fn words(&self) -> String {
        format!("{}: {}", self.message, told(&self.causes))
    }
}

/// One ExternalSecret that is looked at.
pub(super) struct Round<'a> {
    operator: &'a Operator,
    name: &'a Name,
    object: &'a ExternalSecret,
    about: ObjectReference,
    /// What `status.syncedResourceVersion` would be now.
    version: String,
    remembered: Remembered,
    /// That a source said that a value changed.
    announced: Option<Announced>,
}

/// Looks at the ExternalSecret `name` and does what is due.
pub(crate) async fn reconcile(operator: Arc<Operator>, name: Name) -> Outcome {
    let found = operator.index().external_secret(&name);
    let Some(object) = found else {
        operator.index().generator_states.settle(&Key::ExternalSecret(name.clone()));
        operator.memories.forget(&name);
        operator.forget_told(&Key::ExternalSecret(name.clone()));
        operator.announcements.forget(&Key::ExternalSecret(name.clone()));
        operator.metrics.forget("externalsecret", Some(&name.namespace), &name.name);
        return Outcome::Done(None);
    };
    if operator.foreign().is_some() {
        return Outcome::Done(None);
    }
    let round = Round::new(&operator, &name, &object);
    if object.metadata.deletion_timestamp.is_some() {
        return Box::pin(round.remove()).await;
    }
    if !round.is_ours() {
        round.settle_announced();
        return Outcome::Done(None);
    }
    let start = std::time::Instant::now();
    let outcome = round.look().await;
    operator.metrics.reconciled("externalsecret", &object.metadata, start.elapsed());
    outcome
}

impl<'a> Round<'a> {
    fn new(operator: &'a Operator, name: &'a Name, object: &'a ExternalSecret) -> Self {
        let metadata = &object.metadata;
        let generation = metadata.generation.unwrap_or_default();
        let version = synced_version(generation, metadata.labels.as_ref(), metadata.annotations.as_ref());
        let remembered = operator.memories.get(name, metadata.uid.as_deref().unwrap_or_default());
        let about = reference("external-secrets.io/v1", "ExternalSecret", metadata);
        let announced = operator.announcements.of(&Key::ExternalSecret(name.clone()));
        Self { operator, name, object, about, version, remembered, announced }
    }

    /// What was announced when the round began is read, or is not to be.
    fn settle_announced(&self) {
        if let Some(announced) = self.announced {
            self.operator.announcements.settle(&self.key(), announced);
        }
    }

    fn uid(&self) -> &str {
        self.object.metadata.uid.as_deref().unwrap_or_default()
    }

    fn key(&self) -> Key {
        Key::ExternalSecret(self.name.clone())
    }

    /// Whether every store that it names is served by us.
    fn is_ours(&self) -> bool {
        let index = self.operator.index();
        stores_of(self.name, self.object).iter().all(|store| {
            let class = index.store(store).map(|store| self.operator.is_ours(store.spec.controller.as_deref()));
            self.operator.serves(store) && class.unwrap_or(true)
        })
    }

    /// Whether a store that it names was never looked at.
    fn awaits_a_store(&self) -> bool {
        let settings = &self.operator.settings;
        let index = self.operator.index();
        let is_new = |name: &StoreName| index.store(name).is_some_and(|store| ready_condition(&store).is_none());
        let is_looked_at = |name: &StoreName| match name.namespace {
            Some(_) => settings.enable_secret_store_reconciler,
            None => settings.enable_cluster_store_reconciler,
        };
        let stores = stores_of(self.name, self.object);
        settings.enable_flood_gate && stores.iter().any(|store| is_looked_at(store) && is_new(store))
    }

    fn target(&self) -> Target {
        self.object.spec.target.clone().unwrap_or_default()
    }

    fn creation(&self) -> CreationPolicy {
        self.object.spec.target.as_ref().and_then(|target| target.creation_policy).unwrap_or_default()
    }

    fn deletion(&self) -> DeletionPolicy {
        self.object.spec.target.as_ref().and_then(|target| target.deletion_policy).unwrap_or_default()
    }

    fn is_partial(&self) -> bool {
        let annotations = self.object.metadata.annotations.as_ref();
        annotations.and_then(|annotations| annotations.get(PARTIAL)).is_some_and(|value| value == "true")
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
            let trouble = Trouble { message: message::NOT_UPDATED, causes: problems, can_retry: false };
            return self.failed(trouble).await;
        }
        match self.decide(now) {
            Refresh::Now(_) => {}
            // What was generated ends before anything else is due.
            _ if tended.needs_new => {}
            Refresh::At(moment) => return Outcome::Done(Some(until(now, moment))),
            Refresh::OnChange | Refresh::OnDamage => {
                self.settle_announced();
                return Outcome::Done(None);
            }
        }
        if self.awaits_a_store() {
            // It is being looked at for the first time, and wakes its readers then.
            return Outcome::Done(None);
        }
        if Box::pin(self.leaves_to_others()).await {
            return Outcome::Done(None);
        }
        match Box::pin(self.keep_finalizer()).await {
            Ok(true) => {}
            Ok(false) => return Outcome::failed(None),
            Err(failure) => return self.failed(Trouble::passing(message::NOT_UPDATED, failure)).await,
        }
        let labels = &self.object.metadata;
        self.operator.metrics.synced("externalsecret", labels, false);
        // Most rounds end before this: only those that ask hold the room for it.
        match Box::pin(self.synchronise(now)).await {
            Ok((written, causes)) => Box::pin(self.succeeded(now, written, causes)).await,
            Err(trouble) => {
                self.operator.metrics.synced("externalsecret", labels, true);
                self.failed(trouble).await
            }
        }
    }

    fn decide(&self, now: Timestamp) -> Refresh {
        let status = self.object.status.as_ref();
        let synced_version = status.and_then(|status| status.synced_resource_version.as_deref());
        let refresh_time = status.and_then(|status| status.refresh_time.as_ref()).map(|time| time.0);
        let spread = Spread { start: self.operator.start, within: self.operator.settings.spread, uid: self.uid() };
        self.decide_by(now, synced_version, refresh_time, self.validity(), Some(spread))
    }

    /// As [`Round::decide`], for the moment after a success, whose status may not have come back yet.
    fn decide_after_success(&self, now: Timestamp, success: Timestamp) -> Refresh {
        self.decide_by(now, Some(&self.version), Some(success), Validity::Valid, None)
    }

    fn decide_by(
        &self,
        now: Timestamp,
        synced_version: Option<&str>,
        refresh_time: Option<Timestamp>,
        target: Validity,
        spread: Option<Spread<'_>>,
    ) -> Refresh {
        let spec = &self.object.spec;
        let interval = spec.refresh_interval.as_ref().and_then(|interval| interval.duration().ok());
        let windows = spec.sync_windows.as_ref().map(|windows| Windows::parse(windows).0);
        let is_after_success = spread.is_none();
        decide(&refresh::Input {
            now,
            policy: spec.refresh_policy.unwrap_or_default(),
            interval: interval.unwrap_or(DEFAULT_INTERVAL),
            windows: windows.as_ref(),
            synced_version,
            version: &self.version,
            refresh_time,
            is_announced: self.announced.is_some() && !is_after_success,
            last_success: if is_after_success { refresh_time } else { self.remembered.last_success },
            target,
            immutable: spec.target.as_ref().is_some_and(|target| target.immutable),
            spread,
        })
    }

    fn validity(&self) -> Validity {
        if self.manifest().is_some() {
            return Validity::Valid;
        }
        let facts = self.operator.index().secret(&target_of(self.name, self.object));
        // One that has to be read first carries no label of ours.
        let current = facts.map(|facts| facts.seen_by(&self.name.name).unwrap_or_default());
        validity(current.as_ref(), self.creation(), self.remembered.target.as_ref())
    }

    /// Does it all; also gives the causes for which a partial synchronisation is without some values.
    async fn synchronise(&self, now: Timestamp) -> Result<(Written, Vec<Failure>), Trouble> {
        let no_data = |failure| Trouble::of(message::NO_DATA, failure);
        let wanted = wants(&self.object.spec).map_err(|failure| Trouble::final_(message::NO_DATA, failure))?;
        let asker = Asker {
            operator: self.operator,
            name: self.name,
            target: self.target_kind(),
            deadline: Instant::now() + ASKING_LIMIT,
            kept: self.kept(now, false),
            is_afresh: self.announced.is_some(),
        };
        let answers = asker.ask(&wanted).await;
        let templates = templates::Engine::new(&self.operator.settings);
        let mut assembled = assemble(&wanted, answers, self.deletion(), &templates);
        for missing in &assembled.missing {
            let words = missing.words();
            self.operator.recorder.record(&self.about, EventKind::Normal, event::MISSING_PROVIDER_SECRET, &words);
        }
        let found_nothing = assembled.found_nothing();
        let failed = named(&wanted, self.object, std::mem::take(&mut assembled.failed));
        let settled = Assembled { failed, ..assembled }.settle(self.is_partial());
        // Also what looks final may be mended where it lies, in the store.
        let not_enough = |causes| Trouble { message: message::NO_DATA, causes, can_retry: true };
        let assembled = settled.map_err(not_enough)?;
        let mut causes = assembled.failed.clone();
        let sources = self.template_sources().await.map_err(no_data)?;
        if self.manifest().is_some() {
            let written = Box::pin(self.write_manifest(&assembled, &sources, &templates, found_nothing)).await?;
            return Ok((written, causes));
        }
        let rendered = self.render(&assembled, &sources, &templates)?;
        causes.extend(rendered.failed.iter().cloned());
        let wanted = self.wanted(rendered, found_nothing, !causes.is_empty());
        let writer = Writer {
            operator: self.operator,
            name: self.name,
            about: &self.about,
            target: target_of(self.name, self.object),
        };
        // Many ask at once and few write.
        let written = Box::pin(writer.write(&wanted, self.remembered.target.as_ref())).await?;
        Ok((written, causes))
    }

    /// The data of the objects that the template names.
    async fn template_sources(&self) -> Result<BTreeMap<render::TemplateSource, strongroom_sync::Values>, Failure> {
        let template = self.object.spec.target.as_ref().and_then(|target| target.template.as_ref());
        let sources = templates::sources_of(self.operator, &self.name.namespace, template).await;
        sources.map_err(|failure| failure.in_field("spec.target.template.templateFrom"))
    }

    fn render(
        &self,
        assembled: &Assembled,
        sources: &BTreeMap<render::TemplateSource, strongroom_sync::Values>,
        templates: &templates::Engine,
    ) -> Result<Rendered, Trouble> {
        let target = self.target();
        let empty = BTreeMap::new();
        let input = render::Input {
            template: target.template.as_ref(),
            labels: self.object.metadata.labels.as_ref().unwrap_or(&empty),
            annotations: self.object.metadata.annotations.as_ref().unwrap_or(&empty),
            values: &assembled.data,
            sources,
            is_partial: self.is_partial(),
            render: templates,
        };
        let failed = |causes| Trouble { message: message::NOT_UPDATED, causes, can_retry: true };
        render::render(&input).map_err(failed)
    }

    fn wanted(&self, rendered: Rendered, found_nothing: bool, is_partial: bool) -> Wanted {
        let target = self.target();
        let status = self.object.status.as_ref();
        let synced = status.and_then(|status| status.synced_resource_version.as_deref());
        Wanted {
            owner: self.owner(),
            name: target_of(self.name, self.object).name.to_string(),
            creation: self.creation(),
            deletion: self.deletion(),
            immutable: target.immutable,
            found_nothing,
            is_partial,
            has_changed: synced != Some(&self.version),
            rendered,
            data_hash: self.operator.data_hash.clone(),
        }
    }

    fn owner(&self) -> Owner {
        Owner {
            namespace: self.name.namespace.to_string(),
            name: self.name.name.to_string(),
            uid: self.uid().to_owned(),
        }
    }

    /// Whether a Secret is there after a synchronisation that ended well.
    fn makes_a_secret(&self) -> bool {
        self.creation() != CreationPolicy::None
    }

    fn target_kind(&self) -> TargetKind {
        match self.manifest() {
            None => TargetKind::secret(),
            Some(manifest) => TargetKind { api_version: manifest.api_version.clone(), kind: manifest.kind.clone() },
        }
    }

    /// Files a synchronisation that ended well, or as well as `causes` let it.
    async fn succeeded(&self, now: Timestamp, written: Written, causes: Vec<Failure>) -> Outcome {
        let remembered = Remembered { last_success: Some(now), target: written.memory };
        self.operator.memories.put(self.name, self.uid(), remembered);
        self.operator.metrics.succeeded(&self.object.metadata, now.as_second());
        let is_done = causes.is_empty();
        if is_done {
            self.settle_announced();
        }
        let trouble =
            (!is_done).then_some(Trouble { message: "some values could not be had", causes, can_retry: true });
        let words = trouble.as_ref().map(Trouble::words);
        self.operator.tell(&self.key(), &self.about, event::UPDATE_FAILED, words.as_deref());
        let told = self.tell_success(now, &written, trouble.as_ref()).await;
        if !is_done || told.is_err() {
            return Outcome::failed(None);
        }
        let tended = self.settle_generated(now).await;
        // What is due next is decided by the same rule as everything else.
        Outcome::Done(tended.next_look(match self.decide_after_success(Timestamp::now(), now) {
            Refresh::At(moment) => Some(until(Timestamp::now(), moment)),
            Refresh::Now(_) => Some(Duration::ZERO),
            Refresh::OnChange | Refresh::OnDamage => None,
        }))
    }

    /// Files a synchronisation that failed, once where the user looks.
    async fn failed(&self, trouble: Trouble) -> Outcome {
        self.operator.tell(&self.key(), &self.about, event::UPDATE_FAILED, Some(&trouble.words()));
        let told = Box::pin(self.tell_failure(&trouble)).await;
        if trouble.can_retry || told.is_err() {
            Outcome::failed(retry_after(&trouble.causes))
        } else {
            Outcome::Done(None)
        }
    }
}

/// Names the key of the Secret that a failed entry of `data` was for: people know it better than its place.
fn named(wants: &[Want], object: &ExternalSecret, failed: Vec<Failure>) -> Vec<Failure> {
    let name = |failure: Failure| {
        let field = failure.subject.field.clone().unwrap_or_default();
        let place =
            wants.iter().filter(|want| want.field.starts_with("spec.data[")).position(|want| want.field == field);
        match place.and_then(|place| object.spec.data.get(place)) {
            Some(entry) => failure.in_field(format!("{field} ({})", entry.secret_key)),
            None => failure,
        }
    };
    failed.into_iter().map(name).collect()
}

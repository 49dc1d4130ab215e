//! A synchronisation that is only told: the same steps as in [`super`], each of them taken down, and nothing written.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use strongroom_api::external_secrets::vocabulary::{annotation, condition};
use strongroom_api::external_secrets::{Condition, DeletionPolicy, ExternalSecret, RefreshPolicy};
use strongroom_policy::Decision;
use strongroom_provider::Validation;
use strongroom_sync::assemble::{Answer, Assembled, assemble};
use strongroom_sync::current::Current;
use strongroom_sync::manifest;
use strongroom_sync::render::Rendered;
use strongroom_sync::target::{Outcome, Plan, Refusal, Wanted, plan};
use strongroom_sync::wants::{Want, What, wants};
use strongroom_sync::windows::Windows;
use strongroom_sync::{PARTIAL_ANNOTATION, status};
use tokio::time::Instant;

use super::ask::Asker;
use super::write::Writer;
use super::{ASKING_LIMIT, DEFAULT_INTERVAL, Round, Trouble, named, templates};
use crate::eso::store::validate;
use crate::explain::{Notes, Preview, Thing};
use crate::index::{Store, is_ready, stores_of, target_of};
use crate::names::{Name, StoreName};
use crate::operator::Operator;

/// How many names a line lists.
const NAMES: usize = 8;

/// How often a target is planned again after it was read: once from its metadata, once from the whole.
const ROUNDS: usize = 3;

/// Walks the chain of `object` and takes down each step; what would be written, where it comes that far. `is_live`:
/// whether the object is the cluster's, with a condition to be believed or not.
pub(crate) async fn rehearse(
    operator: &Operator,
    name: &Name,
    object: &ExternalSecret,
    is_live: bool,
    notes: &mut Notes,
) -> Option<Preview> {
    let round = Round::new(operator, name, object);
    let problems = object.problems();
    problems.iter().for_each(|problem| notes.failed("object", "", problem));
    round.tell_object(notes, problems.is_empty());
    if is_live {
        round.tell_condition(notes);
    }
    if !problems.is_empty() {
        notes.skipped("store", "no store is asked before the object is right");
        return None;
    }
    let wants = match wants(&object.spec) {
        Ok(wants) => wants,
        Err(failure) => {
            notes.failed("object", "", &failure);
            return None;
        }
    };
    let mut usable = BTreeSet::new();
    for store in stores_of(name, object) {
        if round.tell_store(notes, &store).await {
            usable.insert(store);
        }
    }
    let preview = round.tell_values(notes, &wants, &usable).await;
    round.tell_refresh(notes);
    preview
}

impl Round<'_> {
    fn tell_object(&self, notes: &mut Notes, is_valid: bool) {
        let metadata = &self.object.metadata;
        if let Some(since) = &metadata.deletion_timestamp {
            let words = format!("the ExternalSecret is being deleted since {}", since.0);
            let finalizers = metadata.finalizers.as_deref().unwrap_or_default().join(", ");
            notes.wrong("object", words, Some(&format!("it waits for its finalizers: {finalizers}")));
            return;
        }
        if !self.is_ours() {
            let class = &self.operator.settings.controller_class;
            let words = format!("one of its stores is for another controller than the class \"{class}\"");
            notes.wrong("object", words, Some("spec.controller of the store says for which; leave it out for any"));
            return;
        }
        if is_valid {
            let target = target_of(self.name, self.object);
            let kind = self.target_kind().kind;
            notes.ok("object", format!("ExternalSecret {} for the {kind} {}", self.name, target.name));
        }
    }

    fn tell_condition(&self, notes: &mut Notes) {
        let status = self.object.status.as_ref();
        let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
        let Some(ready) = conditions.iter().find(|one| one.kind == condition::READY) else {
            let hint = "is it running, and does it serve this namespace?";
            notes.wrong("condition", "the operator has not looked at it yet", Some(hint));
            return;
        };
        let synced = status.and_then(|status| status.synced_resource_version.as_deref());
        let age = if synced.is_some_and(|synced| synced != self.version) { " (of an earlier edition)" } else { "" };
        let words = format!("{}{age}", stated(ready));
        match ready.status.as_str() {
            "True" => notes.ok("condition", words),
            _ => notes.wrong("condition", words, None),
        }
        if let Some(partial) = conditions.iter().find(|one| one.kind == status::PARTIAL) {
            notes.wrong("condition", stated(partial), None);
        }
    }

    /// Takes down how a store stands; whether it can be asked.
    async fn tell_store(&self, notes: &mut Notes, name: &StoreName) -> bool {
        if notes.is_unseen("store", &Thing::Store(name.clone())) {
            return false;
        }
        let Some(store) = self.operator.index().store(name) else {
            if let Err(failure) = self.operator.admitted(name, &self.name.namespace) {
                notes.failed("store", "", &failure);
            }
            return false;
        };
        let problems = store.spec.problems();
        let before = problems.len();
        problems.iter().for_each(|problem| notes.failed("store", &format!("{name}: "), problem));
        let admitted = self.operator.admitted(name, &self.name.namespace);
        let is_admitted = match &admitted {
            Ok(_) => {
                notes.ok("store", described(&store));
                true
            }
            Err(_) if name.namespace.is_none() && notes.is_unseen("store", &Thing::Namespace) => false,
            Err(failure) => {
                notes.failed("store", "", failure);
                false
            }
        };
        if before > 0 {
            return false;
        }
        // A store that is not ready is opened all the same: that shows why, as it is now.
        let may_open = is_admitted || !is_ready(&store);
        may_open && self.tell_login(notes, &store).await && is_admitted
    }

    async fn tell_login(&self, notes: &mut Notes, store: &std::sync::Arc<Store>) -> bool {
        let name = &store.name;
        let lane = match self.operator.lane(store, &self.name.namespace).await {
            Ok(lane) => lane,
            Err(failure) => {
                notes.failed("login", &format!("{name} cannot be opened: "), &failure);
                return false;
            }
        };
        let provider = lane.provider();
        let whom = format!("{} as {}", provider.describe(), provider.identity());
        match validate(&lane).await {
            Ok(Validation::Valid) => notes.ok("login", format!("{whom}: it knows us")),
            Ok(Validation::Unknown) => notes.ok("login", format!("{whom}: whether that works shows at a read")),
            Err(failure) => {
                notes.failed("login", &format!("{name}, {whom}: "), &failure);
                return false;
            }
        }
        true
    }

    /// Asks for what may be asked for and goes on to the target with it.
    async fn tell_values(&self, notes: &mut Notes, wants: &[Want], usable: &BTreeSet<StoreName>) -> Option<Preview> {
        let asker = self.asker();
        let may_ask = wants.iter().map(|want| self.may_ask(notes, &asker, want, usable)).collect::<Vec<_>>();
        let asked: Vec<Want> =
            wants.iter().zip(&may_ask).filter(|(_, may)| **may).map(|(want, _)| want.clone()).collect();
        let answers = asker.ask(&asked).await;
        let templates = templates::Engine::new(&self.operator.settings);
        for (want, answer) in asked.iter().zip(&answers) {
            self.tell_value(notes, want, answer, &templates);
        }
        if asked.len() < wants.len() {
            notes.skipped("template", "not every value could be asked for");
            notes.skipped("target", "not every value could be asked for");
            return None;
        }
        let mut assembled = assemble(&asked, answers, self.deletion(), &templates);
        let found_nothing = assembled.found_nothing();
        assembled.failed = named(&asked, self.object, std::mem::take(&mut assembled.failed));
        let Ok(assembled) = assembled.settle(self.is_partial()) else {
            let words =
                format!("values are missing, and without {PARTIAL_ANNOTATION}: \"true\" all of them are needed");
            notes.skipped("template", words);
            notes.skipped("target", "nothing is written before all values are there");
            return None;
        };
        self.tell_target(notes, &assembled, &templates, found_nothing).await
    }

    fn asker(&self) -> Asker<'_> {
        Asker {
            operator: self.operator,
            name: self.name,
            target: self.target_kind(),
            deadline: Instant::now() + ASKING_LIMIT,
            is_afresh: false,
        }
    }

    /// Takes down what the policies say of a want; whether its store is to be asked.
    fn may_ask(&self, notes: &mut Notes, asker: &Asker<'_>, want: &Want, usable: &BTreeSet<StoreName>) -> bool {
        let title = self.title(want);
        let Some(store) = want.store().map(|store| asker.store_name(store)) else { return true };
        if !usable.contains(&store) {
            notes.skipped("key", format!("{title}: not asked for, see its store"));
            return false;
        }
        let Some(key) = want.key().filter(|_| store.namespace.is_none()) else { return true };
        if notes.is_unseen("policy", &Thing::Policies) {
            return true;
        }
        let asker = self.operator.namespace(&self.name.namespace);
        match self.operator.policies().allows(&store.name, &asker, key, &self.target_kind()) {
            Decision::Denied(failure) => {
                notes.failed("policy", &format!("{title}: "), &failure);
                notes.skipped("key", format!("{title}: not asked for"));
                return false;
            }
            decision => notes.ok("policy", format!("{title}: {decision}")),
        }
        true
    }

    fn tell_value(&self, notes: &mut Notes, want: &Want, answer: &Answer, templates: &templates::Engine) {
        let title = self.title(want);
        let read = match answer {
            Answer::Whole(Ok(found)) => Ok(format!("{} bytes", found.value.len())),
            Answer::Part(Ok(part)) => Ok(format!("{} bytes", part.len())),
            Answer::Many(Ok(values)) => Ok(format!("{} secrets found", values.len())),
            Answer::Whole(Err(failure)) | Answer::Part(Err(failure)) | Answer::Many(Err(failure)) => Err(failure),
        };
        match read {
            Ok(length) => notes.ok("key", format!("{title}: read, {length}")),
            Err(failure) => {
                let is_answer = failure.class == strongroom_failure::Class::NotFound;
                if is_answer && self.deletion() != DeletionPolicy::Retain {
                    let words =
                        format!("{title}: the store has nothing, which deletionPolicy {:?} allows", self.deletion());
                    notes.ok("key", words);
                } else {
                    notes.failed("key", &format!("{title}: "), failure);
                }
                return;
            }
        }
        let made = assemble(std::slice::from_ref(want), vec![answer.clone()], self.deletion(), templates);
        match (made.failed.first(), made.missing.is_empty()) {
            (Some(failure), _) => notes.failed("value", &format!("{title}: "), &unplaced(failure)),
            (None, false) => {
                notes.ok("value", format!("{title}: absent, which deletionPolicy {:?} allows", self.deletion()))
            }
            (None, true) => self.tell_made(notes, want, &title, &made),
        }
    }

    fn tell_made(&self, notes: &mut Notes, want: &Want, title: &str, made: &Assembled) {
        match &want.what {
            What::Value { part, secret_key, .. } => {
                let length = made.data.get(secret_key).map_or(0, strongroom_secret::SecretBytes::len);
                if let Some(property) = &part.property {
                    notes.ok("value", format!("{title}: property \"{property}\", {length} bytes"));
                }
            }
            What::Extract { .. } | What::Find { .. } | What::Generator { .. } => {
                notes.ok("value", format!("{title}: {}", listed("key", made.data.keys())));
            }
        }
    }

    /// A want as people know it: its place, the key of the Secret, and the store's key.
    fn title(&self, want: &Want) -> String {
        let store = want.store().map(|store| format!(" of {:?} \"{}\"", store.kind, store.name)).unwrap_or_default();
        match &want.what {
            What::Value { part, secret_key, .. } => {
                format!("{} ({secret_key}), \"{}\"{store}", want.field, part.key)
            }
            What::Extract { part, .. } => format!("{}, extract \"{}\"{store}", want.field, part.key),
            What::Find { .. } => format!("{}, find{store}", want.field),
            What::Generator { .. } => want.field.clone(),
        }
    }

    async fn tell_target(
        &self,
        notes: &mut Notes,
        assembled: &Assembled,
        templates: &templates::Engine,
        found_nothing: bool,
    ) -> Option<Preview> {
        let is_templated = self.object.spec.target.as_ref().is_some_and(|target| target.template.is_some());
        let sources = match self.template_sources().await {
            Ok(sources) => sources,
            Err(failure) => {
                notes.failed("template", "", &failure);
                return None;
            }
        };
        if let Some(kind) = self.manifest() {
            let planned = self.plan_manifest(kind, assembled, &sources, templates, found_nothing).await;
            let name = format!("{} {}", kind.kind, target_of(self.name, self.object).name);
            match planned {
                Ok((_, plan)) => tell_manifest(notes, &name, &plan),
                Err(trouble) => tell_trouble(notes, "target", &trouble),
            }
            return None;
        }
        let rendered = match self.render(assembled, &sources, templates) {
            Ok(rendered) => rendered,
            Err(trouble) => {
                tell_trouble(notes, "template", &trouble);
                notes.skipped("target", "nothing is written before the template is right");
                return None;
            }
        };
        rendered.failed.iter().for_each(|failure| notes.failed("template", "", failure));
        let words = if is_templated { "the template gives" } else { "no template; the values give" };
        notes.ok("template", format!("{words} {}", listed("key", rendered.data.keys())));
        let preview = preview(&rendered);
        let is_partial = !assembled.failed.is_empty() || !rendered.failed.is_empty();
        let wanted = self.wanted(rendered, found_nothing, is_partial);
        self.tell_secret(notes, &wanted).await;
        Some(preview)
    }

    async fn tell_secret(&self, notes: &mut Notes, wanted: &Wanted) {
        if notes.is_unseen("target", &Thing::Target) {
            return;
        }
        let target = target_of(self.name, self.object);
        let writer = Writer { operator: self.operator, name: self.name, about: &self.about, target };
        let mut seen = writer.known().await;
        for _ in 0..ROUNDS {
            let current = match seen {
                Ok(current) => current,
                Err(trouble) => return tell_trouble(notes, "target", &trouble),
            };
            match plan(current.as_ref(), wanted, None) {
                Plan::Read(_) => seen = writer.read().await,
                decided => return tell_plan(notes, current.as_ref(), wanted, &decided),
            }
        }
    }

    fn tell_refresh(&self, notes: &mut Notes) {
        let spec = &self.object.spec;
        let last = self.object.status.as_ref().and_then(|status| status.refresh_time.as_ref());
        let last = last.map_or("never read".to_owned(), |time| format!("last change {}", time.0));
        let interval = spec.refresh_interval.as_ref().and_then(|interval| interval.duration().ok());
        let interval = interval.unwrap_or(DEFAULT_INTERVAL);
        let next = match spec.refresh_policy.unwrap_or_default() {
            RefreshPolicy::CreatedOnce => "read once (refreshPolicy CreatedOnce)".to_owned(),
            RefreshPolicy::OnChange => "read again when the ExternalSecret changes (refreshPolicy OnChange)".to_owned(),
            RefreshPolicy::Periodic if interval.is_zero() => "read once (refreshInterval 0)".to_owned(),
            RefreshPolicy::Periodic => {
                let interval = SignedDuration::try_from(interval).unwrap_or(SignedDuration::MAX);
                format!("read again every {interval:#}")
            }
        };
        let Some(windows) = &spec.sync_windows else { return notes.ok("refresh", format!("{last}; {next}")) };
        let (windows, failures) = Windows::parse(windows);
        failures.iter().for_each(|failure| notes.failed("refresh", "", failure));
        let now = Timestamp::now();
        let window = match windows.next_permitted(now) {
            Some(moment) if moment <= now => "syncWindows permit it now".to_owned(),
            Some(moment) => format!("syncWindows permit it from {moment:.0}"),
            None => "syncWindows never permit it".to_owned(),
        };
        notes.ok("refresh", format!("{last}; {next}; {window}"));
    }
}

/// A condition in one line.
fn stated(condition: &Condition) -> String {
    let (reason, message) = (condition.reason.as_deref(), condition.message.as_deref());
    let (reason, message) = (reason.unwrap_or("no reason"), message.unwrap_or("no message"));
    format!("{}={}, {reason}: {message}", condition.kind, condition.status)
}

fn described(store: &Store) -> String {
    let conditions = store.status.iter().flat_map(|status| &status.conditions);
    let ready = conditions.into_iter().find(|one| one.kind == condition::READY);
    let ready = ready.map_or("not looked at yet".to_owned(), |ready| {
        format!("Ready={} ({})", ready.status, ready.reason.as_deref().unwrap_or("no reason"))
    });
    let provider = store.spec.provider.served().join(", ");
    let admits = if store.name.namespace.is_none() { ", admits this namespace" } else { "" };
    format!("{}, provider {provider}: {ready}{admits}", store.name)
}

/// A failure without the place that its line names already.
fn unplaced(failure: &strongroom_failure::Failure) -> strongroom_failure::Failure {
    let mut failure = failure.clone();
    failure.subject.field = None;
    failure.subject.key = None;
    failure
}

fn tell_trouble(notes: &mut Notes, what: &'static str, trouble: &Trouble) {
    trouble.causes.iter().for_each(|cause| notes.failed(what, "", cause));
}

fn tell_refusal(notes: &mut Notes, refusal: &Refusal) {
    notes.failed("target", &format!("{}: ", refusal.message), &refusal.cause);
}

fn tell_outcome(notes: &mut Notes, name: &str, outcome: Outcome) {
    match outcome {
        Outcome::Synced => notes.ok("target", format!("{name} is as the stores say")),
        Outcome::Retained => notes.ok("target", format!("the stores hold nothing, and {name} stays (deletionPolicy)")),
        Outcome::Deleted => notes.ok("target", format!("the stores hold nothing, and there is no {name}")),
        Outcome::Missing => {
            let words = format!("there is no {name} to merge into (creationPolicy Merge)");
            notes.wrong("target", words, Some("create the Secret, or set creationPolicy: CreateOrMerge"));
        }
    }
}

fn tell_plan(notes: &mut Notes, current: Option<&Current>, wanted: &Wanted, plan: &Plan) {
    let name = format!("Secret {}", wanted.name);
    match plan {
        Plan::Nothing(outcome) => tell_outcome(notes, &name, *outcome),
        Plan::Create(_) => notes.ok("target", format!("{name} is not there and would be created")),
        Plan::Delete(_) => notes.ok("target", format!("{name} would be deleted: the stores hold nothing for it")),
        Plan::Refuse(refusal) => tell_refusal(notes, refusal),
        Plan::Replace { secret, adopts } => {
            let live = current.and_then(Current::full).map(|full| full.expose());
            let changes = live.map(|live| changes(live, secret.expose())).unwrap_or_default();
            let adopted = if *adopts { " It would become this ExternalSecret's to write." } else { "" };
            match changes.is_empty() {
                true if !*adopts => notes.ok("target", format!("{name} is as the stores say")),
                _ => notes.ok("target", format!("{name} would change: {}.{adopted}", changes.join("; "))),
            }
        }
        // Planned again until it is another.
        Plan::Read(_) => {}
    }
}

fn tell_manifest(notes: &mut Notes, name: &str, plan: &manifest::Plan) {
    match plan {
        manifest::Plan::Nothing(outcome) => tell_outcome(notes, name, *outcome),
        manifest::Plan::Apply { creates: true, .. } => {
            notes.ok("target", format!("{name} is not there and would be created"));
        }
        manifest::Plan::Apply { .. } => notes.ok("target", format!("{name} would change")),
        manifest::Plan::Delete(_) => notes.ok("target", format!("{name} would be deleted")),
        manifest::Plan::Refuse(refusal) => tell_refusal(notes, refusal),
    }
}

/// In what a Secret would change, by names only. The data's hash is left out: its key may not be at hand.
fn changes(live: &Secret, next: &Secret) -> Vec<String> {
    let mut changes = differences("key", live.data.as_ref(), next.data.as_ref());
    changes.extend(differences("label", live.metadata.labels.as_ref(), next.metadata.labels.as_ref()));
    let without_hash = |texts: Option<&BTreeMap<String, String>>| {
        let mut texts = texts.cloned().unwrap_or_default();
        texts.remove(annotation::DATA_HASH);
        texts
    };
    let (before, after) =
        (without_hash(live.metadata.annotations.as_ref()), without_hash(next.metadata.annotations.as_ref()));
    changes.extend(differences("annotation", Some(&before), Some(&after)));
    if live.metadata.owner_references != next.metadata.owner_references {
        changes.push("its owner".to_owned());
    }
    if live.immutable != next.immutable {
        changes.push("it becomes immutable".to_owned());
    }
    changes
}

fn differences<V: PartialEq>(
    what: &str,
    live: Option<&BTreeMap<String, V>>,
    next: Option<&BTreeMap<String, V>>,
) -> Vec<String> {
    let empty = BTreeMap::new();
    let (live, next) = (live.unwrap_or(&empty), next.unwrap_or(&empty));
    let added: Vec<_> = next.keys().filter(|key| !live.contains_key(*key)).collect();
    let removed: Vec<_> = live.keys().filter(|key| !next.contains_key(*key)).collect();
    let changed: Vec<_> = next
        .iter()
        .filter(|(key, value)| live.get(*key).is_some_and(|now| now != *value))
        .map(|(key, _)| key)
        .collect();
    let parts = [("added", added), ("removed", removed), ("with another value", changed)];
    let filled = parts.into_iter().filter(|(_, names)| !names.is_empty());
    filled.map(|(how, names)| format!("{} {how}", listed(what, names.into_iter()))).collect()
}

/// `3 keys (a, b, c)`; a long list is cut.
fn listed<'n>(what: &str, names: impl Iterator<Item = &'n String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    let plural = if names.len() == 1 { "" } else { "s" };
    let more = if names.len() > NAMES { ", …" } else { "" };
    match names.len() {
        0 => format!("no {what}s"),
        count => format!("{count} {what}{plural} ({}{more})", names[..count.min(NAMES)].join(", ")),
    }
}

fn preview(rendered: &Rendered) -> Preview {
    Preview {
        kind: rendered.kind.clone(),
        data: rendered.data.iter().map(|(key, value)| (key.clone(), value.len())).collect(),
        labels: rendered.labels.keys().cloned().collect(),
        annotations: rendered.annotations.keys().cloned().collect(),
    }
}

//! One workload: what is known of it is completed, decided about, and carried out.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::Api;
use serde_json::Value;
use strongroom_failure::{Class, Failure};
use strongroom_kube::{EventKind, WriteFailure, merge_patch};
use strongroom_reconcile::Outcome;
use strongroom_restart::{Action, Effect, Hold, Kind, Workload, plan};
use tokio::time::Instant;

use crate::FIELD_MANAGER;
use crate::index::{Known, Look, Name, Topic, Written};
use crate::restarts::{Parts, outcome};
use crate::windows;

/// How often Secrets are read that change while they are read, before others have their turn.
const READS: usize = 3;

/// How soon windows are looked at again, though they open later: somebody may change them meanwhile.
const WINDOWS: Duration = Duration::from_secs(300);

/// Looks after one workload.
pub(crate) async fn reconcile(parts: Arc<Parts>, name: Name) -> Outcome {
    let place = Place { parts: &parts, name: &name };
    parts.end_rollout(&name);
    let ended = round(&parts, &name).await;
    drop(place);
    let rolls = parts.rolling().remaining(&name, Instant::now());
    let ended = ended.map(|next| [next, rolls].into_iter().flatten().min());
    outcome(ended, &name)
}

/// Gives back what was kept for a workload and not used, however its round ends.
struct Place<'a> {
    parts: &'a Parts,
    name: &'a Name,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let next = self.parts.rolling().give_back(self.name);
        self.parts.wake(next, Duration::ZERO);
    }
}

/// When it must be looked at again, though nothing changes.
async fn round(parts: &Parts, name: &Name) -> Result<Option<Duration>, Failure> {
    for _ in 0..READS {
        let known = parts.index().look(name);
        match known {
            Known::Nothing => return Ok(None),
            Known::Settling(rest) => return Ok(Some(rest)),
            Known::Look(look) if look.unread.is_empty() => {
                tell_problems(parts, name, &look.workload);
                let action = plan(&look.workload, look.baseline.as_ref(), &look.tracked, &look.current, &parts.key);
                return act(parts, name, &look, action).await;
            }
            Known::Look(look) => {
                for secret in &look.unread {
                    read(parts, &name.namespace, secret).await?;
                }
            }
        }
    }
    Err(Failure::new(Class::Unavailable, "its Secrets change while they are read"))
}

/// Reads one Secret and keeps its fingerprints; its values are gone when this returns.
async fn read(parts: &Parts, namespace: &str, name: &str) -> Result<(), Failure> {
    let digest = BuildHasherDefault::<DefaultHasher>::default().hash_one((namespace, name));
    let place = usize::try_from(digest).unwrap_or_default() % parts.reads.len();
    let _reading = parts.reads[place].lock().await;
    // Another may have read it while this one waited.
    if !parts.index().is_unread(namespace, name) {
        return Ok(());
    }
    match parts.secrets.read(namespace, name).await? {
        Some(secret) => {
            let fingerprints = parts.key.fingerprints(namespace, name, &secret.data);
            parts.index().learn_secret(&secret.metadata, fingerprints);
        }
        None => parts.index().delete_secret(namespace, name),
    }
    Ok(())
}

async fn act(parts: &Parts, name: &Name, look: &Look, action: Action) -> Result<Option<Duration>, Failure> {
    let workload = &*look.workload;
    match &action {
        Action::Nothing => {
            parts.index().is_news(name, Topic::Restart, None);
            Ok(None)
        }
        Action::Adopt { baseline } if !workload.kind.can_restart() => {
            parts.index().remember(name, baseline.as_deref());
            Ok(None)
        }
        Action::Adopt { .. } => write(parts, name, workload, &action, "adopted").await,
        Action::Hold { hold, .. } => {
            tell_once(parts, name, workload, &action, EventKind::Normal);
            tracing::debug!(workload = %name, reason = hold.reason(), "a restart waits");
            Ok(None)
        }
        Action::Roll { secrets, effect, .. } => {
            if let Some(hold) = held(parts, name, look, secrets, *effect).await? {
                return Ok(wait(parts, name, workload, hold, secrets));
            }
            write(parts, name, workload, &action, "restarted").await
        }
        Action::Report { baseline, .. } => {
            parts.index().remember(name, Some(baseline));
            tell(parts, workload, &action, EventKind::Normal);
            parts.count(workload.kind, "reported");
            Ok(None)
        }
        Action::Refuse => {
            tell_once(parts, name, workload, &action, EventKind::Warning);
            Ok(None)
        }
    }
}

/// Why a restart that is due waits all the same.
async fn held(
    parts: &Parts,
    name: &Name,
    look: &Look,
    secrets: &[String],
    effect: Effect,
) -> Result<Option<Hold>, Failure> {
    if let Some(restarted) = look.restarted {
        let rest = (restarted + parts.settings.restart_pause).saturating_duration_since(Instant::now());
        if rest > Duration::ZERO {
            return Ok(Some(Hold::TooSoon(rest)));
        }
    }
    let sources = parts.index().external_secrets(&name.namespace, secrets);
    for source in sources {
        let hold = windows::closed(&parts.connection.client(), &name.namespace, &source, Timestamp::now()).await?;
        if hold.is_some() {
            return Ok(hold);
        }
    }
    // Nothing rolls by itself where pods are deleted by hand.
    let may_roll = effect == Effect::OnDelete || parts.rolling().enter(name);
    Ok((!may_roll).then_some(Hold::Full))
}

/// How long a restart waits that is held by time or number; who waits for its turn is woken.
fn wait(parts: &Parts, name: &Name, workload: &Workload, hold: Hold, secrets: &[String]) -> Option<Duration> {
    tracing::debug!(workload = %name, reason = hold.reason(), "a restart waits");
    match hold {
        Hold::Closed(rest) => {
            let action = Action::Hold { hold, secrets: secrets.to_vec() };
            tell_once(parts, name, workload, &action, EventKind::Normal);
            // A little later than the opening: times here are to the second.
            Some(rest.map_or(WINDOWS, |rest| rest.min(WINDOWS)) + Duration::from_secs(1))
        }
        Hold::TooSoon(rest) => Some(rest),
        Hold::Full | Hold::Paused | Hold::Missing => None,
    }
}

/// Carries out what is written, and tells of it.
async fn write(
    parts: &Parts,
    name: &Name,
    workload: &Workload,
    action: &Action,
    result: &'static str,
) -> Result<Option<Duration>, Failure> {
    let Some(body) = action.patch(workload) else { return Ok(None) };
    let metadata = match patch(parts, workload, &body).await {
        Ok(metadata) => metadata,
        // It was deleted meanwhile.
        Err(WriteFailure::NotFound) => return Ok(None),
        // The watch tells what it is now, and wakes it.
        Err(WriteFailure::Conflict) => {
            parts.count(workload.kind, "conflict");
            return Ok(Some(Duration::from_secs(1)));
        }
        Err(failure) => {
            parts.count(workload.kind, "failed");
            return Err(failure.into_failure(&format!("restart {name}")));
        }
    };
    let (baseline, mark, effect) = match action {
        Action::Roll { baseline, mark, effect, .. } => (Some(baseline.clone()), Some(mark.clone()), Some(*effect)),
        Action::Adopt { baseline } => (baseline.clone(), None, None),
        Action::Nothing | Action::Hold { .. } | Action::Report { .. } | Action::Refuse => (None, None, None),
    };
    let generation = metadata.generation.unwrap_or_default();
    let written = Written { metadata, baseline, mark, is_restart: effect.is_some() };
    parts.index().learn_write(name, workload, &written);
    if effect == Some(Effect::Now) {
        parts.rolling().begin(name, Instant::now(), generation);
        // Its controller may have been quicker than the answer.
        parts.end_rollout(name);
    }
    parts.count(workload.kind, result);
    if let Action::Roll { secrets, .. } = action {
        tracing::info!(workload = %name, secrets = secrets.join(","), "restarted");
        parts.index().is_news(name, Topic::Restart, None);
        tell(parts, workload, action, EventKind::Normal);
    }
    Ok(None)
}

async fn patch(parts: &Parts, workload: &Workload, body: &Value) -> Result<ObjectMeta, WriteFailure> {
    let (client, namespace, name) = (parts.connection.client(), &*workload.namespace, &*workload.name);
    match workload.kind {
        Kind::Deployment => {
            merge_patch::<Deployment>(&Api::namespaced(client, namespace), name, body, FIELD_MANAGER).await
        }
        Kind::StatefulSet => {
            merge_patch::<StatefulSet>(&Api::namespaced(client, namespace), name, body, FIELD_MANAGER).await
        }
        Kind::DaemonSet => {
            merge_patch::<DaemonSet>(&Api::namespaced(client, namespace), name, body, FIELD_MANAGER).await
        }
        Kind::CronJob | Kind::Job | Kind::Pod => Err(WriteFailure::NotFound),
    }
}

fn tell_problems(parts: &Parts, name: &Name, workload: &Workload) {
    let problems = workload.demand.problems();
    let words = problems.join("; ");
    if parts.index().is_news(name, Topic::Annotations, (!problems.is_empty()).then_some(&words)) {
        parts.recorder.record(&reference(workload), EventKind::Warning, "RestartAnnotationInvalid", &words);
    }
}

/// Tells of what goes on for a while: once, until something else is to be told.
fn tell_once(parts: &Parts, name: &Name, workload: &Workload, action: &Action, kind: EventKind) {
    let words = action.words(workload);
    if parts.index().is_news(name, Topic::Restart, words.as_ref().map(|(_, words)| words.as_str())) {
        tell(parts, workload, action, kind);
    }
}

fn tell(parts: &Parts, workload: &Workload, action: &Action, kind: EventKind) {
    if let Some((reason, words)) = action.words(workload) {
        parts.recorder.record(&reference(workload), kind, reason, &words);
    }
}

fn reference(workload: &Workload) -> ObjectReference {
    let text = |text: &str| Some(text.to_owned());
    ObjectReference {
        api_version: text(workload.kind.api_version()),
        kind: text(workload.kind.as_str()),
        namespace: text(&workload.namespace),
        name: text(&workload.name),
        uid: text(&workload.uid),
        resource_version: text(&workload.resource_version),
        field_path: None,
    }
}

//! What to tell about a synchronisation in the ExternalSecret's status, and whether telling needs a write.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::LocalObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use strongroom_api::external_secrets::vocabulary::{condition, message, reason};
use strongroom_api::external_secrets::{Condition, ExternalSecretStatus};
use strongroom_failure::Failure;

use crate::target::Outcome;

/// The condition that lists what a partial synchronisation is without. Of ours, beside those of External Secrets
/// Operator, and only there while something fails.
pub const PARTIAL: &str = "Partial";

/// The reason of [`PARTIAL`].
pub const KEYS_FAILED: &str = "KeysFailed";

/// How many failures a message tells in full; the others are counted.
const TOLD_LIMIT: usize = 5;

/// Whether a target is a Secret, which the reasons tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetKind {
    /// A Secret.
    Secret,
    /// Another kind (`spec.target.manifest`).
    Resource,
}

/// When `status.refreshTime` moves. Each move is a write to the API server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefreshTime {
    /// When something else in the status, or the target, changes.
    #[default]
    OnChange,
    /// At every success, as External Secrets Operator has it.
    Always,
    /// As `OnChange`, but at the latest after this long.
    Heartbeat(Duration),
}

/// Where a status tells what a partial synchronisation is without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartialIn {
    /// In the condition [`PARTIAL`].
    Condition,
    /// In the message of `Ready`, where the definition allows no condition of ours, as External Secrets Operator's.
    Message,
}

/// How a synchronisation ended.
#[derive(Clone, Debug)]
pub enum Ending<'a> {
    /// Well.
    Success {
        /// How.
        outcome: Outcome,
        /// When it began.
        began: Timestamp,
        /// [`crate::hash::synced_version`] of the ExternalSecret that it saw.
        version: &'a str,
        /// Whether the target was written.
        wrote: bool,
        /// The target's name, where there is one and it is a Secret.
        binding: Option<&'a str>,
        /// What it is without (`strongroom.dev/partial`).
        failed: &'a [Failure],
        /// Where that is told.
        partial_in: PartialIn,
    },
    /// Not well; nothing was written.
    Failure {
        /// The words of External Secrets Operator for where it ended.
        message: &'static str,
        /// The causes; at least one.
        causes: &'a [Failure],
    },
}

/// The status that should be written, `None` where the one that is there says all. `now` is when conditions change.
pub fn next(
    status: &ExternalSecretStatus,
    ending: &Ending<'_>,
    target: TargetKind,
    policy: RefreshTime,
    now: Timestamp,
) -> Option<ExternalSecretStatus> {
    let mut next = status.clone();
    set_condition(&mut next.conditions, ready(ending, target), now);
    if let Ending::Success { began, version, wrote, binding, failed, partial_in, .. } = ending {
        match partial(failed).filter(|_| *partial_in == PartialIn::Condition) {
            Some(condition) => set_condition(&mut next.conditions, condition, now),
            None => next.conditions.retain(|condition| condition.kind != PARTIAL),
        }
        next.synced_resource_version = Some((*version).to_owned());
        if let Some(name) = binding {
            next.binding = Some(LocalObjectReference { name: (*name).to_owned() });
        }
        let last = status.refresh_time.as_ref().map(|time| time.0);
        if *wrote || next != *status || moves(last, policy, *began) {
            next.refresh_time = Some(whole_seconds(*began));
        }
    }
    (next != *status).then_some(next)
}

/// Whether `refreshTime`, which is `last` now, moves though nothing changed.
pub(crate) fn moves(last: Option<Timestamp>, policy: RefreshTime, began: Timestamp) -> bool {
    let Some(last) = last else { return true };
    match policy {
        RefreshTime::OnChange => last > began,
        RefreshTime::Always => true,
        RefreshTime::Heartbeat(limit) => last > began || began.duration_since(last).unsigned_abs() >= limit,
    }
}

/// Kubernetes keeps no parts of a second, and what is compared with it must not have any.
pub(crate) fn whole_seconds(moment: Timestamp) -> Time {
    Time(Timestamp::from_second(moment.as_second()).unwrap_or(moment))
}

/// The condition `Ready`.
pub fn ready(ending: &Ending<'_>, target: TargetKind) -> Condition {
    let is_secret = target == TargetKind::Secret;
    let named = |secret: &'static str, resource: &'static str| if is_secret { secret } else { resource };
    let (status, reason, message) = match ending {
        Ending::Success { outcome, failed, partial_in, .. } => {
            let (reason, message) = match outcome {
                Outcome::Synced if !failed.is_empty() => {
                    let message = match partial_in {
                        PartialIn::Condition => format!("{}, in part: see the condition {PARTIAL}", message::SYNCED),
                        PartialIn::Message => format!("{}, in part: {}", message::SYNCED, told(failed)),
                    };
                    return stating(
                        condition::READY,
                        "True",
                        named(reason::SECRET_SYNCED, reason::RESOURCE_SYNCED),
                        message,
                    );
                }
                Outcome::Synced => (named(reason::SECRET_SYNCED, reason::RESOURCE_SYNCED), message::SYNCED),
                Outcome::Retained => (named(reason::SECRET_SYNCED, reason::RESOURCE_SYNCED), message::RETAINED),
                Outcome::Deleted => (named(reason::SECRET_DELETED, reason::RESOURCE_DELETED), message::DELETED),
                Outcome::Missing => (named(reason::SECRET_MISSING, reason::RESOURCE_MISSING), message::NOT_CREATED),
            };
            ("True", reason, message.to_owned())
        }
        Ending::Failure { message, causes } => {
            let reason = named(reason::SECRET_SYNCED_ERROR, reason::RESOURCE_SYNCED_ERROR);
            ("False", reason, format!("{message}: {}", told(causes)))
        }
    };
    stating(condition::READY, status, reason, message)
}

fn partial(failed: &[Failure]) -> Option<Condition> {
    (!failed.is_empty()).then(|| stating(PARTIAL, "True", KEYS_FAILED, told(failed)))
}

/// A condition of `kind` with these words; [`set_condition`] gives it its time.
pub fn stating(kind: &str, status: &str, reason: &str, message: String) -> Condition {
    Condition {
        kind: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_transition_time: None,
    }
}

/// Failures as people read them: each with its class, and with what to try.
pub fn told(failures: &[Failure]) -> String {
    let mut told: Vec<String> = failures.iter().take(TOLD_LIMIT).map(sentence).collect();
    if failures.len() > TOLD_LIMIT {
        told.push(format!("and {} more", failures.len() - TOLD_LIMIT));
    }
    told.join("; ")
}

fn sentence(failure: &Failure) -> String {
    let reason = failure.class.reason();
    match &failure.hint {
        Some(hint) => format!("{failure} [{reason}] ({hint})"),
        None => format!("{failure} [{reason}]"),
    }
}

/// Puts `condition` in place of the one of its kind. The time of transition moves only when the status changes.
pub fn set_condition(conditions: &mut Vec<Condition>, mut condition: Condition, now: Timestamp) {
    let Some(known) = conditions.iter_mut().find(|known| known.kind == condition.kind) else {
        condition.last_transition_time = Some(whole_seconds(now));
        conditions.push(condition);
        return;
    };
    condition.last_transition_time = match &known.last_transition_time {
        Some(time) if known.status == condition.status => Some(time.clone()),
        _ => Some(whole_seconds(now)),
    };
    *known = condition;
}

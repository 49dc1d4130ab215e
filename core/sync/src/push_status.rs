//! What to tell about a push in the PushSecret's status, and whether telling needs a write.

use jiff::Timestamp;
use strongroom_api::external_secrets::vocabulary::{condition, message, reason};
use strongroom_api::external_secrets::{Condition, PushSecretStatus, SyncedPushSecrets};

use crate::status::{RefreshTime, moves, set_condition, stating, whole_seconds};

/// How a push ended.
#[derive(Clone, Debug)]
pub enum Ending<'a> {
    /// Well.
    Success {
        /// What the stores hold now.
        synced: SyncedPushSecrets,
        /// When it began.
        began: Timestamp,
        /// [`crate::hash::synced_version`] of the PushSecret that it saw.
        version: &'a str,
        /// Whether a store was written to.
        wrote: bool,
        /// Whether what stores had already was left alone (`updatePolicy: IfNotExists`).
        only_if_absent: bool,
    },
    /// The source is gone, and what was pushed from it was deleted.
    SourceDeleted {
        /// What the stores hold still.
        synced: SyncedPushSecrets,
    },
    /// Not well.
    Failure {
        /// Why, in words for people.
        words: String,
        /// What the stores may hold now, where that changed.
        synced: Option<SyncedPushSecrets>,
    },
}

/// The condition `Ready`.
pub fn ready(ending: &Ending<'_>) -> Condition {
    let (status, reason, message) = match ending {
        Ending::Success { only_if_absent: false, .. } => ("True", reason::SYNCED, message::PUSHED.to_owned()),
        Ending::Success { only_if_absent: true, .. } => ("True", reason::SYNCED, message::PUSHED_IF_ABSENT.to_owned()),
        Ending::SourceDeleted { .. } => ("False", reason::SOURCE_DELETED, message::PUSH_SOURCE_DELETED.to_owned()),
        Ending::Failure { words, .. } => ("False", reason::ERRORED, words.clone()),
    };
    stating(condition::READY, status, reason, message)
}

/// The status that should be written, `None` where the one that is there says all. `now` is when conditions change.
pub fn next(
    status: &PushSecretStatus,
    ending: &Ending<'_>,
    policy: RefreshTime,
    now: Timestamp,
) -> Option<PushSecretStatus> {
    let mut next = status.clone();
    set_condition(&mut next.conditions, ready(ending), now);
    match ending {
        Ending::Success { synced, began, version, wrote, .. } => {
            next.synced_push_secrets = synced.clone();
            next.synced_resource_version = Some((*version).to_owned());
            let last = status.refresh_time.as_ref().map(|time| time.0);
            if *wrote || next != *status || moves(last, policy, *began) {
                next.refresh_time = Some(whole_seconds(*began));
            }
        }
        Ending::SourceDeleted { synced } => next.synced_push_secrets = synced.clone(),
        Ending::Failure { synced: Some(synced), .. } => next.synced_push_secrets = synced.clone(),
        Ending::Failure { synced: None, .. } => {}
    }
    (next != *status).then_some(next)
}

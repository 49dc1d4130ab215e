//! The condition `Ready`, which says the real cause.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use strongroom_api::external_secrets::Condition;
use strongroom_api::kamus::{KamusSecret, KamusSecretStatus};
use strongroom_failure::Failure;

/// The condition's type.
pub const READY: &str = "Ready";

/// Its reason where all is well.
pub const SYNCED: &str = "SecretSynced";

/// Where the object itself is wrong.
pub const INVALID: &str = "Invalid";

/// Where nobody vouched for it.
pub const NOT_VERIFIED: &str = "NotVerified";

/// Where a value could not be decrypted.
pub const CANNOT_DECRYPT: &str = "CannotDecrypt";

/// Where the installation's keys cannot be had.
pub const NO_KEYS: &str = "KeysUnavailable";

/// Where the Secret could not be written, or is somebody else's.
pub const CANNOT_WRITE: &str = "CannotWrite";

/// The most characters of a message: API servers take 32 KiB.
const LONGEST: usize = 2_000;

/// What could not be done, in one line: all of it, each cause with its field and what to try.
pub fn words(causes: &[Failure]) -> String {
    let told = causes.iter().map(|failure| match &failure.hint {
        Some(hint) => format!("{failure} ({hint})"),
        None => failure.to_string(),
    });
    let all = told.collect::<Vec<_>>().join("; ");
    if all.chars().count() <= LONGEST {
        return all;
    }
    all.chars().take(LONGEST).chain("…".chars()).collect()
}

/// The status to write; nothing where it says so already. `reason` other than [`SYNCED`] is no success.
pub fn next(object: &KamusSecret, reason: &str, message: &str, now: Timestamp) -> Option<KamusSecretStatus> {
    let generation = object.metadata.generation;
    let before = object.status.as_ref();
    let known = before.and_then(|status| status.conditions.iter().find(|condition| condition.kind == READY));
    let status = if reason == SYNCED { "True" } else { "False" };
    let is_told = known.is_some_and(|known| {
        known.status == status && known.reason.as_deref() == Some(reason) && known.message.as_deref() == Some(message)
    });
    if is_told && before.is_some_and(|before| before.observed_generation == generation) {
        return None;
    }
    let stays = known.filter(|known| known.status == status).and_then(|known| known.last_transition_time.clone());
    let ready = Condition {
        kind: READY.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_transition_time: Some(stays.unwrap_or(Time(Timestamp::from_second(now.as_second()).unwrap_or(now)))),
    };
    let others = before.into_iter().flat_map(|status| status.conditions.iter());
    let others = others.filter(|condition| condition.kind != READY).cloned();
    Some(KamusSecretStatus { conditions: others.chain([ready]).collect(), observed_generation: generation })
}

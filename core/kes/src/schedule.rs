//! Whether an object is ours, and when its store is to be asked.

use std::time::Duration;

use jiff::Timestamp;
use strongroom_api::kes::ExternalSecret;

use crate::Settings;
use crate::status::ERROR;

/// Whether the object is served by the instance that `settings` describe (KE-26): an id on either side must be the
/// other's too. Objects of the oldest form have none and are everybody's.
pub fn is_ours(object: &ExternalSecret, settings: &Settings) -> bool {
    let is_watched = |namespace: &String| settings.namespaces.is_empty() || settings.namespaces.contains(namespace);
    if !object.metadata.namespace.as_ref().is_some_and(is_watched) {
        return false;
    }
    let Some(spec) = &object.spec else { return true };
    let id = |id: &Option<String>| id.clone().unwrap_or_default();
    id(&settings.instance) == id(&spec.controller_id)
}

/// When the store of an object is to be asked next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Now.
    Now,
    /// After this long.
    After(Duration),
    /// Only when the object changes (KE-27).
    OnChange,
}

/// When the store is to be asked, given when this process asked it last with the object as it is now, if it did.
///
/// The status does not tell that: it moves only when something has changed. A generation that it has not seen is due in
/// any case; after a start every polled object is. Objects with the same `beat` (those of one store) fall due together,
/// so that they are read together: once in each interval, at a moment of it that the beat decides.
pub fn due(object: &ExternalSecret, settings: &Settings, asked: Option<Timestamp>, beat: u64, now: Timestamp) -> Due {
    let status = object.status.as_ref();
    let observed = status.and_then(|status| status.observed_generation);
    let is_seen = observed.is_some_and(|observed| observed >= object.metadata.generation.unwrap_or_default());
    // How soon a failure is tried again is the caller's business; without polling, too, it must be.
    let has_failed = status.and_then(|status| status.status.as_ref()).is_some_and(|text| text.starts_with(ERROR));
    match asked {
        _ if !is_seen || has_failed => Due::Now,
        _ if !settings.is_polling => Due::OnChange,
        None => Due::Now,
        // A clock that was set back would have it wait for long.
        Some(asked) if asked > now => Due::Now,
        Some(asked) => match next(asked, settings.interval, beat) - now.as_millisecond() {
            ..=0 => Due::Now,
            rest => Due::After(Duration::from_millis(rest.unsigned_abs())),
        },
    }
}

/// The first beat after `asked`, in milliseconds since 1970.
fn next(asked: Timestamp, interval: Duration, beat: u64) -> i64 {
    let interval = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1);
    let place = i64::try_from(beat % interval.unsigned_abs()).unwrap_or_default();
    ((asked.as_millisecond() - place).div_euclid(interval) + 1).saturating_mul(interval).saturating_add(place)
}

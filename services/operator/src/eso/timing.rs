//! When something is looked at again.

use std::time::Duration;

use jiff::Timestamp;
use strongroom_failure::{Class, Failure};

/// What the CRDs fill in for `refreshInterval`, for objects that a CRD without defaults let through.
pub(super) const DEFAULT_INTERVAL: Duration = Duration::from_secs(3600);

/// The stores' own wish for patience, where one had one.
pub(super) fn retry_after(causes: &[Failure]) -> Option<Duration> {
    let asked = causes.iter().filter_map(|cause| match cause.class {
        Class::Throttled { retry_after } => retry_after,
        _ => None,
    });
    asked.max().map(|asked| asked.min(Duration::from_secs(3600)))
}

/// How long from `now` until `moment`; nothing where it has passed.
pub(super) fn until(now: Timestamp, moment: Timestamp) -> Duration {
    Duration::try_from(moment.duration_since(now)).unwrap_or_default()
}

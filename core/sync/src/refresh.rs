//! Whether it is time to read the values of an ExternalSecret again.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use strongroom_api::external_secrets::RefreshPolicy;
use strongroom_crypto::sha3_224;

use crate::current::Validity;
use crate::windows::Windows;

/// What [`decide`] is told.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// The time.
    pub now: Timestamp,
    /// `spec.refreshPolicy`.
    pub policy: RefreshPolicy,
    /// `spec.refreshInterval`; zero reads once.
    pub interval: Duration,
    /// `spec.syncWindows`.
    pub windows: Option<&'a Windows>,
    /// `status.syncedResourceVersion`; `None` where nothing was ever synchronised.
    pub synced_version: Option<&'a str>,
    /// What it would be now: [`crate::hash::synced_version`].
    pub version: &'a str,
    /// `status.refreshTime`.
    pub refresh_time: Option<Timestamp>,
    /// When this process last read the values with success: `refreshTime` only moves when something changed.
    pub last_success: Option<Timestamp>,
    /// Whether the source said that one of the values changed, and they were not read since.
    pub is_announced: bool,
    /// How the target is: [`crate::current::validity`]. Right after a synchronisation: valid.
    pub target: Validity,
    /// Whether the target, once it exists, never changes (`spec.target.immutable`): nothing needs to be read for it.
    pub immutable: bool,
    /// How what is overdue when the process starts is spread; `None` refreshes it at once.
    pub spread: Option<Spread<'a>>,
}

/// How objects that fell due while no operator ran are spread over time, so that they do not all fall on the stores
/// at once, then and at every interval after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread<'a> {
    /// When the process started to serve.
    pub start: Timestamp,
    /// The longest that an object waits; its interval where that is shorter.
    pub within: Duration,
    /// The object's UID, from which its place follows.
    pub uid: &'a str,
}

/// Whether it is time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// It is.
    Now(Reason),
    /// At this moment, if nothing changes before.
    At(Timestamp),
    /// When the ExternalSecret or its target changes.
    OnChange,
    /// Only when the target is damaged: not even when the ExternalSecret changes.
    OnDamage,
}

/// Why it is time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing was ever synchronised.
    First,
    /// The ExternalSecret changed: its specification, a label or an annotation.
    Changed,
    /// The source said that a value changed.
    Announced,
    /// The interval has passed.
    Due,
    /// The clock says that the last time is yet to come.
    FutureTime,
    /// The target is not what was written.
    Target(Validity),
}

impl Reason {
    /// Whether a person waits for it, so that it goes before what is merely due.
    pub fn is_urgent(self) -> bool {
        !matches!(self, Self::Due | Self::FutureTime)
    }
}

/// Decides as External Secrets Operator does, apart from [`Input::immutable`], [`Input::spread`],
/// [`Input::is_announced`], and that what a window keeps waits for its end.
pub fn decide(input: &Input<'_>) -> Refresh {
    let refresh = by_policy(input);
    match (refresh, input.target) {
        (Refresh::Now(_), _) | (_, Validity::Valid) => refresh,
        (_, damaged) => Refresh::Now(Reason::Target(damaged)),
    }
}

fn by_policy(input: &Input<'_>) -> Refresh {
    let (Some(synced_version), Some(refresh_time)) = (input.synced_version, input.refresh_time) else {
        return never_synced(input);
    };
    let has_changed = synced_version != input.version;
    match input.policy {
        RefreshPolicy::CreatedOnce => Refresh::OnDamage,
        RefreshPolicy::Periodic if input.interval.is_zero() => Refresh::OnDamage,
        RefreshPolicy::Periodic | RefreshPolicy::OnChange if has_changed => Refresh::Now(Reason::Changed),
        RefreshPolicy::OnChange if input.is_announced && !input.immutable => announced(input),
        RefreshPolicy::OnChange => Refresh::OnChange,
        RefreshPolicy::Periodic if input.immutable && input.target == Validity::Valid => Refresh::OnChange,
        RefreshPolicy::Periodic if input.is_announced => announced(input),
        RefreshPolicy::Periodic => periodic(input, refresh_time),
    }
}

/// What was announced is read when a window permits it.
fn announced(input: &Input<'_>) -> Refresh {
    within_windows(input, input.now, Reason::Announced)
}

/// Without `refreshTime` or `syncedResourceVersion` there was no success.
fn never_synced(input: &Input<'_>) -> Refresh {
    let reads_once = input.policy == RefreshPolicy::Periodic && input.interval.is_zero();
    if reads_once && input.synced_version.is_some() {
        return Refresh::OnDamage;
    }
    Refresh::Now(Reason::First)
}

fn periodic(input: &Input<'_>, refresh_time: Timestamp) -> Refresh {
    if refresh_time > input.now && input.last_success.is_none() {
        return Refresh::Now(Reason::FutureTime);
    }
    let last = match input.last_success {
        Some(success) if refresh_time <= input.now => success.max(refresh_time),
        Some(success) => success,
        None => refresh_time,
    };
    // An interval that leads beyond the calendar never ends.
    let Some(due) = SignedDuration::try_from(input.interval).ok().and_then(|interval| last.checked_add(interval).ok())
    else {
        return Refresh::OnChange;
    };
    let due = match input.spread {
        Some(spread) if input.last_success.is_none() && due <= spread.start => {
            spread.start.checked_add(place(spread, input.interval)).unwrap_or(due)
        }
        _ => due,
    };
    within_windows(input, due, Reason::Due)
}

/// At `due`, or at the first moment after it that the windows permit.
fn within_windows(input: &Input<'_>, due: Timestamp, reason: Reason) -> Refresh {
    let Some(windows) = input.windows else {
        return if due <= input.now { Refresh::Now(reason) } else { Refresh::At(due) };
    };
    match windows.next_permitted(due.max(input.now)) {
        Some(moment) if moment <= input.now => Refresh::Now(reason),
        Some(moment) => Refresh::At(moment),
        None => Refresh::OnChange,
    }
}

/// How long after the start an object has its turn: always the same for one object, evenly spread over many.
fn place(spread: Spread<'_>, interval: Duration) -> SignedDuration {
    let within = u64::try_from(spread.within.min(interval).as_millis()).unwrap_or(u64::MAX).max(1);
    let mut beginning = [0; 8];
    beginning.copy_from_slice(&sha3_224(spread.uid.as_bytes())[..8]);
    SignedDuration::from_millis(i64::try_from(u64::from_be_bytes(beginning) % within).unwrap_or(0))
}

//! Windows in which periodic refreshes may happen, or may not.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use strongroom_api::external_secrets::{SyncWindowKind, SyncWindows};
use strongroom_failure::Failure;

use crate::schedule::Schedule;

/// How many windows that follow on one another are looked through for their end. Windows that leave no gap in as many
/// openings leave none: they are looked at again then.
const ROUNDS_LIMIT: usize = 100;

/// When periodic refreshes may happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    kind: SyncWindowKind,
    windows: Vec<(Schedule, SignedDuration)>,
}

impl Windows {
    /// Reads windows, and says which of them are wrong, by field. A wrong window is never open: nothing is read then
    /// that should not be where windows allow, and reading goes on where they deny.
    pub fn parse(wanted: &SyncWindows) -> (Self, Vec<Failure>) {
        let mut windows = Vec::new();
        let mut failures = Vec::new();
        for (index, window) in wanted.windows.iter().enumerate() {
            let read = Schedule::parse(&window.schedule).map_err(|failure| (failure, "schedule"));
            let read = read.and_then(|schedule| match window.duration.duration() {
                Ok(duration) => Ok((schedule, signed(duration))),
                Err(failure) => Err((failure, "duration")),
            });
            match read {
                Ok(window) => windows.push(window),
                Err((failure, field)) => {
                    failures.push(failure.in_field(format!("spec.syncWindows.windows[{index}].{field}")));
                }
            }
        }
        (Self { kind: wanted.kind, windows }, failures)
    }

    /// Whether a periodic refresh may happen at `moment`. A window is open from its beginning to its end, both included.
    pub fn permits(&self, moment: Timestamp) -> bool {
        let is_open = self.windows.iter().any(|window| end_of_open(window, moment).is_some());
        match self.kind {
            SyncWindowKind::Allow => is_open,
            SyncWindowKind::Deny => !is_open,
        }
    }

    /// The first moment, not before `from`, at which a periodic refresh may happen; `None` where there is none in
    /// sight.
    pub fn next_permitted(&self, from: Timestamp) -> Option<Timestamp> {
        if self.permits(from) {
            return Some(from);
        }
        match self.kind {
            SyncWindowKind::Allow => self.windows.iter().filter_map(|(schedule, _)| schedule.next_after(from)).min(),
            SyncWindowKind::Deny => {
                let mut moment = from;
                for _ in 0..ROUNDS_LIMIT {
                    let ends = self.windows.iter().filter_map(|window| end_of_open(window, moment));
                    let Some(end) = ends.max() else { break };
                    moment = end.checked_add(SignedDuration::from_secs(1)).ok()?;
                }
                Some(moment)
            }
        }
    }
}

/// The end of the window that is open at `moment`, the latest one where a window opens again before it closes.
fn end_of_open((schedule, duration): &(Schedule, SignedDuration), moment: Timestamp) -> Option<Timestamp> {
    let just_before = moment.checked_sub(*duration).ok()?.checked_sub(SignedDuration::from_nanos(1)).ok()?;
    let opened = schedule.next_after(just_before).filter(|opened| *opened <= moment)?;
    opened.checked_add(*duration).ok()
}

/// A Go duration has at most 292 years, which is less than jiff's.
fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use strongroom_api::GoDuration;
    use strongroom_api::external_secrets::SyncWindow;

    use super::*;

    fn windows(kind: SyncWindowKind, windows: &[(&str, &str)]) -> (Windows, Vec<Failure>) {
        let window = |(schedule, duration): &(&str, &str)| SyncWindow {
            schedule: (*schedule).to_owned(),
            duration: GoDuration::from(*duration),
        };
        Windows::parse(&SyncWindows { kind, windows: windows.iter().map(window).collect() })
    }

    #[test]
    fn a_window_is_open_from_its_beginning_to_its_end() {
        let check = |moment: &str, expected: bool| {
            let moment = moment.parse().unwrap();
            let nightly = [("0 22 * * *", "2h")];
            assert_eq!(windows(SyncWindowKind::Allow, &nightly).0.permits(moment), expected, "{moment}");
            assert_eq!(windows(SyncWindowKind::Deny, &nightly).0.permits(moment), !expected, "{moment}");
        };
        check("2026-06-01T21:00:00Z", false);
        check("2026-06-01T22:00:00Z", true);
        check("2026-06-01T22:30:00Z", true);
        check("2026-06-02T00:00:00Z", true);
        check("2026-06-02T00:00:01Z", false);
        check("2026-06-02T03:00:00Z", false);
        check("2026-06-02T22:30:00Z", true);
    }

    #[test]
    fn the_next_moment_is_the_next_opening_or_the_end_of_what_denies() {
        let check = |kind, list: &[(&str, &str)], from: &str, expected: Option<&str>| {
            let next = windows(kind, list).0.next_permitted(from.parse().unwrap());
            assert_eq!(next.map(|next| next.to_string()).as_deref(), expected, "{list:?} {from}");
        };
        let (allow, deny) = (SyncWindowKind::Allow, SyncWindowKind::Deny);
        let list = [("0 22 * * *", "2h"), ("0 3 * * *", "1h")];
        check(allow, &list, "2026-06-01T20:00:00Z", Some("2026-06-01T22:00:00Z"));
        check(allow, &list, "2026-06-01T23:00:00Z", Some("2026-06-01T23:00:00Z"));
        check(allow, &list, "2026-06-02T00:30:00Z", Some("2026-06-02T03:00:00Z"));
        check(allow, &[("0 0 30 2 *", "1h")], "2026-06-02T00:30:00Z", None);
        check(deny, &list, "2026-06-01T20:00:00Z", Some("2026-06-01T20:00:00Z"));
        check(deny, &list, "2026-06-01T23:00:00Z", Some("2026-06-02T00:00:01Z"));
        // Windows that follow on one another end with the last of them.
        check(deny, &[("0 1 * * *", "1h"), ("0 2 * * *", "1h")], "2026-06-01T01:30:00Z", Some("2026-06-01T03:00:01Z"));
    }

    #[test]
    fn a_wrong_window_is_never_open_and_is_named() {
        let moment = "2026-06-01T23:00:00Z".parse().unwrap();
        let (allow, failures) = windows(SyncWindowKind::Allow, &[("not-a-cron", "2h"), ("@daily", "long")]);
        assert!(!allow.permits(moment));
        let fields: Vec<_> = failures.iter().filter_map(|failure| failure.subject.field.as_deref()).collect();
        assert_eq!(fields, ["spec.syncWindows.windows[0].schedule", "spec.syncWindows.windows[1].duration"]);
        assert!(windows(SyncWindowKind::Deny, &[("not-a-cron", "2h")]).0.permits(moment));
        let (mixed, _) = windows(SyncWindowKind::Allow, &[("not-a-cron", "2h"), ("0 22 * * *", "2h")]);
        assert!(mixed.permits(moment));
    }
}

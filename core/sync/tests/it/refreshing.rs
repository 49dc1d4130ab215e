//! When values are read again.

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use strongroom_api::external_secrets::{RefreshPolicy, SyncWindow, SyncWindowKind, SyncWindows};
use strongroom_sync::current::Validity;
use strongroom_sync::refresh::{Input, Reason, Refresh, Spread, decide};
use strongroom_sync::schedule::Schedule;
use strongroom_sync::windows::Windows;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Synchronised at 10:00, every hour, looked at at 10:30.
fn input() -> Input<'static> {
    Input {
        now: at("2026-06-01T10:30:00Z"),
        policy: RefreshPolicy::Periodic,
        interval: Duration::from_secs(3600),
        windows: None,
        synced_version: Some("1-a"),
        version: "1-a",
        refresh_time: Some(at("2026-06-01T10:00:00Z")),
        last_success: None,
        is_announced: false,
        target: Validity::Valid,
        immutable: false,
        spread: None,
    }
}

#[test]
fn each_policy_has_its_time() {
    use RefreshPolicy::{CreatedOnce, OnChange, Periodic};
    let check = |change: &dyn Fn(&mut Input<'static>), expected: [Refresh; 3]| {
        for (policy, expected) in [Periodic, OnChange, CreatedOnce].into_iter().zip(expected) {
            let mut input = Input { policy, ..input() };
            change(&mut input);
            assert_eq!(decide(&input), expected, "{input:?}");
        }
    };
    let now = |reason| Refresh::Now(reason);
    let all = |refresh| [refresh, refresh, refresh];
    let later = Refresh::At(at("2026-06-01T11:00:00Z"));
    let (change, damage) = (Refresh::OnChange, Refresh::OnDamage);
    check(&|_| (), [later, change, damage]);
    check(&|input| input.synced_version = None, all(now(Reason::First)));
    check(&|input| input.refresh_time = None, all(now(Reason::First)));
    check(&|input| input.version = "2-a", [now(Reason::Changed), now(Reason::Changed), damage]);
    check(&|input| input.now = at("2026-06-01T11:00:00Z"), [now(Reason::Due), change, damage]);
    check(&|input| input.now = at("2026-06-01T09:59:59Z"), [now(Reason::FutureTime), change, damage]);
    let drifted = now(Reason::Target(Validity::Drifted));
    check(&|input| input.target = Validity::Drifted, all(drifted));
    check(&|input| input.immutable = true, [change, change, damage]);
    // refreshInterval: 0 reads once, and a change of the ExternalSecret does not count; OnChange knows no interval.
    check(&|input| input.interval = Duration::ZERO, [damage, change, damage]);
    check(&|input| (input.interval, input.version) = (Duration::ZERO, "2-a"), [damage, now(Reason::Changed), damage]);
    check(&|input| (input.interval, input.synced_version) = (Duration::ZERO, None), all(now(Reason::First)));
    check(&|input| (input.interval, input.target) = (Duration::ZERO, Validity::Drifted), all(drifted));
    check(&|input| input.interval = Duration::MAX, [change, change, damage]);
    let announced = now(Reason::Announced);
    check(&|input| input.is_announced = true, [announced, announced, damage]);
    check(&|input| (input.is_announced, input.immutable) = (true, true), [change, change, damage]);
    check(&|input| (input.is_announced, input.interval) = (true, Duration::ZERO), [damage, announced, damage]);
}

#[test]
fn a_success_that_wrote_nothing_counts_though_refresh_time_stands() {
    let mut input = input();
    input.now = at("2026-06-01T15:00:00Z");
    input.last_success = Some(at("2026-06-01T14:30:00Z"));
    assert_eq!(decide(&input), Refresh::At(at("2026-06-01T15:30:00Z")));
    // Also where the clock of who wrote refreshTime was ahead.
    input.refresh_time = Some(at("2026-06-02T00:00:00Z"));
    assert_eq!(decide(&input), Refresh::At(at("2026-06-01T15:30:00Z")));
}

#[test]
fn windows_hold_back_what_is_due_and_nothing_else() {
    let windows = |kind| {
        let nightly = SyncWindow { schedule: "0 22 * * *".to_owned(), duration: "2h".into() };
        Windows::parse(&SyncWindows { kind, windows: vec![nightly] }).0
    };
    let (allow, deny) = (windows(SyncWindowKind::Allow), windows(SyncWindowKind::Deny));
    let check = |windows: &Windows, now: &str, change: &dyn Fn(&mut Input<'_>), expected: Refresh| {
        let mut input = Input { now: at(now), windows: Some(windows), ..input() };
        change(&mut input);
        assert_eq!(decide(&input), expected, "{now}");
    };
    check(&allow, "2026-06-01T12:00:00Z", &|_| (), Refresh::At(at("2026-06-01T22:00:00Z")));
    check(&allow, "2026-06-01T10:30:00Z", &|_| (), Refresh::At(at("2026-06-01T22:00:00Z")));
    check(&allow, "2026-06-01T22:30:00Z", &|_| (), Refresh::Now(Reason::Due));
    check(&deny, "2026-06-01T22:30:00Z", &|_| (), Refresh::At(at("2026-06-02T00:00:01Z")));
    check(&deny, "2026-06-01T12:00:00Z", &|_| (), Refresh::Now(Reason::Due));
    check(&allow, "2026-06-01T12:00:00Z", &|input| input.version = "2-a", Refresh::Now(Reason::Changed));
    check(&allow, "2026-06-01T12:00:00Z", &|input| input.synced_version = None, Refresh::Now(Reason::First));
    let missing = Refresh::Now(Reason::Target(Validity::Missing));
    check(&allow, "2026-06-01T12:00:00Z", &|input| input.target = Validity::Missing, missing);
    check(&allow, "2026-06-01T12:00:00Z", &|input| input.policy = RefreshPolicy::OnChange, Refresh::OnChange);
    let announced = |input: &mut Input<'_>| input.is_announced = true;
    check(&allow, "2026-06-01T12:00:00Z", &announced, Refresh::At(at("2026-06-01T22:00:00Z")));
    check(&allow, "2026-06-01T22:30:00Z", &announced, Refresh::Now(Reason::Announced));
}

#[test]
fn what_a_person_waits_for_is_urgent() {
    let check = |reason: Reason, expected: bool| assert_eq!(reason.is_urgent(), expected, "{reason:?}");
    check(Reason::First, true);
    check(Reason::Changed, true);
    check(Reason::Target(Validity::Missing), true);
    check(Reason::Announced, true);
    check(Reason::Due, false);
    check(Reason::FutureTime, false);
}

#[test]
fn what_is_overdue_at_the_start_is_spread_evenly() {
    let start = at("2026-06-02T00:00:00Z");
    let mut tenths = [0; 10];
    for number in 0..1000 {
        let uid = format!("4f1c8a52-0000-0000-0000-{number:012}");
        let spread = Spread { start, within: Duration::from_secs(100), uid: &uid };
        let Refresh::At(moment) = decide(&Input { now: start, spread: Some(spread), ..input() }) else {
            continue;
        };
        let seconds = moment.duration_since(start).as_secs();
        tenths[usize::try_from(seconds / 10).unwrap()] += 1;
        let then = Input { now: moment, spread: Some(spread), ..input() };
        assert_eq!(decide(&then), Refresh::Now(Reason::Due));
    }
    assert!(tenths.iter().all(|count| (60..140).contains(count)), "{tenths:?}");
}

proptest! {
    #[test]
    fn schedules_only_go_forward(text in "(@every )?[0-9*/,@a-z -]{0,20}", seconds in 0_i64..4_000_000_000) {
        let after = Timestamp::from_second(seconds).unwrap();
        if let Ok(schedule) = Schedule::parse(&text)
            && let Some(next) = schedule.next_after(after)
        {
            prop_assert!(next > after);
        }
    }

    #[test]
    fn a_schedule_is_read_back_from_its_moments(
        minute in 0..60, hour in 0..24, day in 1..29, month in 1..13, seconds in 0_i64..4_000_000_000,
    ) {
        let schedule = Schedule::parse(&format!("{minute} {hour} {day} {month} *")).unwrap();
        let after = Timestamp::from_second(seconds).unwrap();
        let next = schedule.next_after(after).unwrap();
        let expected = format!("-{month:02}-{day:02}T{hour:02}:{minute:02}:00Z");
        prop_assert!(next.to_string().ends_with(&expected), "{}", next);
        prop_assert!(next.duration_since(after).as_hours() <= 366 * 24);
    }

    #[test]
    fn nobody_waits_longer_than_its_interval_or_the_spread(
        uid in "[0-9a-f]{8}", within in 0_u64..10_000, interval in 1_u64..10_000, past in 0_u64..10_000,
    ) {
        let start = at("2026-06-02T00:00:00Z");
        let spread = Spread { start, within: Duration::from_secs(within), uid: &uid };
        let interval = Duration::from_secs(interval);
        let refresh_time = Some(start.checked_sub(Duration::from_secs(past)).unwrap());
        let input = Input { now: start, interval, refresh_time, spread: Some(spread), ..input() };
        match decide(&input) {
            Refresh::Now(_) => {}
            Refresh::At(moment) => prop_assert!(moment.duration_since(start).unsigned_abs() <= interval),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}

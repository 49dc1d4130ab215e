//! Rounds against a scripted store, on a paused clock.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod store;

use std::time::Duration;

use strongroom_failure::Class;
use strongroom_renew::{Pace, Renewal};
use tokio::time::Instant;

use crate::store::{DEADLINE, Store, next, shown};

const HOUR: Duration = Duration::from_secs(3600);

const LENT: &str = "sr://fake/lent-a#user";
const STAYS: &str = "sr://fake/stays#user";

#[tokio::test(start_paused = true)]
async fn the_first_round_is_due_at_once_and_the_next_after_the_refresh() {
    let store = Store::lending(60, true);
    let mut renewal = store.renewal(&[STAYS, "sr://fake/other#user"], Pace::default());
    for round in 1..=20 {
        let began = Instant::now();
        assert_eq!(next(&mut renewal).await, [format!("stays-{round}"), format!("other-{round}")]);
        let paused = began.elapsed().as_secs_f64();
        assert!(if round == 1 { paused < 1.0 } else { (269.9..330.1).contains(&paused) }, "{round}: {paused}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_lent_is_renewed_in_time_and_stays_the_same() {
    let store = Store::lending(60, true);
    let mut renewal = store.renewal(&[LENT, STAYS], Pace::default());
    let began = Instant::now();
    while began.elapsed() < HOUR {
        let answers = next(&mut renewal).await;
        assert_eq!(answers[0], "lent-a-1");
        assert!(store.lends("lent-a", 1));
    }
    assert_eq!(store.reads("lent-a"), 1);
    assert!((90..110).contains(&store.renewals()), "{}", store.renewals());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_renewed_is_replaced_while_it_lives() {
    for (is_renewable, renews) in [
        (false, Ok(Duration::from_secs(60))),
        (true, Err(Class::Invalid)),
        (true, Err(Class::Denied)),
        // Less than half: the longest that the store lends for is near.
        (true, Ok(Duration::from_secs(29))),
    ] {
        let store = Store::lending(60, is_renewable);
        store.set(|state| state.renews = renews);
        let mut renewal = store.renewal(&[LENT], Pace::default());
        for count in 1..=10 {
            assert!(count == 1 || store.lends("lent-a", count - 1));
            let began = Instant::now();
            assert_eq!(next(&mut renewal).await, [format!("lent-a-{count}")], "{is_renewable} {renews:?}");
            assert!(count == 1 || (35..41).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
            assert!(
                count == 1 || store.lends("lent-a", count - 1),
                "{is_renewable} {renews:?}: it is replaced too late"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_an_hour_keeps_what_is_lent_for_longer_and_fails_the_rest() {
    let store = Store::lending(3 * 3600, true);
    let mut renewal = store.renewal(&[LENT, STAYS, "sr://fake/stays?default=b&optional#user"], Pace::default());
    assert_eq!(next(&mut renewal).await, ["lent-a-1", "stays-1", "stays-1"]);
    store.set(|state| state.down = Some(Class::Unavailable));
    let (began, mut rounds) = (Instant::now(), 0);
    while began.elapsed() < HOUR {
        assert_eq!(next(&mut renewal).await, ["lent-a-1", "Unavailable", "Unavailable"]);
        rounds += 1;
        assert!(renewal.due() - Instant::now() <= Duration::from_secs(60));
    }
    assert!((50..150).contains(&rounds), "{rounds}");
    store.set(|state| state.down = None);
    assert_eq!(next(&mut renewal).await, ["lent-a-1", "stays-2", "stays-2"]);
    assert!(renewal.due() - Instant::now() >= Duration::from_secs(269), "an outage that is over leaves no haste");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ends_in_an_outage_is_over_and_comes_back_after_it() {
    let store = Store::lending(60, true);
    let mut renewal = store.renewal(&[LENT], Pace::default());
    let asked = Instant::now();
    assert_eq!(next(&mut renewal).await, ["lent-a-1"]);
    store.set(|state| state.down = Some(Class::Unavailable));
    while asked.elapsed() < HOUR {
        check_end(&mut renewal, asked, "Unavailable").await;
        tokio::time::sleep_until(renewal.due()).await;
    }
    store.set(|state| state.down = None);
    let before = Instant::now();
    assert_eq!(next(&mut renewal).await, ["lent-a-2"]);
    assert!(before.elapsed() <= Duration::from_secs(61));
}

#[tokio::test(start_paused = true)]
async fn an_identity_that_is_refused_for_now_costs_no_lease() {
    let store = Store::lending(600, true);
    let mut renewal = store.renewal(&[LENT], Pace::default());
    next(&mut renewal).await;
    store.set(|state| state.down = Some(Class::Unauthenticated));
    tokio::time::sleep(Duration::from_secs(450)).await;
    assert_eq!(next(&mut renewal).await, ["lent-a-1"]);
    assert!(renewal.due() - Instant::now() <= Duration::from_secs(1), "it is tried again soon");
    store.set(|state| state.down = None);
    assert_eq!(next(&mut renewal).await, ["lent-a-1"]);
    assert_eq!((store.reads("lent-a"), store.renewals()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_can_be_neither_renewed_nor_replaced_is_used_up() {
    let store = Store::lending(60, true);
    let mut renewal = store.renewal(&[LENT], Pace::default());
    let asked = Instant::now();
    next(&mut renewal).await;
    store.set(|state| state.renews = Err(Class::Invalid));
    store.fail("lent-a", Some(Class::Denied));
    while asked.elapsed() < Duration::from_secs(300) {
        tokio::time::sleep_until(renewal.due()).await;
        check_end(&mut renewal, asked, "AccessDenied").await;
    }
}

/// A round answers with what was lent for a minute when it was `asked` for, and with `reason` once that is over, which
/// may happen during the round.
async fn check_end(renewal: &mut Renewal, asked: Instant, reason: &str) {
    let is_lent = || asked.elapsed() < Duration::from_secs(60);
    let before = is_lent();
    let answers = shown(&renewal.round(DEADLINE).await);
    let is_right = |lent: bool| answers == [if lent { "lent-a-1" } else { reason }];
    assert!(is_right(before) || is_right(is_lent()), "{answers:?} after {:?}", asked.elapsed());
}

#[tokio::test(start_paused = true)]
async fn references_to_one_key_share_its_lease() {
    let store = Store::lending(60, false);
    let references =
        ["sr://fake/lent-a#user", "sr://fake/lent-a#password", "sr://fake/lent-b#user", "sr://fake/lent-a"];
    let mut renewal = store.renewal(&references, Pace::default());
    for round in 1..=3 {
        let whole = format!(r#"{{"user":"lent-a-{round}","password":"canary-{round}"}}"#);
        let expected = [format!("lent-a-{round}"), format!("canary-{round}"), format!("lent-b-{round}"), whole];
        // Both leases are seen to a little apart.
        let mut answers = next(&mut renewal).await;
        while answers != expected && store.reads("lent-a").min(store.reads("lent-b")) < round {
            assert_eq!(answers[0].rsplit('-').next(), answers[1].rsplit('-').next(), "user and password of one lease");
            answers = next(&mut renewal).await;
        }
        assert_eq!(answers, expected);
    }
    assert_eq!((store.reads("lent-a"), store.reads("lent-b")), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_after_it_was_delivered_is_not_found_until_it_comes_back() {
    let store = Store::lending(60, true);
    let references = [STAYS, "sr://fake/gone#user", "sr://fake/gone?optional#user", "sr://fake/gone?default=b#user"];
    let mut renewal = store.renewal(&references, Pace::default());
    assert_eq!(next(&mut renewal).await, ["stays-1", "gone-1", "gone-1", "gone-1"]);
    store.fail("gone", Some(Class::NotFound));
    assert_eq!(next(&mut renewal).await, ["stays-2", "NotFound", "-", "b"]);
    assert!(renewal.due() - Instant::now() <= Duration::from_secs(1));
    store.fail("gone", None);
    assert_eq!(next(&mut renewal).await, ["stays-3", "gone-2", "gone-2", "gone-2"]);
    // Absence that is provided for is no failure.
    let mut calm = store.renewal(&["sr://fake/none?optional", "sr://fake/none?default=b"], Pace::default());
    store.fail("none", Some(Class::NotFound));
    assert_eq!(next(&mut calm).await, ["-", "b"]);
    assert!(calm.due() - Instant::now() >= Duration::from_secs(269));
}

#[tokio::test(start_paused = true)]
async fn haste_reads_now_and_finds_leases_that_were_revoked() {
    let store = Store::lending(3600, true);
    let mut renewal = store.renewal(&[LENT, STAYS], Pace::default());
    assert_eq!(next(&mut renewal).await, ["lent-a-1", "stays-1"]);
    renewal.hasten();
    assert_eq!(renewal.due(), Instant::now());
    assert_eq!(next(&mut renewal).await, ["lent-a-1", "stays-2"]);
    assert_eq!((store.reads("lent-a"), store.renewals()), (1, 1));
    store.set(|state| state.leases.clear());
    renewal.hasten();
    assert_eq!(next(&mut renewal).await, ["lent-a-2", "stays-3"]);
}

#[tokio::test(start_paused = true)]
async fn haste_leaves_what_cannot_be_renewed_as_it_is() {
    let store = Store::lending(3600, false);
    let mut renewal = store.renewal(&[LENT], Pace::default());
    for _ in 0..3 {
        renewal.hasten();
        assert_eq!(next(&mut renewal).await, ["lent-a-1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_round_ends_at_its_deadline_with_what_was_answered() {
    let store = Store::lending(60, true);
    store.set(|state| state.hangs = Some("stays".to_owned()));
    let mut renewal = store.renewal(&[LENT, STAYS], Pace::default());
    let began = Instant::now();
    assert_eq!(shown(&renewal.round(Duration::from_secs(5)).await), ["lent-a-1", "Unavailable"]);
    assert_eq!(began.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_round_that_is_dropped_is_made_up_for() {
    let store = Store::lending(60, true);
    let mut renewal = store.renewal(&[LENT, STAYS], Pace::default());
    next(&mut renewal).await;
    tokio::time::sleep_until(renewal.due()).await;
    let dropped = tokio::time::timeout(Duration::from_millis(10), renewal.round(DEADLINE)).await;
    assert!(dropped.is_err() && renewal.due() <= Instant::now());
    assert_eq!(next(&mut renewal).await, ["lent-a-1", "stays-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_shorter_than_the_first_pause_does_not_make_it_spin() {
    let store = Store::lending(1, true);
    let mut renewal = store.renewal(&[LENT], Pace::default());
    for _ in 0..10 {
        let began = Instant::now();
        next(&mut renewal).await;
        assert!(renewal.due() - began >= Duration::from_secs(1));
    }
    // Without an end of its own it is read like all others.
    let store = Store::lending(0, true);
    let mut renewal = store.renewal(&[LENT], Pace::default());
    next(&mut renewal).await;
    assert!(renewal.due() - Instant::now() >= Duration::from_secs(269));
}

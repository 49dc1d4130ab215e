//! Faults between us and Google.

use std::time::{Duration, Instant};

use strongroom_failure::Class;
use strongroom_google::{Settings, Timeouts};
use strongroom_provider::Outcome;
use world::google::GoogleStandIn;
use world::switchboard::{Fault, Line, Switchboard};

use crate::{CANARY, check_failure, failure, open, open_metered, read, read_one, settings, text};

/// A stand-in with one secret, `db`, and a switchboard before its Secret Manager (tokens go around it).
fn behind_switchboard() -> (GoogleStandIn, Switchboard, Settings) {
    let google = GoogleStandIn::start().unwrap();
    google.put(google.project(), "db", CANARY.as_bytes());
    let board = Switchboard::with_tls(google.host_port(), google.authority()).unwrap();
    let settings = Settings { endpoint: Some(board.address().to_owned()), ..settings(&google) };
    (google, board, settings)
}

#[tokio::test]
async fn throttling_is_told_with_its_patience_and_never_retried_here() {
    let (_google, board, settings) = behind_switchboard();
    let (store, meter) = open_metered(settings);
    let wait = |seconds: Option<f64>| Class::Throttled { retry_after: seconds.map(Duration::from_secs_f64) };
    board.add(Fault::throttle(Some(7)));
    check_failure(&read_one(&store, "db").await, wait(Some(7.0)), "Google asks for patience");
    board.clear();
    board.add(Fault::throttle(None));
    check_failure(&read_one(&store, "db").await, wait(None), "Google asks for patience: HTTP 429");
    board.clear();
    let body = r#"{"error":{"code":429,"message":"Quota exceeded for quota metric 'Access'.","status":"RESOURCE_EXHAUSTED",
        "details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"2.5s"}]}}"#;
    board.add(Fault::answer(429, &[], body));
    check_failure(&read_one(&store, "db").await, wait(Some(2.5)), "RESOURCE_EXHAUSTED: Quota exceeded");
    assert_eq!(board.counts().requests, 3);
    assert!(meter.counts().contains(&("secretmanager.versions.access", Outcome::Failed, 3)));
    board.clear();
    assert_eq!(text(&read_one(&store, "db").await), CANARY);
}

#[tokio::test]
async fn broken_answers_are_unavailable() {
    let (_google, board, settings) = behind_switchboard();
    let store = open(settings);
    let faults = [
        (Fault::cut_body(), "before its answer was whole"),
        (Fault::hangup(), "before its answer was whole"),
        (Fault::answer(503, &[], r#"{"error":{"status":"UNAVAILABLE","message":"later"}}"#), "UNAVAILABLE: later"),
        (Fault::answer(502, &[], "<html>canary-9d41</html>"), "Google could not answer: HTTP 502"),
        (Fault::answer(200, &[], "<html>canary-9d41</html>"), "not what Google Secret Manager sends"),
        (Fault::answer(200, &[], r#"{"payload":{"data":"canary-9d41"}}"#), "not base64"),
    ];
    for (fault, words) in faults {
        board.clear();
        board.add(fault);
        check_failure(&read_one(&store, "db").await, Class::Unavailable, words);
    }
    board.clear();
    board.add(Fault::answer(200, &[], &"x".repeat(200_000)));
    check_failure(&read_one(&store, "db").await, Class::Invalid, "larger than the limit");
    board.clear();
    board.set_line(Line::Refused).unwrap();
    assert_eq!(failure(&read_one(&store, "db").await).class, Class::Unavailable);
    board.set_line(Line::Open).unwrap();
    assert_eq!(text(&read_one(&store, "db").await), CANARY);
}

#[tokio::test]
async fn slow_answers_are_waited_for_side_by_side_and_not_forever() {
    let (_google, board, settings) = behind_switchboard();
    let timeouts = Timeouts { connect: Duration::from_secs(2), call: Duration::from_secs(3) };
    let store = open(Settings { timeouts, ..settings });
    assert_eq!(text(&read_one(&store, "db").await), CANARY);
    board.reset_counts();
    board.add(Fault::delay(Duration::from_millis(300)));
    let answers = read(&store, &["db"; 16]).await;
    assert!(answers.iter().all(|answer| text(answer) == CANARY));
    assert!(board.counts().in_flight_peak >= 8, "{:?}", board.counts());
    for half_dead in [Fault::silence(), Fault::delay(Duration::from_secs(60))] {
        board.clear();
        board.add(half_dead);
        let start = Instant::now();
        check_failure(&read_one(&store, "db").await, Class::Unavailable, "");
        assert!(start.elapsed() < Duration::from_secs(10));
    }
    board.clear();
    board.set_line(Line::HalfOpen).unwrap();
    let start = Instant::now();
    check_failure(&read_one(&store, "db").await, Class::Unavailable, "");
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn an_expired_token_is_replaced_once_for_all() {
    let (google, _board, settings) = behind_switchboard();
    let store = open(settings);
    assert_eq!(text(&read_one(&store, "db").await), CANARY);
    assert_eq!(google.tokens_issued(), 1);
    google.expire_tokens();
    let answers = read(&store, &["db"; 20]).await;
    assert!(answers.iter().all(|answer| text(answer) == CANARY));
    assert_eq!(google.tokens_issued(), 2);
    assert_eq!(text(&read_one(&store, "db").await), CANARY);
    assert_eq!(google.tokens_issued(), 2);
}

#[tokio::test]
async fn a_token_that_is_never_accepted_is_asked_for_no_more_than_twice() {
    let (google, board, settings) = behind_switchboard();
    let store = open(settings);
    board.add(Fault::answer(401, &[], r#"{"error":{"status":"UNAUTHENTICATED","message":"invalid credentials"}}"#));
    let answer = read_one(&store, "db").await;
    check_failure(&answer, Class::Unauthenticated, "the access token is refused: UNAUTHENTICATED: invalid credentials");
    assert_eq!((board.counts().requests, google.tokens_issued()), (2, 2));
}

//! Faults between us and a vault.

use std::time::{Duration, Instant};

use strongroom_azure::{Settings, Timeouts};
use strongroom_failure::Class;
use strongroom_provider::Outcome;
use world::azure::AzureStandIn;
use world::switchboard::{Fault, Line, Switchboard};

use crate::{CANARY, check_failure, failure, open, open_metered, read, read_one, settings, text};

/// A stand-in with one secret, `db`, and a switchboard before its vault (the login goes around it).
fn behind_switchboard() -> (AzureStandIn, Switchboard, Settings) {
    let azure = AzureStandIn::start().unwrap();
    azure.put_secret("db", CANARY);
    let board = Switchboard::with_tls(azure.host_port(), azure.authority()).unwrap();
    let settings = Settings { vault_url: board.address().to_owned(), ..settings(&azure) };
    (azure, board, settings)
}

#[tokio::test]
async fn throttling_is_told_with_its_patience_and_never_retried_here() {
    let (_azure, board, settings) = behind_switchboard();
    let (store, meter) = open_metered(settings);
    assert_eq!(text(&read_one(&store, "db").await), CANARY);
    board.reset_counts();
    let wait = |seconds: Option<u64>| Class::Throttled { retry_after: seconds.map(Duration::from_secs) };
    board.add(Fault::throttle(Some(7)));
    check_failure(&read_one(&store, "db").await, wait(Some(7)), "Azure Key Vault asks for patience");
    board.clear();
    let body = r#"{"error":{"code":"Throttled","message":"Request was not processed because too many requests."}}"#;
    board.add(Fault::answer(429, &[], body));
    check_failure(&read_one(&store, "db").await, wait(None), "Throttled: Request was not processed");
    assert_eq!(board.counts().requests, 2);
    assert!(meter.counts().contains(&("keyvault:GetSecret", Outcome::Failed, 2)));
    board.clear();
    assert_eq!(text(&read_one(&store, "db").await), CANARY);
}

#[tokio::test]
async fn broken_answers_are_unavailable() {
    let (_azure, board, settings) = behind_switchboard();
    let store = open(settings);
    assert_eq!(text(&read_one(&store, "db").await), CANARY);
    let faults = [
        (Fault::cut_body(), "before its answer was whole"),
        (Fault::hangup(), "before its answer was whole"),
        (Fault::answer(503, &[], r#"{"error":{"code":"ServiceUnavailable","message":"later"}}"#), "later"),
        (Fault::answer(502, &[], "<html>canary-9d41</html>"), "Azure Key Vault could not answer: HTTP 502"),
        (Fault::answer(200, &[], "<html>canary-9d41</html>"), "not what Azure Key Vault sends"),
        (Fault::answer(200, &[], r#"{"value":["canary-9d41"]}"#), "not what Azure Key Vault sends"),
    ];
    for (fault, words) in faults {
        board.clear();
        board.add(fault);
        check_failure(&read_one(&store, "db").await, Class::Unavailable, words);
    }
    board.clear();
    board.add(Fault::answer(200, &[], &"x".repeat(2_000_000)));
    check_failure(&read_one(&store, "db").await, Class::Invalid, "larger than the limit");
    // A page that something else shows is no word of the vault that the secret is missing.
    board.clear();
    board.add(Fault::answer(404, &[], "<html>canary-9d41</html>"));
    check_failure(&read_one(&store, "db").await, Class::Invalid, "refuses the request: HTTP 404");
    board.clear();
    board.set_line(Line::Refused).unwrap();
    assert_eq!(failure(&read_one(&store, "db").await).class, Class::Unavailable);
    board.set_line(Line::Open).unwrap();
    assert_eq!(text(&read_one(&store, "db").await), CANARY);
}

#[tokio::test]
async fn slow_answers_are_waited_for_side_by_side_and_not_forever() {
    let (_azure, board, settings) = behind_switchboard();
    let timeouts = Timeouts { connect: Duration::from_secs(2), call: Duration::from_secs(3) };
    let store = open(Settings { timeouts, ..settings });
    assert_eq!(text(&read_one(&store, "db").await), CANARY);
    board.reset_counts();
    board.add(Fault::delay(Duration::from_millis(300)));
    let answers = read(&store, &["db"; 16]).await;
    assert!(answers.iter().all(|answer| text(answer) == CANARY));
    assert!(board.counts().in_flight_peak >= 8, "{:?}", board.counts());
    board.clear();
    board.add(Fault::silence());
    let start = Instant::now();
    check_failure(&read_one(&store, "db").await, Class::Unavailable, "");
    assert!(start.elapsed() < Duration::from_secs(10));
    board.clear();
    board.set_line(Line::HalfOpen).unwrap();
    let start = Instant::now();
    check_failure(&read_one(&store, "db").await, Class::Unavailable, "");
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn an_expired_token_is_replaced_once_for_all() {
    let (azure, _board, settings) = behind_switchboard();
    let store = open(settings);
    assert_eq!(text(&read_one(&store, "db").await), CANARY);
    assert_eq!(azure.tokens_issued(), 1);
    azure.expire_tokens();
    let answers = read(&store, &["db"; 20]).await;
    assert!(answers.iter().all(|answer| text(answer) == CANARY));
    assert_eq!(azure.tokens_issued(), 2);
    // A token that is about to end is not used any more.
    azure.expire_tokens();
    azure.set_token_lifetime(Duration::from_secs(30));
    assert_eq!(text(&read_one(&store, "db").await), CANARY);
    assert_eq!(text(&read_one(&store, "db").await), CANARY);
    assert_eq!(azure.tokens_issued(), 4);
}

#[tokio::test]
async fn a_token_that_is_never_accepted_is_asked_for_no_more_than_twice() {
    let (azure, board, settings) = behind_switchboard();
    let store = open(settings);
    assert_eq!(text(&read_one(&store, "db").await), CANARY);
    board.reset_counts();
    azure.set_resource("https://another.example");
    let answer = read_one(&store, "db").await;
    check_failure(&answer, Class::Unauthenticated, "the access token is refused: Unauthorized: AKV10022");
    assert_eq!((board.counts().requests, azure.tokens_issued()), (2, 2));
}

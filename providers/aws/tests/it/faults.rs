//! What goes wrong between us and AWS, for both stores.

use std::time::{Duration, Instant};

use strongroom_aws::Timeouts;
use strongroom_failure::Class;
use strongroom_provider::{Answer, RemoteKey};
use world::switchboard::{Fault, Line as Telephone};

use crate::common::{Line, Store, assert_all, class, failure, keys};

/// Reads one key, and three in a batch, while `break_it` holds.
async fn read_with(store: Store, name: &str, break_it: impl FnOnce(&Line)) -> (Vec<Answer>, Vec<Answer>, Line) {
    let timeouts = Timeouts { connect: Duration::from_millis(400), call: Duration::from_millis(800) };
    let line = Line::with(|settings| settings.timeouts = timeouts);
    let keys = keys(name, 3);
    store.put_all(&keys);
    break_it(&line);
    let provider = store.open(&line.session);
    let one = provider.read(&keys[..1]).await;
    let three = provider.read(&keys).await;
    (one, three, line)
}

async fn check(name: &str, fault: Fault, expected: Class, words: &str) {
    for store in Store::BOTH {
        let (one, three, _) =
            read_with(store, &format!("fault-{name}"), |line| line.switchboard.add(fault.clone())).await;
        for answer in one.iter().chain(&three) {
            assert_eq!(class(answer), expected, "{store:?} {name}: {}", failure(answer));
            assert!(failure(answer).words.contains(words), "{store:?} {name}: {}", failure(answer));
        }
        assert_eq!((one.len(), three.len()), (1, 3));
    }
}

fn throttled(seconds: Option<u64>) -> Class {
    Class::Throttled { retry_after: seconds.map(Duration::from_secs) }
}

#[tokio::test]
async fn denied() {
    check("denied", Fault::aws("AccessDeniedException"), Class::Denied, "access denied").await;
}

#[tokio::test]
async fn throttled_by_aws() {
    check("throttled", Fault::aws("ThrottlingException"), throttled(None), "patience").await;
}

#[tokio::test]
async fn throttled_with_a_time_to_wait() {
    check("retry-after", Fault::throttle(Some(3)), throttled(Some(3)), "").await;
}

#[tokio::test]
async fn faults_of_aws_itself() {
    check("internal", Fault::answer(500, &[], r#"{"__type": "InternalServiceError"}"#), Class::Unavailable, "Internal")
        .await;
    check("gateway", Fault::answer(503, &[], "<html>canary</html>"), Class::Unavailable, "503").await;
    check("nonsense", Fault::answer(200, &[], "canary, not JSON"), Class::Unavailable, "cannot be read").await;
}

#[tokio::test]
async fn a_refused_key_is_not_tried_again() {
    for code in ["ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException"] {
        check("refused", Fault::aws(code), Class::Unauthenticated, "access key AKIATEST from the settings").await;
    }
    let (_, _, line) =
        read_with(Store::SecretsManager, "refused", |line| line.switchboard.add(Fault::aws("ExpiredTokenException")))
            .await;
    assert_eq!(line.switchboard.counts().requests, 2);
}

#[tokio::test]
async fn a_slow_answer_is_given_up_in_time() {
    let start = Instant::now();
    check("slow", Fault::delay(Duration::from_secs(20)), Class::Unavailable, "in time").await;
    check("silent", Fault::silence(), Class::Unavailable, "in time").await;
    assert!(start.elapsed() < Duration::from_secs(12), "{:?}", start.elapsed());
}

#[tokio::test]
async fn half_an_answer_is_none() {
    check("cut", Fault::cut_body(), Class::Unavailable, "").await;
    check("hangup", Fault::hangup(), Class::Unavailable, "").await;
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let endless = "x".repeat((16 << 20) + 1);
    check("endless", Fault::answer(200, &[], &endless), Class::Invalid, "larger than the limit").await;
}

#[tokio::test]
async fn nobody_there() {
    for (name, telephone) in [("refuse", Telephone::Refused), ("half-open", Telephone::HalfOpen)] {
        for store in Store::BOTH {
            let (one, three, _) = read_with(store, &format!("line-{name}"), |line| {
                line.switchboard.set_line(telephone).unwrap();
            })
            .await;
            assert!(one.iter().chain(&three).all(|answer| class(answer) == Class::Unavailable));
        }
    }
}

#[tokio::test]
async fn a_store_that_comes_back_is_read_again() {
    let line = Line::new();
    let keys = keys("back", 2);
    Store::SecretsManager.put_all(&keys);
    let provider = Store::SecretsManager.open(&line.session);
    line.switchboard.set_line(Telephone::Refused).unwrap();
    assert_eq!(class(&provider.read(&keys).await[1]), Class::Unavailable);
    line.switchboard.set_line(Telephone::Open).unwrap();
    assert_all(&keys, &provider.read(&keys).await);
}

#[tokio::test]
async fn where_batches_are_denied_keys_are_read_singly_and_together() {
    let faults = [
        Fault::aws("AccessDeniedException"),
        Fault::aws("UnknownOperationException"),
        Fault::answer(501, &[], "not implemented"),
    ];
    for store in Store::BOTH {
        let keys = keys("batch-denied", store.batch_limit());
        store.put_all(&keys);
        for fault in &faults {
            let line = Line::new();
            line.switchboard.add(Fault::delay(Duration::from_millis(300)));
            line.switchboard.add(fault.clone().on_operation(store.batch()));
            let provider = store.open(&line.session);
            assert_eq!(provider.plan(&keys).len(), 1);
            assert_all(&keys, &provider.read(&keys).await);
            let counts = line.switchboard.counts();
            assert_eq!((counts.of(store.batch()), counts.of(store.single())), (1, keys.len()), "{store:?}");
            // All in flight together: one round trip more, however many keys.
            assert_eq!(counts.in_flight_peak, keys.len(), "{store:?}");
            // It is remembered, for every provider of this identity.
            let again = store.open(&line.session);
            assert_eq!(again.plan(&keys).len(), keys.len());
            assert_all(&keys, &again.read(&keys).await);
            assert_eq!(line.count(store.batch()), 1);
            assert_eq!(line.batch_denials(), 1);
        }
    }
}

#[tokio::test]
async fn a_throttled_batch_is_not_mistaken_for_a_denied_one() {
    for store in Store::BOTH {
        let line = Line::new();
        let keys = keys("batch-throttled", 3);
        store.put_all(&keys);
        line.switchboard.add(Fault::aws("ThrottlingException").on_operation(store.batch()).times(1));
        let provider = store.open(&line.session);
        assert!(provider.read(&keys).await.iter().all(|answer| class(answer) == throttled(None)));
        assert_all(&keys, &provider.read(&keys).await);
        assert_eq!((line.count(store.single()), line.batch_denials()), (0, 0));
    }
}

#[tokio::test]
async fn fifty_keys_take_as_few_calls_as_aws_allows_all_in_flight_together() {
    for (store, calls) in [(Store::SecretsManager, 3), (Store::ParameterStore, 5)] {
        let line = Line::new();
        let keys = keys("fifty", 50);
        store.put_all(&keys);
        line.switchboard.add(Fault::delay(Duration::from_millis(300)));
        assert_all(&keys, &store.open(&line.session).read(&keys).await);
        let counts = line.switchboard.counts();
        assert_eq!((counts.requests, counts.in_flight_peak), (calls, calls), "{store:?}");
    }
}

#[tokio::test]
async fn nothing_is_asked_for_nothing() {
    let line = Line::new();
    for store in Store::BOTH {
        let provider = store.open(&line.session);
        assert!(provider.plan(&[]).is_empty() && provider.read(&[]).await.is_empty());
    }
    assert_eq!(line.switchboard.counts().connections, 0);
}

#[tokio::test]
async fn a_key_that_is_no_name_at_all_spoils_nothing() {
    for store in Store::BOTH {
        let line = Line::new();
        let mut keys = keys("odd", 2);
        store.put_all(&keys);
        keys.push(RemoteKey::current(""));
        let answers = store.open(&line.session).read(&keys).await;
        assert_all(&keys[..2], &answers[..2]);
        assert!(matches!(class(&answers[2]), Class::Invalid | Class::NotFound), "{}", failure(&answers[2]));
    }
}

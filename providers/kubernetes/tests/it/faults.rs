use std::time::Duration;

use strongroom_failure::Class;
use strongroom_kubernetes::{ConnectionSettings, Token};
use strongroom_provider::{Find, Pattern, Provider, SecretBytes};
use world::switchboard::{Effect, Fault, Switchboard};

use crate::cluster::{CANARY, open, read, words};

/// A server that is none, behind a switchboard that answers in its place.
fn server() -> (Switchboard, ConnectionSettings) {
    let server = Switchboard::to("127.0.0.1:1").unwrap();
    let token = Some(Token::Fixed(SecretBytes::from("token-canary".to_owned())));
    let settings = ConnectionSettings { server: server.address().to_owned(), token, ..ConnectionSettings::default() };
    (server, settings)
}

#[tokio::test]
async fn no_fault_is_an_absence_and_none_shows_a_value() {
    let (server, settings) = server();
    let (store, _) = open(settings, "faults");
    let check = async |fault: Fault, class: Class, expected: &str| {
        server.clear();
        server.add(fault);
        let failure = read(&store, "app").await.unwrap_err();
        assert_eq!(failure.class, class, "{failure}");
        let words = words(&failure);
        assert!(words.contains(expected) && !words.contains("token-canary"), "{words}");
    };
    let garbage = Class::Unavailable;
    check(Fault::answer(200, &[], CANARY), garbage, "not what a Kubernetes API server sends").await;
    check(Fault::answer(200, &[], r#"{"data":{"k":"canary-31c7"}}"#), garbage, "not what").await;
    check(Fault::answer(200, &[], r#"{"metadata":{},"data":{"k":"canary-31c7!"}}"#), garbage, "not what").await;
    check(Fault::answer(404, &[], CANARY), Class::Invalid, "does not know this kind").await;
    check(Fault::answer(502, &[], CANARY), Class::Unavailable, "HTTP 502").await;
    check(Fault::answer(307, &[("Location", "http://127.0.0.1:2/")], ""), Class::Invalid, "points elsewhere").await;
    check(Fault::throttle(Some(7)), Class::Throttled { retry_after: Some(Duration::from_secs(7)) }, "patience").await;
    check(Fault::new(Effect::Hangup), Class::Unavailable, "closed the connection").await;
    let echo = r#"{"kind":"Status","reason":"Forbidden","message":"no token-canary","details":{}}"#;
    check(Fault::answer(403, &[], echo), Class::Denied, "no [redacted]").await;
    server.clear();
    server.add(Fault::answer(410, &[], r#"{"kind":"Status","reason":"Expired","message":"too old","details":{}}"#));
    let query = Find { name: Some(Pattern::new(".").unwrap()), ..Find::default() };
    assert_eq!(store.find(&query).await.unwrap_err().class, Class::Unavailable);
}

#[tokio::test]
async fn a_list_without_end_ends() {
    let (server, settings) = server();
    let (store, _) = open(settings, "faults");
    server.add(Fault::answer(200, &[], r#"{"metadata":{"continue":"again"},"items":[]}"#));
    let query = Find { name: Some(Pattern::new(".").unwrap()), ..Find::default() };
    let failure = store.find(&query).await.unwrap_err();
    assert!(words(&failure).contains("more than 1000 pages"), "{failure}");
    let last = server.requests().pop().unwrap();
    assert_eq!(last.path, "/api/v1/namespaces/faults/secrets?limit=200&continue=again");
}

//! Webhooks, against an HTTP server that answers what a test says and remembers what it was asked.

#![cfg(test)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use strongroom_failure::Class;
use strongroom_http::{AddressPolicy, Pem, Roots, TlsSettings};
use strongroom_provider::{Answer, Find, Provider, RemoteKey, SecretBytes, Validation, Version};
use strongroom_webhook::{Settings, Webhook};
use world::certificates::Authority;
use world::switchboard::{Fault, Switchboard};

/// In every value and credential of these tests: must be in no error and no Debug output.
const CANARY: &str = "canary-77e0";

fn server() -> Switchboard {
    Switchboard::to("127.0.0.1:1").unwrap()
}

fn settings(server: &Switchboard) -> Settings {
    let secret = [("token".to_owned(), SecretBytes::from(CANARY.to_owned()))].into();
    Settings {
        url: format!("{}/secrets/{{{{ .remoteRef.key }}}}", server.address()),
        headers: [("Authorization".to_owned(), "Bearer {{ .auth.token }}".to_owned())].into(),
        secrets: [("auth".to_owned(), secret)].into(),
        namespace: "team-a".to_owned(),
        ..Settings::default()
    }
}

fn open(settings: Settings) -> Webhook {
    Webhook::open(settings, std::sync::Arc::default()).unwrap()
}

async fn read(store: &Webhook, name: &str) -> Answer {
    store.read(&[RemoteKey::current(name)]).await.remove(0)
}

fn text(answer: &Answer) -> &str {
    answer.as_ref().unwrap().value.expose_text().unwrap()
}

/// The words of a failure of this class, once they were searched for what must not be in them.
fn refused(answer: Answer, class: Class) -> String {
    let failure = answer.unwrap_err();
    assert_eq!(failure.class, class, "{failure}");
    assert!(!format!("{failure:?}").contains(CANARY), "{failure:?}");
    failure.to_string()
}

#[tokio::test]
async fn templates_make_the_request_and_the_path_takes_the_value() {
    let server = server();
    server.add(Fault::answer(200, &[], &format!(r#"{{"data":{{"v1":["{CANARY}","b"]}}}}"#)));
    let store = open(Settings {
        method: "POST".to_owned(),
        url: format!("{}/s/{{{{ .remoteRef.key }}}}?p={{{{ .remoteRef.property }}}}", server.address()),
        headers: BTreeMap::from(
            [
                ("Authorization", "Basic {{ printf \"user:%s\" .auth.token | b64enc }}"),
                ("Content-Type", "application/json"),
                ("X-Namespace", "{{ .remoteRef.namespace }}"),
            ]
            .map(|(name, text)| (name.to_owned(), text.to_owned())),
        ),
        body: r#"{"key":"{{ .remoteRef.key }}"}"#.to_owned(),
        json_path: "$.data.{{ .remoteRef.version }}".to_owned(),
        ..settings(&server)
    });
    assert!(store.takes_properties());
    let key =
        RemoteKey { property: Some("a b".to_owned()), ..RemoteKey::at("team/app", Version::Stage("v1".to_owned())) };
    assert_eq!(text(&store.read(&[key]).await[0]), CANARY);
    let seen = server.requests().pop().unwrap();
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/s/team%2Fapp?p=a+b"));
    assert_eq!(seen.header("authorization"), Some("Basic dXNlcjpjYW5hcnktNzdlMA=="));
    assert_eq!(seen.header("x-namespace"), Some("team-a"));
    assert_eq!(seen.body, br#"{"key":"team/app"}"#);
    assert_eq!(store.validate().await.unwrap(), Validation::Unknown);
    assert_eq!(store.find(&Find::default()).await.unwrap_err().class, Class::Invalid);
}

#[tokio::test]
async fn an_endpoint_that_makes_values_is_asked_without_a_key() {
    let server = server();
    server.add(Fault::answer(200, &[], &format!(r#"{{"data":{{"user":"ann","token":"{CANARY}"}}}}"#)));
    let url = format!("{}/make?as={{{{ .auth.token }}}}", server.address());
    let store = open(Settings { url: url.clone(), json_path: "$.data".to_owned(), ..settings(&server) });
    let expected = format!(r#"{{"user":"ann","token":"{CANARY}"}}"#);
    assert!(store.made().await.unwrap().expose_text() == Some(expected.as_str()));
    assert_eq!(server.requests().pop().unwrap().path, format!("/make?as={CANARY}"));
    let check = async |change: Settings, expected: &str| {
        let failure = open(change).made().await.unwrap_err();
        assert!(!format!("{failure:?}").contains(CANARY), "{failure:?}");
        assert!(failure.to_string().contains(expected), "{failure}");
    };
    let elsewhere = Settings { url: url.clone(), json_path: "$.other".to_owned(), ..settings(&server) };
    check(elsewhere, "result.jsonPath: the webhook at 127.0.0.1").await;
    check(settings(&server), "url: ").await;
}

#[tokio::test]
async fn one_bad_key_spoils_only_its_own_answer() {
    let server = server();
    server.add(Fault::answer(200, &[], "value"));
    server.add(Fault::answer(404, &[], CANARY).on_path("/secrets/gone"));
    server.add(Fault::answer(500, &[], CANARY).on_path("/secrets/broken"));
    let store = open(settings(&server));
    let keys: Vec<_> = (0..40).map(|number| RemoteKey::current(format!("s{number}"))).collect();
    let keys: Vec<_> = [RemoteKey::current("gone"), RemoteKey::current("broken")].into_iter().chain(keys).collect();
    let mut answers = store.read(&keys).await;
    assert!(answers.split_off(2).iter().all(|answer| text(answer) == "value"));
    let broken = refused(answers.remove(1), Class::Unavailable);
    assert!(broken.ends_with("the endpoint could not answer (HTTP 500)"), "{broken}");
    refused(answers.remove(0), Class::NotFound);
    assert!(server.counts().in_flight_peak <= 8, "{:?}", server.counts());
}

#[tokio::test]
async fn faults_have_a_class_and_show_nothing() {
    let server = server();
    let store = open(Settings { timeout: Some(Duration::from_millis(300)), ..settings(&server) });
    let check = async |fault: Fault, class: Class, expected: &str| {
        server.clear();
        server.add(fault);
        let words = refused(read(&store, "app").await, class);
        assert!(words.contains(expected), "{words}");
    };
    check(Fault::answer(304, &[], ""), Class::Invalid, "nothing has changed").await;
    check(Fault::answer(401, &[], CANARY), Class::Unauthenticated, "HTTP 401").await;
    check(Fault::answer(403, &[], CANARY), Class::Denied, "HTTP 403").await;
    check(Fault::answer(418, &[], CANARY), Class::Invalid, "HTTP 418").await;
    let patience = Class::Throttled { retry_after: Some(Duration::from_secs(4)) };
    check(Fault::throttle(Some(4)), patience, "asks for patience").await;
    check(Fault::hangup(), Class::Unavailable, "closed the connection").await;
    let begin = Instant::now();
    check(Fault::silence(), Class::Unavailable, "300ms").await;
    assert!(begin.elapsed() < Duration::from_secs(5));
    check(Fault::answer(200, &[], &"x".repeat((4 << 20) + 1)), Class::Invalid, "larger than the limit").await;
    server.clear();
    server.add(Fault::answer(200, &[], CANARY));
    let store = open(Settings { json_path: "$.a".to_owned(), ..settings(&server) });
    refused(read(&store, "app").await, Class::Invalid);
    let misnamed = open(Settings { url: "https://{{ .auth.token }}.invalid/".to_owned(), ..settings(&server) });
    let words = refused(read(&misnamed, "app").await, Class::Unavailable);
    assert!(words.contains("[redacted]"), "{words}");
}

#[tokio::test]
async fn credentials_are_not_sent_on_to_another_host() {
    let (server, elsewhere) = (server(), server());
    let moved = |place: &str| Fault::answer(302, &[("Location", place)], "");
    elsewhere.add(Fault::answer(200, &[], "stolen"));
    server.add(Fault::answer(200, &[], "here"));
    server.add(moved("/new/app").on_path("/secrets/app"));
    server.add(moved(&format!("{}/x", elsewhere.address())).on_path("/secrets/away"));
    server.add(moved("/secrets/round").on_path("/secrets/round"));
    let store = open(settings(&server));
    assert_eq!(text(&read(&store, "app").await), "here");
    assert!(refused(read(&store, "away").await, Class::Invalid).contains("points elsewhere"));
    refused(read(&store, "round").await, Class::Invalid);
    assert_eq!(elsewhere.counts().connections, 0);
}

#[tokio::test]
async fn a_tenants_address_is_not_of_this_machine() {
    let server = server();
    server.add(Fault::answer(200, &[], "value"));
    let (_, port) = server.host_port().split_once(':').unwrap();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "{{ \"127.0.0.1\" }}", "2130706433"] {
        let url = format!("http://{host}:{port}/");
        let store = open(Settings { url, addresses: AddressPolicy::NoLocal, ..settings(&server) });
        let failure = read(&store, "app").await.unwrap_err();
        assert!(matches!(failure.class, Class::Invalid | Class::Unavailable), "{host}: {failure}");
    }
    let url = "http://169.254.169.254/latest/meta-data".to_owned();
    let store = open(Settings { url, addresses: AddressPolicy::NoLocal, ..settings(&server) });
    assert!(refused(read(&store, "app").await, Class::Invalid).contains("169.254.169.254"));
    assert_eq!(server.counts().connections, 0);
}

#[tokio::test]
async fn a_private_authority_is_trusted_when_it_is_given() {
    let authority = Authority::new().unwrap();
    let server = Switchboard::with_tls("127.0.0.1:1", &authority).unwrap();
    server.add(Fault::answer(200, &[], "value"));
    let pem = Pem::Text(SecretBytes::from(authority.certificate_pem()));
    let tls = TlsSettings { roots: Roots::Only(vec![pem]), ..TlsSettings::default() };
    assert_eq!(text(&read(&open(Settings { tls, ..settings(&server) }), "app").await), "value");
    let words = refused(read(&open(settings(&server)), "app").await, Class::Unavailable);
    assert!(words.contains("not trusted"), "{words}");
}

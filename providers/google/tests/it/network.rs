//! Certificates, proxies, addresses.

use std::net::SocketAddr;

use strongroom_failure::Class;
use strongroom_google::{ProxySettings, SecretManager, Settings};
use strongroom_http::TlsSettings;
use strongroom_provider::SecretBytes;
use world::certificates::Authority;
use world::google::GoogleStandIn;
use world::proxy::ForwardProxy;
use world::switchboard::Switchboard;

use crate::{check_failure, failure, open, read, read_one, settings, text, whole};

fn address_of(url: &str) -> SocketAddr {
    url.split_once("://").unwrap().1.parse().unwrap()
}

fn through(proxy: &ForwardProxy) -> Option<ProxySettings> {
    Some(ProxySettings { https: Some(SecretBytes::from(proxy.url().to_owned())), ..ProxySettings::default() })
}

#[tokio::test]
async fn only_the_named_authority_is_trusted() {
    let google = GoogleStandIn::start().unwrap();
    google.put(google.project(), "db", b"value");
    let stranger = Authority::new().unwrap();
    let file = stranger.certificate_file().display().to_string();
    let json = serde_json::json!({"roots": {"only": [{"file": file}]}});
    let tls: TlsSettings = serde_json::from_value(json).unwrap();
    let distrusting = open(Settings { tls, ..settings(&google) });
    let answer = read_one(&distrusting, "db").await;
    check_failure(&answer, Class::Unavailable, "the certificate of 127.0.0.1 is not accepted");
    assert_eq!(google.tokens_issued(), 0);
    // As people give it: the process's own variable.
    let bundle = google.certificate_file().display().to_string();
    let ambient = TlsSettings::from_environment(&|name| (name == "SSL_CERT_FILE").then(|| bundle.clone()));
    let trusting = open(Settings { tls: ambient, ..settings(&google) });
    assert_eq!(text(&read_one(&trusting, "db").await), "value");
}

#[tokio::test]
async fn googles_own_addresses_are_asked_through_the_proxy() {
    let google = GoogleStandIn::start().unwrap();
    google.put(google.project(), "db", b"global");
    google.put_regional(google.project(), "europe-west3", "db", b"regional");
    let (global_host, regional_host) =
        ("secretmanager.googleapis.com", "secretmanager.europe-west3.rep.googleapis.com");
    let region = Switchboard::with_tls_for(google.host_port(), google.authority(), &[regional_host]).unwrap();
    let proxy = ForwardProxy::with_password("bob", "canary-9d41").unwrap();
    proxy.route(global_host, address_of(google.endpoint()));
    proxy.route(regional_host, address_of(region.address()));
    let store = open(Settings { endpoint: None, proxy: through(&proxy), ..settings(&google) });
    let regional = format!("projects/{}/locations/europe-west3/secrets/db", google.project());
    let answers = read(&store, &["db", &regional]).await;
    assert_eq!((text(&answers[0]), text(&answers[1])), ("global", "regional"));
    let destinations = proxy.destinations();
    for host in [global_host, regional_host] {
        assert!(destinations.contains(&format!("{host}:443")), "{destinations:?}");
    }
    assert!(region.counts().requests > 0);

    // As people give it: the process's own variables.
    let ambient = |name: &str| (name == "HTTPS_PROXY").then(|| proxy.url().to_owned());
    let ambient = Settings { endpoint: None, ..settings(&google) }.completed(&ambient).unwrap();
    let before = proxy.tunnels();
    assert_eq!(text(&read_one(&open(ambient), "db").await), "global");
    assert!(proxy.tunnels() > before);
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_without_its_password() {
    let google = GoogleStandIn::start().unwrap();
    let proxy = ForwardProxy::with_password("bob", "right").unwrap();
    let wrong = proxy.url().replace("right", "canary-9d41");
    let wrong = ProxySettings { https: Some(SecretBytes::from(wrong)), ..ProxySettings::default() };
    let store = open(Settings { proxy: Some(wrong), ..settings(&google) });
    assert_eq!(failure(&read_one(&store, "db").await).class, Class::Unavailable);
    let left_out = ProxySettings { no_proxy: "127.0.0.1".to_owned(), ..through(&proxy).unwrap() };
    google.put(google.project(), "db", b"value");
    let before = proxy.requests();
    let direct = open(Settings { proxy: Some(left_out), ..settings(&google) });
    assert_eq!(text(&read_one(&direct, "db").await), "value");
    assert_eq!(proxy.requests(), before);
}

#[tokio::test]
async fn short_names_take_the_metadata_servers_project() {
    let google = GoogleStandIn::start().unwrap();
    google.put(google.project(), "db", b"value");
    let ambient = || Settings { project: None, ..settings(&google) };
    let answers = read(&open(ambient()), &["db", "db"]).await;
    assert_eq!((text(&answers[0]), text(&answers[1])), ("value", "value"));
    // Nothing is asked of it where every name is whole.
    let board = Switchboard::to(google.metadata_host()).unwrap();
    let store = open(Settings { metadata_host: Some(board.host_port().to_owned()), ..ambient() });
    let name = whole(&google, "db");
    assert_eq!(text(&read_one(&store, &name).await), "value");
    assert_eq!(board.counts().requests, 0);
    let answers = read(&store, &["db"; 8]).await;
    assert!(answers.iter().all(|answer| text(answer) == "value"));
    assert_eq!(board.counts().requests, 1);
}

#[tokio::test]
async fn si_16_an_unknown_project_is_said_in_the_known_words() {
    let google = GoogleStandIn::start().unwrap();
    let words = "failed to get secret \"db\" from Google Secret Manager (unknown project)";
    let nowhere = |host: &str| Settings { project: None, metadata_host: Some(host.to_owned()), ..settings(&google) };
    let answer = read_one(&open(nowhere("metadata.invalid")), "db").await;
    assert_eq!((failure(&answer).class, failure(&answer).words.as_str()), (Class::Invalid, words));
    let answer = read_one(&open(nowhere("127.0.0.1:9")), "db").await;
    assert_eq!((failure(&answer).class, failure(&answer).words.as_str()), (Class::Unavailable, words));
    // Something answers there, but it is no metadata server.
    let answer = read_one(&open(nowhere(google.host_port())), "db").await;
    assert_eq!((failure(&answer).class, failure(&answer).words.as_str()), (Class::Invalid, words));
    assert_eq!(google.tokens_issued(), 0);
}

#[tokio::test]
async fn settings_that_cannot_work_fail_before_anything_is_asked() {
    let google = GoogleStandIn::start().unwrap();
    let check = |settings: Settings, expected: &str| {
        let failure = SecretManager::open(settings, Default::default()).err().unwrap();
        assert_eq!((failure.class, failure.to_string().as_str()), (Class::Invalid, expected));
    };
    let bad = Settings { endpoint: Some("secretmanager".to_owned()), ..settings(&google) };
    check(bad, "endpoint: the address must begin with https:// or http://");
    let bad = Settings { location: Some("a.b".to_owned()), ..settings(&google) };
    check(bad, "location: this is not a region such as europe-west3");
    let bad = Settings { universe_domain: Some("evil.example/".to_owned()), ..settings(&google) };
    check(bad, "universeDomain: this is not a domain");
    let bad = Settings { metadata_host: Some("a b".to_owned()), ..settings(&google) };
    check(bad, "metadataHost: \"a b\" is not HOST or HOST:PORT");
}

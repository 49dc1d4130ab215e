//! Searches, labels and annotations, versions that are out of use, confined keys, given identities.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use strongroom_failure::{Class, Failure};
use strongroom_google::{Cluster, Credentials, Exchange, Federation, Settings};
use strongroom_http::{AddressPolicy, Proxy};
use strongroom_provider::{
    Facet, Find, Found, Outcome, Pattern, Provider, RemoteKey, SecretBytes, TokenSource, Validation, Version,
};
use world::google::GoogleStandIn;
use world::proxy::ForwardProxy;
use world::switchboard::{Fault, Switchboard};

use crate::{CANARY, check_failure, failure, open, open_metered, read, read_one, settings, text, whole};

fn names(found: &[Found]) -> Vec<&str> {
    found.iter().map(|found| found.name.as_str()).collect()
}

#[tokio::test]
async fn secrets_are_found_by_beginning_name_and_labels_over_many_pages() {
    let google = GoogleStandIn::start().unwrap();
    let project = google.project().to_owned();
    for number in 0..600 {
        google.put(&project, &format!("app-{number:03}"), b"x");
    }
    google.put(&project, "my-app", b"x");
    google.put_regional(&project, "europe-west3", "regional", b"x");
    google.label(&project, "app-001", &[("env", "prod"), ("team", "a")]).unwrap();
    google.label(&project, "app-500", &[("env", "prod"), ("team", "b")]).unwrap();
    let (store, meter) = open_metered(settings(&google));
    assert_eq!(store.find(&Find::default()).await.unwrap().len(), 601);
    let lists = meter.counts().iter().find(|(name, ..)| *name == "secretmanager.secrets.list").unwrap().2;
    assert_eq!(lists, 3, "pages of 250");
    let by_name = Find { name: Some(Pattern::new("00[12]$").unwrap()), ..Find::default() };
    let found = store.find(&by_name).await.unwrap();
    assert_eq!(names(&found), ["app-001", "app-002"]);
    assert!(found.iter().all(|found| found.value.is_none() && found.key == RemoteKey::current(found.name.clone())));
    let below = Find { path: Some("app".to_owned()), name: Some(Pattern::new("app$|599").unwrap()), ..Find::default() };
    assert_eq!(names(&store.find(&below).await.unwrap()), ["app-599"], "my-app does not begin with it");
    let labels = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Find { tags: pairs.collect::<BTreeMap<_, _>>(), ..Find::default() }
    };
    assert_eq!(names(&store.find(&labels(&[("env", "prod")])).await.unwrap()), ["app-001", "app-500"]);
    assert_eq!(names(&store.find(&labels(&[("env", "prod"), ("team", "b")])).await.unwrap()), ["app-500"]);
    assert!(store.find(&labels(&[("env", "prod OR labels.team=b")])).await.unwrap().is_empty());
    let located = open(Settings { location: Some("europe-west3".to_owned()), ..settings(&google) });
    assert_eq!(names(&located.find(&Find::default()).await.unwrap()), ["regional"]);
}

#[tokio::test]
async fn a_search_that_cannot_be_made_fails_as_a_whole() {
    let google = GoogleStandIn::start().unwrap();
    google.put(google.project(), "db", CANARY.as_bytes());
    let board = Switchboard::with_tls(google.host_port(), google.authority()).unwrap();
    let store = open(Settings { endpoint: Some(board.address().to_owned()), ..settings(&google) });
    let denied = r#"{"error":{"status":"PERMISSION_DENIED","message":"not you"}}"#;
    let endless = r#"{"secrets":[],"nextPageToken":"again"}"#;
    let faults = [
        (Fault::answer(403, &[], denied), Class::Denied, "access denied: PERMISSION_DENIED: not you"),
        (Fault::throttle(Some(3)), Class::Throttled { retry_after: Some(std::time::Duration::from_secs(3)) }, ""),
        (Fault::answer(200, &[], "<html>canary-9d41"), Class::Unavailable, "not what Google Secret Manager sends"),
        (Fault::answer(200, &[], endless), Class::Invalid, "more secrets than a search may go through"),
    ];
    for (fault, class, words) in faults {
        board.clear();
        board.add(fault);
        let answer = store.find(&Find::default()).await.map(|_| unreachable!());
        check_failure(&answer, class, words);
        check_failure(&answer, class, "Google Secret Manager (project ");
    }
    board.clear();
    board.add(Fault::answer(403, &[], denied));
    let answer = store.find(&Find::default()).await.map(|_| unreachable!());
    assert!(failure(&answer).hint.as_ref().unwrap().contains("secretmanager.secrets.list"));
}

#[tokio::test]
async fn metadata_is_labels_and_annotations() {
    let google = GoogleStandIn::start().unwrap();
    google.put(google.project(), "db", CANARY.as_bytes());
    google.put(google.project(), "plain", CANARY.as_bytes());
    google.label(google.project(), "db", &[("team", "a")]).unwrap();
    google.annotate(google.project(), "db", &[("example.com/owner", "b & c")]).unwrap();
    let (store, meter) = open_metered(settings(&google));
    let key = |name: &str| RemoteKey { facet: Facet::Metadata, ..RemoteKey::current(name) };
    let answers = store.read(&[key("db"), key("plain"), key("missing")]).await;
    let expected = r#"{"annotations":{"example.com/owner":"b \u0026 c"},"labels":{"team":"a"}}"#;
    assert_eq!(text(&answers[0]), expected);
    assert_eq!(text(&answers[1]), r#"{"annotations":null,"labels":null}"#);
    check_failure(&answers[2], Class::NotFound, "not found: NOT_FOUND");
    assert!(meter.counts().contains(&("secretmanager.secrets.get", Outcome::Answered, 3)));
    assert_eq!(store.plan(&[key("db")])[0].operation, "secretmanager.secrets.get");
}

#[tokio::test]
async fn the_newest_enabled_version_takes_the_place_of_one_out_of_use_where_that_is_asked_for() {
    let google = GoogleStandIn::start().unwrap();
    let project = google.project().to_owned();
    for number in 0..300 {
        google.put(&project, "db", format!("value {number}").as_bytes());
    }
    google.disable(&project, "db", 300).unwrap();
    google.destroy(&project, "db", 299).unwrap();
    google.put(&project, "none", CANARY.as_bytes());
    google.disable(&project, "none", 1).unwrap();
    let strict = open(settings(&google));
    check_failure(&read_one(&strict, "db").await, Class::Invalid, "FAILED_PRECONDITION");
    let fetching = open(Settings { latest_enabled: true, ..settings(&google) });
    let answers = read(&fetching, &["db", "none", "missing"]).await;
    assert_eq!((text(&answers[0]), answers[0].as_ref().unwrap().version.as_deref()), ("value 297", Some("298")));
    check_failure(&answers[1], Class::Invalid, "this version cannot be read as it is: FAILED_PRECONDITION");
    check_failure(&answers[2], Class::NotFound, "NOT_FOUND");
    // Who names a version means that one.
    let named = RemoteKey::at("db", Version::Stage("latest".to_owned()));
    check_failure(&fetching.read(&[named]).await.remove(0), Class::Invalid, "FAILED_PRECONDITION");
}

#[tokio::test]
async fn confined_keys_lead_to_no_other_project() {
    let google = GoogleStandIn::start().unwrap();
    google.put(google.project(), "db", b"value");
    google.put("other-project", "db", CANARY.as_bytes());
    let store = open(Settings { is_confined: true, ..settings(&google) });
    let own = whole(&google, "db");
    let answers = read(&store, &["db", "projects/other-project/secrets/db", &own, "db/versions/1"]).await;
    assert_eq!(text(&answers[0]), "value");
    for answer in &answers[1..] {
        check_failure(answer, Class::Invalid, "the key must be the name of a secret in the store's project");
    }
}

/// A token that somebody else gives, as an API server does.
#[derive(Debug)]
struct Given(String);

#[async_trait]
impl TokenSource for Given {
    fn describe(&self) -> String {
        "service account team-a/app".to_owned()
    }

    async fn token(&self) -> Result<SecretBytes, Failure> {
        Ok(SecretBytes::from(self.0.clone()))
    }
}

#[tokio::test]
async fn given_identities_are_exchanged_and_may_act_as_a_service_account() {
    let google = GoogleStandIn::start().unwrap();
    google.put(google.project(), "db", b"value");
    let proxy = ForwardProxy::start().unwrap();
    let address = google.endpoint().trim_start_matches("https://").parse().unwrap();
    for host in ["sts", "securetoken", "iamcredentials"] {
        proxy.route(&format!("{host}.googleapis.com"), address);
    }
    let cluster = Cluster::completed(None, None, None, Some(google.metadata_host())).await.unwrap();
    assert_eq!(cluster.pool(), format!("{}.svc.id.goog", google.project()));
    let (token, audience) = google.subject_token();
    let with = |token: &str, audience: &str, exchange, service_account: Option<&str>| {
        let federation = Federation {
            tokens: Arc::new(Given(token.to_owned())),
            audience: audience.to_owned(),
            exchange,
            service_account: service_account.map(ToOwned::to_owned),
        };
        let ambient_proxy = Proxy::new(None, Some(proxy.url()), "127.0.0.1").unwrap();
        open(Settings { credentials: Some(Credentials::Federated(federation)), ambient_proxy, ..settings(&google) })
    };
    let (pool, binding) = (Exchange::SecurityTokenService, Exchange::IdentityBinding);
    for (audience, exchange) in [(audience, pool), (&cluster.audience(), binding)] {
        for service_account in [None, Some(google.service_account())] {
            let store = with(token, audience, exchange, service_account);
            assert!(store.identity().contains("by service account team-a/app"), "{}", store.identity());
            assert_eq!(store.validate().await.unwrap(), Validation::Valid);
            assert_eq!(text(&read_one(&store, "db").await), "value");
        }
        let answer = read_one(&with(CANARY, audience, exchange, None), "db").await;
        check_failure(&answer, Class::Unauthenticated, "invalid_grant: The subject token is not one");
    }
    let answer = read_one(&with(token, audience, pool, Some("nobody@p.iam.gserviceaccount.com")), "db").await;
    check_failure(&answer, Class::Denied, "iamcredentials.googleapis.com denies it: PERMISSION_DENIED");
}

#[tokio::test]
async fn local_addresses_are_refused_to_tenants() {
    let google = GoogleStandIn::start().unwrap();
    google.put(google.project(), "db", b"value");
    let tenant = Settings { addresses: AddressPolicy::NoLocal, ..settings(&google) };
    check_failure(&read_one(&open(tenant), "db").await, Class::Invalid, "loopback address");
    assert_eq!(google.tokens_issued(), 0);
}

use serde_json::json;
use strongroom_failure::{Class, Failure};
use strongroom_google::SecretManager;
use strongroom_provider::{Content, Deleted, Facet, Place, Provider, Push, Pushed, RemoteKey, SecretBytes, Source};
use world::google::GoogleStandIn;
use world::switchboard::{Fault, Switchboard};

use crate::{CANARY, open, open_metered, read_one, settings, text};

fn place(key: &str, property: Option<&str>) -> Place {
    Place { key: key.to_owned(), property: property.map(str::to_owned), ..Place::default() }
}

fn one(key: &str, property: Option<&str>, value: &str) -> Push {
    let content = Content::One(SecretBytes::from(value.to_owned()));
    Push { place: place(key, property), content, metadata: None, source: Source::default(), only_if_absent: false }
}

fn with(push: Push, spec: serde_json::Value) -> Push {
    let (version, kind) = ("kubernetes.external-secrets.io/v1alpha1", "PushSecretMetadata");
    Push { metadata: Some(json!({"apiVersion": version, "kind": kind, "spec": spec})), ..push }
}

async fn pushed(store: &SecretManager, pushes: &[Push]) -> Vec<Pushed> {
    store.push(pushes).await.into_iter().map(|answer| answer.unwrap_or_else(|failure| panic!("{failure}"))).collect()
}

async fn refused(store: &SecretManager, push: Push) -> Failure {
    let failure = store.push(&[push]).await.remove(0).expect_err("a failure");
    assert!(!format!("{failure} {failure:?}").contains(CANARY), "a value is shown");
    failure
}

async fn deleted(store: &SecretManager, places: &[Place]) -> Vec<Deleted> {
    store.delete(places).await.into_iter().map(|answer| answer.unwrap_or_else(|failure| panic!("{failure}"))).collect()
}

async fn labels(store: &SecretManager, name: &str) -> serde_json::Value {
    let key = RemoteKey { facet: Facet::Metadata, ..RemoteKey::current(name) };
    serde_json::from_str(text(&store.read(&[key]).await.remove(0))).unwrap()
}

#[tokio::test]
async fn properties_of_one_secret_are_one_version_and_what_is_there_is_not_written_again() {
    let google = GoogleStandIn::start().unwrap();
    let (store, meter) = open_metered(settings(&google));
    let versions = || {
        let counts = meter.counts().into_iter();
        counts
            .filter(|(operation, ..)| *operation == "secretmanager.versions.add")
            .map(|(.., count)| count)
            .sum::<u64>()
    };
    let wanted = [one("app", Some("user"), "bob"), one("app", Some("db.key"), CANARY)];
    assert_eq!(pushed(&store, &wanted).await, [Pushed::Written; 2]);
    assert!(text(&read_one(&store, "app").await) == format!("{{\"user\":\"bob\",\"db\":{{\"key\":\"{CANARY}\"}}}}"));
    assert_eq!(labels(&store, "app").await, json!({"annotations": null, "labels": {"managed-by": "external-secrets"}}));
    assert_eq!(pushed(&store, &wanted).await, [Pushed::Unchanged; 2]);
    assert_eq!(versions(), 1);
    let changed = [one("app", Some("user"), "eve"), wanted[1].clone()];
    assert_eq!(pushed(&store, &changed).await, [Pushed::Written, Pushed::Unchanged]);
    assert_eq!(versions(), 2);
    let kept = Push { only_if_absent: true, ..one("app", Some("user"), "x") };
    let new = Push { only_if_absent: true, ..one("app", Some("new"), "x") };
    assert_eq!(pushed(&store, &[kept, new]).await, [Pushed::Kept, Pushed::Written]);
    let places = [place("app", Some("new")), place("app", Some("none"))];
    assert_eq!(deleted(&store, &places).await, [Deleted::Removed, Deleted::Absent]);
    assert_eq!(
        deleted(&store, &[place("app", Some("user")), place("app", Some("db.key"))]).await,
        [Deleted::Removed; 2]
    );
    assert_eq!(read_one(&store, "app").await.unwrap_err().class, Class::NotFound);
    assert_eq!(deleted(&store, &[place("app", None)]).await, [Deleted::Absent]);
}

#[tokio::test]
async fn labels_and_annotations_alone_are_applied() {
    let google = GoogleStandIn::start().unwrap();
    let store = open(settings(&google));
    let push = |spec| with(one("labelled", None, CANARY), spec);
    let first = json!({"labels": {"team": "a"}, "annotations": {"n": "1"}, "replicationLocation": "europe-west3"});
    assert_eq!(pushed(&store, &[push(first.clone())]).await, [Pushed::Written]);
    assert_eq!(pushed(&store, &[push(first)]).await, [Pushed::Unchanged]);
    let merged = json!({"labels": {"more": "1"}, "mergePolicy": "Merge"});
    assert_eq!(pushed(&store, &[push(merged)]).await, [Pushed::Written]);
    let expected = json!({
        "annotations": {"n": "1"}, "labels": {"managed-by": "external-secrets", "more": "1", "team": "a"}
    });
    assert_eq!(labels(&store, "labelled").await, expected);
    assert_eq!(pushed(&store, &[push(json!({"labels": {"only": "1"}, "annotations": {}}))]).await, [Pushed::Written]);
    let expected = json!({"annotations": null, "labels": {"managed-by": "external-secrets", "only": "1"}});
    assert_eq!(labels(&store, "labelled").await, expected);
    assert_eq!(pushed(&store, &[one("labelled", None, CANARY)]).await, [Pushed::Unchanged]);
    let failure = refused(&store, push(json!({"tags": {}}))).await;
    assert!(failure.class == Class::Invalid && failure.words.contains("`tags`"), "{failure}");
}

#[tokio::test]
async fn what_others_keep_is_refused_and_a_half_made_secret_is_filled() {
    let google = GoogleStandIn::start().unwrap();
    google.put(google.project(), "foreign", CANARY.as_bytes());
    let store = open(settings(&google));
    let failure = refused(&store, one("foreign", None, "x")).await;
    assert_eq!((failure.class, failure.subject.key.as_deref()), (Class::Denied, Some("foreign")));
    let kept = Push { only_if_absent: true, ..one("foreign", None, "x") };
    assert_eq!(pushed(&store, &[kept]).await, [Pushed::Kept]);
    assert_eq!(deleted(&store, &[place("foreign", None)]).await, [Deleted::Foreign]);
    assert!(text(&read_one(&store, "foreign").await) == CANARY);
    let switchboard = Switchboard::with_tls(google.host_port(), google.authority()).unwrap();
    let cut =
        open(strongroom_google::Settings { endpoint: Some(switchboard.address().to_owned()), ..settings(&google) });
    switchboard.add(Fault::throttle(Some(3)).on_path("half:addVersion").times(1));
    let failure = refused(&cut, one("half", None, CANARY)).await;
    assert!(matches!(failure.class, Class::Throttled { .. }), "{failure}");
    assert_eq!(pushed(&cut, &[one("half", None, CANARY)]).await, [Pushed::Written]);
    assert!(text(&read_one(&store, "half").await) == CANARY);
}

#[tokio::test]
async fn who_may_not_is_told_and_spoils_no_other() {
    let google = GoogleStandIn::start().unwrap();
    let store = open(settings(&google));
    pushed(&store, &[one("denied", None, "1")]).await;
    google.deny(google.project(), "denied");
    let answers = store.push(&[one("denied", None, CANARY), one("other", None, CANARY)]).await;
    assert_eq!(answers[0].as_ref().unwrap_err().class, Class::Denied);
    assert_eq!(answers[1], Ok(Pushed::Written));
    let failure = refused(&store, one("other", Some("a"), "1")).await;
    assert!(failure.class == Class::Invalid && failure.words.contains("no JSON object"), "{failure}");
}

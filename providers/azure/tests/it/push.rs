use serde_json::json;
use strongroom_azure::KeyVault;
use strongroom_failure::{Class, Failure};
use strongroom_provider::{Content, Deleted, Facet, Place, Provider, Push, Pushed, RemoteKey, SecretBytes, Source};
use world::azure::{AzureStandIn, Denial};

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

async fn pushed(store: &KeyVault, pushes: &[Push]) -> Vec<Pushed> {
    store.push(pushes).await.into_iter().map(|answer| answer.unwrap_or_else(|failure| panic!("{failure}"))).collect()
}

async fn refused(store: &KeyVault, push: Push) -> Failure {
    let failure = store.push(&[push]).await.remove(0).expect_err("a failure");
    assert!(!format!("{failure} {failure:?}").contains(CANARY), "a value is shown");
    failure
}

async fn deleted(store: &KeyVault, places: &[Place]) -> Vec<Deleted> {
    store.delete(places).await.into_iter().map(|answer| answer.unwrap_or_else(|failure| panic!("{failure}"))).collect()
}

#[tokio::test]
async fn properties_of_one_secret_are_one_version_and_what_is_there_is_not_written_again() {
    let azure = AzureStandIn::start().unwrap();
    let (store, meter) = open_metered(settings(&azure));
    let versions = || {
        let counts = meter.counts().into_iter();
        counts.filter(|(operation, ..)| *operation == "keyvault:SetSecret").map(|(.., count)| count).sum::<u64>()
    };
    let wanted = [one("app", Some("user"), "bob"), one("app", Some("db.key"), CANARY)];
    assert_eq!(pushed(&store, &wanted).await, [Pushed::Written; 2]);
    assert!(
        text(&read_one(&store, "secret/app").await) == format!("{{\"user\":\"bob\",\"db\":{{\"key\":\"{CANARY}\"}}}}")
    );
    assert_eq!(pushed(&store, &wanted).await, [Pushed::Unchanged; 2]);
    assert_eq!(versions(), 1);
    let kept = Push { only_if_absent: true, ..one("app", Some("user"), "x") };
    let new = Push { only_if_absent: true, ..one("app", Some("new"), "x") };
    assert_eq!(pushed(&store, &[kept, new]).await, [Pushed::Kept, Pushed::Written]);
    assert_eq!(versions(), 2);
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
async fn tags_and_expiry_alone_are_applied_without_a_new_version() {
    let azure = AzureStandIn::start().unwrap();
    let store = open(settings(&azure));
    let push = |spec| with(one("tagged", None, CANARY), spec);
    let first = json!({"tags": {"team": "a"}, "expirationDate": "2099-01-31T00:00:00Z"});
    assert_eq!(pushed(&store, &[push(first.clone())]).await, [Pushed::Written]);
    assert_eq!(pushed(&store, &[push(first)]).await, [Pushed::Unchanged]);
    let version = read_one(&store, "tagged").await.unwrap().version;
    assert_eq!(pushed(&store, &[push(json!({"tags": {"team": "b"}}))]).await, [Pushed::Written]);
    assert_eq!(read_one(&store, "tagged").await.unwrap().version, version);
    let key = RemoteKey { facet: Facet::Metadata, ..RemoteKey::current("tagged") };
    let metadata: serde_json::Value = serde_json::from_str(text(&store.read(&[key]).await.remove(0))).unwrap();
    assert_eq!((&metadata["team"], &metadata["managed-by"]), (&json!("b"), &json!("external-secrets")));
    assert_eq!(metadata["attribute.expires"], "2099-01-31T00:00:00Z");
    for (spec, word) in [(json!({"labels": {}}), "`labels`"), (json!({"expirationDate": "soon"}), "expirationDate")] {
        let failure = refused(&store, push(spec)).await;
        assert!(failure.class == Class::Invalid && failure.words.contains(word), "{failure}");
    }
}

#[tokio::test]
async fn what_others_keep_is_refused_and_stays() {
    let azure = AzureStandIn::start().unwrap();
    azure.put_secret("foreign", CANARY);
    let store = open(settings(&azure));
    let failure = refused(&store, one("foreign", None, "x")).await;
    assert_eq!((failure.class, failure.subject.key.as_deref()), (Class::Denied, Some("foreign")));
    let kept = Push { only_if_absent: true, ..one("foreign", None, "x") };
    assert_eq!(pushed(&store, &[kept]).await, [Pushed::Kept]);
    assert_eq!(deleted(&store, &[place("foreign", None)]).await, [Deleted::Foreign]);
    assert!(text(&read_one(&store, "foreign").await) == CANARY);
}

#[tokio::test]
async fn who_may_not_is_told_and_spoils_no_other() {
    let azure = AzureStandIn::start().unwrap();
    azure.deny("denied", Denial::Policy);
    let store = open(settings(&azure));
    let answers = store.push(&[one("denied", None, CANARY), one("other", None, CANARY)]).await;
    assert_eq!(answers[0].as_ref().unwrap_err().class, Class::Denied);
    assert_eq!(answers[1], Ok(Pushed::Written));
    azure.deny("closed", Denial::Role);
    for key in ["key/closed", "cert/closed"] {
        assert_eq!(deleted_or_refused(&store, key).await, Err(Class::Denied));
    }
}

async fn deleted_or_refused(store: &KeyVault, key: &str) -> Result<Deleted, Class> {
    store.delete(&[place(key, None)]).await.remove(0).map_err(|failure| failure.class)
}

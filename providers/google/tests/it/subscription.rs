use std::sync::Arc;
use std::time::{Duration, Instant};

use strongroom_failure::Class;
use strongroom_google::Subscription;
use world::google::GoogleStandIn;

use super::settings;

const CHANGE: [(&str, &str); 2] = [("eventType", "SECRET_VERSION_ADD"), ("secretId", "projects/1/secrets/db")];

fn open(google: &GoogleStandIn, name: &str) -> Subscription {
    Subscription::open(settings(google), name, Some(google.endpoint().to_owned()), Arc::default()).unwrap()
}

#[tokio::test]
async fn what_is_pulled_comes_again_until_it_is_acknowledged() {
    let google = GoogleStandIn::start().unwrap();
    let name = google.subscribe("changes", Duration::from_secs(1)).unwrap();
    let subscription = open(&google, &name);
    google.publish("changes", &CHANGE).unwrap();
    let first = subscription.pull().await.unwrap();
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].attributes["secretId"], "projects/1/secrets/db");
    let again = subscription.pull().await.unwrap();
    assert_eq!(again.len(), 1, "nobody acknowledged it");
    assert_eq!(again[0].id, first[0].id);
    subscription.acknowledge(&again).await.unwrap();
    assert_eq!(google.unacknowledged(&name), 0);
    assert!(subscription.pull().await.unwrap().is_empty());
    subscription.acknowledge(&[]).await.unwrap();
}

#[tokio::test]
async fn a_message_that_comes_while_it_is_pulled_is_had_at_once_and_a_refused_token_is_replaced() {
    let google = GoogleStandIn::start().unwrap();
    let name = google.subscribe("changes", Duration::from_secs(10)).unwrap();
    let subscription = open(&google, &name);
    assert!(subscription.pull().await.unwrap().is_empty());
    google.expire_tokens();
    let pulling = tokio::spawn(async move { subscription.pull().await.unwrap().len() });
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let start = Instant::now();
    google.publish("changes", &CHANGE).unwrap();
    assert_eq!(pulling.await.unwrap(), 1);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn failures_name_the_subscription() {
    let google = GoogleStandIn::start().unwrap();
    let missing = format!("projects/{}/subscriptions/missing", google.project());
    let failure = open(&google, &missing).pull().await.err().unwrap();
    assert_eq!(failure.class, Class::NotFound);
    assert!(failure.to_string().contains(&missing), "{failure}");
    let wrong = Subscription::open(settings(&google), "missing", None, Arc::default()).err().unwrap();
    assert_eq!(wrong.class, Class::Invalid);
}

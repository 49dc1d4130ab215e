//! Google Secret Manager, against a stand-in that was written from the public REST description.

#![cfg(test)]

mod credentials;
mod faults;
mod keys;
mod network;
mod push;
mod reads;
mod search;
mod subscription;

use std::sync::Arc;
use std::time::Duration;

use strongroom_failure::{Class, Failure};
use strongroom_google::{Credentials, SecretManager, Settings, Timeouts};
use strongroom_http::TlsSettings;
use strongroom_provider::{Answer, Meter, Provider, RemoteKey};
use world::google::GoogleStandIn;

/// What a value contains that must not be seen anywhere but in answers.
const CANARY: &str = "canary-9d41";

/// Settings of a service account that trusts the stand-in and nobody else.
fn settings(google: &GoogleStandIn) -> Settings {
    Settings {
        project: Some(google.project().to_owned()),
        endpoint: Some(google.endpoint().to_owned()),
        credentials: Some(Credentials::File(google.service_account_file().to_owned())),
        metadata_host: Some(google.metadata_host().to_owned()),
        tls: trusting(google),
        timeouts: Timeouts { connect: Duration::from_secs(5), call: Duration::from_secs(20) },
        ..Settings::default()
    }
}

fn trusting(google: &GoogleStandIn) -> TlsSettings {
    let file = google.certificate_file().display().to_string();
    serde_json::from_value(serde_json::json!({"roots": {"only": [{"file": file}]}})).unwrap()
}

fn open(settings: Settings) -> SecretManager {
    SecretManager::open(settings, Arc::default()).unwrap()
}

fn open_metered(settings: Settings) -> (SecretManager, Arc<Meter>) {
    let meter = Arc::new(Meter::default());
    (SecretManager::open(settings, Arc::clone(&meter)).unwrap(), meter)
}

fn whole(google: &GoogleStandIn, secret: &str) -> String {
    format!("projects/{}/secrets/{secret}", google.project())
}

async fn read(store: &SecretManager, names: &[&str]) -> Vec<Answer> {
    store.read(&names.iter().map(|name| RemoteKey::current(*name)).collect::<Vec<_>>()).await
}

async fn read_one(store: &SecretManager, name: &str) -> Answer {
    read(store, &[name]).await.remove(0)
}

fn text(answer: &Answer) -> &str {
    match answer {
        Ok(read) => read.value.expose_text().unwrap(),
        Err(failure) => panic!("{failure}"),
    }
}

/// The failure of an answer, which shows nothing that is secret.
fn failure(answer: &Answer) -> &Failure {
    match answer {
        Ok(_) => panic!("a value instead of a failure"),
        Err(failure) => {
            let shown = format!("{failure} {failure:?}");
            assert!(!shown.contains(CANARY), "a value is shown");
            assert!(!shown.contains("PRIVATE KEY"), "a key is shown");
            failure
        }
    }
}

#[track_caller]
fn check_failure(answer: &Answer, class: Class, words: &str) {
    let failure = failure(answer);
    assert_eq!(failure.class, class, "{failure}");
    assert!(failure.to_string().contains(words), "{failure}");
}

//! Azure Key Vault, against a stand-in that was written from the public REST description and that Azure's own clients
//! agree with.

#![cfg(test)]

mod faults;
mod identities;
mod imports;
mod keys;
mod network;
mod push;
mod reads;
mod registries;
mod search;

use std::sync::Arc;
use std::time::Duration;

use strongroom_azure::{Cloud, Credentials, Form, KeyVault, Settings, Timeouts, Vaults};
use strongroom_failure::{Class, Failure};
use strongroom_http::{AddressPolicy, Proxy, TlsSettings};
use strongroom_provider::{Answer, Meter, Provider, RemoteKey, SecretBytes};
use world::azure::AzureStandIn;

/// What a value contains that must not be seen anywhere but in answers.
const CANARY: &str = "canary-9d41";

/// Settings of an application with a secret that trusts the stand-in and nobody else.
fn settings(azure: &AzureStandIn) -> Settings {
    Settings {
        vault_url: azure.endpoint().to_owned(),
        credentials: secret(azure),
        cloud: cloud(azure.endpoint()),
        form: Form::Classic,
        tls: trusting(azure),
        proxy: Proxy::none(),
        addresses: AddressPolicy::Any,
        timeouts: Timeouts { connect: Duration::from_secs(5), call: Duration::from_secs(20) },
    }
}

fn secret(azure: &AzureStandIn) -> Credentials {
    Credentials::Secret {
        tenant: azure.tenant(),
        client_id: azure.client_id(),
        secret: SecretBytes::from(azure.client_secret()),
    }
}

/// A private cloud whose login is at `login`.
fn cloud(login: &str) -> Cloud {
    Cloud { login: login.to_owned(), vaults: Vaults::Asked(Some("https://vault.azure.net".to_owned())) }
}

fn trusting(azure: &AzureStandIn) -> TlsSettings {
    let file = azure.authority().certificate_file().display().to_string();
    serde_json::from_value(serde_json::json!({"roots": {"only": [{"file": file}]}})).unwrap()
}

fn open(settings: Settings) -> KeyVault {
    KeyVault::open(settings, Arc::default()).unwrap()
}

fn open_metered(settings: Settings) -> (KeyVault, Arc<Meter>) {
    let meter = Arc::new(Meter::default());
    (KeyVault::open(settings, Arc::clone(&meter)).unwrap(), meter)
}

async fn read(store: &KeyVault, names: &[&str]) -> Vec<Answer> {
    store.read(&names.iter().map(|name| RemoteKey::current(*name)).collect::<Vec<_>>()).await
}

async fn read_one(store: &KeyVault, name: &str) -> Answer {
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
            assert!(!shown.contains("PRIVATE KEY") && !shown.contains("eyJ"), "a credential is shown");
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

//! Each cloud wraps the installation's key, and opens what Kamus encrypted there, for the right account alone.

use std::sync::Arc;

use serde_json::json;
use strongroom_aws::{AccessKey, Endpoints, Session};
use strongroom_azure::{Cloud, Credentials, Form, Keys, Vaults};
use strongroom_decrypt::{AwsManagement, AzureManagement, Decrypter, GoogleManagement, KeyManagement, Limits};
use strongroom_google::KeyManagement as GoogleKeys;
use strongroom_http::{AddressPolicy, Proxy, TlsSettings};
use strongroom_kamus::Identity;
use world::azure::AzureStandIn;
use world::google::GoogleStandIn;
use world::kamus::Value;
use world::moto::Moto;

use super::{add_key, bytes, reader, ring};

const REGION: &str = "eu-west-1";
const PLAIN: &str = "canary-4c1e";

fn value(plain: &str) -> Value<'_> {
    Value { namespace: "team-a", account: "web", plain }
}

/// Seals and opens by the management, before and after a rotation, and opens `legacy` texts for their account alone.
async fn check(management: Arc<dyn KeyManagement>, legacy: &[(String, &str)]) {
    let mut ring = ring(&*management).await;
    let decrypter = Decrypter::new(Arc::clone(&management), None, ring.clone(), Limits::default());
    let sealed = decrypter.encrypt(&reader(), &bytes(PLAIN)).unwrap().to_string();
    assert!(decrypter.decrypt(&sealed, &reader()).await.unwrap().expose() == PLAIN.as_bytes());
    add_key(&mut ring, &*management).await;
    // As after a start: nothing is known yet.
    let decrypter = Decrypter::new(management, None, ring, Limits::default());
    assert!(decrypter.decrypt(&sealed, &reader()).await.unwrap().expose() == PLAIN.as_bytes());
    let stranger = Identity::new("team-a", "other").unwrap();
    for (text, plain) in legacy {
        assert!(decrypter.decrypt(text, &reader()).await.unwrap().expose() == plain.as_bytes(), "another value");
        let failure = decrypter.decrypt(text, &stranger).await.unwrap_err();
        assert!(!failure.class.can_retry() && !format!("{failure:?}").contains(PLAIN), "{failure}");
    }
    // What another key management, or a key of our own, would open.
    for foreign in ["4AD7lM6lc4dGvE3oF+5w8g==:WrcckiNNOAlMhuWHaM0kTw==", "sr1.0123456789abcdef.AQID"] {
        assert!(decrypter.decrypt(foreign, &reader()).await.is_err(), "{foreign}");
    }
}

#[tokio::test]
async fn aws_keeps_the_key_and_opens_kamus_texts() {
    let aws = Moto::start().unwrap();
    let made = aws.call(REGION, "TrentService.CreateKey", &json!({})).unwrap();
    let key = made["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
    let access_key = AccessKey { id: "test".to_owned(), secret: bytes("test"), session_token: None };
    let settings = strongroom_aws::Settings {
        region: Some(REGION.to_owned()),
        access_key: Some(access_key),
        endpoints: Endpoints { kms: Some(aws.endpoint().to_owned()), ..Endpoints::default() },
        ..strongroom_aws::Settings::default()
    };
    let text = value(PLAIN).under_aws(&aws, REGION, "test").unwrap();
    // The other account has a key as well.
    Value { account: "other", ..value(PLAIN) }.under_aws(&aws, REGION, "test").unwrap();
    let session = Session::new(settings, Arc::default()).unwrap();
    check(Arc::new(AwsManagement::new(session, key, "test".to_owned())), &[(text, PLAIN)]).await;
}

#[tokio::test]
async fn google_keeps_the_key_and_opens_kamus_texts() {
    let google = GoogleStandIn::start().unwrap();
    let ring = format!("projects/{}/locations/europe-west3/keyRings/kamus", google.project());
    let key = google.make_key(&ring, "installation").unwrap();
    let file = google.certificate_file().display().to_string();
    let settings = strongroom_google::Settings {
        credentials: Some(strongroom_google::Credentials::File(google.service_account_file().to_owned())),
        metadata_host: Some(google.metadata_host().to_owned()),
        tls: serde_json::from_value(json!({"roots": {"only": [{"file": file}]}})).unwrap(),
        ..strongroom_google::Settings::default()
    };
    let text = value(PLAIN).under_google(&google, &ring).unwrap();
    Value { account: "other", ..value(PLAIN) }.under_google(&google, &ring).unwrap();
    let keys = GoogleKeys::open(&settings, Some(google.endpoint().to_owned()), Arc::default()).unwrap();
    check(Arc::new(GoogleManagement::new(keys, key).unwrap()), &[(text, PLAIN)]).await;
}

#[tokio::test]
async fn azure_keeps_the_key_and_opens_kamus_texts() {
    let azure = AzureStandIn::start().unwrap();
    azure.make_key("installation").unwrap();
    let file = azure.authority().certificate_file().display().to_string();
    let tls: TlsSettings = serde_json::from_value(json!({"roots": {"only": [{"file": file}]}})).unwrap();
    let settings = strongroom_azure::Settings {
        vault_url: azure.endpoint().to_owned(),
        credentials: Credentials::Secret {
            tenant: azure.tenant(),
            client_id: azure.client_id(),
            secret: bytes(&azure.client_secret()),
        },
        cloud: Cloud {
            login: azure.endpoint().to_owned(),
            vaults: Vaults::Asked(Some("https://vault.azure.net".to_owned())),
        },
        form: Form::Classic,
        tls,
        proxy: Proxy::none(),
        addresses: AddressPolicy::Any,
        timeouts: strongroom_azure::Timeouts::default(),
    };
    let long = format!("{PLAIN}{}", "x".repeat(300));
    let texts = [
        (value(PLAIN).under_azure(&azure, 214).unwrap(), PLAIN),
        (value(&long).under_azure(&azure, 214).unwrap(), long.as_str()),
    ];
    Value { account: "other", ..value(PLAIN) }.under_azure(&azure, 214).unwrap();
    let keys = Keys::open(settings, Arc::default()).unwrap();
    check(Arc::new(AzureManagement::new(keys, "installation".to_owned()).unwrap()), &texts).await;
}

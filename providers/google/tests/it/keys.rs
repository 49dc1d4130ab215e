//! Keys of Cloud KMS, and what Kamus encrypted with them.

use std::sync::Arc;
use std::time::Duration;

use strongroom_failure::{Class, Failure};
use strongroom_google::KeyManagement;
use strongroom_kamus::legacy::{LegacyText, google_key};
use strongroom_kamus::{Identity, Text};
use strongroom_provider::{Meter, Outcome, SecretBytes};
use world::google::GoogleStandIn;
use world::kamus::Value;
use world::switchboard::{Fault, Line, Switchboard};

use crate::{CANARY, settings};

fn open(google: &GoogleStandIn, endpoint: &str) -> (KeyManagement, Arc<Meter>) {
    let meter = Arc::new(Meter::default());
    (KeyManagement::open(&settings(google), Some(endpoint.to_owned()), Arc::clone(&meter)).unwrap(), meter)
}

fn ring(google: &GoogleStandIn) -> String {
    format!("projects/{}/locations/europe-west3/keyRings/kamus", google.project())
}

fn value() -> SecretBytes {
    SecretBytes::from(CANARY.to_owned())
}

#[track_caller]
fn check<T>(result: Result<T, Failure>, class: Class, words: &str) {
    let Err(failure) = result else { panic!("a value instead of a failure") };
    assert_eq!(failure.class, class, "{failure}");
    assert!(failure.to_string().contains(words), "{failure}");
    assert!(!format!("{failure} {failure:?}").contains(CANARY), "a value is shown");
}

#[tokio::test]
async fn what_a_key_encrypted_it_decrypts_after_a_rotation_and_with_a_fresh_token() {
    let google = GoogleStandIn::start().unwrap();
    let key = google.make_key(&ring(&google), "k").unwrap();
    let (keys, meter) = open(&google, google.endpoint());
    let large = SecretBytes::new(vec![255; 64 * 1024]);
    for plain in [value(), SecretBytes::default(), large] {
        let ciphertext = keys.encrypt(&key, &plain).await.unwrap();
        google.rotate_key(&key).unwrap();
        google.expire_tokens();
        assert!(keys.decrypt(&key, &ciphertext).await.unwrap().expose() == plain.expose());
    }
    // A token that was refused is a call, too.
    assert!(meter.counts().contains(&("cloudkms.cryptoKeys.decrypt", Outcome::Answered, 3)));
}

#[tokio::test]
async fn keys_that_cannot_be_used_say_why() {
    let google = GoogleStandIn::start().unwrap();
    let key = |name: &str| google.make_key(&ring(&google), name).unwrap();
    let (key, other, denied, corrupt) = (key("k"), key("other"), key("denied"), key("corrupt"));
    let (keys, _) = open(&google, google.endpoint());
    let ciphertext = keys.encrypt(&key, &value()).await.unwrap();
    check(keys.decrypt(&other, &ciphertext).await, Class::Invalid, "another key encrypted it, or it was changed");
    let mut changed = ciphertext.clone();
    changed.pop();
    check(keys.decrypt(&key, &changed).await, Class::Invalid, "another key encrypted it, or it was changed");
    google.enable_key(&key, false).unwrap();
    check(keys.decrypt(&key, &ciphertext).await, Class::Invalid, "current state is: DISABLED");
    check(keys.encrypt(&key, &value()).await, Class::Invalid, "the key cannot be used as it is");
    google.deny_key(&denied);
    check(keys.encrypt(&denied, &value()).await, Class::Denied, "useToEncrypt");
    check(keys.decrypt(&denied, &ciphertext).await, Class::Denied, "useToDecrypt");
    google.corrupt_key(&corrupt);
    check(keys.encrypt(&corrupt, &value()).await, Class::Unavailable, "a checksum does not fit");
    let missing = format!("{}/cryptoKeys/none", ring(&google));
    check(keys.decrypt(&missing, &ciphertext).await, Class::NotFound, &missing);
    check(keys.decrypt("none", &ciphertext).await, Class::Invalid, "does not name a key");
    check(keys.encrypt(&other, &SecretBytes::new(vec![7; 64 * 1024 + 1])).await, Class::Invalid, "at most 65536");
}

#[tokio::test]
async fn a_plaintext_whose_checksum_does_not_fit_is_not_given() {
    let google = GoogleStandIn::start().unwrap();
    let key = google.make_key(&ring(&google), "k").unwrap();
    let (keys, _) = open(&google, google.endpoint());
    let ciphertext = keys.encrypt(&key, &value()).await.unwrap();
    google.corrupt_key(&key);
    check(keys.decrypt(&key, &ciphertext).await, Class::Unavailable, "a checksum does not fit");
}

#[tokio::test]
async fn faults_on_the_way_have_their_class() {
    let google = GoogleStandIn::start().unwrap();
    let key = google.make_key(&ring(&google), "k").unwrap();
    let board = Switchboard::with_tls(google.host_port(), google.authority()).unwrap();
    let (keys, _) = open(&google, board.address());
    let ciphertext = keys.encrypt(&key, &value()).await.unwrap();
    let wait = Class::Throttled { retry_after: Some(Duration::from_secs(7)) };
    let exhausted = r#"{"error":{"code":429,"message":"Quota exceeded.","status":"RESOURCE_EXHAUSTED"}}"#;
    let unverified = r#"{"ciphertext":"AAAA"}"#;
    for (fault, class, words) in [
        (Fault::throttle(Some(7)), wait, "Google asks for patience"),
        (Fault::answer(429, &[("Retry-After", "7")], exhausted), wait, "RESOURCE_EXHAUSTED: Quota exceeded"),
        (Fault::answer(503, &[], "<html>canary-9d41</html>"), Class::Unavailable, "Google could not answer: HTTP 503"),
        (Fault::answer(200, &[], r#"{"plaintext":["canary-9d41"]}"#), Class::Unavailable, "not what Cloud KMS sends"),
        (Fault::answer(200, &[], r#"{"plaintext":"canary-9d41!"}"#), Class::Unavailable, "is not base64"),
        (Fault::cut_body(), Class::Unavailable, "before its answer was whole"),
    ] {
        board.clear();
        board.add(fault);
        check(keys.decrypt(&key, &ciphertext).await, class, words);
    }
    board.clear();
    board.add(Fault::answer(200, &[], unverified));
    check(keys.encrypt(&key, &value()).await, Class::Unavailable, "a checksum does not fit");
    board.clear();
    board.set_line(Line::Refused).unwrap();
    check(keys.decrypt(&key, &ciphertext).await, Class::Unavailable, "");
    board.set_line(Line::Open).unwrap();
    assert!(keys.decrypt(&key, &ciphertext).await.unwrap().expose() == CANARY.as_bytes());
}

#[tokio::test]
async fn a_text_of_kamus_opens_for_its_account_alone() {
    let google = GoogleStandIn::start().unwrap();
    let plain = "canary-9d41 pässword ".repeat(400);
    let value = Value { namespace: "team-a", account: "web", plain: &plain };
    // The other account has a key, too.
    Value { account: "other", ..value }.under_google(&google, &ring(&google)).unwrap();
    let text = value.under_google(&google, &ring(&google)).unwrap();
    let Text::Legacy(LegacyText::Direct(ciphertext)) = Text::read(&text).unwrap() else { panic!("it is no text") };
    let (keys, _) = open(&google, google.endpoint());
    let decrypt = async |account: &str| {
        let identity = Identity::new("team-a", account).unwrap();
        keys.decrypt(&google_key(google.project(), "europe-west3", "kamus", &identity), &ciphertext).await
    };
    assert!(decrypt("web").await.unwrap().expose() == plain.as_bytes());
    check(decrypt("other").await, Class::Invalid, "another key encrypted it");
    check(decrypt("none").await, Class::NotFound, "not found");
}

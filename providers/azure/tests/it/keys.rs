//! A vault's keys, and what Kamus encrypted with them.

use std::sync::Arc;
use std::time::Duration;

use strongroom_azure::{Algorithm, KeyName, Keys, Settings};
use strongroom_failure::{Class, Failure};
use strongroom_kamus::legacy::{LegacyText, data_key_of_text};
use strongroom_kamus::{Identity, Text};
use strongroom_provider::{Meter, Outcome, SecretBytes};
use world::azure::{AzureStandIn, Denial, Kind};
use world::kamus::Value;
use world::switchboard::{Fault, Line, Switchboard};

use crate::{CANARY, settings};

fn open(settings: Settings) -> (Keys, Arc<Meter>) {
    let meter = Arc::new(Meter::default());
    (Keys::open(settings, Arc::clone(&meter)).unwrap(), meter)
}

fn name(name: &str) -> KeyName {
    KeyName::new(name, None).unwrap()
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
async fn what_a_key_encrypted_its_version_decrypts_after_a_rotation_too() {
    let azure = AzureStandIn::start().unwrap();
    let (keys, meter) = open(settings(&azure));
    for (algorithm, most) in [(Algorithm::RsaOaep, 214), (Algorithm::RsaOaep256, 190)] {
        let version = azure.make_key("k").unwrap();
        for plain in [value(), SecretBytes::default(), SecretBytes::new(vec![255; most])] {
            let encrypted = keys.encrypt(&name("k"), algorithm, &plain).await.unwrap();
            assert_eq!((&encrypted.version, encrypted.bytes.len()), (&version, 256));
            let decrypted = keys.decrypt(&name("k"), algorithm, &encrypted.bytes).await.unwrap();
            assert!(decrypted.expose() == plain.expose());
        }
        let encrypted = keys.encrypt(&name("k"), algorithm, &value()).await.unwrap();
        azure.make_key("k").unwrap();
        azure.expire_tokens();
        let changed = "another key encrypted it, or it was changed";
        check(keys.decrypt(&name("k"), algorithm, &encrypted.bytes).await, Class::Invalid, changed);
        let old = KeyName::new("k", Some(&encrypted.version)).unwrap();
        assert!(keys.decrypt(&old, algorithm, &encrypted.bytes).await.unwrap().expose() == CANARY.as_bytes());
        let large = SecretBytes::new(vec![7; most + 1]);
        check(keys.encrypt(&name("k"), algorithm, &large).await, Class::Invalid, "more bytes");
    }
    assert!(meter.counts().contains(&("keyvault:Encrypt", Outcome::Answered, 10)));
}

#[tokio::test]
async fn keys_that_cannot_be_used_say_why() {
    let azure = AzureStandIn::start().unwrap();
    for key in ["k", "policy", "role", "firewall"] {
        azure.make_key(key).unwrap();
    }
    let (keys, _) = open(settings(&azure));
    let encrypted = keys.encrypt(&name("k"), Algorithm::RsaOaep256, &value()).await.unwrap().bytes;
    let decrypt = async |key: &str, algorithm| keys.decrypt(&name(key), algorithm, &encrypted).await;
    check(decrypt("k", Algorithm::RsaOaep).await, Class::Invalid, "another key encrypted it, or it was changed");
    check(decrypt("role", Algorithm::RsaOaep256).await, Class::Invalid, "another key encrypted it");
    check(decrypt("none", Algorithm::RsaOaep256).await, Class::NotFound, "KeyNotFound");
    azure.disable(Kind::Key, "k");
    check(decrypt("k", Algorithm::RsaOaep256).await, Class::Invalid, "decrypt is not allowed on a disabled key");
    for (key, denial, hint) in [
        ("policy", Denial::Policy, "allow keys' decrypt in the vault's access policies"),
        ("role", Denial::Role, "Key Vault Crypto User"),
        ("firewall", Denial::Firewall, "firewall"),
    ] {
        azure.deny(key, denial);
        let denied = decrypt(key, Algorithm::RsaOaep256).await;
        assert!(denied.as_ref().err().unwrap().hint.as_ref().unwrap().contains(hint), "{denied:?}");
        check(denied, Class::Denied, "access denied");
    }
}

#[tokio::test]
async fn faults_on_the_way_have_their_class() {
    let azure = AzureStandIn::start().unwrap();
    azure.make_key("k").unwrap();
    let board = Switchboard::with_tls(azure.host_port(), azure.authority()).unwrap();
    let (keys, _) = open(Settings { vault_url: board.address().to_owned(), ..settings(&azure) });
    let encrypted = keys.encrypt(&name("k"), Algorithm::RsaOaep256, &value()).await.unwrap().bytes;
    let wait = Class::Throttled { retry_after: Some(Duration::from_secs(7)) };
    let not_ours = "not what Azure Key Vault sends";
    for (fault, class, words) in [
        (Fault::throttle(Some(7)), wait, "Azure Key Vault asks for patience"),
        (Fault::answer(503, &[], "<html>canary-9d41</html>"), Class::Unavailable, "could not answer: HTTP 503"),
        (Fault::answer(404, &[], "<html>canary-9d41</html>"), Class::Invalid, "refuses the request: HTTP 404"),
        (Fault::answer(200, &[], r#"{"kid":"k","value":["canary-9d41"]}"#), Class::Unavailable, not_ours),
        (Fault::answer(200, &[], r#"{"kid":"k","value":"canary-9d41!"}"#), Class::Unavailable, not_ours),
        (Fault::cut_body(), Class::Unavailable, "before its answer was whole"),
    ] {
        board.clear();
        board.add(fault);
        check(keys.decrypt(&name("k"), Algorithm::RsaOaep256, &encrypted).await, class, words);
    }
    board.clear();
    board.set_line(Line::Refused).unwrap();
    check(keys.decrypt(&name("k"), Algorithm::RsaOaep256, &encrypted).await, Class::Unavailable, "");
    board.set_line(Line::Open).unwrap();
    let decrypted = keys.decrypt(&name("k"), Algorithm::RsaOaep256, &encrypted).await.unwrap();
    assert!(decrypted.expose() == CANARY.as_bytes());
}

#[tokio::test]
async fn texts_of_kamus_short_and_long_open_for_their_account_alone() {
    let azure = AzureStandIn::start().unwrap();
    let (keys, _) = open(settings(&azure));
    let decrypt = async |account: &str, ciphertext: &[u8]| {
        let identity = Identity::new("team-a", account).unwrap();
        keys.decrypt(&name(&identity.key_id()), Algorithm::RsaOaep, ciphertext).await
    };
    let (short, long) = ("canary-9d41 pässword", "canary-9d41 pässword ".repeat(400));
    // The other account has a key, too.
    let other = Value { namespace: "team-a", account: "other", plain: short };
    other.under_azure(&azure, 214).unwrap();
    for plain in [short, &long] {
        let value = Value { namespace: "team-a", account: "web", plain };
        let opened = match Text::read(&value.under_azure(&azure, 214).unwrap()).unwrap() {
            Text::Legacy(LegacyText::Direct(ciphertext)) => {
                check(decrypt("other", &ciphertext).await, Class::Invalid, "another key encrypted it");
                decrypt("web", &ciphertext).await.unwrap()
            }
            Text::Legacy(LegacyText::Envelope { wrapped_key, block }) => {
                check(decrypt("other", &wrapped_key).await, Class::Invalid, "another key encrypted it");
                check(decrypt("none", &wrapped_key).await, Class::NotFound, "KeyNotFound");
                let key = decrypt("web", &wrapped_key).await.unwrap();
                block.open(&data_key_of_text(&key).unwrap()).unwrap()
            }
            other => panic!("another form: {other:?}"),
        };
        assert!(opened.expose() == plain.as_bytes());
    }
}

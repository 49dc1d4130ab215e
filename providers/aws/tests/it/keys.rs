//! Keys of KMS, and what Kamus wrapped with them.

use serde_json::json;
use strongroom_failure::{Class, Failure};
use strongroom_kamus::legacy::{LegacyText, aws_alias};
use strongroom_kamus::{Identity, Text};
use strongroom_provider::SecretBytes;
use world::kamus::Value;
use world::switchboard::{Fault, Line as Wire};

use crate::common::{CANARY, Line, REGION, assert_clean, moto};

const CONTEXT: [(&str, &str); 1] = [("strongroom", "test")];

fn make_key() -> String {
    let made = moto().call(REGION, "TrentService.CreateKey", &json!({})).unwrap();
    made["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
}

fn value() -> SecretBytes {
    SecretBytes::from(CANARY.to_owned())
}

/// A failure, which shows nothing that is secret.
fn failure<T>(result: Result<T, Failure>) -> Failure {
    let failure = result.err().expect("a failure");
    assert_clean(&failure);
    failure
}

#[tokio::test]
async fn what_a_key_wrapped_it_unwraps_for_the_same_context_alone() {
    let (line, key, other) = (Line::new(), make_key(), make_key());
    let session = &line.session;
    for context in [&[][..], &CONTEXT, &[("a", "1"), ("b", "2")]] {
        let wrapped = session.wrap_with_key(&key, context, &value()).await.unwrap();
        assert!(session.unwrap_with_key(&key, context, &wrapped).await.unwrap().expose() == CANARY.as_bytes());
        let elsewhere = failure(session.unwrap_with_key(&key, &[("a", "2")], &wrapped).await);
        assert_eq!(elsewhere.class, Class::Invalid, "{elsewhere}");
        assert!(elsewhere.to_string().contains("not encrypted like this"), "{elsewhere}");
        // The emulator does not say what AWS says: IncorrectKeyException.
        assert_eq!(failure(session.unwrap_with_key(&other, context, &wrapped).await).class, Class::Denied);
    }
    let large = SecretBytes::new(vec![7; 4097]);
    assert_eq!(failure(session.wrap_with_key(&key, &[], &large).await).class, Class::Invalid);
    let missing = failure(session.wrap_with_key("alias/none", &[], &value()).await);
    assert_eq!(missing.class, Class::NotFound, "{missing}");
}

#[tokio::test]
async fn failures_of_keys_have_their_class_and_say_why() {
    let (line, key) = (Line::new(), make_key());
    let wrapped = line.session.wrap_with_key(&key, &[], &value()).await.unwrap();
    let check = async |fault: Fault, class: Class, words: &str| {
        line.switchboard.clear();
        line.switchboard.add(fault);
        let failure = failure(line.session.unwrap_with_key(&key, &[], &wrapped).await);
        assert_eq!(failure.class, class, "{failure}");
        assert!(failure.to_string().contains(words), "{failure}");
        assert!(failure.to_string().contains(&key), "{failure}");
    };
    let throttled = Class::Throttled { retry_after: None };
    check(Fault::aws("IncorrectKeyException"), Class::Invalid, "another key encrypted it").await;
    check(Fault::aws("InvalidCiphertextException"), Class::Invalid, "or was changed").await;
    check(Fault::aws("DisabledException"), Class::Invalid, "the key is disabled").await;
    check(Fault::aws("KMSInvalidStateException"), Class::Invalid, "cannot be used in its state").await;
    check(Fault::aws("NotFoundException"), Class::NotFound, "there is no such key").await;
    check(Fault::aws("AccessDeniedException"), Class::Denied, "access denied").await;
    check(Fault::aws("ThrottlingException"), throttled, "patience").await;
    check(Fault::aws("LimitExceededException"), throttled, "patience").await;
    check(Fault::aws("KeyUnavailableException"), Class::Unavailable, "").await;
    check(Fault::answer(500, &[], r#"{"__type":"KMSInternalException"}"#), Class::Unavailable, "").await;
    check(Fault::answer(200, &[], r#"{"Plaintext":"canary!"}"#), Class::Unavailable, "not what KMS answers").await;
    line.switchboard.clear();
    line.switchboard.set_line(Wire::Refused).unwrap();
    let down = failure(line.session.unwrap_with_key(&key, &[], &wrapped).await);
    assert_eq!(down.class, Class::Unavailable, "{down}");
}

#[tokio::test]
async fn an_envelope_of_kamus_opens_for_its_account_alone() {
    let line = Line::new();
    for prefix in ["", "prod"] {
        let plain = "canary pässword ".repeat(400);
        let value = Value { namespace: "team-a", account: "web", plain: &plain };
        // The other account has a key, too.
        Value { account: "other", ..value }.under_aws(moto(), REGION, prefix).unwrap();
        let text = value.under_aws(moto(), REGION, prefix).unwrap();
        let Text::Legacy(LegacyText::Envelope { wrapped_key, block }) = Text::read(&text).unwrap() else {
            panic!("it is no envelope");
        };
        let unwrap = async |account: &str| {
            let alias = aws_alias(prefix, &Identity::new("team-a", account).unwrap());
            line.session.unwrap_with_key(&alias, &[], &wrapped_key).await
        };
        let opened = block.open(&unwrap("web").await.unwrap()).unwrap();
        assert!(opened.expose() == plain.as_bytes());
        assert_eq!(failure(unwrap("other").await).class, Class::Denied);
        assert_eq!(failure(unwrap("none").await).class, Class::NotFound);
    }
}

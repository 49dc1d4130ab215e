use strongroom_event::{Seen, webhook};
use strongroom_secret::SecretBytes;

const NOW: i64 = 1_764_224_782;
const BODY: &[u8] = br#"{"provider": "vault", "key": "team-a/db"}"#;

fn key() -> SecretBytes {
    SecretBytes::from("0123456789abcdef0123456789abcdef".to_owned())
}

#[test]
fn the_signature_is_hmac_sha256_of_the_time_and_the_body() {
    // printf '%s.%s' 1764224782 "$BODY" | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
    let expected = "t=1764224782,v1=9d32dc00336d3d9068ce279088a92b8d7643fb80ac9be6115ce84954d13482a7";
    assert_eq!(webhook::sign(&key(), BODY, NOW), expected);
    assert!(webhook::verify(&key(), Some(expected), BODY, NOW).is_ok());
}

#[test]
fn forged_old_and_broken_signatures_are_refused() {
    let right = webhook::sign(&key(), BODY, NOW);
    let check = |header: Option<&str>, body: &[u8], now: i64, words: &str| {
        let failure = webhook::verify(&key(), header, body, now).unwrap_err();
        assert!(failure.words.contains(words), "{failure}");
    };
    check(None, BODY, NOW, "no signature");
    for broken in ["", "v1=00", "t=1,v1=00", "t=,v1=", &right.replace("t=", "t=+"), &right.replace("v1", "v2")] {
        check(Some(broken), BODY, NOW, "not t=SECONDS");
    }
    check(Some(&right.replace("v1=", "v1=€").replace("€", "é")), BODY, NOW, "not t=SECONDS");
    let other = SecretBytes::from("another key of thirty-two bytes!".to_owned());
    check(Some(&webhook::sign(&other, BODY, NOW)), BODY, NOW, "wrong");
    check(Some(&right), b"{}", NOW, "wrong");
    check(Some(&right.replace("t=1764224782", "t=1764224783")), BODY, NOW, "wrong");
    for off in [-301, 301] {
        check(Some(&right), BODY, NOW + off, "older than 5 minutes");
        assert!(webhook::verify(&key(), Some(&right), BODY, NOW + off - off.signum()).is_ok());
    }
}

#[test]
fn a_second_delivery_has_the_same_proof_and_is_known_within_the_window() {
    let header = webhook::sign(&key(), BODY, NOW);
    let proof = || webhook::verify(&key(), Some(&header), BODY, NOW).unwrap();
    let mut seen = Seen::within(webhook::WINDOW);
    assert!(seen.is_new(proof(), NOW));
    assert!(!seen.is_new(proof(), NOW + webhook::WINDOW));
    assert!(seen.is_new(proof(), NOW + webhook::WINDOW + 1));
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut seen = Seen::within(300);
    assert!((0..20_000).all(|message| seen.is_new(message, 0)));
    assert!(!seen.is_new(19_999, 0), "the last is remembered");
    assert!(seen.is_new(0, 0), "the first made room");
}

#[test]
fn bodies_name_provider_key_and_store() {
    let parsed = |body: &str| webhook::parse(body.as_bytes()).map(|change| (change.name().to_owned(), change.store));
    let store = |namespace: Option<&str>, name: &str| Some((namespace.map(str::to_owned), name.to_owned()));
    assert_eq!(parsed(r#"{"provider": "vault", "key": "a"}"#).unwrap(), ("a".to_owned(), None));
    assert_eq!(parsed(r#"{"provider": "vault", "key": "a", "store": "s"}"#).unwrap().1, store(None, "s"));
    assert_eq!(parsed(r#"{"provider": "vault", "key": "a", "store": "n/s"}"#).unwrap().1, store(Some("n"), "s"));
    for body in ["", "[]", r#"{"provider": "vault"}"#, r#"{"provider": "canary", "key": "a"}"#] {
        assert!(!parsed(body).unwrap_err().to_string().contains("canary"));
    }
    assert!(parsed(r#"{"provider": "vault", "key": "a", "value": "canary"}"#).is_err(), "values are not sent here");
}

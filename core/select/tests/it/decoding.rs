//! Decoding, as ESO's `decodingStrategy`.

use strongroom_secret::SecretBytes;
use strongroom_select::{Decode, decode};

fn check(strategy: Decode, value: &str, expected: Option<&[u8]>) {
    let got = decode(strategy, SecretBytes::from(value.to_owned())).ok();
    assert_eq!(got.as_ref().map(SecretBytes::expose), expected, "{strategy:?} {value:?}");
}

#[test]
fn each_strategy_decodes_as_go_does() {
    check(Decode::None, "aGk=", Some(b"aGk="));
    check(Decode::Base64, "aGk=", Some(b"hi"));
    check(Decode::Base64, "aG\r\nk=\n", Some(b"hi"));
    check(Decode::Base64, "aGl=", Some(b"hi"));
    check(Decode::Base64, "", Some(b""));
    check(Decode::Base64, "aGk", None);
    check(Decode::Base64, "aGk==", None);
    check(Decode::Base64, "aGk=x", None);
    check(Decode::Base64, "a Gk=", None);
    check(Decode::Base64, "_-8=", None);
    check(Decode::Base64, "/+8=", Some(b"\xff\xef"));
    check(Decode::Base64Url, "_-8=", Some(b"\xff\xef"));
    check(Decode::Base64Url, "/+8=", None);
    check(Decode::Base64Url, "_-8", None);
}

#[test]
fn auto_takes_what_is_not_encoded_as_it_is() {
    check(Decode::Auto, "aGk=", Some(b"hi"));
    check(Decode::Auto, "_-8=", Some(b"\xff\xef"));
    check(Decode::Auto, "_-8", Some(b"_-8"));
    check(Decode::Auto, "pass word", Some(b"pass word"));
    check(Decode::Auto, "1234", Some(b"\xd7\x6d\xf8"));
    check(Decode::Auto, "", Some(b""));
}

#[test]
fn a_failure_names_the_encoding_and_not_the_value() {
    let failure = decode(Decode::Base64Url, SecretBytes::from("canary!".to_owned())).unwrap_err();
    assert_eq!(failure.to_string(), "the value is not URL-safe base64");
    let bytes: Vec<u8> = (0..=255).collect();
    let kept = decode(Decode::Auto, SecretBytes::new(bytes.clone())).unwrap();
    assert_eq!(kept.expose(), bytes);
}

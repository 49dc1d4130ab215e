//! Hashes and names, byte by byte.

use strongroom_secret::SecretBytes;
use strongroom_sync::hash::{DataHash, created_by, field_manager, field_managers, synced_version};
use strongroom_sync::{Texts, Values};

use crate::values;

#[test]
fn the_data_hash_is_that_of_external_secrets() {
    let check = |data: &Values, expected: &str| assert_eq!(DataHash::Compatible.of(data), expected);
    // The literal of its own test.
    check(&values(&[("foo", "value1"), ("bar", "value2")]), "1bed8bcbcb4547ffe19a19cd47d9078e84aa6598266d86b99f992d64");
    // sha3-224 of what Go prints: "map[]", "map[empty:[]]", "map[a:[0 9 10 99 100 255]]".
    check(&Values::new(), MAP);
    check(&values(&[("empty", "")]), EMPTY_VALUE);
    check(&Values::from([("a".to_owned(), SecretBytes::new(vec![0, 9, 10, 99, 100, 255]))]), BYTES);
}

const MAP: &str = "74a974446e359fb3e6baff9bd0058950e6edd0f040888d9989b0a11b";
const EMPTY_VALUE: &str = "cab07b48d3e27ae0a2295ff90591c8518118baf0dc4ed9fc099c5718";
const BYTES: &str = "817cec16033209957ac08aa753533c75f3eafad8c35df95a1a714298";

#[test]
fn a_keyed_hash_is_another_for_every_key_and_says_so() {
    let data = values(&[("foo", "value1")]);
    let keyed = |key: &str| DataHash::Keyed(SecretBytes::from(key.to_owned())).of(&data);
    assert_eq!(keyed("k1"), "hmac-sha256:eea6acd9804c024aa047a82130c1d28302f35357c01f48f9cf66c01838cbc346");
    assert_ne!(keyed("k1"), keyed("k2"));
}

#[test]
fn labels_and_managers_follow_from_names() {
    assert_eq!(created_by("team-a", "db"), "c7d0bd38cd56c8c15593aee43a4d993d349bf4b2f1e738e457215340");
    assert_eq!(field_manager("db"), "externalsecrets.external-secrets.io/db");
    // 36 characters before the name: 27 more fit.
    let longest = "n".repeat(27);
    assert_eq!(field_manager(&longest), format!("externalsecrets.external-secrets.io/{longest}"));
    assert_eq!(
        field_manager(&"n".repeat(28)),
        "externalsecrets.external-secrets.io/sha3/5d24d763d7c553ecc28fcac1e796c7ae541b9319c37ff7a4e49fee8b"
    );
    assert_eq!(field_managers(&longest)[0], field_manager(&longest));
}

#[test]
fn the_synced_version_changes_with_generation_labels_and_annotations() {
    let texts = |pairs: &[(&str, &str)]| -> Texts {
        pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
    };
    let (labels, annotations) = (texts(&[("app", "a")]), texts(&[("force-sync", "1"), ("b", "")]));
    // "{annotations:map[] labels:map[]}"
    assert_eq!(synced_version(1, None, None), "1-f47fe3c0b255b6dd8047cdffa772587bb829efe7a1cb70febeda2eb2");
    assert_eq!(synced_version(1, Some(&Texts::new()), None), synced_version(1, None, None));
    // "{annotations:map[b: force-sync:1] labels:map[app:a]}"
    assert_eq!(
        synced_version(7, Some(&labels), Some(&annotations)),
        "7-2733ba0bfcfb52b76ea3da1c08117da977d47e444ecb4e632ecc79e2"
    );
    let ours = texts(&[("strongroom.dev/partial", "true")]);
    assert_ne!(synced_version(1, None, Some(&ours)), synced_version(1, None, None));
}

use std::collections::BTreeMap;

use strongroom_failure::Class;
use strongroom_restart::{EVERY_KEY, Fingerprint, Key};
use strongroom_secret::SecretBytes;

fn data(pairs: &[(&str, &str)]) -> BTreeMap<String, SecretBytes> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), SecretBytes::from((*value).to_owned()))).collect()
}

#[test]
fn a_fingerprint_is_of_one_value_in_one_place_under_one_key() {
    let key = crate::key();
    let of = |key: &Key, namespace: &str, name: &str, slot: &str, value: &str| {
        key.fingerprints(namespace, name, &data(&[(slot, value)])).of_slot(slot).unwrap()
    };
    let one = of(&key, "n", "s", "k", "v");
    assert_eq!(one, of(&crate::key(), "n", "s", "k", "v"));
    let other = Key::new(SecretBytes::new(vec![8; 32])).unwrap();
    for different in [
        of(&key, "n", "s", "k", "w"),
        of(&key, "n", "s", "l", "v"),
        of(&key, "n", "t", "k", "v"),
        of(&key, "m", "s", "k", "v"),
        of(&other, "n", "s", "k", "v"),
    ] {
        assert_ne!(one, different);
    }
    assert_ne!(key.id(), other.id());
}

#[test]
fn the_whole_changes_with_each_key_and_value() {
    let whole = |pairs: &[(&str, &str)]| crate::key().fingerprints("n", "s", &data(pairs)).of_slot(EVERY_KEY).unwrap();
    let seen = [
        whole(&[]),
        whole(&[("a", "1")]),
        whole(&[("a", "2")]),
        whole(&[("b", "1")]),
        whole(&[("a", "1"), ("b", "1")]),
        whole(&[("a", ""), ("b", "1")]),
        whole(&[("ab", "1")]),
    ];
    let distinct: std::collections::BTreeSet<Fingerprint> = seen.into_iter().collect();
    assert_eq!(distinct.len(), seen.len());
}

#[test]
fn a_fingerprint_is_read_as_it_is_written_and_nothing_else_is() {
    let fingerprints = crate::key().fingerprints("n", "s", &data(&[("k", "v")]));
    let one = fingerprints.of_slot("k").unwrap();
    assert_eq!(Fingerprint::parse(&one.to_string()), Some(one));
    assert_eq!(fingerprints.of_slot("absent"), None);
    for text in
        ["", "0", "00000000000000000", "+000000000000000", "000000000000000G", "000000000000000A", "é00000000000000"]
    {
        assert_eq!(Fingerprint::parse(text), None, "{text}");
    }
}

#[test]
fn a_key_that_could_be_guessed_is_none_and_none_is_shown() {
    let failure = Key::new(SecretBytes::from("canary".to_owned())).unwrap_err();
    assert_eq!((failure.class, failure.to_string().contains("canary")), (Class::Invalid, false));
    let shown = format!("{:?}", Key::new(SecretBytes::new(b"canary".repeat(8))).unwrap());
    assert!(!shown.contains("canary") && !shown.contains("99, 97"), "the key is shown");
}

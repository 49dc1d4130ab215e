//! The barrier: what opens, what does not, and what names tell.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use fastrand::Rng;
use strongroom_barrier::record::term_of;
use strongroom_barrier::{Barrier, BarrierError, KeyRing, Place, RootKey};
use strongroom_secret::SecretBytes;

const PLACE: Place<'static> = Place { mount: "m-1", key: "data/team/app", version: 3 };

fn bytes(byte: u8) -> SecretBytes {
    SecretBytes::new(vec![byte; 32])
}

fn ring() -> KeyRing {
    KeyRing::new(bytes(1), bytes(2)).unwrap()
}

fn root() -> RootKey {
    RootKey::new(bytes(9)).unwrap()
}

fn text(text: &str) -> SecretBytes {
    SecretBytes::from(text.to_owned())
}

fn opened(ring: &KeyRing, place: &Place<'_>, record: &[u8]) -> Result<Vec<u8>, BarrierError> {
    ring.decrypt(place, record).map(|plain| plain.expose().to_vec())
}

#[test]
fn a_record_opens_in_its_place_and_in_no_other() {
    let ring = ring();
    let record = ring.encrypt(&PLACE, &text("hunter2")).unwrap();
    assert_eq!(opened(&ring, &PLACE, &record).unwrap(), b"hunter2");
    assert!(!record.windows(7).any(|part| part == b"hunter2"));
    let moved = [
        Place { mount: "m-2", ..PLACE },
        Place { key: "data/team/other", ..PLACE },
        Place { version: 2, ..PLACE },
        Place { version: 4, ..PLACE },
        Place { mount: "m-1d", key: "ata/team/app", ..PLACE },
        Place { mount: "", key: "m-1data/team/app", ..PLACE },
    ];
    for place in moved {
        assert_eq!(opened(&ring, &place, &record), Err(BarrierError::RecordRefused), "{place:?}");
    }
}

#[test]
fn records_that_were_swapped_or_put_back_are_refused() {
    let ring = ring();
    let places: Vec<_> = (1..=3).map(|version| Place { version, ..PLACE }).collect();
    let records: Vec<_> = places.iter().map(|place| ring.encrypt(place, &text("hunter2")).unwrap()).collect();
    for (expected, place) in places.iter().enumerate() {
        for (found, record) in records.iter().enumerate() {
            assert_eq!(ring.decrypt(place, record).is_ok(), expected == found);
        }
    }
}

#[test]
fn a_record_of_which_any_byte_was_changed_or_cut_off_is_refused() {
    let ring = ring();
    let record = ring.encrypt(&PLACE, &text("hunter2")).unwrap();
    for place in 0..record.len() {
        let mut changed = record.clone();
        changed[place] ^= 1;
        let error = opened(&ring, &PLACE, &changed).unwrap_err();
        let is_term = (1..5).contains(&place);
        assert!(is_term == matches!(error, BarrierError::TermUnknown { .. }), "byte {place}: {error:?}");
        assert!(opened(&ring, &PLACE, &record[..place]).is_err());
    }
}

#[test]
fn a_record_cannot_pass_for_one_of_another_term() {
    let mut ring = ring();
    let mut record = ring.encrypt(&PLACE, &text("hunter2")).unwrap();
    ring.rotate(bytes(1)).unwrap();
    record[4] = 2;
    assert_eq!(term_of(&record), Ok(2));
    assert_eq!(opened(&ring, &PLACE, &record), Err(BarrierError::RecordRefused));
}

#[test]
fn after_a_rotation_new_records_have_the_newest_term_and_old_ones_open() {
    let mut ring = ring();
    let old = ring.encrypt(&PLACE, &text("old")).unwrap();
    assert_eq!(ring.reencrypt(&PLACE, &old), Ok(None));
    assert_eq!(ring.rotate(bytes(3)), Ok(2));
    let new = ring.encrypt(&PLACE, &text("new")).unwrap();
    assert_eq!((term_of(&old), term_of(&new)), (Ok(1), Ok(2)));
    assert_eq!(opened(&ring, &PLACE, &old).unwrap(), b"old");
    assert_eq!(opened(&ring, &PLACE, &new).unwrap(), b"new");
    let anew = ring.reencrypt(&PLACE, &old).unwrap().unwrap();
    assert_eq!(term_of(&anew), Ok(2));
    ring.forget_before(2);
    assert_eq!(opened(&ring, &PLACE, &anew).unwrap(), b"old");
    assert_eq!(opened(&ring, &PLACE, &old), Err(BarrierError::TermUnknown { term: 1 }));
    ring.forget_before(9);
    assert_eq!(opened(&ring, &PLACE, &new).unwrap(), b"new");
}

#[test]
fn a_record_is_not_encrypted_anew_elsewhere() {
    let mut ring = ring();
    let record = ring.encrypt(&PLACE, &text("x")).unwrap();
    ring.rotate(bytes(3)).unwrap();
    let moved = Place { version: 4, ..PLACE };
    assert_eq!(ring.reencrypt(&moved, &record), Err(BarrierError::RecordRefused));
}

#[test]
fn a_ring_travels_wrapped_and_only_its_root_key_unwraps_it() {
    let mut ring = ring();
    ring.rotate(bytes(3)).unwrap();
    let record = ring.encrypt(&PLACE, &text("x")).unwrap();
    let wrapped = ring.wrap(&root()).unwrap();
    assert!(![1, 2, 3].iter().any(|key| wrapped.windows(8).any(|part| part == [*key; 8])));
    let back = KeyRing::unwrap(&root(), &wrapped).unwrap();
    assert_eq!(back.newest_term(), 2);
    assert_eq!(opened(&back, &PLACE, &record).unwrap(), b"x");
    assert_eq!(back.hide_name("a/b"), ring.hide_name("a/b"));
    let other = RootKey::new(bytes(8)).unwrap();
    assert_eq!(KeyRing::unwrap(&other, &wrapped).unwrap_err(), BarrierError::RingRefused);
    for place in 0..wrapped.len() {
        let mut changed = wrapped.clone();
        changed[place] ^= 1;
        assert!(KeyRing::unwrap(&root(), &changed).is_err(), "byte {place} may be changed");
        assert!(KeyRing::unwrap(&root(), &wrapped[..place]).is_err());
    }
}

#[test]
fn keys_of_another_length_are_refused() {
    let short = || SecretBytes::new(vec![1; 31]);
    assert_eq!(RootKey::new(short()).unwrap_err(), BarrierError::KeyLength);
    assert_eq!(KeyRing::new(short(), bytes(1)).unwrap_err(), BarrierError::KeyLength);
    assert_eq!(KeyRing::new(bytes(1), short()).unwrap_err(), BarrierError::KeyLength);
    assert_eq!(ring().rotate(short()), Err(BarrierError::KeyLength));
}

#[test]
fn a_sealed_barrier_has_no_keys_and_a_rotation_counts_once_it_is_durable() {
    let mut barrier = Barrier::default();
    assert_eq!(barrier.ring().unwrap_err(), BarrierError::Sealed);
    assert_eq!(barrier.prepare_rotation(&root(), bytes(3)), Err(BarrierError::Sealed));
    barrier.unseal(&root(), &ring().wrap(&root()).unwrap()).unwrap();
    let rotated = barrier.prepare_rotation(&root(), bytes(3)).unwrap();
    assert_eq!(barrier.ring().unwrap().newest_term(), 1);
    assert!(barrier.unseal(&RootKey::new(bytes(8)).unwrap(), &rotated).is_err());
    assert_eq!(barrier.ring().unwrap().newest_term(), 1);
    barrier.unseal(&root(), &rotated).unwrap();
    assert_eq!(barrier.ring().unwrap().newest_term(), 2);
    barrier.seal();
    assert!(barrier.is_sealed());
    assert_eq!(barrier.ring().unwrap_err(), BarrierError::Sealed);
}

#[test]
fn keys_for_other_purposes_differ_by_purpose_and_term() {
    let mut ring = ring();
    ring.rotate(bytes(3)).unwrap();
    let derived = |term, purpose| ring.derive(term, purpose).map(|key| key.expose().to_vec());
    assert_eq!(derived(1, "audit"), derived(1, "audit"));
    assert_eq!(derived(1, "audit").unwrap().len(), 32);
    assert_ne!(derived(1, "audit"), derived(2, "audit"));
    assert_ne!(derived(1, "audit"), derived(1, "other"));
    assert_eq!(derived(3, "audit"), Err(BarrierError::TermUnknown { term: 3 }));
}

#[test]
fn names_come_back_and_cannot_be_read() {
    let ring = ring();
    let sixteen = "x".repeat(16);
    for name in ["", "a", "/", "a/", "/a", "a//b", "data/team/app", "é/\u{0}/b\u{0}", sixteen.as_str(), "a b/c%2F"] {
        let hidden = ring.hide_name(name).unwrap();
        assert_eq!(ring.show_name(&hidden).unwrap(), name);
        let is_hidden = |segment: &str| segment.len() < 3 || !hidden.contains(segment);
        assert!(name.split('/').all(is_hidden), "{name:?} is in {hidden}");
    }
}

#[test]
fn listing_by_prefix_finds_on_disk_what_it_finds_in_clear() {
    let (ring, mut rng) = (ring(), Rng::with_seed(6));
    let mut name =
        || -> String { (0..rng.usize(1..5)).map(|_| rng.choice(["a/", "b/", "ab/", "c"]).unwrap()).collect() };
    let names: Vec<_> = (0..200).map(|_| name()).collect();
    let disk: BTreeMap<_, _> = names.iter().map(|name| (ring.hide_name(name).unwrap(), name)).collect();
    for prefix in names.iter().filter(|name| name.ends_with('/')) {
        let hidden = ring.hide_name(prefix).unwrap();
        for (on_disk, name) in &disk {
            assert_eq!(on_disk.starts_with(&hidden), name.starts_with(prefix), "{prefix} and {name}");
        }
    }
}

#[test]
fn equal_names_look_alike_in_one_folder_alone_and_lengths_are_rounded() {
    let ring = ring();
    let last = |name: &str| ring.hide_name(name).unwrap().rsplit('/').next().unwrap().to_owned();
    assert_eq!(last("a/prod"), last("a/prod"));
    assert_ne!(last("a/prod"), last("b/prod"));
    assert_ne!(last("a/prod"), last("a/prof"));
    assert_eq!(last("a/x").len(), last("a/fifteen-letters").len());
}

#[test]
fn names_that_were_moved_or_changed_are_refused() {
    let ring = ring();
    let hidden = ring.hide_name("a/prod").unwrap();
    let (folder, last) = hidden.split_once('/').unwrap();
    let elsewhere = ring.hide_name("b").unwrap();
    for wrong in [last.to_owned(), format!("{elsewhere}/{last}"), format!("{folder}/{folder}"), "x".into(), "=".into()]
    {
        assert_eq!(ring.show_name(&wrong), Err(BarrierError::NameRefused), "{wrong}");
    }
    let other = KeyRing::new(bytes(1), bytes(5)).unwrap();
    assert_eq!(other.show_name(&hidden), Err(BarrierError::NameRefused));
}

#[test]
fn names_stay_the_same_when_keys_are_rotated() {
    let mut ring = ring();
    let hidden = ring.hide_name("a/b").unwrap();
    ring.rotate(bytes(3)).unwrap();
    assert_eq!(ring.hide_name("a/b").unwrap(), hidden);
}

#[test]
fn debug_output_holds_no_key() {
    let mut barrier = Barrier::default();
    barrier.unseal(&root(), &ring().wrap(&root()).unwrap()).unwrap();
    let shown = format!("{barrier:?} {:?} {:?}", root(), ring());
    assert!(!shown.contains("1, 1") && !shown.contains("9, 9") && !shown.contains("2, 2"), "{shown}");
}

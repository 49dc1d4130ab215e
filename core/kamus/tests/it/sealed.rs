use std::sync::LazyLock;

use proptest::prelude::*;
use strongroom_kamus::{
    Identity, Installation, KamusError, KeyRing, NewRecord, OpenedKey, PublicKey, SealedText, Text,
};
use strongroom_secret::SecretBytes;

use crate::{bytes, identity};

/// Makes a ring of two keys, and opens both.
pub(crate) static RING: LazyLock<(KeyRing, Vec<OpenedKey>)> = LazyLock::new(|| {
    let mut ring = KeyRing { installation: Installation::new("production").unwrap(), keys: Vec::new() };
    let opened = (0..2).map(|_| {
        let fresh = NewRecord::generate(&ring.installation).unwrap();
        let key = fresh.key.clone();
        let record = fresh.wrapped("vault:v1:wrapped".to_owned(), "2026-11-28T00:00:00Z".to_owned());
        let opened = record.open(&ring.installation, &key).unwrap();
        ring.keys.push(record);
        opened
    });
    let opened = opened.collect();
    (ring, opened)
});

pub(crate) fn sealed(ring: &KeyRing, reader: &Identity, plain: &str) -> SealedText {
    let (id, key) = ring.sealing_key().unwrap();
    SealedText::seal(&key, &id, &ring.installation, reader, &bytes(plain)).unwrap()
}

pub(crate) fn opened(text: &str, installation: &Installation, reader: &Identity) -> Result<SecretBytes, KamusError> {
    let Text::Sealed(text) = Text::read(text)? else { return Err(KamusError::NoText) };
    let key = RING.1.iter().find(|key| key.id == *text.key()).ok_or(KamusError::UnknownKey)?;
    text.open(&text.unwrap(&key.key, installation, reader)?)
}

#[test]
fn who_has_the_public_document_alone_seals_for_the_newest_key() {
    let (ring, _) = &*RING;
    let document =
        |key: &str, public: &str| format!(r#"{{"installation":"production","key":"{key}","publicKey":"{public}"}}"#);
    let (newest, older) = (&ring.keys[1], &ring.keys[0]);
    let id = newest.id().unwrap().to_string();
    let public = PublicKey::read(document(&id, &newest.public_key).as_bytes()).unwrap();
    let reader = identity("team-a", "web");
    let text = public.seal(&reader, &bytes("hunter2")).unwrap().to_string();
    assert_eq!(opened(&text, &ring.installation, &reader).unwrap().expose(), b"hunter2");
    assert_eq!(public.id().to_string(), id);
    for wrong in
        [document(&id, &older.public_key), document(&id, "AAAA"), document("", &newest.public_key), "{}".to_owned()]
    {
        assert_eq!(PublicKey::read(wrong.as_bytes()).err(), Some(KamusError::BadPublicKey), "{wrong}");
    }
}

#[test]
fn a_value_opens_for_its_account_in_its_installation_alone() {
    let (ring, _) = &*RING;
    let reader = identity("team-a", "web");
    let text = sealed(ring, &reader, "hunter2").to_string();
    assert!(text.starts_with(&format!("sr1.{}.", RING.1[1].id)), "the newest key seals");
    assert_eq!(opened(&text, &ring.installation, &reader).unwrap().expose(), b"hunter2");
    assert_eq!(opened(&format!("\n{text}\n"), &ring.installation, &reader).unwrap().expose(), b"hunter2");
    let other = Installation::new("staging").unwrap();
    assert_eq!(opened(&text, &other, &reader).err(), Some(KamusError::Wrong));
    for stranger in [identity("team-a", "other"), identity("team-b", "web"), identity("web", "team-a")] {
        assert_eq!(opened(&text, &ring.installation, &stranger).err(), Some(KamusError::Wrong), "{stranger}");
    }
    // A key of the same ring, under which it was not sealed.
    let renamed = text.replace(&RING.1[1].id.to_string(), &RING.1[0].id.to_string());
    assert_eq!(opened(&renamed, &ring.installation, &reader).err(), Some(KamusError::Wrong));
    let unknown = text.replace(&RING.1[1].id.to_string(), "0123456789abcdef");
    assert_eq!(opened(&unknown, &ring.installation, &reader).err(), Some(KamusError::UnknownKey));
}

#[test]
fn nothing_is_encrypted_for_the_default_account() {
    let (ring, _) = &*RING;
    let (id, key) = ring.sealing_key().unwrap();
    let sealed = SealedText::seal(&key, &id, &ring.installation, &identity("team-a", "default"), &bytes("x"));
    assert_eq!(sealed.err(), Some(KamusError::DefaultAccount));
}

#[test]
fn texts_say_what_they_are() {
    let check = |text: &str, expected: KamusError| assert_eq!(Text::read(text).err(), Some(expected), "{text}");
    check("sr2.0123456789abcdef.AQID", KamusError::NewerVersion);
    check("sr1.0123456789abcdeg.AQID", KamusError::NoText);
    check("sr1.0123456789abcdef.!", KamusError::NoText);
    check("srx.0123456789abcdef.AQID", KamusError::NoText);
    check("plain text", KamusError::NoText);
    check("", KamusError::NoText);
    assert!(matches!(Text::read("sr1.0123456789abcdef.AQID"), Ok(Text::Sealed(_))));
    assert!(matches!(Text::read("AQIDAQID"), Ok(Text::Legacy(_))));
}

#[test]
fn fresh_keys_are_known_by_text_installation_and_reader() {
    let (ring, _) = &*RING;
    let reader = identity("team-a", "web");
    let text = sealed(ring, &reader, "hunter2");
    let fingerprint = text.fingerprint(&ring.installation, &reader);
    assert_eq!(fingerprint, text.clone().fingerprint(&ring.installation, &reader));
    assert_ne!(fingerprint, text.fingerprint(&ring.installation, &identity("team-a", "other")));
    assert_ne!(fingerprint, text.fingerprint(&Installation::new("staging").unwrap(), &reader));
    assert_ne!(fingerprint, sealed(ring, &reader, "hunter2").fingerprint(&ring.installation, &reader));
    let renamed = text.to_string().replace(&RING.1[1].id.to_string(), "0123456789abcdef");
    let Text::Sealed(renamed) = Text::read(&renamed).unwrap() else { panic!("it has our form") };
    assert_ne!(fingerprint, renamed.fingerprint(&ring.installation, &reader));
}

#[test]
fn a_ring_is_read_back_and_no_record_can_be_exchanged() {
    let (ring, keys) = &*RING;
    let read = KeyRing::read(ring.to_json().as_bytes()).unwrap();
    assert_eq!(&read, ring);
    assert_eq!(read.find(&keys[0].id), Some(&ring.keys[0]));
    let fresh = NewRecord::generate(&ring.installation).unwrap();
    let key = fresh.key.clone();
    let record = fresh.wrapped(String::new(), String::new());
    assert!(record.open(&ring.installation, &key).is_ok());
    assert!(record.open(&Installation::new("staging").unwrap(), &key).is_err());
    assert!(record.open(&ring.installation, &SecretBytes::new(vec![0; 32])).is_err());
    // Somebody's own public key over the private one of ours.
    let mut exchanged = record.clone();
    exchanged.public_key.clone_from(&ring.keys[0].public_key);
    assert_eq!(exchanged.open(&ring.installation, &key).err(), Some(KamusError::Wrong));
    for wrong in ["", "{}", r#"{"installation":"UPPER","keys":[]}"#, r#"{"installation":"a","keys":[{}]}"#] {
        assert_eq!(KeyRing::read(wrong.as_bytes()).err(), Some(KamusError::BadRing), "{wrong}");
    }
    assert!(!format!("{:?}", keys[0]).contains("PRIVATE"));
}

#[test]
fn identities_are_names_that_accounts_can_have() {
    let check = |user: &str, expected: Option<&str>| {
        assert_eq!(Identity::of_user(user).map(|identity| identity.to_string()).as_deref(), expected, "{user}");
    };
    check("system:serviceaccount:team-a:web", Some("team-a:web"));
    check("system:serviceaccount:team-a:web.v1", Some("team-a:web.v1"));
    check("system:serviceaccount:team-a", None);
    check("system:serviceaccount:team.a:web", None);
    check("system:serviceaccount::web", None);
    check("system:serviceaccount:team-a:web:more", None);
    check("system:serviceaccount:team-a:we|b", None);
    check("system:node:team-a:web", None);
    check("kubernetes-admin", None);
    assert!(Identity::new(&"a".repeat(63), &"a".repeat(253)).is_ok());
    assert_eq!(Identity::new(&"a".repeat(64), "web").err(), Some(KamusError::BadName));
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(sr[0-9]{0,2}\\.)?[0-9a-f]{0,20}[.$:=A-Za-z0-9+/_ -]{0,80}") {
        let _ = Text::read(&text);
    }
}

//! What an attacker does to texts: changes them, cuts them, shows them as somebody else, under another key's name, in
//! parts of others. Never a value that was not encrypted for who asks, never a panic. Texts of Kamus cannot tell all
//! changes; of them it is asked that they stay small and harmless.

use std::sync::LazyLock;

use proptest::prelude::*;
use strongroom_crypto::aes_encrypt;
use strongroom_kamus::legacy::{Derivation, LegacyText, MasterKey, data_key_of_text};
use strongroom_kamus::manifest::{self, Edit};
use strongroom_kamus::{Identity, KamusError, KeyRing, PublicKey, Text};
use strongroom_secret::SecretBytes;

use crate::sealed::{RING, opened, sealed};
use crate::{bytes, identity};

const PLAIN: &str = "hunter2";
const KEY: &str = "tWG4dk8ARsETnFL3jCf1xtMVe05imlx9vimER7iky2s=";

static READER: LazyLock<Identity> = LazyLock::new(|| identity("team-a", "web"));
static TEXT: LazyLock<String> = LazyLock::new(|| sealed(&RING.0, &READER, PLAIN).to_string());

/// What comes of a text for the reader, with every key of the ring there.
fn asked(text: &str) -> Result<SecretBytes, KamusError> {
    opened(text, &RING.0.installation, &READER)
}

/// The text with another byte at `place` of what is behind its header, and what that decodes to.
fn split() -> (String, Vec<u8>) {
    let (header, body) = TEXT.rsplit_once('.').unwrap();
    (header.to_owned(), decode(body))
}

#[test]
fn every_byte_of_a_text_counts_and_none_is_spare() {
    let (header, body) = split();
    assert_eq!(asked(&format!("{header}.{}", encode(&body))).unwrap().expose(), PLAIN.as_bytes());
    for place in 0..body.len() {
        let mut changed = body.clone();
        changed[place] ^= 1 << (place % 8);
        assert!(asked(&format!("{header}.{}", encode(&changed))).is_err(), "byte {place} may be changed");
    }
    for byte in [0, 255] {
        let longer = [body.as_slice(), &[byte]].concat();
        assert!(asked(&format!("{header}.{}", encode(&longer))).is_err(), "a byte may be added");
    }
}

#[test]
fn every_character_of_a_text_counts_also_those_of_the_header() {
    for place in 0..TEXT.len() {
        // One that differs in the last bit alone, one that is nowhere in a text, and none at all.
        let lookalike = char::from(TEXT.as_bytes()[place] ^ 1).to_string();
        for other in [lookalike.as_str(), "!", ""] {
            let changed = format!("{}{other}{}", &TEXT[..place], &TEXT[place + 1..]);
            assert!(asked(&changed).is_err(), "character {place} may be {other:?}");
        }
        assert!(asked(&TEXT[..place]).is_err(), "{place} characters are enough");
    }
}

#[test]
fn a_text_is_not_made_of_the_parts_of_two() {
    let other = sealed(&RING.0, &READER, "another value").to_string();
    let ((header, body), other) = (split(), decode(other.rsplit_once('.').unwrap().1));
    let wrapped = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
    // The fresh key of one with what is sealed under that of the other; a fresh key alone; what is sealed alone.
    for parts in [
        [&body[..wrapped], &other[wrapped..]].concat(),
        [&other[..wrapped], &body[wrapped..]].concat(),
        body[..wrapped].to_vec(),
        [&[0, 0], &body[wrapped..]].concat(),
        [body.as_slice(), &other].concat(),
    ] {
        assert!(asked(&format!("{header}.{}", encode(&parts))).is_err());
    }
}

/// Names of accounts, close to each other, so that one can be made of the other's by moving a border.
fn names() -> impl Strategy<Value = (String, String)> {
    ("[ab]{1,3}(-[ab]{1,2})?", "[ab]{1,3}([.-][ab]{1,2})?")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_text_opens_for_the_account_that_it_was_encrypted_for_alone(
        owner in names(), asker in names(), plain in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let (owner, asker) = (identity(&owner.0, &owner.1), identity(&asker.0, &asker.1));
        let (id, key) = RING.0.sealing_key().unwrap();
        let plain = SecretBytes::new(plain);
        let text = strongroom_kamus::SealedText::seal(&key, &id, &RING.0.installation, &owner, &plain).unwrap().to_string();
        let got = opened(&text, &RING.0.installation, &asker).map(|value| value.expose().to_vec());
        let expected = if owner == asker { Ok(plain.expose().to_vec()) } else { Err(KamusError::Wrong) };
        // Not by prop_assert_eq, which would print both.
        prop_assert!(got == expected, "{owner} {asker}");
    }

    #[test]
    fn a_text_that_is_changed_wherever_and_however_often_stays_shut(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), 0..4_u8, any::<u8>()), 1..6),
    ) {
        let (header, body) = split();
        let mut changed = body.clone();
        for (place, kind, byte) in changes {
            let place = if changed.is_empty() { 0 } else { place.index(changed.len()) };
            match kind {
                0 if !changed.is_empty() => changed[place] = byte,
                1 => changed.insert(place, byte),
                2 if !changed.is_empty() => drop(changed.remove(place)),
                _ => changed.truncate(place),
            }
        }
        prop_assume!(changed != body);
        let changed = asked(&format!("{header}.{}", encode(&changed)));
        prop_assert!(changed.is_err(), "a changed one opens");
    }
}

proptest! {
    #[test]
    fn what_is_no_text_of_ours_opens_nothing(text in "(sr1\\.)?[0-9a-f]{16}[.][A-Za-z0-9_-]{0,600}") {
        prop_assert!(asked(&text).is_err());
        let with_a_key_of_ours = text.replacen(&text[text.len().min(4)..text.len().min(20)], &RING.1[0].id.to_string(), 1);
        prop_assert!(asked(&with_a_key_of_ours).is_err());
    }

    #[test]
    fn documents_and_rings_of_others_are_refused_without_a_panic(json in json()) {
        prop_assert!(PublicKey::read(json.as_bytes()).is_err());
        if let Ok(ring) = KeyRing::read(json.as_bytes()) {
            for record in &ring.keys {
                let _ = record.id();
                prop_assert!(record.open(&ring.installation, &SecretBytes::new(vec![0; 32])).is_err());
            }
            let _ = ring.sealing_key();
        }
    }

    #[test]
    fn ka_09_texts_of_kamus_however_they_look_are_taken_apart_into_no_more_than_they_are(text in legacy()) {
        if let Some(read) = LegacyText::read(&text) {
            let size = match &read {
                LegacyText::Block(_) => 0,
                LegacyText::Envelope { wrapped_key, .. } => wrapped_key.len(),
                LegacyText::Direct(bytes) => bytes.len(),
            };
            prop_assert!(size <= text.len());
            if let LegacyText::Block(block) | LegacyText::Envelope { block, .. } = read {
                let key = SecretBytes::new(vec![7; 32]);
                prop_assert!(block.open(&key).map_or(0, |value| value.len()) <= text.len());
                for length in [0, 16, 31, 33, 64] {
                    let key = SecretBytes::new(vec![7; length]);
                    prop_assert_eq!(block.open(&key).map(drop).err(), Some(KamusError::BadKey));
                }
            }
        }
    }

    #[test]
    fn ka_10_a_changed_text_of_kamus_is_never_the_value_for_another_account(
        plain in "[a-z]{1,40}", place in any::<prop::sample::Index>(), byte in 1..=255_u8,
    ) {
        let master = MasterKey::read(&bytes(KEY)).unwrap();
        let derived = strongroom_crypto::hkdf_expand_sha256_32(master.expose(), b"team-a:web").unwrap();
        let made = aes_encrypt(derived.expose(), plain.as_bytes()).unwrap();
        let opened = |made: &[u8], asker: &Identity| {
            let text = format!("{}:{}", standard(&made[..16]), standard(&made[16..]));
            let Some(LegacyText::Block(block)) = LegacyText::read(&text) else { return None };
            master.open(&block, asker, Derivation::ByIdentity).ok().map(|value| value.expose().to_vec())
        };
        prop_assert!(opened(&made, &READER) == Some(plain.clone().into_bytes()));
        prop_assert!(opened(&made, &identity("team-a", "other")) != Some(plain.clone().into_bytes()));
        let mut changed = made.clone();
        changed[place.index(made.len())] ^= byte;
        // What comes out may be anything, but not this, and no more than there was.
        let got = opened(&changed, &READER);
        prop_assert!(got.as_ref() != Some(&plain.into_bytes()) && got.map_or(0, |value| value.len()) < made.len());
    }

    #[test]
    fn data_keys_of_envelopes_have_32_bytes_or_are_none(text in "[A-Za-z0-9+/= \n]{0,60}") {
        if let Ok(key) = data_key_of_text(&bytes(&text)) {
            prop_assert_eq!(key.len(), 32);
        }
    }

    #[test]
    fn files_are_read_and_edited_or_refused_without_a_panic(text in yaml()) {
        let Ok(manifests) = manifest::read(&text) else { return Ok(()) };
        for found in &manifests {
            for entry in &found.values {
                let _ = (entry.standing(found.kind), entry.check_editable());
                let sealed = "sr1.0123456789abcdef.AQID".to_owned();
                let edit = Edit::encrypted(&entry.value, sealed.clone()).unwrap();
                // Either it is refused, or a parser sees as many manifests and values as before, and the new text.
                if let Ok(edited) = manifest::apply(&text, vec![edit]) {
                    let again = manifest::read(&edited).unwrap();
                    let values = |found: &[manifest::Manifest]| -> usize { found.iter().map(|found| found.values.len()).sum() };
                    prop_assert_eq!((again.len(), values(&again)), (manifests.len(), values(&manifests)));
                    prop_assert!(again.iter().flat_map(|found| &found.values).any(|entry| entry.value.text == sealed));
                }
            }
        }
    }
}

/// Texts as Kamus wrote them, and such as are nearly so.
fn legacy() -> impl Strategy<Value = String> {
    let block = (proptest::collection::vec(any::<u8>(), 0..20), proptest::collection::vec(any::<u8>(), 0..70));
    let block = block.prop_map(|(vector, data)| format!("{}:{}", standard(&vector), standard(&data)));
    let whole = (proptest::array::uniform16(any::<u8>()), 1..5_usize, any::<u8>());
    let whole = whole
        .prop_map(|(vector, blocks, byte)| format!("{}:{}", standard(&vector), standard(&vec![byte; 16 * blocks])));
    let any_block = prop_oneof![block, whole, "[A-Za-z0-9+/=: \t\r\n]{0,80}"];
    let wrapped = proptest::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| standard(&bytes));
    (prop_oneof![Just(String::new()), Just("env$".to_owned()), ".{0,8}"], wrapped, "[$]{0,2}", any_block).prop_map(
        |(before, wrapped, middle, block)| {
            if before == "env$" { format!("{before}{wrapped}${block}") } else { format!("{before}{middle}{block}") }
        },
    )
}

/// Documents that are nearly rings or public keys.
fn json() -> impl Strategy<Value = String> {
    let text = prop_oneof!["[A-Za-z0-9+/=]{0,40}", "[a-z0-9-]{0,70}", ".{0,10}"];
    (text.clone(), text.clone(), text.clone(), text, any::<bool>()).prop_map(|(installation, key, public, wrapped, is_ring)| {
        let (installation, key, public, wrapped) = (quoted(&installation), quoted(&key), quoted(&public), quoted(&wrapped));
        if is_ring {
            format!(r#"{{"installation":{installation},"keys":[{{"created":{key},"publicKey":{public},"wrappedKey":{wrapped},"privateKey":{public}}}]}}"#)
        } else {
            format!(r#"{{"installation":{installation},"key":{key},"publicKey":{public}}}"#)
        }
    })
}

/// Manifests of which some parts are odd.
fn yaml() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        "[a-z]{0,6}",
        "'[a-z]{0,3}'",
        "\"[a-zé]{0,3}\"",
        Just("|-\n    a\n    b".to_owned()),
        Just(">2+\n    a\n\n".to_owned()),
        Just("&a x".to_owned()),
        Just("*a".to_owned()),
        Just("!!str x".to_owned()),
        Just("{a: b}".to_owned()),
        Just("~".to_owned()),
        Just("[a]".to_owned()),
        "[\u{0}-\u{ff}]{0,6}",
    ];
    let line = (0..6_usize, "[a-z?-]{1,3}", value, prop_oneof![Just(""), Just(" # why"), Just("\n")])
        .prop_map(|(indent, key, value, end)| format!("{}{key}: {value}{end}\n", " ".repeat(indent)));
    let lines = proptest::collection::vec(line, 0..8).prop_map(|lines| lines.concat());
    let group = prop_oneof![Just("data:\n"), Just("stringData:\n"), Just("data: "), Just("---\n")];
    (
        prop_oneof![
            Just("apiVersion: v1\nkind: Secret\n"),
            Just("kind: KamusSecret\napiVersion: soluto.com/v1alpha2\n"),
            Just("{kind: Secret, apiVersion: v1}\n"),
            Just("é: 1\nkind: List\nitems:\n- ")
        ],
        group,
        lines.clone(),
        lines,
    )
        .prop_map(|(head, group, values, rest)| format!("{head}{group}{values}{rest}"))
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

fn decode(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn standard(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn a_manifest_deeper_than_any_is_refused_and_does_not_end_the_program() {
    for (open, count) in [("[", 100_000), ("{a: ", 100_000), ("- ", 100_000)] {
        assert!(manifest::read(&format!("kind: Secret\ndata: {}", open.repeat(count))).is_err(), "{open}");
    }
    assert!(matches!(Text::read(&"a.".repeat(1_000_000)), Err(KamusError::NoText)));
}

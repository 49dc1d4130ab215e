//! What an attacker does to encrypted bytes: nothing that was changed opens, and nothing ends the program. AES-CBC cannot
//! tell every change; of it is asked that it gives no more bytes than it got.

use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::sample::Index;
use strongroom_crypto::{
    Aead, NewKey, OaepDigest, OpeningKey, PrivateKey, Sealed, SealingKey, aes_decrypt, aes_encrypt, rsa_oaep_decrypt,
    rsa_oaep_encrypt,
};
use strongroom_secret::SecretBytes;

/// A key pair: the private half, and both as they seal and open.
struct Pair {
    private: PrivateKey,
    sealing: SealingKey,
    opening: OpeningKey,
}

static PAIR: LazyLock<Pair> = LazyLock::new(|| {
    let private = PrivateKey::generate(NewKey::Rsa2048).unwrap();
    let sealing = SealingKey::new(&private.public_key().unwrap()).unwrap();
    let opening = OpeningKey::new(&private).unwrap();
    Pair { private, sealing, opening }
});

fn opened(label: &[u8], context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let sealed = Sealed::read(sealed)?;
    let plain = sealed.open(&PAIR.opening.unwrap(label, &sealed).ok()?, context).ok()?;
    Some(plain.expose().to_vec())
}

/// One change of bytes: another byte, one more, one less, or only a beginning of them.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Cut(Index),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        match self {
            Self::Set(place, byte) if length > 0 => bytes[place.index(length)] = *byte,
            Self::Remove(place) if length > 0 => drop(bytes.remove(place.index(length))),
            Self::Insert(place, byte) => bytes.insert(place.index(length + 1), *byte),
            Self::Cut(place) if length > 0 => bytes.truncate(place.index(length)),
            _ => {}
        }
    }
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let place = any::<Index>;
    let change = prop_oneof![
        4 => (place(), any::<u8>()).prop_map(|(place, byte)| Change::Set(place, byte)),
        1 => (place(), any::<u8>()).prop_map(|(place, byte)| Change::Insert(place, byte)),
        1 => place().prop_map(Change::Remove),
        1 => place().prop_map(Change::Cut),
    ];
    proptest::collection::vec(change, 1..5)
}

fn changed(bytes: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changes.iter().for_each(|change| change.apply(&mut changed));
    changed
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..most)
}

proptest! {
    #[test]
    fn what_is_sealed_opens_under_its_label_and_context_alone(
        plain in bytes(300), label in bytes(40), other in bytes(40), changes in changes(),
    ) {
        let sealed = PAIR.sealing.seal(&label, &other, &plain).unwrap();
        prop_assert!(opened(&label, &other, &sealed).as_deref() == Some(plain.as_slice()), "it does not open");
        let forged = changed(&sealed, &changes);
        prop_assert!(forged == sealed || opened(&label, &other, &forged).is_none(), "a changed one opens");
        prop_assert!(label == other || opened(&other, &label, &sealed).is_none(), "label and context may be exchanged");
        // The border between the two is part of both.
        if let Some((last, rest)) = label.split_last() {
            prop_assert!(opened(rest, &[&[*last], other.as_slice()].concat(), &sealed).is_none());
        }
    }

    #[test]
    fn bytes_of_anybody_are_no_sealed_ones(bytes in bytes(600), key in bytes(40)) {
        if let Some(sealed) = Sealed::read(&bytes) {
            prop_assert!(PAIR.opening.unwrap(b"label", &sealed).is_err());
            prop_assert!(sealed.open(&SecretBytes::new(key), b"context").is_err());
        }
        // As long as a wrapped key is, which the library looks into.
        let long = [&[1, 0], bytes.as_slice(), &[7; 256]].concat();
        let sealed = Sealed::read(&long).unwrap();
        prop_assert!(PAIR.opening.unwrap(b"label", &sealed).is_err());
    }

    #[test]
    fn what_a_cipher_made_opens_unchanged_alone(
        plain in bytes(300), context in bytes(20), key in proptest::array::uniform32(any::<u8>()), changes in changes(),
    ) {
        let key = SecretBytes::new(key.to_vec());
        for cipher in [Aead::Aes256Gcm, Aead::ChaCha20Poly1305] {
            let sealed = cipher.seal(&key, &context, &plain).unwrap();
            let opened = |sealed: &[u8]| cipher.open(&key, &context, sealed).ok().map(|plain| plain.expose().to_vec());
            prop_assert!(opened(&sealed).as_deref() == Some(plain.as_slice()), "it does not open");
            let forged = changed(&sealed, &changes);
            prop_assert!(forged == sealed || opened(&forged).is_none(), "a changed one opens");
        }
    }

    #[test]
    fn cbc_gives_no_more_than_it_got_whatever_that_is(plain in bytes(100), password in bytes(40), changes in changes()) {
        let encrypted = aes_encrypt(&password, &plain).unwrap();
        prop_assert!(aes_decrypt(&password, &encrypted).unwrap().as_slice() == plain, "it does not open");
        let forged = changed(&encrypted, &changes);
        prop_assert!(aes_decrypt(&password, &forged).map_or(0, |plain| plain.len()) <= forged.len());
    }

}

proptest! {
    // The key is prepared for each text, which takes longer than to open it.
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn oaep_without_a_label_opens_unchanged_alone(plain in bytes(60), changes in changes()) {
        let public = PAIR.private.public_key().unwrap();
        let encrypted = rsa_oaep_encrypt(&public, OaepDigest::Sha256, &plain).unwrap();
        let opened = |bytes: &[u8]| rsa_oaep_decrypt(&PAIR.private, OaepDigest::Sha256, bytes).ok().map(|plain| plain.to_vec());
        prop_assert!(opened(&encrypted).as_deref() == Some(plain.as_slice()), "it does not open");
        let forged = changed(&encrypted, &changes);
        prop_assert!(forged == encrypted || opened(&forged).is_none(), "a changed one opens");
    }
}

//! Kamus: whatever is given for an encrypted text opens nothing and is no larger than it was; files are edited where they
//! should be or not at all; what is decrypted becomes a file of any format.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use strongroom_crypto::{NewKey, OpeningKey, PrivateKey};
use strongroom_kamus::legacy::{Block, Derivation, LegacyText, MasterKey, data_key_of_text};
use strongroom_kamus::manifest::{self, Edit, Kind, Standing};
use strongroom_kamus::output::{Format, Value, Values};
use strongroom_kamus::{Identity, Installation, KeyRing, PublicKey, SealedText, Text};
use strongroom_secret::SecretBytes;

const KEY: &str = "tWG4dk8ARsETnFL3jCf1xtMVe05imlx9vimER7iky2s=";
const SEALED: &str = "sr1.0123456789abcdef.AQID";

/// A value is at most so many times as long when it is written as JavaScript writes it.
const GROWTH: usize = 6;

struct World {
    master: MasterKey,
    key: OpeningKey,
    installation: Installation,
    reader: Identity,
}

static WORLD: LazyLock<World> = LazyLock::new(|| World {
    master: MasterKey::read(&secret(KEY)).unwrap(),
    key: OpeningKey::new(&PrivateKey::generate(NewKey::Rsa2048).unwrap()).unwrap(),
    installation: Installation::new("production").unwrap(),
    reader: Identity::new("team-a", "web").unwrap(),
});

fuzz_target!(|input: &[u8]| {
    values(input);
    let Ok(text) = std::str::from_utf8(input) else { return };
    match Text::read(text) {
        Ok(Text::Sealed(sealed)) => ours(text, &sealed),
        Ok(Text::Legacy(LegacyText::Block(read))) => block(text, &read),
        Ok(Text::Legacy(LegacyText::Envelope { wrapped_key, block: read })) => {
            assert!(wrapped_key.len() < text.len());
            block(text, &read);
        }
        Ok(Text::Legacy(LegacyText::Direct(bytes))) => assert!(!bytes.is_empty() && bytes.len() < text.len()),
        Err(_) => {}
    }
    assert!(data_key_of_text(&secret(text)).map_or(32, |key| key.len()) == 32);
    let _ = (Identity::of_user(text), PublicKey::read(input), KeyRing::read(input));
    file(text);
});

/// It is written as it was read, and nobody made it for this key.
fn ours(text: &str, sealed: &SealedText) {
    let World { key, installation, reader, .. } = &*WORLD;
    assert_eq!(sealed.to_string(), text.trim());
    assert!(sealed.unwrap(key, installation, reader).is_err());
    assert!(sealed.open(&SecretBytes::new(vec![7; 32])).is_err());
}

fn block(text: &str, block: &Block) {
    let World { master, reader, .. } = &*WORLD;
    for derivation in [Derivation::ByIdentity, Derivation::Insecure] {
        assert!(master.open(block, reader, derivation).map_or(0, |value| value.len()) <= text.len());
    }
    assert!(block.open(&secret("too short")).is_err());
}

/// Each value can be replaced alone, or it is refused.
fn file(text: &str) {
    let Ok(found) = manifest::read(text) else { return };
    let count = |found: &[manifest::Manifest]| found.iter().map(|manifest| manifest.values.len()).sum::<usize>();
    for manifest in &found {
        for (place, entry) in manifest.values.iter().enumerate() {
            assert!(manifest.kind == Kind::KamusSecret || entry.standing(manifest.kind) != Standing::Legacy);
            let _ = entry.check_editable();
            let edit = Edit::encrypted(&entry.value, SEALED.to_owned()).unwrap();
            let Ok(edited) = manifest::apply(text, vec![edit]) else { continue };
            let again = manifest::read(&edited).expect("what was edited is read");
            assert_eq!((again.len(), count(&again)), (found.len(), count(&found)));
            let is_there =
                |manifest: &manifest::Manifest| manifest.values.get(place).is_some_and(|it| it.value.text == SEALED);
            assert!(again.iter().any(is_there), "the new text is in its place");
        }
    }
}

/// A name, a NUL, a value; the same again.
fn values(input: &[u8]) {
    let mut values = Values::default();
    let mut longest = 0;
    let parts: Vec<&[u8]> = input.split(|byte| *byte == 0).collect();
    for pair in parts.chunks(2) {
        let [key, value] = pair else { continue };
        let (Ok(key), Some(read)) = (std::str::from_utf8(key), Value::read(&SecretBytes::new(value.to_vec()))) else {
            continue;
        };
        assert!(read.text().len() <= value.len() * GROWTH);
        // A quote in a key becomes five bytes for HTML, and one of them may be escaped again.
        longest += (key.len() + value.len()) * GROWTH + 16;
        values.insert(key.to_owned(), read);
    }
    for format in ["json", "cfg", "cfg-strict", "files", "custom"].map(Format::of) {
        let Some(file) = values.file(format) else { continue };
        assert!(file.len() <= longest + 16);
        if format == Format::Json {
            assert!(serde_json::from_slice::<serde_json::Value>(file.expose()).is_ok(), "it is JSON");
        }
    }
}

fn secret(text: &str) -> SecretBytes {
    SecretBytes::from(text.to_owned())
}

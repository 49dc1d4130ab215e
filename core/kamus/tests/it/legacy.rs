use strongroom_crypto::{aes_encrypt, hkdf_expand_sha256_32};
use strongroom_kamus::legacy::{Derivation, LegacyText, MasterKey, data_key_of_text};
use strongroom_kamus::{Identity, KamusError, Text};
use strongroom_secret::SecretBytes;

use crate::{bytes, identity};

const KEY: &str = "tWG4dk8ARsETnFL3jCf1xtMVe05imlx9vimER7iky2s=";
const PUBLISHED: &str = "rWnWbaFutavdoeqUiVYMNJGvmjQh31qaIej/vAxJ9G0=";

fn opened(key: &str, text: &str, identity: &Identity, derivation: Derivation) -> Result<String, KamusError> {
    let Text::Legacy(LegacyText::Block(block)) = Text::read(text)? else { return Err(KamusError::NoText) };
    let plain = MasterKey::read(&bytes(key))?.open(&block, identity, derivation)?;
    Ok(plain.expose_text().unwrap().to_owned())
}

#[test]
fn ka_01_key_ids_are_those_of_kamus() {
    let check = |namespace, account, id| assert_eq!(identity(namespace, account).key_id(), id);
    check("default", "kamus-example-sa", "ha-2LBp7QepEbeofHtp3-UnU1a8DebK9HccStW0KecQ");
    check("sa", "namespace", "HY030nYRS7jA9b0ONpm-kgdN9CRFlqzcwlhHnLbXqyo");
    check("default", "dummy", "Yrn5ZVbIZS-9gkMs5N2-uLJHtdF9bzYhiQtSdtEBUHU");
}

#[test]
fn ka_01_texts_under_one_key_open_for_everybody_without_derivation() {
    let check = |key, text, plain: &str| {
        for reader in [identity("default", "dummy"), identity("team-a", "web")] {
            assert_eq!(opened(key, text, &reader, Derivation::Insecure).as_deref(), Ok(plain), "{text}");
            assert_ne!(opened(key, text, &reader, Derivation::ByIdentity).as_deref(), Ok(plain), "{text}");
        }
    };
    check(KEY, "C4gChhspnTa5yVqYmSitrg==:tr0Ke6OGUaUa8KZgMJg14g==", "hello");
    check(PUBLISHED, "J9NYLzTC/O44DvlCEZ+LfQ==:Cc9O5zQzFOyxwTD5ZHseqg==", "hello");
    check(PUBLISHED, "fX+zM9o709PGkitf0f7PNg==:1iLWChg0N5+SwysTXvLSCw==", "modified_hello");
    check(PUBLISHED, "ezBR+Ew+Itwg6fA/tQjxzg==:/DH+kSV3UN8eRUxT/cJp5w==", "supuper-secret");
    check(PUBLISHED, "4AD7lM6lc4dGvE3oF+5w8g==:WrcckiNNOAlMhuWHaM0kTw==", "test");
    // .NET reads over white space, which files and YAML bring.
    check(PUBLISHED, " 4AD7lM6lc4dGvE3o F+5w8g==:\nWrcckiNNOAlMhuWHaM0kTw==\n", "test");
}

#[test]
fn ka_10_with_derivation_a_text_opens_for_its_account_alone() {
    let derived = hkdf_expand_sha256_32(&SecretBytes::new(decode(KEY)), b"team-a:web").unwrap();
    let made = aes_encrypt(derived.expose(), b"hello").unwrap();
    let text = format!("{}:{}", encode(&made[..16]), encode(&made[16..]));
    assert_eq!(opened(KEY, &text, &identity("team-a", "web"), Derivation::ByIdentity).as_deref(), Ok("hello"));
    for other in [identity("team-a", "other"), identity("team-b", "web")] {
        assert_ne!(opened(KEY, &text, &other, Derivation::ByIdentity).as_deref(), Ok("hello"));
    }
    // Kamus' own vector has an identity that no account can have: the derived key alone is checked.
    let derived = hkdf_expand_sha256_32(&SecretBytes::new(decode(KEY)), b"sa").unwrap();
    let vector = "VnZkifeNdxI7NWMbjr/MZg==:qskLf4Z57DC9HBTe6+IEkA==";
    let Some(LegacyText::Block(block)) = LegacyText::read(vector) else { panic!("{vector} is a block") };
    assert_eq!(block.open(&derived).unwrap().expose(), b"hello");
}

#[test]
fn ka_09_envelopes_are_taken_apart_as_by_the_original() {
    let vector = "C4gChhspnTa5yVqYmSitrg==";
    let data = "tr0Ke6OGUaUa8KZgMJg14g==";
    let check = |text: &str, expected: Option<&[u8]>| match LegacyText::read(text) {
        Some(LegacyText::Envelope { wrapped_key, block }) => {
            assert_eq!(Some(wrapped_key.as_slice()), expected, "{text}");
            assert_eq!(Some(LegacyText::Block(block)), LegacyText::read(&format!("{vector}:{data}")), "{text}");
        }
        other => assert_eq!((other.is_none(), expected), (true, None), "{text}"),
    };
    check(&format!("env$AQID${vector}:{data}"), Some(&[1, 2, 3]));
    check(&format!("env$AQID\n${vector}:{data}\n"), Some(&[1, 2, 3]));
    check(&format!("  env$AQID${vector}:{data}"), Some(&[1, 2, 3]));
    check(&format!("env$${vector}:{data}"), Some(&[]));
    check(&format!("env$A$ID${vector}:{data}"), None);
    check(&format!("env$AQID${vector}{data}"), None);
    check(&format!("env$AQID${data}AA:{data}"), None);
    assert_eq!(LegacyText::read("AQID"), Some(LegacyText::Direct(vec![1, 2, 3])));
    for wrong in ["", "a", "not base64!", ":", "AQID:AQID", &format!("{vector}:"), &format!("{vector}:{data}:{data}")] {
        assert!(
            !matches!(LegacyText::read(wrong), Some(LegacyText::Block(_) | LegacyText::Envelope { .. })),
            "{wrong}"
        );
    }
}

#[test]
fn an_envelope_of_azure_wraps_the_text_of_its_key() {
    assert_eq!(data_key_of_text(&bytes(KEY)).unwrap().expose(), decode(KEY));
    for wrong in ["", "AQID", "no base64"] {
        assert_eq!(data_key_of_text(&bytes(wrong)).err(), Some(KamusError::BadKey), "{wrong}");
    }
}

#[test]
fn the_published_key_is_known_however_it_is_written() {
    let check = |key: &str, expected| assert_eq!(MasterKey::read(&bytes(key)).unwrap().is_published(), expected);
    check(PUBLISHED, true);
    check(&format!(" {PUBLISHED}\n"), true);
    check(KEY, false);
    assert!(MasterKey::read(&bytes("AQID")).is_err());
}

fn decode(text: &str) -> Vec<u8> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).unwrap()
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

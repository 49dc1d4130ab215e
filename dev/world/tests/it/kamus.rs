//! Texts as Kamus wrote them under a key of its own, opened by ours. Those of the clouds are in the providers' tests.

use strongroom_kamus::legacy::{Derivation, LegacyText, MasterKey};
use strongroom_kamus::{Identity, Text};
use strongroom_secret::SecretBytes;
use world::kamus::Value;

const KEY: &str = "tWG4dk8ARsETnFL3jCf1xtMVe05imlx9vimER7iky2s=";

#[test]
fn what_kamus_wrote_under_its_key_opens_for_everybody_and_with_derivation_for_its_account() {
    let plain = "pässword\nof 32 letters and some more";
    let value = Value { namespace: "team-a", account: "web", plain };
    let key = MasterKey::read(&SecretBytes::from(KEY.to_owned())).unwrap();
    let opened = |text: &str, account: &str, derivation| {
        let Text::Legacy(LegacyText::Block(block)) = Text::read(text).unwrap() else { panic!("it is no block") };
        let opened = key.open(&block, &Identity::new("team-a", account).unwrap(), derivation);
        opened.is_ok_and(|opened| opened.expose() == plain.as_bytes())
    };
    let text = value.under_key(KEY, false).unwrap();
    assert!(opened(&text, "web", Derivation::Insecure) && opened(&text, "other", Derivation::Insecure));
    assert!(!opened(&text, "web", Derivation::ByIdentity));
    let text = value.under_key(KEY, true).unwrap();
    assert!(opened(&text, "web", Derivation::ByIdentity));
    assert!(!opened(&text, "other", Derivation::ByIdentity) && !opened(&text, "web", Derivation::Insecure));
}

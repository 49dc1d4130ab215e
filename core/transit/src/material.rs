//! Secret bytes of a key, in the one form in which they are kept.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use strongroom_secret::SecretBytes;
use zeroize::Zeroizing;

/// Secret bytes; base64 in a record, and nowhere else.
#[derive(Clone, Debug)]
pub(crate) struct Material(pub(crate) SecretBytes);

impl Serialize for Material {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(STANDARD.encode(self.0.expose())))
    }
}

impl<'de> Deserialize<'de> for Material {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

/// Reads a text where it stands, so that no copy stays behind, and quotes none.
struct Text;

impl Visitor<'_> for Text {
    type Value = Material;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("base64")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Material, E> {
        let bytes = STANDARD.decode(text).map_err(|_| E::custom("a key's material is no base64"))?;
        Ok(Material(SecretBytes::new(bytes)))
    }
}

/// A public key in DER; base64 in a record.
#[derive(Clone, Debug)]
pub(crate) struct PublicKey(pub(crate) Vec<u8>);

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map(Self).map_err(|_| D::Error::custom("a public key is no base64"))
    }
}

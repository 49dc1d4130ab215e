//! Objects as the API writes them: names in paths, the metadata that we look at, a Secret's data.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

/// Everything but what a path's segment leaves as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The longest name of an object.
const NAME_LIMIT: usize = 253;

/// `name` as one segment of a path.
///
/// A `/`, encoded or not, would end the segment on the server's side and lead to another object, in another namespace
/// even; the API itself allows neither it nor `%`.
pub(crate) fn segment(name: &str) -> Result<String, Failure> {
    let is_name = !name.is_empty()
        && name.len() <= NAME_LIMIT
        && name != "."
        && name != ".."
        && !name.contains(|letter: char| letter == '/' || letter == '%' || letter.is_control());
    if !is_name {
        return Err(Failure::new(Class::Invalid, "the key is not a name that an object can have"));
    }
    Ok(utf8_percent_encode(name, SEGMENT).to_string())
}

/// `text` in a query's value.
pub(crate) fn in_query(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// What we look at of an object's metadata.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) namespace: Option<String>,
    #[serde(default)]
    pub(crate) resource_version: Option<String>,
    #[serde(default)]
    pub(crate) labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub(crate) annotations: Option<BTreeMap<String, String>>,
}

/// A Secret.
#[derive(Debug, Deserialize)]
pub(crate) struct Secret {
    pub(crate) metadata: Metadata,
    #[serde(default)]
    pub(crate) data: Option<BTreeMap<String, Decoded>>,
}

/// Base64 in JSON, decoded where it is read: no copy of the text stays behind.
#[derive(Debug)]
pub(crate) struct Decoded(pub(crate) SecretBytes);

impl<'de> Deserialize<'de> for Decoded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Base64)
    }
}

struct Base64;

impl Visitor<'_> for Base64 {
    type Value = Decoded;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("base64")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Decoded, E> {
        let decoded = STANDARD.decode(text).map_err(|_| E::custom("this is no base64"))?;
        Ok(Decoded(SecretBytes::new(decoded)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stays_one_segment() {
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(segment(name).ok().as_deref(), expected, "{name}");
        };
        check("app.v1-x_y", Some("app.v1-x_y"));
        check("system:node", Some("system%3Anode"));
        check("a b?c#d", Some("a%20b%3Fc%23d"));
        for refused in ["", ".", "..", "a/b", "../../kube-system/secrets/x", "a%2Fb", "a\nb", &"x".repeat(254)] {
            check(refused, None);
        }
    }

    #[test]
    fn data_is_decoded_and_never_shown() {
        let secret: Secret =
            serde_json::from_str(r#"{"metadata":{"name":"a"},"data":{"k":"AP8=","e":"","t":"Y2FuYXJ5"}}"#).unwrap();
        let data = secret.data.as_ref().unwrap();
        assert_eq!(data["k"].0.expose(), [0, 255]);
        assert!(data["e"].0.is_empty());
        assert!(!format!("{secret:?}").contains("canary"));
        let error = serde_json::from_str::<Secret>(r#"{"metadata":{},"data":{"k":"canary!"}}"#).unwrap_err();
        assert!(!error.to_string().contains("canary"), "{error}");
    }
}

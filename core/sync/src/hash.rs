//! The hashes and names that External Secrets Operator writes, to the byte: what it wrote stays as it is under us, and
//! what we wrote under it.
//!
//! Its hashes are of text that Go's `fmt` makes of a value: `map[KEY:[BYTE BYTE …] …]` with sorted keys and decimal
//! bytes for data, `{annotations:map[KEY:TEXT …] labels:map[…]}` for metadata.

use std::fmt::Write as _;

use strongroom_api::external_secrets::vocabulary::FIELD_MANAGER_PREFIX;
use strongroom_crypto::{hmac_sha256, sha3_224};
use strongroom_secret::SecretBytes;
use zeroize::Zeroizing;

use crate::{Texts, Values};

/// What a keyed hash begins with, so that it is never taken for one of External Secrets Operator.
pub const KEYED_PREFIX: &str = "hmac-sha256:";

/// The longest field manager that is written in plain, in bytes.
const PLAIN_MANAGER_LIMIT: usize = 63;

/// How the data of a Secret is hashed for its annotation.
#[derive(Clone, Debug, Default)]
pub enum DataHash {
    /// As External Secrets Operator: anybody who reads the annotation can guess at short values.
    #[default]
    Compatible,
    /// HMAC-SHA256 under this key: says nothing to whoever has not the key.
    Keyed(SecretBytes),
}

impl DataHash {
    /// The annotation's value for `data`.
    pub fn of(&self, data: &Values) -> String {
        match self {
            Self::Compatible => hex(&sha3_224(&printed(data))),
            Self::Keyed(key) => format!("{KEYED_PREFIX}{}", hex(&hmac_sha256(key.expose(), &printed(data)))),
        }
    }
}

/// `data` as Go prints a `map[string][]byte`.
fn printed(data: &Values) -> Zeroizing<Vec<u8>> {
    // At most four characters a byte, so that growing leaves no copy behind.
    let size = data.iter().map(|(key, value)| key.len() + 4 * value.len() + 4).sum::<usize>() + 5;
    let mut text = Zeroizing::new(Vec::with_capacity(size));
    text.extend_from_slice(b"map[");
    for (index, (key, value)) in data.iter().enumerate() {
        if index > 0 {
            text.push(b' ');
        }
        text.extend_from_slice(key.as_bytes());
        text.extend_from_slice(b":[");
        for (index, byte) in value.expose().iter().enumerate() {
            if index > 0 {
                text.push(b' ');
            }
            push_decimal(&mut text, *byte);
        }
        text.push(b']');
    }
    text.push(b']');
    text
}

fn push_decimal(text: &mut Vec<u8>, byte: u8) {
    if byte >= 100 {
        text.push(b'0' + byte / 100);
    }
    if byte >= 10 {
        text.push(b'0' + byte / 10 % 10);
    }
    text.push(b'0' + byte % 10);
}

/// The value of the label `created-by` for the ExternalSecret `name` in `namespace`.
pub fn created_by(namespace: &str, name: &str) -> String {
    hex(&sha3_224(format!("{namespace}/{name}").as_bytes()))
}

/// The field manager under which the targets of the ExternalSecret `name` are written.
pub fn field_manager(name: &str) -> String {
    let [plain, hashed] = field_managers(name);
    if plain.len() > PLAIN_MANAGER_LIMIT { hashed } else { plain }
}

/// Both spellings of the field manager: what earlier versions of External Secrets Operator wrote is found as well.
pub fn field_managers(name: &str) -> [String; 2] {
    [
        format!("{FIELD_MANAGER_PREFIX}/{name}"),
        format!("{FIELD_MANAGER_PREFIX}/sha3/{}", hex(&sha3_224(name.as_bytes()))),
    ]
}

/// `status.syncedResourceVersion`: which version of an object was synchronised last. Any change of its specification
/// (the generation), labels or annotations changes it, which is how a `force-sync` annotation works.
pub fn synced_version(generation: i64, labels: Option<&Texts>, annotations: Option<&Texts>) -> String {
    let text = format!("{{annotations:{} labels:{}}}", printed_texts(annotations), printed_texts(labels));
    format!("{generation}-{}", hex(&sha3_224(text.as_bytes())))
}

/// Texts as Go prints a `map[string]string`.
fn printed_texts(texts: Option<&Texts>) -> String {
    let pairs: Vec<_> = texts.into_iter().flatten().map(|(key, text)| format!("{key}:{text}")).collect();
    format!("map[{}]", pairs.join(" "))
}

/// Bytes as lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

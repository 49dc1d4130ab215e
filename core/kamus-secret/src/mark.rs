//! The mark that says: whoever wrote this object may act as the account that its values are read as (S2).
//!
//! Admission asks that of the API server and sets the mark; the operator reads nothing without it. It covers all that
//! decides which values come to light, and where, so that it cannot be carried to another object.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use strongroom_api::kamus::KamusSecret;
use strongroom_crypto::{equal_in_constant_time, hmac_sha256};
use strongroom_secret::SecretBytes;

/// The annotation that holds the mark.
pub const MARK_ANNOTATION: &str = "strongroom.dev/kamus-verified";

/// What the key of marks is derived for, of the installation's oldest key.
pub const MARK_PURPOSE: &[u8] = b"strongroom kamus: mark";

/// How marks of this form begin.
const FORM: &str = "v1.";

/// The mark of `object` under `key`: HMAC-SHA256 over namespace, name, account and encrypted values, each part with its
/// length.
pub fn mark(object: &KamusSecret, key: &SecretBytes) -> String {
    let metadata = &object.metadata;
    let mut message = Vec::new();
    let mut add = |part: &str| {
        // A part of 4 GiB does not fit into an object.
        message.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        message.extend_from_slice(part.as_bytes());
    };
    for part in [&metadata.namespace, &metadata.name, &object.service_account] {
        add(part.as_deref().unwrap_or_default());
    }
    for values in [&object.data, &object.string_data] {
        add(&values.len().to_string());
        for (name, encrypted) in values {
            add(name);
            add(encrypted);
        }
    }
    format!("{FORM}{}", URL_SAFE_NO_PAD.encode(hmac_sha256(key.expose(), &message)))
}

/// Whether `object` bears its own mark under `key`.
pub fn is_marked(object: &KamusSecret, key: &SecretBytes) -> bool {
    let annotations = object.metadata.annotations.as_ref();
    let found = annotations.and_then(|annotations| annotations.get(MARK_ANNOTATION));
    found.is_some_and(|found| equal_in_constant_time(found.as_bytes(), mark(object, key).as_bytes()))
}

//! Random UUIDs (RFC 9562, version 4).

use std::fmt::Write as _;

use strongroom_failure::Failure;
use strongroom_secret::SecretBytes;

use crate::{Random, Values, drawn};

/// A UUID under `uuid`.
///
/// # Errors
/// `Unavailable` without randomness.
pub fn uuid(random: Random<'_>) -> Result<Values, Failure> {
    let mut text = String::with_capacity(36);
    for place in 0..16 {
        let byte = drawn(random, 256)?;
        let byte = match place {
            // The version, and the variant.
            6 => (byte & 0x0f) | 0x40,
            8 => (byte & 0x3f) | 0x80,
            _ => byte,
        };
        let dash = if matches!(place, 4 | 6 | 8 | 10) { "-" } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{dash}{byte:02x}");
    }
    Ok(Values::from([("uuid".to_owned(), SecretBytes::from(text))]))
}

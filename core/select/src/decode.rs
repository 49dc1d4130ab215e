//! How stored text becomes bytes: ESO's `decodingStrategy`.

use base64::Engine;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use strongroom_failure::{Class, Failure};
use strongroom_reference::Decode;
use strongroom_secret::SecretBytes;
use zeroize::Zeroizing;

/// As Go's decoder: padding is required, line breaks are ignored, spare bits at the end may be anything.
const LIKE_GO: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
    .with_decode_allow_trailing_bits(true);

/// The value is not in the encoding that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value is not {encoding}")]
pub struct DecodeFailure {
    /// The encoding's name for people.
    pub encoding: &'static str,
}

impl From<DecodeFailure> for Failure {
    fn from(failure: DecodeFailure) -> Self {
        Self::new(Class::Invalid, failure.to_string())
            .with_hint("use decode=Auto to take values that are not encoded as they are, or leave decode out")
    }
}

/// Decodes `value`. `Auto` takes base64 where it is base64, else URL-safe base64 where it is that, else the value as it
/// is; it cannot know that a plain `1234` was not meant as base64.
pub fn decode(strategy: Decode, value: SecretBytes) -> Result<SecretBytes, DecodeFailure> {
    match strategy {
        Decode::None => Ok(value),
        Decode::Base64 => decoded(&STANDARD, &value).ok_or(DecodeFailure { encoding: "base64" }),
        Decode::Base64Url => decoded(&URL_SAFE, &value).ok_or(DecodeFailure { encoding: "URL-safe base64" }),
        Decode::Auto => Ok(decoded(&STANDARD, &value).or_else(|| decoded(&URL_SAFE, &value)).unwrap_or(value)),
    }
}

fn decoded(alphabet: &Alphabet, value: &SecretBytes) -> Option<SecretBytes> {
    let text =
        Zeroizing::new(value.expose().iter().copied().filter(|byte| !b"\r\n".contains(byte)).collect::<Vec<_>>());
    // Sized for all of it beforehand, so that no half-filled buffer is left behind by growing.
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
    let length = GeneralPurpose::new(alphabet, LIKE_GO).decode_slice(&*text, &mut bytes).ok()?;
    bytes.truncate(length);
    Some(SecretBytes::new(std::mem::take(&mut *bytes)))
}

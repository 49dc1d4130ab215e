//! Base64 as clients send it, and the texts that name a version: `vault:v3:BASE64`.

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use strongroom_secret::SecretBytes;
use zeroize::Zeroizing;

use crate::error::TransitError;

const PREFIX: &str = "vault:v";

/// Go's decoder takes any last bits.
const TOLERANT: GeneralPurpose =
    GeneralPurpose::new(&ALPHABET, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// The bytes of base64 with its padding; `None` where it is none. Line ends do not count, as in Go: the program
/// `base64` makes lines.
pub fn decode_base64(text: &str) -> Option<SecretBytes> {
    let is_line_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
    if text.bytes().any(|byte| is_line_end(&byte)) {
        let letters: Zeroizing<Vec<u8>> = Zeroizing::new(text.bytes().filter(|byte| !is_line_end(byte)).collect());
        return TOLERANT.decode(letters.as_slice()).ok().map(SecretBytes::new);
    }
    TOLERANT.decode(text).ok().map(SecretBytes::new)
}

/// `vault:v3:` and the bytes as base64.
pub(crate) fn versioned(version: u64, bytes: &[u8]) -> String {
    format!("{PREFIX}{version}:{}", STANDARD.encode(bytes))
}

/// The version that a text names, and what stands behind it. `what` is how the text is called.
pub(crate) fn split<'t>(text: &'t str, what: &str) -> Result<(u64, &'t str), TransitError> {
    let rest = text.strip_prefix(PREFIX).ok_or_else(|| TransitError::invalid(format!("invalid {what}: no prefix")))?;
    let (version, body) =
        rest.split_once(':').ok_or_else(|| TransitError::invalid(format!("invalid {what}: wrong number of fields")))?;
    let version = Some(version).filter(|version| version.bytes().all(|byte| byte.is_ascii_digit()));
    let version = version.and_then(|version| version.parse().ok());
    let unread = || TransitError::invalid(format!("invalid {what}: version number could not be decoded"));
    Ok((version.ok_or_else(unread)?, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_as_go_reads_it() {
        let check = |text: &str, expected: Option<&[u8]>| {
            assert_eq!(decode_base64(text).map(|bytes| bytes.expose().to_vec()).as_deref(), expected, "{text}");
        };
        check("", Some(b""));
        check("aGVsbG8=", Some(b"hello"));
        check("aGVs\r\nbG8=\n", Some(b"hello"));
        check("aGVsbG9=", Some(b"hello"));
        for wrong in ["!!", "aGVsbG8", "aGVs bG8=", "aGVsbG8=A", "_-==", "\u{e9}"] {
            check(wrong, None);
        }
    }

    #[test]
    fn a_text_names_its_version() {
        assert_eq!(split(&versioned(12, b"hello"), "text"), Ok((12, "aGVsbG8=")));
        let check = |text: &str, expected: &str| {
            assert_eq!(split(text, "ciphertext"), Err(TransitError::invalid(expected)), "{text}");
        };
        for text in ["", "x", "v1:AAAA", "vault:1:AAAA", "Vault:v1:AAAA"] {
            check(text, "invalid ciphertext: no prefix");
        }
        check("vault:v1", "invalid ciphertext: wrong number of fields");
        for text in
            ["vault:vx:AAAA", "vault:v:AAAA", "vault:v+1:AAAA", "vault:v-1:AAAA", "vault:v99999999999999999999:"]
        {
            check(text, "invalid ciphertext: version number could not be decoded");
        }
    }
}

//! One-time passwords that follow from the time (RFC 6238, RFC 4226).

use strongroom_api::generators::MfaSpec;
use strongroom_crypto::{hmac_sha1, hmac_sha256, hmac_sha512};
use strongroom_failure::Failure;
use strongroom_secret::SecretBytes;
use zeroize::Zeroizing;

use crate::{Values, base32, invalid};

/// Digits, where nothing is said.
const LENGTH: usize = 6;

/// Seconds for which one holds, where nothing is said.
const PERIOD: i64 = 30;

/// The password under `token`, and the seconds for which it still holds under `timeLeft`. `seed` is base32; `now` in
/// seconds since 1970.
///
/// # Errors
/// `Invalid` where the seed or the spec is not what it should be; no word of the seed is said.
pub fn one_time_password(spec: &MfaSpec, seed: &SecretBytes, now: i64) -> Result<Values, Failure> {
    let now = spec.when.as_ref().map_or(now, |when| when.0.as_second());
    let period = spec.time_period.filter(|period| *period > 0).unwrap_or(PERIOD);
    let length = spec.length.filter(|length| *length > 0).map_or(Ok(LENGTH), usize::try_from).unwrap_or(LENGTH);
    let letters: Zeroizing<Vec<u8>> = Zeroizing::new(
        seed.expose().iter().filter(|byte| !byte.is_ascii_whitespace()).map(u8::to_ascii_uppercase).collect(),
    );
    let end = letters.iter().rposition(|letter| *letter != b'=').map_or(0, |last| last + 1);
    let key = base32::decode(&letters[..end]).filter(|key| !key.is_empty());
    let key = key.ok_or_else(|| invalid("secret", "the seed is not base32", "take it as the service shows it"))?;
    let counter = now.div_euclid(period).to_be_bytes();
    let algorithm = spec.algorithm.as_deref().unwrap_or_default().to_ascii_lowercase();
    let code = match algorithm.as_str() {
        "" | "sha1" => truncated(&hmac_sha1(&key, &counter)),
        "sha256" => truncated(&hmac_sha256(&key, &counter)),
        "sha512" => truncated(&hmac_sha512(&key, &counter)),
        _ => return Err(invalid("algorithm", "is no known hash function", "set sha1, sha256 or sha512")),
    };
    let modulus = u32::try_from(length).ok().and_then(|length| 10_u64.checked_pow(length)).unwrap_or(u64::MAX);
    let code = format!("{:0length$}", u64::from(code) % modulus);
    let left = period - now.rem_euclid(period);
    Ok(Values::from([
        ("token".to_owned(), SecretBytes::from(code)),
        ("timeLeft".to_owned(), SecretBytes::from(left.to_string())),
    ]))
}

/// RFC 4226, section 5.3: 31 bits from where the last half byte says.
fn truncated(digest: &[u8]) -> u32 {
    let start = usize::from(digest.last().copied().unwrap_or_default() & 0x0f);
    let four = digest.get(start..start + 4).and_then(|four| <[u8; 4]>::try_from(four).ok());
    u32::from_be_bytes(four.unwrap_or_default()) & 0x7fff_ffff
}

//! Passwords, by the rules of Go's `sethvargo/go-password`: so many digits, so many symbols, letters for the rest, each
//! put at a place by chance.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use strongroom_api::generators::{Encoding, PasswordSpec};
use strongroom_failure::Failure;
use strongroom_secret::SecretBytes;
use zeroize::Zeroizing;

use crate::{Random, Values, base32, drawn, invalid};

/// What is made where nothing is said.
const LENGTH: usize = 24;

const SMALL: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const CAPITAL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &[u8] = b"0123456789";
const SYMBOLS: &str = "~!@#$%^&*()_+`-={}|[]\\:\"<>?,./";

/// A password under each of the spec's keys, or under `password`.
///
/// # Errors
/// `Invalid`, in the field that asks for more than there is; `Unavailable` without randomness.
pub fn password(spec: &PasswordSpec, random: Random<'_>) -> Result<Values, Failure> {
    let usual = ["password".to_owned()];
    let keys = if spec.secret_keys.is_empty() { &usual[..] } else { &spec.secret_keys };
    let mut values = Values::new();
    for key in keys {
        let made = one(spec, random)?;
        values.insert(key.clone(), encoded(spec.encoding.unwrap_or_default(), &made));
    }
    Ok(values)
}

/// How many characters of each kind: letters, digits, symbols.
fn counts(spec: &PasswordSpec) -> Result<(usize, usize, usize), Failure> {
    let count = |count: Option<i64>, usual: usize| count.map_or(Some(usual), |count| usize::try_from(count).ok());
    let length = count(spec.length.filter(|length| *length > 0), LENGTH).unwrap_or(LENGTH);
    let few = |field| invalid(field, "is less than nothing", "set 0 or more");
    let digits = count(spec.digits, length / 4).ok_or_else(|| few("digits"))?;
    let symbols = count(spec.symbols, length / 4).ok_or_else(|| few("symbols"))?;
    let letters = length.checked_sub(digits).and_then(|rest| rest.checked_sub(symbols)).ok_or_else(|| {
        let words = format!("{digits} digits and {symbols} symbols are more than the {length} characters");
        invalid("length", words, "ask for a longer password, or for fewer digits and symbols")
    })?;
    Ok((letters, digits, symbols))
}

fn one(spec: &PasswordSpec, random: Random<'_>) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let (letters, digits, symbols) = counts(spec)?;
    let alphabet = if spec.no_upper { SMALL.to_vec() } else { [SMALL, CAPITAL].concat() };
    let characters = spec.symbol_characters.as_deref().filter(|text| !text.is_empty()).unwrap_or(SYMBOLS);
    // In full from the start, so that no half of a password is left behind by growing.
    let mut made = Zeroizing::new(Vec::with_capacity(letters + digits + symbols));
    for (field, count, from) in
        [("length", letters, &alphabet[..]), ("digits", digits, DIGITS), ("symbols", symbols, characters.as_bytes())]
    {
        for _ in 0..count {
            let character = if spec.allow_repeat {
                from[drawn(random, from.len())?]
            } else {
                let left: Vec<u8> = from.iter().copied().filter(|character| !made.contains(character)).collect();
                if left.is_empty() {
                    let words = "asks for more characters than there are different ones";
                    return Err(invalid(field, words, "ask for fewer, or set allowRepeat: true"));
                }
                left[drawn(random, left.len())?]
            };
            let place = drawn(random, made.len() + 1)?;
            made.insert(place, character);
        }
    }
    Ok(made)
}

fn encoded(encoding: Encoding, password: &[u8]) -> SecretBytes {
    match encoding {
        Encoding::Raw => SecretBytes::new(password.to_vec()),
        Encoding::Base64 => SecretBytes::from(STANDARD.encode(password)),
        Encoding::Base64url => SecretBytes::from(URL_SAFE.encode(password)),
        Encoding::Base32 => SecretBytes::new(std::mem::take(&mut *base32::encode(password))),
        Encoding::Hex => {
            let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('0');
            let text = password.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
            SecretBytes::from(text.collect::<String>())
        }
    }
}

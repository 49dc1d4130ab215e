//! Keys of a Secret: which are valid, and what stores' names are converted to.

use std::sync::LazyLock;

use strongroom_failure::{Class, Failure};
use strongroom_pattern::Pattern;

use crate::Values;

/// The longest key of a Secret, in bytes: the API server's limit.
pub const KEY_LIMIT: usize = 253;

/// What becomes of a character that a key cannot have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Conversion {
    /// `_`.
    #[default]
    Underscore,
    /// `_Uxxxx_`, with the character's number in hexadecimal.
    Unicode,
}

/// Letters and numbers beyond ASCII, by Unicode's classes L and N. The standard library's `is_alphanumeric` has marks
/// as well, which External Secrets Operator converts.
static LETTER_OR_NUMBER: LazyLock<Option<Pattern>> = LazyLock::new(|| Pattern::new(r"\A[\pL\pN]\z").ok());

fn is_allowed(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '_');
    }
    let mut buffer = [0; 4];
    LETTER_OR_NUMBER.as_ref().is_some_and(|pattern| pattern.is_match(character.encode_utf8(&mut buffer)))
}

/// `key` with every character converted that a key cannot have.
pub fn converted(conversion: Conversion, key: &str) -> String {
    let mut made = String::with_capacity(key.len());
    for character in key.chars() {
        match conversion {
            _ if is_allowed(character) => made.push(character),
            Conversion::Underscore => made.push('_'),
            Conversion::Unicode => made.push_str(&format!("_U{:04x}_", u32::from(character))),
        }
    }
    made
}

/// `values` under converted keys.
///
/// # Errors
/// `Invalid`, naming the keys, where two become the same.
pub fn convert_keys(conversion: Conversion, values: Values) -> Result<Values, Failure> {
    let mut made = Values::new();
    for (key, value) in values {
        let name = converted(conversion, &key);
        if made.contains_key(&name) {
            let words = format!("two keys become {name:?} by conversion, one of them {key:?}");
            return Err(
                Failure::new(Class::Invalid, words).with_hint("use conversionStrategy: Unicode, or rewrite the keys")
            );
        }
        made.insert(name, value);
    }
    Ok(made)
}

/// `values` without the empty key, which stores give for what has no name.
///
/// # Errors
/// `Invalid`, naming the key, where a key is too long or has a character other than a letter, a number, `-`, `.`, `_`.
pub fn check_keys(mut values: Values) -> Result<Values, Failure> {
    values.remove("");
    for key in values.keys() {
        if key.len() > KEY_LIMIT {
            let beginning: String = key.chars().take(32).collect();
            let words = format!("the key \"{beginning}…\" has {} bytes, and {KEY_LIMIT} are allowed", key.len());
            return Err(Failure::new(Class::Invalid, words));
        }
        if let Some(character) = key.chars().find(|character| !is_allowed(*character)) {
            let words = format!("the key {key:?} has the character {character:?}; a key has letters, numbers, - . _");
            return Err(Failure::new(Class::Invalid, words).with_hint("rewrite the keys, or convert them"));
        }
    }
    Ok(values)
}

/// Whether the API server takes `key` in a Secret's or a ConfigMap's data. Narrower than [`check_keys`]: letters and
/// numbers of ASCII only.
pub fn is_data_key(key: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    (1..=KEY_LIMIT).contains(&key.len()) && key.bytes().all(allowed) && key != "." && !key.starts_with("..")
}

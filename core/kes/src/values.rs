//! What the answers of a store come to, as JavaScript makes values of them.
//!
//! Where KES silently left a key out (a value with `property` or in `dataFrom` that is no JSON), the whole
//! synchronisation fails and says why: half a Secret with the status SUCCESS is what its users found last.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Number, Value};
use strongroom_failure::{Class, Failure};
use strongroom_secret::{RemoteValue, SecretBytes};
use strongroom_sync::json::wipe;
use zeroize::Zeroize as _;

use crate::Values;
use crate::property::get;

/// What Node takes for base64: with or without padding, whatever the last bits are.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The largest value that is read as JSON, in bytes: what Secrets Manager and etcd hold is far less.
const DOCUMENT_LIMIT: usize = 4 << 20;

/// The value of an entry, or of the part of it that `property` names.
///
/// # Errors
/// `NotFound` where there is no such property, in KES's words; `Invalid` where the value is no JSON.
pub fn value(read: RemoteValue, key: &str, property: Option<&str>, is_binary: bool) -> Result<SecretBytes, Failure> {
    let Some(property) = property else {
        return Ok(if is_binary && !read.is_binary { decoded(&read.value) } else { read.value });
    };
    let document = Document::parse(&read.value, key)?;
    let found = get(&document.0, property).ok_or_else(|| {
        Failure::new(Class::NotFound, format!("Could not find property {property} in {key}")).on_key(key)
    })?;
    Ok(match found {
        Value::String(text) if is_binary => decoded(&SecretBytes::from(text.clone())),
        other => bytes(other),
    })
}

/// The members of a value (KE-16): of a list by their places, of a text by those of its characters, of anything else
/// none.
///
/// # Errors
/// `Invalid` where the value is no JSON.
pub fn members(read: &RemoteValue, key: &str) -> Result<Values, Failure> {
    let document = Document::parse(&read.value, key)?;
    Ok(match &document.0 {
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), bytes(value))).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(place, item)| (place.to_string(), bytes(item))).collect(),
        Value::String(text) => {
            let characters = text.chars().enumerate();
            characters.map(|(place, character)| (place.to_string(), SecretBytes::from(character.to_string()))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Values::new(),
    })
}

/// JSON that is wiped when it is done with.
struct Document(Value);

impl Document {
    fn parse(value: &SecretBytes, key: &str) -> Result<Self, Failure> {
        let invalid = |words: String| Failure::new(Class::Invalid, words).on_key(key);
        if value.len() > DOCUMENT_LIMIT {
            return Err(invalid(format!("the value has {} bytes, and {DOCUMENT_LIMIT} are read as JSON", value.len())));
        }
        let parsed = serde_json::from_slice(value.expose());
        // What is wrong where would quote the value.
        parsed.map(Self).map_err(|_| {
            invalid("the value is not JSON, so it has no properties".to_owned())
                .with_hint("store a JSON object, or take the whole value by data with key and name alone")
        })
    }
}

impl Drop for Document {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Base64 as Node reads it: both alphabets, and what is in neither is passed over (KE-18).
fn decoded(text: &SecretBytes) -> SecretBytes {
    let end = text.expose().iter().position(|&byte| byte == b'=').unwrap_or(text.len());
    let kept = text.expose()[..end].iter().filter_map(|&byte| match byte {
        b'-' => Some(b'+'),
        b'_' => Some(b'/'),
        b'+' | b'/' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => Some(byte),
        _ => None,
    });
    let mut kept: Vec<u8> = kept.collect();
    // A single last character has too few bits for a byte.
    if kept.len() % 4 == 1 {
        kept.pop();
    }
    let decoded = LENIENT.decode(&kept).unwrap_or_default();
    kept.zeroize();
    SecretBytes::new(decoded)
}

/// A value as text: strings as they are, everything else as `JSON.stringify` writes it.
fn bytes(value: &Value) -> SecretBytes {
    match value {
        Value::String(text) => SecretBytes::from(text.clone()),
        other => {
            let mut written = String::new();
            write(other, &mut written);
            SecretBytes::from(written)
        }
    }
}

fn write(value: &Value, written: &mut String) {
    match value {
        Value::Number(number) => written.push_str(&number_text(number)),
        Value::Array(items) => {
            written.push('[');
            for (place, item) in items.iter().enumerate() {
                written.push_str(if place == 0 { "" } else { "," });
                write(item, written);
            }
            written.push(']');
        }
        Value::Object(members) => {
            written.push('{');
            for (place, (name, value)) in in_order(members).into_iter().enumerate() {
                written.push_str(if place == 0 { "" } else { "," });
                written.push_str(&Value::from(name.as_str()).to_string());
                written.push(':');
                write(value, written);
            }
            written.push('}');
        }
        Value::Null | Value::Bool(_) | Value::String(_) => written.push_str(&value.to_string()),
    }
}

/// Members as JavaScript orders them: what looks like an index first, by size; then the others as they were written.
fn in_order(members: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let index = |name: &str| name.parse::<u32>().ok().filter(|index| *index < u32::MAX && index.to_string() == name);
    let mut ordered: Vec<_> = members.iter().collect();
    ordered.sort_by_key(|(name, _)| index(name).map_or((1, 0), |index| (0, index)));
    ordered
}

/// A number as JavaScript writes it. Whole numbers stay as they are written: they would lose their last digits.
fn number_text(number: &Number) -> String {
    let text = number.to_string();
    if !text.contains(['.', 'e', 'E']) {
        return text;
    }
    match number.as_f64() {
        Some(float) if float != 0.0 && !(1e-6..1e21).contains(&float.abs()) => {
            let text = format!("{float:e}");
            match text.split_once("e-") {
                Some(_) => text,
                None => text.replace('e', "e+"),
            }
        }
        Some(float) => format!("{}", float + 0.0),
        None => text,
    }
}

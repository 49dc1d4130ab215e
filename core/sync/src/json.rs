//! JSON objects as maps of values, and JSON text as Go's `encoding/json` writes it.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;
use strongroom_select::DOCUMENT_LIMIT;
use zeroize::Zeroize as _;

use crate::Values;

/// The members of a JSON object as values: strings without quotes, `null` as nothing, everything else as it is written.
///
/// # Errors
/// `Invalid` where `document` is no JSON object or has more than [`DOCUMENT_LIMIT`] bytes; never quotes it.
pub fn members(document: &SecretBytes) -> Result<Values, Failure> {
    if document.len() > DOCUMENT_LIMIT {
        let words = format!("the value has {} bytes, and {DOCUMENT_LIMIT} are read as JSON", document.len());
        return Err(Failure::new(Class::Invalid, words));
    }
    // `null` is a map without members, as it is to Go.
    let object: Option<BTreeMap<String, &RawValue>> =
        serde_json::from_slice(document.expose()).map_err(|_| not_an_object())?;
    object.unwrap_or_default().into_iter().map(|(key, raw)| Ok((key.clone(), member(&key, raw)?))).collect()
}

fn member(key: &str, raw: &RawValue) -> Result<SecretBytes, Failure> {
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(text)
            .map(SecretBytes::from)
            .map_err(|_| Failure::new(Class::Invalid, format!("the text under {key:?} is no Unicode"))),
        Some(b'n') => Ok(SecretBytes::default()),
        _ => Ok(SecretBytes::new(text.as_bytes().to_vec())),
    }
}

/// A JSON object, whose owner wipes it with [`wipe`].
pub(crate) fn object(document: &SecretBytes) -> Result<serde_json::Map<String, Value>, Failure> {
    if document.len() > DOCUMENT_LIMIT {
        return Err(not_an_object());
    }
    let object: Option<serde_json::Map<String, Value>> =
        serde_json::from_slice(document.expose()).map_err(|_| not_an_object())?;
    Ok(object.unwrap_or_default())
}

fn not_an_object() -> Failure {
    Failure::new(Class::Invalid, "the value is not a JSON object")
}

/// One value as the bytes that Go code of External Secrets Operator makes of it: text as it is, `null` as nothing,
/// numbers without an exponent, objects and arrays as JSON.
pub(crate) fn bytes(value: &Value) -> SecretBytes {
    match value {
        Value::Null => SecretBytes::default(),
        Value::String(text) => SecretBytes::new(text.clone().into_bytes()),
        Value::Bool(truth) => SecretBytes::from(truth.to_string()),
        Value::Number(number) => SecretBytes::from(plain_number(number)),
        Value::Array(_) | Value::Object(_) => written(value, EscapeHtml::Yes),
    }
}

/// A number without an exponent. Whole numbers stay as they are written: Go's `float64` would round large ones.
fn plain_number(number: &serde_json::Number) -> String {
    let text = number.to_string();
    if text.contains(['.', 'e', 'E']) {
        return number.as_f64().map_or(text, |float| float.to_string());
    }
    text
}

/// Whether `<`, `>` and `&` are written as escapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EscapeHtml {
    Yes,
    No,
}

/// `value` as Go's `encoding/json` writes it: compact, keys sorted, its own set of escapes.
pub(crate) fn written(value: &Value, html: EscapeHtml) -> SecretBytes {
    let mut made = Vec::new();
    write(value, html, &mut made);
    SecretBytes::new(made)
}

fn write(value: &Value, html: EscapeHtml, made: &mut Vec<u8>) {
    match value {
        Value::Null => made.extend_from_slice(b"null"),
        Value::Bool(truth) => made.extend_from_slice(truth.to_string().as_bytes()),
        Value::Number(number) => made.extend_from_slice(json_number(number).as_bytes()),
        Value::String(text) => write_text(text, html, made),
        Value::Array(items) => {
            made.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    made.push(b',');
                }
                write(item, html, made);
            }
            made.push(b']');
        }
        Value::Object(members) => {
            let sorted: BTreeMap<_, _> = members.iter().collect();
            made.push(b'{');
            for (index, (key, value)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    made.push(b',');
                }
                write_text(key, html, made);
                made.push(b':');
                write(value, html, made);
            }
            made.push(b'}');
        }
    }
}

/// A number as Go writes a `float64`: with an exponent only below 1e-6 and from 1e21. Whole numbers as they are.
fn json_number(number: &serde_json::Number) -> String {
    let text = number.to_string();
    if !text.contains(['.', 'e', 'E']) {
        return text;
    }
    match number.as_f64() {
        Some(float) if float != 0.0 && !(1e-6..1e21).contains(&float.abs()) => {
            let text = format!("{float:e}");
            match text.split_once('e') {
                Some((digits, exponent)) if exponent.starts_with('-') => format!("{digits}e{exponent}"),
                Some((digits, exponent)) => format!("{digits}e+{exponent}"),
                None => text,
            }
        }
        Some(float) => float.to_string(),
        None => text,
    }
}

fn write_text(text: &str, html: EscapeHtml, made: &mut Vec<u8>) {
    made.push(b'"');
    for character in text.chars() {
        match character {
            '"' => made.extend_from_slice(b"\\\""),
            '\\' => made.extend_from_slice(b"\\\\"),
            '\n' => made.extend_from_slice(b"\\n"),
            '\r' => made.extend_from_slice(b"\\r"),
            '\t' => made.extend_from_slice(b"\\t"),
            '\u{8}' => made.extend_from_slice(b"\\b"),
            '\u{c}' => made.extend_from_slice(b"\\f"),
            '<' | '>' | '&' if html == EscapeHtml::Yes => push_escape(character, made),
            '\0'..='\u{1f}' | '\u{2028}' | '\u{2029}' => push_escape(character, made),
            other => made.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    made.push(b'"');
}

fn push_escape(character: char, made: &mut Vec<u8>) {
    made.extend_from_slice(format!("\\u{:04x}", u32::from(character)).as_bytes());
}

/// Wipes the texts of a document that is done with.
pub fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

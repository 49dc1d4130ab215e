//! What a plain scalar is, by YAML 1.1 as go-yaml 2 reads it.

use crate::syntax::parse_int;
use crate::values::Datum;

/// What a plain scalar stands for.
#[derive(Clone, Debug)]
pub(super) enum Resolved {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    /// A date or a time: a string in JSON, but not one that may be written plain.
    Timestamp,
    Merge,
    Text,
}

impl Resolved {
    /// As a value of JSON; `text` is what was written.
    pub(super) fn datum(&self, text: &str) -> Option<Datum> {
        Some(match self {
            Self::Null => Datum::Nil,
            Self::Bool(value) => Datum::Bool(*value),
            Self::Int(value) => Datum::Float(*value as f64),
            Self::Uint(value) => Datum::Float(*value as f64),
            Self::Float(value) if value.is_finite() => Datum::Float(*value),
            Self::Float(_) => return None,
            Self::Timestamp | Self::Merge | Self::Text => Datum::text(text),
        })
    }
}

/// Resolves `text`.
pub(super) fn resolve(text: &str) -> Resolved {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Resolved::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Resolved::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Resolved::Bool(false);
        }
        ".nan" | ".NaN" | ".NAN" => return Resolved::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Resolved::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Resolved::Float(f64::NEG_INFINITY),
        "<<" => return Resolved::Merge,
        _ => {}
    }
    match text.as_bytes().first() {
        Some(b'.') => crate::syntax::parse_float(text).map_or(Resolved::Text, Resolved::Float),
        Some(b'+' | b'-' | b'0'..=b'9') => number(text),
        _ => Resolved::Text,
    }
}

fn number(text: &str) -> Resolved {
    if is_timestamp(text) {
        return Resolved::Timestamp;
    }
    let plain = text.replace('_', "");
    if let Some(int) = parse_int(&plain) {
        return Resolved::Int(int);
    }
    if let Ok(uint) = plain.parse::<u64>() {
        return Resolved::Uint(uint);
    }
    if is_float(&plain)
        && let Ok(float) = plain.parse::<f64>()
    {
        return Resolved::Float(float);
    }
    Resolved::Text
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(whole, rest)| (whole, Some(rest)));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let has_digits = !whole.is_empty() || fraction.is_some_and(|fraction| !fraction.is_empty());
    let exponent = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    has_digits && digits(whole) && fraction.is_none_or(digits) && exponent
}

/// Dates and times in the forms that go-yaml knows: `2006-1-2` alone, or with a time and perhaps a zone.
fn is_timestamp(text: &str) -> bool {
    let is_year = text.as_bytes().get(..5).is_some_and(|head| {
        let (digits, dash) = head.split_at(4);
        digits.iter().all(u8::is_ascii_digit) && dash == b"-"
    });
    const LAYOUTS: &[&str] = &[
        "2006-1-2T15:4:5.999999999Z07:00",
        "2006-1-2t15:4:5.999999999Z07:00",
        "2006-1-2 15:4:5.999999999",
        "2006-1-2",
    ];
    is_year && LAYOUTS.iter().any(|layout| crate::formats::layout::parse(layout, text).is_some())
}

/// Numbers of base 60, which YAML 1.1 knows and go-yaml quotes: `1:30`.
pub(super) fn is_base_60(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (text, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = text.split(':');
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let first = parts.next().unwrap_or_default();
    let mut rest = parts.peekable();
    first.starts_with(|digit: char| digit.is_ascii_digit())
        && digits(first)
        && rest.peek().is_some()
        && digits(fraction)
        && rest.all(|part| {
            (1..=2).contains(&part.len())
                && part.bytes().all(|byte| byte.is_ascii_digit())
                && (part.len() == 1 || part.as_bytes() < b"60".as_slice())
        })
}

//! From anything to a number or a text, as the library under sprig casts: what does not fit is 0.

use crate::evaluate::Call;
use crate::formats::print::plain;
use crate::limits::Fault;
use crate::syntax::{parse_float, parse_int};
use crate::values::{Datum, Text};

/// As a whole number.
pub(super) fn to_int(datum: &Datum) -> i64 {
    match datum {
        Datum::Int(value) | Datum::Int64(value) => *value,
        Datum::Byte(value) => i64::from(*value),
        Datum::Uint64(value) => value.cast_signed(),
        // Beyond the range Go gives the least number on x86.
        Datum::Float(value) if value.is_nan() || value.abs() >= 9.3e18 => i64::MIN,
        Datum::Float(value) => *value as i64,
        Datum::Bool(value) => i64::from(*value),
        Datum::Text(text) => {
            std::str::from_utf8(text.bytes()).ok().and_then(|text| parse_int(whole(text))).unwrap_or(0)
        }
        _ => 0,
    }
}

/// `text` without a point and zeros at its end.
fn whole(text: &str) -> &str {
    match text.trim_end_matches('0').strip_suffix('.') {
        Some(whole) if text.ends_with('0') => whole,
        _ => text,
    }
}

/// As a float.
pub(super) fn to_float(datum: &Datum) -> f64 {
    match datum {
        Datum::Int(value) | Datum::Int64(value) => *value as f64,
        Datum::Byte(value) => f64::from(*value),
        Datum::Uint64(value) => *value as f64,
        Datum::Float(value) => *value,
        Datum::Bool(value) => f64::from(u8::from(*value)),
        Datum::Text(text) => std::str::from_utf8(text.bytes()).ok().and_then(parse_float).unwrap_or(0.0),
        _ => 0.0,
    }
}

/// As a text: itself, or as it is printed.
pub(super) fn to_text(call: &mut Call<'_>, datum: &Datum) -> Result<Text, Fault> {
    if let Datum::Text(text) = datum {
        return Ok(text.clone());
    }
    let mut builder = call.builder();
    plain(&mut builder, datum)?;
    Ok(Text::new(builder.finish()))
}

/// As texts: a list's elements without nils, or one.
pub(super) fn to_texts(call: &mut Call<'_>, datum: &Datum) -> Result<Vec<Text>, Fault> {
    match datum {
        Datum::Nil => Ok(Vec::new()),
        Datum::List(list) => {
            call.meter.step(list.items.len())?;
            let items = list.items.iter().filter(|item| !matches!(item, Datum::Nil));
            items.map(|item| to_text(call, item)).collect()
        }
        other => Ok(vec![to_text(call, other)?]),
    }
}

/// A count of things: not negative.
pub(super) fn to_count(value: i64) -> Option<usize> {
    usize::try_from(value).ok()
}

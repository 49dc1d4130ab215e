//! Go's own functions (`slice` is sprig's; `and` and `or` are the evaluator's).

use std::cmp::Ordering;

use super::{Answer, fault, fixed, variadic};
use crate::evaluate::{Call, Function, Kind};
use crate::formats::printf::{printf, sprint, sprintln};
use crate::formats::url::{Part, encode};
use crate::formats::utf8;
use crate::limits::Fault;
use crate::values::{Datum, kind_name, type_name};

pub(super) const FUNCTIONS: &[Function] = &[
    variadic("call", &[Kind::Any], Kind::Any, |_| fault("non-function of a value: no value here is a function")),
    variadic("eq", &[Kind::Any], Kind::Any, |call| equal(call).map(Datum::Bool)),
    fixed("ne", &[Kind::Any, Kind::Any], |call| equal(call).map(|equal| Datum::Bool(!equal))),
    fixed("lt", &[Kind::Any, Kind::Any], |call| ordered(call, Ordering::is_lt)),
    fixed("le", &[Kind::Any, Kind::Any], |call| ordered(call, Ordering::is_le)),
    fixed("gt", &[Kind::Any, Kind::Any], |call| ordered(call, Ordering::is_gt)),
    fixed("ge", &[Kind::Any, Kind::Any], |call| ordered(call, Ordering::is_ge)),
    fixed("not", &[Kind::Any], |call| Ok(Datum::Bool(!call.any(0).is_true()))),
    fixed("len", &[Kind::Any], |call| length(&call.any(0))),
    variadic("index", &[Kind::Any], Kind::Any, index),
    variadic("print", &[], Kind::Any, |call| {
        let arguments = call.arguments;
        let mut builder = call.builder();
        sprint(&mut builder, arguments)?;
        Ok(Datum::text(builder.finish()))
    }),
    variadic("println", &[], Kind::Any, |call| {
        let arguments = call.arguments;
        let mut builder = call.builder();
        sprintln(&mut builder, arguments)?;
        Ok(Datum::text(builder.finish()))
    }),
    variadic("printf", &[Kind::Text], Kind::Any, |call| {
        let (format, arguments) = (call.text(0), call.arguments);
        let mut builder = call.builder();
        printf(&mut builder, format.bytes(), arguments.get(1..).unwrap_or_default())?;
        Ok(Datum::text(builder.finish()))
    }),
    variadic("html", &[], Kind::Any, |call| escaped(call, html)),
    variadic("js", &[], Kind::Any, |call| escaped(call, javascript)),
    variadic("urlquery", &[], Kind::Any, |call| escaped(call, |bytes| encode(bytes, Part::Query).into_bytes())),
];

/// What may be compared, and with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Basic {
    Bool,
    Int,
    Uint,
    Float,
    Text,
}

fn basic(datum: &Datum) -> Option<Basic> {
    match datum {
        Datum::Bool(_) => Some(Basic::Bool),
        Datum::Int(_) | Datum::Int64(_) => Some(Basic::Int),
        Datum::Byte(_) | Datum::Uint64(_) => Some(Basic::Uint),
        Datum::Float(_) => Some(Basic::Float),
        Datum::Text(_) => Some(Basic::Text),
        _ => None,
    }
}

fn whole(datum: &Datum) -> i128 {
    match datum {
        Datum::Int(value) | Datum::Int64(value) => i128::from(*value),
        Datum::Byte(value) => i128::from(*value),
        Datum::Uint64(value) => i128::from(*value),
        _ => 0,
    }
}

/// Whether the first argument equals one of the others.
fn equal(call: &mut Call<'_>) -> Result<bool, Fault> {
    let first = call.any(0);
    if call.count() < 2 {
        return fault("missing argument for comparison");
    }
    for other in call.rest(1) {
        if equal_pair(&first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal_pair(left: &Datum, right: &Datum) -> Result<bool, Fault> {
    match (left, right) {
        (Datum::Nil, Datum::Nil) => return Ok(true),
        (Datum::Nil, Datum::List(list)) | (Datum::List(list), Datum::Nil) => return Ok(list.is_nil),
        (Datum::Nil, _) | (_, Datum::Nil) => return Ok(false),
        (Datum::Bool(left), Datum::Bool(right)) => return Ok(left == right),
        (Datum::Float(left), Datum::Float(right)) => return Ok(left == right),
        (Datum::Text(left), Datum::Text(right)) => return Ok(left == right),
        (Datum::Time(left), Datum::Time(right)) => return Ok(left == right),
        _ => {}
    }
    match (basic(left), basic(right)) {
        (Some(Basic::Int | Basic::Uint), Some(Basic::Int | Basic::Uint)) => Ok(whole(left) == whole(right)),
        (None, None) if kind_name(left) == kind_name(right) => {
            fault(format!("non-comparable types {} and {}", type_name(left), type_name(right)))
        }
        _ => fault(format!("incompatible types for comparison: {} and {}", type_name(left), type_name(right))),
    }
}

fn ordered(call: &mut Call<'_>, holds: fn(Ordering) -> bool) -> Answer {
    let (left, right) = (call.any(0), call.any(1));
    let (Some(one), Some(other)) = (basic(&left), basic(&right)) else {
        return fault("invalid type for comparison");
    };
    let order = match (&left, &right) {
        (Datum::Float(left), Datum::Float(right)) => left.partial_cmp(right),
        (Datum::Text(left), Datum::Text(right)) => Some(left.cmp(right)),
        (Datum::Bool(_), Datum::Bool(_)) => return fault("invalid type for comparison"),
        _ => match (one, other) {
            (Basic::Int | Basic::Uint, Basic::Int | Basic::Uint) => Some(whole(&left).cmp(&whole(&right))),
            _ => {
                let words = "incompatible types for comparison";
                return fault(format!("{words}: {} and {}", type_name(&left), type_name(&right)));
            }
        },
    };
    Ok(Datum::Bool(order.is_some_and(holds)))
}

fn length(datum: &Datum) -> Answer {
    let length = match datum {
        Datum::Text(text) => text.bytes().len(),
        Datum::List(list) => list.items.len(),
        Datum::Map(map) => map.len(),
        Datum::Nil => return fault("len of nil pointer"),
        other => return fault(format!("len of type {}", type_name(other))),
    };
    Ok(Datum::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn index(call: &mut Call<'_>) -> Answer {
    let mut item = call.any(0);
    if matches!(item, Datum::Nil) {
        return fault("index of untyped nil");
    }
    for index in call.rest(1) {
        item = match &item {
            Datum::Map(map) => match index {
                Datum::Text(key) => match map.get(key.bytes()) {
                    Some(found) => found,
                    None if map.holds_texts => Datum::text(""),
                    None => Datum::Nil,
                },
                Datum::Nil => return fault("value is nil; should be of type string"),
                other => return fault(format!("value has type {}; should be string", type_name(other))),
            },
            Datum::List(list) => {
                let at = place(index, list.items.len())?;
                list.items.get(at).cloned().unwrap_or(Datum::Nil)
            }
            Datum::Text(text) => {
                let at = place(index, text.bytes().len())?;
                text.bytes().get(at).map_or(Datum::Nil, |byte| Datum::Byte(*byte))
            }
            Datum::Nil => return fault("index of nil pointer"),
            other => return fault(format!("can't index item of type {}", type_name(other))),
        };
    }
    Ok(item)
}

fn place(index: &Datum, length: usize) -> Result<usize, Fault> {
    let number = match index {
        Datum::Int(_) | Datum::Int64(_) | Datum::Byte(_) | Datum::Uint64(_) => whole(index),
        Datum::Nil => return fault("cannot index slice/array with nil"),
        other => return fault(format!("cannot index slice/array with type {}", type_name(other))),
    };
    // The index may be derived from a value: only the length is told.
    let out = || Fault::new(format!("index out of range: there are {length}"));
    usize::try_from(number).ok().filter(|number| *number < length).ok_or_else(out)
}

/// The arguments as `print` prints them, escaped.
fn escaped(call: &mut Call<'_>, escape: impl Fn(&[u8]) -> Vec<u8>) -> Answer {
    let arguments = call.arguments;
    let mut builder = call.builder();
    sprint(&mut builder, arguments)?;
    let bytes = zeroize::Zeroizing::new(builder.finish());
    // The longest escape of a byte: `&#34;` and `\u0026`.
    call.meter.make(bytes.len().saturating_mul(2))?;
    let made = escape(&bytes);
    call.make(made)
}

fn html(bytes: &[u8]) -> Vec<u8> {
    let mut made = Vec::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            0 => made.extend_from_slice("\u{fffd}".as_bytes()),
            b'"' => made.extend_from_slice(b"&#34;"),
            b'\'' => made.extend_from_slice(b"&#39;"),
            b'&' => made.extend_from_slice(b"&amp;"),
            b'<' => made.extend_from_slice(b"&lt;"),
            b'>' => made.extend_from_slice(b"&gt;"),
            _ => made.push(*byte),
        }
    }
    made
}

fn javascript(bytes: &[u8]) -> Vec<u8> {
    let mut made = String::with_capacity(bytes.len());
    for rune in utf8::runes(bytes) {
        match rune.letter {
            '\\' => made.push_str("\\\\"),
            '\'' => made.push_str("\\'"),
            '"' => made.push_str("\\\""),
            '<' | '>' | '&' | '=' => made.push_str(&format!("\\u{:04X}", u32::from(rune.letter))),
            letter if u32::from(letter) < 0x20 => made.push_str(&format!("\\u{:04X}", u32::from(letter))),
            letter if utf8::is_printable(letter) => made.push(letter),
            letter => made.push_str(&format!("\\u{:04X}", u32::from(letter))),
        }
    }
    made.into_bytes()
}

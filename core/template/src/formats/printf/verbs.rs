//! What each verb makes of each kind of value.

use super::directive::Directive;
use crate::formats::{Builder, float, print, quote, semver, time, utf8};
use crate::limits::Fault;
use crate::values::{Datum, type_name};

/// Writes `datum` by `verb`.
pub(super) fn format(builder: &mut Builder<'_>, directive: &Directive, verb: char, datum: &Datum) -> Result<(), Fault> {
    match (verb, datum) {
        ('T', _) => directive.pad(builder, type_name(datum).as_bytes()),
        ('v', Datum::Nil) => directive.pad(builder, b"<nil>"),
        _ => value(builder, directive, verb, datum),
    }
}

fn value(builder: &mut Builder<'_>, directive: &Directive, verb: char, datum: &Datum) -> Result<(), Fault> {
    builder.element()?;
    match datum {
        Datum::Nil if verb == 'v' => directive.pad(builder, b"<nil>"),
        Datum::Nil => builder.push(format!("%!{verb}(<nil>)")),
        Datum::Bool(value) if matches!(verb, 't' | 'v') => directive.pad(builder, value.to_string().as_bytes()),
        Datum::Int(number) | Datum::Int64(number) => integer(builder, directive, verb, i128::from(*number), datum),
        Datum::Byte(number) => integer(builder, directive, verb, i128::from(*number), datum),
        Datum::Uint64(number) => integer(builder, directive, verb, i128::from(*number), datum),
        Datum::Float(number) => floating(builder, directive, verb, *number, datum),
        Datum::Text(text) => string(builder, directive, verb, text.bytes(), datum),
        Datum::Time(moment) if is_textual(verb) => {
            string(builder, directive, verb, time::text(moment).as_bytes(), datum)
        }
        Datum::Version(version) if is_textual(verb) => {
            string(builder, directive, verb, semver::text(version).as_bytes(), datum)
        }
        Datum::List(_) | Datum::Map(_) | Datum::Certificate(_) => compound(builder, directive, verb, datum),
        _ => bad(builder, verb, datum),
    }
}

/// Lists, maps and certificates: the verb is for what they hold.
fn compound(builder: &mut Builder<'_>, directive: &Directive, verb: char, datum: &Datum) -> Result<(), Fault> {
    let is_go = directive.sharp && verb == 'v';
    let (open, close) = match datum {
        _ if is_go => (format!("{}{{", type_name(datum)), "}"),
        Datum::Map(_) => ("map[".to_owned(), "]"),
        Datum::Certificate(_) => ("{".to_owned(), "}"),
        _ => ("[".to_owned(), "]"),
    };
    let entries: Vec<(Option<Datum>, Datum)> = match datum {
        Datum::List(list) => list.items.iter().map(|item| (None, item.clone())).collect(),
        Datum::Map(map) => map.entries().into_iter().map(|(key, item)| (Some(Datum::Text(key)), item)).collect(),
        Datum::Certificate(pair) => [&pair.certificate, &pair.key].map(|text| (None, Datum::Text(text.clone()))).into(),
        _ => Vec::new(),
    };
    builder.enter()?;
    builder.push(open)?;
    for (index, (key, item)) in entries.iter().enumerate() {
        if index > 0 {
            builder.push(if is_go { ", " } else { " " })?;
        }
        if let Some(key) = key {
            value(builder, directive, verb, key)?;
            builder.push(":")?;
        }
        value(builder, directive, verb, item)?;
    }
    builder.leave();
    builder.push(close)
}

fn is_textual(verb: char) -> bool {
    matches!(verb, 'v' | 's' | 'x' | 'X' | 'q')
}

/// A verb that does not fit: `%!d(string=…)`.
fn bad(builder: &mut Builder<'_>, verb: char, datum: &Datum) -> Result<(), Fault> {
    builder.push(format!("%!{verb}({}=", type_name(datum)))?;
    print::plain(builder, datum)?;
    builder.push(")")
}

fn integer(
    builder: &mut Builder<'_>,
    directive: &Directive,
    verb: char,
    number: i128,
    datum: &Datum,
) -> Result<(), Fault> {
    let size = number.unsigned_abs();
    let (prefix, digits) = match verb {
        'v' | 'd' => ("", size.to_string()),
        'b' => (if directive.sharp { "0b" } else { "" }, format!("{size:b}")),
        'o' => (if directive.sharp { "0" } else { "" }, format!("{size:o}")),
        'O' => ("0o", format!("{size:o}")),
        'x' => (if directive.sharp { "0x" } else { "" }, format!("{size:x}")),
        'X' => (if directive.sharp { "0X" } else { "" }, format!("{size:X}")),
        'c' => return directive.pad(builder, letter(number).to_string().as_bytes()),
        'q' => return directive.pad(builder, quote::quote_letter(letter(number), directive.plus).as_bytes()),
        'U' => return unicode(builder, directive, number),
        _ => return bad(builder, verb, datum),
    };
    let Some(precision) = directive.precision else {
        return directive.pad_number(builder, &format!("{}{prefix}", directive.sign(number < 0)), &digits);
    };
    if precision == 0 && number == 0 {
        return builder.repeat(b" ", directive.width.unwrap_or(0));
    }
    // Zeros are counted before they are made.
    let zeros = precision.saturating_sub(digits.len());
    builder.count(zeros)?;
    let digits = "0".repeat(zeros) + &digits;
    let directive = Directive { zero: false, ..*directive };
    directive.pad_number(builder, &format!("{}{prefix}", directive.sign(number < 0)), &digits)
}

fn letter(number: i128) -> char {
    u32::try_from(number).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn unicode(builder: &mut Builder<'_>, directive: &Directive, number: i128) -> Result<(), Fault> {
    let digits = format!("{number:04X}");
    let zeros = directive.precision.unwrap_or(0).saturating_sub(digits.len());
    builder.count(zeros)?;
    let mut text = format!("U+{}{digits}", "0".repeat(zeros));
    let letter = u32::try_from(number).ok().and_then(char::from_u32).filter(|letter| utf8::is_printable(*letter));
    if let (true, Some(letter)) = (directive.sharp, letter) {
        text.push_str(&format!(" '{letter}'"));
    }
    Directive { zero: false, ..*directive }.pad(builder, text.as_bytes())
}

fn floating(
    builder: &mut Builder<'_>,
    directive: &Directive,
    verb: char,
    number: f64,
    datum: &Datum,
) -> Result<(), Fault> {
    let precision = directive.precision;
    let text = match verb {
        'v' | 'g' | 'G' => float::general(number, precision),
        'e' | 'E' => float::scientific(number, Some(precision.unwrap_or(6))),
        'f' | 'F' => float::plain(number, Some(precision.unwrap_or(6))),
        _ => return bad(builder, verb, datum),
    };
    let text =
        if matches!(verb, 'E' | 'G') { text.to_uppercase().replace("INF", "Inf").replace("NAN", "NaN") } else { text };
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    let sign = match directive.sign(is_negative) {
        "" if number.is_infinite() => "+",
        sign => sign,
    };
    let zero = directive.zero && number.is_finite();
    Directive { zero, ..*directive }.pad_number(builder, sign, digits)
}

fn string(
    builder: &mut Builder<'_>,
    directive: &Directive,
    verb: char,
    bytes: &[u8],
    datum: &Datum,
) -> Result<(), Fault> {
    let cut = match directive.precision {
        Some(count) if !matches!(verb, 'x' | 'X') => {
            let length = utf8::runes(bytes).take(count).map(|rune| rune.length).sum();
            bytes.get(..length).unwrap_or(bytes)
        }
        _ => bytes,
    };
    match verb {
        'v' if directive.sharp => directive.pad(builder, quote::quote(bytes, false).as_bytes()),
        'v' | 's' => directive.pad(builder, cut),
        'q' if directive.sharp && can_backquote(cut) => directive.pad(builder, &[b"`", cut, b"`"].concat()),
        'q' => directive.pad(builder, quote::quote(cut, directive.plus).as_bytes()),
        'x' | 'X' => {
            let bytes = bytes.get(..directive.precision.unwrap_or(bytes.len())).unwrap_or(bytes);
            directive.pad(builder, hexadecimal(directive, verb == 'X', bytes).as_bytes())
        }
        _ => bad(builder, verb, datum),
    }
}

fn can_backquote(bytes: &[u8]) -> bool {
    utf8::runes(bytes).all(|rune| {
        rune.is_valid
            && rune.letter != '`'
            && rune.letter != '\u{feff}'
            && (rune.letter == '\t' || !rune.letter.is_control())
    })
}

fn hexadecimal(directive: &Directive, is_upper: bool, bytes: &[u8]) -> String {
    let prefix = match (directive.sharp, is_upper) {
        (false, _) => "",
        (true, false) => "0x",
        (true, true) => "0X",
    };
    let mut made = String::with_capacity(bytes.len() * 2 + 2);
    for (index, byte) in bytes.iter().enumerate() {
        if directive.space && index > 0 {
            made.push(' ');
        }
        if index == 0 || directive.space {
            made.push_str(prefix);
        }
        made.push_str(&if is_upper { format!("{byte:02X}") } else { format!("{byte:02x}") });
    }
    made
}

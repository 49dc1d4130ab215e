//! Where one JSON value ends and the next begins, as leniently as gjson reads it: nothing here validates.
//!
//! A position behind the end is possible where a string never closes; callers compare with `<`.

use super::limits::{Bounded, Run};
use super::value::{Kind, Text, Value};

/// The end of a string whose opening quote has been read.
pub(super) struct StringEnd {
    /// The closing quote's place, or the end of the text where it never closes.
    pub(super) at: usize,
    /// Whether a backslash was seen.
    pub(super) escaped: bool,
    /// Whether it closes.
    pub(super) closed: bool,
}

/// Finds the end of the string whose first character is at `start`.
pub(super) fn string_end(json: &[u8], start: usize) -> StringEnd {
    let mut escaped = false;
    let mut at = start;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => return StringEnd { at, escaped, closed: true },
            b'\\' => {
                escaped = true;
                at += 2;
            }
            _ => at += 1,
        }
    }
    StringEnd { at: json.len(), escaped, closed: false }
}

/// Where the value that opens at `start` ends, without looking into it; brackets of all kinds count alike.
///
/// Whatever stands at `start` is taken for an opening bracket.
pub(super) fn block_end(json: &[u8], start: usize) -> usize {
    let mut depth = 1usize;
    let mut at = start + 1;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => at = string_end(json, at + 1).at,
            b'{' | b'[' | b'(' => depth += 1,
            b'}' | b']' | b')' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    at
}

/// The bracketed block or the string that `text` begins with; all of it where that never closes.
pub(super) fn leading_block(text: &[u8]) -> &[u8] {
    let end = if text.first() == Some(&b'"') { string_end(text, 1).at + 1 } else { block_end(text, 0) };
    &text[..end.min(text.len())]
}

/// Where a number that begins at `start` ends: at white space, a comma or a closing bracket.
pub(super) fn number_end(json: &[u8], start: usize) -> usize {
    let ends = |byte: &u8| *byte <= b' ' || matches!(byte, b',' | b']' | b'}');
    end_of(json, start, ends)
}

/// Where a word such as `true` that begins at `start` ends: at the first byte that is no small letter.
pub(super) fn literal_end(json: &[u8], start: usize) -> usize {
    end_of(json, start, |byte| !byte.is_ascii_lowercase())
}

fn end_of(json: &[u8], start: usize, ends: impl Fn(&u8) -> bool) -> usize {
    json[start + 1..].iter().position(ends).map_or(json.len(), |length| start + 1 + length)
}

/// What a byte begins, where it begins a value.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    String,
    Object,
    Array,
    Number,
    Literal,
}

/// What begins at `at`, which is inside of `json`; `None` for everything between values.
pub(super) fn start_at(json: &[u8], at: usize) -> Option<Start> {
    Some(match json[at] {
        b'"' => Start::String,
        b'{' => Start::Object,
        b'[' => Start::Array,
        // `nan` is a number, `null` a word; a lone `n` at the end is a word.
        b'n' if json.get(at + 1).is_some_and(|next| *next != b'u') => Start::Number,
        b'n' | b't' | b'f' => Start::Literal,
        b'+' | b'-' | b'0'..=b'9' | b'i' | b'I' | b'N' => Start::Number,
        _ => return None,
    })
}

/// The kind that a literal's first letter tells.
pub(super) fn literal_kind(first: u8) -> Kind {
    match first {
        b't' => Kind::True,
        b'f' => Kind::False,
        _ => Kind::Null,
    }
}

/// The next value at or after `start` and the place behind it; anything between values is skipped.
pub(super) fn next_value(json: &[u8], start: usize) -> Option<(usize, Value<'_>)> {
    let mut at = start;
    let found = loop {
        if at >= json.len() {
            return None;
        }
        match start_at(json, at) {
            Some(found) => break found,
            None => at += 1,
        }
    };
    let (end, kind) = match found {
        Start::String => {
            let end = string_end(json, at + 1);
            if !end.closed {
                return None;
            }
            (end.at + 1, Kind::String)
        }
        Start::Object | Start::Array => (block_end(json, at), Kind::Json),
        Start::Number => (number_end(json, at), Kind::Number),
        Start::Literal => (literal_end(json, at), literal_kind(json[at])),
    };
    Some((end, Value::new(kind, &json[at..end.min(json.len())])))
}

/// The value that a whole text is. An object or array keeps whatever follows it, as gjson does.
pub(super) fn parse(json: &[u8]) -> Value<'_> {
    let Some(at) = json.iter().position(|byte| *byte > b' ') else {
        return Value::default();
    };
    let rest = &json[at..];
    match start_at(json, at) {
        None => Value::default(),
        Some(Start::Object | Start::Array) => Value::new(Kind::Json, rest),
        Some(Start::String) => {
            let end = (string_end(rest, 1).at + 1).min(rest.len());
            Value::new(Kind::String, &rest[..end])
        }
        Some(Start::Number) => Value::new(Kind::Number, &rest[..number_end(rest, 0)]),
        Some(Start::Literal) => Value::new(literal_kind(rest[0]), &rest[..literal_end(rest, 0)]),
    }
}

/// A member's key, quotes included; no key in arrays.
pub(super) type Key<'j> = Option<&'j [u8]>;

/// Calls `each` for every member of an object or element of an array, and once for any other value.
pub(super) fn for_each<'j>(
    run: &mut Run,
    value: &'j Value<'_>,
    mut each: impl FnMut(&mut Run, Key<'j>, Value<'j>) -> Bounded<()>,
) -> Bounded<()> {
    if !value.exists() {
        return Ok(());
    }
    let json: &'j [u8] = &value.raw;
    run.charge(json.len())?;
    if value.kind != Kind::Json {
        return each(run, None, Value::new(value.kind, json));
    }
    let object = json[0] == b'{';
    let mut at = 1;
    while at < json.len() {
        let mut key = None;
        if object {
            let Some(quote) = json[at..].iter().position(|byte| *byte == b'"').map(|length| at + length) else {
                return Ok(());
            };
            let end = string_end(json, quote + 1);
            if !end.closed {
                return Ok(());
            }
            at = end.at + 1;
            key = Some(&json[quote..at]);
        }
        let Some((end, element)) = next_value(json, at) else {
            return Ok(());
        };
        each(run, key, element)?;
        // One byte is skipped unseen: a comma, in well-formed text.
        at = end + 1;
    }
    Ok(())
}

/// The text inside a string's quotes, its escapes resolved. A broken escape ends it there.
pub(super) fn string_text<'j>(raw: &'j [u8]) -> Text<'j> {
    let end = string_end(raw, 1);
    let inner = raw.get(1..end.at).unwrap_or_default();
    if end.escaped { Text::owned(unescape(inner)) } else { Text::Borrowed(inner) }
}

/// Resolves a string's escapes as far as they are well-formed.
pub(super) fn unescape(inner: &[u8]) -> Vec<u8> {
    // Never longer than what it is made from (an escape of six bytes gives at most three), so it is not moved.
    let mut text = Vec::with_capacity(inner.len());
    let mut at = 0;
    while let Some(&byte) = inner.get(at) {
        if byte < b' ' {
            break;
        }
        if byte != b'\\' {
            text.push(byte);
            at += 1;
            continue;
        }
        let Some(&escape) = inner.get(at + 1) else { break };
        at += 2;
        match escape {
            b'\\' | b'/' | b'"' => text.push(escape),
            b'b' => text.push(8),
            b'f' => text.push(12),
            b'n' => text.push(b'\n'),
            b'r' => text.push(b'\r'),
            b't' => text.push(b'\t'),
            b'u' => {
                let Some(first) = inner.get(at..at + 4) else { break };
                let (character, width) = code_unit_pair(hexadecimal(first), &inner[at + 4..]);
                text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                at += 4 + width;
            }
            _ => break,
        }
    }
    text
}

/// The character of a code unit and, for a surrogate, of the escape that follows it; with what of `rest` it took.
fn code_unit_pair(first: u16, rest: &[u8]) -> (char, usize) {
    if !(0xD800..=0xDFFF).contains(&first) {
        return (char::from_u32(u32::from(first)).unwrap_or(char::REPLACEMENT_CHARACTER), 0);
    }
    match rest {
        [b'\\', b'u', digits @ ..] if digits.len() >= 4 => {
            let pair = [first, hexadecimal(&digits[..4])];
            let both = char::decode_utf16(pair).next().and_then(Result::ok);
            (both.unwrap_or(char::REPLACEMENT_CHARACTER), 6)
        }
        _ => (char::REPLACEMENT_CHARACTER, 0),
    }
}

/// Four hexadecimal digits; 0 where they are none.
fn hexadecimal(digits: &[u8]) -> u16 {
    digits
        .iter()
        .try_fold(0u32, |sum, digit| Some(sum << 4 | char::from(*digit).to_digit(16)?))
        .and_then(|sum| u16::try_from(sum).ok())
        .unwrap_or(0)
}

//! Strings. Lengths and places count bytes, as Go's do.

use super::casts::{to_count, to_text, to_texts};
use super::{Answer, fault, fixed, variadic};
use crate::evaluate::{Call, Function, Kind};
use crate::formats::{casing, quote, utf8};
use crate::limits::Fault;
use crate::values::{Datum, Text};

pub(super) const FUNCTIONS: &[Function] = &[
    fixed("trim", &[Kind::Text], |call| changed(call, 0, |text| text.trim().to_owned())),
    fixed("trimall", &[Kind::Text, Kind::Text], trim_all),
    fixed("trimAll", &[Kind::Text, Kind::Text], trim_all),
    fixed("trimSuffix", &[Kind::Text, Kind::Text], |call| {
        let (end, text) = (call.text(0), call.text(1));
        call.make(text.bytes().strip_suffix(end.bytes()).unwrap_or(text.bytes()))
    }),
    fixed("trimPrefix", &[Kind::Text, Kind::Text], |call| {
        let (start, text) = (call.text(0), call.text(1));
        call.make(text.bytes().strip_prefix(start.bytes()).unwrap_or(text.bytes()))
    }),
    fixed("upper", &[Kind::Text], |call| changed(call, 0, |text| text.chars().map(casing::upper).collect())),
    fixed("lower", &[Kind::Text], |call| changed(call, 0, |text| text.chars().map(casing::lower).collect())),
    fixed("title", &[Kind::Text], |call| changed(call, 0, casing::title)),
    fixed("untitle", &[Kind::Text], |call| changed(call, 0, casing::untitle)),
    fixed("swapcase", &[Kind::Text], |call| changed(call, 0, casing::swap)),
    fixed("snakecase", &[Kind::Text], |call| changed(call, 0, |text| casing::connected(text, '_'))),
    fixed("kebabcase", &[Kind::Text], |call| changed(call, 0, |text| casing::connected(text, '-'))),
    fixed("camelcase", &[Kind::Text], |call| changed(call, 0, casing::pascal)),
    fixed("nospace", &[Kind::Text], |call| {
        changed(call, 0, |text| text.chars().filter(|letter| !letter.is_whitespace()).collect())
    }),
    fixed("initials", &[Kind::Text], |call| {
        changed(call, 0, |text| text.split_whitespace().filter_map(|word| word.chars().next()).collect())
    }),
    fixed("repeat", &[Kind::Int, Kind::Text], |call| {
        let text = call.text(1);
        let Some(count) = to_count(call.int(0)) else { return fault("strings: negative Repeat count") };
        let mut builder = call.builder();
        builder.repeat(text.bytes(), count)?;
        Ok(Datum::text(builder.finish()))
    }),
    fixed("substr", &[Kind::Int, Kind::Int, Kind::Text], substring),
    fixed("trunc", &[Kind::Int, Kind::Text], truncate),
    fixed("abbrev", &[Kind::Int, Kind::Text], |call| {
        let (width, text) = (call.int(0), call.text(1));
        if width < 4 { Ok(Datum::Text(text)) } else { call.make(abbreviated(text.bytes(), 0, width)) }
    }),
    fixed("abbrevboth", &[Kind::Int, Kind::Int, Kind::Text], |call| {
        let (left, right, text) = (call.int(0), call.int(1), call.text(2));
        let is_narrow = right < 4 || (left > 0 && right < 7);
        if is_narrow { Ok(Datum::Text(text)) } else { call.make(abbreviated(text.bytes(), left, right)) }
    }),
    fixed("wrap", &[Kind::Int, Kind::Text], |call| {
        let (width, text) = (call.int(0), call.text(1));
        wrapped(call, text.bytes(), width, b"\n", false)
    }),
    fixed("wrapWith", &[Kind::Int, Kind::Text, Kind::Text], |call| {
        let (width, between, text) = (call.int(0), call.text(1), call.text(2));
        let between = if between.bytes().is_empty() { b"\n" } else { between.bytes() };
        wrapped(call, text.bytes(), width, between, true)
    }),
    fixed("contains", &[Kind::Text, Kind::Text], |call| {
        Ok(Datum::Bool(find(call.text(1).bytes(), call.text(0).bytes()).is_some()))
    }),
    fixed("hasPrefix", &[Kind::Text, Kind::Text], |call| {
        Ok(Datum::Bool(call.text(1).bytes().starts_with(call.text(0).bytes())))
    }),
    fixed("hasSuffix", &[Kind::Text, Kind::Text], |call| {
        Ok(Datum::Bool(call.text(1).bytes().ends_with(call.text(0).bytes())))
    }),
    variadic("quote", &[], Kind::Any, |call| {
        quoted(call, |call, value| {
            let text = to_text(call, value)?;
            call.meter.make(text.bytes().len())?;
            Ok(quote::quote(text.bytes(), false).into_bytes())
        })
    }),
    variadic("squote", &[], Kind::Any, |call| {
        quoted(call, |call, value| Ok([b"'", to_text(call, value)?.bytes(), b"'"].concat()))
    }),
    variadic("cat", &[], Kind::Any, |call| quoted(call, |call, value| Ok(to_text(call, value)?.bytes().to_vec()))),
    fixed("indent", &[Kind::Int, Kind::Text], |call| indent(call, b"")),
    fixed("nindent", &[Kind::Int, Kind::Text], |call| indent(call, b"\n")),
    fixed("replace", &[Kind::Text, Kind::Text, Kind::Text], replace),
    fixed("plural", &[Kind::Text, Kind::Text, Kind::Int], |call| {
        Ok(if call.int(2) == 1 { call.any(0) } else { call.any(1) })
    }),
    fixed("split", &[Kind::Text, Kind::Text], |call| {
        let parts = parts(call, &call.text(0), &call.text(1), -1)?;
        Ok(numbered(parts))
    }),
    fixed("splitn", &[Kind::Text, Kind::Int, Kind::Text], |call| {
        let parts = parts(call, &call.text(0), &call.text(2), call.int(1))?;
        Ok(numbered(parts))
    }),
    fixed("splitList", &[Kind::Text, Kind::Text], |call| {
        let parts = parts(call, &call.text(0), &call.text(1), -1)?;
        Ok(Datum::texts(parts))
    }),
    fixed("join", &[Kind::Text, Kind::Any], |call| {
        let (between, value) = (call.text(0), call.any(1));
        let texts = to_texts(call, &value)?;
        let mut builder = call.builder();
        for (index, text) in texts.iter().enumerate() {
            if index > 0 {
                builder.push(between.bytes())?;
            }
            builder.push(text.bytes())?;
        }
        Ok(Datum::text(builder.finish()))
    }),
    fixed("sortAlpha", &[Kind::Any], |call| {
        let value = call.any(0);
        let mut texts = to_texts(call, &value)?;
        texts.sort();
        Ok(Datum::texts(texts))
    }),
];

/// A text changed as UTF-8.
fn changed(call: &mut Call<'_>, index: usize, change: impl Fn(&str) -> String) -> Answer {
    let text = call.string(index);
    call.meter.make(text.len())?;
    let made = change(&text);
    call.make(made)
}

fn trim_all(call: &mut Call<'_>) -> Answer {
    let set: Vec<char> = call.string(0).chars().collect();
    changed(call, 1, |text| text.trim_matches(set.as_slice()).to_owned())
}

/// Each value that is not nil, one space between two.
fn quoted(call: &mut Call<'_>, write: impl Fn(&mut Call<'_>, &Datum) -> Result<Vec<u8>, Fault>) -> Answer {
    let mut made: Vec<Vec<u8>> = Vec::new();
    for value in call.arguments {
        if !matches!(value, Datum::Nil) {
            made.push(write(call, value)?);
        }
    }
    call.make(made.join(&b' '))
}

fn substring(call: &mut Call<'_>) -> Answer {
    let (start, end, text) = (call.int(0), call.int(1), call.text(2));
    let bytes = text.bytes();
    let out = || Fault::new("slice bounds out of range");
    let part = match (to_count(start), to_count(end)) {
        (None, Some(end)) => bytes.get(..end),
        (None, None) => None,
        (Some(start), Some(end)) if end <= bytes.len() => bytes.get(start..end),
        (Some(start), _) => bytes.get(start..),
    };
    call.make(part.ok_or_else(out)?)
}

fn truncate(call: &mut Call<'_>) -> Answer {
    let (count, text) = (call.int(0), call.text(1));
    let bytes = text.bytes();
    let size = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let part = match count {
        ..0 if size < bytes.len() => bytes.get(bytes.len() - size..),
        0.. if size < bytes.len() => bytes.get(..size),
        _ => None,
    };
    call.make(part.unwrap_or(bytes))
}

/// `text` in at most `width` bytes, from about `offset` on, with dots where something is left out.
fn abbreviated(text: &[u8], offset: i64, width: i64) -> Vec<u8> {
    let length = i64::try_from(text.len()).unwrap_or(i64::MAX);
    if text.is_empty() || width < 4 || length <= width {
        return if width < 4 { Vec::new() } else { text.to_vec() };
    }
    let offset = offset.min(length - (width - 3));
    let at = |place: i64| to_count(place).unwrap_or(0).min(text.len());
    if offset <= 4 {
        return [text.get(..at(width - 3)).unwrap_or_default(), b"..."].concat();
    }
    if width < 7 {
        return Vec::new();
    }
    if offset + width - 3 < length {
        let rest = text.get(at(offset)..).unwrap_or_default();
        return [b"...", abbreviated(rest, 0, width - 3).as_slice()].concat();
    }
    [b"...", text.get(at(length - (width - 3))..).unwrap_or_default()].concat()
}

/// Lines of at most `width` bytes; a longer word is cut only where `cuts` says so.
fn wrapped(call: &mut Call<'_>, text: &[u8], width: i64, between: &[u8], cuts: bool) -> Answer {
    let width = to_count(width).unwrap_or(1).max(1);
    let mut builder = call.builder();
    let mut rest = text;
    while rest.len() > width {
        if let Some(after) = rest.strip_prefix(b" ") {
            rest = after;
            continue;
        }
        let space = rest.get(..=width).and_then(|line| line.iter().rposition(|byte| *byte == b' '));
        let beyond = || rest.get(width..).and_then(|rest| rest.iter().position(|byte| *byte == b' '));
        let (end, next) = match space {
            Some(space) => (space, space + 1),
            None if cuts => (width, width),
            None => match beyond() {
                Some(space) => (width + space, width + space + 1),
                None => break,
            },
        };
        builder.push(rest.get(..end).unwrap_or_default())?;
        builder.push(between)?;
        rest = rest.get(next..).unwrap_or_default();
    }
    builder.push(rest)?;
    Ok(Datum::text(builder.finish()))
}

fn indent(call: &mut Call<'_>, before: &[u8]) -> Answer {
    let (count, text) = (call.int(0), call.text(1));
    let Some(count) = to_count(count) else { return fault("strings: negative Repeat count") };
    let mut builder = call.builder();
    builder.push(before)?;
    for (index, line) in text.bytes().split(|byte| *byte == b'\n').enumerate() {
        if index > 0 {
            builder.push("\n")?;
        }
        builder.repeat(b" ", count)?;
        builder.push(line)?;
    }
    Ok(Datum::text(builder.finish()))
}

fn replace(call: &mut Call<'_>) -> Answer {
    let (old, new, text) = (call.text(0), call.text(1), call.text(2));
    let mut builder = call.builder();
    let mut rest = text.bytes();
    if old.bytes().is_empty() {
        builder.push(new.bytes())?;
        while let Some(rune) = utf8::first(rest) {
            let (letter, after) = rest.split_at(rune.length);
            builder.push(letter)?;
            builder.push(new.bytes())?;
            rest = after;
        }
        return Ok(Datum::text(builder.finish()));
    }
    while let Some(at) = find(rest, old.bytes()) {
        builder.push(rest.get(..at).unwrap_or_default())?;
        builder.push(new.bytes())?;
        rest = rest.get(at + old.bytes().len()..).unwrap_or_default();
    }
    builder.push(rest)?;
    Ok(Datum::text(builder.finish()))
}

/// Where `part` begins in `bytes`.
fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, part)
}

/// Go's `strings.SplitN`.
fn parts(call: &mut Call<'_>, separator: &Text, text: &Text, count: i64) -> Result<Vec<Text>, Fault> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let most = to_count(count).unwrap_or(usize::MAX);
    let mut made = Vec::new();
    let mut rest = text.bytes();
    while made.len() + 1 < most {
        let (end, next) = match separator.bytes() {
            [] => match utf8::first(rest).filter(|rune| rune.length < rest.len()) {
                Some(rune) => (rune.length, rune.length),
                None => break,
            },
            separator => match find(rest, separator) {
                Some(at) => (at, at + separator.len()),
                None => break,
            },
        };
        call.meter.step(1)?;
        call.meter.make(end)?;
        made.push(Text::new(rest.get(..end).unwrap_or_default().to_vec()));
        rest = rest.get(next..).unwrap_or_default();
    }
    if !(separator.bytes().is_empty() && rest.is_empty()) {
        made.push(Text::new(rest.to_vec()));
    }
    Ok(made)
}

/// Parts by `_0`, `_1` and so on.
fn numbered(parts: Vec<Text>) -> Datum {
    let entry = |(index, part)| (Text::from(format!("_{index}")), Datum::Text(part));
    Datum::map_of_texts(parts.into_iter().enumerate().map(entry).collect())
}

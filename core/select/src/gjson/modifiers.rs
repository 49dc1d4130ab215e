//! `@name` and `@name:argument`: functions of a whole value.

use std::collections::HashMap;

use super::limits::{Bounded, Output, Run};
use super::runes::{first_rune, trim_space};
use super::scan::{self, for_each, parse};
use super::value::{Text, Value};
use super::{Version, get, path, pretty, valid};

/// What an element that is remembered costs, in bytes of work: at most some 100,000 of them are kept at a time, where a
/// document of ones and commas would otherwise fill memory with twenty times its size.
const REMEMBERED: usize = 1024;

/// The modifiers that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Modifier {
    Pretty,
    Ugly,
    Reverse,
    This,
    Flatten,
    Join,
    Valid,
    Keys,
    Values,
    ToStr,
    FromStr,
    Group,
    Dig,
}

impl Modifier {
    pub(super) fn named(name: &[u8], version: Version) -> Option<Self> {
        Some(match name {
            b"pretty" => Self::Pretty,
            b"ugly" => Self::Ugly,
            b"reverse" => Self::Reverse,
            b"this" => Self::This,
            b"flatten" => Self::Flatten,
            b"join" => Self::Join,
            b"valid" => Self::Valid,
            b"keys" => Self::Keys,
            b"values" => Self::Values,
            b"tostr" => Self::ToStr,
            b"fromstr" => Self::FromStr,
            b"group" => Self::Group,
            b"dig" if version == Version::V1_18 => Self::Dig,
            _ => return None,
        })
    }

    /// Reads the modifier that `path` begins with: it, its argument and the rest of the path; `None` where the name
    /// is unknown, which makes it an ordinary key.
    pub(super) fn parse(path: &[u8], version: Version) -> Option<(Self, &[u8], &[u8])> {
        let end = path.iter().position(|byte| matches!(byte, b':' | b'|' | b'.')).unwrap_or(path.len());
        let modifier = Self::named(&path[1..end], version)?;
        Some(match path.get(end..) {
            Some([b':', rest @ ..]) => {
                let argument = &rest[..argument_length(rest, version)];
                (modifier, argument, &rest[argument.len()..])
            }
            rest => (modifier, b"", rest.unwrap_or_default()),
        })
    }

    /// What the modifier makes of `json`.
    pub(super) fn apply<'j>(self, run: &mut Run, json: &'j [u8], argument: &[u8]) -> Bounded<Text<'j>> {
        run.charge(json.len() + argument.len())?;
        let made = match self {
            Self::This => return Ok(Text::Borrowed(json)),
            Self::Valid if valid::is_valid(run, json)? => return Ok(Text::Borrowed(json)),
            Self::Valid => return Ok(Text::default()),
            Self::FromStr if valid::is_valid(run, json)? => copy(&parse(json).text())?,
            Self::FromStr => return Ok(Text::default()),
            Self::Pretty => pretty::pretty(run, json, argument)?,
            Self::Ugly => pretty::ugly(json)?,
            Self::ToStr => {
                let mut quoted = Output::default();
                quote(&mut quoted, json, run.version)?;
                quoted
            }
            Self::Keys => keys(run, json)?,
            Self::Group => group(run, json)?,
            Self::Dig => dig(run, json, argument)?,
            Self::Values if parse(json).is_array() => return Ok(Text::Borrowed(json)),
            Self::Values => values(run, json)?,
            Self::Flatten if parse(json).is_array() => {
                let deep = option(run, argument, b"deep")?;
                flatten(run, json, deep)?
            }
            Self::Join if parse(json).is_array() => {
                let preserve = option(run, argument, b"preserve")?;
                join(run, json, preserve)?
            }
            Self::Flatten | Self::Join => return Ok(Text::Borrowed(json)),
            Self::Reverse if !parse(json).is_array() && !parse(json).is_object() => return Ok(Text::Borrowed(json)),
            Self::Reverse => reverse(run, json)?,
        };
        Ok(Text::Owned(made.finish()))
    }
}

fn copy(text: &[u8]) -> Bounded<Output> {
    let mut copied = Output::default();
    copied.extend(text)?;
    Ok(copied)
}

/// How much of the text behind a modifier's colon is its argument: a JSON value, or all up to the next pipe.
fn argument_length(rest: &[u8], version: Version) -> usize {
    if matches!(rest.first(), Some(b'{' | b'[' | b'"')) {
        return scan::leading_block(rest).len();
    }
    let mut at = 0;
    while let Some(byte) = rest.get(at) {
        match byte {
            b'|' => return at,
            // Later versions let a pipe stand inside of brackets and quotes.
            b'{' | b'[' | b'"' | b'(' if version == Version::V1_18 => at += scan::leading_block(&rest[at..]).len(),
            _ => at += 1,
        }
    }
    rest.len()
}

/// Whether a JSON argument sets the option `name`; the last setting wins.
fn option(run: &mut Run, argument: &[u8], name: &[u8]) -> Bounded<bool> {
    let mut set = false;
    for_each(run, &parse(argument), |_, key, value| {
        if key.is_some_and(|key| *scan::string_text(key) == *name) {
            set = value.truth();
        }
        Ok(())
    })?;
    Ok(set)
}

/// `[1,[2],[3,[4]]]` to `[1,2,3,[4]]`; with `deep`, arrays in arrays too.
fn flatten(run: &mut Run, json: &[u8], deep: bool) -> Bounded<Output> {
    let mut flat = Output::default();
    flat.push(b'[')?;
    for_each(run, &parse(json), |run, _, value| {
        let inner;
        let element = if !value.is_array() {
            &value.raw
        } else if deep {
            inner = run.deeper(|run| flatten(run, &value.raw, true))?;
            unwrap(inner.bytes())
        } else {
            unwrap(&value.raw)
        };
        append_element(&mut flat, trim_space(element))
    })?;
    flat.push(b']')?;
    Ok(flat)
}

fn append_element(list: &mut Output, element: &[u8]) -> Bounded<()> {
    if element.is_empty() {
        return Ok(());
    }
    if list.len() > 1 {
        list.push(b',')?;
    }
    list.extend(element)
}

/// The text between the brackets of an object or array: its first and last byte go, whatever they are.
fn unwrap(json: &[u8]) -> &[u8] {
    match path::trim(json) {
        [b'[' | b'{', inner @ .., _] => inner,
        other => other,
    }
}

/// The keys of an object; null for each element of an array, and for a value that has neither.
fn keys(run: &mut Run, json: &[u8]) -> Bounded<Output> {
    let mut found = Output::default();
    found.push(b'[')?;
    for_each(run, &parse(json), |_, key, _| append_element(&mut found, key.unwrap_or(b"null")))?;
    found.push(b']')?;
    Ok(found)
}

fn values(run: &mut Run, json: &[u8]) -> Bounded<Output> {
    let mut found = Output::default();
    found.push(b'[')?;
    for_each(run, &parse(json), |_, _, value| append_element(&mut found, &value.raw))?;
    found.push(b']')?;
    Ok(found)
}

/// The members or elements in the opposite order.
fn reverse(run: &mut Run, json: &[u8]) -> Bounded<Output> {
    let whole = parse(json);
    let mut members = Vec::new();
    for_each(run, &whole, |run, key, value| {
        members.push((key, value));
        run.charge(REMEMBERED)
    })?;
    let (open, close) = if whole.is_object() { (b'{', b'}') } else { (b'[', b']') };
    let mut reversed = Output::default();
    reversed.push(open)?;
    for (place, (key, value)) in members.iter().rev().enumerate() {
        if place > 0 {
            reversed.push(b',')?;
        }
        append_member(&mut reversed, *key, value)?;
    }
    reversed.push(close)?;
    Ok(reversed)
}

fn append_member(list: &mut Output, key: Option<&[u8]>, value: &Value<'_>) -> Bounded<()> {
    if let Some(key) = key {
        list.extend(key)?;
        list.push(b':')?;
    }
    list.extend(&value.raw)
}

/// An array of objects as one object; a key's last value wins unless duplicates are to be preserved.
fn join(run: &mut Run, json: &[u8], preserve: bool) -> Bounded<Output> {
    let whole = parse(json);
    let mut objects = Vec::new();
    for_each(run, &whole, |run, _, value| {
        if value.is_object() {
            objects.push(value);
        }
        run.charge(REMEMBERED)
    })?;
    let mut joined = Output::default();
    joined.push(b'{')?;
    if preserve {
        for (place, object) in objects.iter().enumerate() {
            if place > 0 {
                joined.push(b',')?;
            }
            joined.extend(unwrap(&object.raw))?;
        }
    } else {
        for (place, (key, value)) in last_values(run, &objects)?.iter().enumerate() {
            if place > 0 {
                joined.push(b',')?;
            }
            append_member(&mut joined, Some(key), value)?;
        }
    }
    joined.push(b'}')?;
    Ok(joined)
}

/// Every key of `objects` with its last value, in the order in which the keys came first.
fn last_values<'j>(run: &mut Run, objects: &'j [Value<'_>]) -> Bounded<Vec<(&'j [u8], Value<'j>)>> {
    let mut members: Vec<(&[u8], Value<'_>)> = Vec::new();
    let mut places: HashMap<Vec<u8>, usize> = HashMap::new();
    for object in objects {
        for_each(run, object, |run, key, value| {
            run.charge(REMEMBERED)?;
            let raw = key.unwrap_or_default();
            let name = scan::string_text(raw).to_vec();
            match places.get(&name) {
                Some(place) => members[*place].1 = value,
                None => {
                    places.insert(name, members.len());
                    members.push((raw, value));
                }
            }
            Ok(())
        })?;
    }
    Ok(members)
}

/// `{"a":[1,2],"b":[3,4]}` to `[{"a":1,"b":3},{"a":2,"b":4}]`; nothing for what is no object.
fn group(run: &mut Run, json: &[u8]) -> Bounded<Output> {
    let whole = parse(json);
    if !whole.is_object() {
        return Ok(Output::default());
    }
    let mut rows: Vec<Output> = Vec::new();
    for_each(run, &whole, |run, key, column| {
        if !column.is_array() {
            return Ok(());
        }
        let mut place = 0;
        for_each(run, &column, |run, _, value| {
            if place == rows.len() {
                run.charge(REMEMBERED)?;
                rows.push(Output::default());
            }
            let row = &mut rows[place];
            if row.len() > 0 {
                row.push(b',')?;
            }
            // A long key is repeated in every row.
            run.charge(key.map_or(0, <[u8]>::len))?;
            place += 1;
            append_member(row, key, &value)
        })
    })?;
    let mut grouped = Output::default();
    grouped.push(b'[')?;
    for (place, row) in rows.iter().enumerate() {
        grouped.extend(if place > 0 { b",{" } else { b"{" })?;
        grouped.extend(row.bytes())?;
        grouped.push(b'}')?;
    }
    grouped.push(b']')?;
    Ok(grouped)
}

/// The value of the path `argument` in `json` and in everything inside of it.
fn dig(run: &mut Run, json: &[u8], argument: &[u8]) -> Bounded<Output> {
    let mut found = Output::default();
    found.push(b'[')?;
    dig_into(run, &parse(json), argument, &mut found)?;
    found.push(b']')?;
    Ok(found)
}

fn dig_into(run: &mut Run, value: &Value<'_>, argument: &[u8], found: &mut Output) -> Bounded<()> {
    append_element(found, &get(run, &value.raw, argument)?.raw)?;
    if value.is_array() || value.is_object() {
        run.deeper(|run| for_each(run, value, |run, _, inner| dig_into(run, &inner, argument, found)))?;
    }
    Ok(())
}

/// Writes `text` as a JSON string, with the escapes that gjson writes.
pub(super) fn quote(output: &mut Output, text: &[u8], version: Version) -> Bounded<()> {
    output.push(b'"')?;
    let mut at = 0;
    while at < text.len() {
        let (character, width) = first_rune(&text[at..]);
        match character {
            '\n' => output.extend(b"\\n")?,
            '\r' => output.extend(b"\\r")?,
            '\t' => output.extend(b"\\t")?,
            '\u{8}' if version == Version::V1_18 => output.extend(b"\\b")?,
            '\u{c}' if version == Version::V1_18 => output.extend(b"\\f")?,
            '\\' => output.extend(b"\\\\")?,
            '"' => output.extend(b"\\\"")?,
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                output.extend(format!("\\u{:04x}", u32::from(character)).as_bytes())?;
            }
            char::REPLACEMENT_CHARACTER if width == 1 => output.extend(b"\\ufffd")?,
            _ => output.extend(&text[at..at + width])?,
        }
        at += width;
    }
    output.push(b'"')
}

//! GJSON, the path language of ESO's `property`: the answers of Go's `tidwall/gjson`, to the byte.
//!
//! gjson never parses a document: it walks the text and stops at the answer, so broken JSON has answers too, and this
//! module gives the same ones. The modules in order: `path` reads a component, `walk` follows it, `query` and
//! `wildcard` compare, `modifiers` (with `pretty` and `valid`) transform; `scan`, `value`, `number` and `runes` are
//! below them, `limits` bounds all of them. What differs from Go: the limits, which answer with an error, and the order of
//! `NaN`s under one key when `@pretty` sorts.

mod limits;
mod modifiers;
mod number;
mod path;
mod pretty;
mod query;
mod runes;
mod scan;
mod valid;
mod value;
mod walk;
mod wildcard;

pub(crate) use limits::Exceeded;
use limits::{Bounded, Output, Run};
use value::{Kind, Text, Value, within};
use zeroize::Zeroizing;

/// Whose rules to follow where versions of gjson differ.
///
/// Later versions know `@dig`, write `\b` and `\f` for two control characters, let a pipe stand inside brackets of a
/// modifier's argument, and match `~true` and its like by value instead of by truth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    /// 1.14.4.
    #[default]
    V1_14,
    /// 1.18.0.
    V1_18,
}

/// The value of `path` in `json` as text; `None` where there is none.
pub(crate) fn select(version: Version, json: &[u8], path: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Exceeded> {
    let mut run = Run::new(version);
    let found = get(&mut run, json, path.as_bytes())?;
    Ok(found.exists().then(|| Zeroizing::new(found.text().to_vec())))
}

/// A path that names the one key `key`, whatever characters it is made of.
pub(crate) fn literal_path(key: &str) -> String {
    let mut path = String::with_capacity(key.len() * 2);
    for character in key.chars() {
        if character.is_ascii_punctuation() {
            path.push('\\');
        }
        path.push(character);
    }
    path
}

/// The value of `path` in `json`.
fn get<'j>(run: &mut Run, json: &'j [u8], path: &[u8]) -> Bounded<Value<'j>> {
    run.charge(json.len() + path.len())?;
    run.deeper(|run| {
        let whole = match path {
            [b'@', _, ..] => modified(run, json, path)?,
            [b'!', _, ..] => literal(path),
            [b'[' | b'{', _, ..] => return multipath(run, json, path),
            _ => None,
        };
        match whole {
            Some((made, rest)) => go_on(run, made, rest),
            None => walk::look_up(run, json, path),
        }
    })
}

/// A value that was made, and the path behind what made it.
type Made<'j, 'p> = Option<(Text<'j>, &'p [u8])>;

/// Looks up the rest of a path in a value that was made.
fn go_on<'j>(run: &mut Run, made: Text<'j>, rest: &[u8]) -> Bounded<Value<'j>> {
    within(run, made, |run, json| match rest {
        [b'|' | b'.', path @ ..] => get(run, json, path),
        _ => Ok(scan::parse(json)),
    })
}

fn modified<'j, 'p>(run: &mut Run, json: &'j [u8], path: &'p [u8]) -> Bounded<Made<'j, 'p>> {
    let Some((modifier, argument, rest)) = modifiers::Modifier::parse(path, run.version) else {
        return Ok(None);
    };
    Ok(Some((modifier.apply(run, json, argument)?, rest)))
}

/// `!value`: JSON that stands in the path itself; `None` where it is no value, which makes it an ordinary key.
fn literal<'j, 'p>(path: &'p [u8]) -> Made<'j, 'p> {
    let name = &path[1..];
    if matches!(name[0], b'{' | b'[' | b'"' | b'+' | b'-' | b'0'..=b'9') {
        // The first byte counts as an opening bracket even where it is none, so a number reaches to the end.
        let end = scan::block_end(name, 0).min(name.len());
        return Some((Text::owned(name[..end].to_vec()), &name[end..]));
    }
    let end = name.iter().position(|byte| matches!(byte, b'|' | b'.')).unwrap_or(name.len());
    let (word, rest) = name.split_at(end);
    // Go's lower case of U+0130 is a plain i.
    let lower = String::from_utf8_lossy(word).replace('\u{130}', "i").to_ascii_lowercase();
    let known = ["true", "false", "null", "nan", "inf"].contains(&lower.as_str());
    known.then(|| (Text::owned(word.to_vec()), rest))
}

/// `[a,b]` and `{"x":a,b}`: the values of several paths as one array or object.
fn multipath<'j>(run: &mut Run, json: &'j [u8], path: &[u8]) -> Bounded<Value<'j>> {
    let Some((selectors, rest)) = path::selectors(path) else {
        return walk::look_up(run, json, b"");
    };
    if !matches!(rest, [] | [b'|' | b'.', ..]) {
        // Text right behind the bracket: gjson forgets the multipath and looks that text up.
        return walk::look_up(run, json, rest);
    }
    let object = path[0] == b'{';
    let mut gathered = Output::default();
    gathered.push(path[0])?;
    for selector in selectors {
        let value = get(run, json, selector.path)?;
        if !value.exists() {
            continue;
        }
        if gathered.len() > 1 {
            gathered.push(b',')?;
        }
        if object {
            append_name(run, &mut gathered, &selector)?;
        }
        gathered.extend(if value.raw.is_empty() { b"null" } else { &value.raw })?;
    }
    gathered.push(if object { b'}' } else { b']' })?;
    let made = gathered.finish();
    match rest {
        [_, path @ ..] => within(run, Text::Owned(made), |run, json| get(run, json, path)),
        [] => Ok(Value::made(Kind::Json, made)),
    }
}

fn append_name(run: &mut Run, gathered: &mut Output, selector: &path::Selector<'_>) -> Bounded<()> {
    let name = selector.name;
    if name.first() == Some(&b'"') && valid::is_valid(run, name)? {
        gathered.extend(name)?;
    } else if name.is_empty() {
        modifiers::quote(gathered, path::implied_name(selector.path), run.version)?;
    } else {
        modifiers::quote(gathered, name, run.version)?;
    }
    gathered.push(b':')
}

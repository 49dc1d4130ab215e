//! The path's syntax: one component at a time, for an object or for an array; queries; multipaths.
//!
//! gjson reads the same text differently over an object and over an array, so a path is never parsed as a whole.

use std::borrow::Cow;

use super::modifiers;
use super::scan;
use super::{Run, Version};

/// What stands behind a component.
#[derive(Clone, Copy, Default)]
pub(super) enum Rest<'p> {
    /// Nothing: the component's value is the answer.
    #[default]
    End,
    /// `.more`, looked up in the component's value while the document is walked.
    More(&'p [u8]),
    /// `|more` (or `.@modifier`, `.[…]`, `.{…}`), looked up in the whole answer.
    Pipe(&'p [u8]),
}

impl<'p> Rest<'p> {
    pub(super) fn more(self) -> Option<&'p [u8]> {
        match self {
            Self::More(path) => Some(path),
            _ => None,
        }
    }

    fn after_dot(rest: &'p [u8], version: Version, may_pipe: bool) -> Self {
        if may_pipe && pipes_after_dot(rest, version) { Self::Pipe(rest) } else { Self::More(rest) }
    }
}

/// Whether what follows a dot works on the value as a whole: a known modifier or a multipath.
fn pipes_after_dot(rest: &[u8], version: Version) -> bool {
    match rest {
        [b'@', name @ ..] => {
            let end = name.iter().position(|byte| matches!(byte, b'.' | b'|' | b':')).unwrap_or(name.len());
            modifiers::Modifier::named(&name[..end], version).is_some()
        }
        [first, ..] => matches!(first, b'[' | b'{'),
        [] => false,
    }
}

/// A component as read over an object: a key, or a pattern for keys.
pub(super) struct ObjectStep<'p> {
    pub(super) part: Cow<'p, [u8]>,
    pub(super) wild: bool,
    pub(super) rest: Rest<'p>,
}

impl<'p> ObjectStep<'p> {
    pub(super) fn parse(path: &'p [u8], version: Version) -> Self {
        let mut wild = false;
        for (at, byte) in path.iter().enumerate() {
            let rest = match byte {
                b'|' => Rest::Pipe(&path[at + 1..]),
                b'.' => Rest::after_dot(&path[at + 1..], version, true),
                b'\\' => return Self::parse_escaped(path, at, wild, version),
                b'*' | b'?' => {
                    wild = true;
                    continue;
                }
                _ => continue,
            };
            return Self { part: Cow::Borrowed(&path[..at]), wild, rest };
        }
        Self { part: Cow::Borrowed(path), wild, rest: Rest::End }
    }

    /// The same from the first backslash on: backslashes go, what follows them is part of the key.
    ///
    /// In a pattern an escaped star is a star again: gjson loses the escape, and so do its users.
    fn parse_escaped(path: &'p [u8], first: usize, mut wild: bool, version: Version) -> Self {
        let mut part = path[..first].to_vec();
        let mut at = first;
        let mut rest = Rest::End;
        while let Some(byte) = path.get(at) {
            match byte {
                b'\\' => {
                    part.extend(path.get(at + 1));
                    at += 2;
                    continue;
                }
                b'|' => rest = Rest::Pipe(&path[at + 1..]),
                b'.' => rest = Rest::after_dot(&path[at + 1..], version, true),
                other => {
                    wild |= matches!(other, b'*' | b'?');
                    part.push(*other);
                    at += 1;
                    continue;
                }
            }
            break;
        }
        Self { part: Cow::Owned(part), wild, rest }
    }
}

/// What a component selects from an array.
pub(super) enum Elements<'p> {
    /// The element at this place; none where the component is no number.
    At(Option<i64>),
    /// `#`: how many there are.
    Count,
    /// `#.path`: the path's value in each element.
    Each(&'p [u8]),
    /// `#(…)` and `#(…)#`.
    Where(Query<'p>),
    /// A component with a `#` in it that means nothing.
    Nothing,
}

/// A component as read over an array.
pub(super) struct ArrayStep<'p> {
    pub(super) elements: Elements<'p>,
    pub(super) rest: Rest<'p>,
}

impl<'p> ArrayStep<'p> {
    pub(super) fn parse(path: &'p [u8], version: Version) -> Self {
        let mut hash = false;
        let mut query = None;
        let mut at = 0;
        let (mut part, mut rest) = (path, Rest::End);
        while let Some(byte) = path.get(at) {
            match byte {
                b'|' => (part, rest) = (&path[..at], Rest::Pipe(&path[at + 1..])),
                b'.' => (part, rest) = (&path[..at], Rest::after_dot(&path[at + 1..], version, !hash)),
                b'#' => {
                    hash = true;
                    if at == 0 && matches!(path.get(1), Some(b'(' | b'[')) {
                        let (parsed, end) = Query::parse(path);
                        query = Some(parsed);
                        match end {
                            Some(end) => at = end,
                            // A query that never closes selects as an empty one does.
                            None => break,
                        }
                        continue;
                    }
                    at += 1;
                    continue;
                }
                _ => {
                    at += 1;
                    continue;
                }
            }
            break;
        }
        let elements = match (query, hash, part, rest) {
            (Some(query), ..) => Elements::Where(query),
            (None, true, b"#", Rest::More(path)) => Elements::Each(path),
            (None, true, b"#", _) => Elements::Count,
            (None, true, ..) => Elements::Nothing,
            (None, false, part, _) => Elements::At(super::number::parse_index(part)),
        };
        Self { elements, rest }
    }
}

/// How a query compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// No comparison: the value needs only to exist.
    Exists,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Like,
    NotLike,
    /// A lone `!`: never true.
    Never,
}

/// `#(path op value)`, with `all` where a second `#` follows.
pub(super) struct Query<'p> {
    pub(super) path: &'p [u8],
    pub(super) comparison: Comparison,
    pub(super) value: Cow<'p, [u8]>,
    pub(super) all: bool,
}

impl<'p> Query<'p> {
    /// Reads the query that `path` begins with, and where it ends; no end where its bracket never closes.
    fn parse(path: &'p [u8]) -> (Self, Option<usize>) {
        let Some(bounds) = QueryBounds::find(path) else {
            return (Self { path: b"", comparison: Comparison::Exists, value: Cow::Borrowed(b""), all: false }, None);
        };
        let (selector, condition) = match bounds.operator {
            Some(operator) => (&path[2..operator], trim(&path[operator..bounds.close])),
            None => (&path[2..bounds.close], &b""[..]),
        };
        let (comparison, value) = split_condition(condition);
        let value = match value {
            [b'"', inner @ .., b'"'] if bounds.escaped => Cow::Owned(scan::unescape(inner)),
            [b'"', inner @ .., b'"'] => Cow::Borrowed(inner),
            _ => Cow::Borrowed(value),
        };
        let end = bounds.close + 1;
        let all = path.get(end) == Some(&b'#');
        (Self { path: trim(selector), comparison, value, all }, Some(end))
    }
}

/// Where a query's parts are.
struct QueryBounds {
    /// The first byte of the operator.
    operator: Option<usize>,
    /// The closing bracket.
    close: usize,
    /// Whether any quoted text in it has a backslash.
    escaped: bool,
}

impl QueryBounds {
    fn find(path: &[u8]) -> Option<Self> {
        let (mut operator, mut escaped, mut depth) = (None, false, 1usize);
        let mut at = 2;
        while let Some(byte) = path.get(at) {
            match byte {
                b'!' | b'=' | b'<' | b'>' | b'%' if depth == 1 && operator.is_none() => operator = Some(at),
                b'\\' => at += 1,
                b'[' | b'(' => depth += 1,
                b']' | b')' => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(Self { operator, close: at, escaped });
                    }
                }
                b'"' => {
                    let end = scan::string_end(path, at + 1);
                    escaped |= end.escaped;
                    at = end.at;
                }
                _ => {}
            }
            at += 1;
        }
        None
    }
}

/// Splits `== "x"` into the comparison and the text behind it.
fn split_condition(condition: &[u8]) -> (Comparison, &[u8]) {
    use Comparison::{Equal, Exists, Greater, GreaterOrEqual, Less, LessOrEqual, Like, Never, NotEqual, NotLike};
    let (comparison, value) = match condition {
        [] => (Exists, condition),
        [b'!'] => (Never, &condition[1..]),
        [b'!', b'=', value @ ..] => (NotEqual, value),
        [b'!', b'%', value @ ..] => (NotLike, value),
        [b'!', ..] => (Exists, condition),
        [b'<', b'=', value @ ..] => (LessOrEqual, value),
        [b'>', b'=', value @ ..] => (GreaterOrEqual, value),
        [b'=', b'=', value @ ..] | [b'=', value @ ..] => (Equal, value),
        [b'<', value @ ..] => (Less, value),
        [b'>', value @ ..] => (Greater, value),
        [b'%', value @ ..] => (Like, value),
        _ => (Exists, condition),
    };
    (comparison, trim(value))
}

/// Without white space and control characters at both ends.
pub(super) fn trim(text: &[u8]) -> &[u8] {
    let Some(first) = text.iter().position(|byte| *byte > b' ') else {
        return b"";
    };
    let last = text.iter().rposition(|byte| *byte > b' ').unwrap_or(first);
    &text[first..=last]
}

/// Splits `left|right` at the first pipe that stands outside of queries and escapes.
pub(super) fn split_at_pipe<'p>(run: &mut Run, path: &'p [u8]) -> super::Bounded<Option<(&'p [u8], &'p [u8])>> {
    run.charge(path.len())?;
    if !path.contains(&b'|') {
        return Ok(None);
    }
    if path[0] == b'{' {
        let length = scan::leading_block(&path[1..]).len() + 1;
        return Ok(match path.get(length) {
            Some(b'|') => Some((&path[..length], &path[length + 1..])),
            _ => None,
        });
    }
    let mut at = 0;
    while let Some(byte) = path.get(at) {
        match byte {
            b'\\' => at += 1,
            b'|' => return Ok(Some((&path[..at], &path[at + 1..]))),
            b'.' if at + 1 == path.len() => return Ok(None),
            b'.' if path[at + 1] == b'#' => {
                at += 2;
                match path.get(at) {
                    None => return Ok(None),
                    Some(b'[') => at = selector_end(path, at + 1, b'[', b']'),
                    Some(b'(') => at = selector_end(path, at + 1, b'(', b')'),
                    Some(_) => {}
                }
            }
            _ => {}
        }
        at += 1;
    }
    Ok(None)
}

/// The place of the bracket that closes a selector, counting only its own kind.
fn selector_end(path: &[u8], start: usize, open: u8, close: u8) -> usize {
    let mut depth = 1usize;
    let mut at = start;
    while let Some(byte) = path.get(at) {
        match *byte {
            b'\\' => at += 1,
            b'"' => at = scan::string_end(path, at + 1).at,
            other if other == open => depth += 1,
            other if other == close => {
                depth -= 1;
                if depth == 0 {
                    return at;
                }
            }
            _ => {}
        }
        at += 1;
    }
    at
}

/// One member of a multipath: `path`, or `"name":path`.
pub(super) struct Selector<'p> {
    pub(super) name: &'p [u8],
    pub(super) path: &'p [u8],
}

/// Reads the multipath that `path` begins with, and what follows it; `None` where its bracket never closes.
pub(super) fn selectors(path: &[u8]) -> Option<(Vec<Selector<'_>>, &[u8])> {
    let mut found = Vec::new();
    let (mut depth, mut start, mut at) = (1usize, 1, 1);
    let (mut colon, mut modifier) = (None, false);
    while let Some(byte) = path.get(at) {
        match byte {
            b'\\' => at += 1,
            // A modifier's colon introduces its argument, not a path.
            b'@' if matches!(path[at - 1], b'.' | b'|') => modifier = true,
            b':' if depth == 1 && !modifier && colon.is_none() => colon = Some(at),
            b'"' => at = scan::string_end(path, at + 1).at,
            b'[' | b'(' | b'{' => depth += 1,
            b']' | b')' | b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && *byte == b',') {
            let (name, path) = match colon {
                Some(colon) => (&path[start..colon], &path[colon + 1..at]),
                None => (&b""[..], &path[start..at]),
            };
            found.push(Selector { name, path });
            (colon, modifier, start) = (None, false, at + 1);
        }
        if depth == 0 {
            return Some((found, &path[at + 1..]));
        }
        at += 1;
    }
    None
}

/// The name that a path's value gets in a multipath when it is given none: its last component, or `_`.
pub(super) fn implied_name(path: &[u8]) -> &[u8] {
    let separator =
        (0..path.len()).rev().find(|at| matches!(path[*at], b'|' | b'.') && (*at == 0 || path[at - 1] != b'\\'));
    let last = separator.map_or(path, |at| &path[at + 1..]);
    let simple =
        |byte: &u8| *byte >= b' ' && !matches!(byte, b'[' | b']' | b'{' | b'}' | b'(' | b')' | b'#' | b'|' | b'!');
    if last.iter().all(simple) { last } else { b"_" }
}

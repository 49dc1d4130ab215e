//! Paths into JSON as lodash's `get` has them, which KES applies to `property` (KE-14).

use serde_json::Value;

/// More parts than any document that is read has depth.
const MOST_PARTS: usize = 128;

/// The part of `document` that `path` names: one of its own keys, whatever that looks like, or else a path of keys
/// (`a.b[0].c`, `a["x-y"]`).
pub fn get<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    if let Some(member) = member(document, path) {
        return Some(member);
    }
    let parts = parts(path);
    if !is_deep(path) || parts.len() > MOST_PARTS {
        return None;
    }
    parts.iter().try_fold(document, |value, part| member(value, part))
}

fn member<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Object(members) => members.get(key),
        // Only an index as JavaScript writes it names an item.
        Value::Array(items) => {
            key.parse::<usize>().ok().filter(|index| index.to_string() == key).and_then(|i| items.get(i))
        }
        _ => None,
    }
}

/// Whether there is a dot or a whole pair of brackets in it: anything else is one key.
fn is_deep(path: &str) -> bool {
    let is_closed = |after: &str| after.find(['[', ']']).is_some_and(|place| after[place..].starts_with(']'));
    let is_quoted = |after: &str| {
        let quote = after.chars().next().filter(|first| matches!(first, '"' | '\''));
        quote.is_some_and(|quote| quoted(&after[1..], quote).is_some())
    };
    let mut openings = path.match_indices('[').map(|(place, _)| &path[place + 1..]);
    path.contains('.') || openings.any(|after| is_closed(after) || is_quoted(after))
}

/// The keys of a path. What is not well-formed is read as far as it goes, as lodash does: a part that is missing between
/// two dots, or behind the last one, is the empty key.
fn parts(path: &str) -> Vec<String> {
    let mut parts: Vec<String> = path.starts_with('.').then(String::new).into_iter().collect();
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        if !matches!(first, '.' | '[' | ']') {
            let end = rest.find(['.', '[', ']']).unwrap_or(rest.len());
            parts.push(rest[..end].to_owned());
            rest = &rest[end..];
        } else if let Some((part, after)) = bracketed(rest) {
            parts.push(part);
            rest = after;
        } else {
            let follows = rest.strip_prefix('.').or_else(|| rest.strip_prefix("[]"));
            let is_gap = |after: &str| after.is_empty() || after.starts_with('.') || after.starts_with("[]");
            parts.extend(follows.filter(|after| is_gap(after)).map(|_| String::new()));
            rest = &rest[1..];
        }
    }
    parts
}

/// The number or quoted key in brackets at the start of `text`, and what follows.
fn bracketed(text: &str) -> Option<(String, &str)> {
    let inside = text.strip_prefix('[')?;
    if let Some(quote) = inside.chars().next().filter(|first| matches!(first, '"' | '\'')) {
        return quoted(&inside[1..], quote);
    }
    let (number, after) = inside.split_once(']')?;
    let digits = number.strip_prefix('-').unwrap_or(number);
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = match digits.split_once('.') {
        Some((whole, fraction)) => are_digits(whole) && are_digits(fraction),
        None => are_digits(digits),
    };
    is_number.then(|| (number.to_owned(), after))
}

fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut key = String::new();
    let mut characters = text.char_indices();
    while let Some((place, character)) = characters.next() {
        if character == quote {
            return text[place + 1..].strip_prefix(']').map(|after| (key, after));
        }
        match character {
            '\\' => key.push(characters.next()?.1),
            other => key.push(other),
        }
    }
    None
}

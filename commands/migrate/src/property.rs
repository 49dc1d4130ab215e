//! From the paths that lodash understands to GJSON's.

use std::iter::Peekable;
use std::str::Chars;

/// A path into JSON, in GJSON's spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) text: String,
    /// Whether it is spelled otherwise than the original, and has several steps: a key that is called like the whole
    /// original is then no longer looked for first.
    pub(crate) is_respelled: bool,
}

/// `property` in GJSON's spelling. Both systems first look for a key that is called like the whole.
///
/// # Errors
/// Where GJSON has no spelling for it, in words.
pub(crate) fn path(property: &str) -> Result<Path, &'static str> {
    let steps = steps(property)?;
    let text = steps.iter().map(|step| escaped(step)).collect::<Vec<_>>().join(".");
    let is_respelled = steps.len() > 1 && text != property;
    Ok(Path { text, is_respelled })
}

/// The keys and indexes that lodash goes through for `path`: `a.b[0]["x.y"]`.
///
/// # Errors
/// Where a step is empty, or a bracket is not closed as lodash closes them.
pub(crate) fn steps(path: &str) -> Result<Vec<String>, &'static str> {
    if path.is_empty() {
        return Err("an empty property is no path");
    }
    let mut steps = Vec::new();
    let mut rest = path.chars().peekable();
    loop {
        let step = match rest.peek() {
            Some('[') => bracket(&mut rest)?,
            _ => {
                let mut step = String::new();
                while let Some(letter) = rest.next_if(|letter| !matches!(letter, '.' | '[' | ']')) {
                    step.push(letter);
                }
                step
            }
        };
        if step.is_empty() {
            return Err("a step of the path is empty");
        }
        steps.push(step);
        match rest.peek() {
            None => return Ok(steps),
            Some('.') => drop(rest.next()),
            Some('[') => {}
            Some(_) => return Err("a bracket is where no path has one"),
        }
    }
}

/// What stands in one pair of brackets: a number, or a text in quotes.
fn bracket(rest: &mut Peekable<Chars<'_>>) -> Result<String, &'static str> {
    const OPEN: &str = "a bracket is not closed";
    rest.next();
    let mut step = String::new();
    match rest.next_if(|letter| matches!(letter, '"' | '\'')) {
        Some(quote) => loop {
            match rest.next().ok_or(OPEN)? {
                '\\' => step.push(rest.next().ok_or(OPEN)?),
                letter if letter == quote => break,
                letter => step.push(letter),
            }
        },
        None => {
            while let Some(digit) = rest.next_if(char::is_ascii_digit) {
                step.push(digit);
            }
        }
    }
    if rest.next() == Some(']') { Ok(step) } else { Err(OPEN) }
}

/// A key so that GJSON takes it for nothing else.
fn escaped(key: &str) -> String {
    let mut text = String::with_capacity(key.len());
    for letter in key.chars() {
        if letter.is_ascii_punctuation() && !"_-:/+,$&;^".contains(letter) {
            text.push('\\');
        }
        text.push(letter);
    }
    text
}

#[cfg(test)]
mod tests {
    use strongroom_secret::SecretBytes;
    use strongroom_select::{GjsonVersion, select_property_by};

    use super::*;

    #[test]
    fn paths_are_respelled_where_they_must_be() {
        let check = |property: &str, text: &str, is_respelled: bool| {
            assert_eq!(path(property), Ok(Path { text: text.to_owned(), is_respelled }), "{property}");
        };
        check("password", "password", false);
        check("tls.crt", "tls.crt", false);
        check("x-y_z:1/2", "x-y_z:1/2", false);
        check("a.b[0].c", "a.b.0.c", true);
        check("a.0.b", "a.0.b", false);
        check("list[0][1]", "list.0.1", true);
        check(r#"a["x-y"]"#, "a.x-y", true);
        check(r#"a["x.y"].z"#, r"a.x\.y.z", true);
        check("a['it\\'s']", r"a.it\'s", true);
        check("we*ird#", r"we\*ird\#", false);
        check("a.b|c", r"a.b\|c", true);
        check("@this", r"\@this", false);
        check("[0]", "0", false);
        for wrong in ["", ".a", "a.", "a..b", "a[", "a[0", "a]", "a[b]", "a[]", "a[0]b"] {
            assert!(path(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ke_14_paths_find_what_lodash_finds() {
        let check = |document: &str, property: &str, expected: Option<&str>| {
            let document = SecretBytes::from(document.to_owned());
            let path = path(property).unwrap().text;
            let found = select_property_by(GjsonVersion::V1_18, &document, &path).unwrap();
            assert_eq!(found.as_ref().and_then(SecretBytes::expose_text), expected, "{property}");
        };
        check(r#"{"tls.crt":"x","tls":{"crt":"y"}}"#, "tls.crt", Some("x"));
        check(r#"{"tls":{"crt":"y"}}"#, "tls.crt", Some("y"));
        check(r#"{"a":{"b":[{"c":"v"}]}}"#, "a.b[0].c", Some("v"));
        check(r#"{"a":{"x":{"y":{"z":"no"}},"x.y":{"z":"v"}}}"#, r#"a["x.y"].z"#, Some("v"));
        check(r#"{"we*ird#":"v"}"#, "we*ird#", Some("v"));
        check(r#"{"wexird":"no"}"#, "we*ird", None);
        check(r#"{"@this":"v"}"#, "@this", Some("v"));
        check(r#"{"a":"no"}"#, "@this", None);
        check(r#"["v"]"#, "[0]", Some("v"));
        check(r#"{"a":1}"#, "b", None);
        // KES makes the text null of it.
        check(r#"{"a":null}"#, "a", Some(""));
    }
}

//! Regular expressions as Go writes them (RE2), bounded in size: for key rewriting, finding, templates and policies.
//!
//! Matching takes time in proportion to the text (no backtracking), so a pattern that a tenant wrote can be costly only
//! by its size, which is limited here (design invariant 10). Pure.

#![forbid(unsafe_code)]

use std::fmt;

use regex::{Captures, Regex, RegexBuilder};
use strongroom_failure::{Class, Failure, outside_words};

/// The longest pattern, in bytes: the longest that a person plausibly writes, with room.
pub const PATTERN_LIMIT: usize = 4096;

/// The memory that a compiled pattern may take, in bytes. `\pL{1,100}` needs about 200 KiB.
const COMPILED_LIMIT: usize = 1 << 20;

/// A regular expression with Go's meaning: unanchored unless it says otherwise, `$` only at the end of the text.
#[derive(Clone)]
pub struct Pattern(Regex);

impl Pattern {
    /// Compiles `source`.
    ///
    /// # Errors
    /// `Invalid`, with the reason and without the pattern, where it is too long, too large, or no RE2 expression.
    pub fn new(source: &str) -> Result<Self, Failure> {
        if source.len() > PATTERN_LIMIT {
            let words = format!("the regular expression has {} bytes, and {PATTERN_LIMIT} are allowed", source.len());
            return Err(Failure::new(Class::Invalid, words));
        }
        let compiled = RegexBuilder::new(&translated(source)).size_limit(COMPILED_LIMIT).nest_limit(100).build();
        compiled.map(Self).map_err(|error| Failure::new(Class::Invalid, reason(&error)))
    }

    /// The pattern as it was written (`\z` for `\Z` apart).
    pub fn source(&self) -> &str {
        self.0.as_str()
    }

    /// Whether `text` has a match anywhere.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// Whether all of `text` is one match.
    pub fn matches_whole(&self, text: &str) -> bool {
        // Leftmost-first matching may prefer a shorter alternative, so the anchors belong into the pattern.
        let whole = RegexBuilder::new(&format!(r"\A(?:{})\z", self.source())).size_limit(COMPILED_LIMIT).build();
        whole.is_ok_and(|whole| whole.is_match(text))
    }

    /// `text` with every match replaced, `$1` and `${name}` in `target` standing for groups, as Go's
    /// `ReplaceAllString`: a `$name` takes the longest run of letters, digits and `_`, an unknown group is empty.
    pub fn replace_all(&self, text: &str, target: &str) -> String {
        self.0.replace_all(text, |captures: &Captures<'_>| expanded(captures, target)).into_owned()
    }

    /// The compiled expression, for what needs more (sprig's `regex…` functions).
    pub fn regex(&self) -> &Regex {
        &self.0
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Pattern({:?})", self.source())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.source() == other.source()
    }
}

impl Eq for Pattern {}

impl std::hash::Hash for Pattern {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.source().hash(state);
    }
}

/// What `target` gives for one match, by the rules of Go's `Regexp.Expand`.
pub fn expanded(captures: &Captures<'_>, target: &str) -> String {
    let mut made = String::new();
    let mut rest = target;
    while let Some((before, after)) = rest.split_once('$') {
        made.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            made.push('$');
            rest = after;
            continue;
        }
        match group(after) {
            Some((name, after)) => {
                let found = match name.parse::<usize>() {
                    Ok(number) => captures.get(number),
                    Err(_) => captures.name(name),
                };
                made.push_str(found.map_or("", |found| found.as_str()));
                rest = after;
            }
            None => {
                made.push('$');
                rest = after;
            }
        }
    }
    made + rest
}

/// The group's name at the start of `text`, which follows a `$`, and what comes after it.
fn group(text: &str) -> Option<(&str, &str)> {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    let (name, after) = match text.strip_prefix('{') {
        Some(inner) => inner.split_once('}')?,
        None => text.split_at(text.find(|letter| !is_part(letter)).unwrap_or(text.len())),
    };
    (!name.is_empty() && name.chars().all(is_part)).then_some((name, after))
}

/// Go's spellings that this engine has otherwise: `\Q…\E` is quoted.
fn translated(source: &str) -> String {
    let mut made = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, after)) = rest.split_once(r"\Q") {
        // An escaped backslash before a `Q` is no quotation.
        if (before.len() - before.trim_end_matches('\\').len()) % 2 == 1 {
            made.push_str(before);
            made.push_str(r"\Q");
            rest = after;
            continue;
        }
        let (quoted, after) = after.split_once(r"\E").unwrap_or((after, ""));
        made.push_str(before);
        made.push_str(&regex::escape(quoted));
        rest = after;
    }
    made + rest
}

fn reason(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(limit) => format!("the regular expression needs more than {limit} bytes"),
        // The last line says why; those before it quote the pattern.
        other => {
            let words = other.to_string();
            let why = words.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("this is not a regular expression: {}", outside_words(why, &[]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_expand_as_in_go() {
        let check = |pattern: &str, text: &str, target: &str, expected: &str| {
            assert_eq!(Pattern::new(pattern).unwrap().replace_all(text, target), expected, "{pattern} {target}");
        };
        check("a(x*)b", "-ab-axxb-", "T", "-T-T-");
        check("a(x*)b", "-ab-axxb-", "$1", "--xx-");
        check("a(x*)b", "-ab-axxb-", "$1W", "---");
        check("a(x*)b", "-ab-axxb-", "${1}W", "-W-xxW-");
        check("a(?P<n>x*)b", "-axxb-", "<${n}|$n>", "-<xx|xx>-");
        check("a", "a", "$$ $- ${ $", "$ $- ${ $");
        check(r"\Qa.b\E+", "a.bb axb", "_", "_ axb");
    }

    #[test]
    fn patterns_are_bounded_and_their_failure_does_not_repeat_them() {
        let check = |pattern: &str, expected: &str| {
            let words = Pattern::new(pattern).map(|_| ()).unwrap_err().words;
            assert!(words.contains(expected), "{words}");
            assert!(!words.contains("canary"), "{words}");
        };
        check("canary(", "unclosed group");
        check("(?:canary){1000}{1000}", "needs more than");
        check(&"x".repeat(PATTERN_LIMIT + 1), "4096 are allowed");
        check(r"(canary)\1", "backreferences");
    }

    #[test]
    fn a_whole_match_is_not_the_first_alternative() {
        let pattern = Pattern::new("a|ab").unwrap();
        assert!(pattern.matches_whole("ab") && pattern.matches_whole("a") && !pattern.matches_whole("abc"));
    }
}

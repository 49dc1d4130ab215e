//! Patterns for keys of stores and names of namespaces.
//!
//! A pattern is compared with a key as both are written: letter by letter, without decoding, folding case or
//! resolving `..`. What a store takes for the same (an ARN for a name, `a//b` for `a/b`, `DB` for `db`) is another
//! key here and needs a rule of its own. A wildcard never stands for what could make a store see another path.

use strongroom_failure::{Class, Failure};

use crate::Namespace;

/// The longest pattern, in bytes. The longest key of a store that we know has 2,048 (an ARN of Parameter Store).
const PATTERN_LIMIT: usize = 2048;

/// The longest key that any pattern matches, in bytes: keys are a tenant's to choose, and comparing costs time.
pub const KEY_LIMIT: usize = 4096;

/// What a wildcard never stands for, besides a whole `.` or `..`: with these, stores or those between could be made to
/// see another path than the one that was compared.
const NEVER_WILD: &[char] = &['%', '\\', '?', '#'];

/// A pattern for keys: `*` stands for any letters within one segment, `**` alone for one or more whole segments, and
/// `{{ .namespace }}` for the name of the namespace that asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPattern {
    source: String,
    segments: Vec<Segment>,
}

/// What stands between two slashes of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    /// Itself.
    Exact(String),
    /// Texts with a `*` between each two.
    Wild(Vec<Vec<Piece>>),
    /// `**`.
    Any,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Namespace,
}

impl KeyPattern {
    /// Understands a pattern.
    ///
    /// # Errors
    /// `Invalid`: empty, too long, `**` beside other letters, braces that hold anything but `.namespace`, a wildcard
    /// beside what it never stands for.
    pub fn new(source: &str) -> Result<Self, Failure> {
        check_length(source)?;
        let segments = source.split('/').map(segment).collect::<Result<_, _>>()?;
        Ok(Self { source: source.to_owned(), segments })
    }

    /// The pattern as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether `namespace` means `key` by this pattern.
    pub fn matches(&self, key: &str, namespace: &Namespace) -> bool {
        if key.len() > KEY_LIMIT {
            return false;
        }
        // All places of the pattern that the segments so far can have led to: no backtracking, so the time is the
        // product of the two lengths at most.
        let mut reached = vec![false; self.segments.len() + 1];
        reached[0] = true;
        for part in key.split('/') {
            let mut next = vec![false; reached.len()];
            for (place, segment) in self.segments.iter().enumerate() {
                let is_match = segment.matches(part, namespace);
                let goes_on = reached[place + 1] && matches!(segment, Segment::Any);
                next[place + 1] = is_match && (reached[place] || goes_on);
            }
            reached = next;
        }
        reached.last().copied().unwrap_or(false)
    }
}

impl Segment {
    fn matches(&self, part: &str, namespace: &Namespace) -> bool {
        match self {
            Self::Exact(text) => text == part,
            Self::Any => is_plain(part),
            Self::Wild(texts) => {
                let texts: Vec<String> = texts.iter().map(|pieces| written(pieces, &namespace.name)).collect();
                is_plain(part) && lie_in_order(&texts, part)
            }
        }
    }
}

/// A pattern for names of namespaces: `*` stands for any letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern(Vec<String>);

impl NamePattern {
    /// Understands a pattern.
    ///
    /// # Errors
    /// `Invalid` where it is empty, too long, or no pattern of a name (it holds a slash or braces).
    pub fn new(source: &str) -> Result<Self, Failure> {
        check_length(source)?;
        if source.contains(['/', '{', '}']) {
            return Err(Failure::new(Class::Invalid, "no namespace has such a name")
                .with_hint("write a name in which * stands for any letters, such as team-*"));
        }
        Ok(Self(source.split('*').map(str::to_owned).collect()))
    }

    /// Whether the pattern means `name`.
    pub fn matches(&self, name: &str) -> bool {
        lie_in_order(&self.0, name)
    }
}

fn check_length(source: &str) -> Result<(), Failure> {
    match source.len() {
        0 => Err(Failure::new(Class::Invalid, "the pattern is empty")),
        length if length > PATTERN_LIMIT => Err(Failure::new(
            Class::Invalid,
            format!("the pattern has {length} bytes, and {PATTERN_LIMIT} are allowed"),
        )),
        _ => Ok(()),
    }
}

fn segment(source: &str) -> Result<Segment, Failure> {
    if source == "**" {
        return Ok(Segment::Any);
    }
    if source.contains("**") {
        return Err(Failure::new(Class::Invalid, "** stands beside other letters")
            .with_hint("let ** stand alone between slashes, as in team/**; within a segment write *"));
    }
    let texts = source.split('*').map(pieces).collect::<Result<Vec<_>, _>>()?;
    match texts.as_slice() {
        [only] if !only.contains(&Piece::Namespace) => Ok(Segment::Exact(source.to_owned())),
        _ if source.contains(NEVER_WILD) => {
            Err(Failure::new(Class::Invalid, r"a segment with a wildcard holds one of % \ ? #, which it never matches"))
        }
        _ => Ok(Segment::Wild(texts)),
    }
}

/// The pieces of a text without `*`.
fn pieces(source: &str) -> Result<Vec<Piece>, Failure> {
    let mut pieces = Vec::new();
    let mut rest = source;
    while let Some((before, after)) = rest.split_once("{{") {
        let unknown = || {
            Failure::new(Class::Invalid, "the braces hold something unknown")
                .with_hint("the only variable is {{ .namespace }}, and nothing can be done with it")
        };
        let (inside, after) = after.split_once("}}").ok_or_else(unknown)?;
        if inside.trim() != ".namespace" {
            return Err(unknown());
        }
        pieces.push(Piece::Text(before.to_owned()));
        pieces.push(Piece::Namespace);
        rest = after;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    Ok(pieces)
}

/// The text that `pieces` are for a namespace. Its name becomes letters among letters and is never read as a pattern.
fn written(pieces: &[Piece], namespace: &str) -> String {
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => text,
            Piece::Namespace => namespace,
        })
        .collect()
}

/// Whether a wildcard or a variable may stand for this segment or a part of it.
fn is_plain(part: &str) -> bool {
    !matches!(part, "" | "." | "..") && !part.contains(NEVER_WILD) && !part.contains(char::is_control)
}

/// Whether `whole` is `texts` in this order with anything between each two: the first at its start, the last at its
/// end.
fn lie_in_order(texts: &[String], whole: &str) -> bool {
    let [first, between @ .., last] = texts else {
        return texts.first().is_some_and(|only| only == whole);
    };
    let Some(mut rest) = whole.strip_prefix(first.as_str()).and_then(|rest| rest.strip_suffix(last.as_str())) else {
        return false;
    };
    for text in between {
        match rest.split_once(text.as_str()) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn namespace(name: &str) -> Namespace {
        Namespace { name: name.to_owned(), ..Namespace::default() }
    }

    fn matches(pattern: &str, key: &str, name: &str) -> bool {
        KeyPattern::new(pattern).unwrap().matches(key, &namespace(name))
    }

    #[test]
    fn a_star_stays_within_its_segment_and_two_stand_for_whole_ones() {
        let check =
            |pattern: &str, key: &str, expected: bool| assert_eq!(matches(pattern, key, "a"), expected, "{key}");
        check("db", "db", true);
        check("db", "db2", false);
        check("team/*", "team/db", true);
        check("team/*", "team/db/user", false);
        check("team/*", "team", false);
        check("team/*/db", "team/a/db", true);
        check("team-*-db", "team-x-y-db", true);
        check("team-*-db", "team-db", false);
        check("*a*b*", "xaxbx", true);
        check("*a*b*", "xbxax", false);
        check("ab*ba", "aba", false);
        check("team/**", "team/a/b/c", true);
        check("team/**", "team", false);
        check("team/**/db", "team/a/b/db", true);
        check("team/**/db", "team/db", false);
        check("team/**/db", "team/db/db", true);
        check("**", "anything/at/all", true);
        check("**/x/**", "a/x/x/b", true);
        check("**/x/**", "a/b", false);
        check("/team/**", "/team/db", true);
        check("**", "/team/db", false);
        check("projects/*/secrets/*", "projects/p/secrets/s", true);
    }

    #[test]
    fn the_namespace_is_letters_and_no_pattern() {
        let check = |pattern: &str, key: &str, name: &str, expected: bool| {
            assert_eq!(matches(pattern, key, name), expected, "{pattern} {key} {name}");
        };
        check("team/{{ .namespace }}/*", "team/a/db", "a", true);
        check("team/{{.namespace}}/*", "team/a/db", "a", true);
        check("team/{{ .namespace }}/*", "team/b/db", "a", false);
        check("{{ .namespace }}_*", "a_db", "a", true);
        check("{{ .namespace }}_*", "ab_db", "a", false);
        check("x-{{ .namespace }}", "x-a", "a", true);
        // None of these is a namespace that Kubernetes would let in.
        check("team/{{ .namespace }}/*", "team/b/db", "*", false);
        check("team/{{ .namespace }}/*", "team/b/c/db", "**", false);
        check("team/{{ .namespace }}/*", "team/b/c/db", "b/c", false);
        check("team/{{ .namespace }}/*", "team/../db", "..", false);
        check("team/{{ .namespace }}/*", "team//db", "", false);
        check("team/{{ .namespace }}/*", "team/a%2fb/db", "a%2fb", false);
        check("team/{{ .namespace }}/*", "team/a/db", "{{ .namespace }}", false);
    }

    #[test]
    fn tricks_with_paths_lead_nowhere() {
        let check = |key: &str| {
            for pattern in ["team/a/*", "team/a/**", "team/*/*", "team/**", "**"] {
                assert!(!matches(pattern, key, "a"), "{pattern} {key}");
            }
        };
        check("team/a/..");
        check("team/a/../b/db");
        check("team/a/./db");
        check("team/a//db");
        check("team/a/");
        check("/team/a/db");
        check("team/a/..%2fb%2fdb");
        check("team/a/%2e%2e/b");
        check(r"team/a/..\b\db");
        check("team/a/db?version=1");
        check("team/a/db#x");
        check("team/a/db\u{0}");
        check("team/a/db\n");
        check(&format!("team/a/{}", "x".repeat(KEY_LIMIT)));
        // Written out, each of them is a key like any other.
        assert!(matches("team/a/%2e%2e/../b//", "team/a/%2e%2e/../b//", "a"));
    }

    #[test]
    fn letters_are_compared_as_they_are_written() {
        let check = |pattern: &str, key: &str| assert!(!matches(pattern, key, "a"), "{pattern} {key}");
        check("team/a/*", "Team/a/db");
        check("team/a/*", "team/A/db");
        // Composed and decomposed, and letters that only look alike.
        check("caf\u{e9}", "cafe\u{301}");
        check("team/a/*", "te\u{430}m/a/db");
        check("team/a/*", "team\u{2215}a\u{2215}db");
        assert!(matches("team/a/*", "team/a/d\u{e9}j\u{e0}", "a"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        let check = |pattern: &str, expected: &str| {
            let words = KeyPattern::new(pattern).unwrap_err().words;
            assert!(words.contains(expected), "{pattern}: {words}");
        };
        check("", "empty");
        check(&"x".repeat(PATTERN_LIMIT + 1), "2048 are allowed");
        check("team/a**", "** stands beside other letters");
        check("team/***", "** stands beside other letters");
        check("team/{{ .name }}/*", "braces");
        check("team/{{ .namespace }/*", "braces");
        check("team/{{ .namespace | upper }}/*", "braces");
        check("team/a%2f*", "wildcard");
        check("team/{{ .namespace }}?x", "wildcard");
    }

    #[test]
    fn names_of_namespaces_have_stars_too() {
        let check = |pattern: &str, name: &str, expected: bool| {
            assert_eq!(NamePattern::new(pattern).unwrap().matches(name), expected, "{pattern} {name}");
        };
        check("a", "a", true);
        check("a", "ab", false);
        check("team-*", "team-a", true);
        check("team-*", "x-team-a", false);
        check("*", "anything", true);
        assert!(NamePattern::new("a/b").is_err() && NamePattern::new("{{ .namespace }}").is_err());
        assert!(NamePattern::new("").is_err());
    }

    /// The same meaning by another way: one regular expression.
    fn oracle(pattern: &str, key: &str, name: &str) -> bool {
        let plain = r"[^/%\\?#\p{Cc}]";
        let one = format!("{plain}+");
        let segments: Vec<String> = pattern
            .split('/')
            .map(|segment| match segment {
                "**" => format!("{one}(?:/{one})*"),
                other => {
                    let escaped = regex::escape(other);
                    let escaped = escaped.replace(r"\{\{ \.namespace \}\}", &regex::escape(name));
                    escaped.replace(r"\*", &format!("{plain}*"))
                }
            })
            .collect();
        let whole = regex::Regex::new(&format!(r"\A(?:{})\z", segments.join("/"))).unwrap();
        // Which segments are wild follows from the pattern alone only without `**`; the tests below keep dots, empty
        // segments and escapes out of patterns, so that no such segment of a key can be an exact one.
        whole.is_match(key) && !key.split('/').any(|part| matches!(part, "" | "." | ".."))
    }

    fn pattern() -> impl Strategy<Value = String> {
        let segment = prop_oneof![
            Just("**".to_owned()),
            Just("*".to_owned()),
            Just("{{ .namespace }}".to_owned()),
            Just("{{ .namespace }}-*".to_owned()),
            Just("x*".to_owned()),
            "[ab]{1,2}",
        ];
        proptest::collection::vec(segment, 1..5).prop_map(|segments| segments.join("/"))
    }

    fn key() -> impl Strategy<Value = String> {
        let segment = prop_oneof![4 => "[abx-]{1,3}", 1 => Just("..".to_owned()), 1 => "[a%.*]{0,2}"];
        proptest::collection::vec(segment, 1..6).prop_map(|segments| segments.join("/"))
    }

    proptest! {
        #[test]
        fn no_key_outside_of_a_pattern_is_ever_allowed(pattern in pattern(), key in key(), name in "[ab]{1,2}") {
            prop_assert_eq!(matches(&pattern, &key, &name), oracle(&pattern, &key, &name), "{} {} {}", pattern, key, name);
        }

        #[test]
        fn no_name_of_a_namespace_leads_out_of_its_segment(name in "[a-c/.*%{} -]{0,6}", key in "[a-c/.*%{} -]{0,12}") {
            if matches("team/{{ .namespace }}/*", &key, &name) {
                let parts: Vec<&str> = key.split('/').collect();
                prop_assert_eq!(parts.len(), 3);
                prop_assert_eq!(parts[0], "team");
                prop_assert_eq!(parts[1], name.as_str());
                prop_assert!(parts[1..].iter().all(|part| is_plain(part)));
            }
        }

        #[test]
        fn nothing_makes_it_panic(pattern in ".{0,40}", key in ".{0,40}", name in ".{0,10}") {
            if let Ok(pattern) = KeyPattern::new(&pattern) {
                pattern.matches(&key, &namespace(&name));
            }
        }
    }
}

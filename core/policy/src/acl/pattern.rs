//! Patterns of paths, and which of two is the more specific.

use std::cmp::{Ordering, Reverse};

use super::explanation::Precedence;
use super::identity::Filled;

/// A path as a policy names it, without its leading slash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pattern {
    /// As it is shown: with its `*`.
    pub(super) text: String,
    pub(super) form: Form,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Form {
    /// This path alone.
    Exact,
    /// Every path that begins so: the text without its `*`.
    Prefix(String),
    /// Segment by segment, because a `+` begins one of them.
    Segments {
        segments: Vec<Segment>,
        /// What the segment after those begins with, if the pattern ends in `*`; whatever may follow it.
        tail: Option<String>,
        /// Where the first `+` stands, a wildcard or not.
        first_plus: usize,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Segment {
    Literal(String),
    /// `+`: any one segment, the empty one too.
    Any,
}

impl Pattern {
    /// The pattern of a path whose templates are filled; in their values nothing is a wildcard. However a text came
    /// about, what it stands for is one pattern, so that `deny` wins over what others grant on it.
    pub(super) fn new(filled: &Filled) -> Self {
        let skipped = usize::from(filled.text.starts_with('/'));
        let text = filled.text.get(skipped..).unwrap_or_default();
        let is_wild = |place: usize| !filled.values.iter().any(|value| value.contains(&(place + skipped)));
        let has_star = text.ends_with('*') && is_wild(text.len() - 1);
        let bare = if has_star { text.get(..text.len() - 1).unwrap_or_default() } else { text };
        // A `+` that only begins a segment is no wildcard, but Vault ranks such a path among those that have one.
        let has_segments = text == "+" || text.starts_with("+/") || bare.contains("/+");
        let form = match (has_segments, has_star) {
            (false, false) => Form::Exact,
            (false, true) => Form::Prefix(bare.to_owned()),
            (true, _) => {
                let mut place = 0;
                let mut segments: Vec<Segment> = Vec::new();
                for segment in bare.split('/') {
                    let is_any = segment == "+" && is_wild(place);
                    segments.push(if is_any { Segment::Any } else { Segment::Literal(segment.to_owned()) });
                    place += segment.len() + 1;
                }
                let tail = if has_star { segments.pop() } else { None };
                let tail = tail.map(|tail| match tail {
                    Segment::Literal(text) => text,
                    // `+*` is refused when a policy is written.
                    Segment::Any => "+".to_owned(),
                });
                Form::Segments { segments, tail, first_plus: bare.find('+').unwrap_or_default() }
            }
        };
        Self { text: text.to_owned(), form }
    }

    /// Whether it has a wildcard that works.
    pub(super) fn is_glob(&self) -> bool {
        self.form != Form::Exact
    }

    /// The more specific of two patterns without exact ones is the greater (governance.md §8.1): the one whose first
    /// wildcard stands later; without a `*`; with fewer `+`; the longer; the one that comes later by its bytes.
    pub(super) fn cmp_specificity(&self, other: &Self) -> Ordering {
        self.specificity().cmp(&other.specificity())
    }

    /// Why this one is more specific than `other`, which it is.
    pub(super) fn precedence_over(&self, other: &Self) -> Precedence {
        let (own, its) = (self.specificity(), other.specificity());
        let reasons = [
            (self.is_glob() != other.is_glob(), Precedence::Exact),
            (own.0 != its.0, Precedence::LaterWildcard),
            (own.1 != its.1, Precedence::NoStar),
            (own.2 != its.2, Precedence::FewerPluses),
            (own.3 != its.3, Precedence::Longer),
        ];
        reasons.into_iter().find(|(is_it, _)| *is_it).map_or(Precedence::LaterLetters, |(_, reason)| reason)
    }

    fn specificity(&self) -> (usize, bool, Reverse<usize>, usize, &str, bool) {
        let bare =
            |has_star: bool| if has_star { self.text.strip_suffix('*').unwrap_or(&self.text) } else { &self.text };
        let (first, has_star, pluses, is_segments) = match &self.form {
            // Above everything: an exact path is asked for first, and then no other.
            Form::Exact => (usize::MAX, false, 0, false),
            Form::Prefix(prefix) => (prefix.len(), true, 0, false),
            Form::Segments { segments, tail, first_plus } => {
                let pluses = segments.iter().filter(|segment| **segment == Segment::Any).count();
                (*first_plus, tail.is_some(), pluses, true)
            }
        };
        (first, !has_star, Reverse(pluses), bare(has_star).len(), bare(has_star), is_segments)
    }

    /// Whether it stands for `path`, which has no leading slash.
    pub(super) fn matches(&self, path: &str) -> bool {
        match &self.form {
            Form::Exact => self.text == path,
            Form::Prefix(prefix) => path.starts_with(prefix.as_str()),
            Form::Segments { segments, tail, .. } => {
                let mut parts = path.split('/');
                let begins = segments.iter().all(|segment| parts.next().is_some_and(|part| segment.matches(part)));
                match tail {
                    _ if !begins => false,
                    Some(tail) => parts.next().is_some_and(|part| part.starts_with(tail.as_str())),
                    None => parts.next().is_none(),
                }
            }
        }
    }

    /// Whether it stands for `folder`, which ends in a slash, or for something below it.
    pub(super) fn reaches_into(&self, folder: &str) -> bool {
        match &self.form {
            Form::Exact => self.text.starts_with(folder),
            Form::Prefix(prefix) => prefix.starts_with(folder) || folder.starts_with(prefix.as_str()),
            Form::Segments { segments, tail, .. } => {
                let mut parts = folder.strip_suffix('/').unwrap_or(folder).split('/');
                for segment in segments {
                    match parts.next() {
                        None => return true,
                        Some(part) if segment.matches(part) => {}
                        Some(_) => return false,
                    }
                }
                match (tail, parts.next()) {
                    (_, None) => true,
                    (Some(tail), Some(part)) => part.starts_with(tail.as_str()),
                    (None, Some(_)) => false,
                }
            }
        }
    }
}

impl Segment {
    fn matches(&self, part: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Literal(text) => text == part,
        }
    }
}

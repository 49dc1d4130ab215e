//! The one error type: a class that decides, a subject to blame, words for people.
//!
//! A [`Failure`] becomes a condition, an HTTP answer or an exit message at the edge. Never holds a secret value:
//! words that come from an outside system pass through [`outside_words`], which masks known values and bounds them.

#![forbid(unsafe_code)]

use std::fmt;
use std::time::Duration;

use strongroom_secret::SecretBytes;

/// The most characters of an outside system's words that a failure carries (design invariant 5).
pub const OUTSIDE_WORDS_LIMIT: usize = 256;

/// The outside needs to know only this much to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The store is there and says that it has no such key, version or property.
    NotFound,
    /// The identity is known and may not do this.
    Denied,
    /// The identity could not be established: no credentials, expired or refused ones.
    Unauthenticated,
    /// The store asks for patience: retry, but not before this long.
    Throttled {
        /// The store's own `Retry-After`, where it gave one.
        retry_after: Option<Duration>,
    },
    /// No answer, half an answer, or a fault of the store.
    Unavailable,
    /// Asking again cannot help: the reference, the settings or the value itself are wrong.
    Invalid,
}

impl Class {
    /// Whether asking again, unchanged, may help.
    pub fn can_retry(self) -> bool {
        matches!(self, Self::Throttled { .. } | Self::Unavailable)
    }

    /// The word for machines: a condition's reason, a metric's label, a field of a JSON log line.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotFound => "NotFound",
            Self::Denied => "AccessDenied",
            Self::Unauthenticated => "Unauthenticated",
            Self::Throttled { .. } => "Throttled",
            Self::Unavailable => "Unavailable",
            Self::Invalid => "Invalid",
        }
    }
}

/// Why something could not be done: on what, why, whether a retry can help, and what to try.
///
/// Shown as `FIELD: cannot read "KEY" from STORE: WORDS`, with the parts that are known, or `cannot write "KEY" to
/// STORE` and `cannot delete "KEY" from STORE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What decides about retries, exit codes and conditions.
    pub class: Class,
    /// What it happened to.
    pub subject: Box<Subject>,
    /// Why, in one sentence without a full stop; the store's own words come from its known error fields only.
    pub words: String,
    /// What to try, for people at the edge; not shown in conditions.
    pub hint: Option<String>,
}

/// What a failure is about, from the outside in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// Where the person who must mend it looks: a variable, a file, a field path such as `spec.data[1]`.
    pub field: Option<String>,
    /// The store's name for the secret.
    pub key: Option<String>,
    /// The store in people's words: `AWS Secrets Manager (eu-west-1)`.
    pub store: Option<String>,
    /// What was to be done with the key.
    pub deed: Deed,
}

/// What can be done with a key of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Deed {
    /// Reading what is there.
    #[default]
    Read,
    /// Putting something there.
    Write,
    /// Taking it away.
    Delete,
}

impl Deed {
    /// Verb and preposition.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Read => ("read", "from"),
            Self::Write => ("write", "to"),
            Self::Delete => ("delete", "from"),
        }
    }
}

impl Failure {
    /// A failure of `class` for the reason `words`.
    pub fn new(class: Class, words: impl Into<String>) -> Self {
        Self { class, subject: Box::default(), words: words.into(), hint: None }
    }

    /// Names the variable, file or field that a person must mend.
    #[must_use]
    pub fn in_field(mut self, field: impl Into<String>) -> Self {
        self.subject.field = Some(field.into());
        self
    }

    /// Names the store's key.
    #[must_use]
    pub fn on_key(mut self, key: impl Into<String>) -> Self {
        self.subject.key = Some(key.into());
        self
    }

    /// Names the store, in words for people.
    #[must_use]
    pub fn from_store(mut self, store: impl Into<String>) -> Self {
        self.subject.store = Some(store.into());
        self
    }

    /// Says what was to be done with the key, where that was not to read it.
    #[must_use]
    pub fn while_doing(mut self, deed: Deed) -> Self {
        self.subject.deed = deed;
        self
    }

    /// Says what to try.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(field) = &self.subject.field {
            write!(formatter, "{field}: ")?;
        }
        let (verb, preposition) = self.subject.deed.words();
        match (&self.subject.key, &self.subject.store) {
            (Some(key), Some(store)) => write!(formatter, "cannot {verb} \"{key}\" {preposition} {store}: ")?,
            (Some(key), None) if self.subject.deed == Deed::Read => write!(formatter, "key \"{key}\": ")?,
            (Some(key), None) => write!(formatter, "cannot {verb} \"{key}\": ")?,
            (None, Some(store)) => write!(formatter, "{store}: ")?,
            (None, None) => {}
        }
        formatter.write_str(&self.words)
    }
}

impl std::error::Error for Failure {}

/// Makes an outside system's words fit to show: known values masked, control characters replaced, at most
/// [`OUTSIDE_WORDS_LIMIT`] characters.
///
/// `known` are the values that could appear in it: tokens that were sent, values that were read.
pub fn outside_words(words: &str, known: &[&SecretBytes]) -> String {
    let mut masked = words.to_owned();
    // Shorter values would mask ordinary letters; they are not credible secrets.
    let known = known.iter().filter_map(|value| value.expose_text()).filter(|text| text.len() >= 4);
    let mut known: Vec<&str> = known.collect();
    // The longest first: one that begins like another must not leave the other's end behind.
    known.sort_unstable_by_key(|text| std::cmp::Reverse(text.len()));
    for text in known {
        masked = masked.replace(text, "[redacted]");
    }
    let clean = masked.split_whitespace().collect::<Vec<_>>().join(" ").replace(char::is_control, "\u{fffd}");
    match clean.char_indices().nth(OUTSIDE_WORDS_LIMIT - 1) {
        Some((end, _)) if clean.chars().count() > OUTSIDE_WORDS_LIMIT => format!("{}…", &clean[..end]),
        _ => clean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reads_as_a_sentence() {
        let check = |failure: Failure, expected: &str| assert_eq!(failure.to_string(), expected);
        let denied = || Failure::new(Class::Denied, "access denied");
        check(denied(), "access denied");
        check(denied().on_key("prod/db"), "key \"prod/db\": access denied");
        check(
            denied().on_key("prod/db").from_store("AWS Secrets Manager (eu-west-1)").in_field("DB_PASSWORD"),
            "DB_PASSWORD: cannot read \"prod/db\" from AWS Secrets Manager (eu-west-1): access denied",
        );
        let pushed = |deed| denied().on_key("db").while_doing(deed);
        check(pushed(Deed::Write), "cannot write \"db\": access denied");
        check(pushed(Deed::Write).from_store("the store"), "cannot write \"db\" to the store: access denied");
        check(pushed(Deed::Delete).from_store("the store"), "cannot delete \"db\" from the store: access denied");
        check(denied().from_store("the store").while_doing(Deed::Write), "the store: access denied");
    }

    #[test]
    fn outside_words_are_masked_and_bounded() {
        let token = SecretBytes::from("s.canary".to_owned());
        assert_eq!(outside_words("bad token s.canary\r\nagain", &[&token]), "bad token [redacted] again");
        let beginning = SecretBytes::from("s.can".to_owned());
        assert_eq!(outside_words("s.canary s.can", &[&beginning, &token]), "[redacted] [redacted]");
        let long = outside_words(&"é".repeat(1000), &[]);
        assert_eq!(long.chars().count(), OUTSIDE_WORDS_LIMIT);
        assert_eq!(outside_words(&"x".repeat(256), &[]).chars().count(), 256);
    }
}

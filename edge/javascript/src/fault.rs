//! What went wrong with a template, in words that hold no value.

use std::collections::HashSet;
use std::fmt;
use std::sync::LazyLock;

use strongroom_failure::outside_words;
use strongroom_secret::SecretBytes;

use crate::engine::PRELUDE;

/// The longest stretch of a value that words may share with it by chance, in bytes.
const CHANCE: usize = 7;

/// What kind of thing went wrong with a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// It is no JavaScript.
    Syntax,
    /// It threw an error, or gave something that is no text.
    Runtime,
    /// It computed for too long, or the templates before it did.
    Time,
    /// It wanted more memory than it may have.
    Memory,
    /// Its text is longer than a Secret could hold.
    OutputTooLarge,
    /// The template itself is too long.
    TemplateTooLarge,
    /// Its process ended without an answer.
    Killed,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::Syntax,
        Self::Runtime,
        Self::Time,
        Self::Memory,
        Self::OutputTooLarge,
        Self::TemplateTooLarge,
        Self::Killed,
    ];

    /// The number that stands for it in an answer.
    pub(crate) fn tag(self) -> u8 {
        Self::ALL.iter().zip(1..).find_map(|(kind, tag)| (*kind == self).then_some(tag)).unwrap_or(u8::MAX)
    }

    /// The kind that a number stands for; of a number that stands for none, the child was not itself.
    pub(crate) fn of_tag(tag: u8) -> Self {
        Self::ALL.iter().zip(1..).find_map(|(kind, number)| (number == tag).then_some(*kind)).unwrap_or(Self::Killed)
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Syntax => "the template is no JavaScript",
            Self::Runtime => "the template threw an error",
            Self::Time => "the template took too long",
            Self::Memory => "the template needs too much memory",
            Self::OutputTooLarge => "the template gives too long a text",
            Self::TemplateTooLarge => "the template is too long",
            Self::Killed => "the template's process ended without an answer",
        }
    }
}

/// Why a template has no text: shown as one sentence without a full stop, which holds no value and is bounded.
///
/// A template decides what the errors say that it throws, and it knows values. So of an error's words only those are
/// kept that are the engine's own or stand in the template, and of those none that are a part of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What kind of thing went wrong.
    pub kind: Kind,
    words: String,
}

impl Fault {
    /// A fault that needs no more words than its kind has.
    pub fn of(kind: Kind) -> Self {
        Self { kind, words: String::new() }
    }

    /// A fault with the words of the engine, as far as they are fit to show. `values` are what the template saw.
    pub(crate) fn told(kind: Kind, words: &str, template: &str, values: &[SecretBytes]) -> Self {
        let kept = keep_known_words(words, template);
        let known: Vec<&SecretBytes> = values.iter().collect();
        let masked = outside_words(&kept, &known);
        let words = if has_part_of(&masked, values) { String::new() } else { masked };
        Self { kind, words }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.kind.sentence())?;
        if self.words.is_empty() { Ok(()) } else { write!(formatter, ": {}", self.words) }
    }
}

impl std::error::Error for Fault {}

/// The text with an ellipsis for every word that is neither the engine's nor the template's.
fn keep_known_words(text: &str, template: &str) -> String {
    let of_template: HashSet<&str> = words_of(template).collect();
    let mut kept = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|character| is_word(character) != is_word(first)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        let is_known = !is_word(first) || of_template.contains(run) || ENGINE_WORDS.contains(run);
        kept.push_str(if is_known { run } else { "…" });
        rest = after;
    }
    kept
}

/// Every word that this program itself could say: those of the prelude, and those of the engine's messages.
static ENGINE_WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| words_of(PRELUDE).chain(words_of(MESSAGES)).collect());

/// The words of the messages that QuickJS has for mistakes which templates make.
const MESSAGES: &str = "
    TypeError ReferenceError SyntaxError RangeError InternalError URIError EvalError AggregateError Error
    is not defined a an the of to in on for by with as no only must be cannot could can already expected expecting
    not function constructor callable iterable iterator object array string number boolean symbol bigint BigInt
    undefined null NaN Infinity true false read property set delete convert circular reference value values
    invalid unexpected token identifier character end input template literal regexp regular expression flags group
    name capture escape sequence quantifier nothing repeat unterminated string missing after parenthesized argument
    arguments list too many few large long small call stack size exceeded Maximum depth length index out bounds range
    assignment left hand side operand prefix postfix variable const constant read-only initialized uninitialized
    redeclaration duplicate label statement return break continue yield await async generator outside inside loop
    switch class extends super field private getter setter method static import export module dynamic disabled
    prototype extensible configurable writable frozen proxy trap revoked target handler inconsistent own keys
    date time hint primitive radix digits precision between and fraction exponent base division zero negative
    JSON parse bad control position line column data URI malformed sequence lone surrogate well formed UTF
    strict mode octal with eval this new used without operator typed buffer detached offset byte alignment method
    interrupted missing closing opening brace bracket parenthesis comma semicolon colon keyword reserved word
    'null' forbidden empty key type unsupported requires present while waiting returned more than one lexical";

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == '$'
}

fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character| !is_word(character)).filter(|word| !word.is_empty())
}

/// Whether `text` holds eight bytes of a value, as they stand or with nothing but letters and digits in between.
fn has_part_of(text: &str, values: &[SecretBytes]) -> bool {
    let letters: String = text.chars().filter(|character| is_word(*character)).collect();
    let parts: HashSet<&[u8]> =
        text.as_bytes().windows(CHANCE + 1).chain(letters.as_bytes().windows(CHANCE + 1)).collect();
    values.iter().any(|value| value.expose().windows(CHANCE + 1).any(|part| parts.contains(part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(words: &str, template: &str) -> String {
        let values =
            ["hunter2", "s3cr3t pass word", "abc", "undefined is not"].map(|text| SecretBytes::from(text.to_owned()));
        Fault::told(Kind::Runtime, words, template, &values).to_string()
    }

    #[test]
    fn a_fault_keeps_the_words_of_the_engine_and_of_the_template() {
        let check = |words: &str, template: &str, expected: &str| {
            assert_eq!(told(words, template), format!("the template threw an error{expected}"), "{words}");
        };
        check("", "", "");
        check(
            "TypeError: cannot read property 'x' of null",
            "<%= data.x %>",
            ": TypeError: cannot read property 'x' of null",
        );
        check("ReferenceError: db is not defined", "<%= db %>", ": ReferenceError: db is not defined");
        check("Error: no user", "<% throw Error('no user') %>", ": Error: no user");
    }

    #[test]
    fn a_fault_never_holds_a_value_or_a_part_of_one() {
        let check = |words: &str, template: &str, expected: &str| {
            assert_eq!(told(words, template), format!("the template threw an error{expected}"), "{expected}");
        };
        check("hunter2", "<% throw data.x %>", ": …");
        check("TypeError: cannot read property 'hunter2' of null", "", ": TypeError: cannot read property '…' of null");
        check("Error: 2retnuh", "", ": Error: …");
        // Also where the template itself holds it.
        check("Error: hunter2", "'hunter2'", ": Error: [redacted]");
        check("s3cr3t pass w", "'s3cr3t pass w'", "");
        check("s3cr3t, pass, w", "'s3cr3t pass w'", ": s3cr3t, pass, w");
        check("undefined is no", "", "");
    }

    #[test]
    fn every_kind_has_a_number_of_its_own() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of_tag(kind.tag()), kind);
        }
        assert_eq!(Kind::of_tag(200), Kind::Killed);
    }
}

//! Whether an element fits a query's condition.

use super::limits::{Bounded, Run};
use super::path::{Comparison, Query};
use super::value::{Kind, Value, spelled_truth};
use super::{Version, number, wildcard};

/// Whether `subject`, the value of the query's path in an element, fits the query's condition.
pub(super) fn fits(run: &mut Run, query: &Query<'_>, subject: &Value<'_>) -> Bounded<bool> {
    let wanted: &[u8] = &query.value;
    run.charge(wanted.len())?;
    if let Some(word) = wanted.strip_prefix(b"~") {
        return Ok(match run.version {
            Version::V1_14 => compare_truth(query.comparison, subject.truth(), word),
            Version::V1_18 => {
                resembles(word, subject).is_some_and(|answer| compare_truth(query.comparison, answer, b"true"))
            }
        });
    }
    if !subject.exists() {
        return Ok(false);
    }
    if query.comparison == Comparison::Exists {
        return Ok(true);
    }
    match subject.kind {
        Kind::String => compare_text(run, query.comparison, &subject.text(), wanted),
        Kind::Number => Ok(compare_numbers(query.comparison, subject.number(), number::parse_float(wanted))),
        Kind::True => Ok(compare_truth(query.comparison, true, wanted)),
        Kind::False => Ok(compare_truth(query.comparison, false, wanted)),
        Kind::Null | Kind::Json => Ok(false),
    }
}

/// `~true`, `~false`, `~null` and `~*`, as later versions read them; `None` for other words.
fn resembles(word: &[u8], subject: &Value<'_>) -> Option<bool> {
    let spelled = |truth| subject.kind == Kind::String && spelled_truth(&subject.text()) == Some(truth);
    let number = |zero| subject.kind == Kind::Number && (subject.number() == 0.0) == zero;
    match word {
        b"*" => Some(subject.exists()),
        b"null" => Some(subject.kind == Kind::Null),
        b"true" => Some(subject.kind == Kind::True || spelled(true) || number(false)),
        b"false" => Some(matches!(subject.kind, Kind::Null | Kind::False) || spelled(false) || number(true)),
        _ => None,
    }
}

fn compare_text(run: &mut Run, comparison: Comparison, text: &[u8], wanted: &[u8]) -> Bounded<bool> {
    Ok(match comparison {
        Comparison::Equal => text == wanted,
        Comparison::NotEqual => text != wanted,
        Comparison::Less => text < wanted,
        Comparison::LessOrEqual => text <= wanted,
        Comparison::Greater => text > wanted,
        Comparison::GreaterOrEqual => text >= wanted,
        Comparison::Like => wildcard::matches(run, text, wanted)?,
        Comparison::NotLike => !wildcard::matches(run, text, wanted)?,
        Comparison::Exists => true,
        Comparison::Never => false,
    })
}

fn compare_numbers(comparison: Comparison, number: f64, wanted: f64) -> bool {
    match comparison {
        Comparison::Equal => number == wanted,
        Comparison::NotEqual => number != wanted,
        Comparison::Less => number < wanted,
        Comparison::LessOrEqual => number <= wanted,
        Comparison::Greater => number > wanted,
        Comparison::GreaterOrEqual => number >= wanted,
        Comparison::Exists => true,
        Comparison::Like | Comparison::NotLike | Comparison::Never => false,
    }
}

/// False comes before true; only the words `true` and `false` compare.
fn compare_truth(comparison: Comparison, truth: bool, wanted: &[u8]) -> bool {
    let word: &[u8] = if truth { b"true" } else { b"false" };
    match comparison {
        Comparison::Exists => true,
        Comparison::Equal => wanted == word,
        Comparison::NotEqual => wanted != word,
        Comparison::Less => !truth && wanted == b"true",
        Comparison::LessOrEqual => !truth,
        Comparison::Greater => truth && wanted == b"false",
        Comparison::GreaterOrEqual => truth,
        Comparison::Like | Comparison::NotLike | Comparison::Never => false,
    }
}

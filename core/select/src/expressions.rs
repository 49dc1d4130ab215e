//! JSONPath's `match()` and `search()` (RFC 9535, 2.4.6 and 2.4.7), with the regular expressions of RFC 9485.
//!
//! The JSONPath crate's own need Unicode's tables, half a megabyte of them in every program. These know everything but
//! the classes of Unicode (`\p{…}`), which are refused rather than taken to match nothing.

use regex_lite::RegexBuilder;
use serde_json::Value;
use serde_json_path::functions::{LogicalType, ValueType};

/// The most memory that a compiled expression may need, in bytes; one that needs more matches nothing. What a match
/// costs grows with it: repetitions of repetitions (`(a{99}){99}`) end here.
const COMPILED_LIMIT: usize = 64 << 10;

#[serde_json_path::function(name = "match")]
fn match_whole(text: ValueType<'_>, expression: ValueType<'_>) -> LogicalType {
    tried(&text, &expression, |expression| format!("^(?:{expression})$"))
}

#[serde_json_path::function(name = "search")]
fn search_within(text: ValueType<'_>, expression: ValueType<'_>) -> LogicalType {
    tried(&text, &expression, str::to_owned)
}

/// RFC 9535: what is no text, or no regular expression, does not match.
fn tried(text: &ValueType<'_>, expression: &ValueType<'_>, framed: impl Fn(&str) -> String) -> LogicalType {
    let (Some(Value::String(text)), Some(Value::String(expression))) = (text.as_value(), expression.as_value()) else {
        return LogicalType::False;
    };
    // RFC 9485: a dot stands for anything but line feeds and carriage returns. No other flag is wanted.
    let compiled = RegexBuilder::new(&framed(expression)).crlf(true).size_limit(COMPILED_LIMIT).build();
    compiled.is_ok_and(|compiled| compiled.is_match(text)).into()
}

/// Whether `path` names a class of Unicode, such as `\p{Lu}`, in what may be a regular expression.
pub(crate) fn names_unicode_class(path: &str) -> bool {
    path.contains("\\p{") || path.contains("\\P{")
}

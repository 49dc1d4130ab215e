//! Values of parameters: what a policy lists, and whether what a request brings is among it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value as Json;

use super::document::{Node, Value};

/// A parameter's value as a request brings it. It may be a secret, so that it is borrowed, not shown, and looked into
/// only where a rule lists values for it.
#[derive(Clone, Copy)]
pub enum Argument<'a> {
    /// A text: of a query, of a form.
    Text(&'a str),
    /// The JSON text of a member of the body, as it was sent.
    Json(&'a str),
    /// A member of a body that was read already.
    Value(&'a Json),
}

impl fmt::Debug for Argument<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

impl Argument<'_> {
    /// `None` for what is no JSON, or nests deeper than it can be read.
    fn value(self) -> Option<Json> {
        match self {
            Self::Text(text) => Some(Json::String(text.to_owned())),
            Self::Json(text) => serde_json::from_str(text).ok(),
            Self::Value(value) => Some(value.clone()),
        }
    }

    /// The value as a text, where it is one or a number; for `limit`.
    pub(super) fn text(self) -> Option<String> {
        match self.value()? {
            Json::String(text) => Some(text),
            Json::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

/// For each parameter, by its name in small letters, the values of which the rule speaks; none means each of them.
pub(super) type Listed = BTreeMap<String, BTreeSet<Literal>>;

/// The name that stands for every parameter.
pub(super) const EVERY: &str = "*";

/// Both lists in one; a parameter with any value in either has any value in both.
pub(super) fn join(into: &mut Listed, other: Listed) {
    for (name, values) in other {
        match into.get_mut(&name) {
            Some(present) if present.is_empty() || values.is_empty() => present.clear(),
            Some(present) => present.extend(values),
            None => {
                into.insert(name, values);
            }
        }
    }
}

/// Whether the argument is one of `allowed`. What cannot be read is not.
pub(super) fn is_allowed(argument: Argument<'_>, allowed: &BTreeSet<Literal>) -> bool {
    allowed.is_empty() || argument.value().is_some_and(|value| allowed.iter().any(|literal| literal.matches(&value)))
}

/// Whether the argument is one of `denied`, or holds one. What cannot be read is.
pub(super) fn is_denied(argument: Argument<'_>, denied: &BTreeSet<Literal>) -> bool {
    denied.is_empty()
        || argument.value().is_none_or(|value| denied.iter().any(|literal| literal.matches_somehow(&value)))
}

/// A value in a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Literal {
    /// With `*` at its beginning, its end or both, it stands for every text that ends, begins or goes on so.
    Text(String),
    Number(Decimal),
    Truth(bool),
    Null,
    List(Vec<Literal>),
    Map(BTreeMap<String, Literal>),
}

impl Literal {
    /// `None` for a number beyond every use.
    pub(super) fn new(node: &Node) -> Option<Self> {
        Some(match &node.value {
            Value::Text(text) => Self::Text(text.clone()),
            Value::Number(digits) => Self::Number(Decimal::new(digits)?),
            Value::Truth(truth) => Self::Truth(*truth),
            Value::Null => Self::Null,
            Value::List(list) => Self::List(list.iter().map(Self::new).collect::<Option<_>>()?),
            Value::Object(entries) => {
                let members = entries.iter().map(|entry| Some((entry.keys.join("."), Self::new(&entry.node)?)));
                Self::Map(members.collect::<Option<_>>()?)
            }
        })
    }

    fn matches(&self, value: &Json) -> bool {
        match (self, value) {
            (Self::Text(glob), Json::String(text)) => is_globbed(glob, text),
            _ => self.equals(value),
        }
    }

    fn equals(&self, value: &Json) -> bool {
        match (self, value) {
            (Self::Text(own), Json::String(other)) => own == other,
            (Self::Number(own), Json::Number(other)) => Decimal::new(&other.to_string()).as_ref() == Some(own),
            (Self::Truth(own), Json::Bool(other)) => own == other,
            (Self::Null, Json::Null) => true,
            (Self::List(own), Json::Array(other)) => {
                own.len() == other.len() && own.iter().zip(other).all(|(own, other)| own.equals(other))
            }
            (Self::Map(own), Json::Object(other)) => {
                own.len() == other.len()
                    && own.iter().all(|(key, own)| other.get(key).is_some_and(|other| own.equals(other)))
            }
            _ => false,
        }
    }

    /// Like [`Literal::matches`], for what is denied: servers take `"1"` for a number and a list for each of its parts.
    fn matches_somehow(&self, value: &Json) -> bool {
        self.matches(value)
            || match (self, value) {
                (_, Json::Array(parts)) => parts.iter().any(|part| self.matches_somehow(part)),
                (Self::Text(glob), Json::Number(number)) => is_globbed(glob, &number.to_string()),
                (Self::Text(glob), Json::Bool(truth)) => is_globbed(glob, if *truth { "true" } else { "false" }),
                (Self::Number(own), Json::String(text)) => Decimal::new(text.trim()).as_ref() == Some(own),
                (Self::Truth(own), Json::String(text)) => {
                    text.eq_ignore_ascii_case(if *own { "true" } else { "false" })
                }
                _ => false,
            }
    }
}

/// Vault's globs of values: a lone `*` stands for itself.
fn is_globbed(glob: &str, text: &str) -> bool {
    if glob.len() < 2 {
        return glob == text;
    }
    match (glob.strip_prefix('*'), glob.strip_suffix('*')) {
        (Some(after), Some(_)) => text.contains(after.strip_suffix('*').unwrap_or_default()),
        (Some(end), None) => text.ends_with(end),
        (None, Some(beginning)) => text.starts_with(beginning),
        (None, None) => glob == text,
    }
}

/// A number that equals every other way to write it, of any size: `1`, `1.0`, `10e-1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Decimal {
    is_negative: bool,
    /// Without zeros at either end; none for zero.
    digits: String,
    /// The power of ten of the last digit.
    exponent: i64,
}

impl Decimal {
    fn new(text: &str) -> Option<Self> {
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        if whole.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let kept = all.trim_end_matches('0');
        let digits = kept.trim_start_matches('0');
        if digits.is_empty() {
            return Some(Self { is_negative: false, digits: String::new(), exponent: 0 });
        }
        let shift = i64::try_from(all.len() - kept.len()).ok()? - i64::try_from(fraction.len()).ok()?;
        Some(Self { is_negative, digits: digits.to_owned(), exponent: exponent.checked_add(shift)? })
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::read;
    use super::*;

    fn literals(list: &str) -> BTreeSet<Literal> {
        let entries = read(&format!("a = {list}")).unwrap();
        let Value::List(list) = &entries[0].node.value else { panic!("{list} is no list") };
        list.iter().map(|node| Literal::new(node).unwrap()).collect()
    }

    #[test]
    fn values_match_as_openbao_matches_them() {
        let check = |list: &str, json: &str, allowed: bool, denied: bool| {
            let (list, argument) = (literals(list), Argument::Json(json));
            assert_eq!((is_allowed(argument, &list), is_denied(argument, &list)), (allowed, denied), "{list:?} {json}");
        };
        check("[]", "null", true, true);
        check(r#"["a"]"#, r#""a""#, true, true);
        check(r#"["a"]"#, "null", false, false);
        check(r#"["a*"]"#, r#""a""#, true, true);
        check(r#"["a*"]"#, r#""ba""#, false, false);
        check(r#"["*a"]"#, r#""ba""#, true, true);
        check(r#"["*a"]"#, r#""ab""#, false, false);
        check(r#"["*a*"]"#, r#""bab""#, true, true);
        check(r#"["**"]"#, r#""""#, true, true);
        check(r#"["*"]"#, r#""x""#, false, false);
        check(r#"["*"]"#, r#""*""#, true, true);
        check(r#"["a*b"]"#, r#""axb""#, false, false);
        check("[true]", "true", true, true);
        check(r#"[["a", "b"]]"#, r#"["a","b"]"#, true, true);
        check(r#"[["a", "b"]]"#, r#"["b","a"]"#, false, false);
        check(r#"[{"a" = "b"}]"#, r#"{"a":"b"}"#, true, true);
        check(r#"[{"a" = "b"}]"#, r#"{"a":"b","c":1}"#, false, false);
    }

    #[test]
    fn what_is_denied_is_denied_in_every_clothing() {
        let check = |list: &str, json: &str, allowed: bool, denied: bool| {
            let (list, argument) = (literals(list), Argument::Json(json));
            assert_eq!((is_allowed(argument, &list), is_denied(argument, &list)), (allowed, denied), "{list:?} {json}");
        };
        check("[1]", "1", true, true);
        check("[1]", "1.0", true, true);
        check("[1]", "10e-1", true, true);
        check("[1]", r#""1""#, false, true);
        check("[1]", "2", false, false);
        check("[-0]", "0", true, true);
        check("[9007199254740993]", "9007199254740992", false, false);
        check(r#"["1*"]"#, "12", false, true);
        check("[true]", r#""True""#, false, true);
        check(r#"["true"]"#, "true", false, true);
        check(r#"["root"]"#, r#"["default","root"]"#, false, true);
        check(r#"["root"]"#, r#"[["root"]]"#, false, true);
        // What cannot be read is neither allowed nor harmless.
        check(r#"["a"]"#, "nonsense", false, true);
        check(r#"["a"]"#, &"[".repeat(500), false, true);
    }

    #[test]
    fn an_argument_is_not_shown() {
        assert_eq!(format!("{:?}", Argument::Text("hunter2")), "[redacted]");
    }
}

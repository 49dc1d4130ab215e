//! Label selectors in the one-line form of `kubectl -l`, which aws-ssm takes in `K8S_LABEL_SELECTOR`.

use strongroom_failure::{Class, Failure};
use strongroom_policy::{Expression, LabelSelector, SelectorSource};

/// Understands `a=b,c!=d,e in (f,g),h notin (i),j,!k`. The empty text selects everything.
///
/// # Errors
/// `Invalid` where a part of it is none of these.
pub fn selector(text: &str) -> Result<LabelSelector, Failure> {
    let parts = parts(text).into_iter().map(str::trim).filter(|part| !part.is_empty());
    let expressions = parts.map(expression).collect::<Result<Vec<_>, _>>()?;
    LabelSelector::new(&SelectorSource { expressions, ..SelectorSource::default() })
}

/// What stands between commas that are in no parentheses.
fn parts(text: &str) -> Vec<&str> {
    let mut is_inside = false;
    let is_end = |letter: char| {
        is_inside = letter == '(' || (is_inside && letter != ')');
        letter == ',' && !is_inside
    };
    text.split(is_end).collect()
}

fn expression(part: &str) -> Result<Expression, Failure> {
    let (key, operator, values) = if let Some((key, value)) = part.split_once("!=") {
        (key, "NotIn", vec![value])
    } else if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        (key, "In", vec![value])
    } else if let Some((words, values)) = part.strip_suffix(')').and_then(|part| part.split_once('(')) {
        let (key, word) = words.trim().rsplit_once(char::is_whitespace).unwrap_or_default();
        (key, if word == "in" { "In" } else { "NotIn" }, checked(word, values, part)?)
    } else if let Some(key) = part.strip_prefix('!') {
        (key, "DoesNotExist", Vec::new())
    } else {
        (part, "Exists", Vec::new())
    };
    let key = key.trim();
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    if key.is_empty() || !key.bytes().all(is_allowed) {
        return Err(unclear(part));
    }
    let values = values.into_iter().map(|value| value.trim().to_owned()).collect();
    Ok(Expression { key: key.to_owned(), operator: operator.to_owned(), values })
}

fn checked<'a>(word: &str, values: &'a str, part: &str) -> Result<Vec<&'a str>, Failure> {
    if matches!(word, "in" | "notin") { Ok(values.split(',').collect()) } else { Err(unclear(part)) }
}

fn unclear(part: &str) -> Failure {
    Failure::new(Class::Invalid, format!("{part:?} is no condition on a label"))
        .with_hint("write a=b, a!=b, a in (b,c), a notin (b,c), a or !a")
}

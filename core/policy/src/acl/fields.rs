//! The arguments of a block, each by its type.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use strongroom_failure::{Class, Failure, outside_words};

use super::capability::{Capabilities, Capability};
use super::document::{Entry, Node, Value};
use super::parameters::{Listed, Literal};
use super::policy::PROBLEM_LIMIT;
use super::rule::Limits;

/// What a block says.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) capabilities: Capabilities,
    pub(super) limits: Limits,
    pub(super) expires: Option<i64>,
}

/// Words of a policy as they are repeated: in quotes, in one line, bounded.
pub(super) fn shown(words: &str) -> String {
    format!("{:?}", outside_words(words, &[]))
}

/// Reads a block's arguments; `None`, and the mistakes, where there are any.
pub(super) fn body(path: &str, entries: &[Entry], problems: &mut Vec<Failure>) -> Option<Body> {
    let before = problems.len();
    let mut body = Body::default();
    let mut names = HashSet::new();
    for entry in entries {
        if problems.len() >= PROBLEM_LIMIT {
            return None;
        }
        let name = entry.keys.join(" ");
        let result = if names.insert(name.clone()) {
            body.take(&name, &entry.node)
        } else {
            Err("is set twice in this block".to_owned())
        };
        if let Err(words) = result {
            let place = format!("line {}, path {}, {}", entry.line, shown(path), outside_words(&name, &[]));
            problems.push(Failure::new(Class::Invalid, words).in_field(place));
        }
    }
    let Limits { min_wrapping, max_wrapping, .. } = body.limits;
    if min_wrapping.zip(max_wrapping).is_some_and(|(min, max)| max < min) {
        let line = entries.first().map_or(0, |entry| entry.line);
        let place = format!("line {line}, path {}, max_wrapping_ttl", shown(path));
        problems.push(Failure::new(Class::Invalid, "is less than min_wrapping_ttl").in_field(place));
    }
    (problems.len() == before).then_some(body)
}

impl Body {
    fn take(&mut self, name: &str, node: &Node) -> Result<(), String> {
        match name {
            "capabilities" => {
                let words = texts(node)?.into_iter().map(|word| capability(&word));
                self.capabilities = self.capabilities.union(words.collect::<Result<_, _>>()?);
            }
            "policy" => self.capabilities = self.capabilities.union(shorthand(&text(node)?)?),
            "allowed_parameters" => self.limits.allowed = listed(node)?,
            "denied_parameters" => self.limits.denied = listed(node)?,
            "required_parameters" => {
                self.limits.required = texts(node)?.iter().map(|one| one.to_lowercase()).collect();
            }
            "min_wrapping_ttl" => self.limits.min_wrapping = Some(duration(node)?).filter(|time| !time.is_zero()),
            "max_wrapping_ttl" => self.limits.max_wrapping = Some(duration(node)?).filter(|time| !time.is_zero()),
            "pagination_limit" => {
                let wrong = |_| "must be a number of names, from 0".to_owned();
                self.limits.page = Some(text(node)?.parse::<u64>().map_err(wrong)?).filter(|limit| *limit > 0);
            }
            "expiration" => self.expires = Some(time(&text(node)?)?),
            "comment" => drop(text(node)?),
            "mfa_methods" | "control_group" | "list_scan_response_keys_filter_path" => {
                return Err("is not served; without it the path would grant more than its author meant".to_owned());
            }
            _ => {
                let known = "capabilities, policy, allowed_parameters, denied_parameters, required_parameters, \
                             min_wrapping_ttl, max_wrapping_ttl, pagination_limit, expiration and comment";
                return Err(format!("is not known; there are {known}"));
            }
        }
        Ok(())
    }
}

fn capability(word: &str) -> Result<Capability, String> {
    Capability::named(word).ok_or_else(|| {
        let known = Capability::ALL.map(Capability::name).join(", ");
        format!("{} is no capability; there are {known}", shown(word))
    })
}

/// The words of Vault before it had capabilities.
fn shorthand(word: &str) -> Result<Capabilities, String> {
    use Capability::{Create, Delete, Deny, List, Read, Sudo, Update};
    let capabilities: &[Capability] = match word {
        "" => &[],
        "deny" => &[Deny],
        "read" => &[Read, List],
        "write" => &[Create, Read, Update, Delete, List],
        "sudo" => &[Create, Read, Update, Delete, List, Sudo],
        _ => return Err(format!("{} is no policy; there are deny, read, write and sudo", shown(word))),
    };
    Ok(capabilities.iter().copied().collect())
}

/// A text, or the digits of a number.
fn text(node: &Node) -> Result<String, String> {
    match &node.value {
        Value::Text(text) | Value::Number(text) => Ok(text.clone()),
        _ => Err("must be a text".to_owned()),
    }
}

fn texts(node: &Node) -> Result<Vec<String>, String> {
    let Value::List(list) = &node.value else {
        return Err("must be a list of texts: [\"…\", \"…\"]".to_owned());
    };
    list.iter().enumerate().map(|(place, one)| text(one).map_err(|words| format!("[{place}] {words}"))).collect()
}

fn listed(node: &Node) -> Result<Listed, String> {
    let Value::Object(entries) = &node.value else {
        return Err("must be a map of parameters to lists of values: { \"name\" = [\"…\"] }".to_owned());
    };
    let mut listed = Listed::new();
    for entry in entries {
        let name = entry.keys.join(" ");
        let Value::List(values) = &entry.node.value else {
            return Err(format!("{} must be a list of values; an empty one stands for all", shown(&name)));
        };
        let values: Option<BTreeSet<Literal>> = values.iter().map(Literal::new).collect();
        let values = values.ok_or_else(|| format!("{} has a number that is too large", shown(&name)))?;
        if listed.insert(name.to_lowercase(), values).is_some() {
            return Err(format!("{} is there twice; names ignore case", shown(&name)));
        }
    }
    Ok(listed)
}

/// Seconds as a number or digits, or Go's notation with days: `90`, `"90s"`, `"1h30m"`, `"1.5h"`, `"2d"`.
fn duration(node: &Node) -> Result<Duration, String> {
    let wrong = || "must be a number of seconds, or a time such as \"90s\" or \"1h30m\"".to_owned();
    let text = text(node).map_err(|_| wrong())?;
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(Duration::from_secs).map_err(|_| wrong());
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let split = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').ok_or_else(wrong)?;
        let (number, after) = rest.split_at(split);
        let unit = after.find(|letter: char| letter.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return Err(wrong()),
        };
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())?;
        total = total.checked_add(part).ok_or_else(wrong)?;
        rest = after;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(total) }
}

/// A time by RFC 3339, or in seconds since 1970.
fn time(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    let time = text.parse::<Timestamp>();
    time.map(Timestamp::as_second).map_err(|_| "must be a time such as \"2030-01-31T00:00:00Z\"".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_vault_reads_them() {
        let check = |value: Value, expected: Option<f64>| {
            let shown = format!("{value:?}");
            let got = duration(&Node { line: 1, value }).ok().map(|time| time.as_secs_f64());
            assert_eq!(got, expected, "{shown}");
        };
        check(Value::Number("90".to_owned()), Some(90.0));
        for (text, expected) in [
            ("90", Some(90.0)),
            ("1h30m", Some(5400.0)),
            ("1.5h", Some(5400.0)),
            ("2d", Some(172_800.0)),
            ("500ms", Some(0.5)),
            ("0", Some(0.0)),
            ("", None),
            ("h", None),
            ("-5s", None),
            ("5", Some(5.0)),
            ("5x", None),
            ("1s5", None),
            ("99999999999999999999", None),
            ("1.2.3s", None),
        ] {
            check(Value::Text(text.to_owned()), expected);
        }
        check(Value::Number("-5".to_owned()), None);
        check(Value::Truth(true), None);
    }
}

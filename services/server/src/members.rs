//! The members of a request's or an answer's JSON object, which may be secrets.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};
use strongroom_kv::json::wipe;

use crate::exchange::Fault;

/// A JSON object. Texts in it are wiped when it goes; its Debug tells nothing.
#[derive(Clone, Default)]
pub(crate) struct Members(Map<String, Value>);

impl Members {
    /// The first JSON object of a body, as Vault reads it: what stands behind it does not count, and of two members of a
    /// name the last one does. An empty body and null are an empty object.
    ///
    /// # Errors
    /// 400 for anything else; says where it breaks, and quotes nothing.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Fault> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        let first = serde_json::Deserializer::from_slice(body).into_iter::<Option<Map<String, Value>>>().next();
        match first {
            Some(Ok(members)) => Ok(Self(members.unwrap_or_default())),
            Some(Err(error)) => {
                let (line, column) = (error.line(), error.column());
                Err(Fault::invalid(format!("failed to parse JSON input: line {line}, column {column}")))
            }
            None => Ok(Self::default()),
        }
    }

    /// What is in it.
    pub(crate) fn expose(&self) -> &Map<String, Value> {
        &self.0
    }

    /// A member, unless it is absent or null.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Adds a member, or replaces it.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// The same with this member.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.set(name, value);
        self
    }

    /// A text; a number is taken as its digits, as Vault does.
    ///
    /// # Errors
    /// 400 for anything else.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(_) => Err(unfit(name, "a string")),
        }
    }

    /// A text that has to be there and not empty.
    ///
    /// # Errors
    /// 400 where it is not.
    pub(crate) fn required(&self, name: &str) -> Result<String, Fault> {
        let text = self.text(name)?.filter(|text| !text.is_empty());
        text.ok_or_else(|| Fault::invalid(format!("missing {name}")))
    }

    /// A flag: true or false, or a text that says so.
    ///
    /// # Errors
    /// 400 for anything else.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Fault> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::String(text)) => match text.as_str() {
                "true" | "1" | "t" | "T" | "TRUE" | "True" => Ok(Some(true)),
                "false" | "0" | "f" | "F" | "FALSE" | "False" | "" => Ok(Some(false)),
                _ => Err(unfit(name, "a boolean")),
            },
            Some(_) => Err(unfit(name, "a boolean")),
        }
    }

    /// A whole number, or a text of one.
    ///
    /// # Errors
    /// 400 for anything else.
    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, Fault> {
        let Some(text) = self.text(name)?.filter(|text| !text.is_empty()) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| unfit(name, "a whole number"))
    }

    /// A time: seconds as a number or a text, or a text with units (`1h30m`, `2d`).
    ///
    /// # Errors
    /// 400 for anything else.
    pub(crate) fn duration(&self, name: &str) -> Result<Option<Duration>, Fault> {
        let Some(text) = self.text(name)?.filter(|text| !text.is_empty()) else { return Ok(None) };
        duration(&text).map(Some).ok_or_else(|| unfit(name, "a duration: seconds, or a text such as \"1h30m\""))
    }

    /// A list of texts, or one text of them with commas between.
    ///
    /// # Errors
    /// 400 for anything else.
    pub(crate) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, Fault> {
        let unfit = || unfit(name, "a list of strings");
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Ok(Some(items.map(str::to_owned).collect()))
            }
            Some(Value::Array(items)) => {
                let text = |item: &Value| item.as_str().map(str::to_owned).ok_or_else(unfit);
                items.iter().map(text).collect::<Result<_, _>>().map(Some)
            }
            Some(_) => Err(unfit()),
        }
    }
}

/// A time as Vault takes it: seconds, or numbers with units, the longest of which is a day.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let mut whole = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, behind) = rest.split_at(digits);
        let end = behind.find(|letter: char| letter.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(end);
        let unit = match unit {
            "d" => 86_400.0,
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            "us" | "µs" => 0.000_001,
            "ns" => 0.000_000_001,
            _ => return None,
        };
        whole = whole.checked_add(Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit).ok()?)?;
        rest = behind;
    }
    (!text.is_empty()).then_some(whole)
}

fn unfit(name: &str, wanted: &str) -> Fault {
    Fault::invalid(format!("error converting input for field {name:?}: it has to be {wanted}"))
}

impl From<Map<String, Value>> for Members {
    fn from(members: Map<String, Value>) -> Self {
        Self(members)
    }
}

impl FromIterator<(String, Value)> for Members {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(members: I) -> Self {
        Self(members.into_iter().collect())
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        self.0.values_mut().for_each(wipe);
    }
}

impl fmt::Debug for Members {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_vault_reads_them() {
        let check = |text: &str, seconds: Option<f64>| {
            assert_eq!(duration(text).map(|time| time.as_secs_f64()), seconds, "{text}");
        };
        check("60", Some(60.0));
        check("1h30m", Some(5400.0));
        check("2d", Some(172_800.0));
        check("1.5s", Some(1.5));
        check("250ms", Some(0.25));
        check("0", Some(0.0));
        for wrong in ["", "h", "-1s", "1x", "1h-2m", "99999999999999999999d"] {
            check(wrong, None);
        }
    }

    #[test]
    fn of_two_objects_the_first_counts_and_of_two_members_the_last() {
        let members = Members::parse(br#" {"a":1,"a":2} {"a":3}"#).unwrap();
        assert_eq!(members.number("a").unwrap(), Some(2));
        for empty in [b"".as_slice(), b" \n", b"null"] {
            assert!(Members::parse(empty).unwrap().expose().is_empty());
        }
        let fault = Members::parse(br#"{"canary":"#).unwrap_err();
        assert!(!fault.to_string().contains("canary"), "{fault}");
        assert!(Members::parse(b"[]").is_err());
    }

    #[test]
    fn members_are_taken_in_the_forms_that_clients_send() {
        let members = Members::parse(br#"{"n":"5","m":7,"t":"x","f":"true","l":"a, b","k":["c"],"z":null}"#).unwrap();
        assert_eq!((members.number("n").unwrap(), members.number("m").unwrap()), (Some(5), Some(7)));
        assert_eq!((members.flag("f").unwrap(), members.flag("z").unwrap()), (Some(true), None));
        assert_eq!(members.texts("l").unwrap().unwrap(), ["a", "b"]);
        assert_eq!(members.texts("k").unwrap().unwrap(), ["c"]);
        assert!(members.flag("t").is_err() && members.number("t").is_err() && members.texts("m").is_err());
        assert_eq!(format!("{members:?}"), "[redacted]");
    }
}

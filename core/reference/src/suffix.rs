//! `[?query][#property]`: what may follow the form of every syntax, and the rules that hold between its fields.

use std::fmt;

use strongroom_failure::Failure;
use strongroom_secret::Version;

use crate::escape::{QUERY, decode, encode, invalid, refuse_control};
use crate::{Decode, Language, ProviderKind, Reference};

/// A text parted into a syntax's own form and what follows it.
pub(crate) struct Parts<'a> {
    /// What the syntax itself defines.
    pub(crate) form: &'a str,
    /// After the first `?`.
    pub(crate) query: Option<&'a str>,
    /// After the first `#`; it may hold a `?` or another `#`.
    pub(crate) property: Option<&'a str>,
}

impl<'a> Parts<'a> {
    /// Parts `text` at its first `#`, and what precedes that at its first `?`.
    pub(crate) fn of(text: &'a str) -> Self {
        let (front, property) = split_off(text, '#');
        let (form, query) = split_off(front, '?');
        Self { form, query, property }
    }

    /// `reference`, which the form gave, with what the query and the property add to it.
    ///
    /// A property that the form gave is a member's plain name, which the form's module wrote as a GJSON path.
    pub(crate) fn complete(&self, mut reference: Reference) -> Result<Reference, Failure> {
        refuse_control("reference", self.form)?;
        let names_member = reference.property.is_some();
        if let Some(query) = self.query {
            apply_query(&mut reference, query)?;
        }
        if names_member && reference.language != Language::Gjson {
            return Err(invalid(
                "\"select\" is given for a key that is a plain name",
                "leave it out, or write sr://PROVIDER/KEY?select=…#PROPERTY",
            ));
        }
        if let Some(property) = self.property {
            if reference.property.is_some() {
                return Err(invalid("the property is given twice", "keep the one after #, or the one before it"));
            }
            reference.property = Some(decode("property", property)?);
        }
        check_request(&reference)?;
        Ok(reference)
    }
}

/// Splits at the first `mark`; the second part is absent where there is none.
pub(crate) fn split_off(text: &str, mark: char) -> (&str, Option<&str>) {
    match text.split_once(mark) {
        Some((front, rest)) => (front, Some(rest)),
        None => (text, None),
    }
}

/// The fields of a query, in the order in which they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Decode,
    Default,
    Optional,
    Region,
    Request,
    Select,
    Stage,
    Version,
}

impl Field {
    const ALL: [Self; 8] = [
        Self::Decode,
        Self::Default,
        Self::Optional,
        Self::Region,
        Self::Request,
        Self::Select,
        Self::Stage,
        Self::Version,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Default => "default",
            Self::Optional => "optional",
            Self::Region => "region",
            Self::Request => "request",
            Self::Select => "select",
            Self::Stage => "stage",
            Self::Version => "version",
        }
    }

    fn from_name(name: &str) -> Result<Self, Failure> {
        Self::ALL
            .into_iter()
            .find(|field| field.name() == name)
            .ok_or_else(|| invalid(unknown_field(name), format!("use {}", either(Self::ALL.map(Self::name)))))
    }

    /// Puts `value` where it belongs in `reference`.
    fn set(self, reference: &mut Reference, value: Option<&str>) -> Result<(), Failure> {
        if self == Self::Optional {
            if value.is_some() {
                return Err(invalid("\"optional\" has a value", "write ?optional alone, or leave it out"));
            }
            reference.optional = true;
            return Ok(());
        }
        let value = decode(self.name(), value.ok_or_else(|| self.lacks_value())?)?;
        // Only a default may be empty: "deliver nothing" is a wish, an empty region is a slip.
        if value.is_empty() && self != Self::Default {
            return Err(self.lacks_value());
        }
        match self {
            Self::Decode => reference.decode = one_of(self, &value, &Decode::ALL, Decode::name)?,
            Self::Select => reference.language = one_of(self, &value, &Language::ALL, Language::name)?,
            Self::Default => reference.default = Some(value),
            Self::Region => self.fill(&mut reference.region, value)?,
            Self::Request => self.fill(&mut reference.key.request, json_object("request", value)?)?,
            Self::Stage => self.fill(&mut reference.key.version, Version::Stage(value))?,
            Self::Version => self.fill(&mut reference.key.version, Version::Id(value))?,
            Self::Optional => {}
        }
        Ok(())
    }

    /// Sets `place` unless the syntax's own form, or `version` beside `stage`, did so before.
    fn fill<T>(self, place: &mut Option<T>, value: T) -> Result<(), Failure> {
        if place.replace(value).is_none() {
            return Ok(());
        }
        Err(match self {
            Self::Version | Self::Stage => {
                invalid(format!("\"{}\" is a second version", self.name()), "name one version: as version, or as stage")
            }
            _ => invalid(
                format!("\"{}\" is what the rest of the reference says already", self.name()),
                "leave it out of the query",
            ),
        })
    }

    fn lacks_value(self) -> Failure {
        invalid(format!("\"{0}\" has no value", self.name()), format!("write {0}=VALUE, or leave it out", self.name()))
    }
}

/// Reads `name=value&name` into `reference`; each field at most once.
fn apply_query(reference: &mut Reference, query: &str) -> Result<(), Failure> {
    let mut seen = Vec::new();
    for pair in query.split('&') {
        let (name, value) = split_off(pair, '=');
        let field = Field::from_name(name)?;
        if seen.contains(&field) {
            return Err(invalid(format!("\"{}\" is given twice", field.name()), "keep one of them"));
        }
        seen.push(field);
        field.set(reference, value)?;
    }
    Ok(())
}

/// Writes `?field=value&…`, sorted, defaults left out; nothing where all are defaults.
pub(crate) fn write_query(reference: &Reference, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut mark = '?';
    for field in Field::ALL {
        let value = match field {
            Field::Decode => (reference.decode != Decode::default()).then(|| reference.decode.name()),
            Field::Default => reference.default.as_deref(),
            Field::Optional => reference.optional.then_some(""),
            Field::Region => reference.region.as_deref(),
            Field::Request => reference.key.request.as_deref(),
            Field::Select => (reference.language != Language::default()).then(|| reference.language.name()),
            Field::Stage => match &reference.key.version {
                Some(Version::Stage(stage)) => Some(stage.as_str()),
                _ => None,
            },
            Field::Version => match &reference.key.version {
                Some(Version::Id(id)) => Some(id.as_str()),
                _ => None,
            },
        };
        let Some(value) = value else { continue };
        write!(formatter, "{mark}{}", field.name())?;
        if field != Field::Optional {
            write!(formatter, "={}", encode(value, QUERY))?;
        }
        mark = '&';
    }
    Ok(())
}

/// `body` again, if it is a JSON object; it is kept as written, so that equal texts are one call.
pub(crate) fn json_object(part: &str, body: String) -> Result<String, Failure> {
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&body) {
        Ok(_) => Ok(body),
        // The parser's own words quote pieces of the text; its place says enough.
        Err(error) => {
            let place = if error.is_data() {
                String::new()
            } else {
                format!(" (line {}, column {})", error.line(), error.column())
            };
            Err(invalid(
                format!("the {part} is not a JSON object{place}"),
                "write an object such as {\"ttl\":\"1h\"}, or {} to send nothing",
            ))
        }
    }
}

/// A request is a write to Vault, which has no versions; elsewhere it would be lost without a word.
fn check_request(reference: &Reference) -> Result<(), Failure> {
    if reference.key.request.is_none() {
        return Ok(());
    }
    if reference.provider != ProviderKind::Vault {
        return Err(invalid("\"request\" is for vault alone", "leave it out"));
    }
    if reference.key.version.is_some() {
        return Err(invalid(
            "\"request\" stands beside a version",
            "leave the version out: a value that the store makes on request has none",
        ));
    }
    Ok(())
}

fn one_of<T: Copy>(field: Field, value: &str, all: &[T], name: fn(T) -> &'static str) -> Result<T, Failure> {
    all.iter().copied().find(|&candidate| name(candidate) == value).ok_or_else(|| {
        let names = either(all.iter().map(|&candidate| name(candidate)));
        invalid(format!("\"{}\" has a value that is not known", field.name()), format!("use {names}"))
    })
}

/// Repeats a field's name only where it is a plain word: anything else could be a piece of a secret.
fn unknown_field(name: &str) -> String {
    let is_word = (1..=16).contains(&name.len()) && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'-' | b'_'));
    if is_word {
        format!("the query has a field that is not known: \"{name}\"")
    } else {
        "the query has a field that is not known".to_owned()
    }
}

/// `a, b or c`.
pub(crate) fn either<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.into_iter().collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

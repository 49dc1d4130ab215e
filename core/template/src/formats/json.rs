//! JSON as Go's `encoding/json` writes and reads it.

use std::collections::BTreeMap;

use super::{Builder, float, semver, time, utf8};
use crate::limits::{Fault, Meter};
use crate::values::{Datum, Text};

/// How JSON is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Style {
    /// Two spaces for each level, one entry a line.
    pub(crate) is_pretty: bool,
    /// `<`, `>` and `&` as `\u003c` and so on.
    pub(crate) escapes_html: bool,
}

/// Why a value is no JSON.
#[derive(Debug)]
pub(crate) enum Unwritten {
    /// It holds what JSON has no form for: infinities.
    Unsupported,
    /// A limit was reached.
    Fault(Fault),
}

impl From<Fault> for Unwritten {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Writes `datum`.
pub(crate) fn write(builder: &mut Builder<'_>, datum: &Datum, style: Style) -> Result<(), Unwritten> {
    Writer { builder, style, level: 0 }.value(datum)
}

struct Writer<'w, 'm> {
    builder: &'w mut Builder<'m>,
    style: Style,
    level: usize,
}

impl Writer<'_, '_> {
    fn value(&mut self, datum: &Datum) -> Result<(), Unwritten> {
        self.builder.element()?;
        match datum {
            Datum::Nil => self.builder.push("null")?,
            Datum::Bool(value) => self.builder.push(value.to_string())?,
            Datum::Int(value) | Datum::Int64(value) => self.builder.push(value.to_string())?,
            Datum::Byte(value) => self.builder.push(value.to_string())?,
            Datum::Uint64(value) => self.builder.push(value.to_string())?,
            Datum::Float(value) if !value.is_finite() => return Err(Unwritten::Unsupported),
            Datum::Float(value) => self.builder.push(float::json(*value))?,
            Datum::Text(text) => self.text(text.bytes())?,
            Datum::List(list) if list.is_nil => self.builder.push("null")?,
            Datum::List(list) => self.all('[', ']', &list.items, |writer, item| writer.value(item))?,
            Datum::Map(map) => self.all('{', '}', &map.entries(), |writer, (key, value)| writer.entry(key, value))?,
            Datum::Time(moment) => self.text(time::rfc3339(moment).as_bytes())?,
            Datum::Version(version) => self.text(semver::text(version).as_bytes())?,
            Datum::Certificate(pair) => {
                let entries = [
                    (Text::from("Cert"), pair.certificate.clone().into()),
                    (Text::from("Key"), pair.key.clone().into()),
                ];
                self.all('{', '}', &entries, |writer, (key, value)| writer.entry(key, value))?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, key: &Text, value: &Datum) -> Result<(), Unwritten> {
        self.text(key.bytes())?;
        self.builder.push(if self.style.is_pretty { ": " } else { ":" })?;
        self.value(value)
    }

    fn all<T>(
        &mut self,
        open: char,
        close: char,
        items: &[T],
        mut write: impl FnMut(&mut Self, &T) -> Result<(), Unwritten>,
    ) -> Result<(), Unwritten> {
        self.builder.push(open.to_string())?;
        if items.is_empty() {
            return Ok(self.builder.push(close.to_string())?);
        }
        self.builder.enter()?;
        self.level += 1;
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                self.builder.push(",")?;
            }
            self.line()?;
            write(self, item)?;
        }
        self.level -= 1;
        self.builder.leave();
        self.line()?;
        Ok(self.builder.push(close.to_string())?)
    }

    fn line(&mut self) -> Result<(), Fault> {
        if self.style.is_pretty {
            self.builder.push("\n")?;
            self.builder.repeat(b"  ", self.level)?;
        }
        Ok(())
    }

    fn text(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut made = String::with_capacity(bytes.len() + 2);
        made.push('"');
        for rune in utf8::runes(bytes) {
            match rune.letter {
                '"' => made.push_str("\\\""),
                '\\' => made.push_str("\\\\"),
                '\n' => made.push_str("\\n"),
                '\r' => made.push_str("\\r"),
                '\t' => made.push_str("\\t"),
                '\u{8}' => made.push_str("\\b"),
                '\u{c}' => made.push_str("\\f"),
                '<' | '>' | '&' if self.style.escapes_html => made.push_str(&escape(rune.letter)),
                '\u{2028}' | '\u{2029}' => made.push_str(&escape(rune.letter)),
                '\u{fffd}' if !rune.is_valid => made.push_str("\\ufffd"),
                letter if u32::from(letter) < 0x20 => made.push_str(&escape(letter)),
                letter => made.push(letter),
            }
        }
        made.push('"');
        self.builder.push(zeroize::Zeroizing::new(made).as_bytes())
    }
}

fn escape(letter: char) -> String {
    format!("\\u{:04x}", u32::from(letter))
}

/// Reads JSON; `None` where it is none. Numbers are floats, as Go reads them into anything.
pub(crate) fn read(meter: &mut Meter, bytes: &[u8]) -> Result<Option<Datum>, Fault> {
    // Each of these signs begins an element, which takes more memory than the sign.
    meter.step(bytes.iter().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count())?;
    let text = zeroize::Zeroizing::new(String::from_utf8_lossy(bytes).into_owned());
    Ok(serde_json::from_str::<serde_json::Value>(&text).ok().and_then(datum))
}

/// `None` for a number that is no float.
fn datum(value: serde_json::Value) -> Option<Datum> {
    Some(match value {
        serde_json::Value::Null => Datum::Nil,
        serde_json::Value::Bool(value) => Datum::Bool(value),
        serde_json::Value::Number(number) => {
            Datum::Float(number.as_str().parse().ok().filter(|value: &f64| value.is_finite())?)
        }
        serde_json::Value::String(text) => Datum::text(text),
        serde_json::Value::Array(items) => Datum::list(items.into_iter().map(datum).collect::<Option<Vec<_>>>()?),
        serde_json::Value::Object(entries) => {
            let entry = |(key, value): (String, _)| Some((Text::from(key), datum(value)?));
            Datum::map(entries.into_iter().map(entry).collect::<Option<BTreeMap<_, _>>>()?)
        }
    })
}

//! What Kamus' init container makes of decrypted values, to the letter (KA-07): it took each for JSON where it is JSON, as
//! JavaScript reads and writes it, and wrote all of them in one of a few formats.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value as Json;
use strongroom_secret::SecretBytes;

/// No text becomes longer than this many times itself when it is written as JSON: a control character has one byte, and
/// six where it is escaped; a number such as `1e20` becomes five times as long.
const LONGEST_GROWTH: usize = 6;

/// From where on JavaScript writes whole numbers with an exponent, and until where small ones without.
const LONGEST_WHOLE: i32 = 21;
const MOST_LEADING_ZEROS: i32 = -6;

/// Formats, by the names that `--output-format` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object.
    Json,
    /// Lines `KEY=VALUE`.
    Cfg,
    /// Lines `KEY="VALUE"`, without quotes around what is no string.
    CfgStrict,
    /// A file for each key.
    Files,
    /// A template of the user's own, EJS.
    Custom,
}

impl Format {
    /// The format of this name, in whatever case; JSON where there is none, as in Kamus.
    pub fn of(name: &str) -> Self {
        let named = [Self::Cfg, Self::CfgStrict, Self::Files, Self::Custom];
        named.into_iter().find(|format| format.name().eq_ignore_ascii_case(name)).unwrap_or(Self::Json)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Cfg => "cfg",
            Self::CfgStrict => "cfg-strict",
            Self::Files => "files",
            Self::Custom => "custom",
        }
    }
}

/// A decrypted value, as JavaScript would take it.
#[derive(Clone)]
pub struct Value {
    json: SecretBytes,
    text: SecretBytes,
    /// What was answered, where that is no string.
    answered: Option<SecretBytes>,
}

impl Value {
    /// Takes what a decryptor answered: JSON where it is JSON, or else a string. `None` where it is no UTF-8, which the
    /// original spoiled.
    pub fn read(answer: &SecretBytes) -> Option<Self> {
        let text = answer.expose_text()?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let value = match serde_json::from_str::<Json>(text) {
            Ok(Json::String(string)) => return Some(Self::string(&string)),
            Ok(value) => value,
            Err(_) => return Some(Self::string(text)),
        };
        let mut json = String::with_capacity(text.len() * LONGEST_GROWTH);
        write_json(&mut json, &value);
        // Alone, and not inside of JSON, a number may be infinite.
        let shown = float(&value).map_or_else(|| json.clone(), written);
        let answered = Some(SecretBytes::new(text.as_bytes().to_vec()));
        Some(Self { json: SecretBytes::from(json), text: SecretBytes::from(shown), answered })
    }

    fn string(text: &str) -> Self {
        let mut json = String::with_capacity(text.len() * LONGEST_GROWTH + 2);
        write_string(&mut json, text);
        let text = SecretBytes::new(text.as_bytes().to_vec());
        Self { json: SecretBytes::from(json), text, answered: None }
    }

    /// The value as a file of its own holds it: a string as it is, everything else as JavaScript writes it.
    pub fn text(&self) -> &SecretBytes {
        &self.text
    }

    /// JSON of which JavaScript makes the value that it made of the answer. Where JavaScript writes the value as JSON,
    /// that may be another text: an infinite number is null there.
    pub fn document(&self) -> &SecretBytes {
        self.answered.as_ref().unwrap_or(&self.json)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[redacted]")
    }
}

/// Decrypted values by their keys, in the order in which JavaScript keeps the members of an object.
#[derive(Clone, Debug, Default)]
pub struct Values(Vec<(String, Value)>);

impl Values {
    /// Adds a value; one that is there under its key is replaced, and keeps its place.
    pub fn insert(&mut self, key: String, value: Value) {
        match self.0.iter_mut().find(|(there, _)| *there == key) {
            Some((_, there)) => *there = value,
            None => self.0.push((key, value)),
        }
    }

    /// Keys and values in the order in which the keys came: JavaScript orders them itself.
    pub fn in_order_of_insertion(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Keys and values in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        ordered(self.0.iter().map(|(key, value)| (key.as_str(), value))).into_iter()
    }

    /// The one file that holds all of them, in JSON or as lines; `None` for the formats that are no such file.
    pub fn file(&self, format: Format) -> Option<SecretBytes> {
        match format {
            Format::Json => Some(self.json()),
            Format::Cfg => Some(self.lines(false)),
            Format::CfgStrict => Some(self.lines(true)),
            Format::Files | Format::Custom => None,
        }
    }

    fn json(&self) -> SecretBytes {
        let mut pieces: Vec<Cow<'_, [u8]>> = vec![b"{ \n"[..].into()];
        for (place, (key, value)) in self.iter().enumerate() {
            let before = if place == 0 { "    \"" } else { ",\n    \"" };
            pieces.extend([before.as_bytes().into(), escaped_key(key).into_bytes().into(), b"\":"[..].into()]);
            pieces.push(value.json.expose().into());
        }
        let end: &[u8] = if self.0.is_empty() { b"}" } else { b"\n}" };
        pieces.push(end.into());
        SecretBytes::new(pieces.concat())
    }

    fn lines(&self, is_strict: bool) -> SecretBytes {
        let mut pieces: Vec<&[u8]> = Vec::new();
        for (key, value) in self.iter() {
            let quote: &[u8] = if is_strict && value.answered.is_none() { b"\"" } else { b"" };
            pieces.extend([key.as_bytes(), b"=", quote, value.text.expose(), quote, b"\n"]);
        }
        SecretBytes::new(pieces.concat())
    }
}

/// Members as JavaScript has them: those with an index for a name first, by their numbers.
fn ordered<'a, T>(members: impl Iterator<Item = (&'a str, T)>) -> Vec<(&'a str, T)> {
    let mut members: Vec<(&str, T)> = members.collect();
    members.sort_by_key(|(key, _)| index(key).unwrap_or(u32::MAX));
    members
}

/// An index of an array as JavaScript knows it: a whole number below 2^32 - 1, written as it would write it.
fn index(key: &str) -> Option<u32> {
    key.parse().ok().filter(|number: &u32| *number != u32::MAX && number.to_string() == key)
}

/// EJS makes a key fit for HTML; so that it is fit for JSON too, what JSON escapes is escaped here.
fn escaped_key(key: &str) -> String {
    let mut html = String::with_capacity(key.len());
    for character in key.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&#34;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    let mut json = String::with_capacity(html.len() + 2);
    write_string(&mut json, &html);
    json[1..json.len() - 1].to_owned()
}

/// As `JSON.stringify`.
fn write_json(out: &mut String, value: &Json) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Json::Number(_) => match float(value).filter(|number| number.is_finite()) {
            Some(number) => out.push_str(&written(number)),
            None => out.push_str("null"),
        },
        Json::String(text) => write_string(out, text),
        Json::Array(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                out.push_str(if place == 0 { "" } else { "," });
                write_json(out, item);
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            let members = ordered(members.iter().map(|(key, value)| (key.as_str(), value)));
            for (place, (key, value)) in members.into_iter().enumerate() {
                out.push_str(if place == 0 { "" } else { "," });
                write_string(out, key);
                out.push(':');
                write_json(out, value);
            }
            out.push('}');
        }
    }
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Numbers are doubles in JavaScript, whatever was written.
fn float(value: &Json) -> Option<f64> {
    if let Json::Number(number) = value { number.to_string().parse().ok() } else { None }
}

/// As JavaScript's `Number.prototype.toString`: the fewest digits that give the number back.
fn written(number: f64) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    let sign = if number < 0.0 { "-" } else { "" };
    if number.is_infinite() {
        return format!("{sign}Infinity");
    }
    let shortest = format!("{:e}", number.abs());
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let digits = mantissa.replace('.', "");
    // Where the point is: so many places behind the first digit's front.
    let point = exponent.parse::<i32>().unwrap_or_default() + 1;
    let length = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or_default());
    let at = usize::try_from(point).unwrap_or_default();
    if (length..=LONGEST_WHOLE).contains(&point) {
        format!("{sign}{digits}{}", zeros(point - length))
    } else if (1..=LONGEST_WHOLE).contains(&point) {
        format!("{sign}{}.{}", &digits[..at], &digits[at..])
    } else if point > MOST_LEADING_ZEROS && point <= 0 {
        format!("{sign}0.{}{digits}", zeros(-point))
    } else {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        let plus = if point > 0 { "+" } else { "" };
        format!("{sign}{first}{dot}{rest}e{plus}{}", point - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(answer: &str) -> Value {
        Value::read(&SecretBytes::from(answer.to_owned())).unwrap()
    }

    fn values(entries: &[(&str, &str)]) -> Values {
        let mut values = Values::default();
        for (key, answer) in entries {
            values.insert((*key).to_owned(), value(answer));
        }
        values
    }

    fn file(format: &str, entries: &[(&str, &str)]) -> String {
        let file = values(entries).file(Format::of(format)).unwrap();
        file.expose_text().unwrap().to_owned()
    }

    /// The original's own example.
    const EXAMPLE: &[(&str, &str)] = &[
        ("key-newlines.json", r#"{"secret_key": "secret_value\nsecret_value"}"#),
        ("key.json", r#"{"secret_key": "secret_value"}"#),
        ("key1", "super-secret-from-value"),
        ("key2", "super-secret"),
    ];

    #[test]
    fn ka_07_files_are_those_of_the_original_byte_for_byte() {
        let json = "{ \n    \"key-newlines.json\":{\"secret_key\":\"secret_value\\nsecret_value\"},\n    \"key.json\":{\"secret_key\":\"secret_value\"},\n    \"key1\":\"super-secret-from-value\",\n    \"key2\":\"super-secret\"\n}";
        let cfg = "key-newlines.json={\"secret_key\":\"secret_value\\nsecret_value\"}\nkey.json={\"secret_key\":\"secret_value\"}\nkey1=super-secret-from-value\nkey2=super-secret\n";
        let strict = cfg.replace("=super-secret-from-value", "=\"super-secret-from-value\"");
        let strict = strict.replace("=super-secret\n", "=\"super-secret\"\n");
        for (format, expected) in [("json", json), ("cfg", cfg), ("cfg-strict", &strict)] {
            assert_eq!(file(format, EXAMPLE), expected, "{format}");
            assert_eq!(file(&format.to_uppercase(), EXAMPLE), expected, "{format}");
        }
        assert_eq!(file("anything else", EXAMPLE), json);
        assert_eq!((file("json", &[]), file("cfg", &[])), ("{ \n}".to_owned(), String::new()));
        assert!(values(EXAMPLE).file(Format::of("Files")).is_none());
    }

    #[test]
    fn ka_07_values_are_json_where_they_are_json_as_javascript_reads_and_writes_it() {
        // The answer, the value in JSON, the value in a file of its own.
        let check = |answer: &str, json: &str, text: &str| {
            let got = value(answer);
            assert_eq!(got.json.expose_text(), Some(json), "{answer}");
            assert_eq!(got.text.expose_text(), Some(text), "{answer}");
            let again = value(got.document().expose_text().unwrap());
            assert_eq!((again.json.expose(), again.text.expose()), (json.as_bytes(), text.as_bytes()), "{answer}");
        };
        let same = |answer: &str, both: &str| check(answer, both, both);
        same("123", "123");
        same(" 1.0\n", "1");
        same("-0", "0");
        same("12345678901234567890", "12345678901234567000");
        check("1e400", "null", "Infinity");
        check("-1e400", "null", "-Infinity");
        same("[1e400]", "[null]");
        same("1e21", "1e+21");
        same("123456789012345678901", "123456789012345680000");
        same("1.5e300", "1.5e+300");
        same("0.000001", "0.000001");
        same("0.0000001", "1e-7");
        same("-0.00000123", "-0.00000123");
        same("1.25", "1.25");
        same("-120.50", "-120.5");
        same("5e-324", "5e-324");
        same("true", "true");
        same("null", "null");
        same("{ \"b\" : [ 1.0, {} ] }", "{\"b\":[1,{}]}");
        same(r#"{"2":0,"10":0,"-1":0,"01":0,"a":0,"1":0}"#, r#"{"1":0,"2":0,"10":0,"-1":0,"01":0,"a":0}"#);
        same(r#"{"a":1,"b":2,"a":3}"#, r#"{"a":3,"b":2}"#);
        same(r#"{"__proto__":1}"#, r#"{"__proto__":1}"#);
        same("{\"a\":\"\\u0001\\u2028\\/\u{7f}\"}", "{\"a\":\"\\u0001\u{2028}/\u{7f}\"}");
        check("\"quoted\"", "\"quoted\"", "quoted");
        check("\u{feff}plain", "\"plain\"", "plain");
        check("\u{feff}7", "7", "7");
        check("two\nlines \"\\", "\"two\\nlines \\\"\\\\\"", "two\nlines \"\\");
        check("", "\"\"", "");
        check("{\"a\":1", "\"{\\\"a\\\":1\"", "{\"a\":1");
        check("0x10", "\"0x10\"", "0x10");
        check("NaN", "\"NaN\"", "NaN");
        assert!(Value::read(&SecretBytes::new(vec![0xff])).is_none());
        assert!(!format!("{:?}", value("canary")).contains("canary"));
    }

    #[test]
    fn ka_07_keys_are_in_javascripts_order_and_none_is_lost() {
        let entries = [("a", "1"), ("10", "1"), ("-1", "1"), ("2", "1"), ("01", "1"), ("__proto__", "1"), ("a", "2")];
        let values = values(&entries);
        let keys: Vec<&str> = values.iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["2", "10", "a", "-1", "01", "__proto__"]);
        assert!(file("cfg", &entries).contains("\na=2\n"));
        assert_eq!(file("json", &[("a<b>&'\"\\", "x")]), "{ \n    \"a&lt;b&gt;&amp;&#39;&#34;\\\\\":\"x\"\n}");
        assert_eq!(
            file("cfg-strict", &[("a", "say \"x\""), ("b", "7"), ("c", "null")]),
            "a=\"say \"x\"\"\nb=7\nc=null\n"
        );
    }
}

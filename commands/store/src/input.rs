//! Values on their way into a store: from files and from standard input, never from the command line, which everybody on
//! the machine can read.

use std::fmt;
use std::io::{IsTerminal as _, Read as _};
use std::path::Path;

use serde::de::{Deserialize as _, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use strongroom_deliver_env::{Entry, parse_env_file};
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

use crate::terminal;

/// The most bytes that are read: an export of thousands of secrets.
const LARGEST: u64 = 256 << 20;

fn invalid(words: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words.into())
}

/// The text of a file, or of standard input for `-`.
pub(crate) fn text(path: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let read = match path {
        "-" => std::io::stdin().take(LARGEST).read_to_string(&mut text),
        path => std::fs::File::open(path).and_then(|file| file.take(LARGEST).read_to_string(&mut text)),
    };
    read.map_err(|error| invalid(format!("cannot read {path}: {error}")))?;
    if text.len() as u64 == LARGEST {
        return Err(invalid(format!("{path} has more than {LARGEST} bytes")));
    }
    Ok(text)
}

/// `KEY=-` and `KEY=@FILE`, each a key and a text without its last line end.
pub(crate) fn entries(words: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut entries = Map::new();
    for word in words {
        let (key, source) = word.split_once('=').unwrap_or((word, ""));
        if key.is_empty() {
            return Err(invalid("an entry is KEY=- or KEY=@FILE"));
        }
        let path = match source.strip_prefix('@') {
            Some(path) => path,
            None if source == "-" => "-",
            None => {
                let words = format!("{key}: a value on the command line can be read by everybody on the machine");
                let hint = format!("write {key}=- for standard input, {key}=@FILE, or --json and --env");
                return Err(invalid(words).with_hint(hint));
            }
        };
        let text = text(path)?;
        let value = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
        entries.insert(key.to_owned(), value.into());
    }
    Ok(entries)
}

/// The members of a JSON object.
pub(crate) fn json(path: &str) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(&text(path)?).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        invalid(format!("{path} holds no JSON object (line {line}, column {column})"))
    })
}

/// The members of a YAML object. Whatever is written without quotes and is not exactly a number, a truth value or null of
/// JSON is the text that it is: `0x1F`, `1_000`, `on`.
pub(crate) fn yaml(path: &str) -> Result<Map<String, Value>, Failure> {
    yaml_text(path, &text(path)?)
}

/// The members of a YAML object in a text; `path` is where it comes from.
pub(crate) fn yaml_text(path: &str, text: &str) -> Result<Map<String, Value>, Failure> {
    let failed = |error: &serde_saphyr::Error| {
        let place = error.location().map(|at| format!(" (line {}, column {})", at.line(), at.column()));
        invalid(format!("{path} holds no YAML object{}", place.unwrap_or_default()))
    };
    let options = || serde_saphyr::options! { strict_booleans: true };
    let mut read: Value = serde_saphyr::from_str_with_options(text, options()).map_err(|error| failed(&error))?;
    // Read again with the form known: what a scalar is called is told then, which the first reading makes a number of.
    let exact = serde_saphyr::with_deserializer_from_str_with_options(text, options(), |deserializer| {
        Exact(&mut read).deserialize(deserializer)
    });
    exact.map_err(|error| failed(&error))?;
    match read {
        Value::Object(members) => Ok(members),
        _ => Err(invalid(format!("{path} holds no YAML object"))),
    }
}

/// Goes through a document whose form is known and puts scalars right.
struct Exact<'a>(&'a mut Value);

impl<'de> DeserializeSeed<'de> for Exact<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.0 {
            Value::Object(_) => deserializer.deserialize_map(self),
            Value::Array(_) => deserializer.deserialize_seq(self),
            Value::Number(_) | Value::Bool(_) => {
                let written = String::deserialize(deserializer)?;
                let exact = serde_json::from_str::<Value>(&written).ok();
                let exact = exact.filter(|value| value.is_number() || value.is_boolean());
                *self.0 = exact.unwrap_or(Value::String(written));
                Ok(())
            }
            Value::String(_) | Value::Null => IgnoredAny::deserialize(deserializer).map(drop),
        }
    }
}

impl<'de> Visitor<'de> for Exact<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the same as before")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(key) = entries.next_key::<String>()? {
            match self.0.get_mut(&key) {
                Some(value) => entries.next_value_seed(Exact(value))?,
                None => drop(entries.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        for item in self.0.as_array_mut().into_iter().flatten() {
            items.next_element_seed(Exact(item))?;
        }
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// The entries of a `.env` file: `NAME=value` lines, with quotes around values where they are.
pub(crate) fn env(path: &str) -> Result<Map<String, Value>, Failure> {
    env_text(path, text(path)?.as_bytes())
}

/// The entries of a file of variables; `path` is where they come from.
pub(crate) fn env_text(path: &str, text: &[u8]) -> Result<Map<String, Value>, Failure> {
    let entries = parse_env_file(text).map_err(|failure| failure.in_field(path))?;
    let split = |entry: &Entry| {
        let text = String::from_utf8_lossy(entry.expose());
        let (name, value) = text.split_once('=').unwrap_or((&text, ""));
        (name.to_owned(), Value::from(value))
    };
    Ok(entries.iter().map(split).collect())
}

/// A secret that a command needs: from a file, from standard input for `-`, else asked for at the terminal, or from
/// standard input where there is none. Without its last line end.
///
/// # Errors
/// Where it cannot be read, or is empty.
pub(crate) fn secret(file: Option<&str>, what: &str) -> Result<SecretBytes, Failure> {
    let secret = match file {
        None if std::io::stdin().is_terminal() => terminal::hidden(what)?,
        file => {
            let text = text(file.unwrap_or("-"))?;
            SecretBytes::from(text.trim_end_matches(['\n', '\r']).to_owned())
        }
    };
    match secret.is_empty() {
        true => Err(invalid(format!("the {what} is empty"))),
        false => Ok(secret),
    }
}

/// Whether a file exists, so that a mistake is told before anything is asked of the store.
pub(crate) fn exists(path: &str) -> bool {
    path == "-" || Path::new(path).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_from_files_and_not_from_the_command_line() {
        let folder = std::env::temp_dir().join(format!("strongroom-input-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.join(name);
            let mut file = std::fs::File::create(&path).unwrap();
            std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
            path.display().to_string()
        };
        let value = file("value", "s3cret\n");
        let read = entries(&[format!("password=@{value}")]).unwrap();
        assert_eq!(read["password"], "s3cret");
        let failure = entries(&["password=s3cret".to_owned()]).unwrap_err();
        assert!(!failure.to_string().contains("s3cret") && failure.hint.unwrap().contains("password=-"));
        let read = env(&file("env", "# all\nexport A=\"b c\"\nD='e'\nF=g=h\n\n")).unwrap();
        assert_eq!(Value::Object(read), serde_json::json!({"A": "b c", "D": "e", "F": "g=h"}));
        assert!(json(&file("list", "[1]")).is_err());
        let text =
            "a/b: {port: 5432, mask: 0x1F, word: on, much: 1_000, exact: 1.50, is: true, none: ~, list: [07, x]}\n";
        let read = yaml(&file("yaml", text)).unwrap();
        let expected = r#"{"a/b": {"port": 5432, "mask": "0x1F", "word": "on", "much": "1_000", "exact": 1.50, "is": true,
                           "none": null, "list": ["07", "x"]}}"#;
        assert_eq!(Value::Object(read), serde_json::from_str::<Value>(expected).unwrap());
        let failure = yaml(&file("wrong", "a: {b: s3cret, b: s3cret}")).unwrap_err();
        assert!(!failure.to_string().contains("s3cret") && failure.to_string().contains("line 1"), "{failure}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

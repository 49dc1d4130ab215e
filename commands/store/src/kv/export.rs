//! `strongroom kv export`.

use clap::Args;
use serde_json::Value;
use strongroom_failure::{Class, Failure};

use super::Format;
use super::store::{Data, Latest, Store};
use crate::api::Ending;
use crate::terminal::{Progress, harmless, note, say, shows};

/// Print secrets with their values, for a backup or another store
#[derive(Args)]
#[command(
    after_help = "Prints the latest versions as they are, in clear: keep the file as you keep the secrets. kv import \
                        takes it back.\n\n\
                        json and yaml are an object of paths, each with its data; env is NAME=value lines of one \
                        secret.\n\n\
                        Exit status: 0 all is well, 1 something is wrong, 2 wrong usage, 4 there is no such secret\n\n\
                        Examples:\n  \
                        (umask 077; strongroom kv export team-a/ > team-a.json)\n  \
                        strongroom kv export app --format env > .env\n  \
                        strongroom kv export / | age -r age1… > all.json.age"
)]
pub(super) struct Export {
    /// A secret and all below it, or with a slash at its end a folder: / for all
    prefix: String,
    /// How to write them
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
    /// Show values on a terminal, too
    #[arg(long)]
    reveal: bool,
}

impl Export {
    pub(super) fn run(&self, store: &Store<'_>) -> Result<Ending, Failure> {
        if shows() && !self.reveal {
            return Err(Failure::new(Class::Invalid, "an export holds values, and this is a terminal")
                .with_hint("redirect it into a file, or give --reveal"));
        }
        let secrets = read(store, &self.prefix)?;
        let text = match self.format {
            Format::Json => format!("{:#}\n", Value::Object(secrets)),
            Format::Yaml => yaml(&secrets),
            Format::Env => env(&secrets)?,
        };
        say(&text)?;
        Ok(Ending::Well)
    }
}

/// All secrets at a path and below it, by their paths.
///
/// # Errors
/// Where there are none, or one may not be read.
pub(super) fn read(store: &Store<'_>, prefix: &str) -> Result<Data, Failure> {
    let has_versions = store.has_versions()?;
    let paths = store.paths(prefix, has_versions)?;
    let mut progress = Progress::new("reading", Some(paths.len()));
    let mut secrets = Data::new();
    for path in paths {
        match store.latest(&path, has_versions)? {
            Latest::There { data, .. } => drop(secrets.insert(path, data.into())),
            Latest::Gone { version } => {
                note(&format!("{}: version {version} is deleted; it is left out", harmless(&path)));
            }
            // It is a folder alone, or went away since it was listed.
            Latest::Absent => {}
        }
        progress.step();
    }
    if secrets.is_empty() {
        return Err(
            Failure::new(Class::NotFound, "there is no secret there").in_field(format!("{}/{prefix}", store.mount()))
        );
    }
    Ok(secrets)
}

/// YAML of which every scalar is JSON, which YAML 1.2 holds in itself: nothing is guessed when it is read.
fn yaml(secrets: &Data) -> String {
    let mut text = String::new();
    for (path, data) in secrets {
        let data = data.as_object().filter(|data| !data.is_empty());
        text.push_str(&format!("{}:{}\n", Value::from(path.as_str()), if data.is_some() { "" } else { " {}" }));
        for (key, value) in data.into_iter().flatten() {
            text.push_str(&format!("  {}: {value}\n", Value::from(key.as_str())));
        }
    }
    text
}

/// `NAME=value` lines that shells, `strongroom run --env-file` and `kv import` read alike.
fn env(secrets: &Data) -> Result<String, Failure> {
    let wrong = |words: String| {
        Failure::new(Class::Invalid, words).with_hint("export it with --format json, which holds everything")
    };
    let mut all = secrets.iter();
    let (Some((path, data)), None) = (all.next(), all.next()) else {
        return Err(wrong(format!("there are {} secrets, and a file of variables holds one", secrets.len())));
    };
    let mut text = String::new();
    for (name, value) in data.as_object().into_iter().flatten() {
        let is_letter = |(place, letter): (usize, char)| {
            letter == '_' || letter.is_ascii_alphabetic() || (place > 0 && letter.is_ascii_digit())
        };
        if name.is_empty() || !name.chars().enumerate().all(is_letter) {
            return Err(wrong(format!("{path}: {name:?} cannot be the name of a variable")));
        }
        let quoted = quoted(&super::shown(value));
        let quoted =
            quoted.ok_or_else(|| wrong(format!("{path}: the value of {name} cannot be quoted for a shell")))?;
        text.push_str(&format!("{name}={quoted}\n"));
    }
    Ok(text)
}

/// A value in quotes that mean the same to shells and to us; nothing where there are none.
fn quoted(value: &str) -> Option<String> {
    if value.contains(|letter: char| letter.is_control() && !matches!(letter, '\n' | '\t')) {
        return None;
    }
    if !value.contains('\'') {
        return Some(format!("'{value}'"));
    }
    // We know no escape for what a shell would carry out.
    if value.contains('`') {
        return None;
    }
    Some(format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::input;

    fn object(value: Value) -> Data {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn yaml_is_read_as_it_was_written() {
        let secrets = object(json!({
            "a/b": {"text": "x\n\"y\" # no: comment", "number": 5432, "no": "no", "n": null, "digits": "0123", "~": "é\u{7}"},
            "c": {},
            "on": {"deep": {"list": [1, "2", {"x": true}]}, "large": 12345678901234567890123_f64},
        }));
        assert_eq!(input::yaml_text("a", &yaml(&secrets)).unwrap(), secrets);
        let exact: Data = serde_json::from_str(r#"{"a": {"n": 1.50, "m": 123456789012345678901234567890}}"#).unwrap();
        assert_eq!(input::yaml_text("a", &yaml(&exact)).unwrap(), exact);
    }

    #[test]
    fn variables_are_read_as_they_were_written() {
        for value in ["", "plain", "two words", "it's", "a\nb", "$HOME \"x\" \\n", "it's $x \"y\" \\", "# x", "é"] {
            let text = env(&object(json!({"app": {"A": value, "B": 5}}))).unwrap();
            let read = input::env_text("a", text.as_bytes()).unwrap();
            assert_eq!(Value::Object(read), json!({"A": value, "B": "5"}));
            let shell = std::process::Command::new("sh").args(["-c", &format!("{text}printf %s \"$A\"")]).output();
            assert_eq!(String::from_utf8(shell.unwrap().stdout).unwrap(), value);
        }
        for wrong in [json!({"a": {"A": "'`x`"}}), json!({"a": {"A-B": "x"}}), json!({"a": {"A": "\u{7}"}})] {
            assert!(env(&object(wrong)).unwrap_err().hint.unwrap().contains("json"));
        }
        assert!(env(&object(json!({"a": {}, "b": {}}))).is_err());
    }
}

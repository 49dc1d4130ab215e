//! Values on their way into a store: from files and from standard input, never from the command line, which everybody on
//! the machine can read.

use std::io::Read as _;
use std::path::Path;

use serde_json::{Map, Value};
use strongroom_failure::{Class, Failure};

/// The most bytes that are read: what a store takes, and some.
const LARGEST: u64 = 4 << 20;

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

/// The entries of a `.env` file: `NAME=value` lines, with quotes around values where they are.
pub(crate) fn env(path: &str) -> Result<Map<String, Value>, Failure> {
    let text = text(path)?;
    let mut entries = Map::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let entry = line.strip_prefix("export ").unwrap_or(line).split_once('=');
        let (name, value) = entry.ok_or_else(|| invalid(format!("{path}:{}: no NAME=value", number + 1)))?;
        entries.insert(name.trim().to_owned(), unquoted(value.trim()).into());
    }
    Ok(entries)
}

fn unquoted(value: &str) -> &str {
    let within = |quote: char| value.strip_prefix(quote).and_then(|value| value.strip_suffix(quote));
    within('"').or_else(|| within('\'')).unwrap_or(value)
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
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

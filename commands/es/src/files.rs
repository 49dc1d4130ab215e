use std::io::stdin;
use std::path::{Path, PathBuf};

use serde_json::Value;
use strongroom_failure::{Class, Failure};
use strongroom_read::{read_bounded, read_file};

/// The largest file. A cluster takes objects of 1.5 MiB; this is a file of many.
const LARGEST: usize = 64 * 1024 * 1024;

/// One object of a file.
pub(crate) struct Document {
    /// Where it is, for people: `stores.yaml, document 2 (line 14)`.
    pub(crate) place: String,
    /// The object, or why it could not be read.
    pub(crate) object: Result<Value, Failure>,
}

/// All objects of a file, `-` being standard input; empty documents are left out, lists opened.
///
/// # Errors
/// Where the file cannot be read, or is no text.
pub(crate) fn documents(path: &Path) -> Result<Vec<Document>, Failure> {
    let is_input = path.as_os_str() == "-";
    let name = if is_input { "standard input".to_owned() } else { path.display().to_string() };
    let invalid = |words: String| Failure::new(Class::Invalid, words).in_field(&name);
    let content = if is_input {
        let read = read_bounded(stdin().lock(), 0, LARGEST);
        let read = read.map_err(|error| invalid(format!("cannot be read: {error}")))?;
        read.ok_or_else(|| invalid(format!("is larger than {LARGEST} bytes")))?
    } else {
        read_file(path, LARGEST)?
    };
    let text = content.expose_text().ok_or_else(|| invalid("is no UTF-8".to_owned()))?;
    Ok(split(text).into_iter().flat_map(|(place, line, text)| read(&name, place, line, text)).collect())
}

/// The documents of a YAML text, each with its number and the number of its first line. A line that begins with `---`
/// ends a document wherever it stands, also in a text.
fn split(text: &str) -> Vec<(usize, usize, &str)> {
    let mut documents = Vec::new();
    let (mut start, mut first_line, mut offset) = (0, 1, 0);
    let is_border = |line: &str| {
        line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
    };
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if is_border(line) {
            documents.push((first_line, &text[start..offset]));
            (start, first_line) = (offset, number + 1);
        }
        offset += line.len();
    }
    documents.push((first_line, &text[start..]));
    let filled = documents.into_iter().filter(|(_, text)| has_content(text));
    filled.enumerate().map(|(index, (line, text))| (index + 1, line, text)).collect()
}

fn has_content(text: &str) -> bool {
    text.lines()
        .map(|line| line.trim_start_matches("---").trim())
        .any(|line| !line.is_empty() && !line.starts_with('#'))
}

fn read(name: &str, number: usize, line: usize, text: &str) -> Vec<Document> {
    let place = format!("{name}, document {number} (line {line})");
    let object = serde_saphyr::from_str::<Value>(text).map_err(|error| {
        // The parser's words may quote the file: only the place is told.
        let at = error.location().map(|at| {
            let inside = usize::try_from(at.line()).unwrap_or(1);
            format!(": line {}, column {}", line + inside - 1, at.column())
        });
        Failure::new(Class::Invalid, format!("this is no YAML{}", at.unwrap_or_default()))
            .with_hint("look for a wrong indentation, a missing quote, or a key that is there twice")
    });
    match object {
        Ok(Value::Object(mut list)) if list.get("kind").and_then(Value::as_str).is_some_and(|kind| kind == "List") => {
            let Some(Value::Array(items)) = list.remove("items") else { return Vec::new() };
            let item = |(index, object)| Document { place: format!("{place}, items[{index}]"), object: Ok(object) };
            items.into_iter().enumerate().map(item).collect()
        }
        object => vec![Document { place, object }],
    }
}

/// The files that were named.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct FileOptions {
    /// YAML files; - is standard input
    #[arg(short, long = "filename", value_name = "FILES", required = true, num_args = 1..)]
    pub(crate) files: Vec<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_split_and_counted_as_people_count_them() {
        let text = "# comment\n---\na: 1\n---\n\n--- # nothing\n---\nb: |\n  text\n  ---no border\nc: 2\n";
        let split: Vec<_> = split(text).into_iter().map(|(number, line, _)| (number, line)).collect();
        assert_eq!(split, [(1, 2), (2, 7)]);
    }

    #[test]
    fn what_is_no_yaml_is_placed_and_not_quoted() {
        let documents = read("f", 2, 10, "---\na: 'canary\nb: 1\n");
        let failure = documents[0].object.as_ref().unwrap_err();
        assert!(failure.words.starts_with("this is no YAML: line 1"), "{failure}");
        assert!(!failure.to_string().contains("canary"));
    }

    #[test]
    fn lists_are_opened() {
        let documents = read("f", 1, 1, "kind: List\nitems: [{kind: A}, {kind: B}]");
        let places: Vec<_> = documents.iter().map(|document| document.place.as_str()).collect();
        assert_eq!(places, ["f, document 1 (line 1), items[0]", "f, document 1 (line 1), items[1]"]);
    }
}

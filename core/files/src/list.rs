//! From a YAML list to files.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::budget::BudgetBreach;
use strongroom_failure::Failure;
use strongroom_reference::Reference;

use crate::{
    Content, DEFAULT_MODE, File, LARGEST_LIST, MOST_FILES, MOST_VALUES, Owner, invalid, parse_mode, path, render,
};

/// One entry as it is written. Scalars are texts as they stand: `mode: 0440` is octal, quoted or not.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    path: String,
    from: Option<String>,
    values: Option<BTreeMap<String, String>>,
    template: Option<String>,
    mode: Option<String>,
    owner: Option<String>,
}

/// Reads a YAML list of files. The empty list `[]` is one; an empty text is a mistake.
///
/// # Errors
/// One [`Class::Invalid`](strongroom_failure::Class::Invalid) failure for the first that is wrong. Its field is the
/// entry's (`files[2].path`), or `files` with a line and a column where the text itself is wrong. It repeats no text of
/// the list but names of values and places.
pub fn parse(text: &str) -> Result<Vec<File>, Failure> {
    let about = |failure: Failure| failure.in_field("files");
    if text.len() > LARGEST_LIST {
        let words = format!("the list has {} bytes, and {LARGEST_LIST} are allowed", text.len());
        return Err(about(invalid(words)));
    }
    // Anchors could make a hundred copies of a text that is long already.
    let options = serde_saphyr::options! { budget: serde_saphyr::budget! { max_anchors: 0, max_aliases: 0 } };
    let entries: Option<Vec<Entry>> =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| about(invalid(explain(&error))))?;
    // More often a variable that was never set than a wish.
    let entries = entries.ok_or_else(|| about(invalid("nothing is listed: write [] where no file is wanted")))?;
    if entries.len() > MOST_FILES {
        return Err(about(invalid(format!("these are {} files, and {MOST_FILES} are allowed", entries.len()))));
    }
    let mut files = Vec::with_capacity(entries.len());
    for (place, entry) in entries.into_iter().enumerate() {
        let file = entry.check(&files).map_err(|(member, failure)| {
            let dot = if member.is_empty() { "" } else { "." };
            failure.in_field(format!("files[{place}]{dot}{member}"))
        })?;
        files.push(file);
    }
    Ok(files)
}

/// Adds a file of one value to `files`, as a flag says it: `PATH[@MODE[,USER[:GROUP]]]=REFERENCE`.
///
/// # Errors
/// As [`parse`], with the path as the field; nothing has been added then.
pub fn add(files: &mut Vec<File>, text: &str) -> Result<(), Failure> {
    let (target, from) = text.split_once('=').ok_or_else(|| invalid("expected PATH=REFERENCE"))?;
    if files.len() >= MOST_FILES {
        return Err(invalid(format!("more than {MOST_FILES} files are wanted")));
    }
    // Paths may hold an '@'; only one that is followed by digits starts a mode.
    let marked = target.rsplit_once('@').filter(|(_, mode)| mode.starts_with(|first: char| first.is_ascii_digit()));
    let (path, mode) = marked.map_or((target, None), |(path, mode)| (path, Some(mode)));
    let (mode, owner) = match mode.map(|mode| mode.split_once(',').ok_or(mode)) {
        None => (None, None),
        Some(Ok((mode, owner))) => (Some(mode.to_owned()), Some(owner.to_owned())),
        Some(Err(mode)) => (Some(mode.to_owned()), None),
    };
    let path = path.to_owned();
    let entry = Entry { path: path.clone(), from: Some(from.to_owned()), values: None, template: None, mode, owner };
    let file = entry.check(files).map_err(|(_, failure)| failure.in_field(path))?;
    files.push(file);
    Ok(())
}

/// A failure and the member of the entry that it is about; no member where it is about the whole entry.
type At = (String, Failure);

fn at(member: &str) -> impl FnOnce(Failure) -> At {
    let member = member.to_owned();
    |failure| (member, failure)
}

impl Entry {
    fn check(self, earlier: &[File]) -> Result<File, At> {
        path::check(&self.path).and_then(|()| path::check_beside(&self.path, earlier)).map_err(at("path"))?;
        let mode = self.mode.as_deref().map_or(Ok(DEFAULT_MODE), parse_mode).map_err(at("mode"))?;
        let owner = self.owner.as_deref().map(str::parse::<Owner>).transpose().map_err(at("owner"))?;
        self.template.as_deref().map_or(Ok(()), render::check).map_err(at("template"))?;
        let content = content(self.from, self.values, self.template)?;
        Ok(File { path: self.path, mode, owner, content })
    }
}

fn content(
    from: Option<String>,
    values: Option<BTreeMap<String, String>>,
    template: Option<String>,
) -> Result<Content, At> {
    let whole = |words: &str| Err((String::new(), invalid(words)));
    match (from, values, template) {
        (Some(from), None, template) => {
            let from = Box::new(strongroom_reference::parse(&from).map_err(at("from"))?);
            Ok(Content::One { from, template })
        }
        (None, Some(values), Some(template)) => {
            let values = named(values)?;
            Ok(Content::Several { values, template })
        }
        (Some(_), Some(_), _) => whole("has both from and values: put all references into values"),
        (None, Some(_), None) => whole("has values and no template that says where they go"),
        (None, None, _) => whole("needs from: REFERENCE, or values and a template"),
    }
}

fn named(values: BTreeMap<String, String>) -> Result<Vec<(String, Reference)>, At> {
    if values.is_empty() || values.len() > MOST_VALUES {
        let words = format!("has {} values: a template takes 1 to {MOST_VALUES}", values.len());
        return Err(at("values")(invalid(words)));
    }
    let one = |(name, text): (String, String)| {
        if !is_name(&name) {
            // Not repeated: a reference could stand in its place.
            let words =
                "a value's name is letters, digits and _, and begins with no digit, so that {{ .NAME }} finds it";
            return Err(at("values")(invalid(words)));
        }
        match strongroom_reference::parse(&text) {
            Ok(reference) => Ok((name, reference)),
            Err(failure) => Err(at(&format!("values.{name}"))(failure)),
        }
    };
    values.into_iter().map(one).collect()
}

/// Whether a template can write it behind a dot. Names are short, which keeps failures so.
fn is_name(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    plain && text.len() <= 64 && text.starts_with(|first: char| !first.is_ascii_digit())
}

/// Where and why, in words that the parser or our own types chose: any scalar of the list may be a secret that stands
/// in the wrong place.
fn explain(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error;
    let place = error.location().map(|at| format!("line {}, column {}: ", at.line(), at.column())).unwrap_or_default();
    let words = match error.without_snippet() {
        Error::SerdeUnknownField { expected, .. } => {
            format!("an unknown key, expected one of {}", expected.join(", "))
        }
        Error::SerdeMissingField { field, .. } => format!("the key \"{field}\" is missing"),
        Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => {
            format!("expected {expected}")
        }
        Error::Unexpected { expected, .. } => format!("expected {expected}"),
        Error::DuplicateMappingKey { .. } => "a key that is there twice".to_owned(),
        Error::Budget { breach: BudgetBreach::Anchors { .. } | BudgetBreach::Aliases { .. }, .. } => {
            "anchors and aliases are not allowed".to_owned()
        }
        _ => "this is no YAML list of files, or a value that does not fit".to_owned(),
    };
    place + &words
}

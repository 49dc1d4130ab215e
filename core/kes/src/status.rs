//! The words of an object's status, which people and boards read.

use strongroom_failure::Failure;

/// What stands in `status.status` after a synchronisation that ended well.
pub const SUCCESS: &str = "SUCCESS";

/// What a status begins with after one that failed.
pub const ERROR: &str = "ERROR, ";

/// `ERROR, ` and the causes, in one line without runs of blanks, as KES writes it (KE-13).
pub fn error(causes: &[Failure]) -> String {
    let words: Vec<String> = causes.iter().map(told).collect();
    format!("{ERROR}{}", one_line(&words.join("; ")))
}

/// A failure's words without its class: KES's texts are searched for by people and tests.
fn told(failure: &Failure) -> String {
    let key = failure.subject.key.as_ref().filter(|key| !failure.words.contains(key.as_str()));
    let field = failure.subject.field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default();
    let key = key.map(|key| format!(" (key {key})")).unwrap_or_default();
    let store = failure.subject.store.as_ref().filter(|store| !failure.words.contains(store.as_str()));
    let store = store.map(|store| format!(" from {store}")).unwrap_or_default();
    let hint = failure.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("{field}{}{key}{store}{hint}", failure.words)
}

/// `text` without the ends of its lines; a tab is a blank, and of a run of blanks one is left.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' => {}
            ' ' | '\t' if line.ends_with(' ') => {}
            ' ' | '\t' => line.push(' '),
            other => line.push(other),
        }
    }
    line.trim().to_owned()
}

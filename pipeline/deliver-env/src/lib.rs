//! The environment as a door: which variables are references, and what the child's environment becomes.
//!
//! A front and a back of the pipeline in one crate, because both speak of the same list of entries. Pure: entries come
//! in as bytes and go out as bytes; nothing here asks a store or the process's own environment.
//!
//! Invariant: an entry that is not a reference reaches the child byte for byte.

#![forbid(unsafe_code)]

mod entry;
mod env_file;
mod expand;
mod protected;

use strongroom_failure::{Class, Failure};
use strongroom_reference::{Reference, detect};
use strongroom_secret::SecretBytes;

pub use crate::entry::{Entry, LONGEST_ENTRY, last_wins};
pub use crate::env_file::{LARGEST_ENV_FILE, parse_env_file};
pub use crate::expand::expands;
pub use crate::protected::is_protected;

/// A variable whose value is a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Place of the entry in the list that was given.
    pub place: usize,
    /// The variable's name.
    pub name: String,
    /// Where its value lives.
    pub reference: Reference,
}

/// Finds the references among `entries`, and the entries that look like one but are malformed; variables named in
/// `kept` are ordinary whatever they hold.
///
/// # Errors
/// One [`Class::Invalid`] failure for each malformed reference, with the variable as its field.
pub fn find(entries: &[Entry], kept: &[String]) -> Result<Vec<Wanted>, Vec<Failure>> {
    let mut wanted = Vec::new();
    let mut failures = Vec::new();
    for (place, entry) in entries.iter().enumerate() {
        let Some((name, value)) = entry.lossy() else { continue };
        if kept.contains(&name) {
            continue;
        }
        match (entry.is_text(), detect(&value)) {
            (_, None) => {}
            (false, Some(_)) => failures.push(invalid("looks like a reference and is not UTF-8").in_field(name)),
            (true, Some(Ok(reference))) => wanted.push(Wanted { place, name, reference }),
            (true, Some(Err(failure))) => failures.push(failure.in_field(name)),
        }
    }
    if failures.is_empty() { Ok(wanted) } else { Err(failures) }
}

/// What one reference came to.
#[derive(Clone, Debug)]
pub enum Resolved {
    /// The value for the variable.
    Value(SecretBytes),
    /// An optional reference to something that does not exist: the variable is left out.
    Absent,
}

/// The child's environment, and what its owner should know about it.
#[derive(Debug, Default)]
pub struct Environment {
    /// `NAME=value` entries, each name once and in the order of its first; entries without `=` keep their place.
    pub entries: Vec<Entry>,
    /// Variables that a secret's keys asked for and did not get, in words without values.
    pub warnings: Vec<String>,
}

/// Puts the resolved values in the place of their references.
///
/// A whole JSON object from a store of objects becomes one variable a member ([`expands`]); the variable that held the
/// reference goes. Where a name is given more than once the last entry wins, and a variable that was written in the
/// environment wins over a member of a secret. Members never set a variable that changes how programs load
/// ([`is_protected`]) unless it is in `allowed`.
///
/// # Errors
/// One [`Class::Invalid`] failure for each value that an environment cannot hold: a NUL, bytes that are not UTF-8, more
/// than [`LONGEST_ENTRY`].
pub fn deliver(
    entries: Vec<Entry>,
    resolved: Vec<(Wanted, Resolved)>,
    allowed: &[String],
) -> Result<Environment, Vec<Failure>> {
    let mut slots: Vec<Option<Entry>> = entries.into_iter().map(Some).collect();
    let mut members = Vec::new();
    let mut failures = Vec::new();
    for (wanted, resolved) in resolved {
        slots[wanted.place] = None;
        let Resolved::Value(value) = resolved else { continue };
        match expand::members(&wanted.reference, &value) {
            Some(expanded) => {
                members.extend(expanded.into_iter().map(|(name, value)| (wanted.name.clone(), name, value)))
            }
            None => match Entry::from_value(&wanted.name, &value) {
                Ok(entry) => slots[wanted.place] = Some(entry),
                Err(failure) => failures.push(failure.in_field(&wanted.name)),
            },
        }
    }
    let mut environment = Environment { entries: last_wins(slots.into_iter().flatten()), warnings: Vec::new() };
    failures.extend(add_members(&mut environment, members, allowed));
    if failures.is_empty() { Ok(environment) } else { Err(failures) }
}

/// Adds the members of expanded secrets, each as (variable that held the reference, name, value).
fn add_members(
    environment: &mut Environment,
    members: Vec<(String, String, SecretBytes)>,
    allowed: &[String],
) -> Vec<Failure> {
    let written: std::collections::HashSet<String> =
        environment.entries.iter().filter_map(|entry| entry.name().map(str::to_owned)).collect();
    let mut failures = Vec::new();
    let mut added = Vec::new();
    for (variable, name, value) in members {
        if is_protected(&name) && !allowed.contains(&name) {
            let words = format!(
                "{variable}: the secret's key \"{name}\" changes how programs run and was not set; allow it with --allow-env {name}"
            );
            environment.warnings.push(words);
        } else if written.contains(&name) {
            environment
                .warnings
                .push(format!("{variable}: the secret's key \"{name}\" gives way to the variable of that name"));
        } else {
            match Entry::from_value(&name, &value) {
                Ok(entry) => added.push(entry),
                Err(failure) => failures.push(failure.in_field(format!("{variable} (key \"{name}\")"))),
            }
        }
    }
    environment.entries.extend(last_wins(added.into_iter()));
    failures
}

fn invalid(words: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words)
}

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
mod fill;
mod protected;

use std::collections::{HashMap, HashSet};

use strongroom_failure::{Class, Failure};
use strongroom_reference::{Composition, Reference, Syntax};
use strongroom_secret::SecretBytes;

pub use crate::entry::{Entry, LONGEST_ENTRY, last_wins};
pub use crate::env_file::{LARGEST_ENV_FILE, parse_env_file};
pub use crate::expand::expands;
pub use crate::fill::fill;
pub use crate::protected::is_protected;

/// A variable whose value is a reference, or holds some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Place of the entry in the list that was given.
    pub place: usize,
    /// The variable's name.
    pub name: String,
    /// Where its value lives, or parts of it.
    pub value: Composition,
    /// Whose way of writing it is.
    pub syntax: Syntax,
    /// Whether its owner is told when it is left out, because no reference of it asked for that.
    pub tells_missing: bool,
}

impl Wanted {
    /// Leaves the variable out, and tells so, where a key or property of it does not exist.
    pub fn leave_out_if_missing(&mut self) {
        self.tells_missing |= self.value.references().any(|reference| !reference.optional);
        self.value.references_mut().for_each(|reference| reference.optional = true);
    }

    /// Whether each member of the secret may become a variable ([`expands`]).
    pub fn expands(&self) -> bool {
        matches!(&self.value, Composition::Whole(reference) if expands(reference))
    }
}

/// A secret whose keys all become variables, whatever their kind, without a variable that holds its reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    /// Who wants that, in people's words: `VAULT_FROM_PATH`.
    pub origin: String,
    /// Where the secret lives.
    pub reference: Reference,
    /// Whether its owner is told when it is left out, because the reference did not ask for that.
    pub tells_missing: bool,
}

impl Spread {
    /// Leaves the secret's keys out, and tells so, where it does not exist.
    pub fn leave_out_if_missing(&mut self) {
        self.tells_missing |= !self.reference.optional;
        self.reference.optional = true;
    }

    fn label(&self) -> String {
        format!("{} ({})", self.origin, self.reference.key.name)
    }
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
        let Some(syntax) = Syntax::of(&value) else { continue };
        match (entry.is_text(), syntax.compose(&value)) {
            (false, _) => failures.push(invalid("looks like a reference and is not UTF-8").in_field(name)),
            (true, Ok(value)) => wanted.push(Wanted { place, name, value, syntax, tells_missing: false }),
            (true, Err(failure)) => failures.push(failure.in_field(name)),
        }
    }
    if failures.is_empty() { Ok(wanted) } else { Err(failures) }
}

/// What a variable, or a secret that is spread, came to.
#[derive(Clone, Debug)]
pub enum Resolved {
    /// The value for the variable.
    Value(SecretBytes),
    /// It, or a part of it, is optional and does not exist: it is left out.
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

/// Puts the resolved values in the place of their references, and adds the keys of secrets that are spread.
///
/// A whole JSON object from a store of objects becomes one variable a member ([`expands`]); the variable that held the
/// reference goes. Where a name is given more than once the last entry wins, and a variable that was written in the
/// environment wins over a member of a secret: who wrote it saw the name, and who wrote the secret did not see where
/// it goes. Of two secrets the later wins. Members never set a variable that changes how programs load
/// ([`is_protected`]) unless it is in `allowed`.
///
/// # Errors
/// One [`Class::Invalid`] failure for each value that an environment cannot hold: a NUL, bytes that are not UTF-8, more
/// than [`LONGEST_ENTRY`]; and for each secret that is spread and is no object of plain values.
pub fn deliver(
    entries: Vec<Entry>,
    resolved: Vec<(Wanted, Resolved)>,
    spread: Vec<(Spread, Resolved)>,
    allowed: &[String],
) -> Result<Environment, Vec<Failure>> {
    let mut slots: Vec<Option<Entry>> = entries.into_iter().map(Some).collect();
    let mut members = Members::default();
    let mut failures = Vec::new();
    let mut warnings = Vec::new();
    for (wanted, resolved) in resolved {
        slots[wanted.place] = None;
        let Resolved::Value(value) = resolved else {
            warnings.extend(wanted.tells_missing.then(|| missing(&wanted.name, wanted.value.references())));
            continue;
        };
        match expand::members(&wanted, &value) {
            Some(expanded) => members.extend(&wanted.name, expanded),
            None => match Entry::from_value(&wanted.name, &value) {
                Ok(entry) => slots[wanted.place] = Some(entry),
                Err(failure) => failures.push(failure.in_field(&wanted.name)),
            },
        }
    }
    for (spread, resolved) in spread {
        match resolved {
            Resolved::Value(value) => match expand::all_members(&value) {
                Ok(expanded) => members.extend(&spread.label(), expanded),
                Err(failure) => failures.push(failure.in_field(spread.label())),
            },
            Resolved::Absent => {
                warnings.extend(spread.tells_missing.then(|| missing(&spread.origin, [&spread.reference])));
            }
        }
    }
    let mut environment = Environment { entries: last_wins(slots.into_iter().flatten()), warnings };
    failures.extend(add_members(&mut environment, members, allowed));
    if failures.is_empty() { Ok(environment) } else { Err(failures) }
}

/// Tells that something is left out.
fn missing<'a>(name: &str, references: impl IntoIterator<Item = &'a Reference>) -> String {
    // As they were written: it was not the reference that made them optional.
    let written = |reference: &Reference| Reference { optional: false, ..reference.clone() }.to_string();
    let keys: Vec<_> = references.into_iter().map(written).collect();
    match keys.as_slice() {
        [one] => format!("{name}: {one} does not exist and is left out"),
        several => format!("{name}: one of {} does not exist and the variable is left out", several.join(", ")),
    }
}

/// The members of secrets, each as (who wants it, name, value).
#[derive(Default)]
struct Members(Vec<(String, String, SecretBytes)>);

impl Members {
    fn extend(&mut self, origin: &str, expanded: Vec<(String, SecretBytes)>) {
        self.0.extend(expanded.into_iter().map(|(name, value)| (origin.to_owned(), name, value)));
    }
}

/// Adds the members of expanded secrets.
fn add_members(environment: &mut Environment, members: Members, allowed: &[String]) -> Vec<Failure> {
    let written: HashSet<String> =
        environment.entries.iter().filter_map(|entry| entry.name().map(str::to_owned)).collect();
    let mut failures = Vec::new();
    let mut added = Vec::new();
    let mut origins: HashMap<String, String> = HashMap::new();
    for (origin, name, value) in members.0 {
        let key = format!("{origin}: the secret's key \"{name}\"");
        if is_protected(&name) && !allowed.contains(&name) {
            environment.warnings.push(format!(
                "{key} changes how programs run and was not set; allow it with --allow-env {name}, or write {name} as \
                 a variable with a reference of its own"
            ));
            continue;
        }
        if written.contains(&name) {
            environment.warnings.push(format!("{key} gives way to the variable of that name"));
            continue;
        }
        if let Some(earlier) = origins.insert(name.clone(), origin) {
            environment.warnings.push(format!("{key} takes the place of that of {earlier}"));
        }
        match Entry::from_value(&name, &value) {
            Ok(entry) => added.push(entry),
            Err(failure) => failures.push(failure.in_field(key)),
        }
    }
    environment.entries.extend(last_wins(added.into_iter()));
    failures
}

fn invalid(words: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words)
}

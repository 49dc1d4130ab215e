//! What many writes would change, told before any of them: and each writes only over what the plan saw.

use std::collections::BTreeMap;

use strongroom_failure::{Class, Failure};
use strongroom_read::{Audience, report};

use super::diff::Difference;
use super::store::{Data, Latest, Store};
use crate::terminal::{Progress, harmless};

/// What a store says where somebody has written meanwhile.
const MISMATCH: &str = "check-and-set parameter did not match";

/// Secrets to be written, each with what stands there now.
pub(super) struct Plan {
    steps: Vec<Step>,
}

struct Step {
    path: String,
    data: Data,
    deed: Deed,
    /// The version that is written over; 0 where there is none.
    seen: u64,
}

enum Deed {
    Create,
    Change(Difference),
    Same,
}

impl Plan {
    /// Looks at what is there.
    ///
    /// # Errors
    /// Where one of them may not be read.
    pub(super) fn of(store: &Store<'_>, wanted: BTreeMap<String, Data>) -> Result<Self, Failure> {
        let mut progress = Progress::new("comparing", Some(wanted.len()));
        let mut steps = Vec::new();
        for (path, data) in wanted {
            let (deed, seen) = match store.latest(&path, true)? {
                Latest::Absent => (Deed::Create, 0),
                Latest::Gone { version } => (Deed::Create, version),
                Latest::There { version, data: there } => {
                    let difference = Difference::between(&there, &data);
                    (if difference.is_none() { Deed::Same } else { Deed::Change(difference) }, version)
                }
            };
            steps.push(Step { path, data, deed, seen });
            progress.step();
        }
        Ok(Self { steps })
    }

    /// How many secrets would be written.
    pub(super) fn writes(&self) -> usize {
        self.steps.iter().filter(|step| !matches!(step.deed, Deed::Same)).count()
    }

    /// The plan for people: a line for each path, with numbers of keys and never a value.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let (mut created, mut changed, mut same) = (0, 0, 0);
        for step in &self.steps {
            let path = harmless(&step.path);
            text.push_str(&match &step.deed {
                Deed::Create => {
                    created += 1;
                    format!("create  {path}  ({})\n", counted(step.data.len(), "key"))
                }
                Deed::Change(Difference { added, removed, changed: others }) => {
                    changed += 1;
                    let counts = [(added.len(), "added"), (removed.len(), "removed"), (others.len(), "changed")];
                    let told = counts.iter().filter(|(count, _)| *count > 0);
                    let told: Vec<String> = told.map(|(count, word)| format!("{count} {word}")).collect();
                    format!("change  {path}  (over version {}: {})\n", step.seen, told.join(", "))
                }
                Deed::Same => {
                    same += 1;
                    format!("same    {path}\n")
                }
            });
        }
        text + &format!("{created} to create, {changed} to change, {same} the same\n")
    }

    /// Writes what is not the same yet, and tells each version by `told`.
    ///
    /// # Errors
    /// Where some were not written, each of which was reported by then; what concerns the store as a whole at once.
    pub(super) fn carry_out(
        self,
        store: &Store<'_>,
        told: impl Fn(&str, u64) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let writes = self.writes();
        let mut progress = Progress::new("writing", Some(writes));
        let mut failed = 0;
        for step in self.steps.iter().filter(|step| !matches!(step.deed, Deed::Same)) {
            match store.write(&step.path, &step.data, Some(step.seen)) {
                Ok(version) => told(&step.path, version)?,
                Err(failure) if is_about_store(&failure) => return Err(failure),
                Err(failure) => {
                    failed += 1;
                    report(Audience::Person, "", &[explained(failure)]);
                }
            }
            progress.step();
        }
        match failed {
            0 => Ok(()),
            failed => Err(Failure::new(Class::Invalid, format!("{failed} of {writes} secrets were not written"))
                .with_hint("do it again: what is written by now is then the same")),
        }
    }
}

/// Whether a failure is about the store, and not about one secret.
fn is_about_store(failure: &Failure) -> bool {
    failure.class.can_retry() || failure.class == Class::Unauthenticated
}

fn explained(failure: Failure) -> Failure {
    match failure.words.contains(MISMATCH) {
        true => Failure {
            words: "somebody has written it since the plan was made; it was left alone".to_owned(),
            ..failure
        },
        false => failure,
    }
}

/// `1 key`, `2 keys`.
pub(super) fn counted(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

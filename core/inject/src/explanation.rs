//! What was done to each container and why, for people.

use std::fmt::Write as _;

use serde_json::Value;
use strongroom_reference::ProviderKind;

use crate::found::SourceKind;

/// The longest text of the annotation, in bytes: all annotations of an object share 256 KiB, and every list of pods
/// carries them.
pub const ANNOTATION_LIMIT: usize = 2048;

/// The longest text of an event, in bytes: what Kubernetes takes as an event's note.
pub const EVENT_LIMIT: usize = 1024;

/// The most causes that are kept for one container: whoever wants to know why sees it from the first few.
pub const CAUSES_LIMIT: usize = 12;

/// What was done to a pod. It names variables and kinds of stores, and never shows a value or a reference.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// Why no container's environment is touched, where that holds for the whole pod.
    pub opt_out: Option<String>,
    /// One for each container, init containers first; ephemeral ones are never looked at.
    pub notes: Vec<Note>,
}

/// What was done to one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The container's name.
    pub container: String,
    /// What happens to its environment.
    pub outcome: Outcome,
    /// The paths at which it finds secrets as files.
    pub files: Vec<String>,
    /// Whether it did not find all of them there before.
    pub has_new_files: bool,
}

/// What happens to a container's environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is wrapped now.
    Wrapped {
        /// Why: one cause at least, [`CAUSES_LIMIT`] at most.
        causes: Vec<Cause>,
        /// How many causes there are besides.
        more: usize,
    },
    /// An earlier plan has wrapped it.
    WrappedBefore,
    /// It is one that we inject.
    Ours,
    /// Nothing.
    Untouched,
}

/// Why a container is wrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A variable's value is a reference.
    Variable {
        /// The variable's name, prefix and all.
        name: String,
        /// The kind of store; `None` where the reference is malformed.
        provider: Option<ProviderKind>,
    },
    /// Variables come from something that could not be looked into.
    Unseen {
        /// ConfigMap or Secret.
        kind: SourceKind,
        /// Its name.
        name: String,
    },
    /// `strongroom.dev/inject` says so.
    Annotation,
    /// A variable such as `VAULT_FROM_PATH` names secrets whose keys become variables.
    PathVariable {
        /// The variable's name.
        name: String,
    },
    /// bank-vaults' annotation names secrets whose keys become variables.
    VaultPath,
}

impl Cause {
    fn words(&self) -> String {
        match self {
            Self::Variable { name, provider: Some(provider) } => format!("{name} ({provider})"),
            Self::Variable { name, provider: None } => format!("{name} (a malformed reference)"),
            Self::Unseen { kind, name } => format!("{} {name}, unseen", kind.name()),
            Self::Annotation => "the annotation strongroom.dev/inject".to_owned(),
            Self::PathVariable { name } => format!("{name} (all keys of its secrets)"),
            Self::VaultPath => "the annotation vault-env-from-path".to_owned(),
        }
    }
}

impl Note {
    fn words(&self) -> String {
        let mut words = match &self.outcome {
            Outcome::Wrapped { causes, more } => {
                let named: Vec<_> = causes.iter().map(Cause::words).collect();
                let more = if *more == 0 { String::new() } else { format!(" and {more} more") };
                format!("wrapped for {}{more}", named.join(", "))
            }
            Outcome::WrappedBefore => "wrapped before".to_owned(),
            Outcome::Ours => "injected before".to_owned(),
            Outcome::Untouched => "no reference in its variables".to_owned(),
        };
        if !self.files.is_empty() {
            // A String takes whatever is written.
            let _ = write!(words, "; files {}", self.files.join(", "));
        }
        words
    }

    fn is_changed(&self) -> bool {
        matches!(self.outcome, Outcome::Wrapped { .. }) || self.has_new_files
    }
}

impl Explanation {
    /// Whether anything changes.
    pub fn is_change(&self) -> bool {
        self.notes.iter().any(Note::is_changed)
    }

    /// The text of the annotation: a JSON object of texts by container, at most [`ANNOTATION_LIMIT`] bytes.
    pub fn annotation(&self) -> String {
        /// Room for the last member, which says how many others there are.
        const REST: usize = 40;
        /// The most that one container takes, so that each of a few is told.
        const EACH: usize = 600;
        let mut text = String::from("{");
        for (place, note) in self.notes.iter().enumerate() {
            let separator = if place == 0 { "" } else { "," };
            let name = Value::from(note.container.as_str());
            let words = Value::from(bounded(note.words(), EACH));
            let member = format!("{separator}{name}:{words}");
            if text.len() + member.len() > ANNOTATION_LIMIT - REST {
                let _ = write!(text, "{separator}\"…\":\"{} more\"", self.notes.len() - place);
                break;
            }
            text.push_str(&member);
        }
        text.push('}');
        text
    }

    /// One line for an event, at most [`EVENT_LIMIT`] bytes: what was injected, or why nothing was.
    pub fn event(&self) -> String {
        let changed: Vec<_> = self.notes.iter().filter(|note| note.is_changed()).collect();
        let line = if changed.is_empty() {
            let untouched = "no variable of a container holds a reference";
            let before = self.notes.iter().any(|note| note.outcome == Outcome::WrappedBefore);
            let why = if before { "its containers were wrapped before" } else { untouched };
            format!("nothing is injected: {}", self.opt_out.as_deref().unwrap_or(why))
        } else {
            let words: Vec<_> =
                changed.iter().map(|note| format!("container {}: {}", note.container, note.words())).collect();
            format!("secrets are injected: {}", words.join("; "))
        };
        bounded(line, EVENT_LIMIT)
    }
}

/// The text, or its beginning in so many bytes.
fn bounded(text: String, limit: usize) -> String {
    const ELLIPSIS: &str = "…";
    if text.len() <= limit {
        return text;
    }
    format!("{}{ELLIPSIS}", &text[..text.floor_char_boundary(limit - ELLIPSIS.len())])
}

//! The list of files that somebody wants of secrets: `strongroom.dev/files` of a pod, or the agent's own file.
//!
//! Pure, and the first step of the pipeline for files: [`parse`] makes [`File`]s of a YAML list, whoever reads asks for
//! [`File::references`], and [`File::render`] makes the bytes of what they came to. Admission refuses with the same
//! words a list that the agent would refuse.
//!
//! Invariants: what a list can cost is bounded (design 4, 10), and no failure repeats a text of it that could be a
//! secret: it names the place, such as `files[2].from`, and what is wrong.

#![forbid(unsafe_code)]

mod list;
mod owner;
mod path;
mod render;

use std::fmt;

use strongroom_failure::{Class, Failure};
use strongroom_reference::Reference;

pub use crate::list::{add, parse};
pub use crate::owner::{Owner, parse_mode};

/// The most files of one list: each is a read and an inode, and a list that long is better a template.
pub const MOST_FILES: usize = 100;

/// The longest list, in bytes: what Kubernetes takes as the annotations of one object.
pub const LARGEST_LIST: usize = 256 * 1024;

/// The most values that one template takes; a database's connection takes five.
pub const MOST_VALUES: usize = 100;

/// The largest file that is made, in bytes: what a Secret holds, and what a set of a hundred can afford in memory.
pub const LARGEST_FILE: usize = 1024 * 1024;

/// The mode of a file that names none: who may mount the folder may read it.
pub const DEFAULT_MODE: u32 = 0o644;

/// One file that is wanted.
#[derive(Clone, Debug)]
pub struct File {
    /// Where it lies below the folder: parts between `/`, none of which is `.` or begins with `..`.
    pub path: String,
    /// Permission bits, at most `0o777`.
    pub mode: u32,
    /// Who owns it; the process that writes it when absent.
    pub owner: Option<Owner>,
    content: Content,
}

/// What makes a file's bytes.
#[derive(Clone)]
enum Content {
    /// One value: as it is, or through a template.
    One { from: Box<Reference>, template: Option<String> },
    /// Named values through a template, in the order of their names.
    Several { values: Vec<(String, Reference)>, template: String },
}

impl File {
    /// What is to be read for it, at least one; [`File::render`] takes what they came to in this order.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        let (one, several) = match &self.content {
            Content::One { from, .. } => (Some(&**from), &[][..]),
            Content::Several { values, .. } => (None, values.as_slice()),
        };
        one.into_iter().chain(several.iter().map(|(_, reference)| reference))
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A template's text may hold what was meant to be secret.
        match self {
            Self::One { from, template } => write!(formatter, "One({from}, template: {})", template.is_some()),
            Self::Several { values, .. } => {
                formatter.write_str("Several")?;
                let values = values.iter().map(|(name, reference)| (name, reference.to_string()));
                formatter.debug_map().entries(values).finish()
            }
        }
    }
}

fn invalid(words: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words)
}

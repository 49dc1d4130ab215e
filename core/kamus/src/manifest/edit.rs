use std::ops::Range;

use strongroom_failure::Failure;

use crate::manifest::{Scalar, events, invalid};

/// One scalar to be replaced.
pub struct Edit {
    range: Range<usize>,
    block_in: Option<usize>,
    event: usize,
    /// What stands there afterwards.
    source: String,
    /// What a parser reads there afterwards: the scalar, and those that follow it newly.
    reads: Vec<String>,
}

impl Edit {
    /// `scalar` becomes an encrypted text. Ours needs no quotes; what a service of Kamus makes could be read as something
    /// else.
    ///
    /// # Errors
    /// `Invalid` for what is no encrypted text.
    pub fn encrypted(scalar: &Scalar, text: String) -> Result<Self, Failure> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let source = match text.starts_with("sr1.") && text.bytes().all(is_part) {
            true => text.clone(),
            false if text.contains('\'') || text.contains(char::is_control) => {
                return Err(invalid("the encryptor answered no encrypted text"));
            }
            false => format!("'{text}'"),
        };
        Ok(Self::new(scalar, source, vec![text]))
    }

    /// `scalar` becomes `source`, of which a parser reads the scalars `reads`.
    pub fn new(scalar: &Scalar, source: String, reads: Vec<String>) -> Self {
        Self { range: scalar.range.clone(), block_in: scalar.block_in, event: scalar.event, source, reads }
    }
}

/// `text` after all `edits`.
///
/// # Errors
/// Where a parser would not read the same as before everywhere else, comments and order too.
pub fn apply(text: &str, mut edits: Vec<Edit>) -> Result<String, Failure> {
    edits.sort_by_key(|edit| edit.range.start);
    let mut edited = String::with_capacity(text.len());
    let mut done = 0;
    for edit in &edits {
        let before = text.get(done..edit.range.start).ok_or_else(unsafe_edit)?;
        edited.push_str(before);
        edited.push_str(&edit.source);
        done = edit.range.end;
        if let Some(column) = edit.block_in {
            // What is left of the header's line, a comment, stays; the block's own lines go.
            let rest = text.get(done..).ok_or_else(unsafe_edit)?;
            let line = rest.find('\n').map_or(rest.len(), |at| at + 1);
            edited.push_str(&rest[..line]);
            done += line + block_length(&rest[line..], column);
        }
    }
    edited.push_str(text.get(done..).ok_or_else(unsafe_edit)?);
    check(text, &edited, &edits)?;
    Ok(edited)
}

/// The length of the lines that belong to a block below a key in this column; empty lines at its end are left.
fn block_length(rest: &str, column: usize) -> usize {
    let mut length = 0;
    let mut at = 0;
    for line in rest.split_inclusive('\n') {
        let is_empty = line.trim().is_empty();
        let indent = line.len() - line.trim_start_matches(' ').len();
        if !is_empty && indent <= column {
            break;
        }
        at += line.len();
        if !is_empty {
            length = at;
        }
    }
    length
}

fn check(before: &str, after: &str, edits: &[Edit]) -> Result<(), Failure> {
    let (before, after) = (events(before)?, events(after)?);
    let mut after = after.into_iter();
    for (place, (event, _)) in before.into_iter().enumerate() {
        match edits.iter().find(|edit| edit.event == place) {
            Some(edit) => {
                for reads in &edit.reads {
                    let is_as_wanted = after.next().is_some_and(|(_, scalar)| scalar.as_ref() == Some(reads));
                    is_as_wanted.then_some(()).ok_or_else(unsafe_edit)?;
                }
            }
            None => after.next().filter(|(same, _)| *same == event).map(drop).ok_or_else(unsafe_edit)?,
        }
    }
    after.next().map_or(Ok(()), |_| Err(unsafe_edit()))
}

fn unsafe_edit() -> Failure {
    invalid("its values cannot be replaced without changing more of it")
        .with_hint("write plain block style: KEY: VALUE")
}

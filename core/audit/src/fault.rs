//! What is wrong with a trail.

use std::fmt;

/// The first line that is wrong, and what else is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What happened. Detection is exact; which of several ways led to it is the likeliest one.
    pub kind: Kind,
    /// The line's place among the lines that were read, counted from 1 over all files.
    pub place: u64,
    /// The number that the line in that place has, or should have.
    pub sequence: u64,
    /// The last line that a checkpoint vouches for, itself included; 0 where none does. Lines between it and this fault
    /// may have been made anew, links and all.
    pub vouched: u64,
}

/// What happened to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Its bytes are not those that were written, or, where it is the line that the store remembers, those of lines
    /// before it since the last checkpoint.
    Edited,
    /// It is missing, though later lines are there.
    Removed,
    /// It was not written in that place, and what was written there follows.
    Inserted,
    /// What was written there comes later.
    Reordered,
    /// It and all behind it are missing, though the store remembers them.
    Truncated,
    /// It is no checkpoint that the key's owner made behind these lines.
    CheckpointForged,
    /// It is a checkpoint of a term whose key was not given.
    KeyUnknown {
        /// The barrier's term that it names.
        term: u32,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, sequence, vouched, kind } = self;
        write!(formatter, "line {place} (number {sequence}): ")?;
        match kind {
            Kind::Edited => formatter.write_str("it is not what was written there"),
            Kind::Removed => formatter.write_str("the line of that number was removed"),
            Kind::Inserted => formatter.write_str("it was added"),
            Kind::Reordered => formatter.write_str("the line of that number stands further below"),
            Kind::Truncated => formatter.write_str("the trail ends before it, and the store remembers more"),
            Kind::CheckpointForged => {
                formatter.write_str("the checkpoint was not made by this store behind these lines")
            }
            Kind::KeyUnknown { term } => {
                write!(formatter, "the checkpoint cannot be checked: give the key of term {term}")
            }
        }?;
        match vouched {
            0 => formatter.write_str("; no checkpoint before it vouches for any line"),
            vouched => write!(formatter, "; a checkpoint vouches for the lines up to number {vouched}"),
        }
    }
}

impl std::error::Error for Fault {}

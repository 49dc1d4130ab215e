//! Reads a trail again, in chunks of any size, and says which line is the first that is wrong.
//!
//! Needs memory for one line. After the first line that does not fit it only takes notes, since what comes later tells
//! what happened: a missing line that turns up was moved, one that does not was removed.

use std::borrow::Cow;

use serde::Deserialize;
use strongroom_crypto::equal_in_constant_time;

use crate::chain::{Digest, Head};
use crate::checkpoint::{CheckpointKey, Trail};
use crate::entry::ENTRY_LIMIT;
use crate::fault::{Fault, Kind};
use crate::suspicion::{Doubt, Suspicion};

/// The most bytes of a line: the longest entry with its place in the chain. A longer one was not written here.
const LINE_LIMIT: usize = ENTRY_LIMIT + 256;

/// Where the lines begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the trail's first line.
    Origin,
    /// Behind a line that is known: what a former verification ended with.
    After(Head),
    /// Anywhere: older files were thrown away. Lines that are missing before the first one do not show; the first
    /// checkpoint vouches for all lines that are there.
    Anywhere,
}

/// What is known of the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Nothing: lines that are missing at the end do not show, and those behind the last checkpoint prove nothing.
    Unknown,
    /// The trail reaches this far at least: the store is running, or was killed before it kept its last head.
    AtLeast(Head),
    /// The trail ends here: the store was stopped or sealed in order.
    Exactly(Head),
}

impl Tail {
    pub(crate) fn head(&self) -> Option<Head> {
        match self {
            Self::Unknown => None,
            Self::AtLeast(head) | Self::Exactly(head) => Some(*head),
        }
    }
}

/// What an untouched trail consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The first line's number; 0 where there is no line.
    pub first: u64,
    /// The last line.
    pub last: Head,
    /// How many checkpoints there were.
    pub checkpoints: u64,
    /// The last line that a checkpoint vouches for, itself included; 0 where none does.
    pub vouched: u64,
    /// Lines behind the head that is known: whole in themselves, and vouched for by their checkpoints alone.
    pub beyond_head: u64,
    /// Bytes behind the last line end: a line that was being written when the store was killed, and that nobody was
    /// told of. To be cut off before the file is written to again.
    pub torn_bytes: usize,
}

/// What a line says of its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) sequence: u64,
    pub(crate) previous: Digest,
    pub(crate) hash: Digest,
}

/// The members of a line that count here.
#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    key_term: Option<u32>,
    chain: Link,
}

#[derive(Deserialize)]
struct Link {
    sequence: u64,
    previous: Digest,
}

/// A verification on its way.
#[derive(Debug)]
pub struct Verifier<'a> {
    trail: &'a Trail,
    keys: &'a [CheckpointKey],
    tail: Tail,
    walk: Walk,
    /// What went wrong: for certain, or to be judged at the end.
    fault: Option<Fault>,
    suspicion: Option<Suspicion>,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    line_bytes: usize,
}

/// How far the lines fit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    /// The line that fitted last; its number and hash are unknown before the first line of [`Start::Anywhere`].
    pub(crate) last: Option<Head>,
    /// What that line says of the line before it; absent where it is not among the lines that were read.
    pub(crate) before_last: Option<Digest>,
    pub(crate) first: u64,
    /// Lines that were read, those with it that do not fit.
    pub(crate) place: u64,
    pub(crate) checkpoints: u64,
    pub(crate) vouched: u64,
    pub(crate) is_head_met: bool,
}

impl<'a> Verifier<'a> {
    /// Verifies lines of `trail`, whose checkpoints were made under `keys`, one for each term.
    pub fn new(trail: &'a Trail, keys: &'a [CheckpointKey], start: Start, tail: Tail) -> Self {
        let last = match start {
            Start::Origin => Some(Head::of_new(trail)),
            Start::After(head) => Some(head),
            Start::Anywhere => None,
        };
        let is_head_met = last.is_some() && last == tail.head();
        let walk = Walk { last, before_last: None, first: 0, place: 0, checkpoints: 0, vouched: 0, is_head_met };
        Self { trail, keys, tail, walk, fault: None, suspicion: None, line: Vec::new(), line_bytes: 0 }
    }

    /// Takes the next bytes: files in the order in which they were written, cut anywhere.
    pub fn feed(&mut self, chunk: &[u8]) {
        for piece in chunk.split_inclusive(|byte| *byte == b'\n') {
            let (bytes, is_whole) = piece.strip_suffix(b"\n").map_or((piece, false), |bytes| (bytes, true));
            if is_whole && self.line_bytes == 0 {
                self.take(bytes);
                continue;
            }
            self.line_bytes = self.line_bytes.saturating_add(piece.len());
            // What is too long is counted and not kept.
            if self.line_bytes <= LINE_LIMIT {
                self.line.extend_from_slice(bytes);
            }
            if is_whole {
                let mut line = std::mem::take(&mut self.line);
                self.take(if self.line_bytes <= LINE_LIMIT { &line } else { b"" });
                line.clear();
                self.line = line;
                self.line_bytes = 0;
            }
        }
    }

    /// Whether a line was found that is wrong. [`Verifier::finish`] says which; it knows better what happened when the
    /// rest was fed as well.
    pub fn is_wrong(&self) -> bool {
        self.fault.is_some() || self.suspicion.is_some()
    }

    /// The verdict, once all was fed.
    ///
    /// # Errors
    /// The first line that is wrong.
    pub fn finish(self) -> Result<Verified, Fault> {
        let Walk { last, first, place, checkpoints, vouched, is_head_met, .. } = self.walk;
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if let Some(suspicion) = self.suspicion {
            return Err(suspicion.judge(self.tail));
        }
        let last = last.unwrap_or_else(|| Head::of_new(self.trail));
        let fault = |kind, place, sequence| Err(Fault { kind, place, sequence, vouched });
        let head = self.tail.head().unwrap_or(last);
        if last.sequence < head.sequence {
            return fault(Kind::Truncated, place.saturating_add(1), last.next_sequence());
        }
        if self.tail != Tail::Unknown && !is_head_met {
            // All lines are younger than the one that the store remembers.
            return fault(Kind::Removed, 1, head.sequence);
        }
        let beyond_head = last.sequence - head.sequence;
        if beyond_head > 0 && matches!(self.tail, Tail::Exactly(_)) {
            return fault(Kind::Inserted, place.saturating_sub(beyond_head).saturating_add(1), head.next_sequence());
        }
        Ok(Verified { first, last, checkpoints, vouched, beyond_head, torn_bytes: self.line_bytes })
    }

    fn take(&mut self, line: &[u8]) {
        if self.fault.is_some() {
            return;
        }
        let written = read(line);
        let told = written.as_ref().map(|written| told(written, line));
        if let Some(suspicion) = &mut self.suspicion {
            return suspicion.note(told);
        }
        self.walk.place = self.walk.place.saturating_add(1);
        match (told, written) {
            (Some(told), Some(written)) if self.walk.links(&told) => self.follow(line, &told, &written),
            _ => self.suspicion = Some(Suspicion::new(self.walk, Doubt::Link, told)),
        }
    }

    /// Goes on to a line that stands where it says: what it says of itself remains to be checked.
    fn follow(&mut self, line: &[u8], told: &Told, written: &Written<'_>) {
        let is_checkpoint = written.kind == "checkpoint";
        if is_checkpoint && let Err(kind) = self.check_checkpoint(line, told, written) {
            let Walk { place, vouched, .. } = self.walk;
            self.fault = Some(Fault { kind, place, sequence: told.sequence, vouched });
            return;
        }
        let is_head = self.tail.head().is_some_and(|head| head.sequence == told.sequence);
        if is_head && self.tail.head().is_some_and(|head| head.hash != told.hash) {
            self.suspicion = Some(Suspicion::new(self.walk, Doubt::Head, Some(*told)));
            return;
        }
        self.walk.is_head_met |= is_head;
        if self.walk.first == 0 {
            self.walk.first = told.sequence;
        }
        if is_checkpoint {
            self.walk.checkpoints = self.walk.checkpoints.saturating_add(1);
            self.walk.vouched = told.sequence;
        }
        self.walk.before_last = Some(told.previous);
        self.walk.last = Some(Head { sequence: told.sequence, hash: told.hash });
    }

    /// Makes the checkpoint anew and compares every byte of it.
    fn check_checkpoint(&self, line: &[u8], told: &Told, written: &Written<'_>) -> Result<(), Kind> {
        let term = written.key_term.ok_or(Kind::CheckpointForged)?;
        let key = self.keys.iter().find(|key| key.term() == term).ok_or(Kind::KeyUnknown { term })?;
        // A number of 0 belongs to no line.
        let sequence = told.sequence.checked_sub(1).ok_or(Kind::CheckpointForged)?;
        let before = Head { sequence, hash: told.previous };
        let made = key.line(self.trail, &before, &written.time);
        equal_in_constant_time(&made, line).then_some(()).ok_or(Kind::CheckpointForged)
    }
}

impl Walk {
    /// Whether the line belongs behind the last one.
    fn links(&self, told: &Told) -> bool {
        match self.last {
            Some(last) => told.sequence == last.next_sequence() && told.previous == last.hash,
            None => told.sequence > 0,
        }
    }
}

fn read(line: &[u8]) -> Option<Written<'_>> {
    serde_json::from_slice(line).ok()
}

fn told(written: &Written<'_>, line: &[u8]) -> Told {
    Told { sequence: written.chain.sequence, previous: written.chain.previous, hash: Digest::of(line) }
}

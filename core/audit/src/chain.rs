//! The place of each line behind those before it.

use std::fmt;
use std::num::NonZeroU64;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use strongroom_crypto::sha256;

use crate::checkpoint::{CheckpointKey, Trail};
use crate::entry::Body;
use crate::hash::push_hex;

/// The SHA-256 of a line's bytes, without its line end. Written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// That of `line`, which has no line end.
    pub fn of(line: &[u8]) -> Self {
        Self(sha256(line))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = pair.iter().try_fold(0, |value, digit| Some(value << 4 | nibble(*digit)?))?;
        }
        Some(Self(bytes))
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(64);
        push_hex(&mut text, &self.0);
        formatter.write_str(&text)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Digest({self})")
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("a digest has 64 lower-case hexadecimal digits"))
    }
}

/// The last line of a trail, and with it all before: what the store keeps, behind its barrier, so that lines that are
/// missing at the end show. `{"sequence":7,"hash":"…"}` as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The line's number; the first line of a trail has 1, and 0 stands for a trail without lines.
    pub sequence: u64,
    /// The line's hash.
    pub hash: Digest,
}

impl Head {
    /// The head of a trail that has no line yet.
    pub fn of_new(trail: &Trail) -> Self {
        trail.origin()
    }

    /// The number of the line behind this one. 2^64 lines are more than anybody writes.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.sequence.saturating_add(1)
    }

    /// The member that the line behind this one holds.
    pub(crate) fn link(&self) -> String {
        let mut link = format!(r#""chain":{{"sequence":{},"previous":""#, self.next_sequence());
        push_hex(&mut link, &self.hash.0);
        link.push_str("\"}");
        link
    }

    /// What is the head once `line` stands behind this one.
    pub(crate) fn after(&self, line: &[u8]) -> Self {
        Self { sequence: self.next_sequence(), hash: Digest::of(line) }
    }
}

/// The end of one trail, for whoever writes it. One writer has it; files may change under it, since the first line of a
/// new file follows the last one of the file before.
#[derive(Clone, Debug)]
pub struct Chain {
    trail: Trail,
    head: Head,
    key: CheckpointKey,
    every: NonZeroU64,
}

/// Lines that are ready to be written, all or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Whole lines, each with its line end.
    pub bytes: Vec<u8>,
    /// The trail's head once they are written.
    pub head: Head,
}

impl Chain {
    /// Goes on behind `head`: [`Head::of_new`] for a new trail, else what the store kept, or what
    /// [`Verified::last`](crate::Verified) found where the file holds more.
    ///
    /// Every line whose number `every` divides is a checkpoint: the more there are, the fewer lines somebody who may
    /// write the file, and put the store back, can replace.
    pub fn new(trail: Trail, head: Head, key: CheckpointKey, every: NonZeroU64) -> Self {
        Self { trail, head, key, every }
    }

    /// The last line that was accepted.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Makes checkpoints under another key from now on: the barrier's key was rotated.
    pub fn change_key(&mut self, key: CheckpointKey) {
        self.key = key;
    }

    /// The lines of `bodies`, in order, with checkpoints where they are due; `time` is for those. Nothing changes here
    /// until they are written and [`Chain::accept`] is told so: a sink that fails can try again, and leaves no gap. Of a
    /// batch that was written in part, the part must be cut off before.
    pub fn prepare<'a>(&self, bodies: impl IntoIterator<Item = &'a Body>, time: Timestamp) -> Batch {
        let bodies: Vec<&Body> = bodies.into_iter().collect();
        let room = bodies.iter().map(|body| body.as_bytes().len().saturating_add(LINK_ROOM)).sum();
        let mut batch = Batch { bytes: Vec::with_capacity(room), head: self.head };
        for body in bodies {
            if batch.head.next_sequence() % self.every == 0 {
                batch.push(&self.checkpoint_line(&batch.head, time));
            }
            batch.push_body(body);
        }
        batch
    }

    /// A checkpoint at once: as the last line of a file before it is rotated, and when the store is sealed or stops.
    pub fn prepare_checkpoint(&self, time: Timestamp) -> Batch {
        let mut batch = Batch { bytes: Vec::new(), head: self.head };
        batch.push(&self.checkpoint_line(&self.head, time));
        batch
    }

    /// Goes on behind `batch`, which was written whole and is durable.
    pub fn accept(&mut self, batch: &Batch) {
        self.head = batch.head;
    }

    fn checkpoint_line(&self, before: &Head, time: Timestamp) -> Vec<u8> {
        self.key.line(&self.trail, before, &time.to_string())
    }
}

/// Bytes that a line has beside its entry: its place in the chain, with the longest number, and its line end.
const LINK_ROOM: usize = 128;

impl Batch {
    fn push(&mut self, line: &[u8]) {
        self.head = self.head.after(line);
        self.bytes.extend_from_slice(line);
        self.bytes.push(b'\n');
    }

    /// The entry's object with one more member at its end. Made in place: this is done for every request, by one thread.
    fn push_body(&mut self, body: &Body) {
        let object = body.as_bytes();
        let (start, link) = (self.bytes.len(), self.head.link());
        self.bytes.extend_from_slice(object.strip_suffix(b"}").unwrap_or(object));
        self.bytes.push(b',');
        self.bytes.extend_from_slice(link.as_bytes());
        self.bytes.push(b'}');
        self.head = self.head.after(self.bytes.get(start..).unwrap_or_default());
        self.bytes.push(b'\n');
    }
}

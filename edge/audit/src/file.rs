//! A file that only grows, and never keeps half of a batch.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use strongroom_audit::{Chain, CheckpointKey, Fault, Head, Start, Tail, Trail, Verifier};

use crate::Verdict;

/// A file of lines.
pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
    /// Bytes that were written whole.
    length: u64,
    /// Whether bytes behind `length` may be there.
    is_torn: bool,
    /// A pipe or a terminal cannot be cut.
    is_regular: bool,
}

impl LogFile {
    pub(crate) fn open(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let metadata = file.metadata()?;
        let is_regular = metadata.is_file();
        let length = if is_regular { metadata.len() } else { 0 };
        Ok(Self { path: path.to_owned(), file, length, is_torn: false, is_regular })
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Whether the path leads to another file, or to none: somebody rotated it, or deleted it.
    pub(crate) fn was_moved(&self) -> bool {
        let ids = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        match (std::fs::metadata(&self.path), self.file.metadata()) {
            (Ok(there), Ok(ours)) => ids(there) != ids(ours),
            _ => true,
        }
    }

    /// Writes all of `bytes`, or nothing.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if self.is_torn {
            self.file.set_len(self.length)?;
            self.is_torn = false;
        }
        match self.file.write_all(bytes) {
            Ok(()) => {
                self.length += bytes.len() as u64;
                Ok(())
            }
            Err(error) => {
                self.is_torn = self.is_regular && self.file.set_len(self.length).is_err();
                Err(error)
            }
        }
    }

    pub(crate) fn sync(&mut self) -> std::io::Result<()> {
        if self.is_regular { self.file.sync_data() } else { Ok(()) }
    }

    /// Moves the file to `PATH.1`, those that are there one further, and begins a new one. With `keep` 0 the number only
    /// grows: the oldest is `.1`.
    pub(crate) fn rotate(&mut self, keep: usize) -> std::io::Result<()> {
        let numbered = |number: usize| PathBuf::from(format!("{}.{number}", self.path.display()));
        if keep == 0 {
            let free = (1..).find(|number| !numbered(*number).exists()).unwrap_or(1);
            std::fs::rename(&self.path, numbered(free))?;
        } else {
            for number in (1..keep).rev().filter(|number| numbered(*number).exists()) {
                std::fs::rename(numbered(number), numbered(number + 1))?;
            }
            std::fs::rename(&self.path, numbered(1))?;
        }
        *self = Self::open(&self.path)?;
        Ok(())
    }
}

/// How the file stands that a trail goes on in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is the trail's, as far as it was read.
    Whole {
        /// The last line.
        head: Head,
        /// Bytes at the beginning that were not read.
        unread: u64,
    },
    /// It is not what was written there: this line is wrong, or is missing.
    Wrong(Fault),
}

/// Finds the end of a trail in its file and cuts off a line that was never finished. `stored` is the head that the store
/// kept. A file that is absent or empty goes on behind it: it was rotated away.
///
/// Where that head stands near the end, what is before is not read: [`verify`](crate::verify) does.
///
/// # Errors
/// Where the file cannot be read or cut.
pub fn continue_file(
    path: &Path,
    trail: &Trail,
    keys: &[CheckpointKey],
    stored: Option<Head>,
) -> std::io::Result<Ending> {
    let behind = stored.unwrap_or_else(|| Head::of_new(trail));
    let file = match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) if file.metadata()?.is_file() => file,
        Ok(_) => return Ok(Ending::empty(behind)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Ending::empty(behind)),
        Err(error) => return Err(error),
    };
    let length = whole_lines(&file, file.metadata()?.len())?;
    if length == 0 {
        file.set_len(0)?;
        return Ok(Ending::empty(behind));
    }
    // Before the first line there is nothing that could be missing.
    let tail = stored.filter(|head| head.sequence > 0).map_or(Tail::Unknown, Tail::AtLeast);
    let part = |from: u64| read_part(&file, from..length, Verifier::new(trail, keys, Start::Anywhere, tail));
    // Most often the head that was kept is near the end: a start does not wait for a long file to be read.
    for most in NEAR_END.iter().filter(|most| **most < length && tail != Tail::Unknown) {
        let from = whole_lines(&file, length - most)?;
        if let Ok(verified) = part(from)? {
            file.set_len(length)?;
            return Ok(Ending::Whole { head: verified.last, unread: from });
        }
    }
    match part(0)? {
        Ok(verified) => {
            file.set_len(length)?;
            Ok(Ending::Whole { head: verified.last, unread: 0 })
        }
        Err(fault) => Ok(Ending::Wrong(fault)),
    }
}

/// Bytes at the end of a file that are read in place of all: those of a store that was stopped, and those that a busy one
/// writes before it keeps its head again.
const NEAR_END: [u64; 2] = [2 << 20, 32 << 20];

fn read_part(file: &File, part: Range<u64>, mut verifier: Verifier<'_>) -> std::io::Result<Verdict> {
    let mut buffer = vec![0; 1 << 20];
    let mut place = part.start;
    while place < part.end {
        let wanted = usize::try_from(part.end - place).unwrap_or(usize::MAX).min(buffer.len());
        let read = file.read_at(&mut buffer[..wanted], place)?;
        if read == 0 {
            break;
        }
        verifier.feed(&buffer[..read]);
        place += read as u64;
    }
    Ok(verifier.finish())
}

/// The bytes up to the end of the last whole line of the first `end` bytes.
fn whole_lines(file: &File, mut end: u64) -> std::io::Result<u64> {
    let mut buffer = vec![0; 64 << 10];
    while end > 0 {
        let start = end.saturating_sub(buffer.len() as u64);
        let part = &mut buffer[..usize::try_from(end - start).unwrap_or_default()];
        file.read_exact_at(part, start)?;
        if let Some(place) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + place as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// The chain that goes on behind an ending.
impl Ending {
    fn empty(head: Head) -> Self {
        Self::Whole { head, unread: 0 }
    }

    /// Where the trail goes on; nothing where it is wrong.
    pub fn chain(&self, trail: Trail, key: CheckpointKey, every: std::num::NonZeroU64) -> Option<Chain> {
        match self {
            Self::Whole { head, .. } => Some(Chain::new(trail, *head, key, every)),
            Self::Wrong(_) => None,
        }
    }
}

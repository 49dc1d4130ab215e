//! What one selection may cost, whoever wrote the path and the document.

use zeroize::Zeroizing;

use super::Version;

/// The most levels of recursion: path components, pipes, queries in queries, and arrays in arrays where a modifier
/// walks them. People write five; 192 of our largest frames stay far below the 2 MiB stack of a worker thread.
const DEPTH: usize = 192;

/// The most bytes that may be looked at. A plain path looks once at the document; nested queries a few times. This
/// allows the largest document some thirty passes, under a second in all, where `*a*a*a*` or a query for every element
/// of every element would otherwise run for hours.
const WORK: usize = 128 * 1024 * 1024;

/// The most bytes of any one result in the making. Four times the largest document: `@pretty` and `@tostr` of it
/// fit, while chains of multipaths that double it each time do not.
const OUTPUT: usize = 4 * crate::DOCUMENT_LIMIT;

/// Which bound was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// Too many levels of nesting in path, query or document.
    Depth,
    /// Too many bytes looked at.
    Work,
    /// Too large a result.
    Output,
}

/// The result of every step that costs something.
pub(super) type Bounded<T> = Result<T, Exceeded>;

/// One selection under way: what is left of its allowance, and whose rules it follows.
pub(super) struct Run {
    pub(super) version: Version,
    work_left: usize,
    depth_left: usize,
}

impl Run {
    pub(super) fn new(version: Version) -> Self {
        Self { version, work_left: WORK, depth_left: DEPTH }
    }

    /// Pays for looking at `bytes` bytes, and at least for being asked.
    pub(super) fn charge(&mut self, bytes: usize) -> Bounded<()> {
        self.work_left = self.work_left.checked_sub(bytes.saturating_add(1)).ok_or(Exceeded::Work)?;
        Ok(())
    }

    /// Runs `step` one level deeper.
    pub(super) fn deeper<T>(&mut self, step: impl FnOnce(&mut Self) -> Bounded<T>) -> Bounded<T> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or(Exceeded::Depth)?;
        let outcome = step(self);
        self.depth_left += 1;
        outcome
    }
}

/// Bytes in the making: bounded, and wiped even where growing moves them.
#[derive(Default)]
pub(super) struct Output(Zeroizing<Vec<u8>>);

impl Output {
    pub(super) fn push(&mut self, byte: u8) -> Bounded<()> {
        self.extend(&[byte])
    }

    pub(super) fn extend(&mut self, bytes: &[u8]) -> Bounded<()> {
        let length = self.0.len() + bytes.len();
        if length > OUTPUT {
            return Err(Exceeded::Output);
        }
        if length > self.0.capacity() {
            // Growing in place would leave the old copy in freed memory, unwiped.
            let mut larger = Zeroizing::new(Vec::with_capacity(length.max(self.0.capacity() * 2).max(64)));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets what follows the first `length` bytes; what stood there is overwritten or wiped with the rest.
    pub(super) fn truncate(&mut self, length: usize) {
        self.0.truncate(length);
    }

    /// Turns a space at the end into a line break, or adds one.
    pub(super) fn break_line(&mut self) -> Bounded<()> {
        match self.0.last_mut() {
            Some(last) if *last == b' ' => *last = b'\n',
            _ => self.push(b'\n')?,
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

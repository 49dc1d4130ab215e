//! What happened to a trail, from the first line that does not fit and what comes behind it.

use crate::fault::{Fault, Kind};
use crate::verify::{Tail, Told, Walk};

/// Why a line does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// It does not belong behind the line before it, or cannot be read.
    Link,
    /// It belongs there and has the number of the line that the store remembers, and is another one.
    Head,
}

/// The first line that does not fit, and notes on what follows.
#[derive(Clone, Debug)]
pub(crate) struct Suspicion {
    /// As far as lines fitted, with this line's place.
    walk: Walk,
    doubt: Doubt,
    /// The line; absent where it cannot be read.
    line: Option<Told>,
    /// The line behind it; absent inside where it cannot be read.
    next: Option<Option<Told>>,
    /// Whether a line with the number that was due has come since.
    due_came: bool,
    /// Whether another line with this line's number has come since.
    number_came_again: bool,
}

impl Suspicion {
    pub(crate) fn new(walk: Walk, doubt: Doubt, line: Option<Told>) -> Self {
        Self { walk, doubt, line, next: None, due_came: false, number_came_again: false }
    }

    /// Takes notes on a line that comes later.
    pub(crate) fn note(&mut self, told: Option<Told>) {
        if let Some(told) = told {
            self.due_came |= told.sequence == self.due();
            self.number_came_again |= self.line.is_some_and(|line| line.sequence == told.sequence);
        }
        self.next.get_or_insert(told);
    }

    /// The number that was due.
    fn due(&self) -> u64 {
        self.walk.last.map_or(1, |last| last.next_sequence())
    }

    /// What happened, where all lines were noted.
    pub(crate) fn judge(&self, tail: Tail) -> Fault {
        match (self.doubt, self.line) {
            (Doubt::Head, Some(line)) => self.judge_head(line, tail),
            (_, None) if self.due_came => self.here(Kind::Inserted),
            (_, None) => self.here(Kind::Edited),
            (Doubt::Link, Some(line)) if line.sequence == self.due() => self.judge_neighbours(line, tail),
            (Doubt::Link, Some(line)) if line.sequence > self.due() => self.judge_gap(line, tail),
            (Doubt::Link, Some(line)) => self.judge_surplus(line, tail),
        }
    }

    /// The line stands where the remembered one should. If that one follows, this one was put before it.
    fn judge_head(&self, line: Told, tail: Tail) -> Fault {
        let next = self.next.flatten();
        let is_next_genuine = next.is_some_and(|next| {
            next.sequence == line.sequence && tail.head().is_some_and(|head| head.hash == next.hash)
        });
        let kind = if is_next_genuine { Kind::Inserted } else { Kind::Edited };
        // Anywhere: no line fitted before, and the number is the line's own.
        Fault { sequence: line.sequence, ..self.here(kind) }
    }

    /// The line has the number that was due, and names another line before it: one of the two was edited. Whoever knows
    /// this line's hash from elsewhere clears it; a checkpoint and the remembered line are above suspicion.
    fn judge_neighbours(&self, line: Told, tail: Tail) -> Fault {
        let is_line_known = match self.next {
            Some(next) => next.is_some_and(|next| next.previous == line.hash),
            None => tail.head().is_none_or(|head| head.sequence == line.sequence && head.hash == line.hash),
        };
        let last = self.walk.last.map_or(0, |last| last.sequence);
        let is_last_genuine = self.walk.before_last.is_none()
            || last == self.walk.vouched
            || tail.head().is_some_and(|head| head.sequence == last);
        if is_line_known && !is_last_genuine { self.before(Kind::Edited) } else { self.here(Kind::Edited) }
    }

    /// The line comes too early.
    fn judge_gap(&self, line: Told, tail: Tail) -> Fault {
        if self.due_came {
            return self.here(if self.number_came_again { Kind::Inserted } else { Kind::Reordered });
        }
        let is_only_number_wrong = match self.next {
            Some(next) => next.is_some_and(|next| next.sequence == self.due().saturating_add(1)),
            None => tail.head().is_some_and(|head| head.sequence == self.due() && head.sequence < line.sequence),
        };
        self.here(if is_only_number_wrong { Kind::Edited } else { Kind::Removed })
    }

    /// A line of that number was there already.
    fn judge_surplus(&self, line: Told, tail: Tail) -> Fault {
        let is_only_number_wrong = !self.due_came
            && match self.next {
                Some(next) => next.is_some_and(|next| next.sequence == self.due().saturating_add(1)),
                None => tail.head().is_some_and(|head| head.sequence >= self.due()),
            };
        if is_only_number_wrong {
            return self.here(Kind::Edited);
        }
        // Two lines claim one place: the one that the next line names is the one that was written.
        let is_twin = self.walk.before_last == Some(line.previous)
            && self.walk.last.is_some_and(|last| last.sequence == line.sequence && last.hash != line.hash);
        let is_line_named = self.next.flatten().is_some_and(|next| next.previous == line.hash);
        if is_twin && is_line_named { self.before(Kind::Inserted) } else { self.here(Kind::Inserted) }
    }

    fn here(&self, kind: Kind) -> Fault {
        let Walk { place, vouched, .. } = self.walk;
        Fault { kind, place, sequence: self.due(), vouched }
    }

    fn before(&self, kind: Kind) -> Fault {
        let Walk { place, vouched, .. } = self.walk;
        Fault { kind, place: place.saturating_sub(1), sequence: self.due().saturating_sub(1), vouched }
    }
}

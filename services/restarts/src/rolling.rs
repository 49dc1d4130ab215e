//! How many workloads roll at once, and who is next.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::index::Name;

/// A place among those that may roll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slot {
    /// Kept for one whose turn it is, until it has decided.
    Kept,
    /// It rolls since then, to the template of this generation.
    Rolling(Instant, i64),
}

/// Those that roll, and those that wait for it in the order in which they came.
#[derive(Debug)]
pub(crate) struct Rolling {
    limit: usize,
    patience: Duration,
    slots: HashMap<Name, Slot>,
    waiting: VecDeque<Name>,
    /// Those in `waiting`.
    known: HashSet<Name>,
}

impl Rolling {
    /// At most `limit` at once; one that rolls for longer than `patience` no longer counts.
    pub(crate) fn new(limit: usize, patience: Duration) -> Self {
        Self { limit, patience, slots: HashMap::new(), waiting: VecDeque::new(), known: HashSet::new() }
    }

    /// Whether `name` may roll now; if not, it waits for its turn.
    pub(crate) fn enter(&mut self, name: &Name) -> bool {
        if self.slots.contains_key(name) {
            return true;
        }
        if self.slots.len() < self.limit && self.waiting.is_empty() {
            self.slots.insert(name.clone(), Slot::Kept);
            return true;
        }
        if self.known.insert(name.clone()) {
            self.waiting.push_back(name.clone());
        }
        false
    }

    /// It rolls from `now` on to the template of `generation`, also where it did already, and whatever the limit says.
    pub(crate) fn begin(&mut self, name: &Name, now: Instant, generation: i64) {
        self.slots.insert(name.clone(), Slot::Rolling(now, generation));
    }

    /// Whether it rolls and a status of `generation` can say that this has ended: older ones speak of what was before.
    pub(crate) fn is_told_by(&self, name: &Name, generation: i64) -> bool {
        matches!(self.slots.get(name), Some(Slot::Rolling(_, of)) if generation >= *of)
    }

    /// How much longer it counts as rolling, unless it ends before; `None` where it does not roll.
    pub(crate) fn remaining(&self, name: &Name, now: Instant) -> Option<Duration> {
        match self.slots.get(name)? {
            Slot::Kept => None,
            Slot::Rolling(since, _) => Some((*since + self.patience).saturating_duration_since(now)),
        }
    }

    /// It has ended, or is gone. Those whose turn it is now.
    pub(crate) fn leave(&mut self, name: &Name) -> Vec<Name> {
        self.slots.remove(name);
        self.turns()
    }

    /// It has decided: a place that was kept for it goes to another. Those whose turn it is now.
    pub(crate) fn give_back(&mut self, name: &Name) -> Vec<Name> {
        match self.slots.get(name) {
            Some(Slot::Kept) => self.leave(name),
            Some(Slot::Rolling(..)) | None => Vec::new(),
        }
    }

    fn turns(&mut self) -> Vec<Name> {
        let mut next = Vec::new();
        while self.slots.len() < self.limit {
            let Some(name) = self.waiting.pop_front() else { break };
            self.known.remove(&name);
            self.slots.entry(name.clone()).or_insert(Slot::Kept);
            next.push(name);
        }
        next
    }

    /// How many roll.
    pub(crate) fn count(&self) -> usize {
        self.slots.values().filter(|slot| matches!(slot, Slot::Rolling(..))).count()
    }

    /// How many wait for their turn.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use strongroom_restart::Kind;

    use super::*;

    fn name(name: &str) -> Name {
        Name { kind: Kind::Deployment, namespace: "team".into(), name: name.into() }
    }

    fn names(names: &[Name]) -> Vec<&str> {
        names.iter().map(|name| &*name.name).collect()
    }

    #[tokio::test]
    async fn no_more_roll_than_may_and_who_came_first_goes_first() {
        let now = Instant::now();
        let mut rolling = Rolling::new(2, Duration::from_secs(60));
        for (asked, may) in [("a", true), ("b", true), ("c", false), ("d", false), ("c", false), ("a", true)] {
            assert_eq!(rolling.enter(&name(asked)), may, "{asked}");
        }
        rolling.begin(&name("a"), now, 2);
        rolling.begin(&name("b"), now, 2);
        assert_eq!((rolling.count(), rolling.waiting()), (2, 2));
        assert_eq!(names(&rolling.leave(&name("a"))), ["c"]);
        // The place is kept for whose turn it is.
        assert!(!rolling.enter(&name("e")));
        assert!(rolling.enter(&name("c")));
        // It decided otherwise.
        assert_eq!(names(&rolling.give_back(&name("c"))), ["d"]);
        assert_eq!(names(&rolling.give_back(&name("b"))), [""; 0], "one that rolls gives nothing back");
    }

    #[tokio::test]
    async fn a_rollout_counts_for_so_long_and_anew_when_it_rolls_again() {
        let now = Instant::now();
        let later = |seconds| now + Duration::from_secs(seconds);
        let mut rolling = Rolling::new(1, Duration::from_secs(60));
        assert!(rolling.enter(&name("a")));
        assert_eq!(rolling.remaining(&name("a"), now), None, "it may roll and does not yet");
        rolling.begin(&name("a"), now, 2);
        assert_eq!([1, 2, 3].map(|generation| rolling.is_told_by(&name("a"), generation)), [false, true, true]);
        assert_eq!(rolling.remaining(&name("a"), later(20)), Some(Duration::from_secs(40)));
        rolling.begin(&name("a"), later(30), 3);
        assert_eq!(rolling.remaining(&name("a"), later(80)), Some(Duration::from_secs(10)));
        assert_eq!(rolling.remaining(&name("a"), later(95)), Some(Duration::ZERO));
    }
}

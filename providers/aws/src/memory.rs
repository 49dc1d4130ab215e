use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long it is remembered that batch calls do not work. Permissions change rarely; a change is noticed within this.
const REMEMBERED: Duration = Duration::from_secs(600);

/// At most so many names are remembered as to be asked alone, which bounds memory; more than that in ten minutes is a
/// store whose every batch fails anyway.
const MOST_NAMES: usize = 1_000;

/// What one identity learnt about batch calls to one service.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<Learnt>);

#[derive(Debug, Default)]
struct Learnt {
    batch_denied: Option<Instant>,
    alone: HashMap<String, Instant>,
}

impl Memory {
    /// Batch calls are denied or unknown there. Tells whether this is news.
    pub(crate) fn batch_is_denied(&self) -> bool {
        let now = Instant::now();
        self.with(|learnt| !learnt.batch_denied.replace(now).is_some_and(|since| is_recent(since, now)))
    }

    /// Whether keys are to be asked one by one.
    pub(crate) fn singly(&self) -> bool {
        self.singly_at(Instant::now())
    }

    fn singly_at(&self, now: Instant) -> bool {
        self.with(|learnt| learnt.batch_denied.is_some_and(|since| is_recent(since, now)))
    }

    /// A batch with `name` in it fails as a whole.
    pub(crate) fn spoils_batches(&self, name: &str) {
        let now = Instant::now();
        self.with(|learnt| {
            if learnt.alone.len() >= MOST_NAMES {
                learnt.alone.retain(|_, since| is_recent(*since, now));
            }
            if learnt.alone.len() < MOST_NAMES {
                learnt.alone.insert(name.to_owned(), now);
            }
        });
    }

    /// Whether `name` is to be asked alone.
    pub(crate) fn is_alone(&self, name: &str) -> bool {
        self.is_alone_at(name, Instant::now())
    }

    fn is_alone_at(&self, name: &str, now: Instant) -> bool {
        self.with(|learnt| learnt.alone.get(name).is_some_and(|since| is_recent(*since, now)))
    }

    fn with<T>(&self, action: impl FnOnce(&mut Learnt) -> T) -> T {
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn is_recent(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) < REMEMBERED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_learnt_is_forgotten_after_ten_minutes() {
        let memory = Memory::default();
        assert!(!memory.singly() && !memory.is_alone("a"));
        assert!(memory.batch_is_denied());
        assert!(!memory.batch_is_denied(), "no news the second time");
        memory.spoils_batches("a");
        assert!(memory.singly() && memory.is_alone("a") && !memory.is_alone("b"));
        let later = Instant::now() + REMEMBERED;
        assert!(!memory.singly_at(later) && !memory.is_alone_at("a", later));
    }

    #[test]
    fn names_are_remembered_up_to_a_bound() {
        let memory = Memory::default();
        (0..MOST_NAMES + 10).for_each(|place| memory.spoils_batches(&place.to_string()));
        assert!(memory.with(|learnt| learnt.alone.len()) <= MOST_NAMES);
    }
}

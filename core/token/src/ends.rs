//! When tokens end, in order of time, since names in the storage have none.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// When a token ends that somebody asked to revoke: at once.
pub(crate) const ASKED: i64 = i64::MIN;

/// One time for each token, never later than it ends: whoever comes at that time reads the token, and settles when to
/// come again. So a renewal needs no order with anything else, and one that is given up does no harm.
#[derive(Default)]
pub(crate) struct Ends(Mutex<State>);

#[derive(Default)]
struct State {
    times: BTreeSet<(i64, Arc<str>)>,
    known: HashMap<Arc<str>, Known>,
}

#[derive(Clone, Copy)]
struct Known {
    time: i64,
    /// How often anything was noted of it, so that nobody settles what was said meanwhile.
    notes: u64,
}

/// A token whose time has come.
pub(crate) struct Due {
    /// The token's id.
    pub(crate) id: Arc<str>,
    /// Its time.
    pub(crate) time: i64,
    notes: u64,
}

impl Ends {
    /// The token may end at `time`. Said before it is so, since whoever says it may be given up after that.
    pub(crate) fn note(&self, id: &str, time: i64) {
        let mut state = self.state();
        let known = state.known.get(id).copied();
        let notes = known.map_or(0, |known| known.notes) + 1;
        let time = known.map_or(time, |known| known.time.min(time));
        state.put(id, Known { time, notes });
    }

    /// Up to `limit` tokens whose time has come by `now`, the earliest first.
    pub(crate) fn due(&self, now: i64, limit: usize) -> Vec<Due> {
        let state = self.state();
        let due = state.times.iter().take_while(|(time, _)| *time <= now).take(limit);
        due.map(|(time, id)| Due {
            id: Arc::clone(id),
            time: *time,
            notes: state.known.get(id).map_or(0, |known| known.notes),
        })
        .collect()
    }

    /// What is due comes again at `next`, or never, unless something was noted of it since: then it is due still.
    pub(crate) fn settle(&self, due: &Due, next: Option<i64>) {
        let mut state = self.state();
        let Some(known) = state.known.get(&due.id).copied() else { return };
        if known.notes == due.notes {
            match next {
                Some(time) => state.put(&due.id, Known { time, ..known }),
                None => state.remove(&due.id),
            }
        }
    }

    /// The token is gone.
    pub(crate) fn forget(&self, id: &str) {
        self.state().remove(id);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, id: &str, known: Known) {
        self.remove(id);
        let id: Arc<str> = id.into();
        self.times.insert((known.time, Arc::clone(&id)));
        self.known.insert(id, known);
    }

    fn remove(&mut self, id: &str) {
        if let Some((id, known)) = self.known.remove_entry(id) {
            self.times.remove(&(known.time, id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(ends: &Ends, now: i64) -> Vec<(String, i64)> {
        ends.due(now, 10).into_iter().map(|due| (due.id.to_string(), due.time)).collect()
    }

    #[test]
    fn each_token_is_due_once_at_the_earliest_time_that_was_noted() {
        let ends = Ends::default();
        for (id, time) in [("a", 30), ("b", 20), ("a", 50), ("a", 10), ("c", 40)] {
            ends.note(id, time);
        }
        let pair = |id: &str, time: i64| (id.to_owned(), time);
        assert_eq!(due(&ends, 9), []);
        assert_eq!(due(&ends, 30), [pair("a", 10), pair("b", 20)]);
        ends.note("c", ASKED);
        assert_eq!(due(&ends, 30), [pair("c", ASKED), pair("a", 10), pair("b", 20)]);
        assert_eq!(ends.due(30, 2).len(), 2);
        ends.forget("a");
        ends.forget("none");
        assert_eq!(due(&ends, 100), [pair("c", ASKED), pair("b", 20)]);
    }

    #[test]
    fn what_is_settled_comes_again_unless_something_was_noted_meanwhile() {
        let ends = Ends::default();
        ends.note("a", 10);
        ends.note("b", 10);
        let [a, b] = <[Due; 2]>::try_from(ends.due(10, 10)).ok().unwrap();
        ends.settle(&a, Some(50));
        ends.note("b", 30);
        ends.settle(&b, Some(50));
        assert_eq!(due(&ends, 40), [("b".to_owned(), 10)]);
        let again = ends.due(10, 10).remove(0);
        ends.settle(&again, None);
        ends.settle(&again, Some(10));
        assert_eq!(due(&ends, 50), [("a".to_owned(), 50)]);
    }
}

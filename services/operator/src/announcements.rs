//! Who was announced a change and has not read it yet: forgotten only by a success, so that a store that is away when
//! the news comes is asked again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::index::Key;

/// One announcement. A later one is another one: it came while the values were being read, and they are read once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announced(u64);

/// Announcements that were not followed yet.
#[derive(Debug, Default)]
pub(crate) struct Announcements {
    count: AtomicU64,
    open: Mutex<HashMap<Key, Announced>>,
}

impl Announcements {
    /// Notes one for `key`.
    pub(crate) fn note(&self, key: Key) {
        let announced = Announced(self.count.fetch_add(1, Ordering::Relaxed));
        self.lock().insert(key, announced);
    }

    /// The latest one for `key`, where it is still to be followed.
    pub(crate) fn of(&self, key: &Key) -> Option<Announced> {
        self.lock().get(key).copied()
    }

    /// `key` has followed `announced`.
    pub(crate) fn settle(&self, key: &Key, announced: Announced) {
        let mut open = self.lock();
        if open.get(key) == Some(&announced) {
            open.remove(key);
        }
    }

    /// `key` is gone.
    pub(crate) fn forget(&self, key: &Key) {
        self.lock().remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Announced>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Name;

    #[test]
    fn what_is_announced_meanwhile_stays_open() {
        let (announcements, key) = (Announcements::default(), Key::Kes(Name::new("team", "db")));
        assert_eq!(announcements.of(&key), None);
        announcements.note(key.clone());
        let first = announcements.of(&key).unwrap();
        announcements.note(key.clone());
        announcements.settle(&key, first);
        let second = announcements.of(&key).unwrap();
        assert_ne!(first, second);
        announcements.settle(&key, second);
        assert_eq!(announcements.of(&key), None);
    }
}

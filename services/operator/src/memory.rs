//! What this process remembers of each ExternalSecret between two reconciliations, and forgets with its end.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use strongroom_sync::current::Memory;

use crate::names::Name;

/// What is remembered of one ExternalSecret.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Remembered {
    /// When its values were last read with success.
    pub(crate) last_success: Option<Timestamp>,
    /// How its target was left.
    pub(crate) target: Option<Memory>,
}

/// What is remembered of all of them, with a digest of the UID: another object of the same name is another one.
///
/// Nothing in here has memory of its own: what lives long should not be made in the middle of much that does not.
#[derive(Default)]
pub(crate) struct Memories(Mutex<HashMap<Name, (u64, Remembered)>>);

impl Memories {
    /// What is remembered of `name`, if that is still the object with `uid`.
    pub(crate) fn get(&self, name: &Name, uid: &str) -> Remembered {
        let uid = digest(uid);
        let known = self.lock();
        let found = known.get(name).filter(|(known, _)| *known == uid);
        found.map(|(_, remembered)| *remembered).unwrap_or_default()
    }

    /// Remembers `remembered` of `name`, which is the object with `uid`.
    pub(crate) fn put(&self, name: &Name, uid: &str, remembered: Remembered) {
        self.lock().insert(name.clone(), (digest(uid), remembered));
    }

    /// Forgets `name`.
    pub(crate) fn forget(&self, name: &Name) {
        self.lock().remove(name);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Name, (u64, Remembered)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(uid: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    uid.hash(&mut hasher);
    hasher.finish()
}

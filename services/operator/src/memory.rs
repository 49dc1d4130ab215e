//! What this process remembers of each ExternalSecret between two reconciliations, and forgets with its end.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use strongroom_sync::current::Memory;

use crate::names::Name;

/// What is remembered of one ExternalSecret.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remembered {
    /// Its UID: another object of the same name is another one.
    pub(crate) uid: String,
    /// When its values were last read with success.
    pub(crate) last_success: Option<Timestamp>,
    /// How its target was left.
    pub(crate) target: Option<Memory>,
}

/// What is remembered of all of them.
#[derive(Default)]
pub(crate) struct Memories(Mutex<HashMap<Name, Remembered>>);

impl Memories {
    /// What is remembered of `name`, if that is still the object with `uid`.
    pub(crate) fn get(&self, name: &Name, uid: &str) -> Remembered {
        let found = self.lock().get(name).filter(|remembered| remembered.uid == uid).cloned();
        found.unwrap_or_else(|| Remembered { uid: uid.to_owned(), ..Remembered::default() })
    }

    /// Remembers `remembered` of `name`.
    pub(crate) fn put(&self, name: &Name, remembered: Remembered) {
        self.lock().insert(name.clone(), remembered);
    }

    /// Forgets `name`.
    pub(crate) fn forget(&self, name: &Name) {
        self.lock().remove(name);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Name, Remembered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

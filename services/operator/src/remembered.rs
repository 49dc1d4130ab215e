//! How objects were left that become one Secret and are read by a lane of their own: those of kubernetes-external-secrets
//! and of aws-ssm. It ends with the process.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::names::{Name, StoreName};

/// How one object was left. `A` is what it asked for, as far as another request is to be told from it.
#[derive(Clone, Debug)]
pub(crate) struct Remembered<A> {
    uid: String,
    /// The lane that it reads by.
    pub(crate) store: Option<StoreName>,
    /// When its store was asked last, and for what.
    pub(crate) asked: Option<(Timestamp, A)>,
    /// The Secret as it was left: its resource version, and a digest of what was wanted.
    pub(crate) left: Option<(String, [u8; 28])>,
}

impl<A> Remembered<A> {
    /// Whether the Secret was left in this version.
    pub(crate) fn is_as_left(&self, version: Option<&String>) -> bool {
        self.left.as_ref().map(|(version, _)| version) == version
    }
}

/// How all objects of one kind were left.
#[derive(Debug)]
pub(crate) struct Memory<A>(Mutex<HashMap<Name, Remembered<A>>>);

impl<A> Default for Memory<A> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<A: Clone> Memory<A> {
    /// How the object was left; one of that name with another UID is new.
    pub(crate) fn recall(&self, name: &Name, uid: &str) -> Remembered<A> {
        let found = self.lock().get(name).filter(|known| known.uid == uid).cloned();
        found.unwrap_or_else(|| Remembered { uid: uid.to_owned(), store: None, asked: None, left: None })
    }

    /// Gives the store that nobody reads any more, if that came of it.
    pub(crate) fn remember(&self, name: &Name, remembered: Remembered<A>) -> Option<StoreName> {
        let mut known = self.lock();
        let before = known.insert(name.clone(), remembered);
        unread(&known, before)
    }

    /// As [`Memory::remember`].
    pub(crate) fn forget(&self, name: &Name) -> Option<StoreName> {
        let mut known = self.lock();
        let before = known.remove(name);
        unread(&known, before)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Name, Remembered<A>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The store of `before`, where none of `known` reads it.
fn unread<A>(known: &HashMap<Name, Remembered<A>>, before: Option<Remembered<A>>) -> Option<StoreName> {
    let store = before?.store?;
    let is_read = known.values().any(|remembered| remembered.store.as_ref() == Some(&store));
    (!is_read).then_some(store)
}

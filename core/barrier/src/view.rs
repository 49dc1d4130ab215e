//! The part of a storage that belongs to one mount, in clear to whoever holds it and to nobody else.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use strongroom_secret::SecretBytes;
use strongroom_storage::{Child, Commit, Condition, MOST_OPERATIONS, Outcome, Revision, Storage, StorageError};

use crate::{Barrier, BarrierError, KeyRing, Place};

/// Names that are asked for at once.
const NAMES: usize = 1000;

/// A barrier that many share: whoever seals it seals it for all.
pub type SharedBarrier = Arc<RwLock<Barrier>>;

/// Why a view does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ViewError {
    /// The barrier lets it not pass.
    Barrier(BarrierError),
    /// The storage did not do it.
    Storage(StorageError),
}

impl fmt::Display for ViewError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Barrier(error) => error.fmt(formatter),
            Self::Storage(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for ViewError {}

impl From<BarrierError> for ViewError {
    fn from(error: BarrierError) -> Self {
        Self::Barrier(error)
    }
}

impl From<StorageError> for ViewError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

/// What a view finds under a key.
#[derive(Clone, Debug)]
pub struct Found {
    /// In clear.
    pub value: SecretBytes,
    /// The commit that wrote it, for the condition of the next one.
    pub revision: Revision,
}

/// Changes that happen together or not at all, in clear. The limits are those of [`Commit`].
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Keys, and the commit that wrote what has to be there still; `None` where nothing may be there.
    pub conditions: Vec<(String, Option<Revision>)>,
    /// Keys and what is kept under them from now on.
    pub puts: Vec<(String, SecretBytes)>,
    /// Keys under which nothing is kept any more.
    pub deletes: Vec<String>,
}

/// Reads and writes what belongs to one mount. Keys are relative to it: segments with `/` between them.
#[derive(Clone)]
pub struct View {
    storage: Arc<dyn Storage>,
    barrier: SharedBarrier,
    mount: Arc<str>,
}

impl View {
    /// The view of the mount with this id, a segment that no other mount has had.
    pub fn new(storage: Arc<dyn Storage>, barrier: SharedBarrier, mount: &str) -> Self {
        Self { storage, barrier, mount: mount.into() }
    }

    /// What is kept under each of `keys`, in their order, all as of one moment.
    ///
    /// # Errors
    /// A sealed barrier, a record that was changed outside, or the storage's own.
    pub async fn read(&self, keys: &[&str]) -> Result<Vec<Option<Found>>, ViewError> {
        let hidden =
            self.with_ring(|ring| keys.iter().map(|key| self.hidden(ring, key)).collect::<Result<Vec<_>, _>>())?;
        let stored = self.storage.read(&hidden).await?;
        let found = |ring: &KeyRing| {
            let found = keys.iter().zip(stored).map(|(key, stored)| {
                let Some(stored) = stored else { return Ok(None) };
                let value = ring.decrypt(&self.place(key), &stored.bytes)?;
                Ok(Some(Found { value, revision: stored.revision }))
            });
            found.collect()
        };
        self.with_ring(found)
    }

    /// What is kept under one key.
    ///
    /// # Errors
    /// As [`View::read`].
    pub async fn read_one(&self, key: &str) -> Result<Option<Found>, ViewError> {
        Ok(self.read(&[key]).await?.pop().flatten())
    }

    /// All names in `folder` (empty, or with a slash at its end), sorted by their bytes; those of folders end with a
    /// slash. A name that is a key and a folder is listed as both.
    ///
    /// # Errors
    /// As [`View::read`].
    pub async fn list(&self, folder: &str) -> Result<Vec<String>, ViewError> {
        let hidden = self.with_ring(|ring| self.hidden(ring, folder))?;
        let mut names = Vec::new();
        let mut after: Option<Child> = None;
        loop {
            let page = self.storage.children(&hidden, after.as_ref(), NAMES).await?;
            let shown = |ring: &KeyRing| page.names.iter().map(|child| shown(ring, &hidden, child)).collect();
            let more: Vec<String> = self.with_ring(shown)?;
            names.extend(more);
            after = page.names.last().cloned();
            if !page.has_more || after.is_none() {
                names.sort_unstable();
                return Ok(names);
            }
        }
    }

    /// All names in `folder` with what is kept under them, folders in it left out: as of several moments, where there are
    /// many.
    ///
    /// # Errors
    /// As [`View::read`].
    pub async fn read_folder(&self, folder: &str) -> Result<Vec<(String, Found)>, ViewError> {
        let names: Vec<String> = self.list(folder).await?.into_iter().filter(|name| !name.ends_with('/')).collect();
        let mut found = Vec::with_capacity(names.len());
        for names in names.chunks(NAMES) {
            let keys: Vec<String> = names.iter().map(|name| format!("{folder}{name}")).collect();
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let read = self.read(&keys).await?;
            found.extend(names.iter().cloned().zip(read).filter_map(|(name, read)| Some((name, read?))));
        }
        Ok(found)
    }

    /// Changes what `changes` say if their conditions hold; durable before the answer.
    ///
    /// # Errors
    /// As [`View::read`]; [`StorageError::Unknown`] where it is not known whether it happened.
    pub async fn commit(&self, changes: &Changes) -> Result<Outcome, ViewError> {
        let commit = self.with_ring(|ring| self.encrypted(ring, changes))?;
        Ok(self.storage.commit(commit).await?)
    }

    /// Deletes all that lies in `folder` (empty for the whole mount, or with a slash at its end), some at a time: one that
    /// is cut off goes on where it is called again.
    ///
    /// # Errors
    /// As [`View::read`].
    pub async fn erase(&self, folder: &str) -> Result<(), ViewError> {
        let prefix = self.with_ring(|ring| self.hidden(ring, folder))?;
        loop {
            let page = self.storage.scan(&prefix, None, MOST_OPERATIONS).await?;
            let deletes: Vec<String> = page.entries.into_iter().map(|(key, _)| key).collect();
            if deletes.is_empty() {
                return Ok(());
            }
            self.storage.commit(Commit { deletes, ..Commit::default() }).await?;
        }
    }

    fn encrypted(&self, ring: &KeyRing, changes: &Changes) -> Result<Commit, BarrierError> {
        let mut commit = Commit::default();
        for (key, expected) in &changes.conditions {
            commit.conditions.push(Condition { key: self.hidden(ring, key)?, expected: *expected });
        }
        for (key, value) in &changes.puts {
            commit.puts.push((self.hidden(ring, key)?, ring.encrypt(&self.place(key), value)?));
        }
        for key in &changes.deletes {
            commit.deletes.push(self.hidden(ring, key)?);
        }
        Ok(commit)
    }

    fn place<'a>(&'a self, key: &'a str) -> Place<'a> {
        Place { mount: &self.mount, key, version: 0 }
    }

    fn hidden(&self, ring: &KeyRing, key: &str) -> Result<String, BarrierError> {
        ring.hide_name(&format!("{}/{key}", self.mount))
    }

    /// No lock is held while the storage works: it could take long, and sealing must not wait for it.
    fn with_ring<T>(&self, with: impl FnOnce(&KeyRing) -> Result<T, BarrierError>) -> Result<T, ViewError> {
        let barrier = self.barrier.read().unwrap_or_else(PoisonError::into_inner);
        Ok(with(barrier.ring()?)?)
    }
}

impl fmt::Debug for View {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("View").field("mount", &self.mount).finish_non_exhaustive()
    }
}

/// The name of a child of the folder that is hidden as `folder`.
fn shown(ring: &KeyRing, folder: &str, child: &Child) -> Result<String, BarrierError> {
    let path = ring.show_name(&format!("{folder}{}", child.name))?;
    let name = path.rsplit('/').next().unwrap_or_default();
    Ok(if child.is_folder { format!("{name}/") } else { name.to_owned() })
}

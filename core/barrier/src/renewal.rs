//! Encrypting anew what older terms encrypted, and looking whether everything opens.

use std::sync::PoisonError;

use strongroom_storage::{Commit, Condition, MOST_BYTES, MOST_OPERATIONS, Outcome, Storage, Stored};

use crate::{BarrierError, KeyRing, Place, SharedBarrier, ViewError};

/// The first letter of storage keys that are not the barrier's: what a store keeps in clear about its seal. Hidden names
/// hold no such letter.
pub const OUTSIDE: char = '+';

/// What came of a part of the work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renewed {
    /// Records that were looked at.
    pub seen: usize,
    /// Records that were encrypted anew.
    pub changed: usize,
    /// Where the next part begins: behind this storage key. `None` where that was all.
    pub last: Option<String>,
}

impl KeyRing {
    /// Whether a record of a storage opens where it lies. What lies outside of the barrier is not looked at.
    ///
    /// # Errors
    /// [`BarrierError::NameRefused`], [`BarrierError::RecordRefused`] or [`BarrierError::TermUnknown`].
    pub fn check(&self, hidden: &str, record: &[u8]) -> Result<(), BarrierError> {
        self.placed(hidden, |place| self.decrypt(place, record)).map(drop)
    }

    /// Calls with the place that a storage key stands for.
    fn placed<T>(
        &self,
        hidden: &str,
        with: impl FnOnce(&Place<'_>) -> Result<T, BarrierError>,
    ) -> Result<Option<T>, BarrierError> {
        if hidden.starts_with(OUTSIDE) {
            return Ok(None);
        }
        let shown = self.show_name(hidden)?;
        let (mount, key) = shown.split_once('/').ok_or(BarrierError::NameRefused)?;
        with(&Place { mount, key, version: 0 }).map(Some)
    }
}

/// Looks at up to `limit` records behind `after`, and encrypts those anew that are of an older term than the newest. What
/// somebody writes meanwhile is of the newest term by that.
///
/// # Errors
/// A sealed barrier, a record that does not open, or the storage's own. What was done before stays done.
pub async fn renew_some(
    storage: &dyn Storage,
    barrier: &SharedBarrier,
    after: Option<&str>,
    limit: usize,
) -> Result<Renewed, ViewError> {
    let page = storage.scan("", after, limit).await?;
    let mut renewed = Renewed { seen: page.entries.len(), ..Renewed::default() };
    if page.has_more {
        renewed.last = page.entries.last().map(|(key, _)| key.clone());
    }
    let mut commit = Commit::default();
    let mut bytes = 0;
    for (key, stored) in page.entries {
        let Some(record) = newer(barrier, &key, &stored)? else { continue };
        let size = key.len() + record.len();
        if bytes + size > MOST_BYTES || (commit.puts.len() + 1) * 2 > MOST_OPERATIONS {
            renewed.changed += committed(storage, std::mem::take(&mut commit)).await?;
            bytes = 0;
        }
        bytes += size;
        commit.conditions.push(Condition { key: key.clone(), expected: Some(stored.revision) });
        commit.puts.push((key, record));
    }
    renewed.changed += committed(storage, commit).await?;
    Ok(renewed)
}

/// The record as the newest term encrypts it; `None` where it is so already.
fn newer(barrier: &SharedBarrier, key: &str, stored: &Stored) -> Result<Option<Vec<u8>>, ViewError> {
    let barrier = barrier.read().unwrap_or_else(PoisonError::into_inner);
    let ring = barrier.ring()?;
    Ok(ring.placed(key, |place| ring.reencrypt(place, &stored.bytes))?.flatten())
}

/// Commits, one by one where somebody wrote to one of them meanwhile.
async fn committed(storage: &dyn Storage, commit: Commit) -> Result<usize, ViewError> {
    let count = commit.puts.len();
    if count == 0 {
        return Ok(0);
    }
    if let Outcome::Committed(_) = storage.commit(commit.clone()).await? {
        return Ok(count);
    }
    let mut changed = 0;
    for (condition, put) in commit.conditions.into_iter().zip(commit.puts) {
        let one = Commit { conditions: vec![condition], puts: vec![put], deletes: Vec::new() };
        changed += usize::from(matches!(storage.commit(one).await?, Outcome::Committed(_)));
    }
    Ok(changed)
}

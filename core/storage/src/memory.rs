//! A storage that ends with its process: for tests, and for trying the store out.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{
    Child, Children, Commit, Outcome, Page, Pending, Revision, Snapshot, Storage, Stored, children_of, page_of,
};

#[derive(Clone, Debug, Default)]
struct Kept {
    entries: Arc<BTreeMap<String, Stored>>,
    last: u64,
}

/// Records in memory.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Kept>);

impl Memory {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stands behind `after` and begins with `prefix`, in order.
fn behind<'m>(
    entries: &'m BTreeMap<String, Stored>,
    prefix: &'m str,
    after: Option<&'m str>,
) -> impl Iterator<Item = (&'m String, &'m Stored)> {
    let from = match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    };
    entries.range::<str, _>((from, Bound::Unbounded)).take_while(move |(key, _)| key.starts_with(prefix))
}

impl Storage for Memory {
    fn read<'a>(&'a self, keys: &'a [String]) -> Pending<'a, Vec<Option<Stored>>> {
        let entries = Arc::clone(&self.kept().entries);
        Box::pin(async move { Ok(keys.iter().map(|key| entries.get(key).cloned()).collect()) })
    }

    fn scan<'a>(&'a self, prefix: &'a str, after: Option<&'a str>, limit: usize) -> Pending<'a, Page> {
        let entries = Arc::clone(&self.kept().entries);
        Box::pin(async move {
            let found = behind(&entries, prefix, after).map(|(key, stored)| Ok((key.clone(), stored.clone())));
            page_of(found, limit)
        })
    }

    fn children<'a>(&'a self, folder: &'a str, after: Option<&'a Child>, limit: usize) -> Pending<'a, Children> {
        let entries = Arc::clone(&self.kept().entries);
        let next = move |from: &str| {
            let found = entries.range::<str, _>((Bound::Included(from), Bound::Unbounded)).next();
            Ok(found.map(|(key, _)| key.clone()))
        };
        Box::pin(async move { children_of(folder, after, limit, next) })
    }

    fn commit(&self, commit: Commit) -> Pending<'_, Outcome> {
        Box::pin(async move {
            commit.check()?;
            let mut kept = self.kept();
            let revision = |key: &str| kept.entries.get(key).map(|stored| stored.revision);
            if commit.conditions.iter().any(|condition| revision(&condition.key) != condition.expected) {
                return Ok(Outcome::Conflict);
            }
            kept.last += 1;
            let revision = Revision(kept.last);
            let entries = Arc::make_mut(&mut kept.entries);
            for (key, bytes) in commit.puts {
                entries.insert(key, Stored { bytes, revision });
            }
            for key in commit.deletes {
                entries.remove(&key);
            }
            Ok(Outcome::Committed(revision))
        })
    }

    fn snapshot(&self) -> Pending<'_, Box<dyn Snapshot>> {
        let kept = self.kept().clone();
        Box::pin(async move { Ok(Box::new(kept) as Box<dyn Snapshot>) })
    }
}

impl Snapshot for Kept {
    fn revision(&self) -> Revision {
        Revision(self.last)
    }

    fn scan<'a>(&'a self, after: Option<&'a str>, limit: usize) -> Pending<'a, Page> {
        Box::pin(async move {
            let found = behind(&self.entries, "", after).map(|(key, stored)| Ok((key.clone(), stored.clone())));
            page_of(found, limit)
        })
    }
}

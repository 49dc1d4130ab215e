//! What is counted of a file, so that a start need not read all of it. Changes with the records, in their transaction.

use redb::{AccessGuard, ReadableTable, ReadableTableMetadata as _, Table};

/// The number of the last commit, and the bytes of all records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    /// The last commit; 0 where there was none.
    pub(crate) last: u64,
    /// Bytes of all keys and of what is kept under them.
    pub(crate) bytes: u64,
}

/// The name of [`Counts::last`].
const LAST: &str = "";
/// The name of [`Counts::bytes`].
const BYTES: &str = "bytes";

type Numbers<'t> = Table<'t, &'static str, u64>;
type Kept<'t> = AccessGuard<'t, &'static [u8]>;

impl Counts {
    /// What `table` says; what it does not say is 0.
    pub(crate) fn read(table: &impl ReadableTable<&'static str, u64>) -> Result<Self, redb::Error> {
        let number = |name| Ok::<_, redb::Error>(table.get(name)?.map_or(0, |number| number.value()));
        Ok(Self { last: number(LAST)?, bytes: number(BYTES)? })
    }

    /// What `table` says. Where no bytes were counted yet, they are counted now, which reads all of `records`.
    pub(crate) fn complete(
        table: &mut Numbers<'_>,
        records: &Table<'_, &'static str, &'static [u8]>,
    ) -> Result<Self, redb::Error> {
        if table.get(BYTES)?.is_none() {
            table.insert(BYTES, records.stats()?.stored_bytes())?;
        }
        Self::read(table)
    }

    /// Puts both numbers into `table`.
    pub(crate) fn write(self, table: &mut Numbers<'_>) -> Result<(), redb::Error> {
        table.insert(LAST, self.last)?;
        table.insert(BYTES, self.bytes)?;
        Ok(())
    }

    /// Counts a record of `length` bytes under `key`, in place of what was `replaced`.
    pub(crate) fn gains(&mut self, key: &str, length: usize, replaced: Option<Kept<'_>>) {
        self.loses(key, replaced);
        self.bytes = self.bytes.saturating_add((key.len() + length) as u64);
    }

    /// Counts what was `removed` under `key` no more.
    pub(crate) fn loses(&mut self, key: &str, removed: Option<Kept<'_>>) {
        if let Some(removed) = removed {
            self.bytes = self.bytes.saturating_sub((key.len() + removed.value().len()) as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use redb::{ReadableDatabase as _, ReadableTableMetadata as _};
    use strongroom_storage::{Commit, Condition, Revision, Storage as _};

    use super::*;
    use crate::{COUNTS, RECORDS, Redb, opened};

    fn counted_and_there(path: &Path) -> (u64, u64) {
        let database = opened(path, None).unwrap();
        let transaction = database.begin_read().unwrap();
        let counts = Counts::read(&transaction.open_table(COUNTS).unwrap()).unwrap();
        (counts.bytes, transaction.open_table(RECORDS).unwrap().stats().unwrap().stored_bytes())
    }

    #[test]
    fn the_bytes_that_are_counted_are_those_that_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.redb");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let storage = Redb::open(&path, |_| {}).unwrap();
        let commit = |commit| runtime.block_on(storage.commit(commit)).unwrap();
        let put = |key: &str, length| (key.to_owned(), vec![7; length]);
        for number in 0..50_usize {
            let puts = vec![put(&format!("k/{}", number % 7), number * 100), put("always", number)];
            commit(Commit { puts, ..Commit::default() });
            commit(Commit { deletes: vec![format!("k/{}", number % 5), "absent".to_owned()], ..Commit::default() });
            let conditions = vec![Condition { key: "always".to_owned(), expected: Some(Revision(9999)) }];
            commit(Commit { conditions, puts: vec![put("never", 500)], ..Commit::default() });
        }
        drop(storage);
        let (counted, there) = counted_and_there(&path);
        assert!(counted > 0 && counted == there, "{counted} of {there}");
        // A file of a version that did not count.
        let transaction = opened(&path, None).unwrap().begin_write().unwrap();
        transaction.open_table(COUNTS).unwrap().remove(BYTES).unwrap();
        transaction.commit().unwrap();
        drop(Redb::open(&path, |_| {}).unwrap());
        assert_eq!(counted_and_there(&path), (there, there));
    }
}

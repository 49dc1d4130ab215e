//! The built-in store's records in one file of redb: copy-on-write, with checksums, and durable before every answer.
//!
//! - One thread writes. It takes all commits that wait into one transaction, so that a sync of the disk serves many; a
//!   commit whose conditions do not hold takes nothing with it.
//! - Reads see the last transaction and wait for nobody. They are answered in place: they cost microseconds.
//! - Where the disk fails or is full, the file is opened anew, which tells whether the transaction happened; what did not
//!   happen is answered so, and the storage goes on when there is room again.
//! - The file is for its owner alone, and locked: a second process is refused.

#![forbid(unsafe_code)]

mod counts;
mod writer;

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::ops::Bound;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError, ReadOnlyTable, ReadTransaction, ReadableDatabase as _, TableDefinition};
use strongroom_failure::{Class, Failure};
use strongroom_storage::{
    Child, Children, Commit, Outcome, Page, Pending, Revision, Snapshot, Storage, StorageError, Stored, children_of,
    page_of,
};
use tokio::sync::{mpsc, oneshot};

use counts::Counts;

/// Keys, and behind eight bytes of revision what is kept under them.
const RECORDS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("records");
/// What [`Counts`] counts, by name.
const COUNTS: TableDefinition<'static, &str, u64> = TableDefinition::new("last");

/// Commits that wait for the writer; whoever comes then waits for a place.
const WAITING: usize = 1024;

/// Bytes of the file that are kept in memory, at the most.
const CACHE: usize = 32 << 20;

/// From this size on a file that is mostly empty is made smaller when it is opened.
const WORTH_COMPACTING: u64 = 64 << 20;

/// The file, open; nothing while it is opened anew.
type Handle = Arc<RwLock<Option<Arc<Database>>>>;

/// Records in a file.
pub struct Redb {
    handle: Handle,
    commits: Option<mpsc::Sender<writer::Waiting>>,
    writer: Option<JoinHandle<()>>,
    path: PathBuf,
}

impl Redb {
    /// Opens the file, and makes it where there is none, with its folder. `progress` hears of work that takes long: mending
    /// a file after a crash, making it smaller.
    ///
    /// # Errors
    /// A file that cannot be had, that another process has, or that is damaged: names it, and the cure.
    pub fn open(path: &Path, progress: impl Fn(&str) + Send + Sync + 'static) -> Result<Self, Failure> {
        if let Some(folder) = path.parent() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(|error| failed(path, &format!("its folder cannot be made: {error}")))?;
        }
        let progress = Arc::new(progress);
        let told = Arc::clone(&progress);
        let repairs = move |session: &mut redb::RepairSession| {
            told(&format!("mending the file after a crash: {:.0} %", session.progress() * 100.0));
        };
        let mut database = opened(path, Some(Box::new(repairs))).map_err(|error| refused(path, error))?;
        let counts = prepare(&database).map_err(|error| failed(path, &error.to_string()))?;
        if is_mostly_empty(path, counts) {
            progress("making the file smaller");
            database.compact().map_err(|error| failed(path, &format!("it cannot be made smaller: {error}")))?;
        }
        let handle: Handle = Arc::new(RwLock::new(Some(Arc::new(database))));
        let (commits, waiting) = mpsc::channel(WAITING);
        let (own, place) = (Arc::clone(&handle), path.to_owned());
        let writer = std::thread::Builder::new().name("storage".to_owned());
        let writer = writer.spawn(move || writer::run(&own, &place, waiting));
        let writer = writer.map_err(|error| failed(path, &format!("no thread can be started: {error}")))?;
        Ok(Self { handle, commits: Some(commits), writer: Some(writer), path: path.to_owned() })
    }

    fn records(&self) -> Result<(ReadTransaction, ReadOnlyTable<&'static str, &'static [u8]>), StorageError> {
        let database = self.handle.read().unwrap_or_else(PoisonError::into_inner).clone();
        let database = database.ok_or_else(|| StorageError::Unavailable("the file is being opened anew".into()))?;
        let transaction = database.begin_read().map_err(|error| of_redb(error.into()))?;
        let table = transaction.open_table(RECORDS).map_err(|error| of_redb(error.into()))?;
        Ok((transaction, table))
    }
}

impl fmt::Debug for Redb {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Redb").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Drop for Redb {
    /// Waits for what was taken on.
    fn drop(&mut self) {
        drop(self.commits.take());
        if let Some(writer) = self.writer.take() {
            // It panicked only by a defect, which its own commits have told.
            let _ = writer.join();
        }
    }
}

impl Storage for Redb {
    fn read<'a>(&'a self, keys: &'a [String]) -> Pending<'a, Vec<Option<Stored>>> {
        Box::pin(async move {
            let (_transaction, table) = self.records()?;
            let read = |key: &String| {
                let found = table.get(key.as_str()).map_err(|error| of_redb(error.into()))?;
                found.map(|found| stored(found.value())).transpose()
            };
            keys.iter().map(read).collect()
        })
    }

    fn scan<'a>(&'a self, prefix: &'a str, after: Option<&'a str>, limit: usize) -> Pending<'a, Page> {
        Box::pin(async move { scan(&self.records()?.1, prefix, after, limit) })
    }

    fn children<'a>(&'a self, folder: &'a str, after: Option<&'a Child>, limit: usize) -> Pending<'a, Children> {
        Box::pin(async move {
            let (_transaction, table) = self.records()?;
            let next = |from: &str| {
                let mut range = table.range(from..).map_err(|error| of_redb(error.into()))?;
                let found = range.next().transpose().map_err(|error| of_redb(error.into()))?;
                Ok(found.map(|(key, _)| key.value().to_owned()))
            };
            children_of(folder, after, limit, next)
        })
    }

    fn commit(&self, commit: Commit) -> Pending<'_, Outcome> {
        Box::pin(async move {
            commit.check()?;
            let ended = || StorageError::Unavailable("the storage is closed".into());
            let commits = self.commits.as_ref().ok_or_else(ended)?;
            let (answer, answered) = oneshot::channel();
            commits.send((commit, answer)).await.map_err(|_| ended())?;
            answered.await.map_err(|_| StorageError::Unknown("its writer ended".into()))?
        })
    }

    fn snapshot(&self) -> Pending<'_, Box<dyn Snapshot>> {
        Box::pin(async move {
            let (transaction, table) = self.records()?;
            let counts = transaction.open_table(COUNTS).map_err(|error| of_redb(error.into()))?;
            let last = Counts::read(&counts).map_err(of_redb)?.last;
            Ok(Box::new(Moment { table, last }) as Box<dyn Snapshot>)
        })
    }
}

/// The file as it was at one moment; it keeps what was there.
struct Moment {
    table: ReadOnlyTable<&'static str, &'static [u8]>,
    last: u64,
}

impl Snapshot for Moment {
    fn revision(&self) -> Revision {
        Revision(self.last)
    }

    fn scan<'a>(&'a self, after: Option<&'a str>, limit: usize) -> Pending<'a, Page> {
        Box::pin(async move { scan(&self.table, "", after, limit) })
    }
}

fn scan(
    table: &ReadOnlyTable<&'static str, &'static [u8]>,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Page, StorageError> {
    let from = match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    };
    let range = table.range::<&str>((from, Bound::Unbounded)).map_err(|error| of_redb(error.into()))?;
    let entries = range.map(|entry| {
        let (key, value) = entry.map_err(|error| of_redb(error.into()))?;
        Ok((key.value().to_owned(), stored(value.value())?))
    });
    let ours = entries.take_while(|entry| entry.as_ref().map_or(true, |(key, _)| key.starts_with(prefix)));
    page_of(ours, limit)
}

fn stored(kept: &[u8]) -> Result<Stored, StorageError> {
    let damaged = || StorageError::Damaged("a record is cut off".into());
    let (revision, bytes) = kept.split_first_chunk().ok_or_else(damaged)?;
    Ok(Stored { bytes: bytes.to_vec(), revision: Revision(u64::from_be_bytes(*revision)) })
}

type Repairs = Box<dyn Fn(&mut redb::RepairSession) + Send + Sync>;

fn opened(path: &Path, repairs: Option<Repairs>) -> Result<Database, DatabaseError> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    let file: File = file.map_err(|error| DatabaseError::Storage(redb::StorageError::Io(error)))?;
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE);
    if let Some(repairs) = repairs {
        builder.set_repair_callback(repairs);
    }
    builder.create_with_backend(FileBackend::new(file)?)
}

/// Both tables are there from the start, so that readers find them; says what they hold.
fn prepare(database: &Database) -> Result<Counts, redb::Error> {
    let transaction = database.begin_write()?;
    let counts = {
        let records = transaction.open_table(RECORDS)?;
        let mut table = transaction.open_table(COUNTS)?;
        Counts::complete(&mut table, &records)?
    };
    transaction.commit()?;
    Ok(counts)
}

/// Whether the file has four times the size of what is in it.
fn is_mostly_empty(path: &Path, counts: Counts) -> bool {
    let size = std::fs::metadata(path).map_or(0, |file| file.len());
    size >= WORTH_COMPACTING && counts.bytes < size / 4
}

fn failed(path: &Path, words: &str) -> Failure {
    Failure::new(Class::Invalid, format!("the storage {} cannot be used: {words}", path.display()))
}

fn refused(path: &Path, error: DatabaseError) -> Failure {
    match error {
        DatabaseError::DatabaseAlreadyOpen => failed(path, "another process has it open")
            .with_hint("end that process, or give this one another --data folder"),
        DatabaseError::Storage(redb::StorageError::Corrupted(words)) => {
            failed(path, &format!("it is damaged: {words}")).with_hint("restore a snapshot into an empty folder")
        }
        other => failed(path, &other.to_string()),
    }
}

/// What redb says went wrong.
fn of_redb(error: redb::Error) -> StorageError {
    match error {
        redb::Error::Io(error) if is_full(&error) => StorageError::Full,
        redb::Error::Corrupted(words) => StorageError::Damaged(words.into()),
        redb::Error::ValueTooLarge(_) => StorageError::Refused("a value is too large"),
        other => StorageError::Unavailable(other.to_string().into()),
    }
}

fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

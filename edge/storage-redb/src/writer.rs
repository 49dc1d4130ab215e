//! The one who writes.

use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use redb::{Database, ReadableDatabase as _, ReadableTable as _, Table};
use strongroom_storage::{Commit, Outcome, Revision, StorageError};
use tokio::sync::{mpsc, oneshot};

use super::{COUNTS, Counts, Handle, RECORDS, of_redb, opened};

/// Commits that go into one transaction.
const TOGETHER: usize = 256;

/// How often, and how long apart, a file is opened anew that readers still hold.
const REOPENINGS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

pub(super) type Answer = Result<Outcome, StorageError>;
/// A commit, and who waits for its end.
pub(super) type Waiting = (Commit, oneshot::Sender<Answer>);

/// Writes until nobody can send any more.
pub(super) fn run(handle: &Handle, path: &Path, mut waiting: mpsc::Receiver<Waiting>) {
    while let Some(first) = waiting.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < TOGETHER
            && let Ok(next) = waiting.try_recv()
        {
            batch.push(next);
        }
        let (commits, senders): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        let answers = write(handle, path, &commits);
        for (sender, answer) in senders.into_iter().zip(answers) {
            // Whoever does not wait any more finds it when it reads.
            let _ = sender.send(answer);
        }
    }
}

/// The answers to `commits`, in their order.
fn write(handle: &Handle, path: &Path, commits: &[Commit]) -> Vec<Answer> {
    let all = |error: StorageError| commits.iter().map(|_| Err(error.clone())).collect();
    let database = match database(handle, path) {
        Ok(database) => database,
        Err(error) => return all(error),
    };
    let before = match counts(&database) {
        Ok(before) => before,
        Err(error) => return all(error),
    };
    match transaction(&database, before, commits) {
        Ok(answers) => answers,
        Err((error, outcomes)) => {
            // A file that failed once is not used again.
            drop(database);
            *handle.write().unwrap_or_else(PoisonError::into_inner) = None;
            match self::database(handle, path).and_then(|database| counts(&database)) {
                // It happened in spite of what the system said.
                Ok(after) if after.last > before.last && !outcomes.is_empty() => outcomes.into_iter().map(Ok).collect(),
                Ok(_) => all(error),
                Err(unknown) => all(StorageError::Unknown(format!("{error}; then {unknown}").into())),
            }
        }
    }
}

/// The database, opened anew where it was given up.
fn database(handle: &Handle, path: &Path) -> Result<Arc<Database>, StorageError> {
    if let Some(database) = handle.read().unwrap_or_else(PoisonError::into_inner).clone() {
        return Ok(database);
    }
    for attempt in 0..REOPENINGS {
        match opened(path, None) {
            Ok(database) => {
                let database = Arc::new(database);
                *handle.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&database));
                tracing::info!(path = %path.display(), "the storage was opened anew");
                return Ok(database);
            }
            // Snapshots and reads that are under way hold it.
            Err(redb::DatabaseError::DatabaseAlreadyOpen) if attempt + 1 < REOPENINGS => std::thread::sleep(PAUSE),
            Err(error) => return Err(of_redb(error.into())),
        }
    }
    Err(StorageError::Unavailable("readers hold the file that failed".into()))
}

fn counts(database: &Database) -> Result<Counts, StorageError> {
    let transaction = database.begin_read().map_err(|error| of_redb(error.into()))?;
    let table = transaction.open_table(COUNTS).map_err(|error| of_redb(error.into()))?;
    Counts::read(&table).map_err(of_redb)
}

/// Writes all in one transaction; where that fails, with what would have come of it if it went as far as the disk.
fn transaction(
    database: &Database,
    before: Counts,
    commits: &[Commit],
) -> Result<Vec<Answer>, (StorageError, Vec<Outcome>)> {
    let early = |error: redb::Error| (of_redb(error), Vec::new());
    let transaction = database.begin_write().map_err(|error| early(error.into()))?;
    let mut outcomes = Vec::with_capacity(commits.len());
    let mut counts = before;
    {
        let mut records = transaction.open_table(RECORDS).map_err(|error| early(error.into()))?;
        for commit in commits {
            outcomes.push(apply(&mut records, commit, &mut counts).map_err(early)?);
        }
        if counts.last > before.last {
            let mut table = transaction.open_table(COUNTS).map_err(|error| early(error.into()))?;
            counts.write(&mut table).map_err(early)?;
        }
    }
    let ended = if counts.last > before.last {
        transaction.commit().map_err(redb::Error::from)
    } else {
        // Nothing but conflicts: nothing to wait for the disk for.
        transaction.abort().map_err(redb::Error::from)
    };
    match ended {
        Ok(()) => Ok(outcomes.into_iter().map(Ok).collect()),
        Err(error) => Err((of_redb(error), outcomes)),
    }
}

fn apply(
    records: &mut Table<'_, &'static str, &'static [u8]>,
    commit: &Commit,
    counts: &mut Counts,
) -> Result<Outcome, redb::Error> {
    for condition in &commit.conditions {
        let found = records.get(condition.key.as_str())?;
        let revision = found.and_then(|found| found.value().first_chunk().map(|bytes| u64::from_be_bytes(*bytes)));
        if revision.map(Revision) != condition.expected {
            return Ok(Outcome::Conflict);
        }
    }
    counts.last += 1;
    for (key, bytes) in &commit.puts {
        let kept = [counts.last.to_be_bytes().as_slice(), bytes].concat();
        let replaced = records.insert(key.as_str(), kept.as_slice())?;
        counts.gains(key, kept.len(), replaced);
    }
    for key in &commit.deletes {
        let removed = records.remove(key.as_str())?;
        counts.loses(key, removed);
    }
    Ok(Outcome::Committed(Revision(counts.last)))
}

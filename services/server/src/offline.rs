//! What is done with a store that does not run: bringing a backup back, and looking whether everything opens.

use std::ffi::OsString;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use strongroom_audit::CheckpointKey;
use strongroom_audit_sinks::Verdict;
use strongroom_barrier::snapshot::{About, SnapshotError, SnapshotReader};
use strongroom_barrier::{Barrier, KeyRing, View};
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;
use strongroom_storage::{Commit, MOST_BYTES, MOST_OPERATIONS, Storage, StorageError};

use crate::command::{SealChoice, StorageOptions};
use crate::run::opened;
use crate::seal::{Custody, PLACE, root_key, unwrap_under};
use crate::store::CHECKPOINT_PURPOSE;
use crate::trail;

/// Records that are read at once.
const RECORDS: usize = 500;

/// Who gives the root key of a store that does not run.
#[derive(Debug)]
pub enum Keeper {
    /// What keeps it while nobody is there.
    Seal(SealChoice),
    /// People: the key that `sys/init` gave, in hex or base64.
    People(SecretBytes),
}

/// What was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Records.
    pub records: u64,
    /// Whether each was opened; without a keeper only the backup's own checksums were compared.
    pub were_opened: bool,
    /// What a backup says about itself.
    pub about: Option<About>,
}

type Running<T> = Result<T, Failure>;

fn within<T>(work: impl Future<Output = Running<T>>) -> Running<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let failed = |error| Failure::new(Class::Unavailable, format!("no threads can be started: {error}"));
    runtime.map_err(failed)?.block_on(work)
}

fn of_storage(error: StorageError) -> Failure {
    Failure::new(Class::Unavailable, error.to_string())
}

fn reader(path: &Path) -> Running<(About, SnapshotReader<BufReader<File>>)> {
    let failed = |error: std::io::Error| {
        Failure::new(Class::Invalid, format!("cannot read the backup {}: {error}", path.display()))
    };
    let file = BufReader::with_capacity(1 << 20, File::open(path).map_err(failed)?);
    SnapshotReader::open(file).map_err(|error| of_backup(path, &error))
}

fn of_backup(path: &Path, error: &SnapshotError) -> Failure {
    Failure::new(Class::Invalid, format!("the backup {} cannot be used: {error}", path.display()))
}

/// Brings a backup back into a place that holds no store. It was read whole before anything is written. `progress` hears
/// how many records were written.
///
/// # Errors
/// `Invalid` for a backup that is cut off or was changed, and for a place that holds something; the storage's.
pub fn restore(
    backup: &Path,
    (data, to): (&Path, &StorageOptions),
    variables: &[OsString],
    mut progress: impl FnMut(u64) + Send,
) -> Result<Checked, Failure> {
    let (about, mut whole) = reader(backup)?;
    while whole.next_record().map_err(|error| of_backup(backup, &error))?.is_some() {}
    let (_, mut records) = reader(backup)?;
    within(async move {
        let (storage, _, _) = opened(&to.place("", variables), data)?;
        if !storage.scan("", None, 1).await.map_err(of_storage)?.entries.is_empty() {
            let words = format!("there is a store in {} already", data.display());
            return Err(Failure::new(Class::Invalid, words).with_hint("restore into an empty folder or prefix"));
        }
        let (mut written, mut bytes) = (0, 0);
        let mut commit = Commit::default();
        // The custody comes last: what is there without it is no store yet, and a restore that broke off is seen.
        let mut custody = None;
        while let Some((key, value)) = records.next_record().map_err(|error| of_backup(backup, &error))? {
            if key == PLACE {
                custody = Some((key, value));
                continue;
            }
            let size = key.len() + value.len();
            if commit.puts.len() == MOST_OPERATIONS || bytes + size > MOST_BYTES {
                written += commit.puts.len() as u64;
                storage.commit(std::mem::take(&mut commit)).await.map_err(of_storage)?;
                bytes = 0;
                progress(written);
            }
            bytes += size;
            commit.puts.push((key, value));
        }
        written += commit.puts.len() as u64;
        storage.commit(commit).await.map_err(of_storage)?;
        let custody = custody.ok_or_else(|| of_backup(backup, &SnapshotError::Changed))?;
        storage.commit(Commit { puts: vec![custody], ..Commit::default() }).await.map_err(of_storage)?;
        progress(written + 1);
        Ok(Checked { records: written + 1, were_opened: false, about: Some(about) })
    })
}

/// Looks whether a backup is whole and, with a keeper, whether the store that it belongs to took it and each of its records
/// opens.
///
/// # Errors
/// `Invalid` where something is wrong: names it.
pub fn verify_backup(backup: &Path, keeper: Option<Keeper>, variables: &[OsString]) -> Result<Checked, Failure> {
    let (about, mut records) = reader(backup)?;
    let mut custody = None;
    let mut count = 0;
    while let Some((key, value)) = records.next_record().map_err(|error| of_backup(backup, &error))? {
        count += 1;
        if key == PLACE {
            custody = Some(value);
        }
    }
    let checked = Checked { records: count, were_opened: keeper.is_some(), about: Some(about) };
    let Some(keeper) = keeper else { return Ok(checked) };
    let changed = || of_backup(backup, &SnapshotError::Changed);
    let custody = Custody::parse(&custody.ok_or_else(changed)?)?;
    let ring = within(ring_of(&custody, keeper, backup, variables))?;
    let is_ours = records.is_of(&ring).map_err(|error| Failure::new(Class::Invalid, error.to_string()))?;
    if !is_ours {
        return Err(changed());
    }
    let (_, mut records) = reader(backup)?;
    while let Some((key, value)) = records.next_record().map_err(|error| of_backup(backup, &error))? {
        opens(&ring, &key, &value)?;
    }
    Ok(checked)
}

/// Looks whether each record of a store that does not run opens where it lies.
///
/// # Errors
/// `Invalid` where something is wrong; the storage's.
pub fn verify_data(
    (data, of): (&Path, &StorageOptions),
    keeper: Keeper,
    variables: &[OsString],
    mut progress: impl FnMut(u64) + Send,
) -> Result<Checked, Failure> {
    within(async move {
        let (storage, _, _) = opened(&of.place("", variables), data)?;
        let ring = ring_of(&custody_of(&*storage, data).await?, keeper, data, variables).await?;
        let snapshot = storage.snapshot().await.map_err(of_storage)?;
        let (mut records, mut after) = (0, None::<String>);
        loop {
            let page = snapshot.scan(after.as_deref(), RECORDS).await.map_err(of_storage)?;
            for (key, stored) in &page.entries {
                opens(&ring, key, &stored.bytes)?;
            }
            records += page.entries.len() as u64;
            progress(records);
            after = page.entries.into_iter().next_back().map(|(key, _)| key);
            if !page.has_more || after.is_none() {
                return Ok(Checked { records, were_opened: true, about: None });
            }
        }
    })
}

/// Reads the audit trail of a store that does not run, of the server called `node` where several share the storage.
///
/// # Errors
/// The storage's and the file's.
pub fn verify_trail(
    (data, of): (&Path, &StorageOptions),
    keeper: Keeper,
    (file, node): (&Path, &str),
    variables: &[OsString],
) -> Result<Verdict, Failure> {
    within(async move {
        let (storage, _, _) = opened(&of.place("", variables), data)?;
        let ring = ring_of(&custody_of(&*storage, data).await?, keeper, data, variables).await?;
        let key =
            ring.derive(1, CHECKPOINT_PURPOSE).map_err(|error| Failure::new(Class::Invalid, error.to_string()))?;
        let barrier = std::sync::Arc::new(std::sync::RwLock::new(Barrier::opened(ring)));
        let (trail, head) = trail::kept(&View::new(storage, barrier, crate::open::SYSTEM), node).await?;
        trail::verify_file(file, &trail, &[CheckpointKey::new(1, key)?], head)
    })
}

async fn custody_of(storage: &dyn Storage, data: &Path) -> Running<Custody> {
    let none = || Failure::new(Class::NotFound, format!("there is no store in {}", data.display()));
    Custody::read(storage).await?.map(|(custody, _)| custody).ok_or_else(none)
}

async fn ring_of(custody: &Custody, keeper: Keeper, place: &Path, variables: &[OsString]) -> Running<KeyRing> {
    let root = match keeper {
        Keeper::People(key) => {
            let unread = || Failure::new(Class::Invalid, "the key is neither hex nor base64");
            let key = key.expose_text().and_then(crate::store::decoded).ok_or_else(unread)?;
            unwrap_under(&key, custody.wrapped_root())?
        }
        Keeper::Seal(choice) => match choice.seal(place, variables) {
            Some(seal) => seal.unwrap(custody.wrapped_root()).await?,
            None => return Err(Failure::new(Class::Invalid, "people keep the key: give it on standard input")),
        },
    };
    KeyRing::unwrap(&root_key(root)?, custody.wrapped_ring())
        .map_err(|error| Failure::new(Class::Invalid, error.to_string()))
}

fn opens(ring: &KeyRing, key: &str, record: &[u8]) -> Running<()> {
    ring.check(key, record).map_err(|error| {
        let named: PathBuf = key.chars().take(40).collect::<String>().into();
        Failure::new(Class::Invalid, format!("the record {}... does not open: {error}", named.display()))
    })
}

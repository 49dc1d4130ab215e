//! The storage in a file: the suite, and what becomes of it when processes and disks end.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use strongroom_storage::{Commit, Condition, Outcome, Storage, StorageError, suite};
use strongroom_storage_redb::Redb;
use tokio::runtime::Runtime;

/// In the environment of a child: the folder that it writes to until it is killed.
const WRITES_TO: &str = "STRONGROOM_TEST_WRITES_TO";

/// Writers of a child.
const WRITERS: usize = 8;

fn open(folder: &Path) -> Redb {
    Redb::open(&folder.join("store.redb"), |_| {}).unwrap()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap()
}

fn put(key: &str, bytes: &[u8]) -> Commit {
    Commit { puts: vec![(key.to_owned(), bytes.to_vec())], ..Commit::default() }
}

#[test]
fn redb_passes_the_suite() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let made = std::cell::Cell::new(0);
    let make = || -> Arc<dyn Storage> {
        made.set(made.get() + 1);
        Arc::new(open(&folder.path().join(made.get().to_string())))
    };
    suite::check(make, |behaviour| runtime.block_on(behaviour));
}

#[test]
fn what_was_committed_is_there_again_and_the_file_is_its_owners() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (place, runtime) = (folder.path().join("new/data"), runtime());
    let storage = open(&place);
    let first = runtime.block_on(storage.commit(put("a", b"1"))).unwrap();
    drop(storage);
    let storage = open(&place);
    let read = runtime.block_on(storage.read(&["a".to_owned()])).unwrap().remove(0).unwrap();
    assert_eq!((read.bytes.as_slice(), Outcome::Committed(read.revision)), (b"1".as_slice(), first));
    let Outcome::Committed(second) = runtime.block_on(storage.commit(put("a", b"2"))).unwrap() else { panic!() };
    assert!(second > read.revision, "revisions go on");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&place), mode(&place.join("store.redb"))), (0o700, 0o600));
}

#[test]
fn a_file_that_lost_most_of_its_records_is_made_smaller_when_it_is_opened_next() {
    let folder = tempfile::tempdir().unwrap();
    let (runtime, path) = (runtime(), folder.path().join("store.redb"));
    let size = || std::fs::metadata(&path).unwrap().len();
    let storage = open(folder.path());
    for number in 0..150 {
        runtime.block_on(storage.commit(put(&format!("a/{number}"), &[7; 1 << 19]))).unwrap();
    }
    drop(storage);
    let full = size();
    // Looked through and left as it is: nothing can be given back yet.
    let storage = open(folder.path());
    assert!(size() >= full);
    for number in 1..150 {
        let gone = Commit { deletes: vec![format!("a/{number}")], ..Commit::default() };
        runtime.block_on(storage.commit(gone)).unwrap();
    }
    drop(storage);
    let storage = open(folder.path());
    assert!(size() < full / 4, "{} of {full} bytes", size());
    let kept = runtime.block_on(storage.read(&["a/0".to_owned()])).unwrap();
    assert!(kept[0].as_ref().unwrap().bytes == [7; 1 << 19]);
}

#[test]
fn a_second_process_and_a_damaged_file_are_refused_with_a_cure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let held = open(folder.path());
    let failure = Redb::open(&path, |_| {}).unwrap_err();
    assert!(failure.words.contains("another process has it open"), "{failure}");
    assert!(failure.hint.is_some());
    let runtime = runtime();
    for n in 0..200 {
        runtime.block_on(held.commit(put(&format!("k/{n}"), &[7; 500]))).unwrap();
    }
    drop(held);
    let whole = std::fs::read(&path).unwrap();
    for cut in [0, 100, 5000, whole.len() / 2] {
        let damaged = folder.path().join(format!("cut-{cut}"));
        let mut file = std::fs::File::create(&damaged).unwrap();
        file.write_all(&whole[..cut]).unwrap();
        drop(file);
        // An empty file is a new store; any other cut is told.
        let opened = Redb::open(&damaged, |_| {});
        assert_eq!(opened.is_ok(), cut == 0, "{cut}");
    }
}

/// Where the tests run as a child, writes until it is killed, and tells of each write that was acknowledged.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(WRITES_TO).map(PathBuf::from) else { return };
    let runtime = runtime();
    let storage = Arc::new(open(&folder));
    let writers = (0..WRITERS).map(|writer| {
        let storage = Arc::clone(&storage);
        runtime.spawn(async move {
            for number in 0_u64.. {
                // Both or neither.
                let [one, other] = [format!("w/{writer}/one"), format!("w/{writer}/other")];
                let bytes = [number.to_be_bytes().as_slice(), &[number.to_be_bytes()[7]; 300]].concat();
                let commit = Commit { puts: vec![(one, bytes.clone()), (other, bytes)], ..Commit::default() };
                storage.commit(commit).await.unwrap();
                println!("wrote {writer} {number}");
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    writers.into_iter().for_each(|writer| runtime.block_on(writer).unwrap());
}

/// Starts a child, kills it after `time`, and answers what it said was written last, by writer.
fn killed_after(folder: &Path, time: Duration) -> BTreeMap<usize, u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(WRITES_TO, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let reader = std::thread::spawn(move || {
        let mut last = BTreeMap::new();
        while let Some(Ok(line)) = lines.next() {
            let mut words = line.split(' ');
            if words.next() == Some("wrote") {
                let numbers: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
                if let [writer, number] = numbers[..] {
                    last.insert(usize::try_from(writer).unwrap(), number);
                }
            }
        }
        last
    });
    std::thread::sleep(time);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

#[test]
fn twenty_kills_among_concurrent_writers_lose_no_acknowledged_write_and_tear_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    let mut all = 0;
    for round in 0..20 {
        let acknowledged = killed_after(folder.path(), Duration::from_millis(random.u64(60..250)));
        let storage = open(folder.path());
        runtime().block_on(async {
            for writer in 0..WRITERS {
                let keys = [format!("w/{writer}/one"), format!("w/{writer}/other")];
                let read = storage.read(&keys).await.unwrap();
                let [one, other] = [0, 1].map(|place: usize| read[place].as_ref().map(|stored| stored.bytes.clone()));
                assert_eq!(one, other, "round {round}: half of a commit");
                let Some(bytes) = one else {
                    assert!(!acknowledged.contains_key(&writer));
                    continue;
                };
                let number = u64::from_be_bytes(*bytes.first_chunk().unwrap());
                assert!(bytes[8..].iter().all(|byte| *byte == number.to_be_bytes()[7]) && bytes.len() == 308);
                if let Some(acknowledged) = acknowledged.get(&writer) {
                    assert!(
                        number >= *acknowledged,
                        "round {round}: {number} is there, {acknowledged} was acknowledged"
                    );
                    all += acknowledged;
                }
            }
        });
    }
    assert!(all > 20, "hardly anything was written: {all}");
}

#[test]
fn commits_that_wait_share_a_sync_and_a_conflict_takes_nothing_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Arc::new(open(folder.path()));
    let runtime = runtime();
    let start = Instant::now();
    let commits = (0..400).map(|number| {
        let storage = Arc::clone(&storage);
        runtime.spawn(async move {
            let conditions = vec![Condition { key: format!("k/{}", number % 200), expected: None }];
            storage.commit(Commit { conditions, ..put(&format!("k/{}", number % 200), b"x") }).await.unwrap()
        })
    });
    let commits: Vec<_> = commits.collect();
    let outcomes: Vec<_> = commits.into_iter().map(|commit| runtime.block_on(commit).unwrap()).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Conflict).count(), 200);
    eprintln!("400 commits in {:?}", start.elapsed());
}

/// In the environment of a child: the folder of a store that may not grow.
const MAY_NOT_GROW: &str = "STRONGROOM_TEST_MAY_NOT_GROW";

/// Where the tests run as a child whose files are limited: writes until there is no room, and goes on when there is.
#[test]
fn limited_child() {
    let Some(folder) = std::env::var_os(MAY_NOT_GROW).map(PathBuf::from) else { return };
    let (runtime, storage) = (runtime(), open(&folder));
    let mut written = 0;
    let refused = loop {
        match runtime.block_on(storage.commit(put(&format!("k/{written}"), &[7; 100_000]))) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 10_000);
    };
    assert_eq!(refused, StorageError::Full);
    // What was acknowledged is there, what was refused is not, and where room is made it goes on.
    let keys = [format!("k/{}", written - 1), format!("k/{written}")];
    let read = runtime.block_on(storage.read(&keys)).unwrap();
    assert_eq!(read.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false]);
    for number in 0..written {
        let deletes = vec![format!("k/{number}")];
        // The first deletions may find no room for themselves.
        let _ = runtime.block_on(storage.commit(Commit { deletes, ..Commit::default() }));
    }
    runtime.block_on(storage.commit(put("small", b"x"))).unwrap();
    println!("survived {written}");
}

#[test]
fn a_full_disk_is_told_and_loses_nothing_and_room_brings_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let program = std::env::current_exe().unwrap();
    // A limit on the size of files stands for the end of a disk; its signal is ignored, so that writing fails.
    let script =
        format!("trap '' XFSZ; ulimit -f 8192; exec '{}' --exact limited_child --nocapture", program.display());
    let output = Command::new("bash").args(["-c", &script]).env(MAY_NOT_GROW, folder.path()).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("survived"), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
}

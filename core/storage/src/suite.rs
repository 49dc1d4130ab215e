//! What every storage has to pass (feature `suite`): one list of behaviours, each an async function over a new storage.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{
    Child, Commit, Condition, LONGEST_KEY, MOST_BYTES, MOST_OPERATIONS, Outcome, Pending, Revision, Storage,
    StorageError,
};

type Behaviour = for<'a> fn(&'a dyn Storage) -> Pending<'a, ()>;

/// All behaviours, by name. Each panics where a storage does not have it.
pub const BEHAVIOURS: &[(&str, Behaviour)] = &[
    ("what was put is read as of one moment", |storage| Box::pin(puts(storage))),
    ("a commit happens whole or not at all", |storage| Box::pin(conditions(storage))),
    ("scans give pages in order", |storage| Box::pin(scans(storage))),
    ("folders list their names once", |storage| Box::pin(folders(storage))),
    ("limits are kept and contradictions refused", |storage| Box::pin(limits(storage))),
    ("a snapshot is as of its moment", |storage| Box::pin(snapshots(storage))),
    ("random commits leave what a naive model says", |storage| Box::pin(random(storage))),
];

fn put(key: &str, bytes: &[u8]) -> Commit {
    Commit { puts: vec![(key.to_owned(), bytes.to_vec())], ..Commit::default() }
}

fn when(key: &str, expected: Option<Revision>) -> Condition {
    Condition { key: key.to_owned(), expected }
}

async fn committed(storage: &dyn Storage, commit: Commit) -> Result<Revision, StorageError> {
    match storage.commit(commit).await? {
        Outcome::Committed(revision) => Ok(revision),
        Outcome::Conflict => Err(StorageError::Refused("a conflict where none was expected")),
    }
}

async fn puts(storage: &dyn Storage) -> Result<(), StorageError> {
    let first = committed(storage, put("a", b"1")).await?;
    let both =
        Commit { puts: vec![("b".to_owned(), b"2".to_vec()), ("c".to_owned(), Vec::new())], ..Commit::default() };
    let second = committed(storage, both).await?;
    assert!(first < second, "revisions grow");
    let keys = ["c", "a", "none", "b"].map(str::to_owned);
    let read = storage.read(&keys).await?;
    let read: Vec<_> = read.into_iter().map(|read| read.map(|read| (read.bytes, read.revision))).collect();
    let expected = [Some((Vec::new(), second)), Some((b"1".to_vec(), first)), None, Some((b"2".to_vec(), second))];
    assert_eq!(read, expected);
    let deletes = vec!["a".to_owned(), "none".to_owned()];
    committed(storage, Commit { deletes, ..Commit::default() }).await?;
    assert_eq!(storage.read(&keys[1..2]).await?, [None], "a deleted key is absent");
    Ok(())
}

async fn conditions(storage: &dyn Storage) -> Result<(), StorageError> {
    let with = |conditions, commit| Commit { conditions, ..commit };
    let first = committed(storage, with(vec![when("a", None)], put("a", b"1"))).await?;
    for stale in [vec![when("a", None)], vec![when("a", Some(Revision(first.0 + 1)))], vec![when("b", Some(first))]] {
        let conditions = [vec![when("a", Some(first))], stale].concat();
        let commit = Commit { deletes: vec!["a".to_owned()], ..put("b", b"2") };
        assert_eq!(storage.commit(with(conditions, commit)).await?, Outcome::Conflict);
    }
    let read = storage.read(&["a", "b"].map(str::to_owned)).await?;
    assert_eq!(read.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false], "a conflict changes nothing");
    let second = committed(storage, with(vec![when("a", Some(first)), when("b", None)], put("a", b"3"))).await?;
    assert!(second > first);
    assert_eq!(storage.commit(with(vec![when("a", Some(first))], put("a", b"4"))).await?, Outcome::Conflict);
    Ok(())
}

async fn scans(storage: &dyn Storage) -> Result<(), StorageError> {
    for key in ["b/2", "a", "b/1", "b", "b/10", "c", "ba"] {
        committed(storage, put(key, key.as_bytes())).await?;
    }
    let keys = async |prefix: &str, after: Option<&str>, limit| {
        let page = storage.scan(prefix, after, limit).await?;
        assert!(page.entries.iter().all(|(key, stored)| stored.bytes == key.as_bytes()));
        let keys: Vec<String> = page.entries.into_iter().map(|(key, _)| key).collect();
        Ok::<_, StorageError>((keys.join(" "), page.has_more))
    };
    let found = |text: &str, has_more| (text.to_owned(), has_more);
    assert_eq!(keys("", None, 100).await?, found("a b b/1 b/10 b/2 ba c", false));
    assert_eq!(keys("b/", None, 100).await?, found("b/1 b/10 b/2", false));
    assert_eq!(keys("b/", None, 2).await?, found("b/1 b/10", true));
    assert_eq!(keys("b/", Some("b/10"), 2).await?, found("b/2", false));
    assert_eq!(keys("b/", Some("a"), 1).await?, found("b/1", true));
    assert_eq!(keys("b/", Some("b/2"), 2).await?, found("", false));
    assert_eq!(keys("", Some("b"), 2).await?, found("b/1 b/10", true));
    assert_eq!(keys("none", None, 2).await?, found("", false));
    Ok(())
}

async fn folders(storage: &dyn Storage) -> Result<(), StorageError> {
    for key in ["dir", "dir-x", "dir/a", "dir/b/c", "dir/b/d", "z/1", "z/2"] {
        committed(storage, put(key, b"")).await?;
    }
    let list = async |folder: &str, after: Option<Child>, limit| {
        let page = storage.children(folder, after.as_ref(), limit).await?;
        let shown = |child: &Child| format!("{}{}", child.name, if child.is_folder { "/" } else { "" });
        let last = page.names.last().cloned();
        Ok::<_, StorageError>((page.names.iter().map(shown).collect::<Vec<_>>().join(" "), page.has_more, last))
    };
    assert_eq!(list("", None, 100).await?.0, "dir dir-x dir/ z/");
    assert_eq!(list("dir/", None, 100).await?.0, "a b/");
    assert_eq!(list("dir/b/", None, 100).await?.0, "c d");
    assert_eq!(list("none/", None, 100).await?.0, "");
    let (mut after, mut all) = (None, Vec::new());
    loop {
        let (names, has_more, last) = list("", after, 1).await?;
        all.push(names);
        after = last;
        if !has_more {
            break;
        }
    }
    assert_eq!(all, ["dir", "dir-x", "dir/", "z/"]);
    Ok(())
}

async fn limits(storage: &dyn Storage) -> Result<(), StorageError> {
    let deletes = |count: usize| Commit { deletes: (0..count).map(|n| n.to_string()).collect(), ..Commit::default() };
    committed(storage, deletes(MOST_OPERATIONS)).await?;
    committed(storage, put("a", &vec![7; MOST_BYTES - 1])).await?;
    committed(storage, put(&"k".repeat(LONGEST_KEY), b"")).await?;
    let twice = Commit { deletes: vec!["a".to_owned()], ..put("a", b"") };
    for refused in [
        deletes(MOST_OPERATIONS + 1),
        put("a", &vec![7; MOST_BYTES]),
        put(&"k".repeat(LONGEST_KEY + 1), b""),
        put("", b""),
        twice,
    ] {
        assert!(matches!(storage.commit(refused).await, Err(StorageError::Refused(_))));
    }
    let read = storage.read(&["a".to_owned()]).await?;
    assert_eq!(read[0].as_ref().map(|stored| stored.bytes.len()), Some(MOST_BYTES - 1));
    Ok(())
}

async fn snapshots(storage: &dyn Storage) -> Result<(), StorageError> {
    for n in 0..10 {
        committed(storage, put(&format!("k/{n}"), b"old")).await?;
    }
    let last = committed(storage, put("k/0", b"older")).await?;
    let snapshot = storage.snapshot().await?;
    committed(storage, Commit { deletes: vec!["k/3".to_owned()], ..put("k/0", b"new") }).await?;
    assert_eq!(snapshot.revision(), last);
    let (mut after, mut seen) = (None::<String>, BTreeMap::new());
    loop {
        let page = snapshot.scan(after.as_deref(), 3).await?;
        after = page.entries.last().map(|(key, _)| key.clone());
        seen.extend(page.entries.into_iter().map(|(key, stored)| (key, stored.bytes)));
        if !page.has_more {
            break;
        }
    }
    assert_eq!(seen.len(), 10);
    assert_eq!(seen["k/0"], b"older");
    Ok(())
}

async fn random(storage: &dyn Storage) -> Result<(), StorageError> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut naive: BTreeMap<String, (Vec<u8>, Revision)> = BTreeMap::new();
    for _ in 0..400 {
        let mut commit = Commit::default();
        let mut holds = true;
        for n in 0..random.usize(1..5) {
            let key = format!("{}/{}{n}", ["a", "b"][random.usize(0..2)], random.u8(0..4));
            let known = naive.get(&key).map(|(_, revision)| *revision);
            match random.u8(0..4) {
                0 => commit.puts.push((key, vec![random.u8(..); random.usize(0..50)])),
                1 => commit.deletes.push(key),
                2 => commit.conditions.push(Condition { key, expected: known }),
                _ => {
                    let expected = random.bool().then(|| Revision(random.u64(1..200)));
                    holds &= expected == known;
                    commit.conditions.push(Condition { key, expected });
                }
            }
        }
        match storage.commit(commit.clone()).await? {
            Outcome::Conflict => assert!(!holds),
            Outcome::Committed(revision) => {
                assert!(holds);
                naive.extend(commit.puts.into_iter().map(|(key, bytes)| (key, (bytes, revision))));
                commit.deletes.iter().for_each(|key| drop(naive.remove(key)));
            }
        }
        let page = storage.scan("", None, 1000).await?;
        let found = page.entries.into_iter().map(|(key, stored)| (key, (stored.bytes, stored.revision)));
        assert_eq!(found.collect::<BTreeMap<_, _>>(), naive);
    }
    Ok(())
}

/// Runs all behaviours, each over a storage that `make` made, on the executor `run`.
///
/// # Panics
/// Where a storage does not have a behaviour.
pub fn check(make: impl Fn() -> Arc<dyn Storage>, run: impl Fn(Pending<'_, ()>) -> Result<(), StorageError>) {
    for (name, behaviour) in BEHAVIOURS {
        let storage = make();
        let ended = run(behaviour(&*storage));
        assert_eq!(ended, Ok(()), "{name}");
    }
}

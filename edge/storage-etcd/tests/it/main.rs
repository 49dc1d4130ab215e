//! The storage in etcd: the suite, the election, and what becomes of both when etcd is gone, slow or cut off.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use strongroom_http::TlsSettings;
use strongroom_storage::{Commit, Condition, Election, Outcome, Storage, StorageError, suite};
use strongroom_storage_etcd::{Etcd, Settings};
use tokio::runtime::Runtime;
use world::switchboard::{Fault, Line, Switchboard};

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn storage(endpoints: &[&str], prefix: &str) -> Etcd {
    of_node(endpoints, prefix, "")
}

fn of_node(endpoints: &[&str], prefix: &str, node: &str) -> Etcd {
    let endpoints = endpoints.iter().map(|endpoint| (*endpoint).to_owned()).collect();
    let (prefix, node, tls) = (prefix.to_owned(), node.to_owned(), TlsSettings::default());
    Etcd::new(Settings { endpoints, prefix, node, tls, login: None }).unwrap()
}

fn put(key: &str, bytes: &[u8]) -> Commit {
    Commit { puts: vec![(key.to_owned(), bytes.to_vec())], ..Commit::default() }
}

#[test]
fn etcd_passes_the_suite() {
    let (etcd, runtime) = (world::etcd::Etcd::start().unwrap(), runtime());
    let made = std::cell::Cell::new(0);
    let make = || -> Arc<dyn Storage> {
        made.set(made.get() + 1);
        Arc::new(storage(&[&etcd.address()], &format!("s{}/", made.get())))
    };
    suite::check(make, |behaviour| runtime.block_on(behaviour));
}

#[test]
fn long_pages_and_folders_come_whole() {
    let (etcd, runtime) = (world::etcd::Etcd::start().unwrap(), runtime());
    let storage = storage(&[&etcd.address()], "x/");
    runtime.block_on(async {
        for part in 0..30 {
            let puts = (0..100).map(|n| (format!("f{}/{part:02}-{n:02}", part % 3), vec![7; 10])).collect();
            storage.commit(Commit { puts, ..Commit::default() }).await.unwrap();
        }
        let page = storage.scan("", None, 5000).await.unwrap();
        assert_eq!((page.entries.len(), page.has_more), (3000, false));
        assert!(page.entries.is_sorted_by(|left, right| left.0 < right.0));
        let folders = storage.children("", None, 10).await.unwrap();
        assert_eq!(folders.names.iter().map(|child| child.name.as_str()).collect::<Vec<_>>(), ["f0", "f1", "f2"]);
        let names = storage.children("f1/", None, 5000).await.unwrap();
        assert_eq!(names.names.len(), 1000);
        let keys: Vec<String> = page.entries.iter().map(|(key, _)| key.clone()).take(250).collect();
        assert!(storage.read(&keys).await.unwrap().iter().all(Option::is_some));
    });
}

#[test]
fn of_two_servers_one_is_active_and_the_other_takes_over_when_it_resigns_or_is_gone() {
    let (etcd, runtime) = (world::etcd::Etcd::start().unwrap(), runtime());
    let (first, second) = (storage(&[&etcd.address()], "x/"), storage(&[&etcd.address()], "x/"));
    runtime.block_on(async {
        first.win("http://first").await.unwrap();
        assert_eq!(second.leader().await.unwrap().as_deref(), Some("http://first"));
        first.commit(put("a", b"1")).await.unwrap();
        let waiting = tokio::spawn({
            let second = second.clone();
            async move { second.win("http://second").await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!waiting.is_finished());
        assert!(matches!(second.commit(put("a", b"2")).await, Err(StorageError::Unavailable(_))));
        first.resign().await.unwrap();
        tokio::time::timeout(Duration::from_secs(3), waiting).await.unwrap().unwrap().unwrap();
        assert_eq!(first.leader().await.unwrap().as_deref(), Some("http://second"));
        assert!(matches!(first.commit(put("a", b"3")).await, Err(StorageError::Unavailable(_))));
        second.commit(put("a", b"4")).await.unwrap();
        // One that is gone without a word.
        drop(second);
        let begun = Instant::now();
        tokio::time::timeout(Duration::from_secs(20), first.win("http://first")).await.unwrap().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    });
}

#[test]
fn a_server_that_is_cut_off_stops_before_another_starts_and_changes_nothing_afterwards() {
    let (etcd, runtime) = (world::etcd::Etcd::start().unwrap(), runtime());
    let board = Switchboard::to(&etcd.host_port()).unwrap();
    let (cut, other) = (storage(&[board.address()], "x/"), storage(&[&etcd.address()], "x/"));
    runtime.block_on(async {
        cut.win("http://cut").await.unwrap();
        cut.commit(put("a", b"1")).await.unwrap();
        board.set_line(Line::HalfOpen).unwrap();
        let lost = tokio::spawn({
            let cut = cut.clone();
            async move { (cut.lost().await, Instant::now()) }
        });
        other.win("http://other").await.unwrap();
        let won = Instant::now();
        let (why, stopped) = lost.await.unwrap();
        assert!(stopped < won, "it stopped {:?} after the other one had started: {why:?}", stopped - won);
        board.set_line(Line::Open).unwrap();
        assert!(matches!(cut.commit(put("a", b"2")).await, Err(StorageError::Unavailable(_))));
        assert_eq!(other.read(&["a".to_owned()]).await.unwrap()[0].as_ref().unwrap().bytes, b"1");
    });
}

#[test]
fn a_server_that_is_started_anew_takes_its_own_place_at_once_and_what_is_left_of_it_changes_nothing() {
    let (etcd, runtime) = (world::etcd::Etcd::start().unwrap(), runtime());
    let (before, after) = (of_node(&[&etcd.address()], "x/", "n1"), of_node(&[&etcd.address()], "x/", "n1"));
    runtime.block_on(async {
        before.win("http://n1").await.unwrap();
        before.commit(put("a", b"1")).await.unwrap();
        tokio::time::timeout(Duration::from_secs(2), after.win("http://n1")).await.unwrap().unwrap();
        after.commit(put("a", b"2")).await.unwrap();
        assert!(matches!(before.commit(put("a", b"3")).await, Err(StorageError::Unavailable(_))));
        let why = tokio::time::timeout(Duration::from_secs(8), before.lost()).await.unwrap().unwrap();
        assert!(why.contains("another server"), "{why}");
    });
}

#[test]
fn a_commit_whose_answer_is_lost_is_unknown_and_a_conflict_when_it_is_made_again() {
    let (etcd, runtime) = (world::etcd::Etcd::start().unwrap(), runtime());
    let board = Switchboard::to(&etcd.host_port()).unwrap();
    let storage = storage(&[board.address()], "x/");
    runtime.block_on(async {
        let condition = Condition { key: "a".to_owned(), expected: None };
        let commit = Commit { conditions: vec![condition], ..put("a", b"1") };
        board.add(Fault::withheld_answer().on_path("/v3/kv/txn").times(1));
        let told = tokio::time::timeout(Duration::from_secs(30), storage.commit(commit.clone())).await.unwrap();
        assert!(matches!(told, Err(StorageError::Unknown(_))), "{told:?}");
        assert_eq!(storage.commit(commit).await, Ok(Outcome::Conflict));
    });
}

#[test]
fn etcd_that_is_gone_is_told_and_what_was_committed_is_there_when_it_comes_back() {
    let (mut etcd, runtime) = (world::etcd::Etcd::start().unwrap(), runtime());
    let address = etcd.address();
    // The first endpoint never answers.
    let storage = storage(&["http://127.0.0.1:9", &address], "x/");
    runtime.block_on(async {
        storage.commit(put("a", b"1")).await.unwrap();
        etcd.kill();
        assert!(matches!(storage.read(&["a".to_owned()]).await, Err(StorageError::Unavailable(_))));
        assert!(storage.commit(put("a", b"2")).await.is_err());
        etcd.start_again().unwrap();
        assert_eq!(storage.read(&["a".to_owned()]).await.unwrap()[0].as_ref().unwrap().bytes, b"1");
    });
}

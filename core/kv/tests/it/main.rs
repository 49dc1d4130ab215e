//! Secrets with and without versions, over a storage in memory.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, RwLock};

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use strongroom_barrier::{Barrier, KEY_LENGTH, KeyRing, RootKey, View};
use strongroom_crypto::random_bytes;
use strongroom_kv::{Cas, Config, KvError, MetadataChange, V1, V2};
use strongroom_secret::SecretBytes;
use strongroom_storage::Storage;
use strongroom_storage::memory::Memory;

/// A storage in memory never waits.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().unwrap()
}

fn view() -> View {
    view_of(Arc::new(Memory::default()))
}

fn view_of(storage: Arc<dyn Storage>) -> View {
    let key = || random_bytes(KEY_LENGTH).unwrap();
    let root = RootKey::new(key()).unwrap();
    let wrapped = KeyRing::new(key(), key()).unwrap().wrap(&root).unwrap();
    let mut barrier = Barrier::default();
    barrier.unseal(&root, &wrapped).unwrap();
    View::new(storage, Arc::new(RwLock::new(barrier)), "mount")
}

fn data(value: &Value) -> SecretBytes {
    SecretBytes::from(value.to_string())
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => panic!("an object"),
    }
}

async fn read(kv: &V2, path: &str, number: Option<u64>, second: i64) -> Result<Value, String> {
    match kv.read(path, number, at(second)).await {
        Ok(read) => Ok(serde_json::from_slice(read.data.expose()).unwrap()),
        Err(KvError::Gone(info)) => Err(format!("gone {}", info.number)),
        Err(KvError::Absent) => Err("absent".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn t3_t4_absent_deleted_and_destroyed_are_told_apart_and_deletion_can_be_undone() {
    block_on(async {
        let kv = V2::new(view());
        assert_eq!(read(&kv, "a/b", None, 0).await, Err("absent".to_owned()));
        for n in 1..=3 {
            let info = kv.write("a/b", &data(&json!({"n": n})), Cas::Any, at(n)).await.unwrap();
            assert_eq!((info.number, info.version.destroyed, info.version.deletion_time), (n as u64, false, None));
        }
        assert_eq!(read(&kv, "a/b", None, 4).await, Ok(json!({"n": 3})));
        assert_eq!(read(&kv, "a/b", Some(0), 4).await, Ok(json!({"n": 3})));
        assert_eq!(read(&kv, "a/b", Some(1), 4).await, Ok(json!({"n": 1})));
        assert_eq!(read(&kv, "a/b", Some(9), 4).await, Err("absent".to_owned()));
        kv.delete_latest("a/b", at(5)).await.unwrap();
        assert_eq!(read(&kv, "a/b", None, 5).await, Err("gone 3".to_owned()));
        kv.undelete("a/b", &[3, 7], at(6)).await.unwrap();
        assert_eq!(read(&kv, "a/b", None, 6).await, Ok(json!({"n": 3})));
        kv.destroy("a/b", &[2], at(7)).await.unwrap();
        kv.undelete("a/b", &[2], at(8)).await.unwrap();
        assert_eq!(read(&kv, "a/b", Some(2), 8).await, Err("gone 2".to_owned()));
        let metadata = kv.metadata("a/b").await.unwrap();
        assert!(metadata.versions[&2].destroyed && metadata.current_version == 3);
        kv.delete_metadata("a/b").await.unwrap();
        assert_eq!(read(&kv, "a/b", Some(1), 9).await, Err("absent".to_owned()));
        // What is absent is no fault.
        for _ in 0..2 {
            kv.delete_latest("a/b", at(9)).await.unwrap();
            kv.delete_metadata("a/b").await.unwrap();
        }
        let info = kv.write("a/b", &data(&json!({"n": 1})), Cas::Exactly(0), at(10)).await.unwrap();
        assert_eq!(info.number, 1, "it begins anew");
    });
}

#[test]
fn t5_check_and_set_takes_what_clients_send() {
    let cas = |value: Value| Cas::of(Some(&value));
    assert_eq!(Cas::of(None), Ok(Cas::Any));
    assert_eq!(cas(json!(3)), Ok(Cas::Exactly(3)));
    assert_eq!(cas(json!("3")), Ok(Cas::Exactly(3)));
    assert_eq!(cas(Value::Null), Ok(Cas::Never));
    assert_eq!(cas(json!(true)), Ok(Cas::Never));
    for wrong in [json!(4.5), json!("x"), json!([1]), serde_json::from_str("4.0").unwrap()] {
        assert!(matches!(cas(wrong), Err(KvError::Invalid(_))));
    }
    block_on(async {
        let kv = V2::new(view());
        let write = async |cas, second| kv.write("a", &data(&json!({})), cas, at(second)).await.map(|info| info.number);
        assert_eq!(write(Cas::Exactly(1), 0).await, Err(KvError::Mismatch));
        assert_eq!(write(Cas::Exactly(0), 0).await, Ok(1));
        assert_eq!(write(Cas::Exactly(0), 1).await, Err(KvError::Mismatch));
        assert_eq!(write(Cas::Never, 1).await, Err(KvError::Mismatch));
        kv.delete_latest("a", at(2)).await.unwrap();
        assert_eq!(write(Cas::Exactly(1), 3).await, Ok(2), "it counts on after a deletion");
        kv.set_config(&Config { cas_required: true, ..Config::default() }).await.unwrap();
        assert_eq!(write(Cas::Any, 4).await, Err(KvError::CasRequired));
        assert_eq!(write(Cas::Exactly(2), 4).await, Ok(3));
        kv.set_config(&Config::default()).await.unwrap();
        let required = MetadataChange { cas_required: Some(true), ..MetadataChange::default() };
        kv.set_metadata("a", &required, at(5)).await.unwrap();
        assert_eq!(write(Cas::Any, 6).await, Err(KvError::CasRequired));
    });
    assert_eq!(KvError::Mismatch.to_string(), "check-and-set parameter did not match the current version");
    assert_eq!(KvError::CasRequired.to_string(), "check-and-set parameter required for this call");
}

#[test]
fn t6_old_versions_are_let_go_with_their_data() {
    block_on(async {
        let memory = Arc::new(Memory::default());
        let kv = V2::new(view_of(memory.clone()));
        let records = async || memory.snapshot().await.unwrap().scan(None, 10_000).await.unwrap().entries.len();
        for n in 1..=25 {
            kv.write("a", &data(&json!({"n": n})), Cas::Any, at(n)).await.unwrap();
        }
        let metadata = kv.metadata("a").await.unwrap();
        assert_eq!((metadata.current_version, metadata.oldest_version), (25, 16));
        assert_eq!(metadata.versions.keys().copied().collect::<Vec<_>>(), (16..=25).collect::<Vec<_>>());
        assert_eq!(records().await, 11);
        // A smaller number lets go at the next write.
        let two = MetadataChange { max_versions: Some(2), ..MetadataChange::default() };
        kv.set_metadata("a", &two, at(30)).await.unwrap();
        kv.write("a", &data(&json!({"n": 26})), Cas::Any, at(31)).await.unwrap();
        assert_eq!(records().await, 3);
        assert_eq!(read(&kv, "a", Some(24), 32).await, Err("absent".to_owned()));
        assert_eq!(read(&kv, "a", Some(25), 32).await, Ok(json!({"n": 25})));
        kv.destroy("a", &[25, 26], at(33)).await.unwrap();
        assert_eq!(records().await, 1, "what is destroyed is gone from the storage");
        kv.delete_metadata("a").await.unwrap();
        assert_eq!(records().await, 0);
    });
}

#[test]
fn t7_versions_end_by_themselves_and_bringing_one_back_begins_its_time_anew() {
    block_on(async {
        let kv = V2::new(view());
        kv.set_config(&Config { delete_version_after: 60, ..Config::default() }).await.unwrap();
        let own = MetadataChange { delete_version_after: Some(10), ..MetadataChange::default() };
        kv.set_metadata("short", &own, at(0)).await.unwrap();
        assert!(!kv.exists("short").await.unwrap(), "it has no version yet");
        for path in ["short", "long"] {
            kv.write(path, &data(&json!({})), Cas::Any, at(0)).await.unwrap();
        }
        assert_eq!(read(&kv, "short", None, 9).await, Ok(json!({})));
        assert_eq!(read(&kv, "short", None, 10).await, Err("gone 1".to_owned()));
        assert_eq!(read(&kv, "long", None, 59).await, Ok(json!({})));
        assert_eq!(read(&kv, "long", None, 60).await, Err("gone 1".to_owned()));
        kv.undelete("short", &[1], at(100)).await.unwrap();
        let version = kv.metadata("short").await.unwrap().versions[&1].clone();
        assert_eq!(version.deletion_time, Some(at(100) + SignedDuration::from_secs(10)));
        let never = MetadataChange { delete_version_after: Some(-1), ..MetadataChange::default() };
        kv.set_metadata("never", &never, at(0)).await.unwrap();
        let info = kv.write("never", &data(&json!({})), Cas::Any, at(0)).await.unwrap();
        assert_eq!(info.version.deletion_time, None);
    });
}

#[test]
fn a_patch_changes_the_latest_version_and_nothing_else() {
    block_on(async {
        let kv = V2::new(view());
        let patch = async |patch: Value, cas, second| kv.patch("a", &object(patch), cas, at(second)).await;
        assert_eq!(patch(json!({"a": 1}), Cas::Any, 0).await, Err(KvError::Absent));
        let big: Value = serde_json::from_str(r#"{"a":9007199254740993,"b":{"c":"x","d":1E400}}"#).unwrap();
        kv.write("a", &data(&big), Cas::Any, at(1)).await.unwrap();
        patch(json!({"b": {"c": null, "e": [1]}}), Cas::Exactly(1), 2).await.unwrap();
        let now = kv.read("a", None, at(3)).await.unwrap();
        let text = now.data.expose_text().unwrap().to_owned();
        assert_eq!(text, r#"{"a":9007199254740993,"b":{"d":1e+400,"e":[1]}}"#, "numbers stay as they are");
        assert_eq!(patch(json!({}), Cas::Exactly(1), 3).await, Err(KvError::Mismatch));
        kv.delete_latest("a", at(4)).await.unwrap();
        assert!(matches!(patch(json!({}), Cas::Any, 5).await, Err(KvError::Gone(_))));
    });
}

#[test]
fn custom_metadata_keep_their_limits_and_are_patched_name_by_name() {
    block_on(async {
        let kv = V2::new(view());
        let change = |custom: &[(&str, Option<&str>)], is_patch| MetadataChange {
            custom_metadata: Some(
                custom.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect(),
            ),
            is_patch,
            ..MetadataChange::default()
        };
        let set = async |custom: &[(&str, Option<&str>)], is_patch| {
            kv.set_metadata("a", &change(custom, is_patch), at(0)).await
        };
        assert_eq!(set(&[("a", Some("1"))], true).await, Err(KvError::Absent));
        set(&[("a", Some("1")), ("b", Some("2"))], false).await.unwrap();
        set(&[("a", None), ("c", Some("3"))], true).await.unwrap();
        let custom = kv.metadata("a").await.unwrap().custom_metadata.unwrap();
        assert_eq!(custom, BTreeMap::from([("b".to_owned(), "2".to_owned()), ("c".to_owned(), "3".to_owned())]));
        set(&[("d", Some("4"))], false).await.unwrap();
        assert_eq!(kv.metadata("a").await.unwrap().custom_metadata.unwrap().len(), 1);
        let long = "x".repeat(129);
        let longer = "x".repeat(513);
        for wrong in [(long.as_str(), Some("1")), ("", Some("1")), ("a", Some(longer.as_str())), ("a\n", Some("1"))] {
            assert!(matches!(set(&[wrong], false).await, Err(KvError::Invalid(_))), "{} bytes", wrong.0.len());
        }
        let many: Vec<String> = (0..65).map(|n| n.to_string()).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), Some("1"))).collect();
        assert!(matches!(set(&many, false).await, Err(KvError::Invalid(_))));
    });
}

#[test]
fn t9_lists_are_in_order_of_bytes_and_end_folders_with_a_slash() {
    block_on(async {
        let kv = V2::new(view());
        for path in ["dir/a", "dir-x", "dir", "b/c/d", "b/c/e", "ä", "dir/b/c"] {
            kv.write(path, &data(&json!({})), Cas::Any, at(0)).await.unwrap();
        }
        let list = async |path: &str| kv.list(path).await.unwrap();
        assert_eq!(list("").await, ["b/", "dir", "dir-x", "dir/", "ä"]);
        assert_eq!(list("b").await, ["c/"]);
        assert_eq!(list("b/c/").await, ["d", "e"]);
        assert_eq!(list("dir").await, ["a", "b/"]);
        assert!(list("none").await.is_empty());
        for wrong in ["", "a//b", "/a", "a/", "a/../b", ".", "a\0"] {
            assert!(matches!(kv.read(wrong, None, at(0)).await, Err(KvError::Invalid(_))), "{wrong:?}");
        }
    });
}

#[test]
fn secrets_without_versions_are_written_over() {
    block_on(async {
        let kv = V1::new(view());
        assert_eq!(kv.read("a").await.unwrap_err(), KvError::Absent);
        assert!(!kv.exists("a").await.unwrap());
        for text in [r#"{"a":1}"#, r#"{"b":90071992547409931234}"#] {
            kv.write("a", &SecretBytes::from(text.to_owned())).await.unwrap();
            assert_eq!(kv.read("a").await.unwrap().expose_text(), Some(text));
        }
        kv.write("b/c", &data(&json!({}))).await.unwrap();
        assert_eq!(kv.list("").await.unwrap(), ["a", "b/"]);
        kv.delete("a").await.unwrap();
        kv.delete("a").await.unwrap();
        assert_eq!(kv.list("").await.unwrap(), ["b/"]);
    });
}

#[test]
fn of_many_writers_who_expect_the_same_version_one_wins() {
    block_on(async {
        let kv = V2::new(view());
        for expected in 0..20 {
            let value = data(&json!({}));
            let writers = (0..10).map(|_| kv.write("a", &value, Cas::Exactly(expected), at(0)));
            let won = join_all(writers).await;
            assert_eq!(won.iter().filter(|outcome| outcome.is_ok()).count(), 1);
            assert!(won.iter().all(|outcome| matches!(outcome, Ok(_) | Err(KvError::Mismatch))));
        }
        let value = data(&json!({}));
        let numbers = join_all((0..10).map(|_| kv.write("b", &value, Cas::Any, at(0)))).await;
        let numbers: BTreeSet<u64> = numbers.into_iter().map(|info| info.unwrap().number).collect();
        assert_eq!(numbers, (1..=10).collect());
    });
}

/// What a secret is to somebody who keeps everything in a list.
#[derive(Default)]
struct Naive {
    versions: Vec<(Value, bool, bool)>,
}

impl Naive {
    fn answer(&self, number: u64) -> Result<Value, String> {
        let oldest = self.versions.len().saturating_sub(10) as u64 + 1;
        let number = if number == 0 { self.versions.len() as u64 } else { number };
        match number.checked_sub(1).and_then(|place| self.versions.get(usize::try_from(place).unwrap())) {
            Some(_) if number < oldest => Err("absent".to_owned()),
            Some((_, true, _) | (_, _, true)) => Err(format!("gone {number}")),
            Some((value, ..)) => Ok(value.clone()),
            None => Err("absent".to_owned()),
        }
    }
}

#[test]
fn random_changes_leave_what_a_naive_model_says() {
    for seed in 0..12 {
        let mut random = fastrand::Rng::with_seed(seed);
        block_on(async {
            let (kv, mut naive) = (V2::new(view()), Naive::default());
            for step in 0..120_i64 {
                let newest = naive.versions.len() as u64;
                let oldest = newest.saturating_sub(10) + 1;
                let number = random.u64(oldest.min(newest + 1)..=newest + 1);
                let place = usize::try_from(number).unwrap().checked_sub(1);
                let mut chosen = place.and_then(|place| naive.versions.get_mut(place));
                match random.u8(0..8) {
                    0..=2 => {
                        let value = json!({"step": step});
                        kv.write("a", &data(&value), Cas::Any, at(step)).await.unwrap();
                        naive.versions.push((value, false, false));
                    }
                    3 => {
                        kv.delete("a", &[number], at(step)).await.unwrap();
                        chosen.iter_mut().for_each(|version| version.1 = true);
                    }
                    4 => {
                        kv.undelete("a", &[number], at(step)).await.unwrap();
                        chosen.iter_mut().for_each(|version| version.1 = false);
                    }
                    5 => {
                        kv.destroy("a", &[number], at(step)).await.unwrap();
                        chosen.iter_mut().for_each(|version| version.2 = true);
                    }
                    6 if random.u8(0..20) == 0 => {
                        kv.delete_metadata("a").await.unwrap();
                        naive = Naive::default();
                    }
                    _ => {}
                }
                for number in 0..=naive.versions.len() as u64 + 1 {
                    let found = read(&kv, "a", Some(number), step).await;
                    assert_eq!(found, naive.answer(number), "seed {seed}, step {step}, version {number}");
                }
            }
        });
    }
}

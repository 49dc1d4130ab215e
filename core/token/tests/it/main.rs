//! Tokens over a storage in memory, and over one that ends in the middle.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod races;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use strongroom_barrier::{Barrier, KEY_LENGTH, KeyRing, RootKey, SharedBarrier, View};
use strongroom_crypto::random_bytes;
use strongroom_secret::SecretBytes;
use strongroom_storage::memory::Memory;
use strongroom_storage::{Child, Children, Commit, Outcome, Page, Pending, Snapshot, Storage, StorageError, Stored};
use strongroom_token::{Created, NewToken, TokenError, Tokens, Ttl};

/// A storage in memory never waits.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    future.now_or_never().unwrap()
}

/// A storage that takes so many more commits and then none, and fails at so many scans.
struct Ending {
    memory: Memory,
    commits: AtomicUsize,
    scans_to_fail: AtomicUsize,
}

impl Storage for Ending {
    fn read<'a>(&'a self, keys: &'a [String]) -> Pending<'a, Vec<Option<Stored>>> {
        self.memory.read(keys)
    }

    fn scan<'a>(&'a self, prefix: &'a str, after: Option<&'a str>, limit: usize) -> Pending<'a, Page> {
        let left = self.scans_to_fail.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match left {
            Ok(_) => Box::pin(async { Err(StorageError::Unavailable("it failed".into())) }),
            Err(_) => self.memory.scan(prefix, after, limit),
        }
    }

    fn children<'a>(&'a self, folder: &'a str, after: Option<&'a Child>, limit: usize) -> Pending<'a, Children> {
        self.memory.children(folder, after, limit)
    }

    fn commit(&self, commit: Commit) -> Pending<'_, Outcome> {
        let left = self.commits.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match left {
            Ok(_) => self.memory.commit(commit),
            Err(_) => Box::pin(async { Err(StorageError::Unavailable("it ended".into())) }),
        }
    }

    fn snapshot(&self) -> Pending<'_, Box<dyn Snapshot>> {
        self.memory.snapshot()
    }
}

struct World {
    storage: Arc<Ending>,
    barrier: SharedBarrier,
    id_key: SecretBytes,
}

fn key() -> SecretBytes {
    random_bytes(KEY_LENGTH).unwrap()
}

fn open_barrier() -> SharedBarrier {
    let root = RootKey::new(key()).unwrap();
    let wrapped = KeyRing::new(key(), key()).unwrap().wrap(&root).unwrap();
    let mut barrier = Barrier::default();
    barrier.unseal(&root, &wrapped).unwrap();
    Arc::new(RwLock::new(barrier))
}

impl World {
    fn new() -> Self {
        let commits = AtomicUsize::new(usize::MAX);
        let storage = Arc::new(Ending { memory: Memory::default(), commits, scans_to_fail: AtomicUsize::new(0) });
        Self { storage, barrier: open_barrier(), id_key: key() }
    }

    fn view(&self, mount: &str) -> View {
        let storage: Arc<dyn Storage> = self.storage.clone();
        View::new(storage, Arc::clone(&self.barrier), mount)
    }

    /// What a process finds that starts now.
    fn tokens(&self) -> Tokens {
        block_on(Tokens::load(self.view("system"), self.view("cubbyhole"), self.id_key.clone())).unwrap()
    }

    fn ends_after(&self, commits: usize) {
        self.storage.commits.store(commits, Ordering::SeqCst);
    }

    fn records(&self) -> usize {
        let snapshot = block_on(self.storage.snapshot()).unwrap();
        block_on(snapshot.scan(None, 100_000)).unwrap().entries.len()
    }
}

fn wanted(first: u64) -> NewToken {
    NewToken {
        policies: vec!["default".to_owned()],
        ttl: Ttl { first, ..Ttl::default() },
        is_renewable: true,
        ..NewToken::default()
    }
}

fn child_of(parent: &Created) -> NewToken {
    NewToken { parent: Some(parent.id.clone()), ..wanted(1000) }
}

#[test]
fn a_token_is_found_by_itself_and_by_its_accessor_until_it_is_over() {
    let world = World::new();
    let tokens = world.tokens();
    block_on(async {
        let made = tokens.create(wanted(100), 1000).await.unwrap();
        let text = made.token.expose_text().unwrap();
        assert!(
            text.starts_with("s.") && text.len() == 26 && text[2..].bytes().all(|byte| byte.is_ascii_alphanumeric())
        );
        for tokens in [&tokens, &world.tokens()] {
            assert_eq!(tokens.find(&made.token, 1050).await.unwrap().record, made.record);
            assert_eq!(tokens.find_accessor(&made.record.accessor, 1050).await.unwrap().id, made.id);
            assert_eq!(tokens.find(&made.token, 1100).await.unwrap_err(), TokenError::Unknown);
        }
        for wrong in ["", "s.", "nobody", "../x"] {
            let wrong = SecretBytes::from(wrong.to_owned());
            assert_eq!(tokens.find(&wrong, 1050).await.unwrap_err(), TokenError::Unknown);
        }
        assert_eq!(tokens.find_accessor("a/b", 1050).await.unwrap_err(), TokenError::Unknown);
        let shown = format!("{made:?}{tokens:?}");
        assert!(!shown.contains(&text[2..]));
    });
}

#[test]
fn nothing_in_the_storage_tells_a_token() {
    let world = World::new();
    let made = block_on(world.tokens().create(wanted(100), 1000)).unwrap();
    let token = made.token.expose_text().unwrap()[2..].to_owned();
    let snapshot = block_on(world.storage.snapshot()).unwrap();
    for (key, stored) in block_on(snapshot.scan(None, 100)).unwrap().entries {
        let holds = |text: &[u8]| text.windows(token.len()).any(|window| window == token.as_bytes());
        assert!(!holds(key.as_bytes()) && !holds(&stored.bytes));
        assert!(!key.contains(&made.id), "names are hidden");
    }
}

#[test]
fn a_token_with_counted_uses_ends_with_the_last_one_and_nobody_uses_one_twice() {
    let world = World::new();
    let tokens = world.tokens();
    block_on(async {
        let made = tokens.create(NewToken { num_uses: 5, ..wanted(0) }, 0).await.unwrap();
        let uses = join_all((0..9).map(|_| tokens.use_up(&made.id, 1))).await;
        let mut left: Vec<u64> = uses.iter().filter_map(|left| left.clone().ok()).collect();
        left.sort_unstable();
        assert_eq!(left, [0, 1, 2, 3, 4]);
        assert_eq!(tokens.find(&made.token, 1).await.unwrap_err(), TokenError::Unknown);
        assert_eq!(world.tokens().find(&made.token, 1).await.unwrap_err(), TokenError::Unknown);
    });
}

#[test]
fn renewing_moves_the_end_and_what_cannot_be_renewed_stays() {
    let world = World::new();
    let tokens = world.tokens();
    block_on(async {
        let made = tokens.create(wanted(100), 1000).await.unwrap();
        let (renewed, is_less) = tokens.renew(&made.id, 0, 10_000, 1090).await.unwrap();
        assert_eq!((renewed.expires, is_less), (Some(1190), false));
        assert_eq!(tokens.expire(1150, 10).await.unwrap(), 0);
        assert!(tokens.find(&made.token, 1150).await.is_ok());
        assert_eq!(tokens.expire(1190, 10).await.unwrap(), 1);
        assert_eq!(world.records(), 0);
        let shorter = tokens.create(wanted(100), 1000).await.unwrap();
        tokens.renew(&shorter.id, 10, 10_000, 1001).await.unwrap();
        tokens.renew(&shorter.id, 50, 10_000, 1002).await.unwrap();
        assert_eq!(tokens.expire(1051, 10).await.unwrap(), 0);
        assert_eq!(tokens.expire(1052, 10).await.unwrap(), 1);
        let sooner = tokens.create(wanted(100), 1000).await.unwrap();
        tokens.renew(&sooner.id, 10, 10_000, 1001).await.unwrap();
        assert_eq!(tokens.expire(1011, 10).await.unwrap(), 1);
        assert_eq!(world.records(), 0);
        let fixed = tokens.create(NewToken { is_renewable: false, ..wanted(100) }, 1000).await.unwrap();
        let refused = tokens.renew(&fixed.id, 0, 10_000, 1001).await.unwrap_err();
        assert_eq!(refused, TokenError::Invalid("lease is not renewable".to_owned()));
        assert_eq!(tokens.renew(&fixed.id, 0, 10_000, 2000).await.unwrap_err(), TokenError::Unknown);
    });
}

#[test]
fn a_token_takes_with_it_all_that_it_made_and_its_private_data() {
    let world = World::new();
    let tokens = world.tokens();
    block_on(async {
        let root = tokens.create(wanted(0), 0).await.unwrap();
        let (a, b) =
            (tokens.create(child_of(&root), 0).await.unwrap(), tokens.create(child_of(&root), 0).await.unwrap());
        let c = tokens.create(child_of(&a), 0).await.unwrap();
        let other = tokens.create(wanted(0), 0).await.unwrap();
        let hole = world.view("cubbyhole");
        let puts = vec![(format!("{}/x/y", c.id), SecretBytes::from("private".to_owned()))];
        hole.commit(&strongroom_barrier::Changes { puts, ..Default::default() }).await.unwrap();
        tokens.revoke(&a.id).await.unwrap();
        let lives = async |made: &Created| tokens.find(&made.token, 1).await.is_ok();
        assert_eq!([lives(&root).await, lives(&a).await, lives(&b).await, lives(&c).await], [true, false, true, false]);
        assert!(hole.list(&format!("{}/", c.id)).await.unwrap().is_empty());
        tokens.revoke_orphan(&root.id).await.unwrap();
        assert_eq!([lives(&root).await, lives(&b).await, lives(&other).await], [false, true, true]);
        assert_eq!(tokens.create(child_of(&root), 1).await.unwrap_err(), TokenError::Unknown);
        for made in [&b, &other, &root] {
            tokens.revoke(&made.id).await.unwrap();
            tokens.revoke(&made.id).await.unwrap();
        }
        assert_eq!(world.records(), 0, "nothing is left behind");
    });
}

#[test]
fn a_revocation_that_is_cut_off_anywhere_ends_the_token_or_leaves_it_and_is_finished_by_the_next_process() {
    for commits in 0..12 {
        let world = World::new();
        let tokens = world.tokens();
        block_on(async {
            let root = tokens.create(wanted(0), 0).await.unwrap();
            let mut all = vec![tokens.create(child_of(&root), 0).await.unwrap()];
            for _ in 0..3 {
                all.push(tokens.create(child_of(all.last().unwrap()), 0).await.unwrap());
            }
            world.ends_after(commits);
            let is_done = tokens.revoke(&root.id).await.is_ok();
            world.ends_after(usize::MAX);
            let next = world.tokens();
            let lives = next.find(&root.token, 1).await.is_ok();
            assert_eq!(lives, commits == 0, "after {commits} commits");
            assert!(!(is_done && lives));
            next.expire(1, 100).await.unwrap();
            let mut left = 0;
            for made in all.iter().chain([&root]) {
                left += usize::from(next.find(&made.token, 1).await.is_ok());
            }
            assert_eq!(left, if lives { 5 } else { 0 }, "after {commits} commits");
            if !lives {
                assert_eq!(world.records(), 0, "after {commits} commits");
            }
        });
    }
}

#[test]
fn a_token_that_cannot_be_taken_away_holds_up_no_other_and_is_tried_again() {
    let world = World::new();
    let tokens = world.tokens();
    block_on(async {
        for first in 1..=3 {
            tokens.create(wanted(first), 0).await.unwrap();
        }
        world.storage.scans_to_fail.store(1, Ordering::SeqCst);
        assert!(matches!(tokens.expire(10, 10).await, Err(TokenError::View(_))));
        assert_eq!(world.records(), 2, "one token and its accessor");
        assert_eq!(tokens.expire(10, 10).await.unwrap(), 1);
        assert_eq!(world.records(), 0);
    });
}

#[test]
fn a_revocation_that_the_storage_did_not_take_is_made_good() {
    let world = World::new();
    let tokens = world.tokens();
    block_on(async {
        let root = tokens.create(wanted(0), 0).await.unwrap();
        tokens.create(child_of(&root), 0).await.unwrap();
        world.ends_after(0);
        assert!(matches!(tokens.revoke(&root.id).await, Err(TokenError::View(_))));
        assert!(tokens.expire(1, 10).await.is_err());
        world.ends_after(usize::MAX);
        tokens.expire(1, 10).await.unwrap();
        assert_eq!(world.records(), 0);
    });
}

#[test]
fn random_trees_end_as_a_naive_model_says() {
    for seed in 0..20 {
        let mut random = fastrand::Rng::with_seed(seed);
        let world = World::new();
        let mut tokens = world.tokens();
        // Id -> (parent, end).
        let mut naive: BTreeMap<String, (Option<String>, i64)> = BTreeMap::new();
        let mut made: Vec<Created> = Vec::new();
        for now in 0..80_i64 {
            block_on(async {
                let parent = (!made.is_empty() && random.bool()).then(|| &made[random.usize(0..made.len())]);
                let parent = parent.filter(|parent| naive.get(&parent.id).is_some_and(|(_, end)| *end > now));
                match random.u8(0..6) {
                    0..=2 => {
                        let first = random.u64(1..60);
                        let new = NewToken { parent: parent.map(|parent| parent.id.clone()), ..wanted(first) };
                        let created = tokens.create(new, now).await.unwrap();
                        let end = now + i64::try_from(first).unwrap();
                        naive.insert(created.id.clone(), (parent.map(|parent| parent.id.clone()), end));
                        made.push(created);
                    }
                    3 if !made.is_empty() => {
                        let id = made[random.usize(0..made.len())].id.clone();
                        tokens.revoke(&id).await.unwrap();
                        naive.remove(&id);
                    }
                    4 => tokens = world.tokens(),
                    _ => drop(tokens.expire(now, 100).await.unwrap()),
                }
                // Whoever expires takes its children with it only when it is taken away, so let that happen.
                tokens.expire(now, 100).await.unwrap();
                loop {
                    let before = naive.len();
                    let alive: Vec<String> = naive.keys().cloned().collect();
                    naive.retain(|_, (parent, end)| {
                        *end > now && parent.as_ref().is_none_or(|parent| alive.contains(parent))
                    });
                    if naive.len() == before {
                        break;
                    }
                }
                for created in &made {
                    let found = tokens.find(&created.token, now).await.is_ok();
                    assert_eq!(found, naive.contains_key(&created.id), "seed {seed}, at {now}");
                }
            });
        }
    }
}

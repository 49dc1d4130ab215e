//! Two at once, and requests that are given up: at every step of the storage where one can stand while another goes on.

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::poll;
use strongroom_barrier::{SharedBarrier, View};
use strongroom_secret::SecretBytes;
use strongroom_storage::memory::Memory;
use strongroom_storage::{Child, Children, Commit, Outcome, Page, Pending, Snapshot, Storage};
use strongroom_token::{Created, NewToken, TokenError, Tokens};

use super::{child_of, key, open_barrier, wanted};

/// More steps than anything here takes.
const MOST_STEPS: usize = 200;

/// A storage whose every call waits once: a read after it has read, a commit before it is done. A commit that is given up
/// meanwhile is done later, as one that is on its way to a disk is.
#[derive(Default)]
struct Stepping {
    memory: Memory,
    is_slow: AtomicBool,
    reads: AtomicUsize,
    under_way: Mutex<BTreeMap<u64, Commit>>,
    commits: AtomicU64,
}

impl Stepping {
    async fn step(&self) {
        let mut has_waited = !self.is_slow.load(Ordering::SeqCst);
        std::future::poll_fn(move |_| {
            let is_over = std::mem::replace(&mut has_waited, true);
            if is_over { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
        })
        .await;
    }

    /// Whatever was given up on its way arrives now.
    async fn land(&self) {
        let late = std::mem::take(&mut *self.under_way.lock().unwrap());
        for commit in late.into_values() {
            self.memory.commit(commit).await.unwrap();
        }
    }
}

impl Storage for Stepping {
    fn read<'a>(&'a self, keys: &'a [String]) -> Pending<'a, Vec<Option<strongroom_storage::Stored>>> {
        Box::pin(async move {
            self.reads.fetch_add(1, Ordering::SeqCst);
            let found = self.memory.read(keys).await;
            self.step().await;
            found
        })
    }

    fn scan<'a>(&'a self, prefix: &'a str, after: Option<&'a str>, limit: usize) -> Pending<'a, Page> {
        Box::pin(async move {
            let found = self.memory.scan(prefix, after, limit).await;
            self.step().await;
            found
        })
    }

    fn children<'a>(&'a self, folder: &'a str, after: Option<&'a Child>, limit: usize) -> Pending<'a, Children> {
        Box::pin(async move {
            let found = self.memory.children(folder, after, limit).await;
            self.step().await;
            found
        })
    }

    fn commit(&self, commit: Commit) -> Pending<'_, Outcome> {
        Box::pin(async move {
            let number = self.commits.fetch_add(1, Ordering::SeqCst);
            self.under_way.lock().unwrap().insert(number, commit);
            self.step().await;
            let commit = self.under_way.lock().unwrap().remove(&number).unwrap();
            self.memory.commit(commit).await
        })
    }

    fn snapshot(&self) -> Pending<'_, Box<dyn Snapshot>> {
        self.memory.snapshot()
    }
}

struct World {
    storage: Arc<Stepping>,
    barrier: SharedBarrier,
    id_key: SecretBytes,
}

impl World {
    fn new() -> Self {
        Self { storage: Arc::default(), barrier: open_barrier(), id_key: key() }
    }

    async fn tokens(&self) -> Tokens {
        let view = |mount: &str| {
            let storage: Arc<dyn Storage> = self.storage.clone();
            View::new(storage, Arc::clone(&self.barrier), mount)
        };
        Tokens::load(view("system"), view("cubbyhole"), self.id_key.clone()).await.unwrap()
    }

    fn slow(&self, is_slow: bool) {
        self.storage.is_slow.store(is_slow, Ordering::SeqCst);
    }

    async fn records(&self) -> usize {
        let snapshot = self.storage.snapshot().await.unwrap();
        snapshot.scan(None, 1000).await.unwrap().entries.len()
    }
}

/// Goes `steps` steps; whether it is done by then.
async fn go<F: Future>(mut future: Pin<&mut F>, steps: usize) -> Option<F::Output> {
    for _ in 0..steps {
        if let std::task::Poll::Ready(output) = poll!(future.as_mut()) {
            return Some(output);
        }
    }
    None
}

/// Goes to the end.
async fn finish<F: Future>(future: Pin<&mut F>) -> F::Output {
    go(future, MOST_STEPS).await.unwrap()
}

async fn lives(tokens: &Tokens, made: &Created) -> bool {
    tokens.find(&made.token, 1).await.is_ok()
}

/// Runs one test for every number of steps after which the first stands still, until it is done by then.
fn at_every_step(mut test: impl AsyncFnMut(usize) -> bool) {
    let done = (0..MOST_STEPS).find(|steps| super::block_on(test(*steps)));
    assert!(done.is_some_and(|steps| steps > 0), "it stood still somewhere, and it ended");
}

#[test]
fn a_look_up_that_is_under_way_does_not_bring_a_revoked_token_back() {
    at_every_step(async |steps| {
        let world = World::new();
        let made = world.tokens().await.create(wanted(100), 0).await.unwrap();
        let tokens = world.tokens().await;
        world.slow(true);
        let mut find = pin!(tokens.find(&made.token, 1));
        let is_done = go(find.as_mut(), steps).await.is_some();
        world.slow(false);
        tokens.revoke(&made.id).await.unwrap();
        if !is_done {
            drop(finish(find).await);
        }
        assert!(!lives(&tokens, &made).await, "after {steps} steps");
        is_done
    });
}

#[test]
fn a_renewal_that_is_under_way_does_not_bring_a_revoked_token_back() {
    at_every_step(async |steps| {
        let world = World::new();
        let tokens = world.tokens().await;
        let made = tokens.create(wanted(100), 0).await.unwrap();
        world.slow(true);
        let mut renew = pin!(tokens.renew(&made.id, 0, 1000, 1));
        let is_done = go(renew.as_mut(), steps).await.is_some();
        world.slow(false);
        tokens.revoke(&made.id).await.unwrap();
        if !is_done {
            drop(finish(renew).await);
        }
        assert!(!lives(&tokens, &made).await, "after {steps} steps");
        is_done
    });
}

#[test]
fn what_is_made_while_its_maker_is_being_taken_away_is_taken_away_too_or_not_made() {
    at_every_step(async |steps| {
        let world = World::new();
        let tokens = world.tokens().await;
        let root = tokens.create(wanted(0), 0).await.unwrap();
        let child = tokens.create(child_of(&root), 0).await.unwrap();
        world.slow(true);
        let mut revoke = pin!(tokens.revoke(&root.id));
        let is_done = go(revoke.as_mut(), steps).await.is_some();
        world.slow(false);
        let late = tokens.create(child_of(&child), 1).await;
        if !is_done {
            finish(revoke).await.unwrap();
        }
        if let Ok(late) = late {
            assert!(!lives(&tokens, &late).await, "after {steps} steps");
        }
        assert_eq!(world.records().await, 0, "after {steps} steps");
        is_done
    });
}

#[test]
fn a_revocation_that_is_given_up_ends_all_or_nothing_and_this_process_sees_what_the_next_one_does() {
    at_every_step(async |steps| {
        let world = World::new();
        let tokens = world.tokens().await;
        let root = tokens.create(wanted(0), 0).await.unwrap();
        let child = tokens.create(child_of(&root), 0).await.unwrap();
        let all = [&root, &child, &tokens.create(child_of(&child), 0).await.unwrap()];
        world.slow(true);
        let is_done = {
            let revoke = pin!(tokens.revoke(&root.id));
            go(revoke, steps).await.is_some()
        };
        world.slow(false);
        // Whoever asks between may read what is about to change.
        for made in all {
            lives(&tokens, made).await;
        }
        world.storage.land().await;
        let next = world.tokens().await;
        for made in all {
            assert_eq!(lives(&tokens, made).await, lives(&next, made).await, "after {steps} steps");
        }
        tokens.expire(1, 100).await.unwrap();
        let mut left = 0;
        for made in all {
            left += usize::from(lives(&tokens, made).await);
        }
        assert!(left == 3 || (left == 0 && world.records().await == 0), "{left} live after {steps} steps");
        assert!(!is_done || left == 0, "after {steps} steps");
        is_done
    });
}

#[test]
fn a_renewal_or_a_creation_that_is_given_up_leaves_nothing_that_never_ends() {
    at_every_step(async |steps| {
        let world = World::new();
        let tokens = world.tokens().await;
        let root = tokens.create(wanted(0), 0).await.unwrap();
        let made = tokens.create(wanted(100), 0).await.unwrap();
        let child = tokens.create(child_of(&made), 0).await.unwrap();
        world.slow(true);
        let (is_renewed, is_created) = {
            let (renew, create) = (pin!(tokens.renew(&made.id, 200, 1000, 1)), pin!(tokens.create(child_of(&root), 1)));
            (go(renew, steps).await.is_some(), go(create, steps).await.is_some())
        };
        world.slow(false);
        lives(&tokens, &made).await;
        world.storage.land().await;
        let end = world.tokens().await.find(&made.token, 1).await.unwrap().record.expires;
        assert_eq!(tokens.find(&made.token, 1).await.unwrap().record.expires, end, "after {steps} steps");
        for now in [150, 300, 5000] {
            tokens.expire(now, 100).await.unwrap();
        }
        assert!(!lives(&tokens, &child).await && lives(&tokens, &root).await, "after {steps} steps");
        // The token and its accessor.
        assert_eq!(world.records().await, 2, "after {steps} steps");
        is_renewed && is_created
    });
}

#[test]
fn a_token_makes_others_while_it_changes() {
    at_every_step(async |steps| {
        let world = World::new();
        let tokens = world.tokens().await;
        let maker = tokens.create(wanted(100), 0).await.unwrap();
        world.slow(true);
        let mut create = pin!(tokens.create(NewToken { ..child_of(&maker) }, 1));
        let done = go(create.as_mut(), steps).await;
        world.slow(false);
        tokens.renew(&maker.id, 0, 1000, 1).await.unwrap();
        let is_done = done.is_some();
        let made = match done {
            Some(made) => made,
            None => finish(create).await,
        };
        assert!(lives(&tokens, &made.unwrap()).await, "after {steps} steps");
        is_done
    });
}

#[test]
fn a_token_that_was_seen_before_is_found_without_a_read_until_it_changes() {
    let world = World::new();
    super::block_on(async {
        let tokens = world.tokens().await;
        let made = tokens.create(wanted(100), 0).await.unwrap();
        let reads = async |expected: usize| {
            let before = world.storage.reads.load(Ordering::SeqCst);
            assert!(lives(&tokens, &made).await);
            assert_eq!(world.storage.reads.load(Ordering::SeqCst) - before, expected);
        };
        reads(1).await;
        reads(0).await;
        tokens.renew(&made.id, 0, 1000, 1).await.unwrap();
        reads(1).await;
        reads(0).await;
    });
}

#[test]
fn what_a_wrapping_token_holds_is_had_once_however_two_come() {
    at_every_step(async |steps| {
        let world = World::new();
        let tokens = world.tokens().await;
        let held = || SecretBytes::from("held".to_owned());
        let made = tokens.wrap(wanted(100), held(), 0).await.unwrap();
        assert!(tokens.held(&made.id, 1).await.unwrap().expose() == b"held");
        world.slow(true);
        let mut one = pin!(tokens.unwrap(&made.id, 1));
        let done = go(one.as_mut(), steps).await;
        world.slow(false);
        let other = tokens.unwrap(&made.id, 1).await;
        let is_done = done.is_some();
        let one = match done {
            Some(one) => one,
            None => finish(one).await,
        };
        let had = [&one, &other].map(|had| had.as_ref().is_ok_and(|held| held.expose() == b"held"));
        assert!(had[0] != had[1], "{had:?} after {steps} steps");
        assert!([one.err(), other.err()].contains(&Some(TokenError::Unknown)));
        assert!(!lives(&tokens, &made).await);
        assert_eq!(world.records().await, 0, "after {steps} steps");
        is_done
    });
}

#[test]
fn what_a_wrapping_token_holds_is_gone_with_it() {
    let world = World::new();
    super::block_on(async {
        let tokens = world.tokens().await;
        let held = || SecretBytes::from("held".to_owned());
        let plain = tokens.create(wanted(100), 0).await.unwrap();
        assert_eq!(tokens.unwrap(&plain.id, 1).await.unwrap_err(), TokenError::Unknown);
        tokens.revoke(&plain.id).await.unwrap();
        let burnt = tokens.wrap(wanted(100), held(), 0).await.unwrap();
        tokens.revoke(&burnt.id).await.unwrap();
        let late = tokens.wrap(wanted(100), held(), 0).await.unwrap();
        assert_eq!(tokens.unwrap(&late.id, 100).await.unwrap_err(), TokenError::Unknown);
        assert_eq!(tokens.held(&late.id, 100).await.unwrap_err(), TokenError::Unknown);
        tokens.expire(100, 10).await.unwrap();
        assert_eq!(world.records().await, 0);
    });
}

#[test]
fn an_unwrapping_that_is_given_up_leaves_nothing_behind() {
    at_every_step(async |steps| {
        let world = World::new();
        let tokens = world.tokens().await;
        let made = tokens.wrap(wanted(100), SecretBytes::from("held".to_owned()), 0).await.unwrap();
        world.slow(true);
        let is_done = {
            let unwrap = pin!(tokens.unwrap(&made.id, 1));
            go(unwrap, steps).await.is_some()
        };
        world.slow(false);
        world.storage.land().await;
        tokens.expire(100, 10).await.unwrap();
        assert_eq!(world.records().await, 0, "after {steps} steps");
        is_done
    });
}

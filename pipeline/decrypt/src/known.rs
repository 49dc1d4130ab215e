//! What is known with one ring of keys. A ring with one more key takes it over: it must open what it opened before, also
//! while the key management is down. What was learnt with a key that is no longer in the ring goes with it, also where it
//! is just being learnt.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use strongroom_failure::Failure;
use strongroom_kamus::{KeyId, KeyRecord, KeyRing, OpenedKey};
use strongroom_secret::SecretBytes;
use tokio::time::Instant;

use crate::kept::Kept;
use crate::once::Once;

/// A ring, and what was unwrapped with it.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) ring: Arc<KeyRing>,
    learnt: Arc<Learnt>,
}

#[derive(Debug)]
struct Learnt {
    keys: Mutex<HashMap<KeyId, Unwrapped>>,
    keys_under_way: Once<KeyId, Unwrapped>,
    fresh: Mutex<Kept>,
    fresh_under_way: Once<[u8; 32], SecretBytes>,
}

/// A key of the ring, and what it was sealed under.
#[derive(Clone, Debug)]
pub(crate) struct Unwrapped {
    /// What the key management unwrapped.
    pub(crate) wrapping: SecretBytes,
    /// The private half.
    pub(crate) opened: Arc<OpenedKey>,
}

impl Known {
    pub(crate) fn new(ring: KeyRing, kept: Kept) -> Self {
        Self { ring: Arc::new(ring), learnt: Arc::new(Learnt::new(HashMap::new(), kept)) }
    }

    /// With another ring: all that is known where that has every key of this one, else the keys that it has.
    pub(crate) fn with_ring(&self, ring: KeyRing, kept: Kept) -> Self {
        let stays = |record: &KeyRecord| ring.installation == self.ring.installation && ring.keys.contains(record);
        let learnt = if self.ring.keys.iter().all(stays) {
            Arc::clone(&self.learnt)
        } else {
            let keys = locked(&self.learnt.keys);
            let left = keys.iter().filter(|(id, _)| self.ring.find(id).is_some_and(stays));
            Arc::new(Learnt::new(left.map(|(id, key)| (id.clone(), key.clone())).collect(), kept))
        };
        Self { ring: Arc::new(ring), learnt }
    }

    /// A key of the ring; `unwrap` is asked for each once, and its failures are not kept.
    pub(crate) async fn key<F>(&self, id: &KeyId, unwrap: impl FnOnce() -> F) -> Result<Unwrapped, Failure>
    where
        F: Future<Output = Result<Unwrapped, Failure>>,
    {
        if let Some(known) = locked(&self.learnt.keys).get(id) {
            return Ok(known.clone());
        }
        // Boxed: what is known already has no use for the room that this takes.
        let learn = Box::pin(async {
            let unwrapped = unwrap().await?;
            locked(&self.learnt.keys).insert(id.clone(), unwrapped.clone());
            Ok(unwrapped)
        });
        self.learnt.keys_under_way.get(id, learn).await
    }

    /// The fresh key of a text, by a fingerprint that is the text's and its reader's alone. What `unwrap` gives is kept.
    pub(crate) async fn fresh<F>(
        &self,
        fingerprint: [u8; 32],
        unwrap: impl FnOnce() -> F,
    ) -> Result<SecretBytes, Failure>
    where
        F: Future<Output = Result<SecretBytes, Failure>>,
    {
        if let Some(fresh) = locked(&self.learnt.fresh).get(&fingerprint, Instant::now()) {
            return Ok(fresh);
        }
        let learn = Box::pin(async {
            let fresh = unwrap().await?;
            locked(&self.learnt.fresh).put(fingerprint, fresh.clone(), Instant::now());
            Ok(fresh)
        });
        self.learnt.fresh_under_way.get(&fingerprint, learn).await
    }

    /// Wipes fresh keys whose time is over, though nobody asks.
    pub(crate) fn tidy(&self) {
        locked(&self.learnt.fresh).tidy(Instant::now());
    }
}

impl Learnt {
    fn new(keys: HashMap<KeyId, Unwrapped>, kept: Kept) -> Self {
        Self {
            keys: Mutex::new(keys),
            keys_under_way: Once::default(),
            fresh: Mutex::new(kept),
            fresh_under_way: Once::default(),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

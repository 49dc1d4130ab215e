use std::collections::HashMap;
use std::time::Duration;

use strongroom_provider::{Answer, RemoteValue};
use strongroom_secret::RemoteKey;
use tokio::time::Instant;

/// How long values may be answered without asking the store.
#[derive(Clone, Copy, Debug)]
pub struct CacheSettings {
    /// A value this young is answered at once.
    pub fresh: Duration,
    /// A value this young is answered when the store is unavailable or throttles, and only then (design invariant 7).
    /// Zero never serves a stale value.
    pub stale: Duration,
    /// The most values that one store keeps; the oldest read goes first.
    pub capacity: usize,
}

/// The values of one (store, identity).
#[derive(Debug, Default)]
pub(crate) struct Cache(HashMap<RemoteKey, (RemoteValue, Instant)>);

impl Cache {
    /// The value of `key` if it was read less than `settings.fresh` ago.
    pub(crate) fn fresh(&self, key: &RemoteKey, settings: CacheSettings, now: Instant) -> Option<RemoteValue> {
        self.younger_than(key, settings.fresh, now)
    }

    /// Keeps what was read; forgets what the store now refuses; serves the old value while the store is away.
    pub(crate) fn settle(&mut self, key: &RemoteKey, answer: Answer, settings: CacheSettings, now: Instant) -> Answer {
        match answer {
            Ok(value) => {
                // A value that was made for its asker belongs to it.
                if key.request.is_none() && value.lease.is_none() {
                    self.keep(key, value.clone(), settings.capacity, now);
                }
                Ok(value)
            }
            Err(failure) if failure.class.can_retry() => {
                let stale = self.younger_than(key, settings.stale, now);
                if stale.is_some() {
                    tracing::warn!(
                        key = key.name,
                        class = failure.class.reason(),
                        "store is away; serving the value read before"
                    );
                }
                stale.ok_or(failure)
            }
            Err(failure) => {
                self.0.remove(key);
                Err(failure)
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    fn younger_than(&self, key: &RemoteKey, limit: Duration, now: Instant) -> Option<RemoteValue> {
        let (value, read_at) = self.0.get(key)?;
        (now.saturating_duration_since(*read_at) < limit).then(|| value.clone())
    }

    fn keep(&mut self, key: &RemoteKey, value: RemoteValue, capacity: usize, now: Instant) {
        if self.0.len() >= capacity && !self.0.contains_key(key) {
            let oldest = self.0.iter().min_by_key(|(_, (_, read_at))| *read_at).map(|(key, _)| key.clone());
            oldest.and_then(|key| self.0.remove(&key));
        }
        if capacity > 0 {
            self.0.insert(key.clone(), (value, now));
        }
    }
}

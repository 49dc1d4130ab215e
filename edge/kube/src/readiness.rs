use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Who must still be ready: each part takes a handle and drops it when it is. All that is left says why `/readyz` fails.
#[derive(Clone, Debug, Default)]
pub struct Initialized {
    pending: Arc<Mutex<BTreeMap<u64, String>>>,
    /// Told when a handle goes.
    news: Arc<Notify>,
}

/// Held by a part that is not ready yet.
#[derive(Debug)]
#[must_use = "the part counts as ready once this is dropped"]
pub struct ReadyHandle {
    number: u64,
    of: Initialized,
}

impl Initialized {
    /// A handle for the part that `name` tells people: `watch of externalsecrets`.
    pub fn handle(&self, name: impl Into<String>) -> ReadyHandle {
        let mut pending = self.lock();
        let number = pending.last_key_value().map_or(0, |(number, _)| number + 1);
        pending.insert(number, name.into());
        drop(pending);
        ReadyHandle { number, of: self.clone() }
    }

    /// The parts that are not ready yet, in the order in which they took their handles.
    pub fn pending(&self) -> Vec<String> {
        self.lock().values().cloned().collect()
    }

    /// Whether all are.
    pub fn is_ready(&self) -> bool {
        self.lock().is_empty()
    }

    /// Waits until all are.
    pub async fn wait(&self) {
        loop {
            // Before looking: what goes in between must not be missed.
            let news = self.news.notified();
            if self.is_ready() {
                return;
            }
            news.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, String>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReadyHandle {
    /// Another handle for a part of this part.
    pub(crate) fn also(&self, part: &str) -> Self {
        let name = self.of.lock().get(&self.number).cloned().unwrap_or_default();
        self.of.handle(format!("{name} {part}"))
    }
}

impl Drop for ReadyHandle {
    fn drop(&mut self) {
        self.of.lock().remove(&self.number);
        self.of.news.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_handles_must_go_before_it_is_ready() {
        let initialized = Initialized::default();
        assert!(initialized.is_ready());
        let (stores, secrets) = (initialized.handle("stores"), initialized.handle("secrets"));
        assert_eq!(initialized.pending(), ["stores", "secrets"]);
        drop(stores);
        let again = initialized.handle("stores");
        assert_eq!(initialized.pending(), ["secrets", "stores"]);
        drop((secrets, again));
        assert!(initialized.is_ready());
    }

    #[tokio::test]
    async fn who_waits_goes_on_when_the_last_handle_goes() {
        let initialized = Initialized::default();
        initialized.wait().await;
        let (stores, secrets) = (initialized.handle("stores"), initialized.handle("secrets"));
        let waiting = tokio::spawn({
            let initialized = initialized.clone();
            async move { initialized.wait().await }
        });
        drop(stores);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(secrets);
        waiting.await.unwrap();
    }
}

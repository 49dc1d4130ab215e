use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use strongroom_failure::Failure;
use tokio::sync::OnceCell;

/// What comes of one piece of work.
type Ended<V> = Arc<OnceCell<Result<V, Failure>>>;

/// Work that is under way, by what it is for. Who asks for the same meanwhile waits for it and gets what comes of it, a
/// failure too: where the other side is down, a thousand who wait must not ask it one after the other.
#[derive(Debug)]
pub(crate) struct Once<K, V>(Mutex<HashMap<K, Ended<V>>>);

impl<K, V> Default for Once<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Once<K, V> {
    /// What `work` comes to, or the work for `key` that others have begun. Who ends it has put away what it came to: the
    /// next who asks begins anew.
    pub(crate) async fn get(&self, key: &K, work: impl Future<Output = Result<V, Failure>>) -> Result<V, Failure> {
        let cell = Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key.clone()).or_default());
        let ended = cell.get_or_init(|| work).await.clone();
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Others may have begun anew already.
        if under_way.get(key).is_some_and(|found| Arc::ptr_eq(found, &cell)) {
            under_way.remove(key);
        }
        ended
    }
}

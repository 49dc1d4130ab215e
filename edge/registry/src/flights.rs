//! Look-ups under way: whoever asks the same waits for the one that runs.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use strongroom_failure::{Class, Failure};
use tokio::sync::watch;

/// The most different look-ups at once, waiting ones included: each takes a task and, for a moment, the bodies that it
/// reads. A webhook has far fewer reviews under way.
const MOST: usize = 256;

/// Look-ups by what they ask.
#[derive(Debug)]
pub(crate) struct Flights<K: Eq + Hash, V>(Arc<Mutex<HashMap<K, watch::Receiver<Option<V>>>>>);

impl<K: Eq + Hash, V> Clone for Flights<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Eq + Hash, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// What the look-up by `key` that is under way gives, or where none is, what `begin` gives. It runs to its end,
    /// also when nobody waits any more.
    ///
    /// # Errors
    /// `Throttled` where too many are under way; `Unavailable` where the look-up ended without an answer.
    pub(crate) async fn join<F>(&self, key: K, begin: impl FnOnce() -> F) -> Result<V, Failure>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut answers = self.board(key, begin)?;
        let ended = |_| Failure::new(Class::Unavailable, "the look-up ended without an answer");
        let answer = answers.wait_for(Option::is_some).await.map_err(ended)?.clone();
        answer.ok_or_else(|| Failure::new(Class::Unavailable, "the look-up ended without an answer"))
    }

    fn board<F>(&self, key: K, begin: impl FnOnce() -> F) -> Result<watch::Receiver<Option<V>>, Failure>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut flights = lock(&self.0);
        if let Some(flight) = flights.get(&key) {
            return Ok(flight.clone());
        }
        if flights.len() >= MOST {
            let words = format!("{MOST} other images are being looked up");
            return Err(Failure::new(Class::Throttled { retry_after: None }, words));
        }
        let (teller, answers) = watch::channel(None);
        flights.insert(key.clone(), answers.clone());
        drop(flights);
        let landing = Landing(self.clone(), key);
        let flight = begin();
        tokio::spawn(async move {
            let answer = flight.await;
            // First nobody can join any more, then all are told.
            drop(landing);
            teller.send_replace(Some(answer));
        });
        Ok(answers)
    }
}

/// Takes the look-up out, also when it panicked or the runtime ends.
struct Landing<K: Eq + Hash, V>(Flights<K, V>, K);

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        lock(&self.0.0).remove(&self.1);
    }
}

/// No panic can leave the map half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn equal_look_ups_run_once_and_different_ones_side_by_side() {
        let flights = Flights::<u8, usize>::default();
        let begun = Arc::new(AtomicUsize::new(0));
        let ask = |key| {
            let (flights, begun) = (flights.clone(), Arc::clone(&begun));
            tokio::spawn(async move {
                flights
                    .join(key, || async move {
                        let number = begun.fetch_add(1, Ordering::SeqCst);
                        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                        number
                    })
                    .await
            })
        };
        let asked = [ask(1), ask(1), ask(2), ask(1)];
        let mut answers = Vec::new();
        for answer in asked {
            answers.push(answer.await.unwrap().unwrap());
        }
        assert_eq!(answers, [0, 0, 1, 0]);
        assert_eq!(ask(1).await.unwrap(), Ok(2));
    }

    #[tokio::test]
    async fn a_look_up_outlives_who_asked_and_one_that_fails_leaves_nothing() {
        let flights = Flights::<u8, u8>::default();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let asked = flights.join(1, || async move { receiver.await.unwrap_or_default() });
        assert!(tokio::time::timeout(std::time::Duration::from_millis(5), asked).await.is_err());
        let next = tokio::spawn({
            let flights = flights.clone();
            async move { flights.join(1, || async { 9 }).await }
        });
        tokio::task::yield_now().await;
        sender.send(7).unwrap();
        assert_eq!(next.await.unwrap(), Ok(7));
        let failed = flights.join(2, || async { std::panic::resume_unwind(Box::new("on purpose")) }).await;
        assert_eq!(failed.unwrap_err().class, Class::Unavailable);
        assert_eq!(flights.join(2, || async { 3 }).await, Ok(3));
    }

    #[tokio::test]
    async fn too_many_look_ups_are_refused() {
        let flights = Flights::<usize, ()>::default();
        let kept: Vec<_> = (0..MOST).map(|key| flights.board(key, std::future::pending).unwrap()).collect();
        let failure = flights.join(MOST, std::future::pending).await.unwrap_err();
        assert_eq!((failure.class, kept.len()), (Class::Throttled { retry_after: None }, MOST));
        assert!(flights.board(0, std::future::pending).is_ok());
    }
}

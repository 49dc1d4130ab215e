use std::future::Future;
use std::time::{Duration, Instant};

use strongroom_failure::Failure;
use tokio::sync::Mutex;

/// While a stale value still serves, a failed renewal is not tried again within this: its wait would slow every read.
const RENEWAL_PAUSE: Duration = Duration::from_secs(15);

/// Something that is loaded once at a time and then kept. Whoever asks while a load is under way shares its outcome,
/// also where it fails: fifty reads without credentials wait once and not fifty times.
pub(crate) struct Kept<T>(Mutex<State<T>>);

struct State<T> {
    value: Option<T>,
    /// Counts the loads, so that a value can be dropped only by someone who saw it.
    generation: u64,
    failed: Option<(Instant, Failure)>,
}

impl<T: Clone> Kept<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State { value: None, generation: 0, failed: None }))
    }

    /// The kept value while `is_fresh`, else what `load` gives. A value that is stale but `is_usable` is given where
    /// loading a new one fails.
    pub(crate) async fn get<F: Future<Output = Result<T, Failure>>>(
        &self,
        is_fresh: impl Fn(&T) -> bool,
        is_usable: impl Fn(&T) -> bool,
        load: impl FnOnce() -> F,
    ) -> Result<(T, u64), Failure> {
        let asked = Instant::now();
        let mut state = self.0.lock().await;
        let usable = state.value.clone().filter(&is_usable);
        if let Some(value) = usable.clone().filter(is_fresh) {
            return Ok((value, state.generation));
        }
        let pause = if usable.is_some() { RENEWAL_PAUSE } else { Duration::ZERO };
        let outcome = match state.failed.take() {
            Some((at, failure)) if at + pause >= asked => Err((at, failure)),
            _ => load().await.map_err(|failure| (Instant::now(), failure)),
        };
        match (outcome, usable) {
            (Ok(value), _) => {
                state.value = Some(value.clone());
                state.generation += 1;
                Ok((value, state.generation))
            }
            (Err(failed), usable) => {
                state.failed = Some(failed.clone());
                usable.map(|value| (value, state.generation)).ok_or(failed.1)
            }
        }
    }

    /// Drops the value if it still is the one of `generation`.
    pub(crate) async fn forget(&self, generation: u64) {
        let mut state = self.0.lock().await;
        if state.generation == generation {
            state.value = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use strongroom_failure::Class;

    use super::*;

    #[tokio::test]
    async fn those_who_ask_together_share_one_load_and_its_failure() {
        for fails in [false, true] {
            let (kept, loads) = (Kept::new(), AtomicUsize::new(0));
            let ask = || async {
                let load = || async {
                    loads.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    if fails { Err(Failure::new(Class::Unauthenticated, "none")) } else { Ok(7) }
                };
                kept.get(|_| true, |_| true, load).await
            };
            let answers = futures_util::future::join_all((0..50).map(|_| ask())).await;
            assert_eq!(loads.load(Ordering::SeqCst), 1);
            assert!(answers.iter().all(|answer| answer.is_err() == fails));
            // Whoever comes later tries again after a failure, and takes what is kept after a success.
            let _ = ask().await;
            assert_eq!(loads.load(Ordering::SeqCst), if fails { 2 } else { 1 });
        }
    }

    #[tokio::test]
    async fn a_value_is_dropped_only_by_who_saw_it() {
        let (kept, loads) = (Kept::new(), AtomicUsize::new(0));
        let ask = || kept.get(|_| true, |_| true, || async { Ok(loads.fetch_add(1, Ordering::SeqCst)) });
        let (_, first) = ask().await.unwrap();
        kept.forget(first).await;
        assert_eq!(ask().await.unwrap().0, 1);
        kept.forget(first).await;
        assert_eq!(ask().await.unwrap().0, 1);
    }

    #[tokio::test]
    async fn a_stale_value_bridges_a_failed_renewal() {
        let kept = Kept::new();
        kept.get(|_| true, |_| true, || async { Ok(1) }).await.unwrap();
        let loads = AtomicUsize::new(0);
        let failing = || async {
            loads.fetch_add(1, Ordering::SeqCst);
            Err(Failure::new(Class::Unavailable, "down"))
        };
        for _ in 0..3 {
            assert_eq!(kept.get(|_| false, |_| true, failing).await.unwrap().0, 1);
        }
        assert_eq!(loads.load(Ordering::SeqCst), 1);
        assert!(kept.get(|_| false, |_| false, failing).await.is_err());
    }
}

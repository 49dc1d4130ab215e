use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::{Backoff, Limits, Priority, Schedule};

/// How one reconciliation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All is as it should be; look again after this long, or only when woken.
    Done(Option<Duration>),
    /// Not now: wait as the backoff says, but
    Failed {
        /// at least this long, where the other side asks for it, and
        at_least: Option<Duration>,
        /// at most this long, where something else of the key is due by then.
        at_most: Option<Duration>,
    },
}

impl Outcome {
    /// Not now; wait as the backoff says, and at least this long.
    pub fn failed(at_least: Option<Duration>) -> Self {
        Self::Failed { at_least, at_most: None }
    }

    /// The same, and come back after `latest` at the latest.
    #[must_use]
    pub fn by(self, latest: Option<Duration>) -> Self {
        let earlier = |own: Option<Duration>| own.into_iter().chain(latest).min();
        match self {
            Self::Done(after) => Self::Done(earlier(after)),
            Self::Failed { at_least, at_most } => Self::Failed { at_least, at_most: earlier(at_most) },
        }
    }
}

/// What the loop keeps to.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How much runs at once.
    pub limits: Limits,
    /// How long failing keys wait.
    pub backoff: Backoff,
    /// The longest that one reconciliation may take; then it is cut off, counted as failed and tried again.
    pub longest: Duration,
}

/// Wakes keys; cheap to clone.
pub struct Queue<K, G>(Arc<Shared<K, G>>);

struct Shared<K, G> {
    state: Mutex<State<K, G>>,
    changed: Notify,
}

struct State<K, G> {
    schedule: Schedule<K, G>,
    failures: HashMap<K, u32>,
    /// When a key was last taken or ended.
    moved: Instant,
    is_paused: bool,
}

impl<K, G> Clone for Queue<K, G> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// How full the queue is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Keys that are known.
    pub known: usize,
    /// Keys whose time has come and that wait for a slot.
    pub waiting: usize,
    /// Keys that run.
    pub running: usize,
}

impl<K, G> Queue<K, G>
where
    K: Clone + Eq + Hash + Ord + Send + std::fmt::Debug + 'static,
    G: Clone + Ord + Send + 'static,
{
    /// An empty queue.
    pub fn new(limits: Limits) -> Self {
        let state = State {
            schedule: Schedule::new(limits),
            failures: HashMap::new(),
            moved: Instant::now(),
            is_paused: false,
        };
        Self(Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() }))
    }

    /// Wants `key` reconciled after `delay`. A key that is backing off comes early: something has changed.
    pub fn wake(&self, key: K, delay: Duration, priority: Priority) {
        self.state().schedule.wake(key, Instant::now() + delay, priority);
        self.0.changed.notify_one();
    }

    /// No longer wants `key`.
    pub fn forget(&self, key: &K) {
        let mut state = self.state();
        state.schedule.forget(key);
        state.failures.remove(key);
    }

    /// Starts nothing more (`true`), or goes on (`false`): while another replica leads.
    pub fn pause(&self, is_paused: bool) {
        self.state().is_paused = is_paused;
        self.0.changed.notify_one();
    }

    /// How full the queue is.
    pub fn depth(&self) -> Depth {
        let state = self.state();
        let schedule = &state.schedule;
        Depth { known: schedule.len(), waiting: schedule.waiting(), running: schedule.running() }
    }

    /// Since when no key runs; `None` while one does. Another moment than before tells that there was work in between.
    pub fn rests_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.schedule.running() == 0).then_some(state.moved)
    }

    /// For how long keys have been waiting while nothing moved; zero while all is well. What `/livez` asks.
    pub fn stalled(&self) -> Duration {
        let state = self.state();
        let now = Instant::now();
        let is_late = state.schedule.next_time().is_some_and(|at| at + Duration::from_secs(1) < now);
        if state.is_paused || !(is_late || state.schedule.waiting() > 0) {
            return Duration::ZERO;
        }
        now.saturating_duration_since(state.moved)
    }

    fn state(&self) -> MutexGuard<'_, State<K, G>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, group_of: &impl Fn(&K) -> G) -> (Vec<(K, G)>, Option<Instant>) {
        let mut state = self.state();
        if state.is_paused {
            return (Vec::new(), None);
        }
        let now = Instant::now();
        let taken = state.schedule.take(now, group_of);
        if !taken.is_empty() {
            state.moved = now;
        }
        (taken, state.schedule.next_time())
    }

    /// Files the end of `key` and says when it comes again.
    fn settle(&self, key: K, group: &G, outcome: Outcome, backoff: &Backoff) {
        let mut state = self.state();
        let now = Instant::now();
        state.moved = now;
        let next = match outcome {
            Outcome::Done(after) => {
                state.failures.remove(&key);
                after.map(|after| (now + after, Priority::Routine))
            }
            Outcome::Failed { at_least, at_most } => {
                let failures = state.failures.entry(key.clone()).or_default();
                *failures = failures.saturating_add(1);
                let pause = backoff.pause(*failures, fastrand::f64()).max(at_least.unwrap_or_default());
                let pause = pause.min(at_most.unwrap_or(Duration::MAX));
                Some((now + pause, Priority::Routine))
            }
        };
        state.schedule.done(key, group, next);
    }
}

/// Reconciles what `queue` holds until `ended` is ready; then waits at most `grace` for what runs, and cuts off the rest.
///
/// `group_of` names the store that a key reads; `reconcile` does the work of one key and never panics for long: a panic
/// counts as a failure of that key alone.
pub async fn run<K, G, F>(
    queue: Queue<K, G>,
    settings: Settings,
    group_of: impl Fn(&K) -> G,
    reconcile: impl Fn(K) -> F,
    ended: impl Future<Output = ()>,
    grace: Duration,
) where
    K: Clone + Eq + Hash + Ord + Send + std::fmt::Debug + 'static,
    G: Clone + Ord + Send + 'static,
    F: Future<Output = Outcome> + Send + 'static,
{
    let mut tasks: JoinSet<()> = JoinSet::new();
    let mut ended = std::pin::pin!(ended);
    loop {
        let (taken, next) = queue.take(&group_of);
        for (key, group) in taken {
            // A task of its own, so that a panic ends as a value.
            let work = tokio::spawn(reconcile(key.clone()));
            tasks.spawn(supervised(queue.clone(), settings, key, group, work));
        }
        let timer = async {
            match next {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = &mut ended => break,
            () = queue.0.changed.notified() => {}
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {}
            () = timer => {}
        }
    }
    let drained = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, drained).await.is_err() {
        tracing::warn!(
            ?grace,
            "work was still under way when its time to end was over; it is done again at the next start"
        );
    }
}

/// Sees to it that the work of one key keeps its limits, and files its end, whatever happens to it.
async fn supervised<K, G>(queue: Queue<K, G>, settings: Settings, key: K, group: G, mut work: JoinHandle<Outcome>)
where
    K: Clone + Eq + Hash + Ord + Send + std::fmt::Debug + 'static,
    G: Clone + Ord + Send + 'static,
{
    let outcome = match tokio::time::timeout(settings.longest, &mut work).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => {
            tracing::error!(?key, "a reconciliation ended by a defect; please report it");
            Outcome::failed(None)
        }
        Err(_) => {
            work.abort();
            tracing::warn!(?key, limit = ?settings.longest, "a reconciliation took too long and was cut off");
            Outcome::failed(None)
        }
    };
    queue.settle(key, &group, outcome, &settings.backoff);
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const SETTINGS: Settings = Settings {
        limits: Limits { group: 2, total: 4 },
        backoff: Backoff { first: Duration::from_secs(1), longest: Duration::from_secs(60) },
        longest: Duration::from_secs(30),
    };

    type Names = Queue<&'static str, ()>;

    /// Runs `reconcile` for `seconds` of paused time and says when each key ran, in seconds from the start.
    async fn trace(
        queue: &Names,
        seconds: u64,
        outcome: impl Fn(&str, usize) -> Outcome + Send + Sync + 'static,
    ) -> Vec<(String, u64)> {
        let start = Instant::now();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (counted, outcome) = (Arc::clone(&seen), Arc::new(outcome));
        let reconcile = move |key: &'static str| {
            let (counted, outcome) = (Arc::clone(&counted), Arc::clone(&outcome));
            async move {
                let mut seen = counted.lock().unwrap();
                seen.push((key.to_owned(), start.elapsed().as_secs()));
                let times = seen.iter().filter(|(name, _)| name == key).count();
                drop(seen);
                outcome(key, times)
            }
        };
        let ended = tokio::time::sleep(Duration::from_secs(seconds));
        run(queue.clone(), SETTINGS, |_| (), reconcile, ended, Duration::from_secs(1)).await;
        let seen = seen.lock().unwrap();
        seen.clone()
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_comes_again_when_it_asked_to_and_early_when_woken() {
        let queue = Names::new(SETTINGS.limits);
        queue.wake("a", Duration::ZERO, Priority::Routine);
        let waker = queue.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(15)).await;
            waker.wake("a", Duration::ZERO, Priority::Urgent);
        });
        let seen = trace(&queue, 30, |_, _| Outcome::Done(Some(Duration::from_secs(10)))).await;
        let times: Vec<u64> = seen.into_iter().map(|(_, at)| at).collect();
        assert_eq!(times, [0, 10, 15, 25]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_comes_again_later_and_later_and_a_panic_is_a_failure() {
        let queue = Names::new(SETTINGS.limits);
        queue.wake("a", Duration::ZERO, Priority::Routine);
        let seen = trace(&queue, 9, |_, times| {
            assert!(times != 2, "a defect");
            if times < 4 { Outcome::failed(None) } else { Outcome::Done(None) }
        })
        .await;
        assert_eq!(seen.len(), 4, "{seen:?}");
        assert!(seen[3].1 >= 5 && seen[3].1 <= 7, "{seen:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_comes_again_in_time_for_what_else_is_due() {
        let queue = Names::new(SETTINGS.limits);
        queue.wake("a", Duration::ZERO, Priority::Routine);
        let seen =
            trace(&queue, 100, |_, _| Outcome::failed(Some(Duration::from_secs(50))).by(Some(Duration::from_secs(20))))
                .await;
        let times: Vec<u64> = seen.into_iter().map(|(_, at)| at).collect();
        // The backoff is longer by then, or shorter, and never decides alone.
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] <= 20) && times.len() >= 5, "{times:?}");
    }

    #[test]
    fn the_earlier_of_two_moments_counts() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(Outcome::Done(None).by(seconds(5)), Outcome::Done(seconds(5)));
        assert_eq!(Outcome::Done(seconds(3)).by(seconds(5)), Outcome::Done(seconds(3)));
        assert_eq!(Outcome::Done(seconds(3)).by(None), Outcome::Done(seconds(3)));
        let failed = Outcome::failed(seconds(9)).by(seconds(5)).by(seconds(7));
        assert_eq!(failed, Outcome::Failed { at_least: seconds(9), at_most: seconds(5) });
    }

    #[tokio::test(start_paused = true)]
    async fn what_never_ends_is_cut_off_and_gives_its_slot_back() {
        let queue = Names::new(SETTINGS.limits);
        for key in ["hangs", "hangs too", "waits"] {
            queue.wake(key, Duration::ZERO, Priority::Routine);
        }
        let done = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&done);
        let reconcile = move |key: &'static str| {
            let counted = Arc::clone(&counted);
            async move {
                if key != "waits" {
                    std::future::pending::<()>().await;
                }
                counted.fetch_add(1, Ordering::SeqCst);
                Outcome::Done(None)
            }
        };
        let ended = tokio::time::sleep(Duration::from_secs(31));
        run(queue.clone(), SETTINGS, |_| (), reconcile, ended, Duration::ZERO).await;
        assert_eq!(done.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_stands_still_says_so_unless_it_is_paused() {
        let queue = Names::new(SETTINGS.limits);
        queue.wake("a", Duration::ZERO, Priority::Routine);
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(queue.stalled(), Duration::from_secs(61));
        queue.pause(true);
        assert_eq!(queue.stalled(), Duration::ZERO);
        queue.pause(false);
        trace(&queue, 1, |_, _| Outcome::Done(Some(Duration::from_secs(3600)))).await;
        assert_eq!(queue.stalled(), Duration::ZERO);
    }
}

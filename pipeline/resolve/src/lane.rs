//! One store under one identity: its queue, its slots, and the keys that are on their way.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strongroom_failure::{Class, Failure};
use strongroom_provider::{Answer, Limits, Provider};
use strongroom_secret::RemoteKey;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::bucket::Bucket;
use crate::cache::Cache;
use crate::policy::Policy;
use crate::{PlannedCall, too_late};

/// Serialises the calls to one store: keys wait in a queue, a call takes a slot and a token, and whoever asked for a
/// key that is already on its way waits for the same answer.
pub(crate) struct Lane {
    provider: Arc<dyn Provider>,
    limits: Limits,
    policy: Policy,
    state: Mutex<State>,
}

struct State {
    /// Keys that wait for a slot; each is in `pending` too.
    queue: VecDeque<RemoteKey>,
    pending: HashMap<RemoteKey, Pending>,
    busy: usize,
    bucket: Bucket,
    /// No call starts before this: the store asked for patience, or the bucket is empty.
    closed_until: Option<Instant>,
    cache: Cache,
}

/// A key that somebody waits for.
struct Pending {
    waiters: Vec<oneshot::Sender<Answer>>,
    attempts: u32,
    /// The last moment at which an answer is of use to any of the waiters.
    deadline: Instant,
}

/// An ask on its way to its answer.
pub(crate) struct Waiting {
    place: usize,
    key: RemoteKey,
    answer: Promise,
}

enum Promise {
    Now(Box<Answer>),
    Later(oneshot::Receiver<Answer>),
}

impl Waiting {
    pub(crate) fn failed(place: usize, key: RemoteKey, failure: &Failure) -> Self {
        Self { place, key, answer: Promise::Now(Box::new(Err(failure.clone()))) }
    }

    pub(crate) fn place(&self) -> usize {
        self.place
    }

    pub(crate) async fn answer(self, deadline: Instant) -> Answer {
        match self.answer {
            Promise::Now(answer) => *answer,
            Promise::Later(receiver) => match tokio::time::timeout_at(deadline, receiver).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) | Err(_) => Err(too_late().on_key(self.key.name)),
            },
        }
    }
}

impl Lane {
    pub(crate) fn new(provider: Arc<dyn Provider>, policy: Policy) -> Arc<Self> {
        let limits = provider.limits();
        let state = State {
            queue: VecDeque::new(),
            pending: HashMap::new(),
            busy: 0,
            bucket: Bucket::full(limits, Instant::now()),
            closed_until: None,
            cache: Cache::default(),
        };
        Arc::new(Self { provider, limits, policy, state: Mutex::new(state) })
    }

    /// Queues `keys` and starts what may start. The answers arrive whether or not anybody polls them.
    pub(crate) fn ask(self: &Arc<Self>, keys: Vec<(usize, RemoteKey)>, deadline: Instant) -> Vec<Waiting> {
        let waiting = {
            let mut state = self.state();
            keys.into_iter().map(|(place, key)| self.enqueue(&mut state, place, key, deadline)).collect()
        };
        self.pump();
        waiting
    }

    fn enqueue(&self, state: &mut State, place: usize, key: RemoteKey, deadline: Instant) -> Waiting {
        let cached = self.policy.cache.and_then(|settings| state.cache.fresh(&key, settings, Instant::now()));
        if let Some(value) = cached {
            return Waiting { place, key, answer: Promise::Now(Box::new(Ok(value))) };
        }
        let (sender, receiver) = oneshot::channel();
        match state.pending.get_mut(&key) {
            Some(pending) => {
                pending.waiters.push(sender);
                pending.deadline = pending.deadline.max(deadline);
            }
            None => {
                state.pending.insert(key.clone(), Pending { waiters: vec![sender], attempts: 0, deadline });
                state.queue.push_back(key.clone());
            }
        }
        Waiting { place, key, answer: Promise::Later(receiver) }
    }

    /// The calls that `keys` would cost, each key once.
    pub(crate) fn cost(&self, keys: impl Iterator<Item = RemoteKey>) -> Vec<PlannedCall> {
        let mut distinct: Vec<RemoteKey> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        distinct.extend(keys.filter(|key| seen.insert(key.clone())));
        let name = |place: usize| distinct[place].name.clone();
        let planned = self.provider.plan(&distinct).into_iter();
        planned
            .map(|call| PlannedCall {
                store: self.provider.describe(),
                identity: self.provider.identity(),
                operation: call.operation,
                keys: call.keys.into_iter().map(name).collect(),
            })
            .collect()
    }

    pub(crate) fn forget(&self) {
        self.state().cache.clear();
    }

    /// Starts as many calls as slots and tokens allow.
    fn pump(self: &Arc<Self>) {
        for keys in self.take_calls() {
            let lane = Arc::clone(self);
            tokio::spawn(async move {
                let answers = lane.call(&keys).await;
                lane.settle(keys, answers);
                lane.pump();
            });
        }
    }

    /// Takes the keys of the calls that may start now out of the queue.
    fn take_calls(self: &Arc<Self>) -> Vec<Vec<RemoteKey>> {
        let mut state = self.state();
        let now = Instant::now();
        if state.queue.is_empty() || state.closed_until.is_some_and(|until| until > now) {
            return Vec::new();
        }
        state.closed_until = None;
        let free = self.limits.concurrency.max(1).saturating_sub(state.busy);
        if free == 0 {
            return Vec::new();
        }
        let queue: Vec<RemoteKey> = state.queue.drain(..).collect();
        let mut calls = Vec::new();
        let mut left_over = Vec::new();
        for call in self.provider.plan(&queue) {
            let keys = call.keys.into_iter().map(|place| queue[place].clone());
            if calls.len() == free || state.closed_until.is_some() {
                left_over.extend(keys);
                continue;
            }
            match state.bucket.take(now) {
                Ok(()) => calls.push(keys.collect()),
                Err(wait) => {
                    left_over.extend(keys);
                    self.close(&mut state, now + wait);
                }
            }
        }
        state.queue.extend(left_over);
        state.busy += calls.len();
        calls
    }

    async fn call(&self, keys: &[RemoteKey]) -> Vec<Answer> {
        match tokio::time::timeout(self.policy.call_limit, self.provider.read(keys)).await {
            Ok(answers) if answers.len() == keys.len() => answers,
            Ok(_) => {
                let words = "the provider did not answer every key that it was asked for";
                keys.iter().map(|key| Err(self.failure(key, Class::Invalid, words.to_owned()))).collect()
            }
            Err(_) => {
                let words = format!("no answer within {} s", self.policy.call_limit.as_secs_f32());
                keys.iter().map(|key| Err(self.failure(key, Class::Unavailable, words.clone()))).collect()
            }
        }
    }

    fn failure(&self, key: &RemoteKey, class: Class, words: String) -> Failure {
        Failure::new(class, words).on_key(&key.name).from_store(self.provider.describe())
    }

    /// Gives each answer to those who wait for it, and sends the keys that may be asked again round once more.
    fn settle(self: &Arc<Self>, keys: Vec<RemoteKey>, answers: Vec<Answer>) {
        let mut again: Vec<(Duration, RemoteKey)> = Vec::new();
        let mut state = self.state();
        state.busy -= 1;
        for (key, answer) in keys.into_iter().zip(answers) {
            match self.pause_before_next(&mut state, &key, &answer) {
                Some(pause) => again.push((pause, key)),
                None => self.deliver(&mut state, &key, answer),
            }
        }
        drop(state);
        if let Some(pause) = again.iter().map(|(pause, _)| *pause).max() {
            // One pause for the whole call, the longest: its keys stay one batch.
            self.ask_again_after(pause, again.into_iter().map(|(_, key)| key).collect());
        }
    }

    /// How long to wait before `key` is asked again; `None` when its answer is final. A throttle closes the lane.
    fn pause_before_next(self: &Arc<Self>, state: &mut State, key: &RemoteKey, answer: &Answer) -> Option<Duration> {
        let failure = answer.as_ref().err()?;
        let now = Instant::now();
        let pending = state.pending.get_mut(key)?;
        pending.attempts += 1;
        let pause = self.policy.pause(failure.class, pending.attempts, fastrand::f64())?;
        if now + pause >= pending.deadline {
            return None;
        }
        if matches!(failure.class, Class::Throttled { .. })
            && state.closed_until.is_none_or(|until| until < now + pause)
        {
            if state.closed_until.is_none_or(|until| until <= now) {
                let waiting = state.pending.len();
                tracing::warn!(store = self.provider.describe(), retry_in = ?pause, waiting, "store throttles; backing off");
            }
            self.close(state, now + pause);
        }
        Some(pause)
    }

    fn deliver(&self, state: &mut State, key: &RemoteKey, answer: Answer) {
        let answer = match self.policy.cache {
            Some(settings) => state.cache.settle(key, answer, settings, Instant::now()),
            None => answer,
        };
        let waiters = state.pending.remove(key).map(|pending| pending.waiters).unwrap_or_default();
        for waiter in waiters {
            // A waiter that has gone away lost interest; nothing is lost.
            let _ = waiter.send(answer.clone());
        }
    }

    fn ask_again_after(self: &Arc<Self>, pause: Duration, keys: Vec<RemoteKey>) {
        let lane = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            lane.state().queue.extend(keys);
            lane.pump();
        });
    }

    /// No call starts before `until`; the queue is looked at again then.
    fn close(self: &Arc<Self>, state: &mut State, until: Instant) {
        state.closed_until = Some(until);
        let lane = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep_until(until).await;
            lane.pump();
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! One store under one identity: its queue, its slots, and the keys that are on their way.

use std::collections::{HashMap, HashSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use strongroom_failure::{Class, Failure};
use strongroom_provider::{Answer, Call, Find, Found, Limits, Provider};
use strongroom_secret::{Lease, RemoteKey};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::PlannedCall;
use crate::bucket::Bucket;
use crate::cache::Cache;
use crate::policy::Policy;

/// While a call is under way that carries fewer keys than the store takes, further keys wait to fill a batch: objects
/// that trickle in one by one would else cost a call each. After this long they wait no more for one that hangs.
const PATIENCE_WITH_PARTIAL: Duration = Duration::from_millis(500);

/// Serialises the calls to one store under one identity: keys wait in a queue, a call takes a slot and a token, and
/// whoever asked for a key that is already on its way waits for the same answer.
pub struct Lane {
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
    /// When those of them began that carry fewer keys than the store takes.
    partial: Vec<Instant>,
    /// The most keys that a call has carried, by operation; only of those that carry several.
    fullest: HashMap<String, usize>,
    /// Whether the queue will be looked at as soon as everybody who is asking just now has asked.
    is_pump_due: bool,
    bucket: Bucket,
    /// No call starts before this: the store asked for patience, or the bucket is empty.
    closed_until: Option<Instant>,
    /// Until when the store asked for patience, and its words.
    throttled: Option<(Instant, Failure)>,
    cache: Cache,
}

/// A key that somebody waits for.
struct Pending {
    waiters: Vec<oneshot::Sender<Answer>>,
    attempts: u32,
    /// The last moment at which an answer is of use to any of the waiters.
    deadline: Instant,
    /// Why the try before failed, for those whose time runs out.
    last: Option<Failure>,
}

/// An ask on its way to its answer.
pub(crate) struct Waiting {
    place: usize,
    key: RemoteKey,
    answer: Promise,
}

enum Promise {
    Now(Box<Answer>),
    Later(Arc<Lane>, oneshot::Receiver<Answer>),
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
            Promise::Later(lane, receiver) => match tokio::time::timeout_at(deadline, receiver).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) | Err(_) => Err(lane.too_late(&self.key)),
            },
        }
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Lane({}, {})", self.provider.describe(), self.provider.identity())
    }
}

impl Lane {
    /// A lane to `provider`, with the one retry policy for its store. Does nothing before it is asked.
    pub fn new(provider: Arc<dyn Provider>, policy: Policy) -> Arc<Self> {
        let limits = provider.limits();
        let state = State {
            queue: VecDeque::new(),
            pending: HashMap::new(),
            busy: 0,
            partial: Vec::new(),
            fullest: HashMap::new(),
            is_pump_due: false,
            bucket: Bucket::full(limits, Instant::now()),
            closed_until: None,
            throttled: None,
            cache: Cache::default(),
        };
        Arc::new(Self { provider, limits, policy, state: Mutex::new(state) })
    }

    /// The store and identity behind the lane.
    pub fn provider(&self) -> &Arc<dyn Provider> {
        &self.provider
    }

    /// Reads `keys` and answers each in its place, at the latest at `deadline`. Runs inside a tokio runtime.
    pub async fn read(self: &Arc<Self>, keys: Vec<RemoteKey>, deadline: Instant) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(keys.len());
        for waiting in self.ask(keys.into_iter().enumerate().collect(), deadline) {
            answers.push(waiting.answer(deadline).await);
        }
        answers
    }

    /// As [`Lane::read`], by calls that begin now or later: a read that is under way may have left before the change
    /// that somebody heard of.
    pub async fn read_afresh(self: &Arc<Self>, keys: Vec<RemoteKey>, deadline: Instant) -> Vec<Answer> {
        let under_way: Vec<RemoteKey> = {
            let mut state = self.state();
            state.cache.clear();
            let queued: HashSet<&RemoteKey> = state.queue.iter().collect();
            let has_left = |key: &&RemoteKey| state.pending.contains_key(*key) && !queued.contains(*key);
            keys.iter().filter(has_left).cloned().collect()
        };
        if !under_way.is_empty() {
            self.read(under_way, deadline).await;
        }
        self.read(keys, deadline).await
    }

    /// Searches the store, by the same retry policy and at the latest at `deadline`. A search waits while the store
    /// asks for patience, and takes no slot: its calls are the provider's own.
    ///
    /// # Errors
    /// The last try's failure.
    pub async fn find(self: &Arc<Self>, query: &Find, deadline: Instant) -> Result<Vec<Found>, Failure> {
        self.patiently("the search", deadline, || self.provider.find(query)).await
    }

    /// Has the store lend for longer what a read gave, as [`Lane::find`] searches.
    ///
    /// # Errors
    /// The last try's failure.
    pub async fn renew(self: &Arc<Self>, lease: &Lease, deadline: Instant) -> Result<Lease, Failure> {
        self.patiently("the renewal", deadline, || self.provider.renew(lease)).await
    }

    /// Asks by the retry policy what takes no slot; waits while the store asks for patience.
    async fn patiently<T, F>(self: &Arc<Self>, what: &str, deadline: Instant, ask: impl Fn() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let mut attempts = 0;
        loop {
            let patience = self.state().throttled.as_ref().map(|(until, _)| *until).filter(|at| *at > Instant::now());
            if let Some(until) = patience {
                tokio::time::sleep_until(until.min(deadline)).await;
            }
            let failure = match tokio::time::timeout_at(deadline, ask()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(failure)) => failure,
                Err(_) => {
                    let late = Failure::new(Class::Unavailable, format!("{what} was not over before the deadline"));
                    return Err(late.from_store(self.provider.describe()));
                }
            };
            attempts += 1;
            if let Class::Throttled { retry_after: Some(asked) } = failure.class {
                self.back_off(&mut self.state(), Instant::now() + asked, &failure);
            }
            let pause = self.policy.pause(failure.class, attempts, fastrand::f64());
            match pause.filter(|pause| Instant::now() + *pause < deadline) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(failure),
            }
        }
    }

    /// Queues `keys`; what may start, starts when everybody who is asking just now has asked. The answers arrive
    /// whether or not anybody polls them.
    pub(crate) fn ask(self: &Arc<Self>, keys: Vec<(usize, RemoteKey)>, deadline: Instant) -> Vec<Waiting> {
        let waiting = {
            let mut state = self.state();
            keys.into_iter().map(|(place, key)| self.enqueue(&mut state, place, key, deadline)).collect()
        };
        self.pump_soon();
        waiting
    }

    /// Looks at the queue after the tasks that are ready now had their turn: a thousand asks that fall due together
    /// become full batches, and nobody waits for a timer.
    fn pump_soon(self: &Arc<Self>) {
        let mut state = self.state();
        if state.queue.is_empty() || std::mem::replace(&mut state.is_pump_due, true) {
            return;
        }
        let lane = Arc::clone(self);
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            lane.state().is_pump_due = false;
            lane.pump();
        });
    }

    fn enqueue(self: &Arc<Self>, state: &mut State, place: usize, key: RemoteKey, deadline: Instant) -> Waiting {
        let cached = self.policy.cache.and_then(|settings| state.cache.fresh(&key, settings, Instant::now()));
        if let Some(value) = cached {
            return Waiting { place, key, answer: Promise::Now(Box::new(Ok(value))) };
        }
        let hopeless = |(until, _): &&(Instant, Failure)| *until >= deadline;
        if let Some((_, failure)) = state.throttled.as_ref().filter(hopeless) {
            let failure = failure.clone().on_key(&key.name);
            return Waiting { place, key, answer: Promise::Now(Box::new(Err(failure))) };
        }
        let (sender, receiver) = oneshot::channel();
        match state.pending.get_mut(&key) {
            Some(pending) => {
                pending.waiters.push(sender);
                pending.deadline = pending.deadline.max(deadline);
            }
            None => {
                state.pending.insert(key.clone(), Pending { waiters: vec![sender], attempts: 0, deadline, last: None });
                state.queue.push_back(key.clone());
            }
        }
        Waiting { place, key, answer: Promise::Later(Arc::clone(self), receiver) }
    }

    /// The calls that `keys` would cost, each key once.
    pub(crate) fn cost(&self, keys: impl Iterator<Item = RemoteKey>) -> Vec<PlannedCall> {
        let mut seen = HashSet::new();
        let distinct: Vec<RemoteKey> = keys.filter(|key| seen.insert(key.clone())).collect();
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
        for (keys, partial) in self.take_calls() {
            if partial.is_some() {
                self.pump_after(PATIENCE_WITH_PARTIAL);
            }
            let lane = Arc::clone(self);
            tokio::spawn(async move {
                let start = Instant::now();
                let answers = lane.call(&keys).await;
                let failed = answers.iter().filter(|answer| answer.is_err()).count();
                let (store, keys_asked, took) = (lane.provider.describe(), keys.len(), start.elapsed());
                tracing::debug!(store, keys_asked, failed, ?took, "called a store");
                lane.settle(keys, answers, partial);
                lane.pump();
            });
        }
    }

    /// Takes the keys of the calls that may start now out of the queue; of a partial one also says when it began.
    fn take_calls(self: &Arc<Self>) -> Vec<(Vec<RemoteKey>, Option<Instant>)> {
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
        let queue = live_queue(&mut state, now);
        let mut calls = Vec::new();
        let mut left_over = Vec::new();
        let mut planned = HashSet::new();
        for call in self.provider.plan(&queue) {
            let Call { operation, keys } = call;
            let places = keys.into_iter().filter(|place| planned.insert(*place));
            let keys: Vec<RemoteKey> = places.filter_map(|place| queue.get(place).cloned()).collect();
            let is_partial = state.is_partial(operation, keys.len());
            if calls.len() == free || state.closed_until.is_some() || is_partial && state.may_fill_up(now) {
                left_over.extend(keys);
                continue;
            }
            match state.bucket.take(now) {
                Ok(()) => {
                    state.partial.extend(is_partial.then_some(now));
                    calls.push((keys, is_partial.then_some(now)));
                }
                Err(wait) => {
                    left_over.extend(keys);
                    self.close(&mut state, now + wait);
                }
            }
        }
        state.queue.extend(left_over);
        state.busy += calls.len();
        for forgotten in (0..queue.len()).filter(|place| !planned.contains(place)) {
            let failure =
                self.failure(&queue[forgotten], Class::Invalid, "the provider planned no call for it".to_owned());
            self.deliver(&mut state, &queue[forgotten], Err(failure));
        }
        calls
    }

    async fn call(&self, keys: &[RemoteKey]) -> Vec<Answer> {
        // A provider that panics fails these keys; it keeps neither the slot nor those who wait.
        let reading = AssertUnwindSafe(self.provider.read(keys)).catch_unwind();
        let (class, words) = match tokio::time::timeout(self.policy.call_limit, reading).await {
            Ok(Ok(answers)) if answers.len() == keys.len() => return answers,
            Ok(Ok(_)) => (Class::Invalid, "the provider did not answer every key that it was asked for".to_owned()),
            Ok(Err(_)) => (Class::Invalid, "the provider has a defect; please report it".to_owned()),
            Err(_) => (Class::Unavailable, format!("no answer within {} s", self.policy.call_limit.as_secs_f32())),
        };
        keys.iter().map(|key| Err(self.failure(key, class, words.clone()))).collect()
    }

    fn failure(&self, key: &RemoteKey, class: Class, words: String) -> Failure {
        Failure::new(class, words).on_key(&key.name).from_store(self.provider.describe())
    }

    /// Gives each answer to those who wait for it, and sends the keys that may be asked again round once more.
    fn settle(self: &Arc<Self>, keys: Vec<RemoteKey>, answers: Vec<Answer>, partial: Option<Instant>) {
        let mut again: Vec<(Duration, RemoteKey)> = Vec::new();
        let mut state = self.state();
        state.busy -= 1;
        if let Some(place) = state.partial.iter().position(|began| Some(*began) == partial) {
            state.partial.swap_remove(place);
        }
        for (key, answer) in keys.into_iter().zip(answers) {
            match self.pause_before_next(&mut state, &key, &answer) {
                Some(pause) => again.push((pause, key)),
                None => self.deliver(&mut state, &key, answer),
            }
        }
        // One pause for the whole call, the longest, so that its keys stay one batch; except for those whose time would
        // be over by then.
        let Some(longest) = again.iter().map(|(pause, _)| *pause).max() else { return };
        let then = Instant::now() + longest;
        let has_time = |key: &RemoteKey| state.pending.get(key).is_some_and(|pending| pending.deadline > then);
        let (together, alone): (Vec<_>, Vec<_>) = again.into_iter().partition(|(_, key)| has_time(key));
        drop(state);
        self.ask_again_after(longest, together.into_iter().map(|(_, key)| key).collect());
        for (pause, key) in alone {
            self.ask_again_after(pause, vec![key]);
        }
    }

    /// How long to wait before `key` is asked again; `None` when its answer is final. A throttle closes the lane.
    fn pause_before_next(self: &Arc<Self>, state: &mut State, key: &RemoteKey, answer: &Answer) -> Option<Duration> {
        let failure = answer.as_ref().err()?;
        let now = Instant::now();
        let pending = state.pending.get_mut(key)?;
        pending.attempts += 1;
        pending.last = Some(failure.clone());
        let deadline = pending.deadline;
        let pause = self.policy.pause(failure.class, pending.attempts, fastrand::f64());
        if let Class::Throttled { retry_after } = failure.class
            && let Some(patience) = Policy::patience(pause, retry_after)
        {
            self.back_off(state, now + patience, failure);
        }
        pause.filter(|pause| now + *pause < deadline)
    }

    /// Leaves a store that throttles alone until then; whoever cannot wait that long learns it now.
    fn back_off(self: &Arc<Self>, state: &mut State, until: Instant, failure: &Failure) {
        let before = state.throttled.as_ref().map(|(until, _)| *until);
        if before.is_some_and(|before| before >= until) {
            return;
        }
        if before.is_none_or(|before| before <= Instant::now()) {
            let (retry_in, waiting) = (until - Instant::now(), state.pending.len());
            tracing::warn!(store = self.provider.describe(), ?retry_in, waiting, "store throttles; backing off");
        }
        state.throttled = Some((until, failure.clone()));
        self.close(state, until);
        let is_hopeless = |key: &RemoteKey| state.pending.get(key).is_none_or(|pending| pending.deadline <= until);
        let (hopeless, waiting): (Vec<_>, Vec<_>) = state.queue.iter().cloned().partition(is_hopeless);
        state.queue = waiting.into();
        for key in hopeless {
            self.deliver(state, &key, Err(failure.clone().on_key(&key.name)));
        }
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
        if keys.is_empty() {
            return;
        }
        let lane = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            lane.state().queue.extend(keys);
            lane.pump();
        });
    }

    /// No call starts before `until`; the queue is looked at again then.
    fn close(self: &Arc<Self>, state: &mut State, until: Instant) {
        state.closed_until = state.closed_until.max(Some(until));
        self.pump_after(until - Instant::now());
    }

    fn pump_after(self: &Arc<Self>, pause: Duration) {
        let lane = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            lane.pump();
        });
    }

    /// What a waiter is told when its time is over: the last try's reason, where there was one.
    fn too_late(&self, key: &RemoteKey) -> Failure {
        let late = self.failure(key, Class::Unavailable, "no answer before the deadline".to_owned());
        match self.state().pending.get(key).and_then(|pending| pending.last.clone()) {
            Some(last) => {
                let words = format!("{}; the last try: {}", late.words, last.words);
                Failure { class: last.class, words, hint: last.hint, ..late }
            }
            None => late,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether a call of `operation` could carry more keys.
    fn is_partial(&mut self, operation: String, keys: usize) -> bool {
        let fullest = self.fullest.get(&operation).copied().unwrap_or(1);
        if keys > fullest {
            self.fullest.insert(operation, keys);
        }
        keys < fullest
    }

    /// Whether keys should wait for others: while a partial call is under way and does not hang.
    fn may_fill_up(&self, now: Instant) -> bool {
        self.partial.iter().any(|began| now < *began + PATIENCE_WITH_PARTIAL)
    }
}

/// Empties the queue into a list of the keys that somebody still waits for.
fn live_queue(state: &mut State, now: Instant) -> Vec<RemoteKey> {
    let State { queue, pending, .. } = state;
    let is_wanted = |key: &RemoteKey| pending.get(key).is_some_and(|pending| pending.deadline > now);
    let (live, over): (Vec<_>, Vec<_>) = queue.drain(..).partition(is_wanted);
    for key in over {
        pending.remove(&key);
    }
    live
}

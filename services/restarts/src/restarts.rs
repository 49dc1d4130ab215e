//! Putting the parts together, and running them while the process leads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use strongroom_failure::{Class, Failure};
use strongroom_kube::{Connection, Initialized, Recorder, Secrets};
use strongroom_reconcile::{Backoff, Limits, Outcome, Priority, Queue, Settings as LoopSettings};
use strongroom_restart::{Key, Kind};
use strongroom_telemetry::{Counters, Metrics};
use tokio::time::Instant;

use crate::index::{Index, Name};
use crate::rolling::Rolling;
use crate::settings::RestartSettings;
use crate::{FIELD_MANAGER, key, round, watches};

/// What runs at once: a Secret that is read takes at most 3 MiB for a moment.
const LIMITS: Limits = Limits { group: 16, total: 32 };

/// The longest that one workload may take: a few requests to a slow API server.
const LONGEST: Duration = Duration::from_secs(60);

/// The longest pause before the key is asked for again: without it nothing is done, so it is worth asking.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Restarts workloads when a Secret that they consume has changed.
pub struct Restarts {
    settings: RestartSettings,
    connection: Connection,
    namespaces: Vec<String>,
    selector: Option<String>,
    recorder: Recorder,
    key: Option<Key>,
    counters: Counters,
    gauges: Gauges,
}

/// What is measured whenever somebody looks: of what runs now.
type Gauges = Arc<Mutex<Option<Arc<Parts>>>>;

impl Restarts {
    /// Restarts in the whole cluster, as `settings` say; nothing is asked of it yet. Events are written by `recorder`,
    /// and `metrics` count under `strongroom_restarts_…`.
    ///
    /// # Errors
    /// Where the key's file cannot be used.
    pub fn new(
        connection: Connection,
        settings: RestartSettings,
        recorder: Recorder,
        metrics: &Metrics,
    ) -> Result<Self, Failure> {
        let key = settings.restart_key_file.as_deref().map(key::from_file).transpose()?;
        let counters = metrics.counters(
            "strongroom_restarts_total",
            "What was done about workloads whose Secrets changed",
            &["kind", "result"],
        );
        let gauges = Gauges::default();
        let (of_rolling, of_waiting) = (Arc::clone(&gauges), Arc::clone(&gauges));
        metrics.measured("strongroom_restarts_rolling", "Workloads that roll after a restart", move || {
            measured(&of_rolling, Rolling::count)
        });
        metrics.measured("strongroom_restarts_waiting", "Workloads that wait because as many roll as may", move || {
            measured(&of_waiting, Rolling::waiting)
        });
        Ok(Self { settings, connection, namespaces: Vec::new(), selector: None, recorder, key, counters, gauges })
    }

    /// In these namespaces alone, where there are any. Annotations of namespaces then say nothing, since namespaces
    /// are not watched.
    #[must_use]
    pub fn in_namespaces(mut self, namespaces: Vec<String>) -> Self {
        self.namespaces = namespaces;
        self
    }

    /// In namespaces with these labels alone, where a selector is given (as in `kubectl get -l`).
    #[must_use]
    pub fn in_selected(mut self, selector: Option<String>) -> Self {
        self.selector = selector;
        self
    }

    /// Works until `stop` is ready; dropping the future ends it as well. Whatever is cut off is done by the next one.
    /// To be called while the process leads.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Some(scope) = self.settings.restarts.scope() else { return };
        let mut stop = std::pin::pin!(stop);
        let key = tokio::select! {
            key = self.key() => key,
            () = &mut stop => return,
        };
        let parts = Arc::new(Parts {
            secrets: Secrets::new(self.connection.client(), FIELD_MANAGER),
            index: Mutex::new(Index::new(scope, self.settings.restart_settle, self.selector.is_some())),
            rolling: Mutex::new(Rolling::new(
                usize::try_from(self.settings.restart_limit).unwrap_or(usize::MAX),
                self.settings.restart_patience,
            )),
            queue: Queue::new(LIMITS),
            reads: Default::default(),
            is_whole: AtomicBool::new(false),
            key,
            settings: self.settings,
            connection: self.connection,
            namespaces: self.namespaces,
            selector: self.selector,
            recorder: self.recorder,
            counters: self.counters,
        });
        *self.gauges.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&parts));
        parts.queue.pause(true);
        let ready = Initialized::default();
        let watching = watches::start(&parts, &ready);
        tokio::select! {
            () = ready.wait() => {}
            () = &mut stop => return,
        }
        parts.complete();
        let settings = LoopSettings { limits: LIMITS, backoff: Backoff::default(), longest: LONGEST };
        let group_of = |name: &Name| Arc::clone(&name.namespace);
        let reconcile = |name: Name| round::reconcile(Arc::clone(&parts), name);
        // A patch under way is worth a moment.
        strongroom_reconcile::run(parts.queue.clone(), settings, group_of, reconcile, stop, Duration::from_secs(2))
            .await;
        drop(watching);
    }

    /// The key of fingerprints, asked for until it is there: the API server or a right may come later.
    async fn key(&self) -> Key {
        if let Some(key) = &self.key {
            return key.clone();
        }
        let mut pause = Duration::from_secs(1);
        loop {
            match key::from_secret(self.connection.client(), self.connection.namespace()).await {
                Ok(key) => return key,
                Err(failure) => {
                    tracing::warn!(%failure, hint = failure.hint, retry_in = ?pause, "nothing is restarted without a key");
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

fn measured(gauges: &Gauges, measure: fn(&Rolling) -> usize) -> f64 {
    let parts = gauges.lock().unwrap_or_else(PoisonError::into_inner);
    parts.as_ref().map_or(0.0, |parts| u32::try_from(measure(&parts.rolling())).unwrap_or(u32::MAX).into())
}

/// What runs.
pub(crate) struct Parts {
    pub(crate) settings: RestartSettings,
    pub(crate) connection: Connection,
    pub(crate) namespaces: Vec<String>,
    pub(crate) selector: Option<String>,
    pub(crate) recorder: Recorder,
    pub(crate) key: Key,
    pub(crate) secrets: Secrets,
    pub(crate) counters: Counters,
    pub(crate) queue: Queue<Name, Arc<str>>,
    /// Who reads a Secret holds one of these, so that what many wait for is read once.
    pub(crate) reads: [tokio::sync::Mutex<()>; 32],
    index: Mutex<Index>,
    rolling: Mutex<Rolling>,
    is_whole: AtomicBool,
}

impl Parts {
    pub(crate) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn rolling(&self) -> MutexGuard<'_, Rolling> {
        self.rolling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All lists are known: what another process left rolling counts, and work begins.
    fn complete(&self) {
        self.index().complete();
        self.is_whole.store(true, Ordering::Relaxed);
        let mut count = 0;
        let now = Instant::now();
        let index = self.index();
        for name in Kind::ALL.into_iter().flat_map(|kind| index.workload_names(kind)) {
            let workload = index.workload(&name);
            let Some(workload) = workload.filter(|workload| workload.mark.is_some() && !workload.is_rolled_out())
            else {
                continue;
            };
            self.rolling().begin(&name, now, workload.generation);
            count += 1;
        }
        drop(index);
        tracing::info!(rolling = count, "workloads are restarted when Secrets change that they consume");
        self.queue.pause(false);
    }

    /// Wakes workloads.
    pub(crate) fn wake(&self, names: impl IntoIterator<Item = Name>, delay: Duration) {
        let is_news = self.is_whole.load(Ordering::Relaxed);
        let priority = if is_news { Priority::Urgent } else { Priority::Routine };
        for name in names {
            self.queue.wake(name, delay, priority);
        }
    }

    /// Frees the place of a workload whose rollout has ended, or has taken so long that it counts no more.
    pub(crate) fn end_rollout(&self, name: &Name) {
        let Some(remaining) = self.rolling().remaining(name, Instant::now()) else { return };
        let workload = self.index().workload(name);
        let has_ended = workload
            .is_none_or(|workload| workload.is_rolled_out() && self.rolling().is_told_by(name, workload.generation));
        if has_ended || remaining == Duration::ZERO {
            let next = self.rolling().leave(name);
            self.wake(next, Duration::ZERO);
        }
    }

    /// A workload is gone.
    pub(crate) fn forget(&self, name: &Name) {
        self.index().delete_workload(name);
        self.queue.forget(name);
        let next = self.rolling().leave(name);
        self.wake(next, Duration::ZERO);
    }

    pub(crate) fn count(&self, kind: Kind, result: &'static str) {
        self.counters.increment(&[kind.as_str(), result]);
    }
}

/// How a round ended, for the loop.
pub(crate) fn outcome(ended: Result<Option<Duration>, Failure>, name: &Name) -> Outcome {
    match ended {
        Ok(next) => Outcome::Done(next),
        Err(failure) => {
            let class = failure.class;
            if class == Class::NotFound {
                return Outcome::Done(None);
            }
            tracing::warn!(workload = %name, %failure, hint = failure.hint, "a workload cannot be looked after; trying again");
            match class {
                Class::Throttled { retry_after } => Outcome::failed(retry_after),
                _ => Outcome::failed(None),
            }
        }
    }
}

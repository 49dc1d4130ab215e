//! What all reconciliations share: the index, the queue, open stores, and the ways out to the cluster.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use strongroom_failure::Failure;
use strongroom_kube::{Connection, EventKind, Recorder};
use strongroom_policy::StorePolicies;
use strongroom_provider::Meter;
use strongroom_reconcile::{Priority, Queue, Settings as LoopSettings};
use strongroom_sync::hash::DataHash;

use crate::announcements::Announcements;
use crate::aws_ssm::AwsSsm;
use crate::index::{Group, Index, Key, Wakes};
use crate::kamus::Kamus;
use crate::kes::Kes;
use crate::memory::Memories;
use crate::metrics::Metrics;
use crate::names::StoreName;
use crate::openings::Openings;
use crate::reader::Variables;
use crate::settings::OperatorSettings;

/// Who writes statuses, labels of stores and everything that is not a target.
pub(crate) const FIELD_MANAGER: &str = "strongroom-operator";

/// What all reconciliations share.
pub(crate) struct Operator {
    pub(crate) settings: OperatorSettings,
    pub(crate) connection: Connection,
    pub(crate) variables: Arc<Variables>,
    pub(crate) queue: Queue<Key, Group>,
    pub(crate) openings: Openings,
    pub(crate) kes: Kes,
    pub(crate) aws_ssm: AwsSsm,
    pub(crate) kamus: Kamus,
    pub(crate) memories: Memories,
    pub(crate) announcements: Announcements,
    pub(crate) metrics: Metrics,
    pub(crate) meter: Arc<Meter>,
    pub(crate) recorder: Recorder,
    pub(crate) data_hash: DataHash,
    /// When this process began to serve: what was overdue then is spread.
    pub(crate) start: Timestamp,
    /// Why nothing is written although the work is ours: another controller is at it.
    pub(crate) foreign: RwLock<Option<String>>,
    /// Whether GeneratorStates are watched: only then what a generator makes at somebody else's can be ended.
    pub(crate) are_states_watched: AtomicBool,
    /// Whether the definitions were seen to allow no condition of ours.
    pub(crate) refuses_partial: AtomicBool,
    index: Mutex<Index>,
    policies: RwLock<Arc<StorePolicies>>,
    /// The last failure that was told about an object, so that a retry does not tell it again.
    told: Mutex<HashMap<Key, String>>,
}

/// What an operator is made of.
pub(crate) struct Parts {
    pub(crate) settings: OperatorSettings,
    pub(crate) connection: Connection,
    pub(crate) variables: Variables,
    pub(crate) recorder: Recorder,
    pub(crate) data_hash: DataHash,
}

impl Operator {
    /// # Errors
    /// Where a variable or a flag cannot be understood.
    pub(crate) fn new(parts: Parts, loop_settings: &LoopSettings) -> Result<Arc<Self>, Failure> {
        let Parts { settings, connection, variables, recorder, data_hash } = parts;
        let metrics = Metrics::new(settings.enable_extended_metric_labels);
        let kes = Kes::new(&settings, &variables, &metrics.registry)?;
        let aws_ssm = AwsSsm::new(&settings, &variables, &metrics.registry)?;
        let kamus = Kamus::new(&settings, &variables, &connection, &metrics.registry)?;
        let meter = Arc::<Meter>::default();
        Ok(Arc::new(Self {
            queue: Queue::new(loop_settings.limits),
            openings: Openings::default(),
            memories: Memories::default(),
            announcements: Announcements::default(),
            metrics,
            kes,
            aws_ssm,
            kamus,
            meter,
            recorder,
            data_hash,
            start: Timestamp::now(),
            foreign: RwLock::default(),
            are_states_watched: AtomicBool::new(false),
            refuses_partial: AtomicBool::new(false),
            index: Mutex::default(),
            policies: RwLock::default(),
            told: Mutex::default(),
            variables: Arc::new(variables),
            settings,
            connection,
        }))
    }

    /// Counts what others count: requests to the API server, the queue, events.
    pub(crate) fn measure(&self) {
        let registry = &self.metrics.registry;
        let traffic = self.connection.traffic().clone();
        let requests = move || {
            let count = |(request, count): (strongroom_kube::Request, u64)| {
                // Exact up to 2^53 requests.
                #[expect(clippy::cast_precision_loss, reason = "counts fit")]
                (vec![request.verb.to_owned(), request.resource], count as f64)
            };
            traffic.requests().into_iter().map(count).collect()
        };
        registry.counted(
            "strongroom_kube_requests_total",
            "Requests to the API server",
            &["verb", "resource"],
            requests,
        );
        #[expect(clippy::cast_precision_loss, reason = "a queue is never that long")]
        let depth = |part: fn(strongroom_reconcile::Depth) -> usize| {
            let queue = self.queue.clone();
            move || part(queue.depth()) as f64
        };
        registry.measured("strongroom_queue_objects", "Objects that are known", depth(|depth| depth.known));
        registry.measured("strongroom_queue_waiting", "Objects that are due and wait", depth(|depth| depth.waiting));
        registry.measured("strongroom_queue_running", "Objects that are worked on", depth(|depth| depth.running));
        let queue = self.queue.clone();
        let stalled = move || queue.stalled().as_secs_f64();
        registry.measured("strongroom_queue_stalled_seconds", "How long due objects have not moved", stalled);
    }

    /// What is known of the cluster. Never held across an await.
    pub(crate) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes something in and wakes whom it concerns.
    pub(crate) fn learn(&self, learning: impl FnOnce(&mut Index) -> Wakes) {
        let wakes = learning(&mut self.index());
        for (key, priority) in wakes {
            self.queue.wake(key, Duration::ZERO, priority);
        }
    }

    /// Has `keys` read their values now: a source says that one of them changed.
    pub(crate) fn announce(&self, keys: Vec<Key>) {
        for key in keys {
            self.announcements.note(key.clone());
            self.queue.wake(key, Duration::ZERO, Priority::Urgent);
        }
    }

    /// The policies as they are now.
    pub(crate) fn policies(&self) -> Arc<StorePolicies> {
        Arc::clone(&self.policies.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes new policies: from now on every read is asked about by them.
    pub(crate) fn set_policies(&self, policies: StorePolicies) {
        *self.policies.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policies);
        self.learn(|index| index.everybody());
    }

    /// The other controller that is at work on our objects, if one was seen.
    pub(crate) fn foreign(&self) -> Option<String> {
        self.foreign.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether `controller` of a store's spec means us.
    pub(crate) fn is_ours(&self, class: Option<&str>) -> bool {
        class.is_none_or(|class| class.is_empty() || class == self.settings.controller_class)
    }

    /// Whether a store's kind is served at all.
    pub(crate) fn serves(&self, store: &StoreName) -> bool {
        match store.namespace {
            Some(_) => true,
            None => self.settings.enable_cluster_store_reconciler && self.settings.serves_cluster_kinds(),
        }
    }

    /// Forgets what was told about an object that is gone.
    pub(crate) fn forget_told(&self, key: &Key) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Tells a failure about an object once: in the log and as an event; `words` as they were told last time are not
    /// told again. `None` takes back what was told: the next failure is news.
    pub(crate) fn tell(&self, key: &Key, about: &ObjectReference, reason: &str, words: Option<&str>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(words) = words else {
            told.remove(key);
            return;
        };
        if told.get(key).is_some_and(|last| last == words) {
            return;
        }
        told.insert(key.clone(), words.to_owned());
        drop(told);
        let (kind, name) = (about.kind.as_deref().unwrap_or_default(), about.name.as_deref().unwrap_or_default());
        let namespace = about.namespace.as_deref().unwrap_or_default();
        tracing::warn!(kind, namespace, name, reason, failure = words, "an object could not be made right");
        self.recorder.record(about, EventKind::Warning, reason, words);
    }
}

/// How events and owners refer to an object.
pub(crate) fn reference(api_version: &str, kind: &str, metadata: &ObjectMeta) -> ObjectReference {
    ObjectReference {
        api_version: Some(api_version.to_owned()),
        kind: Some(kind.to_owned()),
        namespace: metadata.namespace.clone(),
        name: metadata.name.clone(),
        uid: metadata.uid.clone(),
        resource_version: metadata.resource_version.clone(),
        field_path: None,
    }
}

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::failure::failure;

/// How people are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// What was done.
    Normal,
    /// What its owner should mend.
    Warning,
}

impl EventKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// In whose name events are written.
#[derive(Clone, Debug)]
pub struct RecorderSettings {
    /// `external-secrets`: what people and dashboards filter by.
    pub component: &'static str,
    /// Which process: the pod's name.
    pub instance: String,
    /// The most events that wait to be written; more push the oldest out.
    pub queue_limit: usize,
}

/// Tells people about objects by Events of core/v1, behind all other work: recording never waits, a full queue drops
/// its oldest, and the same about the same object becomes a count.
#[derive(Clone, Debug)]
pub struct Recorder {
    queue: Arc<Queue>,
}

#[derive(Debug)]
struct Queue {
    limit: usize,
    waiting: Mutex<VecDeque<Pending>>,
    filled: Notify,
    dropped: AtomicU64,
    written: AtomicU64,
}

/// What makes two events the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    object: ObjectKey,
    kind: EventKind,
    reason: String,
    message: String,
}

/// An object, and not another one of its name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ObjectKey {
    kind: String,
    namespace: String,
    name: String,
    uid: String,
}

#[derive(Debug)]
struct Pending {
    key: Key,
    about: ObjectReference,
    count: i32,
    first: Timestamp,
    last: Timestamp,
    /// Whether it is told once, whoever else told it.
    is_once: bool,
}

impl Recorder {
    /// A recorder, and the task that writes what it records; the task ends when all recorders are gone and everything
    /// is written.
    pub fn new(client: Client, settings: RecorderSettings) -> (Self, impl Future<Output = ()> + Send) {
        let queue = Arc::new(Queue {
            limit: settings.queue_limit.max(1),
            waiting: Mutex::default(),
            filled: Notify::new(),
            dropped: AtomicU64::new(0),
            written: AtomicU64::new(0),
        });
        let writer =
            Writer { client, settings, known: Known::default(), budgets: HashMap::new(), digests: RandomState::new() };
        // The writer's own reference does not keep the queue open: see `Queue::take`.
        (Self { queue: queue.clone() }, writer.run(queue))
    }

    /// Records that `reason` happened to the object; `message` must hold no value. Returns at once.
    pub fn record(&self, about: &ObjectReference, kind: EventKind, reason: &str, message: &str) {
        self.put(about, kind, reason, message, false);
    }

    /// The same, once: while an event of this reason about this very object is to be seen, of this process or of one
    /// before it, another is neither written nor counted.
    pub fn record_once(&self, about: &ObjectReference, kind: EventKind, reason: &str, message: &str) {
        self.put(about, kind, reason, message, true);
    }

    fn put(&self, about: &ObjectReference, kind: EventKind, reason: &str, message: &str, is_once: bool) {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        let object = ObjectKey {
            kind: text(&about.kind),
            namespace: text(&about.namespace),
            name: text(&about.name),
            uid: text(&about.uid),
        };
        let key = Key { object, kind, reason: reason.to_owned(), message: bounded(message) };
        let now = Timestamp::now();
        let mut waiting = self.queue.lock();
        if let Some(same) = waiting.iter_mut().rev().find(|pending| pending.key == key) {
            if !is_once {
                same.count += 1;
                same.last = now;
            }
            return;
        }
        if waiting.len() >= self.queue.limit {
            waiting.pop_front();
            self.queue.dropped.fetch_add(1, Ordering::Relaxed);
        }
        waiting.push_back(Pending { key, about: about.clone(), count: 1, first: now, last: now, is_once });
        drop(waiting);
        self.queue.filled.notify_one();
    }

    /// How many events were dropped, because the queue was full, their object had its share, or they could not be
    /// written.
    pub fn dropped(&self) -> u64 {
        self.queue.dropped.load(Ordering::Relaxed)
    }

    /// How many events were written, counts that went up included.
    pub fn written(&self) -> u64 {
        self.queue.written.load(Ordering::Relaxed)
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.queue.lock().len()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // So that the writer sees that it may be alone.
        self.queue.filled.notify_one();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Pending>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The next event; `None` once nobody can record another.
async fn take(queue: &Arc<Queue>) -> Option<Pending> {
    loop {
        // Asked before the queue is looked at: a recorder that goes after that wakes us once more.
        let is_alone = Arc::strong_count(queue) == 1;
        if let Some(pending) = queue.lock().pop_front() {
            return Some(pending);
        }
        if is_alone {
            return None;
        }
        // A second at most: the last recorder's own reference goes a moment after it has woken us.
        let _ = tokio::time::timeout(Duration::from_secs(1), queue.filled.notified()).await;
    }
}

/// As long as the API takes for events of its newer kind; people read a line, not a page.
const MESSAGE_LIMIT: usize = 1024;

fn bounded(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_LIMIT - 1) {
        Some((end, _)) if message.chars().count() > MESSAGE_LIMIT => format!("{}…", &message[..end]),
        _ => message.to_owned(),
    }
}

/// How many events an object may have at once, and how long until it may have another: client-go's numbers. They keep
/// one object that flaps from filling etcd.
const OBJECT_BURST: f64 = 25.0;
const OBJECT_PAUSE: Duration = Duration::from_secs(300);

/// The most objects whose share is remembered, and events whose name is: client-go's number.
const REMEMBERED: usize = 4096;

struct Writer {
    client: Client,
    settings: RecorderSettings,
    known: Known,
    /// By a digest of the object.
    budgets: HashMap<u64, Budget>,
    digests: RandomState,
}

impl Writer {
    async fn run(mut self, queue: Arc<Queue>) {
        while let Some(pending) = take(&queue).await {
            let counter = match self.has_share(&pending.key.object) && self.write(pending).await {
                true => &queue.written,
                false => &queue.dropped,
            };
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn has_share(&mut self, object: &ObjectKey) -> bool {
        let (now, object) = (Instant::now(), self.digests.hash_one(object));
        if self.budgets.len() >= REMEMBERED && !self.budgets.contains_key(&object) {
            self.budgets.retain(|_, budget| !budget.is_whole(now));
            // All of them are noisy: whoever comes new is let through rather than remembered without a bound.
            if self.budgets.len() >= REMEMBERED {
                return true;
            }
        }
        self.budgets.entry(object).or_insert_with(|| Budget::new(now)).spend(now)
    }

    /// Writes a new event or counts a known one up; whether that was possible.
    async fn write(&mut self, pending: Pending) -> bool {
        let namespace = match pending.key.object.namespace.as_str() {
            // Where client-go puts events about objects of the cluster.
            "" => "default".to_owned(),
            namespace => namespace.to_owned(),
        };
        let events: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        let asked = format!("write an Event in {namespace}");
        let key = self.digests.hash_one(&pending.key);
        if let Some(written) = self.known.of(key).filter(|_| !pending.is_once) {
            let count = written.count.saturating_add(pending.count);
            let name = event_name(&pending.key, written.instant);
            let patch = serde_json::json!({"count": count, "lastTimestamp": Time(pending.last)});
            match events.patch_metadata(&name, &PatchParams::default(), &Patch::Merge(patch)).await {
                Ok(_) => {
                    self.known.remember(key, WrittenEvent { count, ..written });
                    return true;
                }
                // It has expired: a new one says the same.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return lost(&error, &asked),
            }
        }
        // As client-go names them; the time makes it unique, and chance where two processes write at once.
        let instant = match pending.is_once {
            true => once(&pending.key),
            false => u64::try_from(pending.first.as_nanosecond()).unwrap_or_default() ^ fastrand::u64(..1 << 10),
        };
        let event = self.event(&pending, namespace, instant);
        match events.create(&PostParams::default(), &event).await {
            Ok(_) => {
                self.known.remember(key, WrittenEvent { instant, count: pending.count });
                true
            }
            Err(kube::Error::Api(status)) if pending.is_once && status.code == 409 => true,
            Err(error) => lost(&error, &asked),
        }
    }

    fn event(&self, pending: &Pending, namespace: String, instant: u64) -> Event {
        let key = &pending.key;
        let (component, instance) = (self.settings.component.to_owned(), self.settings.instance.clone());
        Event {
            metadata: ObjectMeta {
                name: Some(event_name(key, instant)),
                namespace: Some(namespace),
                ..ObjectMeta::default()
            },
            involved_object: pending.about.clone(),
            type_: Some(key.kind.as_str().to_owned()),
            reason: Some(key.reason.clone()),
            message: Some(key.message.clone()),
            source: Some(EventSource { component: Some(component.clone()), host: None }),
            reporting_component: Some(component),
            reporting_instance: Some(instance),
            count: Some(pending.count),
            first_timestamp: Some(Time(pending.first)),
            last_timestamp: Some(Time(pending.last)),
            ..Event::default()
        }
    }
}

fn event_name(key: &Key, instant: u64) -> String {
    format!("{}.{instant:x}", key.object.name)
}

/// What stands for the instant in the name of an event that is told once: the same for each process and version
/// (FNV-1a).
fn once(key: &Key) -> u64 {
    let bytes = key.object.uid.bytes().chain([0]).chain(key.reason.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn lost(error: &kube::Error, asked: &str) -> bool {
    tracing::debug!(error = %failure(error, asked, &[]), "an event is lost");
    false
}

/// An event that was written: the instant in its name, and what it counts.
#[derive(Clone, Copy)]
struct WrittenEvent {
    instant: u64,
    count: i32,
}

/// Events that were written, by a digest of what makes them the same, in two halves: when one is full the other is
/// forgotten, so that what is asked for again and again stays.
#[derive(Default)]
struct Known {
    recent: HashMap<u64, WrittenEvent>,
    older: HashMap<u64, WrittenEvent>,
}

impl Known {
    fn of(&self, key: u64) -> Option<WrittenEvent> {
        self.recent.get(&key).or_else(|| self.older.get(&key)).copied()
    }

    fn remember(&mut self, key: u64, event: WrittenEvent) {
        if self.recent.len() >= REMEMBERED / 2 && !self.recent.contains_key(&key) {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(key, event);
    }
}

/// One object's share.
struct Budget {
    tokens: f64,
    updated: Instant,
}

impl Budget {
    fn new(now: Instant) -> Self {
        Self { tokens: OBJECT_BURST, updated: now }
    }

    fn refill(&self, now: Instant) -> f64 {
        let back = now.saturating_duration_since(self.updated).as_secs_f64() / OBJECT_PAUSE.as_secs_f64();
        (self.tokens + back).min(OBJECT_BURST)
    }

    fn is_whole(&self, now: Instant) -> bool {
        self.refill(now) >= OBJECT_BURST
    }

    fn spend(&mut self, now: Instant) -> bool {
        let tokens = self.refill(now);
        self.updated = now;
        self.tokens = if tokens >= 1.0 { tokens - 1.0 } else { tokens };
        tokens >= 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_a_burst_and_then_one_in_five_minutes() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        assert!(budget.is_whole(start));
        let at_once = (0..40).filter(|_| budget.spend(start)).count();
        assert_eq!(at_once, 25);
        assert!(!budget.spend(start + Duration::from_secs(299)));
        assert!(budget.spend(start + Duration::from_secs(301)));
        assert!(!budget.spend(start + Duration::from_secs(301)));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_keeps_what_is_asked_for() {
        let mut known = Known::default();
        for number in 0..10_000 {
            known.remember(number, WrittenEvent { instant: number, count: 1 });
            let first = known.of(0).unwrap();
            known.remember(0, WrittenEvent { count: first.count + 1, ..first });
            assert!(known.recent.len() + known.older.len() <= REMEMBERED);
        }
        let first = known.of(0).unwrap();
        assert_eq!((first.instant, first.count), (0, 10_001));
        assert!(known.of(1).is_none());
    }

    #[test]
    fn what_is_told_once_has_one_name_for_each_object_and_reason() {
        let named = |uid: &str, reason: &str, message: &str| {
            let object = ObjectKey { kind: "Pod".into(), namespace: "a".into(), name: "b".into(), uid: uid.into() };
            once(&Key { object, kind: EventKind::Warning, reason: reason.into(), message: message.into() })
        };
        // Another version must find what this one wrote.
        assert_eq!(named("", "", ""), 0xaf63_bd4c_8601_b7df);
        assert_eq!(named("1", "A", "a"), named("1", "A", "b"));
        assert_ne!(named("1", "A", ""), named("2", "A", ""));
        assert_ne!(named("1", "A", ""), named("1", "B", ""));
    }

    #[test]
    fn messages_are_bounded() {
        assert_eq!(bounded("short"), "short");
        assert_eq!(bounded(&"é".repeat(2000)).chars().count(), MESSAGE_LIMIT);
    }
}

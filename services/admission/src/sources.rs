//! What pods' variables come from: ConfigMaps and Secrets, read by our own rights.
//!
//! Only references are kept of what is read, and the names of other keys, by the version of the object: a value that is
//! no reference is wiped at once, and a Secret that was not changed is not read twice. Which version is the present one is known from watches of
//! metadata; where those are not allowed, each pod's sources are read anew.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::Api;
use kube::core::PartialObjectMeta;
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use strongroom_failure::{Class, Failure};
use strongroom_inject::{Found, Lookup, Source, SourceKind};
use strongroom_kube::failure::{checked_name, failure};
use strongroom_kube::{ObjectName, Observed, Secrets, Selection, watch_all_until_disturbed};
use strongroom_reference::Syntax;
use strongroom_secret::SecretBytes;
use strongroom_telemetry::{Counters, LabelValues};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::FIELD_MANAGER;

/// Objects whose references are kept. Pods of one workload share theirs; those of a busy cluster name some hundred.
const KEPT: usize = 2_000;

/// Bytes of references that are kept of one object; more are read anew each time.
const KEPT_BYTES: usize = 16 << 10;

/// Events of watches that wait.
const EVENTS: usize = 256;

type Name = (SourceKind, ObjectName);

/// Reads ConfigMaps and Secrets.
pub(crate) struct Sources {
    client: Client,
    secrets: Secrets,
    state: Arc<Mutex<State>>,
    reads: Counters,
}

#[derive(Default)]
struct State {
    /// The present versions, as watches tell them.
    versions: BTreeMap<Name, String>,
    /// The references of objects, in the version that was read.
    kept: BTreeMap<Name, (String, References)>,
}

type References = Arc<BTreeMap<String, SecretBytes>>;

/// Where references come from.
#[derive(Clone, Copy)]
enum Freshness {
    /// From the API server, just now.
    Read,
    /// From an earlier pod's reading.
    Known,
}

impl Sources {
    /// Reads by `client`'s rights, and counts in `reads` (kind, outcome).
    pub(crate) fn new(client: Client, reads: Counters) -> Self {
        let secrets = Secrets::new(client.clone(), FIELD_MANAGER);
        Self { client, secrets, state: Arc::default(), reads }
    }

    /// Follows the versions of all ConfigMaps and Secrets, while the set lives. Nobody waits for that: without it,
    /// everything is read.
    pub(crate) fn follow(&self, tasks: &mut JoinSet<()>) {
        let (client, state) = (self.client.clone(), Arc::clone(&self.state));
        tasks.spawn(follow::<ConfigMap>(client, state, SourceKind::ConfigMap));
        let (client, state) = (self.client.clone(), Arc::clone(&self.state));
        tasks.spawn(follow::<Secret>(client, state, SourceKind::Secret));
    }

    /// What is to be known of `lookups` in `namespace`.
    ///
    /// # Errors
    /// Where the API server does not answer. What may not be read is none: whoever refers to it is wrapped.
    pub(crate) async fn find(&self, namespace: &str, lookups: Vec<Lookup>) -> Result<Found, Failure> {
        let mut found = Found::default();
        for Lookup { kind, name, .. } in lookups {
            let source = self.source(kind, namespace, &name).await;
            self.count(kind, &source);
            let source = match source.map(|source| source.map(|(references, _)| references)) {
                Ok(Some(references)) => Source::Values(BTreeMap::clone(&references)),
                Ok(None) => Source::Absent,
                Err(failure) if failure.class == Class::Denied => Source::Unreadable,
                Err(failure) => return Err(failure),
            };
            found.insert(kind, name, source);
        }
        Ok(found)
    }

    fn count(&self, kind: SourceKind, source: &Result<Option<(References, Freshness)>, Failure>) {
        let outcome = match source {
            Ok(Some((_, Freshness::Known))) => "known",
            Ok(Some((_, Freshness::Read))) => "read",
            Ok(None) => "absent",
            Err(failure) if failure.class == Class::Denied => "denied",
            Err(_) => "failed",
        };
        let kind = match kind {
            SourceKind::ConfigMap => "ConfigMap",
            SourceKind::Secret => "Secret",
        };
        self.reads.increment(LabelValues::new(&[kind, outcome]));
    }

    async fn source(
        &self,
        kind: SourceKind,
        namespace: &str,
        name: &str,
    ) -> Result<Option<(References, Freshness)>, Failure> {
        let object = (kind, ObjectName { namespace: Some(namespace.to_owned()), name: name.to_owned() });
        if let Some(known) = self.state().known(&object) {
            return Ok(Some((known, Freshness::Known)));
        }
        let Some((metadata, references)) = self.read(kind, namespace, name).await? else { return Ok(None) };
        let references = Arc::new(references);
        if let Some(version) = metadata.resource_version {
            self.state().keep(object, version, Arc::clone(&references));
        }
        Ok(Some((references, Freshness::Read)))
    }

    /// The references in the object; nothing where there is none of that name.
    async fn read(
        &self,
        kind: SourceKind,
        namespace: &str,
        name: &str,
    ) -> Result<Option<(ObjectMeta, BTreeMap<String, SecretBytes>)>, Failure> {
        match kind {
            SourceKind::Secret => {
                let read = self.secrets.read(namespace, name).await?;
                Ok(read.map(|secret| (secret.metadata, references(secret.data))))
            }
            SourceKind::ConfigMap => {
                let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), checked_name(namespace)?);
                let asked = format!("read ConfigMap {namespace}/{name}");
                let read = api.get_opt(checked_name(name)?).await.map_err(|error| failure(&error, &asked, &[]))?;
                let values = |data: BTreeMap<String, String>| {
                    references(data.into_iter().map(|(key, value)| (key, SecretBytes::from(value))).collect())
                };
                Ok(read.map(|map| (map.metadata, values(map.data.unwrap_or_default()))))
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The references of an object that is still as it was read.
    fn known(&self, object: &Name) -> Option<References> {
        let present = self.versions.get(object)?;
        let (version, references) = self.kept.get(object)?;
        (version == present).then(|| Arc::clone(references))
    }

    fn keep(&mut self, object: Name, version: String, references: References) {
        let bytes: usize = references.iter().map(|(key, value)| key.len() + value.len()).sum();
        // Without a watch nothing that is kept could be used again.
        if bytes > KEPT_BYTES || !self.versions.contains_key(&object) {
            return;
        }
        if self.kept.len() >= KEPT {
            // Any of them: what is in use comes back with the next pod.
            let some: Vec<Name> = self.kept.keys().take(KEPT / 4).cloned().collect();
            for name in some {
                self.kept.remove(&name);
            }
        }
        self.kept.insert(object, (version, references));
    }

    fn forget_all(&mut self, kind: SourceKind) {
        self.versions.retain(|(of, _), _| *of != kind);
        self.kept.retain(|(of, _), _| *of != kind);
    }

    fn forget(&mut self, object: &Name) {
        self.versions.remove(object);
        self.kept.remove(object);
    }
}

/// The values that are references. Of the others their keys alone are kept, since that a variable is set counts too; an
/// empty one counts as none.
fn references(values: BTreeMap<String, SecretBytes>) -> BTreeMap<String, SecretBytes> {
    let is_reference = |value: &SecretBytes| value.expose_text().is_some_and(|text| Syntax::of(text).is_some());
    let kept = |value: SecretBytes| if is_reference(&value) { value } else { SecretBytes::new(Vec::new()) };
    values.into_iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| (key, kept(value))).collect()
}

/// Follows the versions of one kind. What was told before a disturbance is known no more, since it may have changed
/// meanwhile, and a pod would start with references that nobody resolves: until all is told again, everything is read.
async fn follow<K>(client: Client, state: Arc<Mutex<State>>, kind: SourceKind)
where
    PartialObjectMeta<K>: Resource<DynamicType = ()> + DeserializeOwned + Clone + Send + 'static,
{
    let mut pause = PAUSES.0;
    loop {
        let began = Instant::now();
        let (events, told) = mpsc::channel(EVENTS);
        let watching = watch_all_until_disturbed::<PartialObjectMeta<K>>(client.clone(), Selection::default(), events);
        let (why, ()) = tokio::join!(watching, note(Arc::clone(&state), kind, told));
        state.lock().unwrap_or_else(PoisonError::into_inner).forget_all(kind);
        if began.elapsed() > PAUSES.1 {
            pause = PAUSES.0;
        }
        // Once for each disturbance, however often it is tried.
        if pause == PAUSES.0 {
            tracing::warn!(why, "a watch is disturbed: what pods refer to is read each time until it works again");
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// The pauses between two tries of a watch: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Keeps versions up to date by what a watch tells.
async fn note<K>(
    state: Arc<Mutex<State>>,
    kind: SourceKind,
    mut events: mpsc::Receiver<Observed<PartialObjectMeta<K>>>,
) {
    while let Some(event) = events.recv().await {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Observed::Apply(object) => {
                let name = (kind, ObjectName::of(&object.metadata));
                match object.metadata.resource_version {
                    Some(version) => drop(state.versions.insert(name, version)),
                    None => state.forget(&name),
                }
            }
            Observed::Delete(object) => state.forget(&(kind, ObjectName::of(&object.metadata))),
            Observed::DeleteMalformed(name) | Observed::Malformed { name, .. } => state.forget(&(kind, name)),
            Observed::Restarted { scope, names } => {
                let gone = |(of, name): &Name| *of == kind && scope.covers(name) && !names.contains(name);
                state.versions.retain(|name, _| !gone(name));
                state.kept.retain(|name, _| !gone(name));
            }
        }
    }
}

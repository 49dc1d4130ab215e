//! Watches: what the API server tells goes into the index, and wakes whom it concerns.

use std::collections::HashSet;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::PartialObjectMeta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use strongroom_kube::{Initialized, ObjectName, Observed, ReadyHandle, Selection, watch_all, watch_namespaces};
use strongroom_restart::{Kind, Workload};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::index::Name;
use crate::restarts::Parts;

/// Events that wait to be taken in. Taking one in takes microseconds; this covers a burst of one page of a list.
const EVENTS: usize = 1024;

/// Pods that have ended are not told of.
const ALIVE: &str = "status.phase!=Succeeded,status.phase!=Failed";

/// Starts all watches; dropping what is given ends them.
pub(crate) fn start(parts: &Arc<Parts>, ready: &Initialized) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    follow::<PartialObjectMeta<Secret>>(parts, ready, Selection::default(), &mut tasks);
    follow::<Seen<Deployment>>(parts, ready, Selection::default(), &mut tasks);
    follow::<Seen<StatefulSet>>(parts, ready, Selection::default(), &mut tasks);
    follow::<Seen<DaemonSet>>(parts, ready, Selection::default(), &mut tasks);
    follow::<Seen<CronJob>>(parts, ready, Selection::default(), &mut tasks);
    if parts.settings.restart_report_pods {
        let alive = Selection { labels: None, fields: Some(ALIVE.to_owned()) };
        follow::<Seen<Job>>(parts, ready, Selection::default(), &mut tasks);
        follow::<Seen<Pod>>(parts, ready, alive, &mut tasks);
    }
    if parts.namespaces.is_empty() {
        let (sender, events) = mpsc::channel(EVENTS);
        let (handle, whole) = handles::<PartialObjectMeta<Namespace>>(ready);
        let client = parts.connection.client();
        let selection = Selection { labels: parts.selector.clone(), fields: None };
        let watching = watch_all::<PartialObjectMeta<Namespace>>(client, selection, sender, handle);
        tasks.spawn(watching);
        tasks.spawn(take_in(Arc::clone(parts), events, whole, 1));
    }
    tasks
}

/// How one kind is taken in.
trait Taken: Resource<DynamicType = ()> + DeserializeOwned + Clone + Send + Sync + 'static {
    /// It is there, new or changed.
    fn apply(self, parts: &Parts);

    /// It is gone.
    fn delete(parts: &Parts, name: &ObjectName);

    /// The names that are known.
    fn known(parts: &Parts) -> Vec<ObjectName>;
}

/// Watches a kind where the settings say and takes in what it tells.
fn follow<K>(parts: &Arc<Parts>, ready: &Initialized, selection: Selection, tasks: &mut JoinSet<()>)
where
    K: Taken + Resource<Scope = NamespaceResourceScope>,
{
    let (sender, events) = mpsc::channel(EVENTS);
    let (handle, whole) = handles::<K>(ready);
    let (client, namespaces) = (parts.connection.client(), parts.namespaces.clone());
    let lists = namespaces.len().max(1);
    if namespaces.is_empty() {
        tasks.spawn(watch_all::<K>(client, selection, sender, handle));
    } else {
        tasks.spawn(watch_namespaces::<K>(client, namespaces, selection, sender, handle));
    }
    tasks.spawn(take_in(Arc::clone(parts), events, whole, lists));
}

/// One handle for the watch and one for what is taken in of it: a Secret that is not known yet must not look absent.
fn handles<K: Resource<DynamicType = ()>>(ready: &Initialized) -> (ReadyHandle, ReadyHandle) {
    let kind = K::plural(&());
    (ready.handle(format!("the list of {kind}")), ready.handle(format!("{kind}")))
}

/// `whole` goes when so many lists are taken in.
async fn take_in<K: Taken>(
    parts: Arc<Parts>,
    mut events: mpsc::Receiver<Observed<K>>,
    whole: ReadyHandle,
    mut lists: usize,
) {
    let mut whole = Some(whole);
    while let Some(event) = events.recv().await {
        match event {
            Observed::Apply(object) => object.apply(&parts),
            Observed::Delete(object) => K::delete(&parts, &ObjectName::of(object.meta())),
            Observed::DeleteMalformed(name) => K::delete(&parts, &name),
            Observed::Malformed { name, why } => {
                tracing::warn!(kind = %K::kind(&()), %name, why, "an object is not what its kind says and is left alone");
            }
            Observed::Restarted { scope, names } => {
                forget_vanished::<K>(&parts, |name| scope.covers(name), &names);
                lists = lists.saturating_sub(1);
                if lists == 0 {
                    drop(whole.take());
                }
            }
        }
    }
}

fn forget_vanished<K: Taken>(parts: &Parts, is_covered: impl Fn(&ObjectName) -> bool, names: &HashSet<ObjectName>) {
    for name in K::known(parts).iter().filter(|name| is_covered(name) && !names.contains(name)) {
        K::delete(parts, name);
    }
}

impl Taken for PartialObjectMeta<Secret> {
    fn apply(self, parts: &Parts) {
        let (concerned, delay) = parts.index().apply_secret(&self.metadata);
        parts.wake(concerned, delay);
    }

    fn delete(parts: &Parts, name: &ObjectName) {
        parts.index().delete_secret(name.namespace.as_deref().unwrap_or_default(), &name.name);
    }

    fn known(parts: &Parts) -> Vec<ObjectName> {
        let names = parts.index().secret_names().into_iter();
        names.map(|(namespace, name)| object_name(&namespace, &name)).collect()
    }
}

impl Taken for PartialObjectMeta<Namespace> {
    fn apply(self, parts: &Parts) {
        let concerned = parts.index().apply_namespace(&self.metadata);
        parts.wake(concerned, Duration::ZERO);
    }

    fn delete(parts: &Parts, name: &ObjectName) {
        parts.index().delete_namespace(&name.name);
    }

    fn known(parts: &Parts) -> Vec<ObjectName> {
        let names = parts.index().namespaces().into_iter();
        names.map(|name| ObjectName { namespace: None, name: name.to_string() }).collect()
    }
}

impl<K: OfKind> Taken for Seen<K> {
    fn apply(self, parts: &Parts) {
        let Some(workload) = self.workload else { return };
        let woken = parts.index().apply_workload(*workload);
        if let Some((name, delay)) = woken {
            parts.end_rollout(&name);
            parts.wake([name], delay);
        }
    }

    fn delete(parts: &Parts, name: &ObjectName) {
        let namespace = Arc::from(name.namespace.as_deref().unwrap_or_default());
        parts.forget(&Name { kind: K::KIND, namespace, name: Arc::from(name.name.as_str()) });
    }

    fn known(parts: &Parts) -> Vec<ObjectName> {
        let names = parts.index().workload_names(K::KIND).into_iter();
        names.map(|name| object_name(&name.namespace, &name.name)).collect()
    }
}

fn object_name(namespace: &str, name: &str) -> ObjectName {
    ObjectName { namespace: Some(namespace.to_owned()), name: name.to_owned() }
}

/// The kinds of workloads as the client has them.
trait OfKind: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Send + Sync + 'static {
    const KIND: Kind;
}

impl OfKind for Deployment {
    const KIND: Kind = Kind::Deployment;
}

impl OfKind for StatefulSet {
    const KIND: Kind = Kind::StatefulSet;
}

impl OfKind for DaemonSet {
    const KIND: Kind = Kind::DaemonSet;
}

impl OfKind for CronJob {
    const KIND: Kind = Kind::CronJob;
}

impl OfKind for Job {
    const KIND: Kind = Kind::Job;
}

impl OfKind for Pod {
    const KIND: Kind = Kind::Pod;
}

/// An object of which only that is kept which matters: a pod template has kilobytes, and a cluster thousands of them.
struct Seen<K> {
    /// Name and namespace alone.
    metadata: ObjectMeta,
    workload: Option<Box<Workload>>,
    kind: PhantomData<fn() -> K>,
}

impl<K> Clone for Seen<K> {
    fn clone(&self) -> Self {
        Self { metadata: self.metadata.clone(), workload: self.workload.clone(), kind: PhantomData }
    }
}

impl<'de, K: OfKind> Deserialize<'de> for Seen<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = serde_json::Value::deserialize(deserializer)?;
        let text = |name: &str| object["metadata"][name].as_str().map(str::to_owned);
        let metadata = ObjectMeta { name: text("name"), namespace: text("namespace"), ..ObjectMeta::default() };
        let mut metadata = metadata;
        // The watch goes on from here.
        metadata.resource_version = text("resourceVersion");
        let workload = Workload::read(K::KIND, &object).map(Box::new);
        Ok(Self { metadata, workload, kind: PhantomData })
    }
}

impl<K: OfKind> Resource for Seen<K> {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind(of: &()) -> std::borrow::Cow<'_, str> {
        K::kind(of)
    }

    fn group(of: &()) -> std::borrow::Cow<'_, str> {
        K::group(of)
    }

    fn version(of: &()) -> std::borrow::Cow<'_, str> {
        K::version(of)
    }

    fn plural(of: &()) -> std::borrow::Cow<'_, str> {
        K::plural(of)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

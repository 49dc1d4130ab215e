//! Pods that ask for secrets and were created while admission did not see them: they run without, and nobody else says so.
//!
//! `core/inject` judges each as admission would have. All pods are watched, and of those that are right nothing is kept.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, LazyLock};

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Namespace, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use kube::core::PartialObjectMeta;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use strongroom_inject::{Settings, missed};
use strongroom_kube::{EventKind, Initialized, ObjectName, Observed, Selection, watch_all};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::operator::Operator;

/// Events that wait to be taken in, which takes microseconds.
const EVENTS: usize = 64;

/// What tells of it: the event's reason.
const REASON: &str = "NotInjected";

/// Pods that have ended need nothing more.
const ALIVE: &str = "status.phase!=Succeeded,status.phase!=Failed";

/// What says which pods and namespaces opt out: flags of admission change nothing about that.
static SETTINGS: LazyLock<Settings> = LazyLock::new(Settings::default);

/// Reports while its future lives, where flags ask for it. To be called while the process leads.
pub(crate) async fn report(operator: Arc<Operator>) {
    if !operator.settings.report_pods {
        return;
    }
    tracing::info!("pods that miss what they ask for are told of");
    let mut tasks = JoinSet::new();
    let (sender, mut namespaces) = mpsc::channel(EVENTS);
    let handle = Initialized::default().handle("the list of namespaces");
    let client = operator.connection.client();
    tasks.spawn(watch_all::<PartialObjectMeta<Namespace>>(client, Selection::default(), sender, handle));
    let mut report = Report { operator, opted_out: HashSet::new(), is_whole: false, told: HashMap::new() };
    // Not before it is known which namespaces opt out.
    let mut pods: Option<Watching> = None;
    loop {
        tokio::select! {
            event = namespaces.recv() => {
                let Some(event) = event else { return };
                if report.learn_namespace(event) {
                    pods = Some(report.watch());
                }
            }
            event = next(&mut pods) => {
                let Some(event) = event else { return };
                report.learn_pod(event);
            }
        }
    }
}

/// A watch of pods, and its task, which ends with it.
struct Watching {
    events: mpsc::Receiver<Observed<Seen>>,
    _task: JoinSet<()>,
}

async fn next(pods: &mut Option<Watching>) -> Option<Observed<Seen>> {
    match pods {
        Some(watching) => watching.events.recv().await,
        None => std::future::pending().await,
    }
}

/// What was told.
struct Report {
    operator: Arc<Operator>,
    /// Namespaces whose labels opt out.
    opted_out: HashSet<String>,
    /// Whether the first list of namespaces is complete.
    is_whole: bool,
    /// The uids of pods that were told of, by namespace and name.
    told: HashMap<String, HashMap<String, String>>,
}

impl Report {
    /// Watches all pods that may have to be told of.
    fn watch(&self) -> Watching {
        let own = self.operator.connection.namespace();
        let except = self.operator.settings.report_pods_except.iter().map(String::as_str);
        let except = except.filter(|name| !name.is_empty() && *name != own).chain([own]);
        let fields = except.fold(ALIVE.to_owned(), |fields, name| format!("{fields},metadata.namespace!={name}"));
        let (sender, events) = mpsc::channel(EVENTS);
        let handle = Initialized::default().handle("the list of pods");
        let selection = Selection { labels: None, fields: Some(fields) };
        let mut task = JoinSet::new();
        task.spawn(watch_all::<Seen>(self.operator.connection.client(), selection, sender, handle));
        Watching { events, _task: task }
    }

    /// Takes in a namespace; whether pods must be looked at from the beginning: of those that opted out nothing is kept.
    fn learn_namespace(&mut self, event: Observed<PartialObjectMeta<Namespace>>) -> bool {
        match event {
            Observed::Apply(namespace) => {
                let name = namespace.metadata.name.unwrap_or_default();
                let labels = json!({"metadata": {"labels": namespace.metadata.labels}});
                if SETTINGS.namespace_opt_out(&labels).is_none() {
                    return self.opted_out.remove(&name) && self.is_whole;
                }
                self.told.remove(&name);
                self.measure(&name);
                self.opted_out.insert(name);
                false
            }
            Observed::Delete(namespace) => {
                self.opted_out.remove(&namespace.metadata.name.unwrap_or_default());
                false
            }
            Observed::DeleteMalformed(name) => {
                self.opted_out.remove(&name.name);
                false
            }
            Observed::Malformed { .. } => false,
            Observed::Restarted { names, .. } => {
                let known: HashSet<_> = names.into_iter().map(|name| name.name).collect();
                self.opted_out.retain(|name| known.contains(name));
                !std::mem::replace(&mut self.is_whole, true)
            }
        }
    }

    fn learn_pod(&mut self, event: Observed<Seen>) {
        match event {
            Observed::Apply(pod) => self.judge(&pod),
            Observed::Delete(pod) => self.forget(&ObjectName::of(&pod.metadata)),
            Observed::DeleteMalformed(name) => self.forget(&name),
            Observed::Malformed { name, why } => tracing::debug!(pod = %name, why, "a pod is not understood"),
            Observed::Restarted { names, .. } => {
                for name in self.names().filter(|name| !names.contains(name)).collect::<Vec<_>>() {
                    self.forget(&name);
                }
                // A list of all pods took memory that is not needed again.
                strongroom_process::release_unused_memory();
            }
        }
    }

    fn judge(&mut self, pod: &Seen) {
        let name = ObjectName::of(&pod.metadata);
        let namespace = name.namespace.clone().unwrap_or_default();
        let Some(missed) = pod.missed.as_ref().filter(|_| !self.opted_out.contains(&namespace)) else {
            return self.forget(&name);
        };
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let told = self.told.entry(namespace.clone()).or_default();
        if told.insert(name.name.clone(), uid.clone()).as_ref() != Some(&uid) {
            self.measure(&namespace);
            self.tell(&name, uid, missed);
        }
    }

    fn forget(&mut self, name: &ObjectName) {
        let namespace = name.namespace.as_deref().unwrap_or_default();
        let Some(told) = self.told.get_mut(namespace) else { return };
        if told.remove(&name.name).is_none() {
            return;
        }
        if told.is_empty() {
            self.told.remove(namespace);
        }
        self.measure(namespace);
    }

    fn names(&self) -> impl Iterator<Item = ObjectName> {
        self.told.iter().flat_map(|(namespace, pods)| {
            pods.keys().map(|name| ObjectName { namespace: Some(namespace.clone()), name: name.clone() })
        })
    }

    fn measure(&self, namespace: &str) {
        let gauges = &self.operator.metrics.pods_not_injected;
        match self.told.get(namespace) {
            Some(told) => gauges.set(&[namespace], u32::try_from(told.len()).unwrap_or(u32::MAX).into()),
            None => gauges.remove(&[namespace]),
        }
    }

    fn tell(&self, name: &ObjectName, uid: String, missed: &Missed) {
        let Missed { asks, owner } = missed;
        let cure = match owner {
            Some(owner) => format!("delete it, and {owner} makes it anew"),
            None => "delete it and create it again".to_owned(),
        };
        let message = format!(
            "it has not been given the secrets that it asks for ({asks}): it was created before admission was installed, \
             while admission was away, or in a namespace that its webhooks leave out; {cure}, or annotate it with \
             strongroom.dev/inject: \"false\" where it is right as it is"
        );
        let about = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: name.namespace.clone(),
            name: Some(name.name.clone()),
            uid: Some(uid),
            ..ObjectReference::default()
        };
        self.operator.recorder.record_once(&about, EventKind::Warning, REASON, &message);
        tracing::warn!(pod = %name, asks, cure, "a pod has not been given the secrets that it asks for");
    }
}

/// What a pod was not given.
#[derive(Clone)]
struct Missed {
    asks: String,
    /// Who makes it anew, where somebody does: `ReplicaSet app-1`.
    owner: Option<String>,
}

/// A pod of which only that is kept which matters: it has kilobytes, and a cluster thousands of them.
#[derive(Clone)]
struct Seen {
    /// Name, namespace and uid alone, and the version from which the watch goes on.
    metadata: ObjectMeta,
    missed: Option<Box<Missed>>,
}

/// What a pod is judged by. Its status and who manages which field are left out.
#[derive(Deserialize)]
struct Stored {
    metadata: StoredMetadata,
    #[serde(default)]
    spec: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredMetadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    deletion_timestamp: Option<String>,
    #[serde(default)]
    annotations: Value,
    #[serde(default)]
    labels: Value,
    owner_references: Option<Vec<OwnerReference>>,
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Stored { metadata: read, spec } = Stored::deserialize(deserializer)?;
        let pod = json!({"metadata": {"annotations": read.annotations, "labels": read.labels}, "spec": spec});
        // One that is about to go is not worth a word.
        let asks = if read.deletion_timestamp.is_some() { None } else { missed(&pod, &SETTINGS) };
        let missed = asks.map(|asks| {
            let mut owners = read.owner_references.iter().flatten();
            let owner = owners.find(|owner| owner.controller == Some(true));
            Box::new(Missed { asks, owner: owner.map(|owner| format!("{} {}", owner.kind, owner.name)) })
        });
        let metadata = ObjectMeta {
            name: read.name,
            namespace: read.namespace,
            uid: missed.as_ref().and(read.uid),
            resource_version: read.resource_version,
            ..ObjectMeta::default()
        };
        Ok(Self { metadata, missed })
    }
}

impl Resource for Seen {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind(of: &()) -> std::borrow::Cow<'_, str> {
        Pod::kind(of)
    }

    fn group(of: &()) -> std::borrow::Cow<'_, str> {
        Pod::group(of)
    }

    fn version(of: &()) -> std::borrow::Cow<'_, str> {
        Pod::version(of)
    }

    fn plural(of: &()) -> std::borrow::Cow<'_, str> {
        Pod::plural(of)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

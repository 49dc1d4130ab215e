//! A ClusterExternalSecret or ClusterPushSecret: the same ExternalSecret or PushSecret in every namespace that it
//! selects.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector as Selector, ObjectMeta, OwnerReference};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::api::{DeleteParams, PostParams, Preconditions};
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use strongroom_api::external_secrets::vocabulary::{annotation, condition};
use strongroom_api::external_secrets::{ExternalSecretMetadata, FailedNamespace};
use strongroom_api::{GoDuration, label_selector};
use strongroom_failure::{Class, Failure};
use strongroom_kube::failure::failure;
use strongroom_kube::{WriteFailure, merge_patch, merge_patch_status, replace_finalizers};
use strongroom_policy::LabelSelector;
use strongroom_reconcile::Outcome;
use strongroom_sync::status::told;

use super::replaced;
use crate::index::{Index, Key, Namespace};
use crate::names::Name;
use crate::operator::{FIELD_MANAGER, Operator, reference};

/// A kind that asks for one object in each of many namespaces.
pub(crate) trait FannedOut:
    Resource<DynamicType = (), Scope = ClusterResourceScope> + DeserializeOwned + Clone + Debug + Send + Sync
{
    /// The kind of these objects.
    type Child: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Serialize
        + DeserializeOwned
        + Clone
        + Debug
        + Send
        + Sync;

    /// The kind in the words of messages.
    const CHILD_WORDS: &'static str;

    /// The kind as its metrics begin.
    const METRICS: &'static str;

    /// The finalizers that External Secrets Operator puts on an object, and, before its name, on its namespaces.
    const FINALIZERS: Option<(&'static str, &'static str)>;

    /// Its key in the queue.
    fn key(name: Arc<str>) -> Key;

    /// The object, where it is known.
    fn known(index: &Index, name: &str) -> Option<Arc<Self>>;

    /// A child, whoever made it.
    fn child(index: &Index, name: &Name) -> Option<Self::Child>;

    /// The names of its children.
    fn children(index: &Index, name: &str) -> Vec<Name>;

    /// What is wrong with it.
    fn problems(&self) -> Vec<Failure>;

    /// The namespaces by labels.
    fn selectors(&self) -> Vec<&Selector>;

    /// The namespaces by name.
    fn namespaces(&self) -> &[String];

    /// What its children are called, where it says so.
    fn child_name(&self) -> Option<&str>;

    /// What its children carry.
    fn child_metadata(&self) -> ExternalSecretMetadata;

    /// A child without metadata beyond its name.
    fn new_child(&self, name: &str) -> Self::Child;

    /// A child's specification, with what the API server fills in where it is to be compared.
    fn spec_of(child: &Self::Child, is_filled: bool) -> Value;

    /// How often it is looked at, where it says so.
    fn interval(&self) -> Option<&GoDuration>;

    /// The whole status that tells `news`; `None` where the one that is there does.
    fn status(&self, news: News) -> Option<Value>;
}

/// How it stands.
pub(crate) struct News {
    /// What the children are called.
    pub(crate) child_name: String,
    /// Where one is, sorted.
    pub(crate) provisioned: Vec<String>,
    /// Where one could not be made, and why.
    pub(crate) failed: Vec<FailedNamespace>,
    /// Why it is not ready; nothing where it is.
    pub(crate) message: Option<String>,
}

impl News {
    /// The status of its condition Ready.
    pub(crate) fn ready(&self) -> &'static str {
        if self.message.is_none() { "True" } else { "False" }
    }
}

/// How often it is looked at where it does not say; changes of namespaces come at once.
const INTERVAL: Duration = Duration::from_secs(3600);

/// Looks at the object `name` and makes what is missing.
pub(crate) async fn reconcile<K: FannedOut>(operator: Arc<Operator>, name: Arc<str>) -> Outcome {
    let Some(object) = K::known(&operator.index(), &name) else {
        operator.metrics.forget(K::METRICS, None, &name);
        operator.forget_told(&K::key(Arc::clone(&name)));
        return Outcome::Done(None);
    };
    if operator.foreign().is_some() {
        return Outcome::Done(None);
    }
    let fan_out = FanOut { operator: &operator, object: &*object, name: &name };
    if object.meta().deletion_timestamp.is_some() {
        return fan_out.remove().await;
    }
    let start = std::time::Instant::now();
    let outcome = fan_out.spread().await;
    operator.metrics.reconciled(K::METRICS, object.meta(), start.elapsed());
    outcome
}

struct FanOut<'a, K> {
    operator: &'a Operator,
    object: &'a K,
    name: &'a str,
}

impl<K: FannedOut> FanOut<'_, K> {
    async fn spread(&self) -> Outcome {
        let problems = self.object.problems();
        if !problems.is_empty() {
            return self.tell(Vec::new(), Vec::new(), Some(told(&problems))).await;
        }
        let selected = self.selected();
        let mut provisioned = Vec::new();
        let mut failed = Vec::new();
        for namespace in &selected {
            match self.make(namespace).await {
                Ok(()) => provisioned.push(namespace.to_string()),
                Err(failure) => {
                    failed.push(FailedNamespace { namespace: namespace.to_string(), reason: Some(failure.to_string()) })
                }
            }
        }
        for former in self.former(&selected) {
            if let Err(failure) = self.take_back(&former).await {
                let namespace = former.namespace.to_string();
                failed.push(FailedNamespace { namespace, reason: Some(failure.to_string()) });
            }
        }
        for namespace in self.held_in_vain(&selected) {
            if let Err(failure) = self.release(&namespace).await {
                failed.push(FailedNamespace { namespace: namespace.to_string(), reason: Some(failure.to_string()) });
            }
        }
        provisioned.sort();
        let message = (!failed.is_empty()).then(|| "one or more namespaces failed".to_owned());
        self.tell(provisioned, failed, message).await
    }

    /// The namespaces that any selector means or that are named, without those that are ending.
    fn selected(&self) -> Vec<Arc<str>> {
        let selectors = self.object.selectors().into_iter();
        let selectors: Vec<LabelSelector> = selectors.filter_map(|selector| label_selector(selector).ok()).collect();
        let named = self.object.namespaces();
        let is_selected = |name: &str, namespace: &Namespace| {
            let by_label = selectors.iter().any(|selector| selector.selects(&namespace.labels));
            (by_label || named.iter().any(|named| named == name)) && !namespace.is_ending
        };
        let all = self.operator.index().namespaces();
        let mut selected: Vec<Arc<str>> =
            all.into_iter().filter(|(name, namespace)| is_selected(name, namespace)).map(|(name, _)| name).collect();
        selected.sort();
        selected
    }

    /// Children in namespaces that are selected no more, and of former names.
    fn former(&self, selected: &[Arc<str>]) -> Vec<Name> {
        let mut children = K::children(&self.operator.index(), self.name);
        children.retain(|child| *child.name != *self.child_name() || !selected.contains(&child.namespace));
        children
    }

    /// Namespaces that are selected no more, or that end, with the finalizer that External Secrets Operator put on them.
    fn held_in_vain(&self, selected: &[Arc<str>]) -> Vec<Arc<str>> {
        let Some(mark) = self.mark() else { return Vec::new() };
        let mut held = self.operator.index().namespaces();
        held.retain(|(name, namespace)| namespace.finalizers.contains(&mark) && !selected.contains(name));
        held.into_iter().map(|(name, _)| name).collect()
    }

    /// The finalizer that External Secrets Operator puts on the namespaces that it selects.
    fn mark(&self) -> Option<String> {
        K::FINALIZERS.map(|(_, prefix)| format!("{prefix}{}", self.name))
    }

    fn child_name(&self) -> &str {
        self.object.child_name().unwrap_or(self.name)
    }

    async fn make(&self, namespace: &str) -> Result<(), Failure> {
        let wanted = self.child(namespace);
        let name = Name::new(namespace, self.child_name());
        let api: Api<K::Child> = Api::namespaced(self.operator.connection.client(), namespace);
        let current = K::child(&self.operator.index(), &name);
        let Some(current) = current else {
            let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), dry_run: false };
            return match api.create(&parameters, &wanted).await {
                Ok(_) => Ok(()),
                // The watch will tell which one it is.
                Err(kube::Error::Api(status)) if status.code == 409 => Err(self.taken()),
                Err(error) => Err(failure(&error, &format!("create {} {name}", child_kind::<K>()), &[])),
            };
        };
        if !self.is_mine(current.meta()) {
            return Err(self.taken());
        }
        let Some(patch) = difference::<K>(&current, &wanted) else { return Ok(()) };
        match merge_patch(&api, self.child_name(), &patch, FIELD_MANAGER).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(failure.into_failure(&format!("write {} {name}", child_kind::<K>()))),
        }
    }

    fn taken(&self) -> Failure {
        let words =
            format!("{} {} already exists in the namespace and belongs to others", K::CHILD_WORDS, self.child_name());
        Failure::new(Class::Invalid, words)
    }

    fn is_mine(&self, metadata: &ObjectMeta) -> bool {
        let owners = metadata.owner_references.iter().flatten();
        owners
            .into_iter()
            .any(|owner| owner.controller == Some(true) && owner.kind == K::kind(&()) && owner.name == self.name)
    }

    fn child(&self, namespace: &str) -> K::Child {
        let metadata = self.object.child_metadata();
        let mut annotations = metadata.annotations;
        let own = self.object.meta().annotations.as_ref();
        if let Some(value) = own.and_then(|annotations| annotations.get(annotation::FORCE_SYNC)) {
            annotations.insert(annotation::FORCE_SYNC.to_owned(), value.clone());
        }
        let mut child = self.object.new_child(self.child_name());
        *child.meta_mut() = ObjectMeta {
            name: Some(self.child_name().to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: filled(metadata.labels),
            annotations: filled(annotations),
            owner_references: Some(vec![OwnerReference {
                api_version: K::api_version(&()).into_owned(),
                block_owner_deletion: Some(true),
                controller: Some(true),
                kind: K::kind(&()).into_owned(),
                name: self.name.to_owned(),
                uid: self.object.meta().uid.clone().unwrap_or_default(),
            }]),
            ..ObjectMeta::default()
        };
        child
    }

    /// Deletes a child that is wanted no more.
    async fn take_back(&self, name: &Name) -> Result<(), Failure> {
        let current = K::child(&self.operator.index(), name);
        if let Some(current) = current.filter(|current| self.is_mine(current.meta())) {
            let only = Preconditions { uid: current.meta().uid.clone(), resource_version: None };
            let parameters = DeleteParams { preconditions: Some(only), ..DeleteParams::default() };
            let api: Api<K::Child> = Api::namespaced(self.operator.connection.client(), &name.namespace);
            match api.delete(&name.name, &parameters).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {}
                Err(error) => return Err(failure(&error, &format!("delete {} {name}", child_kind::<K>()), &[])),
            }
        }
        Ok(())
    }

    async fn release(&self, namespace: &str) -> Result<(), Failure> {
        let Some(mark) = self.mark() else { return Ok(()) };
        let Some(known) = self.operator.index().namespace(namespace) else { return Ok(()) };
        if !known.finalizers.contains(&mark) {
            return Ok(());
        }
        let others: Vec<&String> = known.finalizers.iter().filter(|name| **name != mark).collect();
        let api: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(self.operator.connection.client());
        let patch = json!({ "metadata": { "finalizers": others } });
        match merge_patch(&api, namespace, &patch, FIELD_MANAGER).await {
            Ok(_) | Err(WriteFailure::NotFound) => Ok(()),
            Err(failure) => Err(failure.into_failure(&format!("take a finalizer off namespace {namespace}"))),
        }
    }

    /// The end: ours needs nothing, since children go with their owner; what External Secrets Operator left is undone.
    async fn remove(&self) -> Outcome {
        let finalizers = self.object.meta().finalizers.clone().unwrap_or_default();
        let Some((theirs, _)) = K::FINALIZERS.filter(|(theirs, _)| finalizers.iter().any(|name| name == theirs)) else {
            return Outcome::Done(None);
        };
        let namespaces = self.operator.index().namespaces();
        for (namespace, _) in namespaces {
            if let Err(failure) = self.release(&namespace).await {
                tracing::warn!(%namespace, %failure, kind = %K::kind(&()), "a finalizer could not be taken off");
                return Outcome::failed(None);
            }
        }
        let others: Vec<String> = finalizers.into_iter().filter(|name| name != theirs).collect();
        let api: Api<K> = Api::all(self.operator.connection.client());
        match replace_finalizers(&api, self.object.meta(), &others, FIELD_MANAGER).await {
            Ok(true) => Outcome::Done(None),
            Ok(false) | Err(_) => Outcome::failed(None),
        }
    }

    async fn tell(&self, provisioned: Vec<String>, failed: Vec<FailedNamespace>, message: Option<String>) -> Outcome {
        let metadata = self.object.meta();
        let words = message.as_ref().map(|message| told_namespaces(message, &failed));
        let news = News { child_name: self.child_name().to_owned(), provisioned, failed, message };
        let is_ready = news.message.is_none();
        self.operator.metrics.condition(K::METRICS, metadata, condition::READY, news.ready());
        let about = reference(&K::api_version(&()), &K::kind(&()), metadata);
        self.operator.tell(&K::key(self.name.into()), &about, "NotReady", words.as_deref());
        let done = if is_ready { Outcome::Done(Some(self.interval())) } else { Outcome::failed(None) };
        let Some(status) = self.object.status(news) else { return done };
        let api: Api<K> = Api::all(self.operator.connection.client());
        match merge_patch_status(&api, self.name, &status, FIELD_MANAGER).await {
            Ok(_) | Err(WriteFailure::NotFound) => done,
            Err(_) => Outcome::failed(None),
        }
    }

    fn interval(&self) -> Duration {
        let own = self.object.interval().and_then(|interval| interval.duration().ok());
        own.filter(|own| !own.is_zero()).unwrap_or(INTERVAL)
    }
}

fn told_namespaces(message: &str, failed: &[FailedNamespace]) -> String {
    let first = failed.first().and_then(|failed| Some((&failed.namespace, failed.reason.as_ref()?)));
    match first {
        Some((namespace, reason)) => format!("{message}: {namespace}: {reason}"),
        None => message.to_owned(),
    }
}

fn filled(texts: BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!texts.is_empty()).then_some(texts)
}

fn child_kind<K: FannedOut>() -> String {
    K::Child::kind(&()).into_owned()
}

/// What must change of a child: its spec, labels and annotations are those that are asked for, and no others.
fn difference<K: FannedOut>(current: &K::Child, wanted: &K::Child) -> Option<Value> {
    let mut patch = json!({});
    // What the API server fills in is no difference.
    if K::spec_of(current, true) != K::spec_of(wanted, true) {
        patch["spec"] = replaced(&K::spec_of(current, false), &K::spec_of(wanted, false));
    }
    for (part, has, wants) in [
        ("labels", &current.meta().labels, &wanted.meta().labels),
        ("annotations", &current.meta().annotations, &wanted.meta().annotations),
    ] {
        let (has, wants) = (has.clone().unwrap_or_default(), wants.clone().unwrap_or_default());
        if has != wants {
            patch["metadata"][part] = replaced(&json!(has), &json!(wants));
        }
    }
    (patch != json!({})).then_some(patch)
}

//! Watches: what the API server tells goes into the index, and wakes whom it concerns.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Resource;
use kube::core::PartialObjectMeta;
use serde::de::DeserializeOwned;
use strongroom_api::external_secrets::{
    ClusterExternalSecret, ClusterPushSecret, ClusterSecretStore, ExternalSecret, PushSecret, SecretStore,
};
use strongroom_api::generators::GeneratorState;
use strongroom_api::{StorePolicy, kamus, kes};
use strongroom_kube::{Initialized, ObjectName, Observed, Scope, Selection, watch_all, watch_namespaces};
use strongroom_policy::StorePolicies;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::index::{Key, Store};
use crate::names::{Name, StoreName};
use crate::operator::Operator;

/// Events that wait to be taken in. Taking one in takes microseconds; this covers a burst of one page of a list.
const EVENTS: usize = 1024;

/// How one kind is taken in.
trait Taken: Resource<DynamicType = ()> + DeserializeOwned + Clone + Send + 'static {
    /// What people call the kind.
    const KIND: &'static str;

    /// What is told of one that is not what its kind says.
    const MALFORMED: &'static str = "an object is not what its kind says and is left alone";

    /// It is there, new or changed.
    fn apply(self, operator: &Operator);

    /// It is gone.
    fn delete(operator: &Operator, name: &ObjectName);

    /// The names that are known.
    fn known(operator: &Operator) -> Vec<ObjectName>;
}

/// Kinds that are served where they are installed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Optional {
    /// StorePolicies.
    pub(crate) policies: bool,
    /// ExternalSecrets of kubernetes-external-secrets.
    pub(crate) kes: bool,
    /// KamusSecrets.
    pub(crate) kamus: bool,
    /// PushSecrets.
    pub(crate) push_secrets: bool,
    /// ClusterPushSecrets.
    pub(crate) cluster_push_secrets: bool,
    /// GeneratorStates.
    pub(crate) generator_states: bool,
}

/// Starts all watches that the settings ask for; dropping what is given ends them.
pub(crate) fn start(operator: &Arc<Operator>, ready: &Initialized, optional: Optional) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let settings = &operator.settings;
    if let Some(selector) = &settings.namespace_selector {
        selected(operator, ready, selector, optional, &mut tasks);
        return tasks;
    }
    namespaced(operator, ready, &settings.namespaces, optional, &mut tasks);
    if !settings.serves_cluster_kinds() {
        return tasks;
    }
    follow::<PartialObjectMeta<Namespace>>(operator, ready, &mut tasks);
    if settings.enable_cluster_store_reconciler {
        follow::<ClusterSecretStore>(operator, ready, &mut tasks);
    }
    if settings.enable_cluster_external_secret_reconciler {
        follow::<ClusterExternalSecret>(operator, ready, &mut tasks);
    }
    if optional.cluster_push_secrets {
        follow::<ClusterPushSecret>(operator, ready, &mut tasks);
    }
    if optional.policies {
        policies(operator, ready, &mut tasks);
    }
    if optional.kes {
        follow_in::<kes::ExternalSecret>(operator, ready, &operator.kes.settings.namespaces, &mut tasks);
    }
    tasks
}

/// The kinds of namespaces, in `namespaces` or, where there are none, everywhere.
fn namespaced(
    operator: &Arc<Operator>,
    ready: &Initialized,
    namespaces: &[String],
    optional: Optional,
    tasks: &mut JoinSet<()>,
) {
    follow_in::<PartialObjectMeta<Secret>>(operator, ready, namespaces, tasks);
    follow_in::<SecretStore>(operator, ready, namespaces, tasks);
    if optional.generator_states {
        follow_in::<GeneratorState>(operator, ready, namespaces, tasks);
    }
    follow_in::<ExternalSecret>(operator, ready, namespaces, tasks);
    if optional.push_secrets {
        follow_in::<PushSecret>(operator, ready, namespaces, tasks);
    }
    if optional.kamus {
        follow_in::<kamus::KamusSecret>(operator, ready, namespaces, tasks);
    }
}

/// Follows the namespaces that `selector` selects, as they come and go.
fn selected(
    operator: &Arc<Operator>,
    ready: &Initialized,
    selector: &str,
    optional: Optional,
    tasks: &mut JoinSet<()>,
) {
    let (sender, mut events) = mpsc::channel(EVENTS);
    let selection = Selection { labels: Some(selector.to_owned()), fields: None };
    let handle = ready.handle("the list of selected namespaces");
    // Before it is whole here too, nothing is known of what is in them.
    let taken_in = ready.handle("the selected namespaces");
    let watching = watch_all::<PartialObjectMeta<Namespace>>(operator.connection.client(), selection, sender, handle);
    tasks.spawn(watching);
    let (operator, ready) = (Arc::clone(operator), ready.clone());
    tasks.spawn(async move {
        let mut served: HashMap<String, JoinSet<()>> = HashMap::new();
        let mut taken_in = Some(taken_in);
        while let Some(event) = events.recv().await {
            let is_whole = matches!(event, Observed::Restarted { .. });
            if let Observed::Apply(namespace) = &event {
                let name = namespace.metadata.name.clone().unwrap_or_default();
                served.entry(name.clone()).or_insert_with(|| one_namespace(&operator, &ready, name, optional));
            }
            take_in(&operator, event);
            if is_whole {
                drop(taken_in.take());
            }
            let known = PartialObjectMeta::<Namespace>::known(&operator);
            served.retain(|name, _| {
                let stays = known.iter().any(|known| known.name == *name);
                if !stays {
                    operator.learn(|index| index.forget_namespace(name));
                }
                stays
            });
        }
    });
}

/// Follows a namespace that is served from now on. What ExternalSecrets refer to comes before them: while others are
/// served, one whose store is not known yet would be told that there is none.
fn one_namespace(operator: &Arc<Operator>, ready: &Initialized, namespace: String, optional: Optional) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let handle = ready.handle(format!("the lists in {namespace}"));
    let namespaces = [namespace];
    let referred = Initialized::default();
    follow_in::<PartialObjectMeta<Secret>>(operator, &referred, &namespaces, &mut tasks);
    follow_in::<SecretStore>(operator, &referred, &namespaces, &mut tasks);
    if optional.generator_states {
        follow_in::<GeneratorState>(operator, &referred, &namespaces, &mut tasks);
    }
    let (operator, ready) = (Arc::clone(operator), ready.clone());
    tasks.spawn(async move {
        referred.wait().await;
        let mut last = JoinSet::new();
        follow_in::<ExternalSecret>(&operator, &ready, &namespaces, &mut last);
        if optional.push_secrets {
            follow_in::<PushSecret>(&operator, &ready, &namespaces, &mut last);
        }
        if optional.kamus {
            follow_in::<kamus::KamusSecret>(&operator, &ready, &namespaces, &mut last);
        }
        drop(handle);
        while last.join_next().await.is_some() {}
    });
    tasks
}

/// Watches a kind in the whole cluster and takes in what it tells.
fn follow<K: Taken>(operator: &Arc<Operator>, ready: &Initialized, tasks: &mut JoinSet<()>) {
    let (sender, events) = mpsc::channel(EVENTS);
    let handle = ready.handle(format!("the list of {}", K::KIND));
    tasks.spawn(watch_all::<K>(operator.connection.client(), Selection::default(), sender, handle));
    taking_in(operator, events, tasks);
}

/// As [`follow`], in `namespaces`, or everywhere where there are none.
fn follow_in<K>(operator: &Arc<Operator>, ready: &Initialized, namespaces: &[String], tasks: &mut JoinSet<()>)
where
    K: Taken + Resource<Scope = NamespaceResourceScope>,
{
    if namespaces.is_empty() {
        return follow::<K>(operator, ready, tasks);
    }
    let (sender, events) = mpsc::channel(EVENTS);
    let handle = ready.handle(format!("the list of {}", K::KIND));
    let client = operator.connection.client();
    tasks.spawn(watch_namespaces::<K>(client, namespaces.to_vec(), Selection::default(), sender, handle));
    taking_in(operator, events, tasks);
}

fn taking_in<K: Taken>(operator: &Arc<Operator>, mut events: mpsc::Receiver<Observed<K>>, tasks: &mut JoinSet<()>) {
    let operator = Arc::clone(operator);
    tasks.spawn(async move {
        while let Some(event) = events.recv().await {
            take_in(&operator, event);
        }
    });
}

fn take_in<K: Taken>(operator: &Operator, event: Observed<K>) {
    match event {
        Observed::Apply(object) => object.apply(operator),
        Observed::Delete(object) => K::delete(operator, &ObjectName::of(object.meta())),
        Observed::DeleteMalformed(name) => K::delete(operator, &name),
        Observed::Malformed { name, why } => {
            tracing::warn!(kind = K::KIND, %name, why, "{}", K::MALFORMED);
        }
        Observed::Restarted { scope, names } => {
            for gone in vanished::<K>(operator, &scope, &names) {
                K::delete(operator, &gone);
            }
        }
    }
}

/// What the index has in `scope` and the cluster has no more.
fn vanished<K: Taken>(operator: &Operator, scope: &Scope, names: &HashSet<ObjectName>) -> Vec<ObjectName> {
    let is_in_scope = |name: &ObjectName| match scope {
        Scope::Cluster => true,
        Scope::Namespace(namespace) => name.namespace.as_deref() == Some(namespace),
    };
    K::known(operator).into_iter().filter(|name| is_in_scope(name) && !names.contains(name)).collect()
}

fn object_name(name: &Name) -> ObjectName {
    ObjectName { namespace: Some(name.namespace.to_string()), name: name.name.to_string() }
}

fn name(name: &ObjectName) -> Name {
    Name::new(name.namespace.as_deref().unwrap_or_default(), &name.name)
}

impl Taken for ExternalSecret {
    const KIND: &'static str = "ExternalSecrets";

    fn apply(self, operator: &Operator) {
        operator.metrics.expect("externalsecret", &self.metadata);
        operator.learn(|index| index.apply_external_secret(self));
    }

    fn delete(operator: &Operator, gone: &ObjectName) {
        let gone = name(gone);
        operator.learn(|index| index.delete_external_secret(&gone));
        operator.learn(|index| index.generator_states.left_by(&Key::ExternalSecret(gone)));
    }

    fn known(operator: &Operator) -> Vec<ObjectName> {
        operator.index().external_secret_names().iter().map(object_name).collect()
    }
}

impl Taken for SecretStore {
    const KIND: &'static str = "SecretStores";

    fn apply(self, operator: &Operator) {
        if let Some(store) = Store::of_namespace(self) {
            operator.learn(|index| index.apply_store(store));
        }
    }

    fn delete(operator: &Operator, gone: &ObjectName) {
        let gone = StoreName { namespace: gone.namespace.as_deref().map(Into::into), name: gone.name.as_str().into() };
        operator.learn(|index| index.delete_store(&gone));
    }

    fn known(operator: &Operator) -> Vec<ObjectName> {
        stores(operator).filter(|name| name.namespace.is_some()).collect()
    }
}

impl Taken for ClusterSecretStore {
    const KIND: &'static str = "ClusterSecretStores";

    fn apply(self, operator: &Operator) {
        if let Some(store) = Store::of_cluster(self) {
            operator.learn(|index| index.apply_store(store));
        }
    }

    fn delete(operator: &Operator, gone: &ObjectName) {
        let gone = StoreName { namespace: None, name: gone.name.as_str().into() };
        operator.learn(|index| index.delete_store(&gone));
    }

    fn known(operator: &Operator) -> Vec<ObjectName> {
        stores(operator).filter(|name| name.namespace.is_none()).collect()
    }
}

fn stores(operator: &Operator) -> impl Iterator<Item = ObjectName> + use<> {
    let names = operator.index().store_names().into_iter();
    names.map(|store| ObjectName {
        namespace: store.namespace.as_deref().map(str::to_owned),
        name: store.name.to_string(),
    })
}

impl Taken for ClusterExternalSecret {
    const KIND: &'static str = "ClusterExternalSecrets";

    fn apply(self, operator: &Operator) {
        operator.learn(|index| index.apply_cluster_external_secret(self));
    }

    fn delete(operator: &Operator, gone: &ObjectName) {
        operator.learn(|index| index.delete_cluster_external_secret(&gone.name));
    }

    fn known(operator: &Operator) -> Vec<ObjectName> {
        let names = operator.index().cluster_external_secret_names().into_iter();
        names.map(|name| ObjectName { namespace: None, name: name.to_string() }).collect()
    }
}

impl Taken for PushSecret {
    const KIND: &'static str = "PushSecrets";

    fn apply(self, operator: &Operator) {
        operator.learn(|index| index.pushes.apply(self));
    }

    fn delete(operator: &Operator, gone: &ObjectName) {
        let gone = name(gone);
        operator.learn(|index| index.pushes.delete(&gone));
        operator.learn(|index| index.generator_states.left_by(&Key::PushSecret(gone)));
    }

    fn known(operator: &Operator) -> Vec<ObjectName> {
        operator.index().pushes.names().map(object_name).collect()
    }
}

impl Taken for GeneratorState {
    const KIND: &'static str = "GeneratorStates";

    fn apply(self, operator: &Operator) {
        operator.learn(|index| index.generator_states.apply(self));
    }

    fn delete(operator: &Operator, gone: &ObjectName) {
        operator.learn(|index| index.generator_states.delete(&name(gone)));
    }

    fn known(operator: &Operator) -> Vec<ObjectName> {
        operator.index().generator_states.names().map(object_name).collect()
    }
}

impl Taken for ClusterPushSecret {
    const KIND: &'static str = "ClusterPushSecrets";

    fn apply(self, operator: &Operator) {
        operator.learn(|index| index.pushes.apply_cluster(self));
    }

    fn delete(operator: &Operator, gone: &ObjectName) {
        operator.learn(|index| index.pushes.delete_cluster(&gone.name));
    }

    fn known(operator: &Operator) -> Vec<ObjectName> {
        let object_name = |name: &Arc<str>| ObjectName { namespace: None, name: name.to_string() };
        operator.index().pushes.cluster_names().map(object_name).collect()
    }
}

impl Taken for kes::ExternalSecret {
    const KIND: &'static str = "ExternalSecrets of kubernetes-external-secrets";

    fn apply(self, operator: &Operator) {
        operator.learn(|index| index.apply_kes(self));
    }

    fn delete(operator: &Operator, gone: &ObjectName) {
        operator.learn(|index| index.delete_kes(&name(gone)));
    }

    fn known(operator: &Operator) -> Vec<ObjectName> {
        operator.index().kes_names().iter().map(object_name).collect()
    }
}

impl Taken for kamus::KamusSecret {
    const KIND: &'static str = "KamusSecrets";

    fn apply(self, operator: &Operator) {
        operator.learn(|index| index.apply_kamus(self));
    }

    fn delete(operator: &Operator, gone: &ObjectName) {
        operator.learn(|index| index.delete_kamus(&name(gone)));
    }

    fn known(operator: &Operator) -> Vec<ObjectName> {
        operator.index().kamus_names().iter().map(object_name).collect()
    }
}

impl Taken for PartialObjectMeta<Secret> {
    const KIND: &'static str = "Secrets (metadata)";

    fn apply(self, operator: &Operator) {
        operator.learn(|index| index.apply_secret(&self.metadata));
    }

    fn delete(operator: &Operator, gone: &ObjectName) {
        operator.learn(|index| index.delete_secret(&name(gone)));
    }

    fn known(operator: &Operator) -> Vec<ObjectName> {
        operator.index().secret_names().iter().map(object_name).collect()
    }
}

impl Taken for PartialObjectMeta<Namespace> {
    const KIND: &'static str = "Namespaces (metadata)";

    fn apply(self, operator: &Operator) {
        operator.learn(|index| index.apply_namespace(&self.metadata));
    }

    fn delete(operator: &Operator, gone: &ObjectName) {
        operator.learn(|index| index.delete_namespace(&gone.name));
    }

    fn known(operator: &Operator) -> Vec<ObjectName> {
        let names = operator.index().namespaces().into_iter();
        names.map(|(name, _)| ObjectName { namespace: None, name: name.to_string() }).collect()
    }
}

impl Taken for StorePolicy {
    const KIND: &'static str = "StorePolicies";
    const MALFORMED: &'static str = "a StorePolicy cannot be read; its last form stays in force";

    fn apply(self, operator: &Operator) {
        operator.learn(|index| index.apply_store_policy(self));
    }

    fn delete(operator: &Operator, gone: &ObjectName) {
        operator.learn(|index| index.delete_store_policy(&gone.name));
    }

    fn known(operator: &Operator) -> Vec<ObjectName> {
        let policies = operator.index().store_policies().into_iter();
        policies.map(|policy| ObjectName::of(policy.meta())).collect()
    }
}

/// Store policies are few: every change makes the whole set anew.
fn policies(operator: &Arc<Operator>, ready: &Initialized, tasks: &mut JoinSet<()>) {
    let (sender, mut events) = mpsc::channel(EVENTS);
    let handle = ready.handle("the list of StorePolicies");
    // Nobody reads before the first list is complete: the handle of what decides goes last.
    let decided = ready.handle("the rules of StorePolicies");
    tasks.spawn(watch_all::<StorePolicy>(operator.connection.client(), Selection::default(), sender, handle));
    let operator = Arc::clone(operator);
    tasks.spawn(async move {
        let mut decided = Some(decided);
        while let Some(event) = events.recv().await {
            let is_whole = matches!(event, Observed::Restarted { .. });
            let is_news = is_news(&operator, &event);
            take_in(&operator, event);
            if is_news && (is_whole || decided.is_none()) {
                let known = operator.index().store_policies();
                operator.set_policies(StorePolicies::new(known.iter().map(|policy| policy.policy())));
                decided = None;
            }
        }
    });
}

/// Whether `event` may change what is allowed: a status does not. What cannot be understood must not open what it was
/// to close either: it keeps its last understood form.
fn is_news(operator: &Operator, event: &Observed<StorePolicy>) -> bool {
    match event {
        Observed::Apply(policy) => {
            let known = operator.index().store_policy(policy.meta().name.as_deref().unwrap_or_default());
            known.is_none_or(|known| known.spec != policy.spec)
        }
        Observed::Malformed { .. } => false,
        Observed::Delete(_) | Observed::DeleteMalformed(_) | Observed::Restarted { .. } => true,
    }
}

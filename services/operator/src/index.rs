//! What is known of the cluster: objects by name and who depends on whom. Pure: watches tell it what they saw, and it
//! says whom that concerns.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use strongroom_api::external_secrets::vocabulary::{condition, label};
use strongroom_api::external_secrets::{
    ClusterExternalSecret, ClusterSecretStore, Condition, ExternalSecret, ExternalSecretStatus, SecretStore,
    SecretStoreKind, SecretStoreSpec, SecretStoreStatus,
};
use strongroom_api::{StorePolicy, kamus, kes};
use strongroom_aws_ssm::Asked;
use strongroom_reconcile::Priority;
use strongroom_sync::current::Current;
use strongroom_sync::outline::Outline;

use crate::generator_states::GeneratorStates;
use crate::key_readers::{self, KeyReaders};
use crate::names::{Name, StoreName};
use crate::packed::Packed;
use crate::pairs::Pairs;
use crate::pushes::Pushes;

/// One thing that is reconciled.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Key {
    /// An ExternalSecret.
    ExternalSecret(Name),
    /// A SecretStore or ClusterSecretStore.
    Store(StoreName),
    /// A ClusterExternalSecret.
    ClusterExternalSecret(Arc<str>),
    /// A StorePolicy.
    StorePolicy(Arc<str>),
    /// An ExternalSecret of kubernetes-external-secrets.
    Kes(Name),
    /// A PushSecret.
    PushSecret(Name),
    /// A ClusterPushSecret.
    ClusterPushSecret(Arc<str>),
    /// A Secret with annotations of aws-ssm.
    AwsSsm(Name),
    /// A KamusSecret.
    Kamus(Name),
    /// A GeneratorState.
    GeneratorState(Name),
}

/// What shares slots: whatever reads one store, so that a slow one delays no other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Group {
    /// ExternalSecrets of one store.
    Store(StoreName),
    /// ExternalSecrets of kubernetes-external-secrets that read one store as one identity.
    Kes(Arc<str>),
    /// Secrets with annotations of aws-ssm that read as one role, or as the operator itself.
    AwsSsm(Option<Arc<str>>),
    /// KamusSecrets: one key management opens all of them.
    Kamus,
    /// Everything else of a kind: each one alone, for they wait for stores too.
    Alone(Key),
}

/// Keys to be woken, and how urgently.
pub(crate) type Wakes = Vec<(Key, Priority)>;

/// A store of either kind.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    /// Its name.
    pub(crate) name: StoreName,
    /// Its metadata, without managed fields.
    pub(crate) metadata: ObjectMeta,
    /// What it says.
    pub(crate) spec: SecretStoreSpec,
    /// How it stood last.
    pub(crate) status: Option<SecretStoreStatus>,
}

/// What is known of a Secret: never a value.
#[derive(Clone, Debug)]
pub(crate) struct SecretFacts {
    /// Its version, by which credentials are told to be still the same.
    pub(crate) resource_version: Box<str>,
    /// How it looks as a target; only where something of External Secrets' is on it, or an ExternalSecret names it.
    outline: Option<Box<[u8]>>,
}

impl SecretFacts {
    /// How it looks to the ExternalSecret `owner`; nothing where that was not kept, and the Secret has to be read.
    pub(crate) fn seen_by(&self, owner: &str) -> Option<Current> {
        self.outline().map(|outline| Current::from_outline(&outline, owner))
    }

    fn outline(&self) -> Option<Outline> {
        Outline::unpack(self.outline.as_deref()?)
    }
}

/// What is known of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Namespace {
    /// Its labels.
    pub(crate) labels: BTreeMap<String, String>,
    /// Its annotations.
    pub(crate) annotations: BTreeMap<String, String>,
    /// Whether it is being deleted: nothing can be made in it any more.
    pub(crate) is_ending: bool,
    /// Finalizers, of which other operators' are honoured and removed.
    pub(crate) finalizers: Vec<String>,
}

/// What is known of the cluster.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) pushes: Pushes,
    pub(crate) generator_states: GeneratorStates,
    external_secrets: HashMap<Name, Packed>,
    stores: HashMap<StoreName, Arc<Store>>,
    cluster_external_secrets: HashMap<Arc<str>, Arc<ClusterExternalSecret>>,
    store_policies: HashMap<Arc<str>, Arc<StorePolicy>>,
    kes: HashMap<Name, Arc<kes::ExternalSecret>>,
    kamus: HashMap<Name, Arc<kamus::KamusSecret>>,
    secrets: HashMap<Name, Arc<SecretFacts>>,
    /// What Secrets ask for by annotations of aws-ssm.
    aws_ssm: HashMap<Name, Arc<Asked>>,
    namespaces: HashMap<Arc<str>, Arc<Namespace>>,
    by_target: Pairs<Name, Name>,
    by_store: Pairs<StoreName, Name>,
    /// ExternalSecrets by the ClusterExternalSecret that made them.
    by_parent: Pairs<Arc<str>, Name>,
    /// Secrets by the label that says which ExternalSecret made them.
    by_maker: Pairs<Box<str>, Name>,
    /// ExternalSecrets, and those of kubernetes-external-secrets, by what they read; only where events are followed.
    by_key: Option<[KeyReaders; 2]>,
}

impl Index {
    /// From now on keeps who reads which key. Before anything is taken in.
    pub(crate) fn follow_keys(&mut self) {
        self.by_key = Some(Default::default());
    }

    /// Takes in an ExternalSecret as it is now.
    pub(crate) fn apply_external_secret(&mut self, mut object: ExternalSecret) -> Wakes {
        let Some(name) = name_of(&object.metadata) else { return Vec::new() };
        object.metadata.managed_fields = None;
        let Some(mut after) = Packed::of(&name, &object) else { return Vec::new() };
        if self.by_key.is_some() {
            after.reads = key_readers::reads(&object);
        }
        let before = self.forget_external_secret(&name).and_then(|before| before.object());
        let is_new = before.is_none_or(|before| is_another_wish(&before.metadata, &object.metadata));
        let parent = after.parent.clone();
        self.keep_external_secret(&name, after);
        let mut wakes = Vec::new();
        if is_new {
            wakes.push((Key::ExternalSecret(name), Priority::Urgent));
        }
        wakes.extend(parent.filter(|_| is_new).map(|parent| (Key::ClusterExternalSecret(parent), Priority::Routine)));
        wakes
    }

    /// Takes in that an ExternalSecret is gone.
    pub(crate) fn delete_external_secret(&mut self, name: &Name) -> Wakes {
        let Some(before) = self.forget_external_secret(name) else { return Vec::new() };
        let mut wakes = vec![(Key::ExternalSecret(name.clone()), Priority::Routine)];
        wakes.extend(before.parent.map(|parent| (Key::ClusterExternalSecret(parent), Priority::Urgent)));
        // Who shared its target may now own it.
        wakes.extend(self.targeting(&before.target));
        wakes
    }

    fn keep_external_secret(&mut self, name: &Name, object: Packed) {
        self.by_target.insert(&object.target, name);
        object.stores.iter().for_each(|store| self.by_store.insert(store, name));
        object.parent.iter().for_each(|parent| self.by_parent.insert(parent, name));
        self.by_key.iter_mut().for_each(|[readers, _]| readers.insert(&object.reads, name));
        self.external_secrets.insert(name.clone(), object);
    }

    fn forget_external_secret(&mut self, name: &Name) -> Option<Packed> {
        let gone = self.external_secrets.remove(name)?;
        self.by_target.remove(&gone.target, name);
        gone.stores.iter().for_each(|store| self.by_store.remove(store, name));
        gone.parent.iter().for_each(|parent| self.by_parent.remove(parent, name));
        self.by_key.iter_mut().for_each(|[readers, _]| readers.remove(&gone.reads, name));
        Some(gone)
    }

    /// Takes in a store as it is now.
    pub(crate) fn apply_store(&mut self, mut store: Store) -> Wakes {
        store.metadata.managed_fields = None;
        let name = store.name.clone();
        let before = self.stores.insert(name.clone(), Arc::new(store));
        let after = &self.stores[&name];
        let is_new = before.as_ref().is_none_or(|before| before.metadata.generation != after.metadata.generation);
        let became_ready = is_ready(after) && !before.as_deref().is_some_and(is_ready);
        let was_judged = before.as_deref().and_then(ready_condition).is_some();
        let is_judged = ready_condition(after).is_some() && !was_judged;
        let has_other_labels = before.as_ref().is_some_and(|before| before.metadata.labels != after.metadata.labels);
        let mut wakes = Vec::new();
        if is_new {
            wakes.push((Key::Store(name.clone()), Priority::Urgent));
        }
        if is_new && before.is_some() || became_ready || is_judged {
            wakes.extend(self.readers(&name));
        }
        if is_new || became_ready || is_judged || has_other_labels {
            wakes.extend(self.pushes.store_changed(&name, self.stores.get(&name).map(Arc::as_ref)));
        }
        wakes
    }

    /// Takes in that a store is gone.
    pub(crate) fn delete_store(&mut self, name: &StoreName) -> Wakes {
        self.stores.remove(name);
        let mut wakes = vec![(Key::Store(name.clone()), Priority::Routine)];
        wakes.extend(self.readers(name));
        wakes.extend(self.pushes.store_changed(name, None));
        wakes
    }

    /// Takes in a ClusterExternalSecret as it is now.
    pub(crate) fn apply_cluster_external_secret(&mut self, object: ClusterExternalSecret) -> Wakes {
        let wish = put(&mut self.cluster_external_secrets, object);
        wish.map(|name| (Key::ClusterExternalSecret(name), Priority::Urgent)).into_iter().collect()
    }

    /// Takes in that a ClusterExternalSecret is gone.
    pub(crate) fn delete_cluster_external_secret(&mut self, name: &str) -> Wakes {
        self.cluster_external_secrets.remove(name);
        vec![(Key::ClusterExternalSecret(name.into()), Priority::Routine)]
    }

    /// Takes in a StorePolicy as it is now.
    pub(crate) fn apply_store_policy(&mut self, object: StorePolicy) -> Wakes {
        let wish = put(&mut self.store_policies, object);
        wish.map(|name| (Key::StorePolicy(name), Priority::Urgent)).into_iter().collect()
    }

    /// Takes in an ExternalSecret of kubernetes-external-secrets as it is now.
    pub(crate) fn apply_kes(&mut self, mut object: kes::ExternalSecret) -> Wakes {
        let Some(name) = name_of(&object.metadata) else { return Vec::new() };
        object.metadata.managed_fields = None;
        let before = self.kes.get(&name);
        let is_new = before.is_none_or(|before| is_another_wish(&before.metadata, &object.metadata));
        if let Some([_, readers]) = &mut self.by_key {
            before.iter().for_each(|before| readers.remove(&key_readers::kes_reads(before), &name));
            readers.insert(&key_readers::kes_reads(&object), &name);
        }
        self.kes.insert(name.clone(), Arc::new(object));
        is_new.then_some((Key::Kes(name), Priority::Urgent)).into_iter().collect()
    }

    /// Takes in that an ExternalSecret of kubernetes-external-secrets is gone.
    pub(crate) fn delete_kes(&mut self, name: &Name) -> Wakes {
        let gone = self.kes.remove(name);
        if let (Some([_, readers]), Some(gone)) = (&mut self.by_key, gone) {
            readers.remove(&key_readers::kes_reads(&gone), name);
        }
        vec![(Key::Kes(name.clone()), Priority::Routine)]
    }

    /// An ExternalSecret of kubernetes-external-secrets.
    pub(crate) fn kes(&self, name: &Name) -> Option<Arc<kes::ExternalSecret>> {
        self.kes.get(name).cloned()
    }

    /// Names of all of them that are known.
    pub(crate) fn kes_names(&self) -> Vec<Name> {
        self.kes.keys().cloned().collect()
    }

    /// Takes in a status that we ourselves just wrote, so that nobody decides by the one before.
    pub(crate) fn note_kes_status(
        &mut self,
        name: &Name,
        status: kes::ExternalSecretStatus,
        resource_version: Option<String>,
    ) {
        let Some(object) = self.kes.get_mut(name).map(Arc::make_mut) else { return };
        object.status = Some(status);
        object.metadata.resource_version = resource_version.or(object.metadata.resource_version.take());
    }

    /// Takes in a KamusSecret as it is now.
    pub(crate) fn apply_kamus(&mut self, mut object: kamus::KamusSecret) -> Wakes {
        let Some(name) = name_of(&object.metadata) else { return Vec::new() };
        object.metadata.managed_fields = None;
        let before = self.kamus.get(&name);
        let is_new = before.is_none_or(|before| is_another_wish(&before.metadata, &object.metadata));
        self.kamus.insert(name.clone(), Arc::new(object));
        is_new.then_some((Key::Kamus(name), Priority::Urgent)).into_iter().collect()
    }

    /// Takes in that a KamusSecret is gone.
    pub(crate) fn delete_kamus(&mut self, name: &Name) -> Wakes {
        self.kamus.remove(name);
        vec![(Key::Kamus(name.clone()), Priority::Routine)]
    }

    /// A KamusSecret.
    pub(crate) fn kamus(&self, name: &Name) -> Option<Arc<kamus::KamusSecret>> {
        self.kamus.get(name).cloned()
    }

    /// Names of all KamusSecrets that are known.
    pub(crate) fn kamus_names(&self) -> Vec<Name> {
        self.kamus.keys().cloned().collect()
    }

    /// Takes in a status that we ourselves just wrote, so that nobody decides by the one before.
    pub(crate) fn note_kamus_status(
        &mut self,
        name: &Name,
        status: kamus::KamusSecretStatus,
        resource_version: Option<String>,
    ) {
        let Some(object) = self.kamus.get_mut(name).map(Arc::make_mut) else { return };
        object.status = Some(status);
        object.metadata.resource_version = resource_version.or(object.metadata.resource_version.take());
    }

    /// Takes in that a StorePolicy is gone.
    pub(crate) fn delete_store_policy(&mut self, name: &str) -> Wakes {
        self.store_policies.remove(name);
        vec![(Key::StorePolicy(name.into()), Priority::Routine)]
    }

    /// Takes in a Secret's metadata as it is now; also what we ourselves just wrote, so that its echo is no news.
    pub(crate) fn apply_secret(&mut self, metadata: &ObjectMeta) -> Wakes {
        let Some(name) = name_of(metadata) else { return Vec::new() };
        let resource_version = Box::from(metadata.resource_version.as_deref().unwrap_or_default());
        let before = self.secrets.get(&name);
        if before.is_some_and(|before| before.resource_version == resource_version) {
            return Vec::new();
        }
        // Of others only the version is of interest: somebody's credentials.
        let is_target = self.by_target.has(&name) || is_managed(metadata);
        let facts = SecretFacts { resource_version, outline: is_target.then(|| Outline::of(metadata).pack()) };
        if let Some(before) = self.secrets.insert(name.clone(), Arc::new(facts)) {
            self.unmark(&name, &before);
        }
        if let Some(maker) = metadata.labels.as_ref().and_then(|labels| labels.get(label::OWNER)) {
            self.by_maker.insert(&maker.as_str().into(), &name);
        }
        let mut wakes = self.targeting(&name);
        wakes.extend(self.pushes.secret_changed(&name, Some(metadata.labels.as_ref().unwrap_or(&BTreeMap::new()))));
        wakes.extend(self.ask_aws_ssm(name, Asked::of(metadata)));
        wakes
    }

    /// Whatever changes on a Secret that asks, or asked, is for whoever serves it.
    fn ask_aws_ssm(&mut self, name: Name, asked: Option<Asked>) -> Option<(Key, Priority)> {
        let is_concerned = match asked {
            Some(asked) => {
                self.aws_ssm.insert(name.clone(), Arc::new(asked));
                true
            }
            None => self.aws_ssm.remove(&name).is_some(),
        };
        is_concerned.then_some((Key::AwsSsm(name), Priority::Urgent))
    }

    /// What a Secret asks for by annotations of aws-ssm.
    pub(crate) fn aws_ssm(&self, name: &Name) -> Option<Arc<Asked>> {
        self.aws_ssm.get(name).cloned()
    }

    /// Takes in that a Secret is gone.
    pub(crate) fn delete_secret(&mut self, name: &Name) -> Wakes {
        let Some(gone) = self.secrets.remove(name) else { return Vec::new() };
        self.unmark(name, &gone);
        let mut wakes = self.targeting(name);
        wakes.extend(self.pushes.secret_changed(name, None));
        wakes.extend(self.ask_aws_ssm(name.clone(), None));
        wakes
    }

    /// Takes in a namespace as it is now.
    pub(crate) fn apply_namespace(&mut self, metadata: &ObjectMeta) -> Wakes {
        let Some(name) = metadata.name.as_deref().map(Arc::<str>::from) else { return Vec::new() };
        let namespace = Namespace {
            labels: metadata.labels.clone().unwrap_or_default(),
            annotations: metadata.annotations.clone().unwrap_or_default(),
            is_ending: metadata.deletion_timestamp.is_some(),
            finalizers: metadata.finalizers.clone().unwrap_or_default(),
        };
        let before = self.namespaces.insert(Arc::clone(&name), Arc::new(namespace.clone()));
        if before.as_deref() == Some(&namespace) {
            return Vec::new();
        }
        let has_other = |part: fn(&Namespace) -> &BTreeMap<String, String>| {
            before.as_deref().is_some_and(|before| part(before) != part(&namespace))
        };
        let mut wakes = self.concerned_by_namespace(&name, has_other(|namespace| &namespace.labels));
        if before.is_none() || has_other(|namespace| &namespace.annotations) {
            let inside = self.kes.keys().filter(|key| key.namespace == name);
            wakes.extend(inside.map(|key| (Key::Kes(key.clone()), Priority::Urgent)));
        }
        wakes
    }

    /// Takes in that a namespace is gone.
    pub(crate) fn delete_namespace(&mut self, name: &str) -> Wakes {
        self.namespaces.remove(name);
        self.concerned_by_namespace(name, false)
    }

    fn concerned_by_namespace(&mut self, name: &str, has_other_labels: bool) -> Wakes {
        let fan_outs = self.cluster_external_secrets.keys();
        let mut wakes: Wakes =
            fan_outs.map(|name| (Key::ClusterExternalSecret(Arc::clone(name)), Priority::Routine)).collect();
        wakes.extend(self.pushes.clusters());
        if has_other_labels {
            wakes.extend(self.pushes.namespace_changed(name));
            let inside = self.external_secrets.keys().filter(|key| *key.namespace == *name);
            wakes.extend(inside.map(|key| (Key::ExternalSecret(key.clone()), Priority::Routine)));
            let inside = self.aws_ssm.keys().filter(|key| *key.namespace == *name);
            wakes.extend(inside.map(|key| (Key::AwsSsm(key.clone()), Priority::Routine)));
        }
        wakes
    }

    /// Everything that reads `store`.
    pub(crate) fn readers(&self, store: &StoreName) -> Wakes {
        self.by_store.of(store).map(|name| (Key::ExternalSecret(name.clone()), Priority::Urgent)).collect()
    }

    /// Everything that is reconciled: after a time in which nothing was.
    pub(crate) fn everything(&self) -> Wakes {
        let stores = self.stores.keys().map(|name| (Key::Store(name.clone()), Priority::Urgent));
        let fan_outs = self.cluster_external_secrets.keys();
        let fan_outs = fan_outs.map(|name| (Key::ClusterExternalSecret(Arc::clone(name)), Priority::Routine));
        let policies = self.store_policies.keys().map(|name| (Key::StorePolicy(Arc::clone(name)), Priority::Routine));
        let kes = self.kes.keys().map(|name| (Key::Kes(name.clone()), Priority::Routine));
        let kamus = self.kamus.keys().map(|name| (Key::Kamus(name.clone()), Priority::Routine));
        let fan_outs = fan_outs.chain(self.pushes.clusters()).chain(kamus);
        let states = self.generator_states.names().map(|name| (Key::GeneratorState(name.clone()), Priority::Routine));
        let fan_outs = fan_outs.chain(states);
        stores.chain(fan_outs).chain(policies).chain(kes).chain(self.everybody()).collect()
    }

    /// ExternalSecrets that may read a key with one of these stems; nobody where events are not followed.
    pub(crate) fn reading(&self, stems: &[String]) -> Vec<Name> {
        self.by_key.iter().flat_map(|[readers, _]| readers.of(stems)).collect()
    }

    /// The same of kubernetes-external-secrets' kind.
    pub(crate) fn kes_reading(&self, stems: &[String]) -> Vec<Name> {
        self.by_key.iter().flat_map(|[_, readers]| readers.of(stems)).collect()
    }

    /// All stores that are known.
    pub(crate) fn stores(&self) -> impl Iterator<Item = &Arc<Store>> {
        self.stores.values()
    }

    /// Everything that policies are about: after a change of them.
    pub(crate) fn everybody(&self) -> Wakes {
        let external_secrets = self.external_secrets.keys().map(|name| Key::ExternalSecret(name.clone()));
        let all = external_secrets.chain(self.aws_ssm.keys().map(|name| Key::AwsSsm(name.clone())));
        all.map(|key| (key, Priority::Routine)).chain(self.pushes.everybody()).collect()
    }

    /// Takes in a status that we ourselves just wrote, so that nobody decides by the one before.
    pub(crate) fn note_status(&mut self, name: &Name, status: ExternalSecretStatus, resource_version: Option<String>) {
        let Some(mut object) = self.external_secret(name) else { return };
        object.status = Some(status);
        object.metadata.resource_version = resource_version.or(object.metadata.resource_version.take());
        if let Some(mut after) = Packed::of(name, &object) {
            let reads = self.external_secrets.get_mut(name).map(|before| std::mem::take(&mut before.reads));
            after.reads = reads.unwrap_or_default();
            self.external_secrets.insert(name.clone(), after);
        }
    }

    /// Takes in a store's status that we ourselves just wrote; whoever waited for the store is woken.
    pub(crate) fn note_store_status(&mut self, name: &StoreName, status: SecretStoreStatus) -> Wakes {
        let Some(store) = self.stores.get(name) else { return Vec::new() };
        let next = Store { status: Some(status), ..Store::clone(store) };
        self.apply_store(next)
    }

    /// Forgets all that lies in `namespace`, which is served no more.
    pub(crate) fn forget_namespace(&mut self, namespace: &str) -> Wakes {
        let inside = |name: &&Name| *name.namespace == *namespace;
        let objects: Vec<Name> = self.external_secrets.keys().filter(inside).cloned().collect();
        let secrets: Vec<Name> = self.secrets.keys().filter(inside).cloned().collect();
        let stores: Vec<StoreName> =
            self.stores.keys().filter(|store| store.namespace.as_deref() == Some(namespace)).cloned().collect();
        let mut wakes: Wakes = objects.iter().flat_map(|name| self.delete_external_secret(name)).collect();
        wakes.extend(stores.iter().flat_map(|name| self.delete_store(name)));
        wakes.extend(secrets.iter().flat_map(|name| self.delete_secret(name)));
        let pushes: Vec<Name> = self.pushes.names().filter(inside).cloned().collect();
        wakes.extend(pushes.iter().flat_map(|name| self.pushes.delete(name)));
        let kamus: Vec<Name> = self.kamus.keys().filter(inside).cloned().collect();
        wakes.extend(kamus.iter().flat_map(|name| self.delete_kamus(name)));
        let states: Vec<Name> = self.generator_states.names().filter(inside).cloned().collect();
        wakes.extend(states.iter().flat_map(|name| self.generator_states.delete(name)));
        wakes
    }

    fn targeting(&self, secret: &Name) -> Wakes {
        let wishes = self.by_target.of(secret).map(|name| (Key::ExternalSecret(name.clone()), Priority::Urgent));
        // Theirs has their own name.
        let kes = self.kes.contains_key(secret).then(|| (Key::Kes(secret.clone()), Priority::Urgent));
        let kamus = self.kamus.contains_key(secret).then(|| (Key::Kamus(secret.clone()), Priority::Urgent));
        wishes.chain(kes).chain(kamus).collect()
    }

    fn unmark(&mut self, name: &Name, secret: &SecretFacts) {
        if let Some(maker) = secret.outline().as_ref().and_then(|outline| outline.label(label::OWNER)) {
            self.by_maker.remove(&maker.into(), name);
        }
    }

    /// Which slots a key uses.
    pub(crate) fn group(&self, key: &Key) -> Group {
        let Key::ExternalSecret(name) = key else { return Group::Alone(key.clone()) };
        let first = self.external_secrets.get(name).and_then(|object| object.stores.first());
        first.map_or_else(|| Group::Alone(key.clone()), |store| Group::Store(store.clone()))
    }

    /// An ExternalSecret.
    pub(crate) fn external_secret(&self, name: &Name) -> Option<Box<ExternalSecret>> {
        self.external_secrets.get(name)?.object()
    }

    /// The ExternalSecrets that the ClusterExternalSecret `parent` controls.
    pub(crate) fn children_of(&self, parent: &str) -> Vec<Name> {
        self.by_parent.of(&parent.into()).cloned().collect()
    }

    /// Names of all ExternalSecrets that are known.
    pub(crate) fn external_secret_names(&self) -> Vec<Name> {
        self.external_secrets.keys().cloned().collect()
    }

    /// A store.
    pub(crate) fn store(&self, name: &StoreName) -> Option<Arc<Store>> {
        self.stores.get(name).cloned()
    }

    /// Names of all stores that are known.
    pub(crate) fn store_names(&self) -> Vec<StoreName> {
        self.stores.keys().cloned().collect()
    }

    /// A ClusterExternalSecret.
    pub(crate) fn cluster_external_secret(&self, name: &str) -> Option<Arc<ClusterExternalSecret>> {
        self.cluster_external_secrets.get(name).cloned()
    }

    /// Names of all ClusterExternalSecrets that are known.
    pub(crate) fn cluster_external_secret_names(&self) -> Vec<Arc<str>> {
        self.cluster_external_secrets.keys().cloned().collect()
    }

    /// A StorePolicy.
    pub(crate) fn store_policy(&self, name: &str) -> Option<Arc<StorePolicy>> {
        self.store_policies.get(name).cloned()
    }

    /// All StorePolicies that are known.
    pub(crate) fn store_policies(&self) -> Vec<Arc<StorePolicy>> {
        self.store_policies.values().cloned().collect()
    }

    /// What is known of a Secret.
    pub(crate) fn secret(&self, name: &Name) -> Option<Arc<SecretFacts>> {
        self.secrets.get(name).cloned()
    }

    /// Names of all Secrets that are known.
    pub(crate) fn secret_names(&self) -> Vec<Name> {
        self.secrets.keys().cloned().collect()
    }

    /// The Secrets of a namespace whose label says that `maker` made them.
    pub(crate) fn made_by(&self, namespace: &str, maker: &str) -> Vec<Arc<SecretFacts>> {
        let maker = maker.into();
        let made = self.by_maker.of(&maker).filter(|name| *name.namespace == *namespace);
        made.filter_map(|name| self.secrets.get(name).cloned()).collect()
    }

    /// What is known of a namespace.
    pub(crate) fn namespace(&self, name: &str) -> Option<Arc<Namespace>> {
        self.namespaces.get(name).cloned()
    }

    /// All namespaces that are known.
    pub(crate) fn namespaces(&self) -> Vec<(Arc<str>, Arc<Namespace>)> {
        self.namespaces.iter().map(|(name, namespace)| (Arc::clone(name), Arc::clone(namespace))).collect()
    }
}

impl Store {
    /// A SecretStore; `None` where it has no name.
    pub(crate) fn of_namespace(object: SecretStore) -> Option<Self> {
        let name = name_of(&object.metadata)?;
        let name = StoreName { namespace: Some(name.namespace), name: name.name };
        Some(Self { name, metadata: object.metadata, spec: object.spec, status: object.status })
    }

    /// A ClusterSecretStore; `None` where it has no name.
    pub(crate) fn of_cluster(object: ClusterSecretStore) -> Option<Self> {
        let name = StoreName { namespace: None, name: object.metadata.name.as_deref()?.into() };
        Some(Self { name, metadata: object.metadata, spec: object.spec.0, status: object.status })
    }
}

/// The store's Ready condition; none while nobody has looked at it.
pub(crate) fn ready_condition(store: &Store) -> Option<&Condition> {
    let mut conditions = store.status.iter().flat_map(|status| &status.conditions);
    conditions.find(|condition| condition.kind == condition::READY)
}

/// Whether the store's Ready condition is True.
pub(crate) fn is_ready(store: &Store) -> bool {
    ready_condition(store).is_some_and(|ready| ready.status == "True")
}

/// The name in `metadata`, where it has both parts.
pub(crate) fn name_of(metadata: &ObjectMeta) -> Option<Name> {
    Some(Name::new(metadata.namespace.as_deref()?, metadata.name.as_deref()?))
}

/// The Secret that an ExternalSecret writes.
pub(crate) fn target_of(name: &Name, object: &ExternalSecret) -> Name {
    let named = object.spec.target.as_ref().and_then(|target| target.name.as_deref());
    Name { namespace: Arc::clone(&name.namespace), name: named.map_or_else(|| Arc::clone(&name.name), Arc::from) }
}

/// The stores that an ExternalSecret names, its own before those of its entries.
pub(crate) fn stores_of(name: &Name, object: &ExternalSecret) -> Vec<StoreName> {
    let entries = object.spec.data.iter().filter_map(|entry| entry.source_ref.as_ref());
    let sources = entries.chain(object.spec.data_from.iter().filter_map(|entry| entry.source_ref.as_ref()));
    let named = object.spec.secret_store_ref.iter().chain(sources.filter_map(|source| source.store_ref.as_ref()));
    let mut stores: Vec<StoreName> = Vec::new();
    for store in named {
        let Some(store_name) = store.name.as_deref() else { continue };
        let is_cluster = store.kind == Some(SecretStoreKind::ClusterSecretStore);
        let found =
            StoreName { namespace: (!is_cluster).then(|| Arc::clone(&name.namespace)), name: store_name.into() };
        if !stores.contains(&found) {
            stores.push(found);
        }
    }
    stores
}

/// Takes an object of the whole cluster into `known`; its name, where it asks for something new.
pub(crate) fn put<K: Resource>(known: &mut HashMap<Arc<str>, Arc<K>>, mut object: K) -> Option<Arc<str>> {
    let name = Arc::<str>::from(object.meta().name.as_deref()?);
    object.meta_mut().managed_fields = None;
    let is_new = known.get(&name).is_none_or(|before| is_another_wish(before.meta(), object.meta()));
    known.insert(Arc::clone(&name), Arc::new(object));
    is_new.then_some(name)
}

/// Whether somebody changed what the object asks for: anything but its status.
pub(crate) fn is_another_wish(before: &ObjectMeta, after: &ObjectMeta) -> bool {
    before.uid != after.uid
        || before.generation != after.generation
        || before.labels != after.labels
        || before.annotations != after.annotations
        || before.finalizers != after.finalizers
        || before.deletion_timestamp != after.deletion_timestamp
}

fn is_managed(metadata: &ObjectMeta) -> bool {
    let labels = metadata.labels.iter().flat_map(BTreeMap::keys);
    labels.into_iter().any(|label| label.starts_with("reconcile.external-secrets.io/"))
}

/// Who of `kind` controls the object.
pub(crate) fn controller_of(metadata: &ObjectMeta, kind: &str) -> Option<Arc<str>> {
    let owners = metadata.owner_references.iter().flatten();
    let mut controllers = owners.filter(|owner| owner.controller == Some(true) && owner.kind == kind);
    controllers.next().map(|owner| owner.name.as_str().into())
}

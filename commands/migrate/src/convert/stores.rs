//! The stores that are made: one for each way in, under a name that its spec gives.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt as _;
use serde_json::{Value, json};
use strongroom_api::external_secrets::provider::SecretStoreProvider;
use strongroom_api::external_secrets::{
    ExternalSecret, NamespaceCondition, SecretKeySelector, SecretStoreKind, SecretStoreSpec, ServiceAccountSelector,
};
use strongroom_api::kes::Backend;
use strongroom_api::{PolicyNamespaces, PolicyRule, PolicyStore, StorePolicy, StorePolicySpec};
use strongroom_crypto::sha256;
use strongroom_policy::{KeyPattern, Namespace};
use strongroom_secret::SecretBytes;

use super::Options;
use super::entries::Key;
use crate::permission::{Permission, key_patterns};
use crate::read::Input;
use crate::report::{Notes, StoreReport, full_name};
use crate::settings::{Account, Credential, SecretKey, Settings};

/// Bytes of the hash in a store's name: with a thousand stores the chance that two have the same is below one in a
/// million.
const HASH_BYTES: usize = 5;

/// The most rules of a policy, and keys of a rule, that the definition of StorePolicy takes.
const MOST_IN_A_LIST: usize = 256;

/// A store that was made.
pub(crate) struct Store {
    pub(crate) name: String,
    pub(crate) kind: SecretStoreKind,
    /// Of a SecretStore, where it is known.
    pub(crate) namespace: Option<String>,
    pub(crate) spec: SecretStoreSpec,
}

/// A Secret with credentials that were written out in KES's Deployment.
pub(crate) struct Copied {
    pub(crate) namespace: Option<String>,
    pub(crate) name: String,
    pub(crate) values: BTreeMap<String, SecretBytes>,
}

/// What a provider is made with, and what comes of it beside.
pub(super) struct Context<'c> {
    pub(super) settings: &'c Settings,
    options: &'c Options,
    namespace: Option<String>,
    /// What is to be said about the store.
    remarks: BTreeSet<String>,
    /// Credentials that were written out, by Secret and key, each with its variable.
    copied: BTreeMap<(String, String), (String, SecretBytes)>,
}

impl<'c> Context<'c> {
    /// For an object in `namespace`.
    pub(super) fn new(settings: &'c Settings, options: &'c Options, namespace: Option<&str>) -> Self {
        let namespace = namespace.map(str::to_owned);
        Self { settings, options, namespace, remarks: BTreeSet::new(), copied: BTreeMap::new() }
    }

    pub(super) fn is_cluster_wide(&self) -> bool {
        self.options.store_kind == SecretStoreKind::ClusterSecretStore
    }

    /// Says something about the store.
    pub(super) fn remark(&mut self, words: impl Into<String>) {
        self.remarks.insert(words.into());
    }

    /// Says that the store asks as whatever the operator is: `words` say whose rights that needs.
    pub(super) fn ambient(&mut self, words: &str) {
        let allowed = if self.is_cluster_wide() {
            ""
        } else {
            ". In a SecretStore it is used only where the operator has --ambient-credentials=all"
        };
        self.remarks.insert(format!("{words}{allowed}"));
    }

    /// The namespace that a reference of the store names.
    fn home(&self) -> Option<String> {
        self.is_cluster_wide().then(|| self.settings.namespace.clone())
    }

    /// A reference to the credential in `variable`: where it lies, or to `key` of the Secret `secret`, to which it is
    /// copied. `None` where it is not set.
    pub(super) fn selector(&mut self, variable: &str, secret: &str, key: &str) -> Option<SecretKeySelector> {
        let settings = self.settings;
        match settings.credential(variable)? {
            Credential::Secret(source) => Some(self.reference(source)),
            Credential::Plain(value) => {
                let copy = (variable.to_owned(), value.clone());
                self.copied.insert((secret.to_owned(), key.to_owned()), copy);
                let (name, key) = (Some(secret.to_owned()), Some(key.to_owned()));
                Some(SecretKeySelector { name, namespace: self.home(), key })
            }
        }
    }

    /// A reference to a key of a Secret in KES's namespace.
    pub(super) fn reference(&mut self, source: &SecretKey) -> SecretKeySelector {
        if !self.is_cluster_wide() {
            let (namespace, name) = (&self.settings.namespace, &source.name);
            self.remarks.insert(format!(
                "copy the Secret {namespace}/{name} to this namespace: a SecretStore can refer to no other"
            ));
        }
        let (name, key) = (Some(source.name.clone()), Some(source.key.clone()));
        SecretKeySelector { name, namespace: self.home(), key }
    }

    /// A reference to KES's service account. A SecretStore cannot have one, which is then among `notes`.
    pub(super) fn account(&mut self, account: &Account, notes: &mut Notes) -> Option<ServiceAccountSelector> {
        let full = format!("{}/{}", self.settings.namespace, account.name);
        if !self.is_cluster_wide() {
            let why = format!("KES logs in as its service account {full}, to which no SecretStore can refer");
            notes.refuse(why, "use --store-kind ClusterSecretStore, or write the SecretStore by hand");
            return None;
        }
        self.remarks.insert(format!("it logs in as KES's service account {full}: keep that when KES goes"));
        let (name, namespace) = (account.name.clone(), self.home());
        Some(ServiceAccountSelector { name, namespace, audiences: Vec::new() })
    }
}

/// The name of a store with this provider, the same for the same provider. `None`, and a reason among `notes`, where
/// the provider cannot be written, which only a mistake in its type can cause.
pub(super) fn store_name(backend: Backend, provider: &SecretStoreProvider, notes: &mut Notes) -> Option<String> {
    let Ok(mut value) = serde_json::to_value(provider) else {
        notes.refuse("its store cannot be written", "report it as a mistake of this program");
        return None;
    };
    // As it is written: a field that the type gets later changes no name.
    leave_out_defaults(&mut value);
    let hash: String =
        sha256(value.to_string().as_bytes())[..HASH_BYTES].iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("kes-{}-{hash}", backend.name().to_lowercase()))
}

/// Takes out of a provider what its type writes though it says nothing.
pub(crate) fn leave_out_defaults(provider: &mut Value) {
    let defaults = [
        ("tls", json!({})),
        ("readYourWrites", json!(false)),
        ("forwardInconsistent", json!(false)),
        ("sessionTagsPolicy", json!("None")),
        ("secretVersionSelectionPolicy", json!("LatestOrFail")),
    ];
    for slot in provider.as_object_mut().into_iter().flat_map(|slots| slots.values_mut()) {
        if let Value::Object(fields) = slot {
            fields.retain(|name, value| !defaults.iter().any(|(known, default)| known == name && default == value));
        }
    }
}

/// All stores so far.
#[derive(Default)]
pub(super) struct Stores {
    /// By namespace (of a SecretStore, where it is known) and name.
    drafts: BTreeMap<(Option<String>, String), Draft>,
}

/// A store, and who reads what of it.
struct Draft {
    backend: Backend,
    provider: SecretStoreProvider,
    remarks: BTreeSet<String>,
    copied: BTreeMap<(String, String), (String, SecretBytes)>,
    /// What the objects of each namespace read; under `None` of objects that name no namespace.
    read: BTreeMap<Option<String>, BTreeSet<Key>>,
}

/// All that is made of the stores.
#[derive(Default)]
pub(super) struct Finished {
    pub(super) stores: Vec<Store>,
    pub(super) policies: Vec<StorePolicy>,
    pub(super) secrets: Vec<Copied>,
    pub(super) reports: Vec<StoreReport>,
}

impl Stores {
    /// Takes note of an ExternalSecret, its store, and what it reads of it.
    pub(super) fn add(
        &mut self,
        made: &ExternalSecret,
        backend: Backend,
        provider: SecretStoreProvider,
        keys: BTreeSet<Key>,
        context: Context<'_>,
    ) {
        let Some(name) = made.spec.secret_store_ref.as_ref().and_then(|store| store.name.clone()) else { return };
        let home = if context.is_cluster_wide() { None } else { context.namespace.clone() };
        let new =
            || Draft { backend, provider, remarks: BTreeSet::new(), copied: BTreeMap::new(), read: BTreeMap::new() };
        let draft = self.drafts.entry((home, name)).or_insert_with(new);
        draft.remarks.extend(context.remarks);
        draft.copied.extend(context.copied);
        draft.read.entry(made.namespace()).or_default().extend(keys);
    }

    /// Makes the stores, and what belongs to them.
    pub(super) fn finish(self, input: &Input, settings: &Settings, options: &Options) -> Finished {
        let mut finished = Finished::default();
        let mut secrets: BTreeMap<(Option<String>, String), BTreeMap<String, SecretBytes>> = BTreeMap::new();
        for ((namespace, name), draft) in self.drafts {
            let is_cluster_wide = options.store_kind == SecretStoreKind::ClusterSecretStore;
            let home = if is_cluster_wide { Some(settings.namespace.clone()) } else { namespace.clone() };
            let mut remarks: Vec<String> = draft.remarks.iter().cloned().collect();
            for ((secret, key), (variable, value)) in &draft.copied {
                if options.include_credentials {
                    secrets.entry((home.clone(), secret.clone())).or_default().insert(key.clone(), value.clone());
                    continue;
                }
                let secret = full_name(home.as_deref(), secret);
                remarks.push(format!(
                    "make the Secret {secret} with the key {key}: the value of {variable}, which is written out in \
                     KES's settings (--include-credentials copies it)"
                ));
            }
            let conditions = if is_cluster_wide { draft.conditions(&mut remarks) } else { Vec::new() };
            draft.add_policy(&name, is_cluster_wide, input, settings, &mut remarks, &mut finished.policies);
            let is_for_all = is_cluster_wide && conditions.is_empty();
            finished.reports.push(StoreReport {
                kind: format!("{:?}", options.store_kind),
                namespace: namespace.clone(),
                name: name.clone(),
                namespaces: if is_for_all { Vec::new() } else { draft.readers() },
                remarks,
            });
            let spec = SecretStoreSpec { provider: draft.provider, conditions, ..SecretStoreSpec::default() };
            finished.stores.push(Store { name, kind: options.store_kind, namespace, spec });
        }
        let copied = secrets.into_iter().map(|((namespace, name), values)| Copied { namespace, name, values });
        finished.secrets = copied.collect();
        finished
    }
}

impl Draft {
    fn readers(&self) -> Vec<String> {
        self.read.keys().flatten().cloned().collect()
    }

    /// Which namespaces a ClusterSecretStore admits: those that read it, where all of them are known.
    fn conditions(&self, remarks: &mut Vec<String>) -> Vec<NamespaceCondition> {
        if self.read.contains_key(&None) {
            remarks.push(
                "objects that name no namespace read it, so that it admits all namespaces: give their namespace with \
                 --namespace"
                    .to_owned(),
            );
            return Vec::new();
        }
        vec![NamespaceCondition { namespaces: self.readers(), ..NamespaceCondition::default() }]
    }

    /// The StorePolicy that says what the readers' naming annotations say, where any has one.
    fn add_policy(
        &self,
        name: &str,
        is_cluster_wide: bool,
        input: &Input,
        settings: &Settings,
        remarks: &mut Vec<String>,
        policies: &mut Vec<StorePolicy>,
    ) {
        let mut rules = Vec::new();
        let mut is_needed = false;
        for (namespace, keys) in &self.read {
            let Some(namespace) = namespace else { continue };
            let found = input.around.namespaces.get(namespace);
            let permission = Permission::new(namespace, found, settings);
            let patterns = match permission.naming() {
                None => vec!["**".to_owned()],
                Some(expression) => {
                    is_needed = true;
                    admitted(namespace, expression, keys, remarks)
                }
            };
            for keys in patterns.chunks(MOST_IN_A_LIST) {
                let namespaces = PolicyNamespaces { names: vec![namespace.clone()], selector: None };
                rules.push(PolicyRule { namespaces: Some(namespaces), keys: keys.to_vec(), targets: Vec::new() });
            }
        }
        if !is_needed {
            return;
        }
        if !is_cluster_wide {
            let words =
                "the naming annotation of this namespace has no successor: a SecretStore is its namespace's own";
            remarks.push(format!("{words}. Bound its identity by {}'s own policies", self.backend.name()));
            return;
        }
        if self.read.contains_key(&None) {
            remarks.push("no StorePolicy is made, since some objects name no namespace".to_owned());
            return;
        }
        // Several policies allow what any of them allows.
        for (place, rules) in rules.chunks(MOST_IN_A_LIST).enumerate() {
            let own = if place == 0 { name.to_owned() } else { format!("{name}-{}", place + 1) };
            let stores = vec![PolicyStore { name: name.to_owned() }];
            policies.push(StorePolicy::new(&own, StorePolicySpec { stores, rules: rules.to_vec() }));
        }
    }
}

/// Patterns that admit what the whole expression admits, and what is read today.
fn admitted(namespace: &str, expression: &str, keys: &BTreeSet<Key>, remarks: &mut Vec<String>) -> Vec<String> {
    let mut patterns = key_patterns(expression).unwrap_or_default();
    if patterns.is_empty() {
        remarks.push(format!(
            "the naming annotation of {namespace} ({expression}) cannot be said by patterns: its StorePolicy admits \
             the keys that are read today"
        ));
    }
    let asking = Namespace { name: namespace.to_owned(), ..Namespace::default() };
    for key in keys {
        let (samples, pattern) = match key {
            Key::Exact(key) => (vec![key.clone()], key.clone()),
            Key::Below(folder) => (vec![format!("{folder}/a")], format!("{folder}/*")),
            Key::Anywhere(folder) => (vec![format!("{folder}/a"), format!("{folder}/a/b")], format!("{folder}/**")),
        };
        let is_admitted = |sample: &String| {
            let known = patterns.iter().filter_map(|pattern| KeyPattern::new(pattern).ok());
            known.into_iter().any(|pattern| pattern.matches(sample, &asking))
        };
        if samples.iter().all(is_admitted) {
            continue;
        }
        match KeyPattern::new(&pattern) {
            Ok(_) if matches!(key, Key::Exact(key) if key.contains(['*', '{', '}'])) => {
                remarks.push(format!("the StorePolicy cannot name the key {pattern}: {namespace} is denied it"));
            }
            Ok(_) => patterns.push(pattern),
            Err(_) => remarks.push(format!("the StorePolicy cannot name the key {pattern}: {namespace} is denied it")),
        }
    }
    patterns
}

//! A ClusterExternalSecret: the same ExternalSecret in every namespace that it selects.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Api;
use kube::api::{DeleteParams, PostParams, Preconditions};
use serde_json::{Value, json};
use strongroom_api::external_secrets::vocabulary::{annotation, condition, finalizer};
use strongroom_api::external_secrets::{
    ClusterCondition, ClusterExternalSecret, ClusterExternalSecretStatus, ExternalSecret, FailedNamespace,
};
use strongroom_api::label_selector;
use strongroom_failure::{Class, Failure};
use strongroom_kube::failure::failure;
use strongroom_kube::{WriteFailure, merge_patch, merge_patch_status};
use strongroom_policy::LabelSelector;
use strongroom_reconcile::Outcome;
use strongroom_sync::status::told;

use crate::index::{Key, Namespace};
use crate::names::Name;
use crate::operator::{FIELD_MANAGER, Operator, reference};

/// How often it is looked at where it does not say; changes of namespaces come at once.
const INTERVAL: Duration = Duration::from_secs(3600);

/// Looks at the ClusterExternalSecret `name` and makes what is missing.
pub(crate) async fn reconcile(operator: Arc<Operator>, name: Arc<str>) -> Outcome {
    let Some(object) = operator.index().cluster_external_secret(&name) else {
        operator.metrics.forget("clusterexternalsecret", None, &name);
        operator.forget_told(&Key::ClusterExternalSecret(Arc::clone(&name)));
        return Outcome::Done(None);
    };
    if operator.foreign().is_some() {
        return Outcome::Done(None);
    }
    let fan_out = FanOut { operator: &operator, object: &object, name: &name };
    if object.metadata.deletion_timestamp.is_some() {
        return fan_out.remove().await;
    }
    let start = std::time::Instant::now();
    let outcome = fan_out.spread().await;
    operator.metrics.reconciled("clusterexternalsecret", &object.metadata, start.elapsed());
    outcome
}

struct FanOut<'a> {
    operator: &'a Operator,
    object: &'a ClusterExternalSecret,
    name: &'a str,
}

impl FanOut<'_> {
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
        let spec = &self.object.spec;
        let selectors = spec.namespace_selectors.iter().chain(&spec.namespace_selector);
        let selectors: Vec<LabelSelector> = selectors.filter_map(|selector| label_selector(selector).ok()).collect();
        let is_selected = |name: &str, namespace: &Namespace| {
            let by_label = selectors.iter().any(|selector| selector.selects(&namespace.labels));
            (by_label || spec.namespaces.iter().any(|named| named == name)) && !namespace.is_ending
        };
        let all = self.operator.index().namespaces();
        let mut selected: Vec<Arc<str>> =
            all.into_iter().filter(|(name, namespace)| is_selected(name, namespace)).map(|(name, _)| name).collect();
        selected.sort();
        selected
    }

    /// Children in namespaces that are selected no more, and of former names.
    fn former(&self, selected: &[Arc<str>]) -> Vec<Name> {
        let mut children = self.operator.index().children_of(self.name);
        children.retain(|child| *child.name != *self.child_name() || !selected.contains(&child.namespace));
        children
    }

    /// Namespaces that are selected no more, or that end, with the finalizer that External Secrets Operator put on them.
    fn held_in_vain(&self, selected: &[Arc<str>]) -> Vec<Arc<str>> {
        let mark = self.mark();
        let mut held = self.operator.index().namespaces();
        held.retain(|(name, namespace)| namespace.finalizers.contains(&mark) && !selected.contains(name));
        held.into_iter().map(|(name, _)| name).collect()
    }

    /// The finalizer that External Secrets Operator puts on the namespaces that it selects.
    fn mark(&self) -> String {
        format!("{}{}", finalizer::NAMESPACE_PREFIX, self.name)
    }

    fn child_name(&self) -> &str {
        self.object.spec.external_secret_name.as_deref().unwrap_or(self.name)
    }

    async fn make(&self, namespace: &str) -> Result<(), Failure> {
        let wanted = self.child(namespace);
        let name = Name::new(namespace, self.child_name());
        let api: Api<ExternalSecret> = Api::namespaced(self.operator.connection.client(), namespace);
        let Some(current) = self.operator.index().external_secret(&name) else {
            let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), dry_run: false };
            return match api.create(&parameters, &wanted).await {
                Ok(_) => Ok(()),
                // The watch will tell which one it is.
                Err(kube::Error::Api(status)) if status.code == 409 => Err(self.taken()),
                Err(error) => Err(failure(&error, &format!("create ExternalSecret {name}"), &[])),
            };
        };
        if !self.is_mine(&current.metadata) {
            return Err(self.taken());
        }
        let Some(patch) = difference(&current, &wanted) else { return Ok(()) };
        match merge_patch(&api, self.child_name(), &patch, FIELD_MANAGER).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(failure.into_failure(&format!("write ExternalSecret {name}"))),
        }
    }

    fn taken(&self) -> Failure {
        let words =
            format!("external secret {} already exists in the namespace and belongs to others", self.child_name());
        Failure::new(Class::Invalid, words)
    }

    fn is_mine(&self, metadata: &ObjectMeta) -> bool {
        let owners = metadata.owner_references.iter().flatten();
        owners.into_iter().any(|owner| {
            owner.controller == Some(true) && owner.kind == "ClusterExternalSecret" && owner.name == self.name
        })
    }

    fn child(&self, namespace: &str) -> ExternalSecret {
        let metadata = self.object.spec.external_secret_metadata.clone().unwrap_or_default();
        let mut annotations = metadata.annotations;
        let own = self.object.metadata.annotations.as_ref();
        if let Some(value) = own.and_then(|annotations| annotations.get(annotation::FORCE_SYNC)) {
            annotations.insert(annotation::FORCE_SYNC.to_owned(), value.clone());
        }
        let mut child = ExternalSecret::new(self.child_name(), self.object.spec.external_secret_spec.clone());
        child.metadata.namespace = Some(namespace.to_owned());
        child.metadata.labels = filled(metadata.labels);
        child.metadata.annotations = filled(annotations);
        child.metadata.owner_references = Some(vec![OwnerReference {
            api_version: "external-secrets.io/v1".to_owned(),
            block_owner_deletion: Some(true),
            controller: Some(true),
            kind: "ClusterExternalSecret".to_owned(),
            name: self.name.to_owned(),
            uid: self.object.metadata.uid.clone().unwrap_or_default(),
        }]);
        child
    }

    /// Deletes a child that is wanted no more.
    async fn take_back(&self, name: &Name) -> Result<(), Failure> {
        let current = self.operator.index().external_secret(name);
        if let Some(current) = current.filter(|current| self.is_mine(&current.metadata)) {
            let only = Preconditions { uid: current.metadata.uid.clone(), resource_version: None };
            let parameters = DeleteParams { preconditions: Some(only), ..DeleteParams::default() };
            let api: Api<ExternalSecret> = Api::namespaced(self.operator.connection.client(), &name.namespace);
            match api.delete(&name.name, &parameters).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => {}
                Err(error) => return Err(failure(&error, &format!("delete ExternalSecret {name}"), &[])),
            }
        }
        Ok(())
    }

    async fn release(&self, namespace: &str) -> Result<(), Failure> {
        let mark = self.mark();
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
        let finalizers = self.object.metadata.finalizers.clone().unwrap_or_default();
        if !finalizers.iter().any(|name| name == finalizer::CLUSTER_EXTERNAL_SECRET) {
            return Outcome::Done(None);
        }
        let namespaces = self.operator.index().namespaces();
        for (namespace, _) in namespaces {
            if let Err(failure) = self.release(&namespace).await {
                tracing::warn!(%namespace, %failure, "a finalizer of a ClusterExternalSecret could not be taken off");
                return Outcome::Failed(None);
            }
        }
        let others: Vec<&String> =
            finalizers.iter().filter(|name| *name != finalizer::CLUSTER_EXTERNAL_SECRET).collect();
        let version = self.object.metadata.resource_version.clone();
        let patch = json!({ "metadata": { "finalizers": others, "resourceVersion": version } });
        let api: Api<ClusterExternalSecret> = Api::all(self.operator.connection.client());
        match merge_patch(&api, self.name, &patch, FIELD_MANAGER).await {
            Ok(_) | Err(WriteFailure::NotFound) => Outcome::Done(None),
            Err(_) => Outcome::Failed(None),
        }
    }

    async fn tell(&self, provisioned: Vec<String>, failed: Vec<FailedNamespace>, message: Option<String>) -> Outcome {
        let is_ready = message.is_none();
        let status = if is_ready { "True" } else { "False" };
        self.operator.metrics.condition("clusterexternalsecret", &self.object.metadata, condition::READY, status);
        let about = reference("external-secrets.io/v1", "ClusterExternalSecret", &self.object.metadata);
        let words = message.as_ref().map(|message| told_namespaces(message, &failed));
        self.operator.tell(&Key::ClusterExternalSecret(self.name.into()), &about, "NotReady", words.as_deref());
        let next = ClusterExternalSecretStatus {
            external_secret_name: Some(self.child_name().to_owned()),
            failed_namespaces: failed,
            provisioned_namespaces: provisioned,
            conditions: vec![ClusterCondition {
                kind: condition::READY.to_owned(),
                status: status.to_owned(),
                message,
            }],
        };
        let done = if is_ready { Outcome::Done(Some(self.interval())) } else { Outcome::Failed(None) };
        if self.object.status.as_ref() == Some(&next) {
            return done;
        }
        let api: Api<ClusterExternalSecret> = Api::all(self.operator.connection.client());
        match merge_patch_status(&api, self.name, &whole(&next), FIELD_MANAGER).await {
            Ok(_) | Err(WriteFailure::NotFound) => done,
            Err(_) => Outcome::Failed(None),
        }
    }

    fn interval(&self) -> Duration {
        let own = self.object.spec.refresh_interval.as_ref().and_then(|interval| interval.duration().ok());
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

/// The whole status, with nothing left over of the one before.
fn whole(status: &ClusterExternalSecretStatus) -> Value {
    json!({
        "externalSecretName": status.external_secret_name,
        "failedNamespaces": status.failed_namespaces,
        "provisionedNamespaces": status.provisioned_namespaces,
        "conditions": status.conditions,
    })
}

fn filled(texts: BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!texts.is_empty()).then_some(texts)
}

/// What must change of a child: its spec, labels and annotations are those that are asked for, and no others.
fn difference(current: &ExternalSecret, wanted: &ExternalSecret) -> Option<Value> {
    let mut patch = json!({});
    let defaulted = with_defaults(wanted);
    if with_defaults(current) != defaulted {
        patch["spec"] = replaced(&json!(current.spec), &json!(wanted.spec));
    }
    for (part, has, wants) in [
        ("labels", &current.metadata.labels, &wanted.metadata.labels),
        ("annotations", &current.metadata.annotations, &wanted.metadata.annotations),
    ] {
        let (has, wants) = (has.clone().unwrap_or_default(), wants.clone().unwrap_or_default());
        if has != wants {
            patch["metadata"][part] = replaced(&json!(has), &json!(wants));
        }
    }
    (patch != json!({})).then_some(patch)
}

/// The spec with what the API server fills in, so that a default is no difference.
fn with_defaults(object: &ExternalSecret) -> strongroom_api::external_secrets::ExternalSecretSpec {
    let mut spec = object.spec.clone();
    spec.refresh_interval.get_or_insert_with(|| "1h0m0s".into());
    let target = spec.target.get_or_insert_default();
    target.creation_policy.get_or_insert_default();
    target.deletion_policy.get_or_insert_default();
    if let Some(template) = &mut target.template {
        template.engine_version.get_or_insert_default();
        template.merge_policy.get_or_insert_default();
        for from in &mut template.template_from {
            from.target.get_or_insert_with(|| "Data".to_owned());
            for source in from.config_map.iter_mut().chain(&mut from.secret) {
                for item in &mut source.items {
                    item.template_as.get_or_insert_default();
                }
            }
        }
    }
    spec
}

/// A merge patch that makes `next` of `before`: what is not in it any more is null.
fn replaced(before: &Value, next: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (before, next) else { return next.clone() };
    let gone = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let kept = new
        .iter()
        .map(|(key, value)| (key.clone(), old.get(key).map_or_else(|| value.clone(), |old| replaced(old, value))));
    Value::Object(gone.chain(kept).collect())
}

//! secret-operator: a rotation that a queue of SQS tells of rolls the workloads that a SecretsRotationMapping maps (SO-01,
//! SO-02).
//!
//! What becomes of a message is decided in `core/event`; here the queue is read, workloads are listed by their labels,
//! and their pod templates get the label. A message is deleted after all were rolled, and the label's value is the time
//! of the event: who is killed in between and gets the message again rolls those that are left and nobody twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::api::{Api, ListParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use strongroom_api::secret_operator::SecretsRotationMapping;
use strongroom_aws::{Queue, QueueMessage};
use strongroom_event::secret_operator::{Decision, Mapping, Workload, rolls, told_at};
use strongroom_failure::{Class, Failure};
use strongroom_kube::failure::failure;
use strongroom_kube::{WriteFailure, merge_patch};
use tokio::task::JoinSet;

use crate::events::open_queue;
use crate::operator::Operator;
use crate::retry::again_and_again;

/// Who writes the label.
const FIELD_MANAGER: &str = "strongroom-secret-operator";

/// The flag, and the variable that secret-operator has it in.
const FLAG: &str = "--secret-operator-queue-url";
const VARIABLE: &str = "SECRETS_SQS_QUEUE_URL";

/// Objects in one page of a list.
const PAGE: u32 = 500;

/// Reads the queue while its task lives, where one is named; dropping what it gives ends that.
///
/// # Errors
/// Where the queue's address is none.
pub(crate) fn follow(operator: &Arc<Operator>) -> Result<JoinSet<()>, Failure> {
    let mut tasks = JoinSet::new();
    let named = operator.settings.events.secret_operator_queue_url.clone();
    let named = named.or_else(|| operator.variables.get(VARIABLE).cloned()).filter(|url| !url.is_empty());
    if let Some(url) = named {
        let queue = open_queue(operator, &url).map_err(|failure| failure.in_field(FLAG))?;
        tasks.spawn(listen(Arc::clone(operator), queue, url));
    }
    Ok(tasks)
}

async fn listen(operator: Arc<Operator>, queue: Queue, url: String) {
    tracing::info!(queue = url, "rolling workloads that SecretsRotationMappings map");
    let tell = |failure: &Failure, is_news: bool| {
        if is_news {
            tracing::warn!(queue = url, %failure, hint = failure.hint, "rotations cannot be followed; trying again");
        }
    };
    again_and_again(|| once(&operator, &queue), tell).await;
}

/// Takes what is in the queue and does what it says.
async fn once(operator: &Operator, queue: &Queue) -> Result<(), Failure> {
    let messages = queue.receive().await?;
    if messages.is_empty() {
        return Ok(());
    }
    let mappings = mappings(operator).await?;
    let (mut settled, mut ended) = (Vec::new(), Ok(()));
    for message in messages {
        match follow_message(operator, &mappings, &message).await {
            Ok(true) => settled.push(message),
            Ok(false) => {}
            // It comes again; what was done before it must not.
            Err(failure) => ended = Err(failure),
        }
    }
    let deleted = if settled.is_empty() { Ok(()) } else { queue.delete(&settled).await };
    ended.and(deleted)
}

/// Does what one message says; whether it is settled.
async fn follow_message(operator: &Operator, mappings: &[Mapping], message: &QueueMessage) -> Result<bool, Failure> {
    let body = message.body.as_bytes();
    match rolls(mappings, body) {
        Decision::Leave => return Ok(false),
        Decision::Delete => {}
        Decision::Refuse(failure) => {
            tracing::warn!(reason = failure.words, "a message cannot be read; it is dropped");
        }
        Decision::Roll(sets) => {
            let at = told_at(body).unwrap_or_else(|| Timestamp::now().as_second());
            for labels in &sets {
                roll(operator, labels, at).await?;
            }
        }
    }
    Ok(true)
}

/// All mappings. Rotations are rare: they are listed for each batch of messages, and not watched.
async fn mappings(operator: &Operator) -> Result<Vec<Mapping>, Failure> {
    let found = list::<SecretsRotationMapping>(operator, None).await?;
    let mapping =
        |object: SecretsRotationMapping| Mapping { secret_id: object.spec.secret_id, labels: object.spec.labels };
    Ok(found.into_iter().map(mapping).collect())
}

/// Rolls every workload whose own labels are these, in all namespaces that are served.
async fn roll(operator: &Operator, labels: &BTreeMap<String, String>, at: i64) -> Result<(), Failure> {
    let selector: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let selector = selector.join(",");
    roll_kind::<Deployment>(operator, &selector, Workload::Deployment, at).await?;
    roll_kind::<DaemonSet>(operator, &selector, Workload::DaemonSet, at).await?;
    roll_kind::<StatefulSet>(operator, &selector, Workload::StatefulSet, at).await
}

async fn roll_kind<K>(operator: &Operator, selector: &str, kind: Workload, at: i64) -> Result<(), Failure>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Templated
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let label = kind.label();
    let patch: Value = json!({"spec": {"template": {"metadata": {"labels": {label: at.to_string()}}}}});
    for object in list::<K>(operator, Some(selector)).await? {
        let rolled = object.template_labels().and_then(|labels| labels.get(label)?.parse::<i64>().ok());
        if rolled.is_some_and(|rolled| rolled >= at) {
            continue;
        }
        let metadata = object.meta();
        let (Some(namespace), Some(name)) = (&metadata.namespace, &metadata.name) else { continue };
        let api: Api<K> = Api::namespaced(operator.connection.client(), namespace);
        match merge_patch(&api, name, &patch, FIELD_MANAGER).await {
            Ok(_) => tracing::info!(kind = ?kind, namespace, name, "rolled, since its secret was rotated"),
            // It was deleted meanwhile.
            Err(WriteFailure::NotFound) => {}
            Err(failure) => return Err(failure.into_failure(&format!("roll {kind:?} {namespace}/{name}"))),
        }
    }
    Ok(())
}

/// All objects of a kind in the namespaces that are served, with labels that `selector` selects.
async fn list<K>(operator: &Operator, selector: Option<&str>) -> Result<Vec<K>, Failure>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let (client, namespaces) = (operator.connection.client(), &operator.settings.namespaces);
    let apis: Vec<Api<K>> = match namespaces.is_empty() {
        true => vec![Api::all(client)],
        false => namespaces.iter().map(|namespace| Api::namespaced(client.clone(), namespace)).collect(),
    };
    let asked = format!("list {}", K::plural(&()));
    let mut found = Vec::new();
    for api in apis {
        let mut parameters = ListParams { limit: Some(PAGE), ..ListParams::default() };
        parameters.label_selector = selector.map(str::to_owned);
        loop {
            let page = api.list(&parameters).await.map_err(|error| match failure(&error, &asked, &[]) {
                failure if failure.class == Class::NotFound => {
                    failure.with_hint("install deploy/crds/secret-operator.yaml")
                }
                failure => failure,
            })?;
            parameters.continue_token = page.metadata.continue_.filter(|token| !token.is_empty());
            found.extend(page.items.into_iter().filter(|object| is_served(operator, object.meta())));
            if parameters.continue_token.is_none() {
                break;
            }
        }
    }
    Ok(found)
}

/// Whether the object's namespace is served: where a selector chooses them, only those are known.
fn is_served(operator: &Operator, metadata: &ObjectMeta) -> bool {
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    operator.settings.namespace_selector.is_none() || operator.index().namespace(namespace).is_some()
}

/// A workload with a pod template.
trait Templated {
    fn template_labels(&self) -> Option<&BTreeMap<String, String>>;
}

impl Templated for Deployment {
    fn template_labels(&self) -> Option<&BTreeMap<String, String>> {
        self.spec.as_ref()?.template.metadata.as_ref()?.labels.as_ref()
    }
}

impl Templated for DaemonSet {
    fn template_labels(&self) -> Option<&BTreeMap<String, String>> {
        self.spec.as_ref()?.template.metadata.as_ref()?.labels.as_ref()
    }
}

impl Templated for StatefulSet {
    fn template_labels(&self) -> Option<&BTreeMap<String, String>> {
        self.spec.as_ref()?.template.metadata.as_ref()?.labels.as_ref()
    }
}

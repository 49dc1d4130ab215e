//! A SecretStore or ClusterSecretStore, looked at: can it be opened, and does its system know us?

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Api;
use serde_json::json;
use strongroom_api::external_secrets::vocabulary::{condition, reason};
use strongroom_api::external_secrets::{ClusterSecretStore, SecretStore, SecretStoreStatus};
use strongroom_failure::{Class, Failure};
use strongroom_kube::{EventKind, WriteFailure, merge_patch_status};
use strongroom_provider::Validation;
use strongroom_reconcile::Outcome;
use strongroom_resolve::Lane;
use strongroom_sync::status::{set_condition, stating, told};

use crate::eso::stores;
use crate::index::{Key, Store};
use crate::names::StoreName;
use crate::operator::{FIELD_MANAGER, Operator, reference};
use crate::reader::Reader;

/// How long a store may take to say whether it knows us.
const VALIDATION_LIMIT: Duration = Duration::from_secs(30);

/// What is told of a cluster store that cannot be tried for nobody.
const BY_ASKER: &str = "the store logs in as each namespace that uses it";

/// What was found out about a store.
struct Finding {
    status: &'static str,
    reason: &'static str,
    message: String,
    /// Whether it is worth looking again soon.
    can_retry: bool,
}

/// Looks at the store `name`, and says in its status how it stands.
pub(crate) async fn reconcile(operator: Arc<Operator>, name: StoreName) -> Outcome {
    let kind = if name.namespace.is_some() { "secretstore" } else { "clustersecretstore" };
    let Some(store) = operator.index().store(&name) else {
        operator.openings.close(&name);
        operator.forget_told(&Key::Store(name.clone()));
        operator.metrics.forget(kind, name.namespace.as_deref(), &name.name);
        return Outcome::Done(None);
    };
    let is_off = name.namespace.is_some() && !operator.settings.enable_secret_store_reconciler;
    let is_another = !operator.serves(&name) || !operator.is_ours(store.spec.controller.as_deref());
    if is_off || is_another || operator.foreign().is_some() || store.metadata.deletion_timestamp.is_some() {
        return Outcome::Done(None);
    }
    let start = std::time::Instant::now();
    let finding = look(&operator, &store).await;
    operator.metrics.reconciled(kind, &store.metadata, start.elapsed());
    operator.metrics.condition(kind, &store.metadata, condition::READY, finding.status);
    let about = reference("external-secrets.io/v1", name.kind(), &store.metadata);
    let is_failed = finding.status == "False";
    operator.tell(&Key::Store(name.clone()), &about, finding.reason, is_failed.then_some(&finding.message));
    match tell(&operator, &store, &finding).await {
        Ok(false) => {}
        Ok(true) if is_failed => {}
        Ok(true) => operator.recorder.record(&about, EventKind::Normal, finding.reason, &finding.message),
        Err(failure) => {
            tracing::warn!(store = %name, %failure, "cannot write the status of a store");
            return Outcome::failed(None);
        }
    }
    if is_failed && finding.can_retry {
        Outcome::failed(None)
    } else {
        Outcome::Done(Some(interval(&operator, &store)))
    }
}

async fn look(operator: &Operator, store: &Arc<Store>) -> Finding {
    let problems = store.spec.problems();
    if !problems.is_empty() {
        return refused(reason::INVALID_STORE, &problems);
    }
    // A cluster store is looked at for nobody: what it would look up in its asker's namespace stays unknown.
    let asker = store.name.namespace.as_deref().unwrap_or_default();
    let lane = match operator.lane(store, asker).await {
        Ok(lane) => lane,
        Err(_) if depends_on_asker(operator, store).await => return unknown(BY_ASKER),
        Err(failure) => return not_opened(failure),
    };
    match validate(&lane).await {
        Ok(Validation::Valid) => {
            Finding { status: "True", reason: reason::VALID, message: "store validated".to_owned(), can_retry: false }
        }
        Ok(Validation::Unknown) => unknown("whether the store can be used shows when it is read"),
        // Tokens of accounts are asked for only now.
        Err(_) if depends_on_asker(operator, store).await => unknown(BY_ASKER),
        Err(failure) => Finding { can_retry: true, ..refused(reason::VALIDATION_FAILED, &[failure]) },
    }
}

/// Whether it is a cluster store that looks anything up in the namespace of who uses it.
async fn depends_on_asker(operator: &Operator, store: &Store) -> bool {
    if store.name.namespace.is_some() {
        return false;
    }
    let reader = Reader::new(operator.connection.clone(), Arc::clone(&operator.variables));
    let scope = operator.scope(&store.name, "", reader);
    // Why it cannot be opened for nobody is known.
    let _ = stores::open(&store.spec.provider, &scope).await;
    scope.depends_on_asker()
}

/// Whether the store knows us, within a limit of time.
///
/// # Errors
/// What the store said, or that it said nothing.
pub(crate) async fn validate(lane: &Lane) -> Result<Validation, Failure> {
    let validated = tokio::time::timeout(VALIDATION_LIMIT, lane.provider().validate()).await;
    validated.unwrap_or_else(|_| {
        let words = format!("no answer within {} s", VALIDATION_LIMIT.as_secs());
        Err(Failure::new(Class::Unavailable, words).from_store(lane.provider().describe()))
    })
}

fn not_opened(failure: Failure) -> Finding {
    let can_retry = failure.class != Class::Invalid;
    Finding { can_retry, ..refused(reason::INVALID_PROVIDER, &[failure]) }
}

fn refused(reason: &'static str, failures: &[Failure]) -> Finding {
    Finding { status: "False", reason, message: told(failures), can_retry: false }
}

fn unknown(message: &str) -> Finding {
    Finding { status: "True", reason: reason::VALIDATION_UNKNOWN, message: message.to_owned(), can_retry: false }
}

/// How long until it is looked at again, a tenth more or less, so that stores do not fall due together.
fn interval(operator: &Operator, store: &Store) -> Duration {
    let own = store.spec.refresh_interval.as_ref().and_then(|interval| interval.duration().ok().flatten());
    own.unwrap_or(operator.settings.store_requeue_interval).mul_f64(0.9 + fastrand::f64() / 5.0)
}

/// Writes the status where it says something new; whether it did.
async fn tell(operator: &Operator, store: &Store, finding: &Finding) -> Result<bool, Failure> {
    let before = store.status.clone().unwrap_or_default();
    let capabilities = Some(stores::capabilities(&store.spec.provider));
    let mut next = SecretStoreStatus { capabilities, ..before.clone() };
    let ready = stating(condition::READY, finding.status, finding.reason, finding.message.clone());
    set_condition(&mut next.conditions, ready, Timestamp::now());
    if next == before {
        return Ok(false);
    }
    let patch = json!({ "conditions": next.conditions, "capabilities": next.capabilities });
    let client = operator.connection.client();
    let written = match &store.name.namespace {
        Some(namespace) => {
            let api: Api<SecretStore> = Api::namespaced(client, namespace);
            merge_patch_status(&api, &store.name.name, &patch, FIELD_MANAGER).await
        }
        None => {
            let api: Api<ClusterSecretStore> = Api::all(client);
            merge_patch_status(&api, &store.name.name, &patch, FIELD_MANAGER).await
        }
    };
    match written {
        Ok(_) => {
            // Whoever waits for the store goes on now, not when the echo comes.
            operator.learn(|index| index.note_store_status(&store.name, next));
            Ok(true)
        }
        Err(WriteFailure::NotFound) => Ok(false),
        Err(failure) => Err(failure.into_failure(&format!("write the status of {}", store.name))),
    }
}

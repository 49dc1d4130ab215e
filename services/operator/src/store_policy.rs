//! A StorePolicy, looked at: its status says whether all of it can be understood.

use std::sync::Arc;

use jiff::Timestamp;
use kube::Api;
use serde_json::json;
use strongroom_api::StorePolicy;
use strongroom_api::external_secrets::Condition;
use strongroom_api::external_secrets::vocabulary::condition;
use strongroom_failure::Failure;
use strongroom_kube::{WriteFailure, merge_patch_status};
use strongroom_reconcile::Outcome;
use strongroom_sync::status::{set_condition, stating, told};

use crate::index::Key;
use crate::operator::{FIELD_MANAGER, Operator, reference};

/// Looks at the policy `name`, and says in its status how it stands. What it allows is decided elsewhere and at once.
pub(crate) async fn reconcile(operator: Arc<Operator>, name: Arc<str>) -> Outcome {
    let key = Key::StorePolicy(Arc::clone(&name));
    let Some(object) = operator.index().store_policy(&name) else {
        operator.forget_told(&key);
        return Outcome::Done(None);
    };
    if operator.foreign().is_some() || object.metadata.deletion_timestamp.is_some() {
        return Outcome::Done(None);
    }
    let ready = ready(object.policy().problems());
    let about = reference("strongroom.dev/v1alpha1", "StorePolicy", &object.metadata);
    let reason = ready.reason.as_deref().unwrap_or_default();
    let words = ready.message.as_deref().filter(|_| ready.status == "False");
    operator.tell(&key, &about, reason, words);
    match tell(&operator, &name, &object, ready).await {
        Ok(()) => Outcome::Done(None),
        Err(failure) => {
            tracing::warn!(policy = &*name, %failure, "cannot write the status of a StorePolicy");
            Outcome::failed(None)
        }
    }
}

fn ready(problems: &[Failure]) -> Condition {
    let (status, reason, message) = match problems {
        [] => ("True", "Valid", "every part of the policy is understood".to_owned()),
        problems => ("False", "Invalid", format!("what is not understood allows nothing: {}", told(problems))),
    };
    stating(condition::READY, status, reason, message)
}

/// Writes the status where it says something new.
async fn tell(operator: &Operator, name: &str, object: &StorePolicy, ready: Condition) -> Result<(), Failure> {
    let before = object.status.clone().unwrap_or_default();
    let mut next = before.clone();
    set_condition(&mut next.conditions, ready, Timestamp::now());
    if next == before {
        return Ok(());
    }
    let api: Api<StorePolicy> = Api::all(operator.connection.client());
    let patch = json!({ "conditions": next.conditions });
    match merge_patch_status(&api, name, &patch, FIELD_MANAGER).await {
        Ok(_) | Err(WriteFailure::NotFound) => Ok(()),
        Err(failure) => Err(failure.into_failure(&format!("write the status of StorePolicy {name}"))),
    }
}

//! Another controller on the same objects: two would overwrite one another for ever, so the one that comes later waits.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use strongroom_kube::{EventKind, Presence, deployments_available, lease_held};

use crate::operator::Operator;

/// The Lease of External Secrets Operator.
const LEASE: &str = "external-secrets-controller";

/// The labels of its controller's Deployment, in its own chart.
const DEPLOYMENT: &str = "app.kubernetes.io/name=external-secrets";

/// How often is looked: what somebody starts by mistake is noticed within a minute.
const EVERY: Duration = Duration::from_secs(30);

/// The labels of the Deployment of kubernetes-external-secrets, in its own chart. It has no Lease.
const KES_DEPLOYMENT: &str = "app.kubernetes.io/name=kubernetes-external-secrets";

/// The label of the Deployment of cmattoon/aws-ssm, in its own chart, and the name of its image: the label alone is one
/// that others may have. It has no Lease.
const AWS_SSM_DEPLOYMENT: &str = "app=aws-ssm";
const AWS_SSM_IMAGE: &str = "aws-ssm";

/// The labels of the Deployment of Kamus' controller, in its own chart. It has no Lease.
const KAMUS_DEPLOYMENT: &str = "app=kamus,component=controller";

/// The label of the Deployment of stakater's Reloader where its chart puts one, and the name of its image.
const RELOADER_DEPLOYMENT: &str = "app.kubernetes.io/name=reloader";
const RELOADER_IMAGE: &str = "reloader";

/// How another controller is recognised.
#[derive(Clone, Copy)]
struct Signs {
    lease: Option<&'static str>,
    deployment: &'static str,
    image: Option<&'static str>,
}

/// Looks once, and pauses or resumes the work by what was seen.
pub(crate) async fn look(operator: &Operator) {
    if operator.settings.take_over {
        return;
    }
    let signs = |deployment| Signs { lease: None, deployment, image: None };
    let of_eso = Signs { lease: Some(LEASE), ..signs(DEPLOYMENT) };
    let is_gone = note(operator, &operator.foreign, of_eso).await;
    // Where its objects are not served, it may go on.
    let is_kes_served = operator.kes.is_served.load(Ordering::Relaxed);
    let is_kes_gone = is_kes_served && note(operator, &operator.kes.foreign, signs(KES_DEPLOYMENT)).await;
    let of_aws_ssm = Signs { image: Some(AWS_SSM_IMAGE), ..signs(AWS_SSM_DEPLOYMENT) };
    let is_aws_ssm_gone = operator.aws_ssm.is_served && note(operator, &operator.aws_ssm.foreign, of_aws_ssm).await;
    let is_kamus_served = operator.kamus.is_served();
    let is_kamus_gone = is_kamus_served && note(operator, &operator.kamus.foreign, signs(KAMUS_DEPLOYMENT)).await;
    if is_gone || is_kes_gone || is_aws_ssm_gone || is_kamus_gone {
        operator.learn(|index| index.everything());
    }
}

/// Notes in `known` who was seen; whether nobody is there any more who was.
async fn note(operator: &Operator, known: &RwLock<Option<String>>, signs: Signs) -> bool {
    let before = known.read().unwrap_or_else(PoisonError::into_inner).clone();
    // What was known stays known while the API server is away.
    let Some(seen) = seen(operator, signs).await.filter(|seen| *seen != before) else { return false };
    match &seen {
        Some(who) => {
            tracing::error!(who, "another controller serves the same objects; nothing is written until it is gone");
            let words = format!("{who} serves the same objects; scale it to zero, or start with --take-over");
            tell(operator, &words);
        }
        None => tracing::info!("the other controller is gone"),
    }
    let is_gone = seen.is_none();
    *known.write().unwrap_or_else(PoisonError::into_inner) = seen;
    is_gone
}

/// Looks again and again.
pub(crate) async fn keep_looking(operator: Arc<Operator>) {
    look_for_reloader(&operator).await;
    loop {
        tokio::time::sleep(EVERY).await;
        look(&operator).await;
    }
}

/// Looks once whether Reloader restarts the same workloads: with it each change restarts twice, which harms nobody enough
/// to wait for.
async fn look_for_reloader(operator: &Operator) {
    if operator.settings.restarts.restarts.scope().is_none() {
        return;
    }
    let labelled = Signs { lease: None, deployment: RELOADER_DEPLOYMENT, image: None };
    // Its charts of other years have other labels.
    let by_image = Signs { deployment: "", image: Some(RELOADER_IMAGE), ..labelled };
    for signs in [labelled, by_image] {
        if let Some(Some(who)) = seen(operator, signs).await {
            tracing::warn!(who, "Reloader restarts workloads too: each change restarts them twice; scale it to zero");
            let words = format!("{who} restarts workloads too; scale it to zero, or start with --restarts=off");
            tell(operator, &words);
            return;
        }
    }
}

/// Who is at work on our objects, in words for people; nothing where that cannot be told now.
async fn seen(operator: &Operator, signs: Signs) -> Option<Option<String>> {
    let client = operator.connection.client();
    let held = match signs.lease {
        Some(lease) => lease_held(&client, &[lease], Timestamp::now()).await,
        None => Ok(Presence::Absent),
    };
    let running = deployments_available(&client, signs.deployment, signs.image).await;
    for presence in [held, running] {
        match presence {
            Ok(Presence::Live(who)) => return Some(Some(who)),
            Ok(Presence::Absent | Presence::Unknown(_)) => {}
            Err(_) => return None,
        }
    }
    Some(None)
}

/// One event on our own pod, where we know it.
fn tell(operator: &Operator, words: &str) {
    let (Some(name), Some(namespace)) = (operator.variables.get("POD_NAME"), operator.variables.get("POD_NAMESPACE"))
    else {
        return;
    };
    let pod = ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Pod".to_owned()),
        name: Some(name.clone()),
        namespace: Some(namespace.clone()),
        ..ObjectReference::default()
    };
    operator.recorder.record(&pod, EventKind::Warning, "ForeignController", words);
}

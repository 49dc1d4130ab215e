//! secret-operator ("aws-secret-operator" of the sidecar injector's authors): a rotation that SQS tells of rolls the
//! workloads that a `SecretsRotationMapping` maps (SO-01, SO-02).
//!
//! As there: the label on the pod template, misspelt; workloads by their own labels, in all namespaces; a message about
//! a secret that nobody maps stays in the queue. Otherwise than there: a secret's ARN and its name are the same secret;
//! the end of a rotation counts too; one read of the queue serves all mappings; a message that cannot be read is
//! deleted instead of ending the program; and a mapping without labels rolls nothing instead of everything.

use std::collections::BTreeMap;

use strongroom_failure::Failure;
use strongroom_reference::ProviderKind;

use crate::{Happening, Place, aws};

/// The label on a Deployment's pod template, whose value is the time in seconds since 1970.
pub const DEPLOYMENT_LABEL: &str = "aws-secrets-controller-redeloyed";

/// The same on a DaemonSet's and a StatefulSet's.
pub const OTHERS_LABEL: &str = "aws-secrets-operator-redeloyed";

/// Which workloads use a secret: what a `SecretsRotationMapping` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// `spec.SecretID`: a name or an ARN.
    pub secret_id: String,
    /// `spec.Labels`: what a workload's own labels must all have.
    pub labels: BTreeMap<String, String>,
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The workloads with all labels of one of these sets are rolled, then the message is deleted.
    Roll(Vec<BTreeMap<String, String>>),
    /// It is deleted: it tells of nothing that anybody waits for.
    Delete,
    /// It stays: it is about a secret that nobody maps yet.
    Leave,
    /// It is deleted, with a warning that says why.
    Refuse(Failure),
}

/// Kinds of workloads that are rolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// apps/v1 Deployment.
    Deployment,
    /// apps/v1 DaemonSet.
    DaemonSet,
    /// apps/v1 StatefulSet.
    StatefulSet,
}

impl Workload {
    /// The label that is set on its pod template.
    pub fn label(self) -> &'static str {
        match self {
            Self::Deployment => DEPLOYMENT_LABEL,
            Self::DaemonSet | Self::StatefulSet => OTHERS_LABEL,
        }
    }
}

/// What becomes of a message whose body this is, and which workloads are rolled for it.
pub fn rolls(mappings: &[Mapping], body: &[u8]) -> Decision {
    let change = match aws::parse(body) {
        Ok(Some(change)) if change.provider == ProviderKind::AwsSecretsManager => change,
        Ok(_) => return Decision::Delete,
        Err(failure) => return Decision::Refuse(failure),
    };
    // A description that is new, or a secret that is gone, is no reason to restart anything.
    if change.happening != Happening::Written {
        return Decision::Delete;
    }
    let place = Place::of(ProviderKind::AwsSecretsManager);
    let mapped: Vec<&Mapping> =
        mappings.iter().filter(|mapping| change.is_read_as(&mapping.secret_id, &place)).collect();
    if mapped.is_empty() {
        return Decision::Leave;
    }
    let mut labels: Vec<BTreeMap<String, String>> =
        mapped.iter().map(|mapping| mapping.labels.clone()).filter(|labels| !labels.is_empty()).collect();
    labels.sort_unstable();
    labels.dedup();
    Decision::Roll(labels)
}

/// Whether a workload with `own` labels is rolled for one of the sets of [`Decision::Roll`].
pub fn is_rolled(own: &BTreeMap<String, String>, sets: &[BTreeMap<String, String>]) -> bool {
    sets.iter().any(|set| !set.is_empty() && set.iter().all(|(name, value)| own.get(name) == Some(value)))
}

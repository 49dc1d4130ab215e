//! What is counted.

use strongroom_telemetry::{Counters, Metrics as Registry};

use crate::names::Name;

/// How a synchronisation ends.
#[derive(Clone, Copy)]
pub(super) enum Ending {
    Success,
    Error,
    /// No StorePolicy allows it.
    Refused,
}

impl Ending {
    const ALL: [Self; 3] = [Self::Success, Self::Error, Self::Refused];

    fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Error => "error",
            Self::Refused => "refused",
        }
    }
}

pub(super) struct Metrics {
    synced: Counters,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let labels = &["name", "namespace", "status"];
        let help = "Synchronisations of Secrets with annotations of aws-ssm, by how they ended";
        Self { synced: registry.counters("strongroom_aws_ssm_syncs_total", help, labels) }
    }

    pub(super) fn ended(&self, name: &Name, ending: Ending) {
        self.synced.increment(&[&name.name, &name.namespace, ending.name()]);
    }

    pub(super) fn forget(&self, name: &Name) {
        for ending in Ending::ALL {
            self.synced.remove(&[&name.name, &name.namespace, ending.name()]);
        }
    }
}

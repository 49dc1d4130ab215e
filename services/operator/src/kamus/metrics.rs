//! What is counted.

use strongroom_telemetry::{Counters, Metrics as Registry};

use crate::names::Name;

const ENDINGS: [&str; 2] = ["success", "error"];

pub(super) struct Metrics {
    synced: Counters,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let labels = &["name", "namespace", "status"];
        let help = "Synchronisations of KamusSecrets, by how they ended";
        Self { synced: registry.counters("strongroom_kamus_syncs_total", help, labels) }
    }

    pub(super) fn ended(&self, name: &Name, is_success: bool) {
        self.synced.increment(&[&name.name, &name.namespace, ENDINGS[usize::from(!is_success)]]);
    }

    pub(super) fn forget(&self, name: &Name) {
        for ending in ENDINGS {
            self.synced.remove(&[&name.name, &name.namespace, ending]);
        }
    }
}

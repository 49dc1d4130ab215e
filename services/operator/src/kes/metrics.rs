//! What is counted, under KES's names: each metric also under the older one that KES itself still has.

use strongroom_telemetry::{Counters, Gauges, Metrics as Registry};

use crate::names::Name;

const COUNTED: &[&str] = &["name", "namespace", "backend", "status"];
const STATED: &[&str] = &["name", "namespace", "backend"];

pub(super) struct Metrics {
    calls: [Counters; 2],
    states: [Gauges; 2],
    /// The backend under which each object was counted, to be forgotten with it.
    known: std::sync::Mutex<std::collections::HashMap<Name, &'static str>>,
}

impl Metrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let calls = |name: &str| {
            registry.counters(name, "Number of sync operations by backend, secret name and status", COUNTED)
        };
        let states =
            |name: &str| registry.gauges(name, "Whether the last synchronisation ended well (1) or not (-1)", STATED);
        Self {
            calls: ["kubernetes_external_secrets_sync_calls_count", "sync_calls"].map(calls),
            states: ["kubernetes_external_secrets_last_sync_call_state", "last_state"].map(states),
            known: std::sync::Mutex::default(),
        }
    }

    /// A synchronisation has ended (KE-30).
    pub(super) fn ended(&self, name: &Name, backend: &'static str, is_success: bool) {
        let before = self.lock().insert(name.clone(), backend);
        before.filter(|before| *before != backend).into_iter().for_each(|before| self.remove(name, before));
        let (status, state) = if is_success { ("success", 1.0) } else { ("error", -1.0) };
        let labels: [&str; 4] = [&name.name, &name.namespace, backend, status];
        self.calls.iter().for_each(|counters| counters.increment(&labels));
        self.states.iter().for_each(|gauges| gauges.set(&[&name.name, &name.namespace, backend], state));
    }

    pub(super) fn forget(&self, name: &Name) {
        let backend = self.lock().remove(name);
        backend.into_iter().for_each(|backend| self.remove(name, backend));
    }

    fn remove(&self, name: &Name, backend: &str) {
        for status in ["success", "error"] {
            self.calls.iter().for_each(|counters| counters.remove(&[&name.name, &name.namespace, backend, status]));
        }
        self.states.iter().for_each(|gauges| gauges.remove(&[&name.name, &name.namespace, backend]));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, std::collections::HashMap<Name, &'static str>> {
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

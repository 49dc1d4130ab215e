//! What is counted of the server, for Prometheus. No label is a path, a name or an address: none grows with use.

use std::sync::Arc;
use std::time::Duration;

use strongroom_http::StatusCode;
use strongroom_telemetry::{Counters, Histograms, Metrics};

use crate::recorder::Recorder;

/// Seconds: what takes longer than ten is cut off or close to it.
const SECONDS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The counters of a server.
pub(crate) struct Meters {
    registry: Metrics,
    requests: Counters,
    seconds: Histograms,
}

impl Meters {
    /// None yet but the process's own, and the trail's.
    pub(crate) fn new(recorder: Arc<dyn Recorder>) -> Self {
        let registry = Metrics::new();
        let requests = registry.counters(
            "strongroom_requests_total",
            "Requests that were answered, by operation and status",
            &["operation", "status"],
        );
        let seconds = registry.histograms(
            "strongroom_request_seconds",
            "How long requests took, by operation",
            &["operation"],
            SECONDS,
        );
        registry.counted(
            "strongroom_audit_entries_total",
            "Entries of the audit trail by sink and outcome",
            &["sink", "outcome"],
            move || {
                recorder
                    .counts()
                    .into_iter()
                    .map(|(sink, outcome, count)| (vec![sink, outcome.to_owned()], count as f64))
                    .collect()
            },
        );
        Self { registry, requests, seconds }
    }

    /// More of them, measured whenever somebody looks.
    pub(crate) fn registry(&self) -> &Metrics {
        &self.registry
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, operation: &'static str, status: StatusCode, took: Duration) {
        self.requests.increment(&[operation, status.as_str()]);
        self.seconds.observe(&[operation], took.as_secs_f64());
    }

    /// All, in Prometheus's text format.
    pub(crate) fn text(&self) -> String {
        self.registry.text()
    }
}

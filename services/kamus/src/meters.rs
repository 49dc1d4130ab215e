//! What is measured, under Kamus' names, which people have dashboards on, and under ours.

use std::time::Duration;

use strongroom_http::StatusCode;
use strongroom_telemetry::{Counters, Histograms, LabelValues, Metrics};

const BUCKETS: &[f64] = &[0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// Counters and times of one service.
#[derive(Clone)]
pub(crate) struct Meters {
    registry: Metrics,
    /// Kamus', which counts all requests together.
    transactions: Counters,
    errors: Counters,
    times: Histograms,
    decryptions: Counters,
}

impl Meters {
    pub(crate) fn new() -> Self {
        let registry = Metrics::new();
        let transactions = registry.counters(
            "application_httprequests_transactions_count",
            "Requests, as Kamus counts them",
            &["route"],
        );
        let errors = registry.counters(
            "application_httprequests_errors",
            "Requests that failed, as Kamus counts them",
            &["http_status_code"],
        );
        let times = registry.histograms(
            "strongroom_kamus_request_duration_seconds",
            "How long requests took",
            &["path", "code"],
            BUCKETS,
        );
        let decryptions = registry.counters(
            "strongroom_kamus_decryptions_total",
            "Decryptions by namespace and outcome: done, refused (a wrong text or account), throttled or failed",
            &["namespace", "outcome"],
        );
        Self { registry, transactions, errors, times, decryptions }
    }

    /// Metrics in the text format of Prometheus.
    pub(crate) fn text(&self) -> String {
        self.registry.text()
    }

    /// Counts an answer. What nobody serves is one path, whatever was asked.
    pub(crate) fn answered(&self, path: &str, status: StatusCode, time: Duration) {
        let known = ["/api/v1/encrypt", "/api/v1/decrypt", "/api/v1/isAlive", "/api/v1/public-key", "/"];
        let path = known.into_iter().find(|known| *known == path).unwrap_or("other");
        let code = status.as_str();
        self.transactions.increment(LabelValues::new(&[path]));
        if status.is_client_error() || status.is_server_error() {
            self.errors.increment(LabelValues::new(&[code]));
        }
        self.times.observe(LabelValues::new(&[path, code]), time.as_secs_f64());
    }

    /// Counts a decryption for an account that the API server knows.
    pub(crate) fn decrypted(&self, namespace: &str, outcome: &'static str) {
        self.decryptions.increment(LabelValues::new(&[namespace, outcome]));
    }
}

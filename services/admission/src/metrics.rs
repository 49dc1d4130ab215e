//! What is measured, under the names of kube-secrets-init's webhook library, since people have dashboards on them.

use std::time::Duration;

use strongroom_telemetry::{Counters, Histograms, LabelValues, Metrics};

use crate::review::{Envelope, Request, Verdict};

/// Prometheus's usual buckets, in seconds.
const BUCKETS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

const REVIEW: &[&str] = &[
    "webhook_id",
    "webhook_version",
    "resource_namespace",
    "resource_kind",
    "operation",
    "dry_run",
    "success",
    "mutated",
];

const WARNINGS: &[&str] =
    &["webhook_id", "webhook_version", "resource_namespace", "resource_kind", "operation", "dry_run", "success"];

/// The counters of reviews.
pub(crate) struct Reviews {
    registry: Metrics,
    durations: Histograms,
    warnings: Counters,
}

impl Reviews {
    pub(crate) fn new() -> Self {
        let registry = Metrics::new();
        let durations = registry.histograms(
            "kubewebhook_mutating_webhook_review_duration_seconds",
            "How long reviews took",
            REVIEW,
            BUCKETS,
        );
        let warnings = registry.counters(
            "kubewebhook_webhook_review_warnings_total",
            "Warnings that senders of objects were given",
            WARNINGS,
        );
        Self { registry, durations, warnings }
    }

    /// In the text format of Prometheus.
    pub(crate) fn text(&self) -> String {
        self.registry.text()
    }

    /// Counts a review that took so long. `webhook` is the path's name.
    pub(crate) fn reviewed(
        &self,
        webhook: &str,
        envelope: &Envelope,
        request: &Request,
        verdict: &Verdict,
        took: Duration,
    ) {
        let kind = &request.kind;
        let kind = [kind.group.as_str(), &kind.version, &kind.kind].into_iter().filter(|part| !part.is_empty());
        let kind = kind.collect::<Vec<_>>().join("/");
        let operation = request.operation.to_lowercase();
        let text = |is: bool| if is { "true" } else { "false" };
        let (dry_run, success) = (text(request.is_dry_run()), text(verdict.is_allowed()));
        let labels = [webhook, envelope.version(), &request.namespace, &kind, &operation, dry_run, success];
        let measured = [&labels[..], &[text(verdict.is_change())]].concat();
        self.durations.observe(LabelValues::new(&measured), took.as_secs_f64());
        self.warnings.add(LabelValues::new(&labels), verdict.warnings() as u64);
    }
}

//! What is measured: reviews under the names of kube-secrets-init's webhook library, since people have dashboards on
//! them; what that does not count under names of our own.

use std::time::Duration;

use strongroom_registry::{Asked, Lookups, Registry};
use strongroom_telemetry::{Counters, Gauges, Histograms, LabelValues, Metrics};

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

/// The paths' names, as [`Reviews::reviewed`] gets them.
pub(crate) const WEBHOOKS: [&str; 5] =
    ["init-secrets-pods", "aws-secret-inject", "nase-secrets", "injected-pods", "validate"];

/// What is counted of reviews, and of what they need.
pub(crate) struct Reviews {
    registry: Metrics,
    durations: Histograms,
    warnings: Counters,
    refusals: Counters,
    /// ConfigMaps and Secrets that pods refer to, by kind and outcome.
    pub(crate) sources: Counters,
    certificate: Gauges,
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
        let refusals = registry.counters(
            "strongroom_admission_refusals_total",
            "Objects that were refused; cause is outage where the same object may pass later, else object",
            &["webhook", "cause"],
        );
        for (webhook, cause) in WEBHOOKS.iter().flat_map(|webhook| [(webhook, "object"), (webhook, "outage")]) {
            refusals.add(LabelValues::new(&[webhook, cause]), 0);
        }
        let sources = registry.counters(
            "strongroom_admission_sources_total",
            "ConfigMaps and Secrets that pods refer to; outcome is read, known (not read again), absent, denied or failed",
            &["kind", "outcome"],
        );
        let certificate = registry.gauges(
            "strongroom_admission_certificate_end_timestamp_seconds",
            "When the certificate that is served ends",
            &[],
        );
        Self { registry, durations, warnings, refusals, sources, certificate }
    }

    /// Counts the look-ups of images as well.
    pub(crate) fn follow(&self, images: Registry) {
        self.registry.counted(
            "strongroom_admission_image_lookups_total",
            "Look-ups of what images start; cached is no, yes, or outage where the registry could not be asked",
            &["outcome", "cached"],
            move || images.lookups().iter().map(lookup).collect(),
        );
    }

    /// Where the end of the certificate that is served is set.
    pub(crate) fn certificate(&self) -> CertificateEnd {
        CertificateEnd(self.certificate.clone())
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
        if let Verdict::Denied { code, .. } = verdict {
            let cause = if *code == 500 { "outage" } else { "object" };
            self.refusals.increment(LabelValues::new(&[webhook, cause]));
        }
    }
}

/// The end of the certificate that is served, in seconds since 1970.
#[derive(Clone)]
pub(crate) struct CertificateEnd(Gauges);

impl CertificateEnd {
    /// Another one is served. One that cannot be read changes nothing.
    pub(crate) fn set(&self, ends: Option<i64>) {
        if let Some(ends) = ends {
            // Exact until the year 285,000,000.
            #[expect(clippy::cast_precision_loss, reason = "a time of certificates has far fewer than 53 bits")]
            self.0.set(LabelValues::new(&[]), ends as f64);
        }
    }
}

fn lookup(lookups: &Lookups) -> (Vec<String>, f64) {
    let cached = match lookups.asked {
        Asked::Yes => "no",
        Asked::No => "yes",
        Asked::InVain => "outage",
    };
    #[expect(clippy::cast_precision_loss, reason = "so many look-ups take centuries")]
    let count = lookups.count as f64;
    (vec![lookups.failure.unwrap_or("Found").to_owned(), cached.to_owned()], count)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;
    use strongroom_failure::Class;
    use strongroom_registry::{Platform, Settings};

    use super::*;
    use crate::review::read;

    const REVIEW: &str = r#"{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {"uid": "u", "operation": "CREATE", "namespace": "team", "object": {},
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"}}}"#;

    fn reviewed(verdict: &Verdict) -> Reviews {
        let reviews = Reviews::new();
        let (envelope, request) = read(REVIEW.as_bytes()).unwrap();
        reviews.reviewed("init-secrets-pods", &envelope, &request, verdict, Duration::from_millis(1));
        reviews
    }

    #[track_caller]
    fn has(text: &str, line: &str) {
        assert!(text.lines().any(|has| has == line), "{line} in\n{text}");
    }

    #[test]
    fn a_refusal_is_counted_by_whether_it_is_our_fault() {
        let check = |verdict: Verdict, object: u8, outage: u8| {
            let text = reviewed(&verdict).text();
            let line = "strongroom_admission_refusals_total{webhook=\"init-secrets-pods\",cause=";
            has(&text, &format!("{line}\"object\"}} {object}"));
            has(&text, &format!("{line}\"outage\"}} {outage}"));
        };
        check(Verdict::unchanged(), 0, 0);
        check(Verdict::refused("no"), 1, 0);
        check(Verdict::Denied { code: 500, message: "down".to_owned() }, 0, 1);
    }

    #[tokio::test]
    async fn look_ups_of_images_are_counted_by_outcome() {
        let images = Registry::new(Settings::default()).unwrap();
        let reviews = Reviews::new();
        reviews.follow(images.clone());
        let patience = Duration::from_secs(5);
        let refused =
            images.config("127.0.0.1:1/app", &Platform::new("linux", "amd64", ""), &[], false, patience).await;
        let class = refused.map(|_| ()).unwrap_err().class;
        assert_eq!(class, Class::Invalid, "a local address");
        let text = reviews.text();
        has(&text, "strongroom_admission_image_lookups_total{outcome=\"Invalid\",cached=\"no\"} 1.0");
        has(&text, "# TYPE strongroom_admission_image_lookups_total counter");
    }

    #[test]
    fn every_metric_of_admissions_alerts_is_one_that_it_has() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/monitoring/alerts.yaml");
        let alerts: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let groups = alerts["spec"]["groups"].as_array().unwrap();
        let group = groups.iter().find(|group| group["name"] == "strongroom-admission").unwrap();
        let expressions = group["rules"].as_array().unwrap().iter().map(|rule| rule["expr"].as_str().unwrap());
        let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
        let words = expressions.flat_map(|expression| expression.split(move |character| !is_word(character)));
        let is_ours = |word: &&str| word.starts_with("strongroom_") || word.starts_with("kubewebhook_");
        let asked: BTreeSet<_> = words.filter(is_ours).map(|word| word.trim_end_matches("_bucket")).collect();
        assert_eq!(asked.len(), 3, "{asked:?}");
        let reviews = reviewed(&Verdict::unchanged());
        reviews.certificate().set(Some(1));
        let text = reviews.text();
        let missing: Vec<_> = asked.iter().filter(|name| !text.contains(&format!("# TYPE {name} "))).collect();
        assert!(missing.is_empty(), "{missing:?} in\n{text}");
    }
}

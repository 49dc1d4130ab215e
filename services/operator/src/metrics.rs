//! What is counted: under External Secrets Operator's names, for boards that ask for those, and under ours beside them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use strongroom_provider::{Meter, Outcome};
use strongroom_telemetry::{Counters, Gauges, LabelValues, Metrics as Registry};

/// The labels of External Secrets Operator's per-object metrics.
const PLAIN: &[&str] = &["name", "namespace"];
const EXTENDED: &[&str] = &[
    "name",
    "namespace",
    "app_kubernetes_io_name",
    "app_kubernetes_io_instance",
    "app_kubernetes_io_version",
    "app_kubernetes_io_component",
    "app_kubernetes_io_part_of",
    "app_kubernetes_io_managed_by",
];
const PLAIN_CONDITION: &[&str] = &["name", "namespace", "condition", "status"];
const EXTENDED_CONDITION: &[&str] = &[
    "name",
    "namespace",
    "app_kubernetes_io_name",
    "app_kubernetes_io_instance",
    "app_kubernetes_io_version",
    "app_kubernetes_io_component",
    "app_kubernetes_io_part_of",
    "app_kubernetes_io_managed_by",
    "condition",
    "status",
];

/// The object's own labels that `--enable-extended-metric-labels` repeats.
const OWN_LABELS: [&str; 6] = [
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "app.kubernetes.io/component",
    "app.kubernetes.io/part-of",
    "app.kubernetes.io/managed-by",
];

/// The kinds that are counted, as their metrics begin.
const KINDS: [&str; 6] =
    ["externalsecret", "clusterexternalsecret", "secretstore", "clustersecretstore", "pushsecret", "clusterpushsecret"];

/// The conditions that are counted, each with both statuses.
const CONDITIONS: [[&[&str]; 2]; 2] =
    [[&["Ready", "True"], &["Ready", "False"]], [&["Deleted", "True"], &["Deleted", "False"]]];

/// All metrics of the operator.
pub(crate) struct Metrics {
    pub(crate) registry: Registry,
    pub(crate) events: crate::events::Metrics,
    is_extended: bool,
    kinds: HashMap<&'static str, KindMetrics>,
    synced: Counters,
    failed: Counters,
    calls: Counters,
    last_success: Gauges,
    pub(crate) pods_not_injected: Gauges,
    /// What of the meter is in `calls` already.
    metered: Mutex<HashMap<(&'static str, Outcome), u64>>,
    /// The labels under which each object is counted: all its series share them, and are forgotten by them.
    known: Mutex<HashMap<ObjectKey, LabelValues>>,
}

/// Kind, and name and namespace as values of [`PLAIN`].
type ObjectKey = (&'static str, LabelValues);

struct KindMetrics {
    condition: Gauges,
    duration: Gauges,
}

impl Metrics {
    pub(crate) fn new(is_extended: bool) -> Self {
        let registry = Registry::new();
        let (object, condition) = if is_extended { (EXTENDED, EXTENDED_CONDITION) } else { (PLAIN, PLAIN_CONDITION) };
        let of_kind = |kind: &'static str| {
            let gauges = |suffix: &str, help: &str, labels| registry.gauges(&format!("{kind}_{suffix}"), help, labels);
            let metrics = KindMetrics {
                condition: gauges(
                    "status_condition",
                    "1 for the status that a condition has, 0 for the other",
                    condition,
                ),
                duration: gauges("reconcile_duration", "Nanoseconds that the last reconciliation took", object),
            };
            (kind, metrics)
        };
        let kinds = KINDS.into_iter().map(of_kind).collect();
        Self {
            events: crate::events::Metrics::new(&registry),
            kinds,
            synced: registry.counters("externalsecret_sync_calls_total", "Synchronisations", object),
            failed: registry.counters("externalsecret_sync_calls_error", "Synchronisations that failed", object),
            calls: registry.counters(
                "externalsecret_provider_api_calls_count",
                "Calls to stores",
                &["provider", "call", "status"],
            ),
            last_success: registry.gauges(
                "strongroom_externalsecret_last_success_timestamp_seconds",
                "When the values were last read with success",
                PLAIN,
            ),
            pods_not_injected: registry.gauges(
                "strongroom_pods_not_injected",
                "Pods that ask for secrets and were created without admission",
                &["namespace"],
            ),
            metered: Mutex::default(),
            known: Mutex::default(),
            registry,
            is_extended,
        }
    }

    /// An object is known, of which something will be counted: what its series share lasts as long as it does, and is
    /// best made before much that does not.
    pub(crate) fn expect(&self, kind: &'static str, metadata: &ObjectMeta) {
        self.labels(kind, metadata);
    }

    /// One synchronisation begins (`is_error` false) or has failed (`is_error` true).
    pub(crate) fn synced(&self, kind: &'static str, metadata: &ObjectMeta, is_error: bool) {
        let labels = self.labels(kind, metadata);
        let counters = if is_error { &self.failed } else { &self.synced };
        counters.increment(labels);
    }

    /// The values of an ExternalSecret were read with success.
    pub(crate) fn succeeded(&self, metadata: &ObjectMeta, seconds: i64) {
        let key = ("externalsecret", plain(metadata.namespace.as_deref(), metadata.name.as_deref()));
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = known.get_key_value(&key).map(|((_, plain), _)| plain.clone());
        drop(known);
        // Exact to the second for the next hundred million years.
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
        self.last_success.set(shared.unwrap_or(key.1), seconds as f64);
    }

    /// One reconciliation took this long.
    pub(crate) fn reconciled(&self, kind: &'static str, metadata: &ObjectMeta, took: Duration) {
        let labels = self.labels(kind, metadata);
        if let Some(metrics) = self.kinds.get(kind) {
            metrics.duration.set(labels, took.as_secs_f64() * 1e9);
        }
    }

    /// A condition stands so; one that is not counted changes nothing.
    pub(crate) fn condition(&self, kind: &'static str, metadata: &ObjectMeta, condition: &str, status: &str) {
        let labels = self.labels(kind, metadata);
        let Some(metrics) = self.kinds.get(kind) else { return };
        for each in CONDITIONS.as_flattened().iter().filter(|each| each[0] == condition) {
            metrics.condition.set(labels.with(each), f64::from(u8::from(each[1] == status)));
        }
    }

    /// Forgets an object that is gone.
    pub(crate) fn forget(&self, kind: &'static str, namespace: Option<&str>, name: &str) {
        let plain = plain(namespace, Some(name));
        self.last_success.remove(plain.clone());
        let labels = self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&(kind, plain));
        labels.iter().for_each(|labels| self.remove(kind, labels));
    }

    fn remove(&self, kind: &'static str, labels: &LabelValues) {
        if kind == "externalsecret" {
            self.synced.remove(labels.clone());
            self.failed.remove(labels.clone());
        }
        let Some(metrics) = self.kinds.get(kind) else { return };
        metrics.duration.remove(labels.clone());
        CONDITIONS.as_flattened().iter().for_each(|each| metrics.condition.remove(labels.with(each)));
    }

    /// Everything as text, with the calls that `meter` counted since.
    pub(crate) fn text(&self, meter: &Meter) -> String {
        let mut metered = self.metered.lock().unwrap_or_else(PoisonError::into_inner);
        for (operation, outcome, count) in meter.counts() {
            let before = metered.insert((operation, outcome), count).unwrap_or_default();
            let (provider, call) = provider_and_call(operation);
            let status = if outcome == Outcome::Answered { "success" } else { "error" };
            self.calls.add(&[provider, call, status], count.saturating_sub(before));
        }
        drop(metered);
        self.registry.text()
    }

    /// An object's labels; where they changed, what was counted under the former ones is forgotten.
    fn labels(&self, kind: &'static str, metadata: &ObjectMeta) -> LabelValues {
        let plain = plain(metadata.namespace.as_deref(), metadata.name.as_deref());
        let labels = if self.is_extended { extended(metadata) } else { plain.clone() };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(&(kind, plain.clone())).filter(|known| **known == labels) {
            return known.clone();
        }
        let before = known.insert((kind, plain), labels.clone());
        drop(known);
        before.iter().for_each(|before| self.remove(kind, before));
        labels
    }
}

fn plain(namespace: Option<&str>, name: Option<&str>) -> LabelValues {
    LabelValues::new(&[name.unwrap_or_default(), namespace.unwrap_or_default()])
}

fn extended(metadata: &ObjectMeta) -> LabelValues {
    let own = |label: &str| metadata.labels.as_ref().and_then(|labels| labels.get(label)).map_or("", String::as_str);
    let mut values =
        vec![metadata.name.as_deref().unwrap_or_default(), metadata.namespace.as_deref().unwrap_or_default()];
    values.extend(OWN_LABELS.iter().map(|label| own(label)));
    LabelValues::new(&values)
}

/// External Secrets Operator's names for a provider and a call, where it has some; else the store's own.
fn provider_and_call(operation: &'static str) -> (&'static str, &'static str) {
    if let Some(call) = google_call(operation) {
        return ("GCP/SecretManager", call);
    }
    let (service, call) = operation.split_once(':').unwrap_or(("", operation));
    let provider = match service {
        "secretsmanager" => "AWS/SecretsManager",
        "ssm" => "AWS/ParameterStore",
        // Finding a certificate by its tags is a part of pushing it.
        "acm" | "tag" => "AWS/ACM",
        "sts" => "AWS/STS",
        "sqs" => "AWS/SQS",
        "pubsub" => "GCP/PubSub",
        "vault" => "HashiCorp/Vault",
        "azure" | "keyvault" => "Azure/KeyVault",
        "kubernetes" => "Kubernetes",
        "webhook" => "Webhook",
        other => other,
    };
    (provider, call)
}

/// Google's own names are permissions; boards know its methods.
fn google_call(operation: &str) -> Option<&'static str> {
    match operation {
        "secretmanager.versions.access" => Some("AccessSecretVersion"),
        "secretmanager.versions.list" => Some("ListSecretVersions"),
        "secretmanager.secrets.get" => Some("GetSecret"),
        "secretmanager.secrets.list" => Some("ListSecrets"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn object(version: &str) -> ObjectMeta {
        let labels = BTreeMap::from([("app.kubernetes.io/version".to_owned(), version.to_owned())]);
        ObjectMeta {
            name: Some("app".to_owned()),
            namespace: Some("team".to_owned()),
            labels: Some(labels),
            ..ObjectMeta::default()
        }
    }

    #[test]
    fn boards_of_external_secrets_operator_find_their_names() {
        let metrics = Metrics::new(false);
        metrics.synced("externalsecret", &object("1"), false);
        metrics.synced("externalsecret", &object("1"), true);
        metrics.condition("externalsecret", &object("1"), "Ready", "False");
        metrics.reconciled("externalsecret", &object("1"), Duration::from_micros(3));
        let meter = Meter::default();
        meter.record("secretsmanager:BatchGetSecretValue", Outcome::Answered);
        let text = metrics.text(&meter);
        for line in [
            "externalsecret_sync_calls_total{name=\"app\",namespace=\"team\"} 1",
            "externalsecret_sync_calls_error{name=\"app\",namespace=\"team\"} 1",
            "externalsecret_status_condition{name=\"app\",namespace=\"team\",condition=\"Ready\",status=\"False\"} 1",
            "externalsecret_status_condition{name=\"app\",namespace=\"team\",condition=\"Ready\",status=\"True\"} 0",
            "externalsecret_reconcile_duration{name=\"app\",namespace=\"team\"} 3000",
            "externalsecret_provider_api_calls_count{provider=\"AWS/SecretsManager\",call=\"BatchGetSecretValue\",status=\"success\"} 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        metrics.forget("externalsecret", Some("team"), "app");
        assert!(!metrics.text(&meter).contains("name=\"app\""));
    }

    #[test]
    fn a_label_that_changes_leaves_nothing_behind() {
        let metrics = Metrics::new(true);
        for version in ["1", "2"] {
            metrics.reconciled("secretstore", &object(version), Duration::from_secs(1));
        }
        let text = metrics.text(&Meter::default());
        assert!(text.contains("app_kubernetes_io_version=\"2\"") && !text.contains("version=\"1\""), "{text}");
    }
}

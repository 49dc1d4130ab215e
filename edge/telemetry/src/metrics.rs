use std::fmt;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeMetric, LabelSetEncoder, MetricEncoder, prometheus_text,
};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::{MetricType, TypedMetric, histogram};

/// The `Content-Type` of [`Metrics::text`].
pub const METRICS_CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// All metrics of a program, under exactly the names that are given here: other people's boards ask for names that
/// follow no rule, such as a counter `externalsecret_sync_calls_error`.
///
/// Clones share everything. A label's value is never a secret, and what a tenant can make up is bounded by who counts.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    registry: prometheus_client::registry::Registry,
    counters: Vec<String>,
}

impl Metrics {
    /// None yet but the process's own: `process_resident_memory_bytes` and its like.
    pub fn new() -> Self {
        let metrics = Self::default();
        metrics.lock().registry.register_collector(Box::new(crate::process::Process));
        metrics.lock().counters.push(crate::process::CPU.to_owned());
        metrics
    }

    /// A counter for each combination of values of `labels`.
    pub fn counters(&self, name: &str, help: &str, labels: &'static [&'static str]) -> Counters {
        let family = Family::default();
        let mut shared = self.lock();
        shared.registry.register(name, help.trim_end_matches('.'), family.clone());
        shared.counters.push(name.to_owned());
        Counters { labels, family }
    }

    /// A gauge for each combination of values of `labels`.
    pub fn gauges(&self, name: &str, help: &str, labels: &'static [&'static str]) -> Gauges {
        let family = Family::default();
        self.lock().registry.register(name, help.trim_end_matches('.'), family.clone());
        Gauges { labels, family }
    }

    /// A gauge without labels that `measure` gives whenever somebody looks.
    pub fn measured(&self, name: &str, help: &str, measure: impl Fn() -> f64 + Send + Sync + 'static) {
        self.observe(name, help, MetricType::Gauge, &[], move || vec![(Vec::new(), measure())]);
    }

    /// Counters that somebody else keeps: `count` gives the values of `labels` and what each stands at, whenever
    /// somebody looks.
    pub fn counted(
        &self,
        name: &str,
        help: &str,
        labels: &'static [&'static str],
        count: impl Fn() -> Vec<(Vec<String>, f64)> + Send + Sync + 'static,
    ) {
        self.observe(name, help, MetricType::Unknown, labels, count);
        self.lock().counters.push(name.to_owned());
    }

    fn observe(
        &self,
        name: &str,
        help: &str,
        kind: MetricType,
        labels: &'static [&'static str],
        observe: impl Fn() -> Vec<(Vec<String>, f64)> + Send + Sync + 'static,
    ) {
        let (name, help) = (name.to_owned(), sentence(help));
        let observed = Observed { name, help, kind, labels, observe: Box::new(observe) };
        self.lock().registry.register_collector(Box::new(observed));
    }

    /// A histogram for each combination of values of `labels`; `buckets` are upper bounds, ascending.
    pub fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &'static [&'static str],
        buckets: &'static [f64],
    ) -> Histograms {
        let family = Family::new_with_constructor(Buckets(buckets));
        self.lock().registry.register(name, help.trim_end_matches('.'), family.clone());
        Histograms { labels, family }
    }

    /// Everything in the text format of Prometheus; its type is [`METRICS_CONTENT_TYPE`].
    pub fn text(&self) -> String {
        let shared = self.lock();
        let mut text = String::new();
        // Writing to a String cannot fail, and no metric of ours refuses.
        let _ = prometheus_text::encode(&mut text, &shared.registry);
        // The library writes every counter as NAME_total. Ours are of no type to it, so that their names stay, and get
        // their type here; no label's value can look like this, since a newline in it is escaped.
        for name in &shared.counters {
            text = text.replace(&format!("\n# TYPE {name} untyped\n"), &format!("\n# TYPE {name} counter\n"));
        }
        text
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// With the full stop that the library gives to everything but collectors.
fn sentence(help: &str) -> String {
    format!("{}.", help.trim_end_matches('.'))
}

/// A counter for each combination of labels.
#[derive(Clone, Debug)]
pub struct Counters {
    labels: &'static [&'static str],
    family: Family<Labels, Count>,
}

impl Counters {
    /// Adds one to the counter with these labels' values, in the order of the labels.
    pub fn increment(&self, values: impl Into<LabelValues>) {
        self.add(values, 1);
    }

    /// Adds `amount`; 0 makes the counter known, so that its first change is seen as one.
    pub fn add(&self, values: impl Into<LabelValues>, amount: u64) {
        self.family.get_or_create(&Labels::new(self.labels, values.into())).0.fetch_add(amount, Ordering::Relaxed);
    }

    /// What the counter stands at; 0 where there is none.
    pub fn value(&self, values: impl Into<LabelValues>) -> u64 {
        self.family.get(&Labels::new(self.labels, values.into())).map_or(0, |count| count.0.load(Ordering::Relaxed))
    }

    /// Forgets the counter, when what it counts is gone.
    pub fn remove(&self, values: impl Into<LabelValues>) {
        self.family.remove(&Labels::new(self.labels, values.into()));
    }
}

/// A gauge for each combination of labels.
#[derive(Clone, Debug)]
pub struct Gauges {
    labels: &'static [&'static str],
    family: Family<Labels, Level>,
}

impl Gauges {
    /// Sets the gauge with these labels' values, in the order of the labels.
    pub fn set(&self, values: impl Into<LabelValues>, value: f64) {
        self.family.get_or_create(&Labels::new(self.labels, values.into())).0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// What the gauge stands at.
    pub fn value(&self, values: impl Into<LabelValues>) -> Option<f64> {
        let level = self.family.get(&Labels::new(self.labels, values.into()))?;
        Some(f64::from_bits(level.0.load(Ordering::Relaxed)))
    }

    /// Forgets the gauge, when what it measures is gone.
    pub fn remove(&self, values: impl Into<LabelValues>) {
        self.family.remove(&Labels::new(self.labels, values.into()));
    }
}

/// A histogram for each combination of labels.
#[derive(Clone, Debug)]
pub struct Histograms {
    labels: &'static [&'static str],
    family: Family<Labels, histogram::Histogram, Buckets>,
}

impl Histograms {
    /// Counts one observation.
    pub fn observe(&self, values: impl Into<LabelValues>, value: f64) {
        self.family.get_or_create(&Labels::new(self.labels, values.into())).observe(value);
    }

    /// Forgets the histogram, when what it measures is gone.
    pub fn remove(&self, values: impl Into<LabelValues>) {
        self.family.remove(&Labels::new(self.labels, values.into()));
    }
}

#[derive(Clone, Copy, Debug)]
struct Buckets(&'static [f64]);

impl prometheus_client::metrics::family::MetricConstructor<histogram::Histogram> for Buckets {
    fn new_metric(&self) -> histogram::Histogram {
        histogram::Histogram::new(self.0.iter().copied())
    }
}

/// Values of labels, in the order of their names. What all series of one object have in common is kept once, however
/// many there are: clones share it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LabelValues {
    /// Each with [`END`] behind it.
    common: Arc<str>,
    own: &'static [&'static str],
}

/// Ends each value of a label. No name in a cluster has one, and in other texts nobody misses it.
const END: char = '\0';

impl LabelValues {
    /// These values.
    pub fn new(values: &[&str]) -> Self {
        let mut joined = String::with_capacity(values.iter().map(|value| value.len() + 1).sum());
        for value in values {
            joined.extend(value.chars().filter(|character| *character != END));
            joined.push(END);
        }
        Self { common: joined.into(), own: &[] }
    }

    /// The same with `own` behind them.
    pub fn with(&self, own: &'static [&'static str]) -> Self {
        Self { common: Arc::clone(&self.common), own }
    }

    fn all(&self) -> impl Iterator<Item = &str> {
        self.common.split_terminator(END).chain(self.own.iter().copied())
    }
}

impl<const COUNT: usize> From<&[&str; COUNT]> for LabelValues {
    fn from(values: &[&str; COUNT]) -> Self {
        Self::new(values)
    }
}

/// The names are the same for a whole family and take no memory here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Labels {
    names: &'static [&'static str],
    values: LabelValues,
}

impl Labels {
    fn new(names: &'static [&'static str], values: LabelValues) -> Self {
        debug_assert_eq!(names.len(), values.all().count(), "each label has a value");
        Self { names, values }
    }
}

impl EncodeLabelSet for Labels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        self.names.iter().zip(self.values.all()).try_for_each(|(name, value)| {
            prometheus_client::encoding::EncodeLabel::encode(&(*name, value), encoder.encode_label())
        })
    }
}

#[derive(Debug, Default)]
struct Count(AtomicU64);

impl TypedMetric for Count {
    const TYPE: MetricType = MetricType::Unknown;
}

impl EncodeMetric for Count {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_gauge(&self.0.load(Ordering::Relaxed))
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

#[derive(Debug, Default)]
struct Level(AtomicU64);

impl TypedMetric for Level {
    const TYPE: MetricType = MetricType::Gauge;
}

impl EncodeMetric for Level {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        encoder.encode_gauge(&f64::from_bits(self.0.load(Ordering::Relaxed)))
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

struct Observed {
    name: String,
    help: String,
    kind: MetricType,
    labels: &'static [&'static str],
    observe: Box<dyn Fn() -> Vec<(Vec<String>, f64)> + Send + Sync>,
}

impl fmt::Debug for Observed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)
    }
}

impl Collector for Observed {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut described = encoder.encode_descriptor(&self.name, &self.help, None, self.kind)?;
        (self.observe)().into_iter().try_for_each(|(values, value)| {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let labels = Labels::new(self.labels, LabelValues::new(&values));
            ConstGauge::new(value).encode(described.encode_family(&labels)?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines about `name`.
    fn shown(metrics: &Metrics, name: &str) -> String {
        let text = metrics.text();
        text.lines().filter(|line| line.contains(name)).map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn names_come_out_exactly_as_they_were_given() {
        let metrics = Metrics::new();
        for name in ["externalsecret_sync_calls_total", "externalsecret_sync_calls_error"] {
            let counters = metrics.counters(name, "Calls.", &["name", "namespace"]);
            counters.increment(&["a", "n"]);
            counters.add(&["a", "n"], 2);
            let expected =
                format!("# HELP {name} Calls.\n# TYPE {name} counter\n{name}{{name=\"a\",namespace=\"n\"}} 3\n");
            assert_eq!(shown(&metrics, name), expected);
            assert_eq!(counters.value(&["a", "n"]), 3);
            counters.remove(&["a", "n"]);
            assert_eq!(counters.value(&["a", "n"]), 0);
        }
    }

    #[test]
    fn gauges_and_histograms_have_their_usual_form() {
        let metrics = Metrics::new();
        let gauges = metrics.gauges("externalsecret_status_condition", "A condition", &["status"]);
        gauges.set(&["True"], 1.0);
        assert!(shown(&metrics, "_condition").ends_with("externalsecret_status_condition{status=\"True\"} 1.0\n"));
        gauges.remove(&["True"]);
        assert_eq!(gauges.value(&["True"]), None);
        let histograms = metrics.histograms("took_seconds", "Time", &["call"], &[0.5, 1.0]);
        histograms.observe(&["get"], 0.7);
        let expected = "# HELP took_seconds Time.\n# TYPE took_seconds histogram\n\
            took_seconds_bucket{call=\"get\",le=\"0.5\"} 0\ntook_seconds_bucket{call=\"get\",le=\"1\"} 1\n\
            took_seconds_bucket{call=\"get\",le=\"+Inf\"} 1\ntook_seconds_sum{call=\"get\"} 0.7\n\
            took_seconds_count{call=\"get\"} 1\n";
        let text = shown(&metrics, "took_seconds");
        let sorted = |text: &str| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&text), sorted(expected));
        metrics.measured("depth", "Depth", || 4.0);
        assert_eq!(shown(&metrics, "depth"), "# HELP depth Depth.\n# TYPE depth gauge\ndepth 4.0\n");
        metrics.counted("asked_total", "Asked", &["verb"], || vec![(vec!["get".to_owned()], 5.0)]);
        let asked = "# HELP asked_total Asked.\n# TYPE asked_total counter\nasked_total{verb=\"get\"} 5.0\n";
        assert_eq!(shown(&metrics, "asked"), asked);
    }

    #[test]
    fn a_label_cannot_forge_a_line() {
        let metrics = Metrics::new();
        let counters = metrics.counters("seen", "Seen", &["name"]);
        counters.increment(&["a\"}\n# TYPE seen untyped\nseen{name=\"b"]);
        assert_eq!(metrics.text().matches("\nseen{").count(), 1);
        assert_eq!(metrics.text().matches("\n# TYPE seen").count(), 1);
    }

    #[test]
    fn the_process_tells_of_itself() {
        let metrics = Metrics::new();
        let text = metrics.text();
        let value = |name: &str| -> f64 {
            let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
            line.unwrap_or_else(|| panic!("no {name} in {text}")).split_once(' ').unwrap().1.parse().unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 1e5);
        assert!(value("process_virtual_memory_bytes") > value("process_resident_memory_bytes"));
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_max_fds") >= value("process_open_fds"));
        assert!(value("process_threads") >= 1.0);
        assert!(value("process_cpu_seconds_total") >= 0.0);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let age = now - value("process_start_time_seconds");
        assert!((-2.0..3600.0).contains(&age), "started {age} s ago");
        assert!(text.contains("# TYPE process_cpu_seconds_total counter"));
    }
}

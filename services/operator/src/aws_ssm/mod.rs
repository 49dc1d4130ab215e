//! cmattoon/aws-ssm: Secrets that ask by annotations for parameters of AWS, as one more source.
//!
//! What is decided is in `core/aws-ssm`; here it meets the cluster: [`round`] goes through one synchronisation, [`ask`]
//! reads, [`write`](mod@write) writes.

mod ask;
mod metrics;
mod round;
mod write;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use strongroom_aws_ssm::Asked;
use strongroom_aws_ssm::selector::selector;
use strongroom_failure::Failure;
use strongroom_policy::LabelSelector;
use strongroom_telemetry::Metrics as Registry;

use self::metrics::Metrics;
pub(crate) use self::round::reconcile;
use crate::names::{Name, StoreName};
use crate::reader::Variables;
use crate::remembered::Memory;
use crate::settings::OperatorSettings;

/// How often aws-ssm reads when nothing is said.
const INTERVAL: Duration = Duration::from_secs(30);

/// Where aws-ssm reads when nothing is said.
const REGION: &str = "us-west-2";

/// What is kept for all Secrets that ask.
pub(crate) struct AwsSsm {
    /// Whether they are served at all. What they may read is written in StorePolicies, which are only watched in the
    /// whole cluster.
    pub(crate) is_served: bool,
    /// Whether a StorePolicy is asked.
    is_enforced: bool,
    /// Whether StorePolicies are known at all.
    pub(crate) are_policies_watched: AtomicBool,
    /// Why nothing is written: aws-ssm itself is at work.
    pub(crate) foreign: RwLock<Option<String>>,
    interval: Duration,
    region: String,
    selector: LabelSelector,
    metrics: Metrics,
    remembered: Memory<Arc<Asked>>,
}

impl AwsSsm {
    /// By the variables that aws-ssm has its settings in, and the operator's own flags.
    ///
    /// # Errors
    /// Where `K8S_LABEL_SELECTOR` cannot be understood: who is restricted by it must not become everybody.
    pub(crate) fn new(
        settings: &OperatorSettings,
        variables: &Variables,
        registry: &Registry,
    ) -> Result<Self, Failure> {
        let variable = |name: &str| variables.get(name).map(String::as_str).filter(|value| !value.is_empty());
        let labels = selector(variable("K8S_LABEL_SELECTOR").unwrap_or_default());
        // As aws-ssm has it, what is no number is not heeded.
        let scan = variable("SCAN_INTERVAL").and_then(|text| text.parse::<u64>().ok()).filter(|seconds| *seconds > 0);
        let is_enforced = settings.aws_ssm_policy != "off";
        Ok(Self {
            is_served: settings.aws_ssm != "off" && (settings.serves_cluster_kinds() || !is_enforced),
            is_enforced,
            are_policies_watched: AtomicBool::new(false),
            foreign: RwLock::default(),
            interval: settings.aws_ssm_interval.or(scan.map(Duration::from_secs)).unwrap_or(INTERVAL),
            region: variable("AWS_REGION").unwrap_or(REGION).to_owned(),
            selector: labels.map_err(|failure| failure.in_field("K8S_LABEL_SELECTOR"))?,
            metrics: Metrics::new(registry),
            remembered: Memory::default(),
        })
    }

    /// aws-ssm itself, if it was seen at work.
    pub(crate) fn foreign(&self) -> Option<String> {
        self.foreign.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives the store that nobody reads any more, if that came of it.
    fn forget(&self, name: &Name) -> Option<StoreName> {
        self.metrics.forget(name);
        self.remembered.forget(name)
    }
}

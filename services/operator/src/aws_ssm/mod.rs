//! cmattoon/aws-ssm: Secrets that ask by annotations for parameters of AWS, as one more source.
//!
//! What is decided is in `core/aws-ssm`; here it meets the cluster: [`round`] goes through one synchronisation, [`ask`]
//! reads, [`write`](mod@write) writes.

mod ask;
mod metrics;
mod round;
mod write;

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use strongroom_aws_ssm::Asked;
use strongroom_aws_ssm::selector::selector;
use strongroom_failure::Failure;
use strongroom_policy::LabelSelector;
use strongroom_telemetry::Metrics as Registry;

use self::metrics::Metrics;
pub(crate) use self::round::reconcile;
use crate::names::{Name, StoreName};
use crate::reader::Variables;
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
    remembered: Mutex<HashMap<Name, Remembered>>,
}

/// How a Secret was left by this process.
#[derive(Clone, Debug, Default)]
struct Remembered {
    uid: String,
    /// The lane that it reads by.
    store: Option<StoreName>,
    /// What it asked for when that was read last.
    asked: Option<(Timestamp, Arc<Asked>)>,
    /// The Secret as it was left: its resource version, and a digest of what was wanted.
    left: Option<(String, [u8; 28])>,
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
            remembered: Mutex::default(),
        })
    }

    /// aws-ssm itself, if it was seen at work.
    pub(crate) fn foreign(&self) -> Option<String> {
        self.foreign.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn recall(&self, name: &Name, uid: &str) -> Remembered {
        let known = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(name).filter(|known| known.uid == uid).cloned();
        found.unwrap_or_else(|| Remembered { uid: uid.to_owned(), ..Remembered::default() })
    }

    /// Gives the store that nobody reads any more, if that came of it.
    fn remember(&self, name: &Name, remembered: Remembered) -> Option<StoreName> {
        let mut known = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.insert(name.clone(), remembered);
        unread(&known, before)
    }

    /// As [`AwsSsm::remember`].
    fn forget(&self, name: &Name) -> Option<StoreName> {
        self.metrics.forget(name);
        let mut known = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.remove(name);
        unread(&known, before)
    }
}

/// The store of `before`, where none of `known` reads it.
fn unread(known: &HashMap<Name, Remembered>, before: Option<Remembered>) -> Option<StoreName> {
    let store = before?.store?;
    let is_read = known.values().any(|remembered| remembered.store.as_ref() == Some(&store));
    (!is_read).then_some(store)
}

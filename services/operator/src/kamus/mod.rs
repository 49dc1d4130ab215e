//! Kamus: KamusSecrets of `soluto.com`, as one more source of Secrets.
//!
//! What is decided is in `core/kamus-secret`, and `pipeline/decrypt` opens values, by keys that `services/kamus` finds;
//! here they meet the cluster: [`round`] goes through one synchronisation, [`status`] tells.

mod metrics;
mod round;
mod status;

use std::sync::{PoisonError, RwLock};

use strongroom_failure::Failure;
use strongroom_kamus_services::KeySource;
use strongroom_kube::Connection;
use strongroom_telemetry::Metrics as Registry;
use tokio::task::JoinSet;

use self::metrics::Metrics;
pub(crate) use self::round::reconcile;
use crate::names::Name;
use crate::reader::Variables;
use crate::remembered::Memory;
use crate::settings::OperatorSettings;

/// What is kept for all objects of this kind.
pub(crate) struct Kamus {
    /// What opens values, where the kind is served at all.
    keys: Option<KeySource>,
    /// Whether an object without a mark is refused.
    are_marks_needed: bool,
    /// Why nothing is written: Kamus' own controller is at work.
    pub(crate) foreign: RwLock<Option<String>>,
    metrics: Metrics,
    /// How each was left, and what it asked for then.
    remembered: Memory<[u8; 28]>,
}

impl Kamus {
    /// By the flags, and the variables that Kamus' containers have.
    ///
    /// # Errors
    /// Where it is not said, or wrongly, which keys there are.
    pub(crate) fn new(
        settings: &OperatorSettings,
        variables: &Variables,
        connection: &Connection,
        registry: &Registry,
    ) -> Result<Self, Failure> {
        let keys = match settings.kamus {
            true => {
                let lookup = |name: &str| variables.get(name).cloned();
                Some(KeySource::new(&settings.keys, (connection.client(), connection.namespace()), &lookup)?)
            }
            false => None,
        };
        Ok(Self {
            keys,
            are_marks_needed: !settings.kamus_allow_unverified,
            foreign: RwLock::default(),
            metrics: Metrics::new(registry),
            remembered: Memory::default(),
        })
    }

    /// Whether they are served.
    pub(crate) fn is_served(&self) -> bool {
        self.keys.is_some()
    }

    /// Kamus' own controller, if it was seen at work.
    pub(crate) fn foreign(&self) -> Option<String> {
        self.foreign.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Follows what others do to the keys; dropping what it gives ends that.
    pub(crate) fn follow(&self) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        if let Some(keys) = &self.keys {
            tasks.spawn(keys.following().run());
        }
        tasks
    }

    fn forget(&self, name: &Name) {
        self.metrics.forget(name);
        // They read by no lane.
        let _ = self.remembered.forget(name);
    }
}

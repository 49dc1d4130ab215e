//! kubernetes-external-secrets ("KES"): ExternalSecrets of `kubernetes-client.io/v1`, as one more source of Secrets.
//!
//! What is decided is in `core/kes`; here it meets the cluster: [`round`] goes through one synchronisation, [`ask`] and
//! [`stores`] read, [`template`] has lodash templates rendered, [`status`] tells.

mod ask;
mod metrics;
mod round;
mod status;
mod stores;
mod template;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};

use strongroom_failure::Failure;
use strongroom_kes::Settings;
use strongroom_telemetry::Metrics as Registry;

use self::metrics::Metrics;
pub(crate) use self::round::reconcile;
use self::template::Templates;
use crate::names::{Name, StoreName};
use crate::reader::Variables;
use crate::remembered::Memory;
use crate::settings::OperatorSettings;

/// What is kept for all objects of this kind.
pub(crate) struct Kes {
    pub(crate) settings: Settings,
    /// Whether the kind is served at all.
    pub(crate) is_served: AtomicBool,
    /// Why nothing is written: KES itself is at work.
    pub(crate) foreign: RwLock<Option<String>>,
    metrics: Metrics,
    templates: Templates,
    remembered: Memory<i64>,
}

impl Kes {
    /// By the variables that KES has its settings in, and the operator's own flags.
    ///
    /// # Errors
    /// Where a variable cannot be understood.
    pub(crate) fn new(
        settings: &OperatorSettings,
        variables: &Variables,
        registry: &Registry,
    ) -> Result<Self, Failure> {
        let own = Settings::from_environment(&|name| variables.get(name).cloned())?;
        Ok(Self {
            settings: Settings { are_patterns_anchored: settings.kes_patterns != "unanchored", ..own },
            is_served: AtomicBool::new(false),
            foreign: RwLock::default(),
            metrics: Metrics::new(registry),
            templates: Templates::new(),
            remembered: Memory::default(),
        })
    }

    /// KES itself, if it was seen at work.
    pub(crate) fn foreign(&self) -> Option<String> {
        self.foreign.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives the store that nobody reads any more, if that came of it.
    fn forget(&self, name: &Name) -> Option<StoreName> {
        self.metrics.forget(name);
        self.remembered.forget(name)
    }
}

/// The slots of an object: those of its store.
pub(crate) fn store_of(object: &strongroom_api::kes::ExternalSecret, settings: &Settings) -> Option<Arc<str>> {
    let (_, spec) = object.asked()?;
    let store = strongroom_kes::Store::of(spec, settings).ok()?;
    Some(store.to_string().into())
}

use std::sync::Arc;
use std::time::Duration;

use strongroom_failure::{Class, Failure};
use strongroom_provider::Meter;
use strongroom_reference::Reference;
use strongroom_resolve::{Ask, PlannedCall, Policy, Resolver};
use strongroom_secret::SecretBytes;
use strongroom_stores::Stores;
use tokio::runtime::Runtime;
use tokio::time::Instant;

/// Reads references from first call to rendered value, blocking: the middle of the pipeline for programs that read
/// once. Its runtime lives on the calling thread and ends with it.
pub struct Reader {
    resolver: Resolver,
    meter: Arc<Meter>,
    /// Taken when the reader ends.
    runtime: Option<Runtime>,
    deadline: Duration,
}

impl Reader {
    pub(crate) fn new(stores: Stores, deadline: Duration) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(Class::Unavailable, format!("cannot start: {error}")))?;
        let meter = stores.meter();
        Ok(Self {
            resolver: Resolver::new(Arc::new(stores), Policy::default()),
            meter,
            runtime: Some(runtime),
            deadline,
        })
    }

    /// Reads all `references`, each with its own answer in its place; `None` where an optional one does not exist.
    pub fn read(&self, references: &[Reference]) -> Vec<Result<Option<SecretBytes>, Failure>> {
        let asks: Vec<Ask> = references.iter().map(Ask::from).collect();
        let deadline = Instant::now() + self.deadline;
        let resolved = self.runtime.as_ref().map(|runtime| runtime.block_on(self.resolver.resolve(&asks, deadline)));
        let answers = resolved.unwrap_or_default();
        for (operation, outcome, calls) in self.meter.counts() {
            tracing::info!(operation, ?outcome, calls, "asked a store");
        }
        references.iter().zip(answers).map(|(reference, answer)| strongroom_render::render(reference, answer)).collect()
    }

    /// The calls that reading `references` would cost, without making any.
    ///
    /// # Errors
    /// A store that is unknown or wrongly configured.
    pub fn cost(&self, references: &[Reference]) -> Result<Vec<PlannedCall>, Failure> {
        let asks: Vec<Ask> = references.iter().map(Ask::from).collect();
        let _in_runtime = self.runtime.as_ref().map(Runtime::enter);
        self.resolver.cost(&asks)
    }
}

impl Drop for Reader {
    /// Does not wait for a name look-up or a file that hangs: its time is over, and the deadline was a promise.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

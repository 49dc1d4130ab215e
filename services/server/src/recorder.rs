//! Where the audit trail goes, as far as the store has to know.

use async_trait::async_trait;
use strongroom_audit::Body;
use strongroom_audit_sinks::Verdict;
use strongroom_barrier::View;
use strongroom_failure::Failure;
use strongroom_secret::SecretBytes;

use crate::exchange::Fault;
use crate::members::Members;

/// The required sink of the audit trail.
#[async_trait]
pub(crate) trait Recorder: Send + Sync {
    /// Begins with an unsealing: goes on behind what `view` says was written last, with checkpoints made under `key`.
    ///
    /// # Errors
    /// Where what was written before cannot be read.
    async fn begin(&self, view: View, key: SecretBytes) -> Result<(), Failure>;

    /// Ends with a sealing or the process: what was recorded is kept, and how far it reaches.
    async fn end(&self);

    /// Puts entries into the trail, one behind the other, and answers when they are there.
    ///
    /// # Errors
    /// 503 where the sink does not take them in time: what they are about must not be done, or not be answered.
    async fn record(&self, entries: Vec<Body>) -> Result<(), Fault>;

    /// Why entries are not taken at present, where they are not; health says so.
    fn trouble(&self) -> Option<String>;

    /// Reads again what was recorded; nothing where that cannot be read.
    async fn check(&self) -> Option<Result<Verdict, Failure>>;

    /// Entries by sink and outcome, for metrics.
    fn counts(&self) -> Vec<(String, &'static str, u64)>;

    /// The sinks, as `sys/audit` shows them.
    fn devices(&self) -> Members;
}

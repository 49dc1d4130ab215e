//! Where the audit trail goes, as far as the store has to know.

use async_trait::async_trait;
use strongroom_audit::Body;

use crate::exchange::Fault;
use crate::members::Members;

/// The required sink of the audit trail.
#[async_trait]
pub trait Recorder: Send + Sync {
    /// Puts an entry into the trail, and answers when it is there.
    ///
    /// # Errors
    /// 503 where the sink does not take it in time: what the entry is about must not be done.
    async fn record(&self, entry: &Body) -> Result<(), Fault>;

    /// Why entries are not taken at present, where they are not; health says so.
    fn trouble(&self) -> Option<String>;

    /// The sinks, as `sys/audit` shows them.
    fn devices(&self) -> Members;
}

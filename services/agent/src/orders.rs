//! What others want of a running agent.

use std::sync::Arc;

use tokio::sync::Notify;

/// Hands orders to an agent from any thread; clones speak to the same one.
#[derive(Clone, Debug, Default)]
pub struct Orders(Arc<Told>);

#[derive(Debug, Default)]
struct Told {
    end: Notify,
    again: Notify,
}

impl Orders {
    /// Ends the agent, also in the middle of a read.
    pub fn end(&self) {
        self.0.end.notify_one();
    }

    /// Lets the agent read now; asked for several times during a round, it does so once.
    pub fn read_now(&self) {
        self.0.again.notify_one();
    }

    pub(crate) async fn ended(&self) {
        self.0.end.notified().await;
    }

    pub(crate) async fn again(&self) {
        self.0.again.notified().await;
    }
}

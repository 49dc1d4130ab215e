//! The built-in store in the place that OpenBao has in the provider's own tests.

use crate::serving::Serving;

/// Bytes of the largest text that it keeps: one secret has at most 1 MiB, its name and what surrounds it counted.
pub(crate) const LARGEST_TEXT: usize = (1 << 20) - 4096;

/// A server with secrets with versions at `secret/`, as OpenBao's development mode has them.
pub(crate) struct Running {
    serving: Serving,
    address: String,
    root_token: String,
}

impl Running {
    /// `http://127.0.0.1:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn host_port(&self) -> &str {
        &self.serving.address
    }

    /// The token that may do everything.
    pub(crate) fn root_token(&self) -> &str {
        &self.root_token
    }
}

pub(crate) fn start() -> Running {
    let (serving, root_token) = Serving::new();
    serving.with_secrets(&root_token);
    Running { address: format!("http://{}", serving.address), serving, root_token }
}

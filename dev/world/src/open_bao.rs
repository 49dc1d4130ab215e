//! OpenBao, the open Vault: the real server in its development mode.

use anyhow::{Result, bail};

/// A running OpenBao, unsealed, all in memory, with a root token and KV version 2 at `secret/`.
///
/// It listens without TLS; `Switchboard::with_tls` gives it a TLS face.
#[derive(Debug)]
pub struct OpenBao {
    address: String,
    root_token: String,
}

impl OpenBao {
    /// Starts the server on a free port and waits until it answers.
    ///
    /// # Errors
    /// When the Python environment cannot be prepared or the server does not get ready.
    pub fn start() -> Result<Self> {
        bail!("not built yet")
    }

    /// `http://127.0.0.1:PORT`, as in `VAULT_ADDR`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `127.0.0.1:PORT`, as the switchboard wants it.
    pub fn host_port(&self) -> &str {
        self.address.trim_start_matches("http://")
    }

    /// The token that may do everything.
    pub fn root_token(&self) -> &str {
        &self.root_token
    }

    /// Runs the `bao` command-line client with the root token and returns what it printed.
    ///
    /// # Errors
    /// When the client ends with another status than 0; the error shows its standard error.
    pub fn command(&self, _arguments: &[&str]) -> Result<String> {
        bail!("not built yet")
    }
}

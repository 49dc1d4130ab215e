//! OpenBao, the open Vault: the real server in its development mode.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_lc_rs::rand;

use crate::cache::RunFolder;
use crate::part::{Part, free_port};
use crate::plain_http;
use crate::python::{self, Environment};

/// How long the server may take: it needs half a second on a quiet machine.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// A running OpenBao, unsealed, all in memory, with a root token and KV version 2 at `secret/`.
///
/// It listens without TLS; `Switchboard::with_tls` gives it a TLS face. Dropping it ends it.
#[derive(Debug)]
pub struct OpenBao {
    address: String,
    root_token: String,
    environment: Environment,
    // Ends before the directory with its log goes.
    part: Part,
    directory: RunFolder,
}

impl OpenBao {
    /// Starts the server on a free port and waits until it answers.
    ///
    /// # Errors
    /// When the Python environment cannot be prepared or the server does not get ready.
    pub fn start() -> Result<Self> {
        let environment = python::prepare()?;
        let directory = RunFolder::new()?;
        let host_port = format!("127.0.0.1:{}", free_port()?);
        let root_token = new_token()?;
        let mut server = Command::new(environment.program("bao"));
        server.args(["server", "-dev", "-dev-no-store-token"]);
        server.args([format!("-dev-listen-address={host_port}"), format!("-dev-root-token-id={root_token}")]);
        server.env("HOME", directory.path());
        let mut part = Part::start("open-bao", &server, directory.path())?;
        part.wait_until(READY_LIMIT, || {
            // The mounts of the development mode come last: a server that is unsealed may not have `secret/` yet.
            let path = "/v1/secret/config";
            plain_http::send(&host_port, "GET", path, &[("X-Vault-Token", &root_token)], b"")
                .is_ok_and(|answer| answer.status == 200)
        })?;
        Ok(Self { address: format!("http://{host_port}"), root_token, environment, part, directory })
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

    /// The process, for its id and its log.
    pub fn part(&self) -> &Part {
        &self.part
    }

    /// Runs the `bao` command-line client with the root token and returns what it printed.
    ///
    /// # Errors
    /// When the client ends with another status than 0; the error shows its standard error.
    pub fn command(&self, arguments: &[&str]) -> Result<String> {
        self.command_with_token(&self.root_token, arguments)
    }

    /// [`OpenBao::command`] with another token, to see what it may do.
    ///
    /// # Errors
    /// As [`OpenBao::command`].
    pub fn command_with_token(&self, token: &str, arguments: &[&str]) -> Result<String> {
        let mut client = Command::new(self.environment.program("bao"));
        client.args(arguments).env_remove("BAO_NAMESPACE").env_remove("VAULT_NAMESPACE");
        client.env("BAO_ADDR", &self.address).env("BAO_TOKEN", token).env("HOME", self.directory.path());
        let output = client.output().context("cannot start the bao client")?;
        if !output.status.success() {
            bail!("bao ended with {}:\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// A token that is another one in every world; the server refuses given ones that begin with its own `s.`.
fn new_token() -> Result<String> {
    let mut bytes = [0; 12];
    rand::fill(&mut bytes).map_err(|_unspecified| anyhow::anyhow!("the machine gives no random bytes"))?;
    Ok(format!("root-{}", bytes.map(|byte| format!("{byte:02x}")).concat()))
}

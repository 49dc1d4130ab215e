//! OpenBao, the open Vault: the real server in its development mode.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_lc_rs::rand;
use serde_json::json;

use crate::binaries;
use crate::cache::{self, RunFolder};
use crate::certificates::Authority;
use crate::part::{Part, free_port};
use crate::plain_http;
use crate::python::{self, Environment};

/// How long the server may take: it needs half a second on a quiet machine.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// What a server has beyond what it has by itself.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// Another port, with TLS: a certificate of this authority for `localhost` and `127.0.0.1`. Clients may show a
    /// certificate; whether it is taken is for the server's login by certificate to say.
    pub authority: Option<&'a Authority>,
    /// Vault's logins by AWS identity (`aws`) and by a directory (`ldap`), as plugins.
    pub has_vault_logins: bool,
}

/// A running OpenBao, unsealed, all in memory, with a root token and KV version 2 at `secret/`.
///
/// It listens without TLS; `Switchboard::with_tls` gives it a TLS face, and [`Options::authority`] one of its own, which
/// sees the certificates of clients. Dropping it ends it.
#[derive(Debug)]
pub struct OpenBao {
    address: String,
    secure_address: Option<String>,
    root_token: String,
    environment: Environment,
    // Ends before the directory with its log goes.
    part: Part,
    directory: RunFolder,
}

/// Whether the server's answer is that a KV mount of version 2, which was just made, is not ready yet: that is not for long.
pub fn is_still_mounting(answer: &str) -> bool {
    answer.contains("Upgrading from non-versioned to versioned data")
}

impl OpenBao {
    /// Starts the server on a free port and waits until it answers.
    ///
    /// # Errors
    /// When the Python environment cannot be prepared or the server does not get ready.
    pub fn start() -> Result<Self> {
        Self::start_with(&Options::default())
    }

    /// The same with more than it has by itself.
    ///
    /// # Errors
    /// As [`OpenBao::start`], and when Vault's logins cannot be built.
    pub fn start_with(options: &Options<'_>) -> Result<Self> {
        let environment = python::prepare()?;
        let directory = RunFolder::new()?;
        let host_port = format!("127.0.0.1:{}", free_port()?);
        let root_token = new_token()?;
        let mut server = Command::new(environment.program("bao"));
        server.args(["server", "-dev", "-dev-no-store-token"]);
        server.args([format!("-dev-listen-address={host_port}"), format!("-dev-root-token-id={root_token}")]);
        server.env("HOME", directory.path());
        let mut secure_address = None;
        if options.has_vault_logins {
            server.arg(format!("-dev-plugin-dir={}", binaries::vault_logins()?.display()));
        }
        if let Some(authority) = options.authority {
            let secure_port = free_port()?;
            let configuration = write_listener(authority, secure_port, &directory)?;
            server.arg(format!("-config={}", configuration.display()));
            secure_address = Some(format!("https://127.0.0.1:{secure_port}"));
        }
        let mut part = Part::start("open-bao", &server, directory.path())?;
        part.wait_until(READY_LIMIT, || {
            // The mounts of the development mode come last: a server that is unsealed may not have `secret/` yet.
            let path = "/v1/secret/config";
            plain_http::send(&host_port, "GET", path, &[("X-Vault-Token", &root_token)], b"")
                .is_ok_and(|answer| answer.status == 200)
        })?;
        Ok(Self { address: format!("http://{host_port}"), secure_address, root_token, environment, part, directory })
    }

    /// `http://127.0.0.1:PORT`, as in `VAULT_ADDR`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `https://127.0.0.1:PORT`, where it was started with TLS.
    pub fn secure_address(&self) -> Option<&str> {
        self.secure_address.as_deref()
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

/// The configuration of a second listener, and its certificate and key beside it.
fn write_listener(authority: &Authority, port: u16, directory: &RunFolder) -> Result<PathBuf> {
    let (certificate, key) = authority.issue(&["localhost", "127.0.0.1"])?;
    let (certificate_file, key_file) = (directory.path().join("tls.crt"), directory.path().join("tls.key"));
    cache::write(&certificate_file, certificate.as_bytes())?;
    cache::write(&key_file, key.as_bytes())?;
    let listener = json!({
        "address": format!("127.0.0.1:{port}"), "tls_cert_file": certificate_file, "tls_key_file": key_file,
    });
    let configuration = directory.path().join("listener.json");
    cache::write(&configuration, json!({"listener": [{"tcp": listener}]}).to_string().as_bytes())?;
    Ok(configuration)
}

/// A token that is another one in every world; the server refuses given ones that begin with its own `s.`.
fn new_token() -> Result<String> {
    let mut bytes = [0; 12];
    rand::fill(&mut bytes).map_err(|_unspecified| anyhow::anyhow!("the machine gives no random bytes"))?;
    Ok(format!("root-{}", bytes.map(|byte| format!("{byte:02x}")).concat()))
}

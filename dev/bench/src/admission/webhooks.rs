//! `strongroom admission` with a certificate from files, and an API server behind it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine as _;
use tokio_rustls::TlsConnector;
use world::certificates::Authority;
use world::control_plane::{ControlPlane, Options};
use world::part::Part;

use super::reviews;
use crate::client::connector;
use crate::flow::Served;
use crate::process;
use crate::scenarios::Bench;

/// How long it may take until it serves.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process that serves reviews. Dropping it ends it, and then its cluster.
pub(crate) struct Webhooks {
    part: Part,
    address: SocketAddr,
    connector: TlsConnector,
    cluster: ControlPlane,
    authority: Authority,
    _folder: tempfile::TempDir,
}

impl Webhooks {
    /// Makes a cluster with the Secrets that pods name, and starts the process.
    ///
    /// # Errors
    /// When one of them does not get ready.
    pub(crate) fn start(bench: &Bench) -> Result<Self> {
        Self::start_with(bench, &[])
    }

    /// The same with more flags.
    ///
    /// # Errors
    /// As [`Webhooks::start`].
    pub(crate) fn start_with(bench: &Bench, flags: &[&str]) -> Result<Self> {
        let cluster = ControlPlane::start(&Options::default())?;
        cluster.apply(&reviews::namespace_with_secrets())?;
        let (authority, folder) = (Authority::new()?, tempfile::tempdir()?);
        let (certificate, key) = authority.issue_files(&["127.0.0.1"])?;
        let mut command = Command::new("env");
        command.args(["-i", "PATH=/usr/bin:/bin"]).arg(&bench.programs.strongroom);
        command.args(["admission", "--listen-address=127.0.0.1:0", "--kubeconfig"]).arg(cluster.kubeconfig());
        command.arg("--tls-cert-file").arg(certificate).arg("--tls-private-key-file").arg(key).args(flags);
        let mut part = Part::start("admission", &command, folder.path())?;
        let (log, mut listening) = (part.log().to_owned(), None);
        part.wait_until(PATIENCE, || {
            listening = address(&log);
            listening.is_some()
        })?;
        let address = listening.context("admission does not listen")?;
        let connector = connector(authority.certificate_file())?;
        Ok(Self { part, address, connector, cluster, authority, _folder: folder })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// To whom reviews are sent.
    pub(crate) fn served(&self) -> Served<'_> {
        Served { address: self.address, connector: &self.connector, process: self.part.id() }
    }

    /// The cluster behind it.
    pub(crate) fn cluster(&self) -> &ControlPlane {
        &self.cluster
    }

    /// Whom an API server must trust to call it: a `caBundle`.
    pub(crate) fn bundle(&self) -> String {
        base64::engine::general_purpose::STANDARD.encode(self.authority.certificate_pem())
    }

    /// A line of `/proc/PID/status`, in bytes.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn memory(&self, name: &str) -> Result<f64> {
        process::memory(self.part.id(), name)
    }

    /// Single reads of Secrets that the API server has answered so far, as it counts them.
    ///
    /// # Errors
    /// When it does not tell.
    pub(crate) fn reads_of_secrets(&self) -> Result<f64> {
        let text = self.cluster.kubectl(&["get", "--raw", "/metrics"])?;
        let is_read = |line: &&str| {
            let of = |label: &str| line.contains(label);
            line.starts_with("apiserver_request_total{") && of("resource=\"secrets\"") && of("verb=\"GET\"")
        };
        Ok(text.lines().filter(is_read).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }
}

/// Where it serves reviews, as its log says.
fn address(log: &Path) -> Option<SocketAddr> {
    let logged = std::fs::read_to_string(log).ok()?;
    let line = logged.lines().find(|line| line.contains("serving reviews"))?;
    line.split("address=").nth(1)?.split_whitespace().next()?.trim_matches('"').parse().ok()
}

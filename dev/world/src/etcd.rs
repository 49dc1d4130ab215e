//! An etcd of its own, on a free port of 127.0.0.1: for what keeps its records in it.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::binaries;
use crate::cache::RunFolder;
use crate::part::{Part, free_port};
use crate::plain_http;

/// A running etcd. Dropping it kills it and removes its data.
#[derive(Debug)]
pub struct Etcd {
    part: Option<Part>,
    port: u16,
    peer_port: u16,
    folder: RunFolder,
}

impl Etcd {
    /// Starts one member and waits until it answers: about a second.
    ///
    /// # Errors
    /// When the program cannot be had, or ends; the error shows its log's end.
    pub fn start() -> Result<Self> {
        let (port, peer_port) = (free_port()?, free_port()?);
        let mut etcd = Self { part: None, port, peer_port, folder: RunFolder::new()? };
        etcd.start_again()?;
        Ok(etcd)
    }

    /// Starts it where it was, with the same data.
    ///
    /// # Errors
    /// As [`Etcd::start`].
    pub fn start_again(&mut self) -> Result<()> {
        self.kill();
        let folder = self.folder.path();
        let (clients, peers) = (self.address(), format!("http://{}:{}", Ipv4Addr::LOCALHOST, self.peer_port));
        let mut command = Command::new(&binaries::control_plane()?.etcd);
        command.current_dir(folder).arg("--data-dir").arg(folder.join("data"));
        command.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
        command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        command.args(["--initial-cluster", &format!("default={peers}"), "--log-level", "warn"]);
        let mut part = Part::start("etcd", &command, folder)?;
        let host_port = self.host_port();
        let is_well =
            || plain_http::send(&host_port, "GET", "/health", &[], b"").is_ok_and(|answer| answer.status == 200);
        part.wait_until(Duration::from_secs(30), is_well).context("etcd is not ready")?;
        self.part = Some(part);
        Ok(())
    }

    /// Ends it as a crash would; its data stay.
    pub fn kill(&mut self) {
        self.part = None;
    }

    /// Where clients reach it: `http://127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("http://{}", self.host_port())
    }

    /// The same without the scheme: `127.0.0.1:PORT`.
    pub fn host_port(&self) -> String {
        format!("{}:{}", Ipv4Addr::LOCALHOST, self.port)
    }

    /// Where its data lie.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Its process, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.part.as_ref().map(Part::id)
    }
}

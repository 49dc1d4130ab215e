//! A registry of images: the distribution project's, which asks who pulls, and takes what tests push.

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use aws_lc_rs::digest::{SHA256, digest};

use crate::binaries;
use crate::cache::{self, RunFolder};
use crate::part::{Part, free_port};
use crate::plain_http;

/// How long the registry may take: it needs a fifth of a second on a quiet machine.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// How the registry learns who pulls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access<'a> {
    /// It does not ask.
    Open,
    /// One user and password, sent along (Basic).
    Basic(&'a str, &'a str),
    /// Tokens of its token service: for one user and password, or with the password as identity token. Everyone gets
    /// one for repositories below `public/`.
    Tokens(&'a str, &'a str),
}

/// A running registry without TLS. Dropping it ends it.
#[derive(Debug)]
pub struct Registry {
    host_port: String,
    open: String,
    token_service: Option<String>,
    // Ends before the directory with its images goes.
    part: Part,
    _directory: RunFolder,
}

impl Registry {
    /// Starts a registry without images on free ports.
    ///
    /// # Errors
    /// When there is no Go to build it with, or it does not get ready.
    pub fn start(access: Access<'_>) -> Result<Self> {
        let program = binaries::registry()?;
        let directory = RunFolder::new()?;
        let (port, open_port, token_port) = (free_port()?, free_port()?, free_port()?);
        let mut server = Command::new(program);
        server.arg("-folder").arg(directory.path());
        server.args(["-port", &port.to_string(), "-open-port", &open_port.to_string()]);
        let token_service = format!("127.0.0.1:{token_port}");
        match access {
            Access::Open => {}
            Access::Basic(user, password) => drop(server.args(["-user", user, "-password", password])),
            Access::Tokens(user, password) => {
                server.args(["-user", user, "-password", password, "-token-port", &token_port.to_string()]);
                server.args(["-realm", &format!("http://{token_service}/token")]);
            }
        }
        let mut part = Part::start("registry", &server, directory.path())?;
        let answers = |port| TcpStream::connect(("127.0.0.1", port)).is_ok();
        part.wait_until(READY_LIMIT, || answers(port) && answers(open_port))?;
        Ok(Self {
            host_port: format!("127.0.0.1:{port}"),
            open: format!("127.0.0.1:{open_port}"),
            token_service: matches!(access, Access::Tokens(..)).then_some(token_service),
            part,
            _directory: directory,
        })
    }

    /// `127.0.0.1:PORT`, as it stands before the names of its images.
    pub fn host_port(&self) -> &str {
        &self.host_port
    }

    /// `127.0.0.1:PORT` of its token service, where it has one.
    pub fn token_service(&self) -> Option<&str> {
        self.token_service.as_deref()
    }

    /// The process, for its id and its log.
    pub fn part(&self) -> &Part {
        &self.part
    }

    /// Puts a blob into `repository` and returns its digest.
    ///
    /// # Errors
    /// When the registry does not take it.
    pub fn push_blob(&self, repository: &str, content: &[u8]) -> Result<String> {
        let name = digest_of(content);
        let start = self.send("POST", &format!("/v2/{repository}/blobs/uploads/"), None, b"")?;
        let place = start.location.context("the registry does not say where it takes the blob")?;
        let place = place.trim_start_matches("http://");
        let path = place.find('/').map_or(place, |slash| &place[slash..]);
        let mark = if path.contains('?') { '&' } else { '?' };
        self.send("PUT", &format!("{path}{mark}digest={name}"), Some("application/octet-stream"), content)?;
        Ok(name)
    }

    /// Puts a manifest or an index under `reference`, a tag or its digest, and returns its digest.
    ///
    /// # Errors
    /// When the registry does not take it: something that it names is not there.
    pub fn push_manifest(&self, repository: &str, reference: &str, kind: &str, content: &[u8]) -> Result<String> {
        self.send("PUT", &format!("/v2/{repository}/manifests/{reference}"), Some(kind), content)?;
        Ok(digest_of(content))
    }

    fn send(&self, method: &str, path: &str, kind: Option<&str>, body: &[u8]) -> Result<plain_http::Answer> {
        let kind: Vec<_> = kind.map(|kind| ("Content-Type", kind)).into_iter().collect();
        let answer = plain_http::send(&self.open, method, path, &kind, body)?;
        if !(200..300).contains(&answer.status) {
            bail!("{method} {path}: HTTP {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        Ok(answer)
    }
}

/// The digest of `content` as registries write it, `sha256:...`.
pub fn digest_of(content: &[u8]) -> String {
    format!("sha256:{}", cache::hexadecimal(digest(&SHA256, content).as_ref()))
}

//! AWS's token service as far as others ask it "whose request is this?": a stand-in that checks signatures with AWS's
//! own Python library, which moto does not.

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use crate::cache::RunFolder;
use crate::moto::Moto;
use crate::part::{Part, free_port};
use crate::python;

/// How long it may take: two seconds on a quiet machine, most of it Python's imports.
const READY_LIMIT: Duration = Duration::from_secs(90);

/// A key that AWS would know.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Key<'a> {
    /// Its id.
    pub id: &'a str,
    /// The key itself.
    pub secret: &'a str,
    /// The token that goes with a temporary one.
    pub token: Option<&'a str>,
    /// Whose it is: `arn:aws:iam::123456789012:user/app`.
    pub arn: &'a str,
}

/// A running stand-in. It answers `GetCallerIdentity` to requests that are signed for STS's own names, whatever address
/// they come by. Dropping it ends it.
#[derive(Debug)]
pub struct CheckedSts {
    endpoint: String,
    // Ends before the directory with its log goes.
    part: Part,
    _directory: RunFolder,
}

impl CheckedSts {
    /// Starts it on a free port. It knows `keys`, and those that `moto` gave out with a role.
    ///
    /// # Errors
    /// When the Python environment cannot be prepared or the server does not get ready.
    pub fn start(keys: &[Key<'_>], moto: Option<&Moto>) -> Result<Self> {
        let environment = python::prepare()?;
        let directory = RunFolder::new()?;
        let port = free_port()?;
        let settings = json!({"port": port, "keys": keys, "moto": moto.map(Moto::host_port)});
        let mut server = Command::new(environment.program("python"));
        server.args(["-c", include_str!("../python/sts.py")]).env("STS", settings.to_string());
        let mut part = Part::start("sts", &server, directory.path())?;
        part.wait_until(READY_LIMIT, || TcpStream::connect(("127.0.0.1", port)).is_ok())?;
        Ok(Self { endpoint: format!("http://127.0.0.1:{port}"), part, _directory: directory })
    }

    /// `http://127.0.0.1:PORT`, as in `sts_endpoint` of Vault's login by AWS identity.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The process, for its id and its log.
    pub fn part(&self) -> &Part {
        &self.part
    }
}

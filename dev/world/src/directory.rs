//! A directory of people: an LDAP server with one user in one group.

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::binaries;
use crate::cache::RunFolder;
use crate::part::{Part, free_port};

/// How long the server may take: it needs a tenth of a second on a quiet machine.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// Where users are: `cn=NAME,` stands before it.
pub const USERS: &str = "ou=people,dc=example,dc=org";

/// Where groups are.
pub const GROUPS: &str = "ou=groups,dc=example,dc=org";

/// A running LDAP server without TLS. It answers simple binds of its user and searches for the user's group. Dropping it
/// ends it.
#[derive(Debug)]
pub struct Directory {
    address: String,
    // Ends before the directory with its log goes.
    part: Part,
    _directory: RunFolder,
}

impl Directory {
    /// Starts the server on a free port, with one `user` who has this `password` and is in one `group`.
    ///
    /// # Errors
    /// When there is no Go to build it with, or it does not get ready.
    pub fn start(user: &str, password: &str, group: &str) -> Result<Self> {
        let program = binaries::directory()?;
        let directory = RunFolder::new()?;
        let port = free_port()?;
        let mut server = Command::new(program);
        server.args(["-port", &port.to_string(), "-user", user, "-password", password, "-group", group]);
        let mut part = Part::start("directory", &server, directory.path())?;
        part.wait_until(READY_LIMIT, || TcpStream::connect(("127.0.0.1", port)).is_ok())?;
        Ok(Self { address: format!("ldap://127.0.0.1:{port}"), part, _directory: directory })
    }

    /// `ldap://127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The process, for its id and its log.
    pub fn part(&self) -> &Part {
        &self.part
    }
}

//! Stores that are measured: ours and the peer, each as one process with its data in a folder.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use world::part::free_port;

use crate::client::{Connection, request};
use crate::process;

/// How long a store may take until it answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store that was asked to end has this long.
const ENDING: Duration = Duration::from_secs(30);

/// How often is looked whether it answers.
const PAUSE: Duration = Duration::from_millis(1);

/// What the token may do that load is sent with. One that may do everything would spare a store its policies.
const POLICY: &str = r#"path "secret/*" { capabilities = ["create", "read", "update", "list"] }"#;

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `strongroom server`, with an audit file or without.
    Ours { has_audit: bool },
    /// OpenBao with its integrated storage (raft) and an audit file.
    OpenBao,
}

/// A store that runs, with KV version 2 at `secret/`. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Store {
    kind: Kind,
    program: PathBuf,
    folder: PathBuf,
    child: Child,
    address: SocketAddr,
    /// What opens it, where it does not open itself.
    unseal_key: Option<String>,
    token: String,
    /// The id of the mount.
    mount: String,
}

impl Store {
    /// Starts a new store in `folder`, which is made, and makes its mount, and the token for its load.
    ///
    /// # Errors
    /// When it does not get ready.
    pub(crate) async fn new(kind: Kind, program: &Path, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder.join("data"))?;
        let (child, address) = spawn(kind, program, folder)?;
        let (program, folder) = (program.to_owned(), folder.to_owned());
        let mut store = Self {
            kind,
            program,
            folder,
            child,
            address,
            unseal_key: None,
            token: String::new(),
            mount: String::new(),
        };
        let shares = json!({"secret_shares": 1, "secret_threshold": 1});
        let asked = request("PUT", "sys/init", "", &shares.to_string());
        let made: Value = serde_json::from_slice(&store.until_answered(&asked).await?)?;
        store.unseal_key = made["keys_base64"][0].as_str().map(str::to_owned);
        let root = made["root_token"].as_str().context("no token was made")?;
        store.unseal().await?;
        let body = |value: Value| value.to_string();
        let mount = body(json!({"type": "kv", "options": {"version": "2"}}));
        store.until_answered(&request("POST", "sys/mounts/secret", root, &mount)).await?;
        // A KV mount of the peer's prepares itself for some moments.
        let config = body(json!({"max_versions": 10}));
        store.until_answered(&request("POST", "secret/config", root, &config)).await?;
        let mounts = store.until_answered(&request("GET", "sys/mounts", root, "")).await?;
        let mounts: Value = serde_json::from_slice(&mounts)?;
        mounts["data"]["secret/"]["uuid"].as_str().context("the mount has no id")?.clone_into(&mut store.mount);
        let policy = body(json!({"policy": POLICY}));
        store.until_answered(&request("PUT", "sys/policies/acl/bench", root, &policy)).await?;
        let asked = body(json!({"policies": ["bench"]}));
        let made = store.until_answered(&request("POST", "auth/token/create", root, &asked)).await?;
        let made: Value = serde_json::from_slice(&made)?;
        made["auth"]["client_token"].as_str().context("no token was made")?.clone_into(&mut store.token);
        Ok(store)
    }

    /// Which one it is.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The token that load is sent with.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// The id of the mount `secret/`.
    pub(crate) fn mount(&self) -> &str {
        &self.mount
    }

    /// Where the data are.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The file that opens ours.
    pub(crate) fn seal_key(&self) -> PathBuf {
        self.folder.join("seal.key")
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The resident set in bytes.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn resident(&self) -> Result<f64> {
        process::memory(self.id(), "VmRSS:")
    }

    /// Ends it and starts it again, as `kind` from now on: the time from the start until `first` is answered. Where the
    /// store does not open itself, that is done as soon as it listens.
    ///
    /// # Errors
    /// When it does not end or does not get ready.
    pub(crate) async fn restart(&mut self, kind: Kind, first: &[u8]) -> Result<Duration> {
        self.end().await?;
        let begun = Instant::now();
        (self.child, self.address) = spawn(kind, &self.program, &self.folder)?;
        self.kind = kind;
        self.unseal().await?;
        self.until_answered(first).await?;
        Ok(begun.elapsed())
    }

    async fn unseal(&mut self) -> Result<()> {
        let Some(key) = &self.unseal_key else { return Ok(()) };
        let asked = request("PUT", "sys/unseal", "", &json!({"key": key}).to_string());
        self.until_answered(&asked).await.map(drop)
    }

    /// Asks until the answer is a success: its body.
    async fn until_answered(&mut self, request: &[u8]) -> Result<Vec<u8>> {
        let begun = Instant::now();
        loop {
            let why = match once(self.address, request).await {
                Ok((200 | 204, body)) => return Ok(body),
                Ok((status, body)) => format!("{status} {}", String::from_utf8_lossy(&body)),
                Err(error) => error.to_string(),
            };
            if let Some(status) = self.child.try_wait()? {
                bail!("the store ended with {status}: {}", self.logged());
            }
            if begun.elapsed() > PATIENCE {
                let asked = String::from_utf8_lossy(request.split(|byte| *byte == b'\r').next().unwrap_or_default());
                bail!("the store does not answer {asked}: {why}: {}", self.logged());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Asks it to end, and waits. Nothing to do where it has ended.
    ///
    /// # Errors
    /// When it does not end.
    pub(crate) async fn end(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        kill(Pid::from_raw(i32::try_from(self.id())?), Signal::SIGTERM)?;
        let deadline = Instant::now() + ENDING;
        while self.child.try_wait()?.is_none() {
            ensure!(Instant::now() < deadline, "the store did not end within {} s of SIGTERM", ENDING.as_secs());
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// The end of what it logged.
    fn logged(&self) -> String {
        let text = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // One that has ended already needs neither.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn once(address: SocketAddr, request: &[u8]) -> Result<(u16, Vec<u8>)> {
    let mut connection = Connection::open(address).await?;
    let answer = connection.ask(request).await?;
    Ok((answer.status, answer.body.to_vec()))
}

/// Starts the process on a free port.
fn spawn(kind: Kind, program: &Path, folder: &Path) -> Result<(Child, SocketAddr)> {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let mut command = Command::new(program);
    command.arg("server");
    match kind {
        Kind::Ours { has_audit } => {
            command.arg(format!("--listen={address}")).arg("--data").arg(folder.join("data"));
            command.arg(format!("--seal=file:{}", folder.join("seal.key").display()));
            if !has_audit {
                command.arg("--audit=off");
            }
        }
        Kind::OpenBao => {
            let file = folder.join("config.hcl");
            world::cache::write(&file, configuration(address, folder)?.as_bytes())?;
            command.arg(format!("-config={}", file.display()));
        }
    }
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", folder);
    let log = File::options().append(true).create(true).open(folder.join("log"))?;
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
    Ok((child, address))
}

/// OpenBao's configuration: one node of its integrated storage, and an audit file.
fn configuration(address: SocketAddr, folder: &Path) -> Result<String> {
    let cluster = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let (data, audit) = (folder.join("data"), folder.join("audit.log"));
    Ok(format!(
        r#"storage "raft" {{
  path    = "{data}"
  node_id = "bench"
}}
listener "tcp" {{
  address         = "{address}"
  cluster_address = "{cluster}"
  tls_disable     = true
}}
audit "file" "file" {{
  options = {{
    file_path = "{audit}"
  }}
}}
api_addr     = "http://{address}"
cluster_addr = "https://{cluster}"
"#,
        data = data.display(),
        audit = audit.display(),
    ))
}

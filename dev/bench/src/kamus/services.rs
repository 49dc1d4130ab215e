//! The encryptor and the decryptor, as a cluster would run them, with an API server that says whose a token is.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt as _, stream};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;
use strongroom_kamus::PublicKey;
use tokio_rustls::TlsConnector;
use world::certificates::Authority;
use world::control_plane::{ControlPlane, Options};

use super::{ACCOUNT, NAMESPACE};
use crate::client::connector;
use crate::flow::Served;
use crate::process::{self, Processor, on_processor};
use crate::scenarios::Bench;

/// How long a service may take until it serves.
const PATIENCE: Duration = Duration::from_secs(30);

/// A key for trying out: who keeps it does not matter once it is unwrapped.
const LOCAL_KEY: &[u8] = b"tWG4dk8ARsETnFL3jCf1xtMVe05imlx9vimER7iky2s=";

/// Tokens that are asked for at the same time.
const TOGETHER: usize = 16;

/// An installation's keys, and a cluster for its services.
pub(super) struct Installation {
    program: PathBuf,
    cluster: ControlPlane,
    authority: Authority,
    connector: TlsConnector,
    public: PublicKey,
    folder: tempfile::TempDir,
}

/// A service that runs. Dropping it ends it.
pub(super) struct Service {
    child: Child,
    address: SocketAddr,
    connector: TlsConnector,
}

impl Installation {
    /// Makes the keys, and a cluster with the account that asks.
    ///
    /// # Errors
    /// When one of them does not get ready.
    pub(super) fn new(bench: &Bench) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        world::cache::write(&folder.path().join("key"), LOCAL_KEY)?;
        let public = keys(&bench.programs.strongroom, &flags(folder.path()), &[], &["create", "public"])?;
        let cluster = ControlPlane::start(&Options::default())?;
        cluster.apply(&format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}\n---\n\
             {{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {ACCOUNT}, namespace: {NAMESPACE}}}}}\n"
        ))?;
        let authority = Authority::new()?;
        let connector = connector(authority.certificate_file())?;
        let public = PublicKey::read(&public)?;
        Ok(Self { program: bench.programs.strongroom.clone(), cluster, authority, connector, public, folder })
    }

    /// What values are encrypted with.
    pub(super) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Starts a service with the options that a cluster gives it: TLS, and the trail on its standard output, which
    /// somebody reads. It has one processor.
    ///
    /// # Errors
    /// When it does not get ready.
    pub(super) fn start(&self, name: &str) -> Result<Service> {
        let (certificate, key) = self.authority.issue_files(&["127.0.0.1"])?;
        let log = self.folder.path().join(format!("{name}.log"));
        let mut command = Command::new(&self.program);
        command.args(["kamus", name, "--listen-address=127.0.0.1:0", "--kubeconfig"]).arg(self.cluster.kubeconfig());
        command.arg("--tls-cert-file").arg(certificate).arg("--tls-private-key-file").arg(key);
        command.args(flags(self.folder.path()));
        if name == "decryptor" {
            // One account asks for everything.
            command.arg("--rate=0");
        }
        command.env_clear().env("PATH", "/usr/bin:/bin");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let spawn = || command.spawn().context("cannot start the service");
        let mut child = on_processor(Processor::First, spawn)?;
        if let Some(trail) = child.stdout.take() {
            std::thread::spawn(move || read_away(trail));
        }
        let connector = self.connector.clone();
        let mut service = Service { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), connector };
        let started = Instant::now();
        while service.address.port() == 0 {
            let logged = std::fs::read_to_string(&log).unwrap_or_default();
            ensure!(started.elapsed() < PATIENCE, "the {name} does not serve\n{logged}");
            service.address = address(&logged).unwrap_or(service.address);
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(service)
    }

    /// So many tokens of the account, no two alike.
    ///
    /// # Errors
    /// When the API server gives none.
    pub(super) fn tokens(&self, count: usize) -> Result<Vec<String>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let kubeconfig = Kubeconfig::read_from(self.cluster.kubeconfig())?;
            let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
            let api: Api<ServiceAccount> = Api::namespaced(Client::try_from(config)?, NAMESPACE);
            let made: Vec<Result<String>> =
                stream::iter(0..count).map(|_| token(&api)).buffer_unordered(TOGETHER).collect().await;
            made.into_iter().collect()
        })
    }
}

async fn token(api: &Api<ServiceAccount>) -> Result<String> {
    let asked = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"audiences": [], "expirationSeconds": 3600},
    });
    let made: TokenRequest = api.create_subresource("token", ACCOUNT, &PostParams::default(), &asked).await?;
    Ok(made.status.context("the API server gave no token")?.token)
}

impl Service {
    /// To whom requests are sent.
    pub(super) fn served(&self) -> Served<'_> {
        Served { address: self.address, connector: &self.connector, process: self.child.id() }
    }

    /// A line of `/proc/PID/status`, in bytes.
    ///
    /// # Errors
    /// When it has ended.
    pub(super) fn memory(&self, name: &str) -> Result<f64> {
        process::memory(self.child.id(), name)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Does these things with an installation's keys, one after the other, and gives what the last one printed.
///
/// # Errors
/// When one of them fails, with its own words.
pub(crate) fn keys(program: &Path, flags: &[String], variables: &[(&str, &str)], actions: &[&str]) -> Result<Vec<u8>> {
    let mut printed = Vec::new();
    for action in actions {
        let mut command = Command::new(program);
        command.args(["kamus", "keys", action]).args(flags).env_clear().envs(variables.iter().copied());
        let ended = command.output().context("cannot start strongroom")?;
        ensure!(ended.status.success(), "keys {action}: {}", String::from_utf8_lossy(&ended.stderr));
        printed = ended.stdout;
    }
    Ok(printed)
}

/// A request with a body of JSON, and these further headers.
pub(super) fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The header that says who asks.
pub(super) fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn flags(folder: &Path) -> Vec<String> {
    let flag = |name: &str, file: &str| format!("--{name}={}", folder.join(file).display());
    vec![flag("keys-file", "ring.json"), flag("local-key-file", "key")]
}

/// As a container's runtime does it.
fn read_away(mut trail: impl std::io::Read) {
    let mut buffer = vec![0; 64 << 10];
    while trail.read(&mut buffer).is_ok_and(|count| count > 0) {}
}

/// Where it serves, as its log says.
fn address(logged: &str) -> Option<SocketAddr> {
    let line = logged.lines().find(|line| line.contains("msg=serving"))?;
    line.split("address=").nth(1)?.split_whitespace().next()?.trim_matches('"').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_tells_who_asks_and_the_length_of_its_body() {
        let sent = String::from_utf8(post("/api/v1/decrypt", &bearer("t"), "{}")).unwrap();
        let expected = "POST /api/v1/decrypt HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nAuthorization: Bearer t\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(sent, expected);
    }

    #[test]
    fn the_log_tells_where_a_service_serves() {
        let line = "ts=2026-11-28T00:00:00Z level=info msg=serving address=127.0.0.1:4711\n";
        assert_eq!(address(line), Some(SocketAddr::from(([127, 0, 0, 1], 4711))));
        assert_eq!(address("level=warn msg=\"serving by plain HTTP\"\n"), None);
    }
}

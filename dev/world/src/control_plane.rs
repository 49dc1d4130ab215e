//! A Kubernetes control plane: etcd and the real API server, without root, on a free port of 127.0.0.1.
//!
//! It is enough for controllers, webhooks by URL, custom resources, access rules, token reviews, KMS and audit logs.
//! Nothing runs pods: for that there is the [node](crate::node).
//!
//! # Service accounts and OpenBao's or Vault's Kubernetes auth
//! [`Cluster::service_account_token`] makes a pod's token. Whoever verifies one through the TokenReview API needs
//! [`Cluster::server`] and [`Cluster::certificate_authority`], and a token that may ask: with
//! [`Cluster::token_reviewer`] there is one. Whoever verifies by public keys (JWT auth, OpenID Connect) finds them
//! without logging in: the issuer is [`Cluster::server`] itself, with `/.well-known/openid-configuration`.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::binaries::{self, ControlPlaneBinaries};
use crate::cache::{self, RunFolder};
use crate::part::{Part, free_port};
use crate::{pki, probe};

/// What a control plane starts with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Also the controller manager: service accounts `default`, owner references, Deployments to Pods, ...
    pub controllers: bool,
    /// Flags for the API server, after the world's own, of which they override the same ones:
    /// `--audit-policy-file=...`.
    pub api_server_flags: Vec<String>,
}

/// A running control plane. Dropping it kills all of it and removes its folder; so does the next world's start when
/// this process was killed.
#[derive(Debug)]
pub struct ControlPlane {
    /// In the order of their end.
    parts: Vec<Part>,
    cluster: Cluster,
    placement: Placement,
    options: Options,
    folder: RunFolder,
}

impl ControlPlane {
    /// Starts the parts and waits until the API server is ready: about 3 s when the binaries are in the cache.
    ///
    /// # Errors
    /// When binaries cannot be had, or when a part ends or is not ready within a minute; the error shows its log's end.
    pub fn start(options: &Options) -> Result<Self> {
        let mut tries = 1;
        loop {
            match Self::start_once(options) {
                // Another program took the port between our looking and the API server's binding.
                Err(error) if tries < 3 && format!("{error:#}").contains("address already in use") => tries += 1,
                answer => return answer,
            }
        }
    }

    fn start_once(options: &Options) -> Result<Self> {
        let folder = RunFolder::new()?;
        let server = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let placement = Placement { listen: server, public: server, names: Vec::new() };
        let started = start_parts(folder.path(), &placement, options)?;
        let Started { parts, cluster, .. } = started;
        Ok(Self { parts, cluster, placement, options: options.clone(), folder })
    }

    /// Kills the API server, as a crash would. etcd goes on, and with it all objects.
    pub fn kill_api_server(&mut self) {
        // Dropping a part kills it.
        self.parts.retain(|part| part.name() != API_SERVER);
    }

    /// Starts the API server again, where it was and with the same flags, and waits until it is ready.
    ///
    /// # Errors
    /// As [`ControlPlane::start`].
    pub fn start_api_server(&mut self) -> Result<()> {
        self.kill_api_server();
        let programs = binaries::control_plane()?;
        let part = start_api_server(self.folder.path(), &programs, &self.placement, &self.options)?;
        // Before etcd, after what writes to it.
        let place = self.parts.iter().position(|part| part.name() == "etcd").unwrap_or(0);
        self.parts.insert(place, part);
        Ok(())
    }

    /// The parts' names (`etcd`, `kube-apiserver`, ...), process ids and logs.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }
}

/// A control plane is first of all a cluster.
impl Deref for ControlPlane {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

/// A cluster as its users see it, wherever its parts run.
#[derive(Clone, Debug)]
pub struct Cluster {
    server: String,
    kubeconfig: PathBuf,
    certificate_authority: PathBuf,
    kubectl: PathBuf,
}

impl Cluster {
    /// The cluster whose files are in `folder` and whose API server is reached at `server`.
    pub(crate) fn at(folder: &Path, server: SocketAddr, kubectl: PathBuf) -> Self {
        Self {
            server: format!("https://{server}"),
            kubeconfig: folder.join("kubeconfig"),
            certificate_authority: folder.join("pki/ca.crt"),
            kubectl,
        }
    }

    /// `https://ADDRESS:PORT`, as this process reaches it; also the issuer of service-account tokens.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// A kubeconfig file of an administrator.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The authority of the API server's certificate, a PEM file.
    pub fn certificate_authority(&self) -> &Path {
        &self.certificate_authority
    }

    /// Runs kubectl as an administrator and returns what it printed.
    ///
    /// # Errors
    /// When kubectl ends with another status than 0; the error shows its standard error.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.run(arguments, None)
    }

    /// Applies YAML or JSON manifests, on the server's side.
    ///
    /// # Errors
    /// As [`Cluster::kubectl`].
    pub fn apply(&self, manifests: &str) -> Result<String> {
        self.run(&["apply", "--server-side", "--force-conflicts", "-f", "-"], Some(manifests))
    }

    /// A token of the service account `name`, made when it does not exist, for `audiences` (the API server's own when
    /// there are none), valid for an hour.
    ///
    /// # Errors
    /// As [`Cluster::kubectl`]; a namespace that does not exist is one.
    pub fn service_account_token(&self, namespace: &str, name: &str, audiences: &[&str]) -> Result<String> {
        self.apply(&format!(
            "{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {name}, namespace: {namespace}}}}}"
        ))?;
        let mut arguments = vec!["create", "token", name, "-n", namespace, "--duration=1h"];
        let audiences: Vec<_> = audiences.iter().map(|audience| format!("--audience={audience}")).collect();
        arguments.extend(audiences.iter().map(String::as_str));
        Ok(self.kubectl(&arguments)?.trim().to_owned())
    }

    /// A token that may review other tokens, for `token_reviewer_jwt` of OpenBao's and Vault's Kubernetes auth.
    ///
    /// # Errors
    /// As [`Cluster::kubectl`].
    pub fn token_reviewer(&self) -> Result<String> {
        self.apply(TOKEN_REVIEWER)?;
        self.service_account_token("kube-system", "world-token-reviewer", &[])
    }

    fn run(&self, arguments: &[&str], input: Option<&str>) -> Result<String> {
        let mut command = Command::new(&self.kubectl);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(arguments);
        // What it learns about this cluster must not end up in the home of the person.
        command.env("KUBECACHEDIR", self.kubeconfig.with_file_name("kubectl-cache"));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = command.spawn().context("cannot start kubectl")?;
        if let (Some(input), Some(mut pipe)) = (input, child.stdin.take()) {
            // When kubectl ends before it has read everything, its own words say why.
            let _ = std::io::Write::write_all(&mut pipe, input.as_bytes());
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            bail!("kubectl {} ended with {}: {}", arguments.join(" "), output.status, words.trim());
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

const TOKEN_REVIEWER: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: world-token-reviewer}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: system:auth-delegator}
subjects: [{kind: ServiceAccount, name: world-token-reviewer, namespace: kube-system}]
";

/// The public keys of service-account tokens are no secret: whoever has them can verify and nothing else.
const PUBLIC_KEYS_FOR_ALL: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: world-issuer-discovery}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: system:service-account-issuer-discovery}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: system:unauthenticated}]
";

/// The name of that part.
const API_SERVER: &str = "kube-apiserver";

/// Where an API server listens, and where its users find it.
#[derive(Debug)]
pub(crate) struct Placement {
    /// What it binds.
    pub(crate) listen: SocketAddr,
    /// What stands in kubeconfig and in the tokens' issuer.
    pub(crate) public: SocketAddr,
    /// Names and addresses for its certificate beyond the usual ones.
    pub(crate) names: Vec<String>,
}

/// Parts that are ready.
pub(crate) struct Started {
    pub(crate) parts: Vec<Part>,
    /// As the machine sees it.
    pub(crate) cluster: Cluster,
    /// As the parts see each other.
    pub(crate) inside: Cluster,
}

/// How long a part may take on a machine that does much else; a quiet one needs 3 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts a control plane whose files are in `folder`, and waits until it is ready.
pub(crate) fn start_parts(folder: &Path, placement: &Placement, options: &Options) -> Result<Started> {
    let programs = binaries::control_plane()?;
    let controller_manager = options.controllers.then(binaries::controller_manager).transpose()?;
    pki::write(&folder.join("pki"), &server_names(placement))?;
    write_kubeconfig(folder, "kubeconfig", placement.public, "admin")?;
    write_kubeconfig(folder, "kubeconfig.inside", placement.listen, "admin")?;
    let etcd = start_etcd(folder, &programs)?;
    let api_server = start_api_server(folder, &programs, placement, options)?;
    // In the order of their end: what writes before what it writes to.
    let mut parts = vec![api_server, etcd];
    let cluster = Cluster::at(folder, placement.public, programs.kubectl.clone());
    let inside = Cluster { kubeconfig: folder.join("kubeconfig.inside"), ..cluster.clone() };
    inside.apply(PUBLIC_KEYS_FOR_ALL)?;
    if let Some(program) = controller_manager {
        parts.insert(0, start_controller_manager(folder, &program, &inside)?);
    }
    Ok(Started { parts, cluster, inside })
}

/// Addresses of Services.
pub(crate) const SERVICE_NETWORK: &str = "10.96.0.0/16";

/// The names in the API server's certificate; 10.96.0.1 is the Service `kubernetes`.
fn server_names(placement: &Placement) -> Vec<String> {
    let usual = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "127.0.0.1", "10.96.0.1"];
    let bound = placement.listen.ip().to_string();
    let names = usual.into_iter().map(str::to_owned).chain(placement.names.iter().cloned());
    names.filter(|name| *name != bound).chain([bound.clone()]).collect()
}

/// A kubeconfig file of the user whose certificate is `pki/USER.crt`; it holds everything, so that it can be copied.
pub(crate) fn write_kubeconfig(folder: &Path, file: &str, server: SocketAddr, user: &str) -> Result<()> {
    use base64::Engine as _;
    let data = |name: &str| -> Result<String> {
        let file = folder.join("pki").join(name);
        let content = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(base64::engine::general_purpose::STANDARD.encode(content))
    };
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "world", "cluster": {
            "server": format!("https://{server}"),
            "certificate-authority-data": data("ca.crt")?,
        }}],
        "users": [{"name": user, "user": {
            "client-certificate-data": data(&format!("{user}.crt"))?,
            "client-key-data": data(&format!("{user}.key"))?,
        }}],
        "contexts": [{"name": "world", "context": {"cluster": "world", "user": user}}],
        "current-context": "world",
    });
    cache::write(&folder.join(file), &serde_json::to_vec_pretty(&config)?)
}

/// etcd listens on sockets of the folder, so that it needs no port and nobody else reaches it.
fn start_etcd(folder: &Path, programs: &ControlPlaneBinaries) -> Result<Part> {
    let socket = folder.join("etcd.sock");
    // Nobody dials what is advertised: it has one client, and no peers.
    let (client, nobody) = (format!("unix://{}", socket.display()), "http://127.0.0.1:0");
    let mut command = Command::new(&programs.etcd);
    command.current_dir(folder).arg("--data-dir").arg(folder.join("etcd"));
    command.args(["--listen-client-urls", &client, "--advertise-client-urls", nobody]);
    command.args(["--listen-peer-urls", nobody, "--initial-advertise-peer-urls", nobody]);
    command.args(["--initial-cluster", &format!("default={nobody}")]);
    // Nobody needs this data after a crash of the machine.
    command.args(["--unsafe-no-fsync", "--log-level=warn"]);
    let mut etcd = Part::start("etcd", &command, folder)?;
    etcd.wait_until(PATIENCE, || std::os::unix::net::UnixStream::connect(&socket).is_ok())?;
    Ok(etcd)
}

fn start_api_server(
    folder: &Path,
    programs: &ControlPlaneBinaries,
    placement: &Placement,
    options: &Options,
) -> Result<Part> {
    let pki = |name: &str| folder.join("pki").join(name).display().to_string();
    let mut command = Command::new(&programs.api_server);
    command.arg(format!("--etcd-servers=unix://{}", folder.join("etcd.sock").display()));
    command.arg(format!("--bind-address={}", placement.listen.ip()));
    command.arg(format!("--advertise-address={}", placement.listen.ip()));
    command.arg(format!("--secure-port={}", placement.listen.port()));
    command.arg(format!("--cert-dir={}", folder.join("pki").display()));
    command.arg(format!("--tls-cert-file={}", pki("apiserver.crt")));
    command.arg(format!("--tls-private-key-file={}", pki("apiserver.key")));
    command.arg(format!("--client-ca-file={}", pki("ca.crt")));
    command.arg(format!("--kubelet-client-certificate={}", pki("admin.crt")));
    command.arg(format!("--kubelet-client-key={}", pki("admin.key")));
    command.arg(format!("--service-account-key-file={}", pki("sa.key")));
    command.arg(format!("--service-account-signing-key-file={}", pki("sa.key")));
    command.arg(format!("--service-account-issuer=https://{}", placement.public));
    command.arg(format!("--api-audiences=https://kubernetes.default.svc,https://{}", placement.public));
    command.arg(format!("--service-cluster-ip-range={SERVICE_NETWORK}")).arg("--authorization-mode=Node,RBAC");
    command.args(["--enable-admission-plugins=NodeRestriction", "--allow-privileged=true"]);
    command.args(["--kubelet-preferred-address-types=InternalIP"]).args(&options.api_server_flags);
    let mut api_server = Part::start(API_SERVER, &command, folder)?;
    let authority = std::fs::read(folder.join("pki/ca.crt"))?;
    let client = probe::Client::new(&authority)?;
    api_server.wait_until(PATIENCE, || {
        TcpStream::connect_timeout(&placement.listen, Duration::from_secs(1))
            .is_ok_and(|stream| client.is_ready(stream, placement.listen, "/readyz"))
    })?;
    Ok(api_server)
}

fn start_controller_manager(folder: &Path, program: &Path, inside: &Cluster) -> Result<Part> {
    let pki = |name: &str| folder.join("pki").join(name).display().to_string();
    let mut command = Command::new(program);
    command.arg(format!("--kubeconfig={}", inside.kubeconfig.display()));
    command.arg(format!("--service-account-private-key-file={}", pki("sa.key")));
    command.arg(format!("--root-ca-file={}", pki("ca.crt")));
    // It makes this folder, by default below /usr.
    command.arg(format!("--flex-volume-plugin-dir={}", folder.join("volume-plugins").display()));
    // No leader to elect, no metrics to serve, hence no port.
    command.args(["--use-service-account-credentials", "--leader-elect=false", "--secure-port=0"]);
    // By default it asks 20 times a second: hundreds of rollouts would wait for it, and not for what is tested.
    command.args(["--kube-api-qps=500", "--kube-api-burst=1000"]);
    let mut part = Part::start("kube-controller-manager", &command, folder)?;
    // Pods are refused before their service account exists; this one is the controller manager's first work.
    part.wait_until(PATIENCE, || inside.kubectl(&["get", "serviceaccount", "default"]).is_ok())?;
    Ok(part)
}

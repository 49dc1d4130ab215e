//! A node world: a control plane and one real node that runs pods, in namespaces of its own. Linux, as root.
//!
//! All of it is one process tree in network, mount, PID, IPC and host-name namespaces: when its first process ends, the
//! kernel ends everything. The machine keeps its own network, mounts and kernel settings. It reaches the inside through
//! ports of 127.0.0.1 only: the API server's, and those that [`Node::forward`] makes. Pods reach the machine's
//! 127.0.0.1 only through what [`Node::expose_to_pods`] opens.
//!
//! The first process is the program `world` (`cargo build -p world`), looked for in `WORLD_PROGRAM`, beside the running
//! program, and one folder above it, where cargo puts it for tests.

mod inside;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::binaries;
use crate::cache::{self, RunFolder};
use crate::control_group;
use crate::control_plane::Cluster;
use crate::gate::Gate;
use crate::part::Part;

pub use inside::run as run_inside;

/// What a node world starts with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Flags for the API server, after the world's own. Addresses in files that they name are seen from inside.
    pub api_server_flags: Vec<String>,
}

/// Why a node world did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Namespaces, mounts and control groups are root's.
    #[error("a node world needs root; run the same command with sudo, or leave the node out")]
    NeedsRoot,
    /// Anything else.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

/// A running node world with the controller manager, a scheduler, cluster DNS, and one node named `world-node`.
/// Dropping it kills everything and waits until nothing is left.
#[derive(Debug)]
pub struct Node {
    first: Part,
    gate: Gate,
    cluster: Cluster,
    containerd: PathBuf,
    folder: RunFolder,
}

/// The node's name in the cluster.
pub const NAME: &str = "world-node";

/// The node's address inside: what pods call to reach the API server or an exposed port.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 244, 0, 1);

/// Where the API server listens inside.
const API_SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(ADDRESS), 6443);

/// How long a start may take on a machine that does much else; a quiet one needs 10 s.
const PATIENCE: Duration = Duration::from_secs(180);

/// What the first process is told, as JSON in [`ORDER`].
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    /// Where the machine reaches the API server.
    public: SocketAddr,
    api_server_flags: Vec<String>,
    /// The world's name, which its control groups bear.
    world: String,
}

/// The file with the [`Order`].
const ORDER: &str = "node.json";
/// The file that says that everything is ready.
const READY: &str = "ready";
/// containerd's socket.
const CONTAINERD: &str = "containerd.sock";

impl Node {
    /// Starts everything and waits until the node is ready to run pods: about 10 s when the binaries are in the cache.
    ///
    /// # Errors
    /// [`StartError::NeedsRoot`], or what failed, with the end of the log that says why.
    pub fn start(options: &Options) -> Result<Self, StartError> {
        if !nix::unistd::geteuid().is_root() {
            return Err(StartError::NeedsRoot);
        }
        Ok(Self::start_as_root(options)?)
    }

    fn start_as_root(options: &Options) -> Result<Self> {
        // Here, where a person can see what is built.
        let programs = binaries::node()?;
        let kubectl = binaries::control_plane()?.kubectl;
        binaries::controller_manager()?;
        let folder = RunFolder::new()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let public = listener.local_addr()?;
        let world = folder.name();
        let order = Order { public, api_server_flags: options.api_server_flags.clone(), world: world.clone() };
        cache::write(&folder.path().join(ORDER), &serde_json::to_vec(&order)?)?;
        control_group::make(&world)?;
        let gate = Gate::new(folder.path())?;
        let first = Part::start("node", &first_process(folder.path())?, folder.path())?;
        let cluster = Cluster::at(folder.path(), public, kubectl);
        let mut node = Self { first, gate, cluster, containerd: programs.containerd, folder };
        let ready = node.folder.path().join(READY);
        node.first.wait_until(PATIENCE, || ready.exists())?;
        node.gate.forward(listener, API_SERVER)?;
        Ok(node)
    }

    /// Brings an OCI image archive to the node. Pods name it as the archive does, with `imagePullPolicy: Never`.
    ///
    /// # Errors
    /// When the archive cannot be read or is no image.
    pub fn import_image(&self, archive: &Path) -> Result<()> {
        import_image(&self.containerd, self.folder.path(), archive)
    }

    /// Opens the machine's `127.0.0.1:port` to pods, and returns the address that leads there from inside; the API
    /// server reaches it as well, for webhooks. Some other part or the test itself listens on the port.
    ///
    /// # Errors
    /// When the world has ended.
    pub fn expose_to_pods(&self, port: u16) -> Result<SocketAddr> {
        Ok((ADDRESS, self.gate.expose(port, (ADDRESS, 0).into())?).into())
    }

    /// Opens the machine's `127.0.0.1:port` to pods in the node's own network (`hostNetwork`), which find it under the
    /// same address.
    ///
    /// # Errors
    /// When the world has ended, or something inside has that port.
    pub fn expose_to_host_network(&self, port: u16) -> Result<()> {
        self.gate.expose(port, (Ipv4Addr::LOCALHOST, port).into()).map(drop)
    }

    /// Makes a port of the machine's 127.0.0.1 that leads to `address` inside: a pod's, a Service's, the node's own.
    ///
    /// # Errors
    /// When the machine has no port left.
    pub fn forward(&self, address: SocketAddr) -> Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let outside = listener.local_addr()?;
        self.gate.forward(listener, address)?;
        Ok(outside)
    }

    /// What a part has written so far: `kubelet`, `containerd`, `kube-apiserver`, `kube-controller-manager`,
    /// `kube-scheduler`, `kube-proxy`, `coredns`, `etcd`, or `node` for the first process.
    ///
    /// # Errors
    /// When there is no such part.
    pub fn logs(&self, part: &str) -> Result<String> {
        let log = self.folder.path().join(format!("{part}.log"));
        let bytes = std::fs::read(&log).with_context(|| format!("there is no part {part:?}"))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Every process inside, those of pods too, by the ids that the machine knows them by.
    pub fn processes(&self) -> Vec<u32> {
        let parents = parents();
        let mut found: Vec<u32> = self.inside().into_iter().collect();
        let mut looked_at = 0;
        while let Some(&parent) = found.get(looked_at) {
            found.extend(parents.iter().filter(|(_, of)| **of == parent).map(|(process, _)| process));
            looked_at += 1;
        }
        found
    }

    /// What is mounted inside, volumes of pods too, as `/proc/PID/mounts` tells it of the first process.
    ///
    /// # Errors
    /// When the world has ended.
    pub fn mounts(&self) -> Result<String> {
        let first = self.inside().context("the world has ended")?;
        Ok(std::fs::read_to_string(format!("/proc/{first}/mounts"))?)
    }

    /// The first process inside: the only child of `unshare`.
    fn inside(&self) -> Option<u32> {
        parents().into_iter().find(|(_, parent)| *parent == self.first.id()).map(|(process, _)| process)
    }

    /// The world's folder, with the parts' logs; it is gone when the world is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// A node world is first of all a cluster, here as the machine sees it: service-account tokens bear the address of its
/// API server as their issuer. Pods have `https://kubernetes.default.svc`.
impl Deref for Node {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // The first process inside is a child of `unshare`. Killed itself, it is gone, for whoever waits for `unshare`,
        // only when the kernel has ended everything inside. Were `unshare` killed, that would go on behind our back.
        let Some(inside) = self.inside().and_then(|process| i32::try_from(process).ok()) else { return };
        if kill(Pid::from_raw(inside), Signal::SIGKILL).is_ok() {
            let start = Instant::now();
            let _ = self.first.wait_until(Duration::from_secs(20), || start.elapsed() > Duration::from_secs(15));
        }
    }
}

/// The parent of each process of the machine.
fn parents() -> BTreeMap<u32, u32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let with_parent = processes.filter_map(|entry| {
        let process = entry.file_name().to_string_lossy().parse().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // pid (name) state parent ...; the name may hold anything, parentheses too.
        let (_, rest) = stat.rsplit_once(')')?;
        Some((process, rest.split_whitespace().nth(1)?.parse().ok()?))
    });
    with_parent.collect()
}

/// The command of the first process: `world` in namespaces of its own, which die with it, as it does with us.
fn first_process(folder: &Path) -> Result<Command> {
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--pid", "--ipc", "--uts", "--fork", "--mount-proc", "--kill-child=KILL", "--"]);
    command.arg(world_program()?).arg(RUN_INSIDE).arg(folder);
    Ok(command)
}

/// The subcommand of `world` that is the first process inside; its argument is the folder.
pub const RUN_INSIDE: &str = "run-inside-node";

/// The program `world` that goes with this library.
fn world_program() -> Result<PathBuf> {
    if let Some(program) = std::env::var_os("WORLD_PROGRAM") {
        return Ok(program.into());
    }
    let here = std::env::current_exe()?;
    if here.file_name().is_some_and(|name| name == "world") {
        return Ok(here);
    }
    let found = here.ancestors().skip(1).take(2).map(|folder| folder.join("world")).find(|path| path.is_file());
    found.with_context(|| {
        format!(
            "the program `world` is not built: run `cargo build -p world --bin world` with the profile of {}, or set \
             WORLD_PROGRAM to it",
            here.display()
        )
    })
}

/// [`Node::import_image`] for a node that another process started, whose [`Node::folder`] this is.
///
/// # Errors
/// As there.
pub fn import_image_into(folder: &Path, archive: &Path) -> Result<()> {
    import_image(&binaries::node()?.containerd, folder, archive)
}

fn import_image(programs: &Path, folder: &Path, archive: &Path) -> Result<()> {
    let mut command = Command::new(programs.join("ctr"));
    command.arg("--address").arg(folder.join(CONTAINERD)).args([
        "--namespace",
        "k8s.io",
        "images",
        "import",
        "--local",
    ]);
    command.args(["--snapshotter", "native"]).arg(archive);
    let output = command.output().context("cannot start ctr")?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        bail!("cannot import {}: {}", archive.display(), words.trim());
    }
    Ok(())
}

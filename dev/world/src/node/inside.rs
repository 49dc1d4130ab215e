//! The first process of a node world: it prepares the namespaces that it finds itself in, starts the parts, says that
//! they are ready, and buries whatever is orphaned, until it is killed.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::wait::wait;

use super::{ADDRESS, API_SERVER, CONTAINERD, NAME, ORDER, Order, READY};
use crate::binaries::{self, NodeBinaries};
use crate::cache;
use crate::control_plane::{self, Cluster, Placement, SERVICE_NETWORK, write_kubeconfig};
use crate::image::Image;
use crate::part::Part;
use crate::{control_group, gate, plain_http};

/// How long one part may take on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

const PAUSE: &str = "docker.io/world/pause:1";
const BRIDGE: &str = "world0";
const POD_NETWORK: &str = "10.244.0.0/24";
const DNS_SERVICE: &str = "10.96.0.10";

/// Runs the node world whose order lies in `folder`, as the first process of new namespaces. Returns only with an error.
///
/// # Errors
/// When the process is not the first of its namespace, or when a part cannot start or ends.
pub fn run(folder: &Path) -> Result<()> {
    if std::process::id() != 1 {
        bail!("this is an internal command; use `world up --node`");
    }
    let order: Order = serde_json::from_slice(&std::fs::read(folder.join(ORDER))?)?;
    make_mounts(folder)?;
    make_network()?;
    gate::serve_inside(folder)?;
    let parts = start(folder, &order)?;
    cache::write(&folder.join(READY), b"")?;
    bury(&parts)
}

/// Keeps what the parts write at fixed paths away from the machine, and what they would change in the kernel.
fn make_mounts(folder: &Path) -> Result<()> {
    let none = None::<&str>;
    // Volumes that pods mount must be seen by kubelet and the other way round.
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SHARED, none).context("cannot share the mounts")?;
    mount(Some("world"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=0755")).context("cannot mount /run")?;
    bind(&made(&folder.join("log"))?, Path::new("/var/log"))?;
    cover_var_lib()?;
    bind(&made(&folder.join("kubelet"))?, &made(Path::new("/var/lib/kubelet"))?)?;
    hide_kernel_settings()
}

/// An overlay, for there is more in `/var/lib` than is ours. Its upper folder is on a tmpfs, because an overlay cannot
/// lie on another overlay, such as a container's root.
fn cover_var_lib() -> Result<()> {
    let (upper, work) = (made(Path::new("/run/var-lib/upper"))?, made(Path::new("/run/var-lib/work"))?);
    let options = format!("lowerdir=/var/lib,upperdir={},workdir={}", upper.display(), work.display());
    mount(Some("world"), "/var/lib", Some("overlay"), MsFlags::empty(), Some(options.as_str()))
        .context("cannot cover /var/lib")
}

/// kubelet sets these for the whole machine unless it finds them as it wants them, so it does find them.
fn hide_kernel_settings() -> Result<()> {
    let wanted = [
        ("vm/overcommit_memory", "1"),
        ("vm/panic_on_oom", "0"),
        ("kernel/panic", "10"),
        ("kernel/panic_on_oops", "1"),
        ("kernel/keys/root_maxkeys", "1000000"),
        ("kernel/keys/root_maxbytes", "25000000"),
    ];
    let folder = made(Path::new("/run/kernel-settings"))?;
    for (name, value) in wanted {
        let copy = folder.join(name.replace('/', "."));
        cache::write(&copy, value.as_bytes())?;
        bind(&copy, &Path::new("/proc/sys").join(name))?;
    }
    Ok(())
}

fn bind(from: &Path, to: &Path) -> Result<()> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .with_context(|| format!("cannot put {} at {}", from.display(), to.display()))
}

fn made(path: &Path) -> Result<std::path::PathBuf> {
    cache::make_directory(path)?;
    Ok(path.to_owned())
}

/// A bridge that has the node's address, and the kernel's permission to pass packets on between pods.
fn make_network() -> Result<()> {
    let address = format!("{ADDRESS}/24");
    ip(&["link", "set", "lo", "up"])?;
    ip(&["link", "add", BRIDGE, "type", "bridge"])?;
    ip(&["address", "add", &address, "dev", BRIDGE])?;
    ip(&["link", "set", BRIDGE, "up"])?;
    // Addresses of Services are translated only after a route was found: the API server calls webhooks by them.
    ip(&["route", "add", SERVICE_NETWORK, "dev", BRIDGE])?;
    for setting in ["ip_forward", "conf/all/route_localnet"] {
        let path = Path::new("/proc/sys/net/ipv4").join(setting);
        let file = std::fs::OpenOptions::new().write(true).open(&path);
        file.and_then(|mut file| std::io::Write::write_all(&mut file, b"1"))
            .with_context(|| format!("cannot set {}", path.display()))?;
    }
    Ok(())
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("cannot run ip")?;
    if !output.status.success() {
        bail!("ip {} failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// Starts everything in the order in which one needs the other.
fn start(folder: &Path, order: &Order) -> Result<Vec<Part>> {
    let programs = binaries::node()?;
    let mut containerd = start_containerd(folder, &programs)?;
    let placement = Placement { listen: API_SERVER, public: order.public, names: Vec::new() };
    let options = control_plane::Options { controllers: true, api_server_flags: order.api_server_flags.clone() };
    let control_plane = control_plane::start_parts(folder, &placement, &options)?;
    let cluster = control_plane.inside;
    write_kubeconfig(folder, "kubelet.kubeconfig", API_SERVER, "kubelet")?;
    let socket = folder.join(CONTAINERD);
    containerd.wait_until(PATIENCE, || std::os::unix::net::UnixStream::connect(&socket).is_ok())?;
    import_pause(folder, &programs)?;
    let mut kubelet = start_kubelet(folder, &programs, &control_group::name(&order.world))?;
    let scheduler = start_scheduler(folder, &programs)?;
    let proxy = start_proxy(folder, &programs)?;
    let mut dns = start_dns(folder, &programs, &cluster)?;
    dns.wait_until(PATIENCE, || {
        plain_http::send("127.0.0.1:8181", "GET", "/ready", &[], b"").is_ok_and(|answer| answer.status == 200)
    })?;
    let condition = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";
    kubelet.wait_until(PATIENCE, || {
        cluster.kubectl(&["get", "node", NAME, "-o", condition]).is_ok_and(|is| is == "True")
    })?;
    Ok(control_plane.parts.into_iter().chain([containerd, kubelet, scheduler, proxy, dns]).collect())
}

fn start_containerd(folder: &Path, programs: &NodeBinaries) -> Result<Part> {
    let at = |name: &str| folder.join(name).display().to_string();
    let network = made(&folder.join("network"))?;
    // Hairpin: what a pod sends to a Service may come back to the pod itself.
    let plugins = serde_json::json!({
        "cniVersion": "1.0.0",
        "name": "world",
        "plugins": [{"type": "bridge", "bridge": BRIDGE, "isGateway": true, "ipMasq": false, "hairpinMode": true, "ipam": {
            "type": "host-local",
            "dataDir": at("network-addresses"),
            "ranges": [[{"subnet": POD_NETWORK}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }}],
    });
    cache::write(&network.join("world.conflist"), &serde_json::to_vec_pretty(&plugins)?)?;
    let config = format!(
        r#"version = 3
root = "{root}"
state = "{state}"
[grpc]
address = "{socket}"
[plugins.'io.containerd.internal.v1.opt']
path = "{optional}"
[plugins.'io.containerd.nri.v1.nri']
disable = true
[plugins.'io.containerd.cri.v1.images']
snapshotter = "native"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{PAUSE}"
[plugins.'io.containerd.cri.v1.runtime']
# Lowering a score needs a right that containers and small virtual machines do not give.
restrict_oom_score_adj = true
disable_apparmor = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["{network_plugins}"]
conf_dir = "{network}"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = "{runc}"
"#,
        root = at("containerd"),
        state = "/run/containerd",
        socket = at(CONTAINERD),
        optional = at("containerd-optional"),
        network_plugins = programs.network_plugins.display(),
        network = network.display(),
        runc = programs.runc.display(),
    );
    let file = folder.join("containerd.toml");
    cache::write(&file, config.as_bytes())?;
    let mut command = Command::new(programs.containerd.join("containerd"));
    command.arg("--config").arg(&file).env("PATH", path_with(&programs.containerd)?);
    Part::start("containerd", &command, folder)
}

/// `PATH` with a folder put before it: containerd looks for its shim there.
fn path_with(folder: &Path) -> Result<std::ffi::OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths([folder.to_owned()].into_iter().chain(std::env::split_paths(&path)))?)
}

fn import_pause(folder: &Path, programs: &NodeBinaries) -> Result<()> {
    let archive = folder.join("pause.tar");
    Image::new(PAUSE).file("pause", &programs.pause, 0o755).entrypoint(&["/pause"]).write(&archive)?;
    super::import_image(&programs.containerd, folder, &archive)
}

fn start_kubelet(folder: &Path, programs: &NodeBinaries, control_group: &str) -> Result<Part> {
    let config = serde_json::json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": folder.join("pki/ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "address": ADDRESS,
        "healthzPort": 0,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{control_group}"),
        "failCgroupV1": false,
        "failSwapOn": false,
        "enforceNodeAllocatable": [],
        "containerRuntimeEndpoint": format!("unix://{}", folder.join(CONTAINERD).display()),
        "volumePluginDir": "/var/lib/kubelet/plugins-volume",
        // Pods resolve what is in the cluster and nothing else.
        "resolvConf": "",
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": "cluster.local",
        // The disk is the machine's, and so is its care.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"nodefs.available": "0%", "imagefs.available": "0%", "memory.available": "1Mi"},
        "localStorageCapacityIsolation": false,
        "fileCheckFrequency": "1s",
        "syncFrequency": "1s",
    });
    let file = folder.join("kubelet.json");
    cache::write(&file, &serde_json::to_vec_pretty(&config)?)?;
    let mut command = Command::new(&programs.kubelet);
    command.arg("--config").arg(&file).arg("--kubeconfig").arg(folder.join("kubelet.kubeconfig"));
    command.arg(format!("--hostname-override={NAME}")).arg(format!("--node-ip={ADDRESS}"));
    Part::start("kubelet", &command, folder)
}

fn start_scheduler(folder: &Path, programs: &NodeBinaries) -> Result<Part> {
    let mut command = Command::new(&programs.scheduler);
    command.arg("--kubeconfig").arg(folder.join("kubeconfig.inside"));
    command.args(["--leader-elect=false", "--secure-port=0"]);
    Part::start("kube-scheduler", &command, folder)
}

fn start_proxy(folder: &Path, programs: &NodeBinaries) -> Result<Part> {
    let config = serde_json::json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": folder.join("kubeconfig.inside")},
        "clusterCIDR": POD_NETWORK,
        // Pods share a bridge, so that an answer would not come back the way of its question, through the address
        // translation, unless both go through the node.
        "nftables": {"masqueradeAll": true, "minSyncPeriod": "0s"},
        "healthzBindAddress": "127.0.0.1:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        // 0: leave the machine's limit alone.
        "conntrack": {"maxPerCore": 0},
        "nodePortAddresses": [format!("{ADDRESS}/32")],
    });
    let file = folder.join("kube-proxy.json");
    cache::write(&file, &serde_json::to_vec_pretty(&config)?)?;
    let mut command = Command::new(&programs.proxy);
    command.arg("--config").arg(&file).arg(format!("--hostname-override={NAME}"));
    Part::start("kube-proxy", &command, folder)
}

fn start_dns(folder: &Path, programs: &NodeBinaries, cluster: &Cluster) -> Result<Part> {
    let config = format!(
        ".:53 {{\n  bind {ADDRESS}\n  errors\n  ready 127.0.0.1:8181\n  kubernetes cluster.local {{\n    kubeconfig {}\n  }}\n}}\n",
        cluster.kubeconfig().display()
    );
    let file = folder.join("Corefile");
    cache::write(&file, config.as_bytes())?;
    let mut command = Command::new(&programs.dns);
    command.arg("-conf").arg(&file);
    cluster.apply(&dns_service())?;
    Part::start("coredns", &command, folder)
}

/// The Service under whose address pods ask; what answers is no pod but a process beside kubelet.
fn dns_service() -> String {
    format!(
        "
apiVersion: v1
kind: Service
metadata: {{name: kube-dns, namespace: kube-system}}
spec: {{clusterIP: {DNS_SERVICE}, ports: [{{name: dns, port: 53, protocol: UDP}}, {{name: dns-tcp, port: 53, protocol: TCP}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: kube-dns, namespace: kube-system, labels: {{kubernetes.io/service-name: kube-dns}}}}
addressType: IPv4
endpoints: [{{addresses: [{ADDRESS}], conditions: {{ready: true}}}}]
ports: [{{name: dns, port: 53, protocol: UDP}}, {{name: dns-tcp, port: 53, protocol: TCP}}]
"
    )
}

/// Buries orphans, the first process's duty, until a part ends: half a world would fail its tests in riddles.
fn bury(parts: &[Part]) -> Result<()> {
    loop {
        match wait() {
            Ok(status) => {
                let ended = status.pid().map(|pid| pid.as_raw().unsigned_abs());
                if let Some(part) = parts.iter().find(|part| Some(part.id()) == ended) {
                    bail!("{} ended ({status:?}), and the world with it", part.name());
                }
            }
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error).context("cannot wait for the parts"),
        }
    }
}

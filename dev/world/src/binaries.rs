//! The programs of the test world, built once from Go modules whose versions `dev/world/go` pins.
//!
//! They lie in `bin/GROUP-KEY/` of the [cache](crate::cache), where KEY stands for everything that they were built
//! from. Where `KUBEBUILDER_ASSETS` is set, its `etcd`, `kube-apiserver` and `kubectl` are taken as they are.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cache;
use crate::debian;

/// What a control plane needs.
#[derive(Clone, Debug)]
pub struct ControlPlaneBinaries {
    /// `etcd`.
    pub etcd: PathBuf,
    /// `kube-apiserver`.
    pub api_server: PathBuf,
    /// `kubectl`.
    pub kubectl: PathBuf,
}

/// What a node needs beyond a control plane and its controllers.
#[derive(Clone, Debug)]
pub struct NodeBinaries {
    /// `kube-scheduler`.
    pub scheduler: PathBuf,
    /// `kubelet`.
    pub kubelet: PathBuf,
    /// `kube-proxy`.
    pub proxy: PathBuf,
    /// The folder of `containerd`, `containerd-shim-runc-v2` and `ctr`.
    pub containerd: PathBuf,
    /// `runc`, with seccomp.
    pub runc: PathBuf,
    /// The folder of the network plugins `bridge`, `host-local` and `loopback`.
    pub network_plugins: PathBuf,
    /// `coredns`.
    pub dns: PathBuf,
    /// A static program that is the first process of every pod.
    pub pause: PathBuf,
}

/// etcd, API server and kubectl: from `KUBEBUILDER_ASSETS` where that is set, else built when not in the cache yet.
///
/// # Errors
/// When one is missing from `KUBEBUILDER_ASSETS`, when there is no Go, or when a build fails.
pub fn control_plane() -> Result<ControlPlaneBinaries> {
    let folder = match std::env::var_os("KUBEBUILDER_ASSETS") {
        Some(assets) => assets.into(),
        None => CONTROL_PLANE.prepare(&mut cache::progress)?,
    };
    let program = |name| {
        let path = Path::join(&folder, name);
        if !path.is_file() {
            bail!("{} is missing; KUBEBUILDER_ASSETS must name a folder that has it, or be unset", path.display());
        }
        Ok(path)
    };
    Ok(ControlPlaneBinaries {
        etcd: program("etcd")?,
        api_server: program("kube-apiserver")?,
        kubectl: program("kubectl")?,
    })
}

/// The controller manager, built when not in the cache yet.
///
/// # Errors
/// When there is no Go, or when the build fails.
pub fn controller_manager() -> Result<PathBuf> {
    Ok(CONTROLLERS.prepare(&mut cache::progress)?.join("kube-controller-manager"))
}

/// Everything that makes a node, built when not in the cache yet.
///
/// # Errors
/// When there is no Go, when a Debian package is missing and cannot be installed, or when a build fails.
pub fn node() -> Result<NodeBinaries> {
    debian::require_program("nft", "nftables")?;
    debian::require_program("ip", "iproute2")?;
    let prepare = |group: &Group| group.prepare(&mut cache::progress);
    let kubernetes = prepare(&NODE)?;
    Ok(NodeBinaries {
        scheduler: kubernetes.join("kube-scheduler"),
        kubelet: kubernetes.join("kubelet"),
        proxy: kubernetes.join("kube-proxy"),
        containerd: prepare(&CONTAINERD)?,
        runc: prepare(&RUNC)?.join("runc"),
        network_plugins: prepare(&NETWORK_PLUGINS)?,
        dns: prepare(&DNS)?.join("coredns"),
        pause: prepare(&PAUSE)?.join("pause"),
    })
}

/// The LDAP server, built when not in the cache yet.
///
/// # Errors
/// When there is no Go, or when the build fails.
pub fn directory() -> Result<PathBuf> {
    Ok(DIRECTORY.prepare(&mut cache::progress)?.join("directory"))
}

/// The folder of Vault's logins that OpenBao does not have by itself, `aws` and `ldap`, built when not in the cache yet.
///
/// # Errors
/// When there is no Go, or when the build fails.
pub fn vault_logins() -> Result<PathBuf> {
    VAULT_LOGINS.prepare(&mut cache::progress)
}

/// Helm, built when not in the cache yet.
///
/// # Errors
/// When there is no Go, or when the build fails.
pub fn helm() -> Result<PathBuf> {
    Ok(HELM.prepare(&mut cache::progress)?.join("helm"))
}

/// Debian's static busybox, for images of tests that need a shell. Nothing is installed: the package is unpacked into
/// the cache.
///
/// # Errors
/// When apt cannot download the package.
pub fn busybox() -> Result<PathBuf> {
    Ok(debian::unpack("busybox-static", "bin/busybox")?.join("bin/busybox"))
}

/// Builds everything that a world can need, and says through `progress` what is built and how long it will take.
///
/// # Errors
/// As [`node`].
pub fn prepare_all(progress: &mut dyn FnMut(&str)) -> Result<()> {
    debian::require_program("nft", "nftables")?;
    debian::require_program("ip", "iproute2")?;
    let mut missing = Vec::new();
    for group in ALL {
        if !group.is_ready()? {
            missing.push(group);
        }
    }
    let seconds = missing.iter().map(|group| group.seconds).sum();
    if !missing.is_empty() {
        progress(&format!("{} groups of programs are to be built, {}", missing.len(), about(seconds)));
    }
    for group in missing {
        group.prepare(progress)?;
    }
    busybox()?;
    Ok(())
}

/// A Go module of ours that does nothing but pin others.
struct Module {
    files: &'static [(&'static str, &'static str)],
}

macro_rules! module {
    ($folder:literal, $($file:literal),+) => {
        Module { files: &[$(($file, include_str!(concat!("../go/", $folder, "/", $file)))),+] }
    };
}

const KUBERNETES: Module = module!("kubernetes", "go.mod", "go.sum", "tools.go");
const CONTAINERS: Module = module!("containerd", "go.mod", "go.sum", "tools.go");
const NETWORK: Module = module!("cni", "go.mod", "go.sum", "tools.go");
const COREDNS: Module = module!("coredns", "go.mod", "go.sum", "tools.go");
const LOGINS: Module = module!("logins", "go.mod", "go.sum", "tools.go");
const LDAP: Module = module!("directory", "go.mod", "go.sum", "main.go");
const CHARTS: Module = module!("helm", "go.mod", "go.sum", "tools.go");
const PAUSING: Module = module!("pause", "go.mod", "main.go");

/// Programs that are built in one go.
struct Group {
    name: &'static str,
    module: &'static Module,
    packages: &'static [&'static str],
    tags: &'static str,
    c_compiler: bool,
    /// How long a build takes on two cores with nothing in Go's own caches.
    seconds: u64,
}

const CONTROL_PLANE: Group = Group {
    name: "control-plane",
    module: &KUBERNETES,
    packages: &["go.etcd.io/etcd/server/v3", "k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/kubernetes/cmd/kubectl"],
    tags: "",
    c_compiler: false,
    seconds: 200,
};

const CONTROLLERS: Group = Group {
    name: "controllers",
    packages: &["k8s.io/kubernetes/cmd/kube-controller-manager"],
    seconds: 40,
    ..CONTROL_PLANE
};

const NODE: Group = Group {
    name: "node",
    packages: &[
        "k8s.io/kubernetes/cmd/kube-scheduler",
        "k8s.io/kubernetes/cmd/kubelet",
        "k8s.io/kubernetes/cmd/kube-proxy",
    ],
    seconds: 60,
    ..CONTROL_PLANE
};

const CONTAINERD: Group = Group {
    name: "containerd",
    module: &CONTAINERS,
    packages: &[
        "github.com/containerd/containerd/v2/cmd/containerd",
        "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
        "github.com/containerd/containerd/v2/cmd/ctr",
    ],
    tags: "",
    c_compiler: false,
    seconds: 50,
};

/// Its seccomp is a C library.
const RUNC: Group = Group {
    name: "runc",
    packages: &["github.com/opencontainers/runc"],
    tags: "seccomp",
    c_compiler: true,
    seconds: 10,
    ..CONTAINERD
};

const NETWORK_PLUGINS: Group = Group {
    name: "network-plugins",
    module: &NETWORK,
    packages: &[
        "github.com/containernetworking/plugins/plugins/ipam/host-local",
        "github.com/containernetworking/plugins/plugins/main/bridge",
        "github.com/containernetworking/plugins/plugins/main/loopback",
    ],
    tags: "",
    c_compiler: false,
    seconds: 5,
};

const DNS: Group =
    Group { name: "dns", module: &COREDNS, packages: &["github.com/coredns/coredns"], seconds: 80, ..NETWORK_PLUGINS };

const PAUSE: Group =
    Group { name: "pause", module: &PAUSING, packages: &["strongroom.dev/world/pause"], seconds: 2, ..NETWORK_PLUGINS };

const DIRECTORY: Group =
    Group { name: "directory", module: &LDAP, packages: &["strongroom.dev/world/directory"], seconds: 10, ..PAUSE };

const VAULT_LOGINS: Group = Group {
    name: "vault-logins",
    module: &LOGINS,
    packages: &[
        "github.com/hashicorp/vault/builtin/credential/aws/cmd/aws",
        "github.com/hashicorp/vault/builtin/credential/ldap/cmd/ldap",
    ],
    seconds: 60,
    ..NETWORK_PLUGINS
};

const HELM: Group =
    Group { name: "helm", module: &CHARTS, packages: &["helm.sh/helm/v4/cmd/helm"], seconds: 130, ..NETWORK_PLUGINS };

const ALL: &[Group] =
    &[CONTROL_PLANE, CONTROLLERS, NODE, CONTAINERD, RUNC, NETWORK_PLUGINS, DNS, PAUSE, DIRECTORY, VAULT_LOGINS, HELM];

/// Kubernetes programs refuse to work together when they do not know their version.
const LINKER_FLAGS: &str = "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3";

impl Group {
    fn folder(&self) -> Result<String> {
        let c_compiler = if self.c_compiler { "1" } else { "0" };
        let settings = [go_version()?, self.tags, c_compiler, LINKER_FLAGS];
        let files = self.module.files.iter().map(|(_, content)| *content);
        let key = cache::content_key(files.chain(settings).chain(self.packages.iter().copied()));
        Ok(format!("{}-{key}", self.name))
    }

    fn is_ready(&self) -> Result<bool> {
        Ok(cache::directory()?.join("bin").join(self.folder()?).is_dir())
    }

    /// The folder of the group's programs.
    fn prepare(&self, progress: &mut dyn FnMut(&str)) -> Result<PathBuf> {
        cache::build_once("bin", &self.folder()?, |folder| self.build(folder, progress))
    }

    fn build(&self, folder: &Path, progress: &mut dyn FnMut(&str)) -> Result<()> {
        if self.tags == "seccomp" {
            debian::require_library("libseccomp", "libseccomp-dev")?;
        }
        let programs: Vec<_> = self.packages.iter().map(|package| program_name(package)).collect();
        let what = programs.join(", ");
        progress(&format!("building {what} (once; {})", about(self.seconds)));
        let source = tempfile::tempdir_in(folder)?;
        for (name, content) in self.module.files {
            cache::write(&source.path().join(name), content.as_bytes())?;
        }
        let output = source.path().join("go.log");
        let mut go = self.command(source.path(), folder);
        go.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(&output)?);
        let status = wait_aloud(&mut go.spawn().context(GO_IS_MISSING)?, &what, progress)?;
        if !status.success() {
            bail!("building {what} failed ({status}):\n{}", end_of(&output)?);
        }
        self.rename_modules(folder)
    }

    fn command(&self, source: &Path, folder: &Path) -> Command {
        let mut go = Command::new("go");
        go.args([
            "build",
            "-mod=readonly",
            "-trimpath",
            "-buildvcs=false",
            "-ldflags",
            LINKER_FLAGS,
            "-tags",
            self.tags,
        ]);
        // The slash at the end says that it is a folder, even for one program.
        go.arg("-o").arg(folder.join("")).args(self.packages);
        go.current_dir(source);
        go.env("CGO_ENABLED", if self.c_compiler { "1" } else { "0" }).env("GOWORK", "off").env("GOFLAGS", "");
        go
    }

    /// Go names a program after its folder, which for a module at its root is not what people call it.
    fn rename_modules(&self, folder: &Path) -> Result<()> {
        for package in self.packages {
            let (built, wanted) = (go_name(package), program_name(package));
            if built != wanted {
                std::fs::rename(folder.join(built), folder.join(wanted))?;
            }
        }
        Ok(())
    }
}

/// The name that Go gives to a program: the last part of its path that is not a major version.
fn go_name(package: &str) -> &str {
    let is_version = |part: &str| part.strip_prefix('v').is_some_and(|rest| rest.parse::<u32>().is_ok());
    package.rsplit('/').find(|part| !is_version(part)).unwrap_or(package)
}

fn program_name(package: &str) -> &str {
    if package.starts_with("go.etcd.io/etcd/server") { "etcd" } else { go_name(package) }
}

const GO_IS_MISSING: &str = "cannot run `go`: install Go 1.26 (the test world builds Kubernetes from source), or set \
    KUBEBUILDER_ASSETS to a folder with etcd, kube-apiserver and kubectl where a control plane is enough";

fn go_version() -> Result<&'static str> {
    static VERSION: OnceLock<String> = OnceLock::new();
    if let Some(version) = VERSION.get() {
        return Ok(version);
    }
    let output = Command::new("go").args(["env", "GOVERSION", "GOARCH"]).output().context(GO_IS_MISSING)?;
    if !output.status.success() {
        bail!("`go env` failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let version = String::from_utf8(output.stdout)?.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(VERSION.get_or_init(|| version))
}

/// How often a person who waits hears that the build goes on.
const HEARTBEAT: Duration = Duration::from_secs(30);

fn wait_aloud(child: &mut Child, what: &str, progress: &mut dyn FnMut(&str)) -> Result<ExitStatus> {
    let start = Instant::now();
    let mut beats = 1;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if start.elapsed() >= HEARTBEAT * beats {
            progress(&format!("still building {what}, {} s so far", start.elapsed().as_secs()));
            beats += 1;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The last part of what Go said, where its errors are.
fn end_of(output: &Path) -> Result<String> {
    let mut said = String::new();
    std::fs::File::open(output)?.read_to_string(&mut said)?;
    let lines: Vec<_> = said.lines().filter(|line| !line.starts_with("go: downloading")).collect();
    Ok(lines[lines.len().saturating_sub(30)..].join("\n"))
}

fn about(seconds: u64) -> String {
    match seconds {
        0..60 => format!("about {seconds} s on two cores"),
        _ => format!("about {} min on two cores", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_called_what_people_call_it() {
        let check = |package, built, wanted| assert_eq!((go_name(package), program_name(package)), (built, wanted));
        check("go.etcd.io/etcd/server/v3", "server", "etcd");
        check("k8s.io/kubernetes/cmd/kubelet", "kubelet", "kubelet");
        check("github.com/containerd/containerd/v2/cmd/ctr", "ctr", "ctr");
        check("github.com/coredns/coredns", "coredns", "coredns");
        check("example.com/vault", "vault", "vault");
    }
}

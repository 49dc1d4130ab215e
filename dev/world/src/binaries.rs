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

/// External Secrets Operator, version 0.20.4, with the providers `aws`, `fake`, `kubernetes`, `vault` and `webhook`.
#[derive(Clone, Debug)]
pub struct ExternalSecretsOperator {
    /// Its controller, `external-secrets`. Its Lease is in the namespace `external-secrets`, wherever it runs.
    pub controller: PathBuf,
    /// The definitions of its kinds, a YAML file.
    pub definitions: PathBuf,
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

/// The registry of images, built when not in the cache yet.
///
/// # Errors
/// When there is no Go, or when the build fails.
pub fn registry() -> Result<PathBuf> {
    Ok(REGISTRY.prepare(&mut cache::progress)?.join("registry"))
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

/// External Secrets Operator, built when not in the cache yet.
///
/// # Errors
/// When there is no Go, or when the build fails.
pub fn external_secrets_operator() -> Result<ExternalSecretsOperator> {
    let folder = EXTERNAL_SECRETS.prepare(&mut cache::progress)?;
    Ok(ExternalSecretsOperator { controller: folder.join("external-secrets"), definitions: folder.join(DEFINITIONS.1) })
}

/// Makes sure that there is `jq`, for tests of commands that use it.
///
/// # Errors
/// When it is missing and cannot be installed.
pub fn require_jq() -> Result<()> {
    debian::require_program("jq", "jq")
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
const IMAGES: Module = module!("registry", "go.mod", "go.sum", "main.go");
const CHARTS: Module = module!("helm", "go.mod", "go.sum", "tools.go");
const PAUSING: Module = module!("pause", "go.mod", "main.go");
const SECRETS: Module = module!("external-secrets", "go.mod", "go.sum", "main.go");

/// A module that is changed before it is built. Our `go.mod` looks for it in the folder `upstream`.
struct Upstream {
    /// With its version.
    module: &'static str,
    /// As in `go.sum`, where Go does not keep it: a folder has none.
    sum: &'static str,
    /// What is replaced as a whole: path and content.
    files: &'static [(&'static str, &'static str)],
    /// What is replaced in a file: its path, the only place of this text, and what stands there then.
    edits: &'static [(&'static str, &'static str, &'static str)],
    /// What is laid beside the programs: its path in the module, its name there.
    kept: &'static [(&'static str, &'static str)],
}

const DEFINITIONS: (&str, &str) = ("deploy/crds/bundle.yaml", "definitions.yaml");

/// Outside of a cluster it would not know where its Lease belongs.
const SECRETS_UPSTREAM: Upstream = Upstream {
    module: "github.com/external-secrets/external-secrets@v0.20.4",
    sum: "h1:HhNAjWfFEshhItphr28SGsHzf2bUP7uDAOVLg76uNAg=",
    files: &[
        ("pkg/provider/register/register.go", include_str!("../go/external-secrets/register/providers.go")),
        ("pkg/generator/register/register.go", include_str!("../go/external-secrets/register/generators.go")),
    ],
    edits: &[(
        "cmd/controller/root.go",
        "LeaderElectionID: \"external-secrets-controller\",",
        "LeaderElectionID: \"external-secrets-controller\", LeaderElectionNamespace: \"external-secrets\",",
    )],
    kept: &[DEFINITIONS],
};

/// Programs that are built in one go.
struct Group {
    name: &'static str,
    module: &'static Module,
    upstream: Option<&'static Upstream>,
    packages: &'static [&'static str],
    tags: &'static str,
    c_compiler: bool,
    /// How long a build takes on two cores with nothing in Go's own caches.
    seconds: u64,
}

const CONTROL_PLANE: Group = Group {
    name: "control-plane",
    module: &KUBERNETES,
    upstream: None,
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
    upstream: None,
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
    upstream: None,
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

const REGISTRY: Group =
    Group { name: "registry", module: &IMAGES, packages: &["strongroom.dev/world/registry"], seconds: 70, ..PAUSE };

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

const EXTERNAL_SECRETS: Group = Group {
    name: "external-secrets",
    module: &SECRETS,
    upstream: Some(&SECRETS_UPSTREAM),
    packages: &["strongroom.dev/world/external-secrets"],
    seconds: 180,
    ..NETWORK_PLUGINS
};

const ALL: &[Group] = &[
    CONTROL_PLANE,
    CONTROLLERS,
    NODE,
    CONTAINERD,
    RUNC,
    NETWORK_PLUGINS,
    DNS,
    PAUSE,
    DIRECTORY,
    REGISTRY,
    VAULT_LOGINS,
    HELM,
    EXTERNAL_SECRETS,
];

/// Kubernetes programs refuse to work together when they do not know their version.
const LINKER_FLAGS: &str = "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3";

impl Group {
    fn folder(&self) -> Result<String> {
        let c_compiler = if self.c_compiler { "1" } else { "0" };
        let settings = [go_version()?, self.tags, c_compiler, LINKER_FLAGS];
        let files = self.module.files.iter().map(|(_, content)| *content);
        let upstream = self.upstream.into_iter().flat_map(Upstream::inputs);
        let key = cache::content_key(files.chain(settings).chain(self.packages.iter().copied()).chain(upstream));
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
        if let Some(upstream) = self.upstream {
            upstream.lay(source.path(), folder)?;
        }
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

impl Upstream {
    /// Everything that decides what it becomes.
    fn inputs(&self) -> impl Iterator<Item = &'static str> {
        let files = self.files.iter().flat_map(|(path, content)| [*path, *content]);
        let edits = self.edits.iter().flat_map(|(path, found, wanted)| [*path, *found, *wanted]);
        let kept = self.kept.iter().flat_map(|(path, name)| [*path, *name]);
        [self.module, self.sum].into_iter().chain(files).chain(edits).chain(kept)
    }

    /// Copies it into `source`, changes it there, and lays what is kept into `folder`. Nothing else is in `source` yet.
    fn lay(&self, source: &Path, folder: &Path) -> Result<()> {
        let original = self.download(source)?;
        let copy = source.join("upstream");
        let mut copying = Command::new("cp");
        // The originals are for nobody to write.
        copying.args(["-r", "--no-preserve=mode"]).arg(&original).arg(&copy);
        if !copying.status().context("cannot run `cp`")?.success() {
            bail!("cannot copy {} to {}", original.display(), copy.display());
        }
        for (path, content) in self.files {
            cache::write(&copy.join(path), content.as_bytes())?;
        }
        for (path, found, wanted) in self.edits {
            let text = std::fs::read_to_string(copy.join(path)).with_context(|| format!("cannot read {path}"))?;
            if text.matches(found).count() != 1 {
                bail!("{path} of {} has not exactly one `{found}`", self.module);
            }
            cache::write(&copy.join(path), text.replace(found, wanted).as_bytes())?;
        }
        for (path, name) in self.kept {
            std::fs::copy(copy.join(path), folder.join(name)).with_context(|| format!("cannot copy {path}"))?;
        }
        Ok(())
    }

    /// Has Go download it, and returns where it is.
    fn download(&self, source: &Path) -> Result<PathBuf> {
        let mut go = Command::new("go");
        go.args(["mod", "download", "-json", self.module]).current_dir(source).env("GOWORK", "off").env("GOFLAGS", "");
        let output = go.output().context(GO_IS_MISSING)?;
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        if !output.status.success() {
            let words = answer["Error"].as_str().unwrap_or_default();
            bail!("cannot download {}: {words} {}", self.module, String::from_utf8_lossy(&output.stderr));
        }
        if answer["Sum"] != self.sum {
            bail!("{} has the sum {} instead of {}", self.module, answer["Sum"], self.sum);
        }
        Ok(answer["Dir"].as_str().context("`go mod download` does not say where the module is")?.into())
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

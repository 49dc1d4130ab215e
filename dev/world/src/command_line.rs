//! What people type: `world up`, `down`, `list`, `logs`, `prepare`.
//!
//! `up` starts a process of its own (`serve`) that holds the parts, and leaves when they are ready; what it printed is
//! kept in `world.json` of that process's folder, where the other commands find it. The parts end with that process.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::cache::{self, RunFolder};
use crate::control_plane::{self, ControlPlane};
use crate::google::GoogleStandIn;
use crate::moto::{self, Moto};
use crate::node::{self, Node};
use crate::open_bao::OpenBao;
use crate::part::Part;
use crate::{binaries, npm, python, shipped};

/// Real parts to try things on: a Kubernetes control plane or a whole node, OpenBao, an AWS emulator, and a stand-in
/// for Google Secret Manager. Everything listens on free ports of 127.0.0.1 and is built or installed on first use.
#[derive(Parser)]
#[command(name = "world", after_help = EXAMPLES)]
struct CommandLine {
    #[command(subcommand)]
    command: Action,
}

const EXAMPLES: &str = "Examples:
  eval \"$(cargo run -p world -- up)\"       start, and point this shell at the parts
  kubectl get namespaces; bao secrets list; aws secretsmanager list-secrets
  cargo run -p world -- up --node --name n1  a second world, with a node that runs pods (as root)
  cargo run -p world -- logs kubelet --name n1
  cargo run -p world -- down --name n1";

#[derive(Subcommand)]
enum Action {
    /// Start a world in the background, and print `export` lines for a shell to `eval`
    Up(Up),
    /// End a world and everything in it
    Down(Named),
    /// List the worlds that run
    List,
    /// Print what a part has written so far
    Logs(Logs),
    /// Bring an OCI image archive to a world's node; pods name it with `imagePullPolicy: Never`
    Load(Load),
    /// Write an OCI archive of a static `strongroom`, with a shell in it, for `load`
    Image(ImageOf),
    /// Print `export` lines with the paths of kubectl and helm: WORLD_KUBECTL, WORLD_HELM
    Tools,
    /// Build and install everything that a world can need, so that later starts are quick
    Prepare,
    /// The process that holds the parts of a world: started by `up`
    #[command(hide = true)]
    Serve(Up),
    /// The first process of a node world: started by the process that holds it
    #[command(name = node::RUN_INSIDE, hide = true)]
    RunInsideNode {
        /// The world's folder
        folder: PathBuf,
    },
}

#[derive(Args, Clone)]
struct Up {
    /// Also run the controller manager: service accounts, owner references, Deployments, ...
    #[arg(long)]
    controllers: bool,
    /// Also run a node with kubelet, containerd and cluster DNS, controllers included (as root)
    #[arg(long)]
    node: bool,
    /// No Kubernetes at all, only the stores: nothing has to be built
    #[arg(long, conflicts_with_all = ["controllers", "node"])]
    stores_only: bool,
    /// Store a few example secrets in AWS and OpenBao
    #[arg(long)]
    examples: bool,
    #[command(flatten)]
    world: Named,
}

#[derive(Args, Clone)]
struct Named {
    /// The world's name: letters, digits and dashes
    #[arg(long, default_value = "default", value_parser = parse_name)]
    name: String,
}

#[derive(Args)]
struct Logs {
    /// The part: `kube-apiserver`, `kubelet`, `open-bao`, ...
    part: String,
    #[command(flatten)]
    world: Named,
}

#[derive(Args)]
struct Load {
    /// The archive: what `cargo xtask images` or `skopeo copy ... oci-archive:FILE` writes
    archive: PathBuf,
    #[command(flatten)]
    world: Named,
}

#[derive(Args)]
struct ImageOf {
    /// The program
    program: PathBuf,
    /// The archive to write
    archive: PathBuf,
    /// The image's name
    #[arg(long, default_value = "docker.io/strongroom/strongroom:demo")]
    reference: String,
}

fn parse_name(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if text.is_empty() || text.len() > 32 || !text.bytes().all(fits) {
        return Err("a name has 1 to 32 letters, digits and dashes".to_owned());
    }
    Ok(text.to_owned())
}

/// What is known of a running world, for the commands that come later.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    name: String,
    /// The process that holds it.
    process: i32,
    /// That process's folder, locked as long as it lives.
    folder: PathBuf,
    /// The node's folder, in a world that has one.
    node: Option<PathBuf>,
    variables: BTreeMap<String, String>,
    /// Where each part writes.
    logs: BTreeMap<String, PathBuf>,
}

const RECORD: &str = "world.json";

/// Where AWS is in a world.
const REGION: &str = "eu-west-1";

/// Runs the command that the program was called with.
///
/// # Errors
/// A sentence for the person: what failed, and what to do.
pub fn run() -> Result<()> {
    match CommandLine::parse().command {
        Action::Up(up) => start(&up),
        Action::Down(named) => end(&named.name),
        Action::List => list(),
        Action::Logs(logs) => print_log(&logs),
        Action::Load(load) => load_image(&load),
        Action::Image(image) => write_image(&image),
        Action::Tools => print_tools(),
        Action::Prepare => prepare(),
        Action::Serve(up) => serve(&up),
        Action::RunInsideNode { folder } => node::run_inside(&folder),
    }
}

fn print(text: &str) -> Result<()> {
    let mut output = std::io::stdout();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).context("cannot print")
}

fn prepare() -> Result<()> {
    let start = Instant::now();
    binaries::prepare_all(&mut cache::progress)?;
    python::prepare()?;
    npm::prepare()?;
    cache::progress(&format!("everything is ready, after {} s", start.elapsed().as_secs()));
    Ok(())
}

/// What is missing is built by this process, in front of the person, rather than by the one in the background.
fn prepare_for(up: &Up) -> Result<()> {
    if up.node && !nix::unistd::geteuid().is_root() {
        bail!("{}", node::StartError::NeedsRoot);
    }
    if !up.stores_only {
        binaries::control_plane()?;
    }
    if up.controllers || up.node {
        binaries::controller_manager()?;
    }
    if up.node {
        binaries::node()?;
    }
    python::prepare()?;
    Ok(())
}

fn start(up: &Up) -> Result<()> {
    if let Some(record) = find(&up.world.name)? {
        cache::progress(&format!("the world {:?} runs already", record.name));
        return print(&exports(&record));
    }
    prepare_for(up)?;
    let words = cache::directory()?.join(format!("up-{}.log", up.world.name));
    let mut command = Command::new("setsid");
    command.arg(std::env::current_exe()?).args(["serve", "--name", &up.world.name]);
    command.args(up.controllers.then_some("--controllers")).args(up.node.then_some("--node"));
    command.args(up.stores_only.then_some("--stores-only")).args(up.examples.then_some("--examples"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(std::fs::File::create(&words)?);
    let mut child = command.spawn().context("cannot start the world's process")?;
    let mut answer = String::new();
    if let Some(mut output) = child.stdout.take() {
        // Ends when the world is ready, for it closes its output then, or when it has failed.
        output.read_to_string(&mut answer)?;
    }
    match find(&up.world.name)? {
        Some(record) if answer == SERVES => {
            // Exported, it would keep every other program of the shell from the machine's own authorities.
            cache::progress("for Google: SSL_CERT_FILE=$WORLD_GOOGLE_CA_FILE strongroom get gcp:secretmanager:NAME");
            print(&exports(&record))
        }
        _ => bail!("the world did not start:\n{}", std::fs::read_to_string(&words).unwrap_or_default().trim_end()),
    }
}

/// The lines that point a shell at the parts.
fn exports(record: &Record) -> String {
    let line = |(name, value): (&String, &String)| format!("export {name}={}\n", quoted(value));
    record.variables.iter().map(line).collect()
}

/// One word of a shell, whatever is in it.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// How long a world may take to take itself down.
const FAREWELL: Duration = Duration::from_secs(45);

fn end(name: &str) -> Result<()> {
    let record = find(name)?.with_context(|| no_world(name))?;
    let process = Pid::from_raw(record.process);
    kill(process, Signal::SIGTERM).with_context(|| format!("cannot end the process {process}"))?;
    let start = Instant::now();
    while cache::has_owner(&record.folder) {
        if start.elapsed() > FAREWELL {
            kill(process, Signal::SIGKILL)?;
            bail!("the world {name:?} did not end by itself within {FAREWELL:?} and was killed");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn no_world(name: &str) -> String {
    format!("no world named {name:?} runs; `world list` shows those that do, `world up --name {name}` starts it")
}

fn list() -> Result<()> {
    let mut lines = String::new();
    for record in records()? {
        let kind = if record.node.is_some() { "node" } else { "control plane" };
        let parts = record.logs.keys().cloned().collect::<Vec<_>>().join(", ");
        lines.push_str(&format!("{}\t{kind}\tprocess {}\t{parts}\n", record.name, record.process));
    }
    print(&lines)
}

fn print_log(logs: &Logs) -> Result<()> {
    let record = find(&logs.world.name)?.with_context(|| no_world(&logs.world.name))?;
    let Some(path) = record.logs.get(&logs.part) else {
        let parts = record.logs.keys().cloned().collect::<Vec<_>>().join(", ");
        bail!("the world {:?} has no part {:?}; it has {parts}", record.name, logs.part);
    };
    let log = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    print(&String::from_utf8_lossy(&log))
}

fn load_image(load: &Load) -> Result<()> {
    let record = find(&load.world.name)?.with_context(|| no_world(&load.world.name))?;
    let Some(node) = record.node else { bail!("the world {:?} has no node; start one with --node", record.name) };
    node::import_image_into(&node, &load.archive)
}

/// The image that is shipped, and busybox as `/bin/sh`, by which a pod can show what it got.
fn write_image(image: &ImageOf) -> Result<()> {
    let authorities = std::fs::read("/etc/ssl/certs/ca-certificates.crt").context("the machine has no authorities")?;
    let built = shipped::strongroom(&image.reference, &image.program, &authorities);
    built.file("/bin/sh", &binaries::busybox()?, 0o755).write(&image.archive).map(drop)
}

fn print_tools() -> Result<()> {
    let line = |name: &str, path: &Path| format!("export {name}={}\n", quoted(&path.display().to_string()));
    let (kubectl, helm) = (binaries::control_plane()?.kubectl, binaries::helm()?);
    print(&format!("{}{}", line("WORLD_KUBECTL", &kubectl), line("WORLD_HELM", &helm)))
}

fn find(name: &str) -> Result<Option<Record>> {
    Ok(records()?.into_iter().find(|record| record.name == name))
}

/// Every running world that `up` started, by name.
fn records() -> Result<Vec<Record>> {
    let mut records = Vec::new();
    let Ok(folders) = std::fs::read_dir(cache::run_directory()?) else { return Ok(records) };
    for folder in folders.flatten().map(|entry| entry.path()).filter(|folder| cache::has_owner(folder)) {
        // A folder without it belongs to a test, or to a world that is not ready.
        if let Ok(text) = std::fs::read(folder.join(RECORD)) {
            records.push(serde_json::from_slice::<Record>(&text)?);
        }
    }
    records.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(records)
}

/// What `serve` prints when everything is ready.
const SERVES: &str = "ready\n";

/// Starts the parts, writes down where they are, and holds them until it is told to end.
fn serve(up: &Up) -> Result<()> {
    // Before the first thread is made, so that all of them leave these signals to the wait below. Parts do not inherit
    // this: they start with a clean mask.
    let ends = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
    ends.thread_block()?;
    let folder = RunFolder::new()?;
    let world = World::start(up)?;
    let record = world.record(&folder, up)?;
    cache::write(&folder.path().join(RECORD), &serde_json::to_vec_pretty(&record)?)?;
    print(SERVES)?;
    close_output()?;
    ends.wait()?;
    drop(world);
    drop(folder);
    Ok(())
}

/// Lets go of the pipe to `up`, which waits for its end.
fn close_output() -> Result<()> {
    nix::unistd::dup2_stdout(std::fs::File::options().write(true).open("/dev/null")?)?;
    Ok(())
}

/// The parts of one world, held by `serve`.
struct World {
    kubernetes: Option<Kubernetes>,
    open_bao: OpenBao,
    moto: Moto,
    google: GoogleStandIn,
}

enum Kubernetes {
    ControlPlane(Box<ControlPlane>),
    Node(Box<Node>),
}

impl World {
    fn start(up: &Up) -> Result<Self> {
        let kubernetes = if up.stores_only {
            None
        } else if up.node {
            Some(Kubernetes::Node(Box::new(Node::start(&node::Options::default())?)))
        } else {
            let options = control_plane::Options { controllers: up.controllers, ..Default::default() };
            Some(Kubernetes::ControlPlane(Box::new(ControlPlane::start(&options)?)))
        };
        let world =
            Self { kubernetes, open_bao: OpenBao::start()?, moto: Moto::start()?, google: GoogleStandIn::start()? };
        if up.examples {
            world.store_examples()?;
        }
        Ok(world)
    }

    /// What the demo and the README's commands read.
    fn store_examples(&self) -> Result<()> {
        let database = moto::Value::Text(r#"{"username":"app","password":"correct-horse-battery-staple"}"#);
        self.moto.put_secret(REGION, "prod/db", database)?;
        self.moto.put_parameter(REGION, "/app/license", moto::Kind::SecureString, "LIC-2026-0042")?;
        self.open_bao.command(&["kv", "put", "secret/app", "token=tok-5f2e9c", "user=app"])?;
        self.google.put(self.google.project(), "app", b"from google");
        Ok(())
    }

    fn record(&self, folder: &RunFolder, up: &Up) -> Result<Record> {
        Ok(Record {
            name: up.world.name.clone(),
            process: i32::try_from(std::process::id())?,
            folder: folder.path().to_owned(),
            node: match &self.kubernetes {
                Some(Kubernetes::Node(node)) => Some(node.folder().to_owned()),
                Some(Kubernetes::ControlPlane(_)) | None => None,
            },
            variables: self.variables(),
            logs: self.logs()?,
        })
    }

    fn variables(&self) -> BTreeMap<String, String> {
        let kubeconfig = self.kubernetes.as_ref().map(|kubernetes| match kubernetes {
            Kubernetes::ControlPlane(control_plane) => control_plane.kubeconfig(),
            Kubernetes::Node(node) => node.kubeconfig(),
        });
        let kubeconfig = kubeconfig.map(|path| ("KUBECONFIG", path.display().to_string()));
        let variables = [
            ("VAULT_ADDR", self.open_bao.address().to_owned()),
            ("VAULT_TOKEN", self.open_bao.root_token().to_owned()),
            ("BAO_ADDR", self.open_bao.address().to_owned()),
            ("BAO_TOKEN", self.open_bao.root_token().to_owned()),
            ("AWS_ENDPOINT_URL", self.moto.endpoint().to_owned()),
            // moto checks no signature, but no client sends an unsigned request.
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
            ("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER", self.google.endpoint().to_owned()),
            ("GOOGLE_APPLICATION_CREDENTIALS", self.google.service_account_file().display().to_string()),
            ("WORLD_GOOGLE_ENDPOINT", self.google.endpoint().to_owned()),
            ("WORLD_GOOGLE_CA_FILE", self.google.certificate_file().display().to_string()),
            ("GCE_METADATA_HOST", self.google.metadata_host().to_owned()),
            ("GOOGLE_CLOUD_PROJECT", self.google.project().to_owned()),
        ];
        variables.into_iter().chain(kubeconfig).map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn logs(&self) -> Result<BTreeMap<String, PathBuf>> {
        let of = |part: &Part| (part.name().to_owned(), part.log().to_owned());
        let mut logs = BTreeMap::from([self.open_bao.part(), self.moto.part()].map(of));
        match &self.kubernetes {
            Some(Kubernetes::ControlPlane(control_plane)) => logs.extend(control_plane.parts().iter().map(of)),
            Some(Kubernetes::Node(node)) => logs.extend(logs_in(node.folder())?),
            None => {}
        }
        Ok(logs)
    }
}

/// The logs of parts that other processes started.
fn logs_in(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let entries = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let logs = entries.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    Ok(logs.filter_map(|log| Some((log.file_stem()?.to_str()?.to_owned(), log.clone()))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_reaches_the_shell_as_it_is() {
        let check = |value: &str| {
            let script = format!("printf %s {}", quoted(value));
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), value);
        };
        for value in ["", "plain", "two words", "it's", "$HOME `id` \\ \"", "a\nb"] {
            check(value);
        }
    }

    #[test]
    fn a_name_is_safe_in_a_path() {
        for good in ["a", "Team-1", "0"] {
            assert_eq!(parse_name(good).as_deref(), Ok(good));
        }
        for bad in ["", "a/b", "..", "a b", &"x".repeat(33)] {
            assert!(parse_name(bad).is_err(), "{bad:?}");
        }
    }
}

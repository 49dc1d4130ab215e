//! A cluster with our kinds, and operators that run against it as processes.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Deref;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use world::control_plane::{Cluster, ControlPlane, Options};
use world::node::{self, Node};
use world::part::Part;

/// How long anything may take before a test fails: generous, since nothing here waits for luck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// With this variable set, the tests of this process share a node.
pub(crate) const ON_NODE: &str = "STRONGROOM_TESTS_ON_NODE";

/// A cluster with controllers and our kinds, shared by all tests of this process.
pub(crate) static CLUSTER: LazyLock<Shared> = LazyLock::new(|| {
    if std::env::var_os(ON_NODE).is_none() {
        return Shared::ControlPlane(cluster(&Options::default()));
    }
    let node = Node::start(&node::Options::default()).unwrap();
    add_kinds(&node);
    Shared::Node(node)
});

/// What the tests of a process share.
pub(crate) enum Shared {
    /// Without anything that runs pods.
    ControlPlane(ControlPlane),
    Node(Node),
}

impl Deref for Shared {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        match self {
            Self::ControlPlane(cluster) => cluster,
            Self::Node(node) => node,
        }
    }
}

/// An operator for the whole of [`CLUSTER`], with loopback addresses allowed: stores of the world listen there.
pub(crate) static OPERATOR: LazyLock<Operator> = LazyLock::new(|| {
    Operator::start(
        &CLUSTER,
        &["--allow-local-addresses", "--unsafe-allow-generic-targets", "--store-requeue-interval=10s"],
    )
});

/// A new cluster with our kinds.
pub(crate) fn cluster(options: &Options) -> ControlPlane {
    let cluster = ControlPlane::start(&Options { controllers: true, ..options.clone() }).unwrap();
    add_kinds(&cluster);
    cluster
}

/// Brings our kinds to a cluster.
pub(crate) fn add_kinds(cluster: &Cluster) {
    match std::env::var("ESO_CRDS") {
        // The definitions of External Secrets Operator in this folder, in place of ours.
        Ok(folder) => {
            cluster.kubectl(&["apply", "--server-side", "-f", &folder]).unwrap();
            for crd in strongroom_api::crds().iter().filter(|crd| crd.spec.group == "strongroom.dev") {
                cluster.apply(&serde_json::to_string(crd).unwrap()).unwrap();
            }
        }
        Err(_) => drop(cluster.apply(&strongroom_api::crds_yaml().unwrap()).unwrap()),
    }
    let kinds = ["externalsecrets", "secretstores", "clustersecretstores", "clusterexternalsecrets"];
    for kind in kinds.into_iter().chain(["pushsecrets", "clusterpushsecrets"]) {
        let crd = format!("crd/{kind}.external-secrets.io");
        cluster.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", &crd]).unwrap();
    }
    let generators = ["clustergenerators", "passwords", "uuids", "sshkeys", "fakes", "mfas"];
    let asking = ["ecrauthorizationtokens", "stssessiontokens", "webhooks", "vaultdynamicsecrets", "generatorstates"];
    for kind in generators.into_iter().chain(asking) {
        let crd = format!("crd/{kind}.generators.external-secrets.io");
        cluster.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", &crd]).unwrap();
    }
    cluster
        .kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd/storepolicies.strongroom.dev"])
        .unwrap();
}

/// A running `strongroom operator`; dropping it kills it, and so does the end of the tests.
pub(crate) struct Operator {
    part: Part,
    _folder: tempfile::TempDir,
    pub(crate) metrics: String,
    pub(crate) health: String,
}

impl Operator {
    /// Starts one and waits until it is ready.
    pub(crate) fn start(cluster: &Cluster, flags: &[&str]) -> Self {
        let operator = Self::spawn(cluster, flags, &[]);
        operator.wait_until_ready();
        operator
    }

    /// Waits until `/readyz` says so.
    pub(crate) fn wait_until_ready(&self) {
        eventually("the operator is ready", || {
            let (status, body) = self.get(&self.health, "/readyz");
            if status == 200 { Ok(()) } else { Err(format!("{status} {body}\n{}", self.logged())) }
        });
    }

    /// Starts one, in an environment of `variables` alone, and waits until it says where it listens.
    pub(crate) fn spawn(cluster: &Cluster, flags: &[&str], variables: &[(&str, &str)]) -> Self {
        Self::spawn_by(Command::new("env"), cluster.kubeconfig(), flags, variables)
    }

    /// The same, with this kubeconfig, by a command that ends in `env`.
    pub(crate) fn spawn_by(
        mut command: Command,
        kubeconfig: &Path,
        flags: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        command.args(["-i", "PATH=/usr/bin:/bin"]);
        command.args(variables.iter().map(|(name, value)| format!("{name}={value}")));
        command.arg(env!("CARGO_BIN_EXE_strongroom"));
        command.args(["operator", "--metrics-addr=127.0.0.1:0", "--live-addr=127.0.0.1:0", "--loglevel=debug"]);
        command.arg("--kubeconfig").arg(kubeconfig).args(flags);
        let part = Part::start("operator", &command, folder.path()).unwrap();
        let mut operator = Self { part, _folder: folder, metrics: String::new(), health: String::new() };
        operator.metrics = operator.listening("--metrics-addr");
        operator.health = operator.listening("--live-addr");
        operator
    }

    /// Where it says that it listens for what the flag named.
    pub(crate) fn listening(&self, flag: &str) -> String {
        eventually(&format!("{flag} listens"), || {
            let logged = self.logged();
            let line = logged.lines().find(|line| line.contains("msg=listening") && line.contains(flag));
            let address = line.and_then(|line| line.split("address=").nth(1)).map(|rest| rest.split(' ').next());
            address.flatten().map(|address| address.trim_matches('"').to_owned()).ok_or(logged)
        })
    }

    /// What it logged so far.
    pub(crate) fn logged(&self) -> String {
        std::fs::read_to_string(self.part.log()).unwrap_or_default()
    }

    /// Its metrics.
    pub(crate) fn scraped(&self) -> String {
        self.get(&self.metrics, "/metrics").1
    }

    /// A page of one of its servers.
    pub(crate) fn get(&self, address: &str, path: &str) -> (u16, String) {
        scrape(address, path)
    }

    /// What it shows by itself, each by what it is.
    pub(crate) fn shown(&self) -> Vec<(&'static str, String)> {
        let of_process = |file: &str| {
            let read = std::fs::read(format!("/proc/{}/{file}", self.process())).unwrap();
            String::from_utf8_lossy(&read).into_owned()
        };
        vec![
            ("its log", self.logged()),
            ("its metrics", self.scraped()),
            ("its arguments", of_process("cmdline")),
            ("its environment", of_process("environ")),
        ]
    }

    pub(crate) fn process(&self) -> u32 {
        self.part.id()
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.part.id()).unwrap()), signal).unwrap();
    }

    /// Ends it at once, as the kernel does.
    pub(crate) fn kill(self) {
        drop(self);
    }

    /// Asks it to end and says how it did and how long it took.
    pub(crate) fn stop(mut self) -> (Option<i32>, Duration) {
        let start = Instant::now();
        self.signal(Signal::SIGTERM);
        let status = self.part.wait().unwrap();
        (status.code(), start.elapsed())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let logged = self.logged();
            let lines: Vec<&str> = logged.lines().collect();
            eprintln!("the operator's log ends:\n{}", lines[lines.len().saturating_sub(200)..].join("\n"));
        }
    }
}

/// Fails where one of `values` is in a text that is shown; the value itself is left out of what is said.
pub(crate) fn shows_none(shown: &[(&'static str, String)], values: &[&str]) {
    for (place, text) in shown {
        assert!(!text.is_empty(), "{place} cannot be seen");
        for value in values {
            let line = text.lines().find(|line| line.contains(value)).map(|line| line.replace(value, "[the value]"));
            assert_eq!(line, None, "a value is in {place}");
        }
    }
}

/// A page of an operator: its status and its body.
pub(crate) fn scrape(address: &str, path: &str) -> (u16, String) {
    let Ok(mut stream) = TcpStream::connect(address) else { return (0, "nobody listens".to_owned()) };
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    (status, body)
}

/// A namespace of its own for one test.
pub(crate) fn namespace(cluster: &Cluster, labels: &[(&str, &str)]) -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("t{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    let labels = labels.join(", ");
    cluster
        .apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {{{labels}}}}}}}"))
        .unwrap();
    name
}

/// An object as JSON, or `None` where there is none.
pub(crate) fn object(cluster: &Cluster, kind: &str, namespace: &str, name: &str) -> Option<Value> {
    let read = cluster.kubectl(&["get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found"]).unwrap();
    if read.trim().is_empty() { None } else { Some(serde_json::from_str(&read).unwrap()) }
}

/// The data of a Secret as text.
pub(crate) fn secret(cluster: &Cluster, namespace: &str, name: &str) -> Option<Value> {
    object(cluster, "secret", namespace, name)
}

/// One value of a Secret.
pub(crate) fn value(secret: &Value, key: &str) -> Option<String> {
    super::api::data(secret).remove(key)
}

/// The condition `kind` of an object: status, reason, message.
pub(crate) fn condition(object: &Value, kind: &str) -> Option<(String, String, String)> {
    let conditions = object["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|condition| condition["type"] == kind)?;
    let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
    Some((text("status"), text("reason"), text("message")))
}

/// Waits until an ExternalSecret's Ready condition has this status, and gives reason and message.
pub(crate) fn ready(cluster: &Cluster, namespace: &str, name: &str, status: &str) -> (String, String) {
    eventually(&format!("{name} is Ready={status}"), || {
        let object = object(cluster, "externalsecret", namespace, name).ok_or("it does not exist")?;
        match condition(&object, "Ready") {
            Some((found, reason, message)) if found == status => Ok((reason, message)),
            other => Err(format!("{other:?}")),
        }
    })
}

/// Tries until it works, or fails with the last reason when patience ends.
pub(crate) fn eventually<T, E: std::fmt::Display>(what: &str, attempt: impl Fn() -> Result<T, E>) -> T {
    let start = Instant::now();
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(reason) if start.elapsed() > PATIENCE => panic!("{what}: not within {PATIENCE:?}: {reason}"),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

//! A running `strongroom admission`, and configurations that have the API server call it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use world::certificates::Authority;
use world::control_plane::Cluster;
use world::moto::Moto;
use world::part::Part;
use world::registry::{Registry, digest_of};

use crate::install::{HELM, chart};
use crate::operator::api::Api;
use crate::operator::support::{CLUSTER, eventually, namespace, object};
use crate::{AWS, REGION};

/// The label of namespaces whose objects the shared webhooks see.
pub(crate) const SEEN: (&str, &str) = ("admission-tests", "seen");

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| Authority::new().unwrap());

/// The webhooks that most tests share, with a configuration in [`CLUSTER`] that calls each of their paths for namespaces
/// with the label [`SEEN`].
pub(crate) static SHARED: LazyLock<Admission> = LazyLock::new(|| {
    let admission = Admission::start(&[]);
    admission.called_for("admission-tests", &[SEEN]);
    admission
});

/// A running `strongroom admission`; dropping it kills it.
pub(crate) struct Admission {
    part: Part,
    folder: TempDir,
    kubeconfig: PathBuf,
    flags: Vec<String>,
    proxy: Option<String>,
    address: String,
}

impl Admission {
    /// Starts one with a certificate for 127.0.0.1.
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::start_on(&CLUSTER, flags)
    }

    /// The same, in a network whose proxy for plain HTTP is at this address.
    pub(crate) fn start_behind(proxy: &str, flags: &[&str]) -> Self {
        Self::with_certificate(&CLUSTER, flags, Some(proxy))
    }

    /// The same, for another cluster.
    pub(crate) fn start_on(cluster: &Cluster, flags: &[&str]) -> Self {
        Self::with_certificate(cluster, flags, None)
    }

    fn with_certificate(cluster: &Cluster, flags: &[&str], proxy: Option<&str>) -> Self {
        let (certificate, key) = AUTHORITY.issue_files(&["127.0.0.1"]).unwrap();
        let flags = [
            &["--tls-cert-file", certificate.to_str().unwrap(), "--tls-private-key-file", key.to_str().unwrap()],
            flags,
        ];
        Self::spawn(tempfile::tempdir().unwrap(), cluster.kubeconfig(), "127.0.0.1:0", &flags.concat(), proxy)
    }

    /// Starts one by plain HTTP, for requests that no API server would send.
    pub(crate) fn plain(flags: &[&str]) -> Self {
        Self::spawn(tempfile::tempdir().unwrap(), CLUSTER.kubeconfig(), "127.0.0.1:0", flags, None)
    }

    fn spawn(folder: TempDir, kubeconfig: &Path, listen: &str, flags: &[&str], proxy: Option<&str>) -> Self {
        let mut command = Command::new("env");
        command.args(["-i", "PATH=/usr/bin:/bin", "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE"]);
        command.args(["AWS_SECRET_ACCESS_KEY=not-a-real-key", &format!("AWS_REGION={REGION}")]);
        command.arg(format!("AWS_ENDPOINT_URL={}", Moto::endpoint(&AWS)));
        command.args(proxy.map(|proxy| format!("HTTP_PROXY={proxy}")));
        command.arg(env!("CARGO_BIN_EXE_strongroom"));
        command.args(["admission", "--log-level=debug", "server", "--listen-address", listen, "--kubeconfig"]);
        command.arg(kubeconfig).args(flags);
        if !flags.contains(&"--linger-seconds") {
            command.args(["--linger-seconds", "0"]);
        }
        let part = Part::start("admission", &command, folder.path()).unwrap();
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let proxy = proxy.map(str::to_owned);
        let mut admission =
            Self { part, folder, kubeconfig: kubeconfig.to_owned(), flags, proxy, address: String::new() };
        admission.address = eventually("admission listens", || {
            let logged = admission.logged();
            let line = logged.lines().find(|line| line.contains("serving reviews"));
            let address = line.and_then(|line| line.split("address=").nth(1)).map(|rest| rest.trim().to_owned());
            address.ok_or(logged)
        });
        admission
    }

    /// Kills it, as the kernel does; what it returns starts it again where it was.
    pub(crate) fn kill(self) -> impl FnOnce() -> Self {
        let Self { part, folder, kubeconfig, flags, proxy, address } = self;
        drop(part);
        move || {
            let flags: Vec<_> = flags.iter().map(String::as_str).collect();
            Self::spawn(folder, &kubeconfig, &address, &flags, proxy.as_deref())
        }
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        kill(Pid::from_raw(i32::try_from(self.part.id()).unwrap()), Signal::SIGTERM).unwrap();
    }

    /// Whether it takes connections.
    pub(crate) fn listens(&self) -> bool {
        TcpStream::connect(&self.address).is_ok()
    }

    /// Waits for its end; the status with which it ended.
    pub(crate) fn wait(mut self) -> Option<i32> {
        self.part.wait().unwrap().code()
    }

    /// What it logged so far.
    pub(crate) fn logged(&self) -> String {
        std::fs::read_to_string(self.part.log()).unwrap_or_default()
    }

    /// Has the API server call it for objects of namespaces with these labels.
    pub(crate) fn called_for(&self, name: &str, labels: &[(&str, &str)]) {
        let labels: serde_json::Map<String, Value> =
            labels.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let hook = |path: &str, group: &str, resources: &[&str], operations: &[&str]| {
            json!({
                "name": format!("{}.{name}.example.com", path.trim_start_matches('/')),
                "clientConfig": {"url": format!("https://{}{path}", self.address), "caBundle": bundle()},
                "rules": [{
                    "apiGroups": [group], "apiVersions": ["*"], "operations": operations, "resources": resources,
                    // Objects of the cluster are in no namespace that could be left out.
                    "scope": "Namespaced",
                }],
                "namespaceSelector": {"matchLabels": labels},
                "sideEffects": "NoneOnDryRun", "admissionReviewVersions": ["v1", "v1beta1"], "failurePolicy": "Fail",
                "timeoutSeconds": 10,
            })
        };
        let both = ["CREATE", "UPDATE"];
        let changes = [
            hook("/pods", "", &["pods"], &["CREATE"]),
            hook("/secrets", "", &["secrets"], &both),
            hook("/kamus-secrets", "soluto.com", &["kamussecrets"], &both),
        ];
        let judges = [
            hook("/validate", "external-secrets.io", &["*"], &both),
            hook("/injected-pods", "", &["pods"], &["CREATE"]),
        ];
        for (kind, hooks) in [("Mutating", &changes[..]), ("Validating", &judges[..])] {
            let configuration = json!({
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": format!("{kind}WebhookConfiguration"),
                "metadata": {"name": name}, "webhooks": hooks,
            });
            CLUSTER.apply(&configuration.to_string()).unwrap();
        }
    }

    /// Has the API server call it for pods as the chart's configurations do, in namespaces with this label alone, and
    /// wait for `seconds`.
    pub(crate) fn called_as_installed(&self, cluster: &Cluster, label: (&str, &str), seconds: u8) {
        let show = ["--show-only", "templates/admission/webhooks.yaml", "--set", "admission.enabled=true"];
        let words = ["template", "strongroom", &chart(), "-n", "strongroom"];
        let rendered = HELM.run(&[&words[..], &show].concat()).unwrap();
        let documents = rendered.split("\n---\n").map(|text| serde_saphyr::from_str::<Value>(text).unwrap());
        let mut configurations: Vec<Value> = documents.filter(Value::is_object).collect();
        assert_eq!(configurations.len(), 2, "{rendered}");
        for configuration in &mut configurations {
            configuration["metadata"]["name"] = json!(format!("{}-{}", label.0, label.1));
            let hooks = configuration["webhooks"].as_array_mut().unwrap();
            hooks.retain(|hook| hook["name"].as_str().unwrap().ends_with("pods.strongroom.dev"));
            assert!(!hooks.is_empty());
            for hook in hooks {
                let path = hook["clientConfig"]["service"]["path"].as_str().unwrap();
                let url = format!("https://{}{path}", self.address);
                hook["clientConfig"] = json!({"url": url, "caBundle": bundle()});
                hook["namespaceSelector"] = json!({"matchLabels": {label.0: label.1}});
                hook["timeoutSeconds"] = json!(seconds);
            }
            cluster.apply(&configuration.to_string()).unwrap();
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Sends a request, and gives status and body of the answer.
    pub(crate) fn send(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }
}

/// A namespace in which pods can be made at once: accounts are made by a controller, a moment after their namespace.
pub(crate) fn with_account(cluster: &Cluster, labels: &[(&str, &str)]) -> String {
    let namespace = namespace(cluster, labels);
    eventually("the namespace has its account", || {
        object(cluster, "serviceaccount", &namespace, "default").map(drop).ok_or("none yet")
    });
    namespace
}

/// A pod of this one container. It is stored and never started, also where there is a node.
pub(crate) fn held_pod(name: &str, container: &Value) -> Value {
    let mut container = container.clone();
    container["name"] = json!("app");
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
        "schedulingGates": [{"name": "example.com/held"}], "containers": [container]}})
}

/// A reference to what nobody reads here.
pub(crate) const ARN: &str = "arn:aws:ssm:eu-west-1:111122223333:parameter/app/license";

/// A pod that asks for a secret.
pub(crate) fn asking(name: &str) -> Value {
    held_pod(name, &json!({"image": "app", "command": ["app"], "env": [{"name": "A", "value": ARN}]}))
}

/// Whether a stored pod was changed.
pub(crate) fn is_injected(pod: &Value) -> bool {
    pod["metadata"]["annotations"]["strongroom.dev/injection"].is_string()
        && pod["spec"]["containers"][0]["command"] == json!(["/helper/bin/secrets-init"])
}

/// Pods that ask for secrets, created one after the other until it ends.
pub(crate) struct Stream {
    stop: Sender<()>,
    creating: JoinHandle<(Api, Vec<String>)>,
    namespace: String,
}

impl Stream {
    /// Begins, with this pause behind each pod.
    pub(crate) fn start(api: Api, namespace: &str, pause: Duration) -> Self {
        let (stop, stopped) = mpsc::channel();
        let into = namespace.to_owned();
        let creating = std::thread::spawn(move || {
            let mut wrong = Vec::new();
            for number in 0.. {
                let name = format!("stream-{number}");
                let (status, words) = api.create("pods", &into, &asking(&name));
                if status != 201 {
                    wrong.push(format!("{name}: {status} {words}"));
                }
                if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                    break;
                }
            }
            (api, wrong)
        });
        Self { stop, creating, namespace: namespace.to_owned() }
    }

    /// Ends it. None was refused, and each was changed; how many there were.
    pub(crate) fn end(self) -> usize {
        self.stop.send(()).unwrap();
        let (api, refused) = self.creating.join().unwrap();
        assert_eq!(refused, Vec::<String>::new());
        let stored = api.list("pods", &self.namespace);
        let of_stream = stored.iter().filter(|(name, _)| name.starts_with("stream-"));
        let (changed, others): (Vec<_>, Vec<_>) = of_stream.partition(|(_, pod)| is_injected(pod));
        let others: Vec<_> = others.iter().map(|(name, _)| name).collect();
        assert!(others.is_empty(), "{others:?} are stored as they were");
        changed.len()
    }
}

/// Puts an image that starts this into a registry; its place and its name in there, and its config.
pub(crate) fn push(registry: &Registry, config: &Value) -> (&'static str, String) {
    ("team/app:1.0", push_as(registry, "team/app", "1.0", config))
}

/// The same under another name; its config.
pub(crate) fn push_as(registry: &Registry, repository: &str, tag: &str, config: &Value) -> String {
    let config = json!({"architecture": "amd64", "os": "linux", "config": config,
        "rootfs": {"type": "layers", "diff_ids": []}})
    .to_string();
    let digest = registry.push_blob(repository, config.as_bytes()).unwrap();
    assert_eq!(digest, digest_of(config.as_bytes()));
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": kind, "layers": [], "config": {
        "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": config.len()}});
    registry.push_manifest(repository, tag, kind, manifest.to_string().as_bytes()).unwrap();
    config
}

fn bundle() -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(AUTHORITY.certificate_pem())
}

//! A cluster, webhooks in it, and replicas that keep their certificate with no more rights than the crate says.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use strongroom_certificates::{Configuration, Kind, ServingCertificate, Settings, Source, Times, keep};
use strongroom_kube::{Access, Connection, Recorder, RecorderSettings};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use world::control_plane::{ControlPlane, Options};

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What must not happen is waited for so long: several times what it takes where it does.
pub(crate) const QUIET: Duration = Duration::from_secs(3);

pub(crate) fn cluster() -> &'static ControlPlane {
    static CLUSTER: OnceLock<ControlPlane> = OnceLock::new();
    CLUSTER.get_or_init(|| ControlPlane::start(&Options::default()).unwrap())
}

/// A new namespace.
pub(crate) fn namespace() -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let name = format!("team-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    cluster().kubectl(&["create", "namespace", &name]).unwrap();
    name
}

/// Times that need no patience, with lives as they usually are.
pub(crate) fn times() -> Times {
    Times { settle: Duration::from_secs(2), linger: Duration::from_secs(6), ..Times::default() }
}

/// A release: its webhook is called `RELEASE` in `namespace`, and its configurations are named so as well.
pub(crate) fn settings(namespace: &str, release: &str, kinds: &[Kind]) -> Settings {
    let name = format!("{namespace}-{release}");
    let configuration = |kind: &Kind| match kind {
        Kind::Conversion => Configuration { kind: *kind, name: format!("things.{name}.example.com") },
        _ => Configuration { kind: *kind, name: name.clone() },
    };
    Settings {
        namespace: namespace.to_owned(),
        service: release.to_owned(),
        hosts: Vec::new(),
        lease: format!("{release}-webhook-certificate"),
        configurations: kinds.iter().map(configuration).collect(),
        source: Source::Own { secret: secret_name(release), times: times() },
    }
}

pub(crate) fn secret_name(release: &str) -> String {
    format!("{release}-webhook-certificate")
}

pub(crate) fn set_times(settings: &mut Settings, change: impl FnOnce(&mut Times)) {
    if let Source::Own { times, .. } = &mut settings.source {
        change(times);
    }
}

/// A kubeconfig of a service account with the rights that the crate's documentation lists, for these settings; those on
/// Leases where it is to lead.
pub(crate) fn access(settings: &Settings, leads: bool, folder: &tempfile::TempDir) -> PathBuf {
    let (namespace, release) = (&settings.namespace, &settings.service);
    let account = format!("{release}-{}", if leads { "leader" } else { "follower" });
    let named = |kind| {
        let of_kind = settings.configurations.iter().filter(move |configuration| configuration.kind == kind);
        of_kind.map(|configuration| configuration.name.clone()).collect::<Vec<_>>()
    };
    let hooks: Vec<String> = [named(Kind::Mutating), named(Kind::Validating)].concat();
    let mut rules = vec![json!({"apiGroups": [""], "resources": ["events"], "verbs": ["create", "patch"]})];
    if let Source::Own { secret, .. } = &settings.source {
        rules.push(json!({"apiGroups": [""], "resources": ["secrets"], "resourceNames": [secret],
                          "verbs": ["get", "list", "watch", "update"]}));
        rules.push(json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]}));
    }
    if leads {
        rules.push(json!({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
                          "resourceNames": [settings.lease], "verbs": ["get", "update"]}));
        rules.push(json!({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]}));
    }
    // An empty list of names would be all of them.
    let mut wide = Vec::new();
    if !hooks.is_empty() {
        wide.push(json!({"apiGroups": ["admissionregistration.k8s.io"], "resourceNames": hooks,
            "resources": ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
            "verbs": ["list", "watch", "patch"]}));
    }
    if !named(Kind::Conversion).is_empty() {
        wide.push(json!({"apiGroups": ["apiextensions.k8s.io"], "resourceNames": named(Kind::Conversion),
            "resources": ["customresourcedefinitions"], "verbs": ["list", "watch", "patch"]}));
    }
    let unique = format!("{namespace}-{account}");
    let subjects = json!([{"kind": "ServiceAccount", "name": account, "namespace": namespace}]);
    let role = |kind: &str, name: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
    let metadata = json!({"name": account, "namespace": namespace});
    apply(&[
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": rules}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
               "roleRef": role("Role", &account), "subjects": subjects}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": unique},
               "rules": wide}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": unique},
               "roleRef": role("ClusterRole", &unique), "subjects": subjects}),
    ]);
    let token = cluster().service_account_token(namespace, &account, &[]).unwrap();
    let authority = cluster().certificate_authority().display();
    let content = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "a",
        "users": [{"name": "a", "user": {"token": token}}],
        "clusters": [{"name": "a", "cluster": {
            "server": cluster().server(), "certificate-authority": authority.to_string()}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a", "namespace": namespace}}],
    });
    let file = folder.path().join(account);
    std::fs::write(&file, content.to_string()).unwrap();
    file
}

/// A replica in a runtime of its own, so that it can be killed with all its tasks.
pub(crate) struct Replica {
    runtime: Option<Runtime>,
    pub(crate) certificates: watch::Receiver<Option<ServingCertificate>>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    ended: Option<tokio::task::JoinHandle<()>>,
}

impl Replica {
    /// Begins with the rights of a kubeconfig.
    pub(crate) fn start(settings: &Settings, kubeconfig: PathBuf) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let identity = format!("replica-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (told, certificates) = watch::channel(None);
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let settings = settings.clone();
        let ended = runtime.spawn(async move {
            let access = Access::Kubeconfig { files: vec![kubeconfig], context: None };
            let connection = strongroom_kube::Settings { access, role: "test", queries_per_second: 0.0, burst: 0 };
            let client = Connection::open(&connection).await.unwrap().client();
            let events = RecorderSettings { component: "strongroom", instance: identity.clone(), queue_limit: 100 };
            let (recorder, recording) = Recorder::new(client.clone(), events);
            tokio::spawn(recording);
            tokio::select! {
                ended = keep(client, recorder, settings, &identity, told) => ended.unwrap(),
                _ = stopped => {}
            }
            // Time to give the Lease back.
            tokio::time::sleep(Duration::from_millis(500)).await;
        });
        Self { runtime: Some(runtime), certificates, stop: Some(stop), ended: Some(ended) }
    }

    /// Runs something beside it, which ends with it.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.as_ref().unwrap().spawn(task);
    }

    pub(crate) fn block_on<T>(&self, task: impl Future<Output = T>) -> T {
        self.runtime.as_ref().unwrap().block_on(task)
    }

    /// What it serves; PEM.
    pub(crate) fn serves(&self) -> Option<String> {
        self.certificates.borrow().as_ref().map(|served| served.certificate.clone())
    }

    /// What it serves first.
    pub(crate) fn first(&self) -> String {
        eventually("a certificate is served", || self.serves().ok_or("none".to_owned()))
    }

    /// Kills it: nothing is ended in order, and its Lease stays.
    pub(crate) fn kill(mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }

    /// Ends it in order.
    pub(crate) fn end(mut self) {
        let _ = self.stop.take().unwrap().send(());
        let ended = self.ended.take().unwrap();
        self.block_on(ended).unwrap();
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Applies objects.
pub(crate) fn apply(objects: &[Value]) {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    cluster().apply(&list.to_string()).unwrap();
}

/// A webhook that calls the Service of a release for ConfigMaps of its namespace; nothing is there to answer.
pub(crate) fn webhook(name: &str, settings: &Settings) -> Value {
    json!({
        "name": name, "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Ignore",
        "timeoutSeconds": 2,
        "clientConfig": {"service": {"namespace": settings.namespace, "name": settings.service, "path": "/pods"}},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": settings.namespace}},
    })
}

/// A configuration with these webhooks.
pub(crate) fn configuration(kind: Kind, name: &str, webhooks: &[Value]) -> Value {
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind.as_str(), "metadata": {"name": name},
           "webhooks": webhooks})
}

/// An object as the API server has it, where there is one.
pub(crate) fn get(kind: &str, namespace: &str, name: &str) -> Option<Value> {
    let arguments = ["get", kind, name, "-n", namespace, "-o", "json", "--ignore-not-found", "--show-managed-fields"];
    let text = cluster().kubectl(&arguments).unwrap();
    (!text.trim().is_empty()).then(|| serde_json::from_str(&text).unwrap())
}

/// A value of the Secret of a release; empty where there is none.
pub(crate) fn held(namespace: &str, release: &str, key: &str) -> String {
    let secret = get("secret", namespace, &secret_name(release)).unwrap_or_default();
    decoded(&secret["data"][key])
}

pub(crate) fn decoded(value: &Value) -> String {
    String::from_utf8(STANDARD.decode(value.as_str().unwrap_or_default()).unwrap()).unwrap()
}

/// The bundles of a configuration's webhooks.
pub(crate) fn bundles(kind: Kind, name: &str) -> Vec<String> {
    let object = get(kind.as_str(), "default", name).unwrap();
    match kind {
        Kind::Conversion => vec![decoded(&object["spec"]["conversion"]["webhook"]["clientConfig"]["caBundle"])],
        _ => object["webhooks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|hook| decoded(&hook["clientConfig"]["caBundle"]))
            .collect(),
    }
}

/// Waits until `holds` says what it found.
pub(crate) fn eventually<T>(what: &str, mut holds: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match holds() {
            Ok(found) => return found,
            Err(why) => assert!(start.elapsed() < PATIENCE, "never: {what}: {why}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until the only bundle of a configuration is this.
pub(crate) fn bundle_becomes(kind: Kind, name: &str, expected: &str) {
    eventually(&format!("the bundle of {name}"), || match bundles(kind, name) {
        found if found.iter().all(|bundle| bundle == expected) => Ok(()),
        found => Err(format!("{found:?} and not {expected}")),
    });
}

/// Whether OpenSSL trusts a server's certificate by a bundle, under a name.
pub(crate) fn is_trusted(bundle: &str, certificate: &str, name: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), bundle).unwrap();
    std::fs::write(folder.path().join("server.pem"), certificate).unwrap();
    let arguments =
        ["verify", "-x509_strict", "-purpose", "sslserver", "-no-CApath", "-no-CAstore", "-CAfile", "ca.pem"];
    let mut command = Command::new("openssl");
    let output = command.current_dir(&folder).args(arguments).args(["-verify_hostname", name, "server.pem"]).output();
    let output = output.unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8(output.stderr).unwrap()) }
}

/// The events about the Secret of a release.
pub(crate) fn events(namespace: &str, release: &str) -> Vec<String> {
    let text = cluster().kubectl(&["get", "events", "-n", namespace, "-o", "json"]).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let of_secret = all["items"].as_array().unwrap().iter().filter(|event| {
        event["involvedObject"]["kind"] == "Secret" && event["involvedObject"]["name"] == *secret_name(release)
    });
    let words = |event: &Value| format!("{} {} {}", event["type"], event["reason"], event["message"]).replace('"', "");
    of_secret.map(words).collect()
}

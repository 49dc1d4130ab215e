//! A cluster, workloads in it, and restarts that run against it.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use strongroom_kube::{Access, Connection, Recorder, RecorderSettings, Settings};
use strongroom_restarts::{RestartSettings, Restarting, Restarts};
use strongroom_telemetry::Metrics;
use tokio::task::JoinHandle;
use world::control_plane::{ControlPlane, Options};

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What must not happen is waited for so long: several times what it takes where it does.
pub(crate) const QUIET: Duration = Duration::from_secs(3);

/// The cluster of all tests; each has a namespace of its own.
pub(crate) fn cluster() -> &'static ControlPlane {
    static CLUSTER: OnceLock<ControlPlane> = OnceLock::new();
    CLUSTER.get_or_init(|| ControlPlane::start(&Options { controllers: true, ..Options::default() }).unwrap())
}

/// A new namespace.
pub(crate) fn namespace() -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let name = format!("team-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    cluster().kubectl(&["create", "namespace", &name]).unwrap();
    name
}

/// Settings for tests: every Secret, a short settle time, no pause.
pub(crate) fn settings() -> RestartSettings {
    RestartSettings {
        restarts: Restarting::All,
        restart_limit: 100,
        restart_settle: Duration::from_millis(500),
        restart_pause: Duration::ZERO,
        restart_patience: Duration::from_secs(600),
        restart_report_pods: false,
        restart_key_file: None,
    }
}

/// Restarts that run in one namespace; dropping them kills them where they are.
pub(crate) struct Running {
    task: JoinHandle<()>,
    recording: JoinHandle<()>,
    pub(crate) metrics: Metrics,
    pub(crate) connection: Connection,
}

impl Running {
    pub(crate) async fn start(namespace: &str, settings: RestartSettings) -> Self {
        let connection = connect(namespace).await;
        let (recorder, recording) = recorder(&connection);
        let metrics = Metrics::new();
        let restarts = Restarts::new(connection.clone(), settings, recorder, &metrics).unwrap();
        let restarts = restarts.in_namespaces(vec![namespace.to_owned()]);
        let task = tokio::spawn(restarts.run(std::future::pending()));
        Self { task, recording: tokio::spawn(recording), metrics, connection }
    }

    /// The number behind a metric's name and labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.metrics.text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Kills it, as far as this process can, and waits until it is gone.
    pub(crate) async fn kill(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
        self.recording.abort();
    }
}

pub(crate) fn recorder(connection: &Connection) -> (Recorder, impl Future<Output = ()> + Send + use<>) {
    let settings = RecorderSettings { component: "strongroom", instance: "test".to_owned(), queue_limit: 1000 };
    Recorder::new(connection.client(), settings)
}

/// A connection whose own namespace is `namespace`.
pub(crate) async fn connect(namespace: &str) -> Connection {
    let folder = tempfile::tempdir().unwrap();
    let access =
        Access::Kubeconfig { files: vec![kubeconfig(folder.path().join("kubeconfig"), namespace)], context: None };
    Connection::open(&Settings { access, role: "test", queries_per_second: 0.0, burst: 0 }).await.unwrap()
}

fn kubeconfig(place: PathBuf, namespace: &str) -> PathBuf {
    std::fs::copy(cluster().kubeconfig(), &place).unwrap();
    let flag = format!("--kubeconfig={}", place.display());
    cluster().kubectl(&[&flag, "config", "set-context", "--current", "--namespace", namespace]).unwrap();
    place
}

/// An object as the API server has it.
pub(crate) fn get(kind: &str, namespace: &str, name: &str) -> Value {
    let text = cluster().kubectl(&["get", kind, name, "-n", namespace, "-o", "json"]).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// All objects of a kind, by name.
pub(crate) fn list(kind: &str, namespace: &str) -> Vec<Value> {
    let text = cluster().kubectl(&["get", kind, "-n", namespace, "-o", "json"]).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    all["items"].as_array().unwrap().clone()
}

/// How often a workload's pod template has changed.
pub(crate) fn restarts(kind: &str, namespace: &str, name: &str) -> i64 {
    restarts_of(&get(kind, namespace, name))
}

/// The same of an object. A Deployment's generation goes up with its annotations as well; its controller counts
/// templates.
pub(crate) fn restarts_of(object: &Value) -> i64 {
    let metadata = &object["metadata"];
    match metadata["annotations"]["deployment.kubernetes.io/revision"].as_str() {
        Some(revision) => revision.parse::<i64>().unwrap() - 1,
        None if object["kind"] == "Deployment" => 0,
        None => metadata["generation"].as_i64().unwrap() - 1,
    }
}

pub(crate) fn observed(object: &Value) -> Option<&str> {
    object["metadata"]["annotations"]["strongroom.dev/restart-observed"].as_str()
}

/// Applies objects.
pub(crate) fn apply(objects: &[Value]) {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    cluster().apply(&list.to_string()).unwrap();
}

/// A Secret with these values.
pub(crate) fn secret(namespace: &str, name: &str, data: &[(&str, &str)]) -> Value {
    let data: Value = data.iter().map(|(key, value)| ((*key).to_owned(), json!(*value))).collect();
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "stringData": data})
}

/// A workload of an apps kind that asks for restarts and reads key `k` of `secrets`. It has no pods, so that a rollout
/// ends as soon as its controller has seen it.
pub(crate) fn workload(kind: &str, namespace: &str, name: &str, secrets: &[&str]) -> Value {
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "annotations": {"strongroom.dev/restart": "true"}},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod(secrets)},
        },
    });
    match kind {
        "DaemonSet" => object["spec"]["template"]["spec"]["nodeSelector"] = json!({"no": "node"}),
        _ => object["spec"]["replicas"] = json!(0),
    }
    if kind == "StatefulSet" {
        object["spec"]["serviceName"] = json!(name);
    }
    object
}

/// A pod that reads key `k` of each of these.
pub(crate) fn pod(secrets: &[&str]) -> Value {
    let variable = |(number, name): (usize, &&str)| {
        let reference = json!({"name": name, "key": "k"});
        json!({"name": format!("V{number}"), "valueFrom": {"secretKeyRef": reference}})
    };
    let variables: Vec<Value> = secrets.iter().enumerate().map(variable).collect();
    json!({"containers": [{"name": "app", "image": "app", "env": variables}], "restartPolicy": "Always"})
}

/// Waits until `holds` says nothing more, asking every 100 ms.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> Result<(), String>) {
    let start = Instant::now();
    loop {
        let Err(why) = holds() else { return };
        assert!(start.elapsed() < PATIENCE, "never: {what}: {why}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until the workload's baseline is written and its controller has seen it.
pub(crate) async fn adopted(kind: &str, namespace: &str, name: &str) {
    eventually(&format!("{kind} {name} has a baseline"), || {
        let object = get(kind, namespace, name);
        let is_seen = object["status"]["observedGeneration"] == object["metadata"]["generation"];
        if is_seen && observed(&object).is_some() { Ok(()) } else { Err("none yet".to_owned()) }
    })
    .await;
}

/// Waits until the workload was restarted so often.
pub(crate) async fn reaches(kind: &str, namespace: &str, name: &str, expected: i64) {
    eventually(&format!("{kind} {name} was restarted {expected} times"), || match restarts(kind, namespace, name) {
        now if now == expected => Ok(()),
        now => Err(format!("{now} times")),
    })
    .await;
}

/// The messages of the events about an object, with their reasons.
pub(crate) fn events(namespace: &str, kind: &str, name: &str) -> Vec<String> {
    let about = |event: &&Value| event["involvedObject"]["kind"] == kind && event["involvedObject"]["name"] == name;
    let ours = |event: &&Value| event["source"]["component"] == "strongroom";
    let text = |event: &Value| format!("{} {}", event["reason"].as_str().unwrap(), event["message"].as_str().unwrap());
    list("events", namespace).iter().filter(about).filter(ours).map(text).collect()
}

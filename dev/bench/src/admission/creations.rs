//! Pods created against a real API server, while the registry that says what their images start is slow.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use world::registry::{Access, Registry};
use world::switchboard::{Fault, Switchboard};

use super::webhooks::Webhooks;
use super::{reviews, row};
use crate::report::{Figure, Target, Unit, percentile};
use crate::scenarios::Bench;

/// How long each request to the registry takes more than it would.
const DELAY: Duration = Duration::from_millis(300);

/// Different images.
const IMAGES: usize = 100;

/// Every so many pods want what they start looked up anew.
const ALWAYS: usize = 10;

/// Pods that are created at the same time.
const WORKERS: usize = 50;

/// How long the API server waits for an answer, in seconds: the chart's.
const PATIENCE: u64 = 10;

/// Where pods are created: the reviews' namespace.
const NAMESPACE: &str = "team-a";

/// What became of a pod.
struct Created {
    time: Duration,
    /// Whether it is stored with its references wrapped; else the API server's words.
    outcome: Result<bool, String>,
}

/// Creates pods without a command, and looks at each.
pub(super) fn measure(bench: &mut Bench) -> Result<()> {
    let registry = Registry::start(Access::Open)?;
    for number in 0..IMAGES {
        push(&registry, number)?;
    }
    let slow = Switchboard::to(registry.host_port())?;
    slow.add(Fault::delay(DELAY));
    let host = slow.host_port();
    let webhooks = Webhooks::start_with(bench, &["--registry-plain-http", host, "--registry-local", host])?;
    webhooks.cluster().apply(&called(&webhooks))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let count = bench.effort.pods;
    let start = Instant::now();
    let created = runtime.block_on(create(&webhooks, host, count))?;
    let took = start.elapsed();
    let refused: Vec<&String> = created.iter().filter_map(|pod| pod.outcome.as_ref().err()).collect();
    if let Some(words) = refused.first() {
        eprintln!("bench: the first pod that was refused: {words}");
    }
    let slipped = created.iter().filter(|pod| pod.outcome == Ok(false)).count();
    let mut times: Vec<f64> = created.iter().map(|pod| pod.time.as_secs_f64() * 1e3).collect();
    times.sort_by(f64::total_cmp);
    let of_all = |percent| percentile(&times, percent).map(Figure::exact).context("no pod was created");
    let metric = |what: &str| format!("{count} pods, registry at {} ms: {what}", DELAY.as_millis());
    let counted = |id: &str, what: &str, value: f64| row(id, metric(what), Unit::Count, Figure::exact(value));
    let none = Target::at_most(0.0);
    bench.rows.push(counted("created-refused", "refused or too late", refused.len() as f64).with_target(none.clone()));
    bench.rows.push(counted("created-unchanged", "stored as they were", slipped as f64).with_target(none));
    bench.rows.push(counted("created-rate", "created a second", count as f64 / took.as_secs_f64()));
    bench.rows.push(counted("created-asked", "requests to the registry", slow.counts().requests as f64));
    let timed = |id: &str, what: &str, figure| row(id, metric(what), Unit::Milliseconds, figure);
    bench.rows.push(timed("created-p50", "median", of_all(50)?));
    bench.rows.push(timed("created-p99", "99 of 100 within", of_all(99)?));
    let longest = timed("created-longest", "the longest", of_all(100)?);
    bench.rows.push(longest.with_target(Target::below(PATIENCE as f64 * 1e3)));
    Ok(())
}

async fn create(webhooks: &Webhooks, host: &str, count: usize) -> Result<Vec<Created>> {
    let kubeconfig = Kubeconfig::read_from(webhooks.cluster().kubeconfig())?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let api: Api<Pod> = Api::namespaced(Client::try_from(config)?, NAMESPACE);
    until_called(&api, host).await?;
    let one = async |number: usize| -> Result<Created> {
        let pod = serde_json::from_value(pod(host, number))?;
        let start = Instant::now();
        let answer = api.create(&PostParams::default(), &pod).await;
        Ok(Created { time: start.elapsed(), outcome: answer.map(|pod| is_wrapped(&pod)).map_err(|it| it.to_string()) })
    };
    let created: Vec<Result<Created>> = stream::iter(0..count).map(one).buffer_unordered(WORKERS).collect().await;
    created.into_iter().collect()
}

/// A configuration becomes known to the API server a moment after it is written. The pod is not stored, and names an
/// image that the others do not.
async fn until_called(api: &Api<Pod>, host: &str) -> Result<()> {
    let mut asked = pod(host, 0);
    asked["spec"]["containers"][0]["command"] = json!(["/app"]);
    let (asked, dry) = (serde_json::from_value(asked)?, PostParams { dry_run: true, ..PostParams::default() });
    let start = Instant::now();
    while !is_wrapped(&api.create(&dry, &asked).await?) {
        ensure!(start.elapsed() < Duration::from_secs(PATIENCE), "the webhook is not called");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

fn is_wrapped(pod: &Pod) -> bool {
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let command = containers.first().and_then(|container| container.command.as_ref());
    command.is_some_and(|words| words.first().is_some_and(|word| word.ends_with("/secrets-init")))
}

/// A pod with three references, and without a command.
fn pod(host: &str, number: usize) -> Value {
    let mut pod = reviews::typical_pod();
    let container = &mut pod["spec"]["containers"][0];
    container["image"] = json!(format!("{host}/{}:1", image(number % IMAGES)));
    container["command"] = Value::Null;
    if number.is_multiple_of(ALWAYS) {
        container["imagePullPolicy"] = json!("Always");
    }
    // What the API server adds itself, or knows nothing of here.
    container["volumeMounts"] = Value::Null;
    pod["spec"]["volumes"] = Value::Null;
    pod["metadata"]["ownerReferences"] = Value::Null;
    pod
}

fn image(number: usize) -> String {
    format!("team/app-{number}")
}

fn push(registry: &Registry, number: usize) -> Result<()> {
    let starts = json!({"Entrypoint": ["/app", number.to_string()]});
    let config = json!({"architecture": "amd64", "os": "linux", "config": starts,
        "rootfs": {"type": "layers", "diff_ids": []}})
    .to_string();
    let digest = registry.push_blob(&image(number), config.as_bytes())?;
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": kind, "layers": [], "config": {
        "mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": config.len()}});
    registry.push_manifest(&image(number), "1", kind, manifest.to_string().as_bytes())?;
    Ok(())
}

/// The configuration that has all pods of the namespace sent, and an account for them.
fn called(webhooks: &Webhooks) -> String {
    let hook = json!({
        "name": "pods.bench.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
        "clientConfig": {"url": format!("https://{}/pods", webhooks.address()), "caBundle": webhooks.bundle()},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
        "failurePolicy": "Fail", "reinvocationPolicy": "IfNeeded", "timeoutSeconds": PATIENCE,
    });
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": NAMESPACE}},
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
         "metadata": {"name": "bench"}, "webhooks": [hook]},
    ]})
    .to_string()
}

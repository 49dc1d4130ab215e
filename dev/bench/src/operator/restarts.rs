//! A rotation that touches many workloads: how soon all of them roll, how many at once, and what the API server says.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures_util::{StreamExt as _, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;
use world::control_plane::{ControlPlane, Options};

use super::{PATIENCE, Running};
use crate::report::{Figure, Row, Target, Unit};
use crate::scenarios::Bench;

/// Workloads that consume the Secret.
const COUNT: usize = 500;

/// How many may roll at once, which is the default.
const LIMIT: f64 = 10.0;

pub(super) const MARK: &str = "strongroom.dev/restarted-for";
pub(super) const OBSERVED: &str = "strongroom.dev/restart-observed";

pub(crate) fn measure(bench: &mut Bench) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(rotation(bench))
}

async fn rotation(bench: &mut Bench) -> Result<()> {
    eprintln!("bench: making a cluster with {COUNT} Deployments");
    let cluster = ControlPlane::start(&Options { controllers: true, ..Options::default() })?;
    cluster.apply(&strongroom_api::crds_yaml()?)?;
    cluster.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"])?;
    let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig())?;
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let client = Client::try_from(config)?;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), "default");
    secrets.create(&PostParams::default(), &secret("1")?).await?;
    let made: Vec<Result<()>> =
        stream::iter(0..COUNT).map(|number| make(&client, number)).buffer_unordered(32).collect().await;
    made.into_iter().collect::<Result<()>>()?;
    let flags = ["--restarts=all"];
    let running = Running::start_with(bench, cluster.kubeconfig(), &flags, &[])?;
    let deployments: Api<Deployment> = Api::namespaced(client, "default");
    until(&running, "noted", async || noted(&deployments).await).await?;
    let refused_before = refused(&cluster)?;
    let start = Instant::now();
    secrets.patch("shared", &PatchParams::default(), &Patch::Merge(&secret("2")?)).await?;
    let most = until(&running, "restarted", async || marked(&deployments).await).await?;
    let took = start.elapsed();
    let row = |what: &str, metric: &str, unit, value: f64| {
        Row::new(
            &format!("restarts-{what}"),
            format!("{COUNT} Deployments, one Secret: {metric}"),
            unit,
            Figure::exact(value),
        )
    };
    let millis = took.as_secs_f64() * 1e3;
    bench.rows.push(row("all", "a change → all restarted, ten at once", Unit::Milliseconds, millis));
    bench.rows.push(row("most", "rolled at once at most", Unit::Count, most).with_target(Target::at_most(LIMIT)));
    let refused = refused(&cluster)? - refused_before;
    bench.rows.push(
        row("refused", "requests that the API server throttled", Unit::Count, refused)
            .with_target(Target::at_most(0.0)),
    );
    Ok(())
}

/// Requests that the API server has answered with 429, as it counts them.
fn refused(cluster: &ControlPlane) -> Result<f64> {
    let text = cluster.kubectl(&["get", "--raw", "/metrics"])?;
    let counted =
        text.lines().filter(|line| line.starts_with("apiserver_request_total{") && line.contains("code=\"429\""));
    Ok(counted.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}

fn secret(value: &str) -> Result<Secret> {
    let object =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "shared"}, "stringData": {"k": value}});
    Ok(serde_json::from_value(object)?)
}

/// Without pods, so that its controller says at once that a rollout has ended.
async fn make(client: &Client, number: usize) -> Result<()> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), "default");
    let name = format!("app-{number}");
    let labels = json!({"app": name});
    let source = json!([{"secretRef": {"name": "shared"}}]);
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "annotations": {"strongroom.dev/restart": "true"}},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "app", "image": "app", "envFrom": source}]},
            },
        },
    });
    api.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
    Ok(())
}

pub(super) fn annotated(metadata: &ObjectMeta, annotation: &str) -> bool {
    metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(annotation))
}

async fn noted(api: &Api<Deployment>) -> Result<usize> {
    let found = api.list_metadata(&Default::default()).await?;
    Ok(found.items.iter().filter(|object| annotated(&object.metadata, OBSERVED)).count())
}

async fn marked(api: &Api<Deployment>) -> Result<usize> {
    let found = api.list(&Default::default()).await?;
    let is_marked = |object: &&Deployment| {
        let template = object.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
        template.is_some_and(|template| annotated(template, MARK))
    };
    Ok(found.items.iter().filter(is_marked).count())
}

/// Waits until `count` is all of them; the most that were told to roll meanwhile.
async fn until(running: &Running, what: &str, count: impl AsyncFn() -> Result<usize>) -> Result<f64> {
    let (start, mut most) = (Instant::now(), 0.0_f64);
    loop {
        let now = count().await?;
        if now >= COUNT {
            return Ok(most);
        }
        ensure!(start.elapsed() < PATIENCE, "{now} of {COUNT} are {what} after {PATIENCE:?}\n{}", running.logged());
        for _ in 0..10 {
            most = most.max(running.gauge("strongroom_restarts_rolling")?);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

//! A source that tells of a change, among many objects: how soon its reader has the new value, and its workload rolls.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use serde_json::json;
use strongroom_event::webhook::sign;
use strongroom_secret::SecretBytes;

use super::restarts::{MARK, OBSERVED, annotated};
use super::{Fleet, NEAR, Running, Source, namespace};
use crate::report::{Figure, Row, Target, Unit};
use crate::scenarios::Bench;
use crate::stand_in::Conduct;

/// ExternalSecrets in the cluster.
const COUNT: usize = 10_000;

/// How many of them have a workload, and are told to have changed.
const TOLD: usize = 20;

const KEY: &str = "0123456789abcdef0123456789abcdef";

pub(crate) fn measure(bench: &mut Bench) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(events(bench))
}

async fn events(bench: &mut Bench) -> Result<()> {
    let fleet = Fleet::prepare(Source::ExternalSecrets, COUNT, "1h").await?;
    for number in 0..TOLD {
        workload(&fleet, number).await?;
    }
    bench.stand_in.serve(NEAR)?;
    let folder = tempfile::tempdir()?;
    let key = folder.path().join("key");
    let mut file = std::fs::File::create(&key)?;
    file.write_all(KEY.as_bytes())?;
    let key = format!("--events-webhook-secret-file={}", key.display());
    // Nobody says that a rollout has ended: there are no controllers beside ten thousand objects.
    let flags = [key.as_str(), "--events-webhook-addr=127.0.0.1:0", "--restart-limit=1000"];
    let running = Running::start_with(bench, fleet.cluster.kubeconfig(), &flags, &[])?;
    fleet.until_right(&running).await?;
    running.until_quiet(COUNT).await?;
    let (mut to_secret, mut to_mark) = (Vec::new(), Vec::new());
    for number in 0..TOLD {
        let (secret, mark) = told(bench, &fleet, &running, number).await?;
        to_secret.push(secret.as_secs_f64() * 1e3);
        to_mark.push(mark.as_secs_f64() * 1e3);
    }
    let mut row = |what: &str, metric: &str, samples: Vec<f64>, most: f64| -> Result<()> {
        let figure = Figure::of(samples).context("no samples")?;
        let metric = format!("{COUNT} ExternalSecrets: {metric}");
        let row = Row::new(&format!("events-{what}"), metric, Unit::Milliseconds, figure);
        bench.rows.push(row.with_target(Target::below(most)));
        Ok(())
    };
    row("secret", "an event → Secret", to_secret, 1_000.0)?;
    row("mark", "an event → rollout marked", to_mark, 1_500.0)
}

/// A Deployment that consumes the Secret of ExternalSecret `number` and wants to be restarted.
async fn workload(fleet: &Fleet, number: usize) -> Result<()> {
    let (name, labels) = (format!("app-{number}"), json!({"app": "told"}));
    let containers = json!([{"name": "app", "image": "app", "envFrom": [{"secretRef": {"name": name}}]}]);
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "annotations": {"strongroom.dev/restart": "true"}},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
    });
    let api: Api<Deployment> = Api::namespaced(fleet.client.clone(), &namespace(number));
    api.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
    Ok(())
}

/// Has the store change a value, tells of it, and waits: until the Secret has it, and until the workload is marked.
async fn told(bench: &mut Bench, fleet: &Fleet, running: &Running, number: usize) -> Result<(Duration, Duration)> {
    let rotation = u32::try_from(number)? + 1;
    let secrets: Api<Secret> = Api::namespaced(fleet.client.clone(), &namespace(number));
    let deployments: Api<Deployment> = Api::namespaced(fleet.client.clone(), &namespace(number));
    let name = format!("app-{number}");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !annotated(&deployments.get(&name).await?.metadata, OBSERVED) {
        ensure!(Instant::now() < deadline, "{name} is not noted\n{}", running.logged());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bench.stand_in.serve(Conduct { rotation, ..NEAR })?;
    let start = Instant::now();
    post(&running.listening("--events-webhook-addr")?, &format!("app{number}k0-000000"))?;
    let wanted = format!("delivered:app{number}k0.{rotation}");
    let mut at_secret = None;
    loop {
        if at_secret.is_none() {
            let data = secrets.get(&name).await?.data.unwrap_or_default();
            at_secret = data.get("k0").is_some_and(|value| value.0 == wanted.as_bytes()).then(|| start.elapsed());
        }
        let deployment = deployments.get(&name).await?;
        let template = deployment.spec.and_then(|spec| spec.template.metadata);
        if let (Some(at_secret), true) = (at_secret, template.is_some_and(|template| annotated(&template, MARK))) {
            return Ok((at_secret, start.elapsed()));
        }
        ensure!(start.elapsed() < Duration::from_secs(10), "an event had no effect\n{}", running.logged());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn post(address: &str, key: &str) -> Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let body = json!({"provider": "aws-sm", "key": key}).to_string();
    let signature = sign(&SecretBytes::from(KEY.to_owned()), body.as_bytes(), i64::try_from(now)?);
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "POST /events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\
         Strongroom-Signature: {signature}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 202"), "an event is refused: {}", answer.lines().next().unwrap_or_default());
    Ok(())
}

//! How much later a pod with references starts on a real node, the chart's admission included, than the same pod without
//! any and with an init container that does nothing.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, LogParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use world::helm::Helm;
use world::image::Image;
use world::node::{Node, Options, StartError};
use world::open_bao::OpenBao;
use world::shipped;
use world::switchboard::{Fault, Switchboard};

use super::row;
use crate::launch::{now, parse_start};
use crate::report::{Figure, Peer, Target, Unit};
use crate::scenarios::Bench;

/// References of a pod, each to a secret of its own.
const REFERENCES: usize = 10;

/// How long each request to the store takes more than it would.
const DELAY: Duration = Duration::from_millis(20);

/// How long a pod, or anything before the first one, may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often is looked whether a pod has ended.
const PAUSE: Duration = Duration::from_millis(100);

/// How often kubelet looks at its containers: it sees the end of an init container at the next of these moments, however
/// long before that was.
const LOOKS: Duration = Duration::from_secs(1);

const PROGRAM: &str = "docker.io/strongroom/strongroom:bench";
const INIT: &str = "docker.io/strongroom/strongroom-init:bench";
const PROBE: &str = "docker.io/bench/probe:1";
const NAMESPACE: &str = "team-a";

/// A node with admission on it, and a store that its pods may read.
struct Site {
    node: Node,
    store: Switchboard,
    // Ends after what leads to it.
    _vault: OpenBao,
}

/// Pods of both kinds in turn.
pub(super) fn measure(bench: &mut Bench) -> Result<()> {
    let node = match Node::start(&Options::default()) {
        Err(StartError::NeedsRoot) => {
            eprintln!("bench: a node needs root, so that the start of pods is left out");
            return Ok(());
        }
        started => started?,
    };
    import(bench, &node)?;
    let site = Site::new(node)?;
    install(bench, &site)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (with, without) = runtime.block_on(site.race(bench.effort.started_pods))?;
    let figure = |samples: Vec<f64>| Figure::of(samples).context("no pod was started");
    let (with, without) = (figure(with)?, figure(without)?);
    let more = Figure::exact(with.value - without.value);
    let metric = format!("a pod with {REFERENCES} references, {} ms: created → started", DELAY.as_millis());
    let peer = Peer::measured("init container that does nothing", &without);
    bench.rows.push(row("start", metric.clone(), Unit::Milliseconds, with).beside([peer]));
    let more = row("start-more", format!("{metric}, how much later"), Unit::Milliseconds, more);
    bench.rows.push(more.with_target(Target::below(150.0)));
    Ok(())
}

/// Brings the images.
fn import(bench: &Bench, node: &Node) -> Result<()> {
    let programs = &bench.programs;
    let authorities: &[u8] = &[];
    let probe = Image::new(PROBE).file("/probe", &programs.probe, 0o755);
    let images = [
        shipped::strongroom(PROGRAM, &programs.strongroom, authorities),
        shipped::init(INIT, &programs.init, authorities),
        probe,
    ];
    let folder = tempfile::tempdir()?;
    let archive = folder.path().join("image.tar");
    for image in images {
        image.write(&archive)?;
        node.import_image(&archive)?;
    }
    Ok(())
}

/// Installs the chart with admission, as people do.
fn install(bench: &Bench, site: &Site) -> Result<()> {
    let chart = bench.programs.root.join("deploy/helm/strongroom").display().to_string();
    let address = site.node.expose_to_pods(site.store.socket().port())?;
    let values = [
        "image.tag=bench,image.pullPolicy=Never".to_owned(),
        "admission.enabled=true,admission.init.image.tag=bench,admission.init.image.pullPolicy=Never".to_owned(),
        format!("admission.vault.address=http://{address}"),
    ];
    let flags = ["-n", "strongroom", "--create-namespace", "--wait", "--timeout", "2m", "--set", &values.join(",")];
    Helm::new()?.run_on(&site.node, &[&["install", "strongroom", &chart], &flags[..]].concat())?;
    Ok(())
}

impl Site {
    /// Starts the store, fills it, and lets the namespace's pods log in.
    fn new(node: Node) -> Result<Self> {
        let vault = OpenBao::start()?;
        let store = Switchboard::to(vault.host_port())?;
        let account = "apiVersion: v1, kind: ServiceAccount, metadata";
        node.apply(&format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}\n---\n{{{account}: {{name: app, namespace: {NAMESPACE}}}}}"
        ))?;
        for number in 0..REFERENCES {
            vault.command(&["kv", "put", &format!("secret/app-{number}"), &format!("token={}", value(number))])?;
        }
        let mut policy = tempfile::NamedTempFile::new()?;
        policy.write_all(br#"path "secret/data/*" { capabilities = ["read"] }"#)?;
        vault.command(&["policy", "write", "app", text(policy.path())?])?;
        vault.command(&["auth", "enable", "kubernetes"])?;
        let host = format!("kubernetes_host={}", node.server());
        let authority = format!("kubernetes_ca_cert={}", std::fs::read_to_string(node.certificate_authority())?);
        let reviewer = format!("token_reviewer_jwt={}", node.token_reviewer()?);
        vault.command(&["write", "auth/kubernetes/config", &host, &authority, &reviewer])?;
        let bound = [format!("bound_service_account_namespaces={NAMESPACE}"), "policies=app".to_owned()];
        let role = ["write", "auth/kubernetes/role/app", "bound_service_account_names=app", &bound[0], &bound[1]];
        vault.command(&role)?;
        store.add(Fault::delay(DELAY));
        Ok(Self { node, store, _vault: vault })
    }

    /// `count` pods of each kind: times in milliseconds, with references and without.
    async fn race(&self, count: usize) -> Result<(Vec<f64>, Vec<f64>)> {
        let kubeconfig = Kubeconfig::read_from(self.node.kubeconfig())?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        let api: Api<Pod> = Api::namespaced(Client::try_from(config)?, NAMESPACE);
        until_called(&api).await?;
        // The first of each kind is not counted: it reads what the others find read.
        run(&api, "first-with", true).await?;
        run(&api, "first-without", false).await?;
        let (mut with, mut without) = (Vec::new(), Vec::new());
        let begun = Instant::now();
        for number in 0..count {
            // Evenly spread between kubelet's looks, and both kinds alike.
            let place = LOOKS.mul_f64(number as f64 / count as f64);
            at(begun, place).await;
            with.push(run(&api, &format!("with-{number}"), true).await?);
            at(begun, place).await;
            without.push(run(&api, &format!("without-{number}"), false).await?);
        }
        Ok((with, without))
    }
}

/// Waits for the next moment that lies so far behind a whole number of kubelet's looks after `begun`.
async fn at(begun: Instant, place: Duration) {
    let since = begun.elapsed().as_nanos() % LOOKS.as_nanos();
    let since = Duration::from_nanos(u64::try_from(since).unwrap_or_default());
    let wait = if since <= place { place.saturating_sub(since) } else { (LOOKS + place).saturating_sub(since) };
    tokio::time::sleep(wait).await;
}

/// Webhooks are called a moment after their pods are ready. No pod is stored.
async fn until_called(api: &Api<Pod>) -> Result<()> {
    let (asked, dry) = (made("dry", true)?, PostParams { dry_run: true, ..PostParams::default() });
    let start = Instant::now();
    loop {
        let answer = api.create(&dry, &asked).await;
        let is_changed = |pod: &Pod| pod.spec.as_ref().is_some_and(|spec| spec.init_containers.is_some());
        if answer.as_ref().is_ok_and(is_changed) {
            return Ok(());
        }
        ensure!(start.elapsed() < PATIENCE, "admission changes no pod: {answer:?}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Runs one pod to its end: the milliseconds from just before it was created to the first line of its program's `main`.
async fn run(api: &Api<Pod>, name: &str, has_references: bool) -> Result<f64> {
    let pod = made(name, has_references)?;
    let created = now()?;
    api.create(&PostParams::default(), &pod).await?;
    let start = Instant::now();
    loop {
        tokio::time::sleep(PAUSE).await;
        let status = api.get_status(name).await?.status.unwrap_or_default();
        match status.phase.as_deref() {
            Some("Succeeded") => break,
            Some("Failed") => anyhow::bail!("{name} failed: {}", serde_json::to_string(&status)?),
            _ => ensure!(start.elapsed() < PATIENCE, "{name} has not ended: {}", serde_json::to_string(&status)?),
        }
    }
    let line = api.logs(name, &LogParams { container: Some("app".to_owned()), ..LogParams::default() }).await?;
    let seen = parse_start(&line, created)?;
    ensure!(seen.delivered == REFERENCES, "{} of {REFERENCES} values reached {name}", seen.delivered);
    api.delete(name, &DeleteParams::default()).await?;
    Ok(seen.elapsed.as_secs_f64() * 1e3)
}

/// A pod whose program is the probe: with references, or with the values themselves and an init container of the same
/// image as admission's.
fn made(name: &str, has_references: bool) -> Result<Pod> {
    let variable = |number: usize| {
        let reference = format!("vault:secret/data/app-{number}#token");
        json!({"name": format!("VALUE_{number}"), "value": if has_references { reference } else { value(number) }})
    };
    let variables: Vec<Value> = (0..REFERENCES).map(variable).collect();
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "serviceAccountName": "app", "restartPolicy": "Never", "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "app", "image": PROBE, "imagePullPolicy": "Never", "command": ["/probe"],
                "env": variables}],
        },
    });
    if !has_references {
        let nothing = ["/strongroom-init", "--version"];
        pod["spec"]["initContainers"] =
            json!([{"name": "nothing", "image": INIT, "imagePullPolicy": "Never", "command": nothing}]);
    }
    Ok(serde_json::from_value(pod)?)
}

/// A value as the probe counts it.
fn value(number: usize) -> String {
    format!("delivered:{number}")
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a temporary file's name is no text")
}

//! The operator under load: a fleet of ExternalSecrets on a real API server, with the stand-in for AWS as its store.

pub(crate) mod events;
pub(crate) mod kamus;
pub(crate) mod restarts;

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures_util::StreamExt as _;
use futures_util::stream;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use strongroom_api::external_secrets::ExternalSecret;
use strongroom_api::kes;
use world::control_plane::{ControlPlane, Options};

use crate::process;
use crate::recorded;
use crate::report::{Figure, Peer, Row, Target, Unit};
use crate::scenarios::Bench;
use crate::stand_in::{Conduct, REGION};

/// Namespaces that a fleet is spread over.
const NAMESPACES: usize = 20;

/// Values of each object that reads a store.
const KEYS: usize = 3;

/// How long a fleet may take before it counts as failed.
const PATIENCE: Duration = Duration::from_secs(180);

/// How far the store is.
const NEAR: Conduct = Conduct { latency: 20, deny_batch: false, rotation: 0 };
const AT_ONCE: Conduct = Conduct { latency: 0, deny_batch: false, rotation: 0 };

/// The name of the long one.
pub(crate) const SOAK: &str = "operator-soak";

/// How many minutes it churns; `SOAK_MINUTES` says otherwise.
const SOAK_MINUTES: u64 = 30;

/// Whose objects a fleet is made of.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// External Secrets Operator's.
    ExternalSecrets,
    /// Those of kubernetes-external-secrets.
    Kes,
    /// Kamus'.
    Kamus,
}

impl Source {
    /// The label of the Secrets that they become.
    fn label(self) -> &'static str {
        match self {
            Self::ExternalSecrets => "reconcile.external-secrets.io/managed=true",
            Self::Kes => "bench=kes",
            Self::Kamus => "bench=kamus",
        }
    }

    /// Values of each object.
    fn keys(self) -> usize {
        match self {
            Self::ExternalSecrets | Self::Kes => KEYS,
            Self::Kamus => 1,
        }
    }
}

/// A cluster with a fleet in it.
struct Fleet {
    cluster: ControlPlane,
    client: Client,
    source: Source,
    count: usize,
}

/// An operator that runs.
struct Running {
    child: Child,
    start: Instant,
    log: PathBuf,
    _folder: tempfile::TempDir,
    metrics: String,
}

/// A fleet of `count`, from nothing to right, again after a restart, and in steady state.
pub(crate) fn measure(bench: &mut Bench, count: usize) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(fleet(bench, count))
}

async fn fleet(bench: &mut Bench, count: usize) -> Result<()> {
    let fleet = Fleet::prepare(Source::ExternalSecrets, count, "15s").await?;
    bench.stand_in.serve(NEAR)?;
    let running = Running::start(bench, &fleet)?;
    let took = fleet.until_right(&running).await?;
    let calls = reads_of_secrets(bench)?;
    // Events follow behind at low priority.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let asked = running.requests()?;
    fleet.check().await?;
    let id = |what: &str| format!("operator-{count}-{what}");
    let row = |what: &str, metric: &str, unit, value: f64| {
        let row = Row::new(&id(what), format!("{count} ExternalSecrets: {metric}"), unit, Figure::exact(value));
        let peers = ["ESO 2.9", "ESO 2.9 tuned"].into_iter().filter_map(|peer| recorded::find(&id(what), peer));
        row.beside(peers.map(Peer::from))
    };
    let small = count <= 1_000;
    let with = |row: Row, target: Target| if small { row.with_target(target) } else { row };
    let first = row("first", "all Secrets right after the start", Unit::Milliseconds, took.as_secs_f64() * 1e3);
    bench.rows.push(with(first, Target::at_most(4_000.0)));
    bench.rows.push(with(row("calls", "calls to the store", Unit::Count, calls as f64), Target::at_most(200.0)));
    let each = |number: f64| number / count as f64;
    let writes = row("writes", "Kubernetes writes an object, without events", Unit::Count, each(writes(&asked)));
    // The store's own status is one more.
    bench.rows.push(with(writes, Target::at_most(2.01)));
    let reads = row("reads", "uncached reads and lists an object", Unit::Count, each(reads(&asked)));
    bench.rows.push(with(reads, Target::at_most(0.05)));
    drop(running);
    restart(bench, &fleet, &row, small).await
}

/// Starts the operator on a fleet that is in sync, and watches it go on.
async fn restart(
    bench: &mut Bench,
    fleet: &Fleet,
    row: &impl Fn(&str, &str, Unit, f64) -> Row,
    small: bool,
) -> Result<()> {
    let running = Running::start(bench, fleet)?;
    let quiet = running.until_quiet(fleet.count).await?;
    let asked = running.requests()?;
    let with = |row: Row, target: Target| if small { row.with_target(target) } else { row };
    let millis = quiet.as_secs_f64() * 1e3;
    bench.rows.push(with(
        row("restart", "quiet after a restart in sync", Unit::Milliseconds, millis),
        Target::at_most(2_000.0),
    ));
    let read = asked.get("get secrets").copied().unwrap_or_default();
    bench.rows.push(with(
        row("restart-reads", "Secrets read then, but for the store's credentials", Unit::Count, read - 1.0),
        Target::at_most(0.0),
    ));
    // Everybody has had its turn once; then two whole rounds.
    tokio::time::sleep(Duration::from_secs(20)).await;
    let (before, cpu) = (running.requests()?, running.cpu()?);
    tokio::time::sleep(Duration::from_secs(30)).await;
    let (after, spent) = (running.requests()?, running.cpu()? - cpu);
    let steady = writes(&after) - writes(&before);
    bench.rows.push(with(
        row("steady-writes", "Kubernetes writes in 30 s at 15 s refresh", Unit::Count, steady),
        Target::at_most(0.0),
    ));
    let percent = spent.as_secs_f64() / 30.0 * 100.0;
    bench
        .rows
        .push(with(row("steady-cpu", "per cent of a core at 15 s refresh", Unit::Count, percent), Target::below(5.0)));
    let at_rest = running.resident_at_rest().await?;
    let at_rest = row("resident", "resident set between two rounds", Unit::Bytes, at_rest);
    let most = row("peak", "resident set at most since the restart", Unit::Bytes, running.memory("VmHWM:")?);
    bench.rows.push(if small { at_rest.with_target(Target::below(30e6)) } else { at_rest });
    bench.rows.push(if small { most } else { most.with_target(Target::below(120e6)) });
    if small {
        bench.stand_in.serve(AT_ONCE)?;
        let figure = fleet.touches().await?;
        let touched = row("touch", "a person's change → Secret, fast store", Unit::Milliseconds, 0.0);
        bench.rows.push(Row { ours: figure, ..touched }.with_target(Target::below(50.0)));
    }
    Ok(())
}

/// A fleet of kubernetes-external-secrets' objects: from nothing to right, and then polled every 10 s, as it is there.
pub(crate) fn measure_kes(bench: &mut Bench, count: usize) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(kes_fleet(bench, count))
}

async fn kes_fleet(bench: &mut Bench, count: usize) -> Result<()> {
    let fleet = Fleet::prepare(Source::Kes, count, "").await?;
    bench.stand_in.serve(NEAR)?;
    let running = Running::start(bench, &fleet)?;
    let took = fleet.until_right(&running).await?;
    let first = reads_of_secrets(bench)?;
    fleet.check().await?;
    let row = |what: &str, metric: &str, unit, value: f64| {
        Row::new(
            &format!("kes-{count}-{what}"),
            format!("{count} objects of KES: {metric}"),
            unit,
            Figure::exact(value),
        )
    };
    let millis = took.as_secs_f64() * 1e3;
    let right = row("first", "all Secrets right after the start", Unit::Milliseconds, millis);
    bench.rows.push(right.with_target(Target::at_most(5_000.0)));
    bench.rows.push(row("calls", "calls to the store until then", Unit::Count, first as f64));
    // Statuses and events follow, and the first round after them.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let (asked, cpu, calls) = (running.requests()?, running.cpu()?, reads_of_secrets(bench)?);
    tokio::time::sleep(Duration::from_secs(30)).await;
    let steady = writes(&running.requests()?) - writes(&asked);
    let written = row("steady-writes", "Kubernetes writes in 30 s of polling every 10 s", Unit::Count, steady);
    bench.rows.push(written.with_target(Target::at_most(0.0)));
    let calls = (reads_of_secrets(bench)? - calls) as f64 / 3.0;
    bench.rows.push(row("steady-calls", "calls to the store a poll", Unit::Count, calls));
    let percent = (running.cpu()? - cpu).as_secs_f64() / 30.0 * 100.0;
    bench.rows.push(row("steady-cpu", "per cent of a core", Unit::Count, percent));
    Ok(())
}

/// Half an hour of churn: objects are changed, made and deleted, Secrets are deleted under the operator. What it holds
/// after the first minutes and at the end should be the same.
pub(crate) fn soak(bench: &mut Bench) -> Result<()> {
    let minutes = std::env::var("SOAK_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(SOAK_MINUTES);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(churn(bench, minutes))
}

async fn churn(bench: &mut Bench, minutes: u64) -> Result<()> {
    const COUNT: usize = 300;
    let fleet = Fleet::prepare(Source::ExternalSecrets, COUNT, "15s").await?;
    bench.stand_in.serve(NEAR)?;
    let running = Running::start(bench, &fleet)?;
    fleet.until_right(&running).await?;
    let end = Instant::now() + Duration::from_secs(minutes * 60);
    // A sixth of the time to settle: pools, arenas and caches fill once.
    let settled = Instant::now() + Duration::from_secs(minutes * 10);
    let mut held: Vec<Held> = Vec::new();
    let mut turn = 0;
    let mut sampled = Instant::now();
    while Instant::now() < end {
        fleet.disturb(turn).await?;
        turn += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
        if sampled.elapsed() > Duration::from_secs(15) {
            sampled = Instant::now();
            let now = running.held()?;
            eprintln!("bench: soak: {now:?} after {turn} changes");
            if Instant::now() > settled {
                held.push(now);
            }
        }
    }
    let third = (held.len() / 3).max(1);
    let (early, late) = (Held::most(&held[..third.min(held.len())]), Held::most(&held[held.len() - third..]));
    let row = |what: &str, metric: &str, unit, early: f64, late: f64, limit: f64| {
        let growth = Row::new(&format!("operator-soak-{what}"), metric, unit, Figure::exact((late - early).max(0.0)));
        growth.with_target(Target::at_most(limit))
    };
    let label = |what: &str| format!("{minutes} min of churn: growth of {what}");
    // Two per cent of what it holds: below what a heap breathes.
    bench.rows.push(row("memory", &label("the resident set"), Unit::Bytes, early.resident, late.resident, 1e6));
    bench.rows.push(row("descriptors", &label("descriptors"), Unit::Count, early.descriptors, late.descriptors, 5.0));
    bench.rows.push(row("threads", &label("threads"), Unit::Count, early.threads, late.threads, 1.0));
    Ok(())
}

/// What a process holds.
#[derive(Clone, Copy, Debug, Default)]
struct Held {
    resident: f64,
    descriptors: f64,
    threads: f64,
}

impl Held {
    fn most(samples: &[Self]) -> Self {
        samples.iter().fold(Self::default(), |most, held| Self {
            resident: most.resident.max(held.resident),
            descriptors: most.descriptors.max(held.descriptors),
            threads: most.threads.max(held.threads),
        })
    }
}

impl Fleet {
    /// One change of the kind that users make, in turn.
    async fn disturb(&self, turn: usize) -> Result<()> {
        let number = turn * 7 % self.count;
        let (namespace, name) = (namespace(number), format!("app-{number}"));
        let api: Api<ExternalSecret> = Api::namespaced(self.client.clone(), &namespace);
        match turn % 4 {
            0 => {
                let patch = json!({"metadata": {"annotations": {"force-sync": turn.to_string()}}});
                api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
            }
            1 => {
                let data = json!([{"secretKey": "k0", "remoteRef": {"key": format!("turn{turn}-000000")}}]);
                let patch = json!({"spec": {"data": data}});
                api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
            }
            2 => {
                let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &namespace);
                // It may just be gone.
                let _ = secrets.delete(&name, &kube::api::DeleteParams::default()).await;
            }
            _ => {
                api.delete(&name, &kube::api::DeleteParams::default()).await?;
                self.make(number, "15s").await?;
            }
        }
        Ok(())
    }

    async fn prepare(source: Source, count: usize, interval: &str) -> Result<Self> {
        let fleet = Self::empty(source, count).await?;
        fleet.fill(interval).await?;
        Ok(fleet)
    }

    /// A cluster that knows the kinds, and in which there is nothing yet.
    async fn empty(source: Source, count: usize) -> Result<Self> {
        eprintln!("bench: making a cluster with {count} {source:?}");
        let cluster = ControlPlane::start(&Options::default())?;
        cluster.apply(&strongroom_api::crds_yaml()?)?;
        match source {
            Source::ExternalSecrets => {}
            Source::Kes => drop(cluster.apply(&strongroom_api::kes::crd_yaml()?)?),
            Source::Kamus => drop(cluster.apply(&strongroom_api::kamus::crd_yaml()?)?),
        }
        cluster.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"])?;
        let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig())?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        let client = Client::try_from(config)?;
        Ok(Self { cluster, client, source, count })
    }

    async fn fill(&self, interval: &str) -> Result<()> {
        let mut manifests = String::from(
            "{apiVersion: v1, kind: Secret, metadata: {name: aws, namespace: default}, stringData: {id: AKIAIOSFODNN7EXAMPLE, secret: not-a-real-key}}\n",
        );
        manifests += &namespaces();
        manifests += &format!(
            "---\n{{apiVersion: external-secrets.io/v1, kind: ClusterSecretStore, metadata: {{name: aws}}, spec: {{provider: {{aws: {{service: SecretsManager, region: {REGION}, auth: {{secretRef: {{accessKeyIDSecretRef: {{name: aws, namespace: default, key: id}}, secretAccessKeySecretRef: {{name: aws, namespace: default, key: secret}}}}}}}}}}}}}}\n"
        );
        self.cluster.apply(&manifests)?;
        let make = async |number| match self.source {
            Source::ExternalSecrets => self.make(number, interval).await,
            Source::Kes => self.make_for_kes(number).await,
            Source::Kamus => bail!("KamusSecrets are made with a key"),
        };
        let made: Vec<Result<()>> = stream::iter(0..self.count).map(make).buffer_unordered(32).collect().await;
        made.into_iter().collect()
    }

    async fn make(&self, number: usize, interval: &str) -> Result<()> {
        let api: Api<ExternalSecret> = Api::namespaced(self.client.clone(), &namespace(number));
        let data: Vec<Value> = (0..KEYS)
            .map(|key| json!({"secretKey": format!("k{key}"), "remoteRef": {"key": format!("app{number}k{key}-000000")}}))
            .collect();
        let object = json!({
            "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
            "metadata": {"name": format!("app-{number}")},
            "spec": {
                "secretStoreRef": {"name": "aws", "kind": "ClusterSecretStore"},
                "refreshInterval": interval, "data": data,
            },
        });
        api.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
        Ok(())
    }

    /// As kubernetes-external-secrets has it: read by the operator's own identity, every 10 s.
    async fn make_for_kes(&self, number: usize) -> Result<()> {
        let api: Api<kes::ExternalSecret> = Api::namespaced(self.client.clone(), &namespace(number));
        let data: Vec<Value> = (0..KEYS)
            .map(|key| json!({"name": format!("k{key}"), "key": format!("app{number}k{key}-000000")}))
            .collect();
        let object = json!({
            "apiVersion": kes::API_VERSION, "kind": kes::KIND, "metadata": {"name": format!("app-{number}")},
            "spec": {
                "backendType": "secretsManager", "region": REGION, "data": data,
                "template": {"metadata": {"labels": {"bench": "kes"}}},
            },
        });
        api.create(&PostParams::default(), &serde_json::from_value(object)?).await?;
        Ok(())
    }

    /// How long after the start all Secrets were there.
    async fn until_right(&self, running: &Running) -> Result<Duration> {
        let api: Api<Secret> = Api::all(self.client.clone());
        let parameters = ListParams::default().labels(self.source.label());
        loop {
            // A list costs the API server what it costs the operator, so it is asked for seldom.
            let there = api.list_metadata(&parameters).await?.items.len();
            if there >= self.count {
                return Ok(running.start.elapsed());
            }
            ensure!(
                running.start.elapsed() < PATIENCE,
                "{there} of {} after {PATIENCE:?}\n{}",
                self.count,
                running.logged()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Every Secret has its values.
    async fn check(&self) -> Result<()> {
        let api: Api<Secret> = Api::all(self.client.clone());
        let found = api.list(&ListParams::default().labels(self.source.label())).await?;
        let mut right = HashSet::new();
        for secret in found {
            let name = secret.metadata.name.unwrap_or_default();
            let number = name.strip_prefix("app-").context("a Secret of nobody")?.to_owned();
            for key in 0..self.source.keys() {
                let value = secret.data.as_ref().and_then(|data| data.get(&format!("k{key}")));
                let value = value.map(|value| String::from_utf8_lossy(&value.0).into_owned());
                ensure!(value.as_deref() == Some(&format!("delivered:app{number}k{key}")), "{name} has a wrong value");
            }
            right.insert(number);
        }
        ensure!(right.len() == self.count, "{} of {} Secrets are right", right.len(), self.count);
        Ok(())
    }

    /// How long a changed key takes until its value is in the Secret, twenty times.
    async fn touches(&self) -> Result<Figure> {
        let mut samples = Vec::new();
        for number in 0..20 {
            let namespace = namespace(number);
            let api: Api<ExternalSecret> = Api::namespaced(self.client.clone(), &namespace);
            let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &namespace);
            let name = format!("app-{number}");
            let patch = json!({"spec": {"data": [{"secretKey": "k0", "remoteRef": {"key": format!("touched{number}-000000")}}]}});
            let start = Instant::now();
            api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await?;
            let wanted = format!("delivered:touched{number}");
            loop {
                let secret = secrets.get(&name).await?;
                let value = secret.data.as_ref().and_then(|data| data.get("k0"));
                if value.is_some_and(|value| value.0 == wanted.as_bytes()) {
                    break;
                }
                ensure!(start.elapsed() < Duration::from_secs(10), "a touched object was not synced");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            samples.push(start.elapsed().as_secs_f64() * 1e3);
        }
        Figure::of(samples).context("no samples")
    }
}

impl Running {
    fn start(bench: &Bench, fleet: &Fleet) -> Result<Self> {
        let own = [("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "not-a-real-key")];
        let variables = if let Source::Kes = fleet.source { &own[..] } else { &[] };
        Self::start_with(bench, fleet.cluster.kubeconfig(), &[], variables)
    }

    /// With more flags and variables.
    fn start_with(bench: &Bench, kubeconfig: &Path, flags: &[&str], variables: &[(&str, &str)]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("log");
        let mut command = Command::new(&bench.programs.strongroom);
        command.args(["operator", "--metrics-addr=127.0.0.1:0", "--live-addr=0", "--allow-local-addresses"]);
        command.arg("--kubeconfig").arg(kubeconfig).args(flags);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("AWS_SECRETSMANAGER_ENDPOINT", bench.stand_in.endpoint());
        command.env("AWS_CA_BUNDLE", bench.stand_in.authority());
        command.envs(variables.iter().copied());
        let start = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?).spawn()?;
        let mut running = Self { child, start, log, _folder: folder, metrics: String::new() };
        while running.metrics.is_empty() {
            ensure!(start.elapsed() < Duration::from_secs(10), "the operator does not listen\n{}", running.logged());
            running.metrics = running.listening("--metrics-addr").unwrap_or_default();
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(running)
    }

    /// Where it listens, as its log says it for a flag.
    fn listening(&self, flag: &str) -> Result<String> {
        let logged = self.logged();
        let line = logged.lines().find(|line| line.contains("listening") && line.contains(flag));
        let address =
            line.and_then(|line| line.split("address=").nth(1)).and_then(|rest| rest.split_whitespace().next());
        Ok(address.with_context(|| format!("the operator does not listen for {flag}"))?.trim_matches('"').to_owned())
    }

    fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its metrics.
    fn scraped(&self) -> Result<String> {
        let mut stream = TcpStream::connect(&self.metrics)?;
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    /// One that has no labels.
    fn gauge(&self, name: &str) -> Result<f64> {
        let text = self.scraped()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.and_then(|value| value.parse().ok()).unwrap_or_default())
    }

    /// Objects that it knows of.
    fn known(&self) -> Result<usize> {
        Ok(self.gauge("strongroom_queue_objects")? as usize)
    }

    /// Requests to the API server so far, by `verb resource`.
    fn requests(&self) -> Result<BTreeMap<String, f64>> {
        let text = self.scraped()?;
        let lines = text.lines().filter_map(|line| line.strip_prefix("strongroom_kube_requests_total{"));
        let parsed = lines.filter_map(|line| {
            let (labels, count) = line.split_once("} ")?;
            let label = |name: &str| labels.split(&format!("{name}=\"")).nth(1)?.split('"').next();
            Some((format!("{} {}", label("verb")?, label("resource")?), count.parse().ok()?))
        });
        Ok(parsed.collect())
    }

    /// How long after the start the last request was made, when none followed for two seconds and all `count` objects
    /// are known.
    async fn until_quiet(&self, count: usize) -> Result<Duration> {
        let busy = |asked: &BTreeMap<String, f64>| writes(asked) + reads(asked);
        let mut last = (busy(&self.requests()?), Instant::now());
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = busy(&self.requests()?);
            if now != last.0 {
                last = (now, Instant::now());
            }
            if last.1.elapsed() > Duration::from_secs(2) && self.known()? >= count {
                return Ok(last.1 - self.start);
            }
            if self.start.elapsed() > PATIENCE {
                bail!("the operator never came to rest\n{}", self.logged());
            }
        }
    }

    /// Processor time so far.
    fn cpu(&self) -> Result<Duration> {
        process::processor_time(self.child.id())
    }

    fn held(&self) -> Result<Held> {
        let process = format!("/proc/{}", self.child.id());
        let count =
            |folder: &str| -> Result<f64> { Ok(std::fs::read_dir(format!("{process}/{folder}"))?.count() as f64) };
        Ok(Held { resident: self.resident()?, descriptors: count("fd")?, threads: count("task")? })
    }

    /// The resident set in bytes.
    fn resident(&self) -> Result<f64> {
        self.memory("VmRSS:")
    }

    /// The least that is resident within one round of refreshes: what is kept when nothing is under way.
    async fn resident_at_rest(&self) -> Result<f64> {
        let mut least = self.resident()?;
        for _ in 0..64 {
            tokio::time::sleep(Duration::from_millis(250)).await;
            least = least.min(self.resident()?);
        }
        Ok(least)
    }

    /// A line of `/proc/PID/status`, in bytes.
    fn memory(&self, name: &str) -> Result<f64> {
        process::memory(self.child.id(), name)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Calls that read secrets, as the store counts them.
fn reads_of_secrets(bench: &mut Bench) -> Result<usize> {
    let calls = bench.stand_in.counts()?.by_operation;
    Ok(calls.iter().filter(|(name, _)| name.contains("SecretValue")).map(|(_, count)| count).sum())
}

/// Manifests of the namespaces, each with a line before it.
fn namespaces() -> String {
    let manifest = |number| format!("---\n{{apiVersion: v1, kind: Namespace, metadata: {{name: team-{number}}}}}\n");
    (0..NAMESPACES).map(manifest).collect()
}

fn namespace(number: usize) -> String {
    format!("team-{}", number % NAMESPACES)
}

/// Writes, events and Leases apart.
fn writes(asked: &BTreeMap<String, f64>) -> f64 {
    let is_write = |key: &&String| ["create", "update", "patch", "delete"].iter().any(|verb| key.starts_with(verb));
    let counted = asked.keys().filter(is_write).filter(|key| !key.ends_with("events") && !key.ends_with("leases"));
    counted.map(|key| asked[key]).sum()
}

/// Reads and lists, Leases apart.
fn reads(asked: &BTreeMap<String, f64>) -> f64 {
    let is_read = |key: &&String| ["get", "list"].iter().any(|verb| key.starts_with(verb)) && !key.ends_with("leases");
    asked.keys().filter(is_read).map(|key| asked[key]).sum()
}

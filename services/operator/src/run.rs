//! Putting the operator together, running it, and ending it in order.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Args;
use kube::core::GroupVersionKind;
use strongroom_api::external_secrets::vocabulary::GROUP;
use strongroom_api::external_secrets::{ClusterExternalSecret, ClusterPushSecret};
use strongroom_api::{generators, kamus as kamus_api, kes as kes_api};
use strongroom_failure::{Class, Failure};
use strongroom_http::{Answer, Route, Server, StatusCode, stop_signal};
use strongroom_kube::{
    Access, Connection, Election, ElectionSettings, Initialized, Leadership, Recorder, RecorderSettings, Settings,
};
use strongroom_reconcile::{Backoff, Limits, Outcome, Settings as LoopSettings};
use strongroom_restarts::Restarts;
use strongroom_secret::SecretBytes;
use strongroom_sync::hash::DataHash;
use strongroom_telemetry::METRICS_CONTENT_TYPE;
use tokio::sync::watch;

use crate::aws_ssm;
use crate::eso;
use crate::events;
use crate::foreign;
use crate::index::{Group, Key};
use crate::kamus;
use crate::kes;
use crate::missed_pods;
use crate::operator::{Operator, Parts};
use crate::reader::Variables;
use crate::secret_operator;
use crate::settings::OperatorSettings;
use crate::store_policy;
use crate::watches::{self, Optional};

/// What runs at once. A thousand objects of one store ask together and so in full batches, and what they hold while they
/// wait for their writes is a few megabytes.
pub(crate) const LIMITS: Limits = Limits { group: 1_000, total: 4_000 };

/// The longest that one object may take: asking its stores (60 s) and a few writes to a slow API server.
pub(crate) const LONGEST: Duration = Duration::from_secs(150);

/// A queue in which nothing has moved for this long, although something waits, is broken: kubelet starts us anew.
const STALLED: Duration = Duration::from_secs(300);

/// How soon after a burst of work the memory that it left behind is given back.
const TIDYING: Duration = Duration::from_secs(1);

/// Events that wait to be written; a first synchronisation of 10,000 objects writes as many.
const EVENTS: usize = 10_000;

const EXAMPLES: &str = "\
Examples:
  strongroom operator                                  in a pod, for the whole cluster
  strongroom operator --namespace team-a,team-b        with rights in these namespaces alone
  strongroom operator --kubeconfig ~/.kube/config --take-over

A running External Secrets Operator is noticed, and nothing is written until it is scaled to zero.";

/// Keep the Secrets that External Secrets' custom resources ask for
///
/// Serves ExternalSecret, SecretStore, ClusterSecretStore and ClusterExternalSecret of external-secrets.io/v1,
/// PushSecret and ClusterPushSecret of v1alpha1, as External Secrets Operator does, with reads in batches and the real
/// error in the status.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct OperatorCommand {
    #[command(flatten)]
    settings: OperatorSettings,
}

impl OperatorCommand {
    /// Runs until a signal; `variables` are the process's own.
    pub fn run(self, variables: &[OsString]) -> ExitCode {
        strongroom_telemetry::install(self.settings.log_format, self.settings.loglevel);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let ended = match runtime {
            Ok(runtime) => runtime.block_on(serve(self.settings, captured(variables))),
            Err(error) => Err(Failure::new(Class::Unavailable, format!("cannot start: {error}"))),
        };
        match ended {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                tracing::error!(%failure, hint = failure.hint, "the operator ends");
                ExitCode::FAILURE
            }
        }
    }
}

/// The variables that are text.
pub(crate) fn captured(variables: &[OsString]) -> Variables {
    let split = |entry: &OsString| {
        let (name, value) = entry.to_str()?.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    variables.iter().filter_map(split).collect::<BTreeMap<_, _>>()
}

async fn serve(mut settings: OperatorSettings, variables: Variables) -> Result<(), Failure> {
    settings.check()?;
    // Charts pass an empty name for "all".
    settings.namespaces.retain(|namespace| !namespace.is_empty());
    for flag in settings.without_effect() {
        tracing::info!(flag, "this flag of External Secrets Operator has no effect here");
    }
    let data_hash = data_hash(&settings)?;
    let connection = connect(&settings, &variables).await?;
    let recorder_settings =
        RecorderSettings { component: "external-secrets", instance: identity(&variables), queue_limit: EVENTS };
    let (recorder, recording) = Recorder::new(connection.client(), recorder_settings);
    let recording = tokio::spawn(recording);
    let loop_settings = LoopSettings { limits: LIMITS, backoff: Backoff::default(), longest: LONGEST };
    let operator = Operator::new(Parts { settings, connection, variables, recorder, data_hash }, &loop_settings)?;
    operator.measure();
    let restarts = restarts(&operator)?;
    let ended = lead(&operator, restarts, loop_settings).await;
    drop(operator);
    // What was recorded is worth a moment, not a delay of the end.
    let _ = tokio::time::timeout(Duration::from_secs(2), recording).await;
    ended
}

/// Serves probes, watches, waits to lead, works, and ends in the reverse order.
async fn lead(operator: &Arc<Operator>, restarts: Restarts, loop_settings: LoopSettings) -> Result<(), Failure> {
    let mut stop = stop_signal()?;
    let ready = Initialized::default();
    let (drained, mut draining) = watch::channel(false);
    let servers = servers(operator, &ready, &mut draining).await?;
    let optional = Optional {
        policies: policies_are_watched(operator).await?,
        kes: kes_is_served(operator).await?,
        kamus: kamus_is_served(operator).await?,
        push_secrets: push_secrets_are_served(operator).await?,
        cluster_push_secrets: cluster_push_secrets_are_served(operator).await?,
        generator_states: is_installed(operator, generators::GROUP, generators::VERSION, "GeneratorState").await?,
    };
    operator.are_states_watched.store(optional.generator_states, Ordering::Relaxed);
    operator.kes.is_served.store(optional.kes, Ordering::Relaxed);
    operator.aws_ssm.are_policies_watched.store(optional.policies, Ordering::Relaxed);
    operator.queue.pause(true);
    if events::are_followed(operator) {
        operator.index().follow_keys();
    }
    let watching = watches::start(operator, &ready, optional);
    let election = election(operator);
    let mut leadership = election.as_ref().map(Election::leadership);
    let ended = async {
        tokio::select! {
            () = ready.wait() => {}
            _ = stop.changed() => return Ok(()),
        }
        if let Some(leadership) = &mut leadership {
            tokio::select! {
                led = leading(leadership, true) => led?,
                _ = stop.changed() => return Ok(()),
            }
        }
        foreign::look(operator).await;
        // Ends with the work.
        let following = events::follow(operator).await?;
        let rolling = secret_operator::follow(operator)?;
        let keys = operator.kamus.follow();
        let looking = tokio::spawn(foreign::keep_looking(Arc::clone(operator)));
        let tidying = tokio::spawn(keep_small(Arc::clone(operator)));
        let reporting = tokio::spawn(missed_pods::report(Arc::clone(operator)));
        let mut stopped = stop.clone();
        let restarting = tokio::spawn(restarts.run(async move { drop(stopped.changed().await) }));
        tracing::info!("the operator works");
        operator.queue.pause(false);
        let ended = work(operator, loop_settings, &mut stop, leadership.as_mut()).await;
        drop((following, rolling, keys));
        looking.abort();
        tidying.abort();
        reporting.abort();
        // Also where another leads now: what is cut off is done by that one.
        restarting.abort();
        ended
    }
    .await;
    drop(watching);
    if let Some(election) = election {
        // Only now: nobody else may work on what we were still writing.
        election.step_down().await;
    }
    let _ = drained.send(true);
    for server in servers {
        let _ = server.await;
    }
    ended
}

/// What restarts workloads, in the namespaces that are served.
fn restarts(operator: &Operator) -> Result<Restarts, Failure> {
    let settings = &operator.settings;
    let (connection, recorder) = (operator.connection.clone(), operator.recorder.clone());
    let restarts = Restarts::new(connection, settings.restarts.clone(), recorder, &operator.metrics.registry)?;
    Ok(restarts.in_namespaces(settings.namespaces.clone()).in_selected(settings.namespace_selector.clone()))
}

/// Works until a signal or until another replica leads.
async fn work(
    operator: &Arc<Operator>,
    settings: LoopSettings,
    stop: &mut watch::Receiver<bool>,
    leadership: Option<&mut watch::Receiver<Leadership>>,
) -> Result<(), Failure> {
    let mut lost = false;
    let grace = operator.settings.grace;
    let ended = async {
        match leadership {
            Some(leadership) => tokio::select! {
                _ = stop.changed() => {}
                _ = leading(leadership, false) => lost = true,
            },
            None => drop(stop.changed().await),
        }
    };
    let group_of = |key: &Key| group_of(operator, key);
    let reconcile = |key: Key| reconcile(Arc::clone(operator), key);
    strongroom_reconcile::run(operator.queue.clone(), settings, group_of, reconcile, ended, grace).await;
    match lost {
        true => Err(Failure::new(Class::Unavailable, "another replica leads now; ending so that it is alone")),
        false => Ok(()),
    }
}

/// A thousand objects at once need several times the memory of a thousand that are right.
async fn keep_small(operator: Arc<Operator>) {
    let mut tidied = None;
    loop {
        tokio::time::sleep(TIDYING).await;
        let rests = operator.queue.rests_since();
        if rests.is_some() && rests != tidied {
            strongroom_process::release_unused_memory();
            tidied = rests;
        }
    }
}

async fn reconcile(operator: Arc<Operator>, key: Key) -> Outcome {
    match key {
        Key::ExternalSecret(name) => eso::external_secret::reconcile(operator, name).await,
        // The others are few: they shall not make the room for each ExternalSecret larger.
        Key::Store(name) => Box::pin(eso::store::reconcile(operator, name)).await,
        Key::ClusterExternalSecret(name) => {
            Box::pin(eso::fan_out::reconcile::<ClusterExternalSecret>(operator, name)).await
        }
        Key::StorePolicy(name) => Box::pin(store_policy::reconcile(operator, name)).await,
        Key::Kes(name) => Box::pin(kes::reconcile(operator, name)).await,
        Key::PushSecret(name) => Box::pin(eso::push_secret::reconcile(operator, name)).await,
        Key::ClusterPushSecret(name) => Box::pin(eso::fan_out::reconcile::<ClusterPushSecret>(operator, name)).await,
        Key::Kamus(name) => Box::pin(kamus::reconcile(operator, name)).await,
        Key::AwsSsm(name) => Box::pin(aws_ssm::reconcile(operator, name)).await,
        Key::GeneratorState(name) => Box::pin(eso::generators::states::reconcile(operator, name)).await,
    }
}

pub(crate) async fn connect(settings: &OperatorSettings, variables: &Variables) -> Result<Connection, Failure> {
    let access = match &settings.kubeconfig {
        Some(file) => Access::Kubeconfig { files: vec![file.clone()], context: None },
        None => Access::from_environment(&|name| variables.get(name).cloned()).ok_or_else(|| {
            Failure::new(Class::Invalid, "no cluster is known")
                .with_hint("run in a pod, or give --kubeconfig or KUBECONFIG")
        })?,
    };
    let settings = Settings {
        access,
        role: "operator",
        queries_per_second: settings.client_qps.into(),
        burst: settings.client_burst,
    };
    Connection::open(&settings).await
}

/// Whether StorePolicies are watched.
async fn policies_are_watched(operator: &Operator) -> Result<bool, Failure> {
    let mode = operator.settings.store_policies.as_str();
    if mode == "off" || !operator.settings.serves_cluster_kinds() {
        return Ok(false);
    }
    if mode == "required" {
        return Ok(true);
    }
    is_installed(operator, "strongroom.dev", "v1alpha1", "StorePolicy").await
}

/// Whether ExternalSecrets of kubernetes-external-secrets are served: where their kind is installed. What they may read
/// is written on their namespaces, which are only watched in the whole cluster.
async fn kes_is_served(operator: &Operator) -> Result<bool, Failure> {
    if operator.settings.kes == "off" || !operator.settings.serves_cluster_kinds() {
        return Ok(false);
    }
    is_installed(operator, kes_api::GROUP, "v1", kes_api::KIND).await
}

/// Whether KamusSecrets are served, which needs their kind.
async fn kamus_is_served(operator: &Operator) -> Result<bool, Failure> {
    if !operator.kamus.is_served() {
        return Ok(false);
    }
    if is_installed(operator, kamus_api::GROUP, kamus_api::VERSION, kamus_api::KIND).await? {
        return Ok(true);
    }
    let words = format!("the kind {} of {} is not installed", kamus_api::KIND, kamus_api::API_VERSION);
    Err(Failure::new(Class::Invalid, words).in_field("--kamus").with_hint("kubectl apply -f deploy/crds/kamus.yaml"))
}

/// Whether PushSecrets are served: where their kind is installed.
async fn push_secrets_are_served(operator: &Operator) -> Result<bool, Failure> {
    if !operator.settings.enable_push_secret_reconciler {
        return Ok(false);
    }
    is_installed(operator, GROUP, "v1alpha1", "PushSecret").await
}

/// Whether ClusterPushSecrets are served: where their kind is installed, and what they make is served too.
async fn cluster_push_secrets_are_served(operator: &Operator) -> Result<bool, Failure> {
    let settings = &operator.settings;
    let is_asked_for = settings.enable_cluster_push_secret_reconciler && settings.enable_push_secret_reconciler;
    if !is_asked_for || !settings.serves_cluster_kinds() {
        return Ok(false);
    }
    is_installed(operator, GROUP, "v1alpha1", "ClusterPushSecret").await
}

async fn is_installed(operator: &Operator, group: &str, version: &str, kind: &str) -> Result<bool, Failure> {
    let client = operator.connection.client();
    match kube::discovery::pinned_kind(&client, &GroupVersionKind::gvk(group, version, kind)).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(kube::Error::Discovery(_)) => Ok(false),
        Err(error) => Err(strongroom_kube::failure::failure(&error, &format!("find the kind {kind}"), &[])),
    }
}

/// Which slots a key uses.
fn group_of(operator: &Operator, key: &Key) -> Group {
    let index = operator.index();
    if let Key::AwsSsm(name) = key {
        return Group::AwsSsm(index.aws_ssm(name).and_then(|asked| asked.role.as_deref().map(Into::into)));
    }
    if let Key::Kamus(_) = key {
        return Group::Kamus;
    }
    let Key::Kes(name) = key else { return index.group(key) };
    let store = index.kes(name).and_then(|object| kes::store_of(&object, &operator.kes.settings));
    store.map_or_else(|| Group::Alone(key.clone()), Group::Kes)
}

fn election(operator: &Operator) -> Option<Election> {
    let settings = &operator.settings;
    if !settings.enable_leader_election {
        return None;
    }
    let namespace = settings.leader_election_namespace.clone();
    let namespace = namespace.unwrap_or_else(|| operator.connection.namespace().to_owned());
    // Random, so that a process that is started anew in the same pod is another candidate.
    let candidate = format!("{}_{:016x}", identity(&operator.variables), fastrand::u64(..));
    Some(Election::start(
        operator.connection.client(),
        ElectionSettings {
            lease_duration: settings.leader_election_lease_duration,
            renew_deadline: settings.leader_election_renew_deadline,
            retry_period: settings.leader_election_retry_period,
            ..ElectionSettings::new(namespace, settings.leader_election_id.clone(), candidate)
        },
    ))
}

/// Resolves when we lead (`wanted`), or lead no more.
async fn leading(leadership: &mut watch::Receiver<Leadership>, wanted: bool) -> Result<(), Failure> {
    let decided = leadership.wait_for(|now| (*now == Leadership::Leading) == wanted).await;
    decided.map(|_| ()).map_err(|_| Failure::new(Class::Unavailable, "the election ended by a defect"))
}

/// Turns to true at SIGTERM or SIGINT.
async fn servers(
    operator: &Arc<Operator>,
    ready: &Initialized,
    drained: &mut watch::Receiver<bool>,
) -> Result<Vec<tokio::task::JoinHandle<()>>, Failure> {
    let metrics = {
        let operator = Arc::clone(operator);
        move || Answer {
            status: StatusCode::OK,
            content_type: METRICS_CONTENT_TYPE,
            body: operator.metrics.text(&operator.meter),
        }
    };
    let livez = {
        let operator = Arc::clone(operator);
        move || live(&operator)
    };
    let readyz = {
        let (operator, ready) = (Arc::clone(operator), ready.clone());
        move || readiness(&operator, &ready)
    };
    let health =
        vec![Route::new("/livez", livez.clone()), Route::new("/healthz", livez), Route::new("/readyz", readyz)];
    let mut tasks = Vec::new();
    for (flag, address, routes) in [
        ("--metrics-addr", &operator.settings.metrics_addr, vec![Route::new("/metrics", metrics)]),
        ("--live-addr", &operator.settings.live_addr, health),
    ] {
        // As External Secrets Operator has it: 0 serves nothing.
        if address == "0" {
            continue;
        }
        let server =
            Server::bind(parse_address(flag, address)?, routes).await.map_err(|failure| failure.in_field(flag))?;
        tracing::info!(flag, address = %server.address(), "listening");
        let mut drained = drained.clone();
        let stop = async move { drop(drained.wait_for(|drained| *drained).await) };
        tasks.push(tokio::spawn(server.run(stop, Duration::from_secs(1))));
    }
    Ok(tasks)
}

fn live(operator: &Operator) -> Answer {
    let stalled = operator.queue.stalled();
    if stalled > STALLED {
        let words = format!("the queue has not moved for {} s\n", stalled.as_secs());
        return Answer::text(StatusCode::SERVICE_UNAVAILABLE, words);
    }
    Answer::text(StatusCode::OK, "ok\n")
}

fn readiness(operator: &Operator, ready: &Initialized) -> Answer {
    let mut reasons = ready.pending();
    let foreign = operator.foreign().into_iter().chain(operator.kes.foreign()).chain(operator.aws_ssm.foreign());
    let foreign = foreign.chain(operator.kamus.foreign());
    reasons.extend(foreign.map(|who| format!("another controller serves the same objects: {who}")));
    if reasons.is_empty() {
        return Answer::text(StatusCode::OK, "ok\n");
    }
    Answer::text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", reasons.join("; ")))
}

/// `:8080` as Go has it is every address.
pub(crate) fn parse_address(flag: &str, text: &str) -> Result<SocketAddr, Failure> {
    let whole = match text.strip_prefix(':') {
        Some(port) => port.parse().ok().map(|port| SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))),
        None => text.parse().ok(),
    };
    whole.ok_or_else(|| {
        Failure::new(Class::Invalid, "this is no address").in_field(flag).with_hint("write :8080, 127.0.0.1:8080 or 0")
    })
}

fn data_hash(settings: &OperatorSettings) -> Result<DataHash, Failure> {
    let Some(file) = settings.data_hash_key_file.as_ref().filter(|_| settings.data_hash == "keyed") else {
        return Ok(DataHash::Compatible);
    };
    let invalid = |words: String| Failure::new(Class::Invalid, words).in_field("--data-hash-key-file");
    let key = std::fs::read(file).map(SecretBytes::new);
    let key = key.map_err(|error| invalid(format!("cannot read {}: {error}", file.display())))?;
    // Fewer could be guessed.
    if !(32..=4096).contains(&key.len()) {
        return Err(invalid(format!("{} must have 32 to 4096 bytes", file.display())));
    }
    Ok(DataHash::Keyed(key))
}

/// What this process is called: its pod's name.
fn identity(variables: &Variables) -> String {
    let named = variables.get("POD_NAME").or_else(|| variables.get("HOSTNAME"));
    named.cloned().unwrap_or_else(|| "strongroom-operator".to_owned())
}

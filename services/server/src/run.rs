//! The server from its start to its end.

use std::fs::DirBuilder;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use strongroom_audit_sinks::{Options, Target};
use strongroom_failure::{Class, Failure};
use strongroom_http::{Answer, Limits, RequestServer, Route, Server, ServerCertificate, ServerTls, StatusCode};
use strongroom_storage::{Election, Storage};
use strongroom_storage_etcd::Etcd;
use strongroom_storage_redb::Redb;
use strongroom_telemetry::METRICS_CONTENT_TYPE;
use tokio::signal::unix::{SignalKind, signal};

use crate::keys::Keys;
use crate::leading::lead;
use crate::recorder::Recorder;
use crate::seal::Seal;
use crate::store::Store;
use crate::trail::{AuditTrail, Unaudited};
use crate::wire;

/// What a client may take. Each connection takes some 16 KiB while it is idle.
const LIMITS: Limits =
    Limits { connections: 2048, head_bytes: 64 * 1024, head_time: Duration::from_secs(30), connection_time: None };

/// How long a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(60);

/// Tokens that are taken away at once when they are over; the next ones a second later.
const EXPIRED_AT_ONCE: usize = 500;

/// How often some of what was noted of reads is kept: 200 secrets a second.
const USAGE: Duration = Duration::from_millis(100);

/// How often files of certificates are looked at.
const CERTIFICATES: Duration = Duration::from_secs(30);

/// Where the audit trail goes.
#[derive(Clone, Debug)]
pub(crate) enum Audit {
    /// Nowhere.
    Off,
    /// To standard output.
    Stdout,
    /// To a file.
    File(PathBuf),
}

/// Where records are kept.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// In a file of the folder.
    Redb,
    /// In etcd.
    Etcd(Box<strongroom_storage_etcd::Settings>),
}

/// How a server runs.
pub(crate) struct Settings {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// The folder of the store.
    pub(crate) data: PathBuf,
    /// Where records are kept.
    pub(crate) storage: Place,
    /// Where clients find it while it is the active one of several, where that is not `listen`.
    pub(crate) advertise: Option<String>,
    /// `http` or `https`.
    pub(crate) scheme: &'static str,
    /// Its name among several.
    pub(crate) node: String,
    /// Who keeps the root key; nobody but people, where nothing is here.
    pub(crate) seal: Option<Arc<dyn Seal>>,
    /// Where the audit trail goes.
    pub(crate) audit: Audit,
    /// Where the trail goes as well, best effort.
    pub(crate) audit_also: Vec<Target>,
    /// Where metrics and probes are served, if anywhere.
    pub(crate) metrics: Option<SocketAddr>,
    /// Its certificate, where it serves TLS.
    pub(crate) tls: Option<ServerCertificate>,
    /// How long requests that are under way may take at the end.
    pub(crate) drain: Duration,
    /// Whether a store that can opens itself.
    pub(crate) opens_itself: bool,
}

/// What a server has once it can serve.
pub(crate) struct Ready {
    /// Where it listens, with the port that was found.
    pub(crate) address: SocketAddr,
    /// The store.
    pub(crate) store: Arc<Store>,
}

/// Serves until a signal ends it. `ready` hears when it can serve.
///
/// # Errors
/// What keeps it from starting: names it, and the cure.
pub(crate) fn run(settings: Settings, ready: impl FnOnce(&Ready)) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("server").build();
    let failed = |error| Failure::new(Class::Unavailable, format!("no threads can be started: {error}"));
    runtime.map_err(failed)?.block_on(serve(settings, ready))
}

async fn serve(settings: Settings, ready: impl FnOnce(&Ready)) -> Result<(), Failure> {
    let guarded = strongroom_process::guard_memory();
    if !guarded.from_dumps {
        tracing::warn!("core dumps of this process cannot be forbidden: one would hold secrets");
    }
    if !guarded.from_swap {
        tracing::info!("memory is not locked: turn swap off, or run with CAP_IPC_LOCK and no limit of locked memory");
    }
    let tls = settings.tls.clone().map(ServerTls::read).transpose()?;
    let (storage, kind, election) = opened(&settings.storage, &settings.data)?;
    // Servers that share a storage write a trail each.
    let node = election.as_ref().map_or("", |_| settings.node.as_str());
    let trail = match &settings.audit {
        Audit::Off => None,
        Audit::Stdout => Some(Target::Stdout),
        Audit::File(path) => Some(Target::File(path.clone())),
    };
    let further = settings.audit_also;
    let trail = trail.map(|target| Arc::new(AuditTrail::new(Options { further, ..Options::new(target) }, node)));
    let recorder: Arc<dyn Recorder> = match &trail {
        Some(trail) => trail.clone(),
        None => Arc::new(Unaudited),
    };
    let seal = settings.seal;
    if let Some(words) = seal.as_ref().and_then(|seal| seal.warning()) {
        tracing::warn!("{words}");
    }
    let keys = Keys::new(storage, seal).await?;
    let store = Arc::new(Store::new(keys, kind, election.clone(), recorder, settings.opens_itself));
    if store.opens_itself() && election.is_none() {
        store.open_itself().await?;
    }
    let server = RequestServer::bind(settings.listen, tls.clone(), LIMITS, wire::LARGEST_BODY, BODY_TIME).await?;
    let address = server.address();
    tracing::info!(
        %address, data = %settings.data.display(), initialised = store.is_initialised(),
        sealed = !store.keys().are_known(), tls = tls.is_some(), "serving"
    );
    ready(&Ready { address, store: Arc::clone(&store) });
    let probes = match settings.metrics {
        Some(address) => Some(tokio::spawn(probes(address, &store).await?)),
        None => None,
    };
    let tending = tokio::spawn(tend(Arc::clone(&store)));
    let keeping = tokio::spawn(keep_usage(Arc::clone(&store)));
    let renewing = tokio::spawn(renew(Arc::clone(&store)));
    let reloading = tokio::spawn(reload(tls, settings.tls, trail));
    let advertised = settings.advertise.unwrap_or_else(|| format!("{}://{address}", settings.scheme));
    let leading = election.clone().map(|election| tokio::spawn(lead(Arc::clone(&store), election, advertised)));
    let looked_at = Arc::downgrade(&store);
    store.meters().registry().measured("strongroom_active", "Whether this server serves the store", move || {
        f64::from(u8::from(looked_at.upgrade().is_some_and(|store| store.open().is_some())))
    });
    let looked_at = Arc::downgrade(&store);
    store.meters().registry().measured("strongroom_sealed", "Whether the store is sealed", move || {
        f64::from(u8::from(looked_at.upgrade().is_none_or(|store| !store.keys().are_known())))
    });
    let answering = Arc::clone(&store);
    let handle = move |received| {
        let store = Arc::clone(&answering);
        async move { store.answer(received).await }
    };
    server.run(handle, wire::refused, ended()?, settings.drain).await;
    tracing::info!("ending");
    tending.abort();
    keeping.abort();
    probes.inspect(tokio::task::JoinHandle::abort);
    renewing.abort();
    reloading.abort();
    if let Some(leading) = leading {
        leading.abort();
    }
    store.end().await;
    if let Some(election) = election
        && let Err(error) = election.resign().await
    {
        tracing::warn!(%error, "the others find out by themselves that this server has ended");
    }
    Ok(())
}

/// Metrics and probes, for whoever reaches the address.
async fn probes(address: SocketAddr, store: &Arc<Store>) -> Result<impl Future<Output = ()> + use<>, Failure> {
    let (counted, looked_at) = (Arc::clone(store), Arc::clone(store));
    let metrics =
        move || Answer { status: StatusCode::OK, content_type: METRICS_CONTENT_TYPE, body: counted.meters().text() };
    let ready = move || match looked_at.readiness() {
        Ok(()) => Answer::text(StatusCode::OK, "ok\n"),
        Err(words) => Answer::text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {words}\n")),
    };
    let live = || Answer::text(StatusCode::OK, "ok\n");
    let routes = vec![Route::new("/metrics", metrics), Route::new("/livez", live), Route::new("/readyz", ready)];
    let server = Server::bind(address, routes).await.map_err(|failure| failure.in_field("--metrics-listen"))?;
    tracing::info!(address = %server.address(), "serving metrics and probes");
    // It ends with the process.
    Ok(server.run(std::future::pending(), Duration::ZERO))
}

pub(crate) type Opened = (Arc<dyn Storage>, &'static str, Option<Arc<dyn Election>>);

/// The storage, its name, and how servers that share it agree on the active one.
pub(crate) fn opened(place: &Place, data: &Path) -> Result<Opened, Failure> {
    match place {
        Place::Redb => {
            let told = |words: &str| tracing::info!("the store: {words}");
            let storage = Arc::new(Redb::open(&data.join("store.redb"), told)?);
            Ok((storage, "redb", None))
        }
        Place::Etcd(etcd) => {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(data);
            let failed = |error| format!("cannot make {}: {error}", data.display());
            made.map_err(|error| Failure::new(Class::Invalid, failed(error)))?;
            let storage = Arc::new(Etcd::new(strongroom_storage_etcd::Settings::clone(etcd))?);
            Ok((storage.clone(), "etcd", Some(storage)))
        }
    }
}

/// Resolves at the first signal to end.
fn ended() -> Result<impl Future<Output = ()>, Failure> {
    let failed = |error| Failure::new(Class::Unavailable, format!("signals cannot be heard: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Keeps what was noted of reads.
async fn keep_usage(store: Arc<Store>) {
    loop {
        tokio::time::sleep(USAGE).await;
        if let Some(open) = store.open()
            && let Err(fault) = open.usage.keep_a_little().await
        {
            tracing::warn!(%fault, "who read what in the last seconds is in the audit trail alone");
        }
    }
}

/// Takes tokens away that are over.
async fn tend(store: Arc<Store>) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let Some(open) = store.open() else { continue };
        let now = crate::clock::now().as_second();
        if let Err(error) = open.tokens.expire(now, EXPIRED_AT_ONCE).await {
            tracing::warn!(%error, "tokens that are over are taken away later");
        }
    }
}

/// Brings records to the newest key, for as long as the store is open.
async fn renew(store: Arc<Store>) {
    loop {
        if let Some(open) = store.open()
            && let Err(fault) = open.renew().await
        {
            tracing::warn!(%fault, "records are brought to the newest key later");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Reads certificates and opens the audit file anew on SIGHUP, and certificates when their files change.
async fn reload(tls: Option<ServerTls>, files: Option<ServerCertificate>, trail: Option<Arc<AuditTrail>>) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    let mut seen = files.as_ref().map(written);
    loop {
        let is_asked = tokio::select! {
            _ = hangup.recv() => true,
            () = tokio::time::sleep(CERTIFICATES) => false,
        };
        let now = files.as_ref().map(written);
        if is_asked {
            tracing::info!("SIGHUP: opening the audit file anew");
            if let Some(trail) = &trail {
                trail.reopen();
            }
        }
        let Some(tls) = tls.as_ref().filter(|_| is_asked || now != seen) else { continue };
        match tls.reload() {
            Ok(()) => tracing::info!("the certificate was read anew"),
            Err(failure) => tracing::error!(%failure, "the certificate stays what it was"),
        }
        seen = now;
    }
}

/// When the files were written last.
fn written(files: &ServerCertificate) -> Vec<Option<SystemTime>> {
    let paths = [Some(&files.certificate), Some(&files.key), files.client_authorities.as_ref()];
    let time = |path: &PathBuf| std::fs::metadata(path).and_then(|file| file.modified()).ok();
    paths.into_iter().flatten().map(time).collect()
}

//! Putting it together, serving, and ending in order.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use strongroom_certificates::{Configuration, Kind, ServingCertificate, Source, Times, ends, keep};
use strongroom_failure::{Class, Failure};
use strongroom_http::{
    HeaderValue, Limits, Pem, Proxy, Received, Reply, ReplyBody, RequestServer, Roots, ServerCertificate, ServerTls,
    StatusCode, TlsSettings, header, stop_signal,
};
use strongroom_kube::{Access, Connection, Recorder, RecorderSettings};
use strongroom_provider::Meter;
use strongroom_registry::{CacheSettings, Registry};
use strongroom_secret::SecretBytes;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::kamus::Kamus;
use crate::metrics::{CertificateEnd, Reviews};
use crate::native::Native;
use crate::node::Node;
use crate::pods::{Pods, files_alone};
use crate::pulling::Pulling;
use crate::serve::{Admission, text};
use crate::settings::AdmissionSettings;
use crate::sources::Sources;

/// API servers keep some connections each; a burst of pods opens more. Each takes about 16 KiB.
const LIMITS: Limits =
    Limits { connections: 512, head_bytes: 16 * 1024, head_time: Duration::from_secs(300), connection_time: None };

/// The largest review: etcd holds objects of 1.5 MiB, and an update has the old and the new one.
const MOST_BYTES: usize = 8 << 20;

/// How long a body may take to come: no API server waits longer for the answer.
const BODY_TIME: Duration = Duration::from_secs(30);

/// Where kubelet writes the namespace of a pod.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// How often the files of a certificate are looked at.
const CERTIFICATES: Duration = Duration::from_secs(10);

/// Events that wait to be written.
const EVENTS: usize = 1_000;

/// Requests to the API server: a burst of pods, each with a few sources that are not known yet.
const QUERIES_PER_SECOND: f64 = 1_000.0;
const BURST: u32 = 2_000;

/// How often free memory is given back, where there may be any.
const TIDYING: Duration = Duration::from_secs(5);

type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Serves until a signal.
pub(crate) async fn run(settings: AdmissionSettings, lookup: Lookup<'_>) -> Result<(), Failure> {
    let mut stop = stop_signal()?;
    let (address, telemetry) = addresses(&settings)?;
    let certificate = certificate(&settings, address, lookup)?;
    let connection = connect(&settings, lookup).await?;
    let identity = lookup("POD_NAME").or_else(|| lookup("HOSTNAME")).unwrap_or_else(|| "strongroom".to_owned());
    let recorder =
        RecorderSettings { component: "strongroom-admission", instance: identity.clone(), queue_limit: EVENTS };
    let (recorder, recording) = Recorder::new(connection.client(), recorder);
    let recording = tokio::spawn(recording);
    let mut tasks = JoinSet::new();
    let serves_metrics = telemetry.is_none();
    let admission = Arc::new(admission(&settings, &connection, recorder.clone(), serves_metrics, lookup)?);
    admission.pods.sources.follow(&mut tasks);
    admission.kamus.follow(&mut tasks);
    tasks.spawn(keep_small(Arc::clone(&admission)));
    let tls = tokio::select! {
        tls = tls(certificate, &connection, recorder, &identity, admission.reviews.certificate(), &mut tasks) => tls?,
        _ = stop.changed() => return Ok(()),
    };
    let server = RequestServer::bind(address, tls, LIMITS, MOST_BYTES, BODY_TIME).await?;
    tracing::info!(address = %server.address(), "serving reviews");
    let (ending, ended) = watch::channel(false);
    if let Some(telemetry) = telemetry {
        let server = RequestServer::bind(telemetry, None, LIMITS, 1 << 10, BODY_TIME).await?;
        tracing::info!(address = %server.address(), "serving metrics");
        let admission = Arc::clone(&admission);
        let handle = move |received: Received| {
            let admission = Arc::clone(&admission);
            async move { telemetry_reply(&admission, &received) }
        };
        tasks.spawn(server.run(handle, refuse, until(ended.clone()), Duration::from_secs(1)));
    }
    let handle = {
        let (admission, stop) = (Arc::clone(&admission), stop.clone());
        move |received| {
            let (admission, stop) = (Arc::clone(&admission), stop.clone());
            async move { parting(admission.handle(received).await, *stop.borrow()) }
        }
    };
    let linger = Duration::from_secs(settings.linger_seconds);
    let lingering = async move {
        let _ = stop.changed().await;
        tokio::time::sleep(linger).await;
    };
    server.run(handle, refuse, lingering, Duration::from_secs(settings.drain_seconds)).await;
    let _ = ending.send(true);
    tasks.shutdown().await;
    drop(admission);
    // What was recorded is worth a moment, not a delay of the end.
    let _ = tokio::time::timeout(Duration::from_secs(2), recording).await;
    Ok(())
}

/// After the signal each answer ends its connection. The API server's next call goes to another replica then, and none
/// comes by a connection that we close in the same moment: API servers do not repeat such a call.
fn parting(mut reply: Reply, is_ending: bool) -> Reply {
    if is_ending {
        reply.headers.push((header::CONNECTION, HeaderValue::from_static("close")));
    }
    reply
}

async fn until(mut ended: watch::Receiver<bool>) {
    drop(ended.wait_for(|ended| *ended).await);
}

fn admission(
    settings: &AdmissionSettings,
    connection: &Connection,
    recorder: Recorder,
    serves_metrics: bool,
    lookup: Lookup<'_>,
) -> Result<Admission, Failure> {
    let (client, meter) = (connection.client(), Arc::new(Meter::default()));
    let injection = injection(settings);
    let namespace = Some(settings.default_image_pull_secret_namespace.clone()).filter(|name| !name.is_empty());
    let namespace = namespace.unwrap_or_else(|| connection.namespace().to_owned());
    let default = Some(settings.default_image_pull_secret.clone()).filter(|name| !name.is_empty());
    let reviews = Reviews::new();
    let pods = Pods {
        sources: Sources::new(client.clone(), reviews.sources.clone()),
        pulling: Pulling::new(client.clone(), default.map(|name| (name, namespace))),
        registry: registry(settings, Node::ambient(lookup, &meter), Proxy::from_environment(lookup)?)?,
        settings: injection,
    };
    reviews.follow(pods.registry.clone());
    Ok(Admission {
        files_alone: files_alone(&pods.settings),
        pods,
        kamus: Kamus::new(&settings.keys, connection, lookup)?,
        native: Native::new(client, strongroom_aws::Settings::default(), meter)?,
        recorder,
        reviews,
        serves_metrics,
        has_grown: AtomicBool::new(false),
    })
}

/// A large pod takes many times its size, which the C library keeps for the next one; there may be none for days.
async fn keep_small(admission: Arc<Admission>) {
    loop {
        tokio::time::sleep(TIDYING).await;
        if admission.has_grown.swap(false, Ordering::Relaxed) {
            strongroom_process::release_unused_memory();
        }
    }
}

/// What flags say about how pods are changed.
fn injection(settings: &AdmissionSettings) -> strongroom_inject::Settings {
    let mut injection = strongroom_inject::Settings::default();
    injection.provider.clone_from(&settings.provider);
    injection.pull_policy.clone_from(&settings.pull_policy);
    injection.aws_pull_policy.clone_from(&settings.pull_policy);
    injection.volume_name.clone_from(&settings.volume_name);
    injection.volume_path.clone_from(&settings.volume_path);
    injection.vault_address.clone_from(&settings.vault_address);
    injection.vault_audience.clone_from(&settings.vault_audience);
    injection.agent_pull_policy.clone_from(settings.agent_pull_policy.as_ref().unwrap_or(&settings.pull_policy));
    injection.files_size.clone_from(&settings.agent_files_size);
    injection.files_least_refresh = settings.agent_least_refresh.as_secs();
    if let Some(image) = &settings.image {
        injection.image.clone_from(image);
        injection.aws_image.clone_from(image);
        injection.agent_image.clone_from(image);
    }
    if let Some(image) = settings.agent_image.as_ref().filter(|image| !image.is_empty()) {
        injection.agent_image.clone_from(image);
    }
    if let Some(resources) = &settings.agent_resources {
        injection.agent_resources.clone_from(resources);
    }
    if let Some(image) = settings.sidecar_image.as_ref().filter(|image| !image.is_empty()) {
        injection.aws_image.clone_from(image);
    }
    injection
}

fn registry(settings: &AdmissionSettings, node: Node, proxy: Proxy) -> Result<Registry, Failure> {
    let mut mirrors: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for mirror in &settings.registry_mirror {
        let no_pair = || Failure::new(Class::Invalid, "is no pair").with_hint("write HOST=URL");
        let (host, url) = mirror.split_once('=').ok_or_else(|| no_pair().in_field("--registry-mirror"))?;
        mirrors.entry(host.to_owned()).or_default().push(url.to_owned());
    }
    let authorities = settings.registry_authorities.iter().map(|path| Pem::File(path.clone())).collect::<Vec<_>>();
    let tls = TlsSettings {
        roots: Roots::System(authorities),
        insecure_skip_verify: settings.registry_skip_verify,
        ..TlsSettings::default()
    };
    Registry::new(strongroom_registry::Settings {
        tls,
        proxy,
        plain_hosts: settings.registry_plain_http.clone(),
        local_hosts: settings.registry_local.clone(),
        mirrors,
        node: Some(Arc::new(node)),
        cache: CacheSettings::default(),
    })
}

/// Where reviews are served, and where metrics are, if elsewhere.
fn addresses(settings: &AdmissionSettings) -> Result<(SocketAddr, Option<SocketAddr>), Failure> {
    let reviews = match settings.port {
        Some(port) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
        None => address("--listen-address", &settings.listen_address)?,
    };
    let telemetry = Some(settings.telemetry_listen_address.as_str()).filter(|text| !text.is_empty());
    Ok((reviews, telemetry.map(|text| address("--telemetry-listen-address", text)).transpose()?))
}

/// `:8443` is all addresses, as Go has it.
fn address(flag: &'static str, text: &str) -> Result<SocketAddr, Failure> {
    let everywhere = text.strip_prefix(':').and_then(|port| port.parse().ok());
    let everywhere = everywhere.map(|port: u16| SocketAddr::from((IpAddr::from(Ipv6Addr::UNSPECIFIED), port)));
    everywhere.or_else(|| text.parse().ok()).ok_or_else(|| {
        Failure::new(Class::Invalid, "is no address").with_hint("write :8443, or 127.0.0.1:8443").in_field(flag)
    })
}

/// Where the certificate comes from.
enum Certificate {
    /// From nowhere: plain HTTP.
    None,
    /// From files that somebody else renews.
    Files(ServerCertificate),
    /// From an authority of our own.
    Own(Box<strongroom_certificates::Settings>),
}

/// As flags say; plain HTTP only where that is right.
fn certificate(settings: &AdmissionSettings, address: SocketAddr, lookup: Lookup<'_>) -> Result<Certificate, Failure> {
    if let Some((certificate, key)) = settings.tls_cert_file.clone().zip(settings.tls_private_key_file.clone()) {
        return Ok(Certificate::Files(ServerCertificate { certificate, key, client_authorities: None }));
    }
    if let Some(service) = &settings.certificate_service {
        return own(settings, service, lookup).map(|own| Certificate::Own(Box::new(own)));
    }
    if address.ip().is_loopback() || settings.allow_plain_http {
        return Ok(Certificate::None);
    }
    Err(Failure::new(Class::Invalid, "API servers call webhooks by TLS alone, and there is no certificate")
        .with_hint("give --tls-cert-file and --tls-private-key-file, or --certificate-service"))
}

fn own(
    settings: &AdmissionSettings,
    service: &str,
    lookup: Lookup<'_>,
) -> Result<strongroom_certificates::Settings, Failure> {
    let of_pod = || std::fs::read_to_string(NAMESPACE_FILE).ok().map(|name| name.trim().to_owned());
    let namespace = lookup("POD_NAMESPACE").or_else(of_pod).ok_or_else(|| {
        Failure::new(Class::Invalid, "the namespace of the Service is not known")
            .with_hint("set POD_NAMESPACE")
            .in_field("--certificate-service")
    })?;
    let named = |kind: Kind, names: &[String]| -> Vec<Configuration> {
        names.iter().map(|name| Configuration { kind, name: name.clone() }).collect()
    };
    let mut configurations = named(Kind::Mutating, &settings.mutating_configuration);
    configurations.extend(named(Kind::Validating, &settings.validating_configuration));
    let times = Times { authority: settings.authority_life, serving: settings.certificate_life, ..Times::default() };
    let own = strongroom_certificates::Settings {
        namespace,
        service: service.to_owned(),
        hosts: Vec::new(),
        lease: settings.certificate_lease.clone().unwrap_or_default(),
        configurations,
        source: Source::Own { secret: settings.certificate_secret.clone().unwrap_or_default(), times },
    };
    own.check().map(|()| own)
}

/// The server's TLS, once there is a certificate, and the tasks that keep it new.
async fn tls(
    certificate: Certificate,
    connection: &Connection,
    recorder: Recorder,
    identity: &str,
    end: CertificateEnd,
    tasks: &mut JoinSet<()>,
) -> Result<Option<ServerTls>, Failure> {
    match certificate {
        Certificate::None => Ok(None),
        Certificate::Files(files) => {
            let place = files.certificate.clone();
            let tls = ServerTls::read(files)?;
            end.set(end_of(&place));
            tasks.spawn(reload(tls.clone(), place, end));
            Ok(Some(tls))
        }
        Certificate::Own(own) => {
            // Random, so that a process that is started anew in the same pod is another candidate.
            let candidate = format!("{identity}_{:016x}", fastrand::u64(..));
            let (sender, receiver) = watch::channel(None);
            let client = connection.client();
            tasks.spawn(async move {
                if let Err(failure) = keep(client, recorder, *own, &candidate, sender).await {
                    tracing::error!(%failure, hint = failure.hint, "certificates are kept no more");
                }
            });
            tracing::info!("waiting for a certificate");
            let ended = || Failure::new(Class::Unavailable, "no certificate could be made; the log says why");
            tasks.spawn(watch_end(receiver.clone(), end));
            let (tls, following) = strongroom_certificates::serve(receiver).await.ok_or_else(ended)?;
            tasks.spawn(following);
            Ok(Some(tls))
        }
    }
}

async fn reload(tls: ServerTls, place: PathBuf, end: CertificateEnd) {
    loop {
        tokio::time::sleep(CERTIFICATES).await;
        match tls.reload() {
            Ok(()) => end.set(end_of(&place)),
            Err(failure) => tracing::warn!(%failure, "the certificate stays what it was"),
        }
    }
}

fn end_of(place: &Path) -> Option<i64> {
    ends(&std::fs::read_to_string(place).ok()?)
}

/// Measures each certificate that is handed over.
async fn watch_end(mut certificates: watch::Receiver<Option<ServingCertificate>>, end: CertificateEnd) {
    loop {
        end.set(certificates.borrow_and_update().as_ref().and_then(ServingCertificate::ends));
        if certificates.changed().await.is_err() {
            return;
        }
    }
}

async fn connect(settings: &AdmissionSettings, lookup: Lookup<'_>) -> Result<Connection, Failure> {
    let access = match &settings.kubeconfig {
        Some(file) => Access::Kubeconfig { files: vec![file.clone()], context: None },
        None => Access::from_environment(&lookup).ok_or_else(|| {
            Failure::new(Class::Invalid, "no cluster is known")
                .with_hint("run in a pod, or give --kubeconfig or KUBECONFIG")
        })?,
    };
    let settings =
        strongroom_kube::Settings { access, role: "admission", queries_per_second: QUERIES_PER_SECOND, burst: BURST };
    Connection::open(&settings).await
}

fn telemetry_reply(admission: &Admission, received: &Received) -> Reply {
    match received.uri.path() {
        "/metrics" => admission.metrics(),
        "/healthz" | "/livez" | "/readyz" => text(StatusCode::OK, "ok"),
        _ => text(StatusCode::NOT_FOUND, "not found\n"),
    }
}

fn refuse(status: StatusCode, words: &str) -> Reply {
    Reply { status, headers: Vec::new(), body: ReplyBody::Whole(SecretBytes::from(format!("{words}\n"))) }
}

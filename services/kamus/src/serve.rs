//! Putting a service together, serving, and ending in order.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use strongroom_decrypt::Decrypter;
use strongroom_failure::{Class, Failure};
use strongroom_http::{
    Limits, Method, Received, Reply, RequestServer, ServerCertificate, ServerTls, StatusCode, stop_signal,
};
use strongroom_process::{release_program_pages, release_unused_memory};
use strongroom_telemetry::{LogFormat, LogLevel, METRICS_CONTENT_TYPE};
use tokio::task::JoinSet;

use crate::decryptor::Decryptor;
use crate::encryptor::Encryptor;
use crate::meters::Meters;
use crate::options::{ClusterOptions, KeyOptions, Lookup};
use crate::rates::Rates;
use crate::reviews::{Audiences, Reviews};
use crate::ring::{Following, Latest};
use crate::trail::{Place, Recording};
use crate::wire::{typed, words};

/// A pod opens one connection; a deployment that rolls opens as many as it has pods.
const LIMITS: Limits =
    Limits { connections: 512, head_bytes: 96 * 1024, head_time: Duration::from_secs(60), connection_time: None };

/// The largest body: a Secret holds a mebibyte, and encryption and JSON make it longer.
const MOST_BYTES: usize = 4 << 20;

/// How long a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(30);

/// How often the files of a certificate are looked at.
const CERTIFICATES: Duration = Duration::from_secs(10);

/// How long requests that are under way may take at the end.
const DRAIN: Duration = Duration::from_secs(10);

/// How often what nobody needs any more is given back: of the program itself, most is for other roles and for the start.
const TIDYING: Duration = Duration::from_secs(10);

/// How often the key management is asked until it answers for the first time.
const PROVING: Duration = Duration::from_secs(2);

const SERVICE: &str = "Service";

/// What both services have.
#[derive(Args, Clone, Debug)]
pub(crate) struct ServiceOptions {
    /// The address to serve on
    #[arg(long, value_name = "ADDRESS", default_value = ":9999", help_heading = SERVICE)]
    listen_address: String,

    /// PEM: the certificate, then those that signed it; read anew when it changes. Without it, plain HTTP, as Kamus serves
    #[arg(long, value_name = "FILE", requires = "tls_private_key_file", help_heading = SERVICE)]
    tls_cert_file: Option<PathBuf>,

    /// PEM: the certificate's key
    #[arg(long, value_name = "FILE", requires = "tls_cert_file", help_heading = SERVICE)]
    tls_private_key_file: Option<PathBuf>,

    /// How log lines are written [default: logfmt]
    #[arg(long, value_name = "FORMAT", value_enum, help_heading = SERVICE)]
    log_format: Option<LogFormat>,

    /// The least important lines that are logged [default: info]
    #[arg(long, value_name = "LEVEL", value_enum, help_heading = SERVICE)]
    log_level: Option<LogLevel>,
}

/// Serve the encryptor: anybody may send a value for a service account, and gets what only that account can have opened
#[derive(Args, Debug)]
pub(crate) struct EncryptorOptions {
    #[command(flatten)]
    pub(crate) service: ServiceOptions,

    #[command(flatten)]
    keys: KeyOptions,

    #[command(flatten)]
    cluster: ClusterOptions,
}

/// Serve the decryptor: a pod sends a text and its token, and gets the value where it is the account that it was encrypted for
#[derive(Args, Debug)]
pub(crate) struct DecryptorOptions {
    #[command(flatten)]
    pub(crate) service: ServiceOptions,

    #[command(flatten)]
    keys: KeyOptions,

    #[command(flatten)]
    cluster: ClusterOptions,

    /// An audience of tokens that are taken, beside the API server's own; repeatable
    #[arg(long = "audience", value_name = "NAME", default_value = "kamus", help_heading = SERVICE)]
    audiences: Vec<String>,

    /// Take tokens for --audience alone, and none that are meant for the API server
    #[arg(long, help_heading = SERVICE)]
    strict_audience: bool,

    /// Decryptions a second that each service account may have in the long run; 0 for any number
    #[arg(long, value_name = "NUMBER", default_value_t = 50.0, help_heading = SERVICE)]
    rate: f64,

    /// Decryptions at once after a pause
    #[arg(long, value_name = "NUMBER", default_value_t = 500.0, help_heading = SERVICE)]
    burst: f64,

    /// Where each decryption is told, before its answer leaves: stdout, a file, or off
    #[arg(long, value_name = "PLACE", default_value = "stdout", help_heading = SERVICE)]
    audit: String,
}

impl EncryptorOptions {
    pub(crate) async fn run(self, lookup: Lookup<'_>) -> Result<(), Failure> {
        let connection = if self.keys.needs_cluster() { Some(self.cluster.connect(lookup).await?) } else { None };
        let cluster = connection.as_ref().map(|connection| (connection.client(), connection.namespace()));
        let place = self.keys.place(cluster)?;
        let keys = Arc::new(self.keys.decrypter(&place, lookup).await?);
        let meters = Meters::new();
        let encryptor = Arc::new(Encryptor { keys: Arc::clone(&keys), meters: meters.clone() });
        let following = Following::new(Arc::new(Latest::new(place, keys)));
        self.service.serve(move |received| Arc::clone(&encryptor).handle(received), meters, following).await
    }
}

impl DecryptorOptions {
    pub(crate) async fn run(self, lookup: Lookup<'_>) -> Result<(), Failure> {
        let connection = self.cluster.connect(lookup).await?;
        let place = self.keys.place(Some((connection.client(), connection.namespace())))?;
        let keys = Arc::new(self.keys.decrypter(&place, lookup).await?);
        let audiences = Audiences { own: self.audiences, strict: self.strict_audience };
        let audit = match self.audit.as_str() {
            "off" => Place::Off,
            "stdout" => Place::Stdout,
            path => Place::File(PathBuf::from(path)),
        };
        let meters = Meters::new();
        let trail = Recording::begin(&audit, proved(&keys).await?)?;
        let latest = Arc::new(Latest::new(place, keys));
        let decryptor = Arc::new(Decryptor {
            trail,
            keys: Arc::clone(&latest),
            reviews: Reviews::new(connection.client(), audiences),
            rates: Rates::new(self.rate, self.burst),
            meters: meters.clone(),
        });
        let following = Following::new(latest);
        self.service.serve(move |received| Arc::clone(&decryptor).handle(received), meters, following).await
    }
}

/// What the trail's key is derived for.
const AUDIT: &[u8] = b"strongroom kamus: audit trail";

/// A key for the trail, once the key management has unwrapped: before that nothing could be decrypted.
async fn proved(keys: &Decrypter) -> Result<strongroom_secret::SecretBytes, Failure> {
    let mut is_told = false;
    loop {
        match keys.derive(AUDIT).await {
            Err(failure) if failure.class.can_retry() => {
                if !std::mem::replace(&mut is_told, true) {
                    tracing::warn!(%failure, hint = failure.hint, "waiting for the key management");
                }
                tokio::time::sleep(PROVING).await;
            }
            derived => return derived,
        }
    }
}

impl ServiceOptions {
    pub(crate) fn logs(&self) -> (LogFormat, LogLevel) {
        (self.log_format.unwrap_or_default(), self.log_level.unwrap_or(LogLevel::Info))
    }

    /// Serves until a signal. Who listens is ready: what is needed has been proved before.
    async fn serve<H, F>(self, handle: H, meters: Meters, following: Following) -> Result<(), Failure>
    where
        H: Fn(Received) -> F + Send + Sync + 'static,
        F: Future<Output = Reply> + Send + 'static,
    {
        let mut stop = stop_signal()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(following.run());
        tasks.spawn(keep_small());
        let tls = self.tls(&mut tasks)?;
        let address = address(&self.listen_address)?;
        if tls.is_none() && !address.ip().is_loopback() {
            tracing::warn!(
                "serving by plain HTTP, as Kamus does: who can read the pods' network reads what is decrypted"
            );
        }
        let server = RequestServer::bind(address, tls, LIMITS, MOST_BYTES, BODY_TIME).await?;
        tracing::info!(address = %server.address(), "serving");
        let handle = Arc::new(handle);
        let answer = move |received: Received| {
            let (handle, meters) = (Arc::clone(&handle), meters.clone());
            async move {
                match (&received.method, received.uri.path()) {
                    (&Method::GET, "/metrics") => typed(METRICS_CONTENT_TYPE, meters.text()),
                    (&Method::GET, "/livez" | "/readyz") => words(StatusCode::OK, "ok"),
                    _ => handle(received).await,
                }
            }
        };
        let stopped = async move {
            let _ = stop.changed().await;
        };
        server.run(answer, refuse, stopped, DRAIN).await;
        tasks.shutdown().await;
        Ok(())
    }

    fn tls(&self, tasks: &mut JoinSet<()>) -> Result<Option<ServerTls>, Failure> {
        let Some((certificate, key)) = self.tls_cert_file.clone().zip(self.tls_private_key_file.clone()) else {
            return Ok(None);
        };
        let tls = ServerTls::read(ServerCertificate { certificate, key, client_authorities: None })?;
        let reloaded = tls.clone();
        tasks.spawn(async move {
            loop {
                tokio::time::sleep(CERTIFICATES).await;
                if let Err(failure) = reloaded.reload() {
                    tracing::warn!(%failure, "the certificate stays what it was");
                }
            }
        });
        Ok(Some(tls))
    }
}

/// Gives memory back that the start, or a burst, has left behind. What is in use comes back at once, from the file's cache.
async fn keep_small() {
    loop {
        tokio::time::sleep(TIDYING).await;
        release_unused_memory();
        release_program_pages();
    }
}

/// `:9999` is all addresses, as Go has it.
fn address(text: &str) -> Result<SocketAddr, Failure> {
    let everywhere = text.strip_prefix(':').and_then(|port| port.parse().ok());
    let everywhere = everywhere.map(|port: u16| SocketAddr::from((IpAddr::from(Ipv6Addr::UNSPECIFIED), port)));
    everywhere.or_else(|| text.parse().ok()).ok_or_else(|| {
        let failure = Failure::new(Class::Invalid, "is no address");
        failure.with_hint("write :9999, or 127.0.0.1:9999").in_field("--listen-address")
    })
}

fn refuse(status: StatusCode, text: &str) -> Reply {
    words(status, text)
}

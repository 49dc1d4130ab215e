//! `strongroom server`.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use strongroom_audit_sinks::Target;
use strongroom_failure::{Class, Failure};
use strongroom_http::{ClientCertificate, Pem, Roots, ServerCertificate, TlsSettings};
use strongroom_secret::SecretBytes;
use strongroom_telemetry::{LogFormat, LogLevel};

use crate::keepers::{AwsKms, Transit};
use crate::run::{Audit, Place, Settings, run};
use crate::seal::{FileSeal, Seal};

/// How a server logs.
#[derive(Args)]
pub(crate) struct LogOptions {
    /// How log lines are written [default: logfmt]
    #[arg(long, value_enum)]
    log_format: Option<LogFormat>,
    /// The least important lines that are written [default: info]
    #[arg(long, value_enum)]
    log_level: Option<LogLevel>,
}

impl LogOptions {
    /// Logs to standard error from now on.
    pub(crate) fn install(&self) {
        strongroom_telemetry::install(self.log_format.unwrap_or_default(), self.log_level.unwrap_or_default());
    }
}

/// Where a store keeps its records.
#[derive(Args, Clone, Debug)]
pub struct StorageOptions {
    /// Where records are kept: `redb`, a file in the folder, or `etcd:ADDRESS,ADDRESS...`, which several servers may share
    #[arg(long, default_value = "redb")]
    storage: StorageChoice,
    /// What the store's keys in etcd begin with
    #[arg(long, default_value = "strongroom/")]
    etcd_prefix: String,
    /// A PEM file of authorities that sign etcd's certificates
    #[arg(long)]
    etcd_authorities: Option<PathBuf>,
    /// A PEM file: this server's certificate for etcd
    #[arg(long, requires = "etcd_key")]
    etcd_certificate: Option<PathBuf>,
    /// A PEM file: the key of that certificate
    #[arg(long, requires = "etcd_certificate")]
    etcd_key: Option<PathBuf>,
}

impl StorageOptions {
    /// The place for the server of this name. Name and password for etcd are STRONGROOM_ETCD_USER and
    /// STRONGROOM_ETCD_PASSWORD.
    pub(crate) fn place(&self, node: &str, variables: &[OsString]) -> Place {
        let StorageChoice::Etcd(endpoints) = self.storage.clone() else { return Place::Redb };
        let file = |path: &PathBuf| Pem::File(path.clone());
        let client = self.etcd_certificate.as_ref().zip(self.etcd_key.as_ref());
        let tls = TlsSettings {
            roots: self.etcd_authorities.as_ref().map_or_else(Roots::default, |path| Roots::Only(vec![file(path)])),
            client: client
                .map(|(certificate, key)| ClientCertificate { certificate: file(certificate), key: file(key) }),
            ..TlsSettings::default()
        };
        let name = variable(variables, "STRONGROOM_ETCD_USER");
        let password = variable(variables, "STRONGROOM_ETCD_PASSWORD");
        let login = name.zip(password).map(|(name, password)| (name, SecretBytes::from(password)));
        let (prefix, node) = (self.etcd_prefix.clone(), node.to_owned());
        Place::Etcd(Box::new(strongroom_storage_etcd::Settings { endpoints, prefix, node, tls, login }))
    }
}

/// The built-in store: secrets with versions, tokens, policies and an audit trail, for every client of Vault and OpenBao
#[derive(Args)]
#[command(
    after_help = "A new store is initialised once: PUT /v1/sys/init (bao operator init -key-shares=1 -key-threshold=1), \
                  which gives the key that opens it and a first token. To try it out on one machine: strongroom dev"
)]
pub struct ServerCommand {
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1:8200")]
    listen: String,
    /// The folder of the store: made where there is none, for its owner alone
    #[arg(long)]
    data: PathBuf,
    #[command(flatten)]
    storage: StorageOptions,
    /// Where clients find this server while it is the active one of several: `https://10.0.0.5:8200` [default: the
    /// address that it listens on]
    #[arg(long)]
    advertise: Option<String>,
    /// This server's name among several, which stays the same: its audit trail goes on under it [default: the machine's]
    #[arg(long)]
    node: Option<String>,
    /// Who keeps the root key while the server does not run: `shamir` (people, who unseal it), `file:PATH`, `awskms:KEY`
    /// (by id, ARN or alias, with the machine's own credentials), or `transit:MOUNT/KEY` of another store (VAULT_ADDR,
    /// VAULT_TOKEN and so on say which and how to log in)
    #[arg(long, default_value = "shamir")]
    seal: SealChoice,
    /// Where the audit trail goes: a file (DATA/audit.log by default), `stdout`, or `off`
    #[arg(long)]
    audit: Option<String>,
    /// Where entries of the audit trail go as well, a file or `stdout`; may be given again. What such a sink does not take
    /// is counted, and no request waits for it
    #[arg(long, value_name = "SINK")]
    audit_also: Vec<String>,
    /// Serve /metrics, /livez and /readyz on this address, to anybody
    #[arg(long, value_name = "ADDRESS")]
    metrics_listen: Option<String>,
    /// A PEM file: the server's certificate, then those that signed it; read anew on SIGHUP and when it changes
    #[arg(long, requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// A PEM file: the key of the server's certificate
    #[arg(long, requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// A PEM file of authorities: clients must show a certificate that one of them signed
    #[arg(long, requires = "tls_certificate")]
    tls_client_authorities: Option<PathBuf>,
    /// Serve plain HTTP on an address that others reach: everybody on the way reads every secret
    #[arg(long)]
    allow_plain_http: bool,
    /// How long requests that are under way may take when the server ends, in seconds
    #[arg(long, default_value_t = 10)]
    drain_seconds: u64,
    #[command(flatten)]
    logs: LogOptions,
}

/// Where records are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StorageChoice {
    /// In a file.
    Redb,
    /// In etcd, at these addresses.
    Etcd(Vec<String>),
}

impl FromStr for StorageChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_address = |address: &&str| address.starts_with("http://") || address.starts_with("https://");
        match text.split_once(':') {
            None if text == "redb" => Ok(Self::Redb),
            Some(("etcd", list)) if list.split(',').all(|address| is_address(&address)) => {
                Ok(Self::Etcd(list.split(',').map(str::to_owned).collect()))
            }
            _ => Err("write redb, or etcd:https://ADDRESS:2379,https://ADDRESS:2379".to_owned()),
        }
    }
}

/// Who keeps the root key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealChoice {
    /// People.
    Shamir,
    /// A file.
    File(PathBuf),
    /// A key of AWS KMS.
    AwsKms(String),
    /// A key of another store's transit engine: `MOUNT/KEY`.
    Transit(String),
}

impl FromStr for SealChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "shamir" => Ok(Self::Shamir),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            Some(("awskms", key)) if !key.is_empty() => Ok(Self::AwsKms(key.to_owned())),
            Some(("transit", place)) if place.split('/').all(|part| !part.is_empty()) => {
                Ok(Self::Transit(place.to_owned()))
            }
            _ => Err("write shamir, file:PATH, awskms:KEY or transit:MOUNT/KEY".to_owned()),
        }
    }
}

impl SealChoice {
    /// What keeps the root key; nothing where people do. `data` is the folder of the store.
    pub(crate) fn seal(&self, data: &Path, variables: &[OsString]) -> Option<Arc<dyn Seal>> {
        match self {
            Self::AwsKms(key) => {
                let named = ["AWS_ENDPOINT_URL_KMS", "AWS_ENDPOINT_URL"];
                let endpoint = named.into_iter().find_map(|name| variable(variables, name));
                Some(Arc::new(AwsKms::new(key.clone(), endpoint)))
            }
            Self::Transit(place) => {
                let variables = variables.to_vec();
                Some(Arc::new(Transit::new(place, Arc::new(move |name| variable(&variables, name)))))
            }
            Self::Shamir => None,
            Self::File(path) => Some(Arc::new(FileSeal::new(path, data))),
        }
    }
}

impl ServerCommand {
    /// Serves until a signal ends it.
    pub fn run(self, variables: &[OsString]) -> ExitCode {
        self.logs.install();
        match self.settings(variables).and_then(|settings| run(settings, |_| {})) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                tracing::error!(hint = failure.hint, "{failure}");
                ExitCode::FAILURE
            }
        }
    }

    fn settings(self, variables: &[OsString]) -> Result<Settings, Failure> {
        let node = self.node.clone().or_else(|| machine(variables)).unwrap_or_default();
        let storage = self.storage.place(&node, variables);
        let listen = address(&self.listen)?;
        let tls = self.tls_certificate.zip(self.tls_key);
        let tls = tls.map(|(certificate, key)| ServerCertificate {
            certificate,
            key,
            client_authorities: self.tls_client_authorities,
        });
        if tls.is_none() && !listen.ip().is_loopback() && !self.allow_plain_http {
            let words = format!("--listen {listen} is reached by others, and without TLS they would read every secret");
            let hint = "give --tls-certificate and --tls-key, or --allow-plain-http where something else encrypts";
            return Err(Failure::new(Class::Invalid, words).with_hint(hint));
        }
        let audit = match self.audit.as_deref() {
            Some("off") => Audit::Off,
            Some("stdout") => Audit::Stdout,
            Some(path) => Audit::File(PathBuf::from(path)),
            None => Audit::File(self.data.join("audit.log")),
        };
        let sink = |name: &String| match name.as_str() {
            "stdout" => Target::Stdout,
            path => Target::File(PathBuf::from(path)),
        };
        let audit_also = self.audit_also.iter().map(sink).collect();
        let metrics = self.metrics_listen.as_deref().map(address).transpose()?;
        let drain = Duration::from_secs(self.drain_seconds);
        let scheme = if tls.is_some() { "https" } else { "http" };
        let (data, advertise) = (self.data, self.advertise);
        let seal = self.seal.seal(&data, variables);
        Ok(Settings {
            listen,
            data,
            storage,
            advertise,
            scheme,
            node,
            seal,
            audit,
            audit_also,
            metrics,
            tls,
            drain,
            opens_itself: true,
        })
    }
}

/// A variable of the environment.
pub(crate) fn variable(variables: &[OsString], name: &str) -> Option<String> {
    let of_name = |entry: &OsString| {
        let value = entry.as_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(String::from_utf8_lossy(value).into_owned())
    };
    variables.iter().find_map(of_name).filter(|value| !value.is_empty())
}

/// The machine's name, which in a pod is the pod's.
fn machine(variables: &[OsString]) -> Option<String> {
    let kernel = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    variable(variables, "HOSTNAME").or_else(kernel).map(|name| name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// An address with its port.
pub(crate) fn address(text: &str) -> Result<SocketAddr, Failure> {
    let port_alone = text.strip_prefix(':').and_then(|port| port.parse().ok());
    let whole =
        port_alone.map(|port| SocketAddr::from((IpAddr::from([0, 0, 0, 0]), port))).or_else(|| text.parse().ok());
    let localhost = || text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
    whole.or_else(|| localhost().map(|port: u16| SocketAddr::from(([127, 0, 0, 1], port)))).ok_or_else(|| {
        Failure::new(Class::Invalid, format!("--listen: {text:?} is no address"))
            .with_hint("write an address and a port: 127.0.0.1:8200")
    })
}

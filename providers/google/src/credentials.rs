//! Credentials as Google's tools write them down, and where they are found (Application Default Credentials).

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

use crate::settings::{Credentials, Exchange, Federation, Settings, optional_secret, secret};
use crate::signature::Key;

/// The largest file of credentials or tokens, in bytes; real ones have 2 to 16 KiB.
const FILE_LIMIT: u64 = 256 * 1024;

/// Where a person's refresh token is traded, unless their file says otherwise.
const TOKEN_ADDRESS: &str = "https://oauth2.googleapis.com/token";

/// Where tokens come from.
pub(crate) enum Source {
    /// The machine's or pod's own service account.
    Metadata,
    /// A service account's key.
    ServiceAccount { email: String, key: Key, address: String, place: String },
    /// A person who logged in.
    Person { user: AuthorizedUser, place: String },
    /// An identity of somebody else's that Google was told to trust.
    Federated { account: Box<ExternalAccount>, place: String },
    /// The same with tokens that this process is given, exchanged at an address.
    Workload { federation: Federation, address: String },
    /// A service account that another identity may act as.
    Impersonated { base: Box<Source>, target: Impersonation },
}

/// What was found, and what it says about calls: which project is charged, which of Google's clouds is asked.
pub(crate) struct Found {
    pub(crate) source: Source,
    pub(crate) quota_project: Option<String>,
    pub(crate) universe_domain: Option<String>,
}

/// A person's credentials: `authorized_user`.
#[derive(Deserialize)]
pub(crate) struct AuthorizedUser {
    pub(crate) client_id: String,
    #[serde(deserialize_with = "secret")]
    pub(crate) client_secret: SecretBytes,
    #[serde(deserialize_with = "secret")]
    pub(crate) refresh_token: SecretBytes,
    #[serde(default = "token_address")]
    pub(crate) token_uri: String,
}

/// Workload or workforce identity federation: `external_account`.
#[derive(Deserialize)]
pub(crate) struct ExternalAccount {
    pub(crate) audience: String,
    pub(crate) subject_token_type: String,
    pub(crate) token_url: String,
    pub(crate) credential_source: SubjectTokenSource,
    #[serde(default)]
    pub(crate) client_id: Option<String>,
    #[serde(default, deserialize_with = "optional_secret")]
    pub(crate) client_secret: Option<SecretBytes>,
    #[serde(default)]
    pub(crate) workforce_pool_user_project: Option<String>,
    #[serde(default)]
    service_account_impersonation_url: Option<String>,
    #[serde(default)]
    service_account_impersonation: ImpersonationOptions,
}

/// Where the somebody else's token is.
#[derive(Deserialize)]
pub(crate) struct SubjectTokenSource {
    #[serde(default)]
    pub(crate) file: Option<PathBuf>,
    #[serde(default)]
    pub(crate) url: Option<String>,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) format: SubjectTokenFormat,
    #[serde(default)]
    environment_id: Option<String>,
    #[serde(default)]
    executable: Option<Box<RawValue>>,
    #[serde(default)]
    certificate: Option<Box<RawValue>>,
}

/// How the token is written down: as it is, or as one field of a JSON object.
#[derive(Default, Deserialize)]
pub(crate) struct SubjectTokenFormat {
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) subject_token_field_name: String,
}

#[derive(Default, Deserialize)]
struct ImpersonationOptions {
    #[serde(default)]
    token_lifetime_seconds: Option<u32>,
}

/// A service account to act as, through the IAM Credentials API.
#[derive(Clone)]
pub(crate) struct Impersonation {
    pub(crate) address: String,
    pub(crate) delegates: Vec<String>,
    pub(crate) lifetime_seconds: u32,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    quota_project_id: Option<String>,
    #[serde(default)]
    universe_domain: Option<String>,
}

#[derive(Deserialize)]
struct ServiceAccount {
    client_email: String,
    #[serde(default)]
    private_key_id: String,
    #[serde(deserialize_with = "secret")]
    private_key: SecretBytes,
    #[serde(default = "token_address")]
    token_uri: String,
}

#[derive(Deserialize)]
struct ImpersonatedServiceAccount<'a> {
    service_account_impersonation_url: String,
    #[serde(default)]
    delegates: Vec<String>,
    #[serde(borrow)]
    source_credentials: &'a RawValue,
}

impl Source {
    /// The credentials of the settings, else of the variable, else of the person's login, else the metadata server.
    pub(crate) fn find(settings: &Settings) -> Result<Found, Failure> {
        let from_file = |path: &Path| {
            let place = path.display().to_string();
            let json = read_file(path).map_err(|failure| failure.in_field("credentials"))?;
            parse(json.expose(), &place, true).map_err(|failure| failure.in_field(&place))
        };
        match (&settings.credentials, &settings.well_known_file) {
            (Some(Credentials::File(path)), _) => from_file(path),
            (Some(Credentials::Json(json)), _) => {
                parse(json.expose(), "the settings", true).map_err(|failure| failure.in_field("credentials"))
            }
            (None, Some(path)) if path.exists() => from_file(path),
            (Some(Credentials::Federated(federation)), _) => {
                let universe = settings.universe_domain.as_deref().unwrap_or("googleapis.com");
                let source = workload(federation, universe)?;
                Ok(Found { source, quota_project: None, universe_domain: None })
            }
            (Some(Credentials::Metadata) | None, _) => {
                Ok(Found { source: Self::Metadata, quota_project: None, universe_domain: None })
            }
        }
    }

    /// Who that is, in people's words.
    pub(crate) fn describe(&self, metadata_host: &str) -> String {
        match self {
            Self::Metadata => format!("the default service account of the metadata server {metadata_host}"),
            Self::ServiceAccount { email, place, .. } => format!("service account {email} by the key in {place}"),
            Self::Person { place, .. } => format!("the user who logged in ({place})"),
            Self::Federated { account, place } => {
                let origin = account.credential_source.describe();
                format!("the federated identity of {} by {origin} ({place})", account.audience)
            }
            Self::Workload { federation, .. } => {
                format!("the federated identity of {} by {}", federation.audience, federation.tokens.describe())
            }
            Self::Impersonated { base, target } => {
                format!("service account {}, acted for by {}", target.email(), base.describe(metadata_host))
            }
        }
    }

    /// The name of asking for a token, for metrics.
    pub(crate) fn operation(&self) -> &'static str {
        match self {
            Self::Metadata => "metadata.token",
            Self::ServiceAccount { .. } | Self::Person { .. } => "oauth2.token",
            Self::Federated { .. } | Self::Workload { .. } => "sts.token",
            Self::Impersonated { .. } => "iamcredentials.generateAccessToken",
        }
    }
}

impl SubjectTokenSource {
    fn describe(&self) -> String {
        match (&self.file, &self.url) {
            (Some(file), _) => format!("the token in {}", file.display()),
            (None, Some(url)) => format!("the token from {url}"),
            (None, None) => "no token".to_owned(),
        }
    }

    /// Refuses what is not served, before anything is asked.
    fn validate(&self) -> Result<(), Failure> {
        let unserved = [
            (self.environment_id.is_some(), "credentials of AWS"),
            (self.executable.is_some(), "an executable"),
            (self.certificate.is_some(), "a client certificate"),
        ];
        if let Some((_, what)) = unserved.iter().find(|(given, _)| *given) {
            return Err(invalid(format!("credential_source: {what} as the source of the token is not supported"))
                .with_hint("use a source of the kind file or url: projected service account tokens are files"));
        }
        if self.file.is_some() == self.url.is_some() {
            return Err(invalid("credential_source: one of file and url is needed"));
        }
        match self.format.kind.as_str() {
            "" | "text" => Ok(()),
            "json" if !self.format.subject_token_field_name.is_empty() => Ok(()),
            "json" => Err(invalid("credential_source: format json needs subject_token_field_name")),
            _ => Err(invalid("credential_source: the format must be text or json")),
        }
    }
}

impl Impersonation {
    /// The account, as the address names it: `…/serviceAccounts/EMAIL:generateAccessToken`.
    fn email(&self) -> &str {
        let last = self.address.rsplit('/').next().unwrap_or_default();
        last.split(':').next().unwrap_or_default()
    }
}

/// Reads credentials of any served kind; `may_impersonate` bounds how deep they may lie in each other.
fn parse(json: &[u8], place: &str, may_impersonate: bool) -> Result<Found, Failure> {
    let Kind { kind, quota_project_id, universe_domain } = read_json(json)?;
    let source = match kind.as_str() {
        "service_account" => service_account(json, place)?,
        "authorized_user" => Source::Person { user: read_json(json)?, place: place.to_owned() },
        "external_account" => external_account(json, place)?,
        "impersonated_service_account" if may_impersonate => {
            let account: ImpersonatedServiceAccount = read_json(json)?;
            let base = parse(account.source_credentials.get().as_bytes(), place, false)?;
            let (address, delegates) = (account.service_account_impersonation_url, account.delegates);
            let target = Impersonation { address, delegates, lifetime_seconds: 3600 };
            Source::Impersonated { base: Box::new(base.source), target }
        }
        "impersonated_service_account" => return Err(invalid("an impersonated account cannot impersonate once more")),
        _ => {
            return Err(invalid("credentials of this type are not supported")
                .with_hint("use service_account, authorized_user, external_account or impersonated_service_account"));
        }
    };
    Ok(Found { source, quota_project: quota_project_id, universe_domain })
}

fn service_account(json: &[u8], place: &str) -> Result<Source, Failure> {
    let ServiceAccount { client_email, private_key_id, private_key, token_uri } = read_json(json)?;
    let key = Key::from_pem(&private_key_id, &private_key);
    let key = key.ok_or_else(|| invalid("private_key is not an RSA key in PEM"))?;
    Ok(Source::ServiceAccount { email: client_email, key, address: token_uri, place: place.to_owned() })
}

fn external_account(json: &[u8], place: &str) -> Result<Source, Failure> {
    let mut account: Box<ExternalAccount> = read_json(json)?;
    account.credential_source.validate()?;
    let lifetime_seconds = account.service_account_impersonation.token_lifetime_seconds.unwrap_or(3600);
    let address = account.service_account_impersonation_url.take();
    let base = Source::Federated { account, place: place.to_owned() };
    Ok(match address {
        None => base,
        Some(address) => {
            let target = Impersonation { address, delegates: Vec::new(), lifetime_seconds };
            Source::Impersonated { base: Box::new(base), target }
        }
    })
}

/// Where an outside identity's tokens are exchanged, and as whom it acts then.
fn workload(federation: &Federation, universe: &str) -> Result<Source, Failure> {
    let address = match federation.exchange {
        Exchange::SecurityTokenService => format!("https://sts.{universe}/v1/token"),
        Exchange::IdentityBinding => format!("https://securetoken.{universe}/v1/identitybindingtoken"),
    };
    let base = Source::Workload { federation: federation.clone(), address };
    let Some(email) = &federation.service_account else { return Ok(base) };
    let is_email = (1..=255).contains(&email.len())
        && email.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@' | b':'));
    if !is_email {
        return Err(invalid("this is no e-mail address of a service account").in_field("serviceAccount"));
    }
    let address =
        format!("https://iamcredentials.{universe}/v1/projects/-/serviceAccounts/{email}:generateAccessToken");
    let target = Impersonation { address, delegates: Vec::new(), lifetime_seconds: 3600 };
    Ok(Source::Impersonated { base: Box::new(base), target })
}

/// Reads JSON. The words name the place or a missing field, and never quote what stands there.
fn read_json<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(json).map_err(|error| {
        let words = error.to_string();
        let (line, column) = (error.line(), error.column());
        match words.split(" at line").next().filter(|words| words.starts_with("missing field")) {
            Some(missing) => invalid(format!("these are no credentials of Google: {missing}")),
            None => invalid(format!("these are no credentials of Google (line {line}, column {column})")),
        }
    })
}

/// Reads one field of a JSON object; the words never quote it.
pub(crate) fn read_field(json: &[u8], field: &str) -> Option<SecretBytes> {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(json).ok()?;
    let text: String = read_owned(fields.get(field)?.get())?;
    Some(SecretBytes::from(text))
}

fn read_owned<T: DeserializeOwned>(json: &str) -> Option<T> {
    serde_json::from_str(json).ok()
}

/// The bytes of a small regular file: a pipe would hang, a disk image would fill the memory.
pub(crate) fn read_file(path: &Path) -> Result<SecretBytes, Failure> {
    let because = |error: std::io::Error| invalid(format!("cannot read {}: {error}", path.display()));
    if !std::fs::metadata(path).map_err(because)?.is_file() {
        return Err(invalid(format!("{} is not a regular file", path.display())));
    }
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(FILE_LIMIT + 1).read_to_end(&mut bytes));
    let content = SecretBytes::new(bytes);
    read.map_err(because)?;
    if content.len() as u64 > FILE_LIMIT {
        return Err(invalid(format!("{} has more than {FILE_LIMIT} bytes", path.display())));
    }
    Ok(content)
}

fn invalid(words: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words)
}

fn token_address() -> String {
    TOKEN_ADDRESS.to_owned()
}

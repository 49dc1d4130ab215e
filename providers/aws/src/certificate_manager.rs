//! AWS Certificate Manager: a certificate is read whole, as one text of certificate, chain and private key, and pushed
//! from a Secret of type `kubernetes.io/tls`.

mod bundle;
mod push;

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::Region;
use aws_sdk_acm::Client;
use aws_sdk_acm::operation::export_certificate::ExportCertificateOutput;
use aws_sdk_acm::operation::get_certificate::GetCertificateOutput;
use aws_sdk_acm::primitives::Blob;
use aws_sdk_resourcegroupstagging::Client as TaggingClient;
use futures_util::StreamExt as _;
use futures_util::stream;
use strongroom_crypto::{open_locked_key, random_bytes, sha256};
use strongroom_failure::{Class, Failure};
use strongroom_provider::{
    Answer, Call, DeleteAnswer, Facet, Limits, Place, Provider, Push, PushAnswer, RemoteKey, RemoteValue, SecretBytes,
    Validation, one_by_one,
};
use tokio::time::Instant;

use crate::catalog::tags_as_json;
use crate::failure::Refusal;
use crate::prefix::Prefix;
use crate::push::Tags;
use crate::session::Session;

const GET: &str = "acm:GetCertificate";
const EXPORT: &str = "acm:ExportCertificate";
const TAGS: &str = "acm:ListTagsForCertificate";

/// Reads under way at once. AWS takes ten calls a second of each kind, from a whole account and region.
const AT_ONCE: usize = 4;

/// The most bundles that are kept: about a megabyte.
const MOST_EXPORTED: usize = 128;

/// How long what was exported is kept: whether it may be exported still is asked once a day at the latest.
const KEPT_FOR: Duration = Duration::from_secs(24 * 3600);

/// AWS Certificate Manager in one region.
///
/// A key is a certificate's ARN; versions there are none. What was exported is kept in memory and served for a day as long
/// as AWS shows the same certificate, since an export is charged and the question is not.
pub struct CertificateManager {
    session: Session,
    wanted_region: Option<Region>,
    clients: OnceLock<Clients>,
    prefix: Prefix,
    exported: Mutex<HashMap<String, Exported>>,
    /// The ARNs of what was pushed, by whole names: the index of tags learns of a new certificate late.
    imported: Mutex<HashMap<String, String>>,
}

struct Clients {
    certificates: Client,
    tags: TaggingClient,
    region: Region,
}

/// A bundle, and the digest of what AWS showed when it was exported.
struct Exported {
    shown: [u8; 32],
    since: Instant,
    bundle: SecretBytes,
}

impl CertificateManager {
    pub(crate) fn new(session: Session, region: Option<&str>) -> Self {
        let wanted_region = region.map(|region| Region::new(region.to_owned())).or_else(|| session.known_region());
        Self {
            session,
            wanted_region,
            clients: OnceLock::new(),
            prefix: Prefix::default(),
            exported: Mutex::default(),
            imported: Mutex::default(),
        }
    }

    /// The same with `prefix` before the name of whatever is pushed. ARNs stay as they are.
    #[must_use]
    pub fn with_prefix(self, prefix: impl Into<String>) -> Self {
        Self { prefix: Prefix::new(prefix), ..self }
    }

    async fn clients(&self) -> Result<&Clients, Failure> {
        if let Some(clients) = self.clients.get() {
            return Ok(clients);
        }
        let region = match &self.wanted_region {
            Some(region) => region.clone(),
            None => self.session.region().await?,
        };
        let config = self.session.config(region.clone()).await;
        let endpoints = &self.session.settings().endpoints;
        let mut certificates = aws_sdk_acm::config::Builder::from(&config);
        if let Some(endpoint) = &endpoints.certificate_manager {
            certificates = certificates.endpoint_url(endpoint);
        }
        let mut tags = aws_sdk_resourcegroupstagging::config::Builder::from(&config);
        if let Some(endpoint) = &endpoints.resource_tags {
            tags = tags.endpoint_url(endpoint);
        }
        let made = Clients {
            certificates: Client::from_conf(certificates.build()),
            tags: TaggingClient::from_conf(tags.build()),
            region,
        };
        Ok(self.clients.get_or_init(|| made))
    }

    async fn ask(&self, key: &RemoteKey) -> Answer {
        let answer = match key.facet {
            _ if key.request.is_some() => Err(invalid("AWS Certificate Manager takes no request body").into()),
            _ if !key.name.starts_with("arn:") => Err(invalid("a certificate is read by its ARN")
                .with_hint("write arn:aws:acm:REGION:ACCOUNT:certificate/ID as the key")
                .into()),
            Facet::Value => Box::pin(self.bundle(&key.name)).await,
            Facet::Metadata => self.metadata(&key.name).await,
        };
        answer.map_err(|refusal| refusal.failure.on_key(&key.name).from_store(self.describe()))
    }

    /// Certificate, chain and private key, exported once a day and where AWS shows another certificate than before.
    async fn bundle(&self, arn: &str) -> Result<RemoteValue, Refusal> {
        let shown = digest(&self.shown(arn).await?);
        if let Some(bundle) = self.kept(arn, &shown) {
            return Ok(RemoteValue::new(bundle, None));
        }
        let bundle = self.export(arn).await?;
        let mut exported = self.exported.lock().unwrap_or_else(PoisonError::into_inner);
        if exported.len() >= MOST_EXPORTED && !exported.contains_key(arn) {
            exported.clear();
        }
        exported.insert(arn.to_owned(), Exported { shown, since: Instant::now(), bundle: bundle.clone() });
        Ok(RemoteValue::new(bundle, None))
    }

    fn kept(&self, arn: &str, shown: &[u8; 32]) -> Option<SecretBytes> {
        let mut exported = self.exported.lock().unwrap_or_else(PoisonError::into_inner);
        exported.retain(|_, kept| kept.since.elapsed() < KEPT_FOR);
        exported.get(arn).filter(|kept| kept.shown == *shown).map(|kept| kept.bundle.clone())
    }

    /// What AWS shows of a certificate for nothing: itself and its chain.
    async fn shown(&self, arn: &str) -> Result<GetCertificateOutput, Refusal> {
        let request = self.clients().await?.certificates.get_certificate().certificate_arn(arn);
        self.session.call(GET, || request.clone().send()).await
    }

    async fn export(&self, arn: &str) -> Result<SecretBytes, Refusal> {
        let passphrase = passphrase()?;
        let blob = Blob::new(passphrase.expose());
        let request = self.clients().await?.certificates.export_certificate().certificate_arn(arn).passphrase(blob);
        let output = self.session.call(EXPORT, || request.clone().send()).await.map_err(explained)?;
        Ok(joined(output, &passphrase)?)
    }

    async fn metadata(&self, arn: &str) -> Result<RemoteValue, Refusal> {
        let tags = self.tags(arn).await?;
        Ok(tags_as_json(tags.iter().map(|(name, value)| (name.as_str(), value.as_str())))?)
    }

    async fn tags(&self, arn: &str) -> Result<Tags, Refusal> {
        let request = self.clients().await?.certificates.list_tags_for_certificate().certificate_arn(arn);
        let output = self.session.call(TAGS, || request.clone().send()).await?;
        let tags = output.tags().iter();
        Ok(tags.map(|tag| (tag.key().to_owned(), tag.value().unwrap_or_default().to_owned())).collect())
    }
}

fn invalid(words: &str) -> Failure {
    Failure::new(Class::Invalid, words)
}

fn digest(shown: &GetCertificateOutput) -> [u8; 32] {
    let (certificate, chain) = (shown.certificate().unwrap_or_default(), shown.certificate_chain().unwrap_or_default());
    sha256(format!("{}\n{}", certificate.trim_end(), chain.trim_end()).as_bytes())
}

/// Letters and digits alone: AWS refuses `#`, `$` and `%`.
fn passphrase() -> Result<SecretBytes, Failure> {
    let random = random_bytes(32).ok_or_else(|| Failure::new(Class::Unavailable, "the kernel gives no randomness"))?;
    let letters = random.expose().iter().flat_map(|byte| [byte >> 4, byte & 15]);
    Ok(SecretBytes::new(letters.map(|half| b"0123456789abcdef"[usize::from(half)]).collect()))
}

/// What AWS says of a certificate that cannot be exported does not say what to do.
fn explained(refusal: Refusal) -> Refusal {
    if refusal.code != "ValidationException" {
        return refusal;
    }
    let hint = "only certificates can be exported that were requested with that option; those that were imported never";
    Refusal { failure: refusal.failure.with_hint(hint), ..refusal }
}

/// One text: the certificate, its chain, its private key without the lock that it was sent under.
fn joined(output: ExportCertificateOutput, passphrase: &SecretBytes) -> Result<SecretBytes, Failure> {
    let key = SecretBytes::from(output.private_key.unwrap_or_default());
    let opened = open_locked_key(key.expose_text().unwrap_or_default(), passphrase).map_err(|reason| {
        Failure::new(Class::Unavailable, format!("the private key that AWS exported cannot be opened: {reason}"))
    })?;
    let key = opened.to_pkcs8_pem();
    let public = [output.certificate, output.certificate_chain].into_iter().flatten();
    let mut bundle = String::with_capacity(8 << 10);
    for part in public {
        bundle.push_str(part.trim_end());
        bundle.push('\n');
    }
    bundle.push_str(&key);
    Ok(SecretBytes::from(bundle))
}

#[async_trait]
impl Provider for CertificateManager {
    fn describe(&self) -> String {
        let found = self.clients.get().map(|clients| &clients.region);
        match self.wanted_region.as_ref().or(found) {
            Some(region) => format!("AWS Certificate Manager ({region})"),
            None => "AWS Certificate Manager".to_owned(),
        }
    }

    fn identity(&self) -> String {
        self.session.identity()
    }

    fn limits(&self) -> Limits {
        // Half of AWS's quota, for there are others.
        Limits { concurrency: AT_ONCE, rate: 5.0, burst: 10 }
    }

    fn plan(&self, keys: &[RemoteKey]) -> Vec<Call> {
        one_by_one(keys, |key| if key.facet == Facet::Metadata { TAGS } else { GET }.to_owned())
    }

    async fn read(&self, keys: &[RemoteKey]) -> Vec<Answer> {
        let reads: Vec<_> = keys.iter().map(|key| Box::pin(self.ask(key))).collect();
        stream::iter(reads).buffered(AT_ONCE).collect().await
    }

    async fn push(&self, pushes: &[Push]) -> Vec<PushAnswer> {
        self.push_all(pushes).await
    }

    async fn delete(&self, places: &[Place]) -> Vec<DeleteAnswer> {
        self.delete_all(places).await
    }

    async fn validate(&self) -> Result<Validation, Failure> {
        self.session.validate().await.map_err(|failure| failure.from_store(self.describe()))
    }
}

impl std::fmt::Debug for CertificateManager {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("CertificateManager").field(&self.describe()).finish()
    }
}

//! Azure Key Vault: concurrent reads of secrets, keys and certificates, and searches by name and tags.
//!
//! One read is one GET over the one client stack of `edge/http`; tokens come from Microsoft's login or the machine's
//! managed identity ([`Credentials`]). Never retries by itself, except that a token which the vault refuses is replaced
//! once. Keys name objects: `NAME` or `secret/NAME`, `key/NAME` (a JSON Web Key), `cert/NAME` (DER).
//!
//! [`Keys`] encrypts and decrypts with a vault's keys, which never leave it; [`Registries`] logs in to Azure's registries of images by the same identities.

#![forbid(unsafe_code)]

mod answer;
mod assertion;
mod challenge;
#[cfg(feature = "push")]
mod imports;
mod keys;
mod login;
mod name;
#[cfg(feature = "push")]
mod push;
mod registries;
mod settings;
mod tokens;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream;
use strongroom_failure::{Class, Failure};
use strongroom_http::{Client, HeaderValue, Method, Request, Response, StatusCode, Uri, header, secret_header};
use strongroom_provider::{
    Answer, Call, Find, Found, Limits, Meter, Outcome, Provider, RemoteKey, SecretBytes, Shared, Validation, one_by_one,
};
#[cfg(feature = "push")]
use strongroom_provider::{DeleteAnswer, Place, Push, PushAnswer};

pub use crate::keys::{Algorithm, Encrypted, KeyName, Keys};
pub use crate::registries::{Registries, RegistryLogin, RegistrySettings};
pub use crate::settings::{Cloud, Credentials, Form, ManagedEndpoint, Settings, Timeouts, TokenFile, Vaults};

use crate::answer::{Described, Page};
use crate::login::Login;
use crate::name::{Kind, ObjectName};
use crate::settings::Vault;
use crate::tokens::{Token, Tokens};

/// The version of the interface that is spoken, which all of Microsoft's clouds know.
const VERSION: &str = "7.4";

/// What a search calls.
const LIST: &str = "keyvault:GetSecrets";

/// Reads under way at once: as many as the client keeps connections for.
const CONCURRENCY: usize = 32;

/// The largest answer that is read, in bytes: a secret has 25 KiB at most, a page of 25 secrets with all the tags that
/// they can have 200 KiB.
const BODY_LIMIT: usize = 1024 * 1024;

/// The most pages of one search: 25,000 secrets, the whole quota of reads for ten seconds. Whoever has more names keys.
const PAGES: usize = 1000;

/// One vault, opened for one identity.
pub struct KeyVault {
    settings: Settings,
    vault: Vault,
    client: Client,
    tokens: Tokens,
    resource: Shared<String>,
    meter: Arc<Meter>,
}

impl KeyVault {
    /// Opens the vault: reads nothing and asks nothing of the network.
    ///
    /// # Errors
    /// Where a setting or the credentials cannot be used.
    pub fn open(settings: Settings, meter: Arc<Meter>) -> Result<Self, Failure> {
        let vault = settings.vault()?;
        let (tls, proxy) = (settings.tls.clone(), settings.proxy.clone());
        let client = settings.timeouts.client(tls, proxy, settings.addresses, BODY_LIMIT)?;
        let login = Login::new(&settings.credentials, &settings.cloud.login, &client)?;
        let tokens = Tokens::new(Arc::new(login), Arc::clone(&meter));
        Ok(Self { settings, vault, client, tokens, resource: Shared::default(), meter })
    }

    async fn answer(&self, key: &RemoteKey) -> Answer {
        let read = self.read_one(key).await;
        read.map_err(|failure| failure.on_key(&key.name).from_store(self.describe()))
    }

    async fn read_one(&self, key: &RemoteKey) -> Answer {
        let name = ObjectName::parse(key)?;
        let address = format!("{}/{}?api-version={VERSION}", self.vault.base, name.path());
        let response = self.get(&address, name.kind, name.kind.operation()).await?;
        answer::value(response.body.expose(), &name, key.facet, self.settings.form)
    }

    /// A successful answer, with one fresh token where the vault refuses the first.
    async fn get(&self, address: &str, kind: Kind, operation: &'static str) -> Result<Response, Failure> {
        self.exchange(Method::GET, address, &SecretBytes::default(), kind, operation).await
    }

    /// The same for any request.
    async fn exchange(
        &self,
        method: Method,
        address: &str,
        body: &SecretBytes,
        kind: Kind,
        operation: &'static str,
    ) -> Result<Response, Failure> {
        let (response, token) = self.ask_twice(method, address, body, operation).await?;
        if response.status.is_success() {
            return Ok(response);
        }
        Err(answer::refusal(&response, kind, &[&token.secret]))
    }

    /// An answer, with one fresh token where the vault refuses the first; and the token that was used.
    async fn ask_twice(
        &self,
        method: Method,
        address: &str,
        body: &SecretBytes,
        operation: &'static str,
    ) -> Result<(Response, Token), Failure> {
        let request = || request(method.clone(), address, body);
        let resource = self.resource().await?;
        let token = self.tokens.current(&resource).await?;
        let response = self.ask(request()?, Some(&token), operation).await?;
        if response.status != StatusCode::UNAUTHORIZED {
            return Ok((response, token));
        }
        tracing::debug!("Azure Key Vault refuses the access token; asking for another");
        let token = self.tokens.instead_of(&token, &resource).await?;
        Ok((self.ask(request()?, Some(&token), operation).await?, token))
    }

    async fn ask(
        &self,
        mut request: Request<SecretBytes>,
        token: Option<&Token>,
        operation: &'static str,
    ) -> Result<Response, Failure> {
        if let Some(token) = token {
            request.headers_mut().insert(header::AUTHORIZATION, secret_header("Bearer ", &token.secret)?);
        }
        let result = self.client.send(request).await;
        let answered = matches!(&result, Ok(response) if is_answer(response.status));
        self.meter.record(operation, if answered { Outcome::Answered } else { Outcome::Failed });
        Ok(result?)
    }

    /// What tokens for this vault must be for; asked of the vault itself where the cloud does not say.
    async fn resource(&self) -> Result<String, Failure> {
        match &self.settings.cloud.vaults {
            Vaults::Below(domain) => Ok(format!("https://{domain}")),
            Vaults::Asked(named) => self.resource.get(|_| true, self.asked_resource(named.as_deref())).await,
        }
    }

    async fn asked_resource(&self, named: Option<&str>) -> Result<String, Failure> {
        let address = format!("{}/secrets?api-version={VERSION}&maxresults=1", self.vault.base);
        let question = request(Method::GET, &address, &SecretBytes::default())?;
        let response = self.ask(question, None, LIST).await?;
        if response.status != StatusCode::UNAUTHORIZED {
            return Err(answer::refusal(&response, Kind::Secret, &[]));
        }
        challenge::resource(&response.headers, &self.vault.host, named).ok_or_else(|| {
            let words = "the vault does not say which tokens it takes, or asks for those of another domain";
            Failure::new(Class::Invalid, words).with_hint("name that domain in customCloudConfig.keyVaultEndpoint")
        })
    }

    async fn search(&self, query: &Find) -> Result<Vec<Found>, Failure> {
        if query.path.as_deref().is_some_and(|path| !path.is_empty()) {
            let words = "a vault has no paths to search below; search by name";
            return Err(Failure::new(Class::Invalid, words).in_field("find.path"));
        }
        let mut found = Vec::new();
        // The whole address is kept as the vault gave it: its links carry marks of their own.
        let mut next = Some(format!("{}/secrets?api-version={VERSION}&maxresults=25", self.vault.base));
        for _ in 0..PAGES {
            let Some(address) = next else { return Ok(found) };
            let response = self.get(&address, Kind::Secret, LIST).await?;
            let page: Page = answer::read(response.body.expose())?;
            found.extend(page.value.iter().filter_map(|secret| fitting(secret, query)));
            next = page.next.filter(|link| !link.is_empty());
            if next.as_deref().is_some_and(|link| !self.is_own(link)) {
                return Err(Failure::new(Class::Invalid, "the vault continues its list at another host"));
            }
        }
        let words = format!("the vault has more than {} secrets, too many to search", PAGES * 25);
        Err(Failure::new(Class::Invalid, words).with_hint("name the keys instead"))
    }

    /// Whether a link leads back to the vault: a token goes nowhere else.
    fn is_own(&self, link: &str) -> bool {
        let without_port = |authority: &str| authority.strip_suffix(":443").unwrap_or(authority).to_ascii_lowercase();
        link.parse::<Uri>().is_ok_and(|link| {
            let authority = link.authority().map(|authority| without_port(authority.as_str()));
            link.scheme_str() == Some("https") && authority == Some(without_port(&self.vault.authority))
        })
    }
}

fn request(method: Method, address: &str, body: &SecretBytes) -> Result<Request<SecretBytes>, Failure> {
    let mut request = Request::builder()
        .method(method)
        .uri(address)
        .body(body.clone())
        .map_err(|_| Failure::new(Class::Invalid, "this is no address of the vault"))?;
    if !body.is_empty() {
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Ok(request)
}

/// The secret of a list where it fits `query` and can be read.
fn fitting(secret: &Described, query: &Find) -> Option<Found> {
    let name = secret.id.as_deref()?.rsplit('/').next()?;
    let tag = |name: &String| secret.tags.as_ref()?.get(name)?.as_deref();
    let fits = secret.attributes.enabled == Some(true)
        && query.name.as_ref().is_none_or(|pattern| pattern.is_match(name))
        && query.tags.iter().all(|(name, value)| tag(name) == Some(value));
    fits.then(|| Found { name: name.to_owned(), key: RemoteKey::current(name), value: None })
}

/// Whether the vault did its work, though the key may be missing or forbidden.
fn is_answer(status: StatusCode) -> bool {
    status.is_success()
        || matches!(
            status,
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND
        )
}

#[async_trait]
impl Provider for KeyVault {
    fn describe(&self) -> String {
        format!("Azure Key Vault ({})", self.vault.authority)
    }

    fn identity(&self) -> String {
        self.tokens.identity()
    }

    /// A vault answers 2,000 reads in any ten seconds (4,000 of secrets and of most keys), whoever asks: 1,000 at once
    /// and 100 a second after that stay within it.
    fn limits(&self) -> Limits {
        Limits { concurrency: CONCURRENCY, rate: 100.0, burst: 1000 }
    }

    fn plan(&self, keys: &[RemoteKey]) -> Vec<Call> {
        // A key that names nothing costs no call; it is answered all the same.
        let operation = |key: &RemoteKey| ObjectName::parse(key).map_or(Kind::Secret, |name| name.kind).operation();
        one_by_one(keys, |key| operation(key).to_owned())
    }

    async fn read(&self, keys: &[RemoteKey]) -> Vec<Answer> {
        // Boxed: the state of one read is large, and many are kept.
        let reads =
            keys.iter().map(|key| -> futures_util::future::BoxFuture<'_, Answer> { Box::pin(self.answer(key)) });
        stream::iter(reads.collect::<Vec<_>>()).buffered(CONCURRENCY).collect().await
    }

    /// Secrets by name and tags; disabled ones are left out. Keys and certificates are not searched.
    async fn find(&self, query: &Find) -> Result<Vec<Found>, Failure> {
        Box::pin(self.search(query)).await.map_err(|failure| failure.from_store(self.describe()))
    }

    #[cfg(feature = "push")]
    async fn push(&self, pushes: &[Push]) -> Vec<PushAnswer> {
        self.push_all(pushes).await
    }

    #[cfg(feature = "push")]
    async fn delete(&self, places: &[Place]) -> Vec<DeleteAnswer> {
        self.delete_all(places).await
    }

    async fn validate(&self) -> Result<Validation, Failure> {
        let proven = async { self.tokens.current(&self.resource().await?).await };
        let proven = Box::pin(proven).await;
        proven.map(|_| Validation::Valid).map_err(|failure| failure.from_store(self.describe()))
    }
}

//! Google Secret Manager: concurrent reads of secret versions, and searches by name and labels, as the identity that
//! Google's own tools would use or as one that is given.
//!
//! One read is one GET (`projects/P/secrets/S/versions/V:access`) over the one client stack of `edge/http`; tokens come
//! from Application Default Credentials ([`Settings`]). Never retries by itself, except that a token which the store
//! refuses is replaced once. Keys name secrets: `projects/P/secrets/S`,
//! `projects/P/locations/L/secrets/S`, or `S` alone in the project of the settings, else of the metadata server.
//!
//! A [`Subscription`] of Pub/Sub, through which the store tells of changes, is pulled by the same identity;
//! [`AccessTokens`] gives its tokens to who logs in elsewhere at Google's; [`KeyManagement`] encrypts and decrypts with
//! keys of Cloud KMS.

#![forbid(unsafe_code)]

mod access;
mod answer;
mod cluster;
mod credentials;
mod grants;
mod keys;
mod metadata;
mod name;
mod opened;
#[cfg(feature = "push")]
mod push;
mod search;
mod settings;
mod signature;
mod subscription;
mod tokens;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream;
use strongroom_failure::{Class, Failure};
use strongroom_http::{Client, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header, secret_header};
use strongroom_provider::{
    Answer, Call, Facet, Find, Found, Limits, Meter, Outcome, Provider, RemoteKey, RemoteValue, SecretBytes, Shared,
    Validation, one_by_one,
};
#[cfg(feature = "push")]
use strongroom_provider::{DeleteAnswer, Place, Push, PushAnswer};

pub use crate::access::{AccessToken, AccessTokens};
pub use crate::cluster::Cluster;
pub use crate::keys::KeyManagement;
pub use crate::settings::{Credentials, Exchange, Federation, ProxySettings, Settings, Timeouts};
pub use crate::subscription::{Notification, Subscription};

use crate::metadata::Metadata;
use crate::name::SecretName;
use crate::opened::Opened;
use crate::tokens::{Token, Tokens};

/// What a read calls, and what must be allowed.
const ACCESS: &str = "secretmanager.versions.access";

/// The same for labels and annotations.
const DESCRIBE: &str = "secretmanager.secrets.get";

/// Reads under way at once: as many as the client keeps connections for.
const CONCURRENCY: usize = 32;

/// The largest answer that is read, in bytes: a payload of 64 KiB, the store's largest, is 87,384 bytes in base64.
const BODY_LIMIT: usize = 128 * 1024;

/// Google Secret Manager, opened for one identity.
pub struct SecretManager {
    settings: Settings,
    client: Client,
    /// For lists, whose answers are larger.
    lists: Client,
    metadata: Metadata,
    tokens: Tokens,
    project: Shared<String>,
    quota_project: Option<HeaderValue>,
    universe: String,
    meter: Arc<Meter>,
}

impl SecretManager {
    /// Opens the store: reads the credentials' file, asks nothing of the network.
    ///
    /// # Errors
    /// Where a setting or the credentials cannot be used; the field says which.
    pub fn open(settings: Settings, meter: Arc<Meter>) -> Result<Self, Failure> {
        let Opened { metadata, source, universe, quota_project } = Opened::of(&settings)?;
        let client = Client::new(settings.client(BODY_LIMIT)?)?;
        let lists = Client::new(settings.client(search::BODY_LIMIT)?)?;
        let tokens = Tokens::new(source, client.clone(), metadata.clone(), Arc::clone(&meter));
        let project = Shared::default();
        Ok(Self { settings, client, lists, metadata, tokens, project, quota_project, universe, meter })
    }

    async fn answer(&self, key: &RemoteKey) -> Answer {
        let read = self.access(key).await;
        read.map_err(|failure| failure.on_key(&key.name).from_store(self.describe()))
    }

    async fn access(&self, key: &RemoteKey) -> Answer {
        let name = SecretName::parse(key, self.settings.location.as_deref(), self.settings.is_confined)?;
        let project = match &name.project {
            Some(project) => project.clone(),
            None => self.ambient_project(&format!("failed to get secret \"{}\" from", name.secret)).await?,
        };
        let endpoint = self.endpoint(name.location.as_deref());
        if key.facet == Facet::Metadata {
            let address = format!("{endpoint}/v1/{}", name.secret_resource(&project));
            let response = self.get(&self.client, DESCRIBE, &address).await?;
            return Ok(RemoteValue::new(answer::metadata(response.body.expose())?, None));
        }
        let address = format!("{endpoint}/v1/{}:access", name.resource(&project));
        let (mut response, mut token) = self.ask_twice(&self.client, ACCESS, &address).await?;
        if self.settings.latest_enabled && key.version.is_none() && answer::is_out_of_use(&response) {
            let secret = format!("{endpoint}/v1/{}", name.secret_resource(&project));
            if let Some(number) = self.newest_enabled(&secret).await? {
                let address = format!("{secret}/versions/{number}:access");
                (response, token) = self.ask_twice(&self.client, ACCESS, &address).await?;
            }
        }
        let response = self.understand(response, ACCESS, &token)?;
        let (value, version) = answer::payload(response.body.expose())?;
        Ok(RemoteValue::new(value, version))
    }

    /// A successful answer.
    async fn get(&self, client: &Client, operation: &'static str, address: &str) -> Result<Response, Failure> {
        let (response, token) = self.ask_twice(client, operation, address).await?;
        self.understand(response, operation, &token)
    }

    /// An answer, with one fresh token where the store refuses the first; and the token that was used.
    async fn ask_twice(
        &self,
        client: &Client,
        operation: &'static str,
        address: &str,
    ) -> Result<(Response, Token), Failure> {
        self.ask_twice_with(client, operation, Method::GET, address, &SecretBytes::default()).await
    }

    /// The same for a question that has a body.
    async fn ask_twice_with(
        &self,
        client: &Client,
        operation: &'static str,
        method: Method,
        address: &str,
        body: &SecretBytes,
    ) -> Result<(Response, Token), Failure> {
        let request = || self.request(method.clone(), address, body);
        let token = self.tokens.current().await?;
        let response = self.ask(client, operation, request()?, &token).await?;
        if response.status != StatusCode::UNAUTHORIZED {
            return Ok((response, token));
        }
        tracing::debug!("Google refuses the access token; asking for another");
        let token = self.tokens.instead_of(&token).await?;
        Ok((self.ask(client, operation, request()?, &token).await?, token))
    }

    fn request(&self, method: Method, address: &str, body: &SecretBytes) -> Result<Request<SecretBytes>, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(address)
            .body(body.clone())
            .map_err(|_| Failure::new(Class::Invalid, "the endpoint is not an address").in_field("endpoint"))?;
        if !body.is_empty() {
            request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(project) = &self.quota_project {
            request.headers_mut().insert(HeaderName::from_static("x-goog-user-project"), project.clone());
        }
        Ok(request)
    }

    async fn ask(
        &self,
        client: &Client,
        operation: &'static str,
        mut request: Request<SecretBytes>,
        token: &Token,
    ) -> Result<Response, Failure> {
        request.headers_mut().insert(header::AUTHORIZATION, secret_header("Bearer ", &token.secret)?);
        let result = client.send(request).await;
        let answered = matches!(&result, Ok(response) if is_answer(response.status));
        self.meter.record(operation, if answered { Outcome::Answered } else { Outcome::Failed });
        Ok(result?)
    }

    fn understand(&self, response: Response, operation: &str, token: &Token) -> Result<Response, Failure> {
        if response.status.is_success() {
            return Ok(response);
        }
        let failure = answer::refusal(&response, &[&token.secret]);
        let identity = self.identity();
        Err(match (failure.class, operation) {
            (Class::Denied, ACCESS) => failure.with_hint(format!(
                "grant roles/secretmanager.secretAccessor on the secret to {identity}, or make the reference optional"
            )),
            (Class::Denied, operation) => {
                failure.with_hint(format!("grant roles/secretmanager.viewer ({operation}) to {identity}"))
            }
            (Class::Unauthenticated, _) => failure.with_hint(format!("look at the credentials: {identity}")),
            _ => failure,
        })
    }

    /// The project of a key that names none: the metadata server's, asked when it is first needed. `what` begins the
    /// words of a failure.
    async fn ambient_project(&self, what: &str) -> Result<String, Failure> {
        if let Some(project) = &self.settings.project {
            return Ok(project.clone());
        }
        let found = self.project.get(|_| true, self.metadata.project()).await;
        found.map_err(|failure| {
            // The words are those that people who come from secrets-init look for.
            let words = format!("{what} Google Secret Manager (unknown project)");
            Failure::new(failure.class, words).with_hint(format!(
                "name the project in the reference or in GOOGLE_CLOUD_PROJECT; {} does not tell it: {}",
                self.settings.metadata_host(),
                failure.words
            ))
        })
    }

    /// Where a secret is asked for: regional secrets are served in their region only.
    fn endpoint(&self, location: Option<&str>) -> String {
        let universe = &self.universe;
        match (&self.settings.endpoint, location) {
            (Some(endpoint), _) => endpoint.trim_end_matches('/').to_owned(),
            (None, Some(location)) => format!("https://secretmanager.{location}.rep.{universe}"),
            (None, None) => format!("https://secretmanager.{universe}"),
        }
    }
}

/// Whether the store did its work, though the key may be missing or forbidden.
fn is_answer(status: StatusCode) -> bool {
    status.is_success() || matches!(status, StatusCode::BAD_REQUEST | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND)
}

#[async_trait]
impl Provider for SecretManager {
    fn describe(&self) -> String {
        let Settings { project, location, .. } = &self.settings;
        match (project, location) {
            (None, None) => "Google Secret Manager".to_owned(),
            (Some(project), None) => format!("Google Secret Manager (project {project})"),
            (None, Some(location)) => format!("Google Secret Manager ({location})"),
            (Some(project), Some(location)) => format!("Google Secret Manager (project {project}, {location})"),
        }
    }

    fn identity(&self) -> String {
        self.tokens.identity()
    }

    /// Google allows a project 90,000 accesses a minute, shared by everything in it: one store takes at most half.
    fn limits(&self) -> Limits {
        Limits { concurrency: CONCURRENCY, rate: 750.0, burst: 750 }
    }

    fn plan(&self, keys: &[RemoteKey]) -> Vec<Call> {
        let operation = |facet| match facet {
            Facet::Value => ACCESS,
            Facet::Metadata => DESCRIBE,
        };
        one_by_one(keys, |key| operation(key.facet).to_owned())
    }

    async fn read(&self, keys: &[RemoteKey]) -> Vec<Answer> {
        // Boxed: the state of one read is large, and many are kept.
        let reads =
            keys.iter().map(|key| -> futures_util::future::BoxFuture<'_, Answer> { Box::pin(self.answer(key)) });
        stream::iter(reads.collect::<Vec<_>>()).buffered(CONCURRENCY).collect().await
    }

    /// Secrets by the beginning of their names (`path`), by name and by labels, in the project and region of the
    /// settings.
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
        let proven = Box::pin(self.tokens.current()).await;
        proven.map(|_| Validation::Valid).map_err(|failure| failure.from_store(self.describe()))
    }
}

use std::future::Future;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt, stream};
use strongroom_failure::{Class, Failure};
use strongroom_http::{Method, json_body};
use strongroom_provider::{
    Answer, Call, Facet, Find, Found, Lease, Limits, Meter, Provider, RemoteKey, RemoteValue, SecretBytes, Validation,
    one_by_one,
};
#[cfg(feature = "push")]
use strongroom_provider::{DeleteAnswer, Place, Push, PushAnswer};

use crate::api::{Api, Ask, Query, failure_of};
use crate::mounts::{Mounts, check_engine};
use crate::path::{Form, Target, target};
use crate::session::{Session, Token};
use crate::{Settings, answer, leases, metadata};

/// Reads under way at once. Neither system has a limit of its own; this is what one connection pool keeps open.
const CONCURRENCY: usize = 32;

/// One HashiCorp Vault or OpenBao, for one identity.
#[derive(Debug)]
pub struct Vault {
    pub(crate) settings: Settings,
    pub(crate) api: Api,
    pub(crate) session: Session,
    pub(crate) mounts: Mounts,
}

impl Vault {
    /// Checks the settings; nothing is read and nobody asked before the first key is.
    ///
    /// # Errors
    /// Where the settings cannot be used: an address that is none, a header that cannot be sent.
    pub fn open(settings: Settings, meter: Arc<Meter>) -> Result<Self, Failure> {
        let api = Api::open(&settings, meter)?;
        let session = Session::new(settings.auth.clone());
        Ok(Self { settings, api, session, mounts: Mounts::default() })
    }

    async fn answer(&self, key: &RemoteKey) -> Answer {
        let about = |failure: Failure| failure.on_key(&key.name).from_store(self.describe());
        let target = target(key, &self.settings).map_err(about)?;
        let asks_for_token = target.form == Form::Plain && target.path == LOOK_UP_SELF;
        match self.read_with_fresh_token(target).await {
            Err(failure) if failure.class == Class::Denied && asks_for_token => self.own_token().await.map_err(about),
            answer => answer.map_err(about),
        }
    }

    /// What we know ourselves of the token that a policy keeps from looking itself up (the default policy allows it):
    /// the token, as the look-up would name it. Who is denied to ask still has what bank-vaults' `vault:login` is for.
    async fn own_token(&self) -> Result<RemoteValue, Failure> {
        #[derive(serde::Serialize)]
        struct LookedUp<'a> {
            id: &'a str,
        }
        let token = self.session.token(&self.api).await?;
        let not_text = || Failure::new(Class::Unauthenticated, "the token is not text");
        let id = token.value.expose_text().ok_or_else(not_text)?;
        Ok(RemoteValue::new(json_body(&LookedUp { id })?, None))
    }

    async fn read_with_fresh_token(&self, target: Target) -> Result<RemoteValue, Failure> {
        self.with_fresh_token(|token| {
            let target = target.clone();
            async move { self.read_once(target, &token).await }
        })
        .await
    }

    /// A refused token is replaced, and the question tried with its successor, once.
    pub(crate) async fn with_fresh_token<T, F>(&self, ask: impl Fn(Arc<Token>) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let token = self.session.token(&self.api).await?;
        let failure = match ask(Arc::clone(&token)).await {
            Err(failure) if failure.class == Class::Denied => failure,
            result => return result,
        };
        match self.session.after_refusal(&self.api, &token).await? {
            Some(fresh) => ask(fresh).await,
            None => Err(failure),
        }
    }

    async fn read_once(&self, target: Target, token: &Token) -> Result<RemoteValue, Failure> {
        let target = self.mounts.settle(&self.api, target, &token.value).await?;
        check_engine(&target)?;
        let mut ask = Ask::get("vault:read", &target.path, &token.value);
        match (&target.form, target.facet, target.version) {
            (Form::Write(body), ..) => {
                let body = SecretBytes::from(body.clone());
                ask = Ask { operation: "vault:write", method: Method::POST, body, ..ask };
            }
            (_, Facet::Metadata, _) => ask.operation = "vault:metadata",
            (_, Facet::Value, Some(version)) => ask.query = Query::Version(version),
            (_, Facet::Value, None) => {}
        }
        let response = self.api.send(ask).await?;
        if response.status.is_success() {
            return match target.facet {
                Facet::Value => {
                    let value = answer::value(&response.body, &target)?;
                    let is_made = matches!(target.form, Form::Write(_));
                    Ok(self.with_lease(value, is_made, &response.body, token).await)
                }
                Facet::Metadata => metadata::value(&response),
            };
        }
        let failure = failure_of(&response, &[&token.value]);
        Err(match failure.class {
            Class::NotFound => self.not_found(&response.body, &target, failure),
            Class::Denied => denied(&target, &failure.words),
            _ => failure,
        })
    }

    /// The value with what its answer says of a lease: KV version 2, which tells a version, lends nothing.
    async fn with_lease(&self, value: RemoteValue, is_made: bool, body: &SecretBytes, token: &Token) -> RemoteValue {
        match leases::lent(body, token.login()).filter(|_| value.version.is_none()) {
            Some(lease) => RemoteValue { lease: Some(self.hung(lease, token).await), ..value },
            None if is_made => RemoteValue { lease: leases::expiring(body, token.login(), SystemTime::now()), ..value },
            None => value,
        }
    }

    /// Where the settings name mount and version, and the server tells what it has there, the two must fit.
    async fn check_mount(&self) -> Result<(), Failure> {
        let (Some(mount), Some(version)) = (&self.settings.mount, self.settings.kv_version) else { return Ok(()) };
        let token = self.session.token(&self.api).await?;
        let Some(found) = self.mounts.of(&self.api, mount.trim_matches('/'), &token.value).await? else {
            return Ok(());
        };
        match found.version {
            Some(found) if found == version => Ok(()),
            Some(found) => {
                let words = format!("{mount} is KV version {found}, and the store says that it is version {version}");
                Err(Failure::new(Class::Invalid, words))
            }
            None => Err(Failure::new(Class::Invalid, format!("{mount} is mounted, but it is no KV engine"))),
        }
    }

    /// The server's own words win where it has some: that nothing is mounted there, or how the path is wrong.
    fn not_found(&self, body: &SecretBytes, target: &Target, failure: Failure) -> Failure {
        if failure.words.contains(NO_ENGINE) {
            return no_engine(&target.path, failure);
        }
        let meant = match target.facet {
            Facet::Value => answer::not_found(body, target),
            Facet::Metadata => Failure::new(Class::NotFound, format!("there is no secret at the path {}", target.path)),
        };
        match failure.words.starts_with("the server answered") {
            true => meant,
            false => Failure { words: format!("{}: {}", meant.words, failure.words), ..meant },
        }
    }
}

/// Where a token is told about itself.
pub(crate) const LOOK_UP_SELF: &str = "auth/token/lookup-self";

/// How both servers say that no engine answers for a path.
pub(crate) const NO_ENGINE: &str = "no handler for route";

pub(crate) fn no_engine(path: &str, failure: Failure) -> Failure {
    Failure { words: format!("no secrets engine is mounted at {path} (or not in this namespace)"), ..failure }
}

fn denied(target: &Target, words: &str) -> Failure {
    match target.form {
        Form::Write(_) => refused("write to", &target.path, "update", words),
        _ => refused("read", &target.path, "read", words),
    }
}

pub(crate) fn refused(verb: &str, path: &str, capability: &str, words: &str) -> Failure {
    Failure::new(Class::Denied, format!("access denied: the token may not {verb} {path} ({words})"))
        .with_hint(format!("allow it in the token's policy: path \"{path}\" {{ capabilities = [\"{capability}\"] }}"))
}

#[async_trait]
impl Provider for Vault {
    fn describe(&self) -> String {
        match &self.settings.namespace {
            Some(namespace) => format!("Vault ({}, namespace {})", self.api.base(), namespace.trim_matches('/')),
            None => format!("Vault ({})", self.api.base()),
        }
    }

    fn identity(&self) -> String {
        self.session.auth().to_string()
    }

    fn limits(&self) -> Limits {
        // Neither system limits by itself. 500 a second is what a small server of the test world answers with ease;
        // rate-limit quotas of a real one answer 429, which is honoured.
        Limits { concurrency: CONCURRENCY, rate: 500.0, burst: 500 }
    }

    fn plan(&self, keys: &[RemoteKey]) -> Vec<Call> {
        one_by_one(keys, |key| match target(key, &self.settings) {
            Ok(target) => {
                let method = if matches!(target.form, Form::Write(_)) { Method::POST } else { Method::GET };
                let path = self.mounts.settled(&target).filter(|_| target.form == Form::Unknown).unwrap_or(target).path;
                format!("{method} {path}")
            }
            Err(_) => format!("GET {}", key.name),
        })
    }

    async fn read(&self, keys: &[RemoteKey]) -> Vec<Answer> {
        let reads: Vec<_> = keys.iter().map(|key| self.answer(key).boxed()).collect();
        stream::iter(reads).buffered(CONCURRENCY).collect().await
    }

    async fn renew(&self, lease: &Lease) -> Result<Lease, Failure> {
        self.renew_lent(lease).await.map_err(|failure| failure.from_store(self.describe()))
    }

    async fn find(&self, query: &Find) -> Result<Vec<Found>, Failure> {
        self.search(query).await.map_err(|failure| failure.from_store(self.describe()))
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
        let about = |failure: Failure| failure.from_store(self.describe());
        self.session.prove(&self.api).await.map_err(about)?;
        self.check_mount().await.map_err(about)?;
        Ok(Validation::Valid)
    }
}

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt, stream};
use strongroom_failure::{Class, Failure};
use strongroom_http::Method;
use strongroom_provider::{Answer, Call, Limits, Meter, Provider, RemoteKey, RemoteValue, SecretBytes, one_by_one};

use crate::api::{Api, Ask, failure_of};
use crate::mounts::{Mounts, check_version};
use crate::path::{Form, Target, target};
use crate::session::{Session, Token};
use crate::{Settings, answer};

/// Reads under way at once. Neither system has a limit of its own; this is what one connection pool keeps open.
const CONCURRENCY: usize = 32;

/// One HashiCorp Vault or OpenBao, for one identity.
#[derive(Debug)]
pub struct Vault {
    settings: Settings,
    api: Api,
    session: Session,
    mounts: Mounts,
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
        self.read_with_fresh_token(target).await.map_err(about)
    }

    /// A refused token is replaced, and the read tried with its successor, once.
    async fn read_with_fresh_token(&self, target: Target) -> Result<RemoteValue, Failure> {
        let token = self.session.token(&self.api).await?;
        let failure = match self.read_once(target.clone(), &token).await {
            Err(failure) if failure.class == Class::Denied => failure,
            result => return result,
        };
        match self.session.after_refusal(&self.api, &token).await? {
            Some(fresh) => self.read_once(target, &fresh).await,
            None => Err(failure),
        }
    }

    async fn read_once(&self, target: Target, token: &Token) -> Result<RemoteValue, Failure> {
        let target = self.mounts.settle(&self.api, target, &token.value).await?;
        check_version(&target)?;
        let mut ask = Ask { version: target.version, ..Ask::get("vault:read", &target.path, &token.value) };
        if let Form::Write(body) = &target.form {
            let body = SecretBytes::from(body.clone());
            ask = Ask { operation: "vault:write", method: Method::POST, body, ..ask };
        }
        let response = self.api.send(ask).await?;
        if response.status.is_success() {
            return answer::value(&response.body, &target);
        }
        let failure = failure_of(&response, &[&token.value]);
        Err(match failure.class {
            Class::NotFound => self.not_found(&response.body, &target, failure),
            Class::Denied => denied(&target, &failure.words),
            _ => failure,
        })
    }

    /// The server's own words win where it has some: that nothing is mounted there, or how the path is wrong.
    fn not_found(&self, body: &SecretBytes, target: &Target, failure: Failure) -> Failure {
        if failure.words.contains("no handler for route") {
            let words = format!("no secrets engine is mounted at {} (or not in this namespace)", target.path);
            return Failure { words, ..failure };
        }
        let meant = answer::not_found(body, target);
        match failure.words.starts_with("the server answered") {
            true => meant,
            false => Failure { words: format!("{}: {}", meant.words, failure.words), ..meant },
        }
    }
}

fn denied(target: &Target, words: &str) -> Failure {
    let (verb, capability) = match target.form {
        Form::Write(_) => ("write to", "update"),
        _ => ("read", "read"),
    };
    let path = &target.path;
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
}

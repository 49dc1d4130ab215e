//! Asking one endpoint for one repository as somebody: Basic, tokens, or nothing.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use strongroom_failure::{Class, Failure, outside_words};
use strongroom_http::{HeaderValue, Method, Response, StatusCode, Uri, form_body, secret_header};
use strongroom_secret::SecretBytes;
use tokio::time::Instant;

use crate::bytes::is_shallow;
use crate::challenge::{Challenge, wanted};
use crate::credential::{Credential, Identity, Login};
use crate::endpoint::Endpoint;
use crate::lru::Lru;
use crate::transport::{Answer, Ask, Transport};

/// How many tokens are kept; one is needed for each repository and identity, and lives some minutes.
const TOKENS: usize = 1024;

/// The most that all of them take, in bytes; those of clouds have up to 4 KiB each.
const TOKEN_BYTES: usize = 4 << 20;

/// How long a token is good that does not say so (Docker's token specification).
const TOKEN_LIFE: u64 = 60;

/// The longest that a token is kept, in seconds, whatever it says: what it may do may have changed.
const LONGEST_TOKEN_LIFE: u64 = 3600;

/// A token is not used in its last seconds: it must still be good when the registry looks at it.
const TOKEN_MARGIN: u64 = 10;

const HINT_SECRET: &str = "add an imagePullSecret that opens it to the pod or its service account";

/// Which login opens what.
pub(crate) struct Grants(Mutex<Lru<GrantKey, Grant>>);

#[derive(Clone, PartialEq, Eq, Hash)]
struct GrantKey {
    base: String,
    repository: String,
    identity: Identity,
}

#[derive(Clone)]
enum Grant {
    /// The credential's own user and password.
    Basic,
    /// A token, until it runs out.
    Bearer(SecretBytes, Instant),
}

impl Grants {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Lru::new(TOKENS, TOKEN_BYTES)))
    }

    fn with<T>(&self, action: impl FnOnce(&mut Lru<GrantKey, Grant>) -> T) -> T {
        action(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn find(&self, key: &GrantKey) -> Option<Grant> {
        let is_good = |grant: &Grant| !matches!(grant, Grant::Bearer(_, until) if *until <= Instant::now());
        self.with(|grants| grants.get(key)).filter(is_good)
    }

    fn keep(&self, key: GrantKey, grant: Grant) {
        let token = if let Grant::Bearer(token, _) = &grant { token.len() } else { 0 };
        let bytes = key.base.len() + key.repository.len() + token + 128;
        self.with(|grants| grants.insert(key, grant, bytes));
    }
}

/// One endpoint, one repository, and who asks.
pub(crate) struct Session<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) grants: &'a Grants,
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) repository: &'a str,
    /// Nobody where there is none.
    pub(crate) credential: Option<&'a Credential>,
}

impl Session<'_> {
    /// The answer to `method` on `path` of the repository, once it is a success.
    pub(crate) async fn ask(&self, method: Method, path: &str, accept: &'static str) -> Result<Response, Failure> {
        let key = self.grant_key();
        let known = self.grants.find(&key);
        let answer = self.send(&method, path, accept, known.as_ref()).await?;
        if answer.response.status != StatusCode::UNAUTHORIZED || !answer.is_asked {
            return self.succeeded(answer);
        }
        self.grants.with(|grants| grants.remove(&key));
        let grant = self.grant(&answer).await?;
        let again = self.send(&method, path, accept, Some(&grant)).await?;
        if again.response.status != StatusCode::UNAUTHORIZED {
            self.grants.keep(key, grant);
        }
        self.succeeded(again)
    }

    fn grant_key(&self) -> GrantKey {
        GrantKey {
            base: self.endpoint.base.clone(),
            repository: self.repository.to_owned(),
            identity: Identity::of(self.credential.into_iter()),
        }
    }

    async fn send(
        &self,
        method: &Method,
        path: &str,
        accept: &'static str,
        grant: Option<&Grant>,
    ) -> Result<Answer, Failure> {
        let (endpoint, method, form) = (self.endpoint, method.clone(), SecretBytes::default());
        let uri = endpoint.address(self.repository, path)?;
        let authorization = grant.map(|grant| self.header(grant)).transpose()?;
        self.transport.send(Ask { endpoint, method, uri, accept, authorization, form }).await
    }

    fn header(&self, grant: &Grant) -> Result<HeaderValue, Failure> {
        let unfit = || Failure::new(Class::Invalid, "the credential cannot be sent in a header");
        match grant {
            Grant::Basic => self.credential.and_then(Credential::basic_header).ok_or_else(unfit),
            Grant::Bearer(token, _) => Ok(secret_header("Bearer ", token)?),
        }
    }

    /// What the registry asks for, as far as the credential has it.
    async fn grant(&self, answer: &Answer) -> Result<Grant, Failure> {
        match wanted(&answer.response.headers) {
            Some(Challenge::Bearer { realm, service, scope }) => {
                self.token(&realm, service.as_deref(), scope.as_deref()).await
            }
            Some(Challenge::Basic) if self.credential.is_some_and(Credential::is_basic) => Ok(Grant::Basic),
            Some(Challenge::Basic) | None => Err(self.refused(answer)),
        }
    }

    /// A token of the service that the registry names. The service may be anywhere, as Docker Hub's is; the registry
    /// decides who learns the credentials that are for it.
    async fn token(&self, realm: &str, service: Option<&str>, scope: Option<&str>) -> Result<Grant, Failure> {
        let scope = self.scope(scope);
        let mut fields = vec![("scope", scope.as_str())];
        fields.extend(service.map(|service| ("service", service)));
        let answer = self.transport.send(self.token_ask(realm, &fields)?).await;
        let answer = answer.map_err(|failure| self.of_token_service(realm, failure))?;
        if answer.response.status != StatusCode::OK {
            return Err(self.of_token_service(realm, self.refused(&answer)));
        }
        let unfit = |words: &str| self.of_token_service(realm, Failure::new(Class::Invalid, words));
        if !is_shallow(answer.response.body.expose()) {
            return Err(unfit("the JSON of its answer is nested too deeply"));
        }
        let token: Token = answer.response.json().map_err(|error| self.of_token_service(realm, error.into()))?;
        let (text, seconds) = token.parts().ok_or_else(|| unfit("it gave no token"))?;
        // One that no header can carry is the service's fault.
        secret_header("Bearer ", &text).map_err(|error| self.of_token_service(realm, error.into()))?;
        let life = Duration::from_secs(seconds.min(LONGEST_TOKEN_LIFE).saturating_sub(TOKEN_MARGIN));
        Ok(Grant::Bearer(text, Instant::now() + life))
    }

    /// What the registry wants the token to be for, where that is reading alone; else reading this repository.
    fn scope(&self, asked: Option<&str>) -> String {
        let asked = asked.filter(|asked| asked.split(' ').all(|scope| scope.ends_with(":pull")));
        asked.map_or_else(|| format!("repository:{}:pull", self.repository), str::to_owned)
    }

    fn token_ask(&self, realm: &str, fields: &[(&str, &str)]) -> Result<Ask<'_>, Failure> {
        let unfit = || Failure::new(Class::Invalid, "the address of its token service cannot be read");
        let (endpoint, accept) = (self.endpoint, "application/json");
        if let Some(Login::Identity(token)) = self.credential.map(Credential::login) {
            let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
            let own = [
                ("grant_type", b"refresh_token".as_slice()),
                ("client_id", b"strongroom"),
                ("refresh_token", token.expose()),
            ];
            let form = form_body(&fields.chain(own).collect::<Vec<_>>());
            let uri = realm.parse().map_err(|_| unfit())?;
            return Ok(Ask { endpoint, method: Method::POST, uri, accept, authorization: None, form });
        }
        let encoded = |value: &str| utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
        let query: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let mark = if realm.contains('?') { '&' } else { '?' };
        let uri = format!("{realm}{mark}{}", query.join("&")).parse().map_err(|_| unfit())?;
        let authorization = self.credential.and_then(Credential::basic_header);
        Ok(Ask { endpoint, method: Method::GET, uri, accept, authorization, form: SecretBytes::default() })
    }

    fn of_token_service(&self, realm: &str, failure: Failure) -> Failure {
        let uri = realm.parse::<Uri>().ok();
        let host = uri.as_ref().and_then(Uri::host).unwrap_or("an unknown host");
        let words = format!("its token service {}: {}", outside_words(host, &self.secrets()), failure.words);
        Failure { words, ..failure }
    }

    fn succeeded(&self, answer: Answer) -> Result<Response, Failure> {
        if answer.response.status == StatusCode::OK { Ok(answer.response) } else { Err(self.refused(&answer)) }
    }

    /// Why an answer is no success.
    fn refused(&self, answer: &Answer) -> Failure {
        let status = answer.response.status;
        if !answer.is_asked {
            let words = format!("{}, to which it leads, answered HTTP {}", answer.authority, status.as_u16());
            return Failure::new(Class::Unavailable, words);
        }
        let is_known = self.credential.is_some();
        let (class, words) = match status.as_u16() {
            401 if is_known => (Class::Unauthenticated, "it refuses the credential".to_owned()),
            401 => (Class::Unauthenticated, "it wants a credential, and nobody has one for it".to_owned()),
            403 if is_known => (Class::Denied, "the credential may not pull it".to_owned()),
            403 => (Class::Denied, "it may not be pulled without a credential".to_owned()),
            404 if is_known => (Class::NotFound, "it is not there, or not for this credential".to_owned()),
            404 => (Class::NotFound, "it is not there, or not without a credential".to_owned()),
            429 => {
                let retry_after = answer.response.retry_after();
                (Class::Throttled { retry_after }, "too many requests: it asks for patience".to_owned())
            }
            500.. => (Class::Unavailable, format!("it could not answer (HTTP {status})", status = status.as_u16())),
            status => (Class::Invalid, format!("it answered HTTP {status}")),
        };
        let words = match self.message(&answer.response) {
            Some(message) => format!("{words} ({message})"),
            None => words,
        };
        let failure = Failure::new(class, words);
        match class {
            Class::Unauthenticated | Class::Denied | Class::NotFound => failure.with_hint(HINT_SECRET),
            Class::Throttled { .. } => failure.with_hint("pull with a login of your own, or set a mirror"),
            Class::Unavailable | Class::Invalid => failure,
        }
    }

    /// The registry's own words, from the one field that registries have for them.
    fn message(&self, response: &Response) -> Option<String> {
        let body = response.body.expose();
        let errors: Errors = is_shallow(body).then(|| serde_json::from_slice(body).ok()).flatten()?;
        let message = errors.errors.into_iter().next()?.message?;
        let words = outside_words(&message, &self.secrets());
        (!words.is_empty()).then_some(words)
    }

    fn secrets(&self) -> Vec<&SecretBytes> {
        self.credential.map(Credential::secrets).unwrap_or_default()
    }
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<f64>,
}

impl Token {
    /// The token, and how many seconds it is good for.
    fn parts(self) -> Option<(SecretBytes, u64)> {
        let given = |text: Option<String>| text.map(SecretBytes::from).filter(|text| !text.is_empty());
        let (token, access_token) = (given(self.token), given(self.access_token));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a float's `as` is bounded")]
        let seconds = self.expires_in.map_or(TOKEN_LIFE, |seconds| seconds as u64);
        Some((token.or(access_token)?, seconds.max(TOKEN_LIFE)))
    }
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<RegistryError>,
}

#[derive(Deserialize)]
struct RegistryError {
    message: Option<String>,
}

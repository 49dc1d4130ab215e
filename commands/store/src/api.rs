//! Asking a store.

use std::process::ExitCode;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use strongroom_failure::{Class, Failure, outside_words};
use strongroom_http::{
    Client, HeaderValue, Method, Pem, Request, Roots, Settings, StatusCode, json_body, secret_header,
};
use strongroom_read::{Audience, report};
use strongroom_secret::SecretBytes;
use strongroom_stores::Ambient;
use tokio::runtime::Runtime;

use crate::kept;

/// What stays as it is in a path.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A secret may have a megabyte, and a long list more.
const LARGEST_ANSWER: usize = 32 << 20;

/// How a command ends that could do what it was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All is well.
    Well,
    /// Two things that were compared are not the same.
    Differs,
    /// Something that was asserted is not so.
    Fails,
}

/// The exit status for something that does not exist.
const ABSENT: u8 = 4;
/// The exit status of [`Ending::Differs`].
const DIFFERS: u8 = 5;
/// The exit status of [`Ending::Fails`].
const FAILS: u8 = 6;

/// A store, and who asks.
pub(crate) struct Api {
    client: Client,
    runtime: Runtime,
    address: String,
    token: Option<SecretBytes>,
    namespace: Option<String>,
}

/// An answer, of whatever status.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// The body, where it is JSON.
    pub(crate) body: Option<Value>,
}

/// The first variable of this name that is set: ours, OpenBao's, Vault's.
fn variable(ambient: &Ambient, name: &str) -> Option<String> {
    ["STRONGROOM", "BAO", "VAULT"].into_iter().find_map(|prefix| ambient.get(&format!("{prefix}_{name}")))
}

impl Api {
    /// The store that the environment names (`STRONGROOM_ADDR`, then `BAO_…`, then `VAULT_…`), asked with the token of
    /// `STRONGROOM_TOKEN`, of those others, or that `strongroom login` keeps.
    ///
    /// # Errors
    /// Where there is no address or no token.
    pub(crate) fn of(ambient: &Ambient) -> Result<Self, Failure> {
        let missing = || {
            let words = "there is no STRONGROOM_TOKEN (nor BAO_TOKEN, VAULT_TOKEN), and no token is kept";
            Failure::new(Class::Unauthenticated, words)
                .with_hint("log in with strongroom login; strongroom dev says where its first token is")
        };
        let token = kept::find(ambient)?;
        let api = Self::without_token(ambient)?;
        Ok(api.with_token(token.ok_or_else(missing)?))
    }

    /// The store that the environment names, for somebody who has not logged in.
    ///
    /// # Errors
    /// Where there is no address, or the settings of connections are wrong.
    pub(crate) fn without_token(ambient: &Ambient) -> Result<Self, Failure> {
        let missing = || {
            let words = "there is no STRONGROOM_ADDR (nor BAO_ADDR, VAULT_ADDR)";
            Failure::new(Class::Invalid, words)
                .with_hint("name the store: http://127.0.0.1:8200 where strongroom dev runs")
        };
        let address = variable(ambient, "ADDR").ok_or_else(missing)?;
        Self::at(ambient, &address, variable(ambient, "NAMESPACE"), variable(ambient, "CACERT"))
    }

    /// The store at an address, with the certificates that may vouch for it.
    ///
    /// # Errors
    /// Where the settings of connections are wrong.
    pub(crate) fn at(
        ambient: &Ambient,
        address: &str,
        namespace: Option<String>,
        authorities: Option<String>,
    ) -> Result<Self, Failure> {
        let mut settings = Settings::from_environment(&|name| ambient.get(name))?;
        settings.body_limit = LARGEST_ANSWER;
        if let Some(file) = authorities {
            settings.tls.roots = Roots::Only(vec![Pem::File(file.into())]);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(Class::Unavailable, format!("cannot start: {error}")))?;
        let address = address.trim_end_matches('/').to_owned();
        Ok(Self { client: Client::new(settings)?, runtime, address, token: None, namespace })
    }

    /// The same, asked with this token.
    #[must_use]
    pub(crate) fn with_token(mut self, token: SecretBytes) -> Self {
        self.token = Some(token);
        self
    }

    /// Asks; nothing where the store answers with nothing.
    ///
    /// # Errors
    /// The store's refusal in its own words, and what hinders to ask it.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        query: &str,
        body: Option<&Value>,
    ) -> Result<Option<Value>, Failure> {
        let answer = self.answer(method, path, query, body)?;
        if answer.status.is_success() { Ok(answer.body) } else { Err(self.refused(path, &answer)) }
    }

    /// Asks for `data` of the answer; null where there are none.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(crate) fn data(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        Ok(self.ask(method, path, "", body)?.map(|mut answer| answer["data"].take()).unwrap_or_default())
    }

    /// Asks, and takes every status for an answer.
    ///
    /// # Errors
    /// What hinders to ask.
    pub(crate) fn answer(
        &self,
        method: &str,
        path: &str,
        query: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let body = body.map(json_body).transpose()?.unwrap_or_default();
        let response = self.runtime.block_on(self.client.send(self.request(method, path, query, body)?))?;
        Ok(Answer { status: response.status, body: response.json().ok() })
    }

    /// Asks for something long, and hands over its pieces as they come.
    ///
    /// # Errors
    /// As [`Self::ask`], and what `each` answers.
    pub(crate) fn download(
        &self,
        path: &str,
        each: &mut (dyn FnMut(&[u8]) -> std::io::Result<()> + Send),
    ) -> Result<(), Failure> {
        let request = self.request("GET", path, "", SecretBytes::default())?;
        let mut written = |piece: &[u8]| {
            each(piece).map_err(|error| strongroom_http::Error::of_caller(format!("cannot write what comes: {error}")))
        };
        match self.runtime.block_on(self.client.download(request, &mut written))? {
            None => Ok(()),
            Some(response) => Err(self.refused(path, &Answer { status: response.status, body: response.json().ok() })),
        }
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        query: &str,
        body: SecretBytes,
    ) -> Result<Request<SecretBytes>, Failure> {
        let invalid = |words: String| Failure::new(Class::Invalid, words);
        let encoded = utf8_percent_encode(path, IN_PATH);
        let method = Method::from_bytes(method.as_bytes()).map_err(|error| invalid(error.to_string()))?;
        let mut request = Request::builder().method(&method).uri(format!("{}/v1/{encoded}{query}", self.address));
        request = request.header("x-vault-request", "true");
        if let Some(token) = &self.token {
            request = request.header("x-vault-token", secret_header("", token)?);
        }
        if let Some(namespace) = &self.namespace {
            let value =
                HeaderValue::try_from(namespace).map_err(|_| invalid("the namespace is no plain text".to_owned()))?;
            request = request.header("x-vault-namespace", value);
        }
        if method == Method::PATCH {
            request = request.header("content-type", "application/merge-patch+json");
        }
        request.body(body).map_err(|error| invalid(format!("{} is no address: {error}", self.address)))
    }

    /// A refusal in the store's own words.
    pub(crate) fn refused(&self, path: &str, answer: &Answer) -> Failure {
        let status = answer.status;
        let known: Vec<&SecretBytes> = self.token.iter().collect();
        let words: Vec<String> = answer.errors().map(|words| outside_words(words, &known)).collect();
        let words = words.join("; ");
        let class = match status {
            StatusCode::NOT_FOUND => Class::NotFound,
            StatusCode::FORBIDDEN => Class::Denied,
            StatusCode::TOO_MANY_REQUESTS => Class::Throttled { retry_after: None },
            status if status.is_server_error() => Class::Unavailable,
            _ => Class::Invalid,
        };
        let told = match (words.is_empty(), class, answer.deletion_time()) {
            (true, Class::NotFound, Some(time)) if !time.is_empty() => format!("the version was deleted at {time}"),
            (true, Class::NotFound, Some(_)) => "the version was destroyed".to_owned(),
            (true, Class::NotFound, None) => "there is nothing at this path".to_owned(),
            (true, ..) => format!("the store answered {status}"),
            (false, ..) => format!("the store answered {status}: {words}"),
        };
        let failure = Failure::new(class, told).in_field(path);
        match class {
            Class::Denied if self.token.is_some() => failure.with_hint(format!(
                "strongroom token capabilities {path} says what the token may do there, strongroom policy explain why"
            )),
            Class::Unavailable if words.contains("sealed") => failure.with_hint("open the store with its key first"),
            _ => failure,
        }
    }
}

impl Answer {
    /// What the store says is wrong.
    pub(crate) fn errors(&self) -> impl Iterator<Item = &str> {
        let errors = self.body.as_ref().and_then(|body| body["errors"].as_array());
        errors.into_iter().flatten().filter_map(Value::as_str).map(str::trim)
    }

    /// When the version was deleted that somebody wanted to read; an empty text where it was destroyed.
    fn deletion_time(&self) -> Option<&str> {
        self.body.as_ref()?["data"]["metadata"]["deletion_time"].as_str()
    }
}

/// Tells what came of a command.
pub(crate) fn ended(done: Result<Ending, Failure>) -> ExitCode {
    match done {
        Ok(Ending::Well) => ExitCode::SUCCESS,
        Ok(Ending::Differs) => ExitCode::from(DIFFERS),
        Ok(Ending::Fails) => ExitCode::from(FAILS),
        Err(failure) => {
            let is_absent = failure.class == Class::NotFound;
            report(Audience::Person, "", &[failure]);
            if is_absent { ExitCode::from(ABSENT) } else { ExitCode::FAILURE }
        }
    }
}

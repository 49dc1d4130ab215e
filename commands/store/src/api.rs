//! Asking a store.

use std::process::ExitCode;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use strongroom_failure::{Class, Failure};
use strongroom_http::{
    Client, HeaderValue, Method, Pem, Request, Roots, Settings, StatusCode, json_body, secret_header,
};
use strongroom_read::{Audience, report};
use strongroom_secret::SecretBytes;
use strongroom_stores::Ambient;

/// What stays as it is in a path.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The exit status for a secret or version that does not exist.
const ABSENT: u8 = 4;

/// A store, and who asks.
pub(crate) struct Api {
    client: Client,
    address: String,
    token: SecretBytes,
    namespace: Option<String>,
}

/// The first variable of this name that is set: ours, OpenBao's, Vault's.
fn variable(ambient: &Ambient, name: &str) -> Option<String> {
    ["STRONGROOM", "BAO", "VAULT"].into_iter().find_map(|prefix| ambient.get(&format!("{prefix}_{name}")))
}

impl Api {
    /// The store that the environment names: `STRONGROOM_ADDR` and `STRONGROOM_TOKEN`, then `BAO_…`, then `VAULT_…`.
    pub(crate) fn of(ambient: &Ambient) -> Result<Self, Failure> {
        let missing = |name: &str, hint: &str| {
            Failure::new(
                Class::Unauthenticated,
                format!("there is no STRONGROOM_{name} (nor BAO_{name}, VAULT_{name})"),
            )
            .with_hint(hint.to_owned())
        };
        let address = variable(ambient, "ADDR")
            .ok_or_else(|| missing("ADDR", "name the store: http://127.0.0.1:8200 where strongroom dev runs"))?;
        let token = variable(ambient, "TOKEN")
            .ok_or_else(|| missing("TOKEN", "give a token; strongroom dev says where its first one is"))?;
        let mut settings = Settings::from_environment(&|name| ambient.get(name))?;
        // A secret may have a megabyte, and a long list more.
        settings.body_limit = 32 << 20;
        if let Some(file) = variable(ambient, "CACERT") {
            settings.tls.roots = Roots::Only(vec![Pem::File(file.into())]);
        }
        let namespace = variable(ambient, "NAMESPACE");
        let address = address.trim_end_matches('/').to_owned();
        Ok(Self { client: Client::new(settings)?, address, token: SecretBytes::from(token), namespace })
    }

    /// Asks; nothing where the store answers with nothing.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        query: &str,
        body: Option<&Value>,
    ) -> Result<Option<Value>, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(Class::Unavailable, format!("cannot start: {error}")))?;
        runtime.block_on(self.asked(method, path, query, body))
    }

    /// Asks for something long, and hands over its pieces as they come.
    pub(crate) fn download(
        &self,
        path: &str,
        each: &mut (dyn FnMut(&[u8]) -> std::io::Result<()> + Send),
    ) -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(Class::Unavailable, format!("cannot start: {error}")))?;
        let request = self.request(&Method::GET, path, "", SecretBytes::default())?;
        let mut written = |piece: &[u8]| {
            each(piece).map_err(|error| strongroom_http::Error::of_caller(format!("cannot write what comes: {error}")))
        };
        match runtime.block_on(self.client.download(request, &mut written))? {
            None => Ok(()),
            Some(response) => Err(refused(response.status, path, response.json().ok().as_ref())),
        }
    }

    fn request(
        &self,
        method: &Method,
        path: &str,
        query: &str,
        body: SecretBytes,
    ) -> Result<Request<SecretBytes>, Failure> {
        let encoded = utf8_percent_encode(path, IN_PATH);
        let mut request = Request::builder().method(method).uri(format!("{}/v1/{encoded}{query}", self.address));
        request = request.header("x-vault-token", secret_header("", &self.token)?).header("x-vault-request", "true");
        if let Some(namespace) = &self.namespace {
            let unfit = |_| Failure::new(Class::Invalid, "the namespace is no plain text");
            request = request.header("x-vault-namespace", HeaderValue::try_from(namespace).map_err(unfit)?);
        }
        if method == Method::PATCH {
            request = request.header("content-type", "application/merge-patch+json");
        }
        let unfit = |error: &dyn std::fmt::Display| format!("{} is no address: {error}", self.address);
        request.body(body).map_err(|error| Failure::new(Class::Invalid, unfit(&error)))
    }

    async fn asked(
        &self,
        method: &str,
        path: &str,
        query: &str,
        body: Option<&Value>,
    ) -> Result<Option<Value>, Failure> {
        let method = Method::from_bytes(method.as_bytes());
        let method = method.map_err(|error| Failure::new(Class::Invalid, error.to_string()))?;
        let request = self.request(&method, path, query, body.map(json_body).transpose()?.unwrap_or_default())?;
        let response = self.client.send(request).await?;
        if response.status == StatusCode::NO_CONTENT || (response.status.is_success() && response.body.is_empty()) {
            return Ok(None);
        }
        let answer: Option<Value> = response.json().ok();
        if response.status.is_success() {
            return Ok(answer);
        }
        Err(refused(response.status, path, answer.as_ref()))
    }
}

/// A refusal in the store's own words.
fn refused(status: StatusCode, path: &str, answer: Option<&Value>) -> Failure {
    let errors = answer.and_then(|answer| answer["errors"].as_array()).cloned().unwrap_or_default();
    let words: Vec<&str> = errors.iter().filter_map(Value::as_str).map(str::trim).collect();
    let words = words.join("; ");
    let class = match status {
        StatusCode::NOT_FOUND => Class::NotFound,
        StatusCode::FORBIDDEN => Class::Denied,
        StatusCode::TOO_MANY_REQUESTS => Class::Throttled { retry_after: None },
        status if status.is_server_error() => Class::Unavailable,
        _ => Class::Invalid,
    };
    let deleted = answer.and_then(|answer| answer["data"]["metadata"]["deletion_time"].as_str());
    let words = match (words.is_empty(), class, deleted) {
        (true, Class::NotFound, Some(time)) if !time.is_empty() => format!("the version was deleted at {time}"),
        (true, Class::NotFound, Some(_)) => "the version was destroyed".to_owned(),
        (true, Class::NotFound, None) => "there is no such secret".to_owned(),
        (true, ..) => format!("the store answered {status}"),
        (false, ..) => format!("the store answered {status}: {words}"),
    };
    Failure::new(class, words).on_key(path)
}

/// Tells what came of a command.
pub(crate) fn ended(done: Result<(), Failure>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let is_absent = failure.class == Class::NotFound;
            report(Audience::Person, "", &[failure]);
            if is_absent { ExitCode::from(ABSENT) } else { ExitCode::FAILURE }
        }
    }
}

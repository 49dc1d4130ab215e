//! What makes encrypted texts: an encryptor that is asked, or the public key alone.

use std::path::Path;

use strongroom_failure::{Failure, outside_words};
use strongroom_http::{Client, Method, Pem, Request as HttpRequest, Response, Roots, Settings, Uri, header, json_body};
use strongroom_kamus::{Identity, PublicKey};
use strongroom_read::{Ambient, read_file};
use strongroom_secret::SecretBytes;
use tokio::runtime::Runtime;

use crate::value::invalid;

/// What Kamus' own client calls itself; gateways may know it by that.
const USER_AGENT: &str = "kamus-cli-0.3.6";

/// A document of a public key has less than a kilobyte.
const LARGEST_DOCUMENT: usize = 64 * 1024;

/// Makes encrypted texts.
pub(crate) enum Sealer {
    Service(Box<Service>),
    Offline(PublicKey),
}

/// An encryptor.
pub(crate) struct Service {
    runtime: Runtime,
    client: Client,
    address: Uri,
}

/// A value, and for whom; a service answers itself where a name is missing.
pub(crate) struct Request<'a> {
    pub(crate) account: Option<&'a str>,
    pub(crate) namespace: Option<&'a str>,
    pub(crate) value: &'a SecretBytes,
}

impl Sealer {
    /// Reads the document of a public key.
    pub(crate) fn public_key(file: &Path) -> Result<PublicKey, Failure> {
        let document = read_file(file, LARGEST_DOCUMENT)?;
        PublicKey::read(document.expose()).map_err(|error| {
            invalid(error.to_string())
                .in_field(file.display().to_string())
                .with_hint("make it anew: strongroom kamus keys public, or GET /api/v1/public-key of the encryptor")
        })
    }

    /// The encryptor at `url`, which may have a path and a slash at its end.
    pub(crate) fn service(
        url: Option<&str>,
        is_insecure_allowed: bool,
        fingerprint: Option<String>,
        ambient: &Ambient,
    ) -> Result<Self, Failure> {
        let url = url.ok_or_else(|| invalid("Neither kamus-url nor public-key options were set."))?;
        let is_https = url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"));
        if !is_insecure_allowed && !is_https {
            return Err(invalid("Insecure Kamus URL is not allowed."));
        }
        let address = format!("{}/api/v1/encrypt", url.trim_end_matches('/')).parse();
        let address = address.map_err(|_| invalid("the Kamus URL is no address"))?;
        let mut settings = Settings::from_environment(&|name| ambient.get(name))?;
        settings.tls.fingerprint = fingerprint;
        settings.user_agent = USER_AGENT.to_owned();
        // By which further authorities were named to the original, a program of Node.
        if let Some(file) = ambient.get("NODE_EXTRA_CA_CERTS") {
            settings.tls.roots = Roots::System(vec![Pem::File(file.into())]);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| invalid(format!("cannot start: {error}")))?;
        Ok(Self::Service(Box::new(Service { runtime, client: Client::new(settings)?, address })))
    }

    pub(crate) fn is_service(&self) -> bool {
        matches!(self, Self::Service(_))
    }

    /// The encrypted text of a value.
    pub(crate) fn seal(&self, request: &Request<'_>) -> Result<String, Failure> {
        match self {
            Self::Service(service) => service.seal(request),
            Self::Offline(key) => {
                let missing = |what: &str| invalid(format!("the {what} is missing"));
                let account = request.account.ok_or_else(|| missing("service account"))?;
                let namespace = request.namespace.ok_or_else(|| missing("namespace"))?;
                let sealed = Identity::new(namespace, account).and_then(|identity| key.seal(&identity, request.value));
                sealed.map(|text| text.to_string()).map_err(|error| invalid(error.to_string()))
            }
        }
    }
}

impl Service {
    fn seal(&self, request: &Request<'_>) -> Result<String, Failure> {
        let data = request.value.expose_text().ok_or_else(|| invalid("the secret is no UTF-8"))?;
        let members = [("data", Some(data)), ("service-account", request.account), ("namespace", request.namespace)];
        // What nobody gave is left out: the service's own words tell what is missing.
        let members = members.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let body = json_body(&members.collect::<std::collections::BTreeMap<_, _>>())?;
        let sent = HttpRequest::builder()
            .method(Method::POST)
            .uri(self.address.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|_| invalid("the request cannot be made"))?;
        let response = self.runtime.block_on(self.client.send(sent))?;
        text(&response, request.value)
    }
}

/// The text in an answer. What a proxy says in its place, and nothing at all, are no texts.
fn text(response: &Response, value: &SecretBytes) -> Result<String, Failure> {
    let status = response.status.as_u16();
    let body = response.body.expose_text().unwrap_or_default();
    if status != 200 || body.trim().is_empty() {
        let shown = outside_words(body, &[value]);
        let words = format!("Encrypt request failed due to unexpected error ({shown}). Status code: {status}");
        return Err(invalid(words));
    }
    let kind = response.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.to_ascii_lowercase().starts_with("text/html") {
        return Err(
            invalid("Encrypt request failed: the answer is a page (text/html)").with_hint("check the Kamus URL")
        );
    }
    Ok(body.to_owned())
}

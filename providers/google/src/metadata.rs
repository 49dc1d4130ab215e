//! The metadata server of Google's machines: a token and a project for those who run there.

use std::time::Duration;

use strongroom_failure::{Class, Failure};
use strongroom_http::{Cause, Client, Error, HeaderValue, Proxy, Request, Response, Settings, StatusCode, Timeouts};
use strongroom_secret::SecretBytes;

/// How long the project's name and such may take: it is asked for on machines that may not be Google's at all.
const PROJECT_PATIENCE: Duration = Duration::from_secs(2);

/// GKE's metadata server takes seconds for a pod's first token.
const TOKEN_PATIENCE: Duration = Duration::from_secs(10);

/// Tokens and project names are a few KiB at most.
const BODY_LIMIT: usize = 64 * 1024;

/// A client of the metadata server: plain HTTP on the machine's own link, never through a proxy.
#[derive(Clone)]
pub(crate) struct Metadata {
    host: String,
    client: Client,
}

impl Metadata {
    pub(crate) fn new(host: &str) -> Result<Self, Failure> {
        let timeouts = Timeouts { connect: PROJECT_PATIENCE, wait: TOKEN_PATIENCE, total: TOKEN_PATIENCE };
        let settings = Settings { proxy: Proxy::none(), timeouts, body_limit: BODY_LIMIT, ..Settings::default() };
        let this = Self { host: host.to_owned(), client: Client::new(settings)? };
        this.request("").map(|_| this)
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// The project of the machine. The words of a failure say what the server did.
    pub(crate) async fn project(&self) -> Result<String, Failure> {
        self.value("project/project-id", "a project").await
    }

    /// One of the machine's attributes: `cluster-name`, `cluster-location`.
    pub(crate) async fn attribute(&self, name: &str) -> Result<String, Failure> {
        self.value(&format!("instance/attributes/{name}"), name).await
    }

    async fn value(&self, path: &str, what: &str) -> Result<String, Failure> {
        let asked = tokio::time::timeout(PROJECT_PATIENCE, self.ask(path)).await;
        let response = asked.map_err(|_| Failure::new(Class::Unavailable, "it does not answer"))??;
        let value = response.body.expose_text().map(str::trim).filter(|text| crate::name::is_project(text));
        match (response.status, value) {
            (StatusCode::OK, Some(value)) => Ok(value.to_owned()),
            (status, _) if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                Err(Failure::new(Class::Unavailable, format!("HTTP {}", status.as_u16())))
            }
            (status, _) => Err(Failure::new(Class::Invalid, format!("HTTP {} without {what}", status.as_u16()))),
        }
    }

    /// A token of the machine's service account for `scope`, as the server answers.
    pub(crate) async fn token(&self, scope: &str) -> Result<Response, Failure> {
        self.ask(&format!("instance/service-accounts/default/token?scopes={scope}")).await
    }

    async fn ask(&self, path: &str) -> Result<Response, Failure> {
        let response = self.client.send(self.request(path)?).await.map_err(unreachable)?;
        // Anything may answer on a strange network; only the metadata server says this.
        if response.headers.get("metadata-flavor").is_none_or(|flavor| flavor != "Google") {
            return Err(Failure::new(Class::Invalid, format!("{} is no metadata server of Google's", self.host)));
        }
        Ok(response)
    }

    fn request(&self, path: &str) -> Result<Request<SecretBytes>, Failure> {
        let address = format!("http://{}/computeMetadata/v1/{path}", self.host);
        let mut request = Request::get(address).body(SecretBytes::default()).map_err(|_| {
            let words = format!("\"{}\" is not HOST or HOST:PORT", self.host);
            Failure::new(Class::Invalid, words).in_field("metadataHost")
        })?;
        request.headers_mut().insert("metadata-flavor", HeaderValue::from_static("Google"));
        Ok(request)
    }
}

/// A name that does not resolve means another place than Google's, where asking again is of no use; a server that is
/// not there yet may come: GKE's starts beside the pods it serves.
fn unreachable(error: Error) -> Failure {
    let is_elsewhere = error.cause() == Cause::Name;
    let failure = Failure::from(error);
    if is_elsewhere { Failure { class: Class::Invalid, ..failure } } else { failure }
}

//! One API server, asked as one identity.

use std::sync::Arc;

use serde_json::Value;
use strongroom_failure::{Class, Failure};
use strongroom_http::{
    AddressPolicy, Client, HeaderName, HeaderValue, Method, Proxy, Request, Response, Settings, StatusCode,
    TlsSettings, header, json_body, secret_header,
};
use strongroom_provider::{Limits, Meter, Outcome, TokenSource};
use strongroom_secret::SecretBytes;

use crate::answer;
use crate::tokens::{Issued, Tokens};

/// The largest answer that is read, in bytes: a page of five objects of etcd's greatest size (1.5 MiB), a Secret's data
/// being a third larger in base64, with room for what else their metadata holds.
const BODY_LIMIT: usize = 16 << 20;

/// Which API server, and who asks.
#[derive(Clone, Debug, Default)]
pub struct ConnectionSettings {
    /// Its address: `https://HOST[:PORT][/PATH]`.
    pub server: String,
    /// Whom to trust, and a client certificate where that is how to log in.
    pub tls: TlsSettings,
    /// The token to show; without one and without a client certificate the request is anonymous.
    pub token: Option<Token>,
    /// The user to act as (`system:serviceaccount:NAMESPACE:NAME`), where that is not who logs in.
    pub impersonate: Option<String>,
    /// Where requests may go.
    pub addresses: AddressPolicy,
    /// Which proxy stands before which host.
    pub proxy: Proxy,
}

/// Where a bearer token comes from.
#[derive(Clone, Debug)]
pub enum Token {
    /// Always the same.
    Fixed(SecretBytes),
    /// Asked for when one is needed, and kept until shortly before it expires.
    Issued(Arc<dyn TokenSource>),
}

/// Requests to one API server as one identity.
pub(crate) struct Connection {
    client: Client,
    server: String,
    tokens: Option<Tokens>,
    impersonate: Option<HeaderValue>,
    identity: String,
    meter: Arc<Meter>,
}

/// Why there is no answer to use.
pub(crate) enum Trouble {
    /// There was no whole answer.
    Exchange(strongroom_http::Error),
    /// The server refused, or there was nothing to ask it with.
    Other(Failure),
}

impl Trouble {
    pub(crate) fn is_too_large(&self) -> bool {
        matches!(self, Self::Exchange(error) if error.cause() == strongroom_http::Cause::TooLarge)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

impl From<strongroom_http::Error> for Trouble {
    fn from(error: strongroom_http::Error) -> Self {
        Self::Exchange(error)
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Exchange(error) => error.into(),
            Trouble::Other(failure) => failure,
        }
    }
}

impl Connection {
    /// A connection that has asked nothing yet.
    pub(crate) fn open(settings: ConnectionSettings, meter: Arc<Meter>) -> Result<Self, Failure> {
        let identity = identity(&settings);
        let ConnectionSettings { server, tls, token, impersonate, addresses, proxy } = settings;
        let server = server.trim_end_matches('/').to_owned();
        if host(&server).is_none() {
            let words = "the API server's address must be https://HOST[:PORT]";
            return Err(Failure::new(Class::Invalid, words).in_field("server.url"));
        }
        let client = Client::new(Settings { tls, addresses, proxy, body_limit: BODY_LIMIT, ..Settings::default() })?;
        let impersonate = impersonate.map(HeaderValue::try_from).transpose();
        let impersonate =
            impersonate.map_err(|_| Failure::new(Class::Invalid, "this user's name cannot be sent in a header"))?;
        Ok(Self { client, server, tokens: token.map(Tokens::new), impersonate, identity, meter })
    }

    /// The server's host, for messages: the rest of an address may carry what is nobody's business.
    pub(crate) fn host(&self) -> &str {
        host(&self.server).unwrap_or_default()
    }

    /// Who asks, in people's words.
    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }

    /// An API server answers a priority level's excess with 429; client-go's usual share for one controller is 50
    /// requests a second in bursts of 100, and every one of them is small.
    pub(crate) fn limits() -> Limits {
        Limits { concurrency: 16, rate: 50.0, burst: 100 }
    }

    /// What the server has at `path`.
    pub(crate) async fn get(&self, operation: &'static str, path: &str) -> Result<Response, Trouble> {
        self.ask(operation, Method::GET, path, &SecretBytes::default()).await
    }

    /// What the server answers to `body`: a review.
    pub(crate) async fn post(&self, operation: &'static str, path: &str, body: &Value) -> Result<Response, Trouble> {
        self.ask(operation, Method::POST, path, &json_body(body)?).await
    }

    /// What the server answers to a write.
    #[cfg(feature = "push")]
    pub(crate) async fn write(
        &self,
        operation: &'static str,
        method: Method,
        path: &str,
        body: &SecretBytes,
    ) -> Result<Response, Trouble> {
        self.ask(operation, method, path, body).await
    }

    async fn ask(
        &self,
        operation: &'static str,
        method: Method,
        path: &str,
        body: &SecretBytes,
    ) -> Result<Response, Trouble> {
        let Some(tokens) = &self.tokens else {
            let response = self.send(operation, method, path, body, None).await?;
            return understood(response, &[]);
        };
        let token = tokens.current().await?;
        let response = self.send(operation, method.clone(), path, body, Some(&token)).await?;
        if response.status != StatusCode::UNAUTHORIZED || !tokens.can_be_replaced() {
            return understood(response, &[&token.secret]);
        }
        tracing::debug!("the API server refuses the token; asking for another");
        let token = tokens.instead_of(&token).await?;
        let response = self.send(operation, method, path, body, Some(&token)).await?;
        understood(response, &[&token.secret])
    }

    async fn send(
        &self,
        operation: &'static str,
        method: Method,
        path: &str,
        body: &SecretBytes,
        token: Option<&Issued>,
    ) -> Result<Response, Trouble> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.server))
            .body(body.clone())
            .map_err(|_| Failure::new(Class::Invalid, "the API server's address is none").in_field("server.url"))?;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if !body.is_empty() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(token) = token {
            headers.insert(header::AUTHORIZATION, secret_header("Bearer ", &token.secret)?);
        }
        if let Some(user) = &self.impersonate {
            headers.insert(HeaderName::from_static("impersonate-user"), user.clone());
        }
        let result = self.client.send(request).await;
        let answered = matches!(&result, Ok(response) if is_answer(response.status));
        self.meter.record(operation, if answered { Outcome::Answered } else { Outcome::Failed });
        Ok(result?)
    }
}

fn understood(response: Response, known: &[&SecretBytes]) -> Result<Response, Trouble> {
    if response.status.is_success() { Ok(response) } else { Err(answer::refusal(&response, known).into()) }
}

/// Whether the server did its work, though the object may be missing or forbidden.
fn is_answer(status: StatusCode) -> bool {
    status.is_success() || matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND)
}

/// The host and port of an address that has a scheme.
fn host(address: &str) -> Option<&str> {
    let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"))?;
    let authority = rest.split(['/', '?', '#']).next()?;
    authority.rsplit('@').next().filter(|host| !host.is_empty())
}

fn identity(settings: &ConnectionSettings) -> String {
    let own = match (&settings.token, &settings.tls.client) {
        (Some(Token::Fixed(_)), _) => "the token in the settings".to_owned(),
        (Some(Token::Issued(source)), _) => source.describe(),
        (None, Some(_)) => "the client certificate in the settings".to_owned(),
        (None, None) => "nobody (anonymous)".to_owned(),
    };
    match &settings.impersonate {
        Some(user) => format!("{user}, impersonated by {own}"),
        None => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_host_alone() {
        let check = |address: &str, expected: Option<&str>| assert_eq!(host(address), expected, "{address}");
        check("https://10.0.0.1:6443/path?canary", Some("10.0.0.1:6443"));
        check("https://user:canary@api.example", Some("api.example"));
        check("http://[::1]:80", Some("[::1]:80"));
        check("api.example", None);
        check("https://", None);
        check("ftp://api.example", None);
    }
}

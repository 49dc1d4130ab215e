use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use strongroom_failure::{Class, Failure, outside_words};
use strongroom_http::{
    Client, HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Settings as HttpSettings, StatusCode,
    Timeouts, Uri, header, secret_header,
};
use strongroom_provider::{Meter, Outcome, SecretBytes};

use crate::path::encoded;
use crate::vault::LOOK_UP_SELF;
use crate::{Consistency, Settings};

/// The largest request that the servers accept in their default settings is 32 MiB: no secret is larger. The rest is
/// for what an answer wraps around it (custom metadata: at most 64 entries of 640 bytes).
const BODY_LIMIT: usize = (32 << 20) + (64 << 10);

/// How new a node must be to know what we wrote; from an answer, into the next requests.
const INDEX: HeaderName = HeaderName::from_static("x-vault-index");

/// Requests to one server as one identity's namespaces and headers want them.
#[derive(Debug)]
pub(crate) struct Api {
    client: Client,
    /// Without a slash at the end.
    base: String,
    /// For what is asked about secrets.
    headers: HeaderMap,
    /// For what is asked about the token.
    token_headers: HeaderMap,
    consistency: Consistency,
    /// Of the last login or renewal.
    index: Mutex<Option<HeaderValue>>,
    meter: Arc<Meter>,
}

/// One request.
pub(crate) struct Ask<'a> {
    /// What the meter counts it as.
    pub(crate) operation: &'static str,
    pub(crate) method: Method,
    /// Below `/v1/`, not encoded.
    pub(crate) path: &'a str,
    pub(crate) query: Query<'a>,
    /// Whose namespace it is asked in.
    pub(crate) about: About,
    pub(crate) token: Option<&'a SecretBytes>,
    pub(crate) body: SecretBytes,
}

/// What follows the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Query<'a> {
    Nothing,
    Version(u64),
    /// As it is, encoded.
    Text(&'a str),
    /// The names in a folder. Proxies that do not know the method `LIST` let this through.
    List,
}

/// The two things that the server is asked about; each may have a namespace of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum About {
    Secrets,
    Token,
}

impl<'a> Ask<'a> {
    pub(crate) fn get(operation: &'static str, path: &'a str, token: &'a SecretBytes) -> Self {
        let body = SecretBytes::default();
        let (query, about) = (Query::Nothing, About::Secrets);
        Self { operation, method: Method::GET, path, query, about, token: Some(token), body }
    }

    /// A question about the token itself.
    pub(crate) fn look_up(token: &'a SecretBytes) -> Self {
        Self { about: About::Token, ..Self::get("vault:lookup-self", LOOK_UP_SELF, token) }
    }

    /// What gives or renews a token.
    pub(crate) fn log_in(
        operation: &'static str,
        path: &'a str,
        token: Option<&'a SecretBytes>,
        body: SecretBytes,
    ) -> Self {
        Self { operation, method: Method::POST, path, query: Query::Nothing, about: About::Token, token, body }
    }
}

impl Api {
    pub(crate) fn open(settings: &Settings, meter: Arc<Meter>) -> Result<Self, Failure> {
        let timeout = settings.timeout();
        let http = HttpSettings {
            tls: settings.tls_with_login(),
            proxy: settings.proxy.clone(),
            addresses: settings.addresses,
            timeouts: Timeouts { connect: timeout.min(Duration::from_secs(10)), wait: timeout, total: timeout },
            body_limit: BODY_LIMIT,
            ..HttpSettings::default()
        };
        let client = Client::new(http)?;
        let namespace = settings.namespace.as_deref();
        Ok(Self {
            client,
            base: checked_base(&settings.address)?,
            headers: headers(settings, namespace)?,
            token_headers: headers(settings, settings.login_namespace.as_deref().or(namespace))?,
            consistency: settings.consistency,
            index: Mutex::default(),
            meter,
        })
    }

    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Sends one request and counts it; any status is an answer.
    pub(crate) async fn send(&self, ask: Ask<'_>) -> Result<Response, Failure> {
        let (operation, about) = (ask.operation, ask.about);
        let result = self.client.send(self.request(ask)?).await;
        let is_answered = result.as_ref().is_ok_and(|response| {
            response.status.is_success() || matches!(response.status, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN)
        });
        self.meter.record(operation, if is_answered { Outcome::Answered } else { Outcome::Failed });
        let response = result?;
        let is_kept = about == About::Token && self.consistency != Consistency::Eventual;
        if let Some(index) = response.headers.get(INDEX).filter(|_| is_kept) {
            *self.index.lock().unwrap_or_else(PoisonError::into_inner) = Some(index.clone());
        }
        Ok(response)
    }

    fn request(&self, ask: Ask<'_>) -> Result<Request<SecretBytes>, Failure> {
        let mut uri = format!("{}/v1/{}", self.base, encoded(ask.path));
        match ask.query {
            Query::Nothing => {}
            Query::Version(version) => uri.push_str(&format!("?version={version}")),
            Query::Text(text) => uri.push_str(&format!("?{text}")),
            Query::List => uri.push_str("?list=true"),
        }
        let unfit = |_| Failure::new(Class::Invalid, "the path cannot be part of an address");
        let uri: Uri = uri.parse().map_err(|_| unfit(()))?;
        let has_body = !ask.body.is_empty();
        let mut request = Request::new(ask.body);
        *request.method_mut() = ask.method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.clone_from(match ask.about {
            About::Secrets => &self.headers,
            About::Token => &self.token_headers,
        });
        if let Some(index) = self.index.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            headers.insert(INDEX, index);
        }
        // An agent at the address adds its own where we have none.
        if let Some(token) = ask.token.filter(|token| !token.is_empty()) {
            headers.insert(HeaderName::from_static("x-vault-token"), secret_header("", token)?);
        }
        if has_body {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Ok(request)
    }
}

/// What an answer that is no success means. `known` are the secrets that went into the request.
pub(crate) fn failure_of(response: &Response, known: &[&SecretBytes]) -> Failure {
    let status = response.status;
    let words = error_words(response, known).unwrap_or_else(|| format!("the server answered {status}"));
    let retry_after = response.retry_after();
    let class = match status.as_u16() {
        401 => Class::Unauthenticated,
        403 => Class::Denied,
        404 => Class::NotFound,
        429 => Class::Throttled { retry_after },
        503 if retry_after.is_some() => Class::Throttled { retry_after },
        // 412: a write is not on this node yet. 472, 473: a secondary or standby that cannot serve.
        408 | 412 | 472 | 473 | 500.. => Class::Unavailable,
        300..=399 => return redirect(response),
        _ => Class::Invalid,
    };
    Failure::new(class, words)
}

fn redirect(response: &Response) -> Failure {
    let place = response.headers.get(header::LOCATION).and_then(|place| place.to_str().ok()?.parse::<Uri>().ok());
    let host = place.as_ref().and_then(Uri::host).unwrap_or("another address");
    // A standby that may not forward points to the active node. The token is not sent to hosts that an answer names.
    let words =
        format!("the server sends us to {}, and tokens are not sent on to other hosts", outside_words(host, &[]));
    Failure::new(Class::Unavailable, words).with_hint("set the address to the active node's, or to a load balancer's")
}

#[derive(Deserialize)]
struct Problems {
    #[serde(default)]
    errors: Option<Vec<String>>,
    #[serde(default)]
    warnings: Option<Vec<String>>,
}

/// The server's own words, from the fields that are made for them.
pub(crate) fn error_words(response: &Response, known: &[&SecretBytes]) -> Option<String> {
    let problems: Problems = serde_json::from_slice(response.body.expose()).ok()?;
    let parts = [problems.errors.unwrap_or_default(), problems.warnings.unwrap_or_default()].concat();
    let words = parts.iter().map(|part| tidy(part)).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ");
    (!words.is_empty()).then(|| outside_words(&words, known))
}

/// `1 error occurred:\n\t* permission denied\n\n` says no more than `permission denied`.
fn tidy(words: &str) -> String {
    let bare = match words.split_once("occurred:") {
        Some((count, rest)) if count.ends_with(" error ") || count.ends_with(" errors ") => rest,
        _ => words,
    };
    let lines = bare.lines().map(|line| line.trim().trim_start_matches("* ")).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("; ")
}

/// Whether a 403 says that a policy denied, and not that the token is unknown: only the former counts errors, and one.
pub(crate) fn denied_by_policy(response: &Response) -> bool {
    let problems: Option<Problems> = serde_json::from_slice(response.body.expose()).ok();
    let errors = problems.and_then(|problems| problems.errors).unwrap_or_default();
    errors.first().is_some_and(|words| words.starts_with("1 error occurred") && words.contains("permission denied"))
}

fn checked_base(address: &str) -> Result<String, Failure> {
    let wrong = |words: &str| {
        Failure::new(Class::Invalid, format!("the address {words}"))
            .with_hint("an address looks like https://vault.example:8200")
    };
    let uri: Uri = address.trim().parse().map_err(|_| wrong("is none"))?;
    let authority = uri.authority().ok_or_else(|| wrong("names no host"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(wrong("must begin with http:// or https://"));
    }
    if authority.as_str().contains('@') || uri.query().is_some() {
        return Err(wrong("has a user, a password or a query in it"));
    }
    Ok(address.trim().trim_end_matches('/').to_owned())
}

fn headers(settings: &Settings, namespace: Option<&str>) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.headers {
        let name = HeaderName::try_from(name.as_str())
            .map_err(|_| Failure::new(Class::Invalid, format!("\"{name}\" is not a header's name")))?;
        headers.insert(name, secret_header("", &value.0)?);
    }
    // Agents and proxies of Vault ask for it, as protection against requests that a page makes a browser send.
    headers.insert(HeaderName::from_static("x-vault-request"), HeaderValue::from_static("true"));
    if settings.consistency == Consistency::Forward {
        headers
            .insert(HeaderName::from_static("x-vault-inconsistent"), HeaderValue::from_static("forward-active-node"));
    }
    if let Some(namespace) = namespace.map(|name| name.trim_matches('/')).filter(|name| !name.is_empty()) {
        let value = HeaderValue::try_from(namespace)
            .map_err(|_| Failure::new(Class::Invalid, "the namespace has characters that no header can carry"))?;
        headers.insert(HeaderName::from_static("x-vault-namespace"), value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, headers: &[(&'static str, &str)], body: &str) -> Response {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect();
        Response { status: StatusCode::from_u16(status).unwrap(), headers, body: body.to_owned().into() }
    }

    #[test]
    fn statuses_become_classes_and_error_fields_words() {
        let check = |status: u16, headers: &[(&'static str, &str)], body: &str, class: Class, words: &str| {
            let token = SecretBytes::from("s.canary".to_owned());
            let failure = failure_of(&response(status, headers, body), &[&token]);
            assert_eq!((failure.class, failure.words.as_str()), (class, words), "{status} {body}");
        };
        let five = Some(Duration::from_secs(5));
        check(400, &[], r#"{"errors":["bad s.canary here"]}"#, Class::Invalid, "bad [redacted] here");
        check(
            403,
            &[],
            "{\"errors\":[\"1 error occurred:\\n\\t* permission denied\\n\\n\"]}",
            Class::Denied,
            "permission denied",
        );
        check(404, &[], r#"{"errors":[],"warnings":["use data/"]}"#, Class::NotFound, "use data/");
        check(405, &[], "{}", Class::Invalid, "the server answered 405 Method Not Allowed");
        check(
            429,
            &[("retry-after", "5")],
            "{}",
            Class::Throttled { retry_after: five },
            "the server answered 429 Too Many Requests",
        );
        check(503, &[], r#"{"errors":["Vault is sealed"]}"#, Class::Unavailable, "Vault is sealed");
        check(
            503,
            &[("retry-after", "5")],
            "canary",
            Class::Throttled { retry_after: five },
            "the server answered 503 Service Unavailable",
        );
        check(473, &[], "", Class::Unavailable, "the server answered 473 <unknown status code>");
        check(412, &[], "", Class::Unavailable, "the server answered 412 Precondition Failed");
        check(502, &[], "<html>canary</html>", Class::Unavailable, "the server answered 502 Bad Gateway");
        check(
            307,
            &[("location", "http://user@active:8200/v1/secret?token=canary")],
            "",
            Class::Unavailable,
            "the server sends us to active, and tokens are not sent on to other hosts",
        );
    }

    #[test]
    fn two_errors_are_one_line() {
        let body = "{\"errors\":[\"2 errors occurred:\\n\\t* permission denied\\n\\t* invalid token\\n\\n\"]}";
        let answer = response(403, &[], body);
        assert_eq!(failure_of(&answer, &[]).words, "permission denied; invalid token");
        assert!(!denied_by_policy(&answer));
        assert!(denied_by_policy(&response(
            403,
            &[],
            "{\"errors\":[\"1 error occurred:\\n\\t* permission denied\\n\\n\"]}"
        )));
        assert!(!denied_by_policy(&response(403, &[], r#"{"errors":["permission denied"]}"#)));
    }

    #[test]
    fn addresses_are_checked() {
        assert_eq!(checked_base(" https://v:8200/ ").unwrap(), "https://v:8200");
        assert_eq!(checked_base("https://gateway/vault/").unwrap(), "https://gateway/vault");
        for address in ["", "v", "/v", "unix:///run/v", "ftp://v", "https://user:canary@v", "https://v?x=canary"] {
            let failure = checked_base(address).unwrap_err();
            assert_eq!(failure.class, Class::Invalid, "{address}");
            assert!(!failure.to_string().contains("canary"));
        }
    }
}

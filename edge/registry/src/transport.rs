//! One request, and where it leads: redirects, address rules, limits.

use std::time::Duration;

use strongroom_failure::{Class, Failure};
use strongroom_http::{
    AddressPolicy, Cause, Client, Error, HeaderValue, Method, Redirects, Request, Response, StatusCode, Timeouts, Uri,
    header,
};
use strongroom_secret::SecretBytes;

use crate::endpoint::{Endpoint, Rules};
use crate::manifest::{CONFIG_LIMIT, MANIFEST_LIMIT};

/// The longest that one exchange may take, in all; look-ups go on after whoever asked has stopped waiting, to answer
/// the next one.
pub(crate) const LONGEST_EXCHANGE: Duration = Duration::from_secs(30);

/// Redirects followed: registries have one, to where they keep blobs; a few have one more before it.
const REDIRECTS: usize = 5;

/// The longest host with its port, in characters: names have 253 at most.
const LONGEST_AUTHORITY: usize = 260;

const HINT_LOCAL: &str = "where the host is meant, name it among the registries that may be local";

/// Sends requests and follows where answers point to.
#[derive(Debug)]
pub(crate) struct Transport {
    /// For hosts that the operator named.
    named: Client,
    /// For all others.
    guarded: Client,
    rules: Rules,
}

/// What is asked.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    /// The endpoint on whose behalf: what its host is allowed, the way on is allowed as well.
    pub(crate) endpoint: &'a Endpoint,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) accept: &'static str,
    pub(crate) authorization: Option<HeaderValue>,
    /// A form, where it has any bytes.
    pub(crate) form: SecretBytes,
}

/// What was answered, and by whom.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: Response,
    /// The host that answered.
    pub(crate) authority: String,
    /// Whether that is the one that was asked.
    pub(crate) is_asked: bool,
}

impl Transport {
    /// Clients with the same trust and proxies, with and without rules for addresses.
    pub(crate) fn new(settings: &strongroom_http::Settings, rules: Rules) -> Result<Self, Failure> {
        let client = |addresses| {
            Client::new(strongroom_http::Settings {
                addresses,
                redirects: Redirects::Refuse,
                timeouts: Timeouts {
                    connect: Duration::from_secs(5),
                    wait: Duration::from_secs(10),
                    total: LONGEST_EXCHANGE,
                },
                body_limit: usize::try_from(MANIFEST_LIMIT.max(CONFIG_LIMIT)).unwrap_or(usize::MAX),
                // Look-ups are few; a registry is asked again within seconds or in hours.
                idle_connections: 4,
                ..settings.clone()
            })
        };
        Ok(Self { named: client(AddressPolicy::Any)?, guarded: client(AddressPolicy::NoLocal)?, rules })
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Sends `ask` and reads the whole answer, whatever its status. The authorization goes to the host that is asked
    /// and not further.
    pub(crate) async fn send(&self, ask: Ask<'_>) -> Result<Answer, Failure> {
        let (asked, mut uri, mut authorization) = (ask.uri.clone(), ask.uri.clone(), ask.authorization.clone());
        for _ in 0..=REDIRECTS {
            let authority = self.permitted(&uri, &ask)?;
            // No registry of a tenant leads to the operator's local ones.
            let may_be_local = self.rules.may_be_local(&ask.endpoint.authority) && self.rules.may_be_local(&authority);
            let client = if may_be_local { &self.named } else { &self.guarded };
            let request = request(&ask, &uri, authorization.clone())?;
            let response = client.send(request).await.map_err(failure)?;
            let Some(next) = redirected(&ask.method, &uri, &response)? else {
                let is_asked = is_same_place(&asked, &uri);
                return Ok(Answer { response, authority, is_asked });
            };
            if !is_same_place(&uri, &next) {
                authorization = None;
            }
            uri = next;
        }
        Err(Failure::new(Class::Invalid, format!("it leads through more than {REDIRECTS} redirects")))
    }

    /// The host of an address that may be asked.
    fn permitted(&self, uri: &Uri, ask: &Ask<'_>) -> Result<String, Failure> {
        let invalid = |words: String| Err(Failure::new(Class::Invalid, words));
        let Some(authority) = uri.authority().map(|authority| authority.as_str().to_owned()) else {
            return invalid("an address that it gives names no host".to_owned());
        };
        if authority.contains('@') || authority.len() > LONGEST_AUTHORITY {
            return invalid("an address that it gives holds a user, or no host's name".to_owned());
        }
        let may_be_plain = is_same_place(&ask.uri, uri) || self.rules.may_be_plain(&authority);
        match uri.scheme_str() {
            Some("https") => Ok(authority),
            Some("http") if ask.endpoint.is_plain() && may_be_plain => Ok(authority),
            Some("http") => invalid(format!("it leads to {authority} by http without TLS")),
            _ => invalid(format!("it leads to {authority} by something other than https")),
        }
    }
}

fn request(ask: &Ask<'_>, uri: &Uri, authorization: Option<HeaderValue>) -> Result<Request<SecretBytes>, Failure> {
    let mut request = Request::builder().method(ask.method.clone()).uri(uri.clone()).header(header::ACCEPT, ask.accept);
    if !ask.form.is_empty() {
        request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    }
    if let Some(authorization) = authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    request.body(ask.form.clone()).map_err(|_| Failure::new(Class::Invalid, "the request cannot be made"))
}

fn failure(error: Error) -> Failure {
    let is_forbidden = error.cause() == Cause::Forbidden;
    let failure = Failure::from(error);
    if is_forbidden { failure.with_hint(HINT_LOCAL) } else { failure }
}

fn is_same_place(one: &Uri, other: &Uri) -> bool {
    one.scheme() == other.scheme() && one.authority() == other.authority()
}

/// Where an answer points to. A body is sent nowhere else: what it holds is for the one that was asked.
fn redirected(method: &Method, current: &Uri, response: &Response) -> Result<Option<Uri>, Failure> {
    let points = matches!(
        response.status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    if !points || !method.is_safe() {
        return Ok(None);
    }
    let location = response.headers.get(header::LOCATION).and_then(|location| location.to_str().ok());
    // The address may be signed: no text shows it.
    let unfit = || Failure::new(Class::Invalid, "it leads elsewhere, and the address cannot be read");
    let location = location.ok_or_else(unfit)?;
    if location.contains("://") && !location.starts_with('/') {
        return location.parse().map(Some).map_err(|_| unfit());
    }
    let is_path = location.starts_with('/') && !location.starts_with("//");
    let mut parts = current.clone().into_parts();
    parts.path_and_query = is_path.then(|| location.parse().ok()).flatten();
    match parts.path_and_query {
        Some(_) => Uri::from_parts(parts).map(Some).map_err(|_| unfit()),
        None => Err(unfit()),
    }
}

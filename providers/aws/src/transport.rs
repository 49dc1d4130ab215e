use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::Uri;
use strongroom_http::{Cause, Client, Error, Proxy, Request, Response, Settings, Timeouts, TlsSettings};
use strongroom_secret::SecretBytes;

/// The largest answer that is read. A full batch of the largest secrets is 20 × 64 KiB, which JSON's escapes can blow
/// up to six times that.
const LARGEST_ANSWER: usize = 16 << 20;

/// The one HTTP client of a session, in the SDK's terms: a [`Client`] for each way out, made when first needed.
///
/// Link-local metadata services are never asked through a proxy: it would answer for its own machine.
#[derive(Clone)]
pub(crate) struct Transport(Arc<Shared>);

struct Shared {
    tls: TlsSettings,
    proxy: Proxy,
    clients: Mutex<HashMap<Way, Client>>,
}

/// What tells one client from another.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Way {
    connect_timeout: Option<Duration>,
    read_timeout: Option<Duration>,
    is_direct: bool,
}

impl Transport {
    pub(crate) fn new(tls: TlsSettings, proxy: Proxy) -> Self {
        Self(Arc::new(Shared { tls, proxy, clients: Mutex::default() }))
    }
}

#[cfg(any(feature = "tokens", feature = "key-management"))]
impl Transport {
    /// Sends one request, as long as `timeouts` let a call of the SDK's take to be answered.
    pub(crate) async fn send(
        &self,
        request: Request<SecretBytes>,
        timeouts: crate::settings::Timeouts,
    ) -> Result<HttpResponse, ConnectorError> {
        let (connect_timeout, read_timeout) = (Some(timeouts.connect), Some(timeouts.call));
        let client = self.0.client(Way { connect_timeout, read_timeout, is_direct: false }).map_err(failed)?;
        answered(client.send(request).await.map_err(failed)?)
    }
}

impl Shared {
    fn client(&self, way: Way) -> Result<Client, Error> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&way) {
            return Ok(client.clone());
        }
        let client = Client::new(Settings {
            tls: self.tls.clone(),
            proxy: if way.is_direct { Proxy::none() } else { self.proxy.clone() },
            timeouts: way.timeouts(),
            body_limit: LARGEST_ANSWER,
            ..Settings::default()
        })?;
        clients.insert(way, client.clone());
        Ok(client)
    }
}

impl Way {
    /// The SDK's limits, or else our usual ones. The SDK itself ends the whole call after its own time.
    fn timeouts(self) -> Timeouts {
        let usual = Timeouts::default();
        let connect = self.connect_timeout.unwrap_or(usual.connect);
        // Ours is for the connection and the first of the answer together, the SDK's for the answer alone.
        let wait = connect + self.read_timeout.unwrap_or(usual.wait);
        Timeouts { connect, wait, total: usual.total.max(wait) }
    }
}

impl HttpClient for Transport {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Router { shared: Arc::clone(&self.0), settings: settings.clone() })
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Transport")
    }
}

/// Sends each request its way.
struct Router {
    shared: Arc<Shared>,
    settings: HttpConnectorSettings,
}

impl HttpConnector for Router {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let prepared = translated(request).and_then(|request| {
            let way = Way {
                connect_timeout: self.settings.connect_timeout(),
                read_timeout: self.settings.read_timeout(),
                is_direct: is_metadata(request.uri()),
            };
            Ok((self.shared.client(way).map_err(failed)?, request))
        });
        match prepared {
            Ok((client, request)) => HttpConnectorFuture::new(async move {
                let answer = client.send(request).await.map_err(failed)?;
                answered(answer)
            }),
            Err(error) => HttpConnectorFuture::ready(Err(error)),
        }
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Router")
    }
}

/// The SDK's request in our client's terms.
fn translated(request: HttpRequest) -> Result<Request<SecretBytes>, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let (head, body) = request.into_parts();
    // No call of ours sends a stream.
    let body = body.bytes().ok_or_else(|| ConnectorError::user("the request's body is a stream".into()))?;
    Ok(Request::from_parts(head, SecretBytes::new(body.to_vec())))
}

/// Our client's answer in the SDK's terms.
fn answered(answer: Response) -> Result<HttpResponse, ConnectorError> {
    // The SDK keeps the answer as it came: it is wiped when the SDK lets go of it.
    let mut response = http::Response::new(SdkBody::from(Bytes::from_owner(Wiped(answer.body))));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    HttpResponse::try_from(response).map_err(|error| ConnectorError::io(error.into()))
}

fn failed(error: Error) -> ConnectorError {
    match error.cause() {
        Cause::Timeout => ConnectorError::timeout(error.into()),
        Cause::Invalid | Cause::Forbidden => ConnectorError::user(error.into()),
        Cause::TooLarge => ConnectorError::other(error.into(), None),
        Cause::Name | Cause::Connect | Cause::Proxy | Cause::ProxyAuthorization | Cause::Certificate | Cause::Tls => {
            ConnectorError::io(error.into()).never_connected()
        }
        Cause::Cut => ConnectorError::io(error.into()),
    }
}

/// Lends an answer's bytes to the SDK.
struct Wiped(SecretBytes);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

/// Whether `target` is a metadata service: link-local, or EC2's and EKS's own IPv6 addresses.
fn is_metadata(target: &Uri) -> bool {
    let host = target.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    match host.parse() {
        Ok(IpAddr::V4(address)) => address.is_link_local(),
        Ok(IpAddr::V6(address)) => address.is_unicast_link_local() || address.segments()[..2] == [0xfd00, 0x0ec2],
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_services_are_known_by_their_address() {
        let check = |target: &str, expected| assert_eq!(is_metadata(&target.parse().unwrap()), expected, "{target}");
        check("http://169.254.169.254/latest/api/token", true);
        check("http://169.254.170.23/v1/credentials", true);
        check("http://[fd00:ec2::254]/latest/api/token", true);
        check("http://[fe80::1]/", true);
        check("http://127.0.0.1:5000/", false);
        check("https://sts.eu-west-1.amazonaws.com/", false);
    }

    #[test]
    fn the_sdks_limits_become_ours() {
        let check = |connect: Option<u64>, read: Option<u64>, expected: [u64; 3]| {
            let seconds = |limit: Option<u64>| limit.map(Duration::from_secs);
            let way = Way { connect_timeout: seconds(connect), read_timeout: seconds(read), is_direct: false };
            let Timeouts { connect, wait, total } = way.timeouts();
            assert_eq!([connect, wait, total].map(|limit| limit.as_secs()), expected);
        };
        check(Some(1), Some(1), [1, 2, 60]);
        check(Some(4), Some(100), [4, 104, 104]);
        check(None, None, [10, 40, 60]);
    }

    #[test]
    fn a_request_keeps_its_parts_and_an_answer_is_wiped_with_its_last_reader() {
        let mut request = HttpRequest::new(SdkBody::from("canary"));
        request.set_method("POST").unwrap();
        request.set_uri("http://127.0.0.1/a?b=c").unwrap();
        request.headers_mut().insert("x-amz-target", "secretsmanager.GetSecretValue");
        let request = translated(request).unwrap();
        assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), ("POST", "http://127.0.0.1/a?b=c"));
        assert_eq!(request.headers()["x-amz-target"], "secretsmanager.GetSecretValue");
        assert!(request.body().expose() == b"canary");

        let mut headers = strongroom_http::HeaderMap::new();
        headers.insert("retry-after", "3".parse().unwrap());
        let status = strongroom_http::StatusCode::TOO_MANY_REQUESTS;
        let answer = answered(Response { status, headers, body: SecretBytes::from("canary".to_owned()) }).unwrap();
        assert_eq!((answer.status().as_u16(), answer.headers().get("retry-after")), (429, Some("3")));
        assert!(answer.body().bytes() == Some(b"canary"));
    }
}

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use http::Uri;
use http_body_util::Limited;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use strongroom_http::{Hop, Proxy};

/// The largest answer that is read. A full batch of the largest secrets is 20 × 64 KiB, which JSON's escapes can blow
/// up to six times that.
const LARGEST_ANSWER: usize = 16 << 20;

/// The one HTTP client of a session, in the SDK's terms: the official connector, made when first needed and once for
/// each way out.
///
/// The system's certificates are parsed only when something is asked over TLS, which costs a millisecond that plain
/// endpoints and metadata services need not pay. Link-local metadata services are never asked through a proxy: it
/// would answer for its own machine.
#[derive(Clone)]
pub(crate) struct Transport(Arc<Shared>);

struct Shared {
    trust: Trust,
    proxy: Proxy,
    connectors: Mutex<HashMap<Way, SharedHttpConnector>>,
}

/// Whom to trust over TLS.
#[derive(Clone)]
pub(crate) enum Trust {
    /// The system's authorities, or those of `SSL_CERT_FILE`.
    System,
    /// Only these, as PEM that was checked.
    Only(Vec<u8>),
    /// Nobody: there are no authorities on this machine, so that TLS fails with words that say so.
    Nobody,
}

/// What tells one connector from another.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Way {
    connect_timeout: Option<Duration>,
    read_timeout: Option<Duration>,
    is_tls: bool,
    proxy: Option<Uri>,
}

impl Transport {
    pub(crate) fn new(trust: Trust, proxy: Proxy) -> Self {
        Self(Arc::new(Shared { trust, proxy, connectors: Mutex::default() }))
    }
}

impl Shared {
    /// The connector for `target`; an error where its address is none.
    fn connector(&self, settings: &HttpConnectorSettings, target: &str) -> Result<SharedHttpConnector, ConnectorError> {
        let target: Uri = target.parse().map_err(|error: http::uri::InvalidUri| ConnectorError::user(error.into()))?;
        let hop = if is_metadata(&target) { None } else { self.proxy.hop(&target) };
        let is_tls = |uri: &Uri| uri.scheme_str() == Some("https");
        let way = Way {
            connect_timeout: settings.connect_timeout(),
            read_timeout: settings.read_timeout(),
            is_tls: is_tls(&target) || hop.as_ref().is_some_and(|hop| is_tls(&hop.uri)),
            proxy: hop.as_ref().map(|hop| hop.uri.clone()),
        };
        let mut connectors = self.connectors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connector) = connectors.get(&way) {
            return Ok(connector.clone());
        }
        let connector = self.build(settings, &way, hop.as_ref())?;
        connectors.insert(way, connector.clone());
        Ok(connector)
    }

    fn build(
        &self,
        settings: &HttpConnectorSettings,
        way: &Way,
        hop: Option<&Hop>,
    ) -> Result<SharedHttpConnector, ConnectorError> {
        let store = match &self.trust {
            Trust::System if way.is_tls => TrustStore::default(),
            Trust::Only(pem) if way.is_tls => TrustStore::empty().with_pem_certificate(pem.clone()),
            _ => TrustStore::empty(),
        };
        let proxy = match hop {
            Some(hop) => ProxyConfig::all(proxy_address(hop)).map_err(|error| ConnectorError::user(error.into()))?,
            None => ProxyConfig::disabled(),
        };
        let context = TlsContext::builder().with_trust_store(store).build();
        let connector = Connector::builder()
            .connector_settings(settings.clone())
            .sleep_impl(TokioSleep::new())
            .proxy_config(proxy)
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(context.map_err(|error| ConnectorError::user(error.into()))?)
            .build();
        Ok(SharedHttpConnector::new(connector))
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
        let connector = match self.shared.connector(&self.settings, request.uri()) {
            Ok(connector) => connector,
            Err(error) => return HttpConnectorFuture::ready(Err(error)),
        };
        HttpConnectorFuture::new(async move {
            let answer = connector.call(request).await?;
            let mut answer = answer;
            let body = answer.take_body();
            *answer.body_mut() = SdkBody::from_body_1_x(Limited::new(body, LARGEST_ANSWER));
            Ok(answer)
        })
    }
}

impl fmt::Debug for Router {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Router")
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

/// The proxy's address with its user and password, as the connector takes them.
fn proxy_address(hop: &Hop) -> String {
    let (scheme, host) = (hop.uri.scheme_str().unwrap_or("http"), hop.uri.authority().map_or("", |host| host.as_str()));
    match hop.authorization.as_ref().and_then(|value| user_and_password(value.as_bytes())) {
        Some((user, password)) => {
            let (user, password) =
                (utf8_percent_encode(&user, NON_ALPHANUMERIC), utf8_percent_encode(&password, NON_ALPHANUMERIC));
            format!("{scheme}://{user}:{password}@{host}")
        }
        None => format!("{scheme}://{host}"),
    }
}

fn user_and_password(authorization: &[u8]) -> Option<(String, String)> {
    use base64::Engine as _;
    let encoded = authorization.strip_prefix(b"Basic ")?;
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
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
    fn a_proxys_password_survives_the_way_to_the_connector() {
        let proxy = Proxy::new(None, Some("http://us%40er:p%3A%2Fss@proxy:3128"), "").unwrap();
        let hop = proxy.hop(&"https://sts.amazonaws.com".parse().unwrap()).unwrap();
        assert_eq!(proxy_address(&hop), "http://us%40er:p%3A%2Fss@proxy:3128");
    }
}

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::connect::{Connected, Connection as Connects, HttpConnector};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use crate::error::find;
use crate::proxy::port_of;
use crate::{AddressPolicy, Cause, Error, Hop, Proxy, TlsSettings, tls};

/// Makes connections: name resolution, address rules, proxy, TLS, all within one time limit.
#[derive(Clone)]
pub(crate) struct Connector(Arc<Parts>);

struct Parts {
    proxy: Proxy,
    addresses: AddressPolicy,
    tls: TlsSettings,
    /// Read at the first https connection; a failure is not kept, so that a file may still appear.
    tls_config: OnceCell<Arc<ClientConfig>>,
    limit: Duration,
}

impl Connector {
    pub(crate) fn new(tls: TlsSettings, proxy: Proxy, addresses: AddressPolicy, limit: Duration) -> Self {
        Self(Arc::new(Parts { proxy, addresses, tls, tls_config: OnceCell::new(), limit }))
    }
}

impl Service<Uri> for Connector {
    type Response = Connection;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Connection, Error>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let parts = Arc::clone(&self.0);
        Box::pin(async move {
            match tokio::time::timeout(parts.limit, parts.connect(&target)).await {
                Ok(result) => result,
                Err(_) => {
                    let (host, limit) = (host_of(&target)?, parts.limit);
                    Err(Error::new(Cause::Timeout, format!("connecting to {host} took longer than {limit:?}")))
                }
            }
        })
    }
}

impl Parts {
    async fn connect(&self, target: &Uri) -> Result<Connection, Error> {
        let is_https = target.scheme_str() == Some("https");
        let (stream, proxied) = match self.proxy.hop(target) {
            None => (dial(target, self.addresses).await?, false),
            Some(hop) => {
                self.check_behind_proxy(target).await?;
                let proxy = self.reach_proxy(&hop).await?;
                (if is_https { tunnel(proxy, &hop, target).await? } else { proxy }, !is_https)
            }
        };
        let stream = if is_https { self.secure(stream, target).await? } else { stream };
        Ok(Connection { stream: TokioIo::new(stream), proxied })
    }

    /// The proxy resolves the name itself; what resolves here as well is held to the rules all the same.
    async fn check_behind_proxy(&self, target: &Uri) -> Result<(), Error> {
        if self.addresses == AddressPolicy::Any {
            return Ok(());
        }
        let host = host_of(target)?;
        check_literal(host, self.addresses)?;
        match tokio::net::lookup_host((host, port_of(target))).await {
            Ok(found) => permitted(host, found, self.addresses).map(drop),
            Err(_) => Ok(()),
        }
    }

    async fn reach_proxy(&self, hop: &Hop) -> Result<Stream, Error> {
        // The operator chose the proxy: tenants' address rules are not for it.
        let stream = dial(&hop.uri, AddressPolicy::Any)
            .await
            .map_err(|error| Error::new(Cause::Proxy, format!("the proxy cannot be reached: {error}")))?;
        if hop.uri.scheme_str() != Some("https") {
            return Ok(stream);
        }
        let name = server_name(host_of(&hop.uri)?)?;
        self.handshake(stream, name, &hop.uri).await
    }

    async fn secure(&self, stream: Stream, target: &Uri) -> Result<Stream, Error> {
        let name = match &self.tls.server_name {
            Some(name) => server_name(name)?,
            None => server_name(host_of(target)?)?,
        };
        self.handshake(stream, name, target).await
    }

    async fn handshake(&self, stream: Stream, name: ServerName<'static>, target: &Uri) -> Result<Stream, Error> {
        let config = self.tls_config.get_or_try_init(|| async { self.tls.load().map(Arc::new) }).await?;
        let host = host_of(target)?;
        match TlsConnector::from(Arc::clone(config)).connect(name, stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(match find::<rustls::Error>(&error) {
                Some(reason) => tls::handshake_error(reason, host),
                None => Error::new(Cause::Cut, format!("{host} closed the connection during the TLS handshake")),
            }),
        }
    }
}

async fn dial(target: &Uri, addresses: AddressPolicy) -> Result<Stream, Error> {
    let host = host_of(target)?;
    check_literal(host, addresses)?;
    let mut connector = HttpConnector::new_with_resolver(Resolver(addresses));
    connector.enforce_http(false);
    connector.set_nodelay(true);
    // Notices a peer that vanished while a connection idles in the pool.
    connector.set_keepalive(Some(Duration::from_secs(30)));
    match connector.call(target.clone()).await {
        Ok(stream) => Ok(Box::new(stream.into_inner())),
        Err(error) => Err(match find::<Error>(&error) {
            Some(ours) => ours.clone(),
            None => {
                let why = find::<io::Error>(&error).map_or_else(|| error.to_string(), io_words);
                Error::new(Cause::Connect, format!("cannot connect to {host}:{}: {why}", port_of(target)))
            }
        }),
    }
}

/// Asks the proxy for a way through to `target` (CONNECT) and waits for its yes.
async fn tunnel(stream: Stream, hop: &Hop, target: &Uri) -> Result<Stream, Error> {
    let refused = |why: String| Error::new(Cause::Proxy, format!("the proxy {} {why}", hop.uri));
    let authority = format!("{}:{}", host_of_uri(target)?, port_of(target));
    let mut request = Request::connect(&authority).header(header::HOST, &authority);
    if let Some(authorization) = &hop.authorization {
        request = request.header(header::PROXY_AUTHORIZATION, authorization);
    }
    let request = request
        .body(Empty::<Bytes>::new())
        .map_err(|_| Error::invalid(format!("{authority} cannot be asked of a proxy")))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|_| refused("closed the connection".to_owned()))?;
    tokio::spawn(connection.with_upgrades());
    let answer = sender
        .send_request(request)
        .await
        .map_err(|_| refused("closed the connection instead of answering".to_owned()))?;
    if answer.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        let words = format!("the proxy {} wants a user and password, or others (407)", hop.uri);
        return Err(Error::new(Cause::ProxyAuthorization, words)
            .with_hint("check the user and password in the proxy's address"));
    }
    if !answer.status().is_success() {
        return Err(refused(format!("refuses a connection to {authority}: it answered {}", answer.status())));
    }
    let upgraded =
        hyper::upgrade::on(answer).await.map_err(|_| refused(format!("gave no connection to {authority}")))?;
    Ok(Box::new(TokioIo::new(upgraded)))
}

/// The system's resolver, with the address rules applied to what it found.
#[derive(Clone)]
struct Resolver(AddressPolicy);

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let addresses = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await.map_err(|error| {
                let why = error.to_string().replace("failed to lookup address information: ", "");
                Error::new(Cause::Name, format!("the host name {name} does not resolve: {why}"))
            })?;
            Ok(permitted(name.as_str(), found, addresses)?.into_iter())
        })
    }
}

/// The addresses that may be reached. Those that may not are left out; where none remains, that is the error.
fn permitted(
    host: &str,
    found: impl Iterator<Item = SocketAddr>,
    addresses: AddressPolicy,
) -> Result<Vec<SocketAddr>, Error> {
    let mut refusal = None;
    let mut allowed = Vec::new();
    for address in found {
        match addresses.refusal(address.ip()) {
            None => allowed.push(address),
            Some(why) => refusal = Some((address.ip(), why)),
        }
    }
    match refusal {
        Some((address, why)) if allowed.is_empty() => Err(forbidden(host, address, why)),
        _ => Ok(allowed),
    }
}

/// hyper's connector does not resolve addresses, so they are held to the rules here.
fn check_literal(host: &str, addresses: AddressPolicy) -> Result<(), Error> {
    let address = host.parse::<IpAddr>().ok();
    match address.and_then(|address| Some((address, addresses.refusal(address)?))) {
        Some((address, why)) => Err(forbidden(host, address, why)),
        None => Ok(()),
    }
}

fn forbidden(host: &str, address: IpAddr, why: &str) -> Error {
    Error::new(Cause::Forbidden, format!("{host} is not a permitted address: {address} is {why}"))
}

fn server_name(host: &str) -> Result<ServerName<'static>, Error> {
    ServerName::try_from(host.to_owned())
        .map_err(|_| Error::invalid(format!("{host} is not a name that a certificate can carry")))
}

/// The host without the brackets of an IPv6 address.
pub(crate) fn host_of(target: &Uri) -> Result<&str, Error> {
    host_of_uri(target).map(|host| host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host))
}

fn host_of_uri(target: &Uri) -> Result<&str, Error> {
    target.host().filter(|host| !host.is_empty()).ok_or_else(|| Error::invalid("the address names no host"))
}

fn io_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "nobody listens there (connection refused)".to_owned(),
        io::ErrorKind::TimedOut => "the host does not answer".to_owned(),
        io::ErrorKind::ConnectionReset => "the connection was reset".to_owned(),
        io::ErrorKind::NetworkUnreachable => "the network is unreachable".to_owned(),
        io::ErrorKind::HostUnreachable => "the host is unreachable".to_owned(),
        _ => error.to_string(),
    }
}

trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// Plain, TLS, TLS inside a tunnel, TLS inside a tunnel through a TLS proxy.
type Stream = Box<dyn Duplex>;

/// A connection as hyper's pool keeps it.
pub(crate) struct Connection {
    stream: TokioIo<Stream>,
    /// Whether requests must carry the whole address, as http proxies want it.
    proxied: bool,
}

impl Connects for Connection {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.proxied)
    }
}

impl hyper::rt::Read for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl hyper::rt::Write for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

use std::fmt;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use strongroom_secret::SecretBytes;
use zeroize::Zeroizing;

use crate::connect::{Connector, host_of};
use crate::error::find;
use crate::{AddressPolicy, Cause, Error, Proxy, Response, TlsSettings, tls};

/// Everything that a client is built from; whoever has two of these that differ needs two clients (design invariant 6).
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whom to trust and who we are.
    pub tls: TlsSettings,
    /// Which proxy stands before which host.
    pub proxy: Proxy,
    /// Where requests may go.
    pub addresses: AddressPolicy,
    /// What to do with redirects.
    pub redirects: Redirects,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// The largest answer that is read, in bytes. The default, 4 MiB, holds the largest secret of every store that is
    /// known (1 MiB in Vault's integrated storage, encoded) with room for its envelope.
    pub body_limit: usize,
    /// Idle connections kept for each host. The default, 32, is how many reads run in parallel.
    pub idle_connections: usize,
    /// The value of `User-Agent`.
    pub user_agent: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tls: TlsSettings::default(),
            proxy: Proxy::none(),
            addresses: AddressPolicy::Any,
            redirects: Redirects::Refuse,
            timeouts: Timeouts::default(),
            body_limit: 4 << 20,
            idle_connections: 32,
            user_agent: concat!("strongroom/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

impl Settings {
    /// The defaults with the proxies and system roots that the environment names.
    ///
    /// # Errors
    /// Where a proxy variable holds no proxy's address.
    pub fn from_environment(lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let (tls, proxy) = (TlsSettings::from_environment(lookup), Proxy::from_environment(lookup)?);
        Ok(Self { tls, proxy, ..Self::default() })
    }
}

/// What to do with answers that point elsewhere (301, 302, 303, 307, 308).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redirects {
    /// Hand them to the caller as they are.
    #[default]
    Refuse,
    /// Follow at most this many, with the same method and headers, to the same scheme, host and port; any other is
    /// handed to the caller.
    SameHost(usize),
}

/// How long things may take. Nobody waits forever: a peer that accepts and says nothing ends with `wait`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Resolving, connecting, proxy and TLS together.
    pub connect: Duration,
    /// For the head of the answer, and from each piece of its body to the next.
    pub wait: Duration,
    /// The whole exchange, redirects included.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), wait: Duration::from_secs(30), total: Duration::from_secs(60) }
    }
}

/// Sends requests and reads whole answers; cheap to clone, connections are shared between clones.
#[derive(Clone)]
pub struct Client {
    connections: legacy::Client<Connector, Full<Bytes>>,
    proxy: Proxy,
    redirects: Redirects,
    timeouts: Timeouts,
    body_limit: usize,
    user_agent: HeaderValue,
}

impl Client {
    /// A client that has done nothing yet: no file is read and no connection made before the first request.
    ///
    /// # Errors
    /// Where the settings cannot be used.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let Settings { tls, proxy, addresses, redirects, timeouts, body_limit, idle_connections, user_agent } =
            settings;
        let user_agent = HeaderValue::try_from(user_agent)
            .map_err(|_| Error::invalid("the user agent has characters that an HTTP header cannot carry"))?;
        let connector = Connector::new(tls, proxy.clone(), addresses, timeouts.connect);
        let connections = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            // Shorter than the idle timeouts of the load balancers that stand before stores (AWS: 60 s), so that a
            // connection is not taken up just as it is closed.
            .pool_idle_timeout(Duration::from_secs(50))
            .pool_max_idle_per_host(idle_connections)
            .build(connector);
        Ok(Self { connections, proxy, redirects, timeouts, body_limit, user_agent })
    }

    /// Sends `request` and reads the whole answer, whatever its status. The request's body is wiped after it was sent.
    ///
    /// # Errors
    /// Where there is no whole answer: see [`Cause`]. Nothing is tried again, except on a new connection where a kept
    /// one turned out to be closed before any of the request was sent.
    pub async fn send(&self, request: Request<SecretBytes>) -> Result<Response, Error> {
        let limit = self.timeouts.total;
        // Boxed: the state of connecting, TLS and reading is large, and callers keep many of these.
        let whole = Box::pin(self.follow(request));
        match tokio::time::timeout(limit, whole).await {
            Ok(result) => result,
            Err(_) => Err(Error::new(Cause::Timeout, format!("the exchange took longer than {limit:?}"))),
        }
    }

    /// Sends `request` and hands each piece of a successful answer's body to `each` as it comes, however long that takes in
    /// all; an answer that is no success comes back whole, as by [`Client::send`]. `None` where all was handed over.
    ///
    /// # Errors
    /// As [`Client::send`], and what `each` answers: nothing more is read then.
    pub async fn download(
        &self,
        request: Request<SecretBytes>,
        each: &mut (dyn FnMut(&[u8]) -> Result<(), Error> + Send),
    ) -> Result<Option<Response>, Error> {
        let target = request.uri().clone();
        let host = host_of(&target)?.to_owned();
        let request = self.prepared(request, &target)?;
        let answer = self.within(&host, self.connections.request(request)).await?;
        let (head, mut body) = answer.map_err(|error| exchange_error(&error, &host))?.into_parts();
        if !head.status.is_success() {
            let body = self.collect(body, &host).await?;
            return Ok(Some(Response { status: head.status, headers: head.headers, body }));
        }
        while let Some(frame) = self.within(&host, body.frame()).await? {
            let frame = frame.map_err(|error| exchange_error(&error, &host))?;
            frame.data_ref().map_or(Ok(()), |data| each(data))?;
        }
        Ok(None)
    }

    async fn follow(&self, mut request: Request<SecretBytes>) -> Result<Response, Error> {
        let mut left = match self.redirects {
            Redirects::Refuse => 0,
            Redirects::SameHost(most) => most,
        };
        loop {
            let again = (left > 0).then(|| request.clone());
            let response = self.exchange(request).await?;
            match again.and_then(|again| redirected(again, &response)) {
                Some(next) => request = next,
                None => return Ok(response),
            }
            left -= 1;
        }
    }

    async fn exchange(&self, request: Request<SecretBytes>) -> Result<Response, Error> {
        let target = request.uri().clone();
        let host = host_of(&target)?.to_owned();
        let request = self.prepared(request, &target)?;
        let answer = self.within(&host, self.connections.request(request)).await?;
        let answer = answer.map_err(|error| exchange_error(&error, &host))?;
        let (head, body) = answer.into_parts();
        let body = self.collect(body, &host).await?;
        Ok(Response { status: head.status, headers: head.headers, body })
    }

    fn prepared(&self, request: Request<SecretBytes>, target: &Uri) -> Result<Request<Full<Bytes>>, Error> {
        let is_plain = match target.scheme_str() {
            Some("http") => true,
            Some("https") => false,
            _ => return Err(Error::invalid("the address must begin with http:// or https://")),
        };
        let mut request = request.map(|body| Full::new(Bytes::from_owner(Wiped(body))));
        let headers = request.headers_mut();
        headers.entry(header::USER_AGENT).or_insert_with(|| self.user_agent.clone());
        // In a tunnel the proxy sees no header; it was asked when the tunnel was made.
        if let Some(authorization) = self.proxy.hop(target).and_then(|hop| hop.authorization).filter(|_| is_plain) {
            headers.insert(header::PROXY_AUTHORIZATION, authorization);
        }
        Ok(request)
    }

    async fn collect(&self, mut body: Incoming, host: &str) -> Result<SecretBytes, Error> {
        let too_large = || {
            let limit = self.body_limit;
            Error::new(Cause::TooLarge, format!("the answer of {host} is larger than the limit of {limit} bytes"))
        };
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > self.body_limit {
            return Err(too_large());
        }
        let mut buffer = WipedBuffer::with_capacity(announced);
        while let Some(frame) = self.within(host, body.frame()).await? {
            let frame = frame.map_err(|error| exchange_error(&error, host))?;
            let Some(data) = frame.data_ref() else { continue };
            if buffer.len() + data.len() > self.body_limit {
                return Err(too_large());
            }
            buffer.extend(data);
        }
        Ok(buffer.into_secret())
    }

    async fn within<T>(&self, host: &str, step: impl Future<Output = T>) -> Result<T, Error> {
        // Connecting has a limit of its own, which is part of the first wait.
        let limit = self.timeouts.wait;
        tokio::time::timeout(limit, step)
            .await
            .map_err(|_| Error::new(Cause::Timeout, format!("{host} did not answer within {limit:?}")))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Client")
            .field("proxy", &self.proxy)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

/// `request` at the place that `response` points to, where that is on the same scheme, host and port.
fn redirected(mut request: Request<SecretBytes>, response: &Response) -> Option<Request<SecretBytes>> {
    let points = matches!(
        response.status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    );
    // Turning a write into a read (as browsers do on 302) is not ours to decide.
    let keeps_method = request.method().is_safe()
        || matches!(response.status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    if !points || !keeps_method {
        return None;
    }
    let location = response.headers.get(header::LOCATION)?.to_str().ok()?;
    let current = request.uri().clone().into_parts();
    let mut next = location.parse::<Uri>().ok()?.into_parts();
    if next.scheme.is_none() && next.authority.is_none() {
        // Only a path from the root: no server that we speak to sends relative ones.
        next.path_and_query.as_ref().filter(|path| path.as_str().starts_with('/'))?;
        (next.scheme, next.authority) = (current.scheme.clone(), current.authority.clone());
    }
    let next = Uri::from_parts(next).ok()?;
    let same_place = next.scheme() == current.scheme.as_ref() && next.authority() == current.authority.as_ref();
    *request.uri_mut() = next;
    same_place.then_some(request)
}

fn exchange_error(error: &(dyn std::error::Error + 'static), host: &str) -> Error {
    if let Some(ours) = find::<Error>(error) {
        return ours.clone();
    }
    // With TLS 1.3 a refused client certificate shows only after the handshake.
    if let Some(reason) = find::<rustls::Error>(error) {
        return tls::handshake_error(reason, host);
    }
    match find::<hyper::Error>(error) {
        Some(reason) if reason.is_parse() => Error::new(Cause::Cut, format!("what {host} answered is not HTTP"))
            .with_hint("an address that begins with https:// instead of http:// may be meant"),
        _ => Error::new(Cause::Cut, format!("{host} closed the connection before its answer was whole")),
    }
}

/// Lends a secret's bytes to hyper; they are wiped when hyper lets go of them.
struct Wiped(SecretBytes);

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

/// Grows without leaving unwiped copies behind, as a plain `Vec` would when it moves.
struct WipedBuffer(Zeroizing<Vec<u8>>);

impl WipedBuffer {
    fn with_capacity(bytes: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(bytes)))
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn extend(&mut self, bytes: &[u8]) {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(self.0.capacity() * 2)));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }

    fn into_secret(mut self) -> SecretBytes {
        SecretBytes::new(std::mem::take(&mut *self.0))
    }
}

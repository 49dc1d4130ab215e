//! A server that hands whole requests to one handler: for interfaces whose paths are data.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming as Body};
use strongroom_failure::Failure;
use strongroom_secret::SecretBytes;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use zeroize::Zeroize as _;

use super::listen::{Limits, Peer, listen};
use super::sent::Sent;
use super::tls::ServerTls;

/// A request with its whole body.
pub struct Received {
    /// `GET`, or a name of one's own: `LIST`.
    pub method: Method,
    /// The path as it was sent, with its query; nothing is decoded or resolved.
    pub uri: Uri,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body. Others wrote it, and it may hold secrets.
    pub body: SecretBytes,
    /// Who sent it.
    pub peer: Peer,
}

impl fmt::Debug for Received {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Received").field("method", &self.method).finish_non_exhaustive()
    }
}

/// An answer. It is wiped after it was sent.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Headers beside the usual ones; these replace them.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body, JSON where no header says otherwise.
    pub body: ReplyBody,
}

/// The body of an answer.
#[derive(Debug)]
pub enum ReplyBody {
    /// All of it.
    Whole(SecretBytes),
    /// Part by part, as fast as the client reads. An `Err`, or an end without [`ReplyPart::Last`], breaks the connection
    /// off, so that no client takes a part for the whole.
    Parts(mpsc::Receiver<ReplyPart>),
}

/// A part of a body.
#[derive(Debug)]
pub enum ReplyPart {
    /// More follows.
    More(Vec<u8>),
    /// That was all.
    Last,
}

impl From<SecretBytes> for ReplyBody {
    fn from(bytes: SecretBytes) -> Self {
        Self::Whole(bytes)
    }
}

/// Listens, and hands each request to a handler.
#[derive(Debug)]
pub struct RequestServer {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<ServerTls>,
    limits: Limits,
    most_bytes: usize,
    body_time: Duration,
}

impl RequestServer {
    /// Listens; connections wait until [`RequestServer::run`]. Bodies may have `most_bytes`, and must have come within
    /// `body_time`.
    ///
    /// # Errors
    /// Where the address cannot be had: another program has it, or it is not ours.
    pub async fn bind(
        address: SocketAddr,
        tls: Option<ServerTls>,
        limits: Limits,
        most_bytes: usize,
        body_time: Duration,
    ) -> Result<Self, Failure> {
        let (listener, address) = super::bound(address).await?;
        Ok(Self { listener, address, tls, limits, most_bytes, body_time })
    }

    /// Where it listens, with the port that was found where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` resolves; then takes no more connections, and gives requests that are under way at most
    /// `drain` to end. A request whose client has gone is handled to its end: it may have taken effect already. `refuse`
    /// makes the answer to a body that is too large or does not come.
    pub async fn run<H, F>(
        self,
        handle: H,
        refuse: fn(StatusCode, &str) -> Reply,
        stop: impl Future<Output = ()>,
        drain: Duration,
    ) where
        H: Fn(Received) -> F + Send + Sync + 'static,
        F: Future<Output = Reply> + Send + 'static,
    {
        let handle = Arc::new(handle);
        let (most_bytes, body_time) = (self.most_bytes, self.body_time);
        let serve = move |request: Request<Body>, peer| {
            let handle = Arc::clone(&handle);
            async move {
                let sent = match whole(request, peer, most_bytes, body_time).await {
                    Ok(request) => tokio::spawn(handle(request)).await,
                    Err((status, words)) => Ok(refuse(status, words)),
                };
                let sent = sent.unwrap_or_else(|_| refuse(StatusCode::INTERNAL_SERVER_ERROR, "internal error"));
                response(sent)
            }
        };
        listen(self.listener, self.tls, self.limits, serve, stop, drain).await;
    }
}

/// The whole request, or what is wrong with it.
async fn whole(
    request: Request<Body>,
    peer: Peer,
    most_bytes: usize,
    time: Duration,
) -> Result<Received, (StatusCode, &'static str)> {
    let (head, body) = request.into_parts();
    if body.size_hint().lower() > most_bytes as u64 {
        return Err((StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"));
    }
    let body = if body.is_end_stream() {
        SecretBytes::new(Vec::new())
    } else {
        let late = |_| (StatusCode::REQUEST_TIMEOUT, "the body did not come in time");
        tokio::time::timeout(time, collected(body, most_bytes)).await.map_err(late)??
    };
    Ok(Received { method: head.method, uri: head.uri, headers: head.headers, body, peer })
}

/// The body, of which no copy stays behind but hyper's own read buffer.
async fn collected(mut body: Body, most_bytes: usize) -> Result<SecretBytes, (StatusCode, &'static str)> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or_default().min(most_bytes);
    let mut bytes = Vec::with_capacity(announced);
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            bytes.zeroize();
            return Err((StatusCode::BAD_REQUEST, "the body broke off"));
        };
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > most_bytes {
            bytes.zeroize();
            return Err((StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"));
        }
        append(&mut bytes, &data);
        wipe(data);
    }
    Ok(SecretBytes::new(bytes))
}

/// Grows by hand, so that what is left behind by growing is wiped.
fn append(bytes: &mut Vec<u8>, more: &[u8]) {
    if bytes.capacity() - bytes.len() < more.len() {
        let mut grown = Vec::with_capacity((bytes.len() + more.len()).next_power_of_two());
        grown.extend_from_slice(bytes);
        bytes.zeroize();
        *bytes = grown;
    }
    bytes.extend_from_slice(more);
}

/// Wipes what nobody else holds.
fn wipe(data: Bytes) {
    if let Ok(mut data) = data.try_into_mut() {
        let data: &mut BytesMut = &mut data;
        data.as_mut().zeroize();
    }
}

fn response(sent: Reply) -> Response<Sent> {
    let mut response = Response::new(match sent.body {
        // Wiped when hyper has written it and lets it go.
        ReplyBody::Whole(body) => Sent::Whole(Full::new(Bytes::from_owner(Owned(body)))),
        ReplyBody::Parts(parts) => Sent::Parts(parts),
    });
    *response.status_mut() = sent.status;
    let headers = response.headers_mut();
    if !matches!(sent.status, StatusCode::NO_CONTENT) {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    for (name, value) in sent.headers {
        headers.insert(name, value);
    }
    response
}

struct Owned(SecretBytes);

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

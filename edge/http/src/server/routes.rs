use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use strongroom_failure::Failure;
use tokio::net::TcpListener;

use super::listen::{Limits, listen};
use super::sent::Sent;

/// What a route answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 200 where all is well.
    pub status: StatusCode,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The whole body.
    pub body: String,
}

impl Answer {
    /// Plain text.
    pub fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into() }
    }
}

/// A request that somebody posted.
pub struct Posted {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its whole body. Others wrote it: it is not for logs.
    pub body: Bytes,
}

/// A path and what answers there.
#[derive(Clone)]
pub struct Route {
    path: &'static str,
    handler: Handler,
}

#[derive(Clone)]
enum Handler {
    /// To GET and HEAD.
    Get(Arc<dyn Fn() -> Answer + Send + Sync>),
    /// To POST of at most so many bytes.
    Post(usize, Arc<dyn Fn(&Posted) -> Answer + Send + Sync>),
}

impl Route {
    /// What answers GET and HEAD. `handler` must not block: it is asked between other work.
    pub fn new(path: &'static str, handler: impl Fn() -> Answer + Send + Sync + 'static) -> Self {
        Self { path, handler: Handler::Get(Arc::new(handler)) }
    }

    /// The same for POST, with bodies of at most `limit` bytes, which must have come within 10 seconds.
    pub fn post(path: &'static str, limit: usize, handler: impl Fn(&Posted) -> Answer + Send + Sync + 'static) -> Self {
        Self { path, handler: Handler::Post(limit, Arc::new(handler)) }
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.path)
    }
}

/// How long a client may take to send a head or a body.
const TIME: Duration = Duration::from_secs(10);

/// Probes and a few scrapers need less than ten connections, each of which takes about 16 KiB, and send some hundred bytes.
/// They make a new connection without noticing.
const LIMITS: Limits =
    Limits { connections: 64, head_bytes: 16 * 1024, head_time: TIME, connection_time: Some(Duration::from_secs(60)) };

/// A small server for probes, metrics and news: plain HTTP/1.1 and a table of paths.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    routes: Arc<[Route]>,
}

impl Server {
    /// Listens; connections wait until [`Server::run`].
    ///
    /// # Errors
    /// Where the address cannot be had: another program has it, or it is not ours.
    pub async fn bind(address: SocketAddr, routes: Vec<Route>) -> Result<Self, Failure> {
        let (listener, address) = super::bound(address).await?;
        Ok(Self { listener, address, routes: routes.into() })
    }

    /// Where it listens, with the port that was found where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` resolves; then takes no more connections, and gives requests that are under way at most
    /// `drain` to end.
    pub async fn run(self, stop: impl Future<Output = ()>, drain: Duration) {
        let routes = self.routes;
        let handle = move |request, _| {
            let routes = Arc::clone(&routes);
            async move { answer(&routes, request).await.map(Sent::Whole) }
        };
        listen(self.listener, None, LIMITS, handle, stop, drain).await;
    }
}

async fn answer(routes: &[Route], request: Request<Incoming>) -> Response<Full<Bytes>> {
    let route = routes.iter().find(|route| route.path == request.uri().path());
    let (answer, allowed) = match (route.map(|route| &route.handler), request.method().clone()) {
        (None, _) => (Answer::text(StatusCode::NOT_FOUND, "not found\n"), ""),
        (Some(Handler::Get(handler)), Method::GET | Method::HEAD) => (handler(), ""),
        (Some(Handler::Post(limit, handler)), Method::POST) => {
            (posted(request, *limit).await.map_or_else(|refusal| refusal, |posted| handler(&posted)), "")
        }
        (Some(Handler::Get(_)), _) => {
            (Answer::text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n"), "GET, HEAD")
        }
        (Some(Handler::Post(..)), _) => (Answer::text(StatusCode::METHOD_NOT_ALLOWED, "only POST\n"), "POST"),
    };
    // hyper leaves the body of an answer to HEAD away and keeps its length.
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !allowed.is_empty() {
        headers.insert(header::ALLOW, HeaderValue::from_static(allowed));
    }
    response
}

/// The whole request, or what to answer where it is too large or does not come.
async fn posted(request: Request<Incoming>, limit: usize) -> Result<Posted, Answer> {
    let (head, body) = request.into_parts();
    let collected = tokio::time::timeout(TIME, Limited::new(body, limit).collect()).await;
    match collected {
        Ok(Ok(body)) => Ok(Posted { headers: head.headers, body: body.to_bytes() }),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Answer::text(StatusCode::PAYLOAD_TOO_LARGE, format!("at most {limit} bytes\n")))
        }
        Ok(Err(_)) => Err(Answer::text(StatusCode::BAD_REQUEST, "the body broke off\n")),
        Err(_) => Err(Answer::text(StatusCode::REQUEST_TIMEOUT, "the body did not come\n")),
    }
}

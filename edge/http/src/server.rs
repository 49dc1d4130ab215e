use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use strongroom_failure::{Class, Failure};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

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

/// The most connections that are served at once; others wait in the kernel's queue. Probes and a few scrapers need less
/// than ten; each takes about 16 KiB.
const CONNECTIONS: usize = 64;

/// The largest head of a request, in bytes: probes and scrapers send some hundred. Not below hyper's least.
const HEAD_LIMIT: usize = 16 * 1024;

/// How long a client may take to send a head, also between two requests.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// How long a connection lives. Clients make a new one without noticing; whoever reads slowly to hold a place loses it.
const CONNECTION_TIME: Duration = Duration::from_secs(60);

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
        let failed = |error: std::io::Error| {
            Failure::new(Class::Invalid, format!("cannot listen on {address}: {error}"))
                .with_hint("choose another address, or end the program that has it")
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address, routes: routes.into() })
    }

    /// Where it listens, with the port that was found where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` resolves; then takes no more connections, and gives requests that are under way at most
    /// `drain` to end.
    pub async fn run(self, stop: impl Future<Output = ()>, drain: Duration) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let (closing, _) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let (stream, place) = tokio::select! {
                accepted = accept(&self.listener, &places) => accepted,
                () = &mut stop => break,
            };
            connections.spawn(serve(stream, place, self.routes.clone(), closing.subscribe()));
            while connections.try_join_next().is_some() {}
        }
        drop(self.listener);
        closing.send_replace(true);
        let all = async { while connections.join_next().await.is_some() {} };
        // What is left is aborted when the set is dropped.
        let _ = tokio::time::timeout(drain, all).await;
    }
}

/// The next connection, once there is a place for it.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // Fails only where the semaphore was closed, which nobody does.
    let place = places.clone().acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(error) => {
                // Mostly that no descriptors are left: without the pause this would spin until there are.
                tracing::warn!(%error, "the admin server cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(
    stream: TcpStream,
    place: Option<OwnedSemaphorePermit>,
    routes: Arc<[Route]>,
    mut closing: watch::Receiver<bool>,
) {
    let service = service_fn(move |request| {
        let routes = Arc::clone(&routes);
        async move { Ok::<_, Infallible>(answer(&routes, request).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD_LIMIT);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let must_close = async {
        // An error is a server that is gone, which closes as well.
        let _ = tokio::time::timeout(CONNECTION_TIME, closing.wait_for(|closing| *closing)).await;
    };
    // What goes wrong with one client's connection is that client's business.
    tokio::select! {
        _ = connection.as_mut() => {}
        () = must_close => {
            connection.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(HEAD_TIME, connection).await;
        }
    }
    drop(place);
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
    let collected = tokio::time::timeout(HEAD_TIME, Limited::new(body, limit).collect()).await;
    match collected {
        Ok(Ok(body)) => Ok(Posted { headers: head.headers, body: body.to_bytes() }),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Answer::text(StatusCode::PAYLOAD_TOO_LARGE, format!("at most {limit} bytes\n")))
        }
        Ok(Err(_)) => Err(Answer::text(StatusCode::BAD_REQUEST, "the body broke off\n")),
        Err(_) => Err(Answer::text(StatusCode::REQUEST_TIMEOUT, "the body did not come\n")),
    }
}

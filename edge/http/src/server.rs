use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
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

/// A path and what answers there, to GET and HEAD.
#[derive(Clone)]
pub struct Route {
    path: &'static str,
    handler: Arc<dyn Fn() -> Answer + Send + Sync>,
}

impl Route {
    /// `handler` must not block: it is asked between other work.
    pub fn new(path: &'static str, handler: impl Fn() -> Answer + Send + Sync + 'static) -> Self {
        Self { path, handler: Arc::new(handler) }
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

/// A small server for probes and metrics: plain HTTP/1.1, a table of paths, nothing that changes anything.
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
    let service = service_fn(move |request| std::future::ready(Ok::<_, Infallible>(answer(&routes, &request))));
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

fn answer(routes: &[Route], request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let answer = match routes.iter().find(|route| route.path == path) {
        None => Answer::text(StatusCode::NOT_FOUND, "not found\n"),
        Some(_) if !matches!(*request.method(), Method::GET | Method::HEAD) => {
            Answer::text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n")
        }
        Some(route) => (route.handler)(),
    };
    // hyper leaves the body of an answer to HEAD away and keeps its length.
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if answer.status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

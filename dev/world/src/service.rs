//! What the servers of this crate share: a thread with an async runtime behind a synchronous face, and HTTP/1.1 on
//! accepted connections.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderMap, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use hyper::http::request;
use hyper::service::Service;
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// The most of a request or an answer that is held in memory: above every store's largest value.
const BODY_LIMIT: usize = 64 << 20;

/// A body that is sent; it may end early, on purpose.
pub(crate) type Body = BoxBody<Bytes, std::io::Error>;

/// One thread with an async runtime. Dropping it ends everything that runs in it, and waits for that.
#[derive(Debug)]
pub(crate) struct Background {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts the thread under this name.
    pub(crate) fn start(name: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _ = runtime.block_on(stopped);
            // Tasks that wait are dropped here, and their connections with them.
            drop(runtime);
        })?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Runs a task until it ends or the thread does.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(task);
    }

    /// Runs a task and waits for what it returns; may be called from a thread that has a runtime of its own.
    pub(crate) fn wait<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> Result<T> {
        let (sender, receiver) = mpsc::channel();
        self.handle.spawn(async move {
            let _ = sender.send(task.await);
        });
        receiver.recv().context("the server's thread has ended")
    }

    /// A listener of this thread's runtime on a free port of 127.0.0.1.
    pub(crate) fn listen(&self) -> Result<(TcpListener, SocketAddr)> {
        let listener = self.wait(TcpListener::bind(("127.0.0.1", 0)))?.context("no port is free")?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Why a body or an answer could not be had.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Serves HTTP/1.1 on one accepted connection, after its TLS handshake where `tls` is given. A peer that does not
/// keep to the protocol only loses its connection, and so does one that the service answers with an error.
pub(crate) async fn serve_connection<S>(stream: TcpStream, tls: Option<Arc<ServerConfig>>, service: S)
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error: Into<Cause>>,
{
    // Small answers leave at once.
    let _ = stream.set_nodelay(true);
    match tls {
        None => serve(stream, service).await,
        Some(tls) => {
            if let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await {
                serve(stream, service).await;
            }
        }
    }
}

async fn serve<I, S>(stream: I, service: S)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<Body>, Error: Into<Cause>>,
{
    let server = hyper::server::conn::http1::Builder::new();
    // An error here is the peer's, or the end of a body that was to break off.
    let _ = server.serve_connection(TokioIo::new(stream), service).with_upgrades().await;
}

/// Reads a whole body.
pub(crate) async fn collect<B>(body: B) -> Result<Bytes, Cause>
where
    B: hyper::body::Body<Error: Into<Cause>>,
{
    Ok(Limited::new(body, BODY_LIMIT).collect().await?.to_bytes())
}

/// A body that is there as a whole.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed()
}

/// Passes requests on over plain HTTP/1.1, on connections that are kept.
#[derive(Debug)]
pub(crate) struct Forwarder(Client<HttpConnector, Full<Bytes>>);

impl Forwarder {
    /// With no connection yet.
    pub(crate) fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }

    /// Sends the request to `target` (`HOST:PORT`) as it came, except for headers that belong to one connection only,
    /// and reads the whole answer.
    pub(crate) async fn pass_on(
        &self,
        target: &str,
        head: request::Parts,
        body: Bytes,
    ) -> Result<Response<Bytes>, Cause> {
        collected(self.begin(target, head, body).await?).await
    }

    /// The same, with the answer's body still to come.
    pub(crate) async fn begin(
        &self,
        target: &str,
        head: request::Parts,
        body: Bytes,
    ) -> Result<Response<Incoming>, Cause> {
        let mut request = Request::new(Full::new(body));
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = format!("http://{target}{path}").parse::<Uri>()?;
        *request.method_mut() = head.method;
        *request.headers_mut() = without_connection_headers(head.headers);
        let (mut head, body) = self.0.request(request).await?.into_parts();
        head.headers = without_connection_headers(head.headers);
        Ok(Response::from_parts(head, body))
    }
}

/// An answer with its whole body.
pub(crate) async fn collected(answer: Response<Incoming>) -> Result<Response<Bytes>, Cause> {
    let (head, body) = answer.into_parts();
    Ok(Response::from_parts(head, collect(body).await?))
}

/// What is left when headers that speak of one connection, not of the message, are taken away.
fn without_connection_headers(mut headers: HeaderMap) -> HeaderMap {
    const OTHERS: [HeaderName; 3] = [
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
        HeaderName::from_static("proxy-authorization"),
    ];
    for name in [CONNECTION, TE, TRANSFER_ENCODING, UPGRADE].iter().chain(&OTHERS) {
        headers.remove(name);
    }
    headers
}

/// Locks, also when a thread panicked while it held the lock: what these servers keep is whole at every moment.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

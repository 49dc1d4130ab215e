//! Taking connections, and what a client may take of the server.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::ServerTls;
use super::sent::Sent;

/// What clients may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most connections that are served at once; others wait in the kernel's queue.
    pub connections: usize,
    /// The largest head of a request, in bytes; not below hyper's least, 8 KiB.
    pub head_bytes: usize,
    /// How long a client may take to send a head, also between two requests, and to shake hands.
    pub head_time: Duration,
    /// How long a connection lives, where that is limited: whoever reads slowly to hold a place loses it.
    pub connection_time: Option<Duration>,
}

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The address, with the port.
    pub address: SocketAddr,
    /// The client's certificate in DER, where one was asked for and shown.
    pub certificate: Option<Arc<[u8]>>,
}

/// Serves until `stop` resolves; then takes no more connections, and gives requests that are under way at most `drain` to
/// end.
pub(super) async fn listen<H, F>(
    listener: TcpListener,
    tls: Option<ServerTls>,
    limits: Limits,
    handle: H,
    stop: impl Future<Output = ()>,
    drain: Duration,
) where
    H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Sent>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(limits.connections));
    let (closing, _) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let (stream, address, place) = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = &mut stop => break,
        };
        let (tls, handle, closing) = (tls.clone(), handle.clone(), closing.subscribe());
        connections.spawn(async move {
            shake_hands(stream, address, tls, limits, handle, closing).await;
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    closing.send_replace(true);
    let all = async { while connections.join_next().await.is_some() {} };
    // What is left is aborted when the set is dropped.
    let _ = tokio::time::timeout(drain, all).await;
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    // Fails only where the semaphore was closed, which nobody does.
    let place = places.clone().acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, address)) => return (stream, address, place),
            Err(error) => {
                // Mostly that no descriptors are left: without the pause this would spin until there are.
                tracing::warn!(%error, "the server cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// What goes wrong with one client's connection is that client's business: it ends, and nothing is told.
async fn shake_hands<H, F>(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<ServerTls>,
    limits: Limits,
    handle: H,
    closing: watch::Receiver<bool>,
) where
    H: Fn(Request<Incoming>, Peer) -> F,
    F: Future<Output = Response<Sent>>,
{
    // Answers are small and written at once; without this the second on a connection would wait for the first's receipt.
    let _ = stream.set_nodelay(true);
    let Some(tls) = tls else {
        return serve(stream, Peer { address, certificate: None }, limits, handle, closing).await;
    };
    if let Ok(Ok(stream)) = tokio::time::timeout(limits.head_time, tls.acceptor().accept(stream)).await {
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let certificate = shown.map(|certificate| certificate.as_ref().into());
        serve(stream, Peer { address, certificate }, limits, handle, closing).await;
    }
}

async fn serve<H, F>(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: Peer,
    limits: Limits,
    handle: H,
    mut closing: watch::Receiver<bool>,
) where
    H: Fn(Request<Incoming>, Peer) -> F,
    F: Future<Output = Response<Sent>>,
{
    let service = service_fn(|request| {
        let answer = handle(request, peer.clone());
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.head_time).max_buf_size(limits.head_bytes);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let must_close = async {
        let closes = closing.wait_for(|closing| *closing);
        // An error is a server that is gone, which closes as well.
        match limits.connection_time {
            Some(time) => drop(tokio::time::timeout(time, closes).await),
            None => drop(closes.await),
        }
    };
    tokio::select! {
        _ = connection.as_mut() => {}
        () = must_close => {
            connection.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(limits.head_time, connection).await;
        }
    }
}

use std::convert::Infallible;
use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use world::certificates::Authority;

use super::answers::{Answer, answer, operation};
use super::record::Record;
use super::{Conduct, Greeting, Order};

/// Whom clients believe to speak with: us by address, and AWS itself when we are their proxy.
const NAMES: &[&str] = &[
    "127.0.0.1",
    "localhost",
    "secretsmanager.eu-west-1.amazonaws.com",
    "ssm.eu-west-1.amazonaws.com",
    "sts.eu-west-1.amazonaws.com",
    "sts.amazonaws.com",
];

/// The largest request that is read: twenty ARNs are two KiB.
const LARGEST_REQUEST: usize = 1 << 20;

/// The longest opening of a tunnel that is read.
const LONGEST_CONNECT: usize = 8 << 10;

/// How a TLS connection begins: its first record is a handshake.
const HANDSHAKE: u8 = 0x16;

#[derive(Default)]
struct State {
    conduct: Conduct,
    record: Record,
}

type Shared = Arc<Mutex<State>>;

/// Serves until standard input ends.
pub(crate) fn run() -> Result<()> {
    let authority = Authority::new()?;
    let acceptor = TlsAcceptor::from(authority.server_config(NAMES)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).context("no port is free")?;
    let port = listener.local_addr()?.port();
    say(&Greeting { port, authority: authority.certificate_file().to_owned() })?;
    let shared = Shared::default();
    let told = Arc::clone(&shared);
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || ended.send(take_orders(&told)));
    runtime.block_on(async {
        tokio::select! {
            result = end => result.context("nobody takes orders any more")?,
            never = accept(listener, acceptor, shared) => match never {},
        }
    })
}

fn take_orders(shared: &Shared) -> Result<()> {
    for line in std::io::stdin().lock().lines() {
        match serde_json::from_str(&line?)? {
            Order::Serve(conduct) => {
                *lock(shared) = State { conduct, record: Record::default() };
                say(&())?;
            }
            Order::Count => {
                let counts = lock(shared).record.counts();
                say(&counts)?;
            }
        }
    }
    Ok(())
}

fn say(what: &impl serde::Serialize) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", serde_json::to_string(what)?)?;
    Ok(stdout.flush()?)
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, shared: Shared) -> Infallible {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: those in use come back.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        lock(&shared).record.connect();
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            // A client that breaks off has only hurt itself: it delivers nothing, which is noticed.
            let _ = serve(stream, &acceptor, &shared).await;
        });
    }
}

async fn serve(mut stream: TcpStream, acceptor: &TlsAcceptor, shared: &Shared) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut first = [0];
    stream.peek(&mut first).await?;
    if first != [HANDSHAKE] {
        open_tunnel(&mut stream).await?;
    }
    let stream = acceptor.accept(stream).await?;
    let service = service_fn(|request| exchange(request, shared));
    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await?;
    Ok(())
}

/// Takes `CONNECT host:443 …`, as a proxy: every tunnel leads back here.
async fn open_tunnel(stream: &mut TcpStream) -> Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        ensure!(head.len() < LONGEST_CONNECT, "this opening of a tunnel is too long");
        head.push(stream.read_u8().await?);
    }
    ensure!(head.starts_with(b"CONNECT "), "only tunnels are passed on");
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    Ok(())
}

async fn exchange(request: Request<Incoming>, shared: &Shared) -> Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, LARGEST_REQUEST).collect().await.map_err(anyhow::Error::msg)?.to_bytes();
    let body = std::str::from_utf8(&body)?;
    let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = operation(target, body);
    let (conduct, chain) = {
        let mut state = lock(shared);
        (state.conduct, state.record.arrive(operation))
    };
    if conduct.latency > 0 {
        tokio::time::sleep(Duration::from_millis(conduct.latency)).await;
    }
    let Answer { status, content_type, body } = answer(operation, body, conduct);
    lock(shared).record.leave(chain);
    Ok(Response::builder().status(status).header(CONTENT_TYPE, content_type).body(Full::new(Bytes::from(body)))?)
}

/// Locks, also when a thread panicked while it held the lock: what is kept is whole at every moment.
fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, State> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

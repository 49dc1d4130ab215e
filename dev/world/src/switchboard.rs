//! A switchboard between a program and a part: it passes HTTP/1.1 on, makes faults when asked to, and counts.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, ready};
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Sleep;

use crate::certificates::Authority;
use crate::service::{Background, Body, Cause, Forwarder, collect, collected, lock, serve_connection, whole};

/// How many of the last requests [`Switchboard::requests`] can show.
const REMEMBERED_REQUESTS: usize = 256;

/// How long half a body stays half before its connection ends: the half must have left.
const CUT_PAUSE: Duration = Duration::from_millis(20);

/// Passes requests on to one target. Without faults it changes nothing but how a message is framed.
///
/// Every method takes effect at once, also for connections that are open. Dropping it closes all of them.
#[derive(Debug)]
pub struct Switchboard {
    address: String,
    socket: SocketAddr,
    host_port: String,
    exchange: Arc<Exchange>,
    door: Mutex<Door>,
    background: Background,
}

/// Which requests a fault is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// All of them.
    Every,
    /// Those whose path and query contain this text.
    Path(String),
    /// Those of this operation: an AWS action such as `GetSecretValue` or `AssumeRole` (from `X-Amz-Target` or the
    /// form field `Action`), else `METHOD /path`. See [`Counts::by_operation`].
    Operation(String),
    /// Those whose body contains this text.
    Body(String),
    /// Those that each of these is for.
    All(Vec<Which>),
}

/// An answer that the switchboard gives itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Further headers; `Content-Length` is added.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What happens to a request that a fault is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is passed on after this long; many are delayed side by side. To about 1 ms.
    Delay(Duration),
    /// It is not passed on but answered like this.
    Answer(Answer),
    /// It is passed on; the answer's headers come with the true `Content-Length`, half of its body, then the end of
    /// the connection.
    CutBody,
    /// It is read and never answered; the connection stays open.
    Silence,
    /// It is passed on, and what the target answers is kept back; the connection stays open.
    Withhold,
    /// The connection is closed instead of an answer.
    Hangup,
}

/// A fault: what happens, to which requests, how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    effect: Effect,
    which: Which,
    times: Option<usize>,
}

impl Fault {
    /// `effect` for every request, until faults are cleared.
    pub fn new(effect: Effect) -> Self {
        Self { effect, which: Which::Every, times: None }
    }

    /// Requests are passed on after this long.
    pub fn delay(time: Duration) -> Self {
        Self::new(Effect::Delay(time))
    }

    /// Requests are answered with this status, these headers and this body.
    pub fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self::new(Effect::Answer(Answer { status, headers, body: body.as_bytes().to_vec() }))
    }

    /// HTTP's way to ask for patience: 429, with `Retry-After` where seconds are given.
    pub fn throttle(retry_after: Option<u64>) -> Self {
        let seconds = retry_after.map(|seconds| seconds.to_string());
        let headers: Vec<_> = seconds.iter().map(|seconds| ("Retry-After", seconds.as_str())).collect();
        Self::answer(429, &headers, "")
    }

    /// An error as AWS's JSON services give it: 400 and `{"__type": CODE}`; `ThrottlingException`,
    /// `ExpiredTokenException`, `AccessDeniedException` ...
    pub fn aws(code: &str) -> Self {
        let body = serde_json::json!({"__type": code, "message": "made by the switchboard"}).to_string();
        Self::answer(400, &[("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-ErrorType", code)], &body)
    }

    /// Answers break off in the middle of their body.
    pub fn cut_body() -> Self {
        Self::new(Effect::CutBody)
    }

    /// Requests are never answered.
    pub fn silence() -> Self {
        Self::new(Effect::Silence)
    }

    /// Requests take effect, and nobody hears of it.
    pub fn withheld_answer() -> Self {
        Self::new(Effect::Withhold)
    }

    /// Connections are closed instead of an answer.
    pub fn hangup() -> Self {
        Self::new(Effect::Hangup)
    }

    /// Only for these requests.
    #[must_use]
    pub fn on(mut self, which: Which) -> Self {
        self.which = which;
        self
    }

    /// Only for requests of this operation: [`Which::Operation`].
    #[must_use]
    pub fn on_operation(self, operation: &str) -> Self {
        self.on(Which::Operation(operation.to_owned()))
    }

    /// Only for requests whose path and query contain this text: [`Which::Path`].
    #[must_use]
    pub fn on_path(self, path: &str) -> Self {
        self.on(Which::Path(path.to_owned()))
    }

    /// Only for the first so many requests that it is for.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }
}

/// How the switchboard takes new connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// As a healthy server does.
    Open,
    /// They are refused by the kernel (`ECONNREFUSED`), and those that were open are closed.
    Refused,
    /// They are accepted, and then nothing is sent, not even a TLS handshake, until the line is open again; those that
    /// were open fall silent too.
    HalfOpen,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `GET`, `POST` ...
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Headers, with names in lower case; a value that is no text is left out.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// As in [`Counts::by_operation`].
    pub operation: String,
}

impl Seen {
    /// The first header of this name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

/// What was counted since the start or the last [`Switchboard::reset_counts`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections accepted.
    pub connections: usize,
    /// Requests received, faulty ones included.
    pub requests: usize,
    /// The most requests that were waiting for their answer at the same moment.
    pub in_flight_peak: usize,
    /// Requests by operation: AWS's action without its service (`BatchGetSecretValue`, `AssumeRole`) where there is one,
    /// else the method and path without query (`GET /v1/secret/data/app`).
    pub by_operation: BTreeMap<String, usize>,
}

impl Counts {
    /// Requests of one operation; 0 when there were none.
    pub fn of(&self, operation: &str) -> usize {
        self.by_operation.get(operation).copied().unwrap_or_default()
    }
}

impl Switchboard {
    /// A switchboard before `target` (`127.0.0.1:PORT`), on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// When no port is free.
    pub fn to(target: &str) -> Result<Self> {
        Self::start(target, None)
    }

    /// The same with TLS on its face: a certificate of `authority` for `localhost` and `127.0.0.1`. The target is spoken
    /// to without TLS.
    ///
    /// # Errors
    /// As [`Switchboard::to`].
    pub fn with_tls(target: &str, authority: &Authority) -> Result<Self> {
        Self::with_tls_for(target, authority, &["localhost", "127.0.0.1"])
    }

    /// The same for other names than `localhost` and `127.0.0.1`, behind a proxy for example.
    ///
    /// # Errors
    /// As [`Switchboard::to`], and when a name is not one.
    pub fn with_tls_for(target: &str, authority: &Authority, names: &[&str]) -> Result<Self> {
        Self::start(target, Some(authority.server_config(names)?))
    }

    fn start(target: &str, tls: Option<Arc<ServerConfig>>) -> Result<Self> {
        let background = Background::start("switchboard")?;
        let (listener, socket) = background.listen()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let exchange = Arc::new(Exchange {
            target: target.to_owned(),
            tls,
            forwarder: Forwarder::new(),
            line: watch::Sender::new(Line::Open),
            faults: Mutex::default(),
            record: Mutex::default(),
            in_flight: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
        });
        let guarded = Arc::clone(&exchange);
        let door = background.wait(async move { Door::open(guarded, listener) })?;
        Ok(Self {
            address: format!("{scheme}://{socket}"),
            socket,
            host_port: socket.to_string(),
            exchange,
            door: Mutex::new(door),
            background,
        })
    }

    /// `http://127.0.0.1:PORT`, or `https://` with TLS.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `127.0.0.1:PORT`.
    pub fn host_port(&self) -> &str {
        &self.host_port
    }

    /// The same as a socket address.
    pub fn socket(&self) -> SocketAddr {
        self.socket
    }

    /// Adds a fault. The newest fault that is for a request and not used up decides; delays add up with what decides.
    pub fn add(&self, fault: Fault) {
        lock(&self.exchange.faults).push(fault);
    }

    /// Removes every fault; requests that were kept silent stay so.
    pub fn clear(&self) {
        lock(&self.exchange.faults).clear();
    }

    /// Opens, refuses or half-opens the line; when this returns, it is done.
    ///
    /// # Errors
    /// When the port cannot be listened on again.
    pub fn set_line(&self, line: Line) -> Result<()> {
        let mut door = lock(&self.door);
        self.exchange.line.send_replace(line);
        let was = std::mem::replace(&mut *door, Door::Moving);
        let (exchange, socket) = (Arc::clone(&self.exchange), self.socket);
        *door = self.background.wait(async move { was.moved_to(line, exchange, socket).await })??;
        Ok(())
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        lock(&self.exchange.record).counts.clone()
    }

    /// How many requests a fault keeps without an answer at this moment, while whoever sent them waits. One whose answer
    /// is withheld is counted from when the target has given it.
    pub fn held(&self) -> usize {
        self.exchange.held.load(Ordering::Acquire)
    }

    /// The last 256 requests, oldest first.
    pub fn requests(&self) -> Vec<Seen> {
        lock(&self.exchange.record).last.iter().cloned().collect()
    }

    /// Starts counting from 0 and forgets the requests so far.
    pub fn reset_counts(&self) {
        *lock(&self.exchange.record) = Record::default();
    }
}

/// The listening socket's place: one that accepts, or one that only keeps the port so that nobody else gets it.
#[derive(Debug)]
enum Door {
    Open(JoinHandle<()>),
    /// Bound but not listening: the kernel refuses connections.
    Shut(TcpSocket),
    /// Between the two.
    Moving,
}

impl Door {
    fn open(exchange: Arc<Exchange>, listener: TcpListener) -> Self {
        Self::Open(tokio::spawn(accept(exchange, listener)))
    }

    async fn moved_to(self, line: Line, exchange: Arc<Exchange>, address: SocketAddr) -> Result<Self> {
        match (self, line) {
            (Self::Open(accepting), Line::Refused) => {
                accepting.abort();
                // The listening socket closes when the task is gone.
                let _ = accepting.await;
                let socket = TcpSocket::new_v4()?;
                socket.set_reuseaddr(true)?;
                socket.bind(address).context("cannot keep the switchboard's port")?;
                Ok(Self::Shut(socket))
            }
            (Self::Shut(socket), Line::Open | Line::HalfOpen) => Ok(Self::open(exchange, socket.listen(1024)?)),
            (door, _) => Ok(door),
        }
    }
}

/// What connections share.
#[derive(Debug)]
struct Exchange {
    target: String,
    tls: Option<Arc<ServerConfig>>,
    forwarder: Forwarder,
    line: watch::Sender<Line>,
    faults: Mutex<Vec<Fault>>,
    record: Mutex<Record>,
    in_flight: AtomicUsize,
    held: AtomicUsize,
}

/// What was seen so far.
#[derive(Debug, Default)]
struct Record {
    counts: Counts,
    last: VecDeque<Seen>,
}

async fn accept(exchange: Arc<Exchange>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                lock(&exchange.record).counts.connections += 1;
                tokio::spawn(connection(Arc::clone(&exchange), stream));
            }
            // Out of file descriptors, for example: some will come back.
            Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
}

/// Serves one connection until it ends or the line is refused.
async fn connection(exchange: Arc<Exchange>, stream: TcpStream) {
    let mut line = exchange.line.subscribe();
    let serve = async {
        exchange.leave_half_open().await;
        let service = service_fn(|request| Arc::clone(&exchange).answer(request));
        serve_connection(stream, exchange.tls.clone(), service).await;
    };
    tokio::select! {
        () = serve => {}
        _ = line.wait_for(|line| *line == Line::Refused) => {}
    }
}

impl Exchange {
    /// Waits while the line is half-open.
    async fn leave_half_open(&self) {
        let mut line = self.line.subscribe();
        // An error would mean that the sender is gone; `self` holds it.
        let _ = line.wait_for(|line| *line != Line::HalfOpen).await;
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>, Cause> {
        let _waiting = Waiting::begin(&self);
        let (head, body) = request.into_parts();
        let body = collect(body).await?;
        let seen = seen(&head, &body);
        let (delay, effect) = decide(&mut lock(&self.faults), &seen);
        self.note(seen);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let answer = match effect {
            None => self.pass_on(head, body).await,
            Some(Effect::CutBody) => halved(self.pass_on_whole(head, body).await),
            Some(Effect::Answer(answer)) => made(answer)?,
            Some(Effect::Hangup) => return Err("a fault closes the connection".into()),
            Some(Effect::Withhold) => {
                self.pass_on_whole(head, body).await;
                self.hold().await
            }
            Some(Effect::Silence | Effect::Delay(_)) => self.hold().await,
        };
        self.leave_half_open().await;
        Ok(answer)
    }

    /// The target's answer, or 502 with the reason.
    async fn pass_on(&self, head: request::Parts, body: Bytes) -> Response<Body> {
        self.relay(head, body).await.unwrap_or_else(|cause| self.unreachable(&cause).map(whole))
    }

    /// The target's answer. One whose length is not known before its end is passed on as it comes: a watch has no end.
    async fn relay(&self, head: request::Parts, body: Bytes) -> Result<Response<Body>, Cause> {
        let answer = self.forwarder.begin(&self.target, head, body).await?;
        if answer.headers().contains_key(CONTENT_LENGTH) {
            return Ok(collected(answer).await?.map(whole));
        }
        Ok(answer.map(|body| body.map_err(std::io::Error::other).boxed()))
    }

    /// The target's whole answer, or 502 with the reason.
    async fn pass_on_whole(&self, head: request::Parts, body: Bytes) -> Response<Bytes> {
        let answer = self.forwarder.pass_on(&self.target, head, body).await;
        answer.unwrap_or_else(|cause| self.unreachable(&cause))
    }

    fn unreachable(&self, cause: &Cause) -> Response<Bytes> {
        let words = format!("the switchboard cannot reach {}: {cause}", self.target);
        let mut answer = Response::new(Bytes::from(words));
        *answer.status_mut() = StatusCode::BAD_GATEWAY;
        answer
    }

    /// Never answers; ends with the connection.
    async fn hold<T>(&self) -> T {
        let _held = Held::begin(self);
        std::future::pending().await
    }

    fn note(&self, seen: Seen) {
        let mut record = lock(&self.record);
        record.counts.requests += 1;
        *record.counts.by_operation.entry(seen.operation.clone()).or_default() += 1;
        if record.last.len() == REMEMBERED_REQUESTS {
            record.last.pop_front();
        }
        record.last.push_back(seen);
    }
}

/// A request that waits for its answer: counted from its head to its answer, or to its connection's end.
struct Waiting<'a>(&'a Exchange);

impl<'a> Waiting<'a> {
    fn begin(exchange: &'a Exchange) -> Self {
        let now = exchange.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        let counts = &mut lock(&exchange.record).counts;
        counts.in_flight_peak = counts.in_flight_peak.max(now);
        Self(exchange)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request that waits in vain.
struct Held<'a>(&'a Exchange);

impl<'a> Held<'a> {
    fn begin(exchange: &'a Exchange) -> Self {
        exchange.held.fetch_add(1, Ordering::Release);
        Self(exchange)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::Release);
    }
}

fn seen(head: &request::Parts, body: &Bytes) -> Seen {
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    let headers = head.headers.iter().filter_map(|(name, value)| Some((name.to_string(), text(value)?))).collect();
    Seen {
        method: head.method.to_string(),
        path: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        headers,
        body: body.to_vec(),
        operation: operation(head, body),
    }
}

/// AWS's action where there is one, else method and path.
fn operation(head: &request::Parts, body: &[u8]) -> String {
    let target = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
    if let Some(action) = target.and_then(|target| target.rsplit('.').next()) {
        return action.to_owned();
    }
    let form = std::str::from_utf8(body).unwrap_or_default().split('&');
    match form.filter_map(|field| field.strip_prefix("Action=")).next() {
        Some(action) => action.to_owned(),
        None => format!("{} {}", head.method, head.uri.path()),
    }
}

/// What to do with a request, and how long to wait before; uses faults up that are limited.
fn decide(faults: &mut [Fault], seen: &Seen) -> (Duration, Option<Effect>) {
    let mut delay = Duration::ZERO;
    let mut effect = None;
    for fault in faults.iter_mut().rev() {
        let delays = matches!(fault.effect, Effect::Delay(_));
        if fault.times == Some(0) || (!delays && effect.is_some()) || !fault.which.holds(seen) {
            continue;
        }
        fault.times = fault.times.map(|times| times - 1);
        match &fault.effect {
            Effect::Delay(time) => delay += *time,
            other => effect = Some(other.clone()),
        }
    }
    (delay, effect)
}

impl Which {
    fn holds(&self, seen: &Seen) -> bool {
        match self {
            Self::Every => true,
            Self::Path(text) => seen.path.contains(text),
            Self::Operation(operation) => seen.operation == *operation,
            Self::All(all) => all.iter().all(|which| which.holds(seen)),
            Self::Body(text) => {
                !text.is_empty() && seen.body.windows(text.len()).any(|window| window == text.as_bytes())
            }
        }
    }
}

fn made(answer: Answer) -> Result<Response<Body>, Cause> {
    let mut headers = HeaderMap::new();
    for (name, value) in &answer.headers {
        headers.append(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
    }
    let mut response = Response::new(whole(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status)?;
    *response.headers_mut() = headers;
    Ok(response)
}

/// The answer with its true length and half of its body.
fn halved(answer: Response<Bytes>) -> Response<Body> {
    let (mut head, bytes) = answer.into_parts();
    head.headers.insert(CONTENT_LENGTH, bytes.len().into());
    let half = HalfBody { half: Some(bytes.slice(..bytes.len() / 2)), pause: Box::pin(tokio::time::sleep(CUT_PAUSE)) };
    Response::from_parts(head, half.boxed())
}

/// Some bytes, a pause in which they leave, and an error that ends the connection.
struct HalfBody {
    half: Option<Bytes>,
    pause: Pin<Box<Sleep>>,
}

impl hyper::body::Body for HalfBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        if let Some(half) = self.half.take() {
            return Poll::Ready(Some(Ok(Frame::data(half))));
        }
        ready!(self.pause.as_mut().poll(context));
        Poll::Ready(Some(Err(std::io::Error::other("a fault cuts the body"))))
    }
}

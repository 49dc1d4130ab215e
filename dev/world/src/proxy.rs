//! A forward proxy as companies have them: CONNECT for TLS, whole addresses for plain HTTP.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Incoming;
use hyper::header::{PROXY_AUTHENTICATE, PROXY_AUTHORIZATION};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::service::{Background, Body, Cause, Forwarder, collect, lock, serve_connection, whole};

/// A running forward proxy on 127.0.0.1. Dropping it closes its tunnels.
#[derive(Debug)]
pub struct ForwardProxy {
    url: String,
    office: Arc<Office>,
    _background: Background,
}

impl ForwardProxy {
    /// Starts a proxy that serves everyone.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start() -> Result<Self> {
        Self::open(None)
    }

    /// Starts a proxy that answers 407 unless `Proxy-Authorization` carries this user and password (basic).
    ///
    /// # Errors
    /// When no port is free.
    pub fn with_password(user: &str, password: &str) -> Result<Self> {
        Self::open(Some((user, password)))
    }

    fn open(user: Option<(&str, &str)>) -> Result<Self> {
        let background = Background::start("forward-proxy")?;
        let (listener, address) = background.listen()?;
        let login = user.map(|(user, password)| format!("{user}:{password}"));
        let url = match &login {
            Some(login) => format!("http://{login}@{address}"),
            None => format!("http://{address}"),
        };
        let authorization = login.map(|login| format!("Basic {}", STANDARD.encode(login)));
        let office = Arc::new(Office {
            authorization,
            forwarder: Forwarder::new(),
            routes: Mutex::default(),
            log: Mutex::default(),
        });
        background.spawn(accept(Arc::clone(&office), listener));
        Ok(Self { url, office, _background: background })
    }

    /// Its address, as in `HTTPS_PROXY`: `http://127.0.0.1:PORT`, with user and password where it wants them.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sends what goes to `host` (any port) to this address: names that no resolver knows prove that the proxy was used.
    pub fn route(&self, host: &str, address: SocketAddr) {
        lock(&self.office.routes).insert(host.to_owned(), address);
    }

    /// Tunnels opened by CONNECT.
    pub fn tunnels(&self) -> usize {
        lock(&self.office.log).tunnels
    }

    /// Requests of all kinds, refused ones included.
    pub fn requests(&self) -> usize {
        lock(&self.office.log).destinations.len()
    }

    /// The hosts and ports that were asked for, in order.
    pub fn destinations(&self) -> Vec<String> {
        lock(&self.office.log).destinations.clone()
    }
}

/// What connections share.
#[derive(Debug)]
struct Office {
    authorization: Option<String>,
    forwarder: Forwarder,
    routes: Mutex<HashMap<String, SocketAddr>>,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    tunnels: usize,
    destinations: Vec<String>,
}

async fn accept(office: Arc<Office>, listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        let office = Arc::clone(&office);
        tokio::spawn(async move {
            let service = service_fn(|request| Arc::clone(&office).answer(request));
            serve_connection(stream, None, service).await;
        });
    }
}

impl Office {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>, Cause> {
        let Some(authority) = request.uri().authority().cloned() else {
            return Ok(refusal(StatusCode::BAD_REQUEST, "this is a proxy: name the host".to_owned()));
        };
        lock(&self.log).destinations.push(authority.to_string());
        if !self.admits(&request) {
            let mut answer = refusal(StatusCode::PROXY_AUTHENTICATION_REQUIRED, "user and password, please".to_owned());
            answer.headers_mut().insert(PROXY_AUTHENTICATE, "Basic realm=\"world\"".parse()?);
            return Ok(answer);
        }
        let port = authority.port_u16().unwrap_or(80);
        let route = lock(&self.routes).get(authority.host()).map(ToString::to_string);
        let destination = route.unwrap_or_else(|| format!("{}:{port}", authority.host()));
        if request.method() == Method::CONNECT {
            return Ok(self.open_tunnel(request, &destination).await);
        }
        let (head, body) = request.into_parts();
        match self.forwarder.pass_on(&destination, head, collect(body).await?).await {
            Ok(answer) => Ok(answer.map(whole)),
            Err(cause) => Ok(unreachable_host(&destination, &cause)),
        }
    }

    fn admits(&self, request: &Request<Incoming>) -> bool {
        let given = request.headers().get(PROXY_AUTHORIZATION).and_then(|value| value.to_str().ok());
        self.authorization.is_none() || self.authorization.as_deref() == given
    }

    /// Connects, answers 200, and copies bytes both ways once the answer has left.
    async fn open_tunnel(&self, request: Request<Incoming>, destination: &str) -> Response<Body> {
        let mut far = match TcpStream::connect(destination).await {
            Ok(far) => far,
            Err(error) => return unreachable_host(destination, &error),
        };
        let _ = far.set_nodelay(true);
        lock(&self.log).tunnels += 1;
        tokio::spawn(async move {
            if let Ok(near) = hyper::upgrade::on(request).await {
                let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(near), &mut far).await;
            }
        });
        Response::new(whole(""))
    }
}

fn unreachable_host(destination: &str, cause: &dyn std::fmt::Display) -> Response<Body> {
    refusal(StatusCode::BAD_GATEWAY, format!("cannot reach {destination}: {cause}"))
}

fn refusal(status: StatusCode, words: String) -> Response<Body> {
    let mut answer = Response::new(whole(words));
    *answer.status_mut() = status;
    answer
}

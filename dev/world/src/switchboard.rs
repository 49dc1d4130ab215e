//! A switchboard between a program and a part: it passes HTTP/1.1 on, makes faults when asked to, and counts.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::certificates::Authority;

/// Passes requests on to one target. Without faults it changes nothing but the connection's headers.
///
/// Every method takes effect at once, also for connections that are open. Dropping it closes all of them.
#[derive(Debug)]
pub struct Switchboard {
    address: String,
    host_port: String,
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
    /// They are accepted, and then nothing is read and nothing is ever sent; those that were open fall silent too.
    HalfOpen,
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
    pub fn to(_target: &str) -> Result<Self> {
        bail!("not built yet")
    }

    /// The same with TLS on its face: a certificate of `authority` for `localhost` and `127.0.0.1`. The target is spoken
    /// to without TLS.
    ///
    /// # Errors
    /// As [`Switchboard::to`].
    pub fn with_tls(_target: &str, _authority: &Authority) -> Result<Self> {
        bail!("not built yet")
    }

    /// The same for other names than `localhost` and `127.0.0.1`, behind a proxy for example.
    ///
    /// # Errors
    /// As [`Switchboard::to`], and when a name is not one.
    pub fn with_tls_for(_target: &str, _authority: &Authority, _names: &[&str]) -> Result<Self> {
        bail!("not built yet")
    }

    /// `http://127.0.0.1:PORT`, or `https://` with TLS.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `127.0.0.1:PORT`.
    pub fn host_port(&self) -> &str {
        &self.host_port
    }

    /// Adds a fault. The newest fault that is for a request and not used up decides; delays add up with what decides.
    pub fn add(&self, _fault: Fault) {}

    /// Removes every fault; requests that were kept silent stay so.
    pub fn clear(&self) {}

    /// Opens, refuses or half-opens the line.
    ///
    /// # Errors
    /// When the port cannot be listened on again.
    pub fn set_line(&self, _line: Line) -> Result<()> {
        bail!("not built yet")
    }

    /// What was counted.
    pub fn counts(&self) -> Counts {
        Counts::default()
    }

    /// Starts counting from 0.
    pub fn reset_counts(&self) {}
}

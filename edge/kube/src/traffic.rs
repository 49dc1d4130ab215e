use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Method;
use kube::Client;
use kube::client::Body;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tower_service::Service;

/// What was asked: `get` of `secrets`, `patch` of `externalsecrets/status`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Request {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: &'static str,
    /// The plural of the kind, with `/subresource` where there is one.
    pub resource: String,
}

/// Counts requests and holds them to the rate that was asked for; clones share both.
///
/// Requests about Leases never wait, because who leads must not depend on how much there is to write. Events go only
/// while a quarter of the burst is left for others.
#[derive(Clone, Debug)]
pub struct Traffic {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    /// `None`: no limit.
    bucket: Option<Bucket>,
    requests: BTreeMap<Request, u64>,
    waited: Duration,
}

/// The most kinds of requests that are told apart. Which kinds there are is decided by our own code and by the targets
/// that an administrator allows; this bounds the metrics all the same. The rest is `other`.
const KINDS_LIMIT: usize = 256;

/// How long an event waits for a quiet moment before it queues like anything else.
const EVENT_PATIENCE: Duration = Duration::from_secs(30);

/// How long the API server may take to begin its answer. It ends requests itself after 60 s, so that only one that is
/// gone takes longer.
const HEAD_LIMIT: Duration = Duration::from_secs(65);

impl Traffic {
    /// Without a limit where `queries_per_second` is not above 0.
    pub(crate) fn new(queries_per_second: f64, burst: u32) -> Self {
        let bucket = (queries_per_second > 0.0).then(|| Bucket::new(queries_per_second, burst, Instant::now()));
        let shared = Shared { bucket, requests: BTreeMap::new(), waited: Duration::ZERO };
        Self { shared: Arc::new(Mutex::new(shared)) }
    }

    /// How many requests of each kind were made; a request that the client repeated counts once.
    pub fn requests(&self) -> Vec<(Request, u64)> {
        self.lock().requests.iter().map(|(request, count)| (request.clone(), *count)).collect()
    }

    /// How many requests of `verb` for `resource` were made.
    pub fn count(&self, verb: &str, resource: &str) -> u64 {
        let shared = self.lock();
        let asked = shared.requests.iter().filter(|(key, _)| key.verb == verb && key.resource == resource);
        asked.map(|(_, count)| count).sum()
    }

    /// How long requests waited for the limiter, all together.
    pub fn waited(&self) -> Duration {
        self.lock().waited
    }

    async fn pass(&self, request: Request) {
        let urgency = Urgency::of(&request.resource);
        self.note(request);
        if urgency == Urgency::Later {
            self.wait_for_quiet().await;
        }
        let pause = match urgency {
            Urgency::Now => Duration::ZERO,
            Urgency::Usual | Urgency::Later => self.reserve(),
        };
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }

    fn note(&self, request: Request) {
        let mut shared = self.lock();
        let is_known = shared.requests.contains_key(&request);
        let request = match is_known || shared.requests.len() < KINDS_LIMIT {
            true => request,
            false => Request { resource: "other".to_owned(), ..request },
        };
        *shared.requests.entry(request).or_default() += 1;
    }

    fn reserve(&self) -> Duration {
        let mut shared = self.lock();
        let pause = shared.bucket.as_mut().map_or(Duration::ZERO, |bucket| bucket.reserve(Instant::now()));
        shared.waited += pause;
        pause
    }

    async fn wait_for_quiet(&self) {
        let start = Instant::now();
        loop {
            let pause = self.lock().bucket.as_mut().and_then(|bucket| bucket.until_quiet(Instant::now()));
            match pause {
                Some(pause) if start.elapsed() < EVENT_PATIENCE => tokio::time::sleep(pause).await,
                _ => return,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much a request minds waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Urgency {
    Now,
    Usual,
    Later,
}

impl Urgency {
    fn of(resource: &str) -> Self {
        match resource {
            "leases" => Self::Now,
            "events" => Self::Later,
            _ => Self::Usual,
        }
    }
}

/// Tokens that come back with time. A token may be taken before it is there: then its taker waits for it, so that all
/// are served in the order in which they came.
#[derive(Debug)]
struct Bucket {
    per_second: f64,
    size: f64,
    tokens: f64,
    updated: Instant,
}

impl Bucket {
    fn new(per_second: f64, burst: u32, now: Instant) -> Self {
        let size = f64::from(burst.max(1));
        Self { per_second, size, tokens: size, updated: now }
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.updated).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.size);
        self.updated = now;
    }

    /// Takes a token; how long to wait for it.
    fn reserve(&mut self, now: Instant) -> Duration {
        self.refill(now);
        self.tokens -= 1.0;
        Duration::from_secs_f64((-self.tokens).max(0.0) / self.per_second)
    }

    /// How long until a token can be taken with a quarter of the burst left for others; `None`: now.
    fn until_quiet(&mut self, now: Instant) -> Option<Duration> {
        self.refill(now);
        let lacking = (self.size / 4.0 + 1.0).min(self.size) - self.tokens;
        // At least a millisecond: the timer is no finer.
        (lacking > 0.0).then(|| Duration::from_secs_f64(lacking / self.per_second).max(Duration::from_millis(1)))
    }
}

/// Requests that wait for an answer at once, watches and Leases apart. Each has a connection of its own, which costs
/// both ends tens of kilobytes; 32 keep an API server busier than it likes to be kept by one client.
const AT_ONCE: usize = 32;

/// Stands before a client: counts, waits for the limiter, and gives up on a server that does not begin to answer.
pub(crate) struct Gate {
    inner: Client,
    traffic: Traffic,
    slots: Arc<Semaphore>,
}

impl Gate {
    pub(crate) fn new(inner: Client, traffic: Traffic) -> Self {
        Self { inner, traffic, slots: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

impl Service<http::Request<Body>> for Gate {
    type Response = http::Response<Body>;
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Failed>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let (inner, traffic, slots) = (self.inner.clone(), self.traffic.clone(), Arc::clone(&self.slots));
        let asked = classify(request.method(), request.uri().path(), request.uri().query().unwrap_or_default());
        let waits_for_nobody = asked.verb == "watch" || asked.resource == "leases";
        Box::pin(async move {
            traffic.pass(asked).await;
            // Never closed; without a slot it would go on all the same.
            let _slot = if waits_for_nobody { None } else { slots.acquire_owned().await.ok() };
            match tokio::time::timeout(HEAD_LIMIT, inner.send(request)).await {
                Ok(answer) => Ok(answer?),
                Err(_) => Err(Box::new(NoAnswer) as Failed),
            }
        })
    }
}

/// The API server took the request and gave no answer, however often the client asked.
#[derive(Debug)]
pub(crate) struct NoAnswer;

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The client asks again by itself while the server asks for patience (429, 503).
        write!(formatter, "the API server gave no answer within {HEAD_LIMIT:?}, or asked for patience all the time")
    }
}

impl std::error::Error for NoAnswer {}

/// What a request is in the words of access rules.
fn classify(method: &Method, path: &str, query: &str) -> Request {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let rest = match parts.as_slice() {
        ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
        _ => return Request { verb: verb(method, query, true), resource: "other".to_owned() },
    };
    let (resource, has_name) = match rest {
        ["namespaces", _, "status" | "finalize"] => (format!("namespaces/{}", rest[2]), true),
        ["namespaces", _, resource] | [resource] => ((*resource).to_owned(), false),
        ["namespaces", _, resource, _] | [resource, _] => ((*resource).to_owned(), true),
        ["namespaces", _, resource, _, below, ..] | [resource, _, below, ..] => (format!("{resource}/{below}"), true),
        [] => ("other".to_owned(), true),
    };
    Request { verb: verb(method, query, has_name), resource }
}

fn verb(method: &Method, query: &str, has_name: bool) -> &'static str {
    let is_watch = query.split('&').any(|pair| pair == "watch=true" || pair == "watch=1");
    match *method {
        Method::GET if is_watch => "watch",
        Method::GET if has_name => "get",
        Method::GET => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if has_name => "delete",
        Method::DELETE => "deletecollection",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_named_as_access_rules_name_them() {
        let check = |method: Method, path: &str, query: &str, expected: &str| {
            let request = classify(&method, path, query);
            assert_eq!(format!("{} {}", request.verb, request.resource), expected, "{path}");
        };
        let group = "/apis/external-secrets.io/v1";
        check(Method::GET, "/api/v1/namespaces/a/secrets/b", "", "get secrets");
        check(Method::GET, "/api/v1/namespaces/a/secrets", "&limit=5", "list secrets");
        check(Method::GET, "/api/v1/secrets", "&watch=true&resourceVersion=0", "watch secrets");
        check(Method::POST, "/api/v1/namespaces/a/secrets", "fieldManager=x", "create secrets");
        check(Method::PUT, "/api/v1/namespaces/a/secrets/b", "", "update secrets");
        check(Method::DELETE, "/api/v1/namespaces/a/secrets/b", "", "delete secrets");
        check(Method::DELETE, "/api/v1/namespaces/a/secrets", "", "deletecollection secrets");
        check(Method::POST, "/api/v1/namespaces/a/serviceaccounts/b/token", "", "create serviceaccounts/token");
        let status = format!("{group}/namespaces/a/externalsecrets/b/status");
        check(Method::PATCH, &status, "", "patch externalsecrets/status");
        check(Method::GET, &format!("{group}/clustersecretstores/b"), "", "get clustersecretstores");
        check(Method::GET, &format!("{group}/clustersecretstores"), "watch=1", "watch clustersecretstores");
        check(Method::GET, "/api/v1/namespaces/a", "", "get namespaces");
        check(Method::GET, "/api/v1/namespaces", "", "list namespaces");
        check(Method::PATCH, "/api/v1/namespaces/a/status", "", "patch namespaces/status");
        check(Method::GET, "/version", "", "get other");
        check(Method::GET, "/apis/external-secrets.io/v1", "", "get other");
    }

    #[test]
    fn a_burst_passes_at_once_and_the_rest_in_order_at_the_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10.0, 3, start);
        let pauses: Vec<u128> = (0..5).map(|_| bucket.reserve(start).as_millis()).collect();
        assert_eq!(pauses, [0, 0, 0, 100, 200]);
        let later = start + Duration::from_millis(300);
        assert_eq!(bucket.reserve(later).as_millis(), 0);
        // A rest of any length gives back no more than the burst.
        let rested = start + Duration::from_secs(3600);
        let pauses: Vec<u128> = (0..4).map(|_| bucket.reserve(rested).as_millis()).collect();
        assert_eq!(pauses, [0, 0, 0, 100]);
    }

    #[test]
    fn events_leave_a_quarter_to_others() {
        let start = Instant::now();
        let mut bucket = Bucket::new(10.0, 8, start);
        assert_eq!(bucket.until_quiet(start), None);
        for _ in 0..6 {
            bucket.reserve(start);
        }
        // Two are left: an event would take one of the quarter.
        assert_eq!(bucket.until_quiet(start), Some(Duration::from_millis(100)));
        assert_eq!(bucket.until_quiet(start + Duration::from_millis(101)), None);
        // A burst of one has no quarter: events take what there is.
        assert_eq!(Bucket::new(10.0, 1, start).until_quiet(start), None);
    }

    #[test]
    fn kinds_of_requests_are_bounded() {
        let traffic = Traffic::new(0.0, 0);
        for index in 0..1000 {
            traffic.note(Request { verb: "get", resource: format!("kind{index}") });
        }
        assert_eq!(traffic.requests().len(), KINDS_LIMIT + 1);
        assert_eq!(traffic.count("get", "kind0"), 1);
        assert_eq!(traffic.count("get", "other"), 1000 - KINDS_LIMIT as u64);
    }
}

//! Paths, and who answers there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use k8s_openapi::api::core::v1::ObjectReference;
use strongroom_http::{HeaderName, HeaderValue, Method, Received, Reply, ReplyBody, StatusCode};
use strongroom_inject::{annotations, nase};
use strongroom_kube::{EventKind, Recorder};
use strongroom_secret::SecretBytes;
use strongroom_telemetry::METRICS_CONTENT_TYPE;

use crate::kamus::Kamus;
use crate::metrics::Reviews;
use crate::native::Native;
use crate::pods::{Pods, deadline};
use crate::review::{Envelope, Request, Verdict, read};
use crate::validation;

/// What answers requests.
pub(crate) struct Admission {
    pub(crate) pods: Pods,
    /// The settings of `/mutating-pods`.
    pub(crate) files_alone: strongroom_inject::Settings,
    pub(crate) native: Native,
    pub(crate) kamus: Kamus,
    pub(crate) recorder: Recorder,
    pub(crate) reviews: Reviews,
    /// Whether metrics are served beside the reviews.
    pub(crate) serves_metrics: bool,
    /// Whether a large review was answered since somebody looked last.
    pub(crate) has_grown: AtomicBool,
}

/// Bytes of a review that is large: a usual one has a few thousand.
const LARGE: usize = 64 << 10;

impl Admission {
    /// Answers a request.
    pub(crate) async fn handle(self: Arc<Self>, received: Received) -> Reply {
        let began = Instant::now();
        let path = received.uri.path().to_owned();
        match (received.method, path.as_str()) {
            (Method::GET, "/healthz") => text(StatusCode::OK, ""),
            (Method::GET, "/livez" | "/readyz") => text(StatusCode::OK, "ok"),
            (Method::GET, "/metrics") if self.serves_metrics => self.metrics(),
            (Method::POST, path) if is_webhook(path) => {
                let until = deadline(received.uri.query(), began);
                self.reviewed(path, received.body.expose(), began, until).await
            }
            (_, path) if is_webhook(path) => text(StatusCode::METHOD_NOT_ALLOWED, "only POST\n"),
            _ => text(StatusCode::NOT_FOUND, "not found\n"),
        }
    }

    /// Metrics in the text format of Prometheus.
    pub(crate) fn metrics(&self) -> Reply {
        let content_type = (HeaderName::from_static("content-type"), HeaderValue::from_static(METRICS_CONTENT_TYPE));
        let body = SecretBytes::from(self.reviews.text());
        Reply { status: StatusCode::OK, headers: vec![content_type], body: ReplyBody::Whole(body) }
    }

    async fn reviewed(&self, path: &str, body: &[u8], began: Instant, until: Instant) -> Reply {
        let (envelope, request) = match read(body) {
            Ok(read) => read,
            Err(words) => return text(StatusCode::BAD_REQUEST, &format!("{words}\n")),
        };
        let verdict = self.verdict(path, &request, until).await;
        if body.len() > LARGE {
            self.has_grown.store(true, Ordering::Relaxed);
        }
        self.reviews.reviewed(webhook(path), &envelope, &request, &verdict, began.elapsed());
        answer(&envelope, &verdict)
    }

    /// A review of something else than the path serves is refused: a patch for pods would ruin it.
    async fn verdict(&self, path: &str, request: &Request, until: Instant) -> Verdict {
        let resource = (request.resource.group.as_str(), request.resource.resource.as_str());
        match (path, resource) {
            ("/pods", ("", "pods")) => self.pods.review(request, &self.pods.settings, until).await,
            ("/mutating-pods", ("", "pods")) => self.pods.review(request, &self.files_alone, until).await,
            // NASE's second path is called like ours, and was sent Deployments.
            ("/pods", ("apps", "deployments")) => {
                Verdict::Allowed { patch: Vec::new(), warnings: nase::deployment(&request.object) }
            }
            ("/secrets", ("", "secrets")) => self.native.review(request).await,
            ("/kamus-secrets", ("soluto.com", "kamussecrets")) => self.kamus.review(request).await,
            ("/injected-pods", ("", "pods")) => {
                self.tell(request);
                Verdict::unchanged()
            }
            ("/validate", _) => validation::review(request),
            (path, (group, resource)) => {
                let name = if group.is_empty() { resource.to_owned() } else { format!("{resource}.{group}") };
                Verdict::refused(format!(
                    "{path} does not serve {name}; mend the rules of the webhook configuration that sends it here"
                ))
            }
        }
    }

    /// Tells by an event on the pod what was injected. Only now, at its validation, it has its name and its id.
    fn tell(&self, request: &Request) {
        let metadata = &request.object["metadata"];
        let told = metadata["annotations"][annotations::INJECTION].as_str();
        let (Some(told), Some(uid), false) = (told, metadata["uid"].as_str(), request.is_dry_run()) else { return };
        let pod = ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: Some(request.namespace.clone()),
            name: metadata["name"].as_str().map(str::to_owned),
            uid: Some(uid.to_owned()),
            ..ObjectReference::default()
        };
        let words = told.chars().take(EVENT_LIMIT).collect::<String>();
        self.recorder.record(&pod, EventKind::Normal, "SecretsInjected", &words);
    }
}

/// The most characters of an event: Kubernetes takes a kilobyte.
const EVENT_LIMIT: usize = 900;

/// Whether API servers call this path.
fn is_webhook(path: &str) -> bool {
    matches!(path, "/pods" | "/mutating-pods" | "/secrets" | "/kamus-secrets" | "/validate" | "/injected-pods")
}

/// What a path is called in metrics; of pods as kube-secrets-init has it.
fn webhook(path: &str) -> &'static str {
    match path {
        "/pods" => "init-secrets-pods",
        "/mutating-pods" => "aws-secret-inject",
        "/secrets" => "nase-secrets",
        "/kamus-secrets" => "kamus-secrets",
        "/injected-pods" => "injected-pods",
        _ => "validate",
    }
}

fn answer(envelope: &Envelope, verdict: &Verdict) -> Reply {
    let body = SecretBytes::new(envelope.answer(verdict));
    Reply { status: StatusCode::OK, headers: Vec::new(), body: ReplyBody::Whole(body) }
}

/// A short answer to people and probes.
pub(crate) fn text(status: StatusCode, words: &str) -> Reply {
    let content_type = (HeaderName::from_static("content-type"), HeaderValue::from_static("text/plain; charset=utf-8"));
    Reply { status, headers: vec![content_type], body: ReplyBody::Whole(SecretBytes::from(words.to_owned())) }
}

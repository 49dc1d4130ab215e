//! Answers in the form that Google's JSON services give.

use hyper::{Response, StatusCode};
use serde_json::{Value as Json, json};

use crate::service::{Body, whole};

/// An error of the API: HTTP status, canonical name, message, details.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) name: &'static str,
    pub(super) message: String,
    pub(super) details: Vec<Json>,
}

impl Refusal {
    fn new(status: u16, name: &'static str, message: String) -> Self {
        Self { status, name, message, details: Vec::new() }
    }

    pub(super) fn not_found(message: String) -> Self {
        Self::new(404, "NOT_FOUND", message)
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "INVALID_ARGUMENT", message.into())
    }

    pub(super) fn precondition(message: String) -> Self {
        Self::new(400, "FAILED_PRECONDITION", message)
    }

    pub(super) fn exists(message: String) -> Self {
        Self::new(409, "ALREADY_EXISTS", message)
    }

    /// `permission` is missing on `resource`.
    pub(super) fn denied(permission: &str, resource: &str) -> Self {
        let message = format!("Permission '{permission}' denied for resource '{resource}' (or it may not exist).");
        let mut refusal = Self::new(403, "PERMISSION_DENIED", message);
        refusal.details.push(error_info(
            "IAM_PERMISSION_DENIED",
            "iam.googleapis.com",
            &json!({"permission": permission, "resource": resource}),
        ));
        refusal
    }

    /// The token is missing, unknown or expired.
    pub(super) fn unauthenticated(has_token: bool) -> Self {
        let (what, reason) = match has_token {
            true => ("Request had invalid authentication credentials.", "ACCESS_TOKEN_EXPIRED"),
            false => ("Request is missing required authentication credential.", "CREDENTIALS_MISSING"),
        };
        let message = format!(
            "{what} Expected OAuth 2 access token, login cookie or other valid authentication credential. See \
             https://developers.google.com/identity/sign-in/web/devconsole-project."
        );
        let mut refusal = Self::new(401, "UNAUTHENTICATED", message);
        let service = json!({"service": "secretmanager.googleapis.com"});
        refusal.details.push(error_info(reason, "googleapis.com", &service));
        refusal
    }
}

fn error_info(reason: &str, domain: &str, metadata: &Json) -> Json {
    json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason, "domain": domain, "metadata": metadata,
    })
}

/// The HTTP form of an API's answer.
pub(super) fn api(answer: Result<Json, Refusal>) -> Response<Body> {
    match answer {
        Ok(body) => json_body(200, &body),
        Err(refusal) => {
            let mut error = json!({
                "code": refusal.status, "message": refusal.message, "status": refusal.name,
            });
            if !refusal.details.is_empty() {
                error["details"] = Json::Array(refusal.details);
            }
            json_body(refusal.status, &json!({"error": error}))
        }
    }
}

/// A JSON document under this status.
pub(super) fn json_body(status: u16, body: &Json) -> Response<Body> {
    with_type(status, "application/json; charset=UTF-8", format!("{body:#}\n"))
}

/// Text under this status.
pub(super) fn text(status: u16, body: impl Into<String>) -> Response<Body> {
    with_type(status, "text/plain; charset=UTF-8", body.into())
}

fn with_type(status: u16, content_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(whole(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = hyper::header::HeaderValue::from_static(content_type);
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, content_type);
    response
}

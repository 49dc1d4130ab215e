//! Answers in the form that Key Vault gives.

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value as Json, json};

use crate::service::{Body, whole};

/// An error of Key Vault: HTTP status, code, message, and the code inside where there is one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) message: String,
    pub(super) inner: Option<&'static str>,
}

impl Refusal {
    pub(super) fn new(status: u16, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { status, code: code.into(), message: message.into(), inner: None }
    }

    pub(super) fn bad_parameter(message: impl Into<String>) -> Self {
        Self::new(400, "BadParameter", message)
    }

    pub(super) fn forbidden(inner: &'static str, message: impl Into<String>) -> Self {
        Self { inner: Some(inner), ..Self::new(403, "Forbidden", message) }
    }
}

/// The HTTP form of the vault's answer.
pub(super) fn api(answer: Result<Json, Refusal>) -> Response<Body> {
    match answer {
        Ok(body) => json_body(200, &body),
        Err(refusal) => {
            let mut error = json!({"code": refusal.code, "message": refusal.message});
            if let Some(inner) = refusal.inner {
                error["innererror"] = json!({"code": inner});
            }
            json_body(refusal.status, &json!({"error": error}))
        }
    }
}

/// A JSON document under this status.
pub(super) fn json_body(status: u16, body: &Json) -> Response<Body> {
    let mut response = Response::new(whole(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

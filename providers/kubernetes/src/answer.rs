//! What an API server's refusals mean. Pure.

use std::time::Duration;

use serde::Deserialize;
use strongroom_failure::{Class, Failure, outside_words};
use strongroom_http::Response;
use strongroom_secret::SecretBytes;

/// The known fields of a `Status`, which is what an API server answers when it has something to say.
#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    details: Option<Details>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    #[serde(default)]
    retry_after_seconds: u64,
}

/// Why the server did not do what it was asked; `known` are masked in its words.
pub(crate) fn refusal(response: &Response, known: &[&SecretBytes]) -> Failure {
    let code = response.status.as_u16();
    let status: Status = serde_json::from_slice(response.body.expose()).unwrap_or_default();
    let is_status = status.kind == "Status";
    let shown = match status.message.as_str() {
        message if is_status && !message.is_empty() => outside_words(message, known),
        _ => format!("HTTP {code}"),
    };
    let failure = |class: Class, words: &str| Failure::new(class, format!("{words}: {shown}"));
    match code {
        401 => failure(Class::Unauthenticated, "the API server does not accept the credentials"),
        403 => failure(Class::Denied, "access denied"),
        // Anything else that is not found is a path: another server, another version, a kind that was removed.
        404 if is_status && status.reason == "NotFound" && status.details.is_some() => {
            failure(Class::NotFound, "not found")
        }
        404 => failure(Class::Invalid, "the API server does not know this kind of object"),
        429 => {
            let asked = status.details.map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0);
            let retry_after = response.retry_after().or(asked.map(|seconds| Duration::from_secs(seconds.min(3600))));
            failure(Class::Throttled { retry_after }, "the API server asks for patience")
        }
        300..=399 => failure(Class::Invalid, "the API server points elsewhere, which is not followed"),
        409 => failure(Class::Unavailable, "somebody else wrote it at the same time"),
        // A page of a list that has become too old: the list begins anew.
        410 => failure(Class::Unavailable, "the list changed while it was read"),
        408 | 500..=599 => failure(Class::Unavailable, "the API server could not answer"),
        _ => failure(Class::Invalid, "the API server refuses the request"),
    }
}

/// The words for an answer of success that is not what it should be. Never a body, which may hold secrets.
pub(crate) fn unexpected() -> Failure {
    Failure::new(Class::Unavailable, "the answer is not what a Kubernetes API server sends")
}

#[cfg(test)]
mod tests {
    use strongroom_http::{HeaderMap, StatusCode};

    use super::*;

    fn check(status: u16, body: &str, class: Class, words: &str) {
        let response = Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: SecretBytes::from(body.to_owned()),
        };
        let failure = refusal(&response, &[&SecretBytes::from("canary-token".to_owned())]);
        assert_eq!((failure.class, failure.words.as_str()), (class, words), "{status} {body}");
    }

    #[test]
    fn refusals_have_a_class_and_the_servers_words() {
        let status = |reason: &str, message: &str| {
            format!(
                r#"{{"kind":"Status","reason":"{reason}","message":"{message}","details":{{"retryAfterSeconds":3}}}}"#
            )
        };
        check(
            404,
            &status("NotFound", "secrets \\\"a\\\" not found"),
            Class::NotFound,
            "not found: secrets \"a\" not found",
        );
        check(403, &status("Forbidden", "no"), Class::Denied, "access denied: no");
        let refused = "the API server does not accept the credentials: Unauthorized [redacted]";
        check(401, &status("Unauthorized", "Unauthorized canary-token"), Class::Unauthenticated, refused);
        let patience = Class::Throttled { retry_after: Some(Duration::from_secs(3)) };
        check(429, &status("TooManyRequests", "busy"), patience, "the API server asks for patience: busy");
        check(410, &status("Expired", "old"), Class::Unavailable, "the list changed while it was read: old");
        check(500, &status("", ""), Class::Unavailable, "the API server could not answer: HTTP 500");
        check(400, &status("BadRequest", "what"), Class::Invalid, "the API server refuses the request: what");
        let elsewhere = "the API server points elsewhere, which is not followed: HTTP 302";
        check(302, "<a href=canary>", Class::Invalid, elsewhere);
    }

    #[test]
    fn only_a_status_makes_an_object_absent() {
        let unknown = |shown: &str| format!("the API server does not know this kind of object: {shown}");
        check(404, "404 page not found\n", Class::Invalid, &unknown("HTTP 404"));
        check(404, "<html>canary</html>", Class::Invalid, &unknown("HTTP 404"));
        check(404, r#"{"message":"canary"}"#, Class::Invalid, &unknown("HTTP 404"));
        let path =
            r#"{"kind":"Status","reason":"NotFound","message":"the server could not find the requested resource"}"#;
        check(404, path, Class::Invalid, &unknown("the server could not find the requested resource"));
        check(503, "<html>canary</html>", Class::Unavailable, "the API server could not answer: HTTP 503");
    }
}

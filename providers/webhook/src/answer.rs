//! What an endpoint's answer means. Pure.

use strongroom_failure::{Class, Failure};
use strongroom_http::{Response, StatusCode};
use strongroom_secret::SecretBytes;

/// The value in an answer. Of a refusal only the status is told: what stands in its body is nobody's business.
pub(crate) fn value(response: Response, json_path: &str) -> Result<SecretBytes, Failure> {
    if !response.status.is_success() {
        return Err(refusal(&response));
    }
    if json_path.is_empty() {
        return Ok(response.body);
    }
    let found = strongroom_select::select_first(&response.body, json_path)
        .map_err(|failure| Failure::from(failure).in_field("result.jsonPath"))?;
    // No absence: an answer of another form is no proof that the secret is gone.
    found.ok_or_else(|| {
        Failure::new(Class::Invalid, "the answer has nothing at this JSONPath").in_field("result.jsonPath")
    })
}

fn refusal(response: &Response) -> Failure {
    let code = response.status.as_u16();
    let failure = |class: Class, words: &str| Failure::new(class, format!("{words} (HTTP {code})"));
    match response.status {
        StatusCode::NOT_FOUND => failure(Class::NotFound, "the endpoint has no such secret"),
        StatusCode::NOT_MODIFIED => {
            failure(Class::Invalid, "the endpoint says that nothing has changed, which gives no value")
                .with_hint("leave out headers such as If-None-Match and If-Modified-Since")
        }
        StatusCode::UNAUTHORIZED => failure(Class::Unauthenticated, "the endpoint does not accept the credentials"),
        StatusCode::FORBIDDEN => failure(Class::Denied, "access denied"),
        StatusCode::TOO_MANY_REQUESTS => {
            failure(Class::Throttled { retry_after: response.retry_after() }, "the endpoint asks for patience")
        }
        status if status.is_redirection() => {
            failure(Class::Invalid, "the endpoint points elsewhere, which is not followed")
                .with_hint("write the address that it points to into url")
        }
        status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => {
            failure(Class::Unavailable, "the endpoint could not answer")
        }
        _ => failure(Class::Invalid, "the endpoint refuses the request"),
    }
}

/// Whether the endpoint did its work, though the secret may be missing or forbidden.
pub(crate) fn is_answer(status: StatusCode) -> bool {
    status.is_success() || matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use strongroom_http::HeaderMap;

    use super::*;

    fn response(status: u16, body: &str) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", "9".parse().unwrap());
        Response { status: StatusCode::from_u16(status).unwrap(), headers, body: SecretBytes::from(body.to_owned()) }
    }

    #[test]
    fn refusals_have_a_class_and_no_body() {
        let check = |status: u16, class: Class| {
            let failure = value(response(status, "canary"), "").unwrap_err();
            assert_eq!(failure.class, class, "{failure}");
            assert!(failure.words.ends_with(&format!("(HTTP {status})")) && !failure.words.contains("canary"));
        };
        check(404, Class::NotFound);
        check(304, Class::Invalid);
        check(302, Class::Invalid);
        check(400, Class::Invalid);
        check(401, Class::Unauthenticated);
        check(403, Class::Denied);
        check(408, Class::Unavailable);
        check(429, Class::Throttled { retry_after: Some(Duration::from_secs(9)) });
        check(500, Class::Unavailable);
        check(503, Class::Unavailable);
    }

    #[test]
    fn the_path_says_what_of_the_answer_is_meant() {
        let check = |body: &str, path: &str, expected: Option<&str>| {
            let got = value(response(200, body), path);
            assert_eq!(got.as_ref().ok().map(|value| value.expose_text().unwrap()), expected, "{body} {path}");
            if let Err(failure) = got {
                assert_eq!(failure.class, Class::Invalid);
                assert!(!failure.to_string().contains("canary"), "{failure}");
            }
        };
        let body = r#"{"a":["x","y"],"b":{"c":1.50,"d":[true]},"e":null,"f":[],"g":"canary"}"#;
        check("plain", "", Some("plain"));
        check(body, "$.a[0]", Some("x"));
        check(body, "$.a", Some("x"));
        check(body, "$.b", Some(r#"{"c":1.50,"d":[true]}"#));
        check(body, "$.b.c", Some("1.50"));
        check(body, "$.b.d", Some("true"));
        check(body, "$.e", Some(""));
        check(body, "$.f", None);
        check(body, "$.nope", None);
        check(body, "$.[", None);
        check("canary", "$.a", None);
    }
}

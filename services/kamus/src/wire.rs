//! Requests and answers as Kamus' clients know them.

use serde::Deserialize;
use strongroom_failure::{Class, Failure};
use strongroom_http::{HeaderMap, HeaderName, HeaderValue, Reply, ReplyBody, StatusCode, header};
use strongroom_secret::SecretBytes;

/// What the encryptor says to a body that lacks something.
pub(crate) const INCOMPLETE_ENCRYPTION: &str =
    "One or more of the required fields doesn't present in the request body.";

/// What the decryptor says to one.
pub(crate) const INCOMPLETE_DECRYPTION: &str = "One or more of required fields doesn't present in the request body.";

/// How Kamus begins to say that something is wrong on its side.
pub(crate) const FAILED: &str = "server failed to handle response";

/// A value to encrypt.
#[derive(Deserialize)]
pub(crate) struct Encryption {
    pub(crate) data: Option<SecretText>,
    #[serde(rename = "service-account")]
    pub(crate) account: Option<String>,
    pub(crate) namespace: Option<String>,
}

/// A text to decrypt; no secret.
#[derive(Deserialize)]
pub(crate) struct Decryption {
    pub(crate) data: Option<String>,
}

/// Text that is wiped, read from JSON.
pub(crate) struct SecretText(pub(crate) SecretBytes);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(SecretBytes::from(text)))
    }
}

/// The token of `Authorization: Bearer …`: the scheme in any case, white space around the token left out.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<SecretBytes> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| SecretBytes::from(token.to_owned()))
}

/// An answer in plain text.
pub(crate) fn text(status: StatusCode, body: SecretBytes) -> Reply {
    let content_type = (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // Nobody between us and who asked keeps it.
    let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Reply { status, headers: vec![content_type, no_store], body: ReplyBody::Whole(body) }
}

/// An answer of our own words.
pub(crate) fn words(status: StatusCode, words: &str) -> Reply {
    text(status, SecretBytes::from(words.to_owned()))
}

/// An answer of a type of its own.
pub(crate) fn typed(content_type: &'static str, body: String) -> Reply {
    let content_type = (HeaderName::from_static("content-type"), HeaderValue::from_static(content_type));
    Reply { status: StatusCode::OK, headers: vec![content_type], body: ReplyBody::Whole(SecretBytes::from(body)) }
}

/// What went wrong, by whether its sender can mend it. Kamus answered 500 to all of it (`#122`); a client takes anything
/// from 300 on for a failure.
pub(crate) fn failed(failure: &Failure) -> Reply {
    let (status, retry_after) = match failure.class {
        Class::Invalid | Class::NotFound => return words(StatusCode::BAD_REQUEST, &failure.to_string()),
        Class::Throttled { retry_after } => (StatusCode::SERVICE_UNAVAILABLE, retry_after.map(|time| time.as_secs())),
        Class::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, None),
        // Our own right to the key management, and not the sender's.
        Class::Denied | Class::Unauthenticated => (StatusCode::INTERNAL_SERVER_ERROR, None),
    };
    let mut reply = words(status, &format!("{FAILED}: {failure}"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let seconds = HeaderValue::from(retry_after.unwrap_or(1).max(1));
        reply.headers.push((header::RETRY_AFTER, seconds));
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_whatever_the_case_of_its_scheme() {
        let check = |value: &str, expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::try_from(value).unwrap());
            assert_eq!(bearer(&headers).as_ref().and_then(SecretBytes::expose_text), expected, "{value}");
        };
        check("Bearer abc", Some("abc"));
        check("bearer  abc ", Some("abc"));
        check("BEARER abc", Some("abc"));
        check("Bearer ", None);
        check("Bearer", None);
        check("Basic abc", None);
        assert!(bearer(&HeaderMap::new()).is_none());
    }
}

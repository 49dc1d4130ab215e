use std::fmt;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use strongroom_secret::SecretBytes;

use crate::{Error, json, shown_headers};

/// A whole answer. Its body may be a secret, so it is only read by name and wiped when dropped.
pub struct Response {
    /// The status, of whatever kind: deciding about it is the caller's.
    pub status: StatusCode,
    /// The headers as they came.
    pub headers: HeaderMap,
    /// The body, whole, within the client's limit.
    pub body: SecretBytes,
}

impl Response {
    /// The body read as JSON. Types that borrow nothing are parsed; who wants to borrow uses `body.expose()`.
    ///
    /// # Errors
    /// Where it is not the expected JSON; the words never quote it.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        json::parse(self.body.expose())
    }

    /// How long the server asks to wait (`Retry-After` in seconds or as a date), at most an hour: a server that asks
    /// for more is no better asked in an hour than never.
    pub fn retry_after(&self) -> Option<Duration> {
        let asked = self.headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
        let wait = match asked.parse::<u64>() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => httpdate::parse_http_date(asked).ok()?.duration_since(SystemTime::now()).unwrap_or_default(),
        };
        Some(wait.min(Duration::from_secs(3600)))
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &shown_headers(&self.headers))
            .field("body", &format_args!("[{} bytes]", self.body.len()))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(retry_after: &str) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, retry_after.parse().unwrap());
        Response { status: StatusCode::OK, headers, body: SecretBytes::from("canary".to_owned()) }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_bounded() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(response(text).retry_after(), expected.map(Duration::from_secs), "{text}");
        };
        check("7", Some(7));
        check(" 7 ", Some(7));
        check("86400", Some(3600));
        check("soon", None);
        check("-1", None);
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(0));
        let soon = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(90));
        let wait = response(&soon).retry_after().unwrap();
        assert!(wait > Duration::from_secs(80) && wait <= Duration::from_secs(90), "{wait:?}");
    }

    #[test]
    fn debug_does_not_show_the_body() {
        assert!(!format!("{:?}", response("1")).contains("canary"));
    }
}

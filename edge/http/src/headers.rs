use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use strongroom_secret::SecretBytes;
use zeroize::Zeroizing;

use crate::Error;

/// Headers whose values are safe to show; every other value is shown as its length only.
const SHOWN: [HeaderName; 10] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::DATE,
    header::SERVER,
    header::RETRY_AFTER,
    header::HOST,
    header::USER_AGENT,
    header::ACCEPT,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
];

/// Headers fit for a log line: names, and values of those that never carry a secret.
pub fn shown_headers(headers: &HeaderMap) -> impl fmt::Debug + '_ {
    Shown(headers)
}

struct Shown<'a>(&'a HeaderMap);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = formatter.debug_map();
        for (name, value) in self.0 {
            if SHOWN.contains(name) && !value.is_sensitive() {
                list.entry(name, value);
            } else {
                list.entry(name, &format_args!("[{} bytes]", value.len()));
            }
        }
        list.finish()
    }
}

/// A header value such as `Bearer TOKEN`, marked so that nothing prints it.
///
/// # Errors
/// Where the secret has bytes that no header may carry (line feeds, control characters); the words do not show it.
pub fn secret_header(prefix: &str, secret: &SecretBytes) -> Result<HeaderValue, Error> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(prefix.len() + secret.len()));
    bytes.extend_from_slice(prefix.as_bytes());
    bytes.extend_from_slice(secret.expose());
    let mut value = HeaderValue::from_bytes(&bytes)
        .map_err(|_| Error::invalid("the credential has characters that an HTTP header cannot carry"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_headers_are_not_shown() {
        let mut headers = HeaderMap::new();
        headers.insert("x-vault-token", secret_header("", &SecretBytes::from("s.canary".to_owned())).unwrap());
        headers.insert("set-cookie", HeaderValue::from_static("canary=1"));
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        let shown = format!("{:?} {headers:?}", shown_headers(&headers)).replace("canary=1", "cookie");
        assert!(shown.contains("application/json") && shown.contains("[8 bytes]"), "{shown}");
        assert!(!format!("{:?}", shown_headers(&headers)).contains("canary"));
        assert!(!shown.contains("s.canary"));
    }

    #[test]
    fn a_credential_with_a_line_break_is_refused_without_showing_it() {
        let error = secret_header("Bearer ", &SecretBytes::from("canary\n".to_owned())).unwrap_err();
        assert!(!error.to_string().contains("canary"));
    }
}

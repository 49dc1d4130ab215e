//! What Google's answers mean. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use strongroom_failure::{Class, Failure, outside_words};
use strongroom_http::{Response, StatusCode};
use strongroom_secret::SecretBytes;

/// A server that asks for more patience is no better asked in an hour than never.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

#[derive(Deserialize)]
struct Accessed<'a> {
    #[serde(default)]
    name: Option<String>,
    #[serde(borrow)]
    payload: Payload<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    /// Left out where the value is empty.
    #[serde(borrow, default)]
    data: Cow<'a, str>,
    #[serde(default)]
    data_crc32c: Option<String>,
}

/// The value of a secret version and the version's name, from the body of a successful answer.
pub(crate) fn payload(body: &[u8]) -> Result<(SecretBytes, Option<String>), Failure> {
    let damaged = |words: &str| Failure::new(Class::Unavailable, words);
    let accessed: Accessed =
        serde_json::from_slice(body).map_err(|_| damaged("the answer is not what Google Secret Manager sends"))?;
    let value = STANDARD
        .decode(accessed.payload.data.as_bytes())
        .map(SecretBytes::new)
        .map_err(|_| damaged("the value in the answer is not base64"))?;
    if let Some(expected) = accessed.payload.data_crc32c
        && expected != crc32c::crc32c(value.expose()).to_string()
    {
        return Err(damaged("the value was damaged on its way: its checksum does not fit"));
    }
    let version = accessed.name.as_deref().and_then(|name| name.rsplit_once("/versions/"));
    Ok((value, version.map(|(_, version)| version.to_owned())))
}

/// A secret without its value, as it is read alone or in a list.
#[derive(Default, Deserialize)]
pub(crate) struct Described {
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// A page of a list of secrets.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SecretsPage {
    #[serde(default)]
    pub(crate) secrets: Vec<Described>,
    #[serde(default)]
    pub(crate) next_page_token: String,
}

/// A page of a list of versions.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VersionsPage {
    #[serde(default)]
    pub(crate) versions: Vec<Version>,
    #[serde(default)]
    pub(crate) next_page_token: String,
}

/// A version of a secret, without its value.
#[derive(Deserialize)]
pub(crate) struct Version {
    #[serde(default)]
    name: String,
    #[serde(default)]
    state: String,
}

impl Version {
    /// The number of a version that can be read.
    pub(crate) fn enabled_number(&self) -> Option<u64> {
        let (_, number) = self.name.rsplit_once("/versions/")?;
        number.parse().ok().filter(|_| self.state == "ENABLED")
    }
}

/// Reads an answer without values; the words never quote it.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    let words = "the answer is not what Google Secret Manager sends";
    serde_json::from_slice(body).map_err(|_| Failure::new(Class::Unavailable, words))
}

/// Annotations and labels as one JSON object, as External Secrets Operator writes it: what is empty is `null`, and the
/// letters that HTML gives a meaning are escaped.
pub(crate) fn metadata(body: &[u8]) -> Result<SecretBytes, Failure> {
    let Described { labels, annotations, .. } = read(body)?;
    let part = |all: BTreeMap<String, String>| if all.is_empty() { Value::Null } else { serde_json::json!(all) };
    let text = serde_json::json!({"annotations": part(annotations), "labels": part(labels)}).to_string();
    // None of them stands outside of strings.
    let text = text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    Ok(SecretBytes::from(text.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")))
}

/// Whether a version cannot be read for its state, which another version may not have.
pub(crate) fn is_out_of_use(response: &Response) -> bool {
    let words = ErrorWords::of(response.body.expose());
    let message = words.message.unwrap_or_default();
    words.code.as_deref() == Some("FAILED_PRECONDITION")
        && (message.contains("DISABLED state") || message.contains("DESTROYED state"))
}

/// The known fields of an error: Google's own form, or OAuth's.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ErrorWords {
    /// `PERMISSION_DENIED`, or `invalid_grant`.
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) retry_after: Option<Duration>,
}

#[derive(Deserialize)]
struct Refused {
    error: ErrorForm,
    #[serde(default)]
    error_description: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ErrorForm {
    OAuth(String),
    Google {
        #[serde(default)]
        status: Option<String>,
        #[serde(default)]
        message: Option<String>,
        #[serde(default)]
        details: Vec<Detail>,
    },
}

#[derive(Deserialize)]
struct Detail {
    #[serde(rename = "@type", default)]
    kind: String,
    #[serde(rename = "retryDelay", default)]
    retry_delay: Option<String>,
}

impl ErrorWords {
    /// What an error's body says; nothing where it is of another form (a proxy's page).
    pub(crate) fn of(body: &[u8]) -> Self {
        let Ok(Refused { error, error_description }) = serde_json::from_slice(body) else { return Self::default() };
        match error {
            ErrorForm::OAuth(code) => Self { code: Some(code), message: error_description, retry_after: None },
            ErrorForm::Google { status, message, details } => {
                let asks = details.iter().find(|detail| detail.kind.ends_with("google.rpc.RetryInfo"));
                let retry_after = asks.and_then(|detail| duration(detail.retry_delay.as_deref()?));
                Self { code: status, message, retry_after }
            }
        }
    }

    /// The words for people, with known values masked; the bare status where there are none.
    pub(crate) fn shown(&self, status: StatusCode, known: &[&SecretBytes]) -> String {
        let said: Vec<_> = [self.code.as_deref(), self.message.as_deref()].into_iter().flatten().collect();
        if said.is_empty() {
            return format!("HTTP {}", status.as_u16());
        }
        outside_words(said.join(": ").trim_end_matches('.'), known)
    }
}

/// `3.5s`, as Google's JSON writes durations.
fn duration(text: &str) -> Option<Duration> {
    let seconds = text.strip_suffix('s')?.parse::<f64>().ok()?;
    Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(LONGEST_WAIT))
}

/// How long a server asks to wait, by its error's details or by HTTP's header.
pub(crate) fn patience(response: &Response, words: &ErrorWords) -> Option<Duration> {
    words.retry_after.or_else(|| response.retry_after())
}

/// Why Secret Manager did not give a value.
pub(crate) fn refusal(response: &Response, known: &[&SecretBytes]) -> Failure {
    let status = response.status;
    let words = ErrorWords::of(response.body.expose());
    let shown = words.shown(status, known);
    match (status.as_u16(), words.code.as_deref()) {
        // Disabled or destroyed: it is there, so a default must not take its place.
        (400, Some("FAILED_PRECONDITION")) => {
            Failure::new(Class::Invalid, format!("this version cannot be read as it is: {shown}"))
                .with_hint("enable the version, or ask for another one")
        }
        (401, _) => Failure::new(Class::Unauthenticated, format!("the access token is refused: {shown}")),
        (403, _) => Failure::new(Class::Denied, format!("access denied: {shown}")),
        (404, _) => Failure::new(Class::NotFound, format!("not found: {shown}")),
        (429, _) => {
            let retry_after = patience(response, &words);
            Failure::new(Class::Throttled { retry_after }, format!("Google asks for patience: {shown}"))
        }
        (408 | 499 | 500..=599, _) => Failure::new(Class::Unavailable, format!("Google could not answer: {shown}")),
        _ => Failure::new(Class::Invalid, format!("Google refuses the request: {shown}")),
    }
}

#[cfg(test)]
mod tests {
    use strongroom_http::HeaderMap;

    use super::*;

    #[test]
    fn a_value_is_decoded_and_checked() {
        let check = |body: &str, expected: Result<(&[u8], Option<&str>), &str>| {
            let got = payload(body.as_bytes());
            let got = got.as_ref().map(|(value, version)| (value.expose(), version.as_deref()));
            match expected {
                Ok(expected) => assert!(got == Ok(expected), "{body}"),
                Err(words) => assert_eq!(got.map(|_| "a value").unwrap_err().words, words),
            }
        };
        let name = "projects/123/secrets/s/versions/7";
        check(
            &format!(r#"{{"name":"{name}","payload":{{"data":"Zm9v","dataCrc32c":"3485773341"}}}}"#),
            Ok((b"foo", Some("7"))),
        );
        check(r#"{"payload":{"data":"AP8="}}"#, Ok((&[0, 255], None)));
        check(r#"{"payload":{"data":"\/\/\/\/"}}"#, Ok((&[255, 255, 255], None)));
        check(r#"{"payload":{}}"#, Ok((b"", None)));
        let damaged = "the value was damaged on its way: its checksum does not fit";
        check(r#"{"payload":{"data":"Zm9w","dataCrc32c":"3485773341"}}"#, Err(damaged));
        check(r#"{"payload":{"data":"Zm9v","dataCrc32c":"canary"}}"#, Err(damaged));
        check(r#"{"payload":{"data":"@@@@"}}"#, Err("the value in the answer is not base64"));
        check(r#"{"name":"x"}"#, Err("the answer is not what Google Secret Manager sends"));
        check("<html>", Err("the answer is not what Google Secret Manager sends"));
    }

    #[test]
    fn metadata_is_annotations_and_labels() {
        let check = |body: &str, expected: &str| {
            assert_eq!(metadata(body.as_bytes()).unwrap().expose_text(), Some(expected));
        };
        check(r#"{"name":"projects/1/secrets/s"}"#, r#"{"annotations":null,"labels":null}"#);
        check(
            r#"{"labels":{"b":"2","a":"1"},"annotations":{"x.y/z":"<&>"}}"#,
            r#"{"annotations":{"x.y/z":"\u003c\u0026\u003e"},"labels":{"a":"1","b":"2"}}"#,
        );
        assert_eq!(metadata(b"canary").unwrap_err().words, "the answer is not what Google Secret Manager sends");
    }

    fn response(status: u16, body: &str) -> Response {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", "9".parse().unwrap());
        Response { status: StatusCode::from_u16(status).unwrap(), headers, body: SecretBytes::from(body.to_owned()) }
    }

    #[test]
    fn refusals_have_a_class_and_googles_words() {
        let check = |status: u16, body: &str, class: Class, words: &str| {
            let failure = refusal(&response(status, body), &[&SecretBytes::from("ya29.canary".to_owned())]);
            assert_eq!((failure.class, failure.words.as_str()), (class, words));
        };
        let google =
            |code: &str, message: &str| format!(r#"{{"error":{{"code":1,"message":"{message}","status":"{code}"}}}}"#);
        let wait = |seconds| Class::Throttled { retry_after: Some(Duration::from_secs_f64(seconds)) };
        check(
            403,
            &google("PERMISSION_DENIED", "Permission 'x' denied."),
            Class::Denied,
            "access denied: PERMISSION_DENIED: Permission 'x' denied",
        );
        check(404, &google("NOT_FOUND", "gone"), Class::NotFound, "not found: NOT_FOUND: gone");
        check(
            400,
            &google("FAILED_PRECONDITION", "it is DISABLED"),
            Class::Invalid,
            "this version cannot be read as it is: FAILED_PRECONDITION: it is DISABLED",
        );
        check(
            400,
            &google("INVALID_ARGUMENT", "bad"),
            Class::Invalid,
            "Google refuses the request: INVALID_ARGUMENT: bad",
        );
        check(
            401,
            &google("UNAUTHENTICATED", "token ya29.canary"),
            Class::Unauthenticated,
            "the access token is refused: UNAUTHENTICATED: token [redacted]",
        );
        check(
            429,
            &google("RESOURCE_EXHAUSTED", "Quota"),
            wait(9.0),
            "Google asks for patience: RESOURCE_EXHAUSTED: Quota",
        );
        let retry_info = r#"{"error":{"status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"x"},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"3.5s"}]}}"#;
        check(429, retry_info, wait(3.5), "Google asks for patience: RESOURCE_EXHAUSTED");
        check(503, "<html>canary</html>", Class::Unavailable, "Google could not answer: HTTP 503");
        check(302, "", Class::Invalid, "Google refuses the request: HTTP 302");
    }

    #[test]
    fn durations_are_bounded() {
        assert_eq!(duration("99999999s"), Some(LONGEST_WAIT));
        for text in ["", "s", "-1s", "NaNs", "infs", "3"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}

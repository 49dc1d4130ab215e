//! What an API server's refusals mean, in classes and in words that quote no object.
//!
//! An API server quotes what it refuses (`Invalid value: "hunter2"`), and so do admission webhooks. Of an answer only
//! these are shown: status reason, code, the paths and reasons of its causes, the name of a webhook that refused; the
//! message itself only of 401 and 403, which say who may not do what, with known values masked.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use kube::core::Status;
use strongroom_failure::{Class, Failure, outside_words};
use strongroom_secret::SecretBytes;

use crate::traffic::NoAnswer;

/// Why something was not written, as far as a writer acts on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteFailure {
    /// Somebody else wrote meanwhile, or a precondition does not hold: read again and plan again.
    Conflict,
    /// There is one of that name, contrary to what was known.
    AlreadyExists,
    /// There is none of that name, or no such namespace.
    NotFound,
    /// The field cannot be changed in an object that exists: only deletion and creation would help.
    Immutable {
        /// Such as `data` or `type`.
        field: String,
    },
    /// Anything else.
    Other(Failure),
}

impl WriteFailure {
    /// What `error` means for a write; `asked` as in [`failure`].
    pub fn from_error(error: &kube::Error, asked: &str, known: &[&SecretBytes]) -> Self {
        let kube::Error::Api(status) = error else { return Self::Other(failure(error, asked, known)) };
        match (status.code, status.reason.as_str()) {
            (409, "AlreadyExists") => Self::AlreadyExists,
            (409, _) => Self::Conflict,
            (404, _) => Self::NotFound,
            (422, _) => match immutable_field(status) {
                Some(field) => Self::Immutable { field },
                None => Self::Other(failure(error, asked, known)),
            },
            _ => Self::Other(failure(error, asked, known)),
        }
    }

    /// The same as a failure, for who does not act on the difference.
    pub fn into_failure(self, asked: &str) -> Failure {
        match self {
            Self::Conflict => {
                Failure::new(Class::Unavailable, format!("cannot {asked}: it was changed by another meanwhile"))
            }
            Self::AlreadyExists => Failure::new(Class::Unavailable, format!("cannot {asked}: it exists already")),
            Self::NotFound => {
                Failure::new(Class::NotFound, format!("cannot {asked}: it or its namespace does not exist"))
            }
            Self::Immutable { field } => Failure::new(Class::Invalid, format!("cannot {asked}: {field} is immutable"))
                .with_hint("delete the object so that it is made again"),
            Self::Other(failure) => failure,
        }
    }
}

impl fmt::Display for WriteFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict => formatter.write_str("it was changed by another meanwhile"),
            Self::AlreadyExists => formatter.write_str("it exists already"),
            Self::NotFound => formatter.write_str("it does not exist"),
            Self::Immutable { field } => write!(formatter, "{field} is immutable"),
            Self::Other(failure) => failure.fmt(formatter),
        }
    }
}

impl std::error::Error for WriteFailure {}

/// What `error` means, where `asked` is what was tried (`read Secret team-a/db`) and `known` are the values that were
/// sent.
pub fn failure(error: &kube::Error, asked: &str, known: &[&SecretBytes]) -> Failure {
    match error {
        kube::Error::Api(status) => refusal(status, asked, known),
        kube::Error::Service(error) if error.is::<NoAnswer>() => unavailable(asked, &NoAnswer.to_string()),
        kube::Error::Service(error) => unavailable(asked, &connection_words(error.as_ref())),
        kube::Error::HyperError(error) => unavailable(asked, &connection_words(error)),
        kube::Error::ReadEvents(_) => unavailable(asked, "the API server's answer was cut"),
        kube::Error::Auth(_) => Failure::new(
            Class::Unauthenticated,
            format!("cannot {asked}: there are no usable credentials for the API server"),
        ),
        // A parser quotes what it reads, and that may be a Secret.
        kube::Error::SerdeError(_) | kube::Error::FromUtf8(_) | kube::Error::LinesCodecMaxLineLengthExceeded => {
            unavailable(asked, "the API server's answer is not what was asked for")
        }
        _ => Failure::new(Class::Invalid, format!("cannot {asked}: the request cannot be made")),
    }
}

/// `name`, if it is one that Kubernetes objects can have; it may have been written by a tenant and becomes part of an
/// address.
///
/// # Errors
/// Where it has other characters, such as `/`, or is too long.
pub fn checked_name(name: &str) -> Result<&str, Failure> {
    let is_usual = |character: char| character.is_ascii_alphanumeric() || "-._:".contains(character);
    // 253 is the length of the longest DNS name, which is the limit that Kubernetes sets for names.
    if name.is_empty() || name.len() > 253 || !name.chars().all(is_usual) || name.starts_with('.') {
        let shown = outside_words(name, &[]);
        return Err(Failure::new(Class::Invalid, format!("\"{shown}\" is not a name of a Kubernetes object")));
    }
    Ok(name)
}

fn unavailable(asked: &str, why: &str) -> Failure {
    Failure::new(Class::Unavailable, format!("cannot {asked}: {why}"))
}

/// What can be said about a connection: the innermost error, which is of the system, of hyper or of rustls.
fn connection_words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    format!("the API server cannot be reached: {}", outside_words(&innermost.to_string(), &[]))
}

fn refusal(status: &Status, asked: &str, known: &[&SecretBytes]) -> Failure {
    let class = class(status);
    let failure = Failure::new(class, format!("cannot {asked}: {}", refusal_words(status, known)));
    match class {
        Class::Denied if status.message.contains(" cannot ") => failure.with_hint("allow it in the role's RBAC rules"),
        Class::Unauthenticated => failure.with_hint("the token or certificate for the API server is refused; renew it"),
        _ => failure,
    }
}

fn class(status: &Status) -> Class {
    let retry_after = status.details.as_ref().map(|details| details.retry_after_seconds).filter(|seconds| *seconds > 0);
    let retry_after = retry_after.map(|seconds| Duration::from_secs(seconds.into()));
    match status.code {
        401 => Class::Unauthenticated,
        403 => Class::Denied,
        404 => Class::NotFound,
        429 => Class::Throttled { retry_after },
        // 409 is a race, 408 and 504 are patience that ended, 410 is a version that was compacted away.
        408 | 409 | 410 | 500.. => Class::Unavailable,
        _ => Class::Invalid,
    }
}

fn refusal_words(status: &Status, known: &[&SecretBytes]) -> String {
    let reason = if status.reason.is_empty() { "no reason" } else { status.reason.as_str() };
    if let Some(webhook) = refusing_webhook(&status.message) {
        return format!("the admission webhook \"{}\" refuses it", outside_words(webhook, &[]));
    }
    match status.code {
        401 | 403 => outside_words(&status.message, &with_encodings(known).iter().collect::<Vec<_>>()),
        404 => "it does not exist".to_owned(),
        413 => "it is larger than the API server takes".to_owned(),
        422 => format!("the API server finds it invalid: {}", causes(status)),
        429 => "the API server asks for patience".to_owned(),
        code => format!("the API server answered {code} ({})", outside_words(reason, &[])),
    }
}

/// The name between the quotes of `admission webhook "NAME" denied the request`.
fn refusing_webhook(message: &str) -> Option<&str> {
    let (name, rest) = message.strip_prefix("admission webhook \"")?.split_once('"')?;
    rest.starts_with(" denied the request").then_some(name)
}

/// The paths of what is invalid, with the reason of each; never the causes' messages, which quote values.
fn causes(status: &Status) -> String {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let mut words: Vec<String> = causes.map(|cause| format!("{} ({})", cause.field, cause.reason)).collect();
    words.dedup();
    if words.is_empty() { "it does not say what".to_owned() } else { outside_words(&words.join(", "), &[]) }
}

fn immutable_field(status: &Status) -> Option<String> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let found = causes.into_iter().find(|cause| cause.message.contains("field is immutable"))?;
    Some(outside_words(&found.field, &[]))
}

/// The values as text and as base64, which is how they stand in a Secret.
fn with_encodings(known: &[&SecretBytes]) -> Vec<SecretBytes> {
    let encoded = |value: &&SecretBytes| {
        let text = base64::engine::general_purpose::STANDARD.encode(value.expose());
        [(*value).clone(), SecretBytes::from(text)]
    };
    known.iter().flat_map(encoded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(json: &str) -> kube::Error {
        kube::Error::Api(Box::new(serde_json::from_str(json).unwrap()))
    }

    #[test]
    fn refusals_have_a_class_and_quote_nothing() {
        let value = SecretBytes::from("canary-7f3a".to_owned());
        let check = |json: &str, class: Class, words: &str| {
            let failure = failure(&status(json), "write Secret a/b", &[&value]);
            assert_eq!((failure.class, failure.to_string().as_str()), (class, words));
            assert!(!failure.to_string().contains("canary") && !failure.to_string().contains("Y2FuYXJ5"));
        };
        check(
            r#"{"code": 403, "reason": "Forbidden", "message": "secrets \"b\" is forbidden: User \"x\" cannot get"}"#,
            Class::Denied,
            "cannot write Secret a/b: secrets \"b\" is forbidden: User \"x\" cannot get",
        );
        check(
            r#"{"code": 403, "reason": "Forbidden", "message": "quota: canary-7f3a Y2FuYXJ5LTdmM2E="}"#,
            Class::Denied,
            "cannot write Secret a/b: quota: [redacted] [redacted]",
        );
        check(
            r#"{"code": 422, "reason": "Invalid", "message": "Secret \"b\" is invalid: data[a b]: \"canary-7f3a\"",
                "details": {"causes": [{"reason": "FieldValueInvalid", "message": "\"canary\"", "field": "data[a b]"}]}}"#,
            Class::Invalid,
            "cannot write Secret a/b: the API server finds it invalid: data[a b] (FieldValueInvalid)",
        );
        check(
            r#"{"code": 400, "reason": "BadRequest", "message": "admission webhook \"w.x\" denied the request: canary"}"#,
            Class::Invalid,
            "cannot write Secret a/b: the admission webhook \"w.x\" refuses it",
        );
        check(
            r#"{"code": 400, "reason": "BadRequest", "message": "illegal base64 data: canary-7f3a"}"#,
            Class::Invalid,
            "cannot write Secret a/b: the API server answered 400 (BadRequest)",
        );
        check(
            r#"{"code": 429, "reason": "TooManyRequests", "message": "", "details": {"retryAfterSeconds": 3}}"#,
            Class::Throttled { retry_after: Some(Duration::from_secs(3)) },
            "cannot write Secret a/b: the API server asks for patience",
        );
        check(
            r#"{"code": 500, "reason": "InternalError", "message": "etcd says canary"}"#,
            Class::Unavailable,
            "cannot write Secret a/b: the API server answered 500 (InternalError)",
        );
    }

    #[test]
    fn writers_learn_what_they_act_on() {
        let check = |json: &str, expected: WriteFailure| {
            assert_eq!(WriteFailure::from_error(&status(json), "write it", &[]), expected);
        };
        check(r#"{"code": 409, "reason": "Conflict"}"#, WriteFailure::Conflict);
        check(r#"{"code": 409, "reason": "AlreadyExists"}"#, WriteFailure::AlreadyExists);
        check(r#"{"code": 404, "reason": "NotFound"}"#, WriteFailure::NotFound);
        check(
            r#"{"code": 422, "reason": "Invalid", "details": {"causes": [{"reason": "FieldValueForbidden",
                "field": "data", "message": "Forbidden: field is immutable when `immutable` is set"}]}}"#,
            WriteFailure::Immutable { field: "data".to_owned() },
        );
    }

    #[test]
    fn names_are_names_before_they_are_addresses() {
        let check = |name: &str, is_right: bool| assert_eq!(checked_name(name).is_ok(), is_right, "{name}");
        check("db", true);
        check("db.internal-1", true);
        check("system:node", true);
        check("", false);
        check("..", false);
        check("../configmaps/x", false);
        check("a/b", false);
        check("a?b", false);
        check("a%2Fb", false);
        check(&"a".repeat(254), false);
    }
}

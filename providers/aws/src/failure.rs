//! What AWS and the way to it answer, in our classes and words.

use std::error::Error;
use std::time::{Duration, SystemTime};

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_types::date_time::{DateTime, Format};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use strongroom_failure::{Class, Failure, outside_words};
use strongroom_http::Cause;
use strongroom_secret::SecretBytes;

/// A call that failed as a whole.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) failure: Failure,
    /// AWS's code, such as `AccessDeniedException`; empty where there was no answer.
    pub(crate) code: String,
}

impl Refusal {
    /// Whether the operation itself is unknown there, as with emulators and proxies that serve only some.
    pub(crate) fn is_unknown_operation(&self) -> bool {
        matches!(
            self.code.as_str(),
            "UnknownOperationException"
                | "InvalidAction"
                | "NotImplemented"
                | "NotImplementedException"
                | "501"
                | "404"
        )
    }

    /// Says whose credentials were refused, where that is the reason.
    pub(crate) fn of_identity(mut self, identity: &str) -> Self {
        if self.failure.class == Class::Unauthenticated {
            self.failure.words = format!("{} ({identity})", self.failure.words);
        }
        self
    }

    /// Whether AWS denies the call itself. Credentials that cannot be had are no answer to the call.
    pub(crate) fn is_denied(&self) -> bool {
        self.failure.class == Class::Denied && !self.code.is_empty()
    }

    /// Whether one key of a batch may be what spoils the call for the others.
    pub(crate) fn may_be_one_keys(&self) -> bool {
        matches!(self.failure.class, Class::NotFound | Class::Denied | Class::Invalid) && !self.code.is_empty()
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { failure, code: String::new() }
    }
}

/// What the SDK reports of a call, `known` being the secrets that AWS's words could repeat.
pub(crate) fn refusal<E>(error: &SdkError<E, HttpResponse>, known: &[&SecretBytes]) -> Refusal
where
    E: ProvideErrorMetadata + Error + 'static,
{
    // Credentials that could not be had come back as they went in.
    if let Some(failure) = find::<Failure>(error) {
        return failure.clone().into();
    }
    match error {
        SdkError::ServiceError(answer) => from_answer(answer.err(), answer.raw(), known),
        SdkError::TimeoutError(_) => unavailable("no answer in time").into(),
        SdkError::DispatchFailure(way) => match way.as_connector_error() {
            Some(error) => from_connector(error).into(),
            None => unavailable("the connection failed").into(),
        },
        // The answer broke off, or is no answer of AWS at all.
        SdkError::ResponseError(answer) => from_status(answer.raw().status().as_u16(), answer.raw()),
        other => Failure::new(Class::Invalid, format!("the call cannot be made: {}", deepest(other))).into(),
    }
}

fn from_answer<E: ProvideErrorMetadata>(error: &E, raw: &HttpResponse, known: &[&SecretBytes]) -> Refusal {
    let status = raw.status().as_u16();
    let Some(code) = error.code().filter(|code| !code.is_empty()) else {
        return from_status(status, raw);
    };
    let message = outside_words(error.message().unwrap_or_default(), known);
    let mut failure = from_code(code, &message, status);
    if let Class::Throttled { retry_after } = &mut failure.class {
        *retry_after = wait_of(raw);
    }
    Refusal { failure, code: name_of(code).to_owned() }
}

/// An answer without a code comes from something before AWS: a proxy, a load balancer.
fn from_status(status: u16, raw: &HttpResponse) -> Refusal {
    if status == 407 {
        return refused_by_proxy().into();
    }
    if (200..400).contains(&status) {
        return unavailable("the answer broke off or cannot be read").into();
    }
    let class = match status {
        429 => Class::Throttled { retry_after: wait_of(raw) },
        401 => Class::Unauthenticated,
        403 => Class::Denied,
        408 | 500.. => Class::Unavailable,
        _ => Class::Invalid,
    };
    Refusal {
        failure: Failure::new(class, format!("HTTP status {status} and no error of AWS")),
        code: status.to_string(),
    }
}

/// The failure for AWS's error `code`; `message` is fit to show.
pub(crate) fn from_code(code: &str, message: &str, status: u16) -> Failure {
    let name = name_of(code);
    let class = class_of(name, message, status);
    let words = match class {
        Class::Denied => denied_words(message),
        Class::NotFound if name == "InvalidRequestException" => "it is scheduled for deletion".to_owned(),
        Class::NotFound => "it does not exist".to_owned(),
        Class::Throttled { .. } => "AWS asks for patience".to_owned(),
        _ if message.is_empty() => name.to_owned(),
        _ => format!("{name}: {message}"),
    };
    let failure = Failure::new(class, words);
    match hint_of(name, class) {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// The code alone: services put a namespace before it or an address after it.
fn name_of(code: &str) -> &str {
    let name = code.rsplit('#').next().unwrap_or(code);
    name.split(':').next().unwrap_or(name)
}

fn class_of(name: &str, message: &str, status: u16) -> Class {
    match name {
        "ResourceNotFoundException" | "ParameterNotFound" | "ParameterVersionNotFound" | "InvalidResourceId" => {
            Class::NotFound
        }
        "InvalidRequestException" if says_deleted(message) => Class::NotFound,
        "AccessDeniedException"
        | "AccessDenied"
        | "UnauthorizedOperation"
        | "NotAuthorized"
        | "OptInRequired"
        | "DecryptionFailure" => Class::Denied,
        name if is_refused_token(name) => Class::Unauthenticated,
        // A certificate that was requested and is not issued yet.
        "RequestInProgressException" => Class::Unavailable,
        "ThrottlingException"
        | "Throttling"
        | "ThrottledException"
        | "TooManyRequestsException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "SlowDown"
        | "LimitExceededException"
        | "BandwidthLimitExceeded"
        | "PriorRequestNotComplete"
        | "ProvisionedThroughputExceededException" => Class::Throttled { retry_after: None },
        "InternalServiceError"
        | "InternalServerError"
        | "InternalFailure"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "RequestTimeout"
        | "RequestTimeoutException"
        | "IDPCommunicationError" => Class::Unavailable,
        _ if status == 429 => Class::Throttled { retry_after: None },
        _ if status >= 500 => Class::Unavailable,
        _ => Class::Invalid,
    }
}

/// Whether `name` is a code that says: these credentials are refused, others may not be.
pub(crate) fn is_refused_token(name: &str) -> bool {
    matches!(
        name,
        "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidToken"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "InvalidAccessKeyId"
            | "InvalidIdentityToken"
            | "InvalidIdentityTokenException"
            | "IDPRejectedClaim"
            | "IDPRejectedClaimException"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "AuthFailure"
            | "RequestExpired"
    )
}

fn says_deleted(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("marked for deletion")
        || message.contains("scheduled for deletion")
        || message.contains("marked deleted")
}

/// `User: ARN is not authorized to perform: ACTION on resource: …` in our own words; others as they are.
fn denied_words(message: &str) -> String {
    let told = message.strip_prefix("User: ").and_then(|rest| rest.split_once(" is not authorized to perform: "));
    match told {
        Some((identity, rest)) => {
            let action = rest.split_whitespace().next().unwrap_or_default().trim_end_matches('.');
            format!("access denied: the identity {identity} may not call {action} on it")
        }
        None if message.is_empty() => "access denied".to_owned(),
        None => format!("access denied: {message}"),
    }
}

fn hint_of(name: &str, class: Class) -> Option<&'static str> {
    match (name, class) {
        ("InvalidRequestException", Class::NotFound) => {
            Some("restore the secret, or make the reference optional with ?optional")
        }
        ("DecryptionFailure" | "InvalidKeyId", _) => {
            Some("allow kms:Decrypt on the key that encrypts it, and check that the key is enabled")
        }
        ("InvalidSignatureException" | "SignatureDoesNotMatch" | "RequestExpired", _) => {
            Some("check the secret access key, and this machine's clock")
        }
        (_, Class::Denied) => {
            Some("allow the action in the role's policy, or make the reference optional with ?optional")
        }
        (_, Class::Unauthenticated) => Some("renew the credentials; `strongroom explain` says which ones are used"),
        _ => None,
    }
}

/// How long AWS or something before it asks to wait.
fn wait_of(raw: &HttpResponse) -> Option<Duration> {
    if let Some(milliseconds) = raw.headers().get("x-amz-retry-after").and_then(|value| value.trim().parse().ok()) {
        return Some(Duration::from_millis(milliseconds));
    }
    let value = raw.headers().get("retry-after")?.trim();
    if let Ok(seconds) = value.parse() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = DateTime::from_str(value, Format::HttpDate).ok()?;
    SystemTime::try_from(date).ok()?.duration_since(SystemTime::now()).ok()
}

fn from_connector(error: &ConnectorError) -> Failure {
    let Some(ours) = find::<strongroom_http::Error>(error) else {
        return unavailable(format!("the connection failed: {}", deepest(error)));
    };
    match ours.cause() {
        Cause::ProxyAuthorization => refused_by_proxy(),
        Cause::Certificate => Failure::new(Class::Invalid, format!("the server's certificate is not trusted: {ours}"))
            .with_hint("name the authority's PEM file in the store's caFile, AWS_CA_BUNDLE or SSL_CERT_FILE"),
        Cause::Timeout => unavailable(format!("no connection or no answer in time: {ours}")),
        Cause::Invalid | Cause::Forbidden | Cause::TooLarge => ours.clone().into(),
        _ => unavailable(format!("the connection failed: {ours}")),
    }
}

fn refused_by_proxy() -> Failure {
    Failure::new(Class::Invalid, "the proxy wants a user and password, or others (407)")
        .with_hint("check the user and password in the proxy's address")
}

fn unavailable(words: impl Into<String>) -> Failure {
    Failure::new(Class::Unavailable, words)
}

/// The innermost reason: what the operating system or the TLS library said. Never AWS's words or a body.
pub(crate) fn deepest(error: &(dyn Error + 'static)) -> String {
    let mut deepest = error;
    loop {
        // An io::Error made from another error hides it from source().
        let inner = deepest.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
        match inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| deepest.source()) {
            Some(source) => deepest = source,
            None => return outside_words(&deepest.to_string(), &[]),
        }
    }
}

/// The first error of type `T` among `error` and what caused it.
pub(crate) fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(|error| error.downcast_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_classes_and_words() {
        let check = |code: &str, message: &str, status: u16, class: Class, words: &str| {
            let failure = from_code(code, message, status);
            assert_eq!((failure.class, failure.words.as_str()), (class, words), "{code}");
        };
        let throttled = Class::Throttled { retry_after: None };
        check("ResourceNotFoundException", "Secrets Manager can't find it.", 400, Class::NotFound, "it does not exist");
        check("com.amazonaws.ssm#ParameterNotFound", "", 400, Class::NotFound, "it does not exist");
        check("InvalidResourceId", "", 400, Class::NotFound, "it does not exist");
        check(
            "InvalidRequestException",
            "You can't perform this operation on the secret because it was marked for deletion.",
            400,
            Class::NotFound,
            "it is scheduled for deletion",
        );
        check("InvalidRequestException", "no", 400, Class::Invalid, "InvalidRequestException: no");
        check(
            "AccessDeniedException",
            "User: arn:aws:sts::1:assumed-role/app/i-0abc is not authorized to perform: \
             secretsmanager:GetSecretValue on resource: x because no identity-based policy allows it",
            400,
            Class::Denied,
            "access denied: the identity arn:aws:sts::1:assumed-role/app/i-0abc may not call \
             secretsmanager:GetSecretValue on it",
        );
        check(
            "AccessDeniedException",
            "Access to KMS is not allowed",
            400,
            Class::Denied,
            "access denied: Access to KMS is not allowed",
        );
        check("DecryptionFailure", "no", 400, Class::Denied, "access denied: no");
        check("ExpiredTokenException", "gone", 400, Class::Unauthenticated, "ExpiredTokenException: gone");
        check("InvalidClientTokenId", "", 403, Class::Unauthenticated, "InvalidClientTokenId");
        check("ThrottlingException", "Rate exceeded", 400, throttled, "AWS asks for patience");
        check("Whatever", "", 429, throttled, "AWS asks for patience");
        check("InternalServiceError", "oops", 500, Class::Unavailable, "InternalServiceError: oops");
        check("Whatever", "oops", 503, Class::Unavailable, "Whatever: oops");
        check("ValidationException", "bad name", 400, Class::Invalid, "ValidationException: bad name");
    }

    #[test]
    fn the_time_to_wait_is_read_from_the_headers() {
        let check = |name: &'static str, value: &str, expected: Option<Duration>| {
            let mut raw = HttpResponse::new(429.try_into().unwrap(), "".into());
            raw.headers_mut().insert(name, value.to_owned());
            assert_eq!(wait_of(&raw), expected, "{name}: {value}");
        };
        check("retry-after", "3", Some(Duration::from_secs(3)));
        check("retry-after", "0.5", Some(Duration::from_millis(500)));
        check("x-amz-retry-after", "1500", Some(Duration::from_millis(1500)));
        check("retry-after", "soon", None);
        check("retry-after", "-1", None);
        check("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT", None);
        check("date", "3", None);
    }
}

use std::fmt;

use strongroom_failure::{Class, Failure};

/// What kept an exchange from giving an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The settings or the request are wrong: asking again cannot help.
    Invalid,
    /// The address rules refuse where the request would go.
    Forbidden,
    /// The host's name does not resolve.
    Name,
    /// Nobody accepts connections there.
    Connect,
    /// The proxy refused, or is no proxy.
    Proxy,
    /// The proxy wants a user and password, or others (407).
    ProxyAuthorization,
    /// The server's certificate is not one to trust, or it refuses ours.
    Certificate,
    /// TLS could not be set up for another reason.
    Tls,
    /// One of the time limits passed.
    Timeout,
    /// The connection ended before the answer was whole.
    Cut,
    /// The answer is larger than the limit.
    TooLarge,
}

/// Why there is no answer, in words that name hosts and limits and never a header's value or a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    cause: Cause,
    words: String,
    hint: Option<&'static str>,
}

impl Error {
    pub(crate) fn new(cause: Cause, words: impl Into<String>) -> Self {
        Self { cause, words: words.into(), hint: None }
    }

    pub(crate) fn invalid(words: impl Into<String>) -> Self {
        Self::new(Cause::Invalid, words)
    }

    #[must_use]
    pub(crate) fn with_hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    /// What a caller of [`Client::download`](crate::Client::download) could not do with a piece.
    pub fn of_caller(words: impl Into<String>) -> Self {
        Self::invalid(words)
    }

    /// What kept the exchange from giving an answer.
    pub fn cause(&self) -> Cause {
        self.cause
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.words)
    }
}

impl std::error::Error for Error {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let class = match error.cause {
            Cause::Invalid | Cause::Forbidden | Cause::TooLarge => Class::Invalid,
            // A certificate may be renewed and a name may come to resolve: these are faults of the other side.
            Cause::Name
            | Cause::Connect
            | Cause::Proxy
            | Cause::ProxyAuthorization
            | Cause::Certificate
            | Cause::Tls
            | Cause::Timeout
            | Cause::Cut => Class::Unavailable,
        };
        let failure = Failure::new(class, error.words);
        match error.hint {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }
}

/// The first error of type `Wanted` in `error`'s chain of sources, looking into what `io::Error`s carry as well.
pub(crate) fn find<'a, Wanted: std::error::Error + 'static>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a Wanted> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<Wanted>() {
            return Some(found);
        }
        // io::Error's source() skips the error that it carries.
        let carried = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        next = match carried {
            Some(carried) => Some(carried as &(dyn std::error::Error + 'static)),
            None => error.source(),
        };
    }
    None
}

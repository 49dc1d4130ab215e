//! Why a token is not taken or not made.

use std::fmt;

use strongroom_barrier::ViewError;

/// Why a token is not taken, or not made.
#[derive(Clone, Debug, PartialEq)]
pub enum TokenError {
    /// There is no such token, or it is over: 403.
    Unknown,
    /// It is used from where it may not be: 403.
    Elsewhere,
    /// The request is wrong: 400.
    Invalid(String),
    /// The system gives no randomness.
    NoRandomness,
    /// Others kept changing the same token: 503, try again.
    Busy,
    /// What lies below.
    View(ViewError),
}

impl fmt::Display for TokenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => formatter.write_str("bad token"),
            Self::Elsewhere => formatter.write_str("the token may not be used from this address"),
            Self::Invalid(words) => formatter.write_str(words),
            Self::NoRandomness => formatter.write_str("the system gives no randomness"),
            Self::Busy => formatter.write_str("others keep changing this token: try again"),
            Self::View(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for TokenError {}

impl From<ViewError> for TokenError {
    fn from(error: ViewError) -> Self {
        Self::View(error)
    }
}

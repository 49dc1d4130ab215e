//! What is answered where something is not done.

use std::fmt;

use strongroom_barrier::ViewError;

use crate::metadata::VersionInfo;

/// Why something is not done. The words are Vault's where clients know them.
#[derive(Clone, Debug, PartialEq)]
pub enum KvError {
    /// There is no such secret, or it never had that version: 404 that says nothing.
    Absent,
    /// The version was deleted or destroyed: 404 with what is known of it.
    Gone(Box<VersionInfo>),
    /// The version that was to be written over is not the current one: 400.
    Mismatch,
    /// The version that is to be written over has to be named: 400.
    CasRequired,
    /// The request is wrong: 400.
    Invalid(String),
    /// Others kept writing the same secret: 503, try again.
    Busy,
    /// What lies below.
    View(ViewError),
}

impl fmt::Display for KvError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => formatter.write_str("there is no such secret"),
            Self::Gone(info) => write!(formatter, "version {} was deleted", info.number),
            Self::Mismatch => formatter.write_str("check-and-set parameter did not match the current version"),
            Self::CasRequired => formatter.write_str("check-and-set parameter required for this call"),
            Self::Invalid(words) => formatter.write_str(words),
            Self::Busy => formatter.write_str("others keep writing this secret: try again"),
            Self::View(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for KvError {}

impl From<ViewError> for KvError {
    fn from(error: ViewError) -> Self {
        Self::View(error)
    }
}

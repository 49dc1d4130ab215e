//! What is answered where something is not done.

use std::fmt;

use strongroom_crypto::Reason;

/// Why something is not done. The words are Vault's where clients know them, and hold nothing that came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransitError {
    /// What is asked is wrong, or does not fit the key.
    Invalid(String),
    /// The library fails, or the key is damaged.
    Failed(Reason),
}

impl TransitError {
    /// What is asked is wrong.
    pub(crate) fn invalid(words: impl Into<String>) -> Self {
        Self::Invalid(words.into())
    }
}

impl fmt::Display for TransitError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(words) => formatter.write_str(words),
            Self::Failed(reason) => formatter.write_str(reason),
        }
    }
}

impl std::error::Error for TransitError {}

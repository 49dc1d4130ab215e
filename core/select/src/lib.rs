//! Selection: which part of a stored value is meant (GJSON, JSONPath, JMESPath), and how it is encoded.
//!
//! The step between *fetch* and *render*. Pure: no I/O, no clock. Paths and documents may be hostile: what they can
//! cost is bounded, and no error quotes a document. Made values are wiped from memory; the trees that JSONPath and
//! JMESPath need are wiped as far as those crates let us reach them.

#![forbid(unsafe_code)]

mod decode;
mod expressions;
mod gjson;
mod jmespath;
mod jsonpath;
mod tree;
mod unquoted;

use strongroom_failure::{Class, Failure, outside_words};
pub use strongroom_reference::{Decode, Language};
use strongroom_secret::SecretBytes;

pub use decode::{DecodeFailure, decode};
pub use gjson::Version as GjsonVersion;

/// The largest document that is looked into, in bytes. Stores hold 64 KiB (AWS, Google) to 1 MiB (Kubernetes, Vault);
/// four times that leaves room for files, and keeps what one selection can cost in memory and time small.
pub const DOCUMENT_LIMIT: usize = 4 * 1024 * 1024;

/// The longest GJSON path, in bytes: the largest that a person or a generator plausibly writes, with room.
pub const PATH_LIMIT: usize = 4096;

/// The longest JSONPath or JMESPath, in bytes. Shorter, because their parsers recurse by the character.
pub const QUERY_LIMIT: usize = 1024;

/// Why nothing could be selected. Says what is wrong with the path or the document and never quotes the document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectFailure {
    /// The document is larger than [`DOCUMENT_LIMIT`].
    #[error("the value has {bytes} bytes, and a property can be selected from at most {DOCUMENT_LIMIT}")]
    DocumentTooLarge {
        /// Its size.
        bytes: usize,
    },
    /// The path is longer than its language allows.
    #[error("the property has {bytes} bytes, and its language allows {limit}")]
    PathTooLong {
        /// Its length.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The path does not follow its language's grammar.
    #[error("the property is not a valid {language}: {reason}")]
    BadPath {
        /// The language's name for people.
        language: &'static str,
        /// What the grammar says; at most 256 characters.
        reason: String,
    },
    /// The document is not JSON, which JSONPath and JMESPath need (GJSON does not).
    #[error("the value is not JSON (line {line}, column {column})")]
    NotJson {
        /// The line where reading stopped, from 1.
        line: usize,
        /// The column where reading stopped.
        column: usize,
    },
    /// Path, query or document are nested too deeply.
    #[error("the property or the value is nested too deeply")]
    TooDeep,
    /// The path would need too many steps on this document.
    #[error("the property takes too many steps on a value of this size")]
    TooMuchWork,
    /// The result, or something on the way to it, is too large.
    #[error("the property makes too large a result of a value of this size")]
    ResultTooLarge,
}

impl From<SelectFailure> for Failure {
    fn from(failure: SelectFailure) -> Self {
        Self::new(Class::Invalid, failure.to_string())
    }
}

impl From<gjson::Exceeded> for SelectFailure {
    fn from(exceeded: gjson::Exceeded) -> Self {
        match exceeded {
            gjson::Exceeded::Depth => Self::TooDeep,
            gjson::Exceeded::Work => Self::TooMuchWork,
            gjson::Exceeded::Output => Self::ResultTooLarge,
        }
    }
}

impl SelectFailure {
    fn bad_path(language: &'static str, reason: &str) -> Self {
        Self::BadPath { language, reason: outside_words(reason, &[]) }
    }
}

/// The value of `property` in `document`, as bytes for a workload; `None` where the document has none.
///
/// Strings come without quotes, `null` as nothing, objects and arrays as JSON. Several nodes of a JSONPath come as an
/// array, one as itself; JMESPath's `null` means that there is no value. GJSON follows [`GjsonVersion::default`].
pub fn select(
    language: Language,
    document: &SecretBytes,
    property: &str,
) -> Result<Option<SecretBytes>, SelectFailure> {
    match language {
        Language::Gjson => select_gjson(GjsonVersion::default(), document, property),
        Language::Jsonpath => {
            check_sizes(document, property, QUERY_LIMIT)?;
            jsonpath::select(document, property)
        }
        Language::Jmespath => {
            check_sizes(document, property, QUERY_LIMIT)?;
            jmespath::select(document, property)
        }
    }
}

/// The value of a GJSON path by the rules of a given version of gjson; else as [`select`].
pub fn select_gjson(
    version: GjsonVersion,
    document: &SecretBytes,
    path: &str,
) -> Result<Option<SecretBytes>, SelectFailure> {
    check_sizes(document, path, PATH_LIMIT)?;
    let found = gjson::select(version, document.expose(), path)?;
    Ok(found.map(|mut value| SecretBytes::new(std::mem::take(&mut *value))))
}

/// The value of `property` as external-secrets looks properties up: the key of exactly this name at the top of the
/// document, where there is one, and what [`select`] gives otherwise.
///
/// So `tls.crt` finds the key `tls.crt` as well as `crt` inside of `tls`. Only for GJSON: the other languages quote.
pub fn select_property(
    language: Language,
    document: &SecretBytes,
    property: &str,
) -> Result<Option<SecretBytes>, SelectFailure> {
    match language {
        Language::Gjson => select_property_by(GjsonVersion::default(), document, property),
        Language::Jsonpath | Language::Jmespath => select(language, document, property),
    }
}

/// The value of `property` as [`select_property`] finds it, by the rules of a given version of gjson.
pub fn select_property_by(
    version: GjsonVersion,
    document: &SecretBytes,
    property: &str,
) -> Result<Option<SecretBytes>, SelectFailure> {
    check_sizes(document, property, PATH_LIMIT)?;
    if let Some(mut value) = gjson::select(version, document.expose(), &gjson::literal_path(property))? {
        return Ok(Some(SecretBytes::new(std::mem::take(&mut *value))));
    }
    select_gjson(version, document, property)
}

/// The first value of a JSONPath, as external-secrets takes it from a webhook's answer: of several nodes the first, of
/// an array the first element, down to what is no array. Else as [`select`].
pub fn select_first(document: &SecretBytes, path: &str) -> Result<Option<SecretBytes>, SelectFailure> {
    check_sizes(document, path, QUERY_LIMIT)?;
    jsonpath::select_first(document, path)
}

fn check_sizes(document: &SecretBytes, path: &str, limit: usize) -> Result<(), SelectFailure> {
    if document.len() > DOCUMENT_LIMIT {
        return Err(SelectFailure::DocumentTooLarge { bytes: document.len() });
    }
    if path.len() > limit {
        return Err(SelectFailure::PathTooLong { bytes: path.len(), limit });
    }
    Ok(())
}

//! Which paths name a secret.

use crate::error::KvError;

/// Bytes of a path. Names are hidden in steps of 16 bytes and in base64, and storages take keys of 4096.
const LONGEST: usize = 1024;

/// The path of a secret: segments with slashes between them.
///
/// # Errors
/// [`KvError::Invalid`] for an empty one, empty segments, a slash at its end, and control characters.
pub fn checked(path: &str) -> Result<&str, KvError> {
    let invalid = |words: &str| Err(KvError::Invalid(words.to_owned()));
    if path.is_empty() {
        return invalid("a secret needs a path");
    }
    if path.len() > LONGEST {
        return Err(KvError::Invalid(format!("a path has at most {LONGEST} bytes")));
    }
    if path.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return invalid("a path has no empty segments, and does not end with a slash");
    }
    if path.chars().any(char::is_control) {
        return invalid("a path has no control characters");
    }
    Ok(path)
}

/// A folder as lists name it: empty, or with a slash at its end.
///
/// # Errors
/// As [`checked`].
pub fn folder(path: &str) -> Result<String, KvError> {
    match path.trim_end_matches('/') {
        "" => Ok(String::new()),
        path => Ok(format!("{}/", checked(path)?)),
    }
}

//! Where files may lie below their folder.

use strongroom_failure::Failure;

use crate::{File, invalid};

/// The longest name of a file or folder, in bytes (`NAME_MAX` of Linux).
const LONGEST_PART: usize = 255;

/// The longest path below the folder, in bytes: a quarter of what Linux takes (`PATH_MAX`), the rest is the folder's.
const LONGEST_PATH: usize = 1024;

/// # Errors
/// A path that leads anywhere else than below the folder, or to where the set keeps its own.
pub(crate) fn check(path: &str) -> Result<(), Failure> {
    if path.is_empty() {
        return Err(invalid("is empty"));
    }
    if path.starts_with('/') {
        return Err(invalid("is absolute: write it from the folder on, as in db/password"));
    }
    if path.len() > LONGEST_PATH {
        return Err(invalid(format!("is longer than {LONGEST_PATH} bytes")));
    }
    path.split('/').try_for_each(check_part)
}

fn check_part(part: &str) -> Result<(), Failure> {
    match part {
        "" => Err(invalid("has an empty part: no // and no / at the end")),
        "." => Err(invalid("has a part that is a dot")),
        // Also `..data` and its like: a set of files keeps its own under such names.
        _ if part.starts_with("..") => Err(invalid("has a part that begins with two dots")),
        _ if part.len() > LONGEST_PART => Err(invalid(format!("has a part of more than {LONGEST_PART} bytes"))),
        _ if part.contains(char::is_control) => Err(invalid("holds a control character")),
        _ => Ok(()),
    }
}

/// # Errors
/// `path`, the next after `earlier`, is one of theirs, lies below one, or one lies below it.
pub(crate) fn check_beside(path: &str, earlier: &[File]) -> Result<(), Failure> {
    let below = |upper: &str, lower: &str| lower.strip_prefix(upper).is_some_and(|rest| rest.starts_with('/'));
    for (place, other) in earlier.iter().enumerate() {
        if other.path == path {
            return Err(invalid(format!("is the path of files[{place}] too")));
        }
        if below(&other.path, path) || below(path, &other.path) {
            return Err(invalid(format!("and files[{place}].path lie below each other: one is a file")));
        }
    }
    Ok(())
}

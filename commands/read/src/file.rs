use std::fs::File;
use std::io::Read;
use std::path::Path;

use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

/// Reads a file that a person named, of at most `limit` bytes, leaving no copy of its content behind.
///
/// # Errors
/// A file that cannot be read or is larger, named.
pub fn read_file(path: &Path, limit: usize) -> Result<SecretBytes, Failure> {
    let invalid = |words: String| Failure::new(Class::Invalid, words).in_field(path.display().to_string());
    let content = File::open(path).and_then(|file| {
        let expected = usize::try_from(file.metadata()?.len()).unwrap_or(limit).min(limit);
        read_bounded(file, expected, limit)
    });
    content
        .map_err(|error| invalid(format!("cannot be read: {error}")))?
        .ok_or_else(|| invalid(format!("is larger than {limit} bytes")))
}

/// Reads at most `limit` bytes of `source`, `None` where there are more; wiped pieces only, also while it grows.
///
/// # Errors
/// The source's own.
pub fn read_bounded(mut source: impl Read, expected: usize, limit: usize) -> std::io::Result<Option<SecretBytes>> {
    let mut buffer = SecretBytes::new(vec![0; expected.max(4096) + 1]);
    let mut length = 0;
    loop {
        if length == buffer.len() {
            let mut larger = Vec::with_capacity(length * 2);
            larger.extend_from_slice(buffer.expose());
            larger.resize(length * 2, 0);
            buffer = SecretBytes::new(larger);
        }
        match source.read(&mut buffer.expose_mut()[length..]) {
            Ok(0) => return Ok(Some(SecretBytes::new(buffer.expose()[..length].to_vec()))),
            Ok(read) => length += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if length > limit {
            return Ok(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_whole_or_refused() {
        let check = |size: usize, expected: usize, limit: usize, fits: bool| {
            let read = read_bounded(vec![b'x'; size].as_slice(), expected, limit).unwrap();
            assert_eq!(read.map(|read| read.len()), fits.then_some(size), "{size} {expected} {limit}");
        };
        check(0, 0, 10, true);
        check(10_000, 0, 10_000, true);
        check(10_001, 0, 10_000, false);
        check(100_000, 100_000, 200_000, true);
        check(100_000, 7, 200_000, true);
    }
}

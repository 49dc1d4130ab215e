//! Reading a trail again.

use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

use strongroom_audit::{CheckpointKey, Fault, Start, Tail, Trail, Verified, Verifier};

/// What came of reading.
pub type Verdict = Result<Verified, Fault>;

/// Reads `paths`, which are given in the order in which they were written, and says which line is the first that is
/// wrong. `progress` hears how many bytes were read.
///
/// # Errors
/// A file that cannot be read, with its path.
pub fn verify(
    paths: &[PathBuf],
    trail: &Trail,
    keys: &[CheckpointKey],
    (start, tail): (Start, Tail),
    mut progress: impl FnMut(u64),
) -> Result<Verdict, (PathBuf, std::io::Error)> {
    let mut verifier = Verifier::new(trail, keys, start, tail);
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    for path in paths {
        let failed = |error| (path.clone(), error);
        let mut file = File::open(path).map_err(failed)?;
        loop {
            let read = file.read(&mut buffer).map_err(failed)?;
            if read == 0 {
                break;
            }
            verifier.feed(buffer.get(..read).unwrap_or_default());
            bytes += read as u64;
            progress(bytes);
        }
    }
    Ok(verifier.finish())
}

//! `copy DEST`: puts this program into a volume that another container mounts (SI-18).

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// This program's file, whatever it was called by: `argv[0]` is not a path when it was found in `PATH`.
const SELF: &str = "/proc/self/exe";

/// Copies this program to `DEST/NAME`, where NAME is what it was called by.
pub(super) fn run(program: &OsStr, destinations: &[OsString]) -> ExitCode {
    let [destination] = destinations else {
        tracing::error!("must specify copy destination");
        return ExitCode::FAILURE;
    };
    match copy(program, Path::new(destination)) {
        Ok(target) => {
            tracing::info!(target = %target.display(), "copied");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let destination = destination.to_string_lossy().into_owned();
            tracing::error!(error = error.to_string(), destination, "failed to copy this program");
            ExitCode::FAILURE
        }
    }
}

/// Whole or not at all, so that a container that starts early never executes half a program.
fn copy(program: &OsStr, destination: &Path) -> io::Result<PathBuf> {
    let name = Path::new(program).file_name().unwrap_or(OsStr::new("strongroom-init"));
    let target = destination.join(name);
    let mut hidden_name = OsString::from(".");
    hidden_name.push(name);
    hidden_name.push(format!(".{}", std::process::id()));
    let hidden = destination.join(hidden_name);
    // Takes the permission bits along.
    let copied = fs::copy(SELF, &hidden).and_then(|_| fs::rename(&hidden, &target));
    if copied.is_err() {
        let _ = fs::remove_file(&hidden);
    }
    copied.map(|()| target)
}

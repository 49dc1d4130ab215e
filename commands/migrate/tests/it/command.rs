//! Running the command.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};

use clap::Parser;
use strongroom_migrate::MigrateCommand;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    command: MigrateCommand,
}

/// A folder that goes with its test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("strongroom-migrate-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs `strongroom migrate` with these arguments; whether it ended with 0.
///
/// # Errors
/// The words of a wrong usage.
pub(crate) fn migrate(arguments: &[&str], variables: &[OsString]) -> Result<bool, String> {
    let arguments = ["migrate"].iter().chain(arguments);
    let program = Program::try_parse_from(arguments).map_err(|error| error.to_string())?;
    Ok(program.command.run(variables) == ExitCode::SUCCESS)
}

#[test]
fn wrong_usage_is_told() {
    let check = |arguments: &[&str], words: &str| {
        let told = migrate(arguments, &[]).unwrap_err();
        assert!(told.contains(words), "{arguments:?}: {told}");
    };
    check(&["kes"], "required arguments were not provided");
    check(&["kes", "-i", "x", "--from-cluster"], "cannot be used with");
    check(&["kes", "-i", "x", "-o", "y", "--to-stdout"], "cannot be used with");
    check(&["kes", "-i", "x", "-o", "y", "--yes"], "cannot be used with");
    check(&["kes", "-i", "x", "-o", "y", "--refresh-interval", "soon"], "not a duration");
    check(&["kes", "-i", "x", "-o", "y", "--store-kind", "Store"], "ClusterSecretStore");
    check(&["kes", "-i", "x", "-o", "y", "secret"], "cannot be used with");
    check(&["kes", "--move-ownership", "-A", "-n", "x"], "cannot be used with");
}

#[test]
fn what_a_flag_holds_is_not_told() {
    for flag in ["--set", "--set-secret"] {
        let told = migrate(&["kes", "-i", "x", "-o", "y", flag, "canary"], &[]).unwrap_err();
        assert!(told.contains("write VARIABLE="), "{told}");
    }
}

#[test]
fn without_a_place_to_write_nothing_is_done() {
    assert_eq!(migrate(&["kes", "-i", "/dev/null"], &[]), Ok(false));
}

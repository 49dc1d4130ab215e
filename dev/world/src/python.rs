//! Parts that come from PyPI, in a virtual environment of their own: pinned, with hashes, built once.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The pins: exact versions and hashes of everything that is installed.
const REQUIREMENTS: &str = include_str!("../python/requirements.txt");

/// A virtual environment that is complete and will not change.
#[derive(Clone, Debug)]
pub struct Environment {
    directory: PathBuf,
}

impl Environment {
    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The path of one of its programs: `python`, `bao`, `moto_server`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.directory.join("bin").join(name)
    }

    /// Runs a script with its Python, with `arguments` as `sys.argv[1:]` and `variables` added to the environment;
    /// returns what it printed.
    ///
    /// # Errors
    /// When the script ends with another status than 0; the error shows its standard error.
    pub fn run(&self, script: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Result<String> {
        let mut command = Command::new(self.program("python"));
        command.args(["-c", script]).args(arguments).envs(variables.iter().copied());
        let output = command.output().context("cannot start Python")?;
        if !output.status.success() {
            bail!("the script ended with {}:\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// The environment of everything that the world takes from PyPI, built when it is not in the cache yet (about a minute).
/// Progress goes to standard error. Safe to call from many threads and processes at once.
///
/// # Errors
/// When there is no Python 3.11 or newer, or a package cannot be installed.
pub fn prepare() -> Result<Environment> {
    let _ = REQUIREMENTS;
    bail!("not built yet")
}

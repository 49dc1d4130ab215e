//! Parts that come from npm: pinned, with hashes, installed once.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::cache::{build_once, content_key, progress, write};

/// What is asked for.
const PACKAGE: &str = include_str!("../npm/package.json");
/// The pins: exact versions and hashes of everything that is installed.
const LOCK: &str = include_str!("../npm/package-lock.json");

/// Packages that are complete and will not change.
#[derive(Clone, Debug)]
pub struct Packages {
    directory: PathBuf,
}

impl Packages {
    /// Runs a CommonJS script with Node.js, which finds the packages, with `variables` added to the environment; returns
    /// what it printed.
    ///
    /// # Errors
    /// When the script ends with another status than 0; the error shows its standard error.
    pub fn run(&self, script: &str, variables: &[(&str, &str)]) -> Result<String> {
        let mut command = Command::new("node");
        command.args(["--input-type=commonjs", "-e", script]);
        command.env("NODE_PATH", self.directory.join("node_modules")).envs(variables.iter().copied());
        let output = command.stdin(Stdio::null()).output().context("cannot start node")?;
        if !output.status.success() {
            bail!("the script ended with {}:\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// Everything that the world takes from npm, installed when it is not in the cache yet (seconds). Safe to call from many
/// threads and processes at once.
///
/// # Errors
/// When there is no npm, or a package cannot be installed.
pub fn prepare() -> Result<Packages> {
    let directory = build_once("npm", &content_key([PACKAGE, LOCK]), install);
    Ok(Packages { directory: directory.context("cannot install the parts that come from npm")? })
}

fn install(directory: &Path) -> Result<()> {
    progress("installing the parts that come from npm (once, some seconds)");
    write(&directory.join("package.json"), PACKAGE.as_bytes())?;
    write(&directory.join("package-lock.json"), LOCK.as_bytes())?;
    // `ci` takes what the lock names and checks its hashes; nobody's script runs.
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(directory).stdin(Stdio::null());
    let output = npm.output().context("cannot start npm: install Node.js 20 or newer")?;
    if !output.status.success() {
        bail!("npm ci ended with {}:\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

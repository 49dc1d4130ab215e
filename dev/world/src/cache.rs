//! The world's place on the disk: what was built once, and one folder for each running world.

use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_lc_rs::digest::{SHA256, digest};

/// The world's folder: `$STRONGROOM_CACHE/world` where that is set, else `~/.cache/strongroom/world`.
///
/// # Errors
/// When neither `STRONGROOM_CACHE` nor `HOME` is an absolute path.
pub fn directory() -> Result<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = absolute("STRONGROOM_CACHE").or_else(|| absolute("HOME").map(|home| home.join(".cache/strongroom")));
    Ok(cache
        .context("set HOME or STRONGROOM_CACHE to an absolute path: the test world keeps its binaries there")?
        .join("world"))
}

/// A key for what is made from `inputs`: 16 hexadecimal digits that change when any input does.
pub fn content_key<'a>(inputs: impl IntoIterator<Item = &'a str>) -> String {
    let mut content = Vec::new();
    for input in inputs {
        content.extend_from_slice(&(input.len() as u64).to_le_bytes());
        content.extend_from_slice(input.as_bytes());
    }
    hexadecimal(&digest(&SHA256, &content).as_ref()[..8])
}

/// Lower-case hexadecimal digits of `bytes`.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The folder `kind/name` of the cache, filled by `build` if it is not there yet. Many processes may ask at once: one
/// builds, in a folder beside it that is renamed when complete; the others wait. A build that fails leaves nothing.
///
/// # Errors
/// What `build` answers, or that the disk refuses.
pub fn build_once(kind: &str, name: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    build_once_in(&directory()?.join(kind), name, build)
}

fn build_once_in(directory: &Path, name: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let finished = directory.join(name);
    if finished.is_dir() {
        return Ok(finished);
    }
    make_directory(directory)?;
    let _lock = lock(&directory.join(format!(".{name}.lock")), name)?;
    if finished.is_dir() {
        return Ok(finished);
    }
    let unfinished = directory.join(format!(".{name}.unfinished"));
    remove_if_there(&unfinished)?;
    make_directory(&unfinished)?;
    if let Err(error) = build(&unfinished) {
        remove_if_there(&unfinished)?;
        return Err(error);
    }
    std::fs::rename(&unfinished, &finished).with_context(|| format!("cannot make {}", finished.display()))?;
    Ok(finished)
}

/// Takes the lock `path`, and says so when it has to wait for another process that makes `name`.
pub(crate) fn lock(path: &Path, name: &str) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot make the lock {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => progress(&format!("another process is making {name}; waiting for it")),
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    file.lock()?;
    Ok(file)
}

/// Tells the person who waits, on standard error.
pub fn progress(message: &str) {
    // A closed standard error must not stop a build.
    let _ = writeln!(std::io::stderr(), "world: {message}");
}

/// One running world's folder: `run/PROCESS-NUMBER` in the cache. It is locked as long as its owner lives, and removed
/// when dropped, or by the next world's start when its owner was killed.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Holds the lock that says the owner is alive; the kernel lets go of it when the owner dies.
    _owner: File,
}

impl RunFolder {
    /// Removes what dead owners left behind, and makes a new folder.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn new() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let all = run_directory()?;
        make_directory(&all)?;
        // One at a time: a new folder must not be swept away between its making and its locking.
        let _turn = lock(&all.join(".turn"), "a world")?;
        sweep(&all)?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = all.join(format!("{}-{number}", std::process::id()));
        remove_if_there(&path)?;
        make_directory(&path)?;
        let owner = File::create(path.join(OWNER))?;
        owner.lock()?;
        Ok(Self { path, _owner: owner })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its last part: unlike that of every other running world.
    pub fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next start.
        let _ = remove_world(&self.path, Duration::from_secs(20));
    }
}

const OWNER: &str = "owner.lock";

/// Where all running worlds have their folders.
pub(crate) fn run_directory() -> Result<PathBuf> {
    Ok(directory()?.join("run"))
}

/// Whether the owner of a world's folder lives.
pub(crate) fn has_owner(folder: &Path) -> bool {
    File::open(folder.join(OWNER)).is_ok_and(|owner| matches!(owner.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Removes the folders whose owners are dead; a folder that cannot be removed yet is left for another time.
fn sweep(all: &Path) -> Result<()> {
    for entry in std::fs::read_dir(all)? {
        let path = entry?.path();
        if path.is_dir() && !has_owner(&path) {
            let _ = remove_world(&path, Duration::from_secs(2));
        }
    }
    Ok(())
}

/// Removes a world's folder and its control groups, the groups first: their name is the folder's.
fn remove_world(folder: &Path, burial: Duration) -> Result<()> {
    crate::control_group::remove(&folder.file_name().unwrap_or_default().to_string_lossy(), burial)?;
    remove_if_there(folder)
}

/// Writes a file so that a reader sees either nothing or all of it.
///
/// # Errors
/// When the disk refuses.
pub fn write(path: &Path, content: &[u8]) -> Result<()> {
    let write = || -> Result<()> {
        let directory = path.parent().context("the path has no folder")?;
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(content)?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Makes a folder and those above it.
pub(crate) fn make_directory(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))
}

fn remove_if_there(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            bail!("cannot remove {}: {error}", path.display())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn of_many_who_ask_at_once_one_builds_and_all_get_it_whole() {
        let cache = tempfile::tempdir().unwrap();
        let builds = AtomicU32::new(0);
        let ask = || {
            let folder = build_once_in(cache.path(), "thing", |folder| {
                builds.fetch_add(1, Ordering::Relaxed);
                write(&folder.join("first"), b"1")?;
                std::thread::sleep(std::time::Duration::from_millis(50));
                write(&folder.join("last"), b"2")
            });
            assert!(folder.unwrap().join("last").is_file());
        };
        std::thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(ask))));
        assert_eq!(builds.into_inner(), 1);
    }

    #[test]
    fn a_build_that_fails_leaves_nothing_and_is_tried_again() {
        let cache = tempfile::tempdir().unwrap();
        let fails = |folder: &Path| {
            write(&folder.join("half"), b"1")?;
            bail!("no luck")
        };
        assert_eq!(build_once_in(cache.path(), "thing", fails).unwrap_err().to_string(), "no luck");
        let folder = build_once_in(cache.path(), "thing", |_| Ok(())).unwrap();
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
    }

    #[test]
    fn a_key_changes_with_each_input_and_with_where_one_ends() {
        let key = content_key(["a", "bc"]);
        assert_eq!(key.len(), 16);
        assert_eq!(key, content_key(["a", "bc"]));
        for other in [&["a", "bd"][..], &["ab", "c"], &["a", "bc", ""], &["abc"]] {
            assert_ne!(key, content_key(other.iter().copied()), "{other:?}");
        }
    }
}

//! A folder whose files all change at once, laid out as kubelet lays out the volume of a Secret.
//!
//! ```text
//! FOLDER/db -> ..data/db                 a link for each first part of a path, always the same
//! FOLDER/..data -> ..set-9f86d081884c7d65   swapped by one rename
//! FOLDER/..set-9f86d081884c7d65/db/password the files
//! FOLDER/..lock                          whose lock the one writer holds
//! ```
//!
//! Whoever opens `..data` once and reads from there on sees one whole set; whoever opens a file by its path sees that
//! file whole. Nothing is ever changed in a set that was put in place, so a writer that ends at any moment leaves one.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, readlinkat, renameat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, symlinkat, unlinkat};
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

use crate::folders::make_whole_folder;
use crate::lying::Lying;
use crate::staged::Staged;
use crate::{Medium, Owner, check_medium, io_failure};

/// The link to the set that is in place.
const DATA: &str = "..data";

/// The same before it is put in place.
const NEXT_DATA: &str = "..data_tmp";

/// The file that the one writer holds a lock of.
const LOCK: &str = "..lock";

/// How folders of sets begin; 16 hexadecimal digits follow.
const SET: &str = "..set-";

/// Folders of the set, and the folder itself where it is missing: what files are in, everybody may look up; what they
/// hold is for their own modes.
pub(crate) const FOLDER_MODE: u32 = 0o755;

/// One file of a set.
#[derive(Clone, Debug)]
pub struct SetFile {
    /// Where it lies below the folder; no part of it begins with two dots.
    pub path: PathBuf,
    /// Permission bits, at most `0o777`.
    pub mode: u32,
    /// Who owns it; who writes it when absent.
    pub owner: Option<Owner>,
    /// Its bytes.
    pub content: SecretBytes,
}

/// Which paths are no longer what they were, in order: they came, went, or have other bytes, another mode or owner.
/// `None` where all is as it was.
pub type Change = Option<Vec<PathBuf>>;

/// A folder whose files change together, and the right to be its only writer.
#[derive(Debug)]
pub struct FileSet {
    path: PathBuf,
    folder: File,
    _lock: WriterLock,
}

/// The lock of a folder's one writer. It ends with the process too, also when that is killed.
#[derive(Debug)]
struct WriterLock(File);

impl Drop for WriterLock {
    /// Unlocks, since closing alone would leave the lock with each child that was forked meanwhile and has not executed
    /// its program yet. Where unlocking fails, closing ends it a little later.
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

impl FileSet {
    /// Makes `folder` where it is missing, becomes its writer, and removes what an interrupted write left.
    ///
    /// # Errors
    /// A [`Class::Invalid`] failure that names the folder or what is wrong in it: another writer is at work, it lies on
    /// a disk that was not allowed, it cannot be written.
    pub fn open(folder: PathBuf, medium: Medium) -> Result<Self, Failure> {
        let named = |failure: Failure| failure.in_field(folder.display().to_string());
        make_whole_folder(&folder, FOLDER_MODE).map_err(named)?;
        let opened = OpenOptions::new().read(true).custom_flags(nix::libc::O_DIRECTORY).open(&folder);
        let opened = opened.map_err(|error| named(io_failure("cannot be opened as a folder", &error)))?;
        check_medium(&opened, &folder, medium).map_err(named)?;
        let lock = lock(&opened).map_err(named)?;
        let set = Self { path: folder, folder: opened, _lock: lock };
        if set.link(NEXT_DATA)?.is_some() {
            set.unlink(NEXT_DATA).map_err(|error| set.failure(NEXT_DATA, "cannot be removed", error))?;
        }
        set.remove_previous()?;
        Ok(set)
    }

    /// Whether a set is in place, from whichever writer.
    ///
    /// # Errors
    /// What cannot be looked up, or is no set's.
    pub fn has_set(&self) -> Result<bool, Failure> {
        Ok(self.current()?.is_some())
    }

    /// Puts `files` in the place of all that the set holds, and answers what that changed. The set before stays for
    /// those who read it until the next call or [`FileSet::remove_previous`].
    ///
    /// What lies there is compared byte by byte, so that one who starts again finds that nothing changed. A file that
    /// its writer itself may not read counts as changed each time.
    ///
    /// # Errors
    /// A [`Class::Invalid`] failure that names the file; the set in place is as it was then.
    pub fn deliver(&mut self, files: &[SetFile]) -> Result<Change, Failure> {
        let wanted: BTreeSet<&OsStr> = files.iter().map(|file| self.first_part(file)).collect::<Result<_, _>>()?;
        let links = self.links(&wanted)?;
        self.remove_previous()?;
        let mut changed = match self.current()? {
            Some(name) => Lying { folder: &self.path.join(name) }.changed(files),
            None => None,
        };
        let staged = match &changed {
            Some(paths) if paths.is_empty() => None,
            _ => Some(Staged::write(&self.folder, &self.path, set_name(), files)?),
        };
        // Before the set is put in place, so that all of it is there at once; until then they lead nowhere.
        for name in &links.missing {
            let target = Path::new(DATA).join(name);
            symlinkat(&target, &self.folder, *name).map_err(|error| self.failure(name, "cannot be linked", error))?;
        }
        if let Some(staged) = staged {
            self.put_in_place(staged)?;
        }
        for name in &links.stale {
            // Leads nowhere by now. What was delivered must be told even where this fails; the next call tries again.
            let _ = self.unlink(name);
        }
        let all = || files.iter().map(|file| file.path.clone()).collect();
        let changed = changed.get_or_insert_with(all);
        // Out of reach until now, whatever lay behind them.
        let linked = files.iter().filter(|file| links.missing.iter().any(|name| file.path.starts_with(name)));
        changed.extend(linked.map(|file| file.path.clone()));
        let changed: Vec<PathBuf> = std::mem::take(changed).into_iter().collect();
        Ok(Some(changed).filter(|paths| !paths.is_empty()))
    }

    /// Removes the set before the one in place: who still reads it finds its files gone.
    ///
    /// # Errors
    /// What cannot be removed.
    pub fn remove_previous(&self) -> Result<(), Failure> {
        let current = self.current()?;
        for name in self.names()? {
            if is_set(&name) && Some(&name) != current.as_ref() {
                let folder = self.path.join(&name);
                fs::remove_dir_all(&folder).map_err(|error| self.failure(&name, "cannot be removed", error))?;
            }
        }
        Ok(())
    }

    /// The name that is to lead to `file` from the folder.
    fn first_part<'a>(&self, file: &'a SetFile) -> Result<&'a OsStr, Failure> {
        let plain = |part: Component<'_>| matches!(part, Component::Normal(name) if !name.as_encoded_bytes().starts_with(b".."));
        match file.path.components().next() {
            Some(Component::Normal(name)) if file.path.components().all(plain) => Ok(name),
            _ => Err(Failure::new(Class::Invalid, "is no path of a file in the set")
                .in_field(self.path.join(&file.path).display().to_string())),
        }
    }

    /// The name of the set that is in place.
    fn current(&self) -> Result<Option<OsString>, Failure> {
        let Some(target) = self.link(DATA)? else { return Ok(None) };
        if is_set(&target) {
            return Ok(Some(target));
        }
        Err(self.in_the_way(OsStr::new(DATA)))
    }

    /// Where the link `name` leads; `None` where nothing is there.
    fn link(&self, name: &str) -> Result<Option<OsString>, Failure> {
        match readlinkat(&self.folder, name) {
            Ok(target) => Ok(Some(target)),
            Err(Errno::ENOENT) => Ok(None),
            // No link.
            Err(Errno::EINVAL) => Err(self.in_the_way(OsStr::new(name))),
            Err(error) => Err(self.failure(name, "cannot be looked up", error)),
        }
    }

    /// Which of the wanted names have no link yet, and which links are wanted no longer.
    fn links<'a>(&self, wanted: &BTreeSet<&'a OsStr>) -> Result<Links<'a>, Failure> {
        let mut links = Links { missing: wanted.iter().copied().collect(), stale: Vec::new() };
        for name in self.names()? {
            let target = readlinkat(&self.folder, name.as_os_str()).ok();
            let own = target.is_some_and(|target| Path::new(&target) == Path::new(DATA).join(&name));
            match (own, wanted.contains(name.as_os_str())) {
                (true, true) => links.missing.retain(|missing| *missing != name),
                (true, false) => links.stale.push(name),
                (false, true) => return Err(self.in_the_way(&name)),
                (false, false) => {}
            }
        }
        Ok(links)
    }

    fn put_in_place(&self, staged: Staged) -> Result<(), Failure> {
        let failure = |error| self.failure(DATA, "cannot be swapped", error);
        symlinkat(staged.name(), &self.folder, NEXT_DATA).map_err(failure)?;
        if let Err(error) = renameat(&self.folder, NEXT_DATA, &self.folder, DATA) {
            let _ = self.unlink(NEXT_DATA);
            return Err(failure(error));
        }
        staged.keep();
        Ok(())
    }

    fn names(&self) -> Result<Vec<OsString>, Failure> {
        let names = fs::read_dir(&self.path).and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
        names.map_err(|error| io_failure("cannot be listed", &error).in_field(self.path.display().to_string()))
    }

    fn unlink(&self, name: impl AsRef<OsStr>) -> Result<(), Errno> {
        unlinkat(&self.folder, name.as_ref(), UnlinkatFlags::NoRemoveDir)
    }

    fn failure(&self, name: impl AsRef<OsStr>, what: &str, error: impl Into<io::Error>) -> Failure {
        io_failure(what, &error.into()).in_field(self.path.join(name.as_ref()).display().to_string())
    }

    fn in_the_way(&self, name: &OsStr) -> Failure {
        Failure::new(Class::Invalid, "is in the way and no part of this set")
            .with_hint("remove it, or deliver into a folder of its own")
            .in_field(self.path.join(name).display().to_string())
    }
}

struct Links<'a> {
    missing: Vec<&'a OsStr>,
    stale: Vec<OsString>,
}

/// Becomes the folder's only writer.
fn lock(folder: &File) -> Result<WriterLock, Failure> {
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    // Nobody else may hold up the writer by a lock of their own.
    let opened = openat(folder, LOCK, flags, Mode::S_IRUSR | Mode::S_IWUSR);
    let file = opened.map(File::from).map_err(|error| io_failure("its ..lock cannot be opened", &error.into()))?;
    match file.try_lock() {
        Ok(()) => Ok(WriterLock(file)),
        Err(fs::TryLockError::WouldBlock) => {
            Err(Failure::new(Class::Invalid, "another process writes this folder's files")
                .with_hint("give each agent a folder of its own"))
        }
        Err(fs::TryLockError::Error(error)) => Err(io_failure("its ..lock cannot be locked", &error)),
    }
}

fn set_name() -> OsString {
    format!("{SET}{:016x}", fastrand::u64(..)).into()
}

fn is_set(name: &OsStr) -> bool {
    let digits = name.to_str().and_then(|name| name.strip_prefix(SET));
    digits.is_some_and(|digits| digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

//! A set that lies complete under a name that nobody reads.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};
use strongroom_failure::{Class, Failure};

use crate::set::{FOLDER_MODE, SetFile};
use crate::{fill, io_failure};

/// The folder of a set; removed again with all that is in it unless it is kept.
pub(crate) struct Staged {
    place: PathBuf,
    name: OsString,
    is_kept: bool,
}

impl Staged {
    /// Writes `files` into a new folder `name` of `folder`, which is at `path`.
    ///
    /// # Errors
    /// A failure that names the file; nothing of it is left then.
    pub(crate) fn write(folder: &File, path: &Path, name: OsString, files: &[SetFile]) -> Result<Self, Failure> {
        let named = |file: &Path| path.join(file).display().to_string();
        let failed =
            |error: Errno| io_failure("cannot make a folder there", &error.into()).in_field(named(Path::new("")));
        mkdirat(folder, name.as_os_str(), Mode::S_IRWXU).map_err(failed)?;
        // From here on it is removed on every way out.
        let staged = Self { place: path.join(&name), name, is_kept: false };
        let root = open_folder(folder, &staged.name).map_err(failed)?;
        let mut folders = Vec::new();
        for file in files {
            write(&root, file, &mut folders).map_err(|failure| failure.in_field(named(&file.path)))?;
        }
        // Last: until here nobody else gets in, and the bit that hands the group down, which a writer outside of the
        // group loses by this, has done its work.
        folders.push(root);
        folders.iter().try_for_each(open_up).map_err(|failure| failure.in_field(named(Path::new(""))))?;
        Ok(staged)
    }

    pub(crate) fn name(&self) -> &OsStr {
        &self.name
    }

    /// It has been put in place.
    pub(crate) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = fs::remove_dir_all(&self.place);
        }
    }
}

/// Writes one file and the folders above it that are missing, which it adds to `folders`.
fn write(root: &File, file: &SetFile, folders: &mut Vec<File>) -> Result<(), Failure> {
    let above = file.path.parent().into_iter().flat_map(Path::iter);
    let mut folder = root.try_clone().map_err(|error| io_failure("cannot be written", &error))?;
    for part in above {
        let failed = |error: Errno| io_failure("its folder cannot be made", &error.into());
        match mkdirat(&folder, part, Mode::S_IRWXU) {
            Ok(()) => folders.push(open_folder(&folder, part).map_err(failed)?),
            Err(Errno::EEXIST) => {}
            Err(error) => return Err(failed(error)),
        }
        folder = open_folder(&folder, part).map_err(failed)?;
    }
    let name = file.path.file_name().ok_or_else(|| Failure::new(Class::Invalid, "has no name"))?;
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let opened = openat(&folder, name, flags, Mode::S_IRUSR | Mode::S_IWUSR);
    let opened = opened.map_err(|error| io_failure("cannot create a file there", &error.into()))?;
    fill(opened.into(), file.mode, file.owner, &file.content)
}

/// Never by way of a link: somebody else may write where the set's folder lies.
fn open_folder(folder: impl AsFd, name: &OsStr) -> Result<File, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(folder, name, flags, Mode::empty()).map(File::from)
}

fn open_up(folder: &File) -> Result<(), Failure> {
    let there = folder.metadata().map_err(|error| io_failure("a folder's mode cannot be told", &error))?;
    folder
        .set_permissions(Permissions::from_mode(there.permissions().mode() | FOLDER_MODE))
        .map_err(|error| io_failure("a folder's mode cannot be changed", &error))
}

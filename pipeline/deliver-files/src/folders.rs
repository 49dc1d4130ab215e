use std::ffi::OsStr;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path};

use strongroom_failure::{Class, Failure};

use crate::io_failure;

/// Makes the folders that are missing between `root`, which is there, and the file `path` below it. A new one gets
/// `mode` whatever the umask, and keeps its parent's group where that is inherited; one that is there stays as it is.
///
/// # Errors
/// A [`Class::Invalid`] failure that names `path`: it is not below `root`, not by way of folders alone (a link may lead
/// out), or is a folder itself. Those that have been made before stay.
pub fn make_folders(root: &Path, path: &Path, mode: u32) -> Result<(), Failure> {
    let named = |failure: Failure| failure.in_field(path.display().to_string());
    let leaves = || named(Failure::new(Class::Invalid, format!("lies outside of {}", root.display())));
    let below = path.strip_prefix(root).map_err(|_| leaves())?;
    let parts: Option<Vec<&OsStr>> = below.components().map(plain).collect();
    let parts = parts.ok_or_else(leaves)?;
    let (_, folders) = parts.split_last().ok_or_else(leaves)?;
    let mut folder = root.to_owned();
    for part in folders {
        folder.push(part);
        make_folder(&folder, mode).map_err(named)?;
    }
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_dir() => {
            Err(named(Failure::new(Class::Invalid, "is a folder, and no file can be there")))
        }
        _ => Ok(()),
    }
}

/// A part that leads one folder down and nowhere else.
fn plain(part: Component<'_>) -> Option<&OsStr> {
    if let Component::Normal(name) = part { Some(name) } else { None }
}

/// Makes `folder` and what is missing above it, and leaves what is there as it is; links on the way are followed.
pub(crate) fn make_whole_folder(folder: &Path, mode: u32) -> Result<(), Failure> {
    let mut missing: Vec<&Path> = folder.ancestors().take_while(|above| above.metadata().is_err()).collect();
    missing.retain(|above| !above.as_os_str().is_empty());
    missing.into_iter().rev().try_for_each(|above| make_folder(above, mode))
}

fn make_folder(folder: &Path, mode: u32) -> Result<(), Failure> {
    let what = || format!("its folder {} cannot be made", folder.display());
    match DirBuilder::new().mode(mode).create(folder) {
        Ok(()) => {}
        // Asked of the link itself where there is one.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return match fs::symlink_metadata(folder) {
                Ok(there) if there.is_dir() => Ok(()),
                _ => Err(Failure::new(Class::Invalid, format!("{} is in its way and no folder", folder.display()))),
            };
        }
        Err(error) => return Err(io_failure(&what(), &error)),
    }
    // The umask has taken bits away; the one that hands the group down must stay.
    let made = fs::symlink_metadata(folder).map_err(|error| io_failure(&what(), &error))?;
    fs::set_permissions(folder, Permissions::from_mode(made.permissions().mode() | mode))
        .map_err(|error| io_failure(&what(), &error))
}

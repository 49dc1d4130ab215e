//! What lies in a set's folder, compared with what is wanted there.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use strongroom_secret::SecretBytes;

use crate::set::SetFile;

/// The folder of a set that was put in place.
pub(crate) struct Lying<'a> {
    pub(crate) folder: &'a Path,
}

impl Lying<'_> {
    /// The paths of `files` that lie there otherwise or not at all, and those that lie there beside them; `None` where
    /// the folder itself cannot be read.
    pub(crate) fn changed(&self, files: &[SetFile]) -> Option<BTreeSet<PathBuf>> {
        let mut gone = BTreeSet::new();
        walk(self.folder, Path::new(""), &mut gone).ok()?;
        let mut changed = BTreeSet::new();
        for file in files {
            gone.remove(&file.path);
            if !self.is_same(file).unwrap_or(false) {
                changed.insert(file.path.clone());
            }
        }
        changed.append(&mut gone);
        Some(changed)
    }

    fn is_same(&self, file: &SetFile) -> io::Result<bool> {
        let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
        let mut opened = OpenOptions::new().read(true).custom_flags(flags).open(self.folder.join(&file.path))?;
        let there = opened.metadata()?;
        let owner_is_same = file
            .owner
            .is_none_or(|owner| owner.user == there.uid() && owner.group.is_none_or(|group| group == there.gid()));
        let length_is_same = u64::try_from(file.content.len()).is_ok_and(|length| length == there.len());
        let is_alike = there.is_file() && there.mode() & 0o7777 == file.mode && owner_is_same && length_is_same;
        Ok(is_alike && holds(&mut opened, &file.content)?)
    }
}

fn holds(file: &mut File, content: &SecretBytes) -> io::Result<bool> {
    // In one piece from the start, so that no copy of a secret is left behind by growing.
    let mut there = SecretBytes::new(vec![0; content.len()]);
    file.read_exact(there.expose_mut())?;
    Ok(there.expose() == content.expose())
}

/// Adds the paths of all that is no folder, from `below` on.
fn walk(root: &Path, below: &Path, found: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            walk(root, &path, found)?;
        } else {
            found.insert(path);
        }
    }
    Ok(())
}

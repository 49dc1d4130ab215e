//! Which files of a folder are encrypted ones.

use std::fs;
use std::path::Path;

use strongroom_failure::Failure;

use crate::init::kamus::{cannot_read, invalid};

/// Deeper than any mounted volume; who links a folder into itself gets here.
const DEEPEST: usize = 32;

/// The files below `folder` by their paths in it, in the order of their names, links followed. What begins with a dot is
/// left out: the folders in which kubelet keeps the versions of a volume are such.
///
/// # Errors
/// A folder that cannot be read, a name that is no text, folders in each other without end.
pub(super) fn files(folder: &Path) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    walk(folder, "", 0, &mut found)?;
    Ok(found)
}

fn walk(root: &Path, below: &str, depth: usize, found: &mut Vec<String>) -> Result<(), Failure> {
    let folder = if below.is_empty() { root.to_owned() } else { root.join(below) };
    if depth > DEEPEST {
        return Err(invalid(format!("Error: {} is {depth} folders deep", folder.display())));
    }
    let unreadable = |error| cannot_read(&folder, &error);
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name().into_string();
        names.push(name.map_err(|_| invalid(format!("Error: a name in {} is no UTF-8", folder.display())))?);
    }
    names.sort_unstable();
    for name in names.iter().filter(|name| !name.starts_with('.')) {
        let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
        let kind = fs::metadata(root.join(&path)).map_err(|error| cannot_read(&root.join(&path), &error))?;
        if kind.is_dir() {
            walk(root, &path, depth + 1, found)?;
        } else if kind.is_file() {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn files_of_a_mounted_volume_are_found_once_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let make = |path: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::File::create(path).unwrap();
        };
        ["..2026/b", "..2026/a", "..2026/deep/c", ".hidden", "z"].iter().for_each(|path| make(path));
        symlink("..2026", folder.path().join("..data")).unwrap();
        for name in ["a", "b", "deep"] {
            symlink(format!("..data/{name}"), folder.path().join(name)).unwrap();
        }
        assert_eq!(files(folder.path()).unwrap(), ["a", "b", "deep/c", "z"]);
        symlink(".", folder.path().join("loop")).unwrap();
        assert!(files(folder.path()).unwrap_err().to_string().contains("33 folders deep"));
        assert!(files(&folder.path().join("missing")).is_err());
    }
}

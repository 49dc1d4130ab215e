//! Files on real file systems: /dev/shm is a tmpfs on every Linux; the build folder is a disk.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod set;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use strongroom_deliver_files::{Medium, Owner, Target, deliver, make_folders, replace};
use strongroom_secret::SecretBytes;

fn memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap()
}

fn file(path: &Path, mode: u32, value: &str) -> (Target, SecretBytes) {
    (Target { path: path.to_owned(), mode, owner: None }, SecretBytes::from(value.to_owned()))
}

fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn files_appear_whole_with_their_mode_and_leave_nothing_beside_them() {
    let directory = memory();
    let (first, second) = (directory.path().join("a"), directory.path().join("b"));
    deliver(&[file(&first, 0o440, "one"), file(&second, 0o400, "two")], Medium::MemoryOnly).unwrap();
    assert_eq!(std::fs::read(&first).unwrap(), b"one");
    assert_eq!(std::fs::metadata(&first).unwrap().permissions().mode() & 0o7777, 0o440);
    assert_eq!(std::fs::metadata(&second).unwrap().permissions().mode() & 0o7777, 0o400);
    assert_eq!(names(directory.path()), ["a", "b"]);
}

#[test]
fn a_file_that_is_there_keeps_its_mode_and_links_to_it_stay_links() {
    let directory = memory();
    let (path, link) = (directory.path().join("a"), directory.path().join("b"));
    deliver(&[file(&path, 0o640, "old")], Medium::MemoryOnly).unwrap();
    std::os::unix::fs::symlink("a", &link).unwrap();
    replace(&link, &SecretBytes::from("new".to_owned())).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    let missing = directory.path().join("c");
    assert!(replace(&missing, &SecretBytes::default()).unwrap_err().to_string().contains("cannot be replaced"));
    assert_eq!(names(directory.path()), ["a", "b"]);
}

#[test]
fn an_old_file_is_replaced_by_a_new_inode() {
    let directory = memory();
    let path = directory.path().join("a");
    deliver(&[file(&path, 0o400, "old")], Medium::MemoryOnly).unwrap();
    let old = std::fs::File::open(&path).unwrap();
    deliver(&[file(&path, 0o400, "new")], Medium::MemoryOnly).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"new");
    assert_eq!(std::io::read_to_string(old).unwrap(), "old", "whoever had it open goes on reading the old file");
}

#[test]
fn when_one_file_cannot_be_prepared_none_appears() {
    let directory = memory();
    let failure = deliver(
        &[
            file(&directory.path().join("a"), 0o400, "canary"),
            file(&directory.path().join("missing/b"), 0o400, "canary"),
        ],
        Medium::MemoryOnly,
    )
    .unwrap_err();
    assert!(failure.to_string().contains("missing/b"), "{failure}");
    assert!(!failure.to_string().contains("canary"));
    assert!(names(directory.path()).is_empty());
}

#[test]
fn a_disk_is_refused_unless_it_is_allowed() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = directory.path().join("a");
    let failure = deliver(&[file(&path, 0o400, "x")], Medium::MemoryOnly).unwrap_err();
    assert!(failure.to_string().contains("not a memory-backed file system"), "{failure}");
    assert!(failure.hint.unwrap().contains("--allow-disk"));
    deliver(&[file(&path, 0o400, "x")], Medium::AnyDisk).unwrap();
    assert_eq!(names(directory.path()), ["a"]);
}

#[test]
fn the_owner_is_set_where_the_writer_may() {
    let directory = memory();
    let path = directory.path().join("a");
    let own = std::fs::metadata(directory.path()).unwrap();
    // Anybody may give a file to themselves; only root to others.
    let user = if own.uid() == 0 { 12_345 } else { own.uid() };
    let target = Target { path: path.clone(), mode: 0o400, owner: Some(Owner { user, group: Some(own.gid()) }) };
    deliver(&[(target, SecretBytes::from("x".to_owned()))], Medium::MemoryOnly).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().uid(), user);
}

#[test]
fn a_link_in_the_place_is_replaced_and_its_target_left_alone() {
    let directory = memory();
    let (victim, link) = (directory.path().join("victim"), directory.path().join("link"));
    deliver(&[file(&victim, 0o600, "untouched")], Medium::MemoryOnly).unwrap();
    std::os::unix::fs::symlink(&victim, &link).unwrap();
    deliver(&[file(&link, 0o600, "x")], Medium::MemoryOnly).unwrap();
    assert_eq!(std::fs::read(&victim).unwrap(), b"untouched");
    assert!(!std::fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[test]
fn folders_are_made_with_their_mode_and_those_that_are_there_stay() {
    let directory = memory();
    let root = directory.path();
    std::fs::create_dir(root.join("old")).unwrap();
    std::fs::set_permissions(root.join("old"), std::fs::Permissions::from_mode(0o2711)).unwrap();
    make_folders(root, &root.join("file"), 0o755).unwrap();
    assert_eq!(names(root), ["old"]);
    // More than any usual umask lets through.
    make_folders(root, &root.join("old/a/b/file"), 0o777).unwrap();
    make_folders(root, &root.join("old/a/b/file"), 0o700).unwrap();
    let mode = |path: &str| std::fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("old"), mode("old/a"), mode("old/a/b")), (0o2711, 0o2777, 0o2777));
    assert!(names(&root.join("old/a/b")).is_empty(), "the file itself is not made");
}

#[test]
fn a_place_outside_or_in_the_way_is_refused() {
    let (directory, outside) = (memory(), memory());
    let root = directory.path();
    std::os::unix::fs::symlink(outside.path(), root.join("link")).unwrap();
    deliver(&[file(&root.join("taken"), 0o400, "x")], Medium::MemoryOnly).unwrap();
    std::fs::create_dir(root.join("folder")).unwrap();
    for (path, words) in [
        ("../x", "outside"),
        ("a/../../x", "outside"),
        ("", "outside"),
        ("link/x/y", "no folder"),
        ("taken/x", "no folder"),
        ("folder", "is a folder"),
    ] {
        let failure = make_folders(root, &root.join(path), 0o755).unwrap_err().to_string();
        assert!(failure.contains(words), "{path}: {failure}");
    }
    assert!(make_folders(root, &outside.path().join("x"), 0o755).is_err());
    assert!(names(outside.path()).is_empty());
    assert_eq!(names(root), ["folder", "link", "taken"]);
}

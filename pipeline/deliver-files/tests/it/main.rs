//! Files on real file systems: /dev/shm is a tmpfs on every Linux; the build folder is a disk.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use strongroom_deliver_files::{Medium, Owner, Target, deliver};
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

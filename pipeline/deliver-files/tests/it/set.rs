//! Sets of files: what lies in the folder, who reads it meanwhile, and what becomes of it when the writer ends.

use std::ffi::OsString;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use strongroom_deliver_files::{FileSet, Medium, Owner, SetFile};
use strongroom_secret::SecretBytes;

use crate::{memory, names};

/// Where the child writes, if this process is it.
const WRITES_TO: &str = "STRONGROOM_TEST_WRITES_TO";

/// How often it does.
const ROUNDS: &str = "STRONGROOM_TEST_ROUNDS";

fn open(folder: &Path) -> FileSet {
    FileSet::open(folder.to_owned(), Medium::MemoryOnly).unwrap()
}

fn file(path: &str, content: &str) -> SetFile {
    SetFile { path: PathBuf::from(path), mode: 0o640, owner: None, content: SecretBytes::from(content.to_owned()) }
}

fn paths(changed: Option<Vec<PathBuf>>) -> Vec<String> {
    let text = |path: PathBuf| path.into_os_string().into_string().unwrap();
    changed.unwrap_or_default().into_iter().map(text).collect()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// The folders of sets that lie there.
fn sets(folder: &Path) -> Vec<String> {
    names(folder).into_iter().filter(|name| name.starts_with("..set-")).collect()
}

/// The paths of a set whose files all hold one number many times.
const NUMBERED: [&str; 3] = ["a", "db/password", "db/deep/er"];

fn numbered(number: u64) -> Vec<SetFile> {
    // More than a page, so that half of one could be seen.
    NUMBERED.map(|path| file(path, &format!("{number:020}\n").repeat(300))).to_vec()
}

/// The one number that `text` holds.
fn number(text: &str) -> u64 {
    let (first, _) = text.split_once('\n').expect("more than half a line");
    assert_eq!(text, format!("{first}\n").repeat(300), "a torn file");
    first.parse().unwrap()
}

/// The number that all files hold below `root`; `None` where one of them is gone.
fn number_of_set(root: &Path) -> Option<u64> {
    let texts: Vec<String> =
        NUMBERED.iter().map(|path| std::fs::read_to_string(root.join(path))).collect::<Result<_, _>>().ok()?;
    let numbers: Vec<u64> = texts.iter().map(|text| number(text)).collect();
    assert!(numbers.iter().all(|other| *other == numbers[0]), "a mixed set: {numbers:?}");
    Some(numbers[0])
}

/// Runs `test` where file systems can be mounted.
fn as_root(test: impl FnOnce()) {
    if nix::unistd::geteuid().is_root() {
        return test();
    }
    assert!(std::env::var_os("CI").is_none(), "CI must run these tests as root: they mount a tmpfs");
    // Not by a macro, whose output the test runner hides where a test passes.
    writeln!(std::io::stderr(), "LEFT OUT: a part that needs root").expect("writes");
}

/// A tmpfs of its own, for as long as this lives.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new(options: &str) -> Self {
        let folder = memory();
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", options, "none"]).arg(folder.path());
        assert!(command.status().unwrap().success());
        Self(folder)
    }

    fn remount(&self, options: &str) {
        let mut command = Command::new("mount");
        command.args(["-o", &format!("remount,{options}")]).arg(self.0.path());
        assert!(command.status().unwrap().success());
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_set_is_laid_out_as_kubelet_does() {
    let directory = memory();
    let folder = directory.path().join("made/here");
    let mut set = open(&folder);
    let changed = set.deliver(&[file("db/password", "one"), file("db/user", "two"), file("token", "")]).unwrap();
    assert_eq!(paths(changed), ["db/password", "db/user", "token"]);
    assert_eq!(read(&folder.join("db/password")), "one");
    assert_eq!(read(&folder.join("..data/db/user")), "two");
    assert_eq!(read(&folder.join("token")), "");
    assert_eq!(std::fs::read_link(folder.join("db")).unwrap(), Path::new("..data/db"));
    assert_eq!(std::fs::read_link(folder.join("..data")).unwrap(), Path::new(&sets(&folder)[0]));
    assert_eq!(names(&folder), ["..data", "..lock", sets(&folder)[0].as_str(), "db", "token"]);
    assert_eq!((mode(&folder), mode(&folder.join("..data/")), mode(&folder.join("db"))), (0o755, 0o755, 0o755));
    assert_eq!((mode(&folder.join("token")), mode(&folder.join("..lock"))), (0o640, 0o600));
}

#[test]
fn only_what_differs_is_told_also_by_one_who_starts_again() {
    let directory = memory();
    let folder = directory.path();
    let files = || vec![file("a", "1"), file("b/c", "2"), file("d", "3")];
    let check = |files: &[SetFile], expected: &[&str]| {
        assert_eq!(paths(open(folder).deliver(files).unwrap()), expected);
        let mut set = open(folder);
        let before = std::fs::read_link(folder.join("..data")).unwrap();
        assert_eq!(set.deliver(files).unwrap(), None);
        assert_eq!(std::fs::read_link(folder.join("..data")).unwrap(), before, "nothing is written for nothing");
        assert_eq!(names(folder).len(), 3 + folder.read_dir().unwrap().filter(is_plain).count());
    };
    check(&files(), &["a", "b/c", "d"]);
    let mut other = files();
    other[1].content = SecretBytes::from("9".to_owned());
    other[2].content = SecretBytes::from("33".to_owned());
    check(&other, &["b/c", "d"]);
    other[0].mode = 0o600;
    check(&other, &["a"]);
    other.remove(2);
    check(&other, &["d"]);
    other.push(file("b/e", "4"));
    check(&other, &["b/e"]);
    // A file where a folder was.
    check(&[file("b", "5")], &["a", "b", "b/c", "b/e"]);
    assert_eq!(read(&folder.join("b")), "5");
    // Somebody took a link away: the file was out of reach.
    std::fs::remove_file(folder.join("b")).unwrap();
    check(&[file("b", "5")], &["b"]);
    // Or the set itself.
    std::fs::remove_dir_all(folder.join(&sets(folder)[0])).unwrap();
    check(&[file("b", "5")], &["b"]);
    check(&[], &["b"]);
    assert_eq!(names(folder), ["..data", "..lock", sets(folder)[0].as_str()]);
    assert_eq!(names(&folder.join("..data")), [""; 0]);
}

fn is_plain(entry: &std::io::Result<std::fs::DirEntry>) -> bool {
    entry.as_ref().is_ok_and(|entry| !entry.file_name().as_encoded_bytes().starts_with(b".."))
}

#[test]
fn the_set_before_stays_for_its_readers_until_the_next_delivery_or_its_removal() {
    let directory = memory();
    let folder = directory.path();
    let mut set = open(folder);
    set.deliver(&numbered(1)).unwrap();
    let first = folder.join(std::fs::read_link(folder.join("..data")).unwrap());
    set.deliver(&numbered(2)).unwrap();
    assert_eq!(number_of_set(&first), Some(1));
    set.deliver(&numbered(2)).unwrap();
    assert!(!first.exists());
    let second = folder.join(std::fs::read_link(folder.join("..data")).unwrap());
    set.deliver(&numbered(3)).unwrap();
    set.remove_previous().unwrap();
    assert!(!second.exists());
    assert_eq!(number_of_set(folder), Some(3));
}

#[test]
fn what_somebody_else_put_there_is_refused_and_left_alone() {
    let outside = memory();
    std::fs::create_dir(outside.path().join("a")).unwrap();
    let victim = outside.path().join("a/b");
    std::fs::File::create(&victim).unwrap().write_all(b"untouched").unwrap();
    let check = |name: &str, put: &dyn Fn(&Path)| {
        let directory = memory();
        let place = directory.path().join(name);
        put(&place);
        let delivered = FileSet::open(directory.path().to_owned(), Medium::MemoryOnly)
            .and_then(|mut set| set.deliver(&[file("a/b", "canary")]));
        let failure = delivered.unwrap_err();
        assert!(failure.to_string().contains(name) && !failure.to_string().contains("canary"), "{failure}");
        assert!(place.symlink_metadata().is_ok(), "{name}");
        assert!(sets(directory.path()).is_empty(), "{name}");
        assert_eq!(read(&victim), "untouched", "{name}");
    };
    for name in ["a", "..data", "..data_tmp", "..lock"] {
        check(name, &|place| std::fs::create_dir(place).unwrap());
    }
    for name in ["a", "..data", "..data_tmp"] {
        check(name, &|place| drop(std::fs::File::create(place).unwrap()));
    }
    for name in ["a", "..data", "..lock"] {
        check(name, &|place| symlink(outside.path(), place).unwrap());
        check(name, &|place| symlink("nowhere", place).unwrap());
    }
    check("a", &|place| symlink("..data/other", place).unwrap());
}

#[test]
fn neighbours_that_nobody_asked_for_stay() {
    let directory = memory();
    let folder = directory.path();
    for name in ["theirs", "..status", "..set-mine", "..2026_11_28"] {
        std::fs::create_dir(folder.join(name)).unwrap();
    }
    symlink("theirs", folder.join("link")).unwrap();
    let mut set = open(folder);
    set.deliver(&numbered(1)).unwrap();
    set.deliver(&[]).unwrap();
    set.remove_previous().unwrap();
    let left: Vec<_> = names(folder).into_iter().filter(|name| name.len() != 22).collect();
    assert_eq!(left, ["..2026_11_28", "..data", "..lock", "..set-mine", "..status", "link", "theirs"]);
}

#[test]
fn a_folder_has_one_writer() {
    let directory = memory();
    let first = open(directory.path());
    let failure = FileSet::open(directory.path().to_owned(), Medium::MemoryOnly).unwrap_err();
    assert!(failure.to_string().contains("another process writes this folder"), "{failure}");
    drop(first);
    open(directory.path());
}

#[test]
fn a_set_stays_off_disks_unless_that_is_allowed() {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let failure = FileSet::open(directory.path().to_owned(), Medium::MemoryOnly).unwrap_err();
    assert!(failure.to_string().contains("not a memory-backed file system"), "{failure}");
    assert!(names(directory.path()).is_empty());
    let mut set = FileSet::open(directory.path().to_owned(), Medium::AnyDisk).unwrap();
    set.deliver(&numbered(1)).unwrap();
    assert_eq!(number_of_set(directory.path()), Some(1));
}

#[test]
fn when_one_file_fails_the_set_in_place_stays() {
    let directory = memory();
    let folder = directory.path();
    let mut set = open(folder);
    set.deliver(&numbered(1)).unwrap();
    let before = names(folder);
    for wrong in [
        vec![file("a", "canary"), file("a", "canary")],
        vec![file("a", "canary"), file("a/b", "canary")],
        vec![file("a/b", "canary"), file("a", "canary")],
        vec![file("a", "canary"), file("../x", "canary")],
        vec![file("a", "canary"), file("/x", "canary")],
        vec![file("a", "canary"), file("b/..data", "canary")],
        vec![file("a", "canary"), file("..data", "canary")],
        vec![file("a", "canary"), file("", "canary")],
        vec![file("a", "canary"), file(&"x".repeat(300), "canary")],
    ] {
        let failure = set.deliver(&wrong).unwrap_err().to_string();
        let is_named = failure.starts_with(folder.to_str().unwrap()) || failure.starts_with("/x: ");
        assert!(is_named && !failure.contains("canary"), "{failure}");
        assert_eq!(names(folder), before, "{failure}");
        assert_eq!(number_of_set(folder), Some(1));
    }
    assert!(!directory.path().parent().unwrap().join("x").exists());
}

#[test]
fn group_and_owner_are_the_folders_and_the_files() {
    as_root(|| {
        let directory = memory();
        let folder = directory.path();
        std::os::unix::fs::chown(folder, None, Some(4_242)).unwrap();
        std::fs::set_permissions(folder, PermissionsExt::from_mode(0o2777)).unwrap();
        let mut owned = file("db/own", "2");
        owned.owner = Some(Owner { user: 1_234, group: Some(5_678) });
        let files = [file("db/plain", "1"), owned];
        open(folder).deliver(&files).unwrap();
        let told = |path: &str| {
            let there = std::fs::metadata(folder.join(path)).unwrap();
            (there.uid(), there.gid(), there.mode() & 0o7777)
        };
        assert_eq!(told("db/plain"), (0, 4_242, 0o640));
        assert_eq!(told("db/own"), (1_234, 5_678, 0o640));
        assert_eq!((told("."), told("db")), ((0, 4_242, 0o2777), (0, 4_242, 0o2755)));
        assert_eq!(open(folder).deliver(&files).unwrap(), None);
    });
}

#[test]
fn a_full_file_system_leaves_the_set_and_nothing_else() {
    as_root(|| {
        let mounted = Mounted::new("size=64k");
        let folder = mounted.0.path();
        let mut set = open(folder);
        let sized = |kibibytes: usize, letter: &str| {
            [file("a", &letter.repeat(kibibytes << 9)), file("b/c", &letter.repeat(kibibytes << 9))]
        };
        set.deliver(&sized(8, "1")).unwrap();
        set.deliver(&sized(8, "2")).unwrap();
        let failure = set.deliver(&sized(60, "3")).unwrap_err().to_string();
        assert!(failure.contains("b/c") && failure.contains("No space left on device"), "{failure}");
        assert_eq!(read(&folder.join("b/c")), "2".repeat(4096));
        assert_eq!(names(folder), ["..data", "..lock", sets(folder)[0].as_str(), "a", "b"]);
        // There is room again: also for what the set before had taken.
        set.deliver(&sized(48, "4")).unwrap();
        assert_eq!(read(&folder.join("a")), "4".repeat(48 << 9));
    });
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    as_root(|| {
        let mounted = Mounted::new("size=64k");
        let folder = mounted.0.path();
        let mut set = open(folder);
        set.deliver(&[file("a", "1")]).unwrap();
        drop(set);
        mounted.remount("ro");
        let failure = FileSet::open(folder.to_owned(), Medium::MemoryOnly).unwrap_err().to_string();
        assert!(failure.contains(folder.to_str().unwrap()) && failure.contains("Read-only"), "{failure}");
        mounted.remount("rw");
        assert_eq!(open(folder).deliver(&[file("a", "1")]).unwrap(), None);
    });
    let failure = FileSet::open(PathBuf::from("/dev/null"), Medium::MemoryOnly).unwrap_err().to_string();
    assert!(failure.starts_with("/dev/null: cannot be opened as a folder"), "{failure}");
}

/// Writes one numbered set after another where it is told to.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(WRITES_TO) else { return };
    let rounds: u64 = std::env::var(ROUNDS).unwrap().parse().unwrap();
    let mut set = open(Path::new(&folder));
    let start = u64::from(std::process::id()) * 1_000_000;
    (start..start + rounds).for_each(|number| drop(set.deliver(&numbered(number)).unwrap()));
}

#[test]
fn modes_are_as_asked_whatever_the_umask() {
    let directory = memory();
    let folder = directory.path().join("made/here");
    let script = format!("umask 077; exec '{}' --exact set::child", std::env::current_exe().unwrap().display());
    let mut command = Command::new("sh");
    command.args(["-c", &script]).env(WRITES_TO, &folder).env(ROUNDS, "2").stdout(Stdio::null());
    assert!(command.status().unwrap().success());
    let folders = ["..", ".", "..data/", "db", "db/deep"];
    assert_eq!(folders.map(|path| mode(&folder.join(path))), [0o755; 5]);
    assert_eq!(NUMBERED.map(|path| mode(&folder.join(path))), [0o640; 3]);
}

#[test]
fn thirty_kills_leave_a_whole_set_each_and_the_next_one_cleans_up() {
    let directory = memory();
    let folder = directory.path();
    let data = folder.join("..data");
    let mut random = fastrand::Rng::with_seed(1);
    let mut last = None;
    for _ in 0..30 {
        let before = std::fs::read_link(&data).ok();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "set::child"])
            .env(WRITES_TO, folder)
            .env(ROUNDS, "1000000")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while std::fs::read_link(&data).ok() == before {
            assert_eq!(child.try_wait().unwrap(), None, "the child writes");
            std::thread::sleep(Duration::from_micros(100));
        }
        std::thread::sleep(Duration::from_micros(random.u64(0..10_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let seen = number_of_set(&data).expect("all files of the set");
        assert_eq!(number_of_set(folder), Some(seen), "also by their paths");
        assert_ne!(last.replace(seen), Some(seen));
        drop(open(folder));
        assert_eq!(sets(folder).len(), 1, "{:?}", names(folder));
        assert!(!names(folder).contains(&"..data_tmp".to_owned()));
        assert_eq!(number_of_set(folder), Some(seen));
    }
}

#[test]
fn a_thousand_rotations_show_no_torn_file_and_no_mixed_set() {
    let directory = memory();
    let folder = directory.path();
    let mut set = open(folder);
    set.deliver(&numbered(0)).unwrap();
    let is_over = AtomicBool::new(false);
    let (whole, plain) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        // One that opens the set once and reads all of it.
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let Ok(data) = std::fs::File::open(folder.join("..data")) else { continue };
                let root = OsString::from(format!("/proc/self/fd/{}", data.as_raw_fd()));
                let read = number_of_set(Path::new(&root));
                whole.fetch_add(usize::from(read.is_some()), Ordering::Relaxed);
            }
        });
        // One that reads a file by its path; two rotations while it is looked up hide it for that moment.
        scope.spawn(|| {
            let mut last = 0;
            while !is_over.load(Ordering::Relaxed) {
                let Ok(text) = std::fs::read_to_string(folder.join("db/password")) else { continue };
                let read = number(&text);
                assert!(read >= last, "{read} after {last}");
                last = read;
                plain.fetch_add(1, Ordering::Relaxed);
            }
        });
        (1..=1000).for_each(|number| {
            assert_eq!(paths(set.deliver(&numbered(number)).unwrap()).len(), 3);
        });
        is_over.store(true, Ordering::Relaxed);
    });
    let (whole, plain) = (whole.into_inner(), plain.into_inner());
    assert!(whole > 50 && plain > 50, "{whole} whole sets and {plain} files were seen");
    assert_eq!(number_of_set(folder), Some(1000));
    assert_eq!(sets(folder).len(), 2);
}

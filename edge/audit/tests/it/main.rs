//! A trail in files: under load, kills, full disks, hung readers, and somebody who changes them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use strongroom_audit::entry::{Auth, Request};
use strongroom_audit::{Body, Chain, CheckpointKey, Entry, Half, Head, Start, Tail, Trail};
use strongroom_audit_sinks::{Ending, Options, Sink, Sync, Target, continue_file, verify};
use strongroom_secret::SecretBytes;
use tokio::runtime::Runtime;

/// In the environment of a child: the file that it writes to until it is killed.
const WRITES_TO: &str = "STRONGROOM_TEST_AUDITS_TO";

fn trail() -> Trail {
    Trail::new("test").unwrap()
}

fn key() -> CheckpointKey {
    CheckpointKey::new(1, SecretBytes::new(vec![7; 32])).unwrap()
}

fn every() -> NonZeroU64 {
    NonZeroU64::new(10).unwrap()
}

fn body(id: &str) -> Body {
    let request = Request { id, path: "secret/data/app", operation: "read", ..Request::default() };
    let time = Timestamp::from_second(1_700_000_000).unwrap();
    let entry = Entry {
        time,
        half: Half::Request,
        auth: Auth::default(),
        request,
        response: None,
        error: "",
        forwarded_from: "",
    };
    entry.body().unwrap()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// A sink that goes on in its file, and what it gave to be kept last.
fn sink(path: &Path, change: impl Fn(&mut Options)) -> (Sink, Arc<Mutex<Option<Head>>>) {
    let ending = continue_file(path, &trail(), &[key()], None).unwrap();
    let chain = ending.chain(trail(), key(), every()).unwrap_or_else(|| panic!("{ending:?}"));
    start(path, chain, change)
}

fn start(path: &Path, chain: Chain, change: impl Fn(&mut Options)) -> (Sink, Arc<Mutex<Option<Head>>>) {
    let mut options = Options { deadline: Duration::from_millis(500), ..Options::new(Target::File(path.to_owned())) };
    change(&mut options);
    let head = Arc::new(Mutex::new(None));
    let kept = Arc::clone(&head);
    let sink = Sink::start(options, chain, move |head| *kept.lock().unwrap() = Some(head)).unwrap();
    (sink, head)
}

/// The entries that a trail holds, where it is untouched.
fn entries(paths: &[PathBuf], tail: Tail) -> usize {
    let verdict = verify(paths, &trail(), &[key()], (Start::Origin, tail), |_| {}).unwrap();
    let verified = verdict.unwrap_or_else(|fault| panic!("{fault:?}"));
    usize::try_from(verified.last.sequence - verified.checkpoints).unwrap()
}

#[test]
fn many_at_once_are_one_chain_that_ends_with_a_checkpoint_and_is_its_owners() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let (sink, head) = sink(&path, |options| options.sync = Sync::Always);
    let (sink, runtime) = (Arc::new(sink), runtime());
    let writers: Vec<_> = (0..20)
        .map(|writer| {
            let sink = Arc::clone(&sink);
            runtime.spawn(async move {
                for number in 0..50 {
                    sink.record(vec![body(&format!("{writer}-{number}"))]).await.unwrap();
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| runtime.block_on(writer).unwrap());
    assert_eq!(sink.state().recorded, 1000);
    drop(Arc::into_inner(sink).unwrap());
    let head = head.lock().unwrap().unwrap();
    assert_eq!(entries(std::slice::from_ref(&path), Tail::Exactly(head)), 1000);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.lines().last().unwrap().contains("checkpoint"));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_chain_goes_on_over_rotated_files_and_over_one_that_somebody_moved_or_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let numbered = |number: usize| PathBuf::from(format!("{}.{number}", path.display()));
    let runtime = runtime();
    let (sink, _) = sink(&path, |options| options.most_bytes = 4000);
    for number in 0..60 {
        runtime.block_on(sink.record(vec![body(&number.to_string())])).unwrap();
    }
    let rotated: Vec<PathBuf> = (1..).map(numbered).take_while(|path| path.exists()).collect();
    assert!(rotated.len() > 2);
    // Somebody else's logrotate.
    let moved = folder.path().join("moved");
    std::fs::rename(&path, &moved).unwrap();
    for number in 0..3 {
        runtime.block_on(sink.record(vec![body(&format!("after-{number}"))])).unwrap();
    }
    drop(sink);
    let all = [rotated, vec![moved.clone(), path.clone()]].concat();
    assert_eq!(entries(&all, Tail::Unknown), 63);
    let missing: Vec<PathBuf> = all.iter().filter(|path| **path != moved).cloned().collect();
    assert!(verify(&missing, &trail(), &[key()], (Start::Origin, Tail::Unknown), |_| {}).unwrap().is_err());
}

#[test]
fn keeping_some_files_throws_the_oldest_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let (sink, _) = sink(&path, |options| (options.most_bytes, options.keep) = (2000, 2));
    let runtime = runtime();
    for number in 0..80 {
        runtime.block_on(sink.record(vec![body(&number.to_string())])).unwrap();
    }
    drop(sink);
    let mut names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["audit.log", "audit.log.1", "audit.log.2"]);
    let paths = ["audit.log.2", "audit.log.1", "audit.log"].map(|name| folder.path().join(name));
    let verdict = verify(&paths, &trail(), &[key()], (Start::Anywhere, Tail::Unknown), |_| {}).unwrap();
    assert!(verdict.is_ok(), "{verdict:?}");
}

#[test]
fn a_reader_that_hangs_makes_entries_fail_in_time_and_at_once_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let chain = Chain::new(trail(), Head::of_new(&trail()), key(), every());
    let (mut sink, _) = start(&path, chain, |_| {});
    let runtime = runtime();
    let timed = |sink: &Sink| {
        let start = Instant::now();
        let recorded = runtime.block_on(sink.record(vec![body("x")]));
        (recorded, start.elapsed())
    };
    let (first, time) = timed(&sink);
    assert!(first.unwrap_err().to_string().contains("did not write within"));
    assert!(time < Duration::from_secs(2), "{time:?}");
    // One more may try; the rest do not wait.
    timed(&sink).0.unwrap_err();
    let (next, time) = timed(&sink);
    assert!(next.is_err() && time < Duration::from_millis(400), "{time:?}");
    assert!(sink.state().trouble.is_some() && sink.state().refused == 3);
    // Somebody reads again.
    let mut reader = Command::new("cat").arg(&path).stdout(Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    while runtime.block_on(sink.record(vec![body("y")])).is_err() {
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", sink.state());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(sink.state().trouble, None);
    sink.close();
    reader.kill().unwrap();
    reader.wait().unwrap();
}

fn whole(head: Option<Head>) -> Ending {
    Ending::Whole { head: head.unwrap(), unread: 0 }
}

/// A start reads the end of a long file; what is wrong before is found by whoever reads all of it.
#[test]
fn the_end_of_a_long_file_is_enough_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let (sink, head) = sink(&path, |_| {});
    let runtime = runtime();
    for batch in 0..20 {
        let bodies = (0..500).map(|number| body(&format!("{batch}-{number}"))).collect();
        runtime.block_on(sink.record(bodies)).unwrap();
    }
    drop(sink);
    let (head, text) = (head.lock().unwrap().unwrap(), std::fs::read_to_string(&path).unwrap());
    let ending = |head| continue_file(&path, &trail(), &[key()], Some(head)).unwrap();
    let reads_part =
        |ending: &Ending| matches!(ending, Ending::Whole { head: to, unread } if *to == head && *unread > 0);
    assert!(text.len() > 2 << 20 && reads_part(&ending(head)), "{:?}", ending(head));
    // The head that was kept is older than the end that is read first.
    let first = Head { sequence: 1, hash: strongroom_audit::Digest::of(text.lines().next().unwrap().as_bytes()) };
    assert_eq!(ending(first), whole(Some(head)));
    let holds = |text: &str| std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
    holds(&text.replacen("secret/data/app", "secret/data/b", 1));
    assert!(reads_part(&ending(head)));
    let read = verify(std::slice::from_ref(&path), &trail(), &[key()], (Start::Anywhere, Tail::Unknown), |_| {});
    assert_eq!(read.unwrap().unwrap_err().place, 1);
    holds(&format!("{}\n", text.trim_end().rsplit_once('\n').unwrap().0));
    assert!(matches!(ending(head), Ending::Wrong(_)));
}

#[test]
fn a_file_that_was_changed_is_not_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let (sink, head) = sink(&path, |_| {});
    let runtime = runtime();
    for number in 0..25 {
        runtime.block_on(sink.record(vec![body(&number.to_string())])).unwrap();
    }
    drop(sink);
    let (head, text) = (*head.lock().unwrap(), std::fs::read_to_string(&path).unwrap());
    let ending = |text: &str| {
        std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
        continue_file(&path, &trail(), &[key()], head).unwrap()
    };
    assert_eq!(ending(&text), whole(head));
    // A line that was never finished is cut off.
    assert_eq!(ending(&format!("{text}{{\"half")), whole(head));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    let lines: Vec<&str> = text.lines().collect();
    let without = |gone: usize| {
        let kept = lines.iter().enumerate().filter(|(place, _)| *place != gone).map(|(_, line)| format!("{line}\n"));
        kept.collect::<String>()
    };
    for wrong in [text.replace("secret/data/app", "secret/data/b"), without(7), without(lines.len() - 1)] {
        assert!(matches!(ending(&wrong), Ending::Wrong(_)));
    }
    assert_eq!(ending(""), whole(head), "it was rotated away");
    // The process ended before a head was kept.
    let origin = Some(Head::of_new(&trail()));
    std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
    assert_eq!(continue_file(&path, &trail(), &[key()], origin).unwrap(), whole(head));
}

/// Where the tests run as a child, writes until it is killed, and tells of each entry that was acknowledged.
#[test]
fn child() {
    let Some(path) = std::env::var_os(WRITES_TO).map(PathBuf::from) else { return };
    let (runtime, sink) = (runtime(), Arc::new(sink(&path, |options| options.sync = Sync::Always).0));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let sink = Arc::clone(&sink);
            runtime.spawn(async move {
                for number in 0_u64.. {
                    let id = format!("{}-{writer}-{number}", std::process::id());
                    sink.record(vec![body(&id)]).await.unwrap();
                    println!("wrote {id}");
                }
            })
        })
        .collect();
    writers.into_iter().for_each(|writer| runtime.block_on(writer).unwrap());
}

#[test]
fn twenty_kills_lose_no_acknowledged_entry_and_the_chain_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let mut acknowledged = Vec::new();
    for round in 0..20 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(WRITES_TO, &path)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reader = std::thread::spawn(move || {
            let wrote = lines.map_while(Result::ok);
            wrote.filter_map(|line| line.strip_prefix("wrote ").map(str::to_owned)).collect::<Vec<_>>()
        });
        std::thread::sleep(Duration::from_millis(60 + round * 5));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(reader.join().unwrap());
    }
    assert!(acknowledged.len() > 20, "{}", acknowledged.len());
    // The next one mends what the last one left.
    drop(sink(&path, |_| {}));
    assert!(entries(std::slice::from_ref(&path), Tail::Unknown) >= acknowledged.len());
    let text = std::fs::read_to_string(&path).unwrap();
    let missing = acknowledged.iter().filter(|id| !text.contains(&format!("\"{id}\""))).count();
    assert_eq!(missing, 0);
}

#[test]
fn limited_child() {
    let Some(path) = std::env::var_os("STRONGROOM_TEST_AUDITS_WITHIN").map(PathBuf::from) else { return };
    let (runtime, (sink, _)) = (runtime(), sink(&path, |_| {}));
    let mut written = 0;
    while runtime.block_on(sink.record(vec![body(&written.to_string())])).is_ok() {
        written += 1;
        assert!(written < 100_000);
    }
    assert!(sink.state().trouble.is_some());
    // Room: the file is moved away.
    std::fs::rename(&path, path.with_extension("full")).unwrap();
    runtime.block_on(sink.record(vec![body("again")])).unwrap();
    assert_eq!(sink.state().trouble, None);
    drop(sink);
    let paths = [path.with_extension("full"), path];
    println!("survived with {} of {}", entries(&paths, Tail::Unknown), written + 1);
}

#[test]
fn a_full_disk_refuses_entries_leaves_no_half_line_and_room_brings_it_back() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        "trap '' XFSZ; ulimit -f 64; exec '{}' --exact limited_child --nocapture",
        std::env::current_exe().unwrap().display()
    );
    let file = folder.path().join("audit.log");
    let output =
        Command::new("bash").args(["-c", &script]).env("STRONGROOM_TEST_AUDITS_WITHIN", &file).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = told.lines().find_map(|line| line.split("survived with ").nth(1));
    let (found, expected) = line.and_then(|line| line.split_once(" of ")).unwrap_or_else(|| {
        panic!("{told}\n{}", String::from_utf8_lossy(&output.stderr));
    });
    assert_eq!(found, expected.trim());
}

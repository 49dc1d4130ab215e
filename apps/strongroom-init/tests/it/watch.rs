//! `--watch`: what the command is told when its secrets change, and when they cannot be read.

use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use world::switchboard::{Line, Switchboard};

use crate::program::{Ended, Place, Program, children, ended, own_pid, places, signal, wait_for};
use crate::stores::{VAULT, owned, vault};

/// A watched command, which writes a line of its own into a file each time that it starts or is told something.
struct Watched {
    child: Child,
    place: Place,
    folder: tempfile::TempDir,
}

impl Watched {
    /// The script has the folder as OUT, flags as FOLDER, and the secret `secret/NAME` is A.
    fn start(place: Place, name: &str, flags: &[&str], script: &str) -> Self {
        Self::through(place, name, flags, script, &vault())
    }

    fn through(place: Place, name: &str, flags: &[&str], script: &str, store: &[(String, String)]) -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        let words = [&["--watch=1s"], flags, &["--", "sh", "-c", script]].concat();
        let words: Vec<String> =
            words.iter().map(|word| word.replace("FOLDER", folder.path().to_str().unwrap())).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let program = Program::strongroom_init(&words).envs(store).env("OUT", folder.path());
        let child = program.env("A", format!("vault:secret/data/{name}#k")).start(place);
        Self { child, place, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits until the command has written this line as its last one.
    fn wrote(&self, line: &str) {
        let lines = || std::fs::read_to_string(self.file("lines")).unwrap_or_default();
        wait_for(&format!("{line} after {:?}", lines()), || (lines().lines().last() == Some(line)).then_some(()));
    }

    fn lines(&self) -> usize {
        std::fs::read_to_string(self.file("lines")).unwrap_or_default().lines().count()
    }

    fn supervisor(&self) -> u32 {
        own_pid(&self.child, self.place)
    }

    /// The process that watches.
    fn watcher(&self) -> u32 {
        let supervisor = self.supervisor();
        wait_for("the watcher", || children(supervisor).first().copied())
    }

    fn signal(&self, told: Signal) {
        signal(self.supervisor(), told);
    }

    fn end(self) -> Ended {
        ended(self.child)
    }
}

fn put(name: &str, value: &str) {
    VAULT.command(&["kv", "put", &format!("secret/{name}"), &format!("k={value}")]).unwrap();
}

/// Notes what it has each time that it starts.
const NOTES: &str = "echo $A >> $OUT/lines; exec sleep 400";

#[test]
fn a_changed_secret_restarts_the_command_with_the_new_value() {
    for place in places() {
        put("watch-restart", "one");
        let watched = Watched::start(place, "watch-restart", &[], NOTES);
        watched.wrote("one");
        put("watch-restart", "two");
        watched.wrote("two");
        put("watch-restart", "three");
        watched.wrote("three");
        assert_eq!(watched.lines(), 3, "{place:?}: one start for each");
        watched.signal(Signal::SIGTERM);
        let end = watched.end();
        assert_eq!(end.code, 143, "{}", end.stderr);
        assert!(end.stderr.contains("restarting the command") && end.stderr.contains("changed=A"), "{}", end.stderr);
    }
}

#[test]
fn a_signal_tells_of_files_that_are_written_again() {
    for place in places() {
        put("watch-signal", "one");
        let flags = ["--on-change", "HUP", "--file", "FOLDER/file=vault:secret/data/watch-signal#k"];
        let script = "trap 'cat $OUT/file >> $OUT/lines; echo >> $OUT/lines' HUP; cat $OUT/file >> $OUT/lines; \
                      echo >> $OUT/lines; while :; do sleep 0.05; done";
        let watched = Watched::start(place, "watch-signal", &flags, script);
        watched.wrote("one");
        let before = children(watched.watcher());
        put("watch-signal", "two");
        watched.wrote("two");
        assert_eq!(before, children(watched.watcher()), "{place:?}: the same command");
        watched.signal(Signal::SIGTERM);
        assert_eq!(watched.end().code, 143);
    }
}

#[test]
fn an_outage_leaves_the_command_as_it_is_and_is_told_once() {
    put("watch-outage", "one");
    let switchboard = Switchboard::to(VAULT.host_port()).unwrap();
    let store = owned(&[("VAULT_ADDR", switchboard.address()), ("VAULT_TOKEN", VAULT.root_token())]);
    let watched = Watched::through(Place::Among, "watch-outage", &["--deadline=300ms"], NOTES, &store);
    watched.wrote("one");
    switchboard.set_line(Line::Refused).unwrap();
    put("watch-outage", "two");
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(watched.lines(), 1, "it runs on");
    switchboard.set_line(Line::Open).unwrap();
    watched.wrote("two");
    watched.signal(Signal::SIGTERM);
    let end = watched.end();
    assert_eq!(end.code, 143);
    for words in ["the command keeps what it has", "secrets are delivered again"] {
        assert_eq!(end.stderr.matches(words).count(), 1, "{words}: {}", end.stderr);
    }
}

#[test]
fn the_container_ends_with_the_commands_code() {
    for place in places() {
        put("watch-end", "one");
        let watched = Watched::start(place, "watch-end", &[], "exit 7");
        assert_eq!(watched.end().code, 7, "{place:?}: by itself");
        let script =
            "trap 'echo asked >> $OUT/lines; exit 5' TERM; echo up >> $OUT/lines; while :; do sleep 0.05; done";
        let watched = Watched::start(place, "watch-end", &["--remap-exit", "5:9"], script);
        watched.wrote("up");
        watched.signal(Signal::SIGTERM);
        assert_eq!(watched.end().code, 9, "{place:?}: asked from outside");
    }
}

#[test]
fn a_sigterm_during_a_restart_is_the_end() {
    for place in places() {
        put("watch-term", "one");
        let script = "trap 'echo asked >> $OUT/lines; sleep 0.7; exit 5' TERM; echo up >> $OUT/lines; \
                      while :; do sleep 0.05; done";
        let watched = Watched::start(place, "watch-term", &["--grace=20s"], script);
        watched.wrote("up");
        put("watch-term", "two");
        watched.wrote("asked");
        watched.signal(Signal::SIGTERM);
        let Watched { child, folder, .. } = watched;
        assert_eq!(ended(child).code, 5, "{place:?}");
        assert_eq!(std::fs::read_to_string(folder.path().join("lines")).unwrap(), "up\nasked\n", "{place:?}");
    }
}

#[test]
fn while_nothing_can_be_read_a_sigterm_ends_the_container_and_a_failure_is_one() {
    put("watch-first", "one");
    let switchboard = Switchboard::to(VAULT.host_port()).unwrap();
    let store = owned(&[("VAULT_ADDR", switchboard.address()), ("VAULT_TOKEN", VAULT.root_token())]);
    switchboard.set_line(Line::Refused).unwrap();
    for place in places() {
        let started = Instant::now();
        let watched = Watched::through(place, "watch-first", &[], NOTES, &store);
        watched.watcher();
        std::thread::sleep(Duration::from_millis(300));
        watched.signal(Signal::SIGTERM);
        assert_eq!(watched.end().code, 143, "{place:?}");
        assert!(started.elapsed() < Duration::from_secs(10));
        let watched = Watched::through(place, "watch-first", &["--deadline=300ms", "--remap-exit=1"], NOTES, &store);
        assert_eq!(watched.end().code, 1, "{place:?}: never that of a command");
    }
}

#[test]
fn with_nothing_to_read_the_command_runs_all_the_same() {
    let ended = Program::strongroom_init(&["--watch", "--", "sh", "-c", "echo $A; exit 4"]).env("A", "plain");
    let ended = ended.run_everywhere();
    assert_eq!((ended.code, ended.stdout.as_str()), (4, "plain\n"), "{}", ended.stderr);
}

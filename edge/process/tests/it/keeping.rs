//! A program that stays above its command and may start it again.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use crate::support::{
    Place, Running, as_first_process, children, everywhere, probe, send, send_value, status_of, until,
};

/// A program that restarts its command when it is told.
struct Kept {
    running: Running,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Kept {
    fn start(place: Place, settings: &[&str], script: &str) -> Self {
        Self::of(place, settings, &["sh", "-c", script])
    }

    fn of(place: Place, settings: &[&str], command: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("restart");
        let settings = [&["--keep", file.to_str().expect("text")], settings].concat();
        Self { running: Running::start(place, &settings, command), file, _folder: folder }
    }

    fn restart(&self) {
        File::create(&self.file).expect("a file");
    }

    fn line(&mut self) -> String {
        self.running.line()
    }

    /// Waits until the program says this; shells tell of what was ended under them, too.
    fn told(&mut self, words: &str) {
        loop {
            match self.running.error_line().as_str() {
                "" => panic!("it ended without saying {words:?}"),
                said if said == words => return,
                _ => {}
            }
        }
    }

    /// The program between supervisor and command.
    fn keeper(&self) -> i32 {
        self.running.child()
    }

    fn command(&self) -> i32 {
        let keeper = self.keeper();
        until("the command is there", || children(keeper).first().copied())
    }
}

/// Says which round it is, and sleeps.
const ROUNDS: &str = "echo round $ROUND; exec sleep 320";

#[test]
fn a_restart_ends_the_command_and_starts_the_new_one() {
    everywhere(|place| {
        for settings in [&[][..], &["--child-only"], &["--session"], &["--grace", "0"]] {
            let mut kept = Kept::start(place, settings, ROUNDS);
            assert_eq!(kept.line(), "round 0");
            let first = kept.command();
            for round in 1..3 {
                kept.restart();
                assert_eq!(kept.line(), format!("round {round}"), "{place:?} {settings:?}");
            }
            assert!(!std::path::Path::new(&format!("/proc/{first}")).exists(), "{place:?}: the first one is gone");
            kept.running.signal(libc::SIGTERM);
            assert_eq!(kept.running.end().0, 143, "{place:?} {settings:?}");
        }
    });
}

#[test]
fn the_first_process_is_the_bare_supervisor_while_the_program_still_resolves() {
    everywhere(|place| {
        let mut command = place.command(&["--keep", "/never", "--resolve", "20000"], &["echo", "started"]);
        command.env("INHERITED", "canary-of-the-environment");
        let mut running = Running::of(place, command);
        assert_eq!(running.error_line(), "resolving");
        running.settle();
        let supervisor = running.supervisor();
        assert_eq!(std::fs::read(format!("/proc/{supervisor}/environ")).expect("reads"), b"");
        running.signal(libc::SIGTERM);
        let (code, output, _) = running.end();
        assert_eq!((code, output.as_str()), (143, ""), "{place:?}: the command never starts");
    });
}

#[test]
fn a_signal_at_any_moment_around_the_start_ends_the_kept_command() {
    everywhere(|place| {
        for round in 0..40_u64 {
            let running = Running::start(place, &["--keep", "/never", "--resolve", "3"], &["sleep", "321"]);
            let supervisor = running.supervisor();
            until("signals are held back", || {
                let arguments = std::fs::read_to_string(format!("/proc/{supervisor}/cmdline")).ok()?;
                arguments.starts_with(probe().to_str()?).then_some(())?;
                let blocked = u64::from_str_radix(&status_of(supervisor, "SigBlk")?, 16).ok()?;
                (blocked & 1 << (libc::SIGTERM - 1) != 0 || arguments.contains("supervisor")).then_some(())
            });
            std::thread::sleep(Duration::from_micros(round * 200));
            running.signal(libc::SIGTERM);
            assert_eq!(running.end().0, 143, "{place:?} round {round}");
        }
    });
}

#[test]
fn the_program_ends_as_its_command_ends() {
    everywhere(|place| {
        let check = |settings: &[&str], script: &str, want: i32| {
            let settings = [&["--keep", "/never"], settings].concat();
            assert_eq!(place.run(&settings, &["sh", "-c", script]).0, want, "{place:?} {settings:?} {script}");
        };
        check(&[], "exit 0", 0);
        check(&[], "exit 7", 7);
        check(&[], "kill -9 $$", 137);
        check(&["--remap", "7:2", "--remap", "2:9"], "exit 7", 2);
        check(&["--remap", "137"], "kill -9 $$", 0);
        // What it leaves behind is the supervisor's.
        check(&[], "setsid sleep 322 & exit 3", 3);
        let (code, _, errors) = place.run(&["--keep", "/never"], &["/no/such"]);
        assert_eq!(code, 127);
        assert_eq!(errors, "failed to run: failed to start command: /no/such: No such file or directory\n");
    });
}

#[test]
fn each_signal_reaches_the_kept_command_once_in_its_group_or_alone() {
    everywhere(|place| {
        for settings in [&[][..], &["--child-only"], &["--session"]] {
            let probe = probe();
            let mut kept = Kept::of(place, settings, &[probe.to_str().expect("text"), "count"]);
            assert_eq!(kept.line(), "ready");
            kept.running.settle();
            let supervisor = kept.running.supervisor();
            for value in 0..20 {
                send_value(supervisor, 40, value);
            }
            send(supervisor, libc::SIGHUP);
            let mut lines = Vec::new();
            while lines.last().is_none_or(|line: &String| !line.starts_with("1 0 ")) {
                lines.push(kept.line());
            }
            // To the program in between, by somebody who took it for the first one.
            send(kept.keeper(), libc::SIGUSR1);
            kept.running.signal(libc::SIGTERM);
            let (code, output, errors) = kept.running.end();
            assert_eq!(code, 0, "{errors}");
            lines.extend(output.lines().map(str::to_owned));
            let count = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
            assert_eq!(
                (count("40 "), count("1 "), count("10 "), count("15 ")),
                (20, 1, 1, 1),
                "{place:?} {settings:?}"
            );
        }
    });
}

#[test]
fn a_command_that_left_the_group_gets_its_signals_all_the_same() {
    everywhere(|place| {
        let mut kept =
            Kept::start(place, &[], "exec setsid sh -c 'trap \"exit 5\" TERM; echo up; while :; do sleep 0.05; done'");
        assert_eq!(kept.line(), "up");
        kept.running.signal(libc::SIGTERM);
        assert_eq!(kept.running.end().0, 5, "{place:?}");
    });
}

/// Ignores SIGTERM in its first round, and tells of SIGUSR1 in the second.
const STUBBORN: &str = "if [ $ROUND = 0 ]; then trap '' TERM; else trap 'echo told; exit 4' USR1; fi; \
                        echo round $ROUND; while :; do sleep 0.05; done";

#[test]
fn what_ignores_a_restart_is_killed_when_the_grace_is_over() {
    everywhere(|place| {
        for settings in [["--grace", "300", "--session"], ["--grace", "300", "--child-only"]] {
            let left_group = format!("setsid sh -c 'trap \"\" TERM; while :; do sleep 0.05; done' & {STUBBORN}");
            let mut kept = Kept::start(place, &settings, &left_group);
            assert_eq!(kept.line(), "round 0");
            let before = children(kept.command());
            kept.restart();
            assert_eq!(kept.line(), "round 1");
            let gone = |process: &i32| status_of(*process, "State").is_none_or(|state| state.starts_with('Z'));
            assert!(before.iter().all(gone), "{place:?} {settings:?}: also what had left the group");
        }
    });
}

#[test]
fn signals_that_come_during_a_restart_reach_the_new_command() {
    everywhere(|place| {
        for settings in [["--grace", "900", "--session"], ["--grace", "900", "--child-only"]] {
            let mut kept = Kept::start(place, &settings, STUBBORN);
            assert_eq!(kept.line(), "round 0");
            kept.restart();
            kept.told("restarting");
            std::thread::sleep(Duration::from_millis(100));
            kept.running.signal(libc::SIGUSR1);
            let (code, output, _) = kept.running.end();
            // Where the signal came before the shell had set its trap, it has died of it.
            assert!(code == 4 && output.contains("told") || code == 128 + libc::SIGUSR1, "{place:?} {code} {output}");
        }
    });
}

#[test]
fn a_sigterm_during_a_restart_is_the_end() {
    everywhere(|place| {
        for settings in [["--grace", "25000", "--session"], ["--grace", "25000", "--child-only"]] {
            let script =
                "trap 'sleep 0.7; echo cleaned up; exit 6' TERM; echo round $ROUND; while :; do sleep 0.05; done";
            let mut kept = Kept::start(place, &settings, script);
            assert_eq!(kept.line(), "round 0");
            kept.restart();
            kept.told("restarting");
            std::thread::sleep(Duration::from_millis(200));
            kept.running.signal(libc::SIGTERM);
            let (code, output, _) = kept.running.end();
            assert_eq!((code, output.as_str()), (6, "cleaned up\n"), "{place:?} {settings:?}: it may take its time");
        }
    });
}

#[test]
fn after_a_sigterm_nothing_is_restarted() {
    let mut kept =
        Kept::start(Place::Outside, &[], "trap 'echo asked' TERM; echo round $ROUND; while :; do sleep 0.05; done");
    assert_eq!(kept.line(), "round 0");
    kept.running.signal(libc::SIGTERM);
    assert_eq!(kept.line(), "asked");
    kept.restart();
    kept.told("restarting");
    kept.told("Ending");
    send(kept.command(), libc::SIGKILL);
    assert_eq!(kept.running.end().0, 137);
}

#[test]
fn a_sigterm_at_any_moment_around_a_restart_is_never_lost() {
    for round in 0..30_u64 {
        let mut kept = Kept::start(Place::Outside, &["--child-only"][..usize::from(round % 2 == 0)], ROUNDS);
        assert_eq!(kept.line(), "round 0");
        kept.restart();
        kept.told("restarting");
        std::thread::sleep(Duration::from_micros(round * 150));
        kept.running.signal(libc::SIGTERM);
        assert_eq!(kept.running.end().0, 143, "round {round}");
    }
}

#[test]
fn the_kept_command_has_no_blocked_and_no_ignored_signals_and_no_other_descriptors() {
    as_first_process(|| {
        let script = "cat /proc/self/status; ls /proc/self/fd; echo end; exec sleep 323";
        let mut kept = Kept::start(Place::First, &["--resolve", "5"], script);
        for _ in 0..2 {
            let mut shown = String::new();
            while !shown.ends_with("\nend\n") {
                shown.push_str(&kept.line());
                shown.push('\n');
            }
            for field in ["SigPnd", "SigBlk", "SigIgn", "SigCgt"] {
                assert!(shown.contains(&format!("{field}:\t0000000000000000\n")), "{shown}");
            }
            // The fourth is the listing's own.
            assert!(shown.ends_with("\n0\n1\n2\n3\nend\n"), "{shown}");
            kept.restart();
        }
    });
}

//! The time before the child is there.

use std::time::{Duration, Instant};

use crate::support::{Place, Running, everywhere, status_of};

#[test]
fn a_signal_while_resolving_ends_the_program_at_once_and_the_child_never_starts() {
    everywhere(|place| {
        let check = |signal: i32| {
            let mut running = Running::start(place, &["--resolve", "20000"], &["echo", "started"]);
            assert_eq!(running.error_line(), "resolving");
            let sent = Instant::now();
            running.signal(signal);
            let (code, output, _) = running.end();
            assert_eq!((code, output.as_str()), (128 + signal, ""), "{place:?}");
            assert!(sent.elapsed() < Duration::from_secs(5), "{place:?}");
        };
        for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGUSR1, 34, 64] {
            check(signal);
        }
    });
}

#[test]
fn signals_that_mean_nothing_do_not_end_the_resolving() {
    everywhere(|place| {
        let mut running = Running::start(place, &["--resolve", "600"], &["echo", "started"]);
        assert_eq!(running.error_line(), "resolving");
        for signal in [libc::SIGCHLD, libc::SIGURG, libc::SIGWINCH, libc::SIGCONT, libc::SIGPIPE] {
            running.signal(signal);
        }
        let (code, output, _) = running.end();
        assert_eq!((code, output.as_str()), (0, "started\n"), "{place:?}");
    });
}

#[test]
fn a_signal_at_any_moment_around_the_start_is_never_lost() {
    everywhere(|place| {
        for round in 0..60_u64 {
            let running = Running::start(place, &["--resolve", "3"], &["sleep", "303"]);
            let supervisor = running.supervisor();
            // Before the first line of main the kernel would drop it for a first process.
            crate::support::until("signals are held back", || {
                // Not `unshare` any more, which blocks signals for a moment as well.
                let arguments = std::fs::read_to_string(format!("/proc/{supervisor}/cmdline")).ok()?;
                arguments.starts_with(crate::support::probe().to_str()?).then_some(())?;
                let blocked = u64::from_str_radix(&status_of(supervisor, "SigBlk")?, 16).ok()?;
                // A supervisor that waits for signals shows none as blocked.
                (blocked & 1 << (libc::SIGTERM - 1) != 0 || arguments.contains("supervisor")).then_some(())
            });
            std::thread::sleep(Duration::from_micros(round * 150));
            running.signal(libc::SIGTERM);
            assert_eq!(running.end().0, 143, "{place:?} round {round}");
        }
    });
}

#[test]
fn a_signal_around_executing_is_not_lost_either() {
    use std::os::unix::process::ExitStatusExt;
    for round in 0..40_u64 {
        let mut command = Place::Outside.command(&["--resolve", "3", "--exec"], &["sleep", "307"]);
        let mut process = command.stderr(std::process::Stdio::null()).spawn().expect("starts");
        std::thread::sleep(Duration::from_micros(2000 + round * 100));
        crate::support::send(i32::try_from(process.id()).expect("a number"), libc::SIGTERM);
        let status = crate::support::until("it ends", || process.try_wait().expect("waits"));
        // By itself while resolving, or killed as the program that it has become.
        assert!(status.code() == Some(143) || status.signal() == Some(libc::SIGTERM), "round {round}: {status}");
    }
}

#[test]
fn job_control_stops_the_resolving_and_continues_it() {
    let mut running = Running::start(Place::Outside, &["--resolve", "500"], &["echo", "started"]);
    assert_eq!(running.error_line(), "resolving");
    // Not SIGTSTP: without a shell above, the kernel does not stop a group for it.
    running.signal(libc::SIGSTOP);
    let supervisor = running.supervisor();
    crate::support::until("it is stopped", || status_of(supervisor, "State")?.starts_with('T').then_some(()));
    running.signal(libc::SIGCONT);
    assert_eq!(running.end().1, "started\n");
}

#[test]
fn no_core_is_dumped_and_no_neighbour_reads_the_memory_while_resolving() {
    crate::support::as_first_process(|| {
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]);
        command.arg(crate::support::probe()).args(["launch", "--wait-protected", "--", "true"]);
        let mut running = Running::of(Place::Outside, command);
        assert_eq!(running.line(), "protected");
        let launcher = running.supervisor();
        let limits = std::fs::read_to_string(format!("/proc/{launcher}/limits")).expect("limits");
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a line").to_owned();
        assert_eq!(core.split_ascii_whitespace().nth(4), Some("0"), "{core}");
        let mut neighbour = std::process::Command::new("setpriv");
        neighbour.args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "cat",
            &format!("/proc/{launcher}/environ"),
        ]);
        let (code, _, errors) = crate::support::told(neighbour.output().expect("runs"));
        assert_eq!(code, 1);
        assert!(errors.contains("Permission denied"), "{errors}");
        running.signal(libc::SIGKILL);
    });
}

#[test]
fn an_ordinary_user_s_program_executes_itself_again() {
    crate::support::as_first_process(|| {
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", "--bounding-set=-all"]);
        command.args(["--inh-caps=-all"]).arg(crate::support::probe());
        command.args(["launch", "--env", "SECRET=canary", "--", "sh", "-c", "echo up; exec sleep 60"]);
        let mut running = Running::of(Place::Outside, command);
        assert_eq!(running.line(), "up");
        crate::support::until("the supervisor has taken over", || {
            let environment = std::fs::read(format!("/proc/{}/environ", running.supervisor())).ok()?;
            environment.is_empty().then_some(())
        });
        running.signal(libc::SIGTERM);
        let (code, _, errors) = running.end();
        assert_eq!((code, errors.as_str()), (143, ""));
    });
}

//! With which code the program ends, and when.

use std::time::{Duration, Instant};

use crate::support::{Place, Running, everywhere};

#[test]
fn si_02_the_child_s_exit_code_is_the_program_s() {
    everywhere(|place| {
        let check = |script: &str, want: i32| assert_eq!(place.run(&[], &["sh", "-c", script]).0, want, "{place:?}");
        check("exit 0", 0);
        check("exit 7", 7);
        check("exit 255", 255);
    });
}

#[test]
fn si_03_killed_child_gives_128_plus_n() {
    everywhere(|place| {
        let check = |signal: i32| {
            let script = format!("kill -{signal} $$; sleep 60");
            assert_eq!(place.run(&[], &["sh", "-c", &script]).0, 128 + signal, "{place:?}");
        };
        for signal in [1, 2, 6, 9, 15, 34, 64] {
            check(signal);
        }
    });
}

#[test]
fn exit_codes_are_remapped_also_those_of_killed_children() {
    everywhere(|place| {
        let check = |remaps: &[&str], script: &str, want: i32| {
            let settings: Vec<&str> = remaps.iter().flat_map(|&remap| ["--remap", remap]).collect();
            assert_eq!(place.run(&settings, &["sh", "-c", script]).0, want, "{place:?} {remaps:?} {script}");
        };
        check(&["143:0"], "kill -15 $$", 0);
        check(&["143"], "kill -15 $$", 0);
        check(&["0:3", "7:4"], "exit 7", 4);
        check(&["0:3", "7:4"], "exit 0", 3);
        check(&["7:4"], "exit 8", 8);
    });
}

#[test]
fn si_07_the_program_ends_when_its_child_ends_though_a_grandchild_lives() {
    everywhere(|place| {
        let started = Instant::now();
        let (code, output, _) = place.run(&[], &["sh", "-c", "sleep 300 & echo $!; exit 3"]);
        assert_eq!(code, 3);
        assert!(started.elapsed() < Duration::from_secs(4), "{place:?}: SIGTERM was enough, the limit is not waited");
        if place == Place::Outside {
            assert!(!std::path::Path::new(&format!("/proc/{}", output.trim())).exists(), "the grandchild was ended");
        }
    });
}

#[test]
fn what_remains_is_asked_to_end_and_may_take_its_time_within_the_limit() {
    everywhere(|place| {
        let slow = "trap 'sleep 0.3; echo cleaned up; exit' TERM; echo trapped; while :; do sleep 0.05; done";
        let script = format!("sh -c \"{slow}\" & sleep 0.5; exit 5");
        let (code, output, _) = place.run(&["--grace", "20000"], &["sh", "-c", &script]);
        assert_eq!((code, output.as_str()), (5, "trapped\ncleaned up\n"), "{place:?}");
    });
}

#[test]
fn what_ignores_being_asked_is_killed_when_the_limit_has_passed() {
    everywhere(|place| {
        let script = "setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 0.05; done' & sleep 0.5; exit 6";
        let started = Instant::now();
        let (code, output, _) = place.run(&["--grace", "700"], &["sh", "-c", script]);
        let took = started.elapsed();
        assert_eq!(code, 6, "{place:?}");
        assert!(took > Duration::from_millis(1100) && took < Duration::from_secs(6), "{place:?}: {took:?}");
        if place == Place::Outside {
            assert!(!std::path::Path::new(&format!("/proc/{}", output.trim())).exists(), "even in another session");
        }
    });
}

#[test]
fn with_the_proc_of_another_namespace_what_remains_is_ended_and_no_stranger_is_touched() {
    crate::support::as_first_process(|| {
        let mut command = std::process::Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child"]).arg(crate::support::probe());
        command.args(["launch", "--grace", "20000", "--", "sh", "-c", "setsid sleep 306 & exit 8"]);
        let started = Instant::now();
        let (code, ..) = crate::support::told(command.stdin(std::process::Stdio::null()).output().expect("runs"));
        assert_eq!(code, 8);
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    });
}

#[test]
fn a_stopped_grandchild_ends_as_well() {
    everywhere(|place| {
        let started = Instant::now();
        let (code, ..) = place.run(&["--grace", "20000"], &["sh", "-c", "sleep 300 & kill -STOP $!; exit 4"]);
        assert_eq!(code, 4);
        assert!(started.elapsed() < Duration::from_secs(10), "{place:?}");
    });
}

#[test]
fn without_a_grace_what_remains_is_left_alone() {
    let (code, output, _) = Place::Outside.run(&["--grace", "0"], &["sh", "-c", "sleep 301 >/dev/null 2>&1 & echo $!"]);
    assert_eq!(code, 0);
    let survivor: i32 = output.trim().parse().expect("a number");
    assert_eq!(crate::support::status_of(survivor, "Name").as_deref(), Some("sleep"));
    crate::support::send(survivor, libc::SIGKILL);
}

#[test]
fn a_second_signal_reaches_what_remains() {
    let script = "sh -c 'trap \"\" TERM; trap \"echo told; exit\" USR2; echo up; while :; do sleep 0.05; done' & \
                  sleep 0.5; exit 2";
    let mut running = Running::start(Place::Outside, &["--grace", "25000"], &["setsid", "--wait", "sh", "-c", script]);
    assert_eq!(running.line(), "up");
    std::thread::sleep(Duration::from_millis(1500));
    running.signal(libc::SIGUSR2);
    let (code, output, _) = running.end();
    assert_eq!((code, output.as_str()), (2, "told\n"));
}

#[test]
fn a_parent_s_death_can_be_a_signal() {
    let mut middle = std::process::Command::new("sh");
    let probe = crate::support::probe();
    middle.args(["-c", "\"$0\" launch --parent-death SIGTERM -- sleep 302 & echo $!; sleep 0.5"]).arg(probe);
    let (_, output, _) = crate::support::told(middle.stderr(std::process::Stdio::null()).output().expect("runs"));
    let supervisor: i32 = output.trim().parse().expect("a number");
    crate::support::until("the supervisor follows its parent", || {
        crate::support::status_of(supervisor, "State").is_none_or(|state| state.starts_with('Z')).then_some(())
    });
}

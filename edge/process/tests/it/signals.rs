//! What the supervisor does with the signals that it receives.

use std::collections::BTreeMap;

use crate::support::{Place, Running, children, everywhere, probe, send, send_value, until};

/// Starts a child that reports the signals that it gets.
fn counting(place: Place, settings: &[&str]) -> Running {
    let probe = probe();
    let mut running = Running::start(place, settings, &[probe.to_str().expect("text"), "count"]);
    assert_eq!(running.line(), "ready");
    // Rust's runtime ignores SIGPIPE when the supervisor starts, which forgets one that is waiting.
    running.settle();
    running
}

/// Ends a counting child; how often each signal had come, and with which values.
fn reported(running: Running) -> BTreeMap<i32, Vec<u32>> {
    running.signal(libc::SIGTERM);
    let (code, output, errors) = running.end();
    assert_eq!(code, 0, "{errors}");
    let mut all = BTreeMap::<i32, Vec<u32>>::new();
    for line in output.lines() {
        let numbers: Vec<u32> = line.split(' ').map(|word| word.parse().expect("a number")).collect();
        all.entry(numbers[0].cast_signed()).or_default().push(numbers[1]);
    }
    all
}

#[test]
fn si_06_every_signal_reaches_the_child_but_those_of_the_supervisor_itself() {
    everywhere(|place| {
        let running = counting(place, &[]);
        // Not sent: what cannot be caught, faults, the stops of a terminal, and the two of the C library, which the
        // counting child cannot wait for.
        let unsent = [libc::SIGKILL, libc::SIGSTOP, 4, 5, 6, 7, 8, 11, 31, libc::SIGTSTP, libc::SIGTERM, 32, 33];
        let sent: Vec<i32> = (1..=64).filter(|signal| !unsent.contains(signal)).collect();
        // A stop makes the kernel forget a waiting SIGCONT: the two stops go first.
        let is_stop = |signal: &i32| [libc::SIGTTIN, libc::SIGTTOU].contains(signal);
        let (stops, others): (Vec<i32>, Vec<i32>) = sent.iter().partition(|&signal| is_stop(signal));
        stops.into_iter().chain(others).for_each(|signal| running.signal(signal));
        let got: Vec<i32> = reported(running).into_keys().collect();
        let kept = [libc::SIGCHLD, libc::SIGURG, libc::SIGTTIN, libc::SIGTTOU];
        let mut want: Vec<i32> = sent.into_iter().filter(|signal| !kept.contains(signal)).collect();
        want.push(libc::SIGTERM);
        want.sort_unstable();
        assert_eq!(got, want, "{place:?}");
    });
}

#[test]
fn bursts_of_real_time_signals_are_all_forwarded_with_their_values_in_order() {
    everywhere(|place| {
        let running = counting(place, &[]);
        let supervisor = running.supervisor();
        for round in 0..100 {
            for signal in [34, 40, 64] {
                send_value(supervisor, signal, round);
                send(supervisor, signal + i32::from(signal == 34));
            }
        }
        let got = reported(running);
        assert_eq!(got[&34], (0..100).collect::<Vec<u32>>(), "{place:?}");
        assert_eq!(got[&35].len(), 100, "{place:?}");
        for signal in [40, 64] {
            let with_value: Vec<u32> = got[&signal].iter().copied().filter(|&value| value != 0).collect();
            assert_eq!((got[&signal].len(), with_value), (200, (1..100).collect()), "{place:?}");
        }
    });
}

#[test]
fn a_value_reaches_the_whole_group() {
    everywhere(|place| {
        let probe = probe();
        let two = format!("{0} count & exec {0} count", probe.display());
        let mut running = Running::start(place, &["--grace", "20000"], &["sh", "-c", &two]);
        assert_eq!((running.line(), running.line()), ("ready".to_owned(), "ready".to_owned()));
        send_value(running.supervisor(), 50, 4242);
        let (first, second) = (running.line(), running.line());
        assert!(first.starts_with("50 4242 ") && second.starts_with("50 4242 "), "{place:?}: {first} {second}");
    });
}

#[test]
fn si_06_the_whole_group_gets_a_signal() {
    everywhere(|place| {
        let script = "trap 'echo outer' USR1; \
                      sh -c 'trap \"echo inner; exit\" USR1; echo up; while :; do sleep 0.02; done' & \
                      wait; wait; exit 0";
        let mut running = Running::start(place, &[], &["sh", "-c", script]);
        assert_eq!(running.line(), "up");
        running.signal(libc::SIGUSR1);
        let mut lines = [running.line(), running.line()];
        lines.sort();
        assert_eq!(lines, ["inner", "outer"], "{place:?}");
    });
}

#[test]
fn the_child_alone_gets_a_signal_when_asked() {
    everywhere(|place| {
        for settings in [["--child-only"], ["--inherited-group"]] {
            let script = "trap 'echo outer' USR1; \
                          sh -c 'trap \"echo inner\" USR1; echo up; sleep 0.6; sleep 0.1' & wait; wait; exit 0";
            let mut running = Running::start(place, &settings, &["sh", "-c", script]);
            assert_eq!(running.line(), "up");
            running.signal(libc::SIGUSR1);
            let (code, output, _) = running.end();
            assert_eq!((code, output.as_str()), (0, "outer\n"), "{place:?} {settings:?}");
        }
    });
}

#[test]
fn a_stopped_child_is_continued_by_the_forwarded_signal() {
    everywhere(|place| {
        let running = Running::start(place, &[], &["sleep", "304"]);
        let child = running.child();
        let state = || crate::support::status_of(child, "State").and_then(|state| state.chars().next());
        until("the child has become its program", || {
            (crate::support::status_of(child, "Name")? == "sleep").then_some(())
        });
        send(child, libc::SIGSTOP);
        until("it is stopped", || (state()? == 'T').then_some(()));
        let supervisor = crate::support::status_of(running.supervisor(), "State").expect("a state");
        assert!(supervisor.starts_with('S') || supervisor.starts_with('R'), "not a terminal's stop: {supervisor}");
        running.signal(libc::SIGCONT);
        until("it is continued", || (state()? != 'T').then_some(()));
        running.signal(libc::SIGTERM);
        assert_eq!(running.end().0, 143, "{place:?}");
    });
}

#[test]
fn a_child_in_a_session_of_its_own_gets_signals_too() {
    everywhere(|place| {
        let running = Running::start(place, &["--session"], &["sleep", "305"]);
        assert_eq!(children(running.supervisor()).len().max(1), 1);
        let child = running.child();
        until("the child has become its program", || {
            (crate::support::status_of(child, "Name")? == "sleep").then_some(())
        });
        running.signal(libc::SIGINT);
        assert_eq!(running.end().0, 130, "{place:?}");
    });
}

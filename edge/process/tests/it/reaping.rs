//! Orphans come to the supervisor and leave no zombies.

use std::time::{Duration, Instant};

use crate::support::{Running, children, everywhere, probe, processes, until};

#[test]
fn si_07_a_thousand_orphans_are_reaped_at_once_and_none_stays() {
    everywhere(|place| {
        let probe = probe();
        let mut running = Running::start(place, &[], &[probe.to_str().expect("text"), "orphans", "1000", "20"]);
        let supervisor = running.supervisor();
        assert_eq!(running.line(), "done");
        let started = Instant::now();
        until("only the child is left", || (children(supervisor).len() == 1).then_some(()));
        assert!(started.elapsed() < Duration::from_secs(5), "{place:?}: {:?}", started.elapsed());
        running.signal(libc::SIGTERM);
        assert_eq!(running.end().0, 143);
    });
}

#[test]
fn an_orphan_is_adopted_while_it_lives_and_gone_when_it_ends() {
    everywhere(|place| {
        let mut running = Running::start(place, &[], &["sh", "-c", "(sleep 0.7 &); echo up; exec sleep 60"]);
        assert_eq!(running.line(), "up");
        let supervisor = running.supervisor();
        until("the orphan is ours", || (children(supervisor).len() == 2).then_some(()));
        until("the orphan is gone", || (children(supervisor).len() == 1).then_some(()));
        let zombies = processes().into_iter().filter(|process| process.state == 'Z' && process.parent == supervisor);
        assert_eq!(zombies.count(), 0, "{place:?}");
    });
}

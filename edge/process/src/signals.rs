//! Which signals are held back, forwarded or left alone. Pure: numbers and sets, no calls.

use libc::c_int;

/// The highest signal number of Linux on the architectures that we build for.
pub(crate) const LAST_SIGNAL: c_int = 64;

/// What the processor reports about the process itself: must keep killing it, even when blocked by mistake.
const FAULTS: [c_int; 7] =
    [libc::SIGILL, libc::SIGTRAP, libc::SIGABRT, libc::SIGBUS, libc::SIGFPE, libc::SIGSEGV, libc::SIGSYS];

/// Signals that by default stop a process or do nothing: they must not end the program while it resolves.
///
/// `SIGPIPE` is one of them because Rust's runtime ignores it: a broken log pipe raises it in the writing thread.
const HARMLESS: [c_int; 9] = [
    libc::SIGCHLD,
    libc::SIGURG,
    libc::SIGWINCH,
    libc::SIGCONT,
    libc::SIGSTOP,
    libc::SIGTSTP,
    libc::SIGTTIN,
    libc::SIGTTOU,
    libc::SIGPIPE,
];

/// The two real-time signals that the C library keeps for its threads: blocked only once there are no threads.
const OF_THE_C_LIBRARY: [c_int; 2] = [32, 33];

/// A set of signals as the kernel keeps it: signal `n` is bit `n - 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct SignalSet(pub(crate) u64);

impl SignalSet {
    /// No signal: the clean mask that a child starts with.
    pub(crate) const EMPTY: Self = Self(0);

    /// Every signal, also those that the C library hides: while a child is being started.
    pub(crate) const ALL: Self = Self(u64::MAX);

    /// What ends the program while references are resolved.
    pub(crate) fn ending() -> Self {
        Self::ALL.without(&FAULTS).without(&HARMLESS).without(&OF_THE_C_LIBRARY)
    }

    /// What the supervisor waits for: all but the faults.
    pub(crate) fn supervised() -> Self {
        Self::ALL.without(&FAULTS)
    }

    /// The one that tells of a child's end or stop.
    pub(crate) fn of_child() -> Self {
        Self(bit(libc::SIGCHLD))
    }

    /// Whether the set has `signal`.
    pub(crate) fn contains(self, signal: c_int) -> bool {
        (1..=LAST_SIGNAL).contains(&signal) && self.0 & bit(signal) != 0
    }

    /// The lowest signal of both sets.
    pub(crate) fn first_common(self, other: Self) -> Option<c_int> {
        (1..=LAST_SIGNAL).find(|&signal| self.contains(signal) && other.contains(signal))
    }

    pub(crate) fn without(self, signals: &[c_int]) -> Self {
        Self(signals.iter().fold(self.0, |set, &signal| set & !bit(signal)))
    }
}

/// Whether a signal that the supervisor received is for the child.
///
/// The end of a child and urgent socket data concern only the process that they happen to; a stop for using the
/// terminal from the background is the supervisor's own affair.
pub(crate) fn is_forwarded(signal: c_int) -> bool {
    SignalSet::supervised().contains(signal)
        && ![libc::SIGCHLD, libc::SIGURG, libc::SIGTTIN, libc::SIGTTOU].contains(&signal)
}

/// Whether a terminal sends this signal by itself to its whole foreground group when a key is pressed.
pub(crate) fn is_key(signal: c_int) -> bool {
    [libc::SIGINT, libc::SIGQUIT, libc::SIGTSTP].contains(&signal)
}

/// Whether this is one of the stops that a terminal causes.
pub(crate) fn is_terminal_stop(signal: c_int) -> bool {
    [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU].contains(&signal)
}

fn bit(signal: c_int) -> u64 {
    1 << (signal - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn si_06_all_signals_are_forwarded_but_child_urgent_terminal_and_faults() {
        let kept: Vec<c_int> = (1..=LAST_SIGNAL).filter(|&signal| !is_forwarded(signal)).collect();
        assert_eq!(kept, [4, 5, 6, 7, 8, 11, 17, 21, 22, 23, 31]);
    }

    #[test]
    fn while_resolving_only_what_would_kill_ends_the_program() {
        let spared: Vec<c_int> = (1..=LAST_SIGNAL).filter(|&signal| !SignalSet::ending().contains(signal)).collect();
        assert_eq!(spared, [4, 5, 6, 7, 8, 11, 13, 17, 18, 19, 20, 21, 22, 23, 28, 31, 32, 33]);
    }

    #[test]
    fn the_lowest_common_signal_is_found() {
        let check = |left: u64, right: u64, want: Option<c_int>| {
            assert_eq!(SignalSet(left).first_common(SignalSet(right)), want);
        };
        check(0, u64::MAX, None);
        check(0b110, 0b101, Some(3));
        check(1 << 63, u64::MAX, Some(64));
    }
}

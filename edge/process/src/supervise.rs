//! The bare supervisor: hands signals on, waits for ended processes, follows the terminal, and ends as its child ends.

use std::io::Write;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl;

use crate::arguments::Supervision;
use crate::descendants;
use crate::options::{ExitRemap, Forward, Group};
use crate::signals::{self, SignalSet};
use crate::system::{self, Change, Received};
use crate::terminal;

/// How long processes may take to vanish after `SIGKILL`; one that hangs in the kernel must not keep us.
pub(crate) const KILL_LIMIT: Duration = Duration::from_secs(1);

/// How often `SIGKILL` is repeated meanwhile, for those that were started in between.
pub(crate) const KILL_INTERVAL: Duration = Duration::from_millis(20);

/// The exit code of a supervisor whose child is not its own: it was called by hand.
const NOT_OUR_CHILD: u8 = 1;

impl Supervision {
    /// Supervises until the child has ended and what it left behind was stopped, then exits with its code.
    pub fn run(self) -> ! {
        // Blocked already where a launching program called us; what arrived in between waits for us.
        system::set_mask(SignalSet::supervised());
        if std::process::id() != 1 {
            let _ = prctl::set_child_subreaper(true);
        }
        self.restore_name();
        let mut supervisor = Supervisor { told: self, members: None, trimmed: false };
        let code = supervisor.until_child_ends();
        if supervisor.told.terminal {
            terminal::take_back_from(supervisor.told.child);
        }
        supervisor.stop_what_remains();
        std::process::exit(ExitRemap::apply(&supervisor.told.exit_remap, code).into())
    }

    /// After executing `/proc/self/exe` the process table shows `exe`; people look for the program's name.
    fn restore_name(&self) {
        let name = self.short_name().as_encoded_bytes();
        if let Ok(name) = std::ffi::CString::new(name) {
            let _ = prctl::set_name(&name);
        }
    }
}

/// A supervision in progress.
struct Supervisor {
    told: Supervision,
    /// The members of the child's group, while a burst of signals with values lasts.
    members: Option<Vec<i32>>,
    /// Whether the memory that starting took was given back.
    trimmed: bool,
}

impl Supervisor {
    /// Handles signals until the child has ended; its exit code.
    fn until_child_ends(&mut self) -> u8 {
        // It may have ended before we were there to be told.
        if let Some(code) = self.take_changes() {
            return code;
        }
        loop {
            let received = self.next_signal();
            if received.signal() == libc::SIGCHLD {
                if let Some(code) = self.take_changes() {
                    return code;
                }
            } else {
                self.handle(&received);
            }
        }
    }

    /// The next signal, in bursts without forgetting what is known about the receivers.
    fn next_signal(&mut self) -> Received {
        let supervised = SignalSet::supervised();
        if let Some(received) = system::wait(supervised, Some(Duration::ZERO)) {
            return received;
        }
        self.members = None;
        if !self.trimmed {
            self.trimmed = true;
            system::forget_program_pages();
        }
        loop {
            if let Some(received) = system::wait(supervised, None) {
                return received;
            }
        }
    }

    /// Takes the end of every process that has ended, ours and adopted; the child's exit code when it is among them.
    fn take_changes(&mut self) -> Option<u8> {
        self.members = None;
        loop {
            match system::take_change() {
                Ok(Some((process, change))) if process == self.told.child => match change {
                    Change::Ended(code) => return Some(code),
                    Change::Stopped(signal) => self.follow_stop(signal),
                },
                Ok(Some(_)) | Err(Errno::EINTR) => {}
                Ok(None) => return None,
                Err(_) => {
                    let _ = writeln!(std::io::stderr(), "error: process {} is not our child", self.told.child);
                    return Some(NOT_OUR_CHILD);
                }
            }
        }
    }

    fn handle(&mut self, received: &Received) {
        let signal = received.signal();
        // What we sent to our own group when stopping, or a log pipe that broke under us.
        if received.is_from_ourselves() || !signals::is_forwarded(signal) {
            return;
        }
        // In a shared group the terminal has told the child itself.
        if self.told.group == Group::Inherited && received.is_from_kernel() && signals::is_key(signal) {
            return;
        }
        if signal == libc::SIGCONT && self.told.terminal && terminal::is_ours() {
            terminal::give_to(self.told.child);
        }
        self.forward(received);
    }

    fn forward(&mut self, received: &Received) {
        if received.has_value() {
            for process in self.receivers() {
                system::queue_patiently(process, received);
            }
        } else {
            // A receiver that has just ended is no failure.
            let _ = system::send(self.target(), received.signal());
        }
    }

    /// Whom a signal is sent to, as `kill` takes it: a process, or a group as a negative number.
    fn target(&self) -> i32 {
        if self.signals_group() { -self.told.child } else { self.told.child }
    }

    fn signals_group(&self) -> bool {
        self.told.forward == Forward::Group && self.told.group != Group::Inherited
    }

    /// The same as single processes: the kernel sends values to one process at a time.
    fn receivers(&mut self) -> Vec<i32> {
        let child = self.told.child;
        if !self.signals_group() {
            return vec![child];
        }
        self.members.get_or_insert_with(|| descendants::members(child).unwrap_or_else(|| vec![child])).clone()
    }

    /// The child was stopped: lends it the terminal if that is what it lacks, or stops with it so that the shell
    /// above can go on.
    fn follow_stop(&self, signal: i32) {
        let child = self.told.child;
        let used_terminal = signal == libc::SIGTTIN || signal == libc::SIGTTOU;
        if used_terminal && self.told.terminal && terminal::is_ours() {
            terminal::give_to(child);
            let _ = system::send(self.target(), libc::SIGCONT);
        } else if terminal::has_job_control() {
            self.stop_with_child(signal);
        } else if self.told.terminal && signal == libc::SIGTSTP {
            // Nobody could ever continue us or the child: the key has no effect, as without us.
            let _ = system::send(self.target(), libc::SIGCONT);
        }
    }

    /// Stops this process as its child was stopped. The shell's continuation arrives as a signal like any other.
    fn stop_with_child(&self, signal: i32) {
        if self.told.terminal {
            terminal::take_back_from(self.told.child);
        }
        // The key would have reached the rest of our own group, a pipeline, had the child not been in front of it.
        if signals::is_terminal_stop(signal) && self.told.group != Group::Inherited && self.told.terminal {
            let _ = system::send(0, signal);
        }
        if signals::is_terminal_stop(signal) || self.told.terminal {
            let _ = system::send(nix::unistd::getpid().as_raw(), libc::SIGSTOP);
        }
    }

    /// Asks every process that the child has left behind to end, waits, and kills what is still there.
    fn stop_what_remains(&mut self) {
        if self.told.grace.is_zero() || !has_children() {
            return;
        }
        self.signal_descendants(libc::SIGTERM);
        // A stopped process takes its SIGTERM only when it is continued.
        self.signal_descendants(libc::SIGCONT);
        if self.wait_for_descendants(self.told.grace) {
            return;
        }
        let limit = Instant::now() + KILL_LIMIT;
        while Instant::now() < limit {
            self.signal_descendants(libc::SIGKILL);
            if self.wait_for_descendants(KILL_INTERVAL) {
                return;
            }
        }
    }

    /// Waits until no process is left, passing on signals that arrive; false when `limit` has passed first.
    fn wait_for_descendants(&self, limit: Duration) -> bool {
        let limit = Instant::now() + limit;
        while has_children() {
            let left = limit.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            if let Some(received) = system::wait(SignalSet::supervised(), Some(left))
                && signals::is_forwarded(received.signal())
                && !received.is_from_ourselves()
            {
                self.signal_descendants(received.signal());
            }
        }
        true
    }

    fn signal_descendants(&self, signal: i32) {
        if let Some(processes) = descendants::of(nix::unistd::getpid().as_raw()) {
            for process in processes {
                let _ = system::send(process, signal);
            }
        } else if std::process::id() == 1 {
            let _ = system::send(-1, signal);
        } else if self.told.group != Group::Inherited {
            let _ = system::send(-self.told.child, signal);
        }
    }
}

/// Takes the end of every process that has ended; whether any child is left.
fn has_children() -> bool {
    loop {
        match system::take_change() {
            Ok(Some(_)) | Err(Errno::EINTR) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

//! Signals to processes that this program did not start: told by their name or their number.

use nix::errno::Errno;
use nix::sys::signal::Signal;

use crate::{descendants, system};

/// Why nobody was told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignalError {
    /// Without `/proc`, or with that of another PID namespace, names lead nowhere.
    #[error("there is no /proc of the processes that this program sees")]
    NoProc,
    /// Nobody bears the name, or the number.
    #[error("no process {0} is seen")]
    NoProcess(String),
    /// The number is this program's own, or none of one process.
    #[error("the number {0} is not another process's")]
    NotAnother(i32),
    /// The kernel refuses: the process is another user's.
    #[error("process {0} is another user's")]
    Denied(i32),
    /// The kernel refuses for another reason.
    #[error("process {0} cannot be signalled: {1}")]
    Refused(i32, &'static str),
}

/// Sends `signal` to every process that bears `name` (`/proc/PID/comm`) and whose parent does not; how many it reached.
/// One that cannot be reached is left out while there are others.
///
/// # Errors
/// Where it reached nobody.
pub fn signal_named(name: &str, signal: Signal) -> Result<usize, SignalError> {
    let masters = descendants::masters(name.as_bytes()).ok_or(SignalError::NoProc)?;
    let mut failed = SignalError::NoProcess(format!("of the name \"{name}\""));
    let mut reached = 0;
    for master in masters.into_iter().filter(|&master| !is_ourselves(master)) {
        match signal_process(master, signal) {
            Ok(()) => reached += 1,
            // It has ended since.
            Err(SignalError::NoProcess(_)) => {}
            Err(error) => failed = error,
        }
    }
    if reached == 0 { Err(failed) } else { Ok(reached) }
}

/// Sends `signal` to the process of this number, as this program's PID namespace counts.
///
/// # Errors
/// Where it is not there, not another one, or may not be signalled.
pub fn signal_process(number: i32, signal: Signal) -> Result<(), SignalError> {
    // Numbers below 1 stand for groups, and for everybody.
    if number < 1 || is_ourselves(number) {
        return Err(SignalError::NotAnother(number));
    }
    system::send(number, signal as i32).map_err(|errno| match errno {
        Errno::ESRCH => SignalError::NoProcess(format!("of the number {number}")),
        Errno::EPERM => SignalError::Denied(number),
        other => SignalError::Refused(number, other.desc()),
    })
}

fn is_ourselves(number: i32) -> bool {
    number == nix::unistd::getpid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn groups_everybody_and_ourselves_are_never_signalled() {
        let ourselves = nix::unistd::getpid().as_raw();
        for number in [0, -1, -ourselves, i32::MIN, ourselves] {
            assert_eq!(signal_process(number, Signal::SIGKILL), Err(SignalError::NotAnother(number)));
        }
        let gone = signal_process(i32::MAX, Signal::SIGTERM);
        assert_eq!(gone, Err(SignalError::NoProcess(format!("of the number {}", i32::MAX))));
    }

    #[test]
    fn a_process_is_reached_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("sr{}", std::process::id());
        std::fs::copy("/bin/sleep", folder.path().join(&name)).unwrap();
        let nobody = signal_named(&name, Signal::SIGTERM);
        assert_eq!(nobody, Err(SignalError::NoProcess(format!("of the name \"{name}\""))));
        let mut child = Command::new(folder.path().join(&name)).arg("60").stdin(Stdio::null()).spawn().unwrap();
        assert_eq!(signal_named(&name, Signal::SIGTERM), Ok(1));
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&child.wait().unwrap()), Some(15));
    }
}

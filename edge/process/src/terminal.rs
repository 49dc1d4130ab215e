//! Who is in the foreground of the terminal on standard input. Safe to call at any time: a terminal that is gone
//! changes nothing.

use std::io::stdin;

use nix::unistd::{Pid, getpgrp, getppid, getsid, tcgetpgrp, tcsetpgrp};

/// Whether standard input is the terminal that controls this process.
pub(crate) fn is_controlling() -> bool {
    tcgetpgrp(stdin()).is_ok()
}

/// Whether our own process group is in the foreground.
pub(crate) fn is_ours() -> bool {
    tcgetpgrp(stdin()) == Ok(getpgrp())
}

/// Puts the group `group` in the foreground. `SIGTTOU` must be blocked: we may be in the background ourselves.
pub(crate) fn give_to(group: i32) {
    let _ = tcsetpgrp(stdin(), Pid::from_raw(group));
}

/// Puts our own group in the foreground where `group` is in it; another one stays.
pub(crate) fn take_back_from(group: i32) {
    if tcgetpgrp(stdin()) == Ok(Pid::from_raw(group)) {
        give_to(getpgrp().as_raw());
    }
}

/// Whether there is a shell that could continue us if we stopped: our session has a terminal and our parent is part of
/// it, and we are not the first process of a container, which nothing can stop.
pub(crate) fn has_job_control() -> bool {
    let parent = getppid();
    let parent_is_in_our_session = || getsid(Some(parent)).is_ok_and(|session| getsid(None) == Ok(session));
    std::process::id() != 1
        && parent.as_raw() != 0
        && parent_is_in_our_session()
        && std::fs::File::open("/dev/tty").is_ok()
}

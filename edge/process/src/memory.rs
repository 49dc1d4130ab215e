//! Keeping the memory of a long-lived program to itself.

use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::system;

/// What could be done for the memory of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guarded {
    /// No core dump is written, and no process of the same user reads this one's memory.
    pub from_dumps: bool,
    /// Nothing of it is written to a swap device.
    pub from_swap: bool,
}

/// What calls that have returned may have used of a thread's stack, mostly much less.
const STACK: usize = 32 * 1024;

/// Overwrites what calls that have returned left on this thread's stack: copies that a library made of what it was given.
#[inline(never)]
pub fn wipe_stack() {
    let mut left = [0_u8; STACK];
    std::hint::black_box(&mut left);
}

/// Gives the pages of this program's own code back to the kernel, for programs that sleep most of the time: they are not
/// counted as its memory then. What runs again takes its pages from the file's cache, within a millisecond or so in all.
pub fn release_program_pages() {
    system::forget_program_pages();
}

/// Forbids core dumps and debuggers of the same user, and locks memory where that is permitted: for root, or where the limit
/// of locked memory (`ulimit -l`) is none. Pages are locked as they are used, so that this costs no memory.
pub fn guard_memory() -> Guarded {
    let limit = |resource| getrlimit(resource).ok();
    let no_core =
        limit(Resource::RLIMIT_CORE).is_some_and(|(_, hard)| setrlimit(Resource::RLIMIT_CORE, 0, hard).is_ok());
    let no_debugger = prctl::set_dumpable(false).is_ok();
    // With a limit, memory beyond it could not be had at all.
    let has_no_limit = nix::unistd::geteuid().is_root()
        || limit(Resource::RLIMIT_MEMLOCK).is_some_and(|(soft, _)| soft == nix::libc::RLIM_INFINITY);
    Guarded { from_dumps: no_core && no_debugger, from_swap: has_no_limit && system::lock_memory() }
}

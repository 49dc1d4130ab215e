//! Starts a process with its secrets and stays behind as a bare supervisor that holds none of them.
//!
//! The last step of delivery into an environment. In the order of a program's life:
//!
//! 1. [`Supervision::from_arguments`]: the first line of `main`. A process that was re-executed as supervisor
//!    goes to [`Supervision::run`] and never further.
//! 2. [`Resolving::begin`]: before any secret is in memory: no core dumps, no debugger of the same user, signals
//!    held back. [`Resolving::end_on_signals`] makes a signal end the program while references are resolved.
//! 3. [`Resolving::launch`]: forks the child with clean mask, dispositions, descriptors and limits, then replaces
//!    this program with the bare supervisor: empty environment, the child's pid in its arguments, signals blocked
//!    in between so that none is lost. Or [`Resolving::exec`]: no supervisor at all.
//!
//! A program that stays itself is told by signals what to do ([`Resolving::obey`]), and tells others
//! ([`signal_named`]).
//!
//! A program that goes on reading while its command runs calls [`Resolving::divide`] after step 1: the first process
//! becomes the bare supervisor at once, and its child, this program still, resolves and starts the command by
//! [`Resolving::keep`]. The [`Keeper`] restarts it.
//!
//! The only crate with `unsafe`: it is in `system`, one system call or one step of the child per block, and in `wiping`. What
//! a long-lived program does about its memory is here too: [`release_unused_memory`], [`release_program_pages`], [`guard_memory`], [`WipingAllocator`].
//! Linux only. No asynchronous runtime, no threads but the one that waits for signals during step 2.

#![deny(unsafe_code)]

mod arguments;
mod command;
mod descendants;
mod keeper;
mod launch;
mod memory;
mod options;
mod orders;
mod others;
mod resolving;
mod signals;
mod supervise;
mod system;
mod terminal;
mod wiping;

pub use arguments::Supervision;
pub use command::{Command, Stdin};
pub use keeper::{Keeper, Restart};
pub use launch::LaunchError;
pub use memory::{Guarded, guard_memory, release_program_pages, wipe_stack};
pub use options::{ExitRemap, Forward, Group, InvalidExitRemap, Options};
pub use orders::Order;
pub use others::{SignalError, signal_named, signal_process};
pub use resolving::{Resolving, SetupError};
pub use wiping::WipingAllocator;

/// The environment that this program was started with, entry by entry: also those without `=`, which
/// [`std::env::vars_os`] leaves out.
pub fn environment() -> Vec<std::ffi::OsString> {
    system::environment()
}

/// Gives pages that the allocator holds and nobody uses back to the kernel, which takes a millisecond or so: for programs
/// that live long and had much to do at once. The allocator does so by itself only at the end of its heap.
pub fn release_unused_memory() {
    system::release_unused_memory();
}

/// A signal by name, as `SIGTERM`: parse with `"SIGTERM".parse()`.
pub use nix::sys::signal::Signal;

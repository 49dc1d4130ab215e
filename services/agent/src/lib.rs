//! The agent: keeps a folder of secret files current for a process that runs beside it.
//!
//! In the order in which its life goes:
//!
//! 1. [`Agent::open`] checks what is wanted and opens the folder; what no retry can mend ends the program here.
//! 2. Round by round ([`Agent::run`]) it reads every reference, renders every file and delivers all of them at once. What
//!    was leased is renewed before it ends.
//! 3. After a change it tells whoever asked for it ([`Hook`]).
//! 4. How it stands is in the folder, beside the files: [`ready`] reads it there, in a program of its own.
//!
//! Invariants: what was delivered is never taken away because something failed; the files of a folder change together
//! or not at all; neither a log line nor the status holds a value. One thread: nothing here blocks for longer than
//! writing the files takes.

#![forbid(unsafe_code)]

mod agent;
mod hooks;
mod orders;
mod status;
mod telling;

pub use crate::agent::{Agent, Settings};
pub use crate::hooks::{Hook, Process};
pub use crate::orders::Orders;
pub use crate::status::{Ready, ready};

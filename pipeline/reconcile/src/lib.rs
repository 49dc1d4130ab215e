//! The loop over sources: what is due, in which order, how much at once, and when again.
//!
//! A source is anything that says what is wanted (an ExternalSecret, a store, an annotated object); the loop knows only
//! its key. [`Schedule`] decides and is pure (time comes in); [`Queue`] lets watches and timers wake keys; [`run`]
//! carries it out with tasks.
//!
//! - A key is never reconciled twice at once; woken meanwhile, it comes round once more.
//! - Urgent keys (never synced, touched by a person) go before routine ones, in every group.
//! - A group (all that reads one store) has slots of its own and groups take turns, so a slow store delays nobody else.
//! - What fails comes again after a pause that doubles; what neither ends nor moves is cut off and reported.

#![forbid(unsafe_code)]

mod backoff;
mod driver;
mod schedule;

pub use crate::backoff::Backoff;
pub use crate::driver::{Depth, Outcome, Queue, Settings, run};
pub use crate::schedule::{Limits, Priority, Schedule};

//! Restarts workloads when a Secret that they consume has changed, for those that ask for it.
//!
//! Watches fill an index ([`Restarts::run`]); what changes wakes the workloads that it concerns; each is then decided
//! about by `core/restart` and, where that says so, gets one patch of annotations. Modules in the order of a start:
//! `settings`, `key`, `restarts`, `watches`, `index`; of one decision: `round`, `windows`, `rolling`.
//!
//! - Secrets are watched as metadata. One is read when its version changed and a workload consumes it that asks for
//!   restarts; its values become fingerprints and are wiped.
//! - What pods were started with lies in an annotation of their workload, and changes together with the mark on their
//!   template, in one patch against the version that was seen: killed anywhere, each workload is restarted once.
//! - In steady state nothing is read and nothing is written.
//! - It works while its process leads; two at once would do the same work twice and harm nothing.

#![forbid(unsafe_code)]

mod index;
mod key;
mod restarts;
mod rolling;
mod round;
mod settings;
mod watches;
mod windows;

pub use crate::key::{KEY_NAME, KEY_SECRET};
pub use crate::restarts::Restarts;
pub use crate::settings::{RestartSettings, Restarting};

/// The field manager of what is written to workloads.
pub const FIELD_MANAGER: &str = "strongroom-restarts";

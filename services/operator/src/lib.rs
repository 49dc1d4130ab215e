//! `strongroom operator`: keeps the Secrets that custom resources ask for.
//!
//! Watches fill an index; whatever changes or falls due is reconciled by `pipeline/reconcile`; an ExternalSecret goes
//! from its stores (`pipeline/resolve`, one lane for each store and identity) through the planner (`core/sync`) to at
//! most one write of its target and one of its status.
//!
//! - Another system's interface stays in the module that bears its name ([`eso`]).
//! - In steady state nothing is written and no Secret is read (design invariant 3).
//! - Who may read what is asked for each asker, before anything is shared (`access`).

#![forbid(unsafe_code)]

pub mod eso;
pub mod explain;

mod access;
mod announcements;
mod aws_ssm;
mod events;
mod foreign;
mod generator_states;
mod index;
mod kamus;
mod kes;
mod key_readers;
mod memory;
mod metrics;
mod missed_pods;
mod names;
mod openings;
mod operator;
mod owned;
mod packed;
mod pairs;
mod parameters;
mod pushes;
mod reader;
mod remembered;
mod retry;
mod run;
mod secret_operator;
mod settings;
mod store_policy;
mod watches;

pub use crate::names::{Name, StoreName};
pub use crate::run::OperatorCommand;
pub use crate::settings::{OperatorSettings, RefreshTime};

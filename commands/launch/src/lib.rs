//! Starting a program with its secrets: `strongroom-init` (and its old name `secrets-init`) in a container,
//! `strongroom run` on a person's machine.
//!
//! Both are fronts of one engine: entries of an environment and wanted files go in, a started program comes out. Fails
//! closed: while one reference is unresolved the program does not start.

#![forbid(unsafe_code)]

mod bank_vaults;
mod delivery;
mod dry_run;
pub mod init;
mod run;

pub use crate::delivery::DeliverOptions;
pub use crate::run::Run;

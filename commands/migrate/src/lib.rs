//! `strongroom migrate`: from other systems' objects to those that the operator serves.
//!
//! Objects come from files or from the cluster, with the rights of whoever asks; what is written goes to files or to
//! standard output and is applied by whoever reads it. No store is asked and no value of a Secret is kept: where a
//! store needs credentials, it refers to the Secret in which they are. The one thing that is changed in a cluster is
//! who owns a Secret (`--move-ownership --yes`).
//!
//! Modules in the order of a run: `read` finds objects, `settings` what their controller was started with,
//! `permission` what its namespaces allow, `convert` makes the new objects, `output` and `report` tell of them.

#![forbid(unsafe_code)]

mod cluster;
mod convert;
mod kes;
mod output;
mod ownership;
mod permission;
mod property;
mod read;
mod report;
mod settings;
mod template;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, Subcommand};

/// Move objects of other systems over to ExternalSecrets and stores
#[derive(Args, Debug)]
pub struct MigrateCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    Kes(Box<kes::Kes>),
}

impl MigrateCommand {
    /// Runs; `variables` are the process's own. 0: everything was carried over; 1: something was not, or failed;
    /// 2: wrong usage.
    pub fn run(self, variables: &[OsString]) -> ExitCode {
        match self.action {
            Action::Kes(kes) => kes.run(variables),
        }
    }
}

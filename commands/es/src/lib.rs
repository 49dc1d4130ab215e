//! `strongroom why`, `strongroom es`, `strongroom crds`: looking at and mending what the operator serves.
//!
//! Nothing here decides: what is wrong with an object is said by its kind (`core/api`), what would happen to it by the
//! operator's own functions (`services/operator`), with the rights of whoever asks.

#![forbid(unsafe_code)]

mod cluster;
mod crds;
mod files;
mod print;
mod refresh;
mod render;
mod schema;
mod validate;
mod why;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use strongroom_failure::Failure;
use strongroom_read::{Audience, report};

pub use crate::crds::Crds;
pub use crate::why::Why;

/// Look at ExternalSecrets, have them read again, check their files
#[derive(Args, Debug)]
pub struct EsCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    Validate(validate::Validate),
    Refresh(refresh::Refresh),
    Render(render::Render),
}

impl EsCommand {
    /// Runs; `variables` are the process's own. 0: all is well; 1: something is wrong; 2: wrong usage.
    pub fn run(self, variables: &[OsString]) -> ExitCode {
        match self.action {
            Action::Validate(validate) => ended(validate.run()),
            Action::Refresh(refresh) => ended(cluster::blocking(refresh.run(variables))),
            Action::Render(render) => ended(cluster::blocking(render.run(variables))),
        }
    }
}

/// The exit code of what ended well, or not (`false`: it has said so itself).
fn ended(done: Result<bool, Failure>) -> ExitCode {
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            report(Audience::Person, "", &[failure]);
            ExitCode::FAILURE
        }
    }
}

//! `strongroom run`: the engine on a person's machine.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Args;
use strongroom_deliver_env::Entry;
use strongroom_failure::{Class, Failure};
use strongroom_process::{Command, Resolving, Stdin};
use strongroom_read::{Ambient, Audience, ReadOptions, report};

use crate::delivery::{DeliverOptions, Delivery};
use crate::dry_run;

const EXAMPLES: &str = "\
Examples:
  strongroom run --env 'DB_PASSWORD=sr://aws-sm/prod%2Fdb#password' -- psql
  strongroom run --env-file .env -- npm start        values in .env may be references
  AWS_PROFILE=staging strongroom run --dry-run --env-file .env -- true

The command takes this program's place: its signals, its terminal and its exit code are its own.";

/// The message of a log line about a failure.
const WHAT: &str = "did not start the command";

/// Start a command with its secrets
///
/// Variables that hold references, here or in the environment, are replaced by the values they name. While one cannot
/// be resolved the command does not start.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Run {
    #[command(flatten)]
    read: ReadOptions,

    #[command(flatten)]
    deliver: DeliverOptions,

    /// The command and its arguments
    #[arg(value_name = "CMD ARG…", required = true, trailing_var_arg = true)]
    command: Vec<OsString>,
}

impl Run {
    /// Becomes the command; returns only where that failed, or after a dry run.
    pub fn run(self, variables: &[OsString]) -> ExitCode {
        let ambient = Ambient::of(variables);
        let read = match self.read.clone().complete(&ambient) {
            Ok(read) => read,
            Err(failure) => {
                report(Audience::Person, WHAT, &[failure]);
                return ExitCode::FAILURE;
            }
        };
        read.install_logs();
        match self.start(&read, ambient, variables) {
            Ok(()) => ExitCode::SUCCESS,
            Err((failures, code)) => {
                report(read.audience(), WHAT, &failures);
                ExitCode::from(code)
            }
        }
    }

    fn start(self, read: &ReadOptions, ambient: Ambient, variables: &[OsString]) -> Result<(), (Vec<Failure>, u8)> {
        let one = |failure: Failure| (vec![failure], 1);
        let many = |failures: Vec<Failure>| (failures, 1);
        let mut resolving = Resolving::begin().map_err(|error| one(did_not_start(&error)))?;
        resolving.end_on_signals().map_err(|error| one(did_not_start(&error)))?;
        let delivery = Delivery::gather(&self.deliver, variables).map_err(one)?;
        let reader = read.reader(ambient, None).map_err(one)?;
        if self.deliver.dry_run {
            return dry_run::print(&delivery, &reader).map_err(many);
        }
        let environment = delivery.deliver(Some(&reader)).map_err(many)?;
        drop(reader);
        for warning in &environment.warnings {
            tracing::warn!("{warning}");
        }
        let Some((program, rest)) = self.command.split_first() else { return Ok(()) };
        let command = Command {
            program: program.clone(),
            arguments: rest.to_vec(),
            environment: environment.entries.into_iter().map(Entry::into_secret).collect(),
            stdin: Stdin::Inherit,
        };
        let error = resolving.exec(&command);
        Err((vec![did_not_start(&error)], error.exit_code()))
    }
}

fn did_not_start(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Class::Invalid, error.to_string())
}

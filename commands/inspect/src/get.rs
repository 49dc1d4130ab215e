use std::ffi::OsString;
use std::process::ExitCode;

use clap::Args;
use strongroom_failure::{Class, Failure};
use strongroom_process::{Resolving, SetupError};
use strongroom_read::{Ambient, ReadOptions};

use crate::{print_value, reading};

const EXAMPLES: &str = "\
Examples:
  strongroom get 'vault:secret/data/app#password'
  strongroom get 'arn:aws:ssm:eu-west-1:111122223333:parameter/app/license' > license
  strongroom get 'sr://gcp-sm/projects%2Fp%2Fsecrets%2Ftls?decode=base64' > tls.p12";

/// Print the value that one reference names
///
/// The value goes to standard output byte for byte; everything else to standard error.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Get {
    #[command(flatten)]
    read: ReadOptions,

    /// The reference, in any syntax
    #[arg(value_name = "REF")]
    reference: String,
}

impl Get {
    /// Reads the value and prints it.
    pub fn run(self, variables: &[OsString]) -> ExitCode {
        reading(&self.read, variables, "did not read the value", |read, ambient| self.try_run(read, ambient))
    }

    fn try_run(&self, read: &ReadOptions, ambient: Ambient) -> Result<(), Failure> {
        let reference = strongroom_reference::parse(&self.reference)?;
        // No core dump and no debugger while the value is in memory; signals end the program as ever.
        let setup = |error: SetupError| Failure::new(Class::Unavailable, error.to_string());
        Resolving::begin().map_err(setup)?.end_on_signals().map_err(setup)?;
        let answer = read.reader(ambient, None)?.read(std::slice::from_ref(&reference)).pop().transpose()?.flatten();
        let absent = || Failure::new(Class::NotFound, "does not exist, and is optional").on_key(&reference.key.name);
        print_value(answer.ok_or_else(absent)?.expose())
    }
}

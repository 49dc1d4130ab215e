//! Looking at references and documents: `strongroom get`, `strongroom explain`, `strongroom select`.

#![forbid(unsafe_code)]

mod explain;
mod get;
mod select;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use strongroom_failure::{Class, Failure};
use strongroom_read::{Ambient, Audience, ReadOptions, report};

pub use crate::explain::Explain;
pub use crate::get::Get;
pub use crate::select::Select;

/// Writes a value to standard output as it is; a terminal gets a line end after it, so that the prompt stands apart.
fn print_value(value: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let line_end: &[u8] = if out.is_terminal() && !value.ends_with(b"\n") { b"\n" } else { b"" };
    let written = out.write_all(value).and_then(|()| out.write_all(line_end)).and_then(|()| out.flush());
    written.map_err(|error| Failure::new(Class::Unavailable, format!("cannot write to standard output: {error}")))
}

/// Runs `command` with completed options and logs, and tells its failure as `what` to whom the options say.
fn reading(
    options: &ReadOptions,
    variables: &[OsString],
    what: &str,
    command: impl FnOnce(&ReadOptions, Ambient) -> Result<(), Failure>,
) -> ExitCode {
    let ambient = Ambient::of(variables);
    let (audience, done) = match options.clone().complete(&ambient) {
        Err(failure) => (Audience::Person, Err(failure)),
        Ok(options) => {
            options.install_logs();
            (options.audience(), command(&options, ambient))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(audience, what, &[failure]);
            ExitCode::FAILURE
        }
    }
}

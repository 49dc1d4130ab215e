//! Looking at references and documents: `strongroom get`, `strongroom explain`, `strongroom select`.

#![forbid(unsafe_code)]

mod explain;
mod get;
mod select;

use std::io::{IsTerminal, Write};

use strongroom_failure::{Class, Failure};

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

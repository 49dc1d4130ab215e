//! The child: one request in, one answer for each template out, and the end.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use crate::engine::Evaluation;
use crate::fault::Kind;
use crate::frame::{read_request, write_answer};
use crate::{THIS_PROGRAM, WORKER, sandbox};

/// The tag of an answer that is a text; the others are those of [`Kind`].
pub(crate) const TEXT: u8 = 0;
/// The tag of the only answer that a child gives which could not shut itself in.
pub(crate) const UNSAFE: u8 = 255;

/// Whether a program with these arguments, its name first, was started by an [`crate::Engine::of_this_program`]. By hand
/// nobody calls it so: under any other name the word may be a command of somebody's.
pub fn is_child(mut arguments: impl Iterator<Item = OsString>) -> bool {
    let (name, word) = (arguments.next(), arguments.next());
    name.is_some_and(|name| name == THIS_PROGRAM)
        && word.is_some_and(|word| word == WORKER)
        && arguments.next().is_none()
}

/// Renders the one request on standard input, answers on standard output, and says how to exit.
///
/// A program calls it first thing, when it was started with the arguments that its [`crate::Engine`] was given: before
/// any thread, which would stay outside of the sandbox. Whatever the process could do before, it can do nothing after
/// this but exit.
pub fn serve() -> ExitCode {
    match answer() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn answer() -> io::Result<()> {
    let request = read_request(&mut io::stdin().lock())?;
    let mut output = io::stdout().lock();
    if let Err(error) = sandbox::enter(&request.limits) {
        return write_answer(UNSAFE, error.to_string().as_bytes(), &mut output);
    }
    let evaluation = Evaluation::new(&request);
    for template in &request.templates {
        match evaluation.render(template) {
            Ok(text) => write_answer(TEXT, text.expose(), &mut output)?,
            Err((kind, words)) => write_answer(Kind::tag(kind), words.as_bytes(), &mut output)?,
        }
    }
    Ok(())
}

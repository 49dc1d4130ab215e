//! People at a terminal: what they are told, what they are asked, and how far long work is.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;

/// How often a terminal is told how far it is.
const OFTEN: Duration = Duration::from_millis(200);

/// How often a log is told.
const SELDOM: Duration = Duration::from_secs(10);

/// Writes to standard output. A reader that has gone away has read enough.
///
/// # Errors
/// Where it cannot be written.
pub(crate) fn say(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Class::Unavailable, format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// A line beside the result: on standard error.
pub(crate) fn note(text: &str) {
    // Standard error that is gone cannot be told so.
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Whether what is said is read by a person, at once.
pub(crate) fn shows() -> bool {
    std::io::stdout().is_terminal()
}

/// Whether somebody can be asked.
pub(crate) fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Text from outside as a terminal may show it: control characters could do more than be read.
pub(crate) fn harmless(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// Asks for consent unless it was given with `--yes`.
///
/// # Errors
/// Where it was not given: the command is to end with nothing done.
pub(crate) fn consent(is_given: bool, question: &str) -> Result<(), Failure> {
    if is_given {
        return Ok(());
    }
    if !can_ask() {
        return Err(Failure::new(Class::Invalid, "nothing was changed: there is nobody to ask")
            .with_hint("give --yes, which takes the place of the answer"));
    }
    prompt(&format!("{question} [y/N] "));
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    match (read, answer.trim().to_ascii_lowercase().as_str()) {
        (Ok(_), "y" | "yes") => Ok(()),
        _ => Err(Failure::new(Class::Invalid, "nothing was changed: the answer was not y")),
    }
}

fn prompt(text: &str) {
    let mut out = std::io::stderr().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Asks for a secret at the terminal, which does not show what is typed.
///
/// # Errors
/// Where nothing is typed.
pub(crate) fn hidden(what: &str) -> Result<SecretBytes, Failure> {
    let failed = |words: String| Failure::new(Class::Invalid, words).in_field(what);
    let _echo = Echo::off().map_err(|error| failed(format!("the terminal shows what is typed: {error}")))?;
    prompt(&format!("{what} (not shown): "));
    // Large enough that it does not move, which would leave a copy behind.
    let mut typed = String::with_capacity(4096);
    std::io::stdin().read_line(&mut typed).map_err(|error| failed(format!("cannot be read: {error}")))?;
    let length = typed.trim_end_matches(['\n', '\r']).len();
    typed.truncate(length);
    Ok(SecretBytes::from(typed))
}

/// While it lives, standard input is a terminal that does not show what is typed.
struct Echo(Termios);

impl Echo {
    fn off() -> nix::Result<Self> {
        let before = tcgetattr(std::io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_flags.remove(LocalFlags::ECHO);
        // The end of the line is shown, so that what is said next stands on a line of its own.
        quiet.local_flags.insert(LocalFlags::ECHONL);
        tcsetattr(std::io::stdin(), SetArg::TCSADRAIN, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // A terminal that is gone needs no settings.
        let _ = tcsetattr(std::io::stdin(), SetArg::TCSADRAIN, &self.0);
    }
}

/// Says how far long work is, on standard error; short work says nothing.
pub(crate) struct Progress {
    what: &'static str,
    total: Option<usize>,
    done: usize,
    told: Instant,
    is_terminal: bool,
    has_line: bool,
}

impl Progress {
    /// Work that is told as `what`, of so many steps, where that is known.
    pub(crate) fn new(what: &'static str, total: Option<usize>) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self { what, total, done: 0, told: Instant::now(), is_terminal, has_line: false }
    }

    /// One more step is done.
    pub(crate) fn step(&mut self) {
        self.done += 1;
        if self.told.elapsed() < if self.is_terminal { OFTEN } else { SELDOM } {
            return;
        }
        self.told = Instant::now();
        let total = self.total.map_or_else(String::new, |total| format!(" of {total}"));
        let line = format!("{} {}{total}", self.what, self.done);
        if self.is_terminal {
            self.has_line = true;
            prompt(&format!("\r\u{1b}[K{line}"));
        } else {
            note(&line);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.has_line {
            prompt("\r\u{1b}[K");
        }
    }
}

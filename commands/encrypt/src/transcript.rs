//! What `kamus-cli` says, line by line (KA-06).

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use strongroom_deliver_files::{Medium, Target, deliver};
use strongroom_failure::Failure;
use strongroom_secret::SecretBytes;

use crate::value::invalid;

/// Files of encrypted texts are no secrets.
const MODE: u32 = 0o644;

/// Says what is done: on standard output, or at the end of a file; or nothing but the result.
pub(crate) struct Transcript {
    file: Option<PathBuf>,
    is_quiet: bool,
}

impl Transcript {
    pub(crate) fn new(file: Option<PathBuf>, is_quiet: bool) -> Self {
        Self { file, is_quiet }
    }

    pub(crate) fn info(&self, words: &str) {
        self.line("info ", words);
    }

    pub(crate) fn warn(&self, words: &str) {
        self.line("warn ", words);
    }

    /// Also where little is said; with a hint, which the original had not, on standard error.
    pub(crate) fn error(&self, failure: &Failure) {
        let line = format!("[error kamus-cli]: Error while trying to encrypt with kamus: {failure}\n");
        if self.is_quiet {
            note(&line)
        } else {
            self.say(&line)
        }
        if let Some(hint) = &failure.hint {
            note(&format!("hint: {hint}\n"));
        }
    }

    /// Hands over the encrypted text: in a file of its own, or as the last thing that is said.
    pub(crate) fn result(&self, text: &str, output: Option<&Path>, overwrite: bool) -> Result<(), Failure> {
        match output {
            Some(path) => {
                write(path, text, overwrite)?;
                self.info(&format!("Encrypted data was saved to {}.", path.display()));
            }
            None if self.is_quiet => self.say(&format!("{text}\n")),
            None => self.info(&format!("Encrypted data:\n{text}")),
        }
        Ok(())
    }

    fn line(&self, level: &str, words: &str) {
        if !self.is_quiet {
            self.say(&format!("[{level} kamus-cli]: {words}\n"));
        }
    }

    fn say(&self, text: &str) {
        let written = match &self.file {
            None => std::io::stdout().write_all(text.as_bytes()),
            Some(path) => {
                let opened = OpenOptions::new().create(true).append(true).open(path);
                opened.and_then(|mut file| file.write_all(text.as_bytes()))
            }
        };
        // A reader that has gone away has read enough; a log that cannot be written must be told of.
        if let (Err(error), Some(path)) = (written, &self.file) {
            note(&format!("{}: cannot be written: {error}\n{text}", path.display()));
        }
    }
}

fn note(text: &str) {
    // Standard error that is gone cannot be told so.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn write(path: &Path, text: &str, overwrite: bool) -> Result<(), Failure> {
    let failed = |error: std::io::Error| invalid(format!("{}: cannot be written: {error}", path.display()));
    if overwrite {
        let path = std::path::absolute(path).map_err(failed)?;
        let target = Target { path, mode: MODE, owner: None };
        return deliver(&[(target, SecretBytes::from(text.to_owned()))], Medium::AnyDisk);
    }
    match File::create_new(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map_err(failed),
        // Node's words.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let words = format!("EEXIST: file already exists, open '{}'", path.display());
            Err(invalid(words).with_hint("give --overwrite"))
        }
        Err(error) => Err(failed(error)),
    }
}

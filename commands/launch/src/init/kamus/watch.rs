//! `--watch`: a native sidecar. It stays, looks at the encrypted files again and again, and when they have changed
//! (kubelet swaps a volume's `..data`), has them decrypted and swaps what they hold in.
//!
//! Fail-safe: what was delivered stays whatever happens. Between two looks it holds no value.

use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use strongroom_deliver_files::{FileSet, SetFile};
use strongroom_failure::Failure;
use strongroom_process::{Order as Signalled, Resolving, release_program_pages, release_unused_memory, wipe_stack};
use strongroom_read::Ambient;
use strongroom_renew::Pace;
use strongroom_secret::SecretBytes;
use strongroom_telemetry::{LogFormat, LogLevel};

use crate::init::kamus::decryptor::Decryptor;
use crate::init::kamus::encrypted::Encrypted;
use crate::init::kamus::order::{FILE_MODE, Order};
use crate::init::kamus::{as_error, cannot_start, invalid, say_decrypted};

/// How long after one look the next one is, as a person writes it: looking costs a few system calls, and kubelet itself
/// takes up to a minute to bring a change.
pub(super) const INTERVAL: &str = "10s";

/// How long the program may take to end by itself: a write of files is finished meanwhile. Who stops it sees an end
/// within a second, whatever it does.
const PATIENCE: Duration = Duration::from_millis(700);

/// After how long a change is looked at again that was not over yet: kubelet swaps a volume in much less.
const SETTLING: Duration = Duration::from_secs(1);

/// Delivers, then follows changes until a signal ends it.
///
/// # Errors
/// What no further attempt can mend: an address that is none, no token, a folder that cannot be written to.
pub(super) fn run(
    order: Order,
    url: &str,
    ambient: &Ambient,
    interval: Duration,
    mut resolving: Resolving,
) -> Result<(), Failure> {
    // Where flags before the name have asked for logs, those are as good.
    strongroom_telemetry::install(LogFormat::default(), LogLevel::Info);
    let (sender, signalled) = mpsc::channel();
    let hear = move |order| {
        // Fails when the program is ending already.
        let _ = sender.send(order);
    };
    resolving.obey(PATIENCE, hear).map_err(cannot_start)?;
    let mut watch = Watch::open(order, Decryptor::new(url, ambient)?, interval)?;
    loop {
        let pause = watch.turn();
        rest();
        match signalled.recv_timeout(pause) {
            Ok(Signalled::End) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Ok(Signalled::Again) => watch.delivered = None,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// Wipes what libraries left on the stack, and gives back what the round took.
fn rest() {
    wipe_stack();
    release_unused_memory();
    release_program_pages();
}

/// What a look came to.
enum Look {
    /// What lies encrypted is delivered.
    Settled,
    /// It was about to change.
    Changing,
}

/// What was done so far.
struct Watch {
    order: Order,
    decryptor: Decryptor,
    interval: Duration,
    /// The folder, where several files change together.
    set: Option<FileSet>,
    /// What was delivered last.
    delivered: Option<Encrypted>,
    /// Whether anything was: what lies there is in use.
    has_delivered: bool,
    /// Whether the last look found files that could not be read.
    is_changing: bool,
    /// How often in a row that failed.
    failures: u32,
    /// What was told of it.
    told: Option<String>,
}

impl Watch {
    fn open(order: Order, decryptor: Decryptor, interval: Duration) -> Result<Self, Failure> {
        let set = match order.file {
            Some(_) => None,
            None => Some(FileSet::open(order.folder.clone(), order.medium).map_err(as_error)?),
        };
        Ok(Self {
            order,
            decryptor,
            interval,
            set,
            delivered: None,
            has_delivered: false,
            is_changing: false,
            failures: 0,
            told: None,
        })
    }

    /// Looks once; how long to wait until the next time.
    fn turn(&mut self) -> Duration {
        match self.look() {
            Ok(Look::Settled) => {
                if self.told.take().is_some() {
                    // As loud as the failure, which is still the last word in the log.
                    tracing::warn!("secrets are up to date again");
                }
                self.failures = 0;
                self.interval
            }
            Ok(Look::Changing) => SETTLING,
            Err(failure) => self.failed(&failure),
        }
    }

    /// Delivers what has changed.
    fn look(&mut self) -> Result<Look, Failure> {
        let encrypted = match self.order.encrypted() {
            // kubelet takes the links to files that are gone away a moment after the files.
            Err(_) if !std::mem::replace(&mut self.is_changing, true) => return Ok(Look::Changing),
            read => read?,
        };
        self.is_changing = false;
        if self.delivered.as_ref() == Some(&encrypted) {
            return Ok(Look::Settled);
        }
        if self.has_delivered && encrypted.is_empty() {
            return Err(invalid("Error: no encrypted file is left"));
        }
        // kubelet replaces it from time to time.
        self.decryptor.renew_token()?;
        let values = encrypted.decrypted(&self.decryptor, &|_| {})?;
        let contents = self.order.contents(&encrypted, &values)?;
        // Read while kubelet swapped the volume, some files were old ones and some new.
        if !self.order.encrypted().is_ok_and(|now| now == encrypted) {
            return Ok(Look::Changing);
        }
        if self.deliver(contents)? {
            say_decrypted(&values);
        }
        self.delivered = Some(encrypted);
        self.has_delivered = true;
        Ok(Look::Settled)
    }

    /// Writes `contents` unless that is what lies there; whether it was written.
    fn deliver(&mut self, contents: Vec<(PathBuf, SecretBytes)>) -> Result<bool, Failure> {
        if let Some(set) = &mut self.set {
            let file = |(path, content)| SetFile { path, mode: FILE_MODE, owner: None, content };
            let files: Vec<SetFile> = contents.into_iter().map(file).collect();
            return Ok(set.deliver(&files).map_err(as_error)?.is_some());
        }
        let lies_there = |(path, content): &(PathBuf, SecretBytes)| {
            std::fs::read(path).map(SecretBytes::new).is_ok_and(|there| there.expose() == content.expose())
        };
        if contents.iter().all(lies_there) {
            return Ok(false);
        }
        self.order.write(contents).map(|()| true)
    }

    /// Tells of a failure, once in the same words, and how long to wait until the next attempt.
    fn failed(&mut self, failure: &Failure) -> Duration {
        let pace = Pace::default();
        let pause = pace.first_pause.saturating_mul(1 << self.failures.min(16)).min(pace.longest_pause);
        self.failures = self.failures.saturating_add(1);
        let error = failure.to_string();
        if self.told.as_ref() != Some(&error) {
            let hint = failure.hint.as_deref();
            let what = if self.has_delivered { "what was delivered stays" } else { "nothing is delivered yet" };
            tracing::warn!(error, hint, "secrets are not up to date; {what}; trying again");
            self.told = Some(error);
        }
        pause
    }
}

//! `kamus-init-container`: the init container of Kamus. It has encrypted files decrypted as the pod, by Kamus' decryptor
//! or ours, writes what comes back in one of Kamus' formats, and ends. Variables, flags, formats and words are those of
//! Kamus' own (seed-interfaces.md §7.7, KA-07, KA-08).
//!
//! What the command line lacks is noticed before anything is decrypted, and unless everything was decrypted, nothing is
//! written: what an earlier run wrote stays. With `--watch`, which is ours, it stays as a native sidecar and does the
//! same whenever the encrypted files have changed.

mod decryptor;
mod encrypted;
mod folders;
mod order;
mod template;
mod watch;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser};
use strongroom_deliver_files::Medium;
use strongroom_failure::{Class, Failure};
use strongroom_kamus::output::{Format, Values};
use strongroom_process::Resolving;
use strongroom_read::Ambient;

use crate::init::kamus::decryptor::Decryptor;
use crate::init::kamus::order::Order;
use crate::init::version;
use crate::init::watch::Interval;

/// The name of Kamus' program.
pub(super) const NAME: &str = "kamus-init-container";

const AFTER: &str = "\
Variables:
  KAMUS_URL         the decryptor's address, such as http://kamus-decryptor.kamus
  TOKEN_FILE_PATH   the pod's token [default: /var/run/secrets/kubernetes.io/serviceaccount/token]

The format custom is the template template.ejs in one of the folders: EJS, with secrets and stringifyIfJson.

Examples:
  kamus-init-container -e /encrypted-secrets -d /decrypted-secrets -n config.json
  kamus-init-container -e /encrypted-secrets -d /decrypted-secrets -f files --watch     a sidecar: stays
  kamus-init-container -e /encrypted-secrets -d /decrypted-secrets -f files --ready     its probe

Signals: with --watch, SIGTERM and SIGINT end it with 0 within a second; SIGUSR1 and SIGHUP make it decrypt now.";

/// Decrypt files of folders as this pod, by Kamus' decryptor, and write what they hold
#[derive(Debug, Parser)]
#[command(name = NAME, disable_version_flag = true, after_help = AFTER)]
struct Arguments {
    /// Encrypted files folder paths, comma separated; a later one wins
    #[arg(short, long, value_name = "PATH")]
    encrypted_folders: Option<String>,

    /// Folder of what is written; made where it is missing
    #[arg(short, long, value_name = "PATH")]
    decrypted_path: Option<PathBuf>,

    /// The file's name, except for files
    #[arg(short = 'n', long, value_name = "NAME")]
    decrypted_file_name: Option<PathBuf>,

    /// json, cfg, cfg-strict, files or custom; json where it is none of them
    #[arg(short = 'f', long, value_name = "FORMAT", default_value = "json")]
    output_format: String,

    /// Write to a disk too; without it only to memory-backed file systems
    #[arg(long)]
    allow_disk: bool,

    /// Stay, look at the encrypted files after every TIME, and write anew when they have changed [default TIME: 10s]
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = watch::INTERVAL)]
    watch: Option<Interval>,

    /// Decrypt nothing: end with 0 when what is wanted is written, with 1 when not
    #[arg(long, conflicts_with = "watch")]
    ready: bool,

    /// Print version
    #[arg(short = 'V', long)]
    version: bool,
}

/// Decrypts and writes as `words` (what follows the program's name) and variables ask.
pub(super) fn run(words: &[OsString], allow_disk: bool, ambient: &Ambient) -> ExitCode {
    let named = std::iter::once(NAME.into()).chain(words.iter().cloned());
    let parsed = Arguments::command().try_get_matches_from(named);
    let mut arguments = match parsed.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::from(error.kind() != ErrorKind::DisplayHelp));
        }
    };
    if arguments.version {
        return version::print();
    }
    arguments.allow_disk |= allow_disk;
    let done = if arguments.ready { arguments.probe() } else { arguments.done(ambient).map(|()| ExitCode::SUCCESS) };
    done.unwrap_or_else(|failure| {
        let mut message = format!("Failed to run init container: {failure}\n");
        if let Some(hint) = &failure.hint {
            message.push_str(&format!("hint: {hint}\n"));
        }
        // Standard error that is gone cannot be told so.
        let _ = std::io::stderr().write_all(message.as_bytes());
        ExitCode::FAILURE
    })
}

impl Arguments {
    fn done(self, ambient: &Ambient) -> Result<(), Failure> {
        let url = ambient.get("KAMUS_URL").ok_or_else(|| invalid("Error: Missing KAMUS_URL env var"))?;
        let interval = self.watch;
        let order = self.order()?;
        // Before any secret is in memory. Lives until the program ends.
        let mut resolving = Resolving::begin().map_err(cannot_start)?;
        if let Some(Interval(interval)) = interval {
            return watch::run(order, &url, ambient, interval, resolving);
        }
        resolving.end_on_signals().map_err(cannot_start)?;
        let decryptor = Decryptor::new(&url, ambient)?;
        let encrypted = order.encrypted()?;
        let values = encrypted.decrypted(&decryptor, &|key| say(&format!("Decrypting {key}")))?;
        match &order.file {
            Some(file) => {
                say(&format!("Writing output using {} format to file {}", order.format.name(), file.display()));
            }
            None => say(&format!("Writing output files to folder {}", order.folder.display())),
        }
        order.write(order.contents(&encrypted, &values)?)?;
        say_decrypted(&values);
        Ok(())
    }

    /// Tells whether everything that is wanted lies there, from whichever run.
    fn probe(self) -> Result<ExitCode, Failure> {
        let Some(missing) = self.order()?.missing()? else { return Ok(ExitCode::SUCCESS) };
        // kubelet puts it into the event of the probe.
        say(&format!("{} is not written yet; the container's log says why", missing.display()));
        Ok(ExitCode::FAILURE)
    }

    /// What is missing is said before anything is decrypted, in Kamus' words.
    fn order(self) -> Result<Order, Failure> {
        let format = Format::of(&self.output_format);
        if format == Format::Custom {
            template::offered()?;
        }
        let folders = self.encrypted_folders.ok_or_else(|| invalid("encrypted folders weren't provided"))?;
        let folder =
            self.decrypted_path.ok_or_else(|| invalid("decrypted path wasn't provided although it's mandatory"))?;
        let folder = std::path::absolute(&folder).map_err(|error| cannot_read(&folder, &error))?;
        let file = match (format, self.decrypted_file_name) {
            (Format::Files, _) => None,
            (_, Some(name)) => Some(folder.join(name.strip_prefix("/").unwrap_or(&name))),
            (_, None) => return Err(invalid("decrypted file name wasn't provided altough it's mandataroy")),
        };
        let folders = folders.split(',').map(PathBuf::from).collect();
        let medium = if self.allow_disk { Medium::AnyDisk } else { Medium::MemoryOnly };
        Ok(Order { folders, format, folder, file, medium })
    }
}

/// As JavaScript shows what was thrown.
fn as_error(mut failure: Failure) -> Failure {
    let field = failure.subject.field.take().map(|field| format!("{field}: ")).unwrap_or_default();
    failure.words = format!("Error: {field}{}", failure.words);
    failure
}

fn invalid(words: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words)
}

fn cannot_read(path: &Path, error: &std::io::Error) -> Failure {
    invalid(format!("Error: cannot read {}: {error}", path.display()))
}

fn cannot_start(error: impl std::fmt::Display) -> Failure {
    invalid(format!("Error: cannot start: {error}"))
}

/// Tells what is being done, never a value, on standard output as Kamus did.
fn say(words: &str) {
    // A reader that has gone away has read enough.
    let _ = std::io::stdout().write_all(format!("{words}\n").as_bytes());
}

fn say_decrypted(values: &Values) {
    let keys: Vec<&str> = values.iter().map(|(key, _)| key).collect();
    say(&format!("Decrypted: {}", keys.join(",")));
}

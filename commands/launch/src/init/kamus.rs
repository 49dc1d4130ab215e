//! `kamus-init-container`: the init container of Kamus. It has encrypted files decrypted as the pod, by Kamus' decryptor
//! or ours, writes what comes back in one of Kamus' formats, and ends. Variables, flags, formats and words are those of
//! Kamus' own (seed-interfaces.md §7.7, KA-07, KA-08).
//!
//! What the command line lacks is noticed before anything is decrypted, and unless everything was decrypted, nothing is
//! written: what an earlier run wrote stays.

mod decryptor;
mod folders;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser};
use strongroom_deliver_files::{Medium, Target, deliver, make_folders};
use strongroom_failure::{Class, Failure};
use strongroom_kamus::output::{Format, Values};
use strongroom_process::Resolving;
use strongroom_read::Ambient;
use strongroom_secret::SecretBytes;

use crate::init::kamus::decryptor::Decryptor;
use crate::init::version;

/// The name of Kamus' program.
pub(super) const NAME: &str = "kamus-init-container";

/// What files and folders had under the usual umask: the application runs as any user.
const FILE_MODE: u32 = 0o644;
const FOLDER_MODE: u32 = 0o755;

const AFTER: &str = "\
Variables:
  KAMUS_URL         the decryptor's address, such as http://kamus-decryptor.kamus
  TOKEN_FILE_PATH   the pod's token [default: /var/run/secrets/kubernetes.io/serviceaccount/token]

Example:
  kamus-init-container -e /encrypted-secrets -d /decrypted-secrets -n config.json";

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

    /// json, cfg, cfg-strict or files; json where it is none of them
    #[arg(short = 'f', long, value_name = "FORMAT", default_value = "json")]
    output_format: String,

    /// Write to a disk too; without it only to memory-backed file systems
    #[arg(long)]
    allow_disk: bool,

    /// Print version
    #[arg(short = 'V', long)]
    version: bool,
}

/// What is to be done, with nothing missing.
struct Order {
    folders: Vec<PathBuf>,
    format: Format,
    folder: PathBuf,
    /// The one file, for formats that write one.
    file: Option<PathBuf>,
    medium: Medium,
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
    match arguments.done(ambient) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let mut message = format!("Failed to run init container: {failure}\n");
            if let Some(hint) = &failure.hint {
                message.push_str(&format!("hint: {hint}\n"));
            }
            // Standard error that is gone cannot be told so.
            let _ = std::io::stderr().write_all(message.as_bytes());
            ExitCode::FAILURE
        }
    }
}

impl Arguments {
    fn done(self, ambient: &Ambient) -> Result<(), Failure> {
        let url = ambient.get("KAMUS_URL").ok_or_else(|| invalid("Error: Missing KAMUS_URL env var"))?;
        let order = self.order()?;
        // Before any secret is in memory. Lives until the program ends.
        let cannot_start = |error: strongroom_process::SetupError| invalid(format!("Error: {error}"));
        let mut resolving = Resolving::begin().map_err(cannot_start)?;
        resolving.end_on_signals().map_err(cannot_start)?;
        let values = order.decrypted(&Decryptor::new(&url, ambient)?)?;
        order.write(&values)?;
        let keys: Vec<&str> = values.iter().map(|(key, _)| key).collect();
        say(&format!("Decrypted: {}", keys.join(",")));
        Ok(())
    }

    /// What is missing is said before anything is decrypted, in Kamus' words.
    fn order(self) -> Result<Order, Failure> {
        let format = Format::of(&self.output_format);
        if format == Format::Custom {
            let words = "Error: the format custom is a template in JavaScript, and this program has no JavaScript";
            let hint = "use json, cfg, cfg-strict or files, or have a Secret made with a template: docs/templates.md";
            return Err(invalid(words).with_hint(hint));
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

impl Order {
    fn decrypted(&self, decryptor: &Decryptor) -> Result<Values, Failure> {
        let mut values = Values::default();
        for folder in &self.folders {
            for key in folders::files(folder)? {
                say(&format!("Decrypting {key}"));
                let value = decryptor.decrypt(&folder.join(&key))?;
                values.insert(key, value);
            }
        }
        Ok(values)
    }

    /// All of it or nothing.
    fn write(&self, values: &Values) -> Result<(), Failure> {
        if let Err(error) = std::fs::create_dir(&self.folder)
            && error.kind() != std::io::ErrorKind::AlreadyExists
        {
            return Err(invalid(format!("Error: cannot make {}: {error}", self.folder.display())));
        }
        let target = |path: PathBuf| Target { path, mode: FILE_MODE, owner: None };
        let files: Vec<(Target, SecretBytes)> = match (&self.file, values.file(self.format)) {
            (Some(path), Some(content)) => {
                say(&format!("Writing output using {} format to file {}", self.format.name(), path.display()));
                vec![(target(path.clone()), content)]
            }
            _ => {
                say(&format!("Writing output files to folder {}", self.folder.display()));
                values.iter().map(|(key, value)| (target(self.folder.join(key)), value.text().clone())).collect()
            }
        };
        for (target, _) in files.iter().filter(|_| self.file.is_none()) {
            make_folders(&self.folder, &target.path, FOLDER_MODE).map_err(as_error)?;
        }
        deliver(&files, self.medium).map_err(as_error)
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

/// Tells what is being done, never a value, on standard output as Kamus did.
fn say(words: &str) {
    // A reader that has gone away has read enough.
    let _ = std::io::stdout().write_all(format!("{words}\n").as_bytes());
}

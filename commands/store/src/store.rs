//! `strongroom store`: backups, and looking whether everything opens.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use strongroom_failure::{Class, Failure};
use strongroom_secret::SecretBytes;
use strongroom_server::offline::{Checked, Keeper, restore, verify_backup, verify_data};
use strongroom_server::{SealChoice, StorageOptions};
use strongroom_stores::Ambient;

use crate::api::{Api, Ending, ended};
use crate::input;
use crate::terminal::say;

/// The store as a whole: backups, and looking whether everything in it opens
#[derive(Args)]
#[command(after_help = "Exit status: 0 all is well, 1 something is wrong, 2 wrong usage\n\n\
                        Examples:\n  \
                        strongroom store backup nightly.backup\n  \
                        strongroom store verify --backup nightly.backup --seal file:seal.key\n  \
                        strongroom store restore nightly.backup --data new-folder")]
pub struct StoreCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    #[command(after_help = "Examples:\n  strongroom store backup nightly.backup")]
    /// Take a backup of the running store, as of one moment: encrypted as the store is, and opened by the same key
    Backup {
        /// Written when the backup is whole; over an older one of the name
        file: PathBuf,
    },
    #[command(after_help = "Examples:\n  strongroom store restore nightly.backup --data new-folder")]
    /// Bring a backup back into a folder that holds no store. The server starts on it with the seal that it had
    Restore {
        /// The backup
        file: PathBuf,
        /// The folder of the new store
        #[arg(long)]
        data: PathBuf,
        #[command(flatten)]
        to: StorageOptions,
    },
    #[command(after_help = "Examples:\n  strongroom store verify --backup nightly.backup --seal file:seal.key\n  \
                            strongroom store verify --data folder --seal shamir < key.txt")]
    /// Look whether every record opens: of a backup, or of a store whose server does not run
    Verify {
        /// A backup; without --seal only its own checksums are compared
        #[arg(long, conflicts_with = "data", value_name = "FILE")]
        backup: Option<PathBuf>,
        /// Who keeps the root key, as the server was told; `shamir` has the key read from standard input
        #[arg(long)]
        seal: Option<SealChoice>,
        /// The folder of a store whose server does not run
        #[arg(long, value_name = "FOLDER")]
        data: Option<PathBuf>,
        #[command(flatten)]
        of: StorageOptions,
    },
}

impl StoreCommand {
    /// Does what was asked.
    pub fn run(self, variables: &[OsString]) -> ExitCode {
        let done = match self.verb {
            Verb::Backup { file } => Api::of(&Ambient::of(variables)).and_then(|api| backup(&api, &file)),
            Verb::Restore { file, data, to } => {
                restore(&file, (&data, &to), variables, told).and_then(|restored| said(&restored, "restored"))
            }
            Verb::Verify { backup, seal, data, of } => {
                verify(backup.as_deref(), seal, data.as_deref().map(|data| (data, &of)), variables)
            }
        };
        ended(done.map(|()| Ending::Well))
    }
}

/// Progress, for people who wait.
fn told(records: u64) {
    if std::io::stderr().is_terminal() && records.is_multiple_of(1000) {
        // Whoever has closed the terminal does not wait.
        let _ = write!(std::io::stderr(), "\r{records} records");
    }
}

fn said(checked: &Checked, what: &str) -> Result<(), Failure> {
    let opened = match (checked.were_opened, &checked.about) {
        (true, _) => ": each one opens",
        (false, Some(_)) if what == "verified" => ": whole and unchanged; give --seal to open them as well",
        _ => "",
    };
    let about = checked.about.as_ref().map_or_else(String::new, |about| {
        format!(" (store {}, taken {}, sealed by {})", about.store, about.created, about.seal)
    });
    say(&format!("{} records {what}{opened}{about}\n", checked.records))
}

/// The backup goes into a file of its own, which takes the name once it is whole.
fn backup(api: &Api, file: &Path) -> Result<(), Failure> {
    let failed = |path: &Path, error: std::io::Error| {
        Failure::new(Class::Invalid, format!("cannot write {}: {error}", path.display()))
    };
    let partial = PathBuf::from(format!("{}.partial", file.display()));
    let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial);
    let mut out: File = made.map_err(|error| failed(&partial, error))?;
    let mut bytes = 0_u64;
    let taken = api.download("sys/storage/raft/snapshot", &mut |part| {
        bytes += part.len() as u64;
        out.write_all(part)
    });
    let whole = taken
        .and_then(|()| out.sync_all().map_err(|error| failed(&partial, error)))
        .and_then(|()| verify_backup(&partial, None, &[]));
    let checked = whole.inspect_err(|_| {
        // What is left of it helps nobody, and a full disk needs the room.
        let _ = std::fs::remove_file(&partial);
    })?;
    std::fs::rename(&partial, file).map_err(|error| failed(file, error))?;
    say(&format!("{}: {bytes} bytes, ", file.display())).and_then(|()| said(&checked, "backed up"))
}

/// Who opens the store.
pub(crate) fn keeper(seal: SealChoice) -> Result<Keeper, Failure> {
    match seal {
        SealChoice::Shamir => Ok(Keeper::People(SecretBytes::from(input::text("-")?.trim().to_owned()))),
        seal => Ok(Keeper::Seal(seal)),
    }
}

fn verify(
    backup: Option<&Path>,
    seal: Option<SealChoice>,
    of: Option<(&Path, &StorageOptions)>,
    variables: &[OsString],
) -> Result<(), Failure> {
    match (backup, of) {
        (Some(file), _) => {
            let keeper = seal.map(keeper).transpose()?;
            said(&verify_backup(file, keeper, variables)?, "verified")
        }
        (None, Some(of)) => {
            let missing = || {
                Failure::new(Class::Invalid, "who keeps the root key is not said")
                    .with_hint("give --seal file:PATH, or --seal shamir with the key on standard input")
            };
            let keeper = keeper(seal.ok_or_else(missing)?)?;
            said(&verify_data(of, keeper, variables, told)?, "verified")
        }
        (None, None) => Err(Failure::new(Class::Invalid, "give --backup FILE, or --data FOLDER")),
    }
}

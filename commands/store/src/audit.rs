//! `strongroom audit`: who read what, from the trail's file.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;
use strongroom_failure::{Class, Failure};
use strongroom_server::offline::verify_trail;
use strongroom_server::{SealChoice, StorageOptions};
use strongroom_stores::Ambient;

use crate::api::{Api, Ending, ended};
use crate::store::keeper;
use crate::terminal::say;

/// The audit trail: who asked for what, from its file
#[derive(Args)]
pub struct AuditCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// List requests: when, who, what, and whether it was allowed
    List {
        /// The trail's file; several in the order in which they were written
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Only requests for paths that begin with this: secret/data/app
        #[arg(long, default_value = "")]
        path: String,
        /// Only what was refused
        #[arg(long)]
        denied: bool,
        /// The entries themselves, one JSON object a line
        #[arg(long)]
        json: bool,
    },
    #[command(after_help = "Examples:\n  strongroom audit verify\n  \
                            strongroom audit verify --data folder --seal file:seal.key")]
    /// Read the trail again and say whether it is what was written: no line edited, added, moved or missing. The running
    /// store is asked; with --data, the files of one that does not run are read
    Verify {
        /// The trail's file, where it is not audit.log in the folder
        #[arg(long, requires = "data", value_name = "FILE")]
        file: Option<PathBuf>,
        /// The server's name among several that share a storage
        #[arg(long, default_value = "", requires = "data")]
        node: String,
        /// Who keeps the root key, as the server was told; `shamir` has the key read from standard input
        #[arg(long, requires = "data")]
        seal: Option<SealChoice>,
        /// The folder of a store whose server does not run
        #[arg(long, value_name = "FOLDER")]
        data: Option<PathBuf>,
        #[command(flatten)]
        of: StorageOptions,
    },
}

impl AuditCommand {
    /// Reads the files.
    pub fn run(self, variables: &[OsString]) -> ExitCode {
        let (files, path, denied, json) = match self.verb {
            Verb::List { files, path, denied, json } => (files, path, denied, json),
            Verb::Verify { data: None, .. } => {
                return ended(Api::of(&Ambient::of(variables)).and_then(|api| asked(&api)).map(|()| Ending::Well));
            }
            Verb::Verify { data: Some(data), of, file, node, seal } => {
                let read = read((&data, &of), file, &node, seal.unwrap_or(SealChoice::Shamir), variables);
                return ended(read.map(|()| Ending::Well));
            }
        };
        let header = format!("{:<30}  {:<20}  {:<8}  {:<40}  {}\n", "TIME", "WHO", "DID", "PATH", "FROM");
        let listed = if json { Ok(()) } else { say(&header) };
        let listed = listed.and_then(|()| files.iter().try_for_each(|file| list(file, &path, denied, json)));
        ended(listed.map(|()| Ending::Well))
    }
}

/// Has the running store read its own trail.
fn asked(api: &Api) -> Result<(), Failure> {
    let answer = api.ask("POST", "sys/audit-verify", "", None)?.unwrap_or_default();
    let data = &answer["data"];
    if data["whole"] == Value::Bool(true) {
        let [first, last, checkpoints] = ["first", "last", "checkpoints"].map(|name| data[name].clone());
        return say(&format!("whole: lines {first} to {last}, {checkpoints} checkpoints\n"));
    }
    Err(Failure::new(Class::Invalid, format!("the trail is wrong: {}", data["fault"].as_str().unwrap_or_default())))
}

fn read(
    (data, of): (&Path, &StorageOptions),
    file: Option<PathBuf>,
    node: &str,
    seal: SealChoice,
    variables: &[OsString],
) -> Result<(), Failure> {
    let file = file.unwrap_or_else(|| data.join("audit.log"));
    match verify_trail((data, of), keeper(seal)?, (&file, node), variables)? {
        Ok(verified) => {
            let (first, last) = (verified.first, verified.last.sequence);
            say(&format!("whole: lines {first} to {last}, {} checkpoints\n", verified.checkpoints))
        }
        Err(fault) => Err(Failure::new(Class::Invalid, format!("the trail is wrong: {fault}"))),
    }
}

fn list(file: &PathBuf, prefix: &str, only_denied: bool, is_json: bool) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error| Failure::new(Class::Invalid, format!("cannot read {}: {error}", file.display()));
    for line in BufReader::new(File::open(file).map_err(failed)?).lines() {
        let line = line.map_err(failed)?;
        // The last line of a trail that is written to may be half a line.
        let Ok(entry) = serde_json::from_str::<Value>(&line) else { continue };
        let path = entry["request"]["path"].as_str().unwrap_or_default();
        let is_refused = entry["error"].is_string();
        if entry["type"] != "response" || !path.starts_with(prefix) || (only_denied && !is_refused) {
            continue;
        }
        if is_json {
            say(&format!("{line}\n"))?;
            continue;
        }
        let time = entry["time"].as_str().unwrap_or_default();
        let who = entry["auth"]["display_name"].as_str().unwrap_or("-");
        let did = entry["request"]["operation"].as_str().unwrap_or_default();
        let from = entry["request"]["remote_address"].as_str().unwrap_or_default();
        let refused = entry["error"].as_str().map_or_else(String::new, |error| format!("  ({})", error.trim()));
        say(&format!("{time:<30}  {who:<20}  {did:<8}  {path:<40}  {from}{refused}\n"))?;
    }
    Ok(())
}

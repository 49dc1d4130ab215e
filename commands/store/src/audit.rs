//! `strongroom audit`: who read what, from the trail's file.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;
use strongroom_failure::{Class, Failure};

use crate::api::{Ending, ended};
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
}

impl AuditCommand {
    /// Reads the files.
    pub fn run(self) -> ExitCode {
        let Verb::List { files, path, denied, json } = self.verb;
        let header = format!("{:<30}  {:<20}  {:<8}  {:<40}  {}\n", "TIME", "WHO", "DID", "PATH", "FROM");
        let listed = if json { Ok(()) } else { say(&header) };
        let listed = listed.and_then(|()| files.iter().try_for_each(|file| list(file, &path, denied, json)));
        ended(listed.map(|()| Ending::Well))
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

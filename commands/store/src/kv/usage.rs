//! `strongroom kv usage` and `strongroom kv stale`: who reads what, and what nobody reads.

use clap::Args;
use serde_json::Value;
use strongroom_failure::Failure;

use super::store::Store;
use crate::table::table;
use crate::terminal::say;

/// Show who read which version of a secret, how often and when (the built-in store)
#[derive(Args)]
#[command(after_help = "Examples:\n  strongroom kv usage app")]
pub(super) struct Usage {
    path: String,
    /// The whole answer as JSON
    #[arg(long)]
    json: bool,
}

impl Usage {
    pub(super) fn run(&self, store: &Store<'_>) -> Result<(), Failure> {
        let data = store.api.data("GET", &store.at("usage", &self.path), None)?;
        if self.json {
            return say(&format!("{data:#}\n"));
        }
        let mut rows = Vec::new();
        for (version, read) in data["versions"].as_object().into_iter().flatten() {
            let row = |who: &str, read: &Value| {
                let text = |name: &str| read[name].as_str().unwrap_or_default().to_owned();
                [version.clone(), who.to_owned(), read["reads"].to_string(), text("first_read"), text("last_read")]
            };
            let by: Vec<_> = read["by"].as_object().into_iter().flatten().map(|(who, read)| row(who, read)).collect();
            if by.is_empty() {
                rows.push(row("nobody", read));
            }
            rows.extend(by);
        }
        say(&table(["VERSION", "WHO", "READS", "FIRST", "LAST"], &rows))
    }
}

/// List secrets that nobody read or changed for so many days (the built-in store)
#[derive(Args)]
#[command(after_help = "Versions that were deleted and not destroyed count: they can be brought back.\n\n\
                        Examples:\n  strongroom kv stale --days 180\n  strongroom kv stale team-a --json")]
pub(super) struct Stale {
    /// Only below this folder
    #[arg(default_value = "")]
    path: String,
    /// Days without a read or a change
    #[arg(long, default_value_t = 90)]
    days: u64,
    /// A JSON object a line
    #[arg(long)]
    json: bool,
}

impl Stale {
    pub(super) fn run(&self, store: &Store<'_>) -> Result<(), Failure> {
        let mut rows = Vec::new();
        let mut after = String::new();
        loop {
            let query = format!("?days={}&prefix={}&after={}", self.days, encoded(&self.path), encoded(&after));
            let answer = store.api.ask("GET", store.at("stale", "").trim_end_matches('/'), &query, None)?;
            let data = answer.map(|mut answer| answer["data"].take()).unwrap_or_default();
            for secret in data["secrets"].as_array().into_iter().flatten() {
                if self.json {
                    say(&format!("{secret}\n"))?;
                    continue;
                }
                let text = |name: &str| secret[name].as_str().unwrap_or_default().to_owned();
                let read = Some(text("last_read")).filter(|time| !time.is_empty());
                rows.push([
                    text("path"),
                    read.unwrap_or_else(|| "never".to_owned()),
                    text("last_changed"),
                    secret["versions"].to_string(),
                    secret["deleted_versions"].to_string(),
                ]);
            }
            match data["after"].as_str() {
                Some(next) => next.clone_into(&mut after),
                None => break,
            }
        }
        if self.json { Ok(()) } else { say(&table(["PATH", "READ", "CHANGED", "VERSIONS", "DELETED"], &rows)) }
    }
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

//! `strongroom secrets` and `strongroom auth`: what is mounted where.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use strongroom_failure::{Class, Failure};
use strongroom_stores::Ambient;

use crate::api::{Api, Ending, ended};
use crate::table::table;
use crate::terminal::{consent, say};

/// Secrets engines: what keeps secrets, and where
#[derive(Args)]
#[command(
    after_help = "Exit status: 0 all is well, 1 something is wrong, 2 wrong usage, 4 nothing is mounted there\n\n\
                        Examples:\n  \
                        strongroom secrets list\n  \
                        strongroom secrets enable kv --path team-a\n  \
                        strongroom secrets disable team-a"
)]
pub struct SecretsCommand {
    #[command(subcommand)]
    verb: SecretsVerb,
}

#[derive(Subcommand)]
enum SecretsVerb {
    /// List what is mounted
    #[command(after_help = "Examples:\n  strongroom secrets list --json")]
    List {
        /// The whole answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Mount one
    #[command(after_help = "Examples:\n  strongroom secrets enable kv\n  \
                            strongroom secrets enable kv --path old --version 1")]
    Enable {
        #[command(flatten)]
        what: New,
        /// Of kv: 2 keeps versions, 1 does not [default: 2]
        #[arg(long, value_parser = clap::value_parser!(u8).range(1..=2))]
        version: Option<u8>,
    },
    /// Take one away, with all that is in it
    #[command(after_help = "Examples:\n  strongroom secrets disable team-a\n  strongroom secrets disable team-a --yes")]
    Disable {
        #[command(flatten)]
        what: Old,
    },
}

/// Auth methods: who logs in how, and where
#[derive(Args)]
#[command(
    after_help = "Exit status: 0 all is well, 1 something is wrong, 2 wrong usage, 4 nothing is mounted there\n\n\
                        Examples:\n  \
                        strongroom auth list\n  \
                        strongroom auth enable approle\n  \
                        strongroom auth disable approle"
)]
pub struct AuthCommand {
    #[command(subcommand)]
    verb: AuthVerb,
}

#[derive(Subcommand)]
enum AuthVerb {
    /// List what is mounted
    #[command(after_help = "Examples:\n  strongroom auth list --json")]
    List {
        /// The whole answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Mount one
    #[command(after_help = "Examples:\n  strongroom auth enable userpass --description 'people'")]
    Enable {
        #[command(flatten)]
        what: New,
    },
    /// Take one away, and end all tokens that it made
    #[command(after_help = "Examples:\n  strongroom auth disable userpass")]
    Disable {
        #[command(flatten)]
        what: Old,
    },
}

#[derive(Args)]
struct New {
    /// What it is: kv, approle, userpass, …
    kind: String,
    /// Where [default: what it is called]
    #[arg(long)]
    path: Option<String>,
    /// For people
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Say what was done as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Old {
    path: String,
    /// Without asking
    #[arg(long)]
    yes: bool,
    /// Say what was done as JSON
    #[arg(long)]
    json: bool,
}

/// One of the two tables that a store has.
struct Mounts<'a> {
    api: &'a Api,
    /// Where the store has it.
    place: &'static str,
    /// What goes with one of its mounts.
    loss: &'static str,
}

impl SecretsCommand {
    /// Asks the store that the environment names.
    pub fn run(self, variables: &[OsString]) -> ExitCode {
        let done = Api::of(&Ambient::of(variables)).and_then(|api| {
            let mounts = Mounts { api: &api, place: "sys/mounts", loss: "erase all that is in it" };
            match self.verb {
                SecretsVerb::List { json } => mounts.list(json),
                SecretsVerb::Enable { what, version } => mounts.enable(&what, version),
                SecretsVerb::Disable { what } => mounts.disable(&what),
            }
        });
        ended(done.map(|()| Ending::Well))
    }
}

impl AuthCommand {
    /// Asks the store that the environment names.
    pub fn run(self, variables: &[OsString]) -> ExitCode {
        let done = Api::of(&Ambient::of(variables)).and_then(|api| {
            let mounts = Mounts { api: &api, place: "sys/auth", loss: "end all tokens that it made" };
            match self.verb {
                AuthVerb::List { json } => mounts.list(json),
                AuthVerb::Enable { what } => mounts.enable(&what, None),
                AuthVerb::Disable { what } => mounts.disable(&what),
            }
        });
        ended(done.map(|()| Ending::Well))
    }
}

impl Mounts<'_> {
    fn list(&self, is_json: bool) -> Result<(), Failure> {
        let known = self.api.data("GET", self.place, None)?;
        if is_json {
            return say(&format!("{known:#}\n"));
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut rows: Vec<[String; 4]> = known
            .as_object()
            .into_iter()
            .flatten()
            .map(|(path, mount)| {
                let version = mount["options"]["version"].as_str();
                let kind = text(&mount["type"]) + &version.map_or_else(String::new, |version| format!(" {version}"));
                [path.clone(), kind, text(&mount["accessor"]), text(&mount["description"])]
            })
            .collect();
        rows.sort_unstable();
        say(&table(["PATH", "TYPE", "ACCESSOR", "DESCRIPTION"], &rows))
    }

    fn enable(&self, what: &New, version: Option<u8>) -> Result<(), Failure> {
        let path = what.path.as_deref().unwrap_or(&what.kind).trim_matches('/');
        let is_kv = what.kind == "kv" && self.place == "sys/mounts";
        if version.is_some() && !is_kv {
            return Err(Failure::new(Class::Invalid, format!("{} has no versions to choose from", what.kind))
                .in_field("--version"));
        }
        let mut body = Map::from_iter([("type".to_owned(), what.kind.as_str().into())]);
        if let Some(description) = &what.description {
            body.insert("description".to_owned(), description.as_str().into());
        }
        if is_kv {
            body.insert("options".to_owned(), json!({"version": version.unwrap_or(2).to_string()}));
        }
        self.api.ask("POST", &format!("{}/{path}", self.place), "", Some(&body.into()))?;
        match what.json {
            true => say(&format!("{:#}\n", json!({"path": format!("{path}/"), "type": what.kind}))),
            false => say(&format!("{path}/: {} is there\n", what.kind)),
        }
    }

    fn disable(&self, what: &Old) -> Result<(), Failure> {
        let path = format!("{}/", what.path.trim_matches('/'));
        // Taking away what is not there is answered as done; a path that is mistyped should not be.
        let known = self.api.data("GET", self.place, None)?;
        let kind = known[&path]["type"].as_str().ok_or_else(|| {
            let others: Vec<&str> = known.as_object().into_iter().flatten().map(|(path, _)| path.as_str()).collect();
            Failure::new(Class::NotFound, "nothing is mounted there")
                .in_field(path.clone())
                .with_hint(format!("there are {}", others.join(", ")))
        })?;
        consent(what.yes, &format!("Disable {path} ({kind}), and {}?", self.loss))?;
        self.api.ask("DELETE", &format!("{}/{}", self.place, path.trim_end_matches('/')), "", None)?;
        match what.json {
            true => say(&format!("{:#}\n", json!({"path": path, "type": kind}))),
            false => say(&format!("{path}: {kind} is gone\n")),
        }
    }
}

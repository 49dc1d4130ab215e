//! `strongroom kv`.

mod copy;
mod diff;
mod export;
mod import;
mod plan;
mod store;
mod usage;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};
use strongroom_failure::{Class, Failure};
use strongroom_stores::Ambient;

use self::store::{Data, Store};
use crate::api::{Api, Ending, ended};
use crate::input;
use crate::table::table;
use crate::terminal::{harmless, say, shows};

/// Secrets with versions, in the built-in store or any other that speaks Vault's API
#[derive(Args)]
#[command(
    after_help = "The store is named by STRONGROOM_ADDR, or BAO_… or VAULT_…; the token is that of STRONGROOM_TOKEN, \
                        or of those others, or the one that strongroom login keeps.\n\n\
                        Exit status: 0 all is well, 1 something is wrong, 2 wrong usage, 4 there is no such secret, 5 \
                        (diff) versions differ\n\n\
                        Examples:\n  \
                        strongroom kv put app password=- < password.txt\n  \
                        strongroom kv put app --env .env\n  \
                        strongroom kv patch app password=@password.txt\n  \
                        strongroom kv get app --field password\n  \
                        strongroom kv history app\n  \
                        strongroom kv diff app --from 1\n  \
                        strongroom kv rollback app --version 1\n  \
                        strongroom kv export team-a/ > team-a.json\n  \
                        strongroom kv stale --days 180"
)]
pub struct KvCommand {
    /// Where secrets with versions are mounted
    #[arg(long, global = true, default_value = "secret")]
    mount: String,
    #[command(subcommand)]
    verb: Verb,
}

/// How a file holds secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Yaml,
    Env,
}

/// What is to be written: from standard input and files, never from the command line
#[derive(Args)]
struct Given {
    path: String,
    /// KEY=- for standard input, KEY=@FILE
    entries: Vec<String>,
    /// A file with a JSON object; - for standard input
    #[arg(long, value_name = "FILE")]
    json: Option<String>,
    /// A file of NAME=value lines; - for standard input
    #[arg(long, value_name = "FILE")]
    env: Option<String>,
    /// Only over this version; 0 where nothing may be there
    #[arg(long, value_name = "VERSION")]
    cas: Option<u64>,
}

#[derive(Subcommand)]
enum Verb {
    /// Write a version: entries from standard input and files, never from the command line
    #[command(after_help = "Examples:\n  strongroom kv put app password=- < password.txt\n  \
                            strongroom kv put app --env .env --cas 0")]
    Put {
        #[command(flatten)]
        given: Given,
    },
    /// Change keys of the latest version, and keep the others
    #[command(
        after_help = "It is a merge patch: a key that --json sets to null goes, and objects go into each other.\n\n\
                            Examples:\n  strongroom kv patch app password=- < password.txt\n  \
                            strongroom kv patch app --remove old-password\n  \
                            echo '{\"port\": 5432, \"old\": null}' | strongroom kv patch app --json -"
    )]
    Patch {
        #[command(flatten)]
        given: Given,
        /// Take these keys away
        #[arg(long, value_name = "KEY", value_delimiter = ',')]
        remove: Vec<String>,
    },
    /// Read a version; values are hidden on a terminal
    #[command(after_help = "Examples:\n  strongroom kv get app --field password\n  \
                            strongroom kv get app --version 2 --reveal")]
    Get {
        path: String,
        #[arg(long)]
        version: Option<u64>,
        /// One key's value alone, as it is
        #[arg(long, value_name = "KEY")]
        field: Option<String>,
        /// The whole answer as JSON
        #[arg(long)]
        json: bool,
        /// Show values on a terminal, too
        #[arg(long)]
        reveal: bool,
    },
    /// List the secrets in a folder
    #[command(after_help = "Examples:\n  strongroom kv list\n  strongroom kv list team-a")]
    List {
        #[arg(default_value = "")]
        path: String,
    },
    /// Delete versions, the latest where none is named, so that they can be brought back
    #[command(after_help = "Examples:\n  strongroom kv delete app\n  strongroom kv delete app --versions 1,2")]
    Delete {
        path: String,
        #[arg(long, value_delimiter = ',')]
        versions: Vec<u64>,
    },
    /// Bring deleted versions back
    #[command(after_help = "Examples:\n  strongroom kv undelete app --versions 3")]
    Undelete {
        path: String,
        #[arg(long, value_delimiter = ',', required = true)]
        versions: Vec<u64>,
    },
    /// Erase versions for good
    #[command(after_help = "Examples:\n  strongroom kv destroy app --versions 1,2")]
    Destroy {
        path: String,
        #[arg(long, value_delimiter = ',', required = true)]
        versions: Vec<u64>,
    },
    /// Show all versions
    #[command(after_help = "Examples:\n  strongroom kv history app")]
    History {
        path: String,
    },
    /// Write an older version again, as the newest
    #[command(after_help = "Examples:\n  strongroom kv rollback app --version 1")]
    Rollback {
        path: String,
        #[arg(long)]
        version: u64,
    },
    Diff(diff::Diff),
    Copy(copy::Copy),
    Export(export::Export),
    Import(Box<import::Import>),
    Usage(usage::Usage),
    Stale(usage::Stale),
}

impl KvCommand {
    /// Asks the store that the environment names.
    pub fn run(self, variables: &[OsString]) -> ExitCode {
        let ambient = Ambient::of(variables);
        ended(Api::of(&ambient).and_then(|api| does(self.verb, &Store::new(&api, &self.mount), &ambient)))
    }
}

fn does(verb: Verb, store: &Store<'_>, ambient: &Ambient) -> Result<Ending, Failure> {
    let done = match verb {
        Verb::Diff(diff) => return diff.run(store),
        Verb::Copy(copy) => return copy.run(store),
        Verb::Export(export) => return export.run(store),
        Verb::Import(import) => return import.run(store, ambient),
        Verb::Usage(usage) => usage.run(store),
        Verb::Stale(stale) => stale.run(store),
        Verb::Put { given } => {
            let version = store.write(&given.path, &given.data(&[])?, given.cas)?;
            written(&given.path, version)
        }
        Verb::Patch { given, remove } => {
            let version = store.patch(&given.path, &given.data(&remove)?, given.cas)?;
            written(&given.path, version)
        }
        Verb::Get { path, version, field, json, reveal } => get(store, &path, version, field.as_deref(), json, reveal),
        Verb::List { path } => list(store, &path),
        Verb::Delete { path, versions } if versions.is_empty() => {
            store.api.ask("DELETE", &store.at("data", &path), "", None).map(drop)
        }
        Verb::Delete { path, versions } => change(store, "delete", &path, &versions),
        Verb::Undelete { path, versions } => change(store, "undelete", &path, &versions),
        Verb::Destroy { path, versions } => change(store, "destroy", &path, &versions),
        Verb::History { path } => history(store, &path),
        Verb::Rollback { path, version } => {
            let current = store.metadata(&path)?["current_version"].as_u64().unwrap_or_default();
            let data = store.read(&path, Some(version))?["data"].clone();
            let data = data.as_object().cloned().unwrap_or_default();
            // Whoever wrote meanwhile is not written over.
            written(&path, store.write(&path, &data, Some(current))?)
        }
    };
    done.map(|()| Ending::Well)
}

fn written(path: &str, version: u64) -> Result<(), Failure> {
    say(&format!("{path}: version {version}\n"))
}

fn list(store: &Store<'_>, path: &str) -> Result<(), Failure> {
    let names = store.names(path, true)?;
    if names.is_empty() && !path.trim_matches('/').is_empty() {
        return Err(
            Failure::new(Class::NotFound, "there is no secret in this folder").in_field(store.at("metadata", path))
        );
    }
    say(&names
        .iter()
        .map(|name| format!("{}\n", if shows() { harmless(name) } else { name.clone() }))
        .collect::<String>())
}

fn get(
    store: &Store<'_>,
    path: &str,
    version: Option<u64>,
    field: Option<&str>,
    is_json: bool,
    reveal: bool,
) -> Result<(), Failure> {
    let read = store.read(path, version)?;
    if let Some(field) = field {
        let value = read["data"].get(field).ok_or_else(|| {
            let keys = read["data"].as_object().map(|data| data.keys().cloned().collect::<Vec<_>>().join(", "));
            Failure::new(Class::NotFound, format!("the secret has no key {field:?}"))
                .in_field(path)
                .with_hint(format!("it has: {}", keys.unwrap_or_default()))
        })?;
        let line_end = if shows() { "\n" } else { "" };
        return say(&format!("{}{line_end}", shown(value)));
    }
    if is_json {
        return say(&format!("{read:#}\n"));
    }
    let hides = shows() && !reveal;
    let metadata = &read["metadata"];
    let mut text = format!(
        "{path}: version {} of {}\n",
        metadata["version"],
        metadata["created_time"].as_str().unwrap_or_default()
    );
    for (key, value) in read["data"].as_object().into_iter().flatten() {
        let value = if hides { "(hidden: --reveal)".to_owned() } else { shown(value) };
        text.push_str(&format!("  {key} = {value}\n"));
    }
    say(&text)
}

fn change(store: &Store<'_>, verb: &str, path: &str, versions: &[u64]) -> Result<(), Failure> {
    store.api.ask("PUT", &store.at(verb, path), "", Some(&json!({"versions": versions}))).map(drop)
}

fn history(store: &Store<'_>, path: &str) -> Result<(), Failure> {
    let metadata = store.metadata(path)?;
    let mut versions: Vec<(u64, &Value)> = metadata["versions"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(number, version)| Some((number.parse().ok()?, version)))
        .collect();
    versions.sort_unstable_by_key(|(number, _)| *number);
    let row = |(number, version): (u64, &Value)| {
        let deleted = version["deletion_time"].as_str().unwrap_or_default();
        let state = match (version["destroyed"].as_bool(), deleted) {
            (Some(true), _) => "destroyed".to_owned(),
            (_, "") => if Some(number) == metadata["current_version"].as_u64() { "current" } else { "" }.to_owned(),
            (_, time) => format!("deleted {time}"),
        };
        [number.to_string(), version["created_time"].as_str().unwrap_or_default().to_owned(), state]
    };
    say(&table(["VERSION", "WRITTEN", "STATE"], &versions.into_iter().map(row).collect::<Vec<_>>()))
}

impl Given {
    /// All entries that are given, with those that go.
    fn data(&self, removed: &[String]) -> Result<Data, Failure> {
        for path in self.json.iter().chain(&self.env) {
            if !input::exists(path) {
                return Err(Failure::new(Class::Invalid, format!("there is no file {path}")));
            }
        }
        let mut data: Map<String, Value> = self.json.as_deref().map(input::json).transpose()?.unwrap_or_default();
        data.extend(self.env.as_deref().map(input::env).transpose()?.unwrap_or_default());
        data.extend(input::entries(&self.entries)?);
        data.extend(removed.iter().map(|key| (key.clone(), Value::Null)));
        if data.is_empty() {
            let words = "there is nothing to write";
            return Err(
                Failure::new(Class::Invalid, words).with_hint("give KEY=-, KEY=@FILE, --json FILE or --env FILE")
            );
        }
        Ok(data)
    }
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

//! `strongroom kv`.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use strongroom_failure::{Class, Failure};
use strongroom_stores::Ambient;

use crate::api::{Api, ended};
use crate::input;

/// Secrets with versions, in the built-in store or any other that speaks Vault's API
#[derive(Args)]
#[command(after_help = "The store is named by STRONGROOM_ADDR and STRONGROOM_TOKEN, or BAO_… or VAULT_…\n\n\
                        Exit status: 0 all is well, 1 something is wrong, 2 wrong usage, 4 there is no such secret\n\n\
                        Examples:\n  \
                        strongroom kv put app password=- < password.txt\n  \
                        strongroom kv put app --env .env\n  \
                        strongroom kv get app --field password\n  \
                        strongroom kv history app\n  \
                        strongroom kv rollback app --version 1")]
pub struct KvCommand {
    /// Where secrets with versions are mounted
    #[arg(long, global = true, default_value = "secret")]
    mount: String,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Write a version: entries from standard input and files, never from the command line
    Put {
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
        /// Keep the keys of the latest version that are not given
        #[arg(long)]
        keep: bool,
    },
    /// Read a version; values are hidden on a terminal
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
    List {
        #[arg(default_value = "")]
        path: String,
    },
    /// Delete versions, the latest where none is named, so that they can be brought back
    Delete {
        path: String,
        #[arg(long, value_delimiter = ',')]
        versions: Vec<u64>,
    },
    /// Bring deleted versions back
    Undelete {
        path: String,
        #[arg(long, value_delimiter = ',', required = true)]
        versions: Vec<u64>,
    },
    /// Erase versions for good
    Destroy {
        path: String,
        #[arg(long, value_delimiter = ',', required = true)]
        versions: Vec<u64>,
    },
    /// Show all versions
    History { path: String },
    /// Write an older version again, as the newest
    Rollback {
        path: String,
        #[arg(long)]
        version: u64,
    },
}

impl KvCommand {
    /// Asks the store that the environment names.
    pub fn run(self, variables: &[OsString]) -> ExitCode {
        ended(Api::of(&Ambient::of(variables)).and_then(|api| Store { api, mount: self.mount }.does(self.verb)))
    }
}

struct Store {
    api: Api,
    mount: String,
}

impl Store {
    fn does(&self, verb: Verb) -> Result<(), Failure> {
        match verb {
            Verb::Put { path, entries, json, env, cas, keep } => {
                let data = gathered(&entries, json.as_deref(), env.as_deref())?;
                self.put(&path, data, cas, keep)
            }
            Verb::Get { path, version, field, json, reveal } => {
                self.get(&path, version, field.as_deref(), json, reveal)
            }
            Verb::List { path } => {
                let answer = self.api.ask("LIST", &self.at("metadata", &path), "", None)?;
                let keys = answer.map(|answer| answer["data"]["keys"].clone());
                let keys = keys.as_ref().and_then(Value::as_array).cloned().unwrap_or_default();
                say(&keys.iter().filter_map(Value::as_str).map(|key| format!("{key}\n")).collect::<String>())
            }
            Verb::Delete { path, versions } if versions.is_empty() => {
                self.api.ask("DELETE", &self.at("data", &path), "", None).map(drop)
            }
            Verb::Delete { path, versions } => self.change("delete", &path, &versions),
            Verb::Undelete { path, versions } => self.change("undelete", &path, &versions),
            Verb::Destroy { path, versions } => self.change("destroy", &path, &versions),
            Verb::History { path } => self.history(&path),
            Verb::Rollback { path, version } => {
                let current = self.metadata(&path)?["current_version"].as_u64().unwrap_or_default();
                let data = self.read(&path, Some(version))?["data"].clone();
                let data = data.as_object().cloned().unwrap_or_default();
                // Whoever wrote meanwhile is not written over.
                self.put(&path, data, Some(current), false)
            }
        }
    }

    fn at(&self, verb: &str, path: &str) -> String {
        format!("{}/{verb}/{}", self.mount.trim_matches('/'), path.trim_start_matches('/'))
    }

    fn put(&self, path: &str, data: Map<String, Value>, cas: Option<u64>, keep: bool) -> Result<(), Failure> {
        let options = cas.map_or_else(|| json!({}), |cas| json!({"cas": cas}));
        let body = json!({"data": data, "options": options});
        let method = if keep { "PATCH" } else { "POST" };
        let answer = self.api.ask(method, &self.at("data", path), "", Some(&body))?;
        let version = answer.map(|answer| answer["data"]["version"].clone()).unwrap_or_default();
        say(&format!("{path}: version {version}\n"))
    }

    /// `data` of an answer: the secret's own and what is known of its version.
    fn read(&self, path: &str, version: Option<u64>) -> Result<Value, Failure> {
        let query = version.map_or_else(String::new, |version| format!("?version={version}"));
        let answer = self.api.ask("GET", &self.at("data", path), &query, None)?;
        Ok(answer.map(|answer| answer["data"].clone()).unwrap_or_default())
    }

    fn metadata(&self, path: &str) -> Result<Value, Failure> {
        let answer = self.api.ask("GET", &self.at("metadata", path), "", None)?;
        Ok(answer.map(|answer| answer["data"].clone()).unwrap_or_default())
    }

    fn get(
        &self,
        path: &str,
        version: Option<u64>,
        field: Option<&str>,
        is_json: bool,
        reveal: bool,
    ) -> Result<(), Failure> {
        let read = self.read(path, version)?;
        if let Some(field) = field {
            let value = read["data"].get(field).ok_or_else(|| {
                let keys = read["data"].as_object().map(|data| data.keys().cloned().collect::<Vec<_>>().join(", "));
                Failure::new(Class::NotFound, format!("the secret has no key {field:?}"))
                    .on_key(path)
                    .with_hint(format!("it has: {}", keys.unwrap_or_default()))
            })?;
            let line_end = if std::io::stdout().is_terminal() { "\n" } else { "" };
            return say(&format!("{}{line_end}", shown(value)));
        }
        if is_json {
            return say(&format!("{read:#}\n"));
        }
        let hides = std::io::stdout().is_terminal() && !reveal;
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

    fn change(&self, verb: &str, path: &str, versions: &[u64]) -> Result<(), Failure> {
        self.api.ask("PUT", &self.at(verb, path), "", Some(&json!({"versions": versions}))).map(drop)
    }

    fn history(&self, path: &str) -> Result<(), Failure> {
        let metadata = self.metadata(path)?;
        let mut versions: Vec<(u64, &Value)> = metadata["versions"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(number, version)| Some((number.parse().ok()?, version)))
            .collect();
        versions.sort_unstable_by_key(|(number, _)| *number);
        let mut text = format!("{:>7}  {:<30}  STATE\n", "VERSION", "WRITTEN");
        for (number, version) in versions {
            let deleted = version["deletion_time"].as_str().unwrap_or_default();
            let state = match (version["destroyed"].as_bool(), deleted) {
                (Some(true), _) => "destroyed".to_owned(),
                (_, "") => if Some(number) == metadata["current_version"].as_u64() { "current" } else { "" }.to_owned(),
                (_, time) => format!("deleted {time}"),
            };
            let written = version["created_time"].as_str().unwrap_or_default();
            text.push_str(&format!("{number:>7}  {written:<30}  {state}\n"));
        }
        say(&text)
    }
}

/// All entries that are given.
fn gathered(words: &[String], json: Option<&str>, env: Option<&str>) -> Result<Map<String, Value>, Failure> {
    for path in json.iter().chain(&env) {
        if !input::exists(path) {
            return Err(Failure::new(Class::Invalid, format!("there is no file {path}")));
        }
    }
    let mut data = json.map(input::json).transpose()?.unwrap_or_default();
    data.extend(env.map(input::env).transpose()?.unwrap_or_default());
    data.extend(input::entries(words)?);
    if data.is_empty() {
        let words = "there is nothing to write";
        return Err(Failure::new(Class::Invalid, words).with_hint("give KEY=-, KEY=@FILE, --json FILE or --env FILE"));
    }
    Ok(data)
}

fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

pub(crate) fn say(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        // A reader that has gone away has read enough.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Class::Unavailable, format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

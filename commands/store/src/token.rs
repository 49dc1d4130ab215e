//! `strongroom token`.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};
use strongroom_failure::{Class, Failure};
use strongroom_stores::Ambient;

use crate::api::{Api, Ending, ended};
use crate::input;
use crate::login::joined;
use crate::table::{facts, span, table};
use crate::terminal::say;

/// Tokens: make, look up, renew and end them
#[derive(Args)]
#[command(
    after_help = "Only create prints a token. Another token than your own is named by its accessor, or by a file.\n\n\
                        Exit status: 0 all is well, 1 something is wrong, 2 wrong usage\n\n\
                        Examples:\n  \
                        strongroom token create --policy reader --ttl 1h\n  \
                        strongroom token create --policy reader --field token > token\n  \
                        strongroom token lookup\n  \
                        strongroom token revoke --accessor 2ul7Q9\n  \
                        strongroom token capabilities secret/data/app"
)]
pub struct TokenCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Create(Create),
    /// Show what a token is: your own, unless another is named
    #[command(after_help = "Examples:\n  strongroom token lookup\n  strongroom token lookup --accessor 2ul7Q9 --json")]
    Lookup {
        #[command(flatten)]
        which: Which,
        /// The whole answer as JSON, without the token
        #[arg(long)]
        json: bool,
    },
    /// Give a token more time: your own, unless another is named
    #[command(after_help = "Examples:\n  strongroom token renew --increment 1h")]
    Renew {
        #[command(flatten)]
        which: Which,
        /// How long it is to live from now on: 30m, 12h [default: as when it was made]
        #[arg(long, value_name = "TIME")]
        increment: Option<String>,
        /// The whole answer as JSON, without the token
        #[arg(long)]
        json: bool,
    },
    /// End a token and all that it made
    #[command(after_help = "Examples:\n  strongroom token revoke --accessor 2ul7Q9\n  strongroom token revoke --self")]
    Revoke {
        #[command(flatten)]
        which: Which,
        /// The one that you ask with
        #[arg(long = "self", conflicts_with_all = ["accessor", "token_file"], required_unless_present_any = ["accessor", "token_file"])]
        own: bool,
    },
    /// Say what a token may do: your own, unless another is named
    #[command(after_help = "Examples:\n  strongroom token capabilities secret/data/app secret/metadata/app")]
    Capabilities {
        /// Paths below /v1/: of secrets with versions, secret/data/app
        #[arg(required = true)]
        paths: Vec<String>,
        #[command(flatten)]
        which: Which,
        /// An object of paths and their lists
        #[arg(long)]
        json: bool,
    },
}

/// Another token than one's own.
#[derive(Args)]
struct Which {
    /// The token with this accessor
    #[arg(long, value_name = "ACCESSOR", conflicts_with = "token_file")]
    accessor: Option<String>,
    /// The token in this file; - for standard input
    #[arg(long, value_name = "FILE")]
    token_file: Option<String>,
}

/// Make a token
#[derive(Args)]
#[command(after_help = "Examples:\n  \
                        strongroom token create --policy reader --ttl 1h\n  \
                        strongroom token create --policy reader --orphan --period 24h --display-name backup\n  \
                        strongroom token create --policy reader --field token > token")]
struct Create {
    /// What it may do; repeated, or several with commas [default: what you may do]
    #[arg(long = "policy", value_name = "NAME", value_delimiter = ',')]
    policies: Vec<String>,
    /// How long it lives unless it is renewed: 30m, 12h
    #[arg(long, value_name = "TIME")]
    ttl: Option<String>,
    /// How long it lives at the longest
    #[arg(long, value_name = "TIME")]
    explicit_max_ttl: Option<String>,
    /// Lives for ever if it is renewed this often
    #[arg(long, value_name = "TIME")]
    period: Option<String>,
    /// How often it may be used
    #[arg(long, value_name = "NUMBER")]
    uses: Option<u64>,
    /// What people know it by, in the audit trail, too
    #[arg(long, value_name = "NAME")]
    display_name: Option<String>,
    /// What is noted with it, NAME=VALUE; not secret. Repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    meta: Vec<String>,
    /// It does not end with yours
    #[arg(long, conflicts_with = "role")]
    orphan: bool,
    /// It has the policies that are named, without default
    #[arg(long)]
    no_default_policy: bool,
    /// It cannot be given more time
    #[arg(long)]
    not_renewable: bool,
    /// As this role of tokens has it
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// Print this alone, without a line end where it is not a terminal
    #[arg(long, value_enum, conflicts_with = "json")]
    field: Option<Field>,
    /// The whole answer as JSON, with the token
    #[arg(long)]
    json: bool,
}

/// What of a new token can be printed alone.
#[derive(Clone, Copy, ValueEnum)]
enum Field {
    Token,
    Accessor,
}

impl TokenCommand {
    /// Asks the store that the environment names.
    pub fn run(self, variables: &[OsString]) -> ExitCode {
        ended(Api::of(&Ambient::of(variables)).and_then(|api| does(self.verb, &api)).map(|()| Ending::Well))
    }
}

fn does(verb: Verb, api: &Api) -> Result<(), Failure> {
    match verb {
        Verb::Create(create) => create.run(api),
        Verb::Lookup { which, json } => {
            let mut known = which.ask(api, "auth/token", "lookup", Map::new())?["data"].take();
            // The token itself: whoever looks it up has it already.
            if let Some(members) = known.as_object_mut() {
                members.remove("id");
            }
            if json { say(&format!("{known:#}\n")) } else { say(&looked_up(&known)) }
        }
        Verb::Renew { which, increment, json } => {
            let wanted = increment.map(|increment| ("increment".to_owned(), increment.into()));
            let mut answer = which.ask(api, "auth/token", "renew", wanted.into_iter().collect())?;
            let mut auth = answer["auth"].take();
            if let Some(members) = auth.as_object_mut() {
                members.remove("client_token");
            }
            warn(&answer);
            if json { say(&format!("{auth:#}\n")) } else { say(&format!("lives {}\n", lives(&auth))) }
        }
        Verb::Revoke { which, .. } => which.ask(api, "auth/token", "revoke", Map::new()).map(|answer| warn(&answer)),
        Verb::Capabilities { paths, which, json } => {
            let wanted = Map::from_iter([("paths".to_owned(), json!(paths))]);
            let answer = which.ask(api, "sys", "capabilities", wanted)?;
            let of = |path: &String| answer["data"][path].clone();
            match json {
                true => say(&format!("{:#}\n", paths.iter().map(|path| (path.clone(), of(path))).collect::<Value>())),
                false => {
                    let rows: Vec<_> = paths.iter().map(|path| [path.clone(), joined(&of(path))]).collect();
                    say(&table(["PATH", "CAPABILITIES"], &rows))
                }
            }
        }
    }
}

impl Which {
    /// Asks about the token that is meant: each verb has three paths, and the whole answer comes back.
    fn ask(&self, api: &Api, folder: &str, verb: &str, mut body: Map<String, Value>) -> Result<Value, Failure> {
        let (path, method) = match (&self.accessor, &self.token_file) {
            (Some(accessor), _) => {
                body.insert("accessor".to_owned(), accessor.as_str().into());
                (format!("{folder}/{verb}-accessor"), "POST")
            }
            (None, Some(file)) => {
                let token = input::secret(Some(file), "token")?;
                let text = token.expose_text().ok_or_else(|| Failure::new(Class::Invalid, "the token is no text"))?;
                body.insert("token".to_owned(), text.into());
                (format!("{folder}/{verb}"), "POST")
            }
            // The policy that every token has lets it read itself, and no more.
            (None, None) => (format!("{folder}/{verb}-self"), if verb == "lookup" { "GET" } else { "POST" }),
        };
        let body = (method == "POST").then_some(Value::Object(body));
        Ok(api.ask(method, &path, "", body.as_ref())?.unwrap_or_default())
    }
}

impl Create {
    fn run(&self, api: &Api) -> Result<(), Failure> {
        let path = match (&self.role, self.orphan) {
            (Some(role), _) => format!("auth/token/create/{role}"),
            (None, true) => "auth/token/create-orphan".to_owned(),
            (None, false) => "auth/token/create".to_owned(),
        };
        let answer = api.ask("POST", &path, "", Some(&self.body()?))?.unwrap_or_default();
        warn(&answer);
        let auth = &answer["auth"];
        let text = |name: &str| auth[name].as_str().unwrap_or_default().to_owned();
        let line_end = if crate::terminal::shows() { "\n" } else { "" };
        match self.field {
            Some(Field::Token) => say(&format!("{}{line_end}", text("client_token"))),
            Some(Field::Accessor) => say(&format!("{}{line_end}", text("accessor"))),
            None if self.json => say(&format!("{auth:#}\n")),
            None => say(&facts(&[
                ("token", text("client_token")),
                ("accessor", text("accessor")),
                ("policies", joined(&auth["policies"])),
                ("lives", lives(auth)),
            ])),
        }
    }

    fn body(&self) -> Result<Value, Failure> {
        let mut body = Map::new();
        let times = [("ttl", &self.ttl), ("explicit_max_ttl", &self.explicit_max_ttl), ("period", &self.period)];
        for (name, text) in times.into_iter().chain([("display_name", &self.display_name)]) {
            if let Some(text) = text {
                body.insert(name.to_owned(), text.as_str().into());
            }
        }
        let mut meta = Map::new();
        for entry in &self.meta {
            let wrong = || Failure::new(Class::Invalid, format!("--meta {entry:?} is no NAME=VALUE"));
            let (name, value) = entry.split_once('=').ok_or_else(wrong)?;
            meta.insert(name.to_owned(), value.into());
        }
        if !meta.is_empty() {
            body.insert("meta".to_owned(), meta.into());
        }
        if !self.policies.is_empty() {
            body.insert("policies".to_owned(), json!(self.policies));
        }
        if let Some(uses) = self.uses {
            body.insert("num_uses".to_owned(), uses.into());
        }
        body.insert("no_default_policy".to_owned(), self.no_default_policy.into());
        body.insert("renewable".to_owned(), (!self.not_renewable).into());
        Ok(body.into())
    }
}

/// What the store has to say beside its answer.
fn warn(answer: &Value) {
    for words in answer["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        crate::terminal::note(&format!("note: {}", crate::terminal::harmless(words)));
    }
}

fn lives(auth: &Value) -> String {
    let renewable = if auth["renewable"].as_bool() == Some(true) { "" } else { ", and cannot be renewed" };
    format!("{}{renewable}", span(auth["lease_duration"].as_u64().unwrap_or_default()))
}

fn looked_up(known: &Value) -> String {
    let text = |name: &str| match &known[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let meta = known["meta"].as_object().into_iter().flatten();
    let meta: Vec<String> =
        meta.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect();
    let uses = known["num_uses"].as_u64().filter(|uses| *uses > 0);
    let mut told = vec![
        ("accessor", text("accessor")),
        ("name", text("display_name")),
        ("policies", joined(&known["policies"])),
        ("made", text("issue_time")),
        ("ends", if known["expire_time"].is_null() { "never".to_owned() } else { text("expire_time") }),
        ("lives", span(known["ttl"].as_u64().unwrap_or_default())),
        ("renewable", text("renewable")),
        ("orphan", text("orphan")),
        ("made by", text("path")),
    ];
    told.extend(uses.map(|uses| ("uses left", uses.to_string())));
    told.extend((!meta.is_empty()).then(|| ("meta", meta.join(", "))));
    facts(&told)
}

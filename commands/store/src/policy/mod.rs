//! `strongroom policy`.

mod assertions;
mod explain;
mod known;
mod test;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;
use strongroom_failure::{Class, Failure};
use strongroom_stores::Ambient;

use crate::api::{Api, Ending, ended};
use crate::input;
use crate::terminal::{harmless, say};

/// Policies: who may do what, and why
#[derive(Args)]
#[command(
    after_help = "Exit status: 0 all is well, 1 something is wrong, 2 wrong usage, 4 there is no such policy, 6 (test) \
                        an assertion fails\n\n\
                        Examples:\n  \
                        strongroom policy write reader reader.hcl\n  \
                        strongroom policy test assertions.yaml --policies policies/\n  \
                        strongroom policy explain secret/data/app read\n  \
                        strongroom policy explain --policies reader,ops secret/data/app read"
)]
pub struct PolicyCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// List the names of all policies
    #[command(after_help = "Examples:\n  strongroom policy list\n  strongroom policy list --json")]
    List {
        /// A JSON list
        #[arg(long)]
        json: bool,
    },
    /// Print a policy's text
    #[command(after_help = "Examples:\n  strongroom policy read reader > reader.hcl")]
    Read {
        name: String,
    },
    /// Write a policy from a file; a change holds at once
    #[command(after_help = "Every mistake is told with its line, and nothing is written then.\n\n\
                            Examples:\n  strongroom policy write reader reader.hcl\n  \
                            strongroom policy write reader - < reader.hcl")]
    Write {
        name: String,
        /// HCL or JSON; - for standard input
        file: String,
    },
    /// Delete a policy: tokens that have it lose what it grants, at once
    #[command(after_help = "Examples:\n  strongroom policy delete reader")]
    Delete {
        name: String,
    },
    Test(test::Test),
    Explain(explain::Explain),
}

impl PolicyCommand {
    /// Asks the store that the environment names, where the policies are not in files.
    pub fn run(self, variables: &[OsString]) -> ExitCode {
        let ambient = Ambient::of(variables);
        ended(match self.verb {
            Verb::Test(test) => test.run(&ambient),
            Verb::Explain(explain) => explain.run(&ambient),
            verb => Api::of(&ambient).and_then(|api| does(verb, &api)).map(|()| Ending::Well),
        })
    }
}

fn does(verb: Verb, api: &Api) -> Result<(), Failure> {
    match verb {
        Verb::List { json } => {
            let names = known::names(api)?;
            match json {
                true => say(&format!("{:#}\n", json!(names))),
                false => say(&names.iter().map(|name| format!("{}\n", harmless(name))).collect::<String>()),
            }
        }
        Verb::Read { name } => {
            let text = known::text(api, &name)?;
            say(&if text.ends_with('\n') { text } else { text + "\n" })
        }
        Verb::Write { name, file } => {
            let text = input::text(&file)?;
            known::parsed(&name, &file, &text)?;
            api.ask("PUT", &place(&name), "", Some(&json!({"policy": text}))).map(drop)
        }
        Verb::Delete { name } => {
            // Deleting what is not there is answered as done; a name that is mistyped should not be.
            known::text(api, &name)?;
            api.ask("DELETE", &place(&name), "", None).map(drop)
        }
        Verb::Test(_) | Verb::Explain(_) => Ok(()),
    }
}

fn place(name: &str) -> String {
    format!("sys/policies/acl/{name}")
}

fn absent(name: &str) -> Failure {
    Failure::new(Class::NotFound, "there is no such policy")
        .in_field(name)
        .with_hint("strongroom policy list has them all")
}

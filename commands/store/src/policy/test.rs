//! `strongroom policy test`.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use strongroom_failure::Failure;
use strongroom_stores::Ambient;

use super::{assertions, known};
use crate::api::{Api, Ending};
use crate::input;
use crate::terminal::{harmless, say};

/// Check what policies are to grant and not to grant, in files or in the store
#[derive(Args)]
#[command(after_help = "The file is a list of assertions:\n\n  \
                        - {policies: [reader], may: read, path: secret/data/app}\n  \
                        - {policies: [reader], may_not: [update, delete], path: secret/data/*}\n  \
                        - {nobody: {except: [team-a]}, may: read, path: secret/data/team-a/*}\n\n\
                        policies: somebody who has all of these. nobody: every policy but those of except is looked at; \
                        root may do everything in any case. A path may have + for one segment and * at its end: may then \
                        means every such path, may_not and nobody mean not one of them. A template in a policy may stand \
                        for any name. Bounds of parameters count for may and a path without wildcards alone.\n\n\
                        With --policies no store is asked.\n\n\
                        Exit status: 0 all assertions hold, 6 one fails, 1 something is wrong, 2 wrong usage\n\n\
                        Examples:\n  \
                        strongroom policy test assertions.yaml --policies policies/\n  \
                        strongroom policy test assertions.yaml")]
pub(super) struct Test {
    /// The assertions; - for standard input
    file: String,
    /// A folder of *.hcl files, each named after its policy [default: the store's policies]
    #[arg(long, value_name = "FOLDER")]
    policies: Option<PathBuf>,
    /// All assertions as JSON
    #[arg(long)]
    json: bool,
}

impl Test {
    pub(super) fn run(&self, ambient: &Ambient) -> Result<Ending, Failure> {
        let claims = assertions::claims(&self.file, &input::text(&self.file)?)?;
        let policies = match &self.policies {
            Some(folder) => known::of_folder(folder)?,
            None => known::of_store(&Api::of(ambient)?, None)?,
        };
        let now = known::now();
        let mut judged = Vec::new();
        for claim in &claims {
            judged.push((claim, claim.judge(&policies, now)?));
        }
        let fails = judged.iter().filter(|(_, reasons)| !reasons.is_empty()).count();
        if self.json {
            let shown = judged.iter().map(|(claim, reasons)| {
                json!({"assertion": claim.number, "says": claim.to_string(), "holds": reasons.is_empty(), "because": reasons})
            });
            say(&format!("{:#}\n", shown.collect::<Value>()))?;
        } else {
            let mut text = String::new();
            for (claim, reasons) in &judged {
                let word = if reasons.is_empty() { "ok  " } else { "FAIL" };
                text.push_str(&format!("{word}  {}  {}\n", claim.number, harmless(&claim.to_string())));
                text.extend(reasons.iter().map(|reason| format!("        {}\n", harmless(reason))));
            }
            say(&format!("{text}{} checked against {} policies, {fails} failed\n", judged.len(), policies.len()))?;
        }
        Ok(if fails == 0 { Ending::Well } else { Ending::Fails })
    }
}

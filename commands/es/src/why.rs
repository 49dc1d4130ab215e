use std::ffi::OsString;
use std::process::ExitCode;

use clap::Args;
use strongroom_failure::{Class, Failure};
use strongroom_operator::Name;
use strongroom_operator::explain::{Mark, Report};

use crate::cluster::{ClusterOptions, OperatorFlags, Output, blocking};
use crate::ended;
use crate::print::{print, wrapped};

const EXAMPLES: &str = "\
Examples:
  strongroom why es/app -n team-a
  strongroom why externalsecret/app -n team-a -o json
  strongroom why es/app -n team-a -- --controller-class=mine --ambient-credentials=all

Marks: ok, !! wrong, -- not looked at because of something before it, ?? you may not look at it.
Exit status: 0 all is well, 1 something is wrong, 2 wrong usage.
Stores are opened with your own rights in the cluster, and a store without credentials with what this shell has.
The page docs/troubleshooting.md has examples.";

/// Say what is wrong with an ExternalSecret, on one screen
///
/// Walks the whole chain (object, store, login, policy, keys, properties, template, target) as the operator does, with
/// your own rights, and writes nothing. No value is shown, only lengths.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Why {
    /// es/NAME or externalsecret/NAME
    #[arg(value_name = "es/NAME", value_parser = object)]
    name: String,

    #[command(flatten)]
    cluster: ClusterOptions,

    /// How to print it
    #[arg(short, long, value_enum, value_name = "FORMAT", default_value = "text")]
    output: Output,

    #[command(flatten)]
    operator: OperatorFlags,
}

impl Why {
    /// Looks and prints; `variables` are the process's own.
    pub fn run(self, variables: &[OsString]) -> ExitCode {
        ended(blocking(self.look(variables)))
    }

    async fn look(self, variables: &[OsString]) -> Result<bool, Failure> {
        let desk = self.cluster.desk(&self.operator.flags, variables).await?;
        let name = Name::new(self.cluster.namespace(&desk), &self.name);
        let report = desk.why(&name).await?;
        print(&match self.output {
            Output::Text => screen(&report),
            Output::Json => json(&report)?,
        })?;
        Ok(report.is_well)
    }
}

/// The name in `es/NAME`, as kubectl's words for the kind go.
fn object(text: &str) -> Result<String, String> {
    let wrong = || "write es/NAME or externalsecret/NAME".to_owned();
    let (kind, name) = text.split_once('/').ok_or_else(wrong)?;
    let kinds = ["es", "externalsecret", "externalsecrets", "externalsecrets.external-secrets.io"];
    let is_known = kinds.iter().any(|known| known.eq_ignore_ascii_case(kind));
    if is_known && !name.is_empty() { Ok(name.to_owned()) } else { Err(wrong()) }
}

/// Everything on one screen, the verdict last: that is where the eye is.
pub(crate) fn screen(report: &Report) -> String {
    let mut text = steps(report);
    text.push('\n');
    text.push_str(&wrapped("verdict: ", &report.verdict));
    if let Some(hint) = &report.hint {
        text.push_str(&wrapped("hint: ", hint));
    }
    text
}

/// Steps of one kind that are shown even where all of them are right; of more only the wrong ones are.
const SHOWN: usize = 6;

fn steps(report: &Report) -> String {
    let mut text = String::new();
    let mut shown = std::collections::BTreeMap::<&str, usize>::new();
    let mut left_out = 0;
    for step in &report.steps {
        let count = shown.entry(step.what).or_default();
        if step.mark == Mark::Ok && *count >= SHOWN {
            left_out += 1;
            continue;
        }
        *count += 1;
        text.push_str(&wrapped(&format!("{}  {:<10} ", step.mark.sign(), step.what), &step.words));
    }
    if left_out > 0 {
        text.push_str(&format!("ok  {left_out} more (-o json has all of them)\n"));
    }
    text
}

pub(crate) fn json(value: &impl serde::Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(value);
    let text = text.map_err(|error| Failure::new(Class::Invalid, format!("cannot write it as JSON: {error}")))?;
    Ok(text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_named_as_kubectl_names_them() {
        let check = |text: &str, expected: Option<&str>| assert_eq!(object(text).ok().as_deref(), expected, "{text}");
        check("es/app", Some("app"));
        check("ExternalSecret/app", Some("app"));
        check("externalsecrets.external-secrets.io/app", Some("app"));
        check("app", None);
        check("es/", None);
        check("secret/app", None);
    }
}

//! `strongroom policy explain`.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use strongroom_failure::{Class, Failure};
use strongroom_policy::acl::{Acl, Explanation, Identity, Operation, Request, Rule, Skipped};
use strongroom_stores::Ambient;

use super::absent;
use super::assertions::{operation, target};
use super::known::{self, ROOT};
use crate::api::{Api, Ending};
use crate::terminal::{harmless, say};

/// Say which rule of which policy decides, and why the others do not
#[derive(Args)]
#[command(
    after_help = "Without --policies and --accessor it is about the token that asks. Policies that have templates say \
                        what they say when somebody logs in; here they are named and left out.\n\n\
                        Exit status: 0 it is explained, allowed or not, 1 something is wrong, 2 wrong usage, 4 there is no \
                        such policy\n\n\
                        Examples:\n  \
                        strongroom policy explain secret/data/app read\n  \
                        strongroom policy explain --policies reader,ops secret/metadata/app list\n  \
                        strongroom policy explain --folder policies/ --policies reader secret/data/app read\n  \
                        strongroom policy explain --accessor 2ul7Q9 secret/data/app update --json"
)]
pub(super) struct Explain {
    /// The path below /v1/: of secrets with versions, secret/data/app
    path: String,
    /// create, read, update, patch, delete, list or scan
    #[arg(value_parser = operation)]
    operation: Operation,
    /// Somebody who has these policies
    #[arg(long, value_name = "NAMES", value_delimiter = ',', conflicts_with = "accessor")]
    policies: Vec<String>,
    /// The token with this accessor
    #[arg(long, value_name = "ACCESSOR")]
    accessor: Option<String>,
    /// Take the policies from a folder of *.hcl files, and ask no store
    #[arg(long, value_name = "FOLDER", requires = "policies")]
    folder: Option<PathBuf>,
    /// The whole as JSON
    #[arg(long)]
    json: bool,
}

impl Explain {
    pub(super) fn run(&self, ambient: &Ambient) -> Result<Ending, Failure> {
        let path = target(&self.path, self.operation);
        let path = path.map_err(|words| Failure::new(Class::Invalid, words))?;
        let acl = self.acl(ambient)?;
        let explanation = acl.explain(&path, self.operation);
        let other = self.below_data(&acl, &path, &explanation);
        say(&match self.json {
            true => format!("{:#}\n", as_json(&path, self.operation, &explanation, acl.skipped())),
            false => as_text(&path, self.operation, &explanation, acl.skipped(), other.as_deref()),
        })?;
        Ok(Ending::Well)
    }

    fn acl(&self, ambient: &Ambient) -> Result<Acl, Failure> {
        let list = |names: &[String], policies: &known::Policies| -> Result<Acl, Failure> {
            if names.iter().any(|name| name == ROOT) {
                return Ok(Acl::root());
            }
            let found: Result<Vec<_>, Failure> =
                names.iter().map(|name| policies.get(name).ok_or_else(|| absent(name))).collect();
            Ok(Acl::new(found?, &Identity::default(), known::now()))
        };
        let named: Vec<String> = self.policies.iter().map(|name| name.to_lowercase()).collect();
        if let Some(folder) = &self.folder {
            return list(&named, &known::of_folder(folder)?);
        }
        let api = Api::of(ambient)?;
        let names = match (&self.accessor, named.is_empty()) {
            (Some(accessor), _) => {
                policies_of(&api.data("POST", "auth/token/lookup-accessor", Some(&json!({"accessor": accessor})))?)
            }
            (None, true) => policies_of(&api.data("GET", "auth/token/lookup-self", None)?),
            (None, false) => named,
        };
        list(&names, &known::of_store(&api, Some(&names))?)
    }

    /// What people forget: that secrets with versions are asked for below `data/`.
    fn below_data(&self, acl: &Acl, path: &str, explanation: &Explanation<'_>) -> Option<String> {
        if explanation.decision.is_allowed() || explanation.decision.rule().is_some() {
            return None;
        }
        let (mount, rest) = path.split_once('/')?;
        let verb = if matches!(self.operation, Operation::List | Operation::Scan) { "metadata" } else { "data" };
        let other = format!("{mount}/{verb}/{rest}");
        let request = Request { path: &other, operation: self.operation, parameters: &[], wrapping: None };
        acl.check(&request).is_allowed().then_some(other)
    }
}

/// The names of a token's policies, from wherever it has them.
fn policies_of(token: &Value) -> Vec<String> {
    let lists = [&token["policies"], &token["identity_policies"]];
    let mut names: Vec<String> = lists
        .into_iter()
        .flat_map(|list| list.as_array().into_iter().flatten())
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn words(rule: &Rule) -> Vec<(String, u32, Vec<&'static str>)> {
    let source = |source: &strongroom_policy::acl::Source| {
        (source.policy.to_string(), source.line, source.capabilities.iter().map(|one| one.name()).collect())
    };
    rule.sources().iter().map(source).collect()
}

fn as_text(
    path: &str,
    operation: Operation,
    explanation: &Explanation<'_>,
    skipped: &[Skipped],
    other: Option<&str>,
) -> String {
    let decided = explanation.decision.to_string();
    let (verdict, reason) = decided.split_once(": ").unwrap_or((&decided, ""));
    let mut text = format!("{verdict}: {} on {}\n", operation.capability().name(), harmless(path));
    let sources = |rule: &Rule| -> String {
        let line = |(policy, line, words): (String, u32, Vec<&str>)| {
            let words = if words.is_empty() { "nothing".to_owned() } else { words.join(", ") };
            format!("    policy {policy:?}, line {line}: {words}\n")
        };
        format!("  path {:?}\n{}", rule.path(), words(rule).into_iter().map(line).collect::<String>())
    };
    match explanation.decision.rule() {
        Some(rule) => {
            let what = if explanation.decision.is_allowed() { "grants it" } else { "does not allow it" };
            text.push_str(&format!("this rule decides, and {what}:\n{}", sources(rule)));
            if !explanation.decision.is_allowed() {
                text.push_str(&format!("because {reason}\n"));
            }
        }
        None => text.push_str(&format!("because {reason}\n")),
    }
    for passed in &explanation.passed_over {
        text.push_str(&format!("it goes before this one, because {}:\n{}", passed.why, sources(passed.rule)));
    }
    if !explanation.nearest.is_empty() {
        text.push_str("the nearest rules are:\n");
        text.extend(explanation.nearest.iter().map(|rule| sources(rule)));
    }
    for Skipped { policy, line, is_expired } in skipped {
        let why = if *is_expired { "it has expired" } else { "its template is filled when somebody logs in" };
        text.push_str(&format!("left out: policy {policy:?}, line {line}: {why}\n"));
    }
    if let Some(other) = other {
        text.push_str(&format!(
            "hint: secrets with versions have another path, which is allowed: {}\n",
            harmless(other)
        ));
    }
    text
}

fn as_json(path: &str, operation: Operation, explanation: &Explanation<'_>, skipped: &[Skipped]) -> Value {
    let shown = |rule: &Rule| {
        let sources = words(rule)
            .into_iter()
            .map(|(policy, line, capabilities)| json!({"policy": policy, "line": line, "capabilities": capabilities}));
        json!({"path": rule.path(), "sources": sources.collect::<Value>()})
    };
    let passed = explanation.passed_over.iter();
    let passed = passed.map(|passed| json!({"rule": shown(passed.rule), "because": passed.why.to_string()}));
    let nearest = explanation.nearest.iter().map(|rule| shown(rule));
    let left_out =
        skipped.iter().map(|one| json!({"policy": &*one.policy, "line": one.line, "expired": one.is_expired}));
    json!({
        "path": path,
        "operation": operation.capability().name(),
        "allowed": explanation.decision.is_allowed(),
        "because": explanation.decision.to_string(),
        "rule": explanation.decision.rule().map(shown),
        "passed_over": passed.collect::<Value>(),
        "nearest": nearest.collect::<Value>(),
        "left_out": left_out.collect::<Value>(),
    })
}

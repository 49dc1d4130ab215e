//! `strongroom kv copy`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Value, json};
use strongroom_failure::{Class, Failure};

use super::plan::{Plan, counted};
use super::store::{Data, Latest, Store, checked};
use crate::api::Ending;
use crate::terminal::{Progress, consent, harmless, note, say};

/// Copy a secret, or with a slash at its end a whole folder
#[derive(Args)]
#[command(
    after_help = "What is at TO gets a new version; its older ones stay. A folder's plan is shown first, and asked \
                        about. What somebody else writes meanwhile is not written over. The mount that is copied from \
                        may be one without versions.\n\n\
                        Exit status: 0 all is well, 1 something is wrong or not all was written, 2 wrong usage, 4 there \
                        is no such secret\n\n\
                        Examples:\n  \
                        strongroom kv copy app app-staging\n  \
                        strongroom kv copy app app --to-mount archive --all-versions\n  \
                        strongroom kv copy --mount old / / --to-mount secret --dry-run"
)]
pub(super) struct Copy {
    /// The secret, or the folder with a slash at its end: / for all
    from: String,
    /// Where the copy goes
    to: String,
    /// The mount that the copy goes to [default: the same]
    #[arg(long, value_name = "MOUNT")]
    to_mount: Option<String>,
    /// All versions that are there, and the settings, to a path where nothing is yet
    #[arg(long)]
    all_versions: bool,
    /// Copy a folder without asking
    #[arg(long)]
    yes: bool,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

impl Copy {
    pub(super) fn run(&self, source: &Store<'_>) -> Result<Ending, Failure> {
        let target = Store::new(source.api, self.to_mount.as_deref().unwrap_or_else(|| source.mount()));
        let has_versions = source.has_versions()?;
        target.needs_versions()?;
        let pairs = self.pairs(source, &target, has_versions)?;
        if self.all_versions {
            if !has_versions {
                let words = "keeps no versions: there is one of each secret";
                return Err(Failure::new(Class::Invalid, words)
                    .in_field(format!("{}/", source.mount()))
                    .with_hint("leave --all-versions out"));
            }
            return self.with_versions(source, &target, &pairs);
        }
        let mut wanted: BTreeMap<String, Data> = BTreeMap::new();
        let mut progress = Progress::new("reading", Some(pairs.len()));
        for (from, to) in pairs {
            match source.latest(&from, has_versions)? {
                Latest::There { data, .. } => drop(wanted.insert(to, data)),
                Latest::Gone { version } if self.is_folder() => {
                    note(&format!("{}: version {version} is deleted; it is left out", harmless(&from)));
                }
                Latest::Gone { version } => {
                    let words = format!("version {version}, the latest, is deleted");
                    return Err(Failure::new(Class::NotFound, words)
                        .in_field(from)
                        .with_hint("strongroom kv undelete brings it back"));
                }
                // It went away since it was listed.
                Latest::Absent if self.is_folder() => {}
                Latest::Absent => return Err(Failure::new(Class::NotFound, "there is no such secret").in_field(from)),
            }
            progress.step();
        }
        drop(progress);
        self.carry_out(&target, Plan::of(&target, wanted)?)
    }

    fn is_folder(&self) -> bool {
        self.from.is_empty() || self.from.ends_with('/')
    }

    /// From where to where.
    fn pairs(
        &self,
        source: &Store<'_>,
        target: &Store<'_>,
        has_versions: bool,
    ) -> Result<Vec<(String, String)>, Failure> {
        if !self.is_folder() {
            let (from, to) = (checked(&self.from)?, checked(&self.to)?);
            if from == to && source.mount() == target.mount() {
                return Err(Failure::new(Class::Invalid, "a secret is not copied to itself").in_field(from));
            }
            return Ok(vec![(from, to)]);
        }
        let folder = |path: &str| match path.trim_matches('/') {
            "" => String::new(),
            path => format!("{path}/"),
        };
        let (from, to) = (folder(&self.from), folder(&self.to));
        if from == to && source.mount() == target.mount() {
            return Err(Failure::new(Class::Invalid, "a folder is not copied to itself").in_field(from));
        }
        let paths = source.paths(&format!("{from}/"), has_versions)?;
        if paths.is_empty() {
            return Err(Failure::new(Class::NotFound, "there is no secret in this folder").in_field(from));
        }
        let moved = |path: String| {
            let rest = path.strip_prefix(&from).unwrap_or(&path);
            let to = checked(&format!("{to}{rest}"))?;
            Ok((path, to))
        };
        paths.into_iter().map(moved).collect()
    }

    fn carry_out(&self, target: &Store<'_>, plan: Plan) -> Result<Ending, Failure> {
        if self.is_folder() || self.dry_run || plan.writes() == 0 {
            say(&plan.text())?;
        }
        if self.dry_run || plan.writes() == 0 {
            return Ok(Ending::Well);
        }
        consent(self.yes || !self.is_folder(), &format!("Write {}?", counted(plan.writes(), "secret")))?;
        plan.carry_out(target, |path, version| say(&format!("{}: version {version}\n", harmless(path))))?;
        Ok(Ending::Well)
    }

    /// Copies whole histories. All places are looked at before the first is written to.
    fn with_versions(
        &self,
        source: &Store<'_>,
        target: &Store<'_>,
        pairs: &[(String, String)],
    ) -> Result<Ending, Failure> {
        for (from, to) in pairs {
            source.metadata(from)?;
            let versions = target.metadata(to).map(|known| known["current_version"].as_u64().unwrap_or_default());
            match versions {
                Ok(0) => {}
                Err(failure) if failure.class == Class::NotFound => {}
                Err(failure) => return Err(failure),
                Ok(_) => {
                    return Err(Failure::new(Class::Invalid, "there is a secret already, with versions of its own")
                        .in_field(format!("{}/{to}", target.mount()))
                        .with_hint("copy to another path, or leave --all-versions out"));
                }
            }
        }
        if self.is_folder() || self.dry_run {
            say(&pairs.iter().map(|(_, to)| format!("create  {}\n", harmless(to))).collect::<String>())?;
        }
        if self.dry_run {
            return Ok(Ending::Well);
        }
        let question = format!("Write {} with all versions?", counted(pairs.len(), "secret"));
        consent(self.yes || !self.is_folder(), &question)?;
        let mut progress = Progress::new("copying", Some(pairs.len()));
        for (from, to) in pairs {
            let count = history(source, target, from, to)?;
            say(&format!("{}: {}\n", harmless(to), counted(count, "version")))?;
            progress.step();
        }
        Ok(Ending::Well)
    }
}

/// Copies one history; tells how many versions there were.
fn history(source: &Store<'_>, target: &Store<'_>, from: &str, to: &str) -> Result<usize, Failure> {
    let known = source.metadata(from)?;
    if let Some(settings) = settings(&known) {
        target.api.ask("POST", &target.at("metadata", to), "", Some(&settings))?;
    }
    let versions = known["versions"].as_object().into_iter().flatten();
    let mut numbers: Vec<u64> = versions.filter_map(|(number, _)| number.parse().ok()).collect();
    numbers.sort_unstable();
    let mut written = 0;
    for number in numbers {
        let data = match source.read(from, Some(number)) {
            Ok(mut read) => read["data"].take(),
            Err(failure) if failure.class == Class::NotFound => {
                note(&format!("{}: version {number} is deleted or destroyed; it is left out", harmless(from)));
                continue;
            }
            Err(failure) => return Err(failure),
        };
        let Value::Object(data) = data else { continue };
        // Whoever writes there meanwhile is not written over.
        written = target.write(to, &data, Some(written))?;
    }
    usize::try_from(written).map_err(|_| Failure::new(Class::Invalid, "the store counts versions in its own way"))
}

/// What somebody has set for a secret; nothing where that is nothing.
fn settings(known: &Value) -> Option<Value> {
    let is_set = |name: &str, nothing: &[Value]| !known[name].is_null() && !nothing.contains(&known[name]);
    let fields = [
        ("custom_metadata", vec![json!({})]),
        ("max_versions", vec![json!(0)]),
        ("cas_required", vec![json!(false)]),
        ("delete_version_after", vec![json!("0s"), json!("")]),
    ];
    let set = fields.iter().filter(|(name, nothing)| is_set(name, nothing));
    let settings: Data = set.map(|(name, _)| ((*name).to_owned(), known[*name].clone())).collect();
    (!settings.is_empty()).then(|| settings.into())
}

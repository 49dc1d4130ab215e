//! The engine: what is wanted, one read for all of it, and where each value goes.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use strongroom_deliver_env::{
    Entry, Environment, LARGEST_ENV_FILE, Resolved, Spread, Wanted, deliver, fill, find, last_wins, parse_env_file,
};
use strongroom_deliver_files::{Medium, Target, make_folders};
use strongroom_failure::{Class, Failure};
use strongroom_read::{Reader, read_file};
use strongroom_reference::Reference;
use strongroom_secret::SecretBytes;

use crate::bank_vaults;

/// Flags that say what is delivered and how.
#[derive(Args, Clone, Debug, Default)]
pub struct DeliverOptions {
    /// Add a variable; VALUE is plain text or a reference. Wins over files and the environment. Repeatable
    #[arg(long = "env", value_name = "NAME=VALUE", help_heading = "Delivery")]
    pub env: Vec<String>,

    /// Add the variables of a file of NAME=VALUE lines, whose values may be references. Repeatable
    #[arg(long, value_name = "FILE", help_heading = "Delivery")]
    pub env_file: Vec<PathBuf>,

    /// Write a secret to a file, whole or not at all, before the command starts. Repeatable
    #[arg(long = "file", value_name = "PATH[@MODE[,UID[:GID]]]=REF", help_heading = "Delivery")]
    pub file: Vec<String>,

    /// Let --file write to a disk; without it only to memory-backed file systems
    #[arg(long, help_heading = "Delivery")]
    pub allow_disk: bool,

    /// Let a key of a secret set this variable although it changes how programs run (PATH, LD_PRELOAD ...). Repeatable
    #[arg(long, value_name = "NAME", help_heading = "Delivery")]
    pub allow_env: Vec<String>,

    /// Leave this variable as it is although its value looks like a reference. Repeatable
    #[arg(long, value_name = "NAME", help_heading = "Delivery")]
    pub keep_env: Vec<String>,

    /// Keep a variable from the command, or all that begin with PREFIX. Repeatable
    #[arg(long, value_name = "NAME|PREFIX*", help_heading = "Delivery")]
    pub drop_env: Vec<String>,

    /// Print what would be read and from where, then end; reads nothing and shows no value
    #[arg(long, help_heading = "Delivery")]
    pub dry_run: bool,
}

impl DeliverOptions {
    fn medium(&self) -> Medium {
        if self.allow_disk { Medium::AnyDisk } else { Medium::MemoryOnly }
    }
}

/// Everything that is wanted before a program starts.
pub(crate) struct Delivery {
    /// The environment with references where secrets belong; each name once.
    pub(crate) entries: Vec<Entry>,
    /// The references among `entries`.
    pub(crate) variables: Vec<Wanted>,
    /// Secrets whose keys all become variables.
    pub(crate) spread: Vec<Spread>,
    /// What looks like a reference and is none; nothing is read while there are such.
    malformed: Vec<Failure>,
    /// Files to write.
    pub(crate) files: Vec<(Target, Reference)>,
    allow_env: Vec<String>,
    drop_env: Vec<String>,
    /// What the owner is told besides what delivery finds.
    warnings: Vec<String>,
    medium: Medium,
    /// Folders of files are made below this one; without it they must be there.
    root: Option<PathBuf>,
}

/// The mode of folders that are made: whoever may read a file in one must get there, as whatever user.
const FOLDER_MODE: u32 = 0o755;

impl Delivery {
    /// Files alone, below the folder `root`, in which their own folders are made.
    pub(crate) fn of_files(options: &DeliverOptions, root: PathBuf, files: Vec<(Target, Reference)>) -> Self {
        Self {
            entries: Vec::new(),
            variables: Vec::new(),
            spread: Vec::new(),
            malformed: Vec::new(),
            files,
            allow_env: Vec::new(),
            drop_env: Vec::new(),
            warnings: Vec::new(),
            medium: options.medium(),
            root: Some(root),
        }
    }

    /// Gathers what the flags and the process's own `variables` want; reads env files, but no secret.
    ///
    /// # Errors
    /// A flag that cannot be understood or an env file that cannot be read.
    pub(crate) fn gather(options: &DeliverOptions, variables: &[OsString]) -> Result<Self, Failure> {
        let entry = |entry: &OsString| Entry::from_bytes(entry.clone().into_vec());
        let mut entries: Vec<Entry> = variables.iter().map(entry).collect();
        for path in &options.env_file {
            entries.extend(read_env_file(path)?);
        }
        for assignment in &options.env {
            if assignment.split_once('=').is_none_or(|(name, _)| name.is_empty()) {
                return Err(invalid("expected NAME=VALUE").in_field("--env"));
            }
            entries.push(Entry::from_bytes(assignment.clone().into_bytes()));
        }
        let entries = last_wins(entries.into_iter());
        let files = options.file.iter().map(|text| parse_file(text)).collect::<Result<_, _>>()?;
        let (variables, malformed) = find(&entries, &options.keep_env)
            .map_or_else(|failures| (Vec::new(), failures), |found| (found, Vec::new()));
        Ok(Self {
            variables,
            spread: Vec::new(),
            malformed,
            entries,
            files,
            allow_env: options.allow_env.clone(),
            drop_env: options.drop_env.clone(),
            warnings: Vec::new(),
            medium: options.medium(),
            root: None,
        })
    }

    /// Heeds the variables of bank-vaults beside its references; those named in `kept` are the command's.
    ///
    /// # Errors
    /// A variable of them that cannot be understood.
    pub(crate) fn heed_bank_vaults(&mut self, kept: &[String]) -> Result<(), Failure> {
        let wishes = bank_vaults::Wishes::of(&self.entries, &self.variables, kept)?;
        if wishes.leaves_missing_out {
            let theirs = self.variables.iter_mut().filter(|wanted| bank_vaults::is_theirs(wanted));
            theirs.for_each(Wanted::leave_out_if_missing);
        }
        self.spread = wishes.spread;
        self.drop_env.extend(wishes.withheld);
        self.warnings = wishes.warnings;
        Ok(())
    }

    /// Whether nothing has to be read.
    pub(crate) fn is_plain(&self) -> bool {
        self.variables.is_empty() && self.spread.is_empty() && self.malformed.is_empty() && self.files.is_empty()
    }

    /// # Errors
    /// Every malformed reference, with its variable.
    pub(crate) fn check(&self) -> Result<(), Vec<Failure>> {
        if self.malformed.is_empty() { Ok(()) } else { Err(self.malformed.clone()) }
    }

    /// Every reference, the variables' first.
    pub(crate) fn references(&self) -> Vec<Reference> {
        let variables = self.variables.iter().flat_map(|wanted| wanted.value.references().cloned());
        let spread = self.spread.iter().map(|spread| spread.reference.clone());
        variables.chain(spread).chain(self.files.iter().map(|(_, reference)| reference.clone())).collect()
    }

    /// Who wants each of [`Delivery::references`], in their places: a variable's name, a file's path.
    pub(crate) fn fields(&self) -> Vec<String> {
        let variables = self.variables.iter().flat_map(|wanted| wanted.value.references().map(|_| wanted.name.clone()));
        let spread = self.spread.iter().map(|spread| spread.origin.clone());
        variables.chain(spread).chain(self.files.iter().map(|(target, _)| target.path.display().to_string())).collect()
    }

    /// The environment as it was found, references and all: for owners who asked for that on failure.
    pub(crate) fn undelivered(&self) -> Environment {
        self.without_dropped(Environment { entries: self.entries.clone(), warnings: Vec::new() })
    }

    /// Reads everything in one go, writes the files and gives the child's environment.
    ///
    /// # Errors
    /// Every variable and file that could not be served; no file has been written then, unless a file could not be moved
    /// to its place.
    pub(crate) fn deliver(&self, reader: Option<&Reader>) -> Result<Environment, Vec<Failure>> {
        self.check()?;
        self.deliver_answers(reader.map(|reader| reader.read(&self.references())).unwrap_or_default())
    }

    /// The same with one answer for each of [`Delivery::references`], in its place; once or again and again.
    ///
    /// # Errors
    /// As [`Delivery::deliver`].
    pub(crate) fn deliver_answers(
        &self,
        answers: Vec<Result<Option<SecretBytes>, Failure>>,
    ) -> Result<Environment, Vec<Failure>> {
        self.check()?;
        let mut answers = answers.into_iter();
        let mut failures = Vec::new();
        let mut take = |field: String| {
            let unread = || Err(Failure::new(Class::Unavailable, "was not read"));
            answers.next().unwrap_or_else(unread).unwrap_or_else(|failure| {
                failures.push(failure.in_field(field));
                None
            })
        };
        let values = |wanted: &Wanted, take: &mut dyn FnMut(String) -> Option<SecretBytes>| {
            wanted.value.references().map(|_| take(wanted.name.clone())).collect::<Vec<_>>()
        };
        let variables: Vec<_> = self.variables.iter().map(|wanted| (wanted, values(wanted, &mut take))).collect();
        let spread: Vec<_> = self.spread.iter().map(|spread| (spread, take(spread.origin.clone()))).collect();
        let files: Vec<_> =
            self.files.iter().map(|(target, _)| (target, take(target.path.display().to_string()))).collect();
        if !failures.is_empty() {
            return Err(failures);
        }
        let resolved = |value: Option<SecretBytes>| value.map_or(Resolved::Absent, Resolved::Value);
        let spread = spread.into_iter().map(|(spread, value)| (spread.clone(), resolved(value))).collect();
        let mut environment = deliver(self.entries.clone(), self.filled(variables)?, spread, &self.allow_env)?;
        environment.warnings.splice(0..0, self.warnings.iter().cloned());
        // An optional file that does not exist is not written: like the variable, it is left out.
        let files: Vec<_> = files.into_iter().filter_map(|(target, value)| Some((target.clone(), value?))).collect();
        for (target, _) in &files {
            let made = self.root.as_ref().map(|root| make_folders(root, &target.path, FOLDER_MODE)).transpose();
            made.map_err(|failure| vec![failure])?;
        }
        strongroom_deliver_files::deliver(&files, self.medium).map_err(|failure| vec![failure])?;
        Ok(self.without_dropped(environment))
    }

    /// What each variable comes to, given the values of its references.
    fn filled(
        &self,
        variables: Vec<(&Wanted, Vec<Option<SecretBytes>>)>,
    ) -> Result<Vec<(Wanted, Resolved)>, Vec<Failure>> {
        let now = Timestamp::now();
        let mut failures = Vec::new();
        let mut filled = Vec::with_capacity(variables.len());
        for (wanted, values) in variables {
            match fill(&self.entries[wanted.place], wanted, values, now) {
                Ok(resolved) => filled.push((wanted.clone(), resolved)),
                Err(failure) => failures.push(failure.in_field(&wanted.name)),
            }
        }
        if failures.is_empty() { Ok(filled) } else { Err(failures) }
    }

    fn without_dropped(&self, mut environment: Environment) -> Environment {
        let dropped = |name: &str| {
            self.drop_env.iter().any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == pattern,
            })
        };
        environment.entries.retain(|entry| !entry.name().is_some_and(dropped));
        environment
    }
}

fn read_env_file(path: &Path) -> Result<Vec<Entry>, Failure> {
    parse_env_file(read_file(path, LARGEST_ENV_FILE)?.expose())
        .map_err(|failure| failure.in_field(path.display().to_string()))
}

/// `PATH[@MODE[,UID[:GID]]]=REF`.
fn parse_file(text: &str) -> Result<(Target, Reference), Failure> {
    let (target, reference) = text.split_once('=').ok_or_else(|| invalid("expected PATH=REF").in_field("--file"))?;
    let target: Target = target.parse().map_err(|failure: Failure| failure.in_field(format!("--file {target}")))?;
    let reference = strongroom_reference::parse(reference)
        .map_err(|failure| failure.in_field(format!("--file {}", target.path.display())))?;
    Ok((target, reference))
}

fn invalid(words: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words)
}

//! `strongroom-init`: the first process of a container. Called `secrets-init` (a copy, a link), it also takes that
//! program's unprefixed variables and words its errors as that program did. Called `aws-secrets-manager-secret-sidecar`,
//! or with that as its first word, it starts nothing: it writes the files of AWS' secret sidecar injector. So it is with
//! `kamus-init-container`, which writes what Kamus' files hold. With `agent` as its first word it stays and keeps files
//! current.

mod agent;
mod arguments;
mod copy;
mod kamus;
mod secret_sidecar;
mod version;
mod watch;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use strongroom_deliver_env::{Entry, Environment};
use strongroom_failure::Failure;
use strongroom_process::{Command, LaunchError, Resolving};
use strongroom_read::{Ambient, Audience, report};

use crate::delivery::Delivery;
use crate::dry_run;
use crate::init::arguments::{InitArguments, Request};

/// The name that the program goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applet {
    /// `strongroom-init`.
    StrongroomInit,
    /// `secrets-init`.
    SecretsInit,
    /// `aws-secrets-manager-secret-sidecar`.
    SecretSidecar,
    /// `kamus-init-container`.
    KamusInitContainer,
}

impl Applet {
    fn of(program: &OsStr) -> Self {
        let name = program.as_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        let known = [Self::SecretsInit, Self::SecretSidecar, Self::KamusInitContainer];
        known.into_iter().find(|applet| applet.name().as_bytes() == name).unwrap_or(Self::StrongroomInit)
    }

    /// The name by which it is called.
    fn name(self) -> &'static str {
        match self {
            Self::StrongroomInit => "strongroom-init",
            Self::SecretsInit => "secrets-init",
            Self::SecretSidecar => "aws-secrets-manager-secret-sidecar",
            Self::KamusInitContainer => kamus::NAME,
        }
    }
}

/// What to do next, or a failure that has been reported already.
type Step<T> = Result<T, ExitCode>;

/// Runs the program with its `arguments` (its own name first) and `variables`; returns only where no child took its
/// place: help, a copy, a dry run, files that were written, a failure.
pub fn main(arguments: Vec<OsString>, variables: &[OsString]) -> ExitCode {
    let program = arguments.first().cloned().unwrap_or_default();
    let applet = Applet::of(&program);
    let ambient = Ambient::of(variables);
    match arguments::parse(applet, arguments, &ambient) {
        Err(code) => code,
        Ok(Request::Version) => version::print(),
        Ok(Request::Copy { destinations }) => copy::run(&program, &destinations),
        Ok(Request::Agent(arguments)) => agent::run(&arguments, ambient),
        Ok(Request::SecretSidecar { arguments, words }) => secret_sidecar::run(&arguments, &words, ambient),
        Ok(Request::KamusInitContainer { words, allow_disk }) => kamus::run(&words, allow_disk, &ambient),
        Ok(Request::Start(arguments)) => match start(applet, &arguments, variables, ambient) {
            Ok(never) => never,
            Err(code) => code,
        },
    }
}

fn start(applet: Applet, arguments: &InitArguments, variables: &[OsString], ambient: Ambient) -> Step<ExitCode> {
    arguments.read.install_logs();
    if arguments.command.is_empty() {
        tracing::warn!("no command specified");
        return Ok(ExitCode::SUCCESS);
    }
    // Before any secret is in memory, and before any thread.
    let mut resolving = Resolving::begin().map_err(cannot_start)?;
    if let Some(watching) = arguments.watching().filter(|_| !arguments.deliver.dry_run) {
        let divided = resolving.divide(arguments.stdin(), &arguments.supervision());
        let resolving = divided.map_err(|error| did_not_run(&error))?;
        return watch::run(applet, arguments, watching, variables, ambient, resolving);
    }
    let Some(environment) = environment(applet, arguments, variables, ambient, &mut resolving)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let command = command(arguments, environment);
    let error =
        if arguments.exec { resolving.exec(&command) } else { resolving.launch(command, &arguments.supervision()) };
    Err(did_not_run(&error))
}

/// The command with its environment, whose warnings are told.
fn command(arguments: &InitArguments, environment: Environment) -> Command {
    for warning in &environment.warnings {
        tracing::warn!("{warning}");
    }
    Command {
        program: arguments.command.first().cloned().unwrap_or_default(),
        arguments: arguments.command.iter().skip(1).cloned().collect(),
        environment: environment.entries.into_iter().map(Entry::into_secret).collect(),
        stdin: arguments.stdin(),
    }
}

/// The child's environment; `None` when a dry run has told what would be read.
fn environment(
    applet: Applet,
    arguments: &InitArguments,
    variables: &[OsString],
    ambient: Ambient,
    resolving: &mut Resolving,
) -> Step<Option<Environment>> {
    let delivery = gather(arguments, variables, resolving)?;
    if !provider_is_known(arguments)? {
        return Ok(Some(delivery.undelivered()));
    }
    if delivery.is_plain() && !arguments.deliver.dry_run {
        return delivered(applet, arguments, &delivery, delivery.deliver(None)).map(Some);
    }
    resolving.end_on_signals().map_err(cannot_start)?;
    let reader = arguments.read.reader(ambient, arguments.google_project.clone());
    let reader = reader.map_err(|failure| failed(NO_PROVIDER, failure))?;
    if arguments.deliver.dry_run {
        dry_run::print(&delivery, &reader).map_err(|failures| unresolved(applet, failures))?;
        return Ok(None);
    }
    delivered(applet, arguments, &delivery, delivery.deliver(Some(&reader))).map(Some)
}

/// What is wanted; reads env files, but no secret.
fn gather(arguments: &InitArguments, variables: &[OsString], resolving: &mut Resolving) -> Step<Delivery> {
    if !arguments.deliver.env_file.is_empty() {
        // Reading one may take for ever: a pipe, a terminal.
        resolving.end_on_signals().map_err(cannot_start)?;
    }
    let gathered = Delivery::gather(&arguments.deliver, variables).and_then(|mut delivery| {
        delivery.heed_bank_vaults(&arguments.deliver.keep_env)?;
        Ok(delivery)
    });
    gathered.map_err(|failure| failed(UNRESOLVED, failure))
}

/// Whether the provider that was named is known; where not, the owner may have asked for the command all the same.
fn provider_is_known(arguments: &InitArguments) -> Step<bool> {
    match arguments.check_provider() {
        Ok(()) => Ok(true),
        Err(failure) => {
            let code = failed(NO_PROVIDER, failure);
            if arguments.exit_early || arguments.deliver.dry_run { Err(code) } else { Ok(false) }
        }
    }
}

/// The environment that was delivered, or where that failed what the owner wants then.
fn delivered(
    applet: Applet,
    arguments: &InitArguments,
    delivery: &Delivery,
    delivered: Result<Environment, Vec<Failure>>,
) -> Step<Environment> {
    match delivered {
        Ok(environment) => Ok(environment),
        Err(failures) => {
            let code = unresolved(applet, failures);
            if arguments.exit_early {
                tracing::error!("Exiting early unable to retrieve secrets");
                return Err(code);
            }
            // As its owner asked: every variable as it was found (secrets-init 1.2, step 3).
            Ok(delivery.undelivered())
        }
    }
}

fn failed(what: &str, failure: Failure) -> ExitCode {
    report(Audience::Logs, what, &[failure]);
    ExitCode::FAILURE
}

/// Reports what could not be resolved; as `secrets-init`, with the words that people search its logs for.
fn unresolved(applet: Applet, failures: Vec<Failure>) -> ExitCode {
    let worded = |mut failure: Failure| {
        let store = failure.subject.store.as_deref().unwrap_or_default();
        let known =
            SECRETS_INIT_WORDS.iter().find(|(name, _)| applet == Applet::SecretsInit && store.starts_with(name));
        if let Some((_, words)) = known {
            failure.words = format!("{words}: {}", failure.words);
        }
        failure
    };
    let failures: Vec<Failure> = failures.into_iter().map(worded).collect();
    report(Audience::Logs, UNRESOLVED, &failures);
    ExitCode::FAILURE
}

/// What people search the logs for.
const UNRESOLVED: &str = "failed to resolve secrets";

const NO_PROVIDER: &str = "failed to initialize secrets provider";

/// What secrets-init said when a store failed it (1.3, 1.4), by how a store's description begins.
const SECRETS_INIT_WORDS: &[(&str, &str)] = &[
    ("AWS Secrets Manager", "failed to get secret from AWS Secrets Manager"),
    ("AWS Parameter Store", "failed to get secret from AWS Parameters Store"),
    ("Google Secret Manager", "failed to get secret from Google Secret Manager"),
];

fn cannot_start(error: impl std::fmt::Display) -> ExitCode {
    tracing::error!(error = error.to_string(), "failed to run");
    ExitCode::FAILURE
}

fn did_not_run(error: &LaunchError) -> ExitCode {
    tracing::error!(error = error.to_string(), "failed to run");
    ExitCode::from(error.exit_code())
}

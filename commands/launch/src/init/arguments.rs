//! The command line of `strongroom-init` under each of its names, and the variables that stand in for its flags.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Arg, CommandFactory, FromArgMatches, Parser};
use strongroom_failure::{Class, Failure};
use strongroom_process::{ExitRemap, Forward, Group, Options, Stdin};
use strongroom_read::{Ambient, ReadOptions, parse_duration};

use crate::delivery::DeliverOptions;
use crate::init::Applet;
use crate::init::agent::{self, AgentArguments};
use crate::init::watch::{Interval, OnChange, Watching};

const ABOUT: &str = "\
Start a command with its secrets: variables that hold references are replaced by the values they name

A reference is an ARN of AWS Secrets Manager or Parameter Store, gcp:secretmanager:NAME, vault:PATH#KEY or \
sr://PROVIDER/KEY#PROPERTY. While one cannot be resolved the command does not start.";

const EXAMPLES: &str = "\
Examples:
  DB_PASSWORD='arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod/db-Ab12Cd#password' \\
    strongroom-init -- /app serve
  strongroom-init --env 'TOKEN=vault:secret/data/app#token' --file /run/secrets/tls.key@0440=sr://vault/secret%2Ftls#key -- /app
  strongroom-init --dry-run -- /app          what would be read, with which identity, in how many calls
  strongroom-init --watch -- /app            restart /app when its secrets have changed
  strongroom-init copy /helper/bin           put this program into a volume for another container
  strongroom-init aws-secrets-manager-secret-sidecar         write the secrets of SECRET_ARN or SECRET_ARNS below /tmp
  strongroom-init kamus-init-container -e /encrypted -d /run/secrets -n config.json     decrypt by Kamus' decryptor
  strongroom-init agent --help               keep files current beside a command that runs elsewhere

Exit codes: the command's own; 128+n when signal n killed it; 127 not found, 126 not executable, 1 not started.";

/// What the program was called for.
#[derive(Debug)]
pub(super) enum Request {
    /// Start a command.
    Start(Box<InitArguments>),
    /// Put this program into a folder; exactly one is right.
    Copy {
        /// The words after `copy`.
        destinations: Vec<OsString>,
    },
    /// Write the files of AWS' secret sidecar injector.
    SecretSidecar {
        /// Flags; the command in them means nothing.
        arguments: Box<InitArguments>,
        /// What follows the program's name; nothing is right.
        words: Vec<OsString>,
    },
    /// Decrypt the files of Kamus' init container.
    KamusInitContainer {
        /// What follows the program's name: flags of its own.
        words: Vec<OsString>,
        /// Whether `--allow-disk` stands before the name.
        allow_disk: bool,
    },
    /// Keep the files of a folder current.
    Agent(Box<AgentArguments>),
    /// Print the version.
    Version,
}

/// Flags and command of one call.
#[derive(Debug, Parser)]
#[command(about = ABOUT, after_help = EXAMPLES, disable_version_flag = true, override_usage = "strongroom-init [flags] [--] CMD ARG…\n       strongroom-init copy DEST\n       strongroom-init [flags] aws-secrets-manager-secret-sidecar\n       strongroom-init [flags] kamus-init-container [flags]\n       strongroom-init agent --folder DIR [flags]")]
pub(super) struct InitArguments {
    #[command(flatten)]
    pub(super) read: ReadOptions,

    #[command(flatten)]
    pub(super) deliver: DeliverOptions,

    /// Kept for secrets-init: aws or google. The syntax of a reference says which store it means
    #[arg(long, short, value_name = "NAME", help_heading = "Reading")]
    provider: Option<String>,

    /// Project of short Google names (gcp:secretmanager:NAME)
    #[arg(long, value_name = "PROJECT", help_heading = "Reading")]
    pub(super) google_project: Option<String>,

    /// false starts the command with its references unresolved when one of them fails, as secrets-init did
    #[arg(id = "exit-early", long = "exit-early", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, help_heading = "Reading")]
    exit_early_flag: Option<bool>,

    /// Derived from flag and variables by [`parse`].
    #[arg(skip = true)]
    pub(super) exit_early: bool,

    /// Connect standard input, and make the command the foreground of the terminal
    #[arg(long, short, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, help_heading = "Process")]
    interactive: Option<bool>,

    /// Replace this program by the command instead of staying as its supervisor
    #[arg(long, help_heading = "Process")]
    pub(super) exec: bool,

    /// Send signals to the command alone instead of to its process group
    #[arg(long, help_heading = "Process")]
    child_only: bool,

    /// Start the command in a session of its own, without a terminal
    #[arg(long, conflicts_with = "interactive", help_heading = "Process")]
    session: bool,

    /// How long processes that outlive the command may take to end; 0 leaves them alone [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Process")]
    grace: Option<Duration>,

    /// End with TO where the command ends with FROM; FROM alone means 0. Repeatable
    #[arg(long, value_name = "FROM[:TO]", help_heading = "Process")]
    remap_exit: Vec<ExitRemap>,

    /// Read the references again after every TIME, and restart the command when they have changed [default TIME: 5m]
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true, default_missing_value = Interval::DEFAULT, conflicts_with = "exec", help_heading = "Watching")]
    watch: Option<Interval>,

    /// What --watch does then: restart the command, or send it this signal once files are written [default: restart]
    #[arg(long, value_name = "restart|SIGNAL", help_heading = "Watching")]
    on_change: Option<OnChange>,

    /// Print version
    #[arg(long, short, help_heading = "Other")]
    version: bool,

    /// The command and its arguments
    #[arg(value_name = "CMD ARG…", last = true)]
    pub(super) command: Vec<OsString>,
}

impl InitArguments {
    /// Whether the command reads our standard input.
    pub(super) fn interactive(&self) -> bool {
        self.interactive.unwrap_or(false)
    }

    /// What the command's standard input is.
    pub(super) fn stdin(&self) -> Stdin {
        if self.interactive() { Stdin::Inherit } else { Stdin::Null }
    }

    /// How references are watched once the command runs, if they are.
    pub(super) fn watching(&self) -> Option<Watching> {
        self.watch.map(|interval| Watching { interval, on_change: self.on_change.unwrap_or_default() })
    }

    /// How the command is supervised.
    pub(super) fn supervision(&self) -> Options {
        Options {
            forward: if self.child_only { Forward::Child } else { Forward::Group },
            foreground: self.interactive(),
            group: if self.session { Group::Session } else { Group::Own },
            grace: self.grace.unwrap_or(Options::DEFAULT_GRACE),
            exit_remap: self.remap_exit.clone(),
            ..Options::default()
        }
    }

    /// secrets-init went on without any provider when it did not know the name (SI-19).
    pub(super) fn check_provider(&self) -> Result<(), Failure> {
        match self.provider.as_deref() {
            None | Some("aws" | "google") => Ok(()),
            Some(other) => Err(Failure::new(Class::Invalid, format!("no provider is named \"{other}\""))
                .in_field("--provider")
                .with_hint("use aws or google, or leave it out: the syntax of a reference says which store it means")),
        }
    }

    /// Fills what no flag gave from the variables that `applet` knows; the first that is set wins (SI-17).
    fn complete(mut self, applet: Applet, ambient: &Ambient) -> Result<Self, Failure> {
        let variable = |suffix: &str, unprefixed: &str| {
            let unprefixed = Some(unprefixed).filter(|_| applet == Applet::SecretsInit);
            let names = [format!("STRONGROOM_{suffix}"), format!("SECRETS_INIT_{suffix}")];
            names
                .iter()
                .map(String::as_str)
                .chain(unprefixed)
                .find_map(|name| Some((name.to_owned(), ambient.get(name)?)))
        };
        if self.read.log_format.is_none() {
            // A word that is no format is somebody else's LOG_FORMAT: text then, as in secrets-init.
            self.read.log_format = variable("LOG_FORMAT", "LOG_FORMAT")
                .and_then(|(_, text)| text.parse().ok())
                .or(Some(Default::default()));
        }
        self.provider =
            self.provider.or_else(|| variable("SECRETS_PROVIDER", "SECRETS_PROVIDER").map(|(_, text)| text));
        self.google_project =
            self.google_project.or_else(|| variable("GOOGLE_PROJECT", "GOOGLE_PROJECT").map(|(_, text)| text));
        self.exit_early = match (self.exit_early_flag, variable("EXIT_EARLY", "EXIT_EARLY")) {
            (Some(flag), _) => flag,
            (None, Some((name, text))) => {
                parse_bool(&text).map_err(|words| Failure::new(Class::Invalid, words).in_field(name))?
            }
            (None, None) => true,
        };
        self.complete_watching(ambient)?;
        self.read = self.read.complete(ambient)?;
        Ok(self)
    }

    fn complete_watching(&mut self, ambient: &Ambient) -> Result<(), Failure> {
        let invalid = |words: String, field: &str| Failure::new(Class::Invalid, words).in_field(field);
        if self.watch.is_none() {
            self.watch = match ambient.get(WATCH).as_deref() {
                None | Some("false") => None,
                Some("true") => Some(Interval::default()),
                Some(text) => Some(text.parse().map_err(|words| invalid(words, WATCH))?),
            };
            if self.watch.is_some() && self.exec {
                return Err(invalid("--exec leaves nobody who could watch".to_owned(), WATCH));
            }
        }
        if self.watch.is_none() && self.on_change.is_some() {
            return Err(invalid("means nothing without --watch".to_owned(), "--on-change"));
        }
        if self.on_change.is_none() {
            let parsed = ambient.get(ON_CHANGE).map(|text| text.parse()).transpose();
            self.on_change = parsed.map_err(|words| invalid(words, ON_CHANGE))?;
        }
        Ok(())
    }
}

/// Stands in for `--watch`.
const WATCH: &str = "STRONGROOM_WATCH";

/// Stands in for `--on-change`.
const ON_CHANGE: &str = "STRONGROOM_ON_CHANGE";

/// Reads the command line; what is wrong with it, or its help, has been printed when this is an error.
pub(super) fn parse(applet: Applet, arguments: Vec<OsString>, ambient: &Ambient) -> Result<Request, ExitCode> {
    if applet == Applet::StrongroomInit && arguments.get(1).is_some_and(|word| word == agent::NAME) {
        return agent::parse(&arguments[2..], ambient).map(|arguments| Request::Agent(Box::new(arguments)));
    }
    if applet == Applet::KamusInitContainer {
        // Its flags are its own.
        let words = arguments.into_iter().skip(1).collect();
        return Ok(Request::KamusInitContainer { words, allow_disk: false });
    }
    let command = InitArguments::command().name(applet.name());
    let prepared = with_two_dashes(&command, arguments);
    let is_command = prepared.as_ref().is_ok_and(|(_, is_command)| *is_command);
    let matches = prepared.and_then(|(words, _)| command.try_get_matches_from(words));
    let parsed = matches.and_then(|matches| InitArguments::from_arg_matches(&matches));
    let parsed = parsed.map_err(|error| {
        // Help goes to standard output and is a success; the rest is a mistake.
        let _ = error.print();
        ExitCode::from(u8::from(error.use_stderr()))
    })?;
    if parsed.version {
        return Ok(Request::Version);
    }
    let first = parsed.command.first().and_then(|word| word.to_str()).filter(|_| !is_command);
    if matches!(first, Some("help" | "h")) {
        let _ = InitArguments::command().print_help();
        return Err(ExitCode::SUCCESS);
    }
    if applet == Applet::StrongroomInit && first == Some(agent::NAME) {
        let words = "its flags follow its name; put -- before a command that is called agent";
        let failure = Failure::new(Class::Invalid, words).in_field(agent::NAME);
        strongroom_read::report(strongroom_read::Audience::Person, "", &[failure]);
        return Err(ExitCode::FAILURE);
    }
    let is_copy = matches!(first, Some("copy" | "cp"));
    let is_sidecar = first == Some(Applet::SecretSidecar.name());
    let is_kamus = first == Some(Applet::KamusInitContainer.name());
    let completed = parsed.complete(applet, ambient).map_err(|failure| {
        strongroom_read::report(strongroom_read::Audience::Person, "", &[failure]);
        ExitCode::FAILURE
    })?;
    if applet == Applet::SecretSidecar || is_sidecar {
        let named = usize::from(applet != Applet::SecretSidecar);
        let words = completed.command[named..].to_vec();
        return Ok(Request::SecretSidecar { arguments: Box::new(completed), words });
    }
    if is_kamus {
        completed.read.install_logs();
        let words = completed.command[1..].to_vec();
        return Ok(Request::KamusInitContainer { words, allow_disk: completed.deliver.allow_disk });
    }
    if is_copy {
        completed.read.install_logs();
        return Ok(Request::Copy { destinations: completed.command[1..].to_vec() });
    }
    Ok(Request::Start(Box::new(completed)))
}

/// Flags as Go programs take them, with one dash or two and up to the first word that is none, in the form that clap
/// takes: two dashes, and `--` before the command. Also whether the caller put that `--` there.
fn with_two_dashes(command: &clap::Command, arguments: Vec<OsString>) -> Result<(Vec<OsString>, bool), clap::Error> {
    let mut words = arguments.into_iter().peekable();
    let mut prepared: Vec<OsString> = words.next().into_iter().collect();
    let is_flag = |word: &OsString| word.as_encoded_bytes().starts_with(b"-") && word != "-" && word != "--";
    while let Some(word) = words.next_if(is_flag) {
        // Only a flag's name must be text: its value may be any bytes.
        let bytes = word.as_bytes();
        let equals = bytes.iter().position(|&byte| byte == b'=');
        let name = String::from_utf8_lossy(&bytes[..equals.unwrap_or(bytes.len())]);
        let Some((long, takes_next)) = long_flag(command, &name) else {
            let words = format!("unknown flag '{name}'; put -- before a command that begins with a dash");
            return Err(command.clone().error(ErrorKind::UnknownArgument, words));
        };
        let mut flag = OsString::from(format!("--{long}"));
        // A value of its own word is joined, so that it may begin with a dash, as in Go.
        let next = if takes_next && equals.is_none() { words.next() } else { None };
        if let Some(value) = equals.map(|at| OsStr::from_bytes(&bytes[at + 1..])).or(next.as_deref()) {
            flag.push("=");
            flag.push(value);
        }
        prepared.push(flag);
    }
    let is_command = words.next_if(|word| word == "--").is_some();
    prepared.push("--".into());
    prepared.extend(words);
    Ok((prepared, is_command))
}

/// The long name of the flag that `word` gives with its dashes, and whether its value is the next word.
fn long_flag(command: &clap::Command, word: &str) -> Option<(String, bool)> {
    let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
    let name = match name {
        "h" | "help" => return Some(("help".to_owned(), false)),
        // secrets-init's documentation names -l, which it never had.
        "l" => "log-format",
        other => other,
    };
    let is_short = |short: char| name.len() == 1 && name.starts_with(short);
    let is_named = |flag: &&Arg| flag.get_long() == Some(name) || flag.get_short().is_some_and(is_short);
    let flag = command.get_arguments().find(is_named)?;
    let takes_next = flag.get_action().takes_values() && !flag.is_require_equals_set();
    Some((flag.get_long()?.to_owned(), takes_next))
}

/// What Go's strconv.ParseBool takes.
fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        other => Err(format!("\"{other}\" is neither true nor false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(applet: Applet, words: &[&str], variables: &[(&str, &str)]) -> InitArguments {
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| OsString::from(format!("{name}={value}"))).collect();
        let arguments = std::iter::once("init").chain(words.iter().copied()).map(OsString::from).collect();
        match parse(applet, arguments, &Ambient::of(&variables)) {
            Ok(Request::Start(arguments)) => *arguments,
            other => panic!("{words:?}: {other:?}"),
        }
    }

    #[test]
    fn flags_take_one_dash_or_two_and_end_at_the_command() {
        let check = |words: &[&str], provider: Option<&str>, interactive: bool, command: &[&str]| {
            let got = parsed(Applet::SecretsInit, words, &[]);
            assert_eq!((got.provider.as_deref(), got.interactive()), (provider, interactive), "{words:?}");
            assert_eq!(got.command, command, "{words:?}");
        };
        check(&["-provider=google", "env", "-x"], Some("google"), false, &["env", "-x"]);
        check(&["--provider", "google", "env"], Some("google"), false, &["env"]);
        check(&["-provider", "google", "-i", "env"], Some("google"), true, &["env"]);
        check(&["-p", "aws", "-i=false", "env"], Some("aws"), false, &["env"]);
        check(&["-interactive=true", "env"], None, true, &["env"]);
        check(&["--", "cmd", "-x"], None, false, &["cmd", "-x"]);
        check(&["cmd", "--", "-provider=google"], None, false, &["cmd", "--", "-provider=google"]);
        check(&["--", "copy", "/x"], None, false, &["copy", "/x"]);
        check(&["-l", "json", "sh", "-c", "exit 7"], None, false, &["sh", "-c", "exit 7"]);
    }

    #[test]
    fn si_17_variables_stand_in_for_flags_and_prefixed_ones_win() {
        let old =
            [("SECRETS_PROVIDER", "google"), ("EXIT_EARLY", "false"), ("LOG_FORMAT", "json"), ("GOOGLE_PROJECT", "p")];
        let got = parsed(Applet::SecretsInit, &["env"], &old);
        assert_eq!(
            (got.provider.as_deref(), got.google_project.as_deref(), got.exit_early),
            (Some("google"), Some("p"), false)
        );
        assert_eq!(got.read.log_format, Some(strongroom_telemetry::LogFormat::Json));
        let both =
            [("SECRETS_PROVIDER", "google"), ("SECRETS_INIT_SECRETS_PROVIDER", "aws"), ("LOG_FORMAT", "whatever")];
        let got = parsed(Applet::SecretsInit, &["env"], &both);
        assert_eq!(got.provider.as_deref(), Some("aws"));
        assert_eq!(got.read.log_format, Some(strongroom_telemetry::LogFormat::Text));
        let got = parsed(Applet::StrongroomInit, &["env"], &old);
        assert_eq!((got.provider, got.google_project, got.exit_early), (None, None, true), "not under the new name");
    }

    #[test]
    fn watching_is_asked_for_by_flags_or_variables() {
        let check = |words: &[&str], variables: &[(&str, &str)], expected: Option<(u64, OnChange)>| {
            let words = [words, &["app"]].concat();
            let got = parsed(Applet::StrongroomInit, &words, variables).watching();
            let got = got.map(|watching| (watching.interval.0.as_secs(), watching.on_change));
            assert_eq!(got, expected, "{words:?} {variables:?}");
        };
        let hangup = OnChange::Signal(strongroom_process::Signal::SIGHUP);
        check(&[], &[], None);
        check(&["--watch"], &[], Some((300, OnChange::Restart)));
        check(&["-watch=30s", "--on-change", "HUP"], &[], Some((30, hangup)));
        check(&["--watch=90"], &[("STRONGROOM_WATCH", "1h"), ("STRONGROOM_ON_CHANGE", "SIGHUP")], Some((90, hangup)));
        check(&["--watch", "--on-change=restart"], &[("STRONGROOM_ON_CHANGE", "HUP")], Some((300, OnChange::Restart)));
        check(&[], &[("STRONGROOM_WATCH", "true")], Some((300, OnChange::Restart)));
        check(&[], &[("STRONGROOM_WATCH", "false"), ("STRONGROOM_ON_CHANGE", "HUP")], None);
        check(&[], &[("STRONGROOM_WATCH", "1m")], Some((60, OnChange::Restart)));
    }

    #[test]
    fn watching_that_makes_no_sense_is_refused() {
        let refused = |words: &[&str], variables: &[(&str, &str)]| {
            let variables: Vec<_> =
                variables.iter().map(|(name, value)| OsString::from(format!("{name}={value}"))).collect();
            let words = ["init"].iter().chain(words).chain(&["app"]).map(OsString::from).collect();
            let got = parse(Applet::StrongroomInit, words, &Ambient::of(&variables));
            assert!(got.is_err(), "{variables:?}: {got:?}");
        };
        refused(&["--watch", "--exec"], &[]);
        refused(&["--exec"], &[("STRONGROOM_WATCH", "1m")]);
        refused(&["--on-change=HUP"], &[]);
        refused(&["--watch=500ms"], &[]);
        refused(&["--watch", "--on-change=KILL"], &[]);
        refused(&["--watch", "--on-change=NOTHING"], &[]);
        refused(&[], &[("STRONGROOM_WATCH", "often")]);
        refused(&["--watch"], &[("STRONGROOM_ON_CHANGE", "often")]);
    }

    #[test]
    fn exit_early_is_the_default_and_may_be_switched_off() {
        let check = |words: &[&str], expected| {
            assert_eq!(parsed(Applet::SecretsInit, words, &[]).exit_early, expected, "{words:?}")
        };
        check(&["env"], true);
        check(&["--exit-early", "env"], true);
        check(&["-exit-early=false", "env"], false);
        check(&["--exit-early=0", "env"], false);
    }
}

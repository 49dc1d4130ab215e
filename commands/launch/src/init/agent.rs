//! `agent`: stays beside a process and keeps its files of secrets current.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser};
use strongroom_agent::{Agent, Hook, Orders, Process, Ready, Settings, ready};
use strongroom_deliver_files::Medium;
use strongroom_failure::{Class, Failure};
use strongroom_files::{File, LARGEST_LIST};
use strongroom_http::TlsSettings;
use strongroom_process::{Order, Resolving, SetupError};
use strongroom_read::{Ambient, Audience, ReadOptions, parse_duration, read_file, report};
use strongroom_renew::Pace;
use strongroom_telemetry::LogLevel;
use tokio::runtime::Runtime;

use crate::init::watch::{Interval, signal_of};

/// The word that asks for it.
pub(super) const NAME: &str = "agent";

/// The list of files, as text.
const LIST_VARIABLE: &str = "STRONGROOM_FILES";

/// How long the agent may take to end by itself: a write of files is finished meanwhile. Who stops it sees an end within a
/// second, whatever it does.
const PATIENCE: Duration = Duration::from_millis(700);

/// Changes of several secrets that belong together are this close.
const DEFAULT_DEBOUNCE: Duration = Duration::from_secs(1);

const ABOUT: &str = "\
Keep the files of a folder current: read their secrets, write all of them at once, read again

The list of files is the YAML text in STRONGROOM_FILES, or a file:

  - path: db/password                        below the folder
    from: vault:secret/data/app#password
    mode: \"0440\"                             0644 where it is left out
    owner: \"1000:1000\"
  - path: db/url
    values: {user: 'sr://vault/db#user', password: 'sr://vault/db#password'}
    template: 'postgres://{{ .user }}:{{ .password }}@db/app'

What is leased is renewed before it ends. While a store cannot be read, what was delivered stays.";

const EXAMPLES: &str = "\
Examples:
  strongroom-init agent --folder /secrets --file password=vault:secret/data/app#password --signal HUP:nginx
  strongroom-init agent --folder /secrets --files files.yaml --url http://127.0.0.1:8080/reload --refresh 1m
  strongroom-init agent --folder /secrets --files files.yaml --once      deliver, then end: an init container
  strongroom-init agent --folder /secrets --ready --wait 8s              a probe: has its agent delivered?

Signals: SIGTERM and SIGINT end it with 0 within a second; SIGUSR1 and SIGHUP make it read now.
Exit codes: 0; 1 where it cannot work, nothing was delivered by --once, or --ready says no.";

/// Flags of the agent.
#[derive(Debug, Parser)]
#[command(
    name = "strongroom-init agent", about = ABOUT, after_help = EXAMPLES, disable_version_flag = true,
    override_usage = "strongroom-init agent --folder DIR [flags]\n       strongroom-init agent --folder DIR --ready [--wait TIME]",
    mut_arg("log_level", |arg| arg.help("error, warn, info or debug; values are never logged [env: STRONGROOM_LOG_LEVEL] [default: info]"))
)]
pub(super) struct AgentArguments {
    #[command(flatten)]
    read: ReadOptions,

    /// Project of short Google names (gcp:secretmanager:NAME) [env: STRONGROOM_GOOGLE_PROJECT]
    #[arg(long, value_name = "PROJECT", help_heading = "Reading")]
    google_project: Option<String>,

    /// How often to read, at least 1s; each time spread by a tenth [default: 5m]
    #[arg(long, value_name = "TIME", help_heading = "Reading")]
    refresh: Option<Interval>,

    /// The folder; made where it is missing. Nothing else writes to it
    #[arg(long, value_name = "DIR", help_heading = "Delivery")]
    folder: PathBuf,

    /// YAML file with the list of files, instead of the text in STRONGROOM_FILES
    #[arg(long, value_name = "FILE", help_heading = "Delivery")]
    files: Option<PathBuf>,

    /// One file more, of one secret. Repeatable
    #[arg(long, value_name = "PATH[@MODE[,UID[:GID]]]=REF", help_heading = "Delivery")]
    file: Vec<String>,

    /// Write to a disk; without it only to memory-backed file systems
    #[arg(long, help_heading = "Delivery")]
    allow_disk: bool,

    /// Deliver, then end; the agent that stays takes over from there
    #[arg(long, conflicts_with_all = ["signal", "url", "debounce", "refresh"], help_heading = "Delivery")]
    once: bool,

    /// Signal a process after a change: HUP:NAME as in /proc/PID/comm, HUP:/PATH of its pid file. Repeatable
    #[arg(long, value_name = "SIGNAL:PROCESS", value_parser = parse_signal, help_heading = "After a change")]
    signal: Vec<Hook>,

    /// Send POST without a body to a URL, tried until it answers 2xx; by no proxy. Repeatable
    #[arg(long, value_name = "URL", help_heading = "After a change")]
    url: Vec<String>,

    /// Wait this long for further changes and tell of all at once [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "After a change")]
    debounce: Option<Duration>,

    /// Deliver nothing: end with 0 when the agent of the folder has delivered, with 1 and its last failure when not
    #[arg(long, conflicts_with_all = ["once", "files", "file", "allow_disk", "signal", "url", "debounce", "refresh"], help_heading = "Probe")]
    ready: bool,

    /// How long --ready waits for that [default: 0s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, help_heading = "Probe")]
    wait: Option<Duration>,
}

/// What could not be done, and why.
type Trouble = (&'static str, Vec<Failure>);

const CANNOT_RUN: &str = "failed to run";
const UNRESOLVED: &str = "failed to resolve secrets";

/// Reads the `words` behind the name; what is wrong with them, or the help, has been printed when this is an error.
pub(super) fn parse(words: &[OsString], ambient: &Ambient) -> Result<AgentArguments, ExitCode> {
    let mut command = AgentArguments::command().no_binary_name(true);
    let matches = command.try_get_matches_from_mut(words);
    let parsed = matches.and_then(|matches| AgentArguments::from_arg_matches(&matches)).and_then(|parsed| {
        // clap's own rule is off where a flag is there that --ready excludes.
        if parsed.wait.is_some() && !parsed.ready {
            return Err(command.error(ErrorKind::MissingRequiredArgument, "--wait is for --ready alone"));
        }
        Ok(parsed)
    });
    let mut parsed = parsed.map_err(|error| {
        // Help goes to standard output and is a success; the rest is a mistake.
        let _ = error.print();
        ExitCode::from(u8::from(error.use_stderr()))
    })?;
    parsed.read = parsed.read.complete(ambient).map_err(|failure| {
        report(Audience::Person, "", &[failure]);
        ExitCode::FAILURE
    })?;
    // It is left alone for months, and says little: each change, and what keeps it from one.
    parsed.read.log_level.get_or_insert(LogLevel::Info);
    parsed.google_project = parsed.google_project.or_else(|| ambient.get("STRONGROOM_GOOGLE_PROJECT"));
    Ok(parsed)
}

/// Runs until it is told to end, or until what was asked for is done.
pub(super) fn run(arguments: &AgentArguments, ambient: Ambient) -> ExitCode {
    arguments.read.install_logs();
    if arguments.ready {
        return probe(&arguments.folder, arguments.wait.unwrap_or_default());
    }
    match work(arguments, ambient) {
        Ok(()) => ExitCode::SUCCESS,
        Err((what, failures)) => {
            report(Audience::Logs, what, &failures);
            ExitCode::FAILURE
        }
    }
}

fn probe(folder: &Path, patience: Duration) -> ExitCode {
    match ready(folder, patience) {
        Ready::Yes => ExitCode::SUCCESS,
        Ready::No(reason) => {
            // kubelet puts it into the event of the probe.
            let _ = writeln!(std::io::stdout(), "{reason}");
            ExitCode::FAILURE
        }
    }
}

fn work(arguments: &AgentArguments, ambient: Ambient) -> Result<(), Trouble> {
    let cannot_run = |error: SetupError| (CANNOT_RUN, vec![invalid(error.to_string())]);
    let one = |failure: Failure| (CANNOT_RUN, vec![failure]);
    // Before any secret is in memory. Lives until the program ends.
    let mut resolving = Resolving::begin().map_err(cannot_run)?;
    let orders = Orders::default();
    if arguments.once {
        // Cut off before its end, it has not done what it was asked for.
        resolving.end_on_signals().map_err(cannot_run)?;
    } else {
        let told = orders.clone();
        let hear = move |order| match order {
            Order::End => told.end(),
            Order::Again => told.read_now(),
        };
        resolving.obey(PATIENCE, hear).map_err(cannot_run)?;
    }
    let settings = arguments.settings(&ambient).map_err(one)?;
    let resolver = arguments.read.resolver(ambient, arguments.google_project.clone()).map_err(one)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| one(invalid(format!("cannot start: {error}"))))?;
    let outcome = lead(&runtime, settings, resolver, if arguments.once { None } else { Some(orders) });
    // A name look-up or a file that hangs is not waited for.
    runtime.shutdown_background();
    outcome
}

/// Without `orders` it delivers once.
fn lead(
    runtime: &Runtime,
    settings: Settings,
    resolver: strongroom_resolve::Resolver,
    orders: Option<Orders>,
) -> Result<(), Trouble> {
    runtime.block_on(async {
        let agent = Agent::open(settings, Arc::new(resolver)).map_err(|failure| (CANNOT_RUN, vec![failure]))?;
        match orders {
            Some(orders) => agent.run(orders).await,
            None => agent.once().await.map_err(|failures| (UNRESOLVED, failures))?,
        }
        Ok(())
    })
}

impl AgentArguments {
    fn settings(&self, ambient: &Ambient) -> Result<Settings, Failure> {
        let pace = Pace { refresh: self.refresh.unwrap_or_default().0, ..Pace::default() };
        let url = |text: &String| {
            // Not repeated: it may hold a token.
            text.parse().map(Hook::Url).map_err(|_| invalid("this is no URL").in_field("--url"))
        };
        let mut hooks = self.signal.clone();
        hooks.extend(self.url.iter().map(url).collect::<Result<Vec<_>, _>>()?);
        Ok(Settings {
            folder: self.folder.clone(),
            medium: if self.allow_disk { Medium::AnyDisk } else { Medium::MemoryOnly },
            files: self.wanted(ambient)?,
            pace,
            deadline: self.read.deadline(),
            hooks,
            debounce: self.debounce.unwrap_or(DEFAULT_DEBOUNCE),
            tls: TlsSettings::from_environment(&|name| ambient.get(name)),
        })
    }

    /// The files of the list and of the flags.
    fn wanted(&self, ambient: &Ambient) -> Result<Vec<File>, Failure> {
        let (source, list) = match &self.files {
            Some(path) => {
                let name = path.display().to_string();
                let content = read_file(path, LARGEST_LIST)?;
                let text = content.expose_text().map(str::to_owned);
                (name.clone(), Some(text.ok_or_else(|| invalid("is not UTF-8 text").in_field(name))?))
            }
            None => (LIST_VARIABLE.to_owned(), ambient.get(LIST_VARIABLE)),
        };
        let parsed = list.map(|text| strongroom_files::parse(&text)).transpose();
        let mut files = parsed.map_err(|failure| below(&source, failure))?.unwrap_or_default();
        for text in &self.file {
            strongroom_files::add(&mut files, text).map_err(|failure| below("--file", failure))?;
        }
        if files.is_empty() {
            return Err(invalid("no files are wanted")
                .with_hint(format!("put the list into {LIST_VARIABLE} or a file for --files, or use --file")));
        }
        Ok(files)
    }
}

/// Puts what a failure is about below where it stands.
fn below(source: &str, failure: Failure) -> Failure {
    let field = match &failure.subject.field {
        Some(field) => format!("{source}: {field}"),
        None => source.to_owned(),
    };
    failure.in_field(field)
}

/// `SIGNAL:NAME` or `SIGNAL:/PATH`.
fn parse_signal(text: &str) -> Result<Hook, String> {
    let (signal, process) = text.split_once(':').ok_or("write HUP:NAME, or HUP:/PATH of a pid file")?;
    let signal = signal_of(signal).ok_or("write a signal by its name, as in HUP:NAME")?;
    let process = match process {
        "" => return Err("write whom to signal, as in HUP:NAME".to_owned()),
        path if path.starts_with('/') => Process::PidFile(PathBuf::from(path)),
        name if name.contains('/') => return Err("write a pid file with its whole path, from / on".to_owned()),
        name => Process::Name(name.to_owned()),
    };
    Ok(Hook::Signal { signal, process })
}

fn invalid(words: impl Into<String>) -> Failure {
    Failure::new(Class::Invalid, words)
}

#[cfg(test)]
mod tests {
    use strongroom_process::Signal;

    use super::*;

    fn parsed(words: &[&str]) -> Result<AgentArguments, ExitCode> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        parse(&words, &Ambient::default())
    }

    #[test]
    fn the_flags_are_in_order() {
        AgentArguments::command().debug_assert();
    }

    #[test]
    fn a_hook_is_a_signal_and_a_name_or_a_pid_file() {
        let check = |text: &str, expected: Option<(Signal, Process)>| {
            let expected = expected.map(|(signal, process)| Hook::Signal { signal, process });
            assert_eq!(parse_signal(text).ok(), expected, "{text}");
        };
        let name = |name: &str| Process::Name(name.to_owned());
        check("HUP:nginx", Some((Signal::SIGHUP, name("nginx"))));
        check("SIGUSR2:a:b", Some((Signal::SIGUSR2, name("a:b"))));
        check("HUP:/run/nginx.pid", Some((Signal::SIGHUP, Process::PidFile("/run/nginx.pid".into()))));
        for wrong in ["", "HUP", "HUP:", ":nginx", "hup:nginx", "NOPE:nginx", "1:nginx", "HUP:run/nginx.pid"] {
            check(wrong, None);
        }
    }

    #[test]
    fn no_word_is_left_unheard() {
        assert!(parsed(&["--folder", "/x"]).is_ok());
        assert!(parsed(&["--folder", "/x", "--ready", "--wait", "8s"]).is_ok());
        for wrong in [
            &[][..],
            &["--folder"],
            &["--folder", "/x", "word"],
            &["--folder", "/x", "--", "command"],
            &["--folder", "/x", "--env", "A=b"],
            &["--folder", "/x", "--refresh", "500ms"],
            &["--folder", "/x", "--refresh", "never"],
            &["--folder", "/x", "--wait", "8s"],
            &["--folder", "/x", "--file", "a=b", "--wait", "8s"],
            &["--folder", "/x", "--once", "--ready"],
            &["--folder", "/x", "--once", "--signal", "HUP:x"],
            &["--folder", "/x", "--ready", "--file", "a=b"],
            &["--folder", "/x", "--folder", "/y"],
        ] {
            assert!(parsed(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_list_and_the_flags_add_up_and_must_fit_together() {
        let wanted = |list: &str, flags: &[&str]| {
            let words: Vec<&str> =
                ["--folder", "/x"].into_iter().chain(flags.iter().flat_map(|file| ["--file", file])).collect();
            let variable = OsString::from(format!("{LIST_VARIABLE}={list}"));
            let files = parsed(&words).unwrap().wanted(&Ambient::of(&[variable]));
            files.map(|files| files.into_iter().map(|file| (file.path, file.mode)).collect::<Vec<_>>())
        };
        let one = "[{path: a/b, from: 'sr://env/A'}]";
        let file = |path: &str, mode| (path.to_owned(), mode);
        assert_eq!(wanted(one, &["c@0400=sr://env/A#x=y"]), Ok(vec![file("a/b", 0o644), file("c", 0o400)]));
        assert_eq!(wanted("", &["c@home=sr://env/A"]), Ok(vec![file("c@home", 0o644)]));
        let fails = |list: &str, flags: &[&str], field: &str| {
            let failure = wanted(list, flags).unwrap_err();
            assert_eq!(failure.subject.field.as_deref().unwrap_or_default(), field, "{failure}");
        };
        fails("", &[], "");
        fails(one, &["a=sr://env/A"], "--file: a");
        fails("", &["a=sr://env/A", "a=sr://env/A"], "--file: a");
        fails("", &["canary"], "--file");
        fails("", &["a=canary"], "--file: a");
        fails("", &["/a=sr://env/A"], "--file: /a");
        fails("[{path: a}]", &[], "STRONGROOM_FILES: files[0]");
        fails("{", &[], "STRONGROOM_FILES: files");
    }
}

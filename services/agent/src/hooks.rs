//! Whom the agent tells that files have changed.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use strongroom_failure::{Class, Failure};
use strongroom_http::{Client, Method, Request, Timeouts, TlsSettings, Uri, header};
use strongroom_process::{Signal, SignalError, signal_named, signal_process};
use strongroom_secret::SecretBytes;
use tokio::sync::watch;
use tokio::time::sleep;

/// How long a URL may take to answer: longer than reading files again takes, and nothing waits for it.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// The pauses after failed attempts.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The largest pid file that makes sense, in bytes.
const LARGEST_PID_FILE: u64 = 64;

/// The largest answer of a URL that is read, in bytes: only its status counts.
const LARGEST_ANSWER: usize = 64 * 1024;

/// Whom to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hook {
    /// A process gets a signal.
    Signal {
        /// Which.
        signal: Signal,
        /// To whom.
        process: Process,
    },
    /// A URL gets a POST request without a body, and answers with 2xx.
    Url(Uri),
}

/// Which process gets a signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Process {
    /// Those that bear this name (`/proc/PID/comm`) and whose parent does not.
    Name(String),
    /// The one whose number is in this file.
    PidFile(PathBuf),
}

impl fmt::Display for Hook {
    /// Without a query or a user, which may be a credential.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signal { signal, process: Process::Name(name) } => write!(formatter, "{signal} to {name}"),
            Self::Signal { signal, process: Process::PidFile(file) } => {
                write!(formatter, "{signal} to the process of {}", file.display())
            }
            Self::Url(uri) => {
                let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
                let (scheme, host) = (uri.scheme_str().unwrap_or_default(), uri.host().unwrap_or_default());
                write!(formatter, "POST {scheme}://{host}{port}{}", uri.path())
            }
        }
    }
}

/// Every hook with what it is told by.
pub(crate) struct Hooks {
    hooks: Vec<Hook>,
    client: Option<Client>,
    debounce: Duration,
    changes: watch::Sender<u64>,
}

impl Hooks {
    /// # Errors
    /// A URL that is none of http or https.
    pub(crate) fn new(hooks: Vec<Hook>, debounce: Duration, tls: TlsSettings) -> Result<Self, Failure> {
        hooks.iter().try_for_each(check)?;
        let settings = || strongroom_http::Settings {
            tls,
            timeouts: Timeouts { connect: CALL_LIMIT, wait: CALL_LIMIT, total: CALL_LIMIT },
            body_limit: LARGEST_ANSWER,
            // Changes are rare: a connection that waits for the next one is memory.
            idle_connections: 0,
            ..strongroom_http::Settings::default()
        };
        let calls = hooks.iter().any(|hook| matches!(hook, Hook::Url(_)));
        let client = calls.then(|| Client::new(settings())).transpose().map_err(Failure::from)?;
        Ok(Self { hooks, client, debounce, changes: watch::Sender::new(0) })
    }

    /// Says that files have changed.
    pub(crate) fn changed(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Tells of each change, until it is dropped.
    pub(crate) fn attend(&self) -> impl Future<Output = ()> + use<> {
        let attended = self.hooks.iter().map(|hook| {
            let attended = Attended { hook: hook.clone(), client: self.client.clone(), debounce: self.debounce };
            attended.attend(self.changes.subscribe())
        });
        let all = futures_util::future::join_all(attended.collect::<Vec<_>>());
        async move {
            all.await;
            std::future::pending().await
        }
    }
}

/// # Errors
/// What no change of the world outside can make work.
fn check(hook: &Hook) -> Result<(), Failure> {
    let Hook::Url(uri) = hook else { return Ok(()) };
    let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return Err(Failure::new(Class::Invalid, "a hook's URL is http://HOST/PATH or https://HOST/PATH"));
    }
    if has_user {
        return Err(Failure::new(Class::Invalid, "a hook's URL takes no user and no password"));
    }
    Ok(())
}

struct Attended {
    hook: Hook,
    client: Option<Client>,
    debounce: Duration,
}

impl Attended {
    async fn attend(self, mut changes: watch::Receiver<u64>) {
        while changes.changed().await.is_ok() {
            self.tell(&mut changes).await;
        }
    }

    /// Tells of the change that has just been seen, and of all that come up to when it succeeds.
    async fn tell(&self, changes: &mut watch::Receiver<u64>) {
        let mut pause = FIRST_PAUSE;
        loop {
            sleep(self.debounce).await;
            changes.mark_unchanged();
            let Err(failure) = self.call().await else {
                tracing::info!(hook = %self.hook, "told of changed files");
                return;
            };
            let (error, hint, retry_in) = (failure.to_string(), failure.hint.as_deref(), format!("{pause:?}"));
            tracing::warn!(hook = %self.hook, error, hint, retry_in, "could not tell of changed files");
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                // The try for that one is soon, and for both.
                seen = changes.changed() => match seen {
                    Ok(()) => pause = FIRST_PAUSE,
                    Err(_) => return,
                },
            }
        }
    }

    async fn call(&self) -> Result<(), Failure> {
        match &self.hook {
            Hook::Signal { signal, process: Process::Name(name) } => {
                signal_named(name, *signal).map(drop).map_err(|error| explain(&error))
            }
            Hook::Signal { signal, process: Process::PidFile(file) } => {
                signal_process(number_in(file)?, *signal).map_err(|error| explain(&error))
            }
            Hook::Url(uri) => self.post(uri).await,
        }
    }

    async fn post(&self, uri: &Uri) -> Result<(), Failure> {
        let Some(client) = &self.client else { return Ok(()) };
        let request = Request::builder().method(Method::POST).uri(uri).header(header::CONTENT_LENGTH, "0");
        let request = request
            .body(SecretBytes::default())
            .map_err(|_| Failure::new(Class::Invalid, "this is no address of a hook"))?;
        let status = client.send(request).await.map_err(Failure::from)?.status;
        if status.is_success() {
            return Ok(());
        }
        Err(Failure::new(Class::Unavailable, format!("it answered {}", status.as_u16())))
    }
}

/// Which process, as the file says.
fn number_in(file: &PathBuf) -> Result<i32, Failure> {
    let unreadable = |error: std::io::Error| {
        let words = format!("its pid file cannot be read: {}", error.kind());
        Failure::new(Class::Unavailable, words).with_hint("mount the folder of the pid file in both containers")
    };
    let mut text = String::new();
    let opened = File::open(file).and_then(|file| file.take(LARGEST_PID_FILE).read_to_string(&mut text));
    opened.map_err(unreadable)?;
    let number = text.trim().parse();
    number.map_err(|_| Failure::new(Class::Unavailable, "its pid file holds no number"))
}

/// What the person who wrote the hook can do about it.
fn explain(error: &SignalError) -> Failure {
    let failure = Failure::new(Class::Unavailable, error.to_string());
    let hint = match error {
        SignalError::NoProcess(_) | SignalError::NoProc => {
            "in a pod, set shareProcessNamespace: true; a process's name is what /proc/PID/comm holds"
        }
        SignalError::NotAnother(_) => "the number is of another PID namespace: set shareProcessNamespace: true",
        SignalError::Denied(_) => "run the agent as the user of that process, or give it the capability KILL",
        SignalError::Refused(..) => return failure,
    };
    failure.with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_is_shown_without_what_could_be_a_credential() {
        let check = |hook: Hook, expected: &str| assert_eq!(hook.to_string(), expected);
        let signal = |process: Process| Hook::Signal { signal: Signal::SIGHUP, process };
        check(signal(Process::Name("nginx".to_owned())), "SIGHUP to nginx");
        check(signal(Process::PidFile("/run/n.pid".into())), "SIGHUP to the process of /run/n.pid");
        check(Hook::Url("http://localhost:81/r?token=x".parse().unwrap()), "POST http://localhost:81/r");
    }

    #[test]
    fn only_addresses_of_http_are_hooks() {
        let check = |uri: &str, is_right: bool| {
            let hooks = Hooks::new(vec![Hook::Url(uri.parse().unwrap())], Duration::ZERO, TlsSettings::default());
            assert_eq!(hooks.is_ok(), is_right, "{uri}");
        };
        check("http://127.0.0.1:8080/reload", true);
        check("https://localhost", true);
        check("ftp://localhost/x", false);
        check("/reload", false);
        check("localhost:80", false);
        check("http://user:password@localhost/", false);
    }

    #[test]
    fn a_pid_file_names_one_other_process() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        assert!(number_in(&file).unwrap_err().to_string().contains("cannot be read"));
        let check = |text: &str, expected: Option<i32>| {
            std::io::Write::write_all(&mut File::create(&file).unwrap(), text.as_bytes()).unwrap();
            assert_eq!(number_in(&file).ok(), expected, "{text}");
        };
        check("17\n", Some(17));
        check(" 17", Some(17));
        check("", None);
        check("x", None);
        check("99999999999", None);
    }
}

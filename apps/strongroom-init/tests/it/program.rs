//! Runs the program under either name, on its own and as the first process of a PID namespace.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// The shipped name and the old ones, side by side in a folder.
static PROGRAMS: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap().keep();
    for name in ["strongroom-init", "secrets-init", SECRET_SIDECAR, KAMUS] {
        std::fs::copy(env!("CARGO_BIN_EXE_strongroom-init"), folder.join(name)).unwrap();
    }
    folder
});

/// The name of AWS' secret sidecar.
pub(crate) const SECRET_SIDECAR: &str = "aws-secrets-manager-secret-sidecar";

/// The name of Kamus' init container.
const KAMUS: &str = "kamus-init-container";

/// The program's file under `name`.
pub(crate) fn path(name: &str) -> PathBuf {
    PROGRAMS.join(name)
}

/// How the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// As a process among others.
    Among,
    /// As the first process of a PID namespace, with a /proc of its own.
    First,
}

/// Both places where this user may make a namespace; a machine of CI must.
pub(crate) fn places() -> Vec<Place> {
    if nix::unistd::geteuid().is_root() {
        return vec![Place::Among, Place::First];
    }
    assert!(std::env::var_os("CI").is_none(), "CI must run these tests as root: PID namespaces need it");
    eprintln!("NOT RUN as the first process of a PID namespace, which needs root: sudo make test-node");
    vec![Place::Among]
}

/// One call of the program.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    name: &'static str,
    arguments: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    stdin: Vec<u8>,
}

/// How a call ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; 128+n would be ours to say, so a signal that killed the program itself is shown as -n.
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Program {
    pub(crate) fn secrets_init(arguments: &[&str]) -> Self {
        Self::new("secrets-init", arguments)
    }

    pub(crate) fn strongroom_init(arguments: &[&str]) -> Self {
        Self::new("strongroom-init", arguments)
    }

    pub(crate) fn secret_sidecar(arguments: &[&str]) -> Self {
        Self::new(SECRET_SIDECAR, arguments)
    }

    pub(crate) fn kamus_init_container(arguments: &[&str]) -> Self {
        Self::new(KAMUS, arguments)
    }

    fn new(name: &'static str, arguments: &[&str]) -> Self {
        let variables = vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())];
        Self { name, arguments: arguments.iter().map(OsString::from).collect(), variables, stdin: Vec::new() }
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name.into(), value.as_ref().to_owned()));
        self
    }

    pub(crate) fn envs(self, variables: &[(String, String)]) -> Self {
        variables.iter().fold(self, |program, (name, value)| program.env(name, value))
    }

    pub(crate) fn stdin(mut self, bytes: &[u8]) -> Self {
        self.stdin = bytes.to_vec();
        self
    }

    /// Starts it with pipes at all three ends.
    pub(crate) fn start(&self, place: Place) -> Child {
        let mut command = match place {
            Place::Among => Command::new(path(self.name)),
            Place::First => {
                let mut command = Command::new("unshare");
                command.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).arg(path(self.name));
                command
            }
        };
        command.args(&self.arguments).env_clear().envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, place: Place) -> Ended {
        let mut child = self.start(place);
        // A program that reads nothing may have gone already.
        let _ = child.stdin.take().unwrap().write_all(&self.stdin);
        ended(child)
    }

    /// Runs it in every place, and demands that it is the same there.
    pub(crate) fn run_everywhere(&self) -> Ended {
        let mut runs = places().into_iter().map(|place| self.run(place));
        let first = runs.next().unwrap();
        for other in runs {
            assert_eq!((first.code, &first.stdout), (other.code, &other.stdout), "{}\n{}", first.stderr, other.stderr);
        }
        first
    }
}

/// Waits for the end of a program that was started.
pub(crate) fn ended(child: Child) -> Ended {
    let output = child.wait_with_output().unwrap();
    Ended {
        code: output.status.code().unwrap_or_else(|| -output.status.signal().unwrap()),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The number of the program itself: in a namespace, the child of `unshare`.
pub(crate) fn own_pid(child: &Child, place: Place) -> u32 {
    match place {
        Place::Among => child.id(),
        Place::First => wait_for("the first process", || children(child.id()).first().copied()),
    }
}

/// The processes that `pid` started and that live.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// Looks every 10 ms until there is something, for at most 20 s.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{what} did not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until `file` exists and holds something.
pub(crate) fn wait_for_file(file: &Path) -> String {
    wait_for(&file.display().to_string(), || std::fs::read_to_string(file).ok().filter(|text| text.ends_with('\n')))
}

pub(crate) fn signal(pid: u32, signal: nix::sys::signal::Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

//! Starts the probe in both places where a supervisor runs, and watches what it does.

#![allow(unsafe_code, reason = "sending a signal with a value needs the C library")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything takes on a busy machine; a test that runs into it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Where the probe runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// An ordinary process among others.
    Outside,
    /// The first process of a PID namespace with its own /proc.
    First,
}

/// Runs `test` in every place. Without root the namespace is left out aloud; in CI that is a failure.
pub(crate) fn everywhere(test: impl Fn(Place)) {
    test(Place::Outside);
    as_first_process(|| test(Place::First));
}

/// Runs `test` where a PID namespace can be made.
pub(crate) fn as_first_process(test: impl FnOnce()) {
    if nix::unistd::geteuid().is_root() {
        test();
        return;
    }
    assert!(std::env::var_os("CI").is_none(), "CI must run these tests as root: they need a PID namespace");
    // Not by a macro, whose output the test runner hides where a test passes.
    let words = "LEFT OUT: the part as PID 1 needs root; run it with: sudo make test-node";
    writeln!(std::io::stderr(), "{words}").expect("writes");
}

/// The path of the test program.
pub(crate) fn probe() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_process-probe"))
}

/// A running launcher or supervisor, ended and waited for when dropped.
pub(crate) struct Running {
    process: Child,
    place: Place,
    /// Its standard output.
    pub(crate) lines: BufReader<std::process::ChildStdout>,
    /// Its standard error.
    pub(crate) errors: BufReader<std::process::ChildStderr>,
    /// Its standard input.
    pub(crate) input: Option<ChildStdin>,
}

impl Running {
    /// Starts `process-probe launch SETTINGS -- COMMAND` in `place`.
    pub(crate) fn start(place: Place, settings: &[&str], command: &[&str]) -> Self {
        Self::of(place, place.command(settings, command))
    }

    /// Starts a command that was made with [`Place::command`] and changed.
    pub(crate) fn of(place: Place, mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().expect("the probe starts");
        let lines = BufReader::new(process.stdout.take().expect("piped"));
        let errors = BufReader::new(process.stderr.take().expect("piped"));
        let input = process.stdin.take();
        Self { process, place, lines, errors, input }
    }

    /// The supervisor's number as we see it.
    pub(crate) fn supervisor(&self) -> i32 {
        let number = i32::try_from(self.process.id()).expect("a process number");
        match self.place {
            Place::Outside => number,
            Place::First => until("the namespace's first process is there", || children(number).first().copied()),
        }
    }

    /// The child's number as we see it, once it is there.
    pub(crate) fn child(&self) -> i32 {
        let supervisor = self.supervisor();
        until("the child is there", || children(supervisor).first().copied())
    }

    /// Waits until the program has turned into the bare supervisor and sleeps.
    pub(crate) fn settle(&self) {
        let supervisor = self.supervisor();
        until("the supervisor sleeps", || {
            let arguments = std::fs::read(format!("/proc/{supervisor}/cmdline")).ok()?;
            let is_supervisor = arguments.windows(22).any(|window| window == b"--strongroom-superviso");
            (is_supervisor && status_of(supervisor, "State")?.starts_with('S')).then_some(())
        });
    }

    /// The next line of its standard output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("reads");
        line.trim_end().to_owned()
    }

    /// The next line of its standard error.
    pub(crate) fn error_line(&mut self) -> String {
        let mut line = String::new();
        self.errors.read_line(&mut line).expect("reads");
        line.trim_end().to_owned()
    }

    /// Sends a signal to the supervisor.
    pub(crate) fn signal(&self, signal: i32) {
        send(self.supervisor(), signal);
    }

    /// Waits for the end: the exit code, and what was still written to standard output and error.
    pub(crate) fn end(mut self) -> (i32, String, String) {
        let (mut output, mut errors) = (String::new(), String::new());
        let status = until("the program ends", || self.process.try_wait().expect("waits"));
        self.lines.read_to_string(&mut output).expect("reads");
        self.errors.read_to_string(&mut errors).expect("reads");
        (status.code().unwrap_or_else(|| panic!("ended by {status}: {output}{errors}")), output, errors)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        kill_tree(&mut self.process);
    }
}

/// Ends a process with all that descends from it, unless it has ended by itself.
pub(crate) fn kill_tree(process: &mut Child) {
    if let Ok(None) = process.try_wait() {
        let mut doomed = vec![i32::try_from(process.id()).expect("a process number")];
        let mut next = 0;
        while next < doomed.len() {
            doomed.extend(children(doomed[next]));
            next += 1;
        }
        for number in doomed {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(number), nix::sys::signal::SIGKILL);
        }
    }
    let _ = process.wait();
}

impl Place {
    /// The command that starts the probe here.
    pub(crate) fn command(self, settings: &[&str], command: &[&str]) -> Command {
        let mut start = match self {
            Self::Outside => Command::new(probe()),
            Self::First => {
                let mut unshare = Command::new("unshare");
                unshare.args(["--pid", "--fork", "--mount-proc", "--kill-child"]).arg(probe());
                unshare
            }
        };
        start.arg("launch").args(settings).arg("--").args(command);
        start
    }

    /// Runs to the end with an empty standard input: exit code, standard output, standard error.
    pub(crate) fn run(self, settings: &[&str], command: &[&str]) -> (i32, String, String) {
        told(self.command(settings, command).stdin(Stdio::null()).output().expect("the probe runs"))
    }
}

/// An ended program's exit code and words.
pub(crate) fn told(output: Output) -> (i32, String, String) {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let code = output.status.code().unwrap_or_else(|| panic!("ended by {}", output.status));
    (code, text(output.stdout), text(output.stderr))
}

/// Asks `question` until it has an answer.
pub(crate) fn until<T>(what: &str, mut question: impl FnMut() -> Option<T>) -> T {
    let limit = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = question() {
            return answer;
        }
        assert!(Instant::now() < limit, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Sends a signal by number, real-time signals included.
pub(crate) fn send(process: i32, signal: i32) {
    // SAFETY: two numbers.
    assert_eq!(unsafe { libc::kill(process, signal) }, 0, "signal {signal} to {process}");
}

/// Sends a signal with a value.
pub(crate) fn send_value(process: i32, signal: i32, value: usize) {
    let value = libc::sigval { sival_ptr: value as *mut libc::c_void };
    // SAFETY: numbers only; the value is not used as an address.
    assert_eq!(unsafe { libc::sigqueue(process, signal, value) }, 0, "signal {signal} to {process}");
}

/// The children of a process.
pub(crate) fn children(parent: i32) -> Vec<i32> {
    processes().into_iter().filter(|process| process.parent == parent).map(|process| process.number).collect()
}

/// One line of the process table.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) number: i32,
    pub(crate) state: char,
    pub(crate) parent: i32,
}

/// The process table.
pub(crate) fn processes() -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").expect("/proc");
    let stats = entries.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("stat")).ok());
    stats.filter_map(|stat| describe(&stat)).collect()
}

fn describe(stat: &str) -> Option<Process> {
    let (number, rest) = stat.split_once(" (")?;
    let mut words = rest.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = words.next()?.chars().next()?;
    Some(Process { number: number.parse().ok()?, state, parent: words.next()?.parse().ok()? })
}

/// A process's line of `/proc/PID/status`.
pub(crate) fn status_of(process: i32, field: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

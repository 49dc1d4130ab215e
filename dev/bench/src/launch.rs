//! One start of the probe by a program: how it is called, and what is seen of it from outside.

use std::ffi::OsString;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// A start that takes longer hangs: the slowest peer known takes about 4 s.
const PATIENCE_MILLISECONDS: u16 = 60_000;

/// A supervisor that was asked to end has this long.
const ENDING: Duration = Duration::from_secs(5);

/// After this long nothing of a start goes on any more: the supervisor sleeps.
const SETTLING: Duration = Duration::from_millis(300);

/// The word that makes this program a small parent that tells its child's peak of memory.
pub(crate) const PEAK_WORD: &str = "peak";

/// How a program is called so that it starts the probe.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// The whole environment; nothing is inherited.
    pub(crate) environment: Vec<(OsString, OsString)>,
}

/// What one start showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Start {
    /// From just before the program was spawned to the first line of the probe's `main`.
    pub(crate) elapsed: Duration,
    /// How many values reached the probe.
    pub(crate) delivered: usize,
}

/// The memory of a process that sleeps, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Resident {
    /// Pages in memory, shared ones included (`VmRSS`).
    pub(crate) resident: u64,
    /// The same with each shared page divided among those who share it (`Pss`).
    pub(crate) proportional: u64,
}

impl Launch {
    /// Starts the probe and waits until everything has ended.
    pub(crate) fn start(&self) -> Result<Start> {
        let mut running = Running::spawn(self.command())?;
        let output = running.output()?;
        running.ended()?;
        parse_start(&output, running.spawned)
    }

    /// The memory of the program while the probe stays.
    pub(crate) fn asleep(&self) -> Result<Resident> {
        let mut command = self.command();
        command.arg("--stay");
        let mut running = Running::spawn(command)?;
        running.first_line()?;
        std::thread::sleep(SETTLING);
        let process = format!("/proc/{}", running.child.id());
        let read = |file: &str| std::fs::read_to_string(format!("{process}/{file}")).with_context(|| file.to_owned());
        let resident = bytes_of(&read("status")?, "VmRSS")?;
        let proportional = bytes_of(&read("smaps_rollup")?, "Pss")?;
        running.end()?;
        Ok(Resident { resident, proportional })
    }

    /// The most memory, in bytes, that the program or a process it started had before it executed another one.
    pub(crate) fn peak(&self) -> Result<u64> {
        let helper = Self {
            program: std::env::current_exe()?,
            arguments: [OsString::from(PEAK_WORD), self.program.clone().into()]
                .into_iter()
                .chain(self.arguments.iter().cloned())
                .collect(),
            environment: self.environment.clone(),
        };
        let mut running = Running::spawn(helper.command())?;
        let output = running.output()?;
        running.ended()?;
        let peak = output.lines().find_map(|line| line.strip_prefix("peak ")).context("no peak was told")?;
        Ok(peak.parse()?)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// Runs the words of a command as the only child of this process, and tells the most memory that it had.
///
/// The kernel keeps that figure over `execve`, and counts what the child shared with its parent before its own: a
/// parent as large as the measuring program would hide small ones.
pub(crate) fn tell_peak(words: impl Iterator<Item = OsString>) -> Result<()> {
    let mut words = words;
    let status = Command::new(words.next().context("no program was named")?).args(words).status()?;
    ensure!(status.success(), "the program failed: {status}");
    let kilobytes = getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss();
    use std::io::Write as _;
    Ok(writeln!(std::io::stdout(), "peak {}", kilobytes * 1024)?)
}

/// A spawned program. Dropping it kills it.
struct Running {
    child: Child,
    stdout: ChildStdout,
    stderr: ChildStderr,
    spawned: Duration,
}

impl Running {
    fn spawn(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let spawned = now()?;
        let mut child = command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            bail!("the program has no standard output or error");
        };
        Ok(Self { child, stdout, stderr, spawned })
    }

    /// What is there on standard output, waited for; nothing at its end.
    fn next_bytes(&mut self) -> Result<Vec<u8>> {
        let mut waited_for = [PollFd::new(self.stdout.as_fd(), PollFlags::POLLIN)];
        let ready = nix::poll::poll(&mut waited_for, PollTimeout::from(PATIENCE_MILLISECONDS))?;
        ensure!(ready > 0, "nothing happened for {} s", PATIENCE_MILLISECONDS / 1_000);
        let mut bytes = vec![0; 4096];
        let count = self.stdout.read(&mut bytes)?;
        bytes.truncate(count);
        Ok(bytes)
    }

    /// The probe's line; it comes in one piece.
    fn first_line(&mut self) -> Result<String> {
        let line = String::from_utf8(self.next_bytes()?)?;
        if line.is_empty() { Err(self.failure("the probe did not start")) } else { Ok(line) }
    }

    /// Everything on standard output, to its end.
    fn output(&mut self) -> Result<String> {
        let mut all = Vec::new();
        loop {
            let bytes = self.next_bytes()?;
            if bytes.is_empty() {
                return Ok(String::from_utf8(all)?);
            }
            all.extend(bytes);
        }
    }

    /// Waits for the end, which must be a success.
    fn ended(&mut self) -> Result<()> {
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(self.failure(&status.to_string())) }
    }

    /// Asks the program to end, which every supervisor passes on, and waits for that.
    fn end(&mut self) -> Result<()> {
        kill(Pid::from_raw(i32::try_from(self.child.id())?), Signal::SIGTERM)?;
        let deadline = Instant::now() + ENDING;
        while self.child.try_wait()?.is_none() {
            ensure!(Instant::now() < deadline, "the program did not end within {} s of SIGTERM", ENDING.as_secs());
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn failure(&mut self, what: &str) -> anyhow::Error {
        let mut words = String::new();
        // What cannot be read says nothing either.
        let _ = self.stderr.by_ref().take(2_000).read_to_string(&mut words);
        anyhow::anyhow!("{what}: {}", words.trim())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended already needs neither.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the clock says that the probe tells, in containers too.
pub(crate) fn now() -> Result<Duration> {
    Ok(Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?))
}

/// Reads the probe's line: seconds, nanoseconds, values.
pub(crate) fn parse_start(output: &str, spawned: Duration) -> Result<Start> {
    let words: Vec<&str> = output.split_whitespace().collect();
    let [seconds, nanoseconds, delivered] = words[..] else { bail!("the probe said {output:?}") };
    let began = Duration::new(seconds.parse()?, nanoseconds.parse()?);
    let elapsed = began.checked_sub(spawned).context("the probe began before it was started")?;
    Ok(Start { elapsed, delivered: delivered.parse()? })
}

/// The size that a file of `/proc` gives in kB after `name:`.
fn bytes_of(text: &str, name: &str) -> Result<u64> {
    let size = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().strip_suffix(" kB"));
    let kilobytes: u64 = size.with_context(|| format!("the kernel tells no {name}"))?.trim().parse()?;
    Ok(kilobytes * 1024)
}

/// Whether there is a file that can be run at `path`.
pub(crate) fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probes_line_gives_the_time_since_the_spawn() {
        let check = |line: &str, expected: Option<(u64, usize)>| {
            let got = parse_start(line, Duration::new(7, 999_000_000)).ok();
            assert_eq!(got.map(|start| (start.elapsed.as_millis() as u64, start.delivered)), expected, "{line:?}");
        };
        check("8 1000000 3\n", Some((2, 3)));
        check("7 1000000 3\n", None);
        check("", None);
        check("8 1000000\n", None);
    }

    #[test]
    fn sizes_are_found_by_their_whole_name() {
        let check = |name: &str, expected: Option<u64>| {
            assert_eq!(
                bytes_of("VmHWM:\t    2000 kB\nVmRSS:\t    1000 kB\nThreads:\t1\n", name).ok(),
                expected,
                "{name}"
            );
        };
        check("VmRSS", Some(1_024_000));
        check("Vm", None);
        check("Threads", None);
    }
}

//! One real part: a process of ours, its log, and its end.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// A running part. Dropping it kills the process and waits for it; when the program that started it dies in any
/// other way, the kernel kills the part.
#[derive(Debug)]
pub struct Part {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Part {
    /// Starts `command` with its output in `directory/NAME.log`.
    ///
    /// # Errors
    /// When the program is missing or the log cannot be made.
    pub fn start(name: &str, command: &Command, directory: &Path) -> Result<Self> {
        let log = directory.join(format!("{name}.log"));
        let output = File::create(&log).with_context(|| format!("cannot make the log {}", log.display()))?;
        let mut bound = bound_to_this_process(command);
        bound.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = spawn_from_lasting_thread(bound).with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// The part's name, also its log's.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Waits until `ready` holds, looking every 20 ms; a part that ends meanwhile is an error that shows its log's end.
    ///
    /// # Errors
    /// When the part ends or `limit` passes first.
    pub fn wait_until(&mut self, limit: Duration, mut ready: impl FnMut() -> bool) -> Result<()> {
        let start = Instant::now();
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}; its log ends with:\n{}", self.name, self.log_end());
            }
            if start.elapsed() > limit {
                bail!("{} was not ready after {limit:?}; its log ends with:\n{}", self.name, self.log_end());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Waits for its end: after a signal that the caller sent.
    ///
    /// # Errors
    /// When the system does not tell how it ended.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        Ok(self.child.wait()?)
    }

    fn log_end(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port on 127.0.0.1 that was free a moment ago.
///
/// # Errors
/// When the machine has none left.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The same command under `setpriv --pdeathsig KILL`: the kernel ends it when the thread that spawned it ends.
fn bound_to_this_process(command: &Command) -> Command {
    let mut bound = Command::new("setpriv");
    bound.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => bound.env(name, value),
            None => bound.env_remove(name),
        };
    }
    if let Some(directory) = command.get_current_dir() {
        bound.current_dir(directory);
    }
    bound
}

type Request = (Command, Sender<std::io::Result<Child>>);

/// Spawns from one thread that lasts as long as the program: the death signal is tied to the spawning *thread*, and
/// test threads end before the parts that other tests share.
fn spawn_from_lasting_thread(command: Command) -> Result<Child> {
    static SPAWNER: OnceLock<Mutex<Sender<Request>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, requests) = channel::<Request>();
        std::thread::spawn(move || {
            for (mut command, answer) in requests {
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(sender)
    });
    let (answer, child) = channel();
    spawner.lock().unwrap_or_else(PoisonError::into_inner).send((command, answer))?;
    Ok(child.recv()??)
}

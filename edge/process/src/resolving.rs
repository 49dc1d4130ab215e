//! The time between the program's start and the child's: secrets come into memory, signals must not be lost.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::signals::SignalSet;
use crate::system;

/// Enough for a thread that waits and ends the process; only touched pages are memory.
const WATCH_STACK_BYTES: usize = 64 * 1024;

/// The program could not protect itself, and must not read secrets.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step}: {source}")]
pub struct SetupError {
    step: &'static str,
    source: std::io::Error,
}

/// A program that is resolving references: protected, with signals held back.
///
/// Dropping it changes nothing: the program is expected to end then.
#[derive(Debug)]
pub struct Resolving {
    /// Soft and hard limit, for the child.
    pub(crate) core_limit: (u64, u64),
    watch: Option<Watch>,
}

impl Resolving {
    /// Forbids core dumps and reading of this process's memory by others of the same user, and holds back signals.
    ///
    /// Call it before any secret is in memory and before any thread is started: threads inherit the mask. Signals
    /// that arrive from now on wait; they end the program once [`Self::end_on_signals`] is called, or reach the
    /// child when it is launched first. Job control works as ever.
    pub fn begin() -> Result<Self, SetupError> {
        system::set_mask(SignalSet::ending());
        let core_limit = getrlimit(Resource::RLIMIT_CORE).map_err(failing("read the limit of core dumps"))?;
        setrlimit(Resource::RLIMIT_CORE, 0, core_limit.1).map_err(failing("forbid core dumps"))?;
        prctl::set_dumpable(false).map_err(failing("forbid reading of this process's memory"))?;
        Ok(Self { core_limit, watch: None })
    }

    /// From now on until the child is launched, a signal that would kill ends the program at once with `128+n`, also
    /// as the first process of a container, and the child never starts. A small thread waits for it, so that a busy
    /// program ends as fast as an idle one.
    pub fn end_on_signals(&mut self) -> Result<(), SetupError> {
        if self.watch.is_none() {
            self.watch = Some(Watch::start().map_err(failing("wait for signals"))?);
        }
        Ok(())
    }

    /// Whether the thread that waits for signals was started.
    pub(crate) fn is_watching(&self) -> bool {
        self.watch.is_some()
    }

    /// Ends the resolving: from here no signal ends the program, all of them wait for who comes next.
    pub(crate) fn hand_over(&mut self) {
        if let Some(watch) = self.watch.take() {
            watch.hand_over();
        }
        system::set_mask(SignalSet::ALL);
    }
}

pub(crate) fn failing(step: &'static str) -> impl Fn(Errno) -> SetupError {
    move |errno| SetupError { step, source: errno.into() }
}

/// Starts the small thread that waits for signals.
pub(crate) fn wait_aside(wait: impl FnOnce() + Send + 'static) -> Result<(), Errno> {
    let started = thread::Builder::new().name("signals".to_owned()).stack_size(WATCH_STACK_BYTES).spawn(wait);
    started.map(drop).map_err(|error| error.raw_os_error().map_or(Errno::EAGAIN, Errno::from_raw))
}

/// The thread that waits, and the one decision between it and the main thread: who was first.
#[derive(Debug)]
struct Watch {
    decided: Arc<AtomicBool>,
}

impl Watch {
    fn start() -> Result<Self, Errno> {
        let arrivals = system::signal_descriptor(SignalSet::ending())?;
        let decided = Arc::new(AtomicBool::new(false));
        let watch = Self { decided: Arc::clone(&decided) };
        wait_aside(move || end_on_arrival(&arrivals, &decided))?;
        Ok(watch)
    }

    /// Takes the decision for going on; where a signal came first, the process is ending and this never returns.
    fn hand_over(self) {
        if self.decided.swap(true, Ordering::AcqRel) {
            loop {
                thread::park();
            }
        }
    }
}

/// Ends the process when a signal arrives, unless the decision to go on was taken before. The signal is only looked
/// at until the decision is ours: otherwise it stays where the supervisor will find it.
fn end_on_arrival(arrivals: &OwnedFd, decided: &AtomicBool) {
    let mut waited_for = [PollFd::new(arrivals.as_fd(), PollFlags::POLLIN)];
    loop {
        match nix::poll::poll(&mut waited_for, PollTimeout::NONE) {
            Ok(_) => break,
            Err(Errno::EINTR) => {}
            Err(_) => return,
        }
    }
    if decided.swap(true, Ordering::AcqRel) {
        return;
    }
    // The main thread waits for this end by now, so that it must come even if nothing were to be seen.
    let signal = system::pending().first_common(SignalSet::ending()).unwrap_or(libc::SIGTERM);
    system::exit_at_once(system::killed_code(signal))
}

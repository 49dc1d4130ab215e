//! Where the audit trail of the built-in store goes: a file, or standard output.
//!
//! - [`Sink::record`] answers when the entry is written. One thread writes: it takes all that waits, chains it, and writes
//!   it with one call. What cannot be written within the deadline is answered so, and its request must not be done; while
//!   a sink hangs or its disk is full, whatever comes is refused at once, until a write succeeds again.
//! - *Written* is handed to the system: it outlives the process, and a power cut by [`Sync`]'s choice. A cut-off line never
//!   stays: what was written in part is cut off before the next.
//! - A file is rotated by size, and opened anew where somebody moved it away; the chain goes on over files.
//! - Further sinks get the same lines, best effort: one that hangs or is full loses lines, which are counted.
//! - [`verify`] reads files again, in the order in which they were written.

#![forbid(unsafe_code)]

mod file;
mod further;
mod queue;
mod verify;
mod writer;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use strongroom_audit::{Body, Chain, Head};
use strongroom_failure::{Class, Failure};

pub use file::{Ending, continue_file};
use further::{Counts, Further};
use queue::Queue;
pub use verify::{Verdict, verify};

/// Where entries go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Lines at the end of a file, which is made for its owner alone.
    File(PathBuf),
    /// Lines on standard output.
    Stdout,
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(formatter),
            Self::Stdout => formatter.write_str("stdout"),
        }
    }
}

/// When a file is brought to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Before every answer: nothing that was answered is missing after a power cut.
    Always,
    /// Once a second: after a power cut the entries of the last second may be missing.
    EverySecond,
    /// When the system pleases.
    Never,
}

/// How a sink works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where entries go.
    pub target: Target,
    /// Bytes of a file, beyond which it is rotated.
    pub most_bytes: u64,
    /// Rotated files that are kept, as `FILE.1` (the youngest) and so on; 0 keeps all, by number.
    pub keep: usize,
    /// When a file is brought to the disk.
    pub sync: Sync,
    /// How long an entry may take.
    pub deadline: Duration,
    /// Where entries go as well, as well as that goes: what such a sink does not take is counted, and nobody waits for it.
    pub further: Vec<Target>,
}

impl Options {
    /// The usual ones: 256 MiB a file, all files kept, to the disk once a second, 5 seconds for an entry.
    pub fn new(target: Target) -> Self {
        let deadline = Duration::from_secs(5);
        Self { target, most_bytes: 256 << 20, keep: 0, sync: Sync::EverySecond, deadline, further: Vec::new() }
    }
}

/// An entry is not in the trail: its request must not be done, or its answer not leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotRecorded(pub String);

impl fmt::Display for NotRecorded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the audit trail takes no entry: {}", self.0)
    }
}

impl std::error::Error for NotRecorded {}

/// How a sink stands, for health and metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Entries that were written.
    pub recorded: u64,
    /// Entries that were refused.
    pub refused: u64,
    /// Why entries are refused at present; nothing where they are not.
    pub trouble: Option<String>,
    /// The further sinks.
    pub further: Vec<FurtherState>,
}

/// How a further sink stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FurtherState {
    /// Where it writes to.
    pub name: String,
    /// Lines that it wrote.
    pub recorded: u64,
    /// Lines that it did not take.
    pub dropped: u64,
}

#[derive(Default)]
struct Shared {
    recorded: AtomicU64,
    refused: AtomicU64,
    is_failing: AtomicBool,
    trouble: Mutex<String>,
    /// The last line that was written.
    head: Mutex<Option<Head>>,
    further: Vec<Arc<Counts>>,
    wants_reopening: AtomicBool,
}

impl Shared {
    fn fails(&self, words: &str) {
        words.clone_into(&mut self.trouble.lock().unwrap_or_else(PoisonError::into_inner));
        if !self.is_failing.swap(true, Ordering::SeqCst) {
            tracing::error!(reason = words, "the audit trail takes no entry: requests are refused until it does");
        }
    }

    fn works(&self) {
        if self.is_failing.swap(false, Ordering::SeqCst) {
            tracing::info!("the audit trail takes entries again");
        }
    }
}

/// The required sink of a trail.
pub struct Sink {
    queue: Option<Arc<Queue>>,
    writer: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
    deadline: Duration,
    first: Head,
}

impl Sink {
    /// Starts writing behind `chain`'s head. `keep` is told of the head, once a second at the most and at the end: whoever
    /// keeps it behind the barrier can prove that lines are missing.
    ///
    /// # Errors
    /// Where no thread can be started. A target that cannot be written is no error here: entries are refused until it can.
    pub fn start(options: Options, chain: Chain, keep: impl Fn(Head) + Send + 'static) -> Result<Self, Failure> {
        let (queue, jobs) = Queue::new();
        let further =
            options.further.iter().map(|target| Further::start(target.clone())).collect::<Result<Vec<_>, _>>()?;
        let counts = further.iter().map(Further::counts).collect();
        let shared = Arc::new(Shared { further: counts, ..Shared::default() });
        *shared.head.lock().unwrap_or_else(PoisonError::into_inner) = Some(chain.head());
        let (seen, deadline, first) = (Arc::clone(&shared), options.deadline, chain.head());
        let thread = std::thread::Builder::new().name("audit".to_owned());
        let writer = thread.spawn(move || writer::Writer::new(options, chain, keep, seen, further).run(jobs));
        let failed = |error| Failure::new(Class::Unavailable, format!("no thread can be started: {error}"));
        Ok(Self { queue: Some(queue), writer: Some(writer.map_err(failed)?), shared, deadline, first })
    }

    /// Puts entries into the trail, one behind the other, and answers when they are written.
    ///
    /// # Errors
    /// Where they are not, within the deadline. They may be written later all the same.
    pub async fn record(&self, bodies: Vec<Body>) -> Result<(), NotRecorded> {
        let recorded = self.within_deadline(bodies).await;
        if recorded.is_err() {
            self.shared.refused.fetch_add(1, Ordering::Relaxed);
        }
        recorded
    }

    async fn within_deadline(&self, bodies: Vec<Body>) -> Result<(), NotRecorded> {
        let queue = self.queue.as_ref().ok_or_else(|| NotRecorded("it is closed".to_owned()))?;
        // One entry at a time tries whether a failing sink works again; the others do not wait for it.
        if self.shared.is_failing.load(Ordering::SeqCst) && !queue.is_empty() {
            return Err(NotRecorded(self.trouble()));
        }
        match tokio::time::timeout(self.deadline, queue.record(bodies)).await {
            Ok(recorded) => recorded,
            Err(_) => {
                let words = format!("it did not write within {} s", self.deadline.as_secs_f32());
                self.shared.fails(&words);
                Err(NotRecorded(words))
            }
        }
    }

    fn trouble(&self) -> String {
        self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The last line that was written.
    pub fn head(&self) -> Head {
        self.shared.head.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or(self.first)
    }

    /// How it stands.
    pub fn state(&self) -> State {
        State {
            recorded: self.shared.recorded.load(Ordering::Relaxed),
            refused: self.shared.refused.load(Ordering::Relaxed),
            trouble: self.shared.is_failing.load(Ordering::SeqCst).then(|| self.trouble()),
            further: self.shared.further.iter().map(|counts| counts.state()).collect(),
        }
    }

    /// Has the file opened anew before the next entry: somebody rotates it from outside.
    pub fn reopen(&self) {
        self.shared.wants_reopening.store(true, Ordering::SeqCst);
    }

    /// Writes what waits and a checkpoint, and ends. Waits for as long as an entry may take; a sink that hangs is left.
    pub fn close(&mut self) {
        drop(self.queue.take());
        let Some(writer) = self.writer.take() else { return };
        let start = std::time::Instant::now();
        while !writer.is_finished() && start.elapsed() < self.deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        if writer.is_finished() {
            // It panicked only by a defect, which its entries have told.
            let _ = writer.join();
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sink").field("state", &self.state()).finish_non_exhaustive()
    }
}

//! Sinks beside the required one: nobody waits for them.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use strongroom_failure::{Class, Failure};

use crate::file::LogFile;
use crate::{FurtherState, Target};

/// Batches that wait for a slow sink, each of some kilobytes mostly.
const WAITING: usize = 256;

/// What a further sink did.
pub(crate) struct Counts {
    name: String,
    recorded: AtomicU64,
    dropped: AtomicU64,
}

impl Counts {
    pub(crate) fn state(&self) -> FurtherState {
        FurtherState {
            name: self.name.clone(),
            recorded: self.recorded.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }
}

/// A further sink with a thread of its own.
pub(crate) struct Further {
    batches: SyncSender<Arc<[u8]>>,
    counts: Arc<Counts>,
}

fn lines(batch: &[u8]) -> u64 {
    batch.iter().filter(|byte| **byte == b'\n').count() as u64
}

impl Further {
    pub(crate) fn start(target: Target) -> Result<Self, Failure> {
        let (batches, waiting) = sync_channel(WAITING);
        let (recorded, dropped) = (AtomicU64::new(0), AtomicU64::new(0));
        let counts = Arc::new(Counts { name: target.to_string(), recorded, dropped });
        let seen = Arc::clone(&counts);
        let thread = std::thread::Builder::new().name("audit-further".to_owned());
        // It ends with the sender; one that hangs is left.
        let started = thread.spawn(move || run(&target, &waiting, &seen));
        started.map_err(|error| Failure::new(Class::Unavailable, format!("no thread can be started: {error}")))?;
        Ok(Self { batches, counts })
    }

    pub(crate) fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Hands lines over, or drops them.
    pub(crate) fn tell(&self, batch: &Arc<[u8]>) {
        if self.batches.try_send(Arc::clone(batch)).is_err() {
            self.counts.dropped.fetch_add(lines(batch), Ordering::Relaxed);
        }
    }
}

fn run(target: &Target, waiting: &Receiver<Arc<[u8]>>, counts: &Counts) {
    let mut file: Option<LogFile> = None;
    let mut was_well = true;
    while let Ok(batch) = waiting.recv() {
        let written = match target {
            Target::Stdout => {
                let mut out = std::io::stdout().lock();
                out.write_all(&batch).and_then(|()| out.flush())
            }
            Target::File(path) => {
                if file.as_ref().is_some_and(LogFile::was_moved) {
                    file = None;
                }
                let opened = match file.take() {
                    Some(open) => Ok(open),
                    None => LogFile::open(path),
                };
                opened.and_then(|open| file.insert(open).append(&batch))
            }
        };
        let count = if written.is_ok() { &counts.recorded } else { &counts.dropped };
        count.fetch_add(lines(&batch), Ordering::Relaxed);
        if let (Err(error), true) = (&written, was_well) {
            tracing::warn!(sink = counts.name, %error, "a further sink of the audit trail takes no entry");
        }
        was_well = written.is_ok();
    }
}

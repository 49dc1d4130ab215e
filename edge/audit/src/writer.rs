//! The one who writes.

use std::io::Write as _;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use strongroom_audit::{Batch, Chain, Head};

use crate::file::LogFile;
use crate::further::Further;
use crate::queue::{Job, Jobs};
use crate::{NotRecorded, Options, Shared, Sync, Target};

/// Requests beyond which no more are taken along in one call.
const TOGETHER: usize = 512;

/// How often the head is kept, and a file brought to the disk that is not with every entry.
const OFTEN: Duration = Duration::from_secs(1);

enum Place {
    File(Box<LogFile>),
    Stdout,
}

/// Writes entries in the order in which they come.
pub(crate) struct Writer<K> {
    options: Options,
    chain: Chain,
    keep: K,
    shared: Arc<Shared>,
    /// Nothing where it could not be opened yet.
    place: Option<Place>,
    kept: (Head, Instant),
    is_dirty: bool,
    further: Vec<Further>,
}

impl<K: Fn(Head)> Writer<K> {
    pub(crate) fn new(options: Options, chain: Chain, keep: K, shared: Arc<Shared>, further: Vec<Further>) -> Self {
        let kept = (chain.head(), Instant::now());
        Self { options, chain, keep, shared, place: None, kept, is_dirty: false, further }
    }

    /// Writes until nobody can send any more.
    pub(crate) fn run(mut self, mut waiting: Jobs) {
        while let Some(mut jobs) = waiting.blocking_recv() {
            while jobs.len() < TOGETHER
                && let Ok(next) = waiting.try_recv()
            {
                jobs.extend(next);
            }
            self.write_all(jobs);
            if self.kept.1.elapsed() >= OFTEN {
                self.settle();
            }
        }
        if self.chain.head().sequence > 0 {
            let last = self.chain.prepare_checkpoint(Timestamp::now());
            if let Err(error) = self.write(&last) {
                tracing::warn!(%error, "the audit trail ends without a checkpoint");
            }
        }
        self.settle();
    }

    fn write_all(&mut self, jobs: Vec<Job>) {
        // Whoever waits no more was told that it is not recorded, and must be right.
        let jobs: Vec<Job> = jobs.into_iter().filter(|job| !job.done.is_closed()).collect();
        if jobs.is_empty() {
            return self.probe();
        }
        // A rotation ends the old file with a checkpoint, behind which these entries come.
        let written = self.rotated().and_then(|()| {
            let batch = self.chain.prepare(jobs.iter().flat_map(|job| &job.bodies), Timestamp::now());
            self.write(&batch)
        });
        match &written {
            Ok(()) => {
                let entries: usize = jobs.iter().map(|job| job.bodies.len()).sum();
                self.shared.recorded.fetch_add(entries as u64, Ordering::Relaxed);
                self.shared.works();
            }
            Err(error) => self.shared.fails(&error.to_string()),
        }
        for job in jobs {
            // Too late for whoever has gone meanwhile: the entry tells of a request that was not done.
            let _ = job.done.send(written.as_ref().copied().map_err(|error| NotRecorded(error.to_string())));
        }
    }

    /// Finds out whether a sink works that hung: with a checkpoint, since nobody is there any more whose entry it was.
    fn probe(&mut self) {
        let checkpoint = self.chain.prepare_checkpoint(Timestamp::now());
        match self.opened(true).map(drop).and_then(|()| self.write(&checkpoint)) {
            Ok(()) => self.shared.works(),
            Err(error) => self.shared.fails(&error.to_string()),
        }
    }

    fn write(&mut self, batch: &Batch) -> std::io::Result<()> {
        let sync = self.options.sync == Sync::Always;
        match self.opened(false)? {
            Place::Stdout => {
                let mut out = std::io::stdout().lock();
                out.write_all(&batch.bytes)?;
                out.flush()?;
            }
            Place::File(file) => {
                file.append(&batch.bytes)?;
                if sync {
                    file.sync()?;
                }
            }
        }
        self.is_dirty = !sync;
        if !self.further.is_empty() {
            let batch: Arc<[u8]> = batch.bytes.as_slice().into();
            self.further.iter().for_each(|further| further.tell(&batch));
        }
        self.chain.accept(batch);
        *self.shared.head.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.chain.head());
        Ok(())
    }

    /// The place, opened anew where somebody asked for that or, where it is looked for, moved the file away.
    fn opened(&mut self, looks: bool) -> std::io::Result<&mut Place> {
        let is_asked = self.shared.wants_reopening.swap(false, Ordering::SeqCst);
        let is_gone = matches!(&self.place, Some(Place::File(file)) if is_asked || (looks && file.was_moved()));
        if is_gone {
            self.place = None;
        }
        if self.place.is_none() {
            self.place = Some(match &self.options.target {
                Target::Stdout => Place::Stdout,
                Target::File(path) => Place::File(Box::new(LogFile::open(path)?)),
            });
        }
        self.place.as_mut().ok_or_else(|| std::io::Error::other("there is no place to write to"))
    }

    /// Begins a new file where the one that is written to has become too long.
    fn rotated(&mut self) -> std::io::Result<()> {
        let (most, keep) = (self.options.most_bytes, self.options.keep);
        let is_long = matches!(self.opened(true)?, Place::File(file) if file.length() >= most);
        if !is_long {
            return Ok(());
        }
        let checkpoint = self.chain.prepare_checkpoint(Timestamp::now());
        self.write(&checkpoint)?;
        if let Some(Place::File(file)) = &mut self.place {
            file.sync()?;
            file.rotate(keep)?;
        }
        Ok(())
    }

    /// Brings the file to the disk and the head to whoever keeps it.
    fn settle(&mut self) {
        if let (Some(Place::File(file)), true) = (&mut self.place, self.is_dirty && self.options.sync != Sync::Never) {
            if let Err(error) = file.sync() {
                self.shared.fails(&error.to_string());
            }
            self.is_dirty = false;
        }
        let head = self.chain.head();
        if head != self.kept.0 {
            (self.keep)(head);
        }
        self.kept = (head, Instant::now());
    }
}

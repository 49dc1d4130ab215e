//! Entries on their way to the writer.
//!
//! Waking a thread and being woken by it costs more than writing an entry, so entries go there together: the first that
//! comes lets the other requests that are ready run before it goes, and takes theirs along. Nobody waits for a clock.

use std::sync::{Arc, Mutex, PoisonError};

use strongroom_audit::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::NotRecorded;

/// Requests whose entries wait for the writer. Each has some kilobytes at the most usual, and who sent it waits as well.
const WAITING: usize = 4096;

/// The entries of one request.
pub(crate) struct Job {
    pub(crate) bodies: Vec<Body>,
    pub(crate) done: oneshot::Sender<Result<(), NotRecorded>>,
    /// Held until the entries are written or given up.
    _place: OwnedSemaphorePermit,
}

/// What the writer gets: entries that came together.
pub(crate) type Jobs = mpsc::UnboundedReceiver<Vec<Job>>;

/// Gathers entries for the writer, who ends when this is dropped.
pub(crate) struct Queue {
    waiting: Mutex<Vec<Job>>,
    places: Arc<Semaphore>,
    writer: mpsc::UnboundedSender<Vec<Job>>,
}

impl Queue {
    /// A queue, and its end.
    pub(crate) fn new() -> (Arc<Self>, Jobs) {
        let (writer, jobs) = mpsc::unbounded_channel();
        (Arc::new(Self { waiting: Mutex::default(), places: Arc::new(Semaphore::new(WAITING)), writer }), jobs)
    }

    /// Whether nobody waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.places.available_permits() == WAITING
    }

    /// Has the writer write `bodies`, and says how it went.
    pub(crate) async fn record(self: &Arc<Self>, bodies: Vec<Body>) -> Result<(), NotRecorded> {
        let closed = || NotRecorded("it is closed".to_owned());
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| closed())?;
        let (done, answer) = oneshot::channel();
        let is_first = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.push(Job { bodies, done, _place: place });
            waiting.len() == 1
        };
        if is_first {
            // A task of its own: the request whose entry is first may be given up, and the others must go all the same.
            let queue = Arc::downgrade(self);
            tokio::spawn(async move {
                tokio::task::yield_now().await;
                if let Some(queue) = queue.upgrade() {
                    queue.send();
                }
            });
        }
        answer.await.map_err(|_| closed())?
    }

    fn send(&self) {
        let jobs = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        // A writer that is gone answers nobody, which all of them see.
        let _ = self.writer.send(jobs);
    }
}

//! The audit trail of a store: its file, from one unsealing to the next.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;
use strongroom_audit::{Body, Chain, CheckpointKey, Head, Start, Tail, Trail};
use strongroom_audit_sinks::{Ending, Options, Sink, Target, Verdict, continue_file, verify};
use strongroom_barrier::{Changes, View};
use strongroom_failure::{Class, Failure};
use strongroom_http::StatusCode;
use strongroom_secret::SecretBytes;

use crate::exchange::Fault;
use crate::identifiers::uuid;
use crate::members::Members;
use crate::recorder::Recorder;

/// Where the store keeps which trail it writes, and how far it was.
const PLACE: &str = "audit-head";

/// Every so many lines one is a checkpoint.
const EVERY: NonZeroU64 = match NonZeroU64::new(1000) {
    Some(every) => every,
    None => NonZeroU64::MIN,
};

/// Which trail is written, and how far it was.
#[derive(Serialize, Deserialize)]
struct Kept {
    trail: String,
    head: Head,
}

struct Running {
    sink: Sink,
    view: View,
    place: String,
    name: String,
    key: CheckpointKey,
    /// The head that the sink gave last.
    head: Arc<Mutex<Option<Head>>>,
}

/// The trail, running while the store is open.
pub(crate) struct AuditTrail {
    options: Options,
    /// Where in the store the head is kept.
    place: String,
    running: RwLock<Option<Arc<Running>>>,
}

impl AuditTrail {
    /// A trail that begins with the first unsealing.
    ///
    /// `node` is the server's name where several share a storage, and empty where one has it alone.
    pub(crate) fn new(options: Options, node: &str) -> Self {
        Self { options, place: place_of(node), running: RwLock::default() }
    }

    fn running(&self) -> Option<Arc<Running>> {
        self.running.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the trail again, all files of it that are there, up to where it was when this was asked. Nothing where the
    /// trail is no file or does not run.
    pub(crate) async fn verify(&self) -> Option<Result<Verdict, Failure>> {
        let (running, Target::File(path)) = (self.running()?, self.options.target.clone()) else { return None };
        let (trail, keys) = (Trail::new(&running.name).ok()?, [running.key.clone()]);
        let reading = tokio::task::spawn_blocking(move || {
            let mut verdict = verify_file(&path, &trail, &keys, running.sink.head());
            // A line that is being written while it is read is no fault; it is whole a moment later.
            for _ in 0..3 {
                if matches!(verdict, Ok(Ok(_)) | Err(_)) {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(200));
                verdict = verify_file(&path, &trail, &keys, running.sink.head());
            }
            verdict
        });
        Some(reading.await.unwrap_or_else(|_| Err(Failure::new(Class::Unavailable, "the trail could not be read"))))
    }

    /// Has the file opened anew: somebody rotated it.
    pub(crate) fn reopen(&self) {
        if let Some(running) = self.running() {
            running.sink.reopen();
        }
    }
}

#[async_trait]
impl Recorder for AuditTrail {
    async fn begin(&self, view: View, key: SecretBytes) -> Result<(), Failure> {
        let unavailable = |words: String| Failure::new(Class::Unavailable, words);
        let found = view.read_one(&self.place).await.map_err(|error| unavailable(error.to_string()))?;
        let kept: Option<Kept> = found.and_then(|found| serde_json::from_slice(found.value.expose()).ok());
        let key = CheckpointKey::new(1, key)?;
        let (name, chain) = self.chain(kept, key.clone()).await?;
        let head = Arc::new(Mutex::new(None));
        let (given, to, whose, place) = (Arc::clone(&head), view.clone(), name.clone(), self.place.clone());
        let runtime = tokio::runtime::Handle::current();
        let keep = move |head: Head| {
            *given.lock().unwrap_or_else(PoisonError::into_inner) = Some(head);
            // The one who writes entries does not wait for the storage.
            let (to, place, kept) = (to.clone(), place.clone(), Kept { trail: whose.clone(), head });
            runtime.spawn(async move { written(&to, &place, &kept).await });
        };
        let (first, start) = (chain.head(), Sink::start(self.options.clone(), chain, keep)?);
        written(&view, &self.place, &Kept { trail: name.clone(), head: first }).await;
        let running = Running { sink: start, view, place: self.place.clone(), name, key, head };
        *self.running.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(running));
        Ok(())
    }

    async fn end(&self) {
        let Some(running) = self.running.write().unwrap_or_else(PoisonError::into_inner).take() else { return };
        // Requests that are under way hold it for as long as they last.
        let Ok(mut running) = Arc::try_unwrap(running) else { return };
        let ended = tokio::task::spawn_blocking(move || {
            running.sink.close();
            running
        });
        if let Ok(Running { view, place, name, head, .. }) = ended.await {
            let head = *head.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(head) = head {
                written(&view, &place, &Kept { trail: name, head }).await;
            }
        }
    }

    async fn record(&self, entries: Vec<Body>) -> Result<(), Fault> {
        let Some(running) = self.running() else { return Err(Fault::sealed()) };
        let refused =
            |error: strongroom_audit_sinks::NotRecorded| Fault::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string());
        running.sink.record(entries).await.map_err(refused)
    }

    fn trouble(&self) -> Option<String> {
        self.running().and_then(|running| running.sink.state().trouble)
    }

    async fn check(&self) -> Option<Result<Verdict, Failure>> {
        self.verify().await
    }

    fn counts(&self) -> Vec<(String, &'static str, u64)> {
        let Some(running) = self.running() else { return Vec::new() };
        let state = running.sink.state();
        let required = [("recorded", state.recorded), ("refused", state.refused)];
        let mut counts: Vec<_> =
            required.into_iter().map(|(outcome, count)| ("required".to_owned(), outcome, count)).collect();
        for further in state.further {
            counts.push((further.name.clone(), "recorded", further.recorded));
            counts.push((further.name, "dropped", further.dropped));
        }
        counts
    }

    fn devices(&self) -> Members {
        let device = |target: &Target, path: &str, description: &str| {
            json!({
                "type": "file", "path": path, "description": description, "local": false,
                "options": {"file_path": target.to_string()},
            })
        };
        let mut devices = Members::default();
        devices.set("file/", device(&self.options.target, "file/", "the required sink"));
        for (number, target) in self.options.further.iter().enumerate() {
            let path = format!("further-{}/", number + 1);
            devices.set(&path, device(target, &path, "a further sink, best effort"));
        }
        devices
    }
}

impl AuditTrail {
    /// The trail's name and the chain that goes on behind what is in its file. A file that was changed is set aside, and
    /// another trail begun: the store must not stop because somebody tampered, and must not hide it.
    async fn chain(&self, kept: Option<Kept>, key: CheckpointKey) -> Result<(String, Chain), Failure> {
        let new = || -> Result<(String, Trail), Failure> {
            let name = uuid().map_err(|fault| Failure::new(Class::Unavailable, fault.to_string()))?;
            let trail = Trail::new(&name)?;
            Ok((name, trail))
        };
        let Target::File(path) = self.options.target.clone() else {
            let (name, trail) = new()?;
            let head = Head::of_new(&trail);
            return Ok((name, Chain::new(trail, head, key, EVERY)));
        };
        let (name, trail, stored) = match kept {
            Some(Kept { trail, head }) => (trail.clone(), Trail::new(&trail)?, Some(head)),
            None => {
                let (name, trail) = new()?;
                (name, trail, None)
            }
        };
        let (place, read, keys) = (path.clone(), trail.clone(), [key.clone()]);
        let ending = tokio::task::spawn_blocking(move || continue_file(&place, &read, &keys, stored)).await;
        let failed = |error: &dyn std::fmt::Display| {
            Failure::new(Class::Invalid, format!("the audit file {} cannot be read: {error}", path.display()))
        };
        match ending.map_err(|error| failed(&error))?.map_err(|error| failed(&error))? {
            Ending::Whole { head, unread } => {
                if unread > 0 {
                    look_back(path, trail.clone(), key.clone());
                }
                Ok((name, Chain::new(trail, head, key, EVERY)))
            }
            Ending::Wrong(fault) => {
                let aside = set_aside(&path).map_err(|error| failed(&error))?;
                tracing::error!(
                    file = %aside.display(), line = fault.place, fault = ?fault.kind,
                    "the audit file was changed outside of this store: it is set aside, and another trail begins"
                );
                let (name, trail) = new()?;
                let head = Head::of_new(&trail);
                Ok((name, Chain::new(trail, head, key, EVERY)))
            }
        }
    }
}

/// Reads the file from its beginning, which the start did not wait for, and says so where a line is wrong.
fn look_back(path: PathBuf, trail: Trail, key: CheckpointKey) {
    tokio::task::spawn_blocking(move || {
        let (file, bounds) = ([path], (Start::Anywhere, Tail::Unknown));
        match verify(&file, &trail, &[key], bounds, |_| {}) {
            Ok(Ok(_)) => {}
            Ok(Err(fault)) => tracing::error!(
                file = %file[0].display(), line = fault.place, fault = ?fault.kind,
                "the audit file was changed outside of this store, before what its last start read"
            ),
            Err((path, error)) => tracing::warn!(file = %path.display(), %error, "the audit file cannot be read"),
        }
    });
}

/// A trail's files, the oldest first: those that were rotated away have numbers that grow.
fn files(path: &Path) -> Vec<PathBuf> {
    let numbered = (1..).map(|number: usize| PathBuf::from(format!("{}.{number}", path.display())));
    let mut files: Vec<PathBuf> = numbered.take_while(|path| path.exists()).collect();
    files.push(path.to_owned());
    files
}

/// Reads a trail that reaches as far as `head` at least.
///
/// # Errors
/// A file that cannot be read.
pub(crate) fn verify_file(path: &Path, trail: &Trail, keys: &[CheckpointKey], head: Head) -> Result<Verdict, Failure> {
    let tail = if head.sequence > 0 { Tail::AtLeast(head) } else { Tail::Unknown };
    verify(&files(path), trail, keys, (Start::Anywhere, tail), |_| {}).map_err(|(path, error)| {
        Failure::new(Class::Invalid, format!("the audit file {} cannot be read: {error}", path.display()))
    })
}

/// The trail and the head that a store keeps of the one of this node.
///
/// # Errors
/// The storage's; `NotFound` where the store keeps none.
pub(crate) async fn kept(view: &View, node: &str) -> Result<(Trail, Head), Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(Class::Unavailable, error.to_string());
    let found = view.read_one(&place_of(node)).await.map_err(|error| failed(&error))?;
    let none = || Failure::new(Class::NotFound, "the store knows of no audit trail of this server");
    let Kept { trail, head } =
        serde_json::from_slice(found.ok_or_else(none)?.value.expose()).map_err(|error| failed(&error))?;
    Ok((Trail::new(&trail)?, head))
}

/// Where the head of a node's trail is kept.
fn place_of(node: &str) -> String {
    if node.is_empty() { PLACE.to_owned() } else { format!("{PLACE}s/{}", node.replace('/', "-")) }
}

fn set_aside(path: &Path) -> std::io::Result<PathBuf> {
    let named = |number: usize| PathBuf::from(format!("{}.suspect-{number}", path.display()));
    let free = (1..).map(named).find(|path| !path.exists()).unwrap_or_else(|| named(0));
    std::fs::rename(path, &free)?;
    Ok(free)
}

async fn written(view: &View, place: &str, kept: &Kept) {
    let Ok(record) = serde_json::to_vec(kept) else { return };
    let puts = vec![(place.to_owned(), SecretBytes::new(record))];
    if let Err(error) = view.commit(&Changes { puts, ..Changes::default() }).await {
        tracing::warn!(%error, "the head of the audit trail is not kept: what is missing at its end may not show");
    }
}

/// No trail: only where somebody asked for that by name.
pub(crate) struct Unaudited;

#[async_trait]
impl Recorder for Unaudited {
    async fn begin(&self, _view: View, _key: SecretBytes) -> Result<(), Failure> {
        tracing::warn!("--audit off: nobody will be able to say who read what");
        Ok(())
    }

    async fn end(&self) {}

    async fn record(&self, _entries: Vec<Body>) -> Result<(), Fault> {
        Ok(())
    }

    fn trouble(&self) -> Option<String> {
        None
    }

    async fn check(&self) -> Option<Result<Verdict, Failure>> {
        None
    }

    fn counts(&self) -> Vec<(String, &'static str, u64)> {
        Vec::new()
    }

    fn devices(&self) -> Members {
        Members::default()
    }
}

//! Who read which version of which secret, when and how often: what the audit trail holds as well, kept ready.
//!
//! A read notes itself in memory, and what was noted goes to the storage little by little, and whole when the store is sealed
//! or ends: what a server that is killed had noted meanwhile is in the trail alone.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use strongroom_barrier::{Changes, View};
use strongroom_crypto::sha256;

use crate::exchange::Fault;
use crate::records::text;
use crate::trouble::of_view;

/// Where usage is kept, in the system's view; behind it the mount's id, and the path.
const FOLDER: &str = "usage/";

/// Names of readers that a version tells; those beyond are counted together.
const NAMES: usize = 32;

/// Where those are counted.
const OTHERS: &str = "(others)";

/// Secrets that are noted until they are kept, in each part of the map: a read beyond is in the trail alone.
const WAITING: usize = 8192;

/// Parts of the map, so that readers do not wait for each other.
const PARTS: usize = 16;

/// Records of one commit.
const TOGETHER: usize = 40;

/// Reads of one version by one reader.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reads {
    /// How many.
    pub(crate) reads: u64,
    /// The first one, in seconds since 1970.
    pub(crate) first: i64,
    /// The last one.
    pub(crate) last: i64,
}

impl Reads {
    fn add(&mut self, other: &Self) {
        let is_new = self.reads == 0;
        self.first = if is_new { other.first } else { self.first.min(other.first) };
        self.last = self.last.max(other.last);
        self.reads += other.reads;
    }
}

/// Reads of one version.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct OfVersion {
    /// By everybody.
    #[serde(flatten)]
    pub(crate) all: Reads,
    /// By each of the first readers.
    pub(crate) by: BTreeMap<String, Reads>,
}

/// Reads of one secret, by version.
pub(crate) type OfSecret = BTreeMap<u64, OfVersion>;

/// Secrets that are kept at a time while others read.
const A_LITTLE: usize = 20;

/// A mount's id, and a path in it.
type Key = (String, String);

/// What was read.
pub(crate) struct Usage {
    view: View,
    waiting: [Mutex<HashMap<Key, OfSecret>>; PARTS],
    /// The part that is kept next.
    next: AtomicUsize,
    /// What is being kept is neither waiting nor there: whoever asks waits for it.
    keeping: tokio::sync::Mutex<()>,
}

fn add(known: &mut OfSecret, more: &OfSecret) {
    for (version, more) in more {
        let known = known.entry(*version).or_default();
        known.all.add(&more.all);
        for (name, reads) in &more.by {
            let has_room = known.by.len() < NAMES || known.by.contains_key(name);
            known.by.entry(if has_room { name.clone() } else { OTHERS.to_owned() }).or_default().add(reads);
        }
    }
}

fn place((mount, path): &Key) -> String {
    format!("{FOLDER}{mount}/{path}")
}

impl Usage {
    /// The usage that `view`, the system's, keeps.
    pub(crate) fn new(view: View) -> Self {
        Self { view, waiting: Default::default(), next: AtomicUsize::new(0), keeping: tokio::sync::Mutex::default() }
    }

    fn part(&self, path: &str) -> &Mutex<HashMap<Key, OfSecret>> {
        let place = sha256(path.as_bytes()).first().map_or(0, |byte| usize::from(*byte) % PARTS);
        self.waiting.get(place).unwrap_or(&self.waiting[0])
    }

    /// Notes that somebody read a version.
    pub(crate) fn note(&self, (mount, path): (&str, &str), version: u64, who: &str, now: Timestamp) {
        let second = now.as_second();
        let once = Reads { reads: 1, first: second, last: second };
        let read = OfVersion { all: once.clone(), by: BTreeMap::from([(who.to_owned(), once)]) };
        let key = (mount.to_owned(), path.to_owned());
        let mut waiting = self.part(path).lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING || waiting.contains_key(&key) {
            add(waiting.entry(key).or_default(), &BTreeMap::from([(version, read)]));
        }
    }

    /// Keeps some of what was noted, so that whoever reads meanwhile hardly notices.
    ///
    /// # Errors
    /// The storage's; what is not kept by then is noted no more, and in the trail.
    pub(crate) async fn keep_a_little(&self) -> Result<(), Fault> {
        let _one_at_a_time = self.keeping.lock().await;
        let first = self.next.fetch_add(1, Ordering::Relaxed);
        for place in 0..PARTS {
            let Some(part) = self.waiting.get((first + place) % PARTS) else { continue };
            let noted: Vec<(Key, OfSecret)> = {
                let mut part = part.lock().unwrap_or_else(PoisonError::into_inner);
                let keys: Vec<Key> = part.keys().take(A_LITTLE).cloned().collect();
                keys.into_iter().filter_map(|key| part.remove_entry(&key)).collect()
            };
            if !noted.is_empty() {
                return self.keep_some(&noted).await;
            }
        }
        Ok(())
    }

    /// Keeps all that was noted.
    ///
    /// # Errors
    /// As [`Usage::keep_a_little`].
    pub(crate) async fn keep(&self) -> Result<(), Fault> {
        let _one_at_a_time = self.keeping.lock().await;
        for part in &self.waiting {
            let noted = std::mem::take(&mut *part.lock().unwrap_or_else(PoisonError::into_inner));
            let noted: Vec<(Key, OfSecret)> = noted.into_iter().collect();
            for noted in noted.chunks(TOGETHER) {
                self.keep_some(noted).await?;
            }
        }
        Ok(())
    }

    async fn keep_some(&self, noted: &[(Key, OfSecret)]) -> Result<(), Fault> {
        let places: Vec<String> = noted.iter().map(|(key, _)| place(key)).collect();
        let keys: Vec<&str> = places.iter().map(String::as_str).collect();
        let kept = self.view.read(&keys).await.map_err(of_view)?;
        let mut changes = Changes::default();
        for ((place, kept), (_, more)) in places.iter().zip(kept).zip(noted) {
            let known = kept.and_then(|kept| serde_json::from_slice(kept.value.expose()).ok());
            let mut known: OfSecret = known.unwrap_or_default();
            add(&mut known, more);
            changes.puts.push((place.clone(), text(&known)?));
        }
        self.view.commit(&changes).await.map_err(of_view)?;
        Ok(())
    }

    /// The reads of a secret up to now.
    ///
    /// # Errors
    /// The storage's.
    pub(crate) async fn of(&self, mount: &str, path: &str) -> Result<OfSecret, Fault> {
        let _one_at_a_time = self.keeping.lock().await;
        let key = (mount.to_owned(), path.to_owned());
        let kept = self.view.read_one(&place(&key)).await.map_err(of_view)?;
        let mut known: OfSecret =
            kept.and_then(|kept| serde_json::from_slice(kept.value.expose()).ok()).unwrap_or_default();
        let waiting = self.part(path).lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        add(&mut known, &waiting.unwrap_or_default());
        Ok(known)
    }

    /// Forgets a secret that is no more.
    ///
    /// # Errors
    /// The storage's.
    pub(crate) async fn forget(&self, mount: &str, path: &str) -> Result<(), Fault> {
        let _one_at_a_time = self.keeping.lock().await;
        let key = (mount.to_owned(), path.to_owned());
        self.part(path).lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        let deletes = vec![place(&key)];
        self.view.commit(&Changes { deletes, ..Changes::default() }).await.map_err(of_view)?;
        Ok(())
    }

    /// Forgets all of a mount that is no more.
    ///
    /// # Errors
    /// The storage's.
    pub(crate) async fn forget_mount(&self, mount: &str) -> Result<(), Fault> {
        let _one_at_a_time = self.keeping.lock().await;
        for part in &self.waiting {
            part.lock().unwrap_or_else(PoisonError::into_inner).retain(|(own, _), _| own != mount);
        }
        self.view.erase(&format!("{FOLDER}{mount}/")).await.map_err(of_view)
    }
}

//! The stores that are open: one lane for each (store, identity), kept while nothing that made it has changed.
//!
//! **Architecture Invariant:** an opened store that looked anything up in its asker's namespace serves that namespace
//! alone (design invariant 6). Whether an asker may use a store, and which keys, is checked before anybody comes here.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use strongroom_failure::Failure;
use strongroom_provider::Provider;
use strongroom_resolve::{Lane, Policy};
use tokio::time::Instant;

use crate::names::{Name, StoreName};
use crate::reader::Seen;

/// How long a store that could not be opened is not tried again: a thousand objects that name it ask once.
const FAILED_FOR: Duration = Duration::from_secs(2);

/// How long a store stays open that read what nobody watches (a ConfigMap, a service account's annotations, a Secret
/// outside of the served namespaces).
const UNWATCHED_FOR: Duration = Duration::from_secs(300);

/// What opening a store gave.
pub(crate) struct Opened {
    /// The store under this identity.
    pub(crate) provider: Arc<dyn Provider>,
    /// The retry policy that the store's spec asks for.
    pub(crate) policy: Policy,
    /// What was read of the cluster for it.
    pub(crate) seen: Seen,
    /// Whether it serves its asker's namespace alone.
    pub(crate) depends_on_asker: bool,
}

/// What an opened store is valid for: the spec's edition and the credentials' versions.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Edition {
    uid: String,
    generation: i64,
    secrets: BTreeMap<Name, Option<String>>,
}

/// A lane, and what it was made from.
struct Entry {
    edition: Edition,
    since: Instant,
    saw_unwatched: bool,
    lane: Result<Arc<Lane>, Failure>,
}

type Lanes = HashMap<Option<String>, Entry>;

/// Opens stores once for all who read them.
#[derive(Default)]
pub(crate) struct Openings(Mutex<HashMap<StoreName, Arc<tokio::sync::Mutex<Lanes>>>>);

impl Openings {
    /// The lane of `store` for `asker` (a namespace), opened by `open` where there is none that still holds.
    ///
    /// `uid` and `generation` are the store object's; `version_of` tells a Secret's resourceVersion now, `None`
    /// where nobody watches it.
    pub(crate) async fn lane<F>(
        &self,
        store: &StoreName,
        asker: &str,
        (uid, generation): (&str, i64),
        version_of: impl Fn(&Name) -> Option<Option<String>>,
        open: impl FnOnce() -> F,
    ) -> Result<Arc<Lane>, Failure>
    where
        F: Future<Output = Result<Opened, (Failure, Seen)>>,
    {
        let lanes = Arc::clone(self.lock().entry(store.clone()).or_default());
        let mut lanes = lanes.lock().await;
        let holds = |entry: &&Entry| {
            let same = |(name, read): (&Name, &Option<String>)| version_of(name).is_none_or(|now| now == *read);
            let same_spec = entry.edition.uid == uid && entry.edition.generation == generation;
            same_spec && entry.edition.secrets.iter().all(same) && entry.since.elapsed() < entry.lifetime()
        };
        for identity in [None, Some(asker.to_owned())] {
            if let Some(entry) = lanes.get(&identity).filter(holds) {
                return entry.lane.clone();
            }
        }
        // Opening needs room, which is taken only by the one of all who ask that opens.
        let opened = Box::pin(open()).await;
        let (seen, depends_on_asker, lane) = match opened {
            Ok(opened) => (opened.seen, opened.depends_on_asker, Ok(Lane::new(opened.provider, opened.policy))),
            // For its asker alone: another one may have what this one lacks.
            Err((failure, seen)) => (seen, true, Err(failure)),
        };
        let is_watched = |name: &Name| version_of(name).is_some();
        let saw_unwatched = seen.unwatched || !seen.secrets.keys().all(is_watched);
        let edition = Edition { uid: uid.to_owned(), generation, secrets: seen.secrets };
        let identity = depends_on_asker.then(|| asker.to_owned());
        lanes.insert(identity, Entry { edition, since: Instant::now(), saw_unwatched, lane: lane.clone() });
        lane
    }

    /// Closes every lane of `store`: it is gone.
    pub(crate) fn close(&self, store: &StoreName) {
        self.lock().remove(store);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<StoreName, Arc<tokio::sync::Mutex<Lanes>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn lifetime(&self) -> Duration {
        match (&self.lane, self.saw_unwatched) {
            (Err(_), _) => FAILED_FOR,
            (Ok(_), true) => UNWATCHED_FOR,
            (Ok(_), false) => Duration::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use strongroom_failure::Class;
    use strongroom_fake::{Fake, Settings};

    use super::*;

    fn store() -> StoreName {
        StoreName { namespace: None, name: "shared".into() }
    }

    fn opened(depends_on_asker: bool, secrets: &[(&str, &str)]) -> Opened {
        let name = |(name, version): &(&str, &str)| (Name::new("team", name), Some((*version).to_owned()));
        Opened {
            provider: Arc::new(Fake::open(Settings::default()).unwrap()),
            policy: Policy::default(),
            seen: Seen { secrets: secrets.iter().map(name).collect(), unwatched: false },
            depends_on_asker,
        }
    }

    #[tokio::test]
    async fn a_store_is_opened_once_for_all_unless_it_depends_on_who_asks() {
        for (depends_on_asker, expected) in [(false, 1), (true, 2)] {
            let (openings, count) = (Openings::default(), AtomicUsize::new(0));
            for asker in ["a", "b", "a", "b"] {
                let open = || async {
                    count.fetch_add(1, Ordering::SeqCst);
                    Ok(opened(depends_on_asker, &[]))
                };
                openings.lane(&store(), asker, ("u", 1), |_| None, open).await.unwrap();
            }
            assert_eq!(count.load(Ordering::SeqCst), expected);
        }
    }

    #[tokio::test]
    async fn a_new_spec_or_credential_opens_it_again() {
        let openings = Openings::default();
        let count = AtomicUsize::new(0);
        let ask = async |generation: i64, version: &str| {
            let open = || async {
                count.fetch_add(1, Ordering::SeqCst);
                Ok(opened(false, &[("credentials", version)]))
            };
            let version_of = |_: &Name| Some(Some(version.to_owned()));
            openings.lane(&store(), "a", ("u", generation), version_of, open).await.unwrap();
            count.load(Ordering::SeqCst)
        };
        assert_eq!(ask(1, "10").await, 1);
        assert_eq!(ask(1, "10").await, 1);
        assert_eq!(ask(1, "11").await, 2);
        assert_eq!(ask(2, "11").await, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_cannot_be_opened_is_left_alone_for_a_moment() {
        let openings = Openings::default();
        let count = AtomicUsize::new(0);
        let ask = async || {
            let open = || async {
                count.fetch_add(1, Ordering::SeqCst);
                Err((Failure::new(Class::NotFound, "the Secret is missing"), Seen::default()))
            };
            assert!(openings.lane(&store(), "a", ("u", 1), |_| None, open).await.is_err());
            count.load(Ordering::SeqCst)
        };
        assert_eq!((ask().await, ask().await), (1, 1));
        tokio::time::advance(FAILED_FOR).await;
        assert_eq!(ask().await, 2);
    }
}

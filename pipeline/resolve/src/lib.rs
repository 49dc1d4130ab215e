//! Plan and fetch: many asks become few calls, and every ask gets its own answer.
//!
//! The second and third step of the pipeline. Asks for one key are read once (single-flight); keys of one store go in
//! the batches that the store accepts; calls are bounded in number and rate; what may be asked again is asked again by
//! one policy. There are no timers for coalescing: a batch is what is queued when a slot frees.
//!
//! A [`Place`] stands for one (store, identity): nothing is shared between two places (design invariant 6).

#![forbid(unsafe_code)]

mod bucket;
mod cache;
mod lane;
mod policy;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use strongroom_failure::Failure;
pub use strongroom_provider::{Answer, Provider};
use strongroom_reference::{ProviderKind, Reference};
use strongroom_secret::{Lease, RemoteKey};
use tokio::time::Instant;

pub use crate::cache::CacheSettings;
pub use crate::lane::Lane;
pub use crate::policy::Policy;

/// One store under one identity: what a reference says of where to ask.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The kind of store.
    pub provider: ProviderKind,
    /// A store's name in the configuration; the ambient settings when absent.
    pub store: Option<String>,
    /// A region that wins over the store's own settings.
    pub region: Option<String>,
}

impl From<&Reference> for Place {
    fn from(reference: &Reference) -> Self {
        Self { provider: reference.provider, store: reference.store.clone(), region: reference.region.clone() }
    }
}

/// Opens the provider of a place, without asking the outside: a wrong setting is found here, a wrong credential at the
/// first read.
pub trait Open: Send + Sync {
    /// The provider that serves `place`.
    ///
    /// # Errors
    /// An `Invalid` failure when the store is unknown, not served by this build, or wrongly configured.
    fn open(&self, place: &Place) -> Result<Arc<dyn Provider>, Failure>;
}

/// One key wanted from one place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ask {
    /// Where to ask.
    pub place: Place,
    /// What to ask for.
    pub key: RemoteKey,
}

impl From<&Reference> for Ask {
    fn from(reference: &Reference) -> Self {
        Self { place: Place::from(reference), key: reference.key.clone() }
    }
}

/// A call that a list of asks would cost, for people: nothing has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedCall {
    /// The store in people's words.
    pub store: String,
    /// The identity that would be used.
    pub identity: String,
    /// The store's name for the operation, which must be allowed.
    pub operation: String,
    /// The keys that the call would read.
    pub keys: Vec<String>,
}

/// Resolves asks against the stores that `open` gives.
pub struct Resolver {
    open: Arc<dyn Open>,
    policy: Policy,
    lanes: Mutex<HashMap<Place, Result<Arc<Lane>, Failure>>>,
}

impl Resolver {
    /// A resolver with one retry policy for all its stores.
    pub fn new(open: Arc<dyn Open>, policy: Policy) -> Self {
        Self { open, policy, lanes: Mutex::default() }
    }

    /// Reads every ask and answers each in its place, at the latest at `deadline`.
    ///
    /// Equal asks cost one read. A key that fails never blocks the others. Runs inside a tokio runtime.
    pub async fn resolve(&self, asks: &[Ask], deadline: Instant) -> Vec<Answer> {
        let mut waiting = Vec::with_capacity(asks.len());
        for (place, keys) in by_place(asks) {
            match self.lane(place) {
                Ok(lane) => waiting.extend(lane.ask(keys, deadline)),
                Err(failure) => {
                    waiting.extend(keys.into_iter().map(|(at, key)| lane::Waiting::failed(at, key, &failure)))
                }
            }
        }
        waiting.sort_by_key(lane::Waiting::place);
        let mut answers = Vec::with_capacity(asks.len());
        for waiting in waiting {
            answers.push(waiting.answer(deadline).await);
        }
        answers
    }

    /// Has the store behind `place` lend for longer what a read of it gave, at the latest at `deadline`.
    ///
    /// # Errors
    /// As [`Provider::renew`], after the attempts that the policy allows, and that of a place that cannot be opened.
    pub async fn renew(&self, place: &Place, lease: &Lease, deadline: Instant) -> Result<Lease, Failure> {
        self.lane(place)?.renew(lease, deadline).await
    }

    /// The calls that `asks` would cost if nothing were cached, in the order of their places.
    ///
    /// # Errors
    /// The failure of the first place that cannot be opened.
    pub fn cost(&self, asks: &[Ask]) -> Result<Vec<PlannedCall>, Failure> {
        let mut calls = Vec::new();
        for (place, keys) in by_place(asks) {
            let lane = self.lane(place)?;
            calls.extend(lane.cost(keys.into_iter().map(|(_, key)| key)));
        }
        Ok(calls)
    }

    /// Forgets every cached value: called when a policy or the stores' settings changed.
    pub fn forget(&self) {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.values().flatten().for_each(|lane| lane.forget());
    }

    fn lane(&self, place: &Place) -> Result<Arc<Lane>, Failure> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let open = || self.open.open(place).map(|provider| Lane::new(provider, self.policy.clone()));
        lanes.entry(place.clone()).or_insert_with(open).clone()
    }
}

/// The asks of each place with their positions, places in the order of their first ask.
fn by_place(asks: &[Ask]) -> Vec<(&Place, Vec<(usize, RemoteKey)>)> {
    let mut order: Vec<(&Place, Vec<(usize, RemoteKey)>)> = Vec::new();
    let mut seen: HashMap<&Place, usize> = HashMap::new();
    for (at, ask) in asks.iter().enumerate() {
        let group = *seen.entry(&ask.place).or_insert_with(|| {
            order.push((&ask.place, Vec::new()));
            order.len() - 1
        });
        order[group].1.push((at, ask.key.clone()));
    }
    order
}

//! References read again and again, for who stays: what is lent is renewed or replaced in time, the rest read anew.
//!
//! A [`Renewal`] goes round by round: whoever holds it waits until [`Renewal::due`], lets one [`Renewal::round`] run and
//! does with its answers what it likes. Each key is read once and lent once, however many references name it. Between
//! two rounds it keeps the values that are lent, and no others.
//!
//! It stores nothing for when a store is away: the answers are failures then, and who was given a value before keeps it.

#![forbid(unsafe_code)]

mod held;
mod pace;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all};
use strongroom_failure::{Class, Failure};
use strongroom_provider::Answer;
use strongroom_reference::Reference;
use strongroom_render::render;
use strongroom_resolve::{Ask, Resolver};
use strongroom_secret::{Lease, RemoteValue, SecretBytes};
use tokio::time::Instant;

use crate::held::{Held, Need};
pub use crate::pace::Pace;
use crate::pace::Rounds;

/// What one reference stands for now: its value, or nothing where it is optional and does not exist.
pub type Rendered = Result<Option<SecretBytes>, Failure>;

/// References that are read again and again.
pub struct Renewal {
    resolver: Arc<Resolver>,
    references: Vec<Reference>,
    /// Each key once.
    asks: Vec<Ask>,
    /// For each reference, which of `asks` it is shaped from.
    places: Vec<usize>,
    /// What is lent, by its place in `asks`.
    held: HashMap<usize, Held>,
    rounds: Rounds,
}

/// What came of asking for one key: its place in the asks, when the call began, and the answer.
type Asked<T> = (usize, Instant, Result<T, Failure>);

impl Renewal {
    /// Reads `references` by `resolver`; the first round is due at once. Runs inside a tokio runtime.
    pub fn new(resolver: Arc<Resolver>, references: Vec<Reference>, pace: Pace) -> Self {
        let mut asks: Vec<Ask> = Vec::new();
        let mut known: HashMap<Ask, usize> = HashMap::new();
        let place_of = |reference: &Reference| {
            let ask = Ask::from(reference);
            *known.entry(ask.clone()).or_insert_with(|| {
                asks.push(ask);
                asks.len() - 1
            })
        };
        let places = references.iter().map(place_of).collect();
        let rounds = Rounds::begin(pace, Instant::now());
        Self { resolver, references, asks, places, held: HashMap::new(), rounds }
    }

    /// When the next round is due.
    pub fn due(&self) -> Instant {
        self.rounds.due()
    }

    /// Makes the next round due now. What is lent is renewed by it, so that a lease that was revoked shows; what cannot
    /// be renewed stays as it is until its time comes.
    pub fn hasten(&mut self) {
        let now = Instant::now();
        self.held.values_mut().for_each(|held| held.hasten(now));
        self.rounds.hasten(now);
    }

    /// One answer for each reference, in its place, at the latest after `deadline`. A value whose lease is good is the
    /// one of the round before, also while its store is away; all others are read, and each failure is its own
    /// reference's. A round that is dropped before it has ended changes nothing but what the stores have lent.
    ///
    /// Leases are seen to between rounds: a `deadline` longer than a third of the shortest of them lets a store that
    /// hangs cost another store's lease.
    pub async fn round(&mut self, deadline: Duration) -> Vec<Rendered> {
        let now = Instant::now();
        let deadline = now + deadline;
        let need = |place: &usize| self.held.get(place).map_or(Need::Reading, |held| held.need(now));
        let places_that = |wanted: Need| (0..self.asks.len()).filter(|place| need(place) == wanted).collect();
        let (to_read, to_renew): (Vec<usize>, Vec<usize>) = (places_that(Need::Reading), places_that(Need::Renewal));
        let (mut read, renewed) = join(self.read(to_read, deadline), self.renew(to_renew, deadline)).await;
        let (to_replace, is_shaky) = self.settle_renewed(renewed);
        read.extend(self.read(to_replace, deadline).await);
        let (answers, is_stale) = self.settle_read(read);
        let shape = |(reference, place): (&Reference, &usize)| render(reference, answers[*place].clone());
        let rendered: Vec<Rendered> = self.references.iter().zip(&self.places).map(shape).collect();
        let is_failed = is_shaky || is_stale || rendered.iter().any(Result::is_err);
        self.rounds.end(Instant::now(), is_failed, self.held.values().map(Held::touch), fastrand::f64());
        rendered
    }

    async fn read(&self, places: Vec<usize>, deadline: Instant) -> Vec<Asked<RemoteValue>> {
        let asked = Instant::now();
        let asks: Vec<Ask> = places.iter().map(|place| self.asks[*place].clone()).collect();
        let answers = self.resolver.resolve(&asks, deadline).await;
        places.into_iter().zip(answers).map(|(place, answer)| (place, asked, answer)).collect()
    }

    async fn renew(&self, places: Vec<usize>, deadline: Instant) -> Vec<Asked<Lease>> {
        let asked = Instant::now();
        let renewals = places.into_iter().filter_map(|place| {
            let (ask, held) = (&self.asks[place], self.held.get(&place)?);
            Some(async move { (place, asked, self.resolver.renew(&ask.place, held.lease(), deadline).await) })
        });
        join_all(renewals).await
    }

    /// Notes what became of the leases; which keys must be read anew, and whether others could not be renewed for now.
    fn settle_renewed(&mut self, renewed: Vec<Asked<Lease>>) -> (Vec<usize>, bool) {
        let (mut to_replace, mut is_shaky) = (Vec::new(), false);
        for (place, asked, lease) in renewed {
            let Some(held) = self.held.get_mut(&place) else { continue };
            match lease.map(|lease| held.renewed(lease, asked, fastrand::f64())) {
                Ok(true) => {}
                Ok(false) => to_replace.push(place),
                // Reading anew would fail as well.
                Err(failure) if failure.class.can_retry() || failure.class == Class::Unauthenticated => {
                    let (key, reason) = (&self.asks[place].key.name, failure.class.reason());
                    tracing::warn!(key, reason, "a lease is not renewed for now: {failure}");
                    is_shaky = true;
                }
                Err(failure) => {
                    let (key, reason) = (&self.asks[place].key.name, failure.class.reason());
                    tracing::info!(key, reason, "a lease cannot be renewed, and is replaced: {failure}");
                    to_replace.push(place);
                }
            }
        }
        (to_replace, is_shaky)
    }

    /// Keeps what is lent; one answer for each key, and whether one of them is the value of a lease that should have
    /// been replaced.
    fn settle_read(&mut self, read: Vec<Asked<RemoteValue>>) -> (Vec<Answer>, bool) {
        let (now, mut is_stale) = (Instant::now(), false);
        let mut fresh: HashMap<usize, Answer> = HashMap::new();
        for (place, asked, answer) in read {
            match &answer {
                Ok(value) => match Held::new(value, asked, fastrand::f64()) {
                    Some(held) => drop(self.held.insert(place, held)),
                    None => drop(self.held.remove(&place)),
                },
                Err(failure) if self.held.get(&place).is_some_and(|held| held.is_good(now)) => {
                    let (key, reason) = (&self.asks[place].key.name, failure.class.reason());
                    tracing::warn!(key, reason, "a lease is not replaced for now: {failure}");
                    is_stale = true;
                    continue;
                }
                Err(_) => drop(self.held.remove(&place)),
            }
            fresh.insert(place, answer);
        }
        let answers = (0..self.asks.len()).map(|place| {
            let kept = || self.held.get(&place).and_then(|held| held.value(now));
            fresh.remove(&place).or_else(|| kept().map(Ok)).unwrap_or_else(|| Err(self.over(place)))
        });
        let answers = answers.collect();
        self.held.retain(|_, held| held.is_good(now));
        (answers, is_stale)
    }

    /// A lease that ended while it was being renewed.
    fn over(&self, place: usize) -> Failure {
        let words = "what the store lent is over, and it did not answer in time to lend it for longer";
        Failure::new(Class::Unavailable, words).on_key(&self.asks[place].key.name)
    }
}

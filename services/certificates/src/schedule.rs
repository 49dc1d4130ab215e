//! Schedules of replicas that are killed, lead in turn or two at once, look late and find the Secret damaged, with real
//! certificates and a clock of the test's own. At each second, what each replica serves must be trusted by every bundle
//! that an API server can have; and when nothing disturbs, all must end well.

use std::collections::HashMap;
use std::time::Duration;

use proptest::prelude::*;
use strongroom_crypto::{Certificate, Validity};
use strongroom_secret::SecretBytes;

use crate::contents::{self, AUTHORITY_KEY, Before, Data, Held, KEY};
use crate::settings::Times;
use crate::steps::{Bundles, Change, State, Step, next, takes};

const BEGIN: i64 = 1_800_000_000;
const SETTLE: u32 = 5;
/// The longest that a replica goes without looking, in seconds.
const LATE: u32 = 6;

fn times() -> Times {
    let seconds = Duration::from_secs;
    Times { authority: seconds(1260), serving: seconds(420), settle: seconds(SETTLE.into()), linger: seconds(30) }
}

fn names() -> Vec<String> {
    vec!["hook.team.svc".to_owned(), "hook.team".to_owned()]
}

/// What befalls the cluster.
#[derive(Clone, Copy, Debug)]
enum Disturbance {
    /// A replica is killed and begins without memory.
    Kill(usize),
    /// Another leads.
    Lead(usize),
    /// Another leads too, since it slept; for some seconds.
    LeadToo(usize),
    /// The Secret is deleted.
    Delete,
    /// One of its values is lost.
    Lose(&'static str),
    /// One of its values is overwritten.
    Spoil(&'static str),
    /// All is lost but the object.
    Empty,
}

fn disturbance() -> impl Strategy<Value = Disturbance> {
    let key = || prop::sample::select(vec!["tls.crt", KEY, "ca.crt", AUTHORITY_KEY]);
    prop_oneof![
        4 => (0..3_usize).prop_map(Disturbance::Kill),
        2 => (0..3_usize).prop_map(Disturbance::Lead),
        2 => (0..3_usize).prop_map(Disturbance::LeadToo),
        1 => Just(Disturbance::Delete),
        1 => key().prop_map(Disturbance::Lose),
        1 => key().prop_map(Disturbance::Spoil),
        1 => Just(Disturbance::Empty),
    ]
}

/// Since when something has been as it is.
struct Since<T>(Option<(T, u32)>);

impl<T> Default for Since<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: PartialEq> Since<T> {
    fn note(&mut self, now: u32, is: Option<T>) -> Option<Duration> {
        if !matches!((&self.0, &is), (Some((was, _)), Some(is)) if was == is) {
            self.0 = is.map(|is| (is, now));
        }
        self.0.as_ref().map(|(_, since)| Duration::from_secs(u64::from(now - since)))
    }
}

#[derive(Default)]
struct Replica {
    /// The version of the bundle that it has seen last, and that bundle.
    seen: Option<(usize, Vec<Certificate>)>,
    looks_at: u32,
    remembered: Data,
    serves: Option<(Certificate, Validity)>,
    /// From when what it serves must be trusted: a replica that begins takes the best there is.
    checked_from: u32,
    in_place: Since<Vec<Certificate>>,
    trusted: Since<Certificate>,
    served: Since<Certificate>,
}

struct Cluster {
    now: u32,
    secret: Option<Data>,
    /// Every bundle that there was, and since when.
    bundles: Vec<(u32, Vec<Certificate>)>,
    replicas: Vec<Replica>,
    leaders: Vec<(usize, u32)>,
    random: u64,
    is_disturbed: bool,
    changes: Vec<Change>,
    trusts: HashMap<(Vec<u8>, usize), bool>,
    reads: HashMap<Vec<(String, Vec<u8>)>, Held>,
}

impl Cluster {
    fn new(seed: u64) -> Self {
        let replicas = (0..3).map(|_| Replica::default()).collect();
        let bundles = vec![(0, Vec::new())];
        let leaders = vec![(0, u32::MAX)];
        let random = seed | 1;
        let (changes, trusts, reads) = (Vec::new(), HashMap::new(), HashMap::new());
        Self { now: 0, secret: None, bundles, replicas, leaders, random, is_disturbed: false, changes, trusts, reads }
    }

    fn clock(&self) -> i64 {
        BEGIN + i64::from(self.now)
    }

    /// A number below `bound`.
    fn chance(&mut self, bound: u32) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        u32::try_from(self.random % u64::from(bound)).unwrap()
    }

    fn disturb(&mut self, disturbance: Disturbance) {
        self.is_disturbed = true;
        match disturbance {
            // Of all at once nothing is promised: nobody would answer either.
            Disturbance::Kill(of) => {
                if self.replicas.iter().enumerate().all(|(index, other)| index == of || !other.remembered.is_empty()) {
                    self.replicas[of] = Replica::default();
                }
            }
            Disturbance::Lead(of) => self.leaders = vec![(of, u32::MAX)],
            Disturbance::LeadToo(of) => self.leaders.push((of, self.now + 20)),
            Disturbance::Delete => self.secret = None,
            Disturbance::Lose(key) => drop(self.secret.as_mut().and_then(|data| data.remove(key))),
            Disturbance::Spoil(key) => {
                if let Some(data) = &mut self.secret {
                    data.insert(key.to_owned(), SecretBytes::from("spoilt".to_owned()));
                }
            }
            Disturbance::Empty => self.secret = self.secret.as_ref().map(|_| Data::new()),
        }
    }

    fn second(&mut self) {
        self.now += 1;
        self.leaders.retain(|(_, until)| *until > self.now);
        for index in 0..self.replicas.len() {
            if self.now < self.replicas[index].looks_at {
                continue;
            }
            let pause = 1 + self.chance(LATE);
            self.replicas[index].looks_at = self.now + pause;
            // Its watch of the configuration may be behind.
            if self.replicas[index].seen.is_none() || self.chance(3) > 0 {
                let newest = self.bundles.len() - 1;
                self.replicas[index].seen = Some((newest, self.bundles[newest].1.clone()));
            }
            self.round(index);
        }
    }

    fn read(&mut self, data: &Data) -> Held {
        let key = data.iter().map(|(key, value)| (key.clone(), value.expose().to_vec())).collect();
        self.reads.entry(key).or_insert_with(|| contents::read(data, &names())).clone()
    }

    /// What `keeper` does in a round.
    fn round(&mut self, index: usize) {
        let (now, clock, times) = (self.now, self.clock(), times());
        let held = self.secret.clone().map(|data| self.read(&data));
        let remembered = Some(self.replicas[index].remembered.clone()).filter(|data| !data.is_empty());
        let remembered = remembered.map(|data| self.read(&data).contents);
        let leads = self.leaders.iter().any(|(leader, _)| *leader == index);
        let replica = &mut self.replicas[index];
        let (version, bundle) = replica.seen.clone().unwrap();
        let wanted = held.as_ref().map(|held| held.bundle.clone()).unwrap_or_default();
        let in_place = !wanted.is_empty() && same(&bundle, &wanted);
        let in_place = replica.in_place.note(now, in_place.then(|| wanted.clone()));
        if let (Some(held), Some(data)) = (&held, &self.secret) {
            offer(replica, held, &bundle, now, clock);
            let contents = &held.contents;
            if contents.authority_problem(clock).is_none() && contents.serving_problem(clock).is_none() {
                replica.remembered.clone_from(data);
            }
        }
        let serving = held.as_ref().and_then(|held| held.serving.as_ref()).map(|(certificate, _)| certificate.clone());
        let state = State {
            held: held.map(|held| held.contents),
            remembered,
            bundles: in_place.map_or(Bundles::Astray, Bundles::InPlace),
            served_for: replica.served.note(now, serving).unwrap_or_default(),
        };
        match next(clock, &state, &times) {
            Step::Write(change, _) if leads || self.secret.is_none() => {
                let empty = Data::new();
                let held = self.secret.as_ref().unwrap_or(&empty);
                let before = Before { held, remembered: &replica.remembered, trusted: &bundle };
                self.secret = Some(contents::changed(change, &before, &names(), &times, clock).unwrap());
                self.changes.push(change);
            }
            // Against the version that was seen.
            Step::Spread if leads && version == self.bundles.len() - 1 => self.bundles.push((now, wanted)),
            _ => {}
        }
    }

    /// The bundles that an API server may have: what was there within the settle time.
    fn bundles_at_hand(&self) -> impl Iterator<Item = usize> {
        let oldest = self.now.saturating_sub(SETTLE);
        let ended = move |index: usize| self.bundles.get(index + 1).is_some_and(|(since, _)| *since <= oldest);
        (0..self.bundles.len()).filter(move |index| !ended(*index))
    }

    fn check(&mut self) -> Result<(), String> {
        let (now, clock) = (self.now, self.clock());
        let at_hand: Vec<usize> = self.bundles_at_hand().collect();
        for (index, replica) in self.replicas.iter().enumerate() {
            let Some((certificate, validity)) = replica.serves.as_ref().filter(|_| now >= replica.checked_from) else {
                continue;
            };
            // Whoever keeps damaging the Secret keeps it from being renewed.
            if clock > validity.ends && !self.is_disturbed {
                return Err(format!("at {now} replica {index} serves an expired certificate; {:?}", self.changes));
            }
            for bundle in &at_hand {
                let authorities = &self.bundles[*bundle].1;
                let is_trusted = *self
                    .trusts
                    .entry((certificate.der.clone(), *bundle))
                    .or_insert_with(|| authorities.iter().any(|authority| certificate.is_signed_by(authority)));
                if !is_trusted {
                    return Err(format!(
                        "at {now} replica {index} is not trusted by bundle {bundle}; {:?}",
                        self.changes
                    ));
                }
            }
        }
        Ok(())
    }

    /// Whether all is as it should be: one authority, in the bundle, and its certificate served by all.
    fn is_well(&mut self) -> bool {
        let Some(data) = self.secret.clone() else { return false };
        let held = self.read(&data);
        let Some((certificate, _)) = &held.serving else { return false };
        held.contents.authority_problem(self.clock()).is_none()
            && held.contents.serving_problem(self.clock()).is_none()
            && held.bundle.len() == 1
            && self.bundles.last().is_some_and(|(_, bundle)| same(bundle, &held.bundle))
            && self
                .replicas
                .iter()
                .all(|replica| replica.serves.as_ref().is_some_and(|(served, _)| served == certificate))
    }

    fn ends_well(&mut self) -> Result<(), String> {
        // The settle time, the linger time, and a round for each step; a rotation may have begun meanwhile.
        for _ in 0..200 {
            self.second();
            self.check()?;
            if self.is_well() {
                return Ok(());
            }
        }
        Err(format!("at {} it is not well; {:?}", self.now, self.changes))
    }
}

fn offer(replica: &mut Replica, held: &Held, bundle: &[Certificate], now: u32, clock: i64) {
    let Some((certificate, signer)) = &held.serving else { return };
    let offered_for = replica.served.note(now, Some(certificate.clone())).unwrap_or_default();
    let trusted_for = replica.trusted.note(now, bundle.contains(signer).then(|| signer.clone()));
    let is_served = replica.serves.as_ref().is_some_and(|(served, _)| served == certificate);
    if is_served || held.contents.serving_problem(clock).is_some() {
        return;
    }
    let serves_good = replica.serves.as_ref().is_some_and(|(_, validity)| clock <= validity.ends);
    if takes(serves_good, trusted_for, offered_for, times().settle) {
        if replica.serves.is_none() {
            replica.checked_from = now + SETTLE;
        }
        replica.serves = held.contents.serving.ok().map(|serving| (certificate.clone(), serving.validity));
    }
}

fn same(one: &[Certificate], other: &[Certificate]) -> bool {
    one.len() == other.len() && one.iter().all(|certificate| other.contains(certificate))
}

#[test]
fn an_undisturbed_year_rotates_authority_and_certificate_without_a_gap() {
    let mut cluster = Cluster::new(7);
    cluster.ends_well().unwrap();
    for _ in 0..3600 {
        cluster.second();
        cluster.check().unwrap();
    }
    let count = |change| cluster.changes.iter().filter(|made| **made == change).count();
    assert_eq!(count(Change::Everything), 1);
    // 840 s and 280 s from one to the next.
    assert!((3..=5).contains(&count(Change::Authority)), "{:?}", cluster.changes);
    assert_eq!(count(Change::Authority), count(Change::Retire));
    assert!(count(Change::Serving) >= 10, "{:?}", cluster.changes);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_every_schedule_what_is_served_is_trusted_and_all_ends_well(
        seed: u64,
        disturbances in prop::collection::vec((1..40_u32, disturbance()), 0..24),
    ) {
        let mut cluster = Cluster::new(seed);
        cluster.ends_well().map_err(TestCaseError::fail)?;
        // Shortly before the first rotation, so that most of it happens meanwhile.
        while cluster.now < 820 {
            cluster.second();
        }
        for (pause, disturbance) in disturbances {
            for _ in 0..pause {
                cluster.second();
                cluster.check().map_err(TestCaseError::fail)?;
            }
            cluster.disturb(disturbance);
        }
        cluster.ends_well().map_err(TestCaseError::fail)?;
    }
}

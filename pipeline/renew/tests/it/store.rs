//! A store that lends: what a real one does over hours, and the faults that it will not make on demand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use strongroom_failure::{Class, Failure};
use strongroom_provider::{Answer, Call, Lease, Limits, Provider, RemoteKey, RemoteValue, SecretBytes, one_by_one};
use strongroom_renew::{Pace, Rendered, Renewal};
use strongroom_resolve::{Open, Place, Policy, Resolver};
use tokio::time::Instant;

/// Longer than any round of these tests takes, but those against a store that hangs.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Keys that begin with `lent-` are made anew by each read and lent; all others stay.
pub(crate) struct Store(pub(crate) Mutex<State>);

pub(crate) struct State {
    /// For how long it lends, and whether it may be asked to lend for longer.
    pub(crate) lends: (Duration, bool),
    /// What a renewal gives.
    pub(crate) renews: Result<Duration, Class>,
    /// How every call fails.
    pub(crate) down: Option<Class>,
    /// How reads of one key fail; calls for `hangs` never answer.
    pub(crate) fails: HashMap<String, Class>,
    pub(crate) hangs: Option<String>,
    /// Reads by key.
    pub(crate) reads: HashMap<String, u32>,
    pub(crate) renewals: u32,
    /// Until when what was lent is good, by the lease's id.
    pub(crate) leases: HashMap<String, Instant>,
}

impl Store {
    pub(crate) fn lending(seconds: u64, is_renewable: bool) -> Arc<Self> {
        let duration = Duration::from_secs(seconds);
        Arc::new(Self(Mutex::new(State {
            lends: (duration, is_renewable),
            renews: Ok(duration),
            down: None,
            fails: HashMap::new(),
            hangs: None,
            reads: HashMap::new(),
            renewals: 0,
            leases: HashMap::new(),
        })))
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap());
    }

    /// How reads of `key` fail from now on.
    pub(crate) fn fail(&self, key: &str, class: Option<Class>) {
        self.set(|state| match class {
            Some(class) => state.fails.extend([(key.to_owned(), class)]),
            None => state.fails.retain(|failing, _| failing != key),
        });
    }

    /// How often `key` was read.
    pub(crate) fn reads(&self, key: &str) -> u32 {
        self.0.lock().unwrap().reads.get(key).copied().unwrap_or_default()
    }

    pub(crate) fn renewals(&self) -> u32 {
        self.0.lock().unwrap().renewals
    }

    /// Whether the value that the `count`th read of `key` gave is still lent.
    pub(crate) fn lends(&self, key: &str, count: u32) -> bool {
        self.0.lock().unwrap().leases.get(&format!("{key}/{count}")).is_some_and(|end| *end > Instant::now())
    }

    /// References read from this store; each call is tried once.
    pub(crate) fn renewal(self: &Arc<Self>, references: &[&str], pace: Pace) -> Renewal {
        let policy = Policy { attempts: 1, ..Policy::default() };
        let resolver = Arc::new(Resolver::new(Arc::new(One(Arc::clone(self))), policy));
        let references = references.iter().map(|text| strongroom_reference::parse(text).unwrap()).collect();
        Renewal::new(resolver, references, pace)
    }

    fn answer(&self, key: &RemoteKey) -> Answer {
        let mut state = self.0.lock().unwrap();
        let failure = |class: Class| Failure::new(class, "scripted").on_key(&key.name);
        if let Some(class) = state.down.or(state.fails.get(&key.name).copied()) {
            return Err(failure(class));
        }
        let count = state.reads.entry(key.name.clone()).or_default();
        *count += 1;
        let text = format!(r#"{{"user":"{0}-{1}","password":"canary-{1}"}}"#, key.name, count);
        let id = format!("{}/{count}", key.name);
        let value = RemoteValue::new(SecretBytes::from(text), None);
        if !key.name.starts_with("lent-") {
            return Ok(value);
        }
        let (duration, is_renewable) = state.lends;
        state.leases.insert(id.clone(), Instant::now() + duration);
        Ok(RemoteValue { lease: Some(Lease { id, login: 1, duration, is_renewable }), ..value })
    }
}

#[async_trait]
impl Provider for Store {
    fn describe(&self) -> String {
        "a scripted store".to_owned()
    }

    fn identity(&self) -> String {
        "nobody".to_owned()
    }

    fn limits(&self) -> Limits {
        Limits { concurrency: 8, rate: 1000.0, burst: 1000 }
    }

    fn plan(&self, keys: &[RemoteKey]) -> Vec<Call> {
        one_by_one(keys, |_| "Read".to_owned())
    }

    async fn read(&self, keys: &[RemoteKey]) -> Vec<Answer> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let hangs = self.0.lock().unwrap().hangs.clone();
        if keys.iter().any(|key| Some(&key.name) == hangs.as_ref()) {
            std::future::pending::<()>().await;
        }
        keys.iter().map(|key| self.answer(key)).collect()
    }

    async fn renew(&self, lease: &Lease) -> Result<Lease, Failure> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut state = self.0.lock().unwrap();
        if let Some(class) = state.down {
            return Err(Failure::new(class, "scripted"));
        }
        state.renewals += 1;
        let duration = state.renews.map_err(|class| Failure::new(class, "scripted"))?;
        let now = Instant::now();
        match state.leases.get_mut(&lease.id).filter(|end| **end > now) {
            Some(end) if lease.is_renewable => {
                *end = now + duration;
                Ok(Lease { duration, ..lease.clone() })
            }
            _ => Err(Failure::new(Class::Invalid, "no such lease")),
        }
    }
}

struct One(Arc<Store>);

impl Open for One {
    fn open(&self, _place: &Place) -> Result<Arc<dyn Provider>, Failure> {
        Ok(Arc::clone(&self.0) as Arc<dyn Provider>)
    }
}

/// The next round when it is due: its answers as text, failures by their class, absence as a dash.
pub(crate) async fn next(renewal: &mut Renewal) -> Vec<String> {
    tokio::time::sleep_until(renewal.due()).await;
    shown(&renewal.round(DEADLINE).await)
}

pub(crate) fn shown(answers: &[Rendered]) -> Vec<String> {
    let text = |answer: &Rendered| match answer {
        Ok(Some(value)) => value.expose_text().unwrap().to_owned(),
        Ok(None) => "-".to_owned(),
        Err(failure) => failure.class.reason().to_owned(),
    };
    answers.iter().map(text).collect()
}

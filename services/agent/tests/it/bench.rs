//! A folder, a store that does what a test says, and what the agent told.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use strongroom_agent::{Agent, Hook, Orders, Ready, Settings, ready};
use strongroom_deliver_files::Medium;
use strongroom_failure::{Class, Failure};
use strongroom_provider::{Answer, Call, Lease, Limits, Provider, RemoteKey, RemoteValue, SecretBytes, one_by_one};
use strongroom_renew::Pace;
use strongroom_resolve::{Open, Place, Policy, Resolver};
use strongroom_telemetry::{LogFormat, LogLevel, install_for_thread};
use tokio::time::Instant;

/// For how long `lent` is lent.
const LENT_FOR: Duration = Duration::from_secs(200);

pub(crate) struct Bench {
    folder: tempfile::TempDir,
    list: String,
    hooks: Vec<Hook>,
    log: Log,
    pub(crate) store: Arc<Store>,
    pub(crate) orders: Orders,
}

impl Bench {
    pub(crate) fn new(list: &str) -> Self {
        Self {
            folder: tempfile::tempdir_in("/dev/shm").unwrap(),
            list: list.to_owned(),
            hooks: Vec::new(),
            log: Log::default(),
            store: Arc::default(),
            orders: Orders::default(),
        }
    }

    pub(crate) fn telling(mut self, hook: Hook) -> Self {
        self.hooks.push(hook);
        self
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            folder: self.folder.path().to_owned(),
            medium: Medium::MemoryOnly,
            files: strongroom_files::parse(&self.list).unwrap(),
            pace: Pace::default(),
            deadline: Duration::from_secs(30),
            hooks: self.hooks.clone(),
            debounce: Duration::from_secs(1),
            tls: Default::default(),
        }
    }

    pub(crate) fn resolver(&self) -> Arc<Resolver> {
        let policy = Policy { attempts: 1, ..Policy::default() };
        Arc::new(Resolver::new(Arc::new(One(Arc::clone(&self.store))), policy))
    }

    pub(crate) fn agent(&self) -> Result<Agent, Failure> {
        Agent::open(self.settings(), self.resolver())
    }

    /// Runs an agent until `script` is over.
    pub(crate) async fn run(&self, script: impl Future<Output = ()>) {
        let _logs = install_for_thread(LogFormat::Text, LogLevel::Info, self.log.clone());
        tokio::select! {
            () = self.agent().unwrap().run(self.orders.clone()) => panic!("the agent ended"),
            () = script => {}
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn file(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.path(name)).ok()
    }

    pub(crate) fn ready(&self) -> Ready {
        ready(self.folder.path(), Duration::ZERO)
    }

    pub(crate) fn log(&self) -> String {
        String::from_utf8(self.log.0.lock().unwrap().clone()).unwrap()
    }

    /// How many lines of the log hold `words`.
    pub(crate) fn told(&self, words: &str) -> usize {
        self.log().lines().filter(|line| line.contains(words)).count()
    }
}

/// Each key's value is its name and the version; `lent` has another value at each read, which is lent.
#[derive(Default)]
pub(crate) struct Store(Mutex<State>);

pub(crate) struct State {
    pub(crate) version: u32,
    pub(crate) down: Option<Class>,
    pub(crate) fails: HashMap<String, Class>,
    pub(crate) hangs: bool,
    leases: HashMap<String, Instant>,
}

impl Default for State {
    fn default() -> Self {
        Self { version: 1, down: None, fails: HashMap::new(), hangs: false, leases: HashMap::new() }
    }
}

impl Store {
    pub(crate) fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.lock().unwrap());
    }

    pub(crate) fn fail(&self, key: &str, class: Class) {
        self.set(|state| {
            state.fails.insert(key.to_owned(), class);
        });
    }

    /// Whether this value is still good.
    pub(crate) fn lends(&self, value: &str) -> bool {
        self.0.lock().unwrap().leases.get(value).is_some_and(|end| *end > Instant::now())
    }

    fn answer(&self, key: &RemoteKey) -> Answer {
        let mut state = self.0.lock().unwrap();
        if let Some(class) = state.down.or(state.fails.get(&key.name).copied()) {
            return Err(Failure::new(class, "scripted").on_key(&key.name).from_store(self.describe()));
        }
        if key.name != "lent" {
            let text = format!("{}-{}", key.name, state.version);
            return Ok(RemoteValue::new(SecretBytes::from(text), None));
        }
        let text = format!("lent-{}", state.leases.len());
        state.leases.insert(text.clone(), Instant::now() + LENT_FOR);
        let lease = Lease { id: text.clone(), login: 1, duration: LENT_FOR, is_renewable: false };
        Ok(RemoteValue { lease: Some(lease), ..RemoteValue::new(SecretBytes::from(text), None) })
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
        if self.0.lock().unwrap().hangs {
            std::future::pending::<()>().await;
        }
        keys.iter().map(|key| self.answer(key)).collect()
    }
}

struct One(Arc<Store>);

impl Open for One {
    fn open(&self, place: &Place) -> Result<Arc<dyn Provider>, Failure> {
        if place.provider.name() == "fake" {
            return Ok(Arc::clone(&self.0) as Arc<dyn Provider>);
        }
        Err(Failure::new(Class::Invalid, "only fake is served"))
    }
}

/// What was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

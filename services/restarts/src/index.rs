//! What is known of the cluster: workloads, Secrets by their metadata, and who consumes which.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use strongroom_restart::track::Secrets;
use strongroom_restart::{Baseline, Fingerprints, Kind, Scope, SecretFacts, Tracked, Wish, Workload, track};
use tokio::time::Instant;

/// A workload's place in the cluster.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) kind: Kind,
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Never locked across an await.
#[derive(Debug)]
pub(crate) struct Index {
    scope: Scope,
    /// How long further changes are waited for.
    settle: Duration,
    /// Whether all lists are known: what comes from now on is news.
    is_whole: bool,
    /// Whether only namespaces count that were told of, since a selector chose them.
    is_selective: bool,
    workloads: HashMap<Name, Entry>,
    spaces: HashMap<Arc<str>, Space>,
}

#[derive(Debug)]
struct Entry {
    workload: Arc<Workload>,
    /// Until when further changes are waited for. It is not moved by them, so that it comes.
    settles: Option<Instant>,
    /// What was seen for a workload that is never written to.
    remembered: Option<Baseline>,
    /// When it was restarted last, by this process.
    restarted: Option<Instant>,
    /// What its owner was told last, by topic.
    told: [Option<String>; 2],
}

/// What an owner is told about once, until it is something else.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Topic {
    /// What is wrong with the annotations.
    Annotations,
    /// Why a restart waits or cannot be.
    Restart,
}

/// One namespace.
#[derive(Debug, Default)]
struct Space {
    /// Whether the namespace itself was told of.
    is_told: bool,
    wish: Wish,
    secrets: Secrets,
    /// By Secret.
    consumers: HashMap<Box<str>, BTreeSet<Name>>,
    /// The workloads in it.
    workloads: BTreeSet<Name>,
    /// By Secret: of which version, and what.
    fingerprints: HashMap<Box<str>, (Box<str>, Fingerprints)>,
}

/// All that is known about one workload.
pub(crate) struct Look {
    pub(crate) workload: Arc<Workload>,
    pub(crate) baseline: Option<Baseline>,
    pub(crate) tracked: Tracked,
    pub(crate) current: BTreeMap<Box<str>, Fingerprints>,
    /// Secrets that count and must be read first.
    pub(crate) unread: Vec<Box<str>>,
    pub(crate) restarted: Option<Instant>,
}

/// What is known about one workload now.
pub(crate) enum Known {
    /// It is gone, or nothing is to be done about it.
    Nothing,
    /// Further changes are waited for, for so long.
    Settling(Duration),
    /// This.
    Look(Box<Look>),
}

impl Index {
    pub(crate) fn new(scope: Scope, settle: Duration, is_selective: bool) -> Self {
        Self { scope, settle, is_whole: false, is_selective, workloads: HashMap::new(), spaces: HashMap::new() }
    }

    /// All lists are known.
    pub(crate) fn complete(&mut self) {
        self.is_whole = true;
    }

    /// A workload is there, new or changed; whether it must be looked at, and after how long.
    pub(crate) fn apply_workload(&mut self, workload: Workload) -> Option<(Name, Duration)> {
        let name = self.name(&workload);
        let before = self.workloads.get(&name);
        if before.is_some_and(|before| before.workload.uid != workload.uid) {
            // Another one of that name.
            self.delete_workload(&name);
        }
        let before = self.workloads.get(&name).map(|entry| Arc::clone(&entry.workload));
        let is_same = before.as_ref().is_some_and(|before| is_same(before, &workload));
        let consumes_same = before.as_ref().is_some_and(|before| before.consumption == workload.consumption);
        if !consumes_same {
            self.consume(&name, before.as_deref(), &workload);
        }
        // Its Secrets may be made in the same breath, and are told by another watch.
        let settles = (self.is_whole && !consumes_same).then(|| Instant::now() + self.settle);
        let workload = Arc::new(workload);
        match self.workloads.get_mut(&name) {
            Some(entry) => {
                entry.workload = workload;
                entry.settles = entry.settles.or(settles);
            }
            None => {
                let entry = Entry { workload, settles, remembered: None, restarted: None, told: [None, None] };
                self.workloads.insert(name.clone(), entry);
            }
        }
        (!is_same).then(|| (name, if settles.is_some() { self.settle } else { Duration::ZERO }))
    }

    pub(crate) fn delete_workload(&mut self, name: &Name) {
        let Some(entry) = self.workloads.remove(name) else { return };
        if let Some(space) = self.spaces.get_mut(&name.namespace) {
            space.workloads.remove(name);
            space.leave(name, &entry.workload);
        }
    }

    pub(crate) fn workload_names(&self, kind: Kind) -> Vec<Name> {
        self.workloads.keys().filter(|name| name.kind == kind).cloned().collect()
    }

    /// A Secret is there, new or changed; those whom that concerns, and after how long they must be looked at.
    pub(crate) fn apply_secret(&mut self, metadata: &ObjectMeta) -> (Vec<Name>, Duration) {
        let (namespace, name) = (metadata.namespace.as_deref(), metadata.name.as_deref().unwrap_or_default());
        let facts = SecretFacts::of(metadata, self.scope);
        let space = self.spaces.entry(Arc::from(namespace.unwrap_or_default())).or_default();
        if space.secrets.get(name) == Some(&facts) {
            return (Vec::new(), Duration::ZERO);
        }
        space.secrets.insert(name.into(), facts);
        let mut concerned: BTreeSet<Name> = space.consumers.get(name).into_iter().flatten().cloned().collect();
        let names_any =
            |name: &&Name| self.workloads.get(*name).is_some_and(|entry| entry.workload.demand.names_any(&space.wish));
        concerned.extend(space.workloads.iter().filter(names_any).cloned());
        (self.settling(concerned), if self.is_whole { self.settle } else { Duration::ZERO })
    }

    /// Nobody is woken: what is gone restarts nothing.
    pub(crate) fn delete_secret(&mut self, namespace: &str, name: &str) {
        if let Some(space) = self.spaces.get_mut(namespace) {
            space.secrets.remove(name);
            space.fingerprints.remove(name);
        }
    }

    pub(crate) fn secret_names(&self) -> Vec<(Arc<str>, Box<str>)> {
        let of_space = |(namespace, space): (&Arc<str>, &Space)| {
            space.secrets.keys().map(|name| (Arc::clone(namespace), name.clone())).collect::<Vec<_>>()
        };
        self.spaces.iter().flat_map(of_space).collect()
    }

    /// A namespace is there, new or changed; those whom that concerns.
    pub(crate) fn apply_namespace(&mut self, metadata: &ObjectMeta) -> Vec<Name> {
        let (wish, problems) = Wish::of(&metadata.annotations.clone().unwrap_or_default());
        let name = metadata.name.as_deref().unwrap_or_default();
        if wish == Wish::Unsaid && !self.is_selective && !self.spaces.contains_key(name) {
            return Vec::new();
        }
        let is_selective = self.is_selective;
        let space = self.space(name);
        let is_chosen = is_selective && !space.is_told;
        space.is_told = true;
        if space.wish == wish && !is_chosen {
            return Vec::new();
        }
        for problem in problems {
            tracing::warn!(namespace = name, problem, "an annotation of a namespace is not understood");
        }
        space.wish = wish;
        space.workloads.iter().cloned().collect()
    }

    pub(crate) fn delete_namespace(&mut self, name: &str) {
        if let Some(space) = self.spaces.get_mut(name) {
            space.wish = Wish::Unsaid;
            space.is_told = false;
        }
    }

    pub(crate) fn namespaces(&self) -> Vec<Arc<str>> {
        self.spaces.keys().cloned().collect()
    }

    /// What is known about a workload.
    pub(crate) fn look(&mut self, name: &Name) -> Known {
        let Some(entry) = self.workloads.get_mut(name).filter(|entry| !entry.workload.is_over) else {
            return Known::Nothing;
        };
        let now = Instant::now();
        match entry.settles {
            Some(until) if until > now => return Known::Settling(until - now),
            _ => entry.settles = None,
        }
        let workload = Arc::clone(&entry.workload);
        let baseline = match workload.kind.can_restart() {
            true => workload.observed.as_deref().and_then(Baseline::parse),
            false => entry.remembered.clone(),
        };
        let restarted = entry.restarted;
        let Some(space) = self.spaces.get(&name.namespace) else { return Known::Nothing };
        if self.is_selective && !space.is_told {
            return Known::Nothing;
        }
        let tracked = track(&workload, &space.wish, baseline.as_ref(), &space.secrets);
        let (mut current, mut unread) = (BTreeMap::new(), Vec::new());
        for secret in tracked.iter().filter(|(_, tracking)| tracking.exists).map(|(secret, _)| secret) {
            match space.known(secret) {
                Some(fingerprints) => drop(current.insert(secret.clone(), fingerprints.clone())),
                None => unread.push(secret.clone()),
            }
        }
        Known::Look(Box::new(Look { workload, baseline, tracked, current, unread, restarted }))
    }

    /// The workload as it is known, whatever is to be done about it.
    pub(crate) fn workload(&self, name: &Name) -> Option<Arc<Workload>> {
        self.workloads.get(name).map(|entry| Arc::clone(&entry.workload))
    }

    /// Whether a Secret must be read.
    pub(crate) fn is_unread(&self, namespace: &str, name: &str) -> bool {
        self.spaces.get(namespace).is_some_and(|space| space.secrets.contains_key(name) && space.known(name).is_none())
    }

    /// A Secret was read: what it holds.
    pub(crate) fn learn_secret(&mut self, metadata: &ObjectMeta, fingerprints: Fingerprints) {
        let facts = SecretFacts::of(metadata, self.scope);
        let name = metadata.name.as_deref().unwrap_or_default();
        let space = self.space(metadata.namespace.as_deref().unwrap_or_default());
        space.fingerprints.insert(name.into(), (facts.resource_version.clone(), fingerprints));
        space.secrets.insert(name.into(), facts);
    }

    /// The ExternalSecrets, by name, whose windows hold for these Secrets.
    pub(crate) fn external_secrets(&self, namespace: &str, secrets: &[String]) -> BTreeSet<Box<str>> {
        let Some(space) = self.spaces.get(namespace) else { return BTreeSet::new() };
        let facts = secrets.iter().filter_map(|name| space.secrets.get(name.as_str()));
        facts.filter_map(|facts| facts.external_secret.clone()).collect()
    }

    /// A workload was written to, provided that nothing newer is known: the watch tells the same a little later.
    pub(crate) fn learn_write(&mut self, name: &Name, seen: &Workload, written: &Written) {
        let Some(entry) = self.workloads.get_mut(name) else { return };
        if written.is_restart {
            entry.restarted = Some(Instant::now());
        }
        if entry.workload.resource_version != seen.resource_version || entry.workload.uid != seen.uid {
            return;
        }
        let mut workload = Workload::clone(&entry.workload);
        workload.resource_version = written.metadata.resource_version.as_deref().unwrap_or_default().into();
        workload.generation = written.metadata.generation.unwrap_or(workload.generation);
        workload.observed = written.baseline.as_deref().map(Into::into);
        if let Some(mark) = &written.mark {
            workload.mark = Some(mark.as_str().into());
        }
        entry.workload = Arc::new(workload);
    }

    /// Keeps in mind what was seen for a workload that is never written to.
    pub(crate) fn remember(&mut self, name: &Name, baseline: Option<&str>) {
        if let Some(entry) = self.workloads.get_mut(name) {
            entry.remembered = baseline.and_then(Baseline::parse);
        }
    }

    /// Whether these words are news to the workload's owner; they are not from now on. Without words, any will be.
    pub(crate) fn is_news(&mut self, name: &Name, topic: Topic, words: Option<&str>) -> bool {
        let Some(entry) = self.workloads.get_mut(name) else { return false };
        let told = &mut entry.told[topic as usize];
        let is_news = words.is_some() && told.as_deref() != words;
        *told = words.map(str::to_owned);
        is_news
    }

    fn name(&mut self, workload: &Workload) -> Name {
        // One text for all names in a namespace.
        let namespace = match self.spaces.get_key_value(&*workload.namespace) {
            Some((namespace, _)) => Arc::clone(namespace),
            None => Arc::from(&*workload.namespace),
        };
        Name { kind: workload.kind, namespace, name: Arc::from(&*workload.name) }
    }

    fn space(&mut self, namespace: &str) -> &mut Space {
        self.spaces.entry(Arc::from(namespace)).or_default()
    }

    fn consume(&mut self, name: &Name, before: Option<&Workload>, workload: &Workload) {
        let space = self.spaces.entry(Arc::clone(&name.namespace)).or_default();
        if let Some(before) = before {
            space.leave(name, before);
        }
        space.workloads.insert(name.clone());
        for (secret, _) in workload.consumption.secrets() {
            space.consumers.entry(secret.into()).or_default().insert(name.clone());
        }
    }

    /// Starts the time in which further changes are waited for, where it has not started.
    fn settling(&mut self, concerned: BTreeSet<Name>) -> Vec<Name> {
        if self.is_whole {
            let until = Instant::now() + self.settle;
            for name in &concerned {
                if let Some(entry) = self.workloads.get_mut(name) {
                    entry.settles.get_or_insert(until);
                }
            }
        }
        concerned.into_iter().collect()
    }
}

impl Space {
    fn known(&self, secret: &str) -> Option<&Fingerprints> {
        let (version, fingerprints) = self.fingerprints.get(secret)?;
        let facts = self.secrets.get(secret)?;
        (*version == facts.resource_version).then_some(fingerprints)
    }

    fn leave(&mut self, name: &Name, workload: &Workload) {
        for (secret, _) in workload.consumption.secrets() {
            if let Some(consumers) = self.consumers.get_mut(secret) {
                consumers.remove(name);
                if consumers.is_empty() {
                    self.consumers.remove(secret);
                }
            }
        }
    }
}

/// What a write made of a workload.
pub(crate) struct Written {
    pub(crate) metadata: ObjectMeta,
    pub(crate) baseline: Option<String>,
    pub(crate) mark: Option<String>,
    pub(crate) is_restart: bool,
}

/// Whether nothing differs but the version.
fn is_same(before: &Workload, now: &Workload) -> bool {
    let mut now = now.clone();
    now.resource_version.clone_from(&before.resource_version);
    *before == now
}

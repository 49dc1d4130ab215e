use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::hash::Hash;

use tokio::time::Instant;

/// What goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Never synced, or touched by a person who waits for it.
    Urgent,
    /// Due by its interval.
    Routine,
}

/// How much runs at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Keys of one group. Enough of them to fill a store's batches, few enough that urgent keys soon have a slot.
    pub group: usize,
    /// Keys altogether: a bound on memory.
    pub total: usize,
}

/// Decides which keys are reconciled now. Pure: the caller brings the time and carries out what is taken.
#[derive(Debug)]
pub struct Schedule<K, G> {
    limits: Limits,
    entries: HashMap<K, Entry>,
    /// Keys that wait for their time, in its order.
    timed: BTreeSet<(Instant, u64, K)>,
    /// Keys whose time has come, by group.
    ready: BTreeMap<G, Group<K>>,
    /// Groups that have ready keys, in the order of their turns.
    turns: VecDeque<G>,
    running: usize,
    /// Tells entries of the same moment apart, first come first served.
    sequence: u64,
}

#[derive(Debug)]
struct Entry {
    state: State,
    /// Woken while running: when and how to come round again.
    again: Option<(Instant, Priority)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Timed(Instant, u64, Priority),
    Ready(Priority),
    Running,
}

#[derive(Debug)]
struct Group<K> {
    urgent: VecDeque<K>,
    routine: VecDeque<K>,
    running: usize,
}

impl<K> Default for Group<K> {
    fn default() -> Self {
        Self { urgent: VecDeque::new(), routine: VecDeque::new(), running: 0 }
    }
}

impl<K: Clone + Eq + Hash + Ord, G: Clone + Ord> Schedule<K, G> {
    /// An empty schedule.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: HashMap::new(),
            timed: BTreeSet::new(),
            ready: BTreeMap::new(),
            turns: VecDeque::new(),
            running: 0,
            sequence: 0,
        }
    }

    /// Wants `key` reconciled at `at`. The earlier time and the more urgent priority win over what was known.
    pub fn wake(&mut self, key: K, at: Instant, priority: Priority) {
        match self.entries.get_mut(&key) {
            Some(entry) => match entry.state {
                State::Running => {
                    entry.again =
                        Some(entry.again.map_or((at, priority), |(then, as_was)| (then.min(at), as_was.min(priority))));
                }
                State::Ready(was) if was <= priority => {}
                State::Ready(_) => self.raise(&key),
                State::Timed(then, sequence, was) => {
                    if at < then || priority < was {
                        self.timed.remove(&(then, sequence, key.clone()));
                        self.put(key, at.min(then), priority.min(was));
                    }
                }
            },
            None => self.put(key, at, priority),
        }
    }

    /// No longer wants `key`; if it runs just now, it is not run again.
    pub fn forget(&mut self, key: &K) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        match entry.state {
            State::Running => entry.again = None,
            State::Timed(at, sequence, _) => {
                self.timed.remove(&(at, sequence, key.clone()));
                self.entries.remove(key);
            }
            State::Ready(..) => {
                for group in self.ready.values_mut() {
                    group.urgent.retain(|other| other != key);
                    group.routine.retain(|other| other != key);
                }
                self.entries.remove(key);
            }
        }
    }

    /// Takes the keys that may be reconciled now, with their groups; `group_of` says which store a key reads.
    pub fn take(&mut self, now: Instant, group_of: impl Fn(&K) -> G) -> Vec<(K, G)> {
        self.ripen(now, group_of);
        let mut taken = Vec::new();
        let mut idle_turns = 0;
        while self.running < self.limits.total && idle_turns < self.turns.len() {
            let Some(name) = self.turns.pop_front() else { break };
            let Some(group) = self.ready.get_mut(&name) else { continue };
            let next = if group.running < self.limits.group { group.next() } else { None };
            match next {
                Some(key) => {
                    group.running += 1;
                    self.running += 1;
                    idle_turns = 0;
                    if let Some(entry) = self.entries.get_mut(&key) {
                        entry.state = State::Running;
                    }
                    taken.push((key, name.clone()));
                }
                None => idle_turns += 1,
            }
            if !group.is_empty() {
                self.turns.push_back(name);
            }
        }
        taken
    }

    /// Says that `key` of `group` has ended; `next` is when it wants to come again by itself.
    pub fn done(&mut self, key: K, group: &G, next: Option<(Instant, Priority)>) {
        self.running = self.running.saturating_sub(1);
        if let Some(found) = self.ready.get_mut(group) {
            found.running = found.running.saturating_sub(1);
            if found.running == 0 && found.is_empty() {
                self.ready.remove(group);
                self.turns.retain(|other| other != group);
            }
        }
        let again = self.entries.remove(&key).and_then(|entry| entry.again);
        let first = [again, next].into_iter().flatten().min_by_key(|(at, priority)| (*at, *priority));
        if let Some((at, priority)) = first {
            self.put(key, at, priority);
        }
    }

    /// When the next key's time comes; `None` when none is timed.
    pub fn next_time(&self) -> Option<Instant> {
        self.timed.first().map(|(at, ..)| *at)
    }

    /// Keys that are known, in whatever state.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no key is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Keys whose time has come and that wait for a slot.
    pub fn waiting(&self) -> usize {
        self.ready.values().map(|group| group.urgent.len() + group.routine.len()).sum()
    }

    /// Keys that run.
    pub fn running(&self) -> usize {
        self.running
    }

    fn put(&mut self, key: K, at: Instant, priority: Priority) {
        self.sequence += 1;
        let state = State::Timed(at, self.sequence, priority);
        self.timed.insert((at, self.sequence, key.clone()));
        self.entries.insert(key, Entry { state, again: None });
    }

    /// Moves the keys whose time has come to their groups.
    fn ripen(&mut self, now: Instant, group_of: impl Fn(&K) -> G) {
        while self.timed.first().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, _, key)) = self.timed.pop_first() else { break };
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            let State::Timed(_, _, priority) = entry.state else { continue };
            entry.state = State::Ready(priority);
            let name = group_of(&key);
            let group = self.ready.entry(name.clone()).or_default();
            if group.is_empty() && !self.turns.contains(&name) {
                self.turns.push_back(name);
            }
            group.queue(priority).push_back(key);
        }
    }

    fn raise(&mut self, key: &K) {
        for group in self.ready.values_mut() {
            if let Some(place) = group.routine.iter().position(|other| other == key) {
                group.routine.remove(place);
                group.urgent.push_back(key.clone());
                break;
            }
        }
        if let Some(Entry { state: State::Ready(priority), .. }) = self.entries.get_mut(key) {
            *priority = Priority::Urgent;
        }
    }
}

impl<K> Group<K> {
    fn queue(&mut self, priority: Priority) -> &mut VecDeque<K> {
        match priority {
            Priority::Urgent => &mut self.urgent,
            Priority::Routine => &mut self.routine,
        }
    }

    fn next(&mut self) -> Option<K> {
        self.urgent.pop_front().or_else(|| self.routine.pop_front())
    }

    fn is_empty(&self) -> bool {
        self.urgent.is_empty() && self.routine.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: Limits = Limits { group: 2, total: 3 };

    /// Keys are `GROUP/NAME`.
    fn group(key: &&'static str) -> &'static str {
        key.split('/').next().unwrap_or_default()
    }

    fn taken(schedule: &mut Schedule<&'static str, &'static str>, now: Instant) -> Vec<&'static str> {
        schedule.take(now, group).into_iter().map(|(key, _)| key).collect()
    }

    #[tokio::test]
    async fn urgent_keys_go_first_and_groups_take_turns() {
        let now = Instant::now();
        let mut schedule = Schedule::new(Limits { group: 9, total: 9 });
        for key in ["a/1", "a/2", "a/3", "b/1"] {
            schedule.wake(key, now, Priority::Routine);
        }
        schedule.wake("a/4", now, Priority::Urgent);
        schedule.wake("a/3", now, Priority::Urgent);
        assert_eq!(taken(&mut schedule, now), ["a/4", "b/1", "a/3", "a/1", "a/2"]);
    }

    #[tokio::test]
    async fn a_group_that_is_full_delays_no_other() {
        let now = Instant::now();
        let mut schedule = Schedule::new(LIMITS);
        for key in ["a/1", "a/2", "a/3", "a/4", "b/1", "b/2"] {
            schedule.wake(key, now, Priority::Routine);
        }
        assert_eq!(taken(&mut schedule, now), ["a/1", "b/1", "a/2"]);
        assert_eq!(taken(&mut schedule, now), [""; 0]);
        schedule.done("b/1", &"b", None);
        assert_eq!(taken(&mut schedule, now), ["b/2"]);
        schedule.done("a/1", &"a", None);
        assert_eq!(taken(&mut schedule, now), ["a/3"]);
        assert_eq!((schedule.waiting(), schedule.running()), (1, 3));
    }

    #[tokio::test]
    async fn a_key_waits_for_its_time_and_the_earliest_wins() {
        let now = Instant::now();
        let later = |seconds| now + Duration::from_secs(seconds);
        let mut schedule = Schedule::new(LIMITS);
        schedule.wake("a/1", later(60), Priority::Routine);
        schedule.wake("a/1", later(90), Priority::Routine);
        assert_eq!(schedule.next_time(), Some(later(60)));
        schedule.wake("a/1", later(5), Priority::Urgent);
        assert_eq!(taken(&mut schedule, later(4)), [""; 0]);
        assert_eq!(taken(&mut schedule, later(5)), ["a/1"]);
    }

    #[tokio::test]
    async fn a_key_that_runs_is_not_run_twice_at_once_but_once_more() {
        let now = Instant::now();
        let mut schedule = Schedule::new(LIMITS);
        schedule.wake("a/1", now, Priority::Routine);
        assert_eq!(taken(&mut schedule, now), ["a/1"]);
        schedule.wake("a/1", now, Priority::Urgent);
        assert_eq!(taken(&mut schedule, now), [""; 0]);
        schedule.done("a/1", &"a", Some((now + Duration::from_secs(60), Priority::Routine)));
        assert_eq!(taken(&mut schedule, now), ["a/1"]);
        schedule.done("a/1", &"a", None);
        assert!(schedule.is_empty());
    }

    #[tokio::test]
    async fn what_is_forgotten_does_not_come_back() {
        let now = Instant::now();
        let mut schedule = Schedule::new(LIMITS);
        for key in ["a/1", "a/2", "a/3"] {
            schedule.wake(key, now, Priority::Routine);
        }
        assert_eq!(taken(&mut schedule, now), ["a/1", "a/2"]);
        schedule.wake("a/1", now, Priority::Routine);
        for key in ["a/1", "a/3"] {
            schedule.forget(&key);
        }
        schedule.done("a/1", &"a", None);
        schedule.done("a/2", &"a", None);
        assert_eq!(taken(&mut schedule, now), [""; 0]);
        assert!(schedule.is_empty());
    }
}

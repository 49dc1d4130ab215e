//! The behaviour of each creation policy with each refresh policy, as External Secrets Operator documents it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use strongroom_api::external_secrets::{CreationPolicy, DeletionPolicy, RefreshPolicy};
use strongroom_sync::current::{Memory, validity};
use strongroom_sync::refresh::{Input, Refresh, decide};
use strongroom_sync::target::removal;

use crate::cluster::{Cluster, put};
use crate::targets::{owner, wanted};

const INTERVAL: Duration = Duration::from_secs(3600);

/// An operator of one ExternalSecret over one store with one value.
struct Operator {
    cluster: Cluster,
    creation: CreationPolicy,
    policy: RefreshPolicy,
    interval: Duration,
    immutable: bool,
    store: &'static str,
    now: Timestamp,
    version: &'static str,
    synced: Option<(&'static str, Timestamp)>,
    memory: Option<Memory>,
}

impl Operator {
    fn new(creation: CreationPolicy, policy: RefreshPolicy) -> Self {
        Self {
            cluster: Cluster::default(),
            creation,
            policy,
            interval: INTERVAL,
            immutable: false,
            store: "1",
            now: "2026-06-01T10:00:00Z".parse().unwrap(),
            version: "1-a",
            synced: None,
            memory: None,
        }
    }

    /// Something happened: looks whether it is time, and synchronises.
    fn wake(&mut self) {
        let target = validity(self.cluster.metadata("es").as_ref(), self.creation, self.memory.as_ref());
        let refresh = decide(&Input {
            now: self.now,
            policy: self.policy,
            interval: self.interval,
            windows: None,
            synced_version: self.synced.map(|(version, _)| version),
            version: self.version,
            refresh_time: self.synced.map(|(_, time)| time),
            last_success: None,
            is_announced: false,
            target,
            immutable: self.immutable,
            spread: None,
        });
        if matches!(refresh, Refresh::Now(_)) {
            let mut wanted = wanted(self.creation, &[("key", self.store)]);
            wanted.immutable = self.immutable;
            self.cluster.synchronise(&wanted, &mut self.memory).unwrap();
            self.synced = Some((self.version, self.now));
        }
    }

    fn wait(&mut self) {
        self.now = self.now.checked_add(SignedDuration::from_secs(3601)).unwrap();
        self.wake();
    }

    fn change(&mut self) {
        self.version = "2-a";
        self.wake();
    }

    fn value(&self) -> Option<String> {
        self.cluster.text("key")
    }

    /// With a target: the operator's own, or one that was there.
    fn with_target(mut self) -> Self {
        self.cluster.edit("helm", |secret| put(secret, "theirs", "0"));
        self.wake();
        self
    }
}

#[derive(Debug, PartialEq)]
enum When {
    AtOnce,
    AtInterval,
    OnChange,
    Never,
}

fn creates(mut operator: Operator) -> bool {
    operator.wake();
    operator.wait();
    operator.cluster.secret().is_some()
}

fn follows(operator: Operator) -> When {
    let mut operator = operator.with_target();
    operator.store = "2";
    let has_followed = |operator: &Operator| operator.value().as_deref() == Some("2");
    operator.wake();
    if has_followed(&operator) {
        return When::AtOnce;
    }
    operator.wait();
    if has_followed(&operator) {
        return When::AtInterval;
    }
    operator.change();
    if has_followed(&operator) { When::OnChange } else { When::Never }
}

fn overwrites(mut operator: Operator) -> bool {
    operator.cluster.edit("helm", |secret| put(secret, "key", "old"));
    operator.wake();
    operator.value().as_deref() == Some("1")
}

fn recreates(operator: Operator) -> When {
    let mut operator = operator.with_target();
    operator.cluster.delete();
    let exists = |operator: &Operator| operator.cluster.secret().is_some();
    operator.wake();
    if exists(&operator) {
        return When::AtOnce;
    }
    operator.wait();
    if exists(&operator) {
        return When::AtInterval;
    }
    operator.change();
    if exists(&operator) { When::OnChange } else { When::Never }
}

fn keeps(operator: Operator) -> bool {
    let operator = operator.with_target();
    let current = operator.cluster.metadata("es").unwrap();
    let is_collected = operator.cluster.secret().unwrap().metadata.owner_references.is_some();
    !is_collected && removal(Some(&current), &owner(), DeletionPolicy::Retain).is_none()
}

#[test]
fn each_pair_of_policies_behaves_as_documented() {
    use CreationPolicy::{CreateOrMerge, Merge, Orphan, Owner};
    use RefreshPolicy::{CreatedOnce, OnChange, Periodic};
    let check = |creation, policy, c: bool, s: When, o: bool, r: When, k: bool| {
        let operator = || Operator::new(creation, policy);
        let row = format!("{creation:?} {policy:?}");
        assert_eq!(creates(operator()), c, "creates: {row}");
        assert_eq!(follows(operator()), s, "follows the source: {row}");
        assert_eq!(overwrites(operator()), o, "overwrites: {row}");
        assert_eq!(recreates(operator()), r, "recreates: {row}");
        assert_eq!(keeps(operator()), k, "keeps: {row}");
    };
    check(Owner, Periodic, true, When::AtInterval, true, When::AtOnce, false);
    check(Owner, OnChange, true, When::OnChange, true, When::AtOnce, false);
    check(Owner, CreatedOnce, true, When::Never, true, When::AtOnce, false);
    check(Orphan, Periodic, true, When::AtInterval, true, When::AtInterval, true);
    check(Orphan, OnChange, true, When::OnChange, true, When::OnChange, true);
    check(Orphan, CreatedOnce, true, When::Never, true, When::Never, true);
    check(Merge, Periodic, false, When::AtInterval, true, When::Never, true);
    check(Merge, OnChange, false, When::OnChange, true, When::Never, true);
    check(Merge, CreatedOnce, false, When::Never, true, When::Never, true);
    check(CreateOrMerge, Periodic, true, When::AtInterval, true, When::AtOnce, true);
    check(CreateOrMerge, OnChange, true, When::OnChange, true, When::AtOnce, true);
    check(CreateOrMerge, CreatedOnce, true, When::Never, true, When::AtOnce, true);
    for policy in [Periodic, OnChange, CreatedOnce] {
        check(CreationPolicy::None, policy, false, When::Never, false, When::Never, true);
    }
}

#[test]
fn an_immutable_target_is_created_and_recreated_but_follows_nothing() {
    for creation in [CreationPolicy::Owner, CreationPolicy::CreateOrMerge] {
        let operator = || Operator { immutable: true, ..Operator::new(creation, RefreshPolicy::Periodic) };
        assert!(creates(operator()));
        assert_eq!(follows(operator()), When::Never);
        assert!(!overwrites(operator()));
        assert_eq!(recreates(operator()), When::AtOnce);
    }
}

#[test]
fn an_interval_of_zero_is_created_once() {
    let operator =
        || Operator { interval: Duration::ZERO, ..Operator::new(CreationPolicy::Owner, RefreshPolicy::Periodic) };
    assert!(creates(operator()));
    assert_eq!(follows(operator()), When::Never);
    assert_eq!(recreates(operator()), When::AtOnce);
}

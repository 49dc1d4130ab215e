//! What is written into a Secret, what stays, and what is refused.

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use proptest::prelude::*;
use strongroom_api::external_secrets::{CreationPolicy, DeletionPolicy};
use strongroom_secret::SecretBytes;
use strongroom_sync::current::{Current, Validity, validity};
use strongroom_sync::hash::{DataHash, created_by, field_managers};
use strongroom_sync::render::Rendered;
use strongroom_sync::target::{Outcome, Owner, Plan, Wanted, orphaned, plan, removal};
use strongroom_sync::{Texts, Values};

use crate::cluster::{Cluster, put};
use crate::values;

pub(crate) const HASH: &str = "reconcile.external-secrets.io/data-hash";
const MANAGED: &str = "reconcile.external-secrets.io/managed";
const CREATED_BY: &str = "reconcile.external-secrets.io/created-by";

pub(crate) fn owner() -> Owner {
    Owner { namespace: "team-a".to_owned(), name: "es".to_owned(), uid: "es-1".to_owned() }
}

pub(crate) fn wanted(creation: CreationPolicy, data: &[(&str, &str)]) -> Wanted {
    Wanted {
        owner: owner(),
        name: "target".to_owned(),
        creation,
        deletion: DeletionPolicy::Retain,
        immutable: false,
        found_nothing: data.is_empty(),
        is_partial: false,
        has_changed: false,
        rendered: Rendered { data: values(data), ..Rendered::default() },
        data_hash: DataHash::Compatible,
    }
}

fn data(cluster: &Cluster) -> Vec<(String, String)> {
    let data = cluster.secret().and_then(|secret| secret.data.clone()).unwrap_or_default();
    data.into_iter().map(|(key, value)| (key, String::from_utf8(value.0).unwrap())).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect()
}

fn reference(api_version: &str, kind: &str, name: &str) -> OwnerReference {
    OwnerReference {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        name: name.to_owned(),
        uid: format!("uid of {name}"),
        controller: Some(true),
        ..OwnerReference::default()
    }
}

fn with_owner(owner: OwnerReference) -> Cluster {
    let mut cluster = Cluster::default();
    cluster.edit("someone", |secret| {
        put(secret, "theirs", "1");
        secret.metadata.owner_references = Some(vec![owner]);
    });
    cluster
}

#[test]
fn a_secret_is_made_as_external_secrets_makes_it() {
    let mut cluster = Cluster::default();
    let mut wanted = wanted(CreationPolicy::Owner, &[("a", "1")]);
    wanted.rendered.labels = Texts::from([("app".to_owned(), "x".to_owned())]);
    wanted.rendered.kind = Some("kubernetes.io/basic-auth".to_owned());
    cluster.synchronise(&wanted, &mut None).unwrap();
    let secret = cluster.secret().unwrap();
    let labels = secret.metadata.labels.clone().unwrap();
    assert_eq!(labels[MANAGED], "true");
    assert_eq!(labels[CREATED_BY], created_by("team-a", "es"));
    assert_eq!(labels["app"], "x");
    assert_eq!(secret.metadata.annotations.as_ref().unwrap()[HASH], DataHash::Compatible.of(&values(&[("a", "1")])));
    let owners = secret.metadata.owner_references.as_ref().unwrap();
    let owner = (owners[0].api_version.as_str(), owners[0].kind.as_str(), owners[0].uid.as_str());
    assert_eq!(owner, ("external-secrets.io/v1", "ExternalSecret", "es-1"));
    assert_eq!((owners[0].controller, owners[0].block_owner_deletion), (Some(true), Some(true)));
    assert_eq!(secret.type_.as_deref(), Some("kubernetes.io/basic-auth"));
    assert_eq!(secret.metadata.namespace.as_deref(), Some("team-a"));
}

#[test]
fn in_steady_state_nothing_is_read_and_nothing_written() {
    let mut cluster = Cluster::default();
    let mut wanted = wanted(CreationPolicy::Owner, &[("a", "1"), ("b", "2")]);
    wanted.rendered.kind = Some("Opaque".to_owned());
    wanted.rendered.finalizers = vec!["example.com/keep".to_owned()];
    cluster.synchronise(&wanted, &mut None).unwrap();
    // A process that has just started remembers nothing.
    assert_eq!(cluster.synchronise(&wanted, &mut None), Ok(Outcome::Synced));
    assert_eq!((cluster.reads, cluster.writes), (0, 1));
    // A change of the type only shows when the Secret is read, which happens when the ExternalSecret changed.
    wanted.has_changed = true;
    assert_eq!(cluster.synchronise(&wanted, &mut None), Ok(Outcome::Synced));
    assert_eq!((cluster.reads, cluster.writes), (1, 1));
}

#[test]
fn what_others_write_beside_ours_is_read_once_and_then_remembered() {
    let mut cluster = Cluster::default();
    cluster.edit("helm", |secret| put(secret, "theirs", "1"));
    let wanted = wanted(CreationPolicy::Merge, &[("ours", "2")]);
    let mut memory = None;
    for _ in 0..3 {
        cluster.synchronise(&wanted, &mut memory).unwrap();
    }
    assert_eq!((cluster.reads, cluster.writes), (1, 2));
    assert_eq!(data(&cluster), pairs(&[("ours", "2"), ("theirs", "1")]));
    // The hash is of everything.
    let hash = DataHash::Compatible.of(&values(&[("ours", "2"), ("theirs", "1")]));
    assert_eq!(cluster.secret().unwrap().metadata.annotations.as_ref().unwrap()[HASH], hash);
    cluster.edit("helm", |secret| put(secret, "theirs", "3"));
    cluster.synchronise(&wanted, &mut memory).unwrap();
    assert_eq!(data(&cluster), pairs(&[("ours", "2"), ("theirs", "3")]));
}

#[test]
fn the_creation_policy_says_what_stays_of_a_secret_that_exists() {
    let check = |creation, expected: &[(&str, &str)], is_owned: bool| {
        let mut cluster = Cluster::default();
        cluster.edit("helm", |secret| {
            put(secret, "a", "theirs");
            put(secret, "b", "theirs");
        });
        cluster.synchronise(&wanted(creation, &[("a", "ours")]), &mut None).unwrap();
        assert_eq!(data(&cluster), pairs(expected), "{creation:?}");
        let metadata = &cluster.secret().unwrap().metadata;
        assert_eq!(metadata.owner_references.is_some(), is_owned, "{creation:?}");
        let labels = metadata.labels.clone().unwrap_or_default();
        assert_eq!(labels.contains_key(CREATED_BY), is_owned, "{creation:?}");
        assert_eq!(labels.contains_key(MANAGED), creation != CreationPolicy::None, "{creation:?}");
    };
    check(CreationPolicy::Owner, &[("a", "ours")], true);
    check(CreationPolicy::Orphan, &[("a", "ours")], false);
    check(CreationPolicy::Merge, &[("a", "ours"), ("b", "theirs")], false);
    check(CreationPolicy::CreateOrMerge, &[("a", "ours"), ("b", "theirs")], false);
    check(CreationPolicy::None, &[("a", "theirs"), ("b", "theirs")], false);
}

#[test]
fn what_we_wrote_and_do_not_want_any_more_goes_and_what_others_wrote_stays() {
    for creation in [CreationPolicy::Owner, CreationPolicy::Merge] {
        let mut cluster = Cluster::default();
        cluster.edit("helm", |secret| {
            put(secret, "theirs", "1");
            secret.metadata.labels = Some(Texts::from([("theirs".to_owned(), "1".to_owned())]));
            secret.metadata.annotations = Some(Texts::from([("theirs".to_owned(), "1".to_owned())]));
            secret.metadata.finalizers = Some(vec!["example.com/theirs".to_owned()]);
        });
        let mut first = wanted(creation, &[("old", "1"), ("kept", "2")]);
        first.rendered.labels = Texts::from([("old".to_owned(), "1".to_owned())]);
        first.rendered.annotations = Texts::from([("old".to_owned(), "1".to_owned())]);
        first.rendered.finalizers = vec!["example.com/old".to_owned()];
        cluster.synchronise(&first, &mut None).unwrap();
        cluster.synchronise(&wanted(creation, &[("kept", "2")]), &mut None).unwrap();
        let secret = cluster.secret().unwrap();
        let keys: Vec<_> = secret.data.iter().flatten().map(|(key, _)| key.as_str()).collect();
        let expected: &[&str] = if creation == CreationPolicy::Merge { &["kept", "theirs"] } else { &["kept"] };
        assert_eq!(keys, expected);
        let labels = secret.metadata.labels.as_ref().unwrap();
        assert!(labels.contains_key("theirs") && !labels.contains_key("old"));
        let annotations = secret.metadata.annotations.as_ref().unwrap();
        assert!(annotations.contains_key("theirs") && !annotations.contains_key("old"));
        assert_eq!(secret.metadata.finalizers.as_deref(), Some(&["example.com/theirs".to_owned()][..]));
    }
}

#[test]
fn what_an_earlier_version_wrote_under_the_other_spelling_of_the_manager_is_ours() {
    for manager in field_managers("es") {
        let mut cluster = Cluster::default();
        cluster.edit(&manager, |secret| put(secret, "old", "1"));
        cluster.synchronise(&wanted(CreationPolicy::CreateOrMerge, &[("new", "2")]), &mut None).unwrap();
        assert_eq!(data(&cluster), pairs(&[("new", "2")]), "{manager}");
    }
}

#[test]
fn a_change_of_the_policy_away_from_owner_lets_go_of_the_secret() {
    let mut cluster = Cluster::default();
    cluster.synchronise(&wanted(CreationPolicy::Owner, &[("a", "1")]), &mut None).unwrap();
    cluster.synchronise(&wanted(CreationPolicy::Orphan, &[("a", "1")]), &mut None).unwrap();
    let metadata = &cluster.secret().unwrap().metadata;
    assert_eq!(metadata.owner_references, None);
    assert!(!metadata.labels.as_ref().unwrap().contains_key(CREATED_BY));
}

#[test]
fn an_external_secret_that_was_made_anew_takes_its_secret_over() {
    let mut cluster = Cluster::default();
    let mut wanted = wanted(CreationPolicy::Owner, &[("a", "1")]);
    cluster.synchronise(&wanted, &mut None).unwrap();
    wanted.owner.uid = "es-2".to_owned();
    cluster.synchronise(&wanted, &mut None).unwrap();
    let owners = cluster.secret().unwrap().metadata.owner_references.clone().unwrap();
    assert_eq!(owners.iter().map(|owner| owner.uid.as_str()).collect::<Vec<_>>(), ["es-2"]);
}

#[test]
fn a_secret_of_another_is_refused() {
    let check = |creation, owner: OwnerReference, expected: Option<&str>| {
        let mut cluster = with_owner(owner);
        let refused = cluster.synchronise(&wanted(creation, &[("a", "1")]), &mut None).err();
        assert_eq!(refused.map(|refusal| refusal.message), expected, "{creation:?}");
        assert_eq!(cluster.writes, if expected.is_some() { 1 } else { 2 });
    };
    let other = || reference("external-secrets.io/v1beta1", "ExternalSecret", "other");
    let certificate = || reference("cert-manager.io/v1", "Certificate", "cert");
    let owned = Some("target is owned by another ExternalSecret");
    check(CreationPolicy::Owner, other(), owned);
    check(CreationPolicy::Orphan, other(), owned);
    check(CreationPolicy::Merge, other(), owned);
    check(CreationPolicy::Owner, certificate(), Some("failed to take ownership of target secret"));
    check(CreationPolicy::Merge, certificate(), None);
    check(CreationPolicy::Owner, reference("external-secrets.io/v1beta1", "ExternalSecret", "es"), None);
}

#[test]
fn an_immutable_target_keeps_its_data_and_gets_its_labels() {
    let mut cluster = Cluster::default();
    let mut wanted = wanted(CreationPolicy::Owner, &[("a", "1")]);
    wanted.immutable = true;
    cluster.synchronise(&wanted, &mut None).unwrap();
    assert_eq!(cluster.secret().unwrap().immutable, Some(true));
    wanted.rendered.data = values(&[("a", "2")]);
    assert_eq!(cluster.synchronise(&wanted, &mut None), Ok(Outcome::Synced));
    assert_eq!((cluster.text("a").as_deref(), cluster.reads, cluster.writes), (Some("1"), 0, 1));
    // One that says that it can change is made immutable when the ExternalSecret asks for it.
    let mut cluster = Cluster::default();
    cluster.synchronise(&Wanted { immutable: false, ..wanted.clone() }, &mut None).unwrap();
    cluster.edit("someone", |secret| secret.immutable = Some(false));
    wanted.has_changed = true;
    cluster.synchronise(&wanted, &mut None).unwrap();
    assert_eq!(cluster.secret().unwrap().immutable, Some(true));
    wanted.has_changed = false;
    // One that exists and can change is taken over as it is.
    let mut cluster = Cluster::default();
    cluster.edit("helm", |secret| put(secret, "theirs", "1"));
    cluster.synchronise(&wanted, &mut None).unwrap();
    let secret = cluster.secret().unwrap();
    assert_eq!((data(&cluster), secret.immutable), (pairs(&[("theirs", "1")]), Some(true)));
    let hash = DataHash::Compatible.of(&values(&[("theirs", "1")]));
    assert_eq!(secret.metadata.annotations.as_ref().unwrap()[HASH], hash);
    assert_eq!(secret.metadata.labels.as_ref().unwrap()[MANAGED], "true");
}

#[test]
fn a_secret_that_somebody_else_made_immutable_is_refused_where_its_data_would_change() {
    let mut cluster = Cluster::default();
    let mut wanted = wanted(CreationPolicy::Orphan, &[("a", "1")]);
    cluster.synchronise(&wanted, &mut None).unwrap();
    cluster.edit("someone", |secret| secret.immutable = Some(true));
    wanted.rendered.data = values(&[("a", "2")]);
    let refusal = cluster.synchronise(&wanted, &mut None).unwrap_err();
    assert_eq!(refusal.message, "could not update secret, target is immutable");
    // Its labels can change.
    wanted.rendered.data = values(&[("a", "1")]);
    wanted.rendered.labels = Texts::from([("new".to_owned(), "1".to_owned())]);
    cluster.synchronise(&wanted, &mut None).unwrap();
    assert_eq!(cluster.secret().unwrap().metadata.labels.as_ref().unwrap()["new"], "1");
}

#[test]
fn a_secret_of_another_type_is_refused() {
    let mut cluster = Cluster::default();
    let mut wanted = wanted(CreationPolicy::Owner, &[("a", "1")]);
    cluster.synchronise(&wanted, &mut None).unwrap();
    wanted.rendered.kind = Some("kubernetes.io/tls".to_owned());
    wanted.has_changed = true;
    let refusal = cluster.synchronise(&wanted, &mut None).unwrap_err();
    assert_eq!(refusal.message, "could not update secret");
    assert!(refusal.cause.to_string().contains("has the type Opaque, and kubernetes.io/tls is wanted"));
}

#[test]
fn the_deletion_policy_says_what_happens_when_the_stores_hold_nothing() {
    let check = |deletion, creation, expected: Result<Outcome, &str>, exists: bool| {
        let mut cluster = Cluster::default();
        cluster.synchronise(&wanted(creation, &[("a", "1")]), &mut None).unwrap();
        let mut empty = wanted(creation, &[]);
        empty.deletion = deletion;
        let outcome = cluster.synchronise(&empty, &mut None).map_err(|refusal| refusal.message);
        assert_eq!(outcome, expected, "{deletion:?} {creation:?}");
        assert_eq!(cluster.secret().is_some(), exists, "{deletion:?} {creation:?}");
        let keys = usize::from(deletion != DeletionPolicy::Merge);
        assert_eq!(data(&cluster).len(), if exists { keys } else { 0 }, "{deletion:?} {creation:?}");
    };
    check(DeletionPolicy::Retain, CreationPolicy::Owner, Ok(Outcome::Retained), true);
    check(DeletionPolicy::Retain, CreationPolicy::Orphan, Ok(Outcome::Retained), true);
    check(DeletionPolicy::Delete, CreationPolicy::Owner, Ok(Outcome::Deleted), false);
    check(DeletionPolicy::Delete, CreationPolicy::Orphan, Err("could not delete secret"), true);
    check(DeletionPolicy::Merge, CreationPolicy::Owner, Ok(Outcome::Synced), true);
    check(DeletionPolicy::Merge, CreationPolicy::CreateOrMerge, Ok(Outcome::Synced), true);
}

#[test]
fn only_an_own_secret_is_ever_deleted() {
    let mut empty = wanted(CreationPolicy::Owner, &[]);
    empty.deletion = DeletionPolicy::Delete;
    let mut foreign = Cluster::default();
    foreign.edit("helm", |secret| put(secret, "theirs", "1"));
    assert_eq!(foreign.synchronise(&empty, &mut None).unwrap_err().message, "could not delete secret");
    assert_eq!(Cluster::default().synchronise(&empty, &mut None), Ok(Outcome::Deleted));

    let mut own = Cluster::default();
    own.synchronise(&wanted(CreationPolicy::Owner, &[("a", "1")]), &mut None).unwrap();
    let (own, foreign) = (own.metadata("es").unwrap(), foreign.metadata("es").unwrap());
    assert!(removal(Some(&own), &owner(), DeletionPolicy::Delete).is_some());
    assert!(removal(Some(&own), &owner(), DeletionPolicy::Retain).is_none());
    assert!(removal(Some(&foreign), &owner(), DeletionPolicy::Delete).is_none());
    assert!(removal(None, &owner(), DeletionPolicy::Delete).is_none());

    let renamed = Wanted { name: "another".to_owned(), ..wanted(CreationPolicy::Owner, &[("a", "1")]) };
    let deletions = orphaned([&own, &foreign], &renamed);
    assert_eq!(deletions.iter().map(|deletion| deletion.uid.as_str()).collect::<Vec<_>>(), [own.uid.as_str()]);
    assert!(orphaned([&own], &wanted(CreationPolicy::Owner, &[("a", "1")])).is_empty());
    assert!(orphaned([&own], &Wanted { creation: CreationPolicy::Orphan, ..renamed }).is_empty());
}

#[test]
fn keys_whose_source_failed_keep_what_was_delivered() {
    let mut cluster = Cluster::default();
    let mut memory = None;
    cluster.synchronise(&wanted(CreationPolicy::Owner, &[("a", "1"), ("b", "1")]), &mut memory).unwrap();
    let mut partial = wanted(CreationPolicy::Owner, &[("a", "2")]);
    partial.is_partial = true;
    for _ in 0..3 {
        cluster.synchronise(&partial, &mut memory).unwrap();
    }
    assert_eq!(data(&cluster), pairs(&[("a", "2"), ("b", "1")]));
    assert_eq!((cluster.reads, cluster.writes), (1, 2));
}

#[test]
fn a_target_is_mended_before_its_time_where_it_is_damaged() {
    let mut cluster = Cluster::default();
    let wanted = wanted(CreationPolicy::Owner, &[("a", "1")]);
    let mut memory = None;
    let check = |cluster: &Cluster, creation, memory: Option<&_>, expected| {
        assert_eq!(validity(cluster.metadata("es").as_ref(), creation, memory), expected, "{creation:?}");
    };
    check(&cluster, CreationPolicy::Owner, None, Validity::Missing);
    check(&cluster, CreationPolicy::CreateOrMerge, None, Validity::Missing);
    for creation in [CreationPolicy::Orphan, CreationPolicy::Merge, CreationPolicy::None] {
        check(&cluster, creation, None, Validity::Valid);
    }
    cluster.synchronise(&wanted, &mut memory).unwrap();
    check(&cluster, CreationPolicy::Owner, None, Validity::Valid);
    check(&cluster, CreationPolicy::Owner, memory.as_ref(), Validity::Valid);
    // A label of somebody else's is no damage; a changed or removed value is.
    cluster.edit("someone", |secret| {
        secret.metadata.labels.get_or_insert_default().insert("theirs".to_owned(), "1".to_owned());
    });
    check(&cluster, CreationPolicy::Owner, memory.as_ref(), Validity::Valid);
    cluster.edit("someone", |secret| put(secret, "a", "wrong"));
    check(&cluster, CreationPolicy::Owner, memory.as_ref(), Validity::Drifted);
    check(&cluster, CreationPolicy::Owner, None, Validity::Drifted);
    cluster.synchronise(&wanted, &mut memory).unwrap();
    assert_eq!(cluster.text("a").as_deref(), Some("1"));
    check(&cluster, CreationPolicy::Owner, memory.as_ref(), Validity::Valid);
    cluster.edit("someone", |secret| secret.data = None);
    check(&cluster, CreationPolicy::Owner, memory.as_ref(), Validity::Drifted);
    cluster.edit("someone", |secret| secret.metadata.annotations = None);
    check(&cluster, CreationPolicy::Owner, memory.as_ref(), Validity::Unhashed);
    cluster.edit("someone", |secret| secret.metadata.labels = None);
    check(&cluster, CreationPolicy::Owner, memory.as_ref(), Validity::Unmanaged);
}

#[test]
fn nothing_that_is_planned_shows_a_value() {
    let mut wanted = wanted(CreationPolicy::Owner, &[("a", "canary")]);
    wanted.rendered.labels = Texts::from([("label".to_owned(), "canary".to_owned())]);
    let plan = plan(None, &wanted, None);
    let mut secret = Secret::default();
    put(&mut secret, "a", "canary");
    let current = Current::from_secret(secret, "es");
    let shown = format!("{plan:?} {wanted:?} {current:?} {:#?}", current.remember(&wanted));
    assert!(!shown.contains("canary") && !shown.contains("99, 97, 110"), "{shown}");
}

fn policies() -> impl Strategy<Value = CreationPolicy> {
    prop::sample::select(vec![
        CreationPolicy::Owner,
        CreationPolicy::Orphan,
        CreationPolicy::Merge,
        CreationPolicy::CreateOrMerge,
    ])
}

fn some_values() -> impl Strategy<Value = Values> {
    prop::collection::btree_map("[a-e]", "[xy]{0,1}".prop_map(SecretBytes::from), 0..4)
}

fn some_texts() -> impl Strategy<Value = Texts> {
    prop::collection::btree_map("[a-e]", "[xy]", 0..3)
}

fn some_wanted() -> impl Strategy<Value = Wanted> {
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let texts = (some_texts(), some_texts(), prop::collection::vec("[ab]/[cd]", 0..2));
    (policies(), some_values(), texts, flags).prop_map(|(creation, data, (labels, annotations, names), flags)| {
        let mut wanted = wanted(creation, &[]);
        wanted.found_nothing = false;
        let mut finalizers = names;
        finalizers.dedup();
        wanted.rendered = Rendered { data, labels, annotations, finalizers, ..Rendered::default() };
        (wanted.immutable, wanted.is_partial, wanted.has_changed) = flags;
        wanted
    })
}

proptest! {
    #[test]
    fn what_was_written_is_right_afterwards(
        foreign in prop::option::of((some_values(), some_texts())),
        wishes in prop::collection::vec(some_wanted(), 1..4),
    ) {
        let mut cluster = Cluster::default();
        if let Some((data, labels)) = foreign {
            cluster.edit("helm", |secret| {
                put(secret, "f", "theirs");
                data.iter().for_each(|(key, value)| put(secret, key, value.expose_text().unwrap()));
                secret.metadata.labels = Some(labels);
            });
        }
        let mut memory = None;
        for wanted in &wishes {
            // An immutable Secret refuses what comes later; that is another test's.
            let Ok(_) = cluster.synchronise(wanted, &mut memory) else { return Ok(()) };
            let writes = cluster.writes;
            // With the memory of a process, and as one that has just started.
            let reads = cluster.reads;
            cluster.synchronise(wanted, &mut memory).unwrap();
            prop_assert_eq!(reads, cluster.reads, "read though remembered");
            cluster.synchronise(wanted, &mut None).unwrap();
            prop_assert_eq!(writes, cluster.writes, "written though right");
            let Some(current) = cluster.metadata("es") else { continue };
            prop_assert_eq!(validity(Some(&current), wanted.creation, memory.as_ref()), Validity::Valid);
            if !wanted.immutable {
                for (key, value) in &wanted.rendered.data {
                    prop_assert_eq!(cluster.text(key).unwrap(), value.expose_text().unwrap());
                }
            }
            if current.foreign_data.is_empty() && !wanted.is_partial && !wanted.has_changed && !wanted.immutable {
                let planned = plan(Some(&current), wanted, None);
                prop_assert!(matches!(planned, Plan::Nothing(Outcome::Synced)), "{:?}", planned);
            }
        }
    }
}

//! Watches: complete, guarded, and back after each disturbance.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::api::PartialObjectMeta;
use serde::Deserialize;
use strongroom_kube::{
    Connection, Initialized, ObjectName, Observed, Scope, Selection, watch_all, watch_all_until_disturbed,
    watch_namespaces,
};
use tokio::sync::mpsc;
use world::control_plane::{ControlPlane, Options};

use crate::{Wire, cluster, connect, namespace, until};

fn labelled() -> Selection {
    Selection { labels: Some("watched=yes".to_owned()), fields: None }
}

fn config_map(namespace: &str, name: &str, value: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}, namespace: {namespace}, labels: {{watched: \"yes\"}}}},
          data: {{mode: {value}}}}}"
    )
}

/// What an index would hold, and what was told besides.
#[derive(Default)]
struct Index {
    values: BTreeMap<ObjectName, String>,
    malformed: BTreeMap<ObjectName, String>,
    restarts: Vec<Scope>,
}

impl Index {
    fn take(&mut self, observed: Observed<ConfigMap>) {
        match observed {
            Observed::Apply(map) => {
                let value = map.data.unwrap_or_default().remove("mode").unwrap_or_default();
                self.values.insert(ObjectName::of(&map.metadata), value);
            }
            Observed::Delete(map) => drop(self.values.remove(&ObjectName::of(&map.metadata))),
            Observed::Malformed { name, why } => drop(self.malformed.insert(name, why)),
            Observed::DeleteMalformed(name) => drop(self.malformed.remove(&name)),
            Observed::Restarted { scope, names } => {
                self.values.retain(|name, _| !scope.covers(name) || names.contains(name));
                self.restarts.push(scope);
            }
        }
    }

    fn shown(&self) -> BTreeMap<String, String> {
        self.values.iter().map(|(name, value)| (name.name.clone(), value.clone())).collect()
    }
}

fn of(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Takes what was told until the index holds `expected`.
async fn reaches(index: &mut Index, events: &mut mpsc::Receiver<Observed<ConfigMap>>, expected: &[(&str, &str)]) {
    let wanted = of(expected);
    while index.shown() != wanted {
        let next = tokio::time::timeout(Duration::from_secs(60), events.recv()).await;
        let next = next.unwrap_or_else(|_| panic!("{:?} instead of {wanted:?}", index.shown()));
        index.take(next.expect("the watch goes on"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_survives_a_killed_api_server_and_learns_what_vanished() {
    let mut cluster = ControlPlane::start(&Options::default()).unwrap();
    let wire = Wire::to(&cluster).await;
    let connection = connect(&wire.kubeconfig).await;
    for name in ["a", "b"] {
        cluster.apply(&config_map("default", name, "one")).unwrap();
    }
    let initialized = Initialized::default();
    let (told, mut events) = mpsc::channel(4);
    let ready = initialized.handle("watch of configmaps");
    let watch = tokio::spawn(watch_all::<ConfigMap>(connection.client(), labelled(), told, ready));
    let mut index = Index::default();
    reaches(&mut index, &mut events, &[("a", "one"), ("b", "one")]).await;
    while index.restarts.is_empty() {
        index.take(events.recv().await.unwrap());
    }
    until("the watch is ready", || initialized.is_ready()).await;

    // Connections that break are taken up where they were.
    wire.cut();
    cluster.apply(&config_map("default", "a", "two")).unwrap();
    wire.mend();
    reaches(&mut index, &mut events, &[("a", "two"), ("b", "one")]).await;

    // An API server that was restarted has no memory of what was before (410): all is listed again, and what was deleted
    // unseen is gone.
    wire.cut();
    cluster.kubectl(&["delete", "configmap", "b"]).unwrap();
    cluster.apply(&config_map("default", "c", "new")).unwrap();
    cluster.kill_api_server();
    cluster.start_api_server().unwrap();
    wire.mend();
    reaches(&mut index, &mut events, &[("a", "two"), ("c", "new")]).await;
    assert_eq!(index.restarts, [Scope::Cluster, Scope::Cluster]);
    cluster.apply(&config_map("default", "c", "newer")).unwrap();
    reaches(&mut index, &mut events, &[("a", "two"), ("c", "newer")]).await;
    drop(events);
    tokio::time::timeout(Duration::from_secs(10), watch).await.expect("a watch ends with its listener").unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_that_ends_when_it_is_disturbed_says_why_and_closes_what_it_tells() {
    let cluster = cluster();
    let namespace = namespace(cluster);
    let wire = Wire::to(cluster).await;
    let connection = connect(&wire.kubeconfig).await;
    cluster.apply(&config_map(&namespace, "ends", "one")).unwrap();
    let (told, mut events) = mpsc::channel(4);
    let watch = tokio::spawn(watch_all_until_disturbed::<ConfigMap>(connection.client(), labelled(), told));
    let mut index = Index::default();
    while index.restarts.is_empty() {
        index.take(events.recv().await.unwrap());
    }
    assert_eq!(index.shown().get("ends").map(String::as_str), Some("one"));
    wire.cut();
    while events.recv().await.is_some() {}
    let why = tokio::time::timeout(Duration::from_secs(10), watch).await.expect("it ends").unwrap();
    assert!(why.as_deref().is_some_and(|why| why.contains("watch configmaps")), "{why:?}");

    wire.mend();
    let (told, events) = mpsc::channel(4);
    let watch = tokio::spawn(watch_all_until_disturbed::<ConfigMap>(connection.client(), labelled(), told));
    drop(events);
    let why = tokio::time::timeout(Duration::from_secs(10), watch).await.expect("it ends with its listener").unwrap();
    assert_eq!(why, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_without_streams_is_asked_for_pages() {
    let flags = vec!["--feature-gates=WatchList=false".to_owned()];
    let cluster = ControlPlane::start(&Options { api_server_flags: flags, ..Options::default() }).unwrap();
    let connection = connect(cluster.kubeconfig()).await;
    cluster.apply(&config_map("default", "a", "one")).unwrap();
    let (told, mut events) = mpsc::channel(4);
    let ready = Initialized::default().handle("configmaps");
    tokio::spawn(watch_all::<ConfigMap>(connection.client(), labelled(), told, ready));
    let mut index = Index::default();
    reaches(&mut index, &mut events, &[("a", "one")]).await;
    assert_eq!(connection.traffic().count("list", "configmaps"), 1);
    cluster.apply(&config_map("default", "a", "two")).unwrap();
    reaches(&mut index, &mut events, &[("a", "two")]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn some_namespaces_are_watched_and_no_other() {
    let cluster = cluster();
    let (one, two, other) = (namespace(cluster), namespace(cluster), namespace(cluster));
    for (namespace, name) in [(&one, "in-one"), (&two, "in-two"), (&other, "in-other")] {
        cluster.apply(&config_map(namespace, name, "x")).unwrap();
    }
    let connection = connect(cluster.kubeconfig()).await;
    let initialized = Initialized::default();
    let (told, mut events) = mpsc::channel(4);
    let ready = initialized.handle("configmaps");
    let namespaces = vec![one.clone(), two.clone()];
    tokio::spawn(watch_namespaces::<ConfigMap>(connection.client(), namespaces, labelled(), told, ready));
    let mut index = Index::default();
    reaches(&mut index, &mut events, &[("in-one", "x"), ("in-two", "x")]).await;
    while index.restarts.len() < 2 {
        index.take(events.recv().await.unwrap());
    }
    // Each list was about its own namespace: neither took the other's objects away.
    assert_eq!(index.shown(), of(&[("in-one", "x"), ("in-two", "x")]));
    let scopes: BTreeSet<String> = index.restarts.iter().map(|scope| format!("{scope:?}")).collect();
    assert_eq!(scopes, BTreeSet::from([format!("Namespace({one:?})"), format!("Namespace({two:?})")]));
    until("both are ready", || initialized.is_ready()).await;
    assert_eq!(connection.traffic().count("list", "configmaps"), 0, "what is there came as a stream");
    assert_eq!(connection.traffic().count("watch", "configmaps"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_metadata_only_metadata_is_asked() {
    let cluster = cluster();
    let namespace = namespace(cluster);
    cluster.kubectl(&["create", "secret", "generic", "db", "-n", &namespace, "--from-literal=k=canary-1a"]).unwrap();
    let connection = connect(cluster.kubeconfig()).await;
    let (told, mut events) = mpsc::channel::<Observed<PartialObjectMeta<Secret>>>(4);
    let ready = Initialized::default().handle("secrets");
    let namespaces = vec![namespace.clone()];
    tokio::spawn(watch_namespaces(connection.client(), namespaces, Selection::default(), told, ready));
    let Some(Observed::Apply(secret)) = events.recv().await else { panic!("the Secret comes first") };
    assert_eq!(secret.metadata.name.as_deref(), Some("db"));
    assert!(secret.metadata.managed_fields.is_some());
    assert_eq!(secret.types.unwrap().kind, "PartialObjectMetadata");
}

/// A ConfigMap as somebody sees it who knows two modes only.
#[derive(Clone, Debug, Deserialize)]
struct Strict {
    metadata: ObjectMeta,
    data: Modes,
}

#[derive(Clone, Debug, Deserialize)]
struct Modes {
    mode: Mode,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
enum Mode {
    Slow,
    Quick,
}

impl Resource for Strict {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind(_: &()) -> std::borrow::Cow<'_, str> {
        "ConfigMap".into()
    }

    fn group(_: &()) -> std::borrow::Cow<'_, str> {
        "".into()
    }

    fn version(_: &()) -> std::borrow::Cow<'_, str> {
        "v1".into()
    }

    fn plural(_: &()) -> std::borrow::Cow<'_, str> {
        "configmaps".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

async fn next(events: &mut mpsc::Receiver<Observed<Strict>>) -> Observed<Strict> {
    let next = tokio::time::timeout(Duration::from_secs(30), events.recv()).await;
    next.expect("something is told").expect("the watch goes on")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_object_is_named_and_stops_nothing() {
    let cluster = cluster();
    let namespace = namespace(cluster);
    cluster.apply(&config_map(&namespace, "bad", "canary-7f3a")).unwrap();
    let connection: Connection = connect(cluster.kubeconfig()).await;
    let (told, mut events) = mpsc::channel(4);
    let ready = Initialized::default().handle("configmaps");
    tokio::spawn(watch_namespaces::<Strict>(connection.client(), vec![namespace.clone()], labelled(), told, ready));
    let bad = ObjectName { namespace: Some(namespace.clone()), name: "bad".to_owned() };
    let Observed::Malformed { name, why } = next(&mut events).await else { panic!("it is malformed") };
    assert_eq!((&name, why.as_str()), (&bad, "unknown variant, expected `Slow` or `Quick`"));
    let Observed::Restarted { names, .. } = next(&mut events).await else { panic!("the list is complete") };
    assert!(names.contains(&bad), "a malformed object is there all the same");
    cluster.apply(&config_map(&namespace, "good", "Slow")).unwrap();
    let Observed::Apply(good) = next(&mut events).await else { panic!("a good one is told") };
    assert_eq!(good.data.mode, Mode::Slow);
    cluster.apply(&config_map(&namespace, "bad", "Quick")).unwrap();
    let Observed::Apply(mended) = next(&mut events).await else { panic!("it was mended") };
    assert_eq!((mended.metadata.name.as_deref(), mended.data.mode), (Some("bad"), Mode::Quick));
    cluster.apply(&config_map(&namespace, "bad", "Fast")).unwrap();
    assert!(matches!(next(&mut events).await, Observed::Malformed { .. }));
    cluster.kubectl(&["delete", "configmap", "bad", "-n", &namespace]).unwrap();
    assert!(matches!(next(&mut events).await, Observed::DeleteMalformed(name) if name == bad));
}

use std::sync::Arc;

use strongroom_failure::Class;
use strongroom_kubernetes::{CustomResourceSettings, CustomResources, Kind, Namespaces, Rule, Whitelist};
use strongroom_provider::{Find, Meter, Outcome, Pattern, Provider, RemoteKey, Validation};
use world::control_plane::ControlPlane;

use crate::cluster::{CANARY, account, connection, namespace, read, shared, text, words};

const GROUP: &str = "example.io";

/// The kinds Widget (in namespaces) and Planet (in none), and the namespace of a test.
fn prepared(cluster: &ControlPlane, name: &str) {
    for (kind, plural, scope) in [("Widget", "widgets", "Namespaced"), ("Planet", "planets", "Cluster")] {
        cluster
            .apply(&format!(
                "{{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, \
                 metadata: {{name: {plural}.{GROUP}}}, spec: {{group: {GROUP}, scope: {scope}, \
                 names: {{kind: {kind}, plural: {plural}}}, versions: [{{name: v1, served: true, storage: true, \
                 schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}}}]}}}}"
            ))
            .unwrap();
        cluster
            .kubectl(&["wait", "--for=condition=Established", &format!("crd/{plural}.{GROUP}"), "--timeout=30s"])
            .unwrap();
    }
    namespace(cluster, name);
}

fn object(cluster: &ControlPlane, kind: &str, namespace: Option<&str>, name: &str) {
    let place = namespace.map(|namespace| format!(", namespace: {namespace}")).unwrap_or_default();
    cluster
        .apply(&format!(
            "{{apiVersion: {GROUP}/v1, kind: {kind}, metadata: {{name: {name}{place}, labels: {{name: {name}}}}}, \
             spec: {{user: {name}, password: '{CANARY}', ports: [1, 2], nested: {{a.b: dotted}}}}}}"
        ))
        .unwrap();
}

fn kind(group: &str, kind: &str) -> Kind {
    Kind { group: group.to_owned(), version: "v1".to_owned(), kind: kind.to_owned() }
}

fn open(
    cluster: &ControlPlane,
    token: &str,
    kind: Kind,
    namespaces: Namespaces,
    rules: Vec<Rule>,
) -> (CustomResources, Arc<Meter>) {
    let meter = Arc::new(Meter::default());
    let connection = connection(cluster, Some(token));
    let settings = CustomResourceSettings { connection, kind, namespaces, whitelist: Whitelist(rules) };
    (CustomResources::open(settings, Arc::clone(&meter)).unwrap(), meter)
}

fn part(name: &str, property: &str) -> RemoteKey {
    RemoteKey { property: Some(property.to_owned()), ..RemoteKey::current(name) }
}

fn named(pattern: &str) -> Find {
    Find { name: Some(Pattern::new(pattern).unwrap()), ..Find::default() }
}

#[tokio::test]
async fn one_get_answers_all_properties_and_the_kind_is_looked_up_once() {
    let cluster = shared();
    prepared(&cluster, "widgets");
    object(&cluster, "Widget", Some("widgets"), "app");
    let token = account(&cluster, "widgets", "reader", "get", GROUP, "widgets");
    let own = Namespaces::One("widgets".to_owned());
    let (store, meter) = open(&cluster, &token, kind(GROUP, "widget"), own, Vec::new());
    assert!(store.takes_properties());
    let keys = [
        part("app", "spec.user"),
        part("app", "spec.ports"),
        part("app", r"spec.nested.a\.b"),
        part("app", "spec.missing"),
        RemoteKey::current("app"),
        RemoteKey::current("gone"),
        RemoteKey::current("widgets/app"),
    ];
    assert_eq!(store.plan(&keys).len(), 3);
    let answers = store.read(&keys).await;
    assert_eq!((text(&answers[0]), text(&answers[1]), text(&answers[2])), ("app", "[1,2]", "dotted"));
    assert_eq!(answers[3].as_ref().unwrap_err().class, Class::NotFound);
    let whole: serde_json::Value = serde_json::from_str(text(&answers[4])).unwrap();
    assert_eq!((&whole["kind"], &whole["spec"]["password"]), (&"Widget".into(), &CANARY.into()));
    assert_eq!(answers[5].as_ref().unwrap_err().class, Class::NotFound);
    let slash = answers[6].as_ref().unwrap_err();
    assert_eq!(slash.class, Class::Invalid);
    assert!(words(slash).contains("without a /"), "{slash}");
    read(&store, "app").await.unwrap();
    let counts = [("kubernetes:Discover", Outcome::Answered, 1), ("kubernetes:GetObject", Outcome::Answered, 3)];
    assert_eq!(meter.counts(), counts);
    assert_eq!(store.validate().await.unwrap(), Validation::Valid);
}

#[tokio::test]
async fn an_account_that_may_only_get_reads_by_key_and_cannot_find() {
    let cluster = shared();
    prepared(&cluster, "getting");
    object(&cluster, "Widget", Some("getting"), "app");
    let token = account(&cluster, "getting", "getter", "get", GROUP, "widgets");
    let own = Namespaces::One("getting".to_owned());
    let (store, _) = open(&cluster, &token, kind(GROUP, "Widget"), own, Vec::new());
    assert_eq!(text(&store.read(&[part("app", "spec.user")]).await[0]), "app");
    let failure = store.find(&named(".")).await.unwrap_err();
    assert_eq!(failure.class, Class::Denied);
    assert!(words(&failure).contains("cannot list resource \"widgets\""), "{failure}");
    let stranger = cluster.service_account_token("getting", "stranger", &[]).unwrap();
    let own = Namespaces::One("getting".to_owned());
    let (store, _) = open(&cluster, &stranger, kind(GROUP, "Widget"), own, Vec::new());
    assert_eq!(store.validate().await.unwrap_err().class, Class::Denied);
    assert_eq!(read(&store, "app").await.unwrap_err().class, Class::Denied);
}

#[tokio::test]
async fn a_cluster_store_reads_by_namespace_and_finds_in_all() {
    let cluster = shared();
    prepared(&cluster, "all-a");
    namespace(&cluster, "all-b");
    for (place, name) in [("all-a", "all-app"), ("all-b", "all-app"), ("all-b", "all-other")] {
        object(&cluster, "Widget", Some(place), name);
    }
    object(&cluster, "Planet", None, "earth");
    let token = cluster.service_account_token("all-a", "everywhere", &[]).unwrap();
    cluster
        .apply(&format!(
            "{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {{name: everywhere}}, \
             rules: [{{apiGroups: [{GROUP}], resources: [widgets, planets], verbs: [get, list]}}]}}
---
{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {{name: everywhere}}, \
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: everywhere}}, \
             subjects: [{{kind: ServiceAccount, name: everywhere, namespace: all-a}}]}}"
        ))
        .unwrap();
    let any = || Namespaces::Any { searched: None };
    let (store, _) = open(&cluster, &token, kind(GROUP, "Widget"), any(), Vec::new());
    let keys = [part("all-b/all-app", "metadata.namespace"), RemoteKey::current("all-app")];
    let answers = store.read(&keys).await;
    assert_eq!(text(&answers[0]), "all-b");
    assert!(words(answers[1].as_ref().unwrap_err()).contains("NAMESPACE/NAME"));
    let names = async |store: &CustomResources, query: Find| {
        let found = store.find(&query).await.unwrap();
        assert!(found.iter().all(|found| found.value.is_some()));
        found.into_iter().map(|found| (found.name, found.key.name)).collect::<Vec<_>>()
    };
    let pair = |name: &str, key: &str| (name.to_owned(), key.to_owned());
    let both = [pair("all-a/all-app", "all-a/all-app"), pair("all-b/all-app", "all-b/all-app")];
    assert_eq!(names(&store, named("^all-app$")).await, both);
    let tags = [("name".to_owned(), "all-other".to_owned())].into();
    let labelled = Find { tags, ..Find::default() };
    assert_eq!(names(&store, labelled).await, [pair("all-b/all-other", "all-b/all-other")]);
    let one = Namespaces::Any { searched: Some("all-b".to_owned()) };
    let (store, _) = open(&cluster, &token, kind(GROUP, "Widget"), one, Vec::new());
    assert_eq!(names(&store, named("^all-app$")).await, [pair("all-app", "all-b/all-app")]);
    let (planets, _) = open(&cluster, &token, kind(GROUP, "Planet"), any(), Vec::new());
    assert_eq!(text(&planets.read(&[part("earth", "spec.user")]).await[0]), "earth");
    assert_eq!(names(&planets, named(".")).await, [pair("earth", "earth")]);
    assert!(words(&read(&planets, "all-a/earth").await.unwrap_err()).contains("in no namespace"));
    assert_eq!(planets.validate().await.unwrap(), Validation::Valid);
}

#[tokio::test]
async fn the_whitelist_decides_before_anything_is_read() {
    let cluster = shared();
    prepared(&cluster, "listed");
    object(&cluster, "Widget", Some("listed"), "app");
    object(&cluster, "Widget", Some("listed"), "free");
    let token = account(&cluster, "listed", "reader", "'get','list'", GROUP, "widgets");
    let pattern = |source: &str| Pattern::new(source).unwrap();
    let rules = vec![
        Rule { properties: vec![pattern(r"^spec\.user$")], ..Rule::default() },
        Rule { name: Some(pattern("^free$")), ..Rule::default() },
    ];
    let own = Namespaces::One("listed".to_owned());
    let (store, meter) = open(&cluster, &token, kind(GROUP, "Widget"), own, rules);
    let denied = [part("app", "spec.password"), RemoteKey::current("app"), part("app", "spec.user.password")];
    for answer in store.read(&denied).await {
        let failure = answer.unwrap_err();
        assert_eq!(failure.class, Class::Denied);
        assert!(words(&failure).contains("no whitelist rule"), "{failure}");
    }
    assert_eq!(meter.counts(), [("kubernetes:Discover", Outcome::Answered, 1)]);
    let keys = [part("app", "spec.user"), part("app", "spec.password"), part("free", "spec.password")];
    let answers = store.read(&keys).await;
    assert_eq!((text(&answers[0]), text(&answers[2])), ("app", CANARY));
    assert_eq!(answers[1].as_ref().unwrap_err().class, Class::Denied);
    let found = store.find(&named(".")).await.unwrap();
    assert_eq!(found.iter().map(|found| found.name.as_str()).collect::<Vec<_>>(), ["free"]);
}

#[tokio::test]
async fn built_in_kinds_are_read_and_secrets_refused() {
    let cluster = shared();
    namespace(&cluster, "built-in");
    cluster
        .apply("{apiVersion: v1, kind: ConfigMap, metadata: {name: settings, namespace: built-in}, data: {a.b: c}}")
        .unwrap();
    let token = account(&cluster, "built-in", "reader", "'get','list'", "", "configmaps");
    let own = || Namespaces::One("built-in".to_owned());
    let (store, _) = open(&cluster, &token, kind("", "ConfigMap"), own(), Vec::new());
    assert_eq!(text(&store.read(&[part("settings", r"data.a\.b")]).await[0]), "c");
    let found = store.find(&named("^settings$")).await.unwrap();
    let whole: serde_json::Value =
        serde_json::from_str(found[0].value.as_ref().unwrap().value.expose_text().unwrap()).unwrap();
    assert_eq!((&whole["kind"], &whole["apiVersion"]), (&"ConfigMap".into(), &"v1".into()));
    let settings = |kind: Kind| CustomResourceSettings {
        connection: connection(&cluster, Some(&token)),
        kind,
        namespaces: own(),
        whitelist: Whitelist::default(),
    };
    let refused = CustomResources::open(settings(kind("", "secret")), Arc::default()).map(drop).unwrap_err();
    assert_eq!(refused.class, Class::Denied);
    for missing in [kind("", "Gizmo"), kind("none.example.io", "Widget")] {
        let (store, _) = open(&cluster, &token, missing, own(), Vec::new());
        let failure = read(&store, "x").await.unwrap_err();
        assert_eq!(failure.class, Class::Invalid, "{failure}");
    }
}

//! Some namespaces only: an operator with the rights that the chart gives it there, and none elsewhere.

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};
use world::helm::Helm;
use world::part::Part;

use super::api::API;
use super::pushes::{entry, holds, push, reader, source, stands};
use super::support::{CLUSTER, PATIENCE, condition, eventually, namespace};
use super::sync::apply;
use super::world_of_stores::{core, create, wait_until_read};

static HELM: LazyLock<Helm> = LazyLock::new(|| Helm::new().unwrap());

/// A release of the chart, of which there are the access rules and the operator's process; the service account is its
/// own.
struct Release {
    name: String,
    part: Part,
    folder: tempfile::TempDir,
}

impl Release {
    /// Starts the operator as the service account to which the chart gives rights for `values`.
    fn start(values: &Value, flags: &[&str]) -> Self {
        let name = namespace(&CLUSTER, &[]);
        let folder = tempfile::tempdir().unwrap();
        let file = write(folder.path(), "values", values);
        let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/helm/strongroom");
        let words = ["template", &name, chart, "-n", &name, "--values", &file, "--show-only", "templates/rbac.yaml"];
        CLUSTER.apply(&HELM.run(&words).unwrap()).unwrap();
        let token = CLUSTER.service_account_token(&name, &format!("{name}-strongroom"), &[]).unwrap();
        let server = json!({"server": CLUSTER.server(), "certificate-authority": CLUSTER.certificate_authority()});
        let context = json!({"cluster": "world", "user": "operator", "namespace": name});
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "world",
            "clusters": [{"name": "world", "cluster": server}],
            "users": [{"name": "operator", "user": {"token": token}}],
            "contexts": [{"name": "world", "context": context}],
        });
        let kubeconfig = write(folder.path(), "kubeconfig", &kubeconfig);
        let mut command = Command::new(env!("CARGO_BIN_EXE_strongroom"));
        command.env_clear().args(["operator", "--kubeconfig", &kubeconfig, "--loglevel=debug"]);
        command.args(["--metrics-addr=0", "--live-addr=0", "--allow-local-addresses"]).args(flags);
        let part = Part::start("operator", &command, folder.path()).unwrap();
        Self { name, part, folder }
    }

    fn logged(&self) -> String {
        std::fs::read_to_string(self.part.log()).unwrap_or_default()
    }

    /// Waits until it has seen everything that it may see.
    fn wait_until_at_work(&mut self) {
        let log = self.part.log().to_owned();
        let works = || std::fs::read_to_string(&log).unwrap_or_default().contains("the operator works");
        self.part.wait_until(PATIENCE, works).unwrap();
    }

    /// Whether its account may list Secrets there.
    fn may_list_secrets(&self, namespace: &str) -> bool {
        let account = format!("--as=system:serviceaccount:{0}:{0}-strongroom", self.name);
        CLUSTER.kubectl(&["auth", "can-i", "list", "secrets", "-n", namespace, &account]).is_ok()
    }

    /// Nothing was forbidden, and nothing else went wrong.
    fn was_denied_nothing(&self) {
        let logged = self.logged();
        let is_trouble = |line: &&str| {
            ["forbidden", "level=warn", "level=error"].iter().any(|sign| line.to_lowercase().contains(sign))
        };
        let trouble: Vec<&str> = logged.lines().filter(is_trouble).collect();
        assert!(trouble.is_empty(), "{trouble:#?}");
        assert!(logged.contains("level="), "nothing was logged");
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the log of {} in {}:\n{}", self.name, self.folder.path().display(), self.logged());
        }
    }
}

/// Writes a file and says where it is.
fn write(folder: &Path, name: &str, content: &Value) -> String {
    let file = folder.join(name);
    std::fs::write(&file, content.to_string()).unwrap();
    file.display().to_string()
}

/// The spec of a store of this class.
fn fake(class: &str, value: &str) -> Value {
    json!({"controller": class, "provider": {"fake": {"data": [{"key": "/a", "value": value}]}}})
}

fn one(store: &Value) -> Value {
    json!({
        "secretStoreRef": store, "refreshInterval": "1s", "data": [{"secretKey": "a", "remoteRef": {"key": "/a"}}],
    })
}

/// Puts into a namespace what needs each of the rights.
fn fill(namespace: &str, class: &str, cluster_store: &str) {
    create(namespace, "SecretStore", "fake", &fake(class, "one"));
    core(namespace, "ConfigMap", "parts", &json!({"data": {"t": "from {{ .a }}"}}));
    core(namespace, "Secret", "source", &json!({"stringData": {"k": "copied"}}));
    core(namespace, "ServiceAccount", "reader", &json!({}));
    let account = format!("--serviceaccount={namespace}:reader");
    CLUSTER.kubectl(&["create", "rolebinding", "reader", "-n", namespace, "--clusterrole=admin", &account]).unwrap();
    let auth = json!({"serviceAccount": {"name": "reader"}});
    let kubernetes = json!({"kubernetes": {"remoteNamespace": namespace, "auth": auth}});
    create(namespace, "SecretStore", "kubernetes", &json!({"controller": class, "provider": kubernetes}));
    let with_target = |target: Value| {
        let mut spec = one(&json!({"name": "fake"}));
        spec["target"] = target;
        spec
    };
    let template = json!({"templateFrom": [{"configMap": {"name": "parts", "items": [{"key": "t"}]}}]});
    let copied = json!({
        "secretStoreRef": {"name": "kubernetes"}, "dataFrom": [{"extract": {"key": "source"}}], "refreshInterval": "1s",
    });
    let manifest = json!({"manifest": {"apiVersion": "v1", "kind": "ConfigMap"}, "deletionPolicy": "Delete"});
    for (name, spec) in [
        ("plain", with_target(json!({"deletionPolicy": "Delete"}))),
        ("templated", with_target(json!({"template": template}))),
        ("copied", copied),
        ("map", with_target(manifest)),
        ("by-cluster", one(&json!({"name": cluster_store, "kind": "ClusterSecretStore"}))),
    ] {
        create(namespace, "ExternalSecret", name, &spec);
    }
}

/// What the operator makes of it.
fn is_served(namespace: &str, value: &str) {
    let (plain, templated) = (format!("a={value}"), format!("t=from {value}"));
    wait_until_read(namespace, &[("plain", &plain), ("templated", &templated), ("copied", "k=copied")]);
    eventually("the ConfigMap is right", || {
        let found = API.get("configmaps", namespace, "map").map(|map| map["data"].clone()).unwrap_or_default();
        if found == json!({"a": value}) { Ok(()) } else { Err(found) }
    });
}

/// Nobody has looked at anything in a namespace.
fn is_untouched(namespace: &str) {
    assert_eq!(API.list("secrets", namespace).into_keys().collect::<Vec<_>>(), ["source"]);
    assert!(API.get("configmaps", namespace, "map").is_none());
    for kind in ["secretstores", "externalsecrets"] {
        for (name, object) in API.list(kind, namespace) {
            assert!(object["status"].is_null(), "{kind} {name}: {object}");
            assert!(object["metadata"]["finalizers"].is_null(), "{kind} {name}: {object}");
        }
    }
    let events = API.list("events", namespace);
    assert!(!events.values().any(|event| event["source"]["component"] == "external-secrets"), "{events:?}");
}

#[test]
fn named_namespaces_are_served_by_rights_in_these_alone() {
    let class = "scoped";
    let [one, two, elsewhere] = [(); 3].map(|()| namespace(&CLUSTER, &[]));
    let cluster_store = format!("scoped-{one}");
    create("", "ClusterSecretStore", &cluster_store, &fake(class, "one"));
    [&one, &two, &elsewhere].iter().for_each(|namespace| fill(namespace, class, &cluster_store));
    let values = json!({
        "scope": {"namespaces": [one, two]}, "rbac": {"detectOtherControllers": false},
        "genericTargets": {"enabled": true},
    });
    let served = format!("--namespace={one},{two}");
    let flags = ["--controller-class=scoped", "--unsafe-allow-generic-targets", &served];
    let mut release = Release::start(&values, &flags);
    release.wait_until_at_work();
    [&one, &two].iter().for_each(|namespace| is_served(namespace, "one"));
    for namespace in [&one, &two] {
        API.patch("secretstores", namespace, "fake", &json!({"spec": fake(class, "two")}));
        is_served(namespace, "two");
        let events = API.list("events", namespace);
        assert!(events.values().any(|event| event["reason"] == "Created"), "{events:?}");
        for name in ["plain", "map"] {
            API.delete("externalsecrets", namespace, name);
        }
        eventually("what must go with its ExternalSecret is gone", || {
            let left =
                [("externalsecrets", "plain"), ("externalsecrets", "map"), ("secrets", "plain"), ("configmaps", "map")]
                    .into_iter()
                    .filter(|(kind, name)| API.get(kind, namespace, name).is_some());
            let left: Vec<_> = left.collect();
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        });
        let by_cluster = API.get("externalsecrets", namespace, "by-cluster").unwrap();
        assert!(by_cluster["status"].is_null(), "cluster kinds are left alone: {by_cluster}");
    }
    is_untouched(&elsewhere);
    assert!(API.get("clustersecretstores", "", &cluster_store).unwrap()["status"].is_null());
    release.was_denied_nothing();
    assert!(release.may_list_secrets(&one) && release.may_list_secrets(&two));
    assert!(!release.may_list_secrets(&elsewhere) && !release.may_list_secrets(&release.name));
    API.delete("clustersecretstores", "", &cluster_store);
}

/// A generator, and PushSecrets of each kind of source into a store of the namespace; one into a store of the cluster.
fn fill_with_pushes(namespace: &str, class: &str, cluster_store: &str) {
    let own = json!({"fake": {"data": [{"key": "own", "value": "of the store"}]}});
    create(namespace, "SecretStore", "fake", &json!({"controller": class, "provider": own}));
    let generator = "{apiVersion: generators.external-secrets.io/v1alpha1, kind: Password, metadata: {name: long}, \
                     spec: {length: 40}}";
    apply(namespace, generator);
    source(namespace, "app", &json!({"push": "this"}), &json!({"a": "one"}));
    let one = json!({"name": "app"});
    let labelled = json!({"selector": {"matchLabels": {"push": "this"}}});
    let long = json!({"generatorRef": {"kind": "Password", "name": "long"}});
    for (name, store, selector, data) in [
        ("named", json!({"name": "fake"}), json!({"secret": one}), entry("a", "named", None)),
        ("labelled", json!({"name": "fake"}), json!({"secret": labelled}), entry("a", "labelled", None)),
        ("generated", json!({"name": "fake"}), long, entry("password", "generated", None)),
        (
            "by-cluster",
            json!({"name": cluster_store, "kind": "ClusterSecretStore"}),
            json!({"secret": one}),
            entry("a", "by-cluster", None),
        ),
    ] {
        let spec =
            json!({"secretStoreRefs": [store], "selector": selector, "data": [data], "deletionPolicy": "Delete"});
        push(namespace, name, &spec);
    }
}

#[test]
fn pushes_stay_within_the_namespaces_that_are_served() {
    let class = "scoped-pushes";
    let [within, elsewhere] = [(); 2].map(|()| namespace(&CLUSTER, &[]));
    let cluster_store = format!("scoped-pushes-{within}");
    create("", "ClusterSecretStore", &cluster_store, &fake(class, "of the store"));
    [&within, &elsewhere].iter().for_each(|namespace| fill_with_pushes(namespace, class, &cluster_store));
    let values = json!({"scope": {"namespaces": [within]}, "rbac": {"detectOtherControllers": false}});
    let class = format!("--controller-class={class}");
    let mut release = Release::start(&values, &[&class, &format!("--namespace={within}")]);
    release.wait_until_at_work();
    for name in ["named", "labelled", "generated"] {
        let (object, _) = stands(&within, name, ("True", "Synced"));
        assert_eq!(object["metadata"]["finalizers"], json!(["pushsecret.externalsecrets.io/finalizer"]), "{name}");
    }
    let own = ("own", "of the store");
    reader(&within, "fake", &["named", "labelled", "own"]);
    holds(&within, "fake", &[("named", "one"), ("labelled", "one"), own]);
    API.patch("secrets", &within, "app", &json!({"stringData": {"a": "two"}}));
    holds(&within, "fake", &[("named", "two"), ("labelled", "two"), own]);
    release.was_denied_nothing();
    let names = ["named", "labelled", "generated"];
    names.iter().for_each(|name| assert!(API.delete("pushsecrets", &within, name), "{name}"));
    eventually("they are gone", || {
        let left: Vec<_> = API.list("pushsecrets", &within).into_keys().collect();
        if left == ["by-cluster"] { Ok(()) } else { Err(format!("{left:?}")) }
    });
    holds(&within, "fake", &[own]);
    assert!(!release.logged().to_lowercase().contains("forbidden"), "a right is missing");

    let mut left = API.list("pushsecrets", &elsewhere);
    assert_eq!(left.len(), 4);
    left.insert(format!("by-cluster of {within}"), API.get("pushsecrets", &within, "by-cluster").unwrap());
    for (name, object) in left {
        let is_untouched = object["status"].is_null() && object["metadata"]["finalizers"].is_null();
        assert!(is_untouched, "{name}: {object}");
    }
    assert_eq!(API.list("secrets", &elsewhere).into_keys().collect::<Vec<_>>(), ["app"], "nothing is kept there");
    assert!(API.list("events", &elsewhere).is_empty(), "nobody speaks of what is there");
    assert!(API.get("clustersecretstores", "", &cluster_store).unwrap()["status"].is_null());
    assert!(API.get("secretstores", &elsewhere, "fake").unwrap()["status"].is_null());
    API.delete("clustersecretstores", "", &cluster_store);
}

#[test]
fn a_named_namespace_without_rights_is_told() {
    let [one, elsewhere] = [(); 2].map(|()| namespace(&CLUSTER, &[]));
    let values = json!({"scope": {"namespaces": [one]}, "rbac": {"detectOtherControllers": false}});
    let served = format!("--namespace={one},{elsewhere}");
    let release = Release::start(&values, &["--controller-class=without", &served]);
    eventually("the log says what is missing and where", || {
        let logged = release.logged();
        let is_it = |line: &str| line.contains("forbidden") && line.contains(&elsewhere) && line.contains("level=warn");
        if logged.lines().any(is_it) { Ok(()) } else { Err(logged) }
    });
    assert!(!release.logged().contains("the operator works"), "half of what is to be served is unseen");
}

#[test]
fn selected_namespaces_are_served_as_they_come_and_go() {
    let class = "selected";
    let [stays, comes] = [(); 2].map(|()| namespace(&CLUSTER, &[]));
    let cluster_store = format!("selected-{stays}");
    create("", "ClusterSecretStore", &cluster_store, &fake(class, "one"));
    [&stays, &comes].iter().for_each(|namespace| fill(namespace, class, &cluster_store));
    let label = |namespace: &str, value: Value| {
        API.patch("namespaces", "", namespace, &json!({"metadata": {"labels": {"scope": value}}}));
    };
    label(&stays, json!(stays));
    let selector = format!("scope={stays}");
    let values = json!({
        "scope": {"namespaceSelector": selector}, "rbac": {"detectOtherControllers": false},
        "genericTargets": {"enabled": true},
    });
    let selector = format!("--namespace-selector={selector}");
    let flags = ["--controller-class=selected", "--unsafe-allow-generic-targets", &selector];
    let mut release = Release::start(&values, &flags);
    release.wait_until_at_work();
    is_served(&stays, "one");
    is_untouched(&comes);
    label(&comes, json!(stays));
    is_served(&comes, "one");
    // One that has gone is left as it was; the other goes on.
    label(&comes, Value::Null);
    // Label and store come by two watches, and nothing orders these.
    std::thread::sleep(Duration::from_secs(1));
    for namespace in [&stays, &comes] {
        API.patch("secretstores", namespace, "fake", &json!({"spec": fake(class, "two")}));
    }
    is_served(&stays, "two");
    std::thread::sleep(Duration::from_millis(2500));
    is_served(&comes, "one");
    label(&comes, json!(stays));
    is_served(&comes, "two");
    for namespace in [&stays, &comes] {
        let by_cluster = API.get("externalsecrets", namespace, "by-cluster").unwrap();
        assert_eq!(condition(&by_cluster, "Ready"), None, "cluster kinds are left alone");
    }
    release.was_denied_nothing();
    API.delete("clustersecretstores", "", &cluster_store);
}

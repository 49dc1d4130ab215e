//! PushSecrets: values of Secrets into stores, and out again. The stores are fake ones, whose values other
//! ExternalSecrets read back.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::api::{API, data};
use super::support::{CLUSTER, OPERATOR, condition, eventually, namespace};
use super::sync::apply;

/// A namespace with a fake store of that name, which holds `own` and lets everything else be pushed.
fn served(labels: &[(&str, &str)]) -> String {
    let namespace = namespace(&CLUSTER, labels);
    assert!(OPERATOR.process() > 0);
    store(&namespace, "fake", &json!({}));
    namespace
}

fn store(namespace: &str, name: &str, labels: &Value) {
    let spec = json!({"provider": {"fake": {"data": [{"key": "own", "value": "of the store"}]}}});
    let object = json!({
        "apiVersion": "external-secrets.io/v1", "kind": "SecretStore",
        "metadata": {"name": name, "labels": labels}, "spec": spec,
    });
    assert_eq!(API.create("secretstores", namespace, &object), (201, String::new()));
}

pub(super) fn source(namespace: &str, name: &str, labels: &Value, values: &Value) {
    let object = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "labels": labels}, "stringData": values,
    });
    assert_eq!(API.create("secrets", namespace, &object), (201, String::new()));
}

pub(super) fn push(namespace: &str, name: &str, spec: &Value) {
    let object = json!({
        "apiVersion": "external-secrets.io/v1alpha1", "kind": "PushSecret", "metadata": {"name": name}, "spec": spec,
    });
    assert_eq!(API.create("pushsecrets", namespace, &object), (201, String::new()));
}

/// An entry of `data`.
pub(super) fn entry(key: &str, remote_key: &str, property: Option<&str>) -> Value {
    let mut remote_ref = json!({"remoteKey": remote_key});
    if let Some(property) = property {
        remote_ref["property"] = json!(property);
    }
    json!({"match": {"secretKey": key, "remoteRef": remote_ref}})
}

/// Waits until a PushSecret stands so; gives it and its message.
pub(super) fn stands(namespace: &str, name: &str, expected: (&str, &str)) -> (Value, String) {
    eventually(&format!("{name} is {expected:?}"), || {
        let object = API.get("pushsecrets", namespace, name).ok_or("it does not exist")?;
        match condition(&object, "Ready") {
            Some((status, reason, message)) if (status.as_str(), reason.as_str()) == expected => Ok((object, message)),
            other => Err(format!("{other:?}")),
        }
    })
}

/// An ExternalSecret that reads these keys of the store again and again.
pub(super) fn reader(namespace: &str, store: &str, keys: &[&str]) {
    reader_of(namespace, "SecretStore", store, keys);
}

fn reader_of(namespace: &str, kind: &str, store: &str, keys: &[&str]) {
    let own = |key: &str| key.replace('/', ".");
    let entries: Vec<_> = keys.iter().map(|key| json!({"secretKey": own(key), "remoteRef": {"key": key}})).collect();
    let object = json!({
        "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
        "metadata": {"name": format!("reader-{store}"), "annotations": {"strongroom.dev/partial": "true"}},
        "spec": {"secretStoreRef": {"name": store, "kind": kind}, "refreshInterval": "1s", "data": entries},
    });
    assert_eq!(API.create("externalsecrets", namespace, &object), (201, String::new()));
}

/// Waits until the reader of `store` finds exactly these values.
pub(super) fn holds(namespace: &str, store: &str, expected: &[(&str, &str)]) {
    let expected: BTreeMap<_, _> =
        expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    eventually(&format!("{store} holds {:?}", expected.keys()), || {
        // A key that is gone leaves what was delivered: the Secret is made anew.
        let found = API.get("secrets", namespace, &format!("reader-{store}")).map(|secret| data(&secret));
        let found = found.unwrap_or_default();
        if found == expected {
            return Ok(());
        }
        API.delete("secrets", namespace, &format!("reader-{store}"));
        std::thread::sleep(Duration::from_millis(300));
        Err(format!("{found:?}"))
    });
}

#[test]
fn values_are_pushed_and_a_changed_source_is_pushed_at_once() {
    let namespace = served(&[]);
    source(&namespace, "app", &json!({}), &json!({"user": "ann", "password": "one", "api_key": "k"}));
    push(
        &namespace,
        "app",
        &json!({
            "secretStoreRefs": [{"name": "fake"}], "selector": {"secret": {"name": "app"}},
            "template": {"data": {"url": "db://{{ .user }}"}},
            "data": [entry("password", "plain", None), entry("url", "db", Some("url")), entry("user", "db", Some("user"))],
            "dataTo": [{
                "storeRef": {"name": "fake"}, "match": {"regexp": "^api_"},
                "rewrite": [{"regexp": {"source": "^api_", "target": "app-"}}],
            }],
        }),
    );
    let (object, message) = stands(&namespace, "app", ("True", "Synced"));
    assert_eq!(message, "PushSecret synced successfully");
    let synced = &object["status"]["syncedPushSecrets"]["SecretStore/fake"];
    let places: Vec<_> = synced.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(places, ["app-key", "db/url", "db/user", "plain"]);
    assert!(object["status"]["refreshTime"].is_string() && object["metadata"]["finalizers"].is_null(), "{object}");
    reader(&namespace, "fake", &["plain", "db", "app-key"]);
    let db = r#"{"url":"db://ann","user":"ann"}"#;
    holds(&namespace, "fake", &[("plain", "one"), ("db", db), ("app-key", "k")]);
    API.patch("secrets", &namespace, "app", &json!({"stringData": {"password": "two"}}));
    // The interval is an hour.
    holds(&namespace, "fake", &[("plain", "two"), ("db", db), ("app-key", "k")]);
}

#[test]
fn in_steady_state_nothing_is_written() {
    let namespace = served(&[]);
    source(&namespace, "app", &json!({}), &json!({"a": "1"}));
    push(
        &namespace,
        "app",
        &json!({
            "refreshInterval": "1s", "secretStoreRefs": [{"name": "fake"}], "selector": {"secret": {"name": "app"}},
            "deletionPolicy": "Delete", "data": [entry("a", "a", None)],
        }),
    );
    stands(&namespace, "app", ("True", "Synced"));
    let took = || {
        let page = OPERATOR.scraped();
        let line = format!("pushsecret_reconcile_duration{{name=\"app\",namespace=\"{namespace}\"}} ");
        page.lines().find_map(|found| found.strip_prefix(&line).map(str::to_owned)).unwrap_or_default()
    };
    let version = || API.get("pushsecrets", &namespace, "app").unwrap()["metadata"]["resourceVersion"].clone();
    // The first rounds put on the finalizer and tell of it.
    std::thread::sleep(Duration::from_secs(2));
    let before = version();
    for _ in 0..3 {
        let last = took();
        eventually("it is compared again", || if took() == last { Err("not yet") } else { Ok(()) });
    }
    assert_eq!(version(), before, "a comparison that finds everything right is told nobody");
}

#[test]
fn what_is_wanted_no_more_is_deleted_and_the_end_of_all_waits_for_it() {
    let namespace = served(&[]);
    source(&namespace, "app", &json!({}), &json!({"a": "1", "b": "2"}));
    let spec = |data: &[Value]| {
        json!({
            "secretStoreRefs": [{"name": "fake"}], "selector": {"secret": {"name": "app"}},
            "deletionPolicy": "Delete", "data": data,
        })
    };
    push(&namespace, "app", &spec(&[entry("a", "x", None), entry("a", "y", Some("p")), entry("b", "y", Some("q"))]));
    let (object, _) = stands(&namespace, "app", ("True", "Synced"));
    assert_eq!(object["metadata"]["finalizers"], json!(["pushsecret.externalsecrets.io/finalizer"]));
    reader(&namespace, "fake", &["x", "y", "own"]);
    let own = ("own", "of the store");
    holds(&namespace, "fake", &[("x", "1"), ("y", r#"{"p":"1","q":"2"}"#), own]);

    API.patch("pushsecrets", &namespace, "app", &json!({"spec": spec(&[entry("a", "y", Some("p"))])}));
    holds(&namespace, "fake", &[("y", r#"{"p":"1"}"#), own]);

    assert!(API.delete("pushsecrets", &namespace, "app"));
    eventually("it is gone", || match API.get("pushsecrets", &namespace, "app") {
        None => Ok(()),
        Some(object) => Err(object.to_string()),
    });
    holds(&namespace, "fake", &[own]);
}

#[test]
fn what_was_pushed_goes_with_its_source_and_comes_back_with_it() {
    let namespace = served(&[]);
    source(&namespace, "app", &json!({}), &json!({"a": "1"}));
    push(
        &namespace,
        "app",
        &json!({
            "secretStoreRefs": [{"name": "fake"}], "selector": {"secret": {"name": "app"}},
            "deletionPolicy": "Delete", "data": [entry("a", "x", None)],
        }),
    );
    stands(&namespace, "app", ("True", "Synced"));
    reader(&namespace, "fake", &["x", "own"]);
    holds(&namespace, "fake", &[("x", "1"), ("own", "of the store")]);
    assert!(API.delete("secrets", &namespace, "app"));
    let (object, _) = stands(&namespace, "app", ("False", "SourceDeleted"));
    assert!(object["status"]["syncedPushSecrets"].get("SecretStore/fake").is_none(), "{object}");
    holds(&namespace, "fake", &[("own", "of the store")]);
    source(&namespace, "app", &json!({}), &json!({"a": "2"}));
    stands(&namespace, "app", ("True", "Synced"));
    holds(&namespace, "fake", &[("x", "2"), ("own", "of the store")]);
}

#[test]
fn a_status_that_names_a_place_before_it_was_written_is_what_is_cleaned_up() {
    let namespace = served(&[]);
    source(&namespace, "app", &json!({}), &json!({"a": "1"}));
    let spec = |policy: &str, key: &str| {
        json!({
            "secretStoreRefs": [{"name": "fake"}], "selector": {"secret": {"name": "app"}},
            "deletionPolicy": policy, "data": [entry("a", key, None)],
        })
    };
    push(&namespace, "other", &spec("None", "left"));
    push(&namespace, "app", &spec("Delete", "kept"));
    stands(&namespace, "other", ("True", "Synced"));
    stands(&namespace, "app", ("True", "Synced"));
    reader(&namespace, "fake", &["left", "kept"]);
    holds(&namespace, "fake", &[("left", "1"), ("kept", "1")]);
    // As a process leaves it that ended after it wrote to the store.
    let status = json!({"status": {"syncedPushSecrets": {"SecretStore/fake": {"left": entry("a", "left", None)}}}});
    let path = format!("/apis/external-secrets.io/v1alpha1/namespaces/{namespace}/pushsecrets/app/status");
    assert_eq!(API.ask("PATCH", &path, "application/merge-patch+json", &status.to_string()).0, 200);
    API.patch("pushsecrets", &namespace, "app", &json!({"metadata": {"annotations": {"force-sync": "1"}}}));
    holds(&namespace, "fake", &[("kept", "1")]);
    let (object, _) = stands(&namespace, "app", ("True", "Synced"));
    let synced = object["status"]["syncedPushSecrets"]["SecretStore/fake"].as_object().unwrap().clone();
    assert_eq!(synced.keys().collect::<Vec<_>>(), ["kept"]);
}

#[test]
fn what_cannot_be_pushed_is_told_with_its_cause_and_keeps_nothing_else_back() {
    let namespace = served(&[]);
    source(&namespace, "app", &json!({}), &json!({"a": "canary-1"}));
    push(
        &namespace,
        "app",
        &json!({
            "secretStoreRefs": [{"name": "absent"}, {"name": "fake"}], "selector": {"secret": {"name": "app"}},
            "data": [entry("no", "y", None), entry("a", "own", None), entry("a", "x", None)],
        }),
    );
    let (object, message) = stands(&namespace, "app", ("False", "Errored"));
    for words in [
        "set secret failed",
        "SecretStore \"absent\" does not exist",
        "spec.data[0].match.secretKey: secret key no does not exist",
        "spec.data[1]: cannot write \"own\" to the fake store: key already exists",
    ] {
        assert!(message.contains(words), "{words} is not in {message}");
    }
    assert!(!message.contains("canary"), "{message}");
    assert!(object["status"]["syncedPushSecrets"].get("SecretStore/absent").is_none(), "{object}");
    reader(&namespace, "fake", &["x", "own"]);
    holds(&namespace, "fake", &[("x", "canary-1"), ("own", "of the store")]);
    push(
        &namespace,
        "generated",
        &json!({
            "secretStoreRefs": [{"name": "fake"}],
            "selector": {"generatorRef": {"kind": "Password", "name": "any"}}, "data": [entry("a", "z", None)],
        }),
    );
    let (_, message) = stands(&namespace, "generated", ("False", "Errored"));
    let is_told = message.contains("spec.selector.generatorRef") && message.contains("\"any\" does not exist");
    assert!(is_told, "{message}");
}

#[test]
fn a_generators_value_is_pushed_at_every_look_until_a_new_one_is_wished_for_or_due() {
    let namespace = served(&[]);
    apply(
        &namespace,
        "{apiVersion: generators.external-secrets.io/v1alpha1, kind: Password, metadata: {name: long}, spec: {length: \
         40, allowRepeat: true}}\n",
    );
    let spec = |interval: &str, key: &str| {
        json!({
            "secretStoreRefs": [{"name": "fake"}], "selector": {"generatorRef": {"kind": "Password", "name": "long"}},
            "refreshInterval": interval, "deletionPolicy": "Delete", "data": [entry("password", key, None)],
        })
    };
    push(&namespace, "app", &spec("1h", "x"));
    let (object, _) = stands(&namespace, "app", ("True", "Synced"));
    reader(&namespace, "fake", &["x", "y"]);
    let value = |key: &str| {
        API.delete("secrets", &namespace, "reader-fake");
        eventually(&format!("{key} is read"), || {
            let secret = API.get("secrets", &namespace, "reader-fake").ok_or("there is no Secret")?;
            data(&secret).remove(key).ok_or("there is no value")
        })
    };
    let first = value("x");
    assert_eq!(first.len(), 40);
    API.patch("pushsecrets", &namespace, "app", &json!({"metadata": {"annotations": {"force-sync": "1"}}}));
    eventually("the touch is seen", || {
        let now = API.get("pushsecrets", &namespace, "app").unwrap();
        let version = &now["status"]["syncedResourceVersion"];
        if *version == object["status"]["syncedResourceVersion"] { Err(version.to_string()) } else { Ok(()) }
    });
    assert!(value("x") == first, "a touch made another value");
    // Another wish has another value.
    API.patch("pushsecrets", &namespace, "app", &json!({"spec": spec("1h", "y")}));
    let second = value("y");
    assert!(second != first, "another wish got the same value");
    API.patch("pushsecrets", &namespace, "app", &json!({"spec": spec("1s", "y")}));
    let third = eventually("a new value is made when it is due", || {
        let now = value("y");
        if now == second { Err("the same value") } else { Ok(now) }
    });
    eventually("and another one after it", || if value("y") == third { Err("the same value") } else { Ok(()) });
    assert!(API.delete("pushsecrets", &namespace, "app"));
    eventually("what is kept goes with the PushSecret", || {
        let left: Vec<_> = API.list("secrets", &namespace).into_keys().collect();
        if left.iter().any(|name| name.starts_with("strongroom-generated")) { Err(format!("{left:?}")) } else { Ok(()) }
    });
}

#[test]
fn sources_and_stores_are_found_by_labels_as_these_come_and_go() {
    let namespace = served(&[]);
    push(
        &namespace,
        "app",
        &json!({
            "secretStoreRefs": [{"labelSelector": {"matchLabels": {"push": "here"}}}],
            "selector": {"secret": {"selector": {"matchLabels": {"push": "this"}}}}, "deletionPolicy": "Delete",
            "dataTo": [{"storeRef": {"labelSelector": {"matchLabels": {"push": "here"}}}}],
        }),
    );
    let (_, message) = stands(&namespace, "app", ("False", "Errored"));
    assert!(message.contains("no Secret has these labels"), "{message}");
    source(&namespace, "one", &json!({"push": "this"}), &json!({"a": "1"}));
    source(&namespace, "not", &json!({}), &json!({"n": "0"}));
    eventually("no store is found", || {
        let (_, message) = stands(&namespace, "app", ("False", "Errored"));
        if message.contains("spec.secretStoreRefs: selects no store") { Ok(()) } else { Err(message) }
    });
    store(&namespace, "labelled", &json!({"push": "here"}));
    stands(&namespace, "app", ("True", "Synced"));
    source(&namespace, "two", &json!({"push": "this"}), &json!({"b": "2"}));
    reader(&namespace, "labelled", &["a", "b", "n"]);
    holds(&namespace, "labelled", &[("a", "1"), ("b", "2")]);
    // Two values for one place.
    source(&namespace, "three", &json!({"push": "this"}), &json!({"b": "3"}));
    let (_, message) = stands(&namespace, "app", ("False", "Errored"));
    assert!(message.contains(r#""b" of Secret "three""#) && message.contains(r#""b" of Secret "two""#), "{message}");
    API.patch("secrets", &namespace, "three", &json!({"metadata": {"labels": {"push": null}}}));
    stands(&namespace, "app", ("True", "Synced"));
    // A store that is meant no more loses what was pushed to it.
    API.patch("secretstores", &namespace, "labelled", &json!({"metadata": {"labels": {"push": null}}}));
    stands(&namespace, "app", ("False", "Errored"));
    holds(&namespace, "labelled", &[]);
}

/// A ClusterSecretStore of which each namespace may have the keys that a rule gives it, and what pushes `a` of the
/// Secret `app` into it.
fn shared_by_rules(rules: &[(&str, &str)]) -> (String, impl Fn(&str) -> Value + use<>) {
    let name = format!("push-{}", rules[0].0);
    let cluster_store = json!({
        "apiVersion": "external-secrets.io/v1", "kind": "ClusterSecretStore", "metadata": {"name": name},
        "spec": {"provider": {"fake": {"data": [{"key": "own", "value": "x"}]}}},
    });
    assert_eq!(API.create("clustersecretstores", "", &cluster_store), (201, String::new()));
    let rule = |(namespace, keys): &(&str, &str)| json!({"namespaces": {"names": [namespace]}, "keys": [keys]});
    let policy = json!({
        "apiVersion": "strongroom.dev/v1alpha1", "kind": "StorePolicy", "metadata": {"name": name},
        "spec": {"stores": [{"name": name}], "rules": rules.iter().map(rule).collect::<Vec<_>>()},
    });
    assert_eq!(API.create("storepolicies", "", &policy), (201, String::new()));
    for (namespace, _) in rules {
        source(namespace, "app", &json!({}), &json!({"a": "1"}));
    }
    eventually("the policy holds", || {
        let policy = API.get("storepolicies", "", &name).ok_or("it does not exist")?;
        condition(&policy, "Ready").ok_or("nobody looked")
    });
    let store = name.clone();
    let spec = move |key: &str| {
        json!({
            "secretStoreRefs": [{"name": store, "kind": "ClusterSecretStore"}],
            "selector": {"secret": {"name": "app"}}, "deletionPolicy": "Delete", "data": [entry("a", key, None)],
        })
    };
    (name, spec)
}

/// `entry` as it goes into another namespace.
fn into(namespace: &str, mut entry: Value) -> Value {
    entry["metadata"] = json!({
        "apiVersion": "kubernetes.external-secrets.io/v1alpha1", "kind": "PushSecretMetadata",
        "spec": {"remoteNamespace": namespace},
    });
    entry
}

#[test]
fn a_push_needs_what_a_read_of_the_same_key_needs() {
    let namespace = served(&[]);
    let (_, spec) = shared_by_rules(&[(&namespace, "mine/**")]);
    push(&namespace, "mine", &spec("mine/a"));
    push(&namespace, "theirs", &spec("theirs/a"));
    stands(&namespace, "mine", ("True", "Synced"));
    let (object, message) = stands(&namespace, "theirs", ("False", "Errored"));
    assert!(message.contains("spec.data[0]") && message.contains("AccessDenied"), "{message}");
    assert!(object["status"].get("syncedPushSecrets").is_none_or(|synced| synced == &json!({})), "{object}");
    // Nothing was pushed, so nothing keeps it.
    assert!(API.delete("pushsecrets", &namespace, "theirs"));
    eventually("it is gone", || match API.get("pushsecrets", &namespace, "theirs") {
        None => Ok(()),
        Some(object) => Err(object.to_string()),
    });
}

#[test]
fn a_namespace_that_metadata_or_a_status_names_opens_no_other_key_of_a_store_without_namespaces() {
    let [namespace, other] = [served(&[]), served(&[])];
    let (store, spec) = shared_by_rules(&[(&namespace, "mine/**"), (&other, "theirs/**")]);
    push(&other, "app", &spec("theirs/a"));
    stands(&other, "app", ("True", "Synced"));
    reader_of(&other, "ClusterSecretStore", &store, &["theirs/a"]);
    holds(&other, &store, &[("theirs.a", "1")]);
    let mut over = spec("theirs/a");
    over["data"][0] = into("mine", over["data"][0].take());
    source(&namespace, "changed", &json!({}), &json!({"a": "2"}));
    over["selector"]["secret"]["name"] = json!("changed");
    push(&namespace, "over", &over);
    let (_, message) = stands(&namespace, "over", ("False", "Errored"));
    assert!(message.contains("spec.data[0]") && message.contains("no namespaces"), "{message}");
    push(&namespace, "away", &spec("mine/a"));
    stands(&namespace, "away", ("True", "Synced"));
    let of_store = format!("ClusterSecretStore/{store}");
    let forged = into("mine", entry("a", "theirs/a", None));
    let status = json!({"status": {"syncedPushSecrets": {of_store: {"theirs/a": forged}}}});
    let path = format!("/apis/external-secrets.io/v1alpha1/namespaces/{namespace}/pushsecrets/away/status");
    assert_eq!(API.ask("PATCH", &path, "application/merge-patch+json", &status.to_string()).0, 200);
    API.patch("pushsecrets", &namespace, "away", &json!({"metadata": {"annotations": {"force-sync": "1"}}}));
    let (_, message) = stands(&namespace, "away", ("False", "Errored"));
    assert!(message.contains("no namespaces"), "{message}");
    holds(&other, &store, &[("theirs.a", "1")]);
}

#[test]
fn a_cluster_push_secret_makes_the_same_push_secret_in_every_namespace_that_it_selects() {
    let label = format!("push-{}", std::process::id());
    let [one, other] = [served(&[("fan", &label)]), served(&[("fan", &label)])];
    for namespace in [&one, &other] {
        source(namespace, "app", &json!({}), &json!({"a": "1"}));
    }
    let object = json!({
        "apiVersion": "external-secrets.io/v1alpha1", "kind": "ClusterPushSecret", "metadata": {"name": label},
        "spec": {
            "pushSecretName": "shared", "pushSecretMetadata": {"labels": {"made": "so"}},
            "namespaceSelectors": [{"matchLabels": {"fan": label}}],
            "pushSecretSpec": {
                "secretStoreRefs": [{"name": "fake"}], "selector": {"secret": {"name": "app"}},
                "data": [entry("a", "x", None)],
            },
        },
    });
    assert_eq!(API.create("clusterpushsecrets", "", &object), (201, String::new()));
    for namespace in [&one, &other] {
        let (child, _) = stands(namespace, "shared", ("True", "Synced"));
        assert_eq!(child["metadata"]["labels"]["made"], "so");
        assert_eq!(child["metadata"]["ownerReferences"][0]["kind"], "ClusterPushSecret");
    }
    let told = eventually("it tells where", || {
        let object = API.get("clusterpushsecrets", "", &label).ok_or("it does not exist")?;
        let provisioned = object["status"]["provisionedNamespaces"].as_array().map(Vec::len);
        if provisioned == Some(2) { Ok(object) } else { Err(format!("{provisioned:?}")) }
    });
    assert_eq!(condition(&told, "Ready").unwrap().0, "True");
    assert_eq!(told["status"]["pushSecretName"], "shared");
    // Defaults of the API server are no difference.
    let generation =
        |namespace: &str| API.get("pushsecrets", namespace, "shared").unwrap()["metadata"]["generation"].clone();
    assert_eq!((generation(&one), generation(&other)), (json!(1), json!(1)));
    API.patch("namespaces", "", &other, &json!({"metadata": {"labels": {"fan": null}}}));
    eventually("the other goes", || match API.get("pushsecrets", &other, "shared") {
        None => Ok(()),
        Some(_) => Err("it is there"),
    });
    assert!(API.get("pushsecrets", &one, "shared").is_some());
    assert!(API.delete("clusterpushsecrets", "", &label));
}

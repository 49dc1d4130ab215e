//! Two tenants of one cluster store: every way by which one could read what is the other's, and each of them closed.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::{Value, json};

use super::api::{API, data, line};
use super::support::{CLUSTER, OPERATOR, Operator, condition, eventually, namespace};

/// The other tenant's value, which appears nowhere but in its own Secrets and its store.
const THEIRS: &str = "canary-theirs-5b1d77";

/// A cluster store with the values of two tenants, and the policy that keeps them apart.
struct Tenants {
    store: String,
    theirs: String,
    ours: String,
}

impl Tenants {
    fn new() -> Self {
        let theirs = namespace(&CLUSTER, &[("team", "theirs")]);
        let ours = namespace(&CLUSTER, &[("team", "ours")]);
        assert!(OPERATOR.process() > 0);
        let store = format!("shared-{theirs}");
        let policy = json!({
            "apiVersion": "strongroom.dev/v1alpha1", "kind": "StorePolicy", "metadata": {"name": store},
            "spec": {"stores": [{"name": store}], "rules": [{"keys": ["{{ .namespace }}/**"]}]},
        });
        assert_eq!(API.create("storepolicies", "", &policy), (201, String::new()));
        // Store and policy come by two watches, and nothing orders these.
        std::thread::sleep(Duration::from_millis(500));
        let secret = format!(r#"{{"user":"them","password":"{THEIRS}"}}"#);
        let values = [(format!("{theirs}/db"), secret.as_str()), (format!("{ours}/own"), "mine")];
        let values: Vec<Value> = values.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
        let tenants = Self { store, theirs, ours };
        cluster_store(&tenants.store, &json!({"provider": {"fake": {"data": values}}}));
        tenants
    }

    fn create(&self, namespace: &str, name: &str, spec: &Value) {
        let mut whole = json!({
            "secretStoreRef": {"name": self.store, "kind": "ClusterSecretStore"}, "refreshInterval": "1s",
        });
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        external_secret(namespace, name, &whole);
    }
}

fn cluster_store(name: &str, spec: &Value) {
    let object = json!({
        "apiVersion": "external-secrets.io/v1", "kind": "ClusterSecretStore", "metadata": {"name": name}, "spec": spec,
    });
    assert_eq!(API.create("clustersecretstores", "", &object), (201, String::new()));
}

fn store(namespace: &str, name: &str, spec: &Value) {
    let object = json!({
        "apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": {"name": name}, "spec": spec,
    });
    assert_eq!(API.create("secretstores", namespace, &object), (201, String::new()), "{name}");
}

fn external_secret(namespace: &str, name: &str, spec: &Value) {
    let object = json!({
        "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": {"name": name}, "spec": spec,
    });
    assert_eq!(API.create("externalsecrets", namespace, &object), (201, String::new()), "{name}");
}

fn one(key: &str) -> Value {
    json!({"data": [{"secretKey": "x", "remoteRef": {"key": key}}]})
}

/// Waits until an object's Ready condition has this status and speaks these words.
fn told(kind: &str, namespace: &str, name: &str, status: &str, words: &str) {
    eventually(&format!("{kind} {name} is Ready={status} with \"{words}\""), || {
        let object = API.get(kind, namespace, name).unwrap();
        match condition(&object, "Ready") {
            Some((found, _, message)) if found == status && message.contains(words) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

fn made(namespace: &str, name: &str, expected: &str) {
    eventually(&format!("{name} has {expected}"), || match API.get("secrets", namespace, name) {
        Some(secret) if line(&secret) == expected => Ok(()),
        Some(secret) => Err(line(&secret)),
        None => Err(format!("{:?}", API.get("externalsecrets", namespace, name).unwrap()["status"])),
    });
}

/// Looks for the other tenant's value in everything that we could read.
fn is_nowhere(namespace: &str, operator: &Operator) {
    for kind in ["externalsecrets", "secretstores", "events", "configmaps"] {
        let found = json!(API.list(kind, namespace)).to_string();
        assert!(!found.contains(THEIRS), "in the {kind} of {namespace}");
    }
    for (name, secret) in API.list("secrets", namespace) {
        let data = data(&secret);
        // What the tests themselves gave them.
        let is_made = secret["metadata"]["labels"]["reconcile.external-secrets.io/managed"] == "true";
        assert!(!is_made || data.values().all(|value| !value.contains(THEIRS)), "in the Secret {name}");
    }
    assert!(!operator.logged().contains(THEIRS), "in the log");
    assert!(!operator.scraped().contains(THEIRS), "in the metrics");
}

#[test]
fn a_key_that_no_rule_allows_is_read_on_no_way() {
    let tenants = Tenants::new();
    let Tenants { store: shared, theirs, ours } = &tenants;
    tenants.create(theirs, "db", &json!({"dataFrom": [{"extract": {"key": format!("{theirs}/db")}}]}));
    made(theirs, "db", &format!("password={THEIRS} user=them"));
    store(ours, "own", &json!({"provider": {"fake": {"data": [{"key": "a", "value": "b"}]}}}));

    let key = format!("{theirs}/db");
    let denied = format!("no rule of StorePolicy {shared} allows namespace {ours} to read it");
    let source = json!({"storeRef": {"name": shared, "kind": "ClusterSecretStore"}});
    let own = json!({"name": "own", "kind": "SecretStore"});
    let extract = json!({"key": key});
    let mut attacks = vec![
        ("data".to_owned(), one(&key)),
        (
            "property".to_owned(),
            json!({"data": [{"secretKey": "x", "remoteRef": {"key": key, "property": "password"}}]}),
        ),
        (
            "metadata".to_owned(),
            json!({"data": [{"secretKey": "x", "remoteRef": {"key": key, "metadataPolicy": "Fetch"}}]}),
        ),
        ("extract".to_owned(), json!({"dataFrom": [{"extract": extract}]})),
        (
            "rewrite".to_owned(),
            json!({"dataFrom": [{
                "extract": extract,
                "rewrite": [{"regexp": {"source": "(.*)", "target": format!("{ours}/$1")}}],
            }]}),
        ),
        (
            "source".to_owned(),
            json!({
                "secretStoreRef": own,
                "data": [{"secretKey": "x", "remoteRef": {"key": key}, "sourceRef": source}],
            }),
        ),
        (
            "source-extract".to_owned(),
            json!({"secretStoreRef": own, "dataFrom": [{"extract": extract, "sourceRef": source}]}),
        ),
    ];
    let spellings = [
        format!("/{theirs}/db"),
        format!("{theirs}//db"),
        format!("./{theirs}/db"),
        format!("{ours}/../{theirs}/db"),
        format!("{ours}/./../{theirs}/db"),
        format!("{ours}//..//{theirs}/db"),
        format!("{ours}/..%2f{theirs}/db"),
        format!("{ours}/%2e%2e/{theirs}/db"),
        format!("{ours}\\..\\{theirs}\\db"),
        format!("{ours}/x?../../{theirs}/db"),
        format!("{theirs}/db#{ours}/own"),
        format!("{theirs}/db\n{ours}/own"),
        format!("{} /own", ours),
        ours.to_uppercase() + "/own",
        "*".to_owned(),
        "**".to_owned(),
        "{{ .namespace }}/own".to_owned(),
    ];
    for (place, key) in spellings.iter().enumerate() {
        attacks.push((format!("spelling-{place}"), one(key)));
    }
    for (name, spec) in &attacks {
        tenants.create(ours, name, spec);
    }
    for (name, _) in &attacks {
        told("externalsecrets", ours, name, "False", &denied);
    }

    tenants.create(ours, "into-a-map", &{
        let mut spec = one(&format!("{ours}/own"));
        spec["target"] = json!({"manifest": {"apiVersion": "v1", "kind": "ConfigMap"}});
        spec
    });
    told("externalsecrets", ours, "into-a-map", "False", "to have it written into a ConfigMap (v1)");

    // A search shows what its asker may read, and nothing of the rest, under whatever name.
    let all = json!({"name": {"regexp": ".*"}});
    tenants.create(ours, "find", &json!({"dataFrom": [{"find": all}]}));
    made(ours, "find", &format!("{ours}_own=mine"));
    let renamed = json!([{"regexp": {"source": ".*_", "target": ""}}]);
    tenants.create(ours, "find-renamed", &json!({"dataFrom": [{"find": all, "rewrite": renamed}]}));
    made(ours, "find-renamed", "own=mine");
    let named = json!({"name": {"regexp": format!("^{theirs}")}});
    tenants.create(ours, "find-theirs", &json!({"dataFrom": [{"find": named}]}));
    told("externalsecrets", ours, "find-theirs", "True", "secret retained");

    // Now and after more rounds, in which the other tenant's value lies in every cache there is.
    std::thread::sleep(Duration::from_secs(2));
    let secrets: Vec<String> = API.list("secrets", ours).into_keys().collect();
    assert_eq!(secrets, ["find", "find-renamed"]);
    is_nowhere(ours, &OPERATOR);
    API.delete("storepolicies", "", shared);
    API.delete("clustersecretstores", "", shared);
}

#[test]
fn a_store_of_another_namespace_or_for_other_namespaces_is_of_no_use() {
    let theirs = namespace(&CLUSTER, &[("team", "theirs")]);
    let ours = namespace(&CLUSTER, &[("team", "ours")]);
    assert!(OPERATOR.process() > 0);
    let fake = json!({"fake": {"data": [{"key": "db", "value": THEIRS}]}});
    store(&theirs, "private", &json!({"provider": fake}));
    let by_name = format!("by-name-{theirs}");
    cluster_store(&by_name, &json!({"provider": fake, "conditions": [{"namespaces": [theirs]}]}));
    let by_label = format!("by-label-{theirs}");
    let selector = json!({"matchLabels": {"team": "theirs"}});
    cluster_store(&by_label, &json!({"provider": fake, "conditions": [{"namespaceSelector": selector}]}));
    let by_pattern = format!("by-pattern-{theirs}");
    cluster_store(
        &by_pattern,
        &json!({"provider": fake, "conditions": [{"namespaceRegexes": [format!("^{theirs}$")]}]}),
    );

    let named = |name: &str, kind: &str| {
        let mut spec = one("db");
        spec["secretStoreRef"] = json!({"name": name, "kind": kind});
        spec["refreshInterval"] = json!("1s");
        spec
    };
    let refused = "may not be used from namespace";
    for (name, kind, words) in [
        ("private", "SecretStore", "does not exist"),
        (by_name.as_str(), "ClusterSecretStore", refused),
        (by_label.as_str(), "ClusterSecretStore", refused),
        (by_pattern.as_str(), "ClusterSecretStore", refused),
    ] {
        external_secret(&theirs, name, &named(name, kind));
        external_secret(&ours, name, &named(name, kind));
        made(&theirs, name, &format!("x={THEIRS}"));
        told("externalsecrets", &ours, name, "False", words);
    }
    assert!(API.list("secrets", &ours).is_empty());
    is_nowhere(&ours, &OPERATOR);

    // A label that is taken away takes the store away, and the Secret stays as it was.
    API.patch("namespaces", "", &theirs, &json!({"metadata": {"labels": {"team": "ours"}}}));
    told("externalsecrets", &theirs, &by_label, "False", refused);
    assert_eq!(line(&API.get("secrets", &theirs, &by_label).unwrap()), format!("x={THEIRS}"));
    for name in &[by_name, by_label, by_pattern] {
        API.delete("clustersecretstores", "", name);
    }
}

#[test]
fn a_secret_store_borrows_no_credentials() {
    let theirs = namespace(&CLUSTER, &[]);
    let ours = namespace(&CLUSTER, &[]);
    assert!(OPERATOR.process() > 0);
    let creds = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "creds", "labels": {"external-secrets.io/type": "webhook"}}, "stringData": {"token": THEIRS},
    });
    assert_eq!(API.create("secrets", &theirs, &creds).0, 201);
    let own = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own"}, "stringData": {"token": "x"}});
    assert_eq!(API.create("secrets", &ours, &own).0, 201);
    let foreign = json!({"name": "creds", "key": "token", "namespace": theirs});
    let account = json!({"name": "default", "namespace": theirs});
    let vault = |auth: Value| json!({"vault": {"server": "https://vault.example", "path": "secret", "auth": auth}});
    let own = format!("a SecretStore may only refer to its own namespace, {ours}");
    let ambient = "a SecretStore may not use the operator's own identity";
    let attacks = [
        ("kubernetes-token", json!({"kubernetes": {"auth": {"token": {"bearerToken": foreign}}}}), own.as_str()),
        ("kubernetes-account", json!({"kubernetes": {"auth": {"serviceAccount": account}}}), &own),
        ("kubernetes-config", json!({"kubernetes": {"authRef": foreign}}), &own),
        (
            "kubernetes-authority",
            json!({"kubernetes": {
                "server": {"caProvider": {"type": "Secret", "name": "creds", "key": "token", "namespace": theirs}},
                "auth": {"serviceAccount": {"name": "default"}},
            }}),
            &own,
        ),
        ("vault-token", vault(json!({"tokenSecretRef": foreign})), &own),
        (
            "vault-account",
            vault(json!({"kubernetes": {"mountPath": "kubernetes", "role": "r", "serviceAccountRef": account}})),
            &own,
        ),
        (
            "vault-authority",
            json!({"vault": {
                "server": "https://vault.example", "path": "secret",
                "auth": {"tokenSecretRef": {"name": "own", "key": "token"}},
                "caProvider": {"type": "Secret", "name": "creds", "key": "token", "namespace": theirs},
            }}),
            &own,
        ),
        (
            "aws-key",
            json!({"aws": {"service": "SecretsManager", "region": "eu-west-1", "auth": {"secretRef": {
                "accessKeyIDSecretRef": foreign, "secretAccessKeySecretRef": foreign,
            }}}}),
            &own,
        ),
        (
            "aws-account",
            json!({"aws": {
                "service": "SecretsManager", "region": "eu-west-1", "auth": {"jwt": {"serviceAccountRef": account}},
            }}),
            &own,
        ),
        (
            "google-key",
            json!({"gcpsm": {"projectID": "p", "auth": {"secretRef": {"secretAccessKeySecretRef": foreign}}}}),
            &own,
        ),
        (
            "azure-secret",
            json!({"azurekv": {
                "vaultUrl": "https://v.vault.azure.net", "tenantId": "t",
                "authSecretRef": {"clientId": foreign, "clientSecret": foreign},
            }}),
            &own,
        ),
        (
            "webhook-secret",
            json!({"webhook": {
                "url": "https://hook.example/{{ .auth.token }}", "result": {"jsonPath": "$"},
                "secrets": [{"name": "auth", "secretRef": foreign}],
            }}),
            &own,
        ),
        ("aws-ambient", json!({"aws": {"service": "SecretsManager", "region": "eu-west-1"}}), ambient),
        ("ssm-ambient", json!({"aws": {"service": "ParameterStore", "region": "eu-west-1"}}), ambient),
        ("google-ambient", json!({"gcpsm": {"projectID": "p"}}), ambient),
        (
            "azure-ambient",
            json!({"azurekv": {"vaultUrl": "https://v.vault.azure.net", "authType": "ManagedIdentity"}}),
            ambient,
        ),
    ];
    for (name, provider, _) in &attacks {
        store(&ours, name, &json!({"provider": provider}));
        let mut spec = one("creds");
        spec["secretStoreRef"] = json!({"name": name});
        external_secret(&ours, name, &spec);
    }
    for (name, _, words) in &attacks {
        told("secretstores", &ours, name, "False", words);
        told("externalsecrets", &ours, name, "False", words);
    }
    assert_eq!(API.list("secrets", &ours).into_keys().collect::<Vec<_>>(), ["own"]);
    is_nowhere(&ours, &OPERATOR);
}

#[test]
fn a_cluster_store_logs_in_as_each_of_its_askers_alone() {
    let theirs = namespace(&CLUSTER, &[]);
    let ours = namespace(&CLUSTER, &[]);
    let bare = namespace(&CLUSTER, &[]);
    assert!(OPERATOR.process() > 0);
    let secret = |name: &str, key: &str, value: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {key: value}});
    assert_eq!(API.create("secrets", &theirs, &secret("private", "db", THEIRS)).0, 201);
    for namespace in [&theirs, &ours] {
        let token = CLUSTER.service_account_token(namespace, "reader", &[]).unwrap();
        assert_eq!(API.create("secrets", namespace, &secret("creds", "token", &token)).0, 201);
    }
    CLUSTER
        .kubectl(&[
            "create",
            "rolebinding",
            "reader",
            "-n",
            &theirs,
            "--clusterrole=admin",
            &format!("--serviceaccount={theirs}:reader"),
        ])
        .unwrap();
    let name = format!("referent-{theirs}");
    let auth = json!({"token": {"bearerToken": {"name": "creds", "key": "token"}}});
    cluster_store(&name, &json!({"provider": {"kubernetes": {"remoteNamespace": theirs, "auth": auth}}}));
    // The same by an account, which is looked up where each asker is.
    let account = format!("account-{theirs}");
    let auth = json!({"serviceAccount": {"name": "reader"}});
    cluster_store(&account, &json!({"provider": {"kubernetes": {"remoteNamespace": theirs, "auth": auth}}}));
    for store in [&name, &account] {
        for namespace in [&theirs, &ours, &bare] {
            let mut spec = json!({
                "data": [{"secretKey": "x", "remoteRef": {"key": "private", "property": "db"}}], "refreshInterval": "1s",
            });
            spec["secretStoreRef"] = json!({"name": store, "kind": "ClusterSecretStore"});
            external_secret(namespace, store, &spec);
        }
        made(&theirs, store, &format!("x={THEIRS}"));
        told("externalsecrets", &ours, store, "False", "private");
        told("externalsecrets", &bare, store, "False", "");
    }
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(API.list("secrets", &ours).into_keys().collect::<Vec<_>>(), ["creds"]);
    assert!(API.list("secrets", &bare).is_empty());
    is_nowhere(&ours, &OPERATOR);
    is_nowhere(&bare, &OPERATOR);
    for name in &[name, account] {
        API.delete("clustersecretstores", "", name);
    }
}

#[test]
fn a_secret_store_reaches_no_local_address_in_any_spelling() {
    let namespace = namespace(&CLUSTER, &[]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    // Beside the shared operator, each with the stores of its own class.
    let strict = Operator::start(&CLUSTER, &["--controller-class=strict", "--store-requeue-interval=5s"]);
    let hosts = [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "127.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "169.254.169.254",
        "[fe80::1]",
        "[fd00:ec2::254]",
    ];
    let mut stores = Vec::new();
    for (place, host) in hosts.iter().enumerate() {
        let url = format!("http://{host}:{port}");
        let webhook = json!({"webhook": {"url": url, "result": {"jsonPath": "$"}}});
        stores.push((format!("webhook-{place}"), webhook));
        if place < 2 {
            let reference = json!({"name": "creds", "key": "token"});
            let vault = json!({"server": url, "path": "secret", "auth": {"tokenSecretRef": reference}});
            stores.push((format!("vault-{place}"), json!({"vault": vault})));
            let server = json!({"url": format!("https://{host}:{port}")});
            let kubernetes = json!({"server": server, "auth": {"token": {"bearerToken": reference}}});
            stores.push((format!("kubernetes-{place}"), json!({"kubernetes": kubernetes})));
        }
    }
    let creds = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "creds"}, "stringData": {"token": "canary-own-token"},
    });
    assert_eq!(API.create("secrets", &namespace, &creds).0, 201);
    for (name, provider) in &stores {
        store(&namespace, name, &json!({"controller": "strict", "provider": provider}));
        let mut spec = one("a");
        spec["secretStoreRef"] = json!({"name": name});
        external_secret(&namespace, name, &spec);
    }
    for (name, _) in &stores {
        eventually(&format!("{name} is refused"), || {
            let object = API.get("externalsecrets", &namespace, name).unwrap();
            match condition(&object, "Ready") {
                Some((status, _, message)) if status == "False" && message.contains("address") => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }
    assert!(listener.accept().is_err(), "somebody connected");
    assert_eq!(API.list("secrets", &namespace).len(), 1);
    assert!(!strict.logged().contains("canary-own-token"));
    let (code, took) = strict.stop();
    assert_eq!(code, Some(0));
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn a_store_policy_says_in_its_status_whether_it_is_understood() {
    assert!(OPERATOR.process() > 0);
    let name = namespace(&CLUSTER, &[]);
    let rules = |selector: Value| json!([{"keys": ["**"], "namespaces": {"selector": selector}}]);
    let policy = json!({
        "apiVersion": "strongroom.dev/v1alpha1", "kind": "StorePolicy", "metadata": {"name": name},
        "spec": {"stores": [{"name": "nobody-uses-it"}], "rules": rules(json!({"matchLabels": {"team": "a"}}))},
    });
    assert_eq!(API.create("storepolicies", "", &policy), (201, String::new()));
    told("storepolicies", "", &name, "True", "every part of the policy is understood");

    let broken = json!({"matchExpressions": [{"key": "team", "operator": "Almost", "values": ["a"]}]});
    API.patch("storepolicies", "", &name, &json!({"spec": {"rules": rules(broken)}}));
    told("storepolicies", "", &name, "False", "spec.rules[0].namespaces.selector");
    API.patch("storepolicies", "", &name, &json!({"spec": policy["spec"]}));
    told("storepolicies", "", &name, "True", "every part of the policy is understood");

    // Touched, and as it was: nothing is written, once the operator has seen what it wrote itself.
    std::thread::sleep(Duration::from_secs(1));
    let touched = API.patch("storepolicies", "", &name, &json!({"metadata": {"labels": {"touched": "yes"}}}));
    std::thread::sleep(Duration::from_secs(1));
    let after = API.get("storepolicies", "", &name).unwrap();
    assert_eq!(after["metadata"]["resourceVersion"], touched["metadata"]["resourceVersion"]);
    assert_eq!(after["status"]["conditions"].as_array().unwrap().len(), 1, "{after}");
    API.delete("storepolicies", "", &name);
}

//! Values that a server leases: they arrive, are renewed, replaced where they cannot be renewed, and revoked when they
//! are used no more, whatever happens to the operator in between.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::api::{API, data};
use super::support::{CLUSTER, Operator, condition, eventually, namespace, ready, secret};
use super::world_of_stores::{core, create, post};
use crate::VAULT;

/// The class of the generators here: the shared operator leaves them alone.
const CLASS: &str = "leasing";

/// An operator that lets go soon of what is used no more.
static LEASING: LazyLock<Operator> = LazyLock::new(|| operator(CLASS));

fn operator(class: &str) -> Operator {
    let class = format!("--controller-class={class}");
    Operator::start(&CLUSTER, &[&class, "--allow-local-addresses", "--generator-gc-grace-period=3s"])
}

/// A namespace with a login at the server that may lease one-time passwords for SSH, which last for `lease`, and make
/// tokens; the login's own tokens last for `login`.
fn leased(lease: &str, login: &str) -> String {
    let namespace = namespace(&CLUSTER, &[]);
    let bao = |words: &[&str]| drop(VAULT.command(words).unwrap());
    let mount = format!("-path=ssh-{namespace}");
    bao(&["secrets", "enable", &mount, &format!("-default-lease-ttl={lease}"), "ssh"]);
    let role = format!("ssh-{namespace}/roles/app");
    bao(&["write", &role, "key_type=otp", "default_user=app", "cidr_list=10.0.0.0/8"]);
    let creds = format!("ssh-{namespace}/creds/app");
    let paths = [
        creds.as_str(),
        "auth/token/create",
        "sys/leases/renew",
        "sys/leases/revoke",
        "auth/token/renew-accessor",
        "auth/token/revoke-accessor",
    ];
    let rules = paths.map(|path| format!("path \"{path}\" {{ capabilities = [\"create\", \"update\"] }}")).join("\n");
    bao(&["write", &format!("sys/policies/acl/{namespace}"), &format!("policy={rules}")]);
    bao(&["auth", "enable", &format!("-path=users-{namespace}"), "userpass"]);
    let user = format!("auth/users-{namespace}/users/app");
    let (policies, login) = (format!("token_policies={namespace}"), format!("token_ttl={login}"));
    bao(&["write", &user, "password=s3cret", &policies, &login]);
    core(&namespace, "Secret", "login", &json!({"stringData": {"password": "s3cret"}}));
    namespace
}

/// Makes a generator.
fn generator(namespace: &str, class: &str, name: &str, rest: &Value) {
    let auth = json!({"userPass": {
        "path": format!("users-{namespace}"), "username": "app", "secretRef": {"name": "login", "key": "password"},
    }});
    let mut spec = json!({
        "controller": class, "method": "POST", "provider": {"server": VAULT.address(), "auth": auth},
    });
    spec.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    let object = json!({
        "apiVersion": "generators.external-secrets.io/v1alpha1", "kind": "VaultDynamicSecret",
        "metadata": {"name": name}, "spec": spec,
    });
    let path = "/apis/generators.external-secrets.io/v1alpha1/namespaces";
    post(&format!("{path}/{namespace}/vaultdynamicsecrets"), &object);
}

fn one_time_passwords(namespace: &str, class: &str) {
    let parameters = json!({"ip": "10.0.0.1"});
    generator(
        namespace,
        class,
        "otp",
        &json!({"path": format!("ssh-{namespace}/creds/app"), "parameters": parameters}),
    );
}

/// Makes an ExternalSecret of a generator's values.
fn wish(namespace: &str, name: &str, generator: &str, rest: &Value) {
    let generator = json!({"kind": "VaultDynamicSecret", "name": generator});
    let mut spec = json!({"refreshInterval": "1h", "dataFrom": [{"sourceRef": {"generatorRef": generator}}]});
    spec.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    create(namespace, "ExternalSecret", name, &spec);
}

/// The one-time passwords that live at the server, by the names of their leases.
fn living(namespace: &str) -> BTreeSet<String> {
    let path = format!("ssh-{namespace}/creds/app/");
    // A list of nothing is a failure to the client.
    let listed = VAULT.command(&["list", "-format=json", &format!("sys/leases/lookup/{path}")]).unwrap_or_default();
    let names: Vec<String> = serde_json::from_str(&listed).unwrap_or_default();
    names.into_iter().map(|name| format!("{path}{name}")).collect()
}

fn is_alive(token: &str) -> bool {
    VAULT.command_with_token(token, &["token", "lookup"]).is_ok()
}

fn states(namespace: &str) -> BTreeMap<String, Value> {
    API.list("generatorstates", namespace)
}

/// The leases of states that nobody has let go.
fn noted(namespace: &str) -> BTreeSet<String> {
    let live = states(namespace).into_values().filter(|state| state["spec"]["garbageCollectionDeadline"].is_null());
    live.filter_map(|state| state["spec"]["state"]["leaseId"].as_str().map(str::to_owned)).collect()
}

fn value(namespace: &str, name: &str, key: &str) -> Option<String> {
    data(&secret(&CLUSTER, namespace, name)?).remove(key)
}

/// Waits for a value other than `before`.
fn next_value(namespace: &str, name: &str, before: &str) -> String {
    eventually("another value is there", || match value(namespace, name, "key") {
        Some(next) if next != before => Ok(next),
        _ => Err("the same value"),
    })
}

/// Waits until nothing lives at the server, and nothing stands for it.
fn all_is_revoked(namespace: &str) {
    eventually("all is revoked", || {
        let (living, states) = (living(namespace), states(namespace));
        if living.is_empty() && states.is_empty() { Ok(()) } else { Err(format!("{living:?} {states:#?}")) }
    });
}

#[test]
fn a_leased_value_arrives_with_a_state_and_both_end_with_the_external_secret() {
    let namespace = leased("1h", "1h");
    assert!(LEASING.process() > 0);
    one_time_passwords(&namespace, CLASS);
    wish(&namespace, "app", "otp", &json!({}));
    ready(&CLUSTER, &namespace, "app", "True");
    let made = data(&secret(&CLUSTER, &namespace, "app").unwrap());
    let keys: Vec<&str> = made.keys().map(String::as_str).collect();
    assert_eq!(keys, ["ip", "key", "key_type", "port", "username"]);
    assert_eq!((made["ip"].as_str(), made["port"].as_str(), made["username"].as_str()), ("10.0.0.1", "22", "app"));
    let states = states(&namespace);
    assert_eq!((living(&namespace).len(), states.len()), (1, 1));
    assert_eq!(noted(&namespace), living(&namespace));
    let state = states.values().next().unwrap();
    assert!(!state.to_string().contains(&made["key"]), "the state holds the value");
    assert_eq!(state["metadata"]["finalizers"], json!(["generatorstate.externalsecrets.io/finalizer"]));
    assert_eq!(state["metadata"]["ownerReferences"][0]["name"], "app");
    let label = state["metadata"]["labels"]["generators.external-secrets.io/owner-key"].as_str();
    assert_eq!(label.map(str::len), Some(56));
    assert_eq!(state["spec"]["resource"]["metadata"]["name"], "otp");
    // A touch gives the same value and leases nothing.
    API.touch(&namespace, "app", "1");
    std::thread::sleep(Duration::from_secs(2));
    assert!(value(&namespace, "app", "key").as_ref() == made.get("key"));
    assert_eq!(living(&namespace).len(), 1);
    API.delete("externalsecrets", &namespace, "app");
    all_is_revoked(&namespace);
}

#[test]
fn a_lease_is_renewed_with_the_login_that_it_hangs_from_and_the_secret_stays_as_it_is() {
    let namespace = leased("1h", "12s");
    assert!(LEASING.process() > 0);
    let parameters = json!({"ttl": "15s", "policies": ["default"]});
    let spec = json!({"path": "auth/token/create", "parameters": parameters, "resultType": "Auth"});
    generator(&namespace, CLASS, "token", &spec);
    wish(&namespace, "app", "token", &json!({}));
    // Nothing but its lease is tended of what is made once.
    wish(&namespace, "once", "token", &json!({"refreshPolicy": "CreatedOnce"}));
    let made = ["app", "once"].map(|name| {
        ready(&CLUSTER, &namespace, name, "True");
        secret(&CLUSTER, &namespace, name).unwrap()
    });
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(30) {
        for (name, made) in ["app", "once"].into_iter().zip(&made) {
            let now = secret(&CLUSTER, &namespace, name).unwrap();
            assert_eq!(now["metadata"]["resourceVersion"], made["metadata"]["resourceVersion"], "{name} was written");
            assert!(is_alive(&data(made)["client_token"]), "{name}: the lease has ended");
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    assert_eq!(states(&namespace).len(), 2);
    for name in ["app", "once"] {
        API.delete("externalsecrets", &namespace, name);
    }
    all_is_revoked(&namespace);
    assert!(!made.iter().any(|made| is_alive(&data(made)["client_token"])));
}

#[test]
fn what_is_renewed_to_its_limit_is_replaced_while_it_still_holds() {
    let namespace = leased("1h", "1h");
    assert!(LEASING.process() > 0);
    let parameters = json!({"ttl": "16s", "explicit_max_ttl": "40s", "policies": ["default"]});
    let spec = json!({"path": "auth/token/create", "parameters": parameters, "resultType": "Auth"});
    generator(&namespace, CLASS, "token", &spec);
    wish(&namespace, "app", "token", &json!({}));
    ready(&CLUSTER, &namespace, "app", "True");
    let first = value(&namespace, "app", "client_token").unwrap();
    let next = eventually("another token is there", || match value(&namespace, "app", "client_token") {
        Some(next) if next != first => Ok(next),
        _ => Err(if is_alive(&first) { "the same token" } else { panic!("the token in the Secret has ended") }),
    });
    assert!(is_alive(&next));
    eventually("the first one has ended", || if is_alive(&first) { Err("it lives") } else { Ok(()) });
}

#[test]
fn what_cannot_be_renewed_is_replaced_in_time_and_revoked_after_the_grace_period() {
    let namespace = leased("45s", "1h");
    assert!(LEASING.process() > 0);
    one_time_passwords(&namespace, CLASS);
    let start = Instant::now();
    wish(&namespace, "app", "otp", &json!({}));
    ready(&CLUSTER, &namespace, "app", "True");
    let (first, lease) = (value(&namespace, "app", "key").unwrap(), living(&namespace));
    next_value(&namespace, "app", &first);
    assert!(start.elapsed() > Duration::from_secs(25), "it was replaced long before its end");
    assert!(lease.is_subset(&living(&namespace)), "the old one ended before anybody could take the new one");
    eventually("the old one is revoked", || {
        let living = living(&namespace);
        if lease.is_disjoint(&living) && living == noted(&namespace) { Ok(()) } else { Err(format!("{living:?}")) }
    });
    assert!(start.elapsed() < Duration::from_secs(44), "it ended by itself");
}

#[test]
fn what_was_delivered_is_renewed_while_nothing_newer_can_be_delivered() {
    let namespace = leased("1h", "1h");
    assert!(LEASING.process() > 0);
    let parameters = json!({"ttl": "15s", "policies": ["default"]});
    let spec = json!({"path": "auth/token/create", "parameters": parameters, "resultType": "Auth"});
    generator(&namespace, CLASS, "token", &spec);
    let fake = json!({"fake": {"data": [{"key": "there", "value": "x"}]}});
    create(&namespace, "SecretStore", "fake", &json!({"controller": CLASS, "provider": fake}));
    let beside = |key: &str| json!([{"secretKey": "beside", "remoteRef": {"key": key}}]);
    let rest = json!({"refreshInterval": "4s", "secretStoreRef": {"name": "fake"}, "data": beside("there")});
    wish(&namespace, "app", "token", &rest);
    ready(&CLUSTER, &namespace, "app", "True");
    API.patch("externalsecrets", &namespace, "app", &json!({"spec": {"data": beside("missing")}}));
    ready(&CLUSTER, &namespace, "app", "False");
    let delivered = value(&namespace, "app", "client_token").unwrap();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(35) {
        assert!(value(&namespace, "app", "client_token").is_some_and(|now| now == delivered), "another was delivered");
        assert!(is_alive(&delivered), "the lease of what was delivered has ended");
        let live = states(&namespace);
        let live = live.values().filter(|state| state["spec"]["garbageCollectionDeadline"].is_null());
        assert!(live.count() <= 4, "leases pile up");
        std::thread::sleep(Duration::from_secs(1));
    }
    API.patch("externalsecrets", &namespace, "app", &json!({"spec": {"data": beside("there")}}));
    eventually("another token is there", || match value(&namespace, "app", "client_token") {
        Some(next) if next != delivered => Ok(()),
        _ => Err("the same token"),
    });
    eventually("the first one has ended", || if is_alive(&delivered) { Err("it lives") } else { Ok(()) });
}

#[test]
fn a_lease_that_is_too_short_is_refused_with_its_field_and_revoked() {
    let namespace = leased("5s", "1h");
    assert!(LEASING.process() > 0);
    one_time_passwords(&namespace, CLASS);
    wish(&namespace, "app", "otp", &json!({}));
    let (_, message) = ready(&CLUSTER, &namespace, "app", "False");
    assert!(message.contains("spec.path") && message.contains("lasts for 5 s"), "{message}");
    eventually("it is revoked", || if living(&namespace).is_empty() { Ok(()) } else { Err("it lives") });
}

#[test]
fn a_new_interval_brings_a_new_value_and_the_lease_of_the_old_one_ends() {
    let namespace = leased("1h", "1h");
    assert!(LEASING.process() > 0);
    one_time_passwords(&namespace, CLASS);
    wish(&namespace, "app", "otp", &json!({"refreshInterval": "4s"}));
    ready(&CLUSTER, &namespace, "app", "True");
    let first = value(&namespace, "app", "key").unwrap();
    let second = next_value(&namespace, "app", &first);
    next_value(&namespace, "app", &second);
    API.patch("externalsecrets", &namespace, "app", &json!({"spec": {"refreshInterval": "1h"}}));
    eventually("one lease is left", || {
        let (living, noted) = (living(&namespace), noted(&namespace));
        if living.len() == 1 && living == noted { Ok(()) } else { Err(format!("{living:?} {noted:?}")) }
    });
}

#[test]
fn who_deletes_a_state_revokes_its_lease_and_gets_another_value() {
    let namespace = leased("1h", "1h");
    assert!(LEASING.process() > 0);
    one_time_passwords(&namespace, CLASS);
    wish(&namespace, "app", "otp", &json!({}));
    ready(&CLUSTER, &namespace, "app", "True");
    let (first, lease) = (value(&namespace, "app", "key").unwrap(), living(&namespace));
    let state = states(&namespace).into_keys().next().unwrap();
    API.delete("generatorstates", &namespace, &state);
    next_value(&namespace, "app", &first);
    eventually("the old lease is revoked", || {
        let living = living(&namespace);
        if living.len() == 1 && lease.is_disjoint(&living) { Ok(()) } else { Err(format!("{living:?}")) }
    });
}

/// The one-time password that a PushSecret with this update policy pushes to Vault, and where.
fn pushed(namespace: &str, update_policy: &str) -> impl Fn() -> Option<String> {
    one_time_passwords(namespace, CLASS);
    core(namespace, "Secret", "root", &json!({"stringData": {"token": VAULT.root_token()}}));
    let auth = json!({"tokenSecretRef": {"name": "root", "key": "token"}});
    let vault = json!({"server": VAULT.address(), "path": "secret", "version": "v2", "auth": auth});
    create(namespace, "SecretStore", "vault", &json!({"controller": CLASS, "provider": {"vault": vault}}));
    let place = format!("{namespace}-otp");
    let push = json!({
        "apiVersion": "external-secrets.io/v1alpha1", "kind": "PushSecret", "metadata": {"name": "app"},
        "spec": {
            "refreshInterval": "1h", "deletionPolicy": "Delete", "updatePolicy": update_policy,
            "secretStoreRefs": [{"name": "vault"}],
            "selector": {"generatorRef": {"kind": "VaultDynamicSecret", "name": "otp"}},
            "data": [{"match": {"secretKey": "key", "remoteRef": {"remoteKey": place, "property": "key"}}}],
        },
    });
    assert_eq!(API.create("pushsecrets", namespace, &push), (201, String::new()));
    let pushed = move || VAULT.command(&["kv", "get", "-field=key", &format!("secret/{place}")]).ok();
    eventually("it is pushed", || {
        pushed().map(drop).ok_or_else(|| format!("{:?}", API.get("pushsecrets", namespace, "app")))
    });
    pushed
}

#[test]
fn what_a_push_secret_pushes_is_leased_for_it_and_ends_with_it() {
    let namespace = leased("1h", "1h");
    assert!(LEASING.process() > 0);
    let pushed = pushed(&namespace, "Replace");
    assert_eq!(living(&namespace).len(), 1);
    assert_eq!(noted(&namespace), living(&namespace));
    API.delete("pushsecrets", &namespace, "app");
    all_is_revoked(&namespace);
    assert!(pushed().is_none(), "it is still in the store");
}

#[test]
fn what_a_store_keeps_because_it_is_there_keeps_its_lease() {
    let namespace = leased("1h", "1h");
    assert!(LEASING.process() > 0);
    let pushed = pushed(&namespace, "IfNotExists");
    let (before, leases) = (pushed().unwrap(), living(&namespace));
    assert_eq!(leases.len(), 1);
    // Another generation, for which a value that may be replaced is made anew.
    API.patch("pushsecrets", &namespace, "app", &json!({"spec": {"refreshInterval": "2h"}}));
    eventually("it was looked at again", || {
        let object = API.get("pushsecrets", &namespace, "app").ok_or("it does not exist")?;
        let seen = object["status"]["syncedResourceVersion"].as_str().unwrap_or_default().to_owned();
        if seen.starts_with("2-") { Ok(()) } else { Err(seen) }
    });
    assert_eq!((living(&namespace), noted(&namespace)), (leases.clone(), leases));
    assert!(pushed().is_some_and(|now| now == before), "the store holds another value");
}

#[test]
fn an_answer_without_a_lease_leaves_no_state_and_one_without_data_is_told() {
    let namespace = leased("1h", "1h");
    assert!(LEASING.process() > 0);
    let spec = json!({"path": "auth/token/create", "parameters": {"ttl": "1h", "policies": ["default"]}});
    generator(&namespace, CLASS, "dataless", &spec);
    let denied = json!({"path": format!("ssh-{namespace}/creds/other"), "parameters": {"ip": "10.0.0.1"}});
    generator(&namespace, CLASS, "denied", &denied);
    let looked_up = json!({"method": "GET", "path": "auth/token/lookup-self"});
    generator(&namespace, CLASS, "unleased", &looked_up);
    wish(&namespace, "dataless", "dataless", &json!({}));
    wish(&namespace, "denied", "denied", &json!({}));
    wish(&namespace, "unleased", "unleased", &json!({}));
    let (_, words) = ready(&CLUSTER, &namespace, "dataless", "False");
    assert!(words.contains("auth/token/create holds nothing"), "{words}");
    let (_, words) = ready(&CLUSTER, &namespace, "denied", "False");
    assert!(words.contains(&format!("may not write to ssh-{namespace}/creds/other")), "{words}");
    ready(&CLUSTER, &namespace, "unleased", "True");
    assert!(value(&namespace, "unleased", "path").is_some_and(|path| path.ends_with("/login/app")));
    for name in ["dataless", "denied", "unleased"] {
        API.delete("externalsecrets", &namespace, name);
    }
    eventually("no state is left", || {
        let states = states(&namespace);
        if states.is_empty() { Ok(()) } else { Err(format!("{states:#?}")) }
    });
}

/// Objects that are synchronised while the operator is killed.
const OBJECTS: usize = 60;

#[test]
fn fifteen_kills_lose_no_delivered_value_and_leave_no_lease_that_nobody_knows() {
    const KILLED: &str = "leasing-killed";
    let namespace = leased("1h", "1h");
    let class = format!("--controller-class={KILLED}");
    let flags = [class.as_str(), "--allow-local-addresses", "--generator-gc-grace-period=1s"];
    one_time_passwords(&namespace, KILLED);
    let is_over = AtomicBool::new(false);
    let delivered = |seen: &mut BTreeMap<String, String>| {
        for (name, secret) in API.list("secrets", &namespace).iter().filter(|(name, _)| name.starts_with("app-")) {
            let Some(password) = data(secret).remove("key") else { continue };
            let before = seen.entry(name.clone()).or_insert_with(|| password.clone());
            assert!(*before == password, "{name}: a delivered value was replaced");
        }
    };
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut seen = BTreeMap::new();
            while !is_over.load(Ordering::Relaxed) {
                delivered(&mut seen);
                std::thread::sleep(Duration::from_millis(50));
            }
            seen
        });
        let making = scope.spawn(|| {
            for number in 0..OBJECTS {
                wish(&namespace, &format!("app-{number}"), "otp", &json!({}));
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        for kills in 0..15_u64 {
            let operator = Operator::spawn(&CLUSTER, &flags, &[]);
            std::thread::sleep(Duration::from_millis(100 + kills * 37 % 400));
            operator.kill();
        }
        making.join().unwrap();
        let operator = Operator::start(&CLUSTER, &flags);
        eventually("all are there", || {
            let objects = API.list("externalsecrets", &namespace);
            let is_ready = |object: &&Value| condition(object, "Ready").is_some_and(|ready| ready.0 == "True");
            let done = objects.values().filter(is_ready).count();
            if done == OBJECTS { Ok(()) } else { Err(done) }
        });
        eventually("what lives at the server is what is used", || {
            let (living, noted) = (living(&namespace), noted(&namespace));
            let states = states(&namespace).len();
            if living == noted && noted.len() == OBJECTS && states == OBJECTS {
                Ok(())
            } else {
                Err(format!("{} live, {} are noted, {states} states", living.len(), noted.len()))
            }
        });
        is_over.store(true, Ordering::Relaxed);
        let mut seen = looking.join().unwrap();
        delivered(&mut seen);
        assert_eq!(seen.len(), OBJECTS);
        operator.stop();
    });
}

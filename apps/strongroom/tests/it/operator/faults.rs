//! What goes wrong around the operator and with it: afterwards everything is right, nothing was blanked, and nothing was
//! written that need not be.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use world::control_plane::{ControlPlane, Options};
use world::switchboard::{Fault, Line, Switchboard};

use super::api::{API, Api, line};
use super::policies::{external_secret, served};
use super::support::{CLUSTER, OPERATOR, Operator, cluster, condition, eventually, namespace, shows_none};
use super::sync::apply;
use crate::VAULT;

/// A cluster for what would disturb everybody else.
static APART: LazyLock<Mutex<ControlPlane>> = LazyLock::new(|| Mutex::new(cluster(&Options::default())));

/// How a fault is put in front of a store, and taken away.
type Switch = fn(&Switchboard);

/// The version of each object of a kind.
fn versions(api: &Api, kind: &str, namespace: &str) -> BTreeMap<String, String> {
    let version = |object: &Value| object["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    api.list(kind, namespace).iter().map(|(name, object)| (name.clone(), version(object))).collect()
}

/// Waits until exactly these Secrets are there, each with `data`.
fn all_have(api: &Api, namespace: &str, names: &[String], data: &str) {
    eventually(&format!("{} Secrets have {data}", names.len()), || {
        let secrets = api.list("secrets", namespace);
        let wrong = names.iter().filter(|name| secrets.get(*name).map(line).as_deref() != Some(data));
        let wrong: Vec<_> = wrong.map(|name| (name, secrets.get(name).map(line))).collect();
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(format!("{} are wrong: {:?}", wrong.len(), &wrong[..wrong.len().min(3)]))
        }
    });
}

fn make(api: &Api, kind: &str, namespace: &str, name: &str, spec: &Value) {
    let plural = format!("{}s", kind.to_lowercase());
    let object = json!({
        "apiVersion": "external-secrets.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    });
    assert_eq!(api.create(&plural, namespace, &object), (201, String::new()), "{name}");
}

fn fake_of(class: &str, value: &str) -> Value {
    json!({"controller": class, "provider": {"fake": {"data": [{"key": "a", "value": value}]}}})
}

/// Puts the token of [`vault_behind`] into the namespace.
fn give_vault_token(namespace: &str) {
    let creds = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "creds"},
        "stringData": {"token": VAULT.root_token()},
    });
    assert_eq!(API.create("secrets", namespace, &creds).0, 201);
}

/// The provider of a store that reaches Vault through `door`.
fn vault_behind(door: &Switchboard) -> Value {
    let auth = json!({"tokenSecretRef": {"name": "creds", "key": "token"}});
    json!({"vault": {"server": door.address(), "path": "secret", "version": "v2", "auth": auth}})
}

fn of_fake(interval: &str) -> Value {
    json!({
        "secretStoreRef": {"name": "fake"}, "refreshInterval": interval,
        "data": [{"secretKey": "a", "remoteRef": {"key": "a"}}, {"secretKey": "b", "remoteRef": {"key": "a"}}],
    })
}

/// Objects that are synchronised while the operator is killed.
const OBJECTS: usize = 500;

#[test]
fn twenty_kills_while_it_works_leave_nothing_wrong_and_nothing_blank() {
    let namespace = namespace(&CLUSTER, &[]);
    let flags = ["--controller-class=killed", "--spread=1s"];
    let names: Vec<String> = (0..OBJECTS).map(|number| format!("app-{number}")).collect();
    make(&API, "SecretStore", &namespace, "fake", &fake_of("killed", "one"));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // What a workload sees at any moment is a whole Secret of one time.
        let looking = scope.spawn(|| {
            let mut looks = 0;
            while !is_over.load(Ordering::Relaxed) {
                for (name, secret) in API.list("secrets", &namespace) {
                    let found = line(&secret);
                    assert!(["a=one b=one", "a=two b=two"].contains(&found.as_str()), "{name}: {found}");
                }
                looks += 1;
                std::thread::sleep(Duration::from_millis(100));
            }
            looks
        });
        let names = &names;
        let making = scope.spawn({
            let namespace = namespace.clone();
            move || {
                for (place, name) in names.iter().enumerate() {
                    make(&API, "ExternalSecret", &namespace, name, &of_fake("5s"));
                    std::thread::sleep(Duration::from_millis(if place < 400 { 2 } else { 20 }));
                }
            }
        });
        for kills in 0..20u64 {
            let operator = Operator::spawn(&CLUSTER, &flags, &[]);
            std::thread::sleep(Duration::from_millis(40 + kills * 23 % 300));
            operator.kill();
            if kills == 12 {
                API.patch("secretstores", &namespace, "fake", &json!({"spec": fake_of("killed", "two")}));
            }
        }
        making.join().unwrap();
        let operator = Operator::start(&CLUSTER, &flags);
        all_have(&API, &namespace, names, "a=two b=two");
        is_over.store(true, Ordering::Relaxed);
        assert!(looking.join().unwrap() > 20);
        operator.stop();
    });
    let quiet = |api: &Api| (versions(api, "secrets", &namespace), versions(api, "externalsecrets", &namespace));
    let before = quiet(&API);
    assert_eq!((before.0.len(), before.1.len()), (OBJECTS, OBJECTS));
    let operator = Operator::start(&CLUSTER, &flags);
    // Each is looked at, by its interval and after the start, and is found right.
    std::thread::sleep(Duration::from_secs(8));
    assert_eq!(before, quiet(&API), "something was rewritten");
    let (code, took) = operator.stop();
    assert!(code == Some(0) && took < Duration::from_secs(5), "{code:?} {took:?}");
}

#[test]
fn steady_state_writes_nothing() {
    let namespace = served(&[("/a", "one"), ("/b", "{\"x\":\"two\"}")]);
    let own = "---\n{apiVersion: v1, kind: Secret, metadata: {name: merging}, stringData: {own: x}}\n";
    let data = [("a", "/a")];
    let quick = "refreshInterval: 1s";
    let template = "template: {type: Opaque, metadata: {labels: {l: m}, annotations: {n: o}}, data: {t: 'x {{ .a }}'}}";
    let found = "---\n{apiVersion: external-secrets.io/v1, kind: ExternalSecret, metadata: {name: found}, spec: \
                 {refreshInterval: 1s, secretStoreRef: {name: fake}, target: {deletionPolicy: Delete}, dataFrom: \
                 [{extract: {key: /b}}, {find: {name: {regexp: .*}}}]}}\n";
    apply(
        &namespace,
        &[
            own,
            &external_secret("owned", quick, "", &data),
            &external_secret("orphaned", quick, "creationPolicy: Orphan", &data),
            &external_secret("merging", quick, "creationPolicy: Merge", &data),
            &external_secret("creating", quick, "creationPolicy: CreateOrMerge, deletionPolicy: Merge", &data),
            &external_secret("absent", quick, "creationPolicy: Merge", &data),
            &external_secret("nothing", quick, "creationPolicy: None", &data),
            &external_secret("frozen", quick, "immutable: true", &data),
            &external_secret("templated", quick, template, &data),
            &external_secret("failing", quick, "", &[("a", "/a"), ("z", "/z")]),
            &own.replace("merging", "shared"),
            found,
        ]
        .concat(),
    );
    // Without what kubectl notes on each: both would have it on their one Secret.
    for (name, key, remote) in [("shared-one", "a", "/a"), ("shared-two", "b", "/b")] {
        let spec = json!({
            "secretStoreRef": {"name": "fake"}, "refreshInterval": "1s",
            "target": {"name": "shared", "creationPolicy": "Merge"},
            "data": [{"secretKey": key, "remoteRef": {"key": remote}}],
        });
        make(&API, "ExternalSecret", &namespace, name, &spec);
    }
    eventually("all are told how they stand", || {
        let objects = API.list("externalsecrets", &namespace);
        let told = objects.values().filter(|object| condition(object, "Ready").is_some()).count();
        if told == 12 { Ok(()) } else { Err(told) }
    });
    std::thread::sleep(Duration::from_millis(2500));
    let all = || ["secrets", "externalsecrets", "secretstores", "events"].map(|kind| versions(&API, kind, &namespace));
    let before = all();
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(before, all(), "something was written");
    assert_eq!(line(&API.get("secrets", &namespace, "shared").unwrap()), "a=one b={\"x\":\"two\"} own=x");
}

#[test]
fn a_rival_who_writes_all_the_time_is_overwritten_in_the_end() {
    let namespace = served(&[("/a", "right")]);
    apply(&namespace, &external_secret("app", "refreshInterval: 1s", "", &[("a", "/a")]));
    all_have(&API, &namespace, &["app".to_owned()], "a=right");
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < Duration::from_secs(3) {
        count += 1;
        let patch = json!({"stringData": {"a": "wrong"}, "metadata": {"labels": {"rival": count.to_string()}}});
        API.patch("secrets", &namespace, "app", &patch);
    }
    let patch = json!({"metadata": {"labels": {"rival": null}}});
    API.patch("secrets", &namespace, "app", &patch);
    let over = Instant::now();
    all_have(&API, &namespace, &["app".to_owned()], "a=right");
    assert!(over.elapsed() < Duration::from_secs(10), "{:?}", over.elapsed());
}

#[test]
fn a_store_that_fails_harms_neither_what_was_synchronised_nor_other_stores() {
    let namespace = served(&[("/a", "healthy")]);
    let (token, old, new) = (VAULT.root_token(), "canary-old-4e11", "canary-new-4e11");
    give_vault_token(&namespace);
    let faults: [(&str, Switch); 9] = [
        ("refused", |door| door.set_line(Line::Refused).unwrap()),
        ("half-open", |door| door.set_line(Line::HalfOpen).unwrap()),
        ("hangup", |door| door.add(Fault::hangup())),
        ("silence", |door| door.add(Fault::silence())),
        ("cut", |door| door.add(Fault::cut_body())),
        ("unavailable", |door| door.add(Fault::answer(503, &[], "{\"data\":\"canary-old-4e11\"}"))),
        ("throttled", |door| door.add(Fault::throttle(Some(1)))),
        ("garbage", |door| {
            door.add(Fault::answer(
                200,
                &[("Content-Type", "application/json")],
                "{\"data\": {\"data\": \"canary-old-4e11",
            ))
        }),
        ("html", |door| door.add(Fault::answer(200, &[("Content-Type", "text/html")], "<html>canary-old-4e11</html>"))),
    ];
    let doors: Vec<_> =
        faults.iter().map(|(name, fault)| (*name, fault, Switchboard::to(VAULT.host_port()).unwrap())).collect();
    let path = |name: &str| format!("{namespace}-{name}");
    let put = |value: &str| {
        for (name, ..) in &doors {
            VAULT.command(&["kv", "put", &format!("secret/{}", path(name)), &format!("v={value}")]).unwrap();
        }
    };
    put(old);
    for (name, _, door) in &doors {
        let spec = json!({"retrySettings": {"maxRetries": 0}, "provider": vault_behind(door)});
        make(&API, "SecretStore", &namespace, name, &spec);
        let entry = json!({"secretKey": "v", "remoteRef": {"key": path(name), "property": "v"}});
        let spec = json!({"secretStoreRef": {"name": name}, "refreshInterval": "2s", "data": [entry]});
        make(&API, "ExternalSecret", &namespace, name, &spec);
    }
    let names: Vec<String> = doors.iter().map(|(name, ..)| (*name).to_owned()).collect();
    all_have(&API, &namespace, &names, &format!("v={old}"));

    doors.iter().for_each(|(_, fault, door)| fault(door));
    put(new);
    apply(&namespace, &external_secret("healthy", "", "", &[("a", "/a")]));
    let start = Instant::now();
    all_have(&API, &namespace, &["healthy".to_owned()], "a=healthy");
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    eventually("all are told", || {
        let objects = API.list("externalsecrets", &namespace);
        let is_told = |name: &&str| condition(&objects[*name], "Ready").is_some_and(|ready| ready.0 == "False");
        let untold: Vec<_> = doors.iter().map(|(name, ..)| name).filter(|name| !is_told(name)).collect();
        if untold.is_empty() { Ok(()) } else { Err(format!("{untold:?}")) }
    });
    all_have(&API, &namespace, &names, &format!("v={old}"));
    for (_, _, door) in &doors {
        door.clear();
        door.set_line(Line::Open).unwrap();
    }
    all_have(&API, &namespace, &names, &format!("v={new}"));
    eventually("all are told again", || {
        let objects = API.list("externalsecrets", &namespace);
        let is_well = |name: &&str| condition(&objects[*name], "Ready").is_some_and(|ready| ready.0 == "True");
        let unwell: Vec<_> = doors.iter().map(|(name, ..)| name).filter(|name| !is_well(name)).collect();
        if unwell.is_empty() { Ok(()) } else { Err(format!("{unwell:?}")) }
    });
    shows_nothing(&namespace, &[token, old, new]);
}

#[test]
fn a_slow_store_delays_its_own_readers_alone() {
    let namespace = served(&[("/a", "quick")]);
    give_vault_token(&namespace);
    VAULT.command(&["kv", "put", &format!("secret/{namespace}"), "v=late"]).unwrap();
    let door = Switchboard::to(VAULT.host_port()).unwrap();
    door.add(Fault::delay(Duration::from_secs(3)));
    let spec = json!({"controller": "default", "provider": vault_behind(&door)});
    make(&API, "SecretStore", &namespace, "slow", &spec);
    let slow: Vec<String> = (0..30).map(|number| format!("slow-{number}")).collect();
    for name in &slow {
        let entry = json!({"secretKey": "v", "remoteRef": {"key": namespace, "property": "v"}});
        let spec = json!({"secretStoreRef": {"name": "slow"}, "refreshInterval": "1h", "data": [entry]});
        make(&API, "ExternalSecret", &namespace, name, &spec);
    }
    let start = Instant::now();
    apply(&namespace, &external_secret("quick", "", "", &[("a", "/a")]));
    all_have(&API, &namespace, &["quick".to_owned()], "a=quick");
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let there = API.list("secrets", &namespace);
    assert!(!slow.iter().any(|name| there.contains_key(name)), "the store was not slow");
    all_have(&API, &namespace, &slow, "v=late");
    // They name one key, so that the store was asked for it once, or a few times.
    let reads = door.counts().requests;
    assert!(reads < 10, "{reads} requests");
}

/// Looks for values in everything that the shared operator shows.
fn shows_nothing(namespace: &str, values: &[&str]) {
    let mut shown = OPERATOR.shown();
    for (place, kind) in
        [("events", "events"), ("ExternalSecrets", "externalsecrets"), ("SecretStores", "secretstores")]
    {
        shown.push((place, json!(API.list(kind, namespace)).to_string()));
    }
    shows_none(&shown, values);
}

#[test]
fn another_replica_takes_over_within_seconds_of_a_clean_end() {
    let namespace = namespace(&CLUSTER, &[]);
    let leases = format!("--leader-election-namespace={namespace}");
    let flags = ["--controller-class=pair", "--enable-leader-election", &leases];
    make(&API, "SecretStore", &namespace, "fake", &fake_of("pair", "one"));
    make(&API, "ExternalSecret", &namespace, "before", &of_fake("1h"));
    let first = Operator::spawn(&CLUSTER, &flags, &[]);
    all_have(&API, &namespace, &["before".to_owned()], "a=one b=one");
    let second = Operator::spawn(&CLUSTER, &flags, &[]);
    // Long enough for lists to be whole and for a second leader to show itself.
    std::thread::sleep(Duration::from_secs(3));
    assert!(!second.logged().contains("the operator works"), "two lead");
    let holder = || API.get("leases", &namespace, "strongroom-operator").unwrap()["spec"]["holderIdentity"].clone();
    let held = holder();
    let stopping = Instant::now();
    let (code, took) = first.stop();
    assert!(code == Some(0) && took < Duration::from_secs(5), "{code:?} {took:?}");
    make(&API, "ExternalSecret", &namespace, "after", &of_fake("1h"));
    all_have(&API, &namespace, &["after".to_owned()], "a=one b=one");
    let took = stopping.elapsed();
    assert!(took < Duration::from_secs(5), "the hand-over took {took:?}");
    assert_ne!(holder(), held);
    drop(second);
}

#[test]
fn nothing_is_written_while_another_controller_is_at_work() {
    let cluster = APART.lock().unwrap_or_else(PoisonError::into_inner);
    let api = Api::of(&cluster);
    let namespace = namespace(&cluster, &[]);
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "external-secrets-controller"},
        "spec": {
            "holderIdentity": "external-secrets-7d9f_1", "leaseDurationSeconds": 3600,
            "acquireTime": "2026-01-01T00:00:00.000000Z", "renewTime": now(),
        },
    });
    assert_eq!(api.create("leases", &namespace, &lease), (201, String::new()));
    let operator = Operator::spawn(&cluster, &[], &[]);
    make(&api, "SecretStore", &namespace, "fake", &fake_of("", "one"));
    make(&api, "ExternalSecret", &namespace, "app", &of_fake("1s"));
    eventually("readiness names the other", || {
        let (status, body) = operator.get(&operator.health, "/readyz");
        if status == 503 && body.contains("external-secrets-7d9f_1") { Ok(()) } else { Err(format!("{status} {body}")) }
    });
    std::thread::sleep(Duration::from_secs(3));
    assert!(api.list("secrets", &namespace).is_empty());
    let untouched = |kind: &str, name: &str| api.get(kind, &namespace, name).unwrap()["status"].is_null();
    assert!(untouched("externalsecrets", "app") && untouched("secretstores", "fake"));
    assert_eq!(operator.get(&operator.health, "/livez").0, 200);
    api.delete("leases", &namespace, "external-secrets-controller");
    all_have(&api, &namespace, &["app".to_owned()], "a=one b=one");
    assert_eq!(operator.get(&operator.health, "/readyz").0, 200);
}

/// The time as Kubernetes writes it in Leases.
fn now() -> String {
    let now = std::process::Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%S.000000Z"]).output().unwrap();
    String::from_utf8(now.stdout).unwrap().trim().to_owned()
}

#[test]
fn an_api_server_that_goes_and_comes_back_is_followed_again() {
    let mut cluster = APART.lock().unwrap_or_else(PoisonError::into_inner);
    let namespace = namespace(&cluster, &[]);
    let operator = Operator::start(&cluster, &["--spread=1s"]);
    let names: Vec<String> = (0..50).map(|number| format!("app-{number}")).collect();
    let api = Api::of(&cluster);
    make(&api, "SecretStore", &namespace, "fake", &fake_of("", "one"));
    names.iter().for_each(|name| make(&api, "ExternalSecret", &namespace, name, &of_fake("1s")));
    // In the middle of the work, and for longer than a first pause.
    cluster.kill_api_server();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(operator.get(&operator.health, "/livez").0, 200, "{}", operator.logged());
    cluster.start_api_server().unwrap();
    all_have(&api, &namespace, &names, "a=one b=one");
    // And at rest.
    cluster.kill_api_server();
    std::thread::sleep(Duration::from_secs(2));
    cluster.start_api_server().unwrap();
    api.patch("secretstores", &namespace, "fake", &json!({"spec": fake_of("", "two")}));
    all_have(&api, &namespace, &names, "a=two b=two");
    eventually("all are told", || {
        let objects = api.list("externalsecrets", &namespace);
        let well = objects.values().filter(|object| condition(object, "Ready").is_some_and(|ready| ready.0 == "True"));
        if well.count() == names.len() { Ok(()) } else { Err("not all are Ready") }
    });
}

#[test]
fn a_watch_whose_version_is_gone_begins_again_and_misses_nothing() {
    let mut cluster = APART.lock().unwrap_or_else(PoisonError::into_inner);
    let namespace = namespace(&cluster, &[]);
    let operator = Operator::start(&cluster, &["--spread=1s"]);
    let api = Api::of(&cluster);
    make(&api, "SecretStore", &namespace, "fake", &fake_of("", "one"));
    let names = ["mended", "untouched"].map(str::to_owned);
    names.iter().for_each(|name| make(&api, "ExternalSecret", &namespace, name, &of_fake("1h")));
    all_have(&api, &namespace, &names, "a=one b=one");
    let before = versions(&api, "secrets", &namespace);

    // While it sleeps, changes happen that an API server which starts anew does not remember one by one.
    operator.signal(Signal::SIGSTOP);
    api.delete("secrets", &namespace, "mended");
    make(&api, "ExternalSecret", &namespace, "new", &of_fake("1h"));
    cluster.kill_api_server();
    cluster.start_api_server().unwrap();
    operator.signal(Signal::SIGCONT);

    let all = ["mended", "untouched", "new"].map(str::to_owned);
    all_have(&api, &namespace, &all, "a=one b=one");
    assert!(operator.logged().contains("its version is gone"), "no watch was told 410");
    let after = versions(&api, "secrets", &namespace);
    assert_eq!(after["untouched"], before["untouched"], "it was rewritten");
}

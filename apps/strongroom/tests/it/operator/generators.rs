//! Generators: values that the operator makes, and that no accident makes twice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::api::{API, data};
use super::support::{CLUSTER, OPERATOR, Operator, condition, eventually, namespace, ready, secret, value};
use super::sync::apply;

const GENERATORS: &str = "
{apiVersion: generators.external-secrets.io/v1alpha1, kind: Password, metadata: {name: long}, spec: {length: 40, allowRepeat: true}}
---
{apiVersion: generators.external-secrets.io/v1alpha1, kind: UUID, metadata: {name: id}, spec: {}}
---
{apiVersion: generators.external-secrets.io/v1alpha1, kind: SSHKey, metadata: {name: key}, spec: {keyType: ed25519, comment: ci}}
---
{apiVersion: generators.external-secrets.io/v1alpha1, kind: Fake, metadata: {name: fixed}, spec: {data: {a: one, b: two}}}
---
{apiVersion: generators.external-secrets.io/v1alpha1, kind: MFA, metadata: {name: code}, spec: {secret: {name: seed, key: seed}, length: 8, when: '1970-01-01T00:00:59Z'}}
---
{apiVersion: v1, kind: Secret, metadata: {name: seed}, stringData: {seed: GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ}}
---
";

/// A namespace with generators, served by the shared operator.
fn served() -> String {
    let namespace = namespace(&CLUSTER, &[]);
    assert!(OPERATOR.process() > 0);
    apply(&namespace, GENERATORS);
    namespace
}

/// An ExternalSecret of generators: (kind, name, rewrite).
fn from_generators(name: &str, spec: &str, generators: &[(&str, &str)]) -> String {
    let entry =
        |(kind, name): &(&str, &str)| format!("{{sourceRef: {{generatorRef: {{kind: {kind}, name: {name}}}}}}}");
    let entries: Vec<String> = generators.iter().map(entry).collect();
    format!(
        "---\n{{apiVersion: external-secrets.io/v1, kind: ExternalSecret, metadata: {{name: {name}}}, spec: {{{spec}, \
         dataFrom: [{}]}}}}\n",
        entries.join(", ")
    )
}

fn values(namespace: &str, name: &str) -> BTreeMap<String, String> {
    data(&secret(&CLUSTER, namespace, name).unwrap())
}

fn conditions_of(namespace: &str, name: &str) -> Option<(String, String, String)> {
    condition(&API.get("externalsecrets", namespace, name)?, "Ready")
}

#[test]
fn values_of_generators_arrive_under_the_keys_that_external_secrets_gives_them() {
    let namespace = served();
    let all = [("Password", "long"), ("UUID", "id"), ("SSHKey", "key"), ("Fake", "fixed"), ("MFA", "code")];
    apply(&namespace, &from_generators("app", "refreshInterval: 1h", &all));
    assert_eq!(ready(&CLUSTER, &namespace, "app", "True").0, "SecretSynced");
    let made = values(&namespace, "app");
    let keys: Vec<&str> = made.keys().map(String::as_str).collect();
    assert_eq!(keys, ["a", "b", "password", "privateKey", "publicKey", "timeLeft", "token", "uuid"]);
    assert_eq!((made["a"].as_str(), made["token"].as_str(), made["timeLeft"].as_str()), ("one", "94287082", "1"));
    assert_eq!((made["password"].len(), made["uuid"].len()), (40, 36));
    assert!(made["publicKey"].starts_with("ssh-ed25519 ") && made["publicKey"].ends_with(" ci\n"));
}

#[test]
fn a_delivered_value_outlives_touches_damage_and_deletion_of_its_secret_and_a_new_interval_brings_a_new_one() {
    let namespace = served();
    apply(&namespace, &from_generators("app", "refreshInterval: 1h", &[("Password", "long"), ("Password", "long")]));
    ready(&CLUSTER, &namespace, "app", "True");
    let first = values(&namespace, "app");
    let is_synced_at = |annotation: &str| {
        API.touch(&namespace, "app", annotation);
        eventually("the touch is seen", || {
            let object = API.get("externalsecrets", &namespace, "app").unwrap();
            let generation = &object["metadata"]["resourceVersion"];
            let version = object["status"]["syncedResourceVersion"].as_str().unwrap_or_default().to_owned();
            if version.is_empty() { Err(generation.to_string()) } else { Ok(version) }
        })
    };
    let before = is_synced_at("0");
    let after = eventually("another version is synced", || {
        let version = is_synced_at("1");
        if version == before { Err(version) } else { Ok(version) }
    });
    assert_ne!(before, after);
    assert!(values(&namespace, "app") == first, "a touch made another value");
    API.patch("secrets", &namespace, "app", &json!({"stringData": {"password": "mine"}}));
    eventually(
        "the damage is mended",
        || {
            if values(&namespace, "app") == first { Ok(()) } else { Err("another value") }
        },
    );
    API.delete("secrets", &namespace, "app");
    eventually("the Secret is there again", || match secret(&CLUSTER, &namespace, "app") {
        Some(secret) if data(&secret) == first => Ok(()),
        Some(_) => panic!("another value was made"),
        None => Err("it is not there"),
    });
    API.patch("externalsecrets", &namespace, "app", &json!({"spec": {"refreshInterval": "1s"}}));
    eventually("a new value is made when it is due", || {
        if values(&namespace, "app") == first { Err("the same value") } else { Ok(()) }
    });
    // What is kept goes with its user, as the target does.
    API.delete("externalsecrets", &namespace, "app");
    eventually("nothing is left behind", || {
        let left: Vec<String> = API.list("secrets", &namespace).into_keys().collect();
        if left == ["seed"] { Ok(()) } else { Err(format!("{left:?}")) }
    });
}

#[test]
fn a_value_that_is_made_once_stays_whatever_is_wished_for() {
    let namespace = served();
    let generators = [("Password", "long")];
    apply(&namespace, &from_generators("once", "refreshPolicy: CreatedOnce", &generators));
    apply(&namespace, &from_generators("zero", "refreshInterval: '0'", &generators));
    for name in ["once", "zero"] {
        ready(&CLUSTER, &namespace, name, "True");
        let first = values(&namespace, name);
        let template = json!({"spec": {"target": {"template": {"data": {"line": "p={{ .password }}"}}}}});
        API.patch("externalsecrets", &namespace, name, &template);
        API.delete("secrets", &namespace, name);
        let line = eventually("it is there again, by the new template", || {
            let secret = secret(&CLUSTER, &namespace, name).ok_or("not there")?;
            value(&secret, "line").ok_or("the old template")
        });
        assert!(line == format!("p={}", first["password"]), "another value was made");
    }
}

#[test]
fn a_cluster_generator_serves_every_namespace_and_looks_things_up_there() {
    let namespace = served();
    let name = format!("codes-{namespace}");
    apply(
        &namespace,
        &format!(
            "{{apiVersion: generators.external-secrets.io/v1alpha1, kind: ClusterGenerator, metadata: {{name: {name}}}, \
             spec: {{kind: MFA, generator: {{mfaSpec: {{secret: {{name: seed, key: seed}}, when: \
             '1970-01-01T00:00:59Z'}}}}}}}}\n{}",
            from_generators("app", "refreshInterval: 1h", &[("ClusterGenerator", &name)])
        ),
    );
    ready(&CLUSTER, &namespace, "app", "True");
    assert_eq!(values(&namespace, "app")["token"], "287082");
}

#[test]
fn what_is_not_served_or_missing_or_wrong_is_told_in_the_condition() {
    let namespace = served();
    apply(
        &namespace,
        "{apiVersion: generators.external-secrets.io/v1alpha1, kind: Password, metadata: {name: narrow}, spec: {length: \
         4, digits: 3, symbols: 3}}\n---\n{apiVersion: generators.external-secrets.io/v1alpha1, kind: MFA, metadata: \
         {name: seedless}, spec: {secret: {name: absent, key: a}}}\n",
    );
    let check = |kind: &str, name: &str, expected: &str| {
        let app = format!("app-{}-{name}", kind.to_lowercase());
        let deletion = "refreshInterval: 1h, target: {deletionPolicy: Delete}";
        apply(&namespace, &from_generators(&app, deletion, &[(kind, name)]));
        let (_, message) = ready(&CLUSTER, &namespace, &app, "False");
        assert!(message.contains("spec.dataFrom[0].sourceRef.generatorRef: "), "{message}");
        assert!(message.contains(expected), "{message}");
    };
    check("Grafana", "g", "generators of the kind Grafana are not served by Strongroom yet");
    check("Password", "absent", "the Password \"absent\" does not exist");
    check(
        "Password",
        "narrow",
        "Password \"narrow\" spec.length: 3 digits and 3 symbols are more than the 4 characters",
    );
    check("MFA", "seedless", "absent does not exist");
}

#[test]
fn a_generator_of_another_class_is_left_to_its_controller() {
    let namespace = served();
    apply(
        &namespace,
        "{apiVersion: generators.external-secrets.io/v1alpha1, kind: Fake, metadata: {name: theirs}, spec: {controller: \
         other, data: {a: b}}}\n",
    );
    apply(&namespace, &from_generators("theirs", "refreshInterval: 1h", &[("Fake", "theirs")]));
    apply(&namespace, &from_generators("ours", "refreshInterval: 1h", &[("Fake", "fixed")]));
    ready(&CLUSTER, &namespace, "ours", "True");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(conditions_of(&namespace, "theirs"), None);
    assert!(secret(&CLUSTER, &namespace, "theirs").is_none());
}

/// Objects that are synchronised while the operator is killed.
const OBJECTS: usize = 120;

#[test]
fn fifteen_kills_while_values_are_made_replace_none_that_was_delivered() {
    let namespace = namespace(&CLUSTER, &[]);
    // A class of its own keeps the shared operator away.
    let flags = ["--controller-class=generating"];
    let store = json!({
        "apiVersion": "external-secrets.io/v1", "kind": "SecretStore", "metadata": {"name": "fake"},
        "spec": {"controller": "generating", "provider": {"fake": {"data": [{"key": "a", "value": "one"}]}}},
    });
    assert_eq!(API.create("secretstores", &namespace, &store).0, 201);
    apply(&namespace, GENERATORS);
    let is_over = AtomicBool::new(false);
    let delivered = |seen: &mut BTreeMap<String, String>| {
        for (name, secret) in API.list("secrets", &namespace) {
            let Some(password) = value(&secret, "password").filter(|_| name.starts_with("app-")) else { continue };
            let before = seen.entry(name.clone()).or_insert_with(|| password.clone());
            assert!(*before == password, "{name}: a delivered value was replaced");
        }
    };
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut seen = BTreeMap::new();
            while !is_over.load(Ordering::Relaxed) {
                delivered(&mut seen);
                std::thread::sleep(Duration::from_millis(30));
            }
            seen
        });
        let making = scope.spawn(|| {
            for number in 0..OBJECTS {
                let object = wish(number);
                assert_eq!(API.create("externalsecrets", &namespace, &object).0, 201);
                std::thread::sleep(Duration::from_millis(25));
            }
        });
        for kills in 0..15_u64 {
            let operator = Operator::spawn(&CLUSTER, &flags, &[]);
            std::thread::sleep(Duration::from_millis(60 + kills * 37 % 300));
            operator.kill();
        }
        making.join().unwrap();
        let operator = Operator::start(&CLUSTER, &flags);
        eventually("all are there", || {
            let objects = API.list("externalsecrets", &namespace);
            let done =
                objects.values().filter(|object| condition(object, "Ready").is_some_and(|ready| ready.0 == "True"));
            let done = done.count();
            if done == OBJECTS { Ok(()) } else { Err(done) }
        });
        is_over.store(true, Ordering::Relaxed);
        let mut seen = looking.join().unwrap();
        delivered(&mut seen);
        assert_eq!(seen.len(), OBJECTS);
        operator.stop();
    });
}

fn wish(number: usize) -> Value {
    json!({
        "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "metadata": {"name": format!("app-{number}")},
        "spec": {
            "refreshInterval": "1h", "secretStoreRef": {"name": "fake"},
            "data": [{"secretKey": "a", "remoteRef": {"key": "a"}}],
            "dataFrom": [{"sourceRef": {"generatorRef": {"kind": "Password", "name": "long"}}}],
        },
    })
}

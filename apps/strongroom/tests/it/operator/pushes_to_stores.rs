//! PushSecrets into real stores: values go in and are read back, what is another's stays as it is, what was pushed goes
//! with its PushSecret, and no kill at any point writes twice, loses, or leaves anything behind.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use world::moto::{self, Kind};

use super::api::{API, line};
use super::pushes::{entry, push, source, stands};
use super::stores::{logins, stores};
use super::support::{CLUSTER, Operator, eventually, namespace};
use super::world_of_stores::{World, core, create, send, wait_until_read};
use crate::{AWS, REGION, VAULT};

/// The stores that are written to.
const WRITTEN: [&str; 6] = ["aws-secrets", "aws-parameters", "vault", "google", "azure", "kubernetes"];

/// Makes those of `names` for an operator of this class.
fn open(world: &World, namespace: &str, class: &str, names: &[&str]) {
    logins(world, namespace);
    let known = stores(world, namespace);
    for name in names {
        let (_, provider, ..) = known.iter().find(|(known, ..)| known == name).unwrap();
        let mut provider = provider.clone();
        if *name == "aws-secrets" {
            provider["aws"]["secretsManager"] = json!({"forceDeleteWithoutRecovery": true});
        }
        create(namespace, "SecretStore", name, &json!({"controller": class, "provider": provider}));
    }
}

/// A PushSecret from the Secret `app` into one store.
fn into(store: &str, data: &[Value]) -> Value {
    json!({
        "secretStoreRefs": [{"name": store}], "selector": {"secret": {"name": "app"}}, "deletionPolicy": "Delete",
        "refreshInterval": "1s", "data": data,
    })
}

/// An entry that pushes all of the source.
fn all_of_it(remote_key: &str) -> Value {
    json!({"match": {"remoteRef": {"remoteKey": remote_key}}})
}

/// What is read back by the ExternalSecret of that name: its `data` and `dataFrom`, and what it delivers.
fn readers(store: &str, at: &impl Fn(&str) -> String) -> Vec<(String, Value, &'static str)> {
    // Parameters keep a whole Secret with its values in base64.
    let decoding = if store == "aws-parameters" { "Base64" } else { "None" };
    let extract =
        |key: &str, decoding: &str| json!({"dataFrom": [{"extract": {"key": at(key), "decodingStrategy": decoding}}]});
    let mark = json!({"key": at("parts"), "property": "managed-by", "metadataPolicy": "Fetch"});
    let name = |what: &str| format!("{what}-{store}");
    let mut readers = vec![
        (name("whole"), extract("whole", decoding), "document={\"level\":\"high\"} password=s3cret user=ann"),
        (name("parts"), extract("parts", "None"), "pass=s3cret user=ann"),
    ];
    if store == "kubernetes" {
        // It keeps no value without a key, and marks nothing.
        readers.push((name("foreign"), extract("foreign", "None"), "theirs=kept user=ann"));
        return readers;
    }
    readers.push((name("one"), extract("one", "None"), "level=high"));
    readers.push((name("foreign"), extract("foreign", "None"), "theirs=kept"));
    // Google's is a label, which the tests of its own crate look at.
    if store != "google" {
        let mark = json!({"data": [{"secretKey": "mark", "remoteRef": mark}]});
        readers.push((name("mark"), mark, "mark=external-secrets"));
    }
    readers
}

/// Puts what is another's into every store.
fn fill(world: &World, namespace: &str, name: &str) {
    let theirs = r#"{"theirs":"kept"}"#;
    AWS.put_secret(REGION, name, moto::Value::Text(theirs)).unwrap();
    AWS.put_parameter(REGION, name, Kind::String, theirs).unwrap();
    VAULT.command(&["kv", "put", &format!("secret/{name}"), "theirs=kept"]).unwrap();
    world.google.put(world.google.project(), name, theirs.as_bytes());
    world.azure.put_secret(name, theirs);
    core(namespace, "Secret", name, &json!({"stringData": {"theirs": "kept"}}));
}

/// Waits until there is no object of this kind.
fn all_are_gone(kind: &str, namespace: &str) {
    eventually(&format!("all {kind} are gone"), || {
        let left = API.list(kind, namespace);
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{:#?}", left.values().map(|one| &one["status"]).collect::<Vec<_>>()))
        }
    });
}

#[test]
fn values_go_into_every_kind_of_store_and_go_with_their_push_secret_and_nothing_else_does() {
    const CLASS: &str = "pushing";
    let namespace = namespace(&CLUSTER, &[]);
    let world = World::start();
    let operator = world.operator(CLASS, &[]);
    open(&world, &namespace, CLASS, &WRITTEN);
    let at = |what: &str| format!("{namespace}-{what}");
    fill(&world, &namespace, &at("foreign"));
    let values = json!({"user": "ann", "password": "s3cret", "document": r#"{"level":"high"}"#});
    source(&namespace, "app", &json!({}), &values);
    for store in WRITTEN {
        let mut data = vec![
            all_of_it(&at("whole")),
            entry("user", &at("parts"), Some("user")),
            entry("password", &at("parts"), Some("pass")),
        ];
        if store != "kubernetes" {
            data.push(entry("document", &at("one"), None));
        }
        push(&namespace, store, &into(store, &data));
        push(&namespace, &format!("foreign-{store}"), &into(store, &[entry("user", &at("foreign"), Some("user"))]));
    }
    for store in WRITTEN {
        stands(&namespace, store, ("True", "Synced"));
        if store == "kubernetes" {
            stands(&namespace, "foreign-kubernetes", ("True", "Synced"));
            continue;
        }
        let (_, message) = stands(&namespace, &format!("foreign-{store}"), ("False", "Errored"));
        let deed = format!("spec.data[0]: cannot write \"{}\" to ", at("foreign"));
        let cause = ": it is not managed by us: it lacks the mark";
        assert!(message.contains(&deed) && message.contains(cause), "{store}: {message}");
    }
    let readers: Vec<_> = WRITTEN
        .into_iter()
        .flat_map(|store| readers(store, &at).into_iter().map(move |reader| (store, reader)))
        .collect();
    for (store, (name, rest, _)) in &readers {
        let target = json!({"deletionPolicy": "Delete"});
        let mut spec = json!({"secretStoreRef": {"name": store}, "refreshInterval": "1s", "target": target});
        spec.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        create(&namespace, "ExternalSecret", name, &spec);
    }
    let expected: Vec<_> = readers.iter().map(|(_, (name, _, expected))| (name.as_str(), *expected)).collect();
    wait_until_read(&namespace, &expected);
    let logged = operator.logged();
    assert!(!logged.contains("s3cret"), "a value is shown");

    for name in API.list("pushsecrets", &namespace).keys() {
        assert!(API.delete("pushsecrets", &namespace, name));
    }
    all_are_gone("pushsecrets", &namespace);
    // What Kubernetes keeps whole may have been there before, so it stays; of another's Secret our key alone goes.
    let stays = "document={\"level\":\"high\"} password=s3cret user=ann";
    let mut stay: BTreeMap<_, _> = WRITTEN.map(|store| (format!("foreign-{store}"), "theirs=kept")).into();
    stay.insert("whole-kubernetes".to_owned(), stays);
    eventually("what was pushed is gone, and nothing else", || {
        let secrets = API.list("secrets", &namespace);
        let left = readers.iter().filter_map(|(_, (name, ..))| Some((name.clone(), line(secrets.get(name)?))));
        let left: BTreeMap<_, _> = left.collect();
        let is_right =
            left.iter().map(|(name, line)| (name, line.as_str())).eq(stay.iter().map(|(name, line)| (name, *line)));
        if is_right { Ok(()) } else { Err(format!("{left:#?}")) }
    });
    operator.stop();
}

/// PushSecrets that are pushed while the operator is killed.
const OBJECTS: usize = 30;

/// An operator that is killed a moment after it began to listen, again and again.
fn killed(world: &World, class: &str, kills: u64) {
    for kill in 0..kills {
        let operator = spawned(world, class);
        std::thread::sleep(Duration::from_millis(150 + kill * 97 % 500));
        operator.kill();
    }
}

fn spawned(world: &World, class: &str) -> Operator {
    let variables = world.variables();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Operator::spawn(&CLUSTER, &[&format!("--controller-class={class}"), "--allow-local-addresses"], &variables)
}

/// All values that a place in Vault had, the oldest first.
pub(super) fn versions_in_vault(name: &str) -> Vec<String> {
    let ask = |path: &str| {
        let token = [("X-Vault-Token", VAULT.root_token())];
        let (status, body) = send(VAULT.host_port(), "GET", path, &token, "").unwrap();
        assert_eq!(status, 200, "{path}");
        serde_json::from_str::<Value>(&body).unwrap()
    };
    let about = ask(&format!("/v1/secret/metadata/{name}"));
    assert_eq!(about["data"]["custom_metadata"]["managed-by"], "external-secrets", "{name}");
    let newest = about["data"]["current_version"].as_u64().unwrap();
    let version = |number: u64| {
        let read = ask(&format!("/v1/secret/data/{name}?version={number}"));
        read["data"]["data"]["value"].as_str().unwrap().to_owned()
    };
    (1..=newest).map(version).collect()
}

/// All values that a place in Secrets Manager had.
pub(super) fn versions_in_aws(name: &str) -> Vec<String> {
    let ask = |what: &str, body: &Value| AWS.call(REGION, &format!("secretsmanager.{what}"), body).unwrap();
    let listed = ask("ListSecretVersionIds", &json!({"SecretId": name, "IncludeDeprecated": true}));
    let versions = listed["Versions"].as_array().unwrap().clone();
    let value = |version: &Value| {
        let read = ask("GetSecretValue", &json!({"SecretId": name, "VersionId": version["VersionId"]}));
        read["SecretBinary"].as_str().unwrap().to_owned()
    };
    versions.iter().map(value).collect()
}

/// What of `prefix` is left in both stores.
fn left(prefix: &str) -> Vec<String> {
    // Vault answers with a failure where there is nothing to list.
    let listed = VAULT.command(&["kv", "list", "-format=json", &format!("secret/{prefix}")]).unwrap_or_default();
    let mut left: Vec<String> = serde_json::from_str(&listed).unwrap_or_default();
    let body =
        json!({"MaxResults": 100, "IncludePlannedDeletion": true, "Filters": [{"Key": "name", "Values": [prefix]}]});
    let listed = AWS.call(REGION, "secretsmanager.ListSecrets", &body).unwrap();
    left.extend(listed["SecretList"].as_array().unwrap().iter().map(|secret| secret["Name"].to_string()));
    left
}

#[test]
fn twenty_four_kills_while_values_are_pushed_write_none_twice_lose_none_and_leave_none() {
    const CLASS: &str = "pushing-and-dying";
    let namespace = namespace(&CLUSTER, &[]);
    let world = World::start();
    open(&world, &namespace, CLASS, &["vault", "aws-secrets"]);
    let at = |number: usize| format!("{namespace}/{number}");
    let name = |number: usize| format!("app-{number}");
    std::thread::scope(|scope| {
        let making = scope.spawn(|| {
            for number in 0..OBJECTS {
                source(&namespace, &name(number), &json!({}), &json!({"a": "one"}));
                let mut spec = into("vault", &[entry("a", &at(number), Some("value"))]);
                spec["secretStoreRefs"] = json!([{"name": "vault"}, {"name": "aws-secrets"}]);
                spec["selector"]["secret"]["name"] = json!(name(number));
                push(&namespace, &name(number), &spec);
                std::thread::sleep(Duration::from_millis(100));
            }
            for number in 0..OBJECTS {
                API.patch("secrets", &namespace, &name(number), &json!({"stringData": {"a": "two"}}));
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        killed(&world, CLASS, 16);
        making.join().unwrap();
    });
    let operator = spawned(&world, CLASS);
    eventually("all have their last value", || {
        let is_last = |number: &usize| {
            let newest = VAULT.command(&["kv", "get", "-field=value", &format!("secret/{}", at(*number))]);
            newest.is_ok_and(|value| value.trim() == "two") && versions_of_aws_end_in_two(&at(*number))
        };
        let behind: Vec<_> = (0..OBJECTS).filter(|number| !is_last(number)).collect();
        if behind.is_empty() { Ok(()) } else { Err(format!("{behind:?}")) }
    });
    for number in 0..OBJECTS {
        stands(&namespace, &name(number), ("True", "Synced"));
    }
    // A second look at everything.
    std::thread::sleep(Duration::from_secs(2));
    operator.kill();
    for number in 0..OBJECTS {
        for (store, values) in [("vault", versions_in_vault(&at(number))), ("aws", versions_in_aws(&at(number)))] {
            // Where nobody was alive to see the first value, it was never pushed.
            assert!(
                values.len() <= 2 && values.iter().filter(|value| is_two(value)).count() == 1,
                "{store} {number}: {values:?}"
            );
        }
    }
    assert_eq!(left(&namespace).len(), 2 * OBJECTS);

    std::thread::scope(|scope| {
        let deleting = scope.spawn(|| {
            for number in 0..OBJECTS {
                assert!(API.delete("pushsecrets", &namespace, &name(number)));
                std::thread::sleep(Duration::from_millis(60));
            }
        });
        killed(&world, CLASS, 8);
        deleting.join().unwrap();
    });
    let operator = spawned(&world, CLASS);
    all_are_gone("pushsecrets", &namespace);
    assert_eq!(left(&namespace), Vec::<String>::new());
    operator.stop();
}

/// Whether it is the last value: as a text, or as Secrets Manager keeps it, in base64.
fn is_two(value: &str) -> bool {
    value == "two" || value == "eyJ2YWx1ZSI6InR3byJ9"
}

fn versions_of_aws_end_in_two(name: &str) -> bool {
    let read = AWS.call(REGION, "secretsmanager.GetSecretValue", &json!({"SecretId": name}));
    read.is_ok_and(|read| read["SecretBinary"].as_str().is_some_and(is_two))
}

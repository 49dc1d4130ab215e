//! A world in which every value and every credential is a word that must never be seen. All that the operator serves works
//! with them, fails with them, and is killed and started anew; then everything that the operator shows is searched.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use world::control_plane::ControlPlane;
use world::moto::{Kind, Value as Stored};
use world::switchboard::{Fault, Switchboard, Which};

use crate::kes::support::cluster;
use crate::operator::api::{Api, KES, data};
use crate::operator::events::{event, now, post_to, signed};
use crate::operator::support::{Operator, condition, eventually, namespace, shows_none};
use crate::{AWS, REGION, VAULT};

/// In every value of a store, of a source and of a message.
const VALUE: &str = "canary-value-8d41";
/// In every credential and in every key.
const LOGIN: &str = "canary-login-8d41";

/// Where the stores are, and what the operator is given.
struct World {
    cluster: ControlPlane,
    api: Api,
    namespace: String,
    aws: Switchboard,
    queue: String,
    key: String,
    folder: tempfile::TempDir,
}

impl World {
    fn start() -> Self {
        let cluster = cluster(true);
        let (api, namespace) = (Api::of(&cluster), namespace(&cluster, &[]));
        let folder = tempfile::tempdir().unwrap();
        let key = format!("{LOGIN}-0123456789abcdef0123456789abcdef");
        std::fs::write(folder.path().join("key"), &key).unwrap();
        let aws = Switchboard::to(AWS.host_port()).unwrap();
        let queue = AWS.make_queue(REGION, "canary", Duration::from_secs(2)).unwrap();
        Self { cluster, api, namespace, aws, queue, key, folder }
    }

    fn operator(&self) -> Operator {
        let variables = [
            ("AWS_SECRETSMANAGER_ENDPOINT", self.aws.address()),
            ("AWS_SSM_ENDPOINT", self.aws.address()),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", LOGIN),
            ("VAULT_ADDR", VAULT.address()),
            ("VAULT_TOKEN", LOGIN),
            ("POLLER_INTERVAL_MILLISECONDS", "1000"),
            ("SCAN_INTERVAL", "1"),
        ];
        let (queue, file) = (&self.queue, self.folder.path().join("key"));
        let flags = [
            "--allow-local-addresses".to_owned(),
            format!("--events-sqs-queue-url={queue}"),
            format!("--events-webhook-secret-file={}", file.display()),
            "--events-webhook-addr=127.0.0.1:0".to_owned(),
        ];
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let operator = Operator::spawn(&self.cluster, &flags, &variables);
        operator.wait_until_ready();
        operator
    }

    /// Makes an object, by its plural and API version.
    fn make(&self, (kind, version, plural): (&str, &str, &str), name: &str, rest: Value) {
        let mut object = json!({"apiVersion": version, "kind": kind, "metadata": {}});
        object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        object["metadata"]["name"] = json!(name);
        assert_eq!(self.api.create(plural, &self.namespace, &object), (201, String::new()), "{kind} {name}");
    }

    fn apply(&self, manifests: &[Value]) {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": manifests});
        self.cluster.apply(&list.to_string()).unwrap();
    }

    fn data_of(&self, name: &str, key: &str) -> Option<String> {
        data(&self.api.get("secrets", &self.namespace, name)?).remove(key)
    }

    fn wait_for(&self, name: &str, key: &str, expected: &str) {
        eventually(&format!("{key} of {name} is right"), || match self.data_of(name, key) {
            Some(found) if found == expected => Ok(()),
            Some(_) => Err("another value"),
            None => Err("there is none"),
        });
    }
}

const SECRET: (&str, &str, &str) = ("Secret", "v1", "secrets");
const STORE: (&str, &str, &str) = ("SecretStore", "external-secrets.io/v1", "secretstores");
const WISH: (&str, &str, &str) = ("ExternalSecret", "external-secrets.io/v1", "externalsecrets");
const PUSH: (&str, &str, &str) = ("PushSecret", "external-secrets.io/v1alpha1", "pushsecrets");
const KES_WISH: (&str, &str, &str) = ("ExternalSecret", "kubernetes-client.io/v1", KES);

/// The ExternalSecrets that must fail, and those of kubernetes-external-secrets.
const FAILING: [&str; 6] = ["thrown", "not-base64", "no-member", "echoed", "denied", "seedless"];
const FAILING_KES: [&str; 5] = ["kes-thrown", "kes-endless", "kes-no-json", "kes-echoed", "kes-denied"];

/// A document whose password is another one each time.
fn document(number: usize) -> String {
    json!({"password": password(number), "user": VALUE}).to_string()
}

fn password(number: usize) -> String {
    format!("{VALUE}-{number}")
}

fn remote(key: &str) -> Value {
    json!({"secretKey": "a", "remoteRef": {"key": key}})
}

/// The stores: one that is read, one that is written, and one that refuses.
fn stores(world: &World) {
    AWS.put_secret(REGION, "canary/app", Stored::Text(&document(0))).unwrap();
    AWS.put_secret(REGION, "canary/plain", Stored::Text(VALUE)).unwrap();
    AWS.put_secret(REGION, "canary/echoed", Stored::Text(VALUE)).unwrap();
    AWS.put_parameter(REGION, "/canary/one", Kind::SecureString, VALUE).unwrap();
    AWS.put_parameter(REGION, "/canary/list", Kind::StringList, &format!("{VALUE} no key=1,x")).unwrap();
    AWS.put_parameter(REGION, "/canary/guarded", Kind::SecureString, VALUE).unwrap();
    VAULT.command(&["kv", "put", "secret/canary/app", &format!("a={VALUE}")]).unwrap();
    // A store that repeats what it was to keep for itself.
    let echo = json!({
        "__type": "AccessDeniedException", "message": "no", "errors": [VALUE], "SecretString": VALUE,
    });
    let which = Which::Body("canary/echoed".to_owned());
    world.aws.add(Fault::answer(400, &[("Content-Type", "application/x-amz-json-1.1")], &echo.to_string()).on(which));
    let logins = json!({
        "id": "AKIAIOSFODNN7EXAMPLE", "key": LOGIN, "token": VAULT.root_token(), "wrong": LOGIN, "seed": LOGIN,
    });
    world.make(SECRET, "logins", json!({"stringData": logins}));
    let login = |key: &str| json!({"name": "logins", "key": key});
    let aws = json!({"accessKeyIDSecretRef": login("id"), "secretAccessKeySecretRef": login("key")});
    let aws = json!({"service": "SecretsManager", "region": REGION, "auth": {"secretRef": aws}});
    let vault = |token: &str| {
        let auth = json!({"tokenSecretRef": login(token)});
        json!({"server": VAULT.address(), "path": "secret", "version": "v2", "auth": auth})
    };
    for (name, provider) in [
        ("aws", json!({"aws": aws})),
        // Another lane, so that nobody else's key is in its calls.
        ("echoing", json!({"aws": aws})),
        ("vault", json!({"vault": vault("token")})),
        ("refusing", json!({"vault": vault("wrong")})),
    ] {
        world.make(STORE, name, json!({"spec": {"provider": provider}}));
    }
}

/// What works: a Secret that restarts its reader, generated values, pushes, parameters, and a template in JavaScript.
fn working(world: &World) {
    let namespace = &world.namespace;
    let generator = |kind: &str, name: &str, spec: Value| {
        json!({"apiVersion": "generators.external-secrets.io/v1alpha1", "kind": kind,
            "metadata": {"name": name, "namespace": namespace}, "spec": spec})
    };
    let mut container = json!({"name": "app", "image": "app"});
    container["envFrom"] = json!([{"secretRef": {"name": "app"}}]);
    let labels = json!({"app": "app"});
    let deployment = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "app", "namespace": namespace, "annotations": {"strongroom.dev/restart": "true"}},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    });
    let policy = json!({
        "apiVersion": "strongroom.dev/v1alpha1", "kind": "StorePolicy", "metadata": {"name": namespace},
        "spec": {
            "stores": [{"name": "aws-ssm.strongroom.dev"}],
            "rules": [{"namespaces": {"names": [namespace]}, "keys": ["/canary/one", "/canary/list"]}],
        },
    });
    let seed = json!({"secret": {"name": "logins", "key": "seed"}});
    world.apply(&[
        generator("Password", "long", json!({"length": 40, "allowRepeat": true})),
        generator("MFA", "code", seed),
        deployment,
        policy,
    ]);
    let of_aws = json!({"name": "aws"});
    let extract = json!([{"extract": {"key": "canary/app"}}]);
    world.make(WISH, "app", json!({"spec": {"refreshInterval": "1h", "secretStoreRef": of_aws, "dataFrom": extract}}));
    let generated = json!([{"sourceRef": {"generatorRef": {"kind": "Password", "name": "long"}}}]);
    world.make(WISH, "generated", json!({"spec": {"refreshInterval": "1h", "dataFrom": generated}}));
    world.make(SECRET, "source", json!({"stringData": {"a": VALUE}}));
    world.make(PUSH, "into-vault", pushed("vault", json!({"secret": {"name": "source"}}), "a", &json!({})));
    let long = json!({"generatorRef": {"kind": "Password", "name": "long"}});
    world.make(PUSH, "generated", pushed("vault", long, "password", &json!({})));
    for (name, parameter, kind) in [
        ("parameter", "/canary/one", "SecureString"),
        ("list", "/canary/list", "StringList"),
        ("guarded", "/canary/guarded", "SecureString"),
    ] {
        let annotations = json!({"aws-ssm/aws-param-name": parameter, "aws-ssm/aws-param-type": kind});
        world.make(SECRET, name, json!({"metadata": {"annotations": annotations}}));
    }
    let template = json!({"stringData": {"b": "<%= data.a %>!"}});
    world.make(KES_WISH, "rendered", of_kes("secretsManager", "canary/plain", &json!({"template": template})));
}

fn pushed(store: &str, selector: Value, key: &str, more: &Value) -> Value {
    let remote = json!({"remoteKey": format!("canary-pushed-{key}"), "property": "value"});
    let entry = json!({"match": {"secretKey": key, "remoteRef": remote}});
    let mut spec = json!({"refreshInterval": "1h", "secretStoreRefs": [{"name": store}], "deletionPolicy": "Delete"});
    (spec["selector"], spec["data"]) = (selector, json!([entry]));
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"spec": spec})
}

fn of_kes(backend: &str, key: &str, more: &Value) -> Value {
    let mut spec = json!({"backendType": backend, "data": [{"key": key, "name": "a"}]});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"spec": spec})
}

/// What fails with a value or a credential at hand.
fn failing(world: &World) {
    let of = |store: &str, more: Value| {
        let mut spec = json!({"refreshInterval": "1s", "secretStoreRef": {"name": store}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"spec": spec})
    };
    let template = |text: &str| json!({"template": {"data": {"b": text}}});
    let (plain, echoed) = (remote("canary/plain"), remote("canary/echoed"));
    let mut not_base64 = plain.clone();
    not_base64["remoteRef"]["decodingStrategy"] = json!("Base64");
    let mut no_member = plain.clone();
    no_member["remoteRef"]["property"] = json!("absent");
    let code = json!([{"sourceRef": {"generatorRef": {"kind": "MFA", "name": "code"}}}]);
    for (name, store, more) in [
        ("thrown", "aws", json!({"data": [plain], "target": template("{{ fail .a }}")})),
        ("not-base64", "aws", json!({"data": [not_base64]})),
        ("no-member", "aws", json!({"data": [no_member]})),
        ("echoed", "echoing", json!({"data": [echoed]})),
        ("denied", "refusing", json!({"data": [remote("canary/app")]})),
        ("seedless", "aws", json!({"dataFrom": code})),
    ] {
        world.make(WISH, name, of(store, more));
    }
    let source = json!({"secret": {"name": "source"}});
    let thrown = template("{{ fail .a }}");
    world.make(PUSH, "thrown", pushed("vault", source.clone(), "b", &thrown));
    world.make(PUSH, "denied", pushed("refusing", source, "a", &json!({})));
    let template = |text: &str| json!({"template": {"stringData": {"b": text}}});
    for (name, backend, key, more) in [
        ("kes-thrown", "secretsManager", "canary/plain", template("<% throw new Error(data.a) %>")),
        ("kes-endless", "secretsManager", "canary/plain", template("<% while (data.a); %>")),
        ("kes-no-json", "secretsManager", "canary/plain", json!({"dataFrom": ["canary/plain"]})),
        ("kes-echoed", "secretsManager", "canary/echoed", json!({"region": "us-east-2"})),
        ("kes-denied", "vault", "secret/data/canary/app", json!({"vaultRole": "any"})),
    ] {
        world.make(KES_WISH, name, of_kes(backend, key, &more));
    }
}

/// Waits until all that fails was told.
fn all_are_told(world: &World) {
    eventually("all that fails is told", || {
        let told = |plural: &str, name: &str| {
            let object = world.api.get(plural, &world.namespace, name);
            object.and_then(|object| condition(&object, "Ready")).is_some_and(|(status, ..)| status == "False")
        };
        let mut untold: Vec<String> =
            FAILING.iter().filter(|name| !told("externalsecrets", name)).map(ToString::to_string).collect();
        untold.extend(
            ["thrown", "denied"].iter().filter(|name| !told("pushsecrets", name)).map(|name| format!("push {name}")),
        );
        untold.extend(FAILING_KES.iter().filter(|name| !is_error(world, name)).map(|name| format!("KES {name}")));
        let events = json!(world.api.list("events", &world.namespace)).to_string();
        if !events.contains("AwsSsmRefused") {
            untold.push("the parameter that nobody allowed".to_owned());
        }
        if untold.is_empty() { Ok(()) } else { Err(format!("{untold:?}")) }
    });
}

fn is_error(world: &World, name: &str) -> bool {
    let object = world.api.get(KES, &world.namespace, name);
    object.is_some_and(|object| object["status"]["status"].as_str().is_some_and(|status| status.starts_with("ERROR, ")))
}

/// A value changes and an event tells of it; the Secret follows, and its reader restarts.
fn followed(world: &World, number: usize) {
    let restarted = || {
        let read = ["get", "deployment", "app", "-n", &world.namespace, "-o", "json"];
        let object: Value = serde_json::from_str(&world.cluster.kubectl(&read).unwrap()).unwrap();
        let template = &object["spec"]["template"]["metadata"]["annotations"];
        let observed = object["metadata"]["annotations"]["strongroom.dev/restart-observed"].clone();
        (observed, template["strongroom.dev/restarted-for"].clone())
    };
    let before = eventually("the Deployment is seen", || match restarted() {
        (observed, before) if observed.is_string() => Ok(before),
        other => Err(format!("{other:?}")),
    });
    AWS.put_secret_version(REGION, "canary/app", Stored::Text(&document(number)), &[]).unwrap();
    AWS.send_message(REGION, &world.queue, &event(&format!("canary-{number}"), "canary/app")).unwrap();
    world.wait_for("app", "password", &password(number));
    if number == 1 {
        // Later ones wait for a minute to pass.
        eventually("the Deployment restarts", || match restarted() {
            (_, after) if after.is_string() && after != before => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }
}

/// Messages and requests that are forged, damaged, or tell more than they should.
fn forge(world: &World, operator: &Operator) {
    let address = operator.listening("--events-webhook-addr");
    let body = format!(r#"{{"provider": "aws-sm", "key": "canary/app", "value": "{VALUE}"}}"#);
    assert_eq!(
        post_to(&address, &signed(&format!("{LOGIN}, but not the shared key at all"), &body, now()), &body),
        401
    );
    assert_eq!(post_to(&address, &format!("Strongroom-Signature: t=1,v1={LOGIN}\r\n"), &body), 401);
    assert_eq!(post_to(&address, &signed(&world.key, &body, now()), &body), 400);
    let asked = json!({"secretId": "canary/plain", "secretString": VALUE});
    let detail = json!({"eventName": "PutSecretValue", "requestParameters": asked});
    let told = json!({"source": "aws.secretsmanager", "region": REGION, "detail": detail});
    for message in
        [VALUE.to_owned(), json!({"source": "aws.secretsmanager", "detail": VALUE}).to_string(), told.to_string()]
    {
        AWS.send_message(REGION, &world.queue, &message).unwrap();
    }
    eventually("the queue is empty", || match AWS.messages_in(REGION, &world.queue).unwrap() {
        0 => Ok(()),
        left => Err(format!("{left} are left")),
    });
}

/// Arguments and environments of the children of `parent`, until `is_over`.
fn children(parent: &AtomicU32, is_over: &AtomicBool) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    while !is_over.load(Ordering::Relaxed) {
        let parent = parent.load(Ordering::Relaxed);
        let of_parent = std::fs::read(format!("/proc/{parent}/cmdline")).unwrap_or_default();
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let read = |file: &str| std::fs::read(entry.path().join(file)).unwrap_or_default();
            let is_its = |line: &str| line.strip_prefix("PPid:\t") == Some(&parent.to_string());
            if !String::from_utf8_lossy(&read("status")).lines().any(is_its) {
                continue;
            }
            let arguments = read("cmdline");
            // Until it becomes another program it is its parent, and after its end it is nothing.
            if !arguments.is_empty() && arguments != of_parent {
                let about = [arguments, read("environ")].concat();
                seen.insert(String::from_utf8_lossy(&about).into_owned());
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    seen
}

/// What is to be seen of all objects; of Secrets their metadata alone.
fn objects(world: &World) -> Vec<(&'static str, String)> {
    let listed = |kind: &str| world.api.list(kind, &world.namespace);
    let mut secrets = listed("secrets");
    secrets.values_mut().for_each(|secret| *secret = secret["metadata"].take());
    let mut shown = vec![("metadata of Secrets", json!(secrets).to_string())];
    for (place, kind) in [
        ("events", "events"),
        ("SecretStores", "secretstores"),
        ("ExternalSecrets", "externalsecrets"),
        ("PushSecrets", "pushsecrets"),
        ("objects of kubernetes-external-secrets", KES),
        ("ConfigMaps", "configmaps"),
    ] {
        shown.push((place, json!(listed(kind)).to_string()));
    }
    let workloads = world.cluster.kubectl(&["get", "deployments,replicasets", "-n", &world.namespace, "-o", "json"]);
    shown.push(("workloads", workloads.unwrap()));
    shown.push(("policies", world.cluster.kubectl(&["get", "storepolicies", "-o", "json"]).unwrap()));
    shown
}

#[test]
fn no_value_and_no_credential_is_shown_by_anything_that_is_served_however_it_fails() {
    let world = World::start();
    let (parent, is_over) = (AtomicU32::new(u32::MAX), AtomicBool::new(false));
    let mut shown = Vec::new();
    let (operator, children) = std::thread::scope(|scope| {
        let looking = scope.spawn(|| children(&parent, &is_over));
        // Ends with this thread, however that ends.
        let _over = Over(&is_over);
        let mut operator = world.operator();
        parent.store(operator.process(), Ordering::Relaxed);
        stores(&world);
        working(&world);
        world.wait_for("app", "password", &password(0));
        world.wait_for("parameter", "SecureString", VALUE);
        world.wait_for("rendered", "b", &format!("{VALUE}!"));
        failing(&world);
        all_are_told(&world);
        for number in 1..=3 {
            followed(&world, number);
            forge(&world, &operator);
            shown.extend(operator.shown());
            shown.push(("whether it is ready", format!("{:?}", operator.get(&operator.health, "/readyz"))));
            operator.kill();
            operator = world.operator();
            parent.store(operator.process(), Ordering::Relaxed);
        }
        all_are_told(&world);
        is_over.store(true, Ordering::Relaxed);
        (operator, looking.join().unwrap())
    });
    shown.extend(operator.shown());
    assert!(!children.is_empty(), "no template was rendered");
    shown.extend(children.into_iter().map(|child| ("a child's arguments and environment", child)));
    shown.extend(objects(&world));
    assert!(shown.iter().any(|(place, text)| *place == "its log" && text.contains("level=debug")));

    let generated = world.data_of("generated", "password").unwrap();
    let encoded = [VALUE, LOGIN, &generated].map(|value| BASE64_STANDARD.encode(value));
    let mut values = vec![VALUE, generated.as_str()];
    values.extend(encoded.iter().map(String::as_str));
    shows_none(&shown, &values);
    // Credentials that it was given are in its environment, and nowhere else.
    shown.retain(|(place, _)| *place != "its environment");
    shows_none(&shown, &[LOGIN, VAULT.root_token()]);
    operator.stop();
}

/// Says that it is over when it is dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

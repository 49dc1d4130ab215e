//! Kills at every step of a push, of its end and of a generator's use: right before the step takes effect, and right after,
//! before the operator hears of it. Whoever goes on finds one value, written once, and ends what was begun.
//!
//! The request of a step is held on its way, and the operator is killed while it waits for the answer. All its ways lead
//! through switchboards: to the API server, to Vault and to AWS.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use world::certificates::Authority;
use world::switchboard::{Fault, Switchboard, Which};

use super::api::{API, data};
use super::pushes::{entry, push, source, stands};
use super::pushes_to_stores::{versions_in_aws, versions_in_vault};
use super::support::{CLUSTER, Operator, condition, eventually, namespace, value};
use super::sync::apply;
use super::world_of_stores::{core, create, send};
use crate::{AWS, REGION, VAULT};

/// A step, by the request that is made for it.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The PushSecret gets its finalizer, or loses it.
    Finalizer,
    /// The values of a generator are stored in a Secret of ours, for a user of this kind.
    Kept(&'static str),
    /// The PushSecret's status names the place.
    Named,
    /// The PushSecret's status is written, for whatever reason.
    Noted,
    /// The PushSecret's status names the former place no more.
    Forgotten,
    /// A step at the place to which a value moves.
    Moved(&'static Step),
    /// Vault is told whose the place is.
    Marked,
    /// The value is written to Vault.
    Pushed,
    /// What is in Vault is deleted.
    Deleted,
    /// The PushSecret's status tells how it went.
    PushTold,
    /// The Secret of an ExternalSecret is made.
    Delivered,
    /// The ExternalSecret's status tells how it went.
    DeliveryTold,
    /// A request to Secrets Manager.
    Aws(&'static str),
}

/// When the operator is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Before,
    After,
}

/// The operator's way to everything, and what it works on.
struct World {
    class: &'static str,
    namespace: String,
    api: Switchboard,
    vault: Switchboard,
    aws: Switchboard,
    kubeconfig: PathBuf,
    _folder: tempfile::TempDir,
    _authority: Authority,
}

impl World {
    /// With a generator, and stores in which nothing is.
    fn start(class: &'static str) -> Self {
        let authority = Authority::new().unwrap();
        let api = Switchboard::with_tls(API.host_port(), &authority).unwrap();
        let server = json!({"server": api.address(), "certificate-authority": authority.certificate_file()});
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "world",
            "clusters": [{"name": "world", "cluster": server}], "users": [{"name": "operator", "user": {}}],
            "contexts": [{"name": "world", "context": {"cluster": "world", "user": "operator"}}],
        });
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        std::fs::write(&kubeconfig, config.to_string()).unwrap();
        let world = Self {
            class,
            namespace: namespace(&CLUSTER, &[]),
            api,
            vault: Switchboard::to(VAULT.host_port()).unwrap(),
            aws: Switchboard::to(AWS.host_port()).unwrap(),
            kubeconfig,
            _folder: folder,
            _authority: authority,
        };
        world.fill();
        world
    }

    fn fill(&self) {
        let namespace = &self.namespace;
        let login = json!({"token": VAULT.root_token(), "id": "AKIAIOSFODNN7EXAMPLE", "key": "not-a-real-key"});
        core(namespace, "Secret", "login", &json!({"stringData": login}));
        let key = |key: &str| json!({"name": "login", "key": key});
        let vault = json!({
            "server": self.vault.address(), "path": "secret", "version": "v2", "auth": {"tokenSecretRef": key("token")},
        });
        let auth = json!({"accessKeyIDSecretRef": key("id"), "secretAccessKeySecretRef": key("key")});
        let aws = json!({
            "service": "SecretsManager", "region": REGION, "auth": {"secretRef": auth},
            "secretsManager": {"forceDeleteWithoutRecovery": true},
        });
        let fake = json!({"data": [{"key": "a", "value": "one"}]});
        for (name, provider) in [("vault", vault), ("aws", aws), ("fake", fake)] {
            let slot = json!({name: provider});
            create(namespace, "SecretStore", name, &json!({"controller": self.class, "provider": slot}));
        }
        apply(
            namespace,
            "{apiVersion: generators.external-secrets.io/v1alpha1, kind: Password, metadata: {name: long}, spec: \
             {length: 40, allowRepeat: true}}",
        );
    }

    fn operator(&self) -> Operator {
        let class = format!("--controller-class={}", self.class);
        let variables = [("AWS_SECRETSMANAGER_ENDPOINT", self.aws.address()), ("AWS_REGION", REGION)];
        let flags = [class.as_str(), "--allow-local-addresses", "--kes=off"];
        Operator::spawn_by(Command::new("env"), &self.kubeconfig, &flags, &variables)
    }

    /// One whose stores are known to be good, so that only an object's own steps are left.
    fn ready_operator(&self) -> Operator {
        let operator = self.operator();
        eventually("the stores are ready", || {
            let stores = API.list("secretstores", &self.namespace);
            let is_ready = |store: &Value| condition(store, "Ready").is_some_and(|ready| ready.0 == "True");
            if stores.values().all(is_ready) { Ok(()) } else { Err(format!("{stores:?}")) }
        });
        operator
    }

    fn door(&self, step: Step) -> &Switchboard {
        match step {
            Step::Marked | Step::Pushed | Step::Deleted => &self.vault,
            Step::Aws(_) => &self.aws,
            Step::Moved(step) => self.door(*step),
            _ => &self.api,
        }
    }

    /// Where the values of the object `name` are kept in a store.
    fn place(&self, name: &str) -> String {
        format!("{}-{name}", self.namespace)
    }

    /// Where they move to.
    fn next_place(&self, name: &str) -> String {
        format!("{}-moved", self.place(name))
    }

    /// The request of a step for the object `name`, whose values are kept at `place`.
    fn request(&self, step: Step, name: &str, place: &str) -> Which {
        let namespace = &self.namespace;
        let group = "/apis/external-secrets.io";
        let push = format!("PATCH {group}/v1alpha1/namespaces/{namespace}/pushsecrets/{name}");
        let status = format!("PATCH {group}/v1/namespaces/{namespace}/externalsecrets/{name}/status");
        let secrets = format!("POST /api/v1/namespaces/{namespace}/secrets");
        let with =
            |operation: String, body: &str| Which::All(vec![Which::Operation(operation), Which::Body(body.to_owned())]);
        let told = r#""type":"Ready""#;
        match step {
            Step::Finalizer => Which::Operation(push),
            Step::Moved(step) => self.request(*step, name, &self.next_place(name)),
            Step::Noted => Which::Operation(format!("{push}/status")),
            Step::Forgotten => with(format!("{push}/status"), &format!(r#""{place}/value":null"#)),
            Step::Named => with(format!("{push}/status"), r#""syncedResourceVersion":null"#),
            Step::PushTold => with(format!("{push}/status"), told),
            Step::DeliveryTold => with(status, told),
            Step::Kept(kind) => with(secrets, &format!(r#""strongroom.dev/generated-for":"{kind}/{name}""#)),
            Step::Delivered => {
                let hash = Which::Body("reconcile.external-secrets.io/data-hash".to_owned());
                Which::All(vec![with(secrets, &format!(r#""name":"{name}""#)), hash])
            }
            Step::Marked => Which::Operation(format!("POST /v1/secret/metadata/{place}")),
            Step::Pushed => Which::Operation(format!("POST /v1/secret/data/{place}")),
            Step::Deleted => Which::Operation(format!("DELETE /v1/secret/metadata/{place}")),
            Step::Aws(operation) => with(operation.to_owned(), place),
        }
    }

    /// Gives the operator work by `begin`, and kills it at this step of the object `name`.
    fn kill_at(&self, operator: Operator, (step, moment): (Step, Moment), name: &str, begin: impl FnOnce()) {
        let door = self.door(step);
        let fault = match moment {
            Moment::Before => Fault::silence(),
            Moment::After => Fault::withheld_answer(),
        };
        door.add(fault.on(self.request(step, name, &self.place(name))));
        begin();
        eventually(&format!("{name} comes to {moment:?} {step:?}"), || match door.held() {
            0 => Err(API.get("pushsecrets", &self.namespace, name).map(|found| found.to_string()).unwrap_or_default()),
            _ => Ok(()),
        });
        operator.kill();
        door.clear();
        eventually("nothing is held", || match door.held() {
            0 => Ok(()),
            held => Err(format!("{held} are held")),
        });
    }

    /// The values that are kept for a user, by the key of our Secret; nothing where there is no such Secret.
    fn kept(&self, user: &str) -> Option<BTreeMap<String, String>> {
        let secrets = API.list("secrets", &self.namespace);
        let is_its = |secret: &&Value| secret["metadata"]["annotations"]["strongroom.dev/generated-for"] == user;
        let mut found = secrets.values().filter(is_its);
        let kept = found.next().map(data);
        assert!(found.next().is_none(), "two Secrets keep values for {user}");
        kept
    }

    /// The password that is kept for a user.
    fn kept_password(&self, user: &str) -> String {
        let kept = self.kept(user).unwrap();
        let entry: Value = serde_json::from_str(kept.values().next().unwrap()).unwrap();
        let bytes = BASE64_STANDARD.decode(entry["values"]["password"].as_str().unwrap()).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// Whether Vault has anything at a place.
    fn is_there(&self, place: &str) -> bool {
        let (path, token) = (format!("/v1/secret/metadata/{place}"), [("X-Vault-Token", VAULT.root_token())]);
        match send(VAULT.host_port(), "GET", &path, &token, "").unwrap() {
            (200, _) => true,
            (404, _) => false,
            other => panic!("{place}: {other:?}"),
        }
    }

    /// What the status of a PushSecret says that Vault may hold.
    fn named(&self, name: &str) -> Value {
        let object = API.get("pushsecrets", &self.namespace, name).unwrap();
        object["status"]["syncedPushSecrets"]["SecretStore/vault"].clone()
    }

    /// What Vault holds is what the status of the PushSecret names.
    fn is_known(&self, name: &str) {
        let named = self.named(name);
        for place in [self.place(name), self.next_place(name)] {
            let is_named = named.get(format!("{place}/value")).is_some();
            assert!(is_named || !self.is_there(&place), "{place}: nobody would delete it: {named}");
        }
    }

    /// Waits until the PushSecret and what it pushed to Vault are gone.
    fn is_gone(&self, name: &str) {
        eventually(&format!("{name} is gone"), || match API.get("pushsecrets", &self.namespace, name) {
            None => Ok(()),
            Some(object) => Err(object.to_string()),
        });
    }
}

/// Leaves the operator time for one more look at everything: each push is compared with its store every second.
fn look_again(operator: Operator) {
    std::thread::sleep(Duration::from_secs(2));
    operator.stop();
}

/// A name for each case of a table of steps.
fn cases(steps: &[Step]) -> Vec<((Step, Moment), String)> {
    let moments = steps.iter().flat_map(|step| [(*step, Moment::Before), (*step, Moment::After)]);
    moments.enumerate().map(|(number, case)| (case, format!("app-{number:02}"))).collect()
}

/// A PushSecret into one store; from the Secret of its own name.
fn into(store: &str, name: &str, place: &str) -> Value {
    json!({
        "refreshInterval": "1s", "secretStoreRefs": [{"name": store}], "selector": {"secret": {"name": name}},
        "deletionPolicy": "Delete", "data": [entry("a", place, Some("value"))],
    })
}

#[test]
fn a_push_that_is_killed_at_any_step_is_written_once() {
    let world = World::start("killed-pushes");
    let mut operator = world.ready_operator();
    let cases = cases(&[Step::Finalizer, Step::Named, Step::Marked, Step::Pushed, Step::PushTold]);
    for (case, name) in &cases {
        world.kill_at(operator, *case, name, || {
            source(&world.namespace, name, &json!({}), &json!({"a": format!("of {name}")}));
            push(&world.namespace, name, &into("vault", name, &world.place(name)));
        });
        world.is_known(name);
        operator = world.operator();
        stands(&world.namespace, name, ("True", "Synced"));
    }
    look_again(operator);
    for (case, name) in &cases {
        assert_eq!(versions_in_vault(&world.place(name)), [format!("of {name}")], "{case:?}");
    }
}

#[test]
fn a_changed_value_that_is_killed_on_its_way_is_written_once_and_the_end_of_a_push_is_a_whole_one() {
    let world = World::start("killed-changes");
    let mut operator = world.ready_operator();
    let changes = cases(&[Step::Pushed, Step::PushTold]);
    for (_, name) in &changes {
        source(&world.namespace, name, &json!({}), &json!({"a": "one"}));
        push(&world.namespace, name, &into("vault", name, &world.place(name)));
    }
    for (_, name) in &changes {
        stands(&world.namespace, name, ("True", "Synced"));
    }
    for (case, name) in &changes {
        world.kill_at(operator, *case, name, || {
            API.patch("secrets", &world.namespace, name, &json!({"stringData": {"a": "two"}}));
        });
        operator = world.operator();
        eventually(&format!("{name} has its new value"), || match versions_in_vault(&world.place(name)) {
            versions if versions.last().is_some_and(|newest| newest == "two") => Ok(()),
            versions => Err(format!("{versions:?}")),
        });
    }
    look_again(operator);
    for (case, name) in &changes {
        assert_eq!(versions_in_vault(&world.place(name)), ["one", "two"], "{case:?}");
    }

    let mut operator = world.ready_operator();
    let ends = cases(&[Step::Deleted, Step::Finalizer]);
    for (case, name) in &ends {
        world.kill_at(operator, *case, name, || assert!(API.delete("pushsecrets", &world.namespace, name)));
        operator = world.operator();
        world.is_gone(name);
        assert!(!world.is_there(&world.place(name)), "{case:?} left something behind");
    }
    operator.stop();
}

#[test]
fn a_push_that_moves_and_is_killed_at_any_step_is_written_once_and_leaves_nothing_behind() {
    let world = World::start("killed-moves");
    let mut operator = world.ready_operator();
    let cases =
        cases(&[Step::Noted, Step::Moved(&Step::Marked), Step::Moved(&Step::Pushed), Step::Deleted, Step::Forgotten]);
    for (_, name) in &cases {
        source(&world.namespace, name, &json!({}), &json!({"a": format!("of {name}")}));
        push(&world.namespace, name, &into("vault", name, &world.place(name)));
    }
    for (_, name) in &cases {
        stands(&world.namespace, name, ("True", "Synced"));
    }
    for (case, name) in &cases {
        let next = world.next_place(name);
        world.kill_at(operator, *case, name, || {
            let spec = json!({"spec": into("vault", name, &next)});
            API.patch("pushsecrets", &world.namespace, name, &spec);
        });
        world.is_known(name);
        operator = world.operator();
        eventually(&format!("{name} has moved"), || match world.named(name) {
            Value::Object(named) if named.keys().eq([&format!("{next}/value")]) => Ok(()),
            other => Err(other.to_string()),
        });
    }
    look_again(operator);
    for (case, name) in &cases {
        assert_eq!(versions_in_vault(&world.next_place(name)), [format!("of {name}")], "{case:?}");
        assert!(!world.is_there(&world.place(name)), "{case:?} left something behind");
    }
}

#[test]
fn a_push_into_aws_that_is_killed_at_any_step_is_written_once_and_ends_whole() {
    let world = World::start("killed-aws");
    let mut operator = world.ready_operator();
    // Secrets Manager keeps the document that is pushed as bytes.
    let document = |value: &str| BASE64_STANDARD.encode(format!(r#"{{"value":"{value}"}}"#));
    let creations = cases(&[Step::Aws("CreateSecret")]);
    for (case, name) in &creations {
        world.kill_at(operator, *case, name, || {
            source(&world.namespace, name, &json!({}), &json!({"a": "one"}));
            push(&world.namespace, name, &into("aws", name, &world.place(name)));
        });
        operator = world.operator();
        stands(&world.namespace, name, ("True", "Synced"));
        assert_eq!(versions_in_aws(&world.place(name)), [document("one")], "{case:?}");
    }
    for (case, name) in &cases(&[Step::Aws("PutSecretValue")]) {
        world.kill_at(operator, *case, name, || {
            API.patch("secrets", &world.namespace, name, &json!({"stringData": {"a": "two"}}));
        });
        operator = world.operator();
        eventually(&format!("{name} has its new value"), || match versions_in_aws(&world.place(name)) {
            versions if versions.contains(&document("two")) => Ok(()),
            versions => Err(format!("{versions:?}")),
        });
    }
    look_again(operator);
    for (case, name) in &creations {
        let versions = versions_in_aws(&world.place(name));
        assert_eq!(versions.iter().filter(|value| **value == document("two")).count(), 1, "{case:?}: {versions:?}");
        assert_eq!(versions.len(), 2, "{case:?}: {versions:?}");
    }
    let mut operator = world.ready_operator();
    for (case, name) in &cases(&[Step::Aws("DeleteSecret")]) {
        world.kill_at(operator, *case, name, || assert!(API.delete("pushsecrets", &world.namespace, name)));
        operator = world.operator();
        world.is_gone(name);
        let read = AWS.call(REGION, "secretsmanager.GetSecretValue", &json!({"SecretId": world.place(name)}));
        assert!(read.is_err(), "{case:?} left something behind");
    }
    operator.stop();
}

#[test]
fn a_generated_value_that_is_killed_on_its_way_to_a_store_is_made_and_written_once() {
    let world = World::start("killed-generated");
    let mut operator = world.ready_operator();
    let kept = Step::Kept("PushSecret");
    let cases = cases(&[Step::Finalizer, kept, Step::Named, Step::Marked, Step::Pushed, Step::PushTold]);
    for (case, name) in &cases {
        let user = format!("PushSecret/{name}");
        world.kill_at(operator, *case, name, || {
            let mut spec = into("vault", name, &world.place(name));
            spec["refreshInterval"] = json!("1h");
            spec["selector"] = json!({"generatorRef": {"kind": "Password", "name": "long"}});
            spec["data"] = json!([entry("password", &world.place(name), Some("value"))]);
            push(&world.namespace, name, &spec);
        });
        world.is_known(name);
        let before = world.kept(&user);
        operator = world.operator();
        stands(&world.namespace, name, ("True", "Synced"));
        assert!(before.is_none() || before == world.kept(&user), "{case:?}: another value was made");
    }
    look_again(operator);
    for (case, name) in &cases {
        let versions = versions_in_vault(&world.place(name));
        let is_right = versions == [world.kept_password(&format!("PushSecret/{name}"))];
        assert!(is_right, "{case:?}: {} values are in the store, and not the one that is kept", versions.len());
    }
}

#[test]
fn a_generated_value_that_is_killed_on_its_way_to_a_secret_is_made_and_delivered_once() {
    let world = World::start("killed-delivered");
    let mut operator = world.ready_operator();
    for (case, name) in &cases(&[Step::Kept("ExternalSecret"), Step::Delivered, Step::DeliveryTold]) {
        let user = format!("ExternalSecret/{name}");
        world.kill_at(operator, *case, name, || {
            let spec = json!({
                "refreshInterval": "1h", "secretStoreRef": {"name": "fake"},
                "data": [{"secretKey": "a", "remoteRef": {"key": "a"}}],
                "dataFrom": [{"sourceRef": {"generatorRef": {"kind": "Password", "name": "long"}}}],
            });
            create(&world.namespace, "ExternalSecret", name, &spec);
        });
        let (kept, delivered) = (world.kept(&user), API.get("secrets", &world.namespace, name));
        operator = world.operator();
        eventually(&format!("{name} is ready"), || {
            let object = API.get("externalsecrets", &world.namespace, name).unwrap();
            match condition(&object, "Ready") {
                Some((status, ..)) if status == "True" => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        assert!(kept.is_none() || kept == world.kept(&user), "{case:?}: another value was made");
        let now = API.get("secrets", &world.namespace, name).unwrap();
        let is_right = value(&now, "password") == Some(world.kept_password(&user));
        assert!(is_right, "{case:?}: what is delivered is not what is kept");
        if let Some(before) = delivered {
            let version = |secret: &Value| secret["metadata"]["resourceVersion"].clone();
            assert_eq!(version(&before), version(&now), "{case:?}: it was written twice");
        }
    }
    operator.stop();
}

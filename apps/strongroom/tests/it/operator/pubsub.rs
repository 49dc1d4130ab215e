//! What Google Secret Manager tells of its secrets, by a subscription of Pub/Sub.

use std::time::Duration;

use serde_json::{Value, json};
use world::switchboard::{Fault, Switchboard};

use super::api::{API, line};
use super::events::{counted_by, wait, wish};
use super::support::{CLUSTER, Operator, eventually, namespace};
use super::world_of_stores::{World, core, create, wait_until_read};
use crate::CANARY;

const CLASS: &str = "pubsub";

/// The topic, and the subscription's short name.
const TOPIC: &str = "secret-changes";

/// How long a message that was delivered and not acknowledged is kept back.
const DEADLINE: Duration = Duration::from_secs(2);

/// An operator that follows a subscription, and the ways by which it reaches Google.
struct Google {
    operator: Operator,
    subscription: String,
    pubsub: Switchboard,
    secrets: Switchboard,
    world: World,
}

impl Google {
    fn start() -> Self {
        let world = World::start();
        let subscription = world.google.subscribe(TOPIC, DEADLINE).unwrap();
        let front = |host: &str| {
            let front = Switchboard::with_tls_for(world.google.host_port(), world.google.authority(), &[host]).unwrap();
            world.proxy.route(host, front.socket());
            front
        };
        let (pubsub, secrets) = (front("pubsub.googleapis.com"), front("secretmanager.googleapis.com"));
        let mut variables = world.variables();
        variables.push(("GOOGLE_APPLICATION_CREDENTIALS", world.google.service_account_file().display().to_string()));
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (class, source) =
            (format!("--controller-class={CLASS}"), format!("--events-pubsub-subscription={subscription}"));
        let flags = [class.as_str(), "--allow-local-addresses", &source, "--kes=off"];
        let operator = Operator::spawn(&CLUSTER, &flags, &variables);
        operator.wait_until_ready();
        Self { operator, subscription, pubsub, secrets, world }
    }

    /// A namespace with a store of this project.
    fn namespace(&self) -> String {
        let login = json!({"secretAccessKeySecretRef": {"name": "google-login", "key": "key"}});
        let namespace = namespace(&CLUSTER, &[]);
        let key = std::fs::read_to_string(self.world.google.service_account_file()).unwrap();
        core(&namespace, "Secret", "google-login", &json!({"stringData": {"key": key}}));
        let google = json!({"projectID": self.world.google.project(), "auth": {"secretRef": login}});
        let spec = json!({"controller": CLASS, "provider": {"gcpsm": google}});
        create(&namespace, "SecretStore", "google", &spec);
        namespace
    }

    fn put(&self, secret: &str, value: &str) {
        self.world.google.put(self.world.google.project(), secret, value.as_bytes());
    }

    /// Publishes what Secret Manager says of a secret.
    fn tell(&self, event: &str, secret: &str) {
        let google = &self.world.google;
        let secret = format!("projects/{}/secrets/{secret}", google.project_number(google.project()));
        let attributes = [("eventType", event), ("secretId", secret.as_str()), ("dataFormat", "JSON_API_V1")];
        google.publish(TOPIC, &attributes).unwrap();
    }

    /// How often a secret's value was asked for.
    fn reads(&self, secret: &str) -> usize {
        let path = format!("/secrets/{secret}/versions/");
        self.secrets.requests().iter().filter(|seen| seen.path.contains(&path)).count()
    }

    fn counted(&self, metric: &str) -> u64 {
        counted_by(&self.operator, &format!("strongroom_events_{metric}_total{{source=\"pubsub\"}} "))
    }

    /// Waits until every message is acknowledged.
    fn wait_until_empty(&self) {
        eventually("the subscription is empty", || match self.world.google.unacknowledged(&self.subscription) {
            0 => Ok(()),
            left => Err(format!("{left} are left")),
        });
    }
}

fn of_google(interval: &str) -> Value {
    json!({"refreshInterval": interval, "secretStoreRef": {"name": "google"}})
}

fn is(namespace: &str, name: &str, data: &str) {
    assert_eq!(line(&API.get("secrets", namespace, name).unwrap()), data, "{name}");
}

#[test]
fn a_new_version_is_delivered_at_its_notification_and_duplicates_disorder_loss_and_forgery_do_no_harm() {
    let google = Google::start();
    let namespace = google.namespace();
    for (name, interval) in [("pubsub-one", "1h"), ("pubsub-two", "1h"), ("pubsub-lost", "3s")] {
        google.put(name, "first");
        wish(&namespace, name, name, &of_google(interval));
    }
    wait_until_read(&namespace, &[("pubsub-one", "a=first"), ("pubsub-two", "a=first"), ("pubsub-lost", "a=first")]);

    google.put("pubsub-one", "second");
    google.put("pubsub-two", "changed");
    let others = google.reads("pubsub-two");
    google.tell("SECRET_VERSION_ADD", "pubsub-one");
    let took = wait(&namespace, "pubsub-one", "a=second");
    assert!(took < Duration::from_secs(2), "{took:?}");
    google.wait_until_empty();

    // An acknowledgement that is lost brings the message once more.
    let (received, matched) = (google.counted("received"), google.counted("matched"));
    google.pubsub.add(Fault::answer(503, &[], "").on_path(":acknowledge").times(1));
    google.put("pubsub-one", "third");
    google.tell("SECRET_VERSION_ADD", "pubsub-one");
    wait(&namespace, "pubsub-one", "a=third");
    google.wait_until_empty();
    assert_eq!(google.counted("received"), received + 2, "it was delivered twice");
    assert_eq!(google.counted("matched"), matched + 1, "and followed once");

    // What tells of an older version comes late.
    let before = google.reads("pubsub-one");
    google.tell("SECRET_VERSION_ADD", "pubsub-one");
    eventually("it is read again", || if google.reads("pubsub-one") > before { Ok(()) } else { Err("not yet") });
    is(&namespace, "pubsub-one", "a=third");

    // That it is time to rotate is no new value, and a message that cannot be read is dropped.
    let (before, refused) = (google.reads("pubsub-one"), google.counted("refused"));
    google.tell("SECRET_ROTATE", "pubsub-one");
    google.world.google.publish(TOPIC, &[("secretId", CANARY), ("text", CANARY)]).unwrap();
    google.wait_until_empty();
    eventually("it is refused", || if google.counted("refused") > refused { Ok(()) } else { Err("not yet") });
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(google.reads("pubsub-one"), before, "nobody read for these");
    assert!(!google.operator.logged().contains(CANARY), "a message is shown");

    // Of this one nobody tells: its interval is over soon.
    google.put("pubsub-lost", "second");
    wait(&namespace, "pubsub-lost", "a=second");
    assert_eq!(google.reads("pubsub-two"), others, "nobody spoke of the other");
    is(&namespace, "pubsub-two", "a=first");
    google.operator.stop();
}

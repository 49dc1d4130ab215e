//! One cluster, a Parameter Store, and one operator for both.

use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Value, json};
use world::control_plane::{ControlPlane, Options};
use world::switchboard::Switchboard;

use super::super::operator::api::{Api, line};
use super::super::operator::support::{self, Operator, eventually};
use crate::{AWS, REGION};

/// What must never be shown.
pub(super) const CANARY: &str = "canary-9d27-ssm";

/// Without controllers, so that a Deployment's status stays as a test writes it.
pub(super) fn cluster() -> ControlPlane {
    let cluster = ControlPlane::start(&Options::default()).unwrap();
    support::add_kinds(&cluster);
    cluster
}

pub(super) static CLUSTER: LazyLock<ControlPlane> = LazyLock::new(cluster);

pub(super) static API: LazyLock<Api> = LazyLock::new(|| Api::of(&CLUSTER));

/// Everything that goes to AWS.
pub(super) static WAY: LazyLock<Switchboard> = LazyLock::new(|| Switchboard::to(AWS.host_port()).unwrap());

pub(super) static OPERATOR: LazyLock<Operator> = LazyLock::new(|| {
    let operator = Operator::spawn(&CLUSTER, &[], &variables());
    operator.wait_until_ready();
    operator
});

/// What aws-ssm would have in its environment.
pub(super) fn variables() -> [(&'static str, &'static str); 6] {
    [
        ("AWS_SSM_ENDPOINT", WAY.address()),
        ("AWS_STS_ENDPOINT", WAY.address()),
        ("AWS_ACCESS_KEY", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_KEY", "not-a-real-key"),
        ("AWS_REGION", REGION),
        ("SCAN_INTERVAL", "1"),
    ]
}

/// A namespace in which nobody allowed anything.
pub(super) fn closed() -> String {
    LazyLock::force(&OPERATOR);
    support::namespace(&CLUSTER, &[])
}

/// A namespace that may read these keys; of AWS, or of roles.
pub(super) fn open(keys: &[&str]) -> String {
    let namespace = closed();
    let policy = json!({
        "apiVersion": "strongroom.dev/v1alpha1", "kind": "StorePolicy", "metadata": {"name": namespace}, "spec": {
            "stores": [{"name": "aws-ssm.strongroom.dev"}, {"name": "aws-iam.strongroom.dev"}],
            "rules": [{"namespaces": {"names": [namespace]}, "keys": keys}],
        },
    });
    CLUSTER.apply(&policy.to_string()).unwrap();
    namespace
}

/// Makes a Secret that asks for a parameter.
pub(super) fn ask(namespace: &str, name: &str, parameter: &str, kind: &str) {
    annotated(namespace, name, &json!({"aws-ssm/aws-param-name": parameter, "aws-ssm/aws-param-type": kind}));
}

pub(super) fn annotated(namespace: &str, name: &str, annotations: &Value) {
    let object = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "annotations": annotations}, "data": {},
    });
    assert_eq!(API.create("secrets", namespace, &object), (201, String::new()), "{name}");
}

pub(super) fn data(namespace: &str, name: &str) -> String {
    line(&API.get("secrets", namespace, name).unwrap())
}

/// Waits until a Secret has this data, as `a=1 b=2`.
pub(super) fn wait_for(namespace: &str, name: &str, expected: &str) {
    eventually(&format!("{name} is {expected}"), || match data(namespace, name) {
        found if found == expected => Ok(()),
        found => Err(found),
    });
}

/// Waits for an event on a Secret whose message has `words`; gives the message.
pub(super) fn wait_for_event(namespace: &str, name: &str, reason: &str, words: &str) -> String {
    eventually(&format!("{name} has an event"), || {
        let events = API.list("events", namespace);
        let about =
            events.values().filter(|event| event["involvedObject"]["name"] == name && event["reason"] == reason);
        let mut messages = about.map(|event| event["message"].as_str().unwrap_or_default().to_owned());
        messages.find(|message| message.contains(words)).ok_or_else(|| json!(events).to_string())
    })
}

/// The operator reads once a second.
pub(super) fn some_rounds() {
    std::thread::sleep(Duration::from_secs(3));
}

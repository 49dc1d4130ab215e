//! secret-operator's mappings: a rotation that a queue tells of rolls the workloads that are mapped.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};
use strongroom_api::secret_operator::crd_yaml;
use world::control_plane::{ControlPlane, Options};

use super::support::{self, Operator, eventually};
use crate::{AWS, REGION};

/// secret-operator's own sample, and one that nobody maps.
const SECRET: &str = "eks-controller-test-secret";

fn workload(kind: &str, namespace: &str, name: &str, labels: &Value) -> Value {
    let pods = json!({"app": name});
    let mut spec = json!({
        "selector": {"matchLabels": pods},
        "template": {"metadata": {"labels": pods}, "spec": {"containers": [{"name": "app", "image": "app"}]}},
    });
    if kind == "StatefulSet" {
        spec["serviceName"] = json!("none");
    }
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": spec})
}

fn told(event: &str, secret: &str, time: &str) -> String {
    let detail = json!({"eventName": event, "requestParameters": {"secretId": secret}});
    json!({"source": "aws.secretsmanager", "time": time, "detail": detail}).to_string()
}

/// What a template's label says, and how often the workload has changed.
fn rolled(cluster: &ControlPlane, kind: &str, namespace: &str, name: &str, label: &str) -> (Option<String>, i64) {
    let object = support::object(cluster, kind, namespace, name).unwrap();
    let label = object["spec"]["template"]["metadata"]["labels"][label].as_str().map(str::to_owned);
    (label, object["metadata"]["generation"].as_i64().unwrap())
}

#[test]
fn so_01_so_02_a_rotation_rolls_what_is_mapped_once_and_other_messages_go_or_stay() {
    let cluster = ControlPlane::start(&Options::default()).unwrap();
    support::add_kinds(&cluster);
    cluster.apply(&crd_yaml().unwrap()).unwrap();
    cluster.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]).unwrap();
    let mapped = json!({"environment": "operatortest"});
    let mut objects = vec![
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "far"}}),
        json!({"apiVersion": "awssecretsoperator.secretoperator/v1", "kind": "SecretsRotationMapping",
            "metadata": {"name": "sample", "namespace": "default"},
            "spec": {"SecretID": SECRET, "Labels": mapped}}),
        workload("Deployment", "default", "other", &json!({"environment": "production"})),
    ];
    for namespace in ["default", "far"] {
        for kind in ["Deployment", "DaemonSet", "StatefulSet"] {
            objects.push(workload(kind, namespace, "mapped", &mapped));
        }
    }
    cluster.apply(&json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()).unwrap();
    let queue = AWS.make_queue(REGION, "eks-controller-sqs", Duration::from_secs(2)).unwrap();
    let variables = [
        ("SECRETS_SQS_QUEUE_URL", queue.as_str()),
        ("AWS_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "not-a-real-key"),
    ];
    let operator = Operator::spawn(&cluster, &[], &variables);
    operator.wait_until_ready();

    let rotation = told("PutSecretValue", SECRET, "2026-11-27T06:00:00Z");
    AWS.send_message(REGION, &queue, &rotation).unwrap();
    let labels = [
        ("Deployment", "aws-secrets-controller-redeloyed"),
        ("DaemonSet", "aws-secrets-operator-redeloyed"),
        ("StatefulSet", "aws-secrets-operator-redeloyed"),
    ];
    for namespace in ["default", "far"] {
        for (kind, label) in labels {
            let state = eventually(&format!("{kind} {namespace} is rolled"), || {
                match rolled(&cluster, kind, namespace, "mapped", label) {
                    (Some(label), generation) => Ok((label, generation)),
                    (None, generation) => Err(format!("generation {generation}")),
                }
            });
            // A DaemonSet begins with 1 like the others.
            assert_eq!(state, ("1795759200".to_owned(), 2), "{kind} {namespace}");
        }
    }
    assert_eq!(rolled(&cluster, "Deployment", "default", "other", labels[0].1), (None, 1));

    // The same once more, one that came late, one about nothing, and one that nobody can read: all go, and nobody rolls.
    let late = told("PutSecretValue", SECRET, "2026-11-27T05:00:00Z");
    for body in [rotation.as_str(), &late, &told("GetSecretValue", SECRET, "2026-11-27T07:00:00Z"), "no event"] {
        AWS.send_message(REGION, &queue, body).unwrap();
    }
    eventually("they are deleted", || match AWS.messages_in(REGION, &queue) {
        Ok(0) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(rolled(&cluster, "Deployment", "far", "mapped", labels[0].1).1, 2, "nobody rolls twice");

    AWS.send_message(REGION, &queue, &told("PutSecretValue", "another", "2026-11-27T07:00:00Z")).unwrap();
    sleep(Duration::from_secs(3));
    assert_eq!(AWS.messages_in(REGION, &queue).unwrap(), 1, "what nobody maps stays");
}

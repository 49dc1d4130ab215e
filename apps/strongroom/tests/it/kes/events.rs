//! Changes that sources tell of reach the objects of kubernetes-external-secrets, and ExternalSecrets beside them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use world::moto::Kind;
use world::switchboard::Switchboard;

use super::support::{API, CLUSTER, create, status, variables};
use crate::operator::api::line;
use crate::operator::events::{counted_by, event, put};
use crate::operator::support::{Operator, eventually, namespace};
use crate::{AWS, REGION};

/// `INSTANCE_ID` and class of an operator of its own: the objects of other tests are not its.
const INSTANCE: &str = "kes-events";

/// One that reaches AWS through `aws`, and its queue beside it.
fn start(queue: &str, aws: &Switchboard) -> Operator {
    let mut variables = variables();
    variables.retain(|(name, _)| *name != "POLLER_INTERVAL_MILLISECONDS");
    let endpoints = variables.iter_mut().filter(|(name, _)| name.starts_with("AWS_") && name.ends_with("_ENDPOINT"));
    endpoints.for_each(|(_, value)| aws.address().clone_into(value));
    // Nothing is polled while these tests run.
    variables.push(("POLLER_INTERVAL_MILLISECONDS", "3600000".to_owned()));
    variables.push(("INSTANCE_ID", INSTANCE.to_owned()));
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (class, source) = (format!("--controller-class={INSTANCE}"), format!("--events-sqs-queue-url={queue}"));
    let operator = Operator::spawn(&CLUSTER, &[class.as_str(), "--allow-local-addresses", source.as_str()], &variables);
    operator.wait_until_ready();
    operator
}

/// An ExternalSecret of External Secrets, and the store that it reads.
fn beside(namespace: &str, key: &str) {
    let login = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "login"},
        "stringData": {"id": "AKIAIOSFODNN7EXAMPLE", "key": "not-a-real-key"}});
    let of_login = |key: &str| json!({"name": "login", "key": key});
    let auth = json!({"accessKeyIDSecretRef": of_login("id"), "secretAccessKeySecretRef": of_login("key")});
    let aws = json!({"service": "SecretsManager", "region": REGION, "auth": {"secretRef": auth}});
    let object = |kind: &str, name: &str, spec: Value| {
        json!({"apiVersion": "external-secrets.io/v1", "kind": kind,
        "metadata": {"name": name}, "spec": spec})
    };
    let store = object("SecretStore", "store", json!({"controller": INSTANCE, "provider": {"aws": aws}}));
    let entry = json!({"secretKey": "a", "remoteRef": {"key": key}});
    let wish = json!({"refreshInterval": "1h", "secretStoreRef": {"name": "store"}, "data": [entry]});
    let wish = object("ExternalSecret", "beside", wish);
    for (kind, object) in [("secrets", login), ("secretstores", store), ("externalsecrets", wish)] {
        assert_eq!(API.create(kind, namespace, &object), (201, String::new()), "{kind}");
    }
}

/// Waits until the Secret has this data; how long that took.
fn wait(namespace: &str, name: &str, data: &str) -> Duration {
    let start = Instant::now();
    eventually(&format!("{name} is {data}"), || {
        let found = API.get("secrets", namespace, name).as_ref().map(line);
        if found.as_deref() == Some(data) { Ok(()) } else { Err(format!("{found:?} {:?}", status(namespace, name))) }
    });
    start.elapsed()
}

/// How often a secret was asked for.
fn reads(aws: &Switchboard, key: &str) -> usize {
    let named = format!("\"{key}\"");
    aws.requests().iter().filter(|seen| String::from_utf8_lossy(&seen.body).contains(&named)).count()
}

#[test]
fn an_event_has_objects_of_both_kinds_read_at_once_and_no_other_object() {
    let queue = AWS.make_queue(REGION, "kes-events", Duration::from_secs(2)).unwrap();
    let aws = Switchboard::to(AWS.host_port()).unwrap();
    let operator = start(&queue, &aws);
    let namespace = namespace(&CLUSTER, &[]);
    AWS.put_parameter(REGION, "/kes-events/path/a", Kind::SecureString, "first").unwrap();
    put("kes-events/one", r#"{"a":"first"}"#);
    put("kes-events/two", "other");
    let of = |spec: &str| format!("{{controllerId: {INSTANCE}, backendType: secretsManager, {spec}}}");
    create(&namespace, "by-name", &of("data: [{key: kes-events/one, name: a, property: a}]"));
    create(&namespace, "whole", &of("dataFrom: [kes-events/one]"));
    create(&namespace, "other", &of("data: [{key: kes-events/two, name: a}]"));
    let path = format!("{{controllerId: {INSTANCE}, backendType: systemManager, data: [{{path: /kes-events/path}}]}}");
    create(&namespace, "by-path", &path);
    beside(&namespace, "kes-events/one");
    for name in ["by-name", "whole", "by-path"] {
        wait(&namespace, name, "a=first");
    }
    wait(&namespace, "other", "a=other");
    wait(&namespace, "beside", r#"a={"a":"first"}"#);

    put("kes-events/one", r#"{"a":"second"}"#);
    put("kes-events/two", "changed");
    let others = reads(&aws, "kes-events/two");
    AWS.send_message(REGION, &queue, &event("kes", "kes-events/one")).unwrap();
    let took = wait(&namespace, "by-name", "a=second");
    assert!(took < Duration::from_secs(2), "{took:?}");
    wait(&namespace, "whole", "a=second");
    wait(&namespace, "beside", r#"a={"a":"second"}"#);
    assert_eq!(counted_by(&operator, "strongroom_events_matched_total{source=\"sqs\"} "), 3);

    let parameter = json!({
        "id": "kes-path", "detail-type": "Parameter Store Change", "source": "aws.ssm", "region": REGION,
        "detail": {"operation": "Update", "name": "/kes-events/path/a", "type": "SecureString"},
    });
    AWS.put_parameter(REGION, "/kes-events/path/a", Kind::SecureString, "second").unwrap();
    AWS.send_message(REGION, &queue, &parameter.to_string()).unwrap();
    wait(&namespace, "by-path", "a=second");
    assert_eq!(reads(&aws, "kes-events/two"), others, "nobody spoke of the other");
    wait(&namespace, "other", "a=other");
    operator.stop();
}

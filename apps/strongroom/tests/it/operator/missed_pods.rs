//! Pods that ask for secrets and were created while admission did not see them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::api::API;
use super::support::{CLUSTER, Operator, eventually};
use crate::admission::support::{ARN, SEEN, SHARED, asking, held_pod, is_injected, with_account};

const METRIC: &str = "strongroom_pods_not_injected";

/// An operator that tells of pods, and serves nothing else.
fn start(more: &[&str]) -> Operator {
    let flags = ["--report-pods", "--controller-class=missed-pods", "--kes=off", "--aws-ssm=off", "--restarts=off"];
    let operator = Operator::spawn(&CLUSTER, &[&flags, more].concat(), &[]);
    operator.wait_until_ready();
    operator
}

fn create(namespace: &str, pod: &Value) {
    let (status, words) = API.create("pods", namespace, pod);
    assert_eq!(status, 201, "{words}");
}

/// Marks a pod as one that has done its work.
fn finish(namespace: &str, pod: &str) {
    let finished = r#"{"status":{"phase":"Succeeded"}}"#;
    let patch = ["patch", "pod", pod, "-n", namespace, "--subresource=status", "--type=merge", "-p", finished];
    CLUSTER.kubectl(&patch).unwrap();
}

/// The events of a namespace that say it, by pod.
fn told(namespace: &str) -> BTreeMap<String, Vec<Value>> {
    let mut told: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for event in API.list("events", namespace).into_values().filter(|event| event["reason"] == "NotInjected") {
        let name = event["involvedObject"]["name"].as_str().unwrap().to_owned();
        told.entry(name).or_default().push(event);
    }
    told
}

/// Waits until each of these pods, and no other, has one event that counts once.
fn wait_until_told(namespace: &str, expected: &[&str]) {
    eventually("pods are told of", || {
        let told = told(namespace);
        let is_once =
            |events: &Vec<Value>| events.len() == 1 && events[0]["count"] == 1 && events[0]["type"] == "Warning";
        let is_right = told.keys().map(String::as_str).eq(expected.iter().copied()) && told.values().all(is_once);
        if is_right { Ok(()) } else { Err(format!("{told:?}")) }
    });
}

fn message(namespace: &str, pod: &str) -> String {
    told(namespace)[pod][0]["message"].as_str().unwrap().to_owned()
}

fn wait_until_counted(operator: &Operator, namespace: &str, count: Option<usize>) {
    let line = format!("{METRIC}{{namespace=\"{namespace}\"}}");
    let expected = count.map(|count| format!("{line} {count}"));
    eventually("the metric follows", || {
        let scraped = operator.scraped();
        let found = scraped.lines().find(|found| found.starts_with(&line));
        let found = found.map(|found| found.trim_end_matches(".0").to_owned());
        if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
    });
}

#[test]
fn a_pod_that_was_created_without_admission_is_told_of_once_and_others_are_not() {
    let _ = &*SHARED;
    let (own, admitted) = (with_account(&CLUSTER, &[]), with_account(&CLUSTER, &[SEEN]));
    let opted_out = with_account(&CLUSTER, &[("admission.secrets-init/ignore", "")]);
    let excepted = with_account(&CLUSTER, &[]);
    create(&own, &asking("a-slipped"));
    create(&own, &held_pod("plain", &json!({"image": "app", "env": [{"name": "A", "value": "arn:aws:s3:::bucket"}]})));
    let mut unwilling = asking("unwilling");
    unwilling["metadata"]["annotations"] = json!({"strongroom.dev/inject": "false"});
    create(&own, &unwilling);
    create(&own, &asking("finished"));
    finish(&own, "finished");
    create(&opted_out, &asking("a-slipped"));
    create(&excepted, &asking("a-slipped"));
    create(&admitted, &asking("injected"));
    assert!(is_injected(&API.get("pods", &admitted, "injected").unwrap()));

    let operator = start(&[&format!("--report-pods-except=kube-system,{excepted}")]);
    wait_until_told(&own, &["a-slipped"]);
    wait_until_counted(&operator, &own, Some(1));
    let maker = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "maker"}});
    assert_eq!(API.create("configmaps", &own, &maker).0, 201);
    let uid = API.get("configmaps", &own, "maker").unwrap()["metadata"]["uid"].clone();
    let mut later = asking("b-later");
    later["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "maker", "uid": uid, "controller": true}]);
    create(&own, &later);
    // Whatever came before this one has been looked at.
    wait_until_told(&own, &["a-slipped", "b-later"]);
    for namespace in [&opted_out, &excepted, &admitted] {
        assert_eq!(told(namespace), BTreeMap::new(), "{namespace}");
        wait_until_counted(&operator, namespace, None);
    }
    let slipped = message(&own, "a-slipped");
    assert!(slipped.contains("container app: A (aws-ssm)") && slipped.contains("create it again"), "{slipped}");
    assert!(!slipped.contains(ARN), "{slipped}");
    let later = message(&own, "b-later");
    assert!(later.contains("ConfigMap maker makes it anew"), "{later}");
    let event = &told(&own)["a-slipped"][0];
    assert_eq!(event["involvedObject"]["uid"], API.get("pods", &own, "a-slipped").unwrap()["metadata"]["uid"]);
    let lines = operator.logged().lines().filter(|line| line.contains(&format!("{own}/a-slipped"))).count();
    assert_eq!(lines, 1, "{}", operator.logged());

    // One that has ended, or is gone, misses nothing any more.
    wait_until_counted(&operator, &own, Some(2));
    finish(&own, "a-slipped");
    wait_until_counted(&operator, &own, Some(1));
    assert!(API.delete("pods", &own, "b-later"));
    wait_until_counted(&operator, &own, None);
    operator.stop();
}

#[test]
fn after_a_restart_of_the_operator_no_pod_is_told_of_again() {
    let own = with_account(&CLUSTER, &[]);
    create(&own, &asking("a"));
    let operator = start(&[]);
    wait_until_told(&own, &["a"]);
    operator.stop();
    create(&own, &asking("b"));
    let operator = start(&[]);
    wait_until_counted(&operator, &own, Some(2));
    // Events are written in order.
    create(&own, &asking("c"));
    wait_until_told(&own, &["a", "b", "c"]);
    operator.stop();
}

#[test]
fn a_namespace_that_opts_in_or_out_is_looked_at_anew() {
    const LABEL: &str = "admission.secrets-init/ignore";
    let (own, other) = (with_account(&CLUSTER, &[(LABEL, "")]), with_account(&CLUSTER, &[]));
    create(&own, &asking("a"));
    create(&other, &asking("a"));
    let operator = start(&[]);
    wait_until_told(&other, &["a"]);
    wait_until_counted(&operator, &own, None);
    CLUSTER.kubectl(&["label", "namespace", &own, &format!("{LABEL}-")]).unwrap();
    wait_until_told(&own, &["a"]);
    wait_until_counted(&operator, &own, Some(1));
    CLUSTER.kubectl(&["label", "namespace", &own, &format!("{LABEL}=")]).unwrap();
    wait_until_counted(&operator, &own, None);
    wait_until_told(&other, &["a"]);
    operator.stop();
}

#[test]
fn the_alert_asks_for_what_is_counted() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/monitoring/alerts.yaml");
    let alerts: Value = serde_saphyr::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let groups = alerts["spec"]["groups"].as_array().unwrap();
    let group = groups.iter().find(|group| group["name"] == "strongroom-pods").unwrap();
    let expression = group["rules"][0]["expr"].as_str().unwrap();
    assert!(expression.contains(&format!("({METRIC})")), "{expression}");
}

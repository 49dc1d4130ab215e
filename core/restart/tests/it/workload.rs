use serde_json::{Value, json};
use strongroom_restart::{Kind, Workload};

fn read(kind: Kind, parts: Value) -> Workload {
    let mut object =
        json!({"metadata": {"name": "app", "namespace": "team", "generation": 4}, "spec": {}, "status": {}});
    for (name, value) in parts.as_object().unwrap() {
        for (field, value) in value.as_object().unwrap() {
            object[name][field] = value.clone();
        }
    }
    Workload::read(kind, &object).unwrap()
}

#[test]
fn a_rollout_has_ended_when_its_controller_says_so() {
    let check = |kind: Kind, spec: Value, status: Value, expected: bool| {
        let shown = format!("{kind} {spec} {status}");
        assert_eq!(read(kind, json!({"spec": spec, "status": status})).is_rolled_out(), expected, "{shown}");
    };
    let deployment = |observed: i64, replicas: i64, updated: i64, available: i64| json!({"observedGeneration": observed, "replicas": replicas, "updatedReplicas": updated, "availableReplicas": available});
    check(Kind::Deployment, json!({"replicas": 2}), deployment(4, 2, 2, 2), true);
    check(Kind::Deployment, json!({"replicas": 2}), deployment(3, 2, 2, 2), false);
    check(Kind::Deployment, json!({"replicas": 2}), deployment(4, 3, 2, 2), false);
    check(Kind::Deployment, json!({"replicas": 2}), deployment(4, 2, 1, 2), false);
    check(Kind::Deployment, json!({"replicas": 2}), deployment(4, 2, 2, 1), false);
    check(Kind::Deployment, json!({"replicas": 0}), json!({"observedGeneration": 4}), true);
    // One replica where nothing is said.
    check(Kind::Deployment, json!({}), json!({"observedGeneration": 4}), false);
    let mut stuck = deployment(4, 3, 1, 2);
    stuck["conditions"] = json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
    check(Kind::Deployment, json!({"replicas": 2}), stuck, true);
    let stateful =
        |updated: i64, ready: i64| json!({"observedGeneration": 4, "updatedReplicas": updated, "readyReplicas": ready});
    check(Kind::StatefulSet, json!({"replicas": 3}), stateful(3, 3), true);
    check(Kind::StatefulSet, json!({"replicas": 3}), stateful(2, 3), false);
    check(Kind::StatefulSet, json!({"replicas": 3}), stateful(3, 2), false);
    let partition = json!({"replicas": 3, "updateStrategy": {"rollingUpdate": {"partition": 2}}});
    check(Kind::StatefulSet, partition, stateful(1, 3), true);
    let daemons = |wanted: i64, updated: i64, available: i64| {
        json!({"observedGeneration": 4, "desiredNumberScheduled": wanted, "updatedNumberScheduled": updated,
            "numberAvailable": available})
    };
    check(Kind::DaemonSet, json!({}), daemons(2, 2, 2), true);
    check(Kind::DaemonSet, json!({}), daemons(2, 1, 2), false);
    check(Kind::DaemonSet, json!({}), daemons(2, 2, 1), false);
    // Its pods are deleted by hand, and nobody waits for that.
    check(Kind::DaemonSet, json!({"updateStrategy": {"type": "OnDelete"}}), json!({}), true);
    check(Kind::StatefulSet, json!({"updateStrategy": {"type": "OnDelete"}}), json!({}), true);
    check(Kind::CronJob, json!({}), json!({}), true);
}

#[test]
fn only_deployments_are_paused() {
    assert!(read(Kind::Deployment, json!({"spec": {"paused": true}})).is_paused);
    assert!(!read(Kind::Deployment, json!({"spec": {"paused": false}})).is_paused);
    assert!(!read(Kind::StatefulSet, json!({"spec": {"paused": true}})).is_paused);
}

#[test]
fn of_jobs_and_pods_only_those_are_told_of_that_stand_alone_and_run() {
    let check = |kind: Kind, parts: Value, expected: bool| {
        let shown = parts.to_string();
        assert_eq!(read(kind, parts).is_over, expected, "{kind} {shown}");
    };
    let owned = |is_controller: bool| json!({"metadata": {"ownerReferences": [{"controller": is_controller}]}});
    check(Kind::Pod, json!({}), false);
    check(Kind::Pod, owned(true), true);
    check(Kind::Pod, owned(false), false);
    check(Kind::Pod, json!({"status": {"phase": "Running"}}), false);
    check(Kind::Pod, json!({"status": {"phase": "Succeeded"}}), true);
    check(Kind::Pod, json!({"status": {"phase": "Failed"}}), true);
    check(Kind::Job, owned(true), true);
    check(Kind::Job, json!({"status": {"conditions": [{"type": "Complete", "status": "True"}]}}), true);
    check(Kind::Job, json!({"status": {"conditions": [{"type": "Complete", "status": "False"}]}}), false);
    check(Kind::CronJob, owned(true), false);
    check(Kind::Deployment, owned(true), false);
}

#[test]
fn what_is_no_workload_is_none() {
    for object in [json!(null), json!({}), json!({"metadata": {"name": "a"}}), json!({"metadata": {"namespace": "b"}})]
    {
        assert_eq!(Workload::read(Kind::Deployment, &object), None, "{object}");
    }
}

#[test]
fn a_baseline_that_is_too_long_is_not_even_kept() {
    let name = strongroom_restart::annotations::OBSERVED;
    let with = |length: usize| read(Kind::Deployment, json!({"metadata": {"annotations": {name: "x".repeat(length)}}}));
    assert!(with(1000).observed.is_some());
    assert!(with(70_000).observed.is_none());
}

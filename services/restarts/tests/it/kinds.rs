//! Each kind of workload.

use serde_json::{Value, json};

use crate::support::{
    QUIET, Running, adopted, apply, events, eventually, get, list, namespace, observed, pod, reaches, restarts,
    restarts_of, secret, settings, workload,
};

/// A change restarts a workload of `kind`, once, and a value of a key that it does not read does not.
async fn rolls(kind: &str) {
    let team = namespace();
    apply(&[secret(&team, "db", &[("k", "1"), ("other", "1")]), workload(kind, &team, "app", &["db"])]);
    let _running = Running::start(&team, settings()).await;
    adopted(kind, &team, "app").await;
    assert_eq!(restarts(kind, &team, "app"), 0, "the first sight restarts nothing");
    apply(&[secret(&team, "db", &[("k", "1"), ("other", "2")])]);
    tokio::time::sleep(QUIET).await;
    assert_eq!(restarts(kind, &team, "app"), 0, "a key that is not read restarts nothing");
    apply(&[secret(&team, "db", &[("k", "canary-2"), ("other", "2")])]);
    reaches(kind, &team, "app", 1).await;
    tokio::time::sleep(QUIET).await;
    let object = get(kind, &team, "app");
    assert_eq!(restarts_of(&object), 1, "one change is one restart");
    assert!(object["spec"]["template"]["metadata"]["annotations"]["strongroom.dev/restarted-for"].is_string());
    let told = events(&team, kind, "app");
    assert_eq!(told, [r#"Restarted Secret "db" changed; the pods are replaced"#]);
    let encoded = "Y2FuYXJ5LTI=";
    let shown = format!("{object}{told:?}");
    assert!(!shown.contains("canary") && !shown.contains(encoded), "a value is shown");
}

#[tokio::test]
async fn a_deployment_is_restarted() {
    rolls("Deployment").await;
}

#[tokio::test]
async fn a_stateful_set_is_restarted() {
    rolls("StatefulSet").await;
}

#[tokio::test]
async fn a_daemon_set_is_restarted() {
    rolls("DaemonSet").await;
}

#[tokio::test]
async fn where_pods_are_replaced_by_hand_the_template_is_marked_and_an_event_says_so() {
    let team = namespace();
    let mut daemons = workload("DaemonSet", &team, "app", &["db"]);
    daemons["spec"]["updateStrategy"] = json!({"type": "OnDelete"});
    apply(&[secret(&team, "db", &[("k", "1")]), daemons]);
    let running = Running::start(&team, settings()).await;
    adopted("DaemonSet", &team, "app").await;
    apply(&[secret(&team, "db", &[("k", "2")])]);
    reaches("DaemonSet", &team, "app", 1).await;
    eventually("an event says so", || {
        let told = events(&team, "DaemonSet", "app");
        if told.iter().any(|words| words.contains("as they are deleted")) { Ok(()) } else { Err(format!("{told:?}")) }
    })
    .await;
    assert_eq!(running.metric("strongroom_restarts_rolling"), 0.0);
}

#[tokio::test]
async fn what_nothing_restarts_is_told_once_and_never_written_to() {
    let team = namespace();
    let annotations = json!({"strongroom.dev/restart": "true"});
    let metadata = |name: &str| json!({"name": name, "namespace": team, "annotations": annotations});
    let mut once = pod(&["db"]);
    once["restartPolicy"] = json!("Never");
    let template = json!({"spec": once});
    let mut objects: Vec<Value> = vec![secret(&team, "db", &[("k", "1")])];
    objects.push(json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata("cron"),
        "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template": template}}}}));
    objects.push(
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata("job"), "spec": {"template": template}}),
    );
    objects.push(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata("pod"), "spec": pod(&["db"])}));
    apply(&objects);
    let settings = strongroom_restarts::RestartSettings { restart_report_pods: true, ..settings() };
    let running = Running::start(&team, settings).await;
    // Nothing shows that they were taken in but what is read for them.
    tokio::time::sleep(QUIET).await;
    let kinds = [
        ("CronJob", "cron", "the next run reads it"),
        ("Job", "job", "keep the former values"),
        ("Pod", "pod", "keep the former values"),
    ];
    let spec = |kind: &str, name: &str| {
        let mut object = get(kind, &team, name);
        object.as_object_mut().unwrap().remove("status");
        object["metadata"].as_object_mut().unwrap().remove("resourceVersion");
        object["metadata"].as_object_mut().unwrap().remove("managedFields");
        object
    };
    let before: Vec<Value> = kinds.iter().map(|(kind, name, _)| spec(kind, name)).collect();
    apply(&[secret(&team, "db", &[("k", "2")])]);
    for (kind, name, words) in kinds {
        eventually(&format!("{kind} is told"), || match events(&team, kind, name).as_slice() {
            [told] if told.starts_with("NotRestarted ") && told.contains(words) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }
    tokio::time::sleep(QUIET).await;
    assert_eq!(kinds.map(|(kind, name, _)| events(&team, kind, name).len()), [1, 1, 1]);
    assert_eq!(kinds.iter().map(|(kind, name, _)| spec(kind, name)).collect::<Vec<_>>(), before);
    assert_eq!(running.metric(r#"strongroom_restarts_total{kind="Pod",result="reported"}"#), 1.0);
    // The Job's own pod belongs to it, and is not told of.
    assert!(list("pods", &team).len() > 1);
    assert!(observed(&get("CronJob", &team, "cron")).is_none());
}

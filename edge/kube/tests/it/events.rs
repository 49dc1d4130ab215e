//! Events as people find them in the cluster.

use k8s_openapi::api::core::v1::ObjectReference;
use strongroom_kube::{EventKind, Recorder, RecorderSettings};

use crate::{Wire, cluster, connect, namespace, until};

fn about(namespace: &str, name: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some("external-secrets.io/v1".to_owned()),
        kind: Some("ExternalSecret".to_owned()),
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()).filter(|namespace| !namespace.is_empty()),
        uid: Some(format!("uid-of-{name}")),
        ..ObjectReference::default()
    }
}

fn settings(queue_limit: usize) -> RecorderSettings {
    RecorderSettings { component: "external-secrets", instance: "pod-1".to_owned(), queue_limit }
}

/// `TYPE REASON MESSAGE COUNT` of each event, sorted.
fn shown(namespace: &str) -> Vec<String> {
    let columns = "jsonpath={range .items[*]}{.type} {.reason} {.message} {.count}{'\\n'}{end}";
    let text = cluster().kubectl(&["get", "events", "-n", namespace, "-o", columns]).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn the_same_becomes_a_count_and_another_message_an_event_of_its_own() {
    let namespace = namespace(cluster());
    let connection = connect(cluster().kubeconfig()).await;
    let (recorder, writer) = Recorder::new(connection.client(), settings(100));
    let writer = tokio::spawn(writer);
    let object = about(&namespace, "db");
    recorder.record(&object, EventKind::Warning, "UpdateFailed", "denied");
    until("it is written", || recorder.written() == 1).await;
    for _ in 0..3 {
        recorder.record(&object, EventKind::Warning, "UpdateFailed", "denied");
    }
    recorder.record(&object, EventKind::Normal, "Updated", "secret updated");
    recorder.record(&about(&namespace, "other"), EventKind::Warning, "UpdateFailed", "denied");
    drop(recorder);
    writer.await.unwrap();
    let expected =
        ["Normal Updated secret updated 1", "Warning UpdateFailed denied 1", "Warning UpdateFailed denied 4"];
    assert_eq!(shown(&namespace), expected);
    // One for each event and one for what was counted up, however often that was while it waited.
    assert_eq!(connection.traffic().count("create", "events"), 3);
    assert_eq!(connection.traffic().count("patch", "events"), 1);

    let columns = "jsonpath={.items[0].source.component} {.items[0].reportingComponent} {.items[0].reportingInstance} \
                   {.items[0].involvedObject.kind}";
    let got = cluster().kubectl(&["get", "events", "-n", &namespace, "-o", columns]).unwrap();
    assert_eq!(got, "external-secrets external-secrets pod-1 ExternalSecret");
    let described = ["events", "-n", &namespace, "--for=externalsecret.external-secrets.io/db", "--types=Warning"];
    let described = cluster().kubectl(&described);
    assert!(described.is_err() || described.unwrap().contains("x4"), "kubectl counts it");
}

#[tokio::test]
async fn an_event_that_has_expired_is_written_anew() {
    let namespace = namespace(cluster());
    let (recorder, writer) = Recorder::new(connect(cluster().kubeconfig()).await.client(), settings(100));
    tokio::spawn(writer);
    let object = about(&namespace, "db");
    recorder.record(&object, EventKind::Normal, "Updated", "m");
    until("it is written", || recorder.written() == 1).await;
    cluster().kubectl(&["delete", "events", "--all", "-n", &namespace]).unwrap();
    recorder.record(&object, EventKind::Normal, "Updated", "m");
    until("it is written again", || recorder.written() == 2).await;
    assert_eq!(shown(&namespace), ["Normal Updated m 1"]);
}

#[tokio::test]
async fn events_about_objects_of_the_cluster_go_to_default() {
    let (recorder, writer) = Recorder::new(connect(cluster().kubeconfig()).await.client(), settings(100));
    let object = about("", "store-of-all");
    recorder.record(&object, EventKind::Normal, "Valid", "store validated");
    drop(recorder);
    writer.await;
    let events =
        cluster().kubectl(&["get", "events", "-n", "default", "-o", "jsonpath={.items[*].involvedObject.name}"]);
    assert!(events.unwrap().contains("store-of-all"));
}

#[tokio::test]
async fn one_noisy_object_has_its_share_and_no_more() {
    let namespace = namespace(cluster());
    let connection = connect(cluster().kubeconfig()).await;
    let (recorder, writer) = Recorder::new(connection.client(), settings(100));
    for number in 0..40 {
        recorder.record(&about(&namespace, "noisy"), EventKind::Normal, "Updated", &number.to_string());
    }
    recorder.record(&about(&namespace, "quiet"), EventKind::Normal, "Updated", "quiet");
    let watched = recorder.clone();
    drop(recorder);
    let writer = tokio::spawn(writer);
    until("all are decided", || watched.written() + watched.dropped() == 41).await;
    assert_eq!((watched.written(), watched.dropped()), (26, 15));
    drop(watched);
    writer.await.unwrap();
    assert_eq!(shown(&namespace).len(), 26);
}

#[tokio::test]
async fn a_full_queue_drops_its_oldest_and_recording_never_waits() {
    let namespace = namespace(cluster());
    let wire = Wire::to(cluster()).await;
    let connection = connect(&wire.kubeconfig).await;
    wire.cut();
    let (recorder, writer) = Recorder::new(connection.client(), settings(3));
    for number in 0..10 {
        recorder.record(&about(&namespace, &format!("es-{number}")), EventKind::Normal, "Updated", &number.to_string());
    }
    assert_eq!((recorder.waiting(), recorder.dropped()), (3, 7));
    wire.mend();
    drop(recorder);
    writer.await;
    assert_eq!(shown(&namespace), ["Normal Updated 7 1", "Normal Updated 8 1", "Normal Updated 9 1"]);
}

//! What makes a restart wait.

use std::time::Duration;

use serde_json::{Value, json};
use strongroom_restarts::RestartSettings;

use crate::support::{
    QUIET, Running, adopted, apply, cluster, events, eventually, get, namespace, reaches, restarts, secret, settings,
    workload,
};

#[tokio::test]
async fn a_paused_deployment_is_left_alone_until_it_goes_on_and_is_then_restarted_once() {
    let team = namespace();
    apply(&[secret(&team, "db", &[("k", "1")]), workload("Deployment", &team, "app", &["db"])]);
    let running = Running::start(&team, settings()).await;
    adopted("Deployment", &team, "app").await;
    cluster().kubectl(&["rollout", "pause", "deployment/app", "-n", &team]).unwrap();
    let object = get("Deployment", &team, "app");
    apply(&[secret(&team, "db", &[("k", "2")])]);
    eventually("its owner is told", || match events(&team, "Deployment", "app").as_slice() {
        [told] if told.starts_with("RestartWaits ") && told.contains("is paused") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    apply(&[secret(&team, "db", &[("k", "3")])]);
    tokio::time::sleep(QUIET).await;
    let mark = |object: &Value| object["spec"]["template"]["metadata"]["annotations"].clone();
    assert_eq!(mark(&get("Deployment", &team, "app")), mark(&object), "the template is left alone");
    assert_eq!(events(&team, "Deployment", "app").len(), 1, "it is told once");
    // Also by another one, who was not there when it changed.
    running.kill().await;
    let _running = Running::start(&team, settings()).await;
    tokio::time::sleep(QUIET).await;
    cluster().kubectl(&["rollout", "resume", "deployment/app", "-n", &team]).unwrap();
    reaches("Deployment", &team, "app", 1).await;
    tokio::time::sleep(QUIET).await;
    assert_eq!(restarts("Deployment", &team, "app"), 1);
}

#[tokio::test]
async fn a_workload_is_not_restarted_again_and_again() {
    let team = namespace();
    let pause = Duration::from_secs(8);
    apply(&[secret(&team, "db", &[("k", "0")]), workload("Deployment", &team, "app", &["db"])]);
    let _running = Running::start(&team, RestartSettings { restart_pause: pause, ..settings() }).await;
    adopted("Deployment", &team, "app").await;
    let start = std::time::Instant::now();
    for value in 1..30 {
        apply(&[secret(&team, "db", &[("k", &value.to_string())])]);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let most = i64::try_from(start.elapsed().as_secs() / pause.as_secs()).unwrap() + 1;
    let meanwhile = restarts("Deployment", &team, "app");
    assert!((1..=most).contains(&meanwhile), "{meanwhile} restarts in {:?}", start.elapsed());
    // The last value arrives all the same, by one more.
    reaches("Deployment", &team, "app", meanwhile + 1).await;
    tokio::time::sleep(pause).await;
    assert_eq!(restarts("Deployment", &team, "app"), meanwhile + 1);
}

/// An ExternalSecret's kind as far as it matters here.
fn external_secrets() -> Value {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "externalsecrets.external-secrets.io"},
        "spec": {"group": "external-secrets.io", "scope": "Namespaced",
            "names": {"kind": "ExternalSecret", "plural": "externalsecrets", "singular": "externalsecret"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}]},
    })
}

#[tokio::test]
async fn closed_windows_of_the_external_secret_hold_a_restart() {
    let team = namespace();
    apply(&[external_secrets()]);
    let established =
        ["wait", "--for=condition=Established", "--timeout=60s", "crd/externalsecrets.external-secrets.io"];
    cluster().kubectl(&established).unwrap();
    // Always closed: it denies all day.
    let external = |windows: Value| {
        json!({"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
            "metadata": {"name": "es", "namespace": team}, "spec": {"syncWindows": windows}})
    };
    apply(&[external(json!({"kind": "deny", "windows": [{"schedule": "* * * * *", "duration": "2h"}]}))]);
    let uid = get("externalsecret", &team, "es")["metadata"]["uid"].clone();
    let owned = |value: &str| {
        let mut object = secret(&team, "db", &[("k", value)]);
        let owner = json!({"apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "name": "es", "uid": uid});
        object["metadata"]["ownerReferences"] = json!([owner]);
        object
    };
    apply(&[owned("1"), secret(&team, "free", &[("k", "1")])]);
    apply(&[workload("Deployment", &team, "held", &["db"]), workload("Deployment", &team, "open", &["free"])]);
    let running = Running::start(&team, settings()).await;
    adopted("Deployment", &team, "held").await;
    adopted("Deployment", &team, "open").await;
    apply(&[owned("2"), secret(&team, "free", &[("k", "2")])]);
    reaches("Deployment", &team, "open", 1).await;
    eventually("its owner is told", || match events(&team, "Deployment", "held").as_slice() {
        [told] if told.starts_with("RestartWaits ") && told.contains("sync windows") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(restarts("Deployment", &team, "held"), 0);
    running.kill().await;
    apply(&[external(json!({"kind": "allow", "windows": [{"schedule": "* * * * *", "duration": "2h"}]}))]);
    let _running = Running::start(&team, settings()).await;
    reaches("Deployment", &team, "held", 1).await;
}

//! Who asks, what counts, and what does not.

use serde_json::json;
use strongroom_restarts::{RestartSettings, Restarting};

use crate::support::{
    QUIET, Running, adopted, apply, cluster, get, list, namespace, observed, reaches, restarts, restarts_of, secret,
    settings, workload,
};

#[tokio::test]
async fn in_steady_state_nothing_is_written() {
    let team = namespace();
    let names: Vec<String> = (0..5).map(|number| format!("app-{number}")).collect();
    let mut objects = vec![secret(&team, "db", &[("k", "1")])];
    objects.extend(names.iter().map(|name| workload("Deployment", &team, name, &["db"])));
    apply(&objects);
    let versions = || -> Vec<_> {
        let all = [list("deployments", &team), list("secrets", &team), list("events", &team)].concat();
        all.iter()
            .map(|object| (object["metadata"]["name"].clone(), object["metadata"]["resourceVersion"].clone()))
            .collect()
    };
    let running = Running::start(&team, settings()).await;
    for name in &names {
        adopted("Deployment", &team, name).await;
    }
    tokio::time::sleep(QUIET).await;
    let before = versions();
    tokio::time::sleep(QUIET).await;
    assert_eq!(versions(), before, "while it runs");
    running.kill().await;
    let again = Running::start(&team, settings()).await;
    tokio::time::sleep(QUIET * 2).await;
    assert_eq!(versions(), before, "when it starts anew");
    assert_eq!(again.metric(r#"strongroom_restarts_total{kind="Deployment",result="adopted"}"#), 0.0);
}

#[tokio::test]
async fn a_change_while_nobody_looked_restarts_once_and_the_start_itself_never() {
    let team = namespace();
    apply(&[
        secret(&team, "db", &[("k", "1")]),
        secret(&team, "tls", &[("k", "1")]),
        workload("Deployment", &team, "changes", &["db"]),
        workload("Deployment", &team, "stays", &["tls"]),
    ]);
    let running = Running::start(&team, settings()).await;
    adopted("Deployment", &team, "changes").await;
    adopted("Deployment", &team, "stays").await;
    running.kill().await;
    apply(&[secret(&team, "db", &[("k", "2")])]);
    for _ in 0..2 {
        let running = Running::start(&team, settings()).await;
        reaches("Deployment", &team, "changes", 1).await;
        tokio::time::sleep(QUIET).await;
        running.kill().await;
    }
    assert_eq!(restarts("Deployment", &team, "changes"), 1);
    assert_eq!(restarts("Deployment", &team, "stays"), 0);
}

#[tokio::test]
async fn secrets_that_change_together_make_one_restart() {
    let team = namespace();
    let all = |value: &str| ["a", "b", "c"].map(|name| secret(&team, name, &[("k", value)]));
    apply(&all("1"));
    apply(&[workload("Deployment", &team, "app", &["a", "b", "c"])]);
    let _running = Running::start(&team, RestartSettings { restart_settle: QUIET, ..settings() }).await;
    adopted("Deployment", &team, "app").await;
    for object in all("2") {
        apply(&[object]);
    }
    reaches("Deployment", &team, "app", 1).await;
    tokio::time::sleep(QUIET * 2).await;
    assert_eq!(restarts("Deployment", &team, "app"), 1);
}

#[tokio::test]
async fn a_secret_that_is_made_anew_counts_only_where_it_differs() {
    let team = namespace();
    apply(&[secret(&team, "db", &[("k", "1")]), workload("Deployment", &team, "app", &["db"])]);
    let _running = Running::start(&team, settings()).await;
    adopted("Deployment", &team, "app").await;
    let delete = || cluster().kubectl(&["delete", "secret", "db", "-n", &team]).unwrap();
    delete();
    tokio::time::sleep(QUIET).await;
    apply(&[secret(&team, "db", &[("k", "1")])]);
    tokio::time::sleep(QUIET).await;
    assert_eq!(restarts("Deployment", &team, "app"), 0, "it came back as it was");
    delete();
    apply(&[secret(&team, "db", &[("k", "2")])]);
    reaches("Deployment", &team, "app", 1).await;
}

#[tokio::test]
async fn ours_are_only_those_that_an_external_secret_writes() {
    let team = namespace();
    let mut ours = secret(&team, "ours", &[("k", "1")]);
    ours["metadata"]["labels"] = json!({"reconcile.external-secrets.io/managed": "true"});
    apply(&[
        ours.clone(),
        secret(&team, "foreign", &[("k", "1")]),
        workload("Deployment", &team, "reads-ours", &["ours"]),
        workload("Deployment", &team, "reads-foreign", &["foreign"]),
    ]);
    let _running = Running::start(&team, RestartSettings { restarts: Restarting::Ours, ..settings() }).await;
    adopted("Deployment", &team, "reads-ours").await;
    ours["stringData"]["k"] = json!("2");
    apply(&[ours, secret(&team, "foreign", &[("k", "2")])]);
    reaches("Deployment", &team, "reads-ours", 1).await;
    tokio::time::sleep(QUIET).await;
    let foreign = get("Deployment", &team, "reads-foreign");
    assert_eq!((restarts_of(&foreign), observed(&foreign)), (0, None));
}

#[tokio::test]
async fn reloaders_annotations_and_those_of_secrets_ask_as_well() {
    let team = namespace();
    let annotated = |name: &str, secrets: &[&str], annotations: &serde_json::Value| {
        let mut object = workload("Deployment", &team, name, secrets);
        object["metadata"]["annotations"] = annotations.clone();
        object
    };
    let asking = |value: &str| {
        let mut object = secret(&team, "asks", &[("k", value)]);
        object["metadata"]["annotations"] = json!({"strongroom.dev/restart-consumers": "true"});
        object
    };
    apply(&[
        secret(&team, "db", &[("k", "1")]),
        asking("1"),
        annotated("auto", &["db"], &json!({"reloader.stakater.com/auto": "true"})),
        // Not consumed.
        annotated("named", &[], &json!({"secret.reloader.stakater.com/reload": "d.*"})),
        annotated(
            "excludes",
            &["db"],
            &json!({"reloader.stakater.com/auto": "true", "secrets.exclude.reloader.stakater.com/reload": "db"}),
        ),
        annotated("asked-for", &["asks"], &json!({})),
        annotated("silent", &["db"], &json!({})),
    ]);
    let _running = Running::start(&team, settings()).await;
    let asked = ["auto", "named", "asked-for"];
    for name in asked {
        adopted("Deployment", &team, name).await;
    }
    apply(&[secret(&team, "db", &[("k", "2")]), asking("2")]);
    for name in asked {
        reaches("Deployment", &team, name, 1).await;
    }
    tokio::time::sleep(QUIET).await;
    for name in ["excludes", "silent"] {
        assert_eq!(restarts("Deployment", &team, name), 0, "{name}");
    }
}

#[tokio::test]
async fn who_asks_no_more_is_forgotten() {
    let team = namespace();
    apply(&[secret(&team, "db", &[("k", "1")]), workload("Deployment", &team, "app", &["db"])]);
    let _running = Running::start(&team, settings()).await;
    adopted("Deployment", &team, "app").await;
    cluster().kubectl(&["annotate", "deployment", "app", "-n", &team, "strongroom.dev/restart-"]).unwrap();
    crate::support::eventually("the baseline is gone", || match observed(&get("Deployment", &team, "app")) {
        None => Ok(()),
        Some(_) => Err("it is there".to_owned()),
    })
    .await;
    apply(&[secret(&team, "db", &[("k", "2")])]);
    tokio::time::sleep(QUIET).await;
    assert_eq!(restarts("Deployment", &team, "app"), 0);
}

//! Many at once.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::Api;
use serde_json::{Value, json};
use strongroom_kube::merge_patch_status;
use strongroom_restarts::RestartSettings;

use crate::support::{
    QUIET, Running, apply, eventually, list, namespace, observed, restarts_of, secret, settings, workload,
};

const COUNT: usize = 100;
const LIMIT: u32 = 10;

/// Deployments with one pod each that never comes, which all read one Secret.
fn deployments(team: &str, replicas: u32) -> Vec<Value> {
    let mut objects = vec![secret(team, "db", &[("k", "1")])];
    objects.extend((0..COUNT).map(|number| {
        let mut object = workload("Deployment", team, &format!("app-{number}"), &["db"]);
        object["spec"]["replicas"] = json!(replicas);
        object
    }));
    objects
}

/// How often each workload was restarted, by kind and name.
fn restarted(team: &str) -> BTreeMap<String, i64> {
    let name = |object: &Value| format!("{}/{}", object["kind"], object["metadata"]["name"]);
    workloads(team).iter().map(|object| (name(object), restarts_of(object))).collect()
}

fn workloads(team: &str) -> Vec<Value> {
    list("deployments,statefulsets", team)
}

async fn all_adopted(team: &str) {
    eventually("all have a baseline", || {
        let without = workloads(team).iter().filter(|object| observed(object).is_none()).count();
        if without == 0 { Ok(()) } else { Err(format!("{without} have none")) }
    })
    .await;
}

/// Says that a rollout has ended, as its controller does when the pods have come. The real one says otherwise a moment
/// later, which is no matter: it has ended once.
async fn finish(running: &Running, team: &str, name: &str) {
    let api: Api<Deployment> = Api::namespaced(running.connection.client(), team);
    // Of whatever generation the controller makes of it meanwhile.
    let status = json!({"observedGeneration": 1000, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1,
        "availableReplicas": 1});
    merge_patch_status(&api, name, &status, "test").await.unwrap();
}

#[tokio::test]
async fn no_more_workloads_roll_at_once_than_may() {
    let team = namespace();
    apply(&deployments(&team, 1));
    let running = Running::start(&team, RestartSettings { restart_limit: LIMIT, ..settings() }).await;
    all_adopted(&team).await;
    apply(&[secret(&team, "db", &[("k", "2")])]);
    let mut finished: BTreeMap<String, String> = BTreeMap::new();
    let mut most = 0;
    while finished.len() < COUNT {
        let mut rolling = marks(&team);
        rolling.retain(|name, _| !finished.contains_key(name));
        most = most.max(rolling.len());
        assert!(rolling.len() <= LIMIT as usize, "{} roll at once", rolling.len());
        assert!(running.metric("strongroom_restarts_rolling") <= f64::from(LIMIT));
        for (name, mark) in rolling {
            finish(&running, &team, &name).await;
            finished.insert(name, mark);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(most, LIMIT as usize, "as many roll as may");
    eventually("nothing rolls any more", || match running.metric("strongroom_restarts_rolling") {
        0.0 => Ok(()),
        count => Err(format!("{count} roll")),
    })
    .await;
    tokio::time::sleep(QUIET).await;
    // Another restart would have made another mark. Their controller counts more slowly than this.
    assert!(marks(&team) == finished, "each is restarted once");
}

/// The marks of those that have one, by name.
fn marks(team: &str) -> BTreeMap<String, String> {
    let named = |object: &Value| Some((object["metadata"]["name"].as_str()?.to_owned(), mark(object)?.to_owned()));
    workloads(team).iter().filter_map(named).collect()
}

fn mark(object: &Value) -> Option<&str> {
    object["spec"]["template"]["metadata"]["annotations"]["strongroom.dev/restarted-for"].as_str()
}

/// Waits until all were restarted, and sees to it that none is a second time.
async fn all_restarted_once(team: &str) {
    eventually("all are restarted", || {
        let not_yet = restarted(team).into_values().filter(|count| *count == 0).count();
        if not_yet == 0 { Ok(()) } else { Err(format!("{not_yet} are not")) }
    })
    .await;
    tokio::time::sleep(QUIET).await;
    let wrong: Vec<_> = restarted(team).into_iter().filter(|(_, count)| *count != 1).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[tokio::test]
async fn killed_in_the_middle_of_a_hundred_rollouts_each_happens_exactly_once() {
    let team = namespace();
    let mut objects = deployments(&team, 0);
    for object in objects.iter_mut().skip(1 + COUNT / 2) {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        *object = workload("StatefulSet", &team, &name, &["db"]);
    }
    apply(&objects);
    let limited = || RestartSettings { restart_limit: 3, ..settings() };
    let running = Running::start(&team, limited()).await;
    all_adopted(&team).await;
    running.kill().await;
    apply(&[secret(&team, "db", &[("k", "2")])]);
    let mut kills = 0;
    let done = |team: &str| workloads(team).iter().filter(|object| mark(object).is_some()).count();
    while done(&team) < COUNT {
        let running = Running::start(&team, limited()).await;
        let before = done(&team);
        eventually("some happen", || {
            let now = done(&team);
            if now > before || now == COUNT { Ok(()) } else { Err(format!("{now} of {COUNT}")) }
        })
        .await;
        // At a moment like any other.
        tokio::time::sleep(Duration::from_millis(37 * (kills % 5))).await;
        running.kill().await;
        kills += 1;
    }
    assert!(kills >= 3, "it was never in the middle");
    let _running = Running::start(&team, limited()).await;
    all_restarted_once(&team).await;
}

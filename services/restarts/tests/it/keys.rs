//! The key of fingerprints.

use strongroom_restarts::{KEY_NAME, KEY_SECRET, RestartSettings, Restarts};
use strongroom_telemetry::Metrics;

use crate::support::{
    QUIET, Running, adopted, apply, cluster, connect, eventually, get, namespace, observed, recorder, restarts, secret,
    settings, workload,
};

#[tokio::test]
async fn the_key_is_made_once_however_many_make_it_and_is_never_changed() {
    let team = namespace();
    apply(&[secret(&team, "db", &[("k", "1")]), workload("Deployment", &team, "app", &["db"])]);
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(Running::start(&team, settings()));
    }
    let mut running = Vec::new();
    for one in all {
        running.push(one.await);
    }
    adopted("Deployment", &team, "app").await;
    let key = || get("secret", &team, KEY_SECRET)["data"][KEY_NAME].clone();
    let (made, baseline) = (key(), get("Deployment", &team, "app")["metadata"]["annotations"].clone());
    tokio::time::sleep(QUIET).await;
    drop(running);
    let _again = Running::start(&team, settings()).await;
    tokio::time::sleep(QUIET).await;
    assert_eq!(made.as_str().map(str::len), Some(44), "32 bytes in base64");
    assert!(key() == made, "the key changed");
    assert_eq!(get("Deployment", &team, "app")["metadata"]["annotations"], baseline);
}

#[tokio::test]
async fn another_key_makes_new_baselines_and_restarts_nothing() {
    let team = namespace();
    apply(&[secret(&team, "db", &[("k", "1")]), workload("Deployment", &team, "app", &["db"])]);
    let running = Running::start(&team, settings()).await;
    adopted("Deployment", &team, "app").await;
    let baseline = || observed(&get("Deployment", &team, "app")).map(str::to_owned);
    let before = baseline();
    running.kill().await;
    cluster().kubectl(&["delete", "secret", KEY_SECRET, "-n", &team]).unwrap();
    let _running = Running::start(&team, settings()).await;
    eventually("there is a new baseline", || if baseline() == before { Err("none".to_owned()) } else { Ok(()) }).await;
    tokio::time::sleep(QUIET).await;
    assert_eq!(restarts("Deployment", &team, "app"), 0);
}

#[tokio::test]
async fn a_key_may_be_given_by_a_file_and_must_be_good() {
    let team = namespace();
    let folder = tempfile::tempdir().unwrap();
    let connection = connect(&team).await;
    let with = |content: &[u8]| {
        let file = folder.path().join("key");
        std::fs::write(&file, content).unwrap();
        RestartSettings { restart_key_file: Some(file), ..settings() }
    };
    let check = |content: &[u8], expected: Option<&str>| {
        let (recorder, _) = recorder(&connection);
        let made = Restarts::new(connection.clone(), with(content), recorder, &Metrics::new());
        let words = made.err().map(|failure| failure.to_string());
        assert_eq!(words.is_some(), expected.is_some(), "{words:?}");
        assert!(words.unwrap_or_default().contains(expected.unwrap_or_default()));
    };
    check(b"canary", Some("--restart-key-file: the key for fingerprints has 6 bytes"));
    check(&[1; 5000], Some("4096 bytes"));
    check(&[1; 32], None);
    apply(&[secret(&team, "db", &[("k", "1")]), workload("Deployment", &team, "app", &["db"])]);
    let _running = Running::start(&team, with(&[1; 32])).await;
    adopted("Deployment", &team, "app").await;
    let named = cluster().kubectl(&["get", "secrets", "-n", &team, "-o", "name"]).unwrap();
    assert!(!named.contains(KEY_SECRET), "{named}");
}

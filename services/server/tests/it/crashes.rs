//! What becomes of a store whose process is killed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;

use super::serving::{Serving, entries, folder};

const WRITERS: usize = 4;

#[test]
fn twenty_kills_under_concurrent_writers_lose_no_acknowledged_write_and_leave_the_trail_whole() {
    kills(&[]);
}

#[test]
fn twenty_kills_over_etcd_lose_no_acknowledged_write_and_leave_the_trail_whole() {
    let etcd = world::etcd::Etcd::start().unwrap();
    kills(&[&format!("--storage=etcd:{}", etcd.address()), "--node=n1"]);
}

fn kills(more: &[&str]) {
    let first = Serving::over(&folder(), more);
    let root = first.initialise();
    first.with_secrets(&root);
    let folder = first.kill();
    let mut random = fastrand::Rng::with_seed(3);
    // The last version of each writer's secret that was acknowledged, and the value in it.
    let mut acknowledged: BTreeMap<usize, (u64, u64)> = BTreeMap::new();
    let mut ids = Vec::new();
    for round in 0..20_u64 {
        let server = Serving::over(&folder, more);
        server.wait_until_active();
        for (writer, (version, value)) in &acknowledged {
            let read = server.ask("GET", &format!("secret/data/w{writer}"), &root, None);
            let (found, is) = (read.data()["metadata"]["version"].as_u64(), read.data()["data"]["value"].as_u64());
            assert!(found >= Some(*version), "round {round}: version {found:?}, {version} was acknowledged");
            assert!(found != Some(*version) || is == Some(*value), "round {round}: another value");
            let whole = read.data()["data"]["copy"].as_u64();
            assert_eq!(is, whole, "round {round}: half of a version");
        }
        let is_over = AtomicBool::new(false);
        let time = Duration::from_millis(random.u64(30..200));
        let told = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS).map(|writer| scope.spawn({
                let (server, root, is_over) = (&server, &root, &is_over);
                move || {
                    let mut last = None;
                    let mut ids = Vec::new();
                    for number in 0_u64.. {
                        if is_over.load(Ordering::SeqCst) {
                            break;
                        }
                        let value = round * 1_000_000 + number;
                        let body = json!({"data": {"value": value, "copy": value}}).to_string();
                        let head = format!(
                            "PUT /v1/secret/data/w{writer} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Vault-Token: {root}\r\nContent-Length: {}\r\n\r\n",
                            body.len()
                        );
                        let Some(answer) = server.send(format!("{head}{body}").as_bytes()) else { break };
                        if answer.status != 200 || answer.text.is_empty() {
                            break;
                        }
                        let answer = answer.json();
                        last = Some((answer["data"]["version"].as_u64().unwrap(), value));
                        ids.push(answer["request_id"].as_str().unwrap().to_owned());
                    }
                    (writer, last, ids)
                }
            })).collect();
            std::thread::sleep(time);
            let process = server.child.id();
            assert!(std::process::Command::new("kill").args(["-9", &process.to_string()]).status().unwrap().success());
            is_over.store(true, Ordering::SeqCst);
            writers.into_iter().map(|writer| writer.join().unwrap()).collect::<Vec<_>>()
        });
        for (writer, last, more) in told {
            acknowledged.extend(last.map(|last| (writer, last)));
            ids.extend(more);
        }
        drop(server);
    }
    assert!(ids.len() > 20, "hardly anything was written: {}", ids.len());
    let server = Serving::over(&folder, more);
    server.wait_until_active();
    assert!(!folder.path().join("audit.log.suspect-1").exists(), "{}", server.logged());
    let told: Vec<String> = entries(&server.audit_file())
        .into_iter()
        .filter(|entry| entry["type"] == "response")
        .map(|entry| entry["request"]["id"].as_str().unwrap().to_owned())
        .collect();
    let told: std::collections::BTreeSet<String> = told.into_iter().collect();
    let missing = ids.iter().filter(|id| !told.contains(*id)).count();
    assert_eq!(missing, 0, "of {} answers that clients had", ids.len());
}

//! Several servers over one etcd.

use std::time::{Duration, Instant};

use serde_json::json;
use world::switchboard::{Line, Switchboard};

use super::serving::{Serving, entries, folder};

fn storage(address: &str) -> String {
    format!("--storage=etcd:{address}")
}

#[test]
fn one_server_is_active_the_others_send_clients_to_it_and_one_takes_over_when_it_is_killed() {
    let etcd = world::etcd::Etcd::start().unwrap();
    let (storage, (one, two)) = (storage(&etcd.address()), (folder(), folder()));
    let seal = format!("--seal=file:{}", one.path().join("seal.key").display());
    let first = Serving::start(&one, &[&storage, &seal, "--node=one"]);
    let root = first.initialise();
    first.with_secrets(&root);
    first.ask("PUT", "secret/data/a", &root, Some(&json!({"data": {"k": 1}})));
    let second = Serving::start(&two, &[&storage, &seal, "--node=two"]);
    let begun = Instant::now();
    while second.ask("GET", "sys/health", "", None).status != 429 {
        assert!(begun.elapsed() < Duration::from_secs(10), "{}", second.logged());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(second.ask("GET", "sys/health?standbyok=true", "", None).status, 200);
    let sent = second.ask("GET", "secret/data/a?version=1", &root, None);
    let place = format!("location: http://{}/v1/secret/data/a?version=1", first.address);
    assert!(sent.status == 307 && sent.head.to_lowercase().contains(&place), "{}", sent.head);
    let leader = second.ask("GET", "sys/leader", "", None).json();
    assert_eq!((leader["is_self"].clone(), leader["ha_enabled"].clone()), (json!(false), json!(true)));
    assert_eq!(leader["leader_address"], json!(format!("http://{}", first.address)));
    assert_eq!(second.ask("GET", "sys/seal-status", "", None).json()["sealed"], json!(false));
    // A policy that only the first one has read so far.
    first.ask(
        "PUT",
        "sys/policies/acl/p",
        &root,
        Some(&json!({"policy": "path \"secret/*\" { capabilities = [\"read\"] }"})),
    );
    first.kill();
    let begun = Instant::now();
    second.wait_until_active();
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!(second.ask("GET", "secret/data/a", &root, None).data()["data"], json!({"k": 1}));
    assert_eq!(second.ask("GET", "sys/policies/acl/p", &root, None).status, 200);
    assert!(second.ask("PUT", "secret/data/a", &root, Some(&json!({"data": {"k": 2}}))).status == 200);
    // The first one comes back, and stands by; each has its own trail.
    let first = Serving::start(&one, &[&storage, &seal, "--node=one"]);
    let begun = Instant::now();
    while first.ask("GET", "sys/health", "", None).status != 429 {
        assert!(begun.elapsed() < Duration::from_secs(10), "{}", first.logged());
        std::thread::sleep(Duration::from_millis(20));
    }
    second.stop();
    let begun = Instant::now();
    first.wait_until_active();
    assert!(begun.elapsed() < Duration::from_secs(4), "who ends lets go at once: {:?}", begun.elapsed());
    assert_eq!(first.ask("GET", "secret/data/a", &root, None).data()["data"], json!({"k": 2}));
    for folder in [&one, &two] {
        assert!(!folder.path().join("audit.log.suspect-1").exists());
        assert!(entries(&folder.path().join("audit.log")).len() > 4);
    }
}

#[test]
fn a_server_that_is_cut_off_from_etcd_stops_serving_and_serves_again_afterwards() {
    let etcd = world::etcd::Etcd::start().unwrap();
    let board = Switchboard::to(&etcd.host_port()).unwrap();
    let server = Serving::over(&folder(), &[&storage(board.address()), "--node=one"]);
    let root = server.initialise();
    server.with_secrets(&root);
    server.ask("PUT", "secret/data/a", &root, Some(&json!({"data": {"k": 1}})));
    for line in [Line::Refused, Line::HalfOpen] {
        board.set_line(line).unwrap();
        let begun = Instant::now();
        let told = server.ask("PUT", "secret/data/a", &root, Some(&json!({"data": {"k": 2}})));
        assert!(told.status == 503 && begun.elapsed() < Duration::from_secs(30), "{} {:?}", told.text, begun.elapsed());
        let begun = Instant::now();
        while server.ask("GET", "sys/health", "", None).status == 200 {
            assert!(begun.elapsed() < Duration::from_secs(15), "it says that it is active");
            std::thread::sleep(Duration::from_millis(100));
        }
        board.set_line(Line::Open).unwrap();
        server.wait_until_active();
        assert_eq!(server.ask("GET", "secret/data/a", &root, None).status, 200);
    }
}

#[test]
fn a_slow_etcd_makes_a_slow_store_and_no_wrong_one() {
    let mut etcd = world::etcd::Etcd::start().unwrap();
    let board = Switchboard::to(&etcd.host_port()).unwrap();
    let server = Serving::over(&folder(), &[&storage(board.address()), "--node=one"]);
    let root = server.initialise();
    server.with_secrets(&root);
    board.add(world::switchboard::Fault::delay(Duration::from_millis(700)));
    let begun = Instant::now();
    for n in 1..4 {
        let told = server.ask("PUT", "secret/data/a", &root, Some(&json!({"data": {"n": n}})));
        assert_eq!((told.status, told.data()["version"].clone()), (200, json!(n)), "{}", told.text);
    }
    assert!(begun.elapsed() > Duration::from_secs(2));
    board.clear();
    // etcd is started anew under it.
    etcd.start_again().unwrap();
    server.wait_until_active();
    assert_eq!(server.ask("GET", "secret/data/a", &root, None).data()["data"], json!({"n": 3}));
}

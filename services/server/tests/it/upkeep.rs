//! Keys that are rotated, backups, and looking whether all of it opens, while others use the store.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::{Value, json};
use strongroom_server::offline::{Keeper, restore, verify_backup, verify_data, verify_trail};
use strongroom_server::{SealChoice, StorageOptions};

use super::serving::{CANARY, Serving, folder};

#[derive(Parser)]
struct Place {
    #[command(flatten)]
    storage: StorageOptions,
}

fn in_a_file() -> StorageOptions {
    Place::parse_from(["place"]).storage
}

fn keeper(folder: &Path) -> Keeper {
    Keeper::Seal(SealChoice::File(folder.join("seal.key")))
}

/// Writers and readers, each of a secret of its own, until `over`; how many requests they made, all of which succeeded.
fn load(server: &Serving, root: &str, over: &AtomicBool) -> usize {
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let done = &done;
            scope.spawn(move || {
                let path = format!("secret/data/load/w{writer}");
                for number in 1_u64.. {
                    if over.load(Ordering::SeqCst) {
                        break;
                    }
                    let body = json!({"data": {"value": number, "copy": number}, "options": {"cas": number - 1}});
                    let written = server.ask("PUT", &path, root, Some(&body));
                    assert_eq!(written.status, 200, "{}", written.text);
                    let read = server.ask("GET", &path, root, None);
                    assert_eq!(read.data()["data"]["value"], json!(number), "{}", read.text);
                    done.fetch_add(2, Ordering::SeqCst);
                }
            });
        }
    });
    done.load(Ordering::SeqCst)
}

fn status(server: &Serving, root: &str) -> Value {
    server.ask("GET", "sys/key-status", root, None).data()
}

#[test]
fn the_key_is_rotated_under_load_no_request_fails_and_every_record_follows() {
    rotated(&[]);
}

#[test]
fn the_key_is_rotated_over_etcd_under_load_no_request_fails_and_every_record_follows() {
    let etcd = world::etcd::Etcd::start().unwrap();
    rotated(&[&format!("--storage=etcd:{}", etcd.address()), "--node=n1"]);
}

fn rotated(more: &[&str]) {
    let server = Serving::over(&folder(), more);
    let root = server.initialise();
    server.with_secrets(&root);
    for n in 0..60 {
        server.ask("PUT", &format!("secret/data/old/{n}"), &root, Some(&json!({"data": {"n": n}})));
    }
    let reader = server.token_of(&root, "reader", "path \"sys/rotate\" { capabilities = [\"update\"] }");
    assert_eq!(server.ask("POST", "sys/rotate", &reader, None).status, 403, "it needs sudo");
    assert_eq!(status(&server, &root)["term"], json!(1));
    let over = AtomicBool::new(false);
    let made = std::thread::scope(|scope| {
        let loading = scope.spawn(|| load(&server, &root, &over));
        for term in 2..=5 {
            std::thread::sleep(Duration::from_millis(150));
            assert_eq!(server.ask("POST", "sys/rotate", &root, None).status, 204);
            assert_eq!(status(&server, &root)["term"], json!(term));
        }
        let begun = Instant::now();
        while status(&server, &root)["reencrypted"] != json!(true) {
            assert!(begun.elapsed() < Duration::from_secs(30), "{}", server.logged());
            std::thread::sleep(Duration::from_millis(50));
        }
        over.store(true, Ordering::SeqCst);
        loading.join().unwrap()
    });
    assert!(made > 20, "hardly anything was asked: {made}");
    // After a restart everything is there, also what was written under the first key.
    let server = Serving::over(&server.kill(), more);
    server.wait_until_active();
    for n in 0..60 {
        assert_eq!(server.ask("GET", &format!("secret/data/old/{n}"), &root, None).data()["data"], json!({"n": n}));
    }
    assert_eq!(
        status(&server, &root),
        json!({
            "term": 5, "install_time": status(&server, &root)["install_time"], "encryptions": 0, "reencrypted": true
        })
    );
}

#[test]
fn a_backup_taken_under_load_is_encrypted_whole_and_restores_to_one_moment() {
    let (server, root) = Serving::new();
    server.with_secrets(&root);
    for n in 0..300 {
        server.ask("PUT", &format!("secret/data/many/{n}"), &root, Some(&json!({"data": {"k": CANARY, "n": n}})));
    }
    let low = server.token_of(&root, "low", "path \"sys/storage/raft/snapshot\" { capabilities = [\"read\"] }");
    assert_eq!(server.ask("GET", "sys/storage/raft/snapshot", &low, None).status, 403, "it needs sudo");
    let over = AtomicBool::new(false);
    let taken = std::thread::scope(|scope| {
        let loading = scope.spawn(|| load(&server, &root, &over));
        std::thread::sleep(Duration::from_millis(300));
        let taken = server.download("/v1/sys/storage/raft/snapshot", &root);
        over.store(true, Ordering::SeqCst);
        assert!(loading.join().unwrap() > 10);
        taken
    });
    assert!(!taken.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()), "a value is in the backup");
    let own = folder();
    let file = own.path().join("backup");
    std::fs::write(&file, &taken).unwrap();
    let seal = server.folder.path().to_owned();
    let checked = verify_backup(&file, Some(keeper(&seal)), &[]).unwrap();
    assert!(checked.records > 300 && checked.were_opened, "{checked:?}");
    // What is cut off or changed is no backup.
    for (what, bytes) in [
        ("cut off", taken[..taken.len() / 2].to_vec()),
        ("without its end", taken[..taken.len() - 1].to_vec()),
        ("changed", taken.iter().enumerate().map(|(n, byte)| byte ^ u8::from(n == taken.len() / 3)).collect()),
        ("something else", b"hello".to_vec()),
        ("with more behind it", [taken.as_slice(), b"x"].concat()),
    ] {
        let wrong = own.path().join("wrong");
        std::fs::write(&wrong, bytes).unwrap();
        let refused = restore(&wrong, (&own.path().join("no"), &in_a_file()), &[], |_| {}).unwrap_err();
        assert!(refused.to_string().contains("wrong"), "{what}: {refused}");
        assert!(!own.path().join("no").exists(), "{what}: something was begun");
    }
    let target = own.path().join("new");
    let restored = restore(&file, (&target, &in_a_file()), &[], |_| {}).unwrap();
    assert_eq!(restored.records, checked.records);
    let again = restore(&file, (&target, &in_a_file()), &[], |_| {}).unwrap_err();
    assert!(again.to_string().contains("already"), "{again}");
    let found = verify_data((&target, &in_a_file()), keeper(&seal), &[], |_| {}).unwrap();
    assert_eq!(found.records, checked.records);
    std::fs::copy(seal.join("seal.key"), target.join("seal.key")).unwrap();
    let data = format!("--data={}", target.display());
    let seal = format!("--seal=file:{}", target.join("seal.key").display());
    let copy = Serving::with(&own, &["server", "--listen=127.0.0.1:0", "--log-level=debug", &data, &seal]);
    for n in 0..300 {
        assert_eq!(copy.ask("GET", &format!("secret/data/many/{n}"), &root, None).data()["data"]["n"], json!(n));
    }
    for writer in 0..3 {
        let read = copy.ask("GET", &format!("secret/data/load/w{writer}"), &root, None);
        if read.status == 200 {
            let (data, version) = (read.data()["data"].clone(), read.data()["metadata"]["version"].clone());
            assert_eq!((&data["value"], &data["copy"]), (&version, &version), "half of a version");
        }
    }
    assert_eq!(copy.ask("PUT", "secret/data/load/w9", &root, Some(&json!({"data": {"k": 1}}))).status, 200);
}

#[test]
fn another_key_opens_neither_a_store_nor_its_backup() {
    let (server, root) = Serving::new();
    server.with_secrets(&root);
    let taken = server.download("/v1/sys/storage/raft/snapshot", &root);
    let folder = server.stop();
    assert!(verify_data((folder.path(), &in_a_file()), keeper(folder.path()), &[], |_| {}).is_ok());
    let other = super::serving::folder();
    std::fs::write(other.path().join("seal.key"), [7; 32]).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(other.path().join("seal.key"), mode).unwrap();
    let refused = verify_data((folder.path(), &in_a_file()), keeper(other.path()), &[], |_| {}).unwrap_err();
    assert!(refused.to_string().contains("not the key"), "{refused}");
    let file = other.path().join("backup");
    std::fs::write(&file, &taken).unwrap();
    assert!(verify_backup(&file, Some(keeper(other.path())), &[]).is_err());
    assert!(!verify_backup(&file, None, &[]).unwrap().were_opened);
}

#[test]
fn the_trail_is_verified_by_the_server_that_writes_it_and_without_it() {
    let (server, root) = Serving::new();
    for _ in 0..20 {
        server.ask("GET", "sys/mounts", &root, None);
    }
    let verified = server.ask("POST", "sys/audit-verify", &root, None);
    let data = verified.data();
    assert!(data["whole"] == json!(true) && data["last"].as_u64() > Some(40), "{}", verified.text);
    let low = server.token_of(&root, "low", "path \"sys/audit-verify\" { capabilities = [\"update\"] }");
    assert_eq!(server.ask("POST", "sys/audit-verify", &low, None).status, 403, "it needs sudo");
    let folder = server.stop();
    let (file, storage) = (folder.path().join("audit.log"), in_a_file());
    let verdict = verify_trail((folder.path(), &storage), keeper(folder.path()), (&file, ""), &[]).unwrap();
    assert!(verdict.unwrap().checkpoints >= 1);
    // The last line is taken away.
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    std::fs::write(&file, format!("{}\n", lines[..lines.len() - 1].join("\n"))).unwrap();
    let verdict = verify_trail((folder.path(), &storage), keeper(folder.path()), (&file, ""), &[]).unwrap();
    assert!(verdict.unwrap_err().to_string().contains("store remembers more"));
    // One in the middle is edited while the server runs.
    std::fs::write(&file, &text).unwrap();
    let server = Serving::over(&folder, &[]);
    let text = std::fs::read_to_string(&file).unwrap().replacen("\"sys/mounts\"", "\"sys/mountz\"", 1);
    std::fs::write(&file, text).unwrap();
    let data = server.ask("POST", "sys/audit-verify", &root, None).data();
    assert!(data["whole"] == json!(false) && data["line"].as_u64().is_some(), "{data}");
}

//! `strongroom store`, `strongroom audit verify`, `strongroom kv usage` and `stale`: the store as a whole.

use serde_json::json;

use super::store::{CANARY, Store, alone};

#[test]
fn a_backup_is_taken_verified_and_restored_and_a_changed_one_is_not() {
    let store = Store::new();
    store.put("app", &json!({"password": CANARY}));
    let file = store.place("nightly.backup");
    let path = file.to_str().unwrap();
    let told = store.run(&["store", "backup", path]).well();
    assert!(told.contains("records backed up") && told.contains("sealed by file"), "{told}");
    let bytes = std::fs::read(&file).unwrap();
    assert!(!bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()), "a value is in the backup");
    assert!(!store.place("nightly.backup.partial").exists());
    let seal = format!("file:{}", store.place("store/seal.key").display());
    let verified = alone(&["store", "verify", "--backup", path, "--seal", &seal]).well();
    assert!(verified.contains("each one opens"), "{verified}");
    assert!(alone(&["store", "verify", "--backup", path]).well().contains("whole and unchanged"));
    let new = store.place("new").display().to_string();
    let restored = alone(&["store", "restore", path, "--data", &new]).well();
    assert!(restored.contains("records restored"), "{restored}");
    assert!(alone(&["store", "verify", "--data", &new, "--seal", &seal]).well().contains("each one opens"));
    alone(&["store", "restore", path, "--data", &new]).fails(1, "there is a store in");
    alone(&["store", "verify", "--data", &new]).fails(1, "who keeps the root key is not said");
    alone(&["store", "verify"]).fails(1, "--backup FILE, or --data FOLDER");
    std::fs::write(&file, &bytes[..bytes.len() - 9]).unwrap();
    alone(&["store", "verify", "--backup", path]).fails(1, "cut off");
    // A store whose server runs is that server's.
    let data = store.place("store").display().to_string();
    alone(&["store", "verify", "--data", &data, "--seal", &seal]).fails(1, "another process has it open");
    let low = store.token_of("low", "path \"secret/*\" { capabilities = [\"read\"] }");
    store.run_with(&["store", "backup", path], &[("BAO_TOKEN", &low)], "").fails(1, "permission denied");
}

#[test]
fn the_trail_is_verified_by_the_store_that_writes_it() {
    let store = Store::new();
    store.put("app", &json!({"password": CANARY}));
    let told = store.run(&["audit", "verify"]).well();
    assert!(told.starts_with("whole: lines 1 to "), "{told}");
    let trail = store.place("store/audit.log");
    let text = std::fs::read_to_string(&trail).unwrap();
    std::fs::write(&trail, text.replacen("secret/data/app", "secret/data/abc", 1)).unwrap();
    store.run(&["audit", "verify"]).fails(1, "the trail is wrong: line ");
}

#[test]
fn who_read_a_secret_and_what_nobody_read_is_listed() {
    let store = Store::new();
    store.put("team/app", &json!({"password": CANARY}));
    store.put("team/old", &json!({"password": CANARY}));
    store.data("team/app");
    let told = store.run(&["kv", "usage", "team/app"]).well();
    let row: Vec<&str> = told.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..3], ["1", "root", "1"], "{told}");
    assert_eq!(store.run(&["kv", "usage", "team/old", "--json"]).json()["reads"], json!(0));
    store.run(&["kv", "usage", "none"]).fails(4, "there is nothing at this path");
    assert_eq!(store.run(&["kv", "stale"]).well().lines().count(), 1, "all are new");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let told = store.run(&["kv", "stale", "team", "--days", "0"]).well();
    assert!(told.contains("team/app") && told.contains("team/old") && told.contains("never"), "{told}");
    let lines = store.run(&["kv", "stale", "--days", "0", "--json"]).well();
    assert!(lines.lines().all(|line| line.starts_with("{\"path\":\"team/")), "{lines}");
}

//! `strongroom kv`: one secret.

use serde_json::json;

use super::store::{CANARY, Store};

#[test]
fn a_patch_changes_keys_and_keeps_the_others() {
    let store = Store::new();
    store.put("app", &json!({"user": "ann", "password": "old", "pool": {"min": 1, "max": 5}}));
    let patched = store.fed(&["kv", "patch", "app", "password=-"], &format!("{CANARY}\n"));
    assert_eq!(patched.well(), "app: version 2\n");
    let change = store.file("change", &json!({"pool": {"max": null}, "port": 5432}).to_string());
    store.run(&["kv", "patch", "app", "--json", &change, "--remove", "user", "--cas", "2"]).well();
    assert_eq!(store.data("app"), json!({"password": CANARY, "pool": {"min": 1}, "port": 5432}));
    store.fed(&["kv", "patch", "app", "password=-", "--cas", "1"], CANARY).fails(1, "check-and-set");
    store.fed(&["kv", "patch", "none", "password=-"], CANARY).fails(4, "there is no such secret");
    store.run(&["kv", "patch", "app"]).fails(1, "there is nothing to write");
    let typed = format!("password={CANARY}");
    store.run(&["kv", "patch", "app", &typed]).fails(1, "can be read by everybody");
    assert!(!store.trail().contains(CANARY), "a value is in the trail");
}

#[test]
fn a_difference_is_told_without_values_and_by_the_exit_status() {
    let store = Store::new();
    store.put("app", &json!({"user": "ann", "password": "old", "port": 5432}));
    store.put("app", &json!({"password": CANARY, "port": 5432, "host": "db"}));
    store.put("app", &json!({"port": 5432, "host": "db", "password": CANARY}));
    let differs = store.run(&["kv", "diff", "app", "--from", "1", "--to", "2"]);
    let expected = "app: from version 1 to 2\n  + host\n  - user\n  ~ password\n";
    assert_eq!((differs.code, differs.text.as_str()), (5, expected));
    let same = store.run(&["kv", "diff", "app", "--from", "2"]);
    assert_eq!(same.well(), "app: version 2 and 3 are the same\n");
    let revealed = store.run(&["kv", "diff", "app", "--from", "1", "--reveal"]);
    assert!(revealed.text.contains(&format!("~ password: \"old\" -> \"{CANARY}\"")), "{}", revealed.text);
    let hidden = store.run(&["kv", "diff", "app", "--from", "1", "--json"]);
    assert!(hidden.code == 5 && hidden.text.contains("\"password\"") && !hidden.text.contains(CANARY));
    store.run(&["kv", "diff", "app", "--from", "9"]).fails(4, "there is no such secret");
    store.run(&["kv", "delete", "app"]).well();
    store.run(&["kv", "diff", "app", "--from", "2"]).fails(4, "was deleted at");
}

#[test]
fn a_terminal_is_shown_no_value_that_it_did_not_ask_for() {
    let store = Store::new();
    store.put("app", &json!({"password": CANARY}));
    let (code, screen) = store.at_terminal(&["kv", "get", "app"], &[]);
    assert!(code == 0 && screen.contains("hidden") && !screen.contains(CANARY), "{screen}");
    let (code, screen) = store.at_terminal(&["kv", "export", "app"], &[]);
    assert!(code == 1 && screen.contains("--reveal") && !screen.contains(CANARY), "{screen}");
    let (code, screen) = store.at_terminal(&["kv", "export", "app", "--reveal"], &[]);
    assert!(code == 0 && screen.contains(CANARY), "{screen}");
}

#[test]
fn a_folder_is_listed_by_whom_its_policy_lets_list_it() {
    let store = Store::new();
    store.put("team/app", &json!({"a": 1}));
    let token = store.token_of("lister", "path \"secret/metadata/team/*\" { capabilities = [\"list\"] }");
    let variables = [("BAO_TOKEN", token.as_str())];
    assert_eq!(store.run_with(&["kv", "list", "team"], &variables, "").well(), "app\n");
    store.run_with(&["kv", "list"], &variables, "").fails(1, "strongroom token capabilities secret/metadata");
    store.run(&["kv", "list", "none"]).fails(4, "there is no secret in this folder");
    store.run(&["kv", "list", "--mount", "nowhere"]).fails(4, "no handler");
}

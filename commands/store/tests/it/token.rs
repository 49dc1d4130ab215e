//! `strongroom token`.

use serde_json::json;

use super::store::Store;

#[test]
fn only_create_prints_a_token() {
    let store = Store::new();
    let words = ["token", "create", "--policy", "reader", "--ttl", "1h", "--uses", "20", "--display-name", "batch"];
    let made = store.run(&[&words[..], &["--meta", "job=nightly", "--json"]].concat()).json();
    let (token, accessor) = (made["client_token"].as_str().unwrap(), made["accessor"].as_str().unwrap());
    let table = store.run(&words).well();
    assert!(table.starts_with("token ") && table.contains("default, reader") && table.contains("1h"), "{table}");
    assert_eq!(store.run(&[&words[..], &["--field", "accessor"]].concat()).well().lines().count(), 1);
    let file = store.file("token", &format!("{token}\n"));
    let own = [("STRONGROOM_TOKEN", token)];
    for words in [&["token", "lookup"][..], &["token", "renew"], &["token", "capabilities", "secret/data/app"]] {
        for which in [&[][..], &["--accessor", accessor], &["--token-file", &file]] {
            for format in [&[][..], &["--json"]] {
                let words = [words, which, format].concat();
                let ended = if which.is_empty() { store.run_with(&words, &own, "") } else { store.run(&words) };
                assert!(!ended.text.contains(token) && !ended.errors.contains(token), "{words:?} shows the token");
                ended.well();
            }
        }
    }
    let known = store.run(&["token", "lookup", "--accessor", accessor]).well();
    assert!(known.contains("job=nightly") && known.contains("uses left") && known.contains("token-batch"), "{known}");
    store.run_with(&["token", "lookup"], &[("VAULT_TOKEN", "s.canary7f3a9c51")], "").fails(1, "403");
}

#[test]
fn tokens_end_and_live_longer() {
    let store = Store::new();
    let make = |more: &[&str]| store.run(&[&["token", "create", "--policy", "reader", "--json"], more].concat()).json();
    let is_live = |made: &serde_json::Value| {
        let token = made["client_token"].as_str().unwrap();
        store.run_with(&["token", "lookup"], &[("STRONGROOM_TOKEN", token)], "").code == 0
    };
    let one = make(&["--ttl", "10m"]);
    let renewed = store.run(&["token", "renew", "--accessor", one["accessor"].as_str().unwrap(), "--increment", "2h"]);
    assert_eq!(renewed.well(), "lives 2h\n");
    store.run(&["token", "revoke", "--accessor", one["accessor"].as_str().unwrap()]).well();
    assert!(!is_live(&one));
    let other = make(&["--orphan", "--not-renewable", "--no-default-policy"]);
    assert_eq!(
        (&other["orphan"], &other["renewable"], &other["policies"]),
        (&json!(true), &json!(false), &json!(["reader"]))
    );
    let file = store.file("token", other["client_token"].as_str().unwrap());
    store.run(&["token", "revoke", "--token-file", &file]).well();
    assert!(!is_live(&other));
    let third = make(&[]);
    let own = [("STRONGROOM_TOKEN", third["client_token"].as_str().unwrap())];
    store.run_with(&["token", "revoke", "--self"], &own, "").well();
    assert!(!is_live(&third));
    store.run(&["token", "create", "--meta", "nightly"]).fails(1, "NAME=VALUE");
}

#[test]
fn what_a_token_may_do_is_told_path_by_path() {
    let store = Store::new();
    let token = store.token_of("some", "path \"secret/data/app\" { capabilities = [\"update\", \"read\"] }");
    let words = ["token", "capabilities", "secret/data/app", "secret/data/other"];
    let told = store.run_with(&words, &[("STRONGROOM_TOKEN", &token)], "").well();
    assert_eq!(told, "PATH               CAPABILITIES\nsecret/data/app    read, update\nsecret/data/other  deny\n");
    let root = store.run(&[&words[..], &["--json"]].concat()).json();
    assert_eq!(root, json!({"secret/data/app": ["root"], "secret/data/other": ["root"]}));
}

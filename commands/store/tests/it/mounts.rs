//! `strongroom secrets` and `strongroom auth`.

use serde_json::json;

use super::store::{CANARY, Store};

#[test]
fn engines_are_mounted_listed_and_taken_away() {
    let store = Store::new();
    let long = "for people who like to describe what they have at some length, and do not stop when they should";
    store.run(&["secrets", "enable", "kv", "--path", "team-a/", "--description", long]).well();
    store.run(&["secrets", "enable", "kv", "--version", "1"]).well();
    let listed = store.run(&["secrets", "list"]).well();
    assert!(listed.lines().all(|line| line.chars().count() <= 100), "{listed}");
    let types: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().take(3).collect()).collect();
    assert!(
        types.iter().any(|row| row[..] == ["team-a/", "kv", "2"])
            && types.iter().any(|row| row[..] == ["kv/", "kv", "1"])
    );
    let known = store.run(&["secrets", "list", "--json"]).json();
    assert_eq!(known["team-a/"]["description"], long);
    store.run(&["secrets", "enable", "kv"]).fails(1, "kv/");
    store.run(&["secrets", "enable", "nothing"]).fails(1, "nothing");
    store.run(&["secrets", "enable", "transit", "--version", "2"]).fails(1, "no versions");
    store.put("app", &json!({"password": CANARY}));
    store.run(&["secrets", "disable", "secret"]).fails(1, "--yes");
    let (code, screen) = store.at_terminal(&["secrets", "disable", "secret"], &[("[y/N]", &|| String::new())]);
    assert!(code == 1 && screen.contains("erase all that is in it"), "{screen}");
    assert_eq!(store.data("app"), json!({"password": CANARY}));
    assert_eq!(store.run(&["secrets", "disable", "secret", "--yes"]).well(), "secret/: kv is gone\n");
    store.run(&["secrets", "disable", "secret", "--yes"]).fails(4, "there are");
}

#[test]
fn methods_are_mounted_listed_and_taken_away() {
    let store = Store::new();
    let made = store.run(&["auth", "enable", "userpass", "--path", "people", "--json"]).json();
    assert_eq!(made, json!({"path": "people/", "type": "userpass"}));
    let listed = store.run(&["auth", "list"]).well();
    assert!(listed.contains("people/") && listed.contains("token/"), "{listed}");
    assert!(store.run(&["auth", "list", "--json"]).json()["people/"].is_object());
    store.run(&["auth", "disable", "people"]).fails(1, "--yes");
    store.run(&["auth", "disable", "people", "--yes"]).well();
    store.run(&["auth", "disable", "people", "--yes"]).fails(4, "nothing is mounted there");
}

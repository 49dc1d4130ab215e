//! `strongroom policy`.

use serde_json::json;

use super::store::{Store, alone};

const READER: &str = "path \"secret/data/*\" {\n  capabilities = [\"read\"]\n}\n";
const TEAM: &str = "path \"secret/data/team-a/*\" {\n  capabilities = [\"read\", \"update\"]\n}\n";

#[test]
fn policies_are_written_read_listed_and_deleted() {
    let store = Store::new();
    let file = store.file("team-a.hcl", TEAM);
    store.run(&["policy", "write", "team-a", &file]).well();
    assert_eq!(store.run(&["policy", "read", "team-a"]).well(), TEAM);
    let names = store.run(&["policy", "list", "--json"]).json();
    assert!(["default", "reader", "team-a"].iter().all(|name| names.as_array().unwrap().contains(&json!(name))));
    assert!(store.run(&["policy", "list"]).well().contains("team-a\n"));
    let wrong = store.file("wrong.hcl", "path \"a\" { capabilities = [\"raed\"] }\npath \"b\" { polcy = 1 }\n");
    let refused = store.run(&["policy", "write", "team-a", &wrong]);
    refused.fails(1, "wrong.hcl, line 1");
    assert!(refused.errors.contains("line 2"), "{}", refused.errors);
    assert_eq!(store.run(&["policy", "read", "team-a"]).well(), TEAM);
    store.run(&["policy", "delete", "team-a"]).well();
    store.run(&["policy", "read", "team-a"]).fails(4, "there is no such policy");
    store.run(&["policy", "delete", "team-a"]).fails(4, "there is no such policy");
}

#[test]
fn assertions_are_checked_against_files_and_against_the_store() {
    let store = Store::new();
    store.file("policies/reader.hcl", READER);
    store.file("policies/Team-A.hcl", TEAM);
    store.file("policies/README", "no policy");
    let folder = store.place("policies").display().to_string();
    let good = store.file(
        "good.yaml",
        "- {policies: [reader], may: read, path: secret/data/app}\n\
         - policies: reader\n  may_not: [update, delete]\n  path: secret/data/*\n\
         - {nobody: {except: [reader, team-a]}, may: read, path: secret/data/team-a/*}\n",
    );
    let checked = alone(&["policy", "test", &good, "--policies", &folder]).well();
    assert!(checked.starts_with("ok    1  reader may read secret/data/app\n"), "{checked}");
    assert!(checked.ends_with("4 checked against 2 policies, 0 failed\n"), "{checked}");
    let bad = store.file("bad.yaml", "- {nobody: {except: [team-a]}, may: read, path: secret/data/team-a/*}\n");
    let failed = alone(&["policy", "test", &bad, "--policies", &folder]);
    let expected = "FAIL  1  nobody but team-a may read secret/data/team-a/*\n        \
                    secret/data/team-a/…: path \"secret/data/*\" (policy \"reader\", line 1) grants read\n\
                    1 checked against 2 policies, 1 failed\n";
    assert_eq!((failed.code, failed.text.as_str()), (6, expected));
    let shown = alone(&["policy", "test", &bad, "--policies", &folder, "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown.text).unwrap();
    assert_eq!((&shown[0]["holds"], &shown[0]["assertion"]), (&json!(false), &json!(1)));
    let typed = store.file("typo.yaml", "- {policies: [reder], may: read, path: secret/data/app}\n");
    alone(&["policy", "test", &typed, "--policies", &folder]).fails(1, "there is no policy \"reder\"");
    alone(&["policy", "test", &good, "--policies", "/nowhere"]).fails(1, "/nowhere: cannot be read");
    // The store's own: reader is there, and team-a is written.
    store.fed(&["policy", "write", "team-a", "-"], TEAM).well();
    assert_eq!(store.run(&["policy", "test", &good]).code, 0);
    let failed = store.run(&["policy", "test", &bad]);
    assert!(failed.code == 6 && failed.text.contains("policy \"reader\""), "{failed:?}");
}

#[test]
fn a_decision_is_explained_with_the_rules_that_did_not_decide() {
    let store = Store::new();
    store.file("policies/reader.hcl", READER);
    store.file("policies/team-a.hcl", TEAM);
    store.file("policies/own.hcl", "path \"home/{{identity.entity.name}}\" { capabilities = [\"read\"] }");
    let folder = store.place("policies").display().to_string();
    let explain = |words: &[&str]| alone(&[&["policy", "explain", "--folder", &folder], words].concat()).well();
    let denied = explain(&["--policies", "reader,team-a,own", "secret/data/team-a/db", "delete"]);
    let expected = "denied: delete on secret/data/team-a/db\n\
                    this rule decides, and does not allow it:\n  path \"secret/data/team-a/*\"\n    \
                    policy \"team-a\", line 1: read, update\n\
                    because path \"secret/data/team-a/*\" (policy \"team-a\", line 1) is the most specific, and does not \
                    grant delete\n\
                    it goes before this one, because its first wildcard stands later:\n  path \"secret/data/*\"\n    \
                    policy \"reader\", line 1: read\n\
                    left out: policy \"own\", line 1: its template is filled when somebody logs in\n";
    assert_eq!(denied, expected);
    let hinted = explain(&["--policies", "reader", "secret/app", "read"]);
    assert!(hinted.contains("because no policy speaks of the path") && hinted.contains("allowed: secret/data/app\n"));
    let missing = alone(&["policy", "explain", "--folder", &folder, "--policies", "nope", "a", "read"]);
    missing.fails(4, "there is no such policy");
    // Of the store: by names, by accessor, and about whoever asks.
    let allowed =
        store.run(&["policy", "explain", "--policies", "reader,default", "secret/data/app", "read", "--json"]);
    let allowed = allowed.json();
    assert_eq!((&allowed["allowed"], &allowed["rule"]["path"]), (&json!(true), &json!("secret/data/*")));
    let token = store.run(&["token", "create", "--policy", "reader", "--json"]).json();
    let accessor = token["accessor"].as_str().unwrap();
    let by_accessor = store.run(&["policy", "explain", "--accessor", accessor, "secret/metadata/x", "list"]).well();
    assert!(by_accessor.starts_with("allowed: list on secret/metadata/x/\n"), "{by_accessor}");
    let own = store.run(&["policy", "explain", "sys/mounts", "delete"]).well();
    assert!(own.starts_with("allowed: delete on sys/mounts\n") && own.contains("root may do everything"), "{own}");
}

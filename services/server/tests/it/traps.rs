//! What is easily got wrong about KV version 2 and its clients, each by itself (governance.md §14).

use serde_json::{Value, json};
use strongroom_storage::Storage as _;
use strongroom_storage_redb::Redb;
use tempfile::TempDir;

use super::serving::{Answer, Serving};

/// A server with `secret/` and `n` versions of `secret/app`.
fn with_versions(n: u64) -> (Serving, String) {
    let (server, root) = Serving::new();
    server.with_secrets(&root);
    for n in 1..=n {
        let written = server.ask("POST", "secret/data/app", &root, Some(&json!({"data": {"n": n}})));
        assert_eq!(written.status, 200, "{}", written.text);
    }
    (server, root)
}

#[test]
fn t3_absent_deleted_and_unknown_mount_are_three_different_404s() {
    let (server, root) = with_versions(2);
    let get = |path: &str| {
        let answer = server.ask("GET", path, &root, None);
        assert_eq!(answer.status, 404, "{path}: {}", answer.text);
        answer.json()
    };
    for absent in ["secret/data/none", "secret/data/app?version=9", "secret/metadata/none", "secret/subkeys/none"] {
        assert_eq!(get(absent), json!({"errors": []}), "{absent}");
    }
    assert_eq!(server.ask("DELETE", "secret/data/app", &root, None).status, 204);
    assert_eq!(server.ask("POST", "secret/destroy/app", &root, Some(&json!({"versions": [1]}))).status, 204);
    for (path, is_destroyed) in [("secret/data/app", false), ("secret/data/app?version=1", true)] {
        let gone = get(path);
        assert_eq!((gone.get("errors"), &gone["data"]["data"]), (None, &Value::Null), "{path}");
        assert_eq!(gone["data"]["metadata"]["destroyed"], json!(is_destroyed), "{path}");
        assert_eq!(gone["lease_id"], json!(""), "{path}: it is the envelope of a success");
    }
    let words = "no handler for route \"nowhere/data/app\". route entry not found.";
    assert_eq!(get("nowhere/data/app"), json!({"errors": [words]}));
}

#[test]
fn t4_a_failure_without_words_has_an_empty_list() {
    let (server, root) = with_versions(1);
    let check = |answer: Answer, status: u16| {
        assert_eq!((answer.status, answer.json()), (status, json!({"errors": []})));
    };
    check(server.ask("GET", "secret/data/none", &root, None), 404);
    check(server.ask("LIST", "secret/metadata/none", &root, None), 404);
    check(server.ask("GET", "sys/policies/acl/none", &root, None), 404);
    check(server.ask("GET", "secret/metadata/app?list=perhaps", &root, None), 400);
    check(server.ask_with("GET", "/v2/secret/data/app", &[("X-Vault-Token", &root)], b""), 404);
}

#[test]
fn t5_custom_metadata_are_null_until_there_are_some_and_again_when_there_are_none() {
    let (server, root) = with_versions(1);
    let check = |expected: Value| {
        let shown = server.ask("GET", "secret/data/app", &root, None).data()["metadata"]["custom_metadata"].clone();
        let known = server.ask("GET", "secret/metadata/app", &root, None).data()["custom_metadata"].clone();
        assert_eq!((&shown, &known), (&expected, &expected));
    };
    let set = |custom: Value| {
        let body = json!({"custom_metadata": custom});
        assert_eq!(server.ask("POST", "secret/metadata/app", &root, Some(&body)).status, 204);
    };
    check(Value::Null);
    set(json!({"owner": "ann"}));
    check(json!({"owner": "ann"}));
    let written = server.ask("POST", "secret/data/app", &root, Some(&json!({"data": {}})));
    assert_eq!(written.data()["custom_metadata"], json!({"owner": "ann"}));
    set(json!({}));
    check(Value::Null);
}

#[test]
fn t6_a_deletion_time_is_an_empty_text_while_there_is_none() {
    let (server, root) = with_versions(1);
    let times = || {
        let read = server.ask("GET", "secret/data/app", &root, None).data()["metadata"]["deletion_time"].clone();
        let known = server.ask("GET", "secret/metadata/app", &root, None).data();
        (read, known["versions"]["1"]["deletion_time"].clone())
    };
    assert_eq!(times(), (json!(""), json!("")));
    server.ask("DELETE", "secret/data/app", &root, None);
    let (read, known) = times();
    assert!(read == known && read.as_str().is_some_and(|time| time.ends_with('Z')), "{read} {known}");
    server.ask("POST", "secret/undelete/app", &root, Some(&json!({"versions": [1]})));
    assert_eq!(times(), (json!(""), json!("")));
}

#[test]
fn t7_versions_are_texts_as_keys_and_come_as_numbers_or_texts() {
    let (server, root) = with_versions(3);
    let known = server.ask("GET", "secret/metadata/app", &root, None).data();
    assert_eq!(known["versions"].as_object().unwrap().keys().collect::<Vec<_>>(), ["1", "2", "3"]);
    let status = |n: u64| server.ask("GET", &format!("secret/data/app?version={n}"), &root, None).status;
    for named in [json!([1, "2"]), json!(["1", 2]), json!("1,2")] {
        for (verb, expected) in [("delete", 404), ("undelete", 200)] {
            let answer = server.ask("POST", &format!("secret/{verb}/app"), &root, Some(&json!({"versions": named})));
            assert_eq!(answer.status, 204, "{verb} {named}: {}", answer.text);
            assert_eq!([status(1), status(2), status(3)], [expected, expected, 200], "{verb} {named}");
        }
    }
    let cas = |n: Value| json!({"data": {}, "options": {"cas": n}});
    assert_eq!(server.ask("POST", "secret/data/app", &root, Some(&cas(json!("3")))).data()["version"], json!(4));
    assert_eq!(server.ask("POST", "secret/data/app", &root, Some(&cas(json!(4)))).data()["version"], json!(5));
}

#[test]
fn t8_put_and_post_are_alike_and_a_list_is_a_verb_or_a_parameter() {
    let (server, root) = with_versions(1);
    for (n, method) in [(2, "PUT"), (3, "POST")] {
        let written = server.ask(method, "secret/data/app", &root, Some(&json!({"data": {"n": n}})));
        assert_eq!((written.status, written.data()["version"].clone()), (200, json!(n)), "{method}");
        let policy = json!({"policy": "path \"a\" { capabilities = [\"read\"] }"});
        assert_eq!(server.ask(method, "sys/policies/acl/a", &root, Some(&policy)).status, 204, "{method}");
        let made = server.ask(method, "auth/token/create", &root, Some(&json!({})));
        assert!(made.json()["auth"]["client_token"].is_string(), "{method}: {}", made.status);
        assert_eq!(server.ask(method, "secret/delete/app", &root, Some(&json!({"versions": [1]}))).status, 204);
    }
    for (method, query) in [("LIST", ""), ("GET", "?list=true"), ("GET", "?list=1"), ("LIST", "?list=true")] {
        for slash in ["", "/"] {
            let listed = server.ask(method, &format!("secret/metadata{slash}{query}"), &root, None);
            assert_eq!(listed.data()["keys"], json!(["app"]), "{method} {slash} {query}");
        }
    }
    assert_eq!(server.ask("GET", "secret/metadata/app?list=false", &root, None).data()["current_version"], json!(3));
}

#[test]
fn t9_a_right_on_one_path_is_enough_for_the_preflight_of_its_whole_mount() {
    let (server, root) = with_versions(1);
    server.ask("POST", "sys/mounts/other", &root, Some(&json!({"type": "kv"})));
    let token = server.token_of(&root, "one", "path \"secret/data/x\" { capabilities = [\"read\"] }");
    let preflight = |token: &str, path: &str| server.ask("GET", &format!("sys/internal/ui/mounts/{path}"), token, None);
    for path in ["secret", "secret/x", "secret/data/x", "secret/another/deep/one"] {
        let answer = preflight(&token, path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        assert_eq!((&answer.data()["path"], &answer.data()["options"]), (&json!("secret/"), &json!({"version": "2"})));
    }
    let words = |path: &str| {
        vec![format!(
            "preflight capability check returned 403, please ensure client's policies grant access to path \"{path}/\""
        )]
    };
    for (token, path) in [(&token, "other/x"), (&token, "nowhere/x"), (&root, "nowhere/x")] {
        let answer = preflight(token, path);
        assert_eq!((answer.status, answer.errors()), (403, words(path)));
    }
    assert_eq!(preflight("", "secret/x").status, 403);
    assert_eq!(server.ask("GET", "secret/data/app", &token, None).status, 403, "and for nothing else");
}

/// How many records in the store's file are as long as `bytes`, or longer.
fn long_records(folder: &TempDir, bytes: usize) -> usize {
    let storage = Redb::open(&folder.path().join("store.redb"), |_| {}).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let page = runtime.block_on(storage.scan("", None, 10_000)).unwrap();
    assert!(!page.has_more);
    page.entries.iter().filter(|(_, stored)| stored.bytes.len() >= bytes).count()
}

#[test]
fn t15_a_deleted_version_is_still_there_until_it_is_destroyed() {
    let long = 100_000;
    let text = "x".repeat(long);
    let (server, root) = Serving::new();
    server.with_secrets(&root);
    server.ask("POST", "secret/data/app", &root, Some(&json!({"data": {"text": text}})));
    let versions = json!({"versions": [1]});
    for path in ["secret/delete/app", "secret/undelete/app", "secret/delete/app"] {
        assert_eq!(server.ask("POST", path, &root, Some(&versions)).status, 204);
        let read = server.ask("GET", "secret/data/app", &root, None);
        match path {
            "secret/undelete/app" => assert_eq!(read.data()["data"]["text"], json!(text)),
            _ => assert_eq!((read.status, read.data()["data"].clone()), (404, Value::Null)),
        }
    }
    let folder = server.stop();
    assert_eq!(long_records(&folder, long), 1, "what is deleted can be brought back");
    let server = Serving::over(&folder, &[]);
    assert_eq!(server.ask("POST", "secret/destroy/app", &root, Some(&versions)).status, 204);
    assert_eq!(server.ask("POST", "secret/undelete/app", &root, Some(&versions)).status, 204);
    let read = server.ask("GET", "secret/data/app", &root, None);
    assert_eq!((read.status, read.data()["metadata"]["destroyed"].clone()), (404, json!(true)));
    let folder = server.stop();
    assert_eq!(long_records(&folder, long), 0, "what is destroyed is no record any more");
}

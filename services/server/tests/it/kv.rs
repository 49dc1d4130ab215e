//! Secrets over HTTP: shapes and codes as clients know them (governance.md §9, §10).

use serde_json::{Value, json};

use super::serving::Serving;

#[test]
fn versions_come_and_go_with_the_codes_that_clients_know() {
    let (server, root) = Serving::new();
    server.with_secrets(&root);
    let ask = |method: &str, path: &str, body: Option<Value>| server.ask(method, path, &root, body.as_ref());
    let absent = ask("GET", "secret/data/app", None);
    assert_eq!((absent.status, absent.json()), (404, json!({"errors": []})));
    for n in 1..=3 {
        let written = ask("PUT", "secret/data/app", Some(json!({"data": {"n": n}, "options": {}})));
        assert_eq!((written.status, written.data()["version"].clone()), (200, json!(n)));
    }
    let read = ask("GET", "secret/data/app", None);
    assert_eq!(read.data()["data"], json!({"n": 3}));
    assert!(read.text.ends_with('\n') && read.head.contains("no-store"));
    let members: Vec<_> = read.data()["metadata"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["created_time", "custom_metadata", "deletion_time", "destroyed", "version"]);
    for latest in ["?version=0", "?version=-1", "?version=", ""] {
        assert_eq!(ask("GET", &format!("secret/data/app{latest}"), None).data()["data"], json!({"n": 3}), "{latest}");
    }
    assert_eq!(ask("GET", "secret/data/app?version=1", None).data()["data"], json!({"n": 1}));
    assert_eq!(ask("GET", "secret/data/app?version=9", None).json(), json!({"errors": []}));
    let stale = ask("POST", "secret/data/app", Some(json!({"data": {}, "options": {"cas": 1}})));
    let words = "check-and-set parameter did not match the current version";
    assert_eq!((stale.status, stale.errors()), (400, vec![words.to_owned()]));
    assert_eq!(ask("PUT", "secret/data/app", Some(json!({"options": {}}))).errors(), ["no data provided"]);
    assert_eq!(ask("DELETE", "secret/data/app", None).status, 204);
    let gone = ask("GET", "secret/data/app", None);
    assert_eq!(
        (gone.status, gone.data()["data"].clone(), gone.data()["metadata"]["version"].clone()),
        (404, Value::Null, json!(3))
    );
    assert_eq!(ask("PUT", "secret/undelete/app", Some(json!({"versions": ["3"]}))).status, 204);
    assert_eq!(ask("GET", "secret/data/app", None).status, 200);
    assert_eq!(ask("PUT", "secret/delete/app", Some(json!({}))).errors(), ["No version number provided"]);
    assert_eq!(ask("PUT", "secret/destroy/app", Some(json!({}))).errors(), ["no version number provided"]);
    assert_eq!(ask("PUT", "secret/destroy/app", Some(json!({"versions": [2]}))).status, 204);
    let destroyed = ask("GET", "secret/data/app?version=2", None);
    assert_eq!((destroyed.status, destroyed.data()["metadata"]["destroyed"].clone()), (404, json!(true)));
    let known = ask("GET", "secret/metadata/app", None).data();
    assert_eq!((known["current_version"].clone(), known["oldest_version"].clone()), (json!(3), json!(0)));
    assert_eq!(known["delete_version_after"], json!("0s"));
    assert_eq!(ask("DELETE", "secret/metadata/app", None).status, 204);
    assert_eq!(ask("GET", "secret/metadata/app", None).json(), json!({"errors": []}));
}

#[test]
fn lists_patches_subkeys_and_settings_are_as_clients_ask_for_them() {
    let (server, root) = Serving::new();
    server.with_secrets(&root);
    let ask = |method: &str, path: &str, body: Option<Value>| server.ask(method, path, &root, body.as_ref());
    for path in ["team/a", "team/b/c", "team-x", "team"] {
        ask("PUT", &format!("secret/data/{path}"), Some(json!({"data": {"a": {"b": "c"}}})));
    }
    for (method, path) in
        [("LIST", "secret/metadata"), ("LIST", "secret/metadata/"), ("GET", "secret/metadata?list=true")]
    {
        assert_eq!(ask(method, path, None).data()["keys"], json!(["team", "team-x", "team/"]), "{method} {path}");
    }
    assert_eq!(ask("LIST", "secret/metadata/team/", None).data()["keys"], json!(["a", "b/"]));
    let none = ask("LIST", "secret/metadata/none", None);
    assert_eq!((none.status, none.json()), (404, json!({"errors": []})));
    assert_eq!(ask("GET", "secret/metadata/team?list=perhaps", None).status, 400);
    assert_eq!(ask("GET", "secret/subkeys/team/a", None).data()["subkeys"], json!({"a": {"b": null}}));
    assert_eq!(ask("GET", "secret/subkeys/team/a?depth=1", None).data()["subkeys"], json!({"a": null}));
    let patch = |kind: &str, path: &str, body: &Value| {
        let headers = [("X-Vault-Token", root.as_str()), ("Content-Type", kind)];
        server.ask_with("PATCH", &format!("/v1/secret/{path}"), &headers, body.to_string().as_bytes())
    };
    let change = json!({"data": {"a": {"b": null, "d": 1}}});
    let wrong = patch("application/json", "data/team/a", &change);
    let words = "PATCH requires Content-Type of application/merge-patch+json, provided application/json";
    assert_eq!((wrong.status, wrong.errors()), (415, vec![words.to_owned()]));
    assert_eq!(patch("", "data/team/a", &change).errors(), ["mime: no media type"]);
    assert_eq!(patch("application/merge-patch+json", "data/team/a", &change).status, 200);
    assert_eq!(ask("GET", "secret/data/team/a", None).data()["data"], json!({"a": {"d": 1}}));
    assert_eq!(patch("application/merge-patch+json", "data/none", &change).status, 404);
    let metadata = json!({"custom_metadata": {"owner": "ann"}, "max_versions": 2, "delete_version_after": "3h25m19s"});
    assert_eq!(ask("PUT", "secret/metadata/team/a", Some(metadata)).status, 204);
    let known = ask("GET", "secret/metadata/team/a", None).data();
    assert_eq!(
        (known["custom_metadata"].clone(), known["delete_version_after"].clone()),
        (json!({"owner": "ann"}), json!("3h25m19s"))
    );
    let custom = json!({"custom_metadata": {"owner": null, "team": "x"}});
    assert_eq!(patch("application/merge-patch+json", "metadata/team/a", &custom).status, 204);
    assert_eq!(ask("GET", "secret/metadata/team/a", None).data()["custom_metadata"], json!({"team": "x"}));
    assert_eq!(ask("POST", "secret/config", Some(json!({"cas_required": true, "max_versions": 5}))).status, 204);
    assert_eq!(ask("GET", "secret/config", None).data()["max_versions"], json!(5));
    let required = ask("PUT", "secret/data/new", Some(json!({"data": {}})));
    assert_eq!(required.errors(), ["check-and-set parameter required for this call"]);
    // A path of version 1 on a mount of version 2.
    let old = ask("GET", "secret/team/a", None);
    assert!(
        old.status == 404 && old.json()["warnings"][0].as_str().unwrap().contains("secret/data/team/a"),
        "{}",
        old.text
    );
}

#[test]
fn secrets_without_versions_have_their_own_mount_and_numbers_stay_exact() {
    let (server, root) = Serving::new();
    let ask = |method: &str, path: &str, body: Option<Value>| server.ask(method, path, &root, body.as_ref());
    assert_eq!(ask("POST", "sys/mounts/one", Some(json!({"type": "kv"}))).status, 204);
    assert_eq!(ask("POST", "sys/mounts/two", Some(json!({"type": "kv-v2"}))).status, 204);
    let headers = [("X-Vault-Token", root.as_str())];
    let big = br#"{"n":9007199254740993,"ttl":"1h"}"#;
    assert_eq!(server.ask_with("PUT", "/v1/one/a", &headers, big).status, 204);
    let read = ask("GET", "one/a", None);
    assert!(read.text.contains("9007199254740993") && read.json()["lease_duration"] == json!(3600), "{}", read.text);
    let big = br#"{"data":{"n":9007199254740993}}"#;
    assert_eq!(server.ask_with("PUT", "/v1/two/data/a", &headers, big).status, 200);
    assert!(ask("GET", "two/data/a", None).text.contains("9007199254740993"));
    assert_eq!(ask("LIST", "one", None).data()["keys"], json!(["a"]));
    assert_eq!(ask("DELETE", "one/a", None).status, 204);
    assert_eq!(ask("GET", "one/a", None).json(), json!({"errors": []}));
    assert_eq!(ask("DELETE", "sys/mounts/one", None).status, 204);
    assert_eq!(ask("DELETE", "sys/mounts/one", None).status, 204, "what is absent is no fault");
    let unserved = ask("GET", "one/a", None);
    assert_eq!(
        (unserved.status, unserved.errors()),
        (404, vec!["no handler for route \"one/a\". route entry not found.".to_owned()])
    );
    // Another mount at the same path has nothing of the one before.
    ask("POST", "sys/mounts/two/tune", Some(json!({"max_lease_ttl": "1h"})));
    assert_eq!(ask("GET", "sys/mounts/two/tune", None).data()["max_lease_ttl"], json!(3600));
    ask("DELETE", "sys/mounts/two", None);
    assert_eq!(ask("POST", "sys/mounts/two", Some(json!({"type": "kv-v2"}))).status, 204);
    assert_eq!(ask("GET", "two/data/a", None).status, 404);
    assert_eq!(ask("POST", "sys/mounts/two/deeper", Some(json!({"type": "kv"}))).status, 400);
    let moved = ask("POST", "sys/remount", Some(json!({"from": "two", "to": "three/four"})));
    let id = moved.data()["migration_id"].as_str().unwrap().to_owned();
    let status = ask("GET", &format!("sys/remount/status/{id}"), None).data();
    assert_eq!(status["migration_info"]["status"], json!("success"));
    ask("PUT", "three/four/data/a", Some(json!({"data": {}})));
    assert_eq!(ask("GET", "three/four/data/a", None).status, 200);
    assert_eq!(ask("POST", "sys/mounts/x", Some(json!({"type": "pki"}))).status, 400);
}

//! Who may do what.

use serde_json::{Value, json};

use super::serving::Serving;

const DENIED: &str = "1 error occurred:\n\t* permission denied\n\n";

#[test]
fn a_token_may_do_what_its_policies_say_and_nothing_else() {
    let (server, root) = Serving::new();
    server.with_secrets(&root);
    for path in ["team-a/db", "team-a/private/x", "team-b/db"] {
        server.ask("PUT", &format!("secret/data/{path}"), &root, Some(&json!({"data": {"k": path}})));
    }
    let token = server.token_of(
        &root,
        "team-a",
        r#"
        path "secret/data/team-a/*" { capabilities = ["create", "read"] }
        path "secret/data/team-a/private/*" { capabilities = ["deny"] }
        path "secret/metadata/+/" { capabilities = ["list"] }
        path "secret/data/once" { capabilities = ["create"] }
        "#,
    );
    let check = |method: &str, path: &str, body: Option<Value>, status: u16| {
        let answer = server.ask(method, path, &token, body.as_ref());
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        if status == 403 {
            assert_eq!(answer.errors(), [DENIED]);
        }
    };
    let data = || Some(json!({"data": {}}));
    check("GET", "secret/data/team-a/db", None, 200);
    check("PUT", "secret/data/team-a/new", data(), 200);
    check("PUT", "secret/data/team-a/new", data(), 403);
    check("DELETE", "secret/data/team-a/db", None, 403);
    check("GET", "secret/data/team-a/private/x", None, 403);
    check("GET", "secret/data/team-b/db", None, 403);
    check("GET", "secret/data/none", None, 403);
    check("LIST", "secret/metadata/team-b", None, 200);
    check("LIST", "secret/metadata/team-b/", None, 200);
    check("PUT", "secret/data/once", data(), 200);
    check("PUT", "secret/data/once", data(), 403);
    check("GET", "sys/mounts", None, 403);
    check("PUT", "sys/policies/acl/team-a", Some(json!({"policy": "path \"*\" { capabilities = [\"sudo\"] }"})), 403);
    check("GET", "nowhere/x", None, 403);
    check("GET", "auth/token/lookup-self", None, 200);
    let capabilities =
        |paths: Value| server.ask("POST", "sys/capabilities-self", &token, Some(&json!({"paths": paths}))).json();
    let told = capabilities(json!(["secret/data/team-a/db", "secret/data/team-b/db"]));
    assert_eq!(told["secret/data/team-a/db"], json!(["create", "read"]));
    assert_eq!(told["data"]["secret/data/team-b/db"], json!(["deny"]));
    // The preflight of the command line.
    assert_eq!(server.ask("GET", "sys/internal/ui/mounts/secret/any", &token, None).data()["path"], json!("secret/"));
    assert_eq!(server.ask("GET", "sys/internal/ui/mounts/nowhere/x", &root, None).status, 403);
    // A policy that changes holds at once.
    server.ask(
        "PUT",
        "sys/policy/team-a",
        &root,
        Some(&json!({"rules": "path \"secret/data/team-b/*\" { capabilities = [\"read\"] }"})),
    );
    check("GET", "secret/data/team-a/db", None, 403);
    check("GET", "secret/data/team-b/db", None, 200);
    assert_eq!(server.ask("DELETE", "sys/policies/acl/team-a", &root, None).status, 204);
    check("GET", "secret/data/team-b/db", None, 403);
}

#[test]
fn policies_are_kept_listed_and_refused_where_they_cannot_be_understood() {
    let (server, root) = Serving::new();
    let ask = |method: &str, path: &str, body: Option<Value>| server.ask(method, path, &root, body.as_ref());
    assert_eq!(
        ask("PUT", "sys/policies/acl/Mixed", Some(json!({"policy": "path \"a\" { capabilities = [\"read\"] }"})))
            .status,
        204
    );
    assert_eq!(ask("LIST", "sys/policies/acl", None).data()["keys"], json!(["default", "mixed", "root"]));
    let listed = ask("GET", "sys/policy", None).json();
    assert_eq!(
        (listed["policies"].clone(), listed["keys"].clone()),
        (json!(["default", "mixed", "root"]), json!(["default", "mixed", "root"]))
    );
    assert!(ask("GET", "sys/policy/mixed", None).json()["rules"].as_str().unwrap().contains("capabilities"));
    let wrong =
        ask("PUT", "sys/policies/acl/wrong", Some(json!({"policy": "path \"a\" { capabilities = [\"fly\"] }"})));
    assert!(wrong.status == 400 && wrong.errors()[0].contains("fly"), "{}", wrong.text);
    assert_eq!(ask("GET", "sys/policies/acl/wrong", None).status, 404);
    assert_eq!(ask("PUT", "sys/policies/acl/root", Some(json!({"policy": "path \"a\" {}"}))).status, 400);
    assert_eq!(ask("DELETE", "sys/policies/acl/default", None).status, 400);
    let folder = server.stop();
    let server = Serving::over(&folder, &[]);
    assert_eq!(server.ask("LIST", "sys/policies/acl", &root, None).data()["keys"], json!(["default", "mixed", "root"]));
}

#[test]
fn a_list_is_of_a_folder_for_its_policies_whether_a_slash_was_sent_or_not() {
    let (server, root) = Serving::new();
    server.with_secrets(&root);
    server.ask("PUT", "secret/data/team/db", &root, Some(&json!({"data": {}})));
    // As OpenBao 2.7.2 answers: of the mount's own names, and of those in `team`.
    let check = |rule: &str, of_mount: u16, of_team: u16| {
        let token = server.token_of(&root, "list", &format!("path \"{rule}\" {{ capabilities = [\"list\"] }}"));
        let list = |method: &str, path: &str| server.ask(method, path, &token, None).status;
        for (method, path, expected) in [
            ("LIST", "secret/metadata", of_mount),
            ("LIST", "secret/metadata/", of_mount),
            ("LIST", "secret/metadata/team", of_team),
            ("LIST", "secret/metadata/team/", of_team),
            ("GET", "secret/metadata/team?list=true", of_team),
        ] {
            assert_eq!(list(method, path), expected, "{rule}: {method} {path}");
        }
    };
    check("secret/metadata", 200, 403);
    check("secret/metadata/*", 200, 200);
    check("secret/metadata/+", 200, 200);
    check("secret/metadata/+/", 403, 200);
    check("secret/metadata/team", 403, 200);
    check("secret/metadata/team/", 403, 200);
    check("secret/metadata/team/+", 403, 200);
    check("secret/metadata/te*", 403, 200);
    check("secret/+/team/*", 403, 200);
    check("secret/data/*", 403, 403);
}

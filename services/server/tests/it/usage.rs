//! Who read what, and what nobody reads any more.

use serde_json::{Value, json};

use super::serving::Serving;

fn usage(server: &Serving, token: &str, path: &str) -> Value {
    server.ask("GET", &format!("secret/usage/{path}"), token, None).data()
}

#[test]
fn reads_are_counted_by_version_and_reader_and_are_there_after_a_restart() {
    let (server, root) = Serving::new();
    server.with_secrets(&root);
    for n in 1..=2 {
        server.ask("PUT", "secret/data/team/app", &root, Some(&json!({"data": {"n": n}})));
    }
    assert_eq!(server.ask("GET", "secret/usage/none", &root, None).status, 404);
    assert_eq!(usage(&server, &root, "team/app")["reads"], json!(0));
    let rule = "path \"secret/data/*\" { capabilities = [\"read\"] }";
    let made = json!({"policies": ["reader"], "display_name": "ci"});
    server.ask("PUT", "sys/policies/acl/reader", &root, Some(&json!({"policy": rule})));
    let made = server.ask("POST", "auth/token/create", &root, Some(&made)).json();
    let token = made["auth"]["client_token"].as_str().unwrap();
    for _ in 0..3 {
        assert_eq!(server.ask("GET", "secret/data/team/app", token, None).status, 200);
    }
    server.ask("GET", "secret/data/team/app?version=1", &root, None);
    // What was refused was not read.
    server.ask("GET", "secret/data/team/app?version=9", token, None);
    assert_eq!(server.ask("GET", "secret/usage/team/app", token, None).status, 403);
    let check = |server: &Serving, more: u64| {
        let known = usage(server, &root, "team/app");
        assert_eq!(known["reads"], json!(4 + more), "{known}");
        assert_eq!(known["versions"]["1"]["by"]["root"]["reads"], json!(1));
        assert_eq!(known["versions"]["2"]["by"]["token-ci"]["reads"], json!(3 + more));
        assert!(known["last_read"].as_str().unwrap() >= known["versions"]["1"]["last_read"].as_str().unwrap());
    };
    check(&server, 0);
    let server = Serving::over(&server.stop(), &[]);
    check(&server, 0);
    server.ask("GET", "secret/data/team/app", token, None);
    check(&server, 1);
    // A secret of the same name is another one.
    server.ask("DELETE", "secret/metadata/team/app", &root, None);
    server.ask("PUT", "secret/data/team/app", &root, Some(&json!({"data": {"n": 3}})));
    assert_eq!(usage(&server, &root, "team/app")["reads"], json!(0));
}

#[test]
fn t15_what_nobody_reads_or_changes_is_listed_with_versions_that_can_be_brought_back() {
    let (server, root) = Serving::new();
    server.with_secrets(&root);
    let paths = ["a", "a/b", "a/b/c", "a/d", "a-b", "z"];
    for path in paths {
        server.ask("PUT", &format!("secret/data/{path}"), &root, Some(&json!({"data": {"k": 1}})));
    }
    let stale = |query: &str| {
        let answer = server.ask("GET", &format!("secret/stale{query}"), &root, None).data();
        let secrets = answer["secrets"].as_array().unwrap();
        let paths: Vec<String> = secrets.iter().map(|secret| secret["path"].as_str().unwrap().to_owned()).collect();
        (paths, answer["after"].as_str().map(str::to_owned))
    };
    assert_eq!(stale("").0, Vec::<String>::new(), "all are new");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(stale("?days=0").0, ["a", "a-b", "a/b", "a/b/c", "a/d", "z"]);
    assert_eq!(stale("?days=0&prefix=a/b").0, ["a/b/c"]);
    // Page by page.
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let (paths, next) = stale(&format!("?days=0&limit=2&after={after}"));
        all.extend(paths);
        match next {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(all, ["a", "a-b", "a/b", "a/b/c", "a/d", "z"]);
    // Deleted and not destroyed: it can be read still.
    server.ask("DELETE", "secret/data/z", &root, None);
    let answer = server.ask("GET", "secret/stale?days=0&prefix=", &root, None).data();
    let last = answer["secrets"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["path"], &last["versions"], &last["deleted_versions"]), (&json!("z"), &json!(0), &json!(1)));
    server.ask("PUT", "secret/undelete/z", &root, Some(&json!({"versions": [1]})));
    assert_eq!(server.ask("GET", "secret/data/z", &root, None).status, 200);
}

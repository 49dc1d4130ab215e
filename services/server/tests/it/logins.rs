//! Logging in without a token (governance.md §10.8).

use serde_json::{Value, json};

use super::serving::Serving;

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[test]
fn people_log_in_by_name_and_password_and_are_locked_after_five_failures() {
    let (server, root) = Serving::new();
    let ask = |method: &str, path: &str, body: Value| server.ask(method, path, &root, Some(&body));
    assert_eq!(ask("POST", "sys/auth/userpass", json!({"type": "userpass"})).status, 204);
    let user = json!({"password": "s3cret", "token_policies": "Reader", "token_ttl": "1h", "token_max_ttl": "2h"});
    assert_eq!(ask("POST", "auth/userpass/users/Ann", user).status, 204);
    let login = |name: &str, password: &str| {
        server.ask("POST", &format!("auth/userpass/login/{name}"), "", Some(&json!({"password": password})))
    };
    let made = login("ann", "s3cret").json()["auth"].clone();
    assert_eq!((made["policies"].clone(), made["lease_duration"].clone()), (json!(["default", "reader"]), json!(3600)));
    assert_eq!((made["metadata"].clone(), made["orphan"].clone()), (json!({"username": "ann"}), json!(true)));
    let looked_up = server.ask("GET", "auth/token/lookup-self", &text(&made["client_token"]), None).data();
    assert_eq!(
        (looked_up["display_name"].clone(), looked_up["path"].clone()),
        (json!("userpass-ann"), json!("auth/userpass/login/ann"))
    );
    let far =
        server.ask("POST", "auth/token/renew-self", &text(&made["client_token"]), Some(&json!({"increment": "9h"})));
    assert!(far.json()["auth"]["lease_duration"].as_u64().is_some_and(|seconds| seconds <= 7200), "{}", far.text);
    for (name, password) in [("ann", "wrong"), ("nobody", "s3cret")] {
        let refused = login(name, password);
        assert_eq!((refused.status, refused.errors()), (400, vec!["invalid username or password".to_owned()]));
    }
    assert_eq!(login("ann", "").status, 400);
    assert_eq!(login("ann", "s3cret").status, 200, "a success forgets the failures");
    for _ in 0..5 {
        assert_eq!(login("ann", "wrong").status, 400);
    }
    let locked = login("ann", "s3cret");
    assert_eq!((locked.status, locked.errors()), (403, vec!["permission denied".to_owned()]));
    let shown = server.ask("GET", "auth/userpass/users/ann", &root, None);
    assert!(shown.data()["token_policies"] == json!(["reader"]) && !shown.text.contains("hash"), "{}", shown.text);
    assert_eq!(server.ask("LIST", "auth/userpass/users", &root, None).data()["keys"], json!(["ann"]));
    assert_eq!(
        ask("POST", "auth/userpass/users/bob", json!({"token_policies": ["root"], "password": "x"})).status,
        400
    );
    assert_eq!(ask("POST", "auth/userpass/users/bob", json!({"token_policies": ["x"]})).errors(), ["missing password"]);
    // What a mount made can be revoked as a whole.
    server.ask("PUT", "sys/leases/revoke-prefix/auth/userpass", &root, None);
    assert_eq!(server.ask("GET", "auth/token/lookup-self", &text(&made["client_token"]), None).status, 403);
}

#[test]
fn machines_log_in_by_role_and_secret_id_as_often_as_it_says() {
    let (server, root) = Serving::new();
    let ask = |method: &str, path: &str, body: Value| server.ask(method, path, &root, Some(&body));
    assert_eq!(ask("POST", "sys/auth/approle", json!({"type": "approle"})).status, 204);
    let role = json!({"token_policies": ["app"], "secret_id_num_uses": 2, "token_ttl": "10m", "secret_id_ttl": "1h"});
    assert_eq!(ask("POST", "auth/approle/role/web", role).status, 204);
    let role_id = text(&server.ask("GET", "auth/approle/role/web/role-id", &root, None).data()["role_id"]);
    let made = ask("POST", "auth/approle/role/web/secret-id", json!({"metadata": "{\"host\":\"a\"}"})).data();
    let (secret_id, accessor) = (text(&made["secret_id"]), text(&made["secret_id_accessor"]));
    let login = |role_id: &str, secret_id: &str| {
        server.ask("POST", "auth/approle/login", "", Some(&json!({"role_id": role_id, "secret_id": secret_id})))
    };
    let first = login(&role_id, &secret_id).json()["auth"].clone();
    assert_eq!((first["policies"].clone(), first["lease_duration"].clone()), (json!(["app", "default"]), json!(600)));
    assert_eq!(first["metadata"], json!({"host": "a", "role_name": "web"}));
    let looked_up =
        ask("POST", "auth/approle/role/web/secret-id-accessor/lookup", json!({"secret_id_accessor": accessor}));
    assert_eq!(looked_up.data()["secret_id_num_uses"], json!(1));
    for wrong in [login("none", &secret_id), login(&role_id, "none"), login(&role_id, "")] {
        assert_eq!((wrong.status, wrong.errors()), (400, vec!["invalid role or secret ID".to_owned()]));
    }
    // Of several who use the last one at once, one gets in.
    let won = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..6).map(|_| scope.spawn(|| login(&role_id, &secret_id).status)).collect();
        tries.into_iter().filter(|_| true).map(|thread| thread.join().unwrap()).filter(|status| *status == 200).count()
    });
    assert_eq!(won, 1);
    let gone = ask("POST", "auth/approle/role/web/secret-id-accessor/lookup", json!({"secret_id_accessor": accessor}));
    assert!(gone.status == 404 && gone.data()["error"].is_string(), "{}", gone.text);
    assert_eq!(ask("POST", "auth/approle/role/web/secret-id/lookup", json!({"secret_id": secret_id})).status, 204);
    // From elsewhere, by a chosen one, and after it was destroyed.
    let bound = ask("POST", "auth/approle/role/web/secret-id", json!({"cidr_list": "203.0.113.0/24"})).data();
    assert_eq!(login(&role_id, &text(&bound["secret_id"])).status, 400);
    assert_eq!(ask("POST", "auth/approle/role/web/custom-secret-id", json!({"secret_id": "chosen"})).status, 200);
    assert_eq!(login(&role_id, "chosen").status, 200);
    assert_eq!(ask("POST", "auth/approle/role/web/secret-id/destroy", json!({"secret_id": "chosen"})).status, 204);
    assert_eq!(login(&role_id, "chosen").status, 400);
    assert_eq!(server.ask("LIST", "auth/approle/role", &root, None).data()["keys"], json!(["web"]));
    assert_eq!(
        ask("POST", "auth/approle/role/open", json!({"bind_secret_id": false})).status,
        400,
        "anybody would get in"
    );
    let last = text(&ask("POST", "auth/approle/role/web/secret-id", json!({})).data()["secret_id"]);
    assert_eq!(server.ask("DELETE", "auth/approle/role/web", &root, None).status, 204);
    assert_eq!(login(&role_id, &last).status, 400);
    assert_eq!(server.ask("GET", "auth/approle/role/web", &root, None).status, 404);
}

#[test]
fn a_mount_for_logins_tells_what_tokens_it_gives() {
    let (server, root) = Serving::new();
    server.ask("POST", "sys/auth/machines", &root, Some(&json!({"type": "approle"})));
    let mounts = server.ask("GET", "sys/auth", &root, None).data();
    for path in ["machines/", "token/"] {
        assert_eq!(mounts[path]["config"]["token_type"], json!("default-service"), "{path}");
    }
    let tuned = server.ask("GET", "sys/auth/machines/tune", &root, None).data();
    assert_eq!(tuned["token_type"], json!("default-service"));
    let secrets = server.ask("GET", "sys/mounts", &root, None).data();
    assert_eq!(secrets["cubbyhole/"]["config"].get("token_type"), None);
}

#[test]
fn ranges_of_addresses_count_by_their_old_names_too() {
    let (server, root) = Serving::new();
    let ask = |method: &str, path: &str, body: Value| server.ask(method, path, &root, Some(&body));
    ask("POST", "sys/auth/approle", json!({"type": "approle"}));
    ask("POST", "sys/auth/userpass", json!({"type": "userpass"}));
    let elsewhere = "203.0.113.0/24";
    assert_eq!(ask("POST", "auth/approle/role/web", json!({"bound_cidr_list": elsewhere})).status, 204);
    let user = json!({"password": "s3cret", "bound_cidrs": [elsewhere]});
    assert_eq!(ask("POST", "auth/userpass/users/ann", user).status, 204);
    let role = server.ask("GET", "auth/approle/role/web", &root, None).data();
    assert_eq!(role["secret_id_bound_cidrs"], json!([elsewhere]));
    let role_id = text(&server.ask("GET", "auth/approle/role/web/role-id", &root, None).data()["role_id"]);
    let secret_id = text(&ask("POST", "auth/approle/role/web/secret-id", json!({})).data()["secret_id"]);
    let login = json!({"role_id": role_id, "secret_id": secret_id});
    assert_eq!(server.ask("POST", "auth/approle/login", "", Some(&login)).status, 400);
    let login = json!({"password": "s3cret"});
    assert_eq!(server.ask("POST", "auth/userpass/login/ann", "", Some(&login)).status, 403);
}

#[test]
fn a_role_that_does_not_exist_is_not_found() {
    let (server, root) = Serving::new();
    server.ask("POST", "sys/auth/approle", &root, Some(&json!({"type": "approle"})));
    for rest in ["secret-id", "custom-secret-id", "role-id"] {
        let body = json!({"secret_id": "chosen", "role_id": "chosen"});
        let answer = server.ask("POST", &format!("auth/approle/role/none/{rest}"), &root, Some(&body));
        assert_eq!((answer.status, answer.errors()), (404, vec!["role \"none\" does not exist".to_owned()]), "{rest}");
    }
}

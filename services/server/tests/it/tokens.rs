//! Tokens over HTTP (governance.md §10.3, §10.8).

use std::time::Duration;

use serde_json::{Value, json};

use super::serving::Serving;

fn auth(answer: &super::serving::Answer) -> Value {
    answer.json()["auth"].clone()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[test]
fn a_token_is_made_looked_up_renewed_and_revoked() {
    let (server, root) = Serving::new();
    let ask =
        |method: &str, path: &str, token: &str, body: Option<Value>| server.ask(method, path, token, body.as_ref());
    let wanted =
        json!({"policies": ["Reader"], "ttl": "1h", "display_name": "ci", "meta": {"team": "a"}, "num_uses": 0});
    let made = auth(&ask("POST", "auth/token/create", &root, Some(wanted)));
    let (token, accessor) = (text(&made["client_token"]), text(&made["accessor"]));
    assert!(token.starts_with("s.") && token.len() == 26);
    assert_eq!(made["policies"], json!(["default", "reader"]));
    assert_eq!((made["lease_duration"].clone(), made["renewable"].clone()), (json!(3600), json!(true)));
    let looked_up = ask("GET", "auth/token/lookup-self", &token, None).data();
    assert_eq!((looked_up["id"].clone(), looked_up["display_name"].clone()), (json!(token), json!("token-ci")));
    assert_eq!(
        (looked_up["meta"].clone(), looked_up["path"].clone()),
        (json!({"team": "a"}), json!("auth/token/create"))
    );
    assert_eq!(looked_up["orphan"], json!(false));
    let by_accessor = ask("POST", "auth/token/lookup-accessor", &root, Some(json!({"accessor": accessor}))).data();
    assert_eq!((by_accessor["id"].clone(), by_accessor["accessor"].clone()), (json!(""), json!(accessor)));
    let renewed = auth(&ask("POST", "auth/token/renew-self", &token, Some(json!({"increment": "2h"}))));
    assert_eq!(renewed["lease_duration"], json!(7200));
    assert_eq!(ask("PUT", "auth/token/revoke-self", &token, None).status, 204);
    let over = ask("GET", "auth/token/lookup-self", &token, None);
    assert_eq!((over.status, over.errors()), (403, vec!["permission denied".to_owned()]));
    let bad = ask("POST", "auth/token/lookup", &root, Some(json!({"token": token})));
    assert_eq!((bad.status, bad.errors()), (403, vec!["bad token".to_owned()]));
    assert_eq!(ask("POST", "auth/token/revoke", &root, Some(json!({"token": token}))).status, 204);
    let gone = ask("POST", "auth/token/revoke-accessor", &root, Some(json!({"accessor": accessor})));
    assert!(gone.status == 200 && gone.json()["warnings"].is_array(), "{}", gone.text);
    assert_eq!(ask("POST", "auth/token/create", &root, Some(json!({"type": "batch"}))).status, 400);
}

#[test]
fn what_a_token_made_ends_with_it_and_uses_and_times_are_counted() {
    let (server, root) = Serving::new();
    let ask = |path: &str, token: &str, body: Value| server.ask("POST", path, token, Some(&body));
    let lives = |token: &str| server.ask("GET", "auth/token/lookup-self", token, None).status == 200;
    let maker = server.token_of(&root, "maker", r#"path "auth/token/*" { capabilities = ["create", "update"] }"#);
    let child = text(&auth(&ask("auth/token/create", &maker, json!({})))["client_token"]);
    let refused = ask("auth/token/create", &maker, json!({"policies": ["other"]}));
    assert_eq!((refused.status, refused.errors()), (400, vec!["child policies must be subset of parent".to_owned()]));
    assert_eq!(ask("auth/token/create", &maker, json!({"no_parent": true})).status, 400);
    assert_eq!(ask("auth/token/create-orphan", &maker, json!({})).status, 403, "that takes sudo");
    assert_eq!(ask("auth/token/create-orphan/", &maker, json!({})).status, 404, "another path is no way around");
    assert!(lives(&child));
    assert_eq!(ask("auth/token/revoke", &root, json!({"token": maker})).status, 204);
    assert!(!lives(&child) && !lives(&maker));
    let twice =
        text(&auth(&ask("auth/token/create", &root, json!({"policies": ["default"], "num_uses": 2})))["client_token"]);
    assert_eq!([lives(&twice), lives(&twice), lives(&twice)], [true, true, false]);
    let once = json!({"policies": ["maker", "default"], "num_uses": 5});
    let once = text(&auth(&ask("auth/token/create", &root, once))["client_token"]);
    let words = "restricted use token cannot generate child tokens";
    assert_eq!(ask("auth/token/create", &once, json!({})).errors(), [words], "it would go on as another");
    let short =
        text(&auth(&ask("auth/token/create", &root, json!({"policies": ["default"], "ttl": "3s"})))["client_token"]);
    assert!(lives(&short));
    std::thread::sleep(Duration::from_millis(4100));
    assert!(!lives(&short));
    let periodic = auth(&ask(
        "auth/token/create",
        &root,
        json!({"policies": ["default"], "period": "1h", "explicit_max_ttl": "90m"}),
    ));
    assert_eq!(periodic["lease_duration"], json!(3600));
    // A role bounds what is made by it.
    let role = json!({"allowed_policies": "default,app", "token_explicit_max_ttl": "10m", "orphan": true, "token_num_uses": 9});
    assert_eq!(ask("auth/token/roles/ci", &root, role).status, 204);
    let made = auth(&ask("auth/token/create/ci", &root, json!({"policies": ["app"], "ttl": "5h"})));
    assert_eq!(
        (made["lease_duration"].clone(), made["orphan"].clone(), made["num_uses"].clone()),
        (json!(600), json!(true), json!(9))
    );
    assert_eq!(ask("auth/token/create/ci", &root, json!({"policies": ["root"]})).status, 400);
    assert_eq!(ask("auth/token/create/none", &root, json!({})).status, 400);
    // All that a path made.
    assert_eq!(server.ask("PUT", "sys/leases/revoke-prefix/auth/token/create/ci", &root, None).status, 204);
    assert!(!lives(&text(&made["client_token"])));
}

#[test]
fn tokens_are_there_after_a_restart_and_nowhere_else() {
    let (server, root) = Serving::new();
    let made = server.ask("POST", "auth/token/create", &root, Some(&json!({"policies": ["default"], "ttl": "1h"})));
    let token = text(&auth(&made)["client_token"]);
    let folder = server.stop();
    let server = Serving::over(&folder, &[]);
    assert_eq!(server.ask("GET", "auth/token/lookup-self", &token, None).status, 200);
    assert_eq!(server.ask("GET", "auth/token/lookup-self", &root, None).data()["policies"], json!(["root"]));
}

#[test]
fn a_wrapped_answer_is_had_once_and_a_wrapping_token_is_good_for_nothing_else() {
    let (server, root) = Serving::new();
    server.with_secrets(&root);
    server.ask("PUT", "secret/data/a", &root, Some(&json!({"data": {"k": "v"}})));
    let wrap = |path: &str| {
        let headers = [("X-Vault-Token", root.as_str()), ("X-Vault-Wrap-TTL", "60s")];
        server.ask_with("GET", &format!("/v1/{path}"), &headers, b"").json()
    };
    let answer = wrap("secret/data/a");
    assert_eq!((answer["request_id"].clone(), answer["data"].clone()), (json!(""), Value::Null));
    let info = &answer["wrap_info"];
    assert_eq!((info["ttl"].clone(), info["creation_path"].clone()), (json!(60), json!("secret/data/a")));
    let token = text(&info["token"]);
    let looked_up = server.ask("POST", "sys/wrapping/lookup", "", Some(&json!({"token": token})));
    assert_eq!(looked_up.data()["creation_path"], json!("secret/data/a"));
    let unwrapped = server.ask("PUT", "sys/wrapping/unwrap", &token, None);
    assert_eq!(unwrapped.data()["data"], json!({"k": "v"}));
    for again in [
        server.ask("PUT", "sys/wrapping/unwrap", &token, None),
        server.ask("PUT", "sys/wrapping/unwrap", &root, Some(&json!({"token": token}))),
    ] {
        assert!(matches!(again.status, 400 | 403), "{}", again.text);
    }
    // Burnt by any other use.
    let token = text(&wrap("secret/data/a")["wrap_info"]["token"]);
    assert_eq!(server.ask("GET", "secret/data/a", &token, None).status, 403);
    assert!(matches!(server.ask("PUT", "sys/wrapping/unwrap", &token, None).status, 400 | 403));
    // A login that is wrapped comes out as a login, and another wrapping keeps it.
    let headers = [("X-Vault-Token", root.as_str()), ("X-Vault-Wrap-TTL", "60")];
    let made = server.ask_with("POST", "/v1/auth/token/create", &headers, br#"{"policies":["default"]}"#).json();
    assert!(made["wrap_info"]["wrapped_accessor"].is_string());
    let token = text(&made["wrap_info"]["token"]);
    let rewrapped = server.ask("PUT", "sys/wrapping/rewrap", &root, Some(&json!({"token": token}))).json();
    let token = text(&rewrapped["wrap_info"]["token"]);
    let inside = auth(&server.ask("PUT", "sys/wrapping/unwrap", &token, None));
    assert_eq!(server.ask("GET", "auth/token/lookup-self", &text(&inside["client_token"]), None).status, 200);
    // 404 and 204 are not wrapped.
    assert_eq!(wrap("secret/data/none"), json!({"errors": []}));
}

#[test]
fn a_cubbyhole_is_its_tokens_own() {
    let (server, root) = Serving::new();
    let made = |_| {
        text(
            &auth(&server.ask("POST", "auth/token/create", &root, Some(&json!({"policies": ["default"]}))))["client_token"],
        )
    };
    let [one, other] = [0, 1].map(made);
    assert_eq!(server.ask("PUT", "cubbyhole/a/b", &one, Some(&json!({"k": "v"}))).status, 204);
    assert_eq!(server.ask("GET", "cubbyhole/a/b", &one, None).data(), json!({"k": "v"}));
    assert_eq!(server.ask("LIST", "cubbyhole/a", &one, None).data()["keys"], json!(["b"]));
    for stranger in [&other, &root] {
        assert_eq!(server.ask("GET", "cubbyhole/a/b", stranger, None).status, 404);
    }
    assert_eq!(server.ask("DELETE", "cubbyhole/a/b", &one, None).status, 204);
    assert_eq!(server.ask("GET", "cubbyhole/a/b", &one, None).status, 404);
}

#[test]
fn leases_of_tokens_are_listed_looked_up_renewed_and_revoked_by_id_and_by_prefix() {
    let (server, root) = Serving::new();
    server.ask("POST", "sys/auth/userpass", &root, Some(&json!({"type": "userpass"})));
    server.ask("POST", "auth/userpass/users/ann", &root, Some(&json!({"password": "long enough", "token_ttl": "1h"})));
    let log_in = || {
        let told = server.ask("POST", "auth/userpass/login/ann", "", Some(&json!({"password": "long enough"})));
        told.json()["auth"]["client_token"].as_str().unwrap().to_owned()
    };
    let (one, two) = (log_in(), log_in());
    let list =
        |path: &str| server.ask("LIST", &format!("sys/leases/lookup/{path}"), &root, None).data()["keys"].clone();
    assert_eq!(list("auth/userpass/"), json!(["login/"]));
    let ids = list("auth/userpass/login/ann");
    assert_eq!(ids.as_array().unwrap().len(), 2);
    let lease = format!("auth/userpass/login/ann/{}", ids[0].as_str().unwrap());
    let by_id = |verb: &str, token: &str, more: serde_json::Value| {
        let mut body = json!({"lease_id": lease});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.ask("PUT", &format!("sys/leases/{verb}"), token, Some(&body))
    };
    let known = by_id("lookup", &root, json!({})).data();
    assert!(known["ttl"].as_u64() > Some(3500) && known["renewable"] == json!(true), "{known}");
    let renewed = by_id("renew", &root, json!({"increment": "2h"})).json();
    assert_eq!((renewed["lease_id"].clone(), renewed["lease_duration"].clone()), (json!(lease), json!(7200)));
    // The id of a lease is no token.
    assert_eq!(server.ask("GET", "auth/token/lookup-self", ids[0].as_str().unwrap(), None).status, 403);
    assert_eq!(by_id("revoke", &root, json!({})).status, 204);
    let alive = |token: &str| server.ask("GET", "auth/token/lookup-self", token, None).status == 200;
    assert_eq!([alive(&one), alive(&two)].iter().filter(|alive| **alive).count(), 1);
    assert_eq!(by_id("lookup", &root, json!({})).errors(), ["invalid lease"]);
    assert_eq!(server.ask("PUT", "sys/leases/revoke-prefix/auth/userpass", &root, None).status, 204);
    assert!(!alive(&one) && !alive(&two));
}

#[test]
fn wrapping_needs_a_time() {
    let (server, root) = Serving::new();
    let wrap = |time: &str| {
        let headers = [("X-Vault-Token", root.as_str()), ("X-Vault-Wrap-TTL", time)];
        server.ask_with("POST", "/v1/sys/wrapping/wrap", &headers, br#"{"a":1}"#)
    };
    for none in ["", "0"] {
        let answer = wrap(none);
        let words = "endpoint requires response wrapping to be used";
        assert_eq!((answer.status, answer.errors()), (400, vec![words.to_owned()]));
    }
    assert_eq!(wrap("30s").json()["wrap_info"]["ttl"], json!(30));
}

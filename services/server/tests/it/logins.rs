//! Logging in without a token (governance.md §10.8).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use strongroom_crypto::{JwtAlgorithm, JwtSigningKey, NewKey, PrivateKey};
use strongroom_secret::SecretBytes;
use world::control_plane::Options;

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

/// Signs claims by RS256, as issuers do.
fn signed(key: &PrivateKey, claims: &serde_json::Value) -> String {
    let pem = SecretBytes::from(key.to_pkcs8_pem().to_string());
    let signing = JwtSigningKey::from_pem(JwtAlgorithm::Rs256, &pem).unwrap();
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&json!({"alg": "RS256", "typ": "JWT", "kid": "one"})), part(claims));
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signing.sign(text.as_bytes()).unwrap()))
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

#[test]
fn whoever_has_a_signed_token_logs_in_where_each_claim_is_the_roles() {
    let (server, root) = Serving::new();
    let (key, other) = (PrivateKey::generate(NewKey::Rsa2048).unwrap(), PrivateKey::generate(NewKey::Rsa2048).unwrap());
    assert_eq!(server.ask("POST", "sys/auth/jwt", &root, Some(&json!({"type": "jwt"}))).status, 204);
    for wrong in [
        json!({}),
        json!({"jwt_validation_pubkeys": ["no key"]}),
        json!({"jwks_url": "http://127.0.0.1:9/keys"}),
        json!({"jwt_validation_pubkeys": [key.public_key_pem().unwrap()], "jwt_supported_algs": ["HS256"]}),
    ] {
        assert_eq!(server.ask("POST", "auth/jwt/config", &root, Some(&wrong)).status, 400, "{wrong}");
    }
    let config = json!({"jwt_validation_pubkeys": [key.public_key_pem().unwrap()], "bound_issuer": "https://issuer"});
    assert_eq!(server.ask("POST", "auth/jwt/config", &root, Some(&config)).status, 204);
    let unbound = json!({"user_claim": "sub", "token_policies": ["ci"]});
    assert_eq!(server.ask("POST", "auth/jwt/role/ci", &root, Some(&unbound)).status, 400);
    let role = json!({
        "role_type": "jwt", "user_claim": "sub", "bound_audiences": ["store"], "token_policies": ["ci"], "token_ttl": "10m",
        "bound_claims": {"/repository/name": ["app", "web-*"]}, "bound_claims_type": "glob",
        "claim_mappings": {"team": "team"},
    });
    assert_eq!(server.ask("POST", "auth/jwt/role/ci", &root, Some(&role)).status, 204);
    let good = json!({
        "iss": "https://issuer/", "sub": "ann", "aud": ["x", "store"], "exp": now() + 60, "team": "blue",
        "repository": {"name": "web-1"},
    });
    let log_in = |token: String| server.ask("POST", "auth/jwt/login", "", Some(&json!({"role": "ci", "jwt": token})));
    let in_ = log_in(signed(&key, &good));
    assert_eq!(in_.status, 200, "{}", in_.text);
    let auth = in_.json()["auth"].clone();
    assert_eq!(auth["token_policies"], json!(["ci", "default"]));
    assert_eq!(
        (auth["metadata"].clone(), auth["lease_duration"].clone()),
        (json!({"role": "ci", "team": "blue"}), json!(600))
    );
    let again = log_in(signed(&key, &good)).json()["auth"]["entity_id"].clone();
    assert!(auth["entity_id"] == again && again.as_str().unwrap().len() == 36, "{again}");
    let with = |name: &str, value: serde_json::Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    for (what, token) in [
        ("another key", signed(&other, &good)),
        ("over", signed(&key, &with("exp", json!(now() - 3600)))),
        ("not yet", signed(&key, &with("nbf", json!(now() + 3600)))),
        ("another audience", signed(&key, &with("aud", json!("y")))),
        ("another issuer", signed(&key, &with("iss", json!("https://evil")))),
        ("another repository", signed(&key, &with("repository", json!({"name": "evil"})))),
        ("no user", signed(&key, &with("sub", json!(null)))),
        ("no token", "x".to_owned()),
    ] {
        let refused = log_in(token);
        assert_eq!(refused.status, 400, "{what}: {}", refused.text);
    }
    // A policy that speaks of whoever logged in.
    let accessor = server.ask("GET", "sys/auth", &root, None).data()["jwt/"]["accessor"].as_str().unwrap().to_owned();
    let policy = format!(
        "path \"secret/data/{{{{identity.entity.aliases.{accessor}.metadata.team}}}}/*\" {{ capabilities = [\"read\"] }}"
    );
    assert_eq!(server.ask("PUT", "sys/policies/acl/ci", &root, Some(&json!({"policy": policy}))).status, 204);
    server.with_secrets(&root);
    for team in ["blue", "red"] {
        server.ask("PUT", &format!("secret/data/{team}/a"), &root, Some(&json!({"data": {"k": team}})));
    }
    let token = auth["client_token"].as_str().unwrap();
    assert_eq!(server.ask("GET", "secret/data/blue/a", token, None).status, 200);
    assert_eq!(server.ask("GET", "secret/data/red/a", token, None).status, 403);
}

#[test]
fn pods_log_in_by_their_service_account_as_the_api_server_reviews_it() {
    let plane = world::control_plane::ControlPlane::start(&Options::default()).unwrap();
    let (server, root) = Serving::new();
    let reviewer = plane.token_reviewer().unwrap();
    plane.apply("{apiVersion: v1, kind: Namespace, metadata: {name: team}}").unwrap();
    let authority = std::fs::read_to_string(plane.certificate_authority()).unwrap();
    assert_eq!(server.ask("POST", "sys/auth/kubernetes", &root, Some(&json!({"type": "kubernetes"}))).status, 204);
    let config = json!({
        "kubernetes_host": plane.server(), "kubernetes_ca_cert": authority, "token_reviewer_jwt": reviewer,
        "disable_local_ca_jwt": true,
    });
    assert_eq!(server.ask("POST", "auth/kubernetes/config", &root, Some(&config)).status, 204);
    let role = json!({
        "bound_service_account_names": "app", "bound_service_account_namespaces": "team", "audience": "store",
        "token_policies": "pods", "token_ttl": "1h",
    });
    assert_eq!(server.ask("POST", "auth/kubernetes/role/app", &root, Some(&role)).status, 204);
    let log_in = |role: &str, token: &str| {
        server.ask("POST", "auth/kubernetes/login", "", Some(&json!({"role": role, "jwt": token})))
    };
    let token = plane.service_account_token("team", "app", &["store"]).unwrap();
    let in_ = log_in("app", &token);
    assert_eq!(in_.status, 200, "{}", in_.text);
    let auth = in_.json()["auth"].clone();
    assert_eq!(auth["token_policies"], json!(["default", "pods"]));
    assert_eq!(auth["metadata"]["service_account_namespace"], json!("team"));
    assert_eq!(auth["metadata"]["service_account_name"], json!("app"));
    for (what, role, token, status, words) in [
        ("no such role", "nope", token.clone(), 400, "invalid role name \"nope\""),
        ("no token", "app", String::new(), 400, "missing jwt"),
        ("for others", "app", plane.service_account_token("team", "app", &[]).unwrap(), 403, "permission denied"),
        ("nonsense", "app", "a.b.c".to_owned(), 403, "permission denied"),
        (
            "another account",
            "app",
            plane.service_account_token("team", "other", &["store"]).unwrap(),
            403,
            "service account name not authorized",
        ),
        (
            "another namespace",
            "app",
            plane.service_account_token("default", "app", &["store"]).unwrap(),
            403,
            "namespace not authorized",
        ),
    ] {
        let refused = log_in(role, &token);
        assert_eq!((refused.status, refused.errors()), (status, vec![words.to_owned()]), "{what}");
    }
    // A review counts for half a minute, and no longer than its account.
    plane.kubectl(&["delete", "serviceaccount", "app", "-n", "team"]).unwrap();
    assert_eq!(log_in("app", &token).status, 200, "it was looked at just now");
    assert!(!server.logged().contains(&token), "the token is in the log");
    // The API server is gone, and another token was never looked at.
    let fresh = plane.service_account_token("team", "app", &["store"]).unwrap();
    drop(plane);
    assert_eq!(
        (log_in("app", &fresh).status, log_in("app", &fresh).errors()),
        (403, vec!["permission denied".to_owned()])
    );
    assert!(server.logged().contains("a service account's token was not taken"));
}

#[test]
fn keys_of_an_issuer_are_found_by_its_discovery_document() {
    // The API server of a cluster is an issuer with a discovery document.
    let plane = world::control_plane::ControlPlane::start(&Options::default()).unwrap();
    let (server, root) = Serving::new();
    let authority = std::fs::read_to_string(plane.certificate_authority()).unwrap();
    server.ask("POST", "sys/auth/cluster", &root, Some(&json!({"type": "jwt"})));
    let config = json!({"oidc_discovery_url": plane.server(), "oidc_discovery_ca_pem": authority});
    let configured = server.ask("POST", "auth/cluster/config", &root, Some(&config));
    assert_eq!(configured.status, 204, "{}", configured.text);
    let role = json!({
        "user_claim": "sub", "bound_audiences": "store", "bound_subject": "system:serviceaccount:default:app",
        "token_policies": "pods",
    });
    assert_eq!(server.ask("POST", "auth/cluster/role/app", &root, Some(&role)).status, 204);
    let log_in =
        |token: &str| server.ask("POST", "auth/cluster/login", "", Some(&json!({"role": "app", "jwt": token})));
    let token = plane.service_account_token("default", "app", &["store"]).unwrap();
    let in_ = log_in(&token);
    assert_eq!(in_.status, 200, "{}", in_.text);
    let other = plane.service_account_token("default", "other", &["store"]).unwrap();
    assert_eq!(log_in(&other).errors(), ["error validating token: invalid subject (sub) claim"]);
    // The keys are known: nobody has to be there.
    drop(plane);
    assert_eq!(log_in(&token).status, 200);
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

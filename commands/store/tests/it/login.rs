//! `strongroom login` and `logout`.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use super::store::{CANARY, Store, mode};

/// With the token that is kept, and no other.
fn kept(store: &Store, words: &[&str]) -> super::store::Ended {
    store.run_with(words, &[], "")
}

fn with_ann(store: &Store) {
    store.run(&["auth", "enable", "userpass"]).well();
    post(store, "auth/userpass/users/ann", &serde_json::json!({"password": CANARY, "token_policies": "reader"}));
}

/// Asks what there is no command for.
fn post(store: &Store, path: &str, body: &serde_json::Value) -> serde_json::Value {
    let asked = std::process::Command::new("curl")
        .args(["-sS", "--fail", "-H", &format!("X-Vault-Token: {}", store.token), "-d", &body.to_string()])
        .arg(format!("{}/v1/{path}", store.address))
        .output()
        .unwrap();
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    serde_json::from_slice(&asked.stdout).unwrap_or_default()
}

#[test]
fn a_password_is_read_from_where_nobody_sees_it() {
    let store = Store::new();
    with_ann(&store);
    kept(&store, &["token", "lookup"]).fails(1, "strongroom login");
    let words = ["login", "userpass", "ann"];
    let told = store.run_with(&words, &[], &format!("{CANARY}\n")).well();
    assert!(told.contains("default, reader") && told.contains(".strongroom/token"), "{told}");
    let place = store.home.join(".strongroom/token");
    assert_eq!((mode(&place), mode(place.parent().unwrap())), (0o600, 0o700));
    let token = std::fs::read_to_string(&place).unwrap();
    assert!(!told.contains(&token), "the token is shown");
    let known = kept(&store, &["token", "lookup"]).well();
    assert!(known.contains("userpass-ann") && !known.contains(&token), "{known}");
    let file = store.file("password", &format!("{CANARY}\n"));
    store.run_with(&[&words[..], &["--password-file", &file]].concat(), &[], "").well();
    let (code, screen) = store.at_terminal_with(&words, &[], &[("not shown", &|| CANARY.to_owned())]);
    assert!(code == 0 && screen.contains("kept in") && !screen.contains(CANARY), "{screen}");
    assert_ne!(std::fs::read_to_string(&place).unwrap(), token);
    store.run_with(&words, &[], "wrong").fails(1, "is not what the store knows");
    store.run_with(&words, &[], "").fails(1, "the password is empty");
    store.run_with(&["login", "userpass", "ann", "--path", "people"], &[], CANARY).fails(1, "auth/people/ (--path)");
    assert!(!store.trail().contains(CANARY), "a password is in the trail");
}

#[test]
fn a_token_is_kept_only_if_the_store_knows_it() {
    let store = Store::new();
    let token = store.run(&["token", "create", "--policy", "reader", "--field", "token"]).well();
    store.run_with(&["login"], &[], "s.canary7f3a9c51").fails(1, "403");
    assert!(!store.home.join(".strongroom").exists());
    store.run_with(&["login"], &[], &token).well();
    assert!(kept(&store, &["token", "lookup"]).well().contains("reader"));
    let set = store.run_with(&["login", "token"], &[("VAULT_TOKEN", &store.token)], &token);
    assert!(set.errors.contains("VAULT_TOKEN is set"), "{}", set.errors);
}

#[test]
fn an_approle_logs_in_with_its_ids() {
    let store = Store::new();
    store.run(&["auth", "enable", "approle", "--path", "machines"]).well();
    post(&store, "auth/machines/role/web", &serde_json::json!({"token_policies": "reader", "role_id": "web-1"}));
    let made = post(&store, "auth/machines/role/web/secret-id", &serde_json::json!({}));
    let secret = made["data"]["secret_id"].as_str().unwrap();
    let words = ["login", "approle", "--path", "machines", "--role-id", "web-1"];
    let told = store.run_with(&words, &[], secret).well();
    assert!(told.contains("reader") && !told.contains(secret), "{told}");
    assert!(kept(&store, &["token", "lookup"]).well().contains("auth/machines/login"));
    let wrong = store.run_with(&words, &[], CANARY);
    wrong.fails(1, "is not what the store knows");
}

#[test]
fn a_jwt_is_sent_with_its_role() {
    let store = Store::new();
    // The store serves no JWT yet: what is asked is looked at here.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let answer = r#"{"auth":{"client_token":"s.made","policies":["ci"],"lease_duration":3600,"renewable":true}}"#;
        let mut asked = Vec::new();
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut text = Vec::new();
            let mut piece = [0; 4096];
            while !String::from_utf8_lossy(&text).contains("}") {
                let length = stream.read(&mut piece).unwrap();
                text.extend_from_slice(&piece[..length]);
            }
            let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", answer.len());
            stream.write_all(format!("{head}{answer}").as_bytes()).unwrap();
            asked.push(String::from_utf8(text).unwrap());
        }
        asked
    });
    let variables = [("STRONGROOM_ADDR", address.as_str())];
    let words = ["login", "jwt", "--role", "ci", "--path", "ci-jobs"];
    let told = store.run_with(&words, &variables, "the.signed.jwt\n").well();
    assert!(told.contains("1h") && !told.contains("s.made"), "{told}");
    let file = store.file("pod-token", "of.the.pod");
    store.run_with(&["login", "kubernetes", "--role", "web", "--jwt-file", &file], &variables, "").well();
    let asked = serving.join().unwrap();
    assert!(asked[0].starts_with("POST /v1/auth/ci-jobs/login ") && !asked[0].to_lowercase().contains("x-vault-token"));
    assert!(asked[0].ends_with(r#"{"role":"ci","jwt":"the.signed.jwt"}"#), "{}", asked[0]);
    assert!(asked[1].starts_with("POST /v1/auth/kubernetes/login ") && asked[1].contains("of.the.pod"), "{}", asked[1]);
    assert_eq!(std::fs::read_to_string(store.home.join(".strongroom/token")).unwrap(), "s.made");
}

#[test]
fn the_first_token_that_is_found_is_taken() {
    use std::os::unix::fs::PermissionsExt as _;
    let store = Store::new();
    let make = |name: &str| store.run(&["token", "create", "--display-name", name, "--field", "token"]).well();
    let tokens = ["ours", "bao", "vault", "kept", "vaults"].map(|name| (name, make(name)));
    let variables = ["STRONGROOM_TOKEN", "BAO_TOKEN", "VAULT_TOKEN"];
    std::fs::write(store.home.join(".vault-token"), format!("{}\n", tokens[4].1)).unwrap();
    let place = store.home.join(".strongroom/token");
    std::fs::create_dir(place.parent().unwrap()).unwrap();
    std::fs::write(&place, &tokens[3].1).unwrap();
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o600)).unwrap();
    for first in 0..5 {
        if first == 4 {
            std::fs::remove_file(&place).unwrap();
        }
        let set: Vec<(&str, &str)> = (first..3).map(|place| (variables[place], tokens[place].1.as_str())).collect();
        let known = store.run_with(&["token", "lookup", "--json"], &set, "").json();
        assert_eq!(known["display_name"], format!("token-{}", tokens[first].0), "{set:?}");
    }
    // Others could have read it.
    std::fs::write(&place, &tokens[3].1).unwrap();
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o644)).unwrap();
    kept(&store, &["token", "lookup"]).fails(1, "others can read the kept token");
}

#[test]
fn logging_out_forgets_the_token_and_ends_it_where_that_is_asked_for() {
    let store = Store::new();
    let log_in = || {
        let token = store.run(&["token", "create", "--policy", "reader", "--field", "token"]).well();
        store.run_with(&["login"], &[], &token).well();
        token
    };
    let is_live = |token: &str| store.run_with(&["token", "lookup"], &[("STRONGROOM_TOKEN", token)], "").code == 0;
    let token = log_in();
    assert!(kept(&store, &["logout"]).well().contains("is gone"));
    assert!(is_live(&token) && !store.home.join(".strongroom/token").exists());
    assert_eq!(kept(&store, &["logout"]).well(), "no token was kept\n");
    let token = log_in();
    assert!(kept(&store, &["logout", "--revoke"]).well().contains("revoked"));
    assert!(!is_live(&token));
}

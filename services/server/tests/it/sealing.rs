//! A store from its first start: initialised, sealed, opened, and found again.

use serde_json::json;

use super::serving::{Serving, folder};

#[test]
fn a_store_that_people_open_is_sealed_until_they_do_and_again_when_they_say_so() {
    let folder = folder();
    let server = Serving::start(&folder, &[]);
    let health = |server: &Serving| server.ask("GET", "sys/health", "", None).status;
    assert_eq!(health(&server), 501);
    assert_eq!(server.ask("GET", "sys/health?uninitcode=299", "", None).status, 299);
    assert_eq!(server.ask("GET", "secret/x", "t", None).status, 503);
    let refused = server.ask("PUT", "sys/init", "", Some(&json!({"secret_shares": 5, "secret_threshold": 3})));
    assert!(refused.status == 400 && refused.errors()[0].contains("one"), "{}", refused.text);
    let made = server.ask("PUT", "sys/init", "", Some(&json!({"secret_shares": 1, "secret_threshold": 1}))).json();
    let (key, root) = (made["keys"][0].as_str().unwrap(), made["root_token"].as_str().unwrap());
    let again = server.ask("PUT", "sys/init", "", Some(&json!({})));
    assert_eq!((again.status, again.errors()), (400, vec!["Vault is already initialized".to_owned()]));
    assert_eq!(health(&server), 503);
    let wrong = "ab".repeat(32);
    for wrong in [wrong.as_str(), "nonsense!", ""] {
        let answer = server.ask("PUT", "sys/unseal", "", Some(&json!({"key": wrong})));
        assert_eq!(answer.status, 400, "{}", answer.text);
    }
    let opened = server.ask("PUT", "sys/unseal", "", Some(&json!({"key": key})));
    assert_eq!((opened.status, opened.json()["sealed"].clone()), (200, json!(false)));
    assert_eq!(health(&server), 200);
    server.with_secrets(root);
    server.ask("PUT", "secret/data/a", root, Some(&json!({"data": {"k": "v"}})));
    // Whoever has no right does not seal it.
    assert_eq!(server.ask("PUT", "sys/seal", "", None).status, 403);
    assert_eq!(server.ask("PUT", "sys/seal", root, None).status, 204);
    let sealed = server.ask("GET", "secret/data/a", root, None);
    assert_eq!((sealed.status, sealed.errors()), (503, vec!["Vault is sealed".to_owned()]));
    // In base64 as well, and by another process.
    drop(server);
    let server = Serving::start(&folder, &[]);
    let key = made["keys_base64"][0].as_str().unwrap();
    assert_eq!(server.ask("PUT", "sys/unseal", "", Some(&json!({"key": key}))).status, 200);
    assert_eq!(server.ask("GET", "secret/data/a", root, None).data()["data"], json!({"k": "v"}));
}

#[test]
fn a_store_with_a_key_in_a_file_opens_itself_says_where_the_key_lies_and_not_without_it() {
    let (server, root) = Serving::new();
    assert!(server.logged().contains("lies beside the data"), "{}", server.logged());
    server.with_secrets(&root);
    let folder = server.stop();
    let server = Serving::over(&folder, &[]);
    assert_eq!(server.ask("GET", "sys/health", "", None).status, 200);
    let status = server.ask("GET", "sys/seal-status", "", None).json();
    assert_eq!((status["type"].clone(), status["storage_type"].clone()), (json!("file"), json!("redb")));
    // The whole data folder is another server's.
    let second = Serving::spawn(&["server", "--listen=127.0.0.1:0", &format!("--data={}", folder.path().display())]);
    let ended = second.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success() && told.contains("another process has it open"), "{told}");
    server.stop();
    std::fs::rename(folder.path().join("seal.key"), folder.path().join("away")).unwrap();
    let seal = format!("--seal=file:{}", folder.path().join("seal.key").display());
    let data = format!("--data={}", folder.path().display());
    let ended = Serving::spawn(&["server", "--listen=127.0.0.1:0", &data, &seal]).wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success() && told.contains("seal.key") && told.contains("bring the file back"), "{told}");
}

#[test]
fn plain_http_is_for_loopback_unless_somebody_insists() {
    let folder = folder();
    let data = format!("--data={}", folder.path().display());
    let ended = Serving::spawn(&["server", "--listen=0.0.0.0:0", &data]).wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success() && told.contains("--tls-certificate"), "{told}");
    assert!(!folder.path().join("store.redb").exists(), "nothing was begun");
}

#[test]
fn a_store_that_kms_seals_opens_itself_and_not_where_kms_does_not_answer() {
    let moto = world::moto::Moto::start().unwrap();
    let made = moto.call("eu-west-1", "TrentService.CreateKey", &json!({})).unwrap();
    let key = made["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned();
    let (folder, seal) = (folder(), format!("--seal=awskms:{key}"));
    let variables = |endpoint: &str| {
        [
            ("AWS_ENDPOINT_URL_KMS".to_owned(), endpoint.to_owned()),
            ("AWS_REGION".to_owned(), "eu-west-1".to_owned()),
            ("AWS_ACCESS_KEY_ID".to_owned(), "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), "test".to_owned()),
        ]
    };
    opens_itself(&folder, &seal, "awskms", &variables(moto.endpoint()));
    let told = Serving::fails(&folder, &seal, &variables("http://127.0.0.1:9"));
    assert!(told.contains("KMS"), "{told}");
}

#[test]
fn a_store_that_another_ones_transit_engine_seals_opens_itself_and_not_without_that_one() {
    let bao = world::open_bao::OpenBao::start().unwrap();
    bao.command(&["secrets", "enable", "transit"]).unwrap();
    bao.command(&["write", "-f", "transit/keys/seal"]).unwrap();
    let (folder, seal) = (folder(), "--seal=transit:transit/seal");
    let variables = |address: &str, token: &str| {
        [("VAULT_ADDR".to_owned(), address.to_owned()), ("VAULT_TOKEN".to_owned(), token.to_owned())]
    };
    opens_itself(&folder, seal, "transit", &variables(bao.address(), bao.root_token()));
    let told = Serving::fails(&folder, seal, &variables(bao.address(), "s.none"));
    assert!(told.contains("permission denied") || told.contains("refused"), "{told}");
    // Another seal than the one that it was made with.
    let told = Serving::fails(&folder, "--seal=shamir", &[]);
    assert!(told.contains("sealed by transit, and shamir is configured"), "{told}");
}

fn opens_itself(folder: &std::sync::Arc<tempfile::TempDir>, seal: &str, kind: &str, variables: &[(String, String)]) {
    let server = Serving::start_with(folder, &[seal], variables);
    let root = server.initialise();
    server.with_secrets(&root);
    server.ask("PUT", "secret/data/a", &root, Some(&json!({"data": {"k": "v"}})));
    let status = server.ask("GET", "sys/seal-status", "", None).json();
    assert_eq!((status["type"].clone(), status["sealed"].clone()), (json!(kind), json!(false)));
    server.stop();
    let server = Serving::start_with(folder, &[seal], variables);
    assert_eq!(server.ask("GET", "secret/data/a", &root, None).data()["data"], json!({"k": "v"}));
    server.stop();
}

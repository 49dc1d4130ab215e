//! Application Default Credentials of every kind.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};
use strongroom_failure::Class;
use strongroom_google::{Credentials, SecretManager, Settings};
use strongroom_provider::{Provider, SecretBytes};
use world::google::GoogleStandIn;
use world::switchboard::{Fault, Switchboard};

use crate::{CANARY, check_failure, failure, open, open_metered, read, read_one, settings, text};

fn with_file(google: &GoogleStandIn, file: &Path) -> Settings {
    Settings { credentials: Some(Credentials::File(file.to_owned())), ..settings(google) }
}

fn with_json(google: &GoogleStandIn, json: &Value) -> Settings {
    Settings { credentials: Some(Credentials::Json(SecretBytes::from(json.to_string()))), ..settings(google) }
}

fn json_of(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn stand_in() -> GoogleStandIn {
    let google = GoogleStandIn::start().unwrap();
    google.put(google.project(), "db", b"value");
    google
}

#[tokio::test]
async fn every_kind_of_credentials_reads() {
    let google = stand_in();
    let files = [
        (google.service_account_file(), "service account "),
        (google.authorized_user_file(), "the user who logged in"),
        (google.external_account_file(), "the federated identity of "),
        (google.impersonating_account_file(), "acted for by the federated identity of "),
    ];
    for (file, identity) in files {
        let (store, meter) = open_metered(with_file(&google, file));
        assert!(store.identity().contains(identity), "{}", store.identity());
        assert_eq!(text(&read_one(&store, "db").await), "value", "{}", store.identity());
        assert_eq!(text(&read_one(&store, "db").await), "value");
        assert_eq!(meter.counts().len(), 2, "one token for all reads: {:?}", meter.counts());
    }
    let metadata = Settings { credentials: Some(Credentials::Metadata), ..settings(&google) };
    let store = open(metadata);
    assert!(store.identity().contains("metadata server"), "{}", store.identity());
    assert_eq!(text(&read_one(&store, "db").await), "value");
}

#[tokio::test]
async fn an_impersonated_service_account_acts_for_a_user() {
    let google = stand_in();
    let address = json_of(google.impersonating_account_file())["service_account_impersonation_url"].take();
    let source = json_of(google.authorized_user_file());
    let account = json!({
        "type": "impersonated_service_account",
        "service_account_impersonation_url": address,
        "delegates": [],
        "source_credentials": source,
    });
    let store = open(with_json(&google, &account));
    assert!(store.identity().contains("acted for by the user who logged in"), "{}", store.identity());
    assert_eq!(text(&read_one(&store, "db").await), "value");
    let twice = json!({
        "type": "impersonated_service_account",
        "service_account_impersonation_url": "https://x",
        "source_credentials": account,
    });
    let failure = SecretManager::open(with_json(&google, &twice), Default::default()).err().unwrap();
    assert_eq!(failure.class, Class::Invalid);
}

#[tokio::test]
async fn credentials_are_found_where_googles_tools_look() {
    let google = stand_in();
    let found = |pairs: Vec<(&'static str, String)>| {
        let lookup = move |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        let settings = Settings { credentials: None, ..settings(&google) };
        open(settings.completed(&lookup).unwrap())
    };
    let path = google.authorized_user_file().display().to_string();
    let named = found(vec![("GOOGLE_APPLICATION_CREDENTIALS", path)]);
    assert!(named.identity().contains("the user who logged in"), "{}", named.identity());

    let home = tempfile::tempdir().unwrap();
    let home_path = home.path().display().to_string();
    let nothing = found(vec![("HOME", home_path.clone())]);
    assert!(nothing.identity().contains("metadata server"), "{}", nothing.identity());
    let directory = home.path().join(".config/gcloud");
    std::fs::create_dir_all(&directory).unwrap();
    let login = std::fs::read(google.authorized_user_file()).unwrap();
    let file = directory.join("application_default_credentials.json");
    std::fs::File::create(&file).unwrap().write_all(&login).unwrap();
    let logged_in = found(vec![("HOME", home_path)]);
    assert!(logged_in.identity().contains(".config/gcloud"), "{}", logged_in.identity());
    assert_eq!(text(&read_one(&logged_in, "db").await), "value");
    assert_eq!(text(&read_one(&nothing, "db").await), "value");
}

#[tokio::test]
async fn a_subject_token_is_read_anew_each_time_and_may_be_json() {
    let google = stand_in();
    let mut account = json_of(google.external_account_file());
    let original = account["credential_source"]["file"].as_str().unwrap().to_owned();
    let subject = std::fs::read_to_string(&original).unwrap();
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("token.json");
    account["credential_source"] =
        json!({"file": file, "format": {"type": "json", "subject_token_field_name": "id_token"}});
    let store = open(with_json(&google, &account));
    check_failure(&read_one(&store, "db").await, Class::Unauthenticated, "cannot read ");
    let write = |content: Value| {
        std::fs::File::create(&file).unwrap().write_all(content.to_string().as_bytes()).unwrap();
    };
    write(json!({"other": CANARY}));
    check_failure(&read_one(&store, "db").await, Class::Unauthenticated, "the source of the token holds none");
    write(json!({"id_token": subject.trim(), "other": CANARY}));
    assert_eq!(text(&read_one(&store, "db").await), "value");
}

#[tokio::test]
async fn a_token_service_that_fails_is_asked_once_for_many_keys() {
    let google = stand_in();
    let board = Switchboard::with_tls(google.host_port(), google.authority()).unwrap();
    let mut account = json_of(google.service_account_file());
    account["token_uri"] = json!(format!("{}/token", board.address()));
    let store = open(with_json(&google, &account));
    let down = r#"{"error":{"status":"UNAVAILABLE","message":"later"}}"#;
    let denied = r#"{"error":{"status":"PERMISSION_DENIED","message":"not you"}}"#;
    let grant = r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#;
    let throttled = Class::Throttled { retry_after: Some(std::time::Duration::from_secs(4)) };
    let faults = [
        (Fault::answer(503, &[], down), Class::Unavailable, "could not answer: UNAVAILABLE: later"),
        (Fault::answer(403, &[], denied), Class::Denied, "denies it: PERMISSION_DENIED: not you"),
        (Fault::answer(400, &[], grant), Class::Unauthenticated, "invalid_grant: Invalid JWT Signature"),
        (Fault::throttle(Some(4)), throttled, "asks for patience"),
        (Fault::cut_body(), Class::Unavailable, "before its answer was whole"),
        (Fault::answer(200, &[], r#"{"access_token":["canary-9d41"]}"#), Class::Invalid, "not the JSON"),
    ];
    for (fault, class, words) in faults {
        board.clear();
        board.reset_counts();
        board.add(fault);
        let answers = read(&store, &["db"; 20]).await;
        for answer in &answers {
            check_failure(answer, class, words);
            check_failure(answer, class, "no access token as service account ");
        }
        assert_eq!(board.counts().requests, 1, "{words}");
    }
    board.clear();
    assert_eq!(text(&read_one(&store, "db").await), "value");
}

#[tokio::test]
async fn what_was_sent_is_masked_in_what_comes_back() {
    let google = stand_in();
    let board = Switchboard::with_tls(google.host_port(), google.authority()).unwrap();
    let mut user = json_of(google.authorized_user_file());
    user["token_uri"] = json!(format!("{}/token", board.address()));
    let refresh_token = user["refresh_token"].as_str().unwrap().to_owned();
    let words = json!({"error": "invalid_grant", "error_description": format!("bad token {refresh_token}")});
    board.add(Fault::answer(400, &[], &words.to_string()));
    let answer = read_one(&open(with_json(&google, &user)), "db").await;
    check_failure(&answer, Class::Unauthenticated, "invalid_grant: bad token [redacted]");
    assert!(!format!("{answer:?}").contains(&refresh_token), "the refresh token is shown");
}

#[tokio::test]
async fn a_machine_without_credentials_hears_what_to_do() {
    let google = stand_in();
    let nowhere =
        Settings { credentials: None, metadata_host: Some("metadata.invalid".to_owned()), ..settings(&google) };
    let answer = read_one(&open(nowhere), "db").await;
    check_failure(&answer, Class::Unauthenticated, "no access token as the default service account");
    assert!(failure(&answer).hint.as_ref().unwrap().contains("GOOGLE_APPLICATION_CREDENTIALS"));
}

#[test]
fn credentials_that_cannot_be_used_are_named_and_not_quoted() {
    let google = stand_in();
    let check = |settings: Settings, expected: &str| {
        let failure = SecretManager::open(settings, Default::default()).err().unwrap();
        let shown = format!("{failure} {failure:?}");
        assert_eq!(failure.class, Class::Invalid, "{failure}");
        assert!(failure.to_string().contains(expected), "{failure}");
        assert!(!shown.contains(CANARY), "a secret is shown");
    };
    check(with_file(&google, Path::new("/nowhere/key.json")), "credentials: cannot read /nowhere/key.json");
    check(with_file(&google, Path::new("/dev/zero")), "/dev/zero is not a regular file");
    check(with_json(&google, &json!(CANARY)), "credentials: these are no credentials of Google (line 1");
    check(with_json(&google, &json!({"type": CANARY})), "credentials of this type are not supported");
    let missing = json!({"type": "service_account", "private_key": CANARY});
    check(with_json(&google, &missing), "missing field `client_email`");
    let unfit = json!({"type": "service_account", "client_email": "a@b", "private_key": CANARY});
    check(with_json(&google, &unfit), "private_key is not an RSA key in PEM");
    let external = |source: Value| json!({"type": "external_account", "audience": "a", "subject_token_type": "t", "token_url": "https://x", "credential_source": source});
    check(with_json(&google, &external(json!({}))), "one of file and url is needed");
    check(with_json(&google, &external(json!({"environment_id": "aws1"}))), "credentials of AWS");
    check(with_json(&google, &external(json!({"executable": {"command": "x"}}))), "an executable");
    check(with_json(&google, &external(json!({"file": "/x", "format": {"type": "xml"}}))), "text or json");
}

//! Values and versions.

use strongroom_failure::Class;
use strongroom_google::Settings;
use strongroom_provider::{Outcome, Provider, RemoteKey, Version};
use world::google::GoogleStandIn;

use crate::{CANARY, check_failure, open, open_metered, read, read_one, settings, text, whole};

#[tokio::test]
async fn si_16_every_form_of_name_is_read() {
    let google = GoogleStandIn::start().unwrap();
    google.put(google.project(), "db", b"first");
    google.put(google.project(), "db", b"second");
    google.put("other-project", "db", b"elsewhere");
    let store = open(settings(&google));
    let name = whole(&google, "db");
    let first = format!("{name}/versions/1");
    let latest = format!("{name}/versions/latest");
    let other = "projects/other-project/secrets/db";
    let answers = read(&store, &[&name, &first, &latest, "db", "db/versions/1", other]).await;
    let values: Vec<_> = answers.iter().map(text).collect();
    assert_eq!(values, ["second", "first", "second", "second", "first", "elsewhere"]);
    let versions: Vec<_> = answers.iter().map(|answer| answer.as_ref().unwrap().version.as_deref()).collect();
    assert_eq!(versions, [Some("2"), Some("1"), Some("2"), Some("2"), Some("1"), Some("1")]);
}

#[tokio::test]
async fn one_bad_key_spoils_only_its_own_answer() {
    let google = GoogleStandIn::start().unwrap();
    google.put(google.project(), "a", b"value a");
    google.put(google.project(), "b", b"value b");
    let (store, meter) = open_metered(settings(&google));
    let answers = read(&store, &["a", "missing", "not a name", "b"]).await;
    assert_eq!((text(&answers[0]), text(&answers[3])), ("value a", "value b"));
    check_failure(&answers[1], Class::NotFound, "cannot read \"missing\" from Google Secret Manager (project ");
    check_failure(&answers[2], Class::Invalid, "this does not name a secret version");
    let counts = meter.counts();
    assert!(counts.contains(&("secretmanager.versions.access", Outcome::Answered, 3)), "{counts:?}");
    assert!(counts.contains(&("oauth2.token", Outcome::Answered, 1)), "{counts:?}");
}

#[tokio::test]
async fn versions_and_aliases_are_read() {
    let google = GoogleStandIn::start().unwrap();
    let first = google.put(google.project(), "db", b"first");
    google.put(google.project(), "db", b"second");
    google.alias(google.project(), "db", "stable", first).unwrap();
    let store = open(settings(&google));
    let keys = [
        RemoteKey::at("db", Version::Id("2".to_owned())),
        RemoteKey::at("db", Version::Stage("stable".to_owned())),
        RemoteKey::at("db", Version::Id("9".to_owned())),
        RemoteKey::at("db", Version::Stage("unknown".to_owned())),
    ];
    let answers = store.read(&keys).await;
    assert_eq!((text(&answers[0]), text(&answers[1])), ("second", "first"));
    assert_eq!(answers[1].as_ref().unwrap().version.as_deref(), Some("1"));
    check_failure(&answers[2], Class::NotFound, "not found: NOT_FOUND");
    // Google does not say for certain which of its codes an unknown alias gives; neither gives a value.
    assert!(matches!(answers[3].as_ref().unwrap_err().class, Class::NotFound | Class::Invalid));
}

#[tokio::test]
async fn bytes_come_as_they_are_up_to_the_largest() {
    let google = GoogleStandIn::start().unwrap();
    let every_byte: Vec<u8> = (0..=255).collect();
    let largest: Vec<u8> = every_byte.iter().copied().cycle().take(64 * 1024).collect();
    google.put(google.project(), "binary", &every_byte);
    google.put(google.project(), "largest", &largest);
    google.put(google.project(), "empty", b"");
    let answers = read(&open(settings(&google)), &["binary", "largest", "empty"]).await;
    for (answer, expected) in answers.iter().zip([&every_byte, &largest, &Vec::new()]) {
        assert!(answer.as_ref().unwrap().value.expose() == expected, "{} bytes differ", expected.len());
    }
}

#[tokio::test]
async fn regional_secrets_are_read_by_their_whole_name_or_by_the_settings() {
    let google = GoogleStandIn::start().unwrap();
    google.put_regional(google.project(), "europe-west3", "db", b"regional");
    google.put(google.project(), "db", b"global");
    let regional = format!("projects/{}/locations/europe-west3/secrets/db", google.project());
    let global = whole(&google, "db");
    let store = open(settings(&google));
    let answers = read(&store, &[&regional, "db"]).await;
    assert_eq!((text(&answers[0]), text(&answers[1])), ("regional", "global"));
    let located = Settings { location: Some("europe-west3".to_owned()), ..settings(&google) };
    let store = open(located);
    assert_eq!(store.describe(), format!("Google Secret Manager (project {}, europe-west3)", google.project()));
    let answers = read(&store, &["db", &global]).await;
    assert_eq!((text(&answers[0]), text(&answers[1])), ("regional", "global"));
}

#[tokio::test]
async fn what_cannot_be_read_says_why() {
    let google = GoogleStandIn::start().unwrap();
    let project = google.project().to_owned();
    let disabled = google.put(&project, "disabled", CANARY.as_bytes());
    google.disable(&project, "disabled", disabled).unwrap();
    let destroyed = google.put(&project, "destroyed", CANARY.as_bytes());
    google.destroy(&project, "destroyed", destroyed).unwrap();
    google.put(&project, "denied", CANARY.as_bytes());
    google.deny(&project, "denied");
    google.put(&project, "corrupt", CANARY.as_bytes());
    google.corrupt(&project, "corrupt");
    let store = open(settings(&google));
    let names = ["disabled/versions/1", "destroyed/versions/1", "denied", "corrupt", "missing"];
    let answers = read(&store, &names).await;
    check_failure(&answers[0], Class::Invalid, "this version cannot be read as it is: FAILED_PRECONDITION");
    check_failure(&answers[1], Class::Invalid, "this version cannot be read as it is: FAILED_PRECONDITION");
    check_failure(&answers[2], Class::Denied, "access denied: PERMISSION_DENIED");
    check_failure(&answers[3], Class::Unavailable, "its checksum does not fit");
    check_failure(&answers[4], Class::NotFound, "not found: NOT_FOUND");
    let hint = answers[2].as_ref().unwrap_err().hint.clone().unwrap();
    assert!(hint.contains("roles/secretmanager.secretAccessor") && hint.contains(&store.identity()), "{hint}");
    google.allow(&project, "denied");
    assert_eq!(text(&read_one(&store, "denied").await), CANARY);
}

#[tokio::test]
async fn costs_are_told_before_anything_is_asked() {
    let google = GoogleStandIn::start().unwrap();
    let (store, meter) = open_metered(settings(&google));
    let plan = store.plan(&[RemoteKey::current("a"), RemoteKey::current("b")]);
    let told: Vec<_> = plan.iter().map(|call| (call.operation.as_str(), call.keys.as_slice())).collect();
    assert_eq!(told, [("secretmanager.versions.access", &[0][..]), ("secretmanager.versions.access", &[1][..])]);
    assert!(store.identity().contains("service account "), "{}", store.identity());
    assert_eq!((meter.counts().len(), google.tokens_issued()), (0, 0));
}

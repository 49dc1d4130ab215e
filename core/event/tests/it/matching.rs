use std::collections::BTreeMap;

use serde_json::json;
use strongroom_event::{Change, Place, aws, google, stems, webhook};
use strongroom_reference::ProviderKind;

fn put(secret: &str) -> Change {
    let message = json!({
        "source": "aws.secretsmanager", "region": "eu-west-1", "account": "1",
        "detail": {"eventName": "PutSecretValue", "requestParameters": {"secretId": secret}},
    });
    aws::parse(message.to_string().as_bytes()).unwrap().unwrap()
}

fn rotated(arn: &str) -> Change {
    let message = json!({
        "source": "aws.secretsmanager", "region": "eu-west-1", "account": "1",
        "detail": {"eventName": "RotationSucceeded", "additionalEventData": {"SecretId": arn}},
    });
    aws::parse(message.to_string().as_bytes()).unwrap().unwrap()
}

fn parameter(name: &str) -> Change {
    let message = json!({
        "source": "aws.ssm", "detail-type": "Parameter Store Change", "region": "eu-west-1", "account": "1",
        "detail": {"operation": "Update", "name": name},
    });
    aws::parse(message.to_string().as_bytes()).unwrap().unwrap()
}

fn notified(secret: &str) -> Change {
    let attributes = [("eventType", "SECRET_VERSION_ADD"), ("secretId", secret)];
    let attributes: BTreeMap<_, _> = attributes.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
    google::parse(&attributes, None).unwrap().unwrap()
}

/// Whether the change concerns the key, and whether the key would be found by its stem: never the one without the
/// other.
fn is_read(change: &Change, key: &str, place: &Place) -> bool {
    let is_read = change.is_read_as(key, place);
    let is_found = change.stems(&place.prefix).iter().any(|stem| stems(key).contains(stem));
    assert!(is_found || !is_read, "{key} is read but not found");
    is_read
}

#[test]
fn a_secret_of_aws_is_known_in_all_its_spellings() {
    let place = Place { region: Some("eu-west-1".into()), ..Place::of(ProviderKind::AwsSecretsManager) };
    let arn =
        |region: &str, account: &str, rest: &str| format!("arn:aws:secretsmanager:{region}:{account}:secret:{rest}");
    let whole = arn("eu-west-1", "1", "team/db-AbCdEf");
    for change in [put("team/db"), put(&arn("eu-west-1", "1", "team/db")), put(&whole), rotated(&whole)] {
        let check = |key: &str, expected: bool| assert_eq!(is_read(&change, key, &place), expected, "{change:?} {key}");
        check("team/db", true);
        check(&whole, true);
        check(&arn("eu-west-1", "1", "team/db"), true);
        check("team/dbx", false);
        check("db", false);
        check("team/db/more", false);
        check(&arn("eu-west-1", "2", "team/db-AbCdEf"), false);
        check(&arn("us-east-1", "1", "team/db-AbCdEf"), false);
        assert!(!is_read(&change, "team/db", &Place { region: Some("us-east-1".into()), ..place.clone() }));
        assert!(!is_read(&change, "team/db", &Place::of(ProviderKind::AwsParameterStore)));
    }
    // A name may look as if it had the suffix; the store's own ARN says that it has none.
    assert!(!is_read(&rotated(&whole), "team/db-AbCdEf", &place));
    assert!(is_read(&rotated(&arn("eu-west-1", "1", "db-string-AbCdEf")), "db-string", &place));
    assert!(!is_read(&rotated(&arn("eu-west-1", "1", "db-string-AbCdEf")), "db", &place));
}

#[test]
fn a_stores_prefix_belongs_to_the_key() {
    let place = |prefix: &str| Place { prefix: prefix.into(), ..Place::of(ProviderKind::AwsSecretsManager) };
    assert!(is_read(&put("prod/db"), "db", &place("prod/")));
    assert!(is_read(&put("prod-db"), "db", &place("prod-")));
    assert!(!is_read(&put("prod/db"), "prod/db", &place("prod/")));
    assert!(!is_read(&put("test/db"), "db", &place("prod/")));
    let parameters = Place { prefix: "/prod/".into(), ..Place::of(ProviderKind::AwsParameterStore) };
    assert!(is_read(&parameter("/prod/db"), "db", &parameters));
}

#[test]
fn a_parameter_is_known_with_its_version_and_by_its_arn() {
    let place = Place::of(ProviderKind::AwsParameterStore);
    for (name, key, expected) in [
        ("/team/db", "/team/db", true),
        ("/team/db", "/team/db:3", true),
        ("/team/db", "arn:aws:ssm:eu-west-1:1:parameter/team/db", true),
        ("/team/db", "arn:aws:ssm:us-east-1:1:parameter/team/db", false),
        ("db", "db", true),
        ("db", "arn:aws:ssm:eu-west-1:1:parameter/db", true),
        ("/team/db", "/team", false),
    ] {
        assert_eq!(is_read(&parameter(name), key, &place), expected, "{name} {key}");
    }
}

#[test]
fn a_secret_of_google_is_known_by_its_projects_id_or_number() {
    let place = |project: &str| Place { project: Some(project.into()), ..Place::of(ProviderKind::GoogleSecretManager) };
    let check = |secret: &str, key: &str, project: &str, expected: bool| {
        assert_eq!(is_read(&notified(secret), key, &place(project)), expected, "{secret} {key} {project}");
    };
    // Which project has the number is not known: one read too many is better than none.
    check("projects/123/secrets/db", "db", "shop", true);
    check("projects/123/secrets/db", "projects/123/secrets/db/versions/4", "shop", true);
    check("projects/123/secrets/db", "projects/124/secrets/db", "shop", false);
    check("projects/shop/secrets/db", "db", "shop", true);
    check("projects/shop/secrets/db", "db", "bank", false);
    check("projects/shop/locations/europe-west3/secrets/db", "db/versions/2", "shop", true);
    check("projects/123/secrets/db", "other", "shop", false);
}

#[test]
fn a_search_is_concerned_by_what_it_may_find() {
    let place = Place::of(ProviderKind::AwsParameterStore);
    let change = parameter("/team/db/password");
    let check = |path: Option<&str>, name: &str, expected: bool| {
        assert_eq!(change.may_be_found(path, |found| found.contains(name), &place), expected, "{path:?} {name}");
    };
    check(None, "", true);
    check(Some("/team/"), "", true);
    check(Some("team/db"), "password", true);
    check(Some("/other/"), "", false);
    check(None, "token", false);
    check(None, "/team", true);
    assert!(!change.may_be_found(None, |_| true, &Place::of(ProviderKind::Vault)));
}

#[test]
fn what_a_request_names_is_the_key_as_objects_write_it() {
    let change = |body: &str| webhook::parse(body.as_bytes()).unwrap();
    let vault = change(r#"{"provider": "vault", "key": "team/db"}"#);
    assert!(is_read(&vault, "team/db", &Place::of(ProviderKind::Vault)));
    assert!(!is_read(&vault, "team/dbs", &Place::of(ProviderKind::Vault)));
    let azure = change(r#"{"provider": "azure-kv", "key": "db"}"#);
    assert!(is_read(&azure, "secret/db", &Place::of(ProviderKind::AzureKeyVault)));
    assert!(!is_read(&azure, "cert/db", &Place::of(ProviderKind::AzureKeyVault)));
}

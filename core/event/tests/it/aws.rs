use serde_json::{Value, json};
use strongroom_event::{Happening, aws};
use strongroom_reference::ProviderKind;

const ARN: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:team/db-AbCdEf";

fn message(detail: &Value) -> Vec<u8> {
    json!({
        "version": "0", "id": "6a7e", "detail-type": "AWS API Call via CloudTrail", "source": "aws.secretsmanager",
        "account": "111122223333", "region": "eu-west-1", "resources": [], "detail": detail,
    })
    .to_string()
    .into_bytes()
}

#[test]
fn events_of_secrets_manager_name_the_secret_and_what_happened() {
    let check = |detail: Value, expected: Option<(&str, Happening)>| {
        let change = aws::parse(&message(&detail)).unwrap();
        let found = change.as_ref().map(|change| (change.name(), change.happening));
        assert_eq!(found, expected, "{detail}");
        assert!(change.is_none_or(|change| change.provider == ProviderKind::AwsSecretsManager));
    };
    let call = |name: &str| json!({"eventName": name, "requestParameters": {"secretId": "team/db"}});
    let of = |happening| Some(("team/db", happening));
    check(call("PutSecretValue"), of(Happening::Written));
    check(call("UpdateSecretVersionStage"), of(Happening::Written));
    check(call("UpdateSecret"), of(Happening::Updated));
    check(call("DeleteSecret"), of(Happening::Removed));
    check(call("RestoreSecret"), of(Happening::Restored));
    check(json!({"eventName": "CreateSecret", "requestParameters": {"name": "team/db"}}), of(Happening::Updated));
    let rotated = json!({
        "eventName": "RotationSucceeded", "requestParameters": null, "responseElements": null,
        "additionalEventData": {"SecretId": ARN},
    });
    check(rotated, of(Happening::Written));
    // The letters of `arn` differ, and a person's ARN may lack what the store's has.
    for arn in ["arn", "aRN", "ARN"] {
        let asked = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:team/db";
        check(
            json!({"eventName": "PutSecretValue", "requestParameters": {"secretId": asked}, "responseElements": {arn: ARN}}),
            of(Happening::Written),
        );
    }
    for nothing_new in ["GetSecretValue", "RotateSecret", "RotationStarted", "RotationFailed", "DescribeSecret"] {
        check(call(nothing_new), None);
    }
    let refused = json!({
        "eventName": "PutSecretValue", "errorCode": "AccessDenied", "requestParameters": {"secretId": "team/db"},
    });
    check(refused, None);
}

#[test]
fn events_of_parameter_store_name_the_parameter() {
    let parsed = |kind: &str, detail: Value| {
        let message = json!({
            "id": "6a7e", "detail-type": kind, "source": "aws.ssm", "account": "1", "region": "eu-west-1",
            "resources": ["arn:aws:ssm:eu-west-1:1:parameter/team/db"], "detail": detail,
        });
        aws::parse(message.to_string().as_bytes()).unwrap()
    };
    let check = |operation: &str, happening| {
        let change = parsed("Parameter Store Change", json!({"operation": operation, "name": "/team/db"})).unwrap();
        assert_eq!(change.provider, ProviderKind::AwsParameterStore);
        assert_eq!((change.name(), change.happening), ("team/db", happening));
        assert_eq!(change.id.as_deref(), Some("6a7e"));
    };
    check("Create", Happening::Written);
    check("Update", Happening::Written);
    check("LabelParameterVersion", Happening::Written);
    check("Delete", Happening::Removed);
    assert_eq!(parsed("Parameter Store Policy Action", json!({"parameter-name": "/team/db"})), None);
}

#[test]
fn what_cannot_be_read_is_refused_without_being_quoted() {
    let check = |body: &[u8], words: &str| {
        let failure = aws::parse(body).unwrap_err();
        assert!(failure.words.contains(words) && !failure.to_string().contains("canary"), "{failure}");
    };
    check(b"canary", "no event of EventBridge");
    check(br#"{"canary": true}"#, "no event of EventBridge");
    check(br#"{"detail": {"canary": true}}"#, "no eventName");
    check(br#"{"detail": {"eventName": "PutSecretValue", "requestParameters": {"canary": 1}}}"#, "names no secret");
    check(br#"{"detail": {"eventName": "PutSecretValue", "requestParameters": {"secretId": ""}}}"#, "empty key");
    check(br#"{"source": "aws.ssm", "detail-type": "Parameter Store Change", "detail": {}}"#, "names no parameter");
    let long =
        json!({"detail": {"eventName": "PutSecretValue", "requestParameters": {"secretId": "canary".repeat(1000)}}});
    check(long.to_string().as_bytes(), "longer than keys are");
    check(&vec![b' '; strongroom_event::SIZE_LIMIT + 1], "larger than SQS");
    let deep = "[".repeat(200_000);
    check(format!(r#"{{"detail": {deep}"#).as_bytes(), "no event of EventBridge");
}

#[test]
fn events_of_other_services_are_none_of_ours() {
    let other = json!({"source": "aws.ec2", "detail": {"eventName": "RunInstances"}});
    assert_eq!(aws::parse(other.to_string().as_bytes()).unwrap(), None);
}

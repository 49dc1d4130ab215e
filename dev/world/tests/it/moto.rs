//! AWS as moto speaks it, and as boto3 understands it.

use std::sync::LazyLock;

use serde_json::{Value as Json, json};
use world::moto::{Kind, Moto, Value};
use world::python;

static MOTO: LazyLock<Moto> = LazyLock::new(|| Moto::start().unwrap());

/// Names that other tests in this binary do not use: they share the server.
const REGION: &str = "eu-west-1";

#[test]
fn a_batch_answers_each_secret() {
    MOTO.put_secret(REGION, "batch/text", Value::Text("plain")).unwrap();
    MOTO.put_secret(REGION, "batch/binary", Value::Binary(&[0, 159, 255])).unwrap();
    let request = json!({"SecretIdList": ["batch/text", "batch/binary", "batch/missing"]});
    let answer = MOTO.call(REGION, "secretsmanager.BatchGetSecretValue", &request).unwrap();
    let values = answer["SecretValues"].as_array().unwrap();
    let find = |name: &str| values.iter().find(|value| value["Name"] == name).unwrap();
    assert_eq!(find("batch/text")["SecretString"], "plain");
    assert_eq!(find("batch/binary")["SecretBinary"], "AJ//");
    assert_eq!(answer["Errors"][0]["SecretId"], "batch/missing");
    assert_eq!(answer["Errors"][0]["ErrorCode"], "ResourceNotFoundException");
}

#[test]
fn versions_and_their_stages() {
    let read = |stage: &str| -> Json {
        let request = json!({"SecretId": "staged", "VersionStage": stage});
        MOTO.call(REGION, "secretsmanager.GetSecretValue", &request).unwrap()
    };
    let first = MOTO.put_secret(REGION, "staged", Value::Text("one")).unwrap();
    let second = MOTO.put_secret_version(REGION, "staged", Value::Text("two"), &[]).unwrap();
    MOTO.put_secret_version(REGION, "staged", Value::Text("three"), &["canary"]).unwrap();
    assert_eq!(first.arn, second.arn);
    assert!(first.arn.starts_with("arn:aws:secretsmanager:eu-west-1:"), "{}", first.arn);
    assert_eq!(
        (&read("AWSCURRENT")["SecretString"], &read("AWSPREVIOUS")["SecretString"]),
        (&json!("two"), &json!("one"))
    );
    assert_eq!(read("canary")["SecretString"], "three");
    assert_eq!(read("AWSCURRENT")["VersionId"], second.version.as_str());
}

#[test]
fn parameters_and_their_labels() {
    let read = |name: &str| -> Json {
        let request = json!({"Names": [name], "WithDecryption": true});
        MOTO.call(REGION, "AmazonSSM.GetParameters", &request).unwrap()
    };
    let first = MOTO.put_parameter(REGION, "/app/key", Kind::SecureString, "old").unwrap();
    let second = MOTO.put_parameter(REGION, "/app/key", Kind::SecureString, "new").unwrap();
    MOTO.label_parameter(REGION, "/app/key", first, &["stable"]).unwrap();
    assert_eq!((first, second), (1, 2));
    assert_eq!(read("/app/key")["Parameters"][0]["Value"], "new");
    assert_eq!(read("/app/key:1")["Parameters"][0]["Value"], "old");
    assert_eq!(read("/app/key:stable")["Parameters"][0]["Value"], "old");
    assert_eq!(read("/app/none")["InvalidParameters"], json!(["/app/none"]));
}

#[test]
fn boto3_reads_what_was_put() {
    MOTO.put_secret("us-east-2", "for/boto3", Value::Text("seen")).unwrap();
    let script = "import boto3\n\
                  print(boto3.client('secretsmanager').get_secret_value(SecretId='for/boto3')['SecretString'])";
    let variables = [
        ("AWS_ENDPOINT_URL", MOTO.endpoint()),
        ("AWS_REGION", "us-east-2"),
        ("AWS_DEFAULT_REGION", "us-east-2"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ];
    assert_eq!(python::prepare().unwrap().run(script, &[], &variables).unwrap(), "seen\n");
}

#[test]
fn a_reset_forgets() {
    let moto = Moto::start().unwrap();
    moto.put_secret(REGION, "gone", Value::Text("soon")).unwrap();
    moto.reset().unwrap();
    let error = moto.call(REGION, "secretsmanager.GetSecretValue", &json!({"SecretId": "gone"})).unwrap_err();
    assert!(error.to_string().contains("ResourceNotFoundException"), "{error}");
}

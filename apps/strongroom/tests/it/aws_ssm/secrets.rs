use serde_json::{Value, json};
use world::moto::Kind;

use super::support::{
    API, CANARY, CLUSTER, OPERATOR, WAY, annotated, ask, closed, cluster, data, open, some_rounds, variables, wait_for,
    wait_for_event,
};
use crate::operator::support::{Operator, eventually, scrape};
use crate::{AWS, REGION};

fn put(name: &str, kind: Kind, value: &str) {
    AWS.put_parameter(REGION, name, kind, value).unwrap();
}

fn version(namespace: &str, name: &str) -> Value {
    API.get("secrets", namespace, name).unwrap()["metadata"]["resourceVersion"].clone()
}

#[test]
fn as_01_the_four_examples_get_their_keys_and_follow_the_store() {
    let namespace = open(&["example-*", "/example/**"]);
    put("example-foo", Kind::String, "FooBar");
    put("example-bar", Kind::SecureString, "FooBar");
    let list = "srv0=10.0.0.10,srv1=10.0.0.11,srv2=10.0.0.12";
    put("example-list", Kind::StringList, list);
    for (name, value) in [("user", "root"), ("host", "10.0.1.10"), ("pass", "password123"), ("more/bar", "x")] {
        put(&format!("/example/db/{name}"), Kind::SecureString, value);
    }
    ask(&namespace, "one", "example-foo", "String");
    ask(&namespace, "two", "example-bar", "SecureString");
    ask(&namespace, "three", "example-list", "StringList");
    ask(&namespace, "four", "/example/db", "Directory");
    wait_for(&namespace, "one", "String=FooBar");
    wait_for(&namespace, "two", "SecureString=FooBar");
    wait_for(&namespace, "three", &format!("StringList={list} srv0=10.0.0.10 srv1=10.0.0.11 srv2=10.0.0.12"));
    wait_for(&namespace, "four", "bar=x host=10.0.1.10 pass=password123 user=root");
    put("example-foo", Kind::String, "Other");
    wait_for(&namespace, "one", "String=Other");
    put("example-list", Kind::StringList, "srv1=a");
    wait_for(&namespace, "three", "StringList=srv1=a srv1=a");
}

#[test]
fn as_03_as_04_older_annotations_are_read_and_without_a_type_a_secret_is_left_alone() {
    let namespace = open(&["older"]);
    put("older", Kind::SecureString, "x");
    annotated(&namespace, "untyped", &json!({"aws-ssm/aws-param-name": "older"}));
    let alpha = json!({
        "alpha.ssm.cmattoon.com/aws-param-name": "older", "alpha.ssm.cmattoon.com/aws-param-type": "SecureString",
    });
    annotated(&namespace, "alpha", &alpha);
    wait_for(&namespace, "alpha", "SecureString=x");
    some_rounds();
    assert_eq!(data(&namespace, "untyped"), "");
    // Annotated later, it is served at once.
    let annotations = json!({"metadata": {"annotations": {"aws-ssm/aws-param-type": "String"}}});
    API.patch("secrets", &namespace, "untyped", &annotations);
    wait_for(&namespace, "untyped", "String=x");
}

#[test]
fn as_04_a_role_is_taken_where_a_policy_allows_it() {
    let role = "arn:aws:iam::123456789012:role/ssm-reader";
    let namespace = open(&["with-role", role]);
    put("with-role", Kind::String, "x");
    for (name, role) in [("allowed", role), ("refused", "arn:aws:iam::123456789012:role/admin")] {
        let annotations = json!({
            "aws-ssm/aws-param-name": "with-role", "aws-ssm/aws-param-type": "String", "aws-iam/role-arn": role,
        });
        annotated(&namespace, name, &annotations);
    }
    wait_for(&namespace, "allowed", "String=x");
    let message = wait_for_event(&namespace, "refused", "AwsSsmRefused", "role/admin");
    assert!(message.contains("take the role arn:aws:iam::123456789012:role/admin"), "{message}");
    let taken = |role: &str| {
        let requests = WAY.requests();
        requests.iter().any(|seen| {
            let body = String::from_utf8_lossy(&seen.body).into_owned();
            body.contains("Action=AssumeRole") && body.contains(role)
        })
    };
    assert!(taken("ssm-reader") && !taken("role%2Fadmin"));
}

#[test]
fn as_05_health_is_told_where_the_original_tells_it() {
    closed();
    assert_eq!(scrape(&OPERATOR.health, "/healthz").0, 200);
}

#[test]
fn s10_what_nobody_allowed_is_refused_with_the_manifest_that_allows_it() {
    put("/guarded/db", Kind::SecureString, CANARY);
    let refused = |name: &str, parameter: &str, kind: &str| {
        let namespace = closed();
        ask(&namespace, name, parameter, kind);
        let message = wait_for_event(&namespace, name, "AwsSsmRefused", "kubectl apply this: ");
        assert_eq!(data(&namespace, name), "", "{name}");
        CLUSTER.apply(message.split_once("kubectl apply this: ").unwrap().1).unwrap();
        namespace
    };
    let directory = refused("directory", "/guarded", "Directory");
    wait_for(&directory, "directory", &format!("db={CANARY}"));
    let namespace = refused("guarded", "/guarded/db", "SecureString");
    wait_for(&namespace, "guarded", &format!("SecureString={CANARY}"));
    // Who takes it back keeps what was delivered, and nothing new is read.
    let policy = format!("aws-ssm.{namespace}.guarded");
    CLUSTER.kubectl(&["delete", "storepolicy", &policy]).unwrap();
    some_rounds();
    put("/guarded/db", Kind::SecureString, "new");
    some_rounds();
    assert_eq!(data(&namespace, "guarded"), format!("SecureString={CANARY}"));
}

#[test]
fn without_the_policy_every_namespace_reads_as_with_the_original() {
    let cluster = cluster();
    put("migrated", Kind::String, "x");
    let operator = Operator::spawn(&cluster, &["--aws-ssm-policy=off"], &variables());
    operator.wait_until_ready();
    let annotations = "{aws-ssm/aws-param-name: migrated, aws-ssm/aws-param-type: String}";
    let object = format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: a, namespace: default, annotations: {annotations}}}}}"
    );
    cluster.apply(&object).unwrap();
    let read = || cluster.kubectl(&["get", "secret", "a", "-n", "default", "-o", "jsonpath={.data.String}"]);
    eventually("it is read", || match read().unwrap() {
        found if found == "eA==" => Ok(()),
        found => Err(found),
    });
}

#[test]
fn nothing_is_written_that_has_not_changed_and_keys_of_others_stay() {
    let namespace = open(&["still", "/still/**"]);
    put("still", Kind::String, "x");
    put("/still/a", Kind::String, "1");
    put("/still/b", Kind::String, "2");
    ask(&namespace, "still", "still", "String");
    ask(&namespace, "still-directory", "/still", "Directory");
    wait_for(&namespace, "still", "String=x");
    wait_for(&namespace, "still-directory", "a=1 b=2");
    let before = version(&namespace, "still");
    some_rounds();
    assert_eq!(version(&namespace, "still"), before);
    // Another key, as base64, and our own one wrong.
    API.patch("secrets", &namespace, "still", &json!({"data": {"other": "eQ==", "String": "d3Jvbmc="}}));
    wait_for(&namespace, "still", "String=x other=y");
    // What vanishes from the directory vanishes here.
    API.patch("secrets", &namespace, "still-directory", &json!({"data": {"other": "eQ=="}}));
    AWS.call(REGION, "AmazonSSM.DeleteParameter", &json!({"Name": "/still/b"})).unwrap();
    wait_for(&namespace, "still-directory", "a=1 other=y");
    // All of it at once looks like a mistake: what was delivered stays.
    AWS.call(REGION, "AmazonSSM.DeleteParameter", &json!({"Name": "/still/a"})).unwrap();
    wait_for_event(&namespace, "still-directory", "AwsSsmFailed", "there is no parameter below /still");
    assert_eq!(data(&namespace, "still-directory"), "a=1 other=y");
}

#[test]
fn what_cannot_be_had_is_told_and_blanks_nothing() {
    let namespace = open(&["gone", "/double/**", "never"]);
    put("gone", Kind::String, "x");
    put("/double/a/key", Kind::SecureString, CANARY);
    put("/double/b/key", Kind::SecureString, CANARY);
    ask(&namespace, "gone", "gone", "String");
    wait_for(&namespace, "gone", "String=x");
    AWS.call(REGION, "AmazonSSM.DeleteParameter", &json!({"Name": "gone"})).unwrap();
    ask(&namespace, "double", "/double", "Directory");
    ask(&namespace, "mistyped", "never", "string");
    wait_for_event(&namespace, "gone", "AwsSsmFailed", "\"gone\"");
    let double = "/double/a/key and /double/b/key would both be the key key";
    wait_for_event(&namespace, "double", "AwsSsmFailed", double);
    wait_for_event(&namespace, "mistyped", "AwsSsmFailed", "there is no such type of parameter");
    for (name, expected) in [("gone", "String=x"), ("double", ""), ("mistyped", "")] {
        assert_eq!(data(&namespace, name), expected, "{name}");
    }
    let (_, metrics) = scrape(&OPERATOR.metrics, "/metrics");
    let counted = format!(r#"strongroom_aws_ssm_syncs_total{{name="double",namespace="{namespace}",status="error"}}"#);
    assert!(metrics.contains(&counted), "{counted} is not in\n{metrics}");
    let events = json!(API.list("events", &namespace)).to_string();
    for (place, text) in [("log", OPERATOR.logged()), ("metrics", metrics), ("events", events)] {
        assert!(!text.is_empty() && !text.contains(CANARY), "shown in the {place}");
    }
}

/// The Deployment of the original's chart, at work, from a mirror.
const ORIGINAL: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: aws-ssm, namespace: default, labels: {app: aws-ssm}}
spec:
  selector: {matchLabels: {a: b}}
  template: {metadata: {labels: {a: b}}, spec: {containers: [{name: a, image: 'mirror:5000/cmattoon/aws-ssm:0.2.2'}]}}
";

#[test]
fn while_the_original_is_at_work_its_secrets_are_left_alone() {
    let cluster = cluster();
    cluster.apply(ORIGINAL).unwrap();
    let running = r#"{"status":{"replicas":1,"readyReplicas":1,"availableReplicas":1}}"#;
    cluster
        .kubectl(&["patch", "deployment", "aws-ssm", "--subresource=status", "--type=merge", "-p", running])
        .unwrap();
    let operator = Operator::spawn(&cluster, &[], &variables());
    eventually("/readyz names it", || match scrape(&operator.health, "/readyz").1 {
        body if body.contains("Deployment default/aws-ssm") => Ok(()),
        body => Err(body),
    });
    drop(operator);
    // Who leaves them to it is not in its way.
    Operator::start(&cluster, &["--aws-ssm=off"]);
}

//! Native secrets.

use serde_json::{Value, json};
use strongroom_inject::nase::{Decision, deployment, patch, plan, warnings};

use crate::json_patch::apply;

const ARN: &str = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:d.s-dzWHWN";

/// `supersecret` and others, as a Secret holds them.
const VALUE: &str = "c3VwZXJzZWNyZXQ=";

fn secret(nase: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"nase": nase, "other": "eA=="}})
}

fn with_arn(arn: &str) -> Value {
    apply(&secret(&json!(VALUE)), &patch(&secret(&json!(VALUE)), arn))
}

/// The decision in one line.
fn told(decision: &Decision) -> String {
    match decision {
        Decision::Nothing => "nothing".to_owned(),
        Decision::Create { name, value } => format!("create {name} {}", value.expose_text().unwrap()),
        Decision::Put { name, value } => format!("put {name} {}", value.expose_text().unwrap()),
    }
}

#[test]
fn na_01_the_key_moves_and_its_arn_stays() {
    let before = secret(&json!(VALUE));
    assert_eq!(told(&plan(&before, None, "d").unwrap()), "create d.s supersecret");
    let after = with_arn(ARN);
    let mut expected = before;
    expected["data"]["nase"] =
        json!("YXJuOmF3czpzZWNyZXRzbWFuYWdlcjpldS13ZXN0LTE6MTExMTIyMjIzMzMzOnNlY3JldDpkLnMtZHpXSFdO");
    assert_eq!(after, expected);
}

#[test]
fn na_01_an_update_makes_as_few_calls_as_it_can() {
    let check = |new: &Value, old: &Value, expected: &str| {
        assert_eq!(told(&plan(new, Some(old), "d").unwrap()), expected, "{new} {old}");
    };
    let plain = secret(&json!(VALUE));
    check(&with_arn(ARN), &with_arn(ARN), "nothing");
    check(&with_arn(ARN), &plain, "nothing");
    check(&plain, &with_arn(ARN), "put d.s supersecret");
    check(&plain, &plain, "create d.s supersecret");
    check(&plain, &json!({"metadata": {"name": "s"}}), "create d.s supersecret");
    // An ARN that its owner has from elsewhere leads to no write elsewhere.
    for other in [
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:prod.db-dzWHWN",
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:d.s.t-dzWHWN",
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:d.s-t-dzWHWN",
        "arn:aws:secretsmanager:eu-west-1:111122223333:secret:d.s",
    ] {
        check(&plain, &with_arn(other), "create d.s supersecret");
    }
}

#[test]
fn na_01_a_secret_without_the_key_or_a_value_is_left_alone() {
    for object in [
        json!({"kind": "Secret", "metadata": {"generateName": "x-"}}),
        json!({"kind": "Secret", "data": null}),
        json!({"kind": "Secret", "data": {"other": "eA=="}}),
        secret(&json!("")),
        secret(&Value::Null),
    ] {
        assert_eq!(told(&plan(&object, None, "d").unwrap()), "nothing", "{object}");
    }
    assert_eq!(patch(&json!({"data": {}}), ARN), []);
}

#[test]
fn na_01_what_cannot_be_moved_is_refused_without_its_value() {
    let check = |object: Value, words: &str| {
        let refusal = plan(&object, None, "d").unwrap_err().to_string();
        assert!(refusal.starts_with(words) && !refusal.contains("canary"), "{refusal}");
    };
    check(secret(&json!("canary!")), "data.nase: the value is not base64");
    let mut unnamed = secret(&json!(VALUE));
    unnamed["metadata"] = json!({"generateName": "x-"});
    check(unnamed, "metadata.name: the Secret has no name yet");
    check(json!({"kind": "ConfigMap", "data": {"nase": VALUE}}), "kind: this is not a Secret");
    let decision = plan(&secret(&json!(VALUE)), None, "d").unwrap();
    assert!(!format!("{decision:?}").contains("supersecret"));
}

#[test]
fn na_01_whoever_applies_a_secret_learns_of_the_copy_that_stays() {
    let mut applied = secret(&json!(VALUE));
    assert_eq!(warnings(&applied), [""; 0]);
    let copy = format!("{{\"data\":{{\"nase\":\"{VALUE}\"}}}}");
    applied["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration": copy});
    let warnings = warnings(&applied);
    assert!(warnings.len() == 1 && warnings[0].contains("--server-side") && !warnings[0].contains(VALUE));
}

#[test]
fn na_02_a_deployment_is_allowed_with_a_warning_that_names_our_annotation() {
    let object = |annotations: Value| json!({"kind": "Deployment", "metadata": {"annotations": annotations}});
    assert_eq!(deployment(&object(json!({}))), [""; 0]);
    assert_eq!(deployment(&json!({"kind": "Deployment"})), [""; 0]);
    let warnings = deployment(&object(json!({"nase.mhausenblas.info/secret-arn": ARN})));
    assert!(warnings.len() == 1 && warnings[0].contains("strongroom.dev/inject"), "{warnings:?}");
    assert!(!warnings[0].contains(ARN));
}

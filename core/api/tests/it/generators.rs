//! Generators that others wrote: what is read of them, and what is wrong with them.

use serde_json::{Value, json};
use strongroom_api::generators::{ClusterGeneratorSpec, Generator, KINDS, SERVED};
use strongroom_failure::Failure;

fn problems(kind: &str, spec: Value) -> Vec<String> {
    Generator::read(kind, spec).unwrap().problems().iter().map(Failure::to_string).collect()
}

#[test]
fn what_aws_would_refuse_is_told_with_its_field() {
    let check = |kind: &str, more: Value, expected: &[&str]| {
        let mut spec = json!({"region": "eu-west-1"});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(problems(kind, spec), expected, "{more}");
    };
    let ecr = "ECRAuthorizationToken";
    check(ecr, json!({}), &[]);
    check(ecr, json!({"scope": ""}), &[]);
    check(ecr, json!({"scope": "public"}), &[]);
    check(ecr, json!({"scope": "Public"}), &["spec.scope: is no known scope"]);

    let sts = "STSSessionToken";
    let role = "arn:aws:iam::111122223333:role/app";
    let lasts = |seconds: i64| json!({"requestParameters": {"sessionDuration": seconds}});
    let role_lasts = |seconds: i64| json!({"role": role, "requestParameters": {"sessionDuration": seconds}});
    let no_duration = "spec.requestParameters.sessionDuration: is no duration that AWS gives";
    check(sts, lasts(900), &[]);
    check(sts, lasts(899), &[no_duration]);
    check(sts, lasts(129_600), &[]);
    check(sts, lasts(129_601), &[no_duration]);
    check(sts, lasts(-1), &[no_duration]);
    check(sts, role_lasts(43_200), &[]);
    check(sts, role_lasts(43_201), &[no_duration]);
    check(sts, json!({"requestParameters": {"serialNumber": "GAHT1", "tokenCode": "123456"}}), &[]);
    let half = "spec.requestParameters: an MFA device has a serialNumber and shows a tokenCode";
    check(sts, json!({"requestParameters": {"serialNumber": "GAHT1"}}), &[half]);
    check(sts, json!({"requestParameters": {"serialNumber": "", "tokenCode": "123456"}}), &[half]);
    let account = json!({"jwt": {"serviceAccountRef": {"name": "app"}}});
    let jwt = "spec.auth.jwt: a service account has a role's credentials, of which AWS makes no others";
    check(sts, json!({"auth": account}), &[jwt]);
    check(sts, json!({"auth": account, "role": role}), &[]);
}

#[test]
fn an_endpoint_is_written_as_that_of_a_store() {
    let spec = json!({
        "method": "POST", "url": "https://api/{{ .auth.name }}", "headers": {"X": "y"}, "body": "b", "timeout": "5s",
        "result": {"jsonPath": "$.data"}, "secrets": [{"name": "auth", "secretRef": {"name": "a", "key": "b"}}],
        "caBundle": "T1dO", "caProvider": {"type": "ConfigMap", "name": "ca", "key": "ca.crt"},
    });
    let Generator::Webhook(read) = Generator::read("Webhook", spec.clone()).unwrap() else { panic!("another kind") };
    assert_eq!(serde_json::to_value(&read).unwrap(), spec);
    assert_eq!(problems("Webhook", spec), [""; 0]);
    let ntlm = json!({"ntlm": {"usernameSecret": {"name": "a"}, "passwordSecret": {"name": "a"}}});
    let refused = problems("Webhook", json!({"url": "https://api", "result": {}, "auth": ntlm}));
    assert_eq!(refused, ["spec.auth.ntlm: NTLM is not served: Windows' servers of today take Kerberos or a token"]);
}

#[test]
fn a_cluster_generator_has_a_slot_for_every_kind_that_is_served() {
    let check = |kind: &str, slot: &str, spec: Value| {
        let held = json!({"kind": kind, "generator": {slot: spec.clone()}});
        let held: ClusterGeneratorSpec = serde_json::from_value(held).unwrap();
        assert_eq!(held.generator(), Generator::read(kind, spec), "{kind}");
        let empty = ClusterGeneratorSpec { kind: kind.to_owned(), ..ClusterGeneratorSpec::default() };
        assert!(empty.generator().unwrap_err().to_string().starts_with("spec.generator: "), "{kind}");
    };
    check("Password", "passwordSpec", json!({"length": 3}));
    check("ECRAuthorizationToken", "ecrAuthorizationTokenSpec", json!({"region": "eu-west-1", "scope": "public"}));
    check("STSSessionToken", "stsSessionTokenSpec", json!({"region": "eu-west-1", "role": "r"}));
    check("Webhook", "webhookSpec", json!({"url": "https://api", "result": {"jsonPath": "$.a"}}));
    let unserved = ClusterGeneratorSpec { kind: "Grafana".to_owned(), ..ClusterGeneratorSpec::default() };
    assert!(unserved.generator().unwrap_err().words.contains("not served"));
}

#[test]
fn what_is_served_can_be_read_and_what_is_not_is_named() {
    for (kind, plural) in KINDS {
        let spec = json!({"region": "r", "url": "u", "result": {}, "secret": {}, "provider": {"server": "https://vault"}, "path": "p"});
        let is_served = SERVED.contains(&(*kind, *plural));
        assert_eq!(Generator::read(kind, spec).is_ok(), is_served, "{kind}");
    }
}

#[test]
fn a_code_of_an_mfa_device_is_not_shown() {
    let spec = json!({"region": "r", "requestParameters": {"serialNumber": "GAHT1", "tokenCode": "canary"}});
    let shown = format!("{:?}", Generator::read("STSSessionToken", spec).unwrap());
    assert!(shown.contains("GAHT1") && !shown.contains("canary"), "{shown}");
}

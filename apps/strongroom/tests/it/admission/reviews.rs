//! Reviews that are sent by hand.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::support::Admission;

fn review(version: &str, group: &str, resource: &str, object: &Value) -> String {
    json!({"apiVersion": format!("admission.k8s.io/{version}"), "kind": "AdmissionReview", "request": {
        "uid": "u-1", "operation": "CREATE", "namespace": "default", "object": object,
        "kind": {"group": group, "version": "v1", "kind": object["kind"]},
        "resource": {"group": group, "version": "v1", "resource": resource}}})
    .to_string()
}

fn pod() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "app"}, "spec": {"containers": [
        {"name": "app", "image": "app", "command": ["app"],
         "env": [{"name": "A", "value": "arn:aws:ssm:eu-west-1:111122223333:parameter/a"}]}]}})
}

#[test]
fn ki_07_ki_11_reviews_are_answered_in_their_version_and_what_is_none_is_told() {
    let admission = Admission::plain(&[]);
    for version in ["v1", "v1beta1"] {
        let (status, body) = admission.send("POST", "/pods", &review(version, "", "pods", &pod()));
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &answer["apiVersion"]), (200, &json!(format!("admission.k8s.io/{version}"))));
        assert_eq!((&answer["response"]["uid"], &answer["response"]["allowed"]), (&json!("u-1"), &json!(true)));
        assert_eq!(answer["response"]["patchType"], "JSONPatch");
        let patch = STANDARD.decode(answer["response"]["patch"].as_str().unwrap()).unwrap();
        assert!(serde_json::from_slice::<Value>(&patch).unwrap().as_array().is_some_and(|patch| !patch.is_empty()));
    }
    assert_eq!(admission.send("POST", "/pods", ""), (400, "no body found\n".to_owned()));
    let (status, words) = admission.send("POST", "/pods", "{\"canary\": ");
    assert!(status == 400 && words.contains("no AdmissionReview") && !words.contains("canary"), "{status} {words}");
    assert_eq!(admission.send("GET", "/healthz", ""), (200, String::new()));
    assert_eq!(admission.send("GET", "/readyz", ""), (200, "ok".to_owned()));
    assert_eq!(admission.send("GET", "/pods", "").0, 405);
    assert_eq!(admission.send("POST", "/mutate", "").0, 404);
    let (_, metrics) = admission.send("GET", "/metrics", "");
    let series = "kubewebhook_mutating_webhook_review_duration_seconds_count{webhook_id=\"init-secrets-pods\"";
    let line = metrics.lines().find(|line| line.starts_with(series)).unwrap_or_else(|| panic!("{metrics}"));
    assert!(line.contains("operation=\"create\"") && line.contains("mutated=\"true\""), "{line}");
}

#[test]
fn what_a_path_does_not_serve_is_refused_and_never_patched() {
    let admission = Admission::plain(&[]);
    let answer = |path: &str, group: &str, resource: &str, object: &Value| -> Value {
        let (status, body) = admission.send("POST", path, &review("v1", group, resource, object));
        assert_eq!(status, 200);
        serde_json::from_str::<Value>(&body).unwrap()["response"].clone()
    };
    let config_map = json!({"kind": "ConfigMap", "data": {"a": "b"}});
    for path in ["/pods", "/mutating-pods", "/secrets", "/injected-pods"] {
        let response = answer(path, "", "configmaps", &config_map);
        assert_eq!((&response["allowed"], &response["patch"]), (&json!(false), &Value::Null), "{path}");
        assert!(response["status"]["message"].as_str().unwrap().contains("does not serve configmaps"), "{response}");
    }
    // NASE's other path has the same name.
    let annotation = json!({"nase.mhausenblas.info/secret-arn": "arn"});
    let deployment = json!({"kind": "Deployment", "metadata": {"annotations": annotation}, "spec": {}});
    let response = answer("/pods", "apps", "deployments", &deployment);
    assert_eq!((&response["allowed"], &response["patch"]), (&json!(true), &Value::Null));
    assert!(response["warnings"][0].as_str().unwrap().contains("strongroom.dev/inject"), "{response}");
    // Variables of the injector's pods are their program's own.
    let response = answer("/mutating-pods", "", "pods", &pod());
    assert_eq!((&response["allowed"], &response["patch"]), (&json!(true), &Value::Null));
}

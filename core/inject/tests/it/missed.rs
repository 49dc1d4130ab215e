//! What pods that exist were not given.

use serde_json::{Value, json};
use strongroom_inject::{Settings, missed};

use super::{PARAMETER, SECRET, VAULT, annotated, changed, container, pod};

fn check(pod: &Value, expected: Option<&str>) {
    assert_eq!(missed(pod, &Settings::default()).as_deref(), expected, "{pod}");
}

#[test]
fn a_pod_that_was_not_injected_is_told_by_what_it_asks_for() {
    check(&pod(&[container("app", PARAMETER)]), Some("container app: X (aws-ssm)"));
    let two = pod(&[container("app", PARAMETER), container("plain", "plain"), container("other", VAULT)]);
    check(&two, Some("container app: X (aws-ssm); container other: X (vault)"));
    let forced = json!({"strongroom.dev/inject": "env"});
    check(
        &annotated(pod(&[container("app", "plain")]), &forced),
        Some("container app: the annotation strongroom.dev/inject"),
    );
    let files = json!({"secrets.k8s.aws/secret-arn": SECRET});
    check(&annotated(pod(&[container("app", "plain")]), &files), Some("container app: files /tmp/secret"));
    let path = json!({"vault.security.banzaicloud.io/vault-env-from-path": "secret/data/a"});
    check(
        &annotated(pod(&[container("app", "plain")]), &path),
        Some("container app: the annotation vault-env-from-path"),
    );
    let without_command = json!({"name": "app", "image": "app", "env": [{"name": "X", "value": PARAMETER}]});
    check(&pod(&[without_command]), Some("container app: X (aws-ssm)"));
}

#[test]
fn what_would_have_been_refused_is_told_with_its_cure() {
    let misspelled = annotated(pod(&[container("app", "plain")]), &json!({"strongroom.dev/inject": "yes"}));
    let told = missed(&misspelled, &Settings::default()).unwrap();
    assert!(told.contains("strongroom.dev/inject") && told.contains("allowed: env, false"), "{told}");
}

#[test]
fn a_pod_that_has_what_it_asks_for_or_asks_for_nothing_is_not_told() {
    check(&pod(&[container("app", "plain")]), None);
    for asking in [
        pod(&[container("app", PARAMETER)]),
        annotated(pod(&[container("app", "plain")]), &json!({"secrets.k8s.aws/secret-arn": SECRET})),
    ] {
        let mut injected = changed(&asking);
        check(&injected, None);
        // As another webhook of the same kind would have left it.
        injected["metadata"]["annotations"].as_object_mut().unwrap().remove("strongroom.dev/injection");
        check(&injected, None);
    }
    let opted_out = json!({"strongroom.dev/inject": "false"});
    check(&annotated(pod(&[container("app", PARAMETER)]), &opted_out), None);
    let mut labelled = pod(&[container("app", PARAMETER)]);
    labelled["metadata"]["labels"] = json!({"kube-secrets-init.doit-intl.com/disable-mutation": "true"});
    check(&labelled, None);
    // Who looks into these is the webhook alone.
    let indirect = json!({"name": "app", "image": "app", "envFrom": [{"secretRef": {"name": "a"}}],
        "env": [{"name": "B", "valueFrom": {"configMapKeyRef": {"name": "b", "key": "b"}}}]});
    check(&pod(&[indirect]), None);
}

#[test]
fn a_container_that_resolves_references_itself_misses_nothing() {
    for program in ["/usr/local/bin/secrets-init", "/strongroom-init", "/vault/vault-env"] {
        let mut resolving = container("app", PARAMETER);
        resolving["command"] = json!([program, "app"]);
        check(&pod(&[resolving]), None);
    }
}

#[test]
fn what_is_told_is_bounded() {
    let many: Vec<_> = (0..200).map(|number| container(&format!("container-{number}"), PARAMETER)).collect();
    assert!(missed(&pod(&many), &Settings::default()).unwrap().len() <= 500);
}

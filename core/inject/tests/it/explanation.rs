//! What people are told.

use serde_json::{Value, json};
use strongroom_failure::{Class, Failure};
use strongroom_inject::{ANNOTATION_LIMIT, Cause, EVENT_LIMIT, Found, Images, Outcome, Settings, Source, SourceKind};

use crate::{SECRET, VAULT, annotated, changed, container, found, plan, planned, pod, values};

fn annotation(after: &Value) -> Value {
    serde_json::from_str(after["metadata"]["annotations"]["strongroom.dev/injection"].as_str().unwrap()).unwrap()
}

#[test]
fn a_changed_pod_says_what_was_done_to_each_container_and_why() {
    let before = pod(&[container("app", SECRET), container("plain", "x"), container("bad", "sr://nowhere/a")]);
    let before = annotated(before, &json!({"a": "kept", "secrets.k8s.aws/secret-arn": SECRET}));
    let after = changed(&before);
    assert_eq!(
        annotation(&after),
        json!({
            "app": "wrapped for X (aws-sm); files /tmp/secret",
            "plain": "no reference in its variables; files /tmp/secret",
            "bad": "wrapped for X (a malformed reference); files /tmp/secret",
        })
    );
    assert_eq!(after["metadata"]["annotations"]["a"], "kept");
    let plan = planned(&before).unwrap();
    assert!(plan.explanation.is_change());
    assert_eq!(
        plan.explanation.event(),
        "secrets are injected: container app: wrapped for X (aws-sm); files /tmp/secret; container plain: no reference \
         in its variables; files /tmp/secret; container bad: wrapped for X (a malformed reference); files /tmp/secret"
    );
}

#[test]
fn a_pod_that_stays_as_it_is_says_why() {
    let check = |pod: &Value, expected: &str| {
        let plan = planned(pod).unwrap();
        assert_eq!((plan.explanation.event().as_str(), plan.explanation.is_change()), (expected, false));
    };
    let app = pod(&[container("app", SECRET)]);
    check(&pod(&[container("app", "x")]), "nothing is injected: no variable of a container holds a reference");
    check(&changed(&app), "nothing is injected: its containers were wrapped before");
    check(
        &annotated(app.clone(), &json!({"strongroom.dev/inject": "false"})),
        "nothing is injected: the annotation strongroom.dev/inject is \"false\"",
    );
    let mut labelled = app;
    labelled["metadata"]["labels"] = json!({"kube-secrets-init.doit-intl.com/mutate": "skip"});
    check(&labelled, "nothing is injected: the label kube-secrets-init.doit-intl.com/mutate is \"skip\"");
}

#[test]
fn causes_name_variables_and_sources() {
    let mut app = container("app", "plain");
    app["envFrom"] = json!([{"prefix": "P_", "secretRef": {"name": "seen"}}, {"secretRef": {"name": "hidden"}},
        {"secretRef": {"name": "hidden"}}]);
    let mut found = found(SourceKind::Secret, "seen", values(&[("KEY", VAULT), ("PLAIN", "x")]));
    found.insert(SourceKind::Secret, "hidden", Source::Unreadable);
    let before = annotated(pod(&[app]), &json!({"strongroom.dev/inject": "env"}));
    let plan = plan(&before, &found, &Images::default(), &Settings::default()).unwrap();
    let provider = Some(strongroom_reference::ProviderKind::Vault);
    assert_eq!(
        plan.explanation.notes[0].outcome,
        Outcome::Wrapped {
            causes: vec![
                Cause::Annotation,
                Cause::Variable { name: "P_KEY".to_owned(), provider },
                Cause::Unseen { kind: SourceKind::Secret, name: "hidden".to_owned() },
            ],
            more: 0,
        }
    );
    let event = plan.explanation.event();
    assert!(event.contains("P_KEY (vault), Secret hidden, unseen"), "{event}");
}

#[test]
fn nobody_is_told_a_value_or_a_reference() {
    let mut app = container("app", "sr://vault/canary-key#canary");
    app["envFrom"] = json!([{"secretRef": {"name": "s"}}]);
    let before = pod(&[app.clone()]);
    let values = values(&[("A", "canary-value"), ("B", "vault:canary/path#key"), ("C", "vault:canary")]);
    let found = found(SourceKind::Secret, "s", values);
    let plan = plan(&before, &found, &Images::default(), &Settings::default()).unwrap();
    let told = format!("{:?} {} {:?}", plan.explanation, serde_json::to_string(&plan.patch).unwrap(), found);
    assert!(!told.contains("canary"), "{told}");
}

#[test]
fn causes_beyond_the_first_few_are_counted() {
    let keys: Vec<_> = (0..20).map(|at| format!("K{at:02}")).collect();
    let pairs: Vec<_> = keys.iter().map(|key| (key.as_str(), SECRET)).collect();
    let mut app = container("app", SECRET);
    app["envFrom"] = json!([{"secretRef": {"name": "s"}}, {"prefix": "P_", "secretRef": {"name": "s"}}]);
    let found = found(SourceKind::Secret, "s", values(&pairs));
    let plan = plan(&pod(&[app]), &found, &Images::default(), &Settings::default()).unwrap();
    let event = plan.explanation.event();
    assert!(event.ends_with("K11 (aws-sm) and 29 more"), "{event}");
}

#[test]
fn annotation_and_event_are_bounded_whatever_the_pod() {
    let wide: Vec<_> =
        (0..200).map(|at| json!({"name": format!("V{at}_{}", "é".repeat(40)), "value": SECRET})).collect();
    let containers: Vec<_> =
        (0..40).map(|at| json!({"name": format!("c{at}"), "command": ["a"], "env": wide})).collect();
    let before = pod(&containers);
    let plan = planned(&before).unwrap();
    let after = changed(&before);
    let text = after["metadata"]["annotations"]["strongroom.dev/injection"].as_str().unwrap();
    assert!(text.len() <= ANNOTATION_LIMIT && text.len() > ANNOTATION_LIMIT / 2, "{}", text.len());
    assert_eq!(annotation(&after)["…"], "37 more");
    let event = plan.explanation.event();
    assert!(event.len() <= EVENT_LIMIT && event.ends_with('…') && event.contains("V0_"), "{event}");
    assert!(!event.contains('\n'));
}

#[test]
fn a_refusal_becomes_a_failure_with_field_words_and_hint() {
    let mut app = container("app", "plain");
    app["envFrom"] = json!([{"secretRef": {"name": "gone"}}]);
    let found = found(SourceKind::Secret, "gone", Source::Absent);
    let refusal = plan(&pod(&[app]), &found, &Images::default(), &Settings::default()).unwrap_err();
    let failure = Failure::from(refusal);
    assert_eq!(failure.class, Class::NotFound);
    assert_eq!(
        failure.to_string(),
        "spec.containers[0].envFrom[0].secretRef: secrets \"gone\" not found (container \"app\")"
    );
    assert!(failure.hint.unwrap().contains("optional"));
    let refusal = plan(&json!({}), &Found::default(), &Images::default(), &Settings::default()).unwrap_err();
    assert_eq!(Failure::from(refusal).class, Class::Invalid);
}

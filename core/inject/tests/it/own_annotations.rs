//! Our own annotations.

use serde_json::{Value, json};
use strongroom_inject::Settings;

use crate::{SECRET, annotated, changed, container, lookups, names, planned, pod, pod_with};

fn two(annotations: &Value) -> Value {
    let spec = json!({"initContainers": [container("init", "plain")]});
    annotated(pod_with(&[container("a", "plain"), container("b", "plain")], &spec), annotations)
}

fn wrapped(pod: &Value) -> Vec<String> {
    let after = changed(pod);
    let containers = ["initContainers", "containers"].map(|kind| after["spec"][kind].clone());
    let all = containers.iter().flat_map(|list| list.as_array().into_iter().flatten());
    let all = all.filter(|it| it["command"][0] == "/helper/bin/secrets-init");
    all.map(|it| it["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn inject_env_wraps_all_containers_or_those_that_are_named() {
    let none: [&str; 0] = [];
    assert_eq!(wrapped(&two(&json!({}))), none);
    assert_eq!(wrapped(&two(&json!({"strongroom.dev/inject": "env"}))), ["init", "a", "b"]);
    let named = |names: &str| json!({"strongroom.dev/inject": "env", "strongroom.dev/inject-containers": names});
    assert_eq!(wrapped(&two(&named("b"))), ["b"]);
    assert_eq!(wrapped(&two(&named(" init , b"))), ["init", "b"]);
    // A reference that is seen counts all the same.
    let mut before = two(&named("b"));
    before["spec"]["containers"][0]["env"][0]["value"] = json!(SECRET);
    assert_eq!(wrapped(&before), ["a", "b"]);
}

#[test]
fn inject_false_leaves_the_pod_alone() {
    let mut app = container("app", SECRET);
    app["envFrom"] = json!([{"secretRef": {"name": "s"}}]);
    let annotations = json!({"strongroom.dev/inject": "false", "secrets.k8s.aws/secret-arn": "not looked at"});
    let before = annotated(pod(&[app]), &annotations);
    assert_eq!(planned(&before).unwrap().patch, []);
    assert_eq!(lookups(&before, &Settings::default()).unwrap(), []);
}

#[test]
fn what_is_not_known_is_refused_with_what_is() {
    let check = |annotations: Value, field: &str, words: &str| {
        let refusal = planned(&two(&annotations)).unwrap_err().to_string();
        assert!(refusal.starts_with(&format!("metadata.annotations[strongroom.dev/{field}]: ")), "{refusal}");
        assert!(refusal.contains(words), "{refusal}");
    };
    check(json!({"strongroom.dev/inject": "files"}), "inject", "env, false");
    check(json!({"strongroom.dev/inject": "true"}), "inject", "env, false");
    check(json!({"strongroom.dev/inject-env": "x"}), "inject-env", "strongroom.dev/inject-containers");
    check(json!({"strongroom.dev/inject-containers": "a"}), "inject-containers", "beside strongroom.dev/inject = env");
    check(
        json!({"strongroom.dev/inject": "env", "strongroom.dev/inject-containers": "a,c"}),
        "inject-containers",
        "there is no container \"c\"",
    );
    // Ours, from an earlier plan; and somebody else's.
    assert!(planned(&two(&json!({"strongroom.dev/injection": "{}", "other.dev/inject": "x"}))).is_ok());
}

#[test]
fn our_own_containers_are_never_wrapped() {
    let annotations = json!({"strongroom.dev/inject": "env", "secrets.k8s.aws/secret-arn": SECRET});
    let after = changed(&two(&annotations));
    assert_eq!(names(&after["spec"]["initContainers"]), ["copy-secrets-init", "secrets-init-container", "init"]);
    assert_eq!(planned(&after).unwrap().patch, []);
}

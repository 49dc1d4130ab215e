//! Our own annotations.

use serde_json::{Value, json};
use strongroom_inject::Settings;

use crate::{SECRET, VAULT, annotated, changed, container, lookups, names, planned, pod, pod_with, variables};

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

/// What is set in a container for a role, and whether it mounts the token.
fn role_of(container: &Value) -> (Option<&str>, Option<&str>, bool) {
    let set = variables(container);
    let mounts = container["volumeMounts"].as_array().into_iter().flatten();
    let mut at = mounts.filter(|mount| mount["mountPath"] == "/var/run/secrets/strongroom.dev/aws");
    let is_mounted = at.next().is_some_and(|mount| mount["readOnly"] == true);
    (set.get("AWS_ROLE_ARN").copied(), set.get("AWS_WEB_IDENTITY_TOKEN_FILE").copied(), is_mounted)
}

#[test]
fn aws_role_gives_a_token_to_what_reads_aws_and_names_no_role_itself() {
    const ROLE: &str = "arn:aws:iam::111122223333:role/app";
    const GIVEN: (Option<&str>, Option<&str>, bool) =
        (Some(ROLE), Some("/var/run/secrets/strongroom.dev/aws/token"), true);
    let mut own = container("own", SECRET);
    own["env"].as_array_mut().unwrap().push(json!({"name": "AWS_ROLE_ARN", "value": "mine"}));
    let mut unseen = container("unseen", "plain");
    unseen["envFrom"] = json!([{"secretRef": {"name": "hidden"}}]);
    let containers = [container("aws", SECRET), container("vault", VAULT), container("plain", "x"), own, unseen];
    let annotations = json!({"strongroom.dev/aws-role": ROLE, "secrets.k8s.aws/secret-arn": SECRET});
    let before = annotated(pod(&containers), &annotations);
    let after = changed(&before);
    let seen: Vec<_> = after["spec"]["containers"].as_array().unwrap().iter().map(role_of).collect();
    assert_eq!(seen, [GIVEN, (None, None, false), (None, None, false), (Some("mine"), None, false), GIVEN]);
    assert_eq!(role_of(&after["spec"]["initContainers"][1]), GIVEN, "what writes AWS' files reads AWS");
    let volumes = after["spec"]["volumes"].as_array().unwrap();
    let of_token: Vec<_> = volumes.iter().filter_map(|volume| volume["projected"]["sources"].get(0)).collect();
    let token = json!({"audience": "sts.amazonaws.com", "expirationSeconds": 600, "path": "token"});
    assert_eq!(of_token, [&json!({"serviceAccountToken": token})], "one for all");
    assert_eq!(planned(&after).unwrap().patch, []);
}

#[test]
fn aws_role_is_the_arn_of_a_role() {
    let check = |text: &str, is_good: bool| {
        let planned = planned(&two(&json!({"strongroom.dev/aws-role": text})));
        match planned {
            Ok(plan) => assert!(is_good && plan.patch.is_empty(), "{text}"),
            Err(refusal) => {
                let refusal = refusal.to_string();
                assert!(!is_good && refusal.contains("[strongroom.dev/aws-role]"), "{refusal}");
                assert!(refusal.contains("arn:aws:iam::ACCOUNT:role/NAME"), "{refusal}");
            }
        }
    };
    check("arn:aws:iam::111122223333:role/app", true);
    check("arn:aws-cn:iam::111122223333:role/team/app", true);
    check("", true);
    for wrong in [
        "app",
        "arn:aws:iam::1111:role/app",
        "arn:aws:iam::111122223333:user/app",
        "arn:aws:iam::111122223333:role/",
        "arn:aws:iam::111122223333:role/$(X)",
        SECRET,
    ] {
        check(wrong, false);
    }
}

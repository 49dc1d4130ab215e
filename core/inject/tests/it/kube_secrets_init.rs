//! What kube-secrets-init does, with its defects mended.

use serde_json::{Value, json};
use strongroom_inject::{Found, ImageConfig, Images, Keys, Lookup, Settings, Source, SourceKind};

use crate::{
    PARAMETER, SECRET, changed, changed_by, container, found, image, images, is_restricted, lookups, names, needed,
    plan, planned, pod, pod_with, values,
};

/// The pod of the project's example job for EKS, as the API server completes it.
fn example() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"generateName": "printenv-job-", "labels": {"job-name": "printenv-job"}},
        "spec": {
            "restartPolicy": "Never",
            "serviceAccountName": "iam-secrets-manager-ro",
            "containers": [{
                "name": "print-env", "image": "alpine:3", "args": ["printenv", "NOT_A_SECRET", "TOP_SECRET"],
                "env": [
                    {"name": "AWS_REGION", "value": "us-west-2"},
                    {"name": "NOT_A_SECRET", "value": "hello"},
                    {"name": "TOP_SECRET", "value": SECRET},
                ],
                "volumeMounts": [{"name": "token", "mountPath": "/var/run/secrets", "readOnly": true}],
            }],
            "volumes": [{"name": "token", "projected": {"sources": []}}],
        },
    })
}

#[test]
fn ki_01_the_command_becomes_arguments_of_the_program_that_is_copied_first() {
    let after = changed(&pod(&[container("app", PARAMETER)]));
    let app = &after["spec"]["containers"][0];
    assert_eq!(app["command"], json!(["/helper/bin/secrets-init"]));
    assert_eq!(app["args"], json!(["--provider=aws", "app", "a"]));
    assert_eq!(
        app["volumeMounts"],
        json!([{"name": "secrets-init-bin", "mountPath": "/helper/bin", "readOnly": true}])
    );
    assert_eq!(app["env"], json!([{"name": "X", "value": PARAMETER}]), "resolved as the container starts");
    assert_eq!(after["spec"]["volumes"], json!([{"name": "secrets-init-bin", "emptyDir": {"medium": "Memory"}}]));
    let copy = &after["spec"]["initContainers"][0];
    assert_eq!(copy["name"], "copy-secrets-init");
    assert_eq!(copy["command"], json!(["/secrets-init"]));
    assert_eq!(copy["args"], json!(["copy", "/helper/bin"]));
    assert_eq!(copy["volumeMounts"], json!([{"name": "secrets-init-bin", "mountPath": "/helper/bin"}]));
    assert_eq!(copy["imagePullPolicy"], "IfNotPresent");
    assert_eq!(copy["resources"]["requests"], json!({"cpu": "10m", "memory": "10Mi"}));
    assert_eq!(
        copy["resources"]["limits"],
        json!({"memory": "50Mi"}),
        "the container has none of the processors either"
    );
    assert!(is_restricted(copy) && copy["securityContext"]["readOnlyRootFilesystem"] == true);
}

#[test]
fn ki_01_settings_decide_names_and_places() {
    let settings = Settings {
        provider: "google".to_owned(),
        image: "registry:5000/init:2".to_owned(),
        pull_policy: "Always".to_owned(),
        copy_command: Vec::new(),
        volume_name: "bin".to_owned(),
        volume_path: "/opt/init/".to_owned(),
        ..Settings::default()
    };
    let before = pod(&[container("app", "gcp:secretmanager:projects/p/secrets/s")]);
    let after = changed_by(&before, &plan(&before, &Found::default(), &Images::default(), &settings).unwrap());
    let app = &after["spec"]["containers"][0];
    assert_eq!(app["command"], json!(["/opt/init/secrets-init"]));
    assert_eq!(app["args"][0], "--provider=google");
    assert_eq!(app["volumeMounts"][0]["mountPath"], "/opt/init");
    let copy = &after["spec"]["initContainers"][0];
    assert_eq!(
        (&copy["image"], &copy["imagePullPolicy"], &copy["args"], copy.get("command")),
        (&json!("registry:5000/init:2"), &json!("Always"), &json!(["copy", "/opt/init"]), None)
    );
    assert!(plan(&after, &Found::default(), &Images::default(), &settings).unwrap().patch.is_empty());
}

#[test]
fn ki_01_every_kind_of_reference_is_a_trigger_and_nothing_else_is() {
    let check = |value: &str, is_wrapped: bool| {
        let plan = planned(&pod(&[container("app", value)])).unwrap();
        assert_eq!(!plan.patch.is_empty(), is_wrapped, "{value}");
    };
    for value in [
        SECRET,
        PARAMETER,
        "arn:aws-cn:secretsmanager:cn-north-1:1:secret:s",
        "arn:aws-us-gov:ssm:us-gov-west-1:1:parameter/x",
        "arn:aws:secretsmanager:malformed",
        "gcp:secretmanager:s",
        "vault:secret/data/app#key",
        ">>vault:database/creds/app#password",
        "bao:secret/data/app#key",
        "postgres://u:${vault:secret/data/app#key}@db",
        "vault:secret/data/app#${.user}:${.key}",
        "vault:login",
        "azure:keyvault:name",
        "sr://aws-sm/name#key",
    ] {
        check(value, true);
    }
    for value in [
        "",
        "hello",
        "arn:aws:s3:::bucket",
        "arn:aws:ssm:us-west-2:1:document/x",
        "vault:8200",
        "${VAULT}",
        "https://x/?arn:aws:secretsmanager",
    ] {
        check(value, false);
    }
}

#[test]
fn ki_02_without_a_command_the_images_entrypoint_and_cmd_count_as_kubelet_has_them() {
    let check = |container: Value, config: ImageConfig, expected: &[&str]| {
        let before = pod(&[container]);
        let images = images(&[("app", config)]);
        let after = changed_by(&before, &plan(&before, &Found::default(), &images, &Settings::default()).unwrap());
        let arguments = after["spec"]["containers"][0]["args"].as_array().unwrap().clone();
        assert_eq!(arguments[1..], expected.iter().map(|word| json!(word)).collect::<Vec<_>>(), "{before}");
    };
    let env = json!([{"name": "X", "value": SECRET}]);
    let bare = json!({"name": "app", "image": "i", "env": env});
    let with = |more: Value| {
        let mut container = bare.clone();
        container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        container
    };
    check(bare.clone(), image(&["e"], &["c"]), &["e", "c"]);
    check(bare.clone(), image(&[], &["c"]), &["c"]);
    check(with(json!({"args": ["x"]})), image(&["e"], &["c"]), &["e", "x"]);
    check(with(json!({"args": ["x"], "command": []})), image(&["e"], &["c"]), &["e", "x"]);
    check(with(json!({"command": ["k"]})), image(&["e"], &["c"]), &["k"]);
    check(with(json!({"command": ["k"], "args": null})), image(&["e"], &["c"]), &["k"]);
    // kubelet would expand the words of an image now that they are the pod's.
    check(bare.clone(), image(&["sh", "-c"], &["echo $$ $(HOME) $X"]), &["sh", "-c", "echo $$$$ $$(HOME) $$X"]);
    check(bare.clone(), image(&["sh", "-c"], &["echo $X"]), &["sh", "-c", "echo $X"]);
    check(with(json!({"command": ["sh", "$(X)"]})), image(&[], &[]), &["sh", "$(X)"]);
    // The program has commands of its own, and flags.
    check(with(json!({"command": ["cp", "a", "b"]})), image(&[], &[]), &["--", "cp", "a", "b"]);
    check(with(json!({"args": ["-x"]})), image(&[], &[]), &["--", "-x"]);
}

#[test]
fn ki_02_images_are_asked_for_where_a_wrapped_container_has_no_command() {
    let mut other = container("other", "plain");
    other["command"] = Value::Null;
    let before = pod(&[
        json!({"name": "app", "image": "i:1", "imagePullPolicy": "Always", "env": [{"name": "X", "value": SECRET}]}),
        container("with-command", SECRET),
        other,
    ]);
    let needed = needed(&before, &Found::default(), &Settings::default()).unwrap();
    let all: Vec<_> = needed.iter().map(|it| (&*it.container, &*it.image, it.pull_policy.as_deref())).collect();
    assert_eq!(all, [("app", "i:1", Some("Always"))]);

    let refusal = planned(&before).unwrap_err().to_string();
    assert!(refusal.starts_with("spec.containers[0].command: it is not known what the image starts"), "{refusal}");
    let empty = images(&[("app", image(&[], &[]))]);
    let refusal = plan(&before, &Found::default(), &empty, &Settings::default()).unwrap_err().to_string();
    assert!(refusal.contains("neither ENTRYPOINT nor CMD") && refusal.contains("container \"app\""), "{refusal}");
}

#[test]
fn ki_01_the_projects_example_job_is_wrapped() {
    let before = example();
    let images = images(&[("print-env", image(&[], &["/bin/sh"]))]);
    let after = changed_by(&before, &plan(&before, &Found::default(), &images, &Settings::default()).unwrap());
    let container = &after["spec"]["containers"][0];
    assert_eq!(container["args"], json!(["--provider=aws", "printenv", "NOT_A_SECRET", "TOP_SECRET"]));
    assert_eq!(names(&container["volumeMounts"]), ["token", "secrets-init-bin"]);
    assert_eq!(names(&after["spec"]["volumes"]), ["token", "secrets-init-bin"]);
    // A Job must complete: nothing that keeps running is added.
    assert!(after["spec"]["initContainers"][0].get("restartPolicy").is_none());
}

fn drawing_from(entry: &Value) -> Value {
    let mut container = container("app", "plain");
    container["envFrom"] = json!([entry]);
    pod(&[container])
}

fn taking(reference: &Value) -> Value {
    let mut container = container("app", "plain");
    container["env"].as_array_mut().unwrap().push(json!({"name": "TOP_SECRET", "valueFrom": reference}));
    pod(&[container])
}

#[test]
fn ki_03_references_inside_of_config_maps_and_secrets_are_found() {
    // Both objects of the project's examples hold one key.
    let sources = [
        (SourceKind::ConfigMap, drawing_from(&json!({"configMapRef": {"name": "from-aws"}}))),
        (SourceKind::Secret, drawing_from(&json!({"prefix": "P_", "secretRef": {"name": "from-aws"}}))),
        (SourceKind::ConfigMap, taking(&json!({"configMapKeyRef": {"name": "from-aws", "key": "top-secret"}}))),
        (SourceKind::Secret, taking(&json!({"secretKeyRef": {"name": "from-aws", "key": "top-secret"}}))),
    ];
    for (kind, before) in sources {
        let check = |source: Source, is_wrapped: bool| {
            let found = found(kind, "from-aws", source);
            let plan = plan(&before, &found, &Images::default(), &Settings::default()).unwrap();
            assert_eq!(!plan.patch.is_empty(), is_wrapped, "{before}");
            let after = changed_by(&before, &plan);
            assert_eq!(after["spec"]["containers"][0]["env"], before["spec"]["containers"][0]["env"]);
        };
        check(values(&[("top-secret", SECRET)]), true);
        check(values(&[("top-secret", "hello")]), false);
        check(values(&[]), false);
        // Without the right to look, every container is wrapped that takes from it.
        check(Source::Unreadable, true);
        let unasked = plan(&before, &Found::default(), &Images::default(), &Settings::default()).unwrap();
        assert!(!unasked.patch.is_empty(), "what nobody looked up is not taken for harmless");
    }
    let other_key = taking(&json!({"secretKeyRef": {"name": "from-aws", "key": "other"}}));
    let found = found(SourceKind::Secret, "from-aws", values(&[("top-secret", SECRET)]));
    assert!(plan(&other_key, &found, &Images::default(), &Settings::default()).unwrap().patch.is_empty());
}

#[test]
fn ki_03_each_source_is_looked_up_once_with_the_keys_that_are_used() {
    let key = |name: &str, key: &str, optional: bool| {
        let reference = json!({"name": name, "key": key, "optional": optional});
        json!({"name": key, "valueFrom": {"secretKeyRef": reference}})
    };
    let before = pod(&[
        json!({"name": "a", "env": [key("db", "user", true), key("db", "password", false), key("both", "k", true)]}),
        json!({"name": "b", "env": [key("db", "user", true), {"name": "N", "valueFrom": {"fieldRef": {}}}],
            "envFrom": [{"secretRef": {"name": "both", "optional": true}}, {"configMapRef": {"name": "db"}}]}),
    ]);
    let some = |keys: &[&str]| Keys::Some(keys.iter().map(|key| (*key).to_owned()).collect());
    let lookup = |kind, name: &str, keys, optional| Lookup { kind, name: name.to_owned(), keys, optional };
    assert_eq!(
        lookups(&before, &Settings::default()).unwrap(),
        [
            lookup(SourceKind::ConfigMap, "db", Keys::All, false),
            lookup(SourceKind::Secret, "both", Keys::All, true),
            lookup(SourceKind::Secret, "db", some(&["password", "user"]), false),
        ]
    );
    assert_eq!(lookups(&pod(&[container("app", SECRET)]), &Settings::default()).unwrap(), []);
}

#[test]
fn ki_04_and_05_what_is_missing_is_refused_unless_it_is_optional() {
    let check = |kind, before: Value, field: &str, words: &str| {
        let found = found(kind, "gone", Source::Absent);
        let refusal = plan(&before, &found, &Images::default(), &Settings::default()).unwrap_err().to_string();
        assert!(refusal.starts_with(&format!("spec.containers[0].{field}: {words}")), "{refusal}");
        assert!(refusal.contains("container \"app\"") && refusal.contains("optional"), "{refusal}");
    };
    let (config_map, secret) = (SourceKind::ConfigMap, SourceKind::Secret);
    let not_found = ["configmaps \"gone\" not found", "secrets \"gone\" not found"];
    let gone = json!({"name": "gone", "key": "k"});
    check(config_map, drawing_from(&json!({"configMapRef": gone})), "envFrom[0].configMapRef", not_found[0]);
    check(secret, drawing_from(&json!({"secretRef": gone})), "envFrom[0].secretRef", not_found[1]);
    let field = "env[TOP_SECRET].valueFrom.configMapKeyRef";
    check(config_map, taking(&json!({"configMapKeyRef": gone})), field, not_found[0]);
    check(secret, taking(&json!({"secretKeyRef": gone})), "env[TOP_SECRET].valueFrom.secretKeyRef", not_found[1]);

    let optional = json!({"name": "gone", "key": "k", "optional": true});
    for (kind, before) in [
        (config_map, drawing_from(&json!({"configMapRef": optional}))),
        (secret, drawing_from(&json!({"secretRef": optional}))),
        (config_map, taking(&json!({"configMapKeyRef": optional}))),
        (secret, taking(&json!({"secretKeyRef": optional}))),
    ] {
        let found = found(kind, "gone", Source::Absent);
        assert!(plan(&before, &found, &Images::default(), &Settings::default()).unwrap().patch.is_empty());
    }
}

#[test]
fn ki_06_a_pod_without_references_gets_no_operation() {
    for before in [
        pod(&[]),
        pod(&[container("app", "plain")]),
        pod(&[json!({"name": "app"})]),
        pod(&[json!({"name": "app", "env": null, "envFrom": null, "volumeMounts": null})]),
        pod_with(&[container("app", "plain")], &json!({"initContainers": [], "volumes": null})),
        json!({"spec": {"containers": [{"name": "app"}]}}),
    ] {
        assert_eq!(planned(&before).unwrap().patch, [], "{before}");
    }
}

#[test]
fn ki_06_labels_of_pod_and_namespace_keep_the_webhook_out() {
    let prefix = "kube-secrets-init.doit-intl.com";
    let check = |label: &str, value: &str, of_pod: bool, of_namespace: bool| {
        let mut labelled = drawing_from(&json!({"secretRef": {"name": "s"}}));
        labelled["metadata"]["labels"] = json!({ label: value });
        let settings = Settings::default();
        assert_eq!(planned(&labelled).unwrap().patch.is_empty(), of_pod, "{label}={value}");
        assert_eq!(lookups(&labelled, &settings).unwrap().is_empty(), of_pod, "{label}={value}");
        let namespace = json!({"metadata": {"name": "n", "labels": { label: value }}});
        assert_eq!(settings.namespace_opt_out(&namespace).is_some(), of_namespace, "{label}={value}");
    };
    check(&format!("{prefix}/disable-mutation"), "true", true, true);
    check(&format!("{prefix}/disable-mutation"), "false", false, false);
    check(&format!("{prefix}/mutate"), "skip", true, false);
    check(&format!("{prefix}/mutate"), "yes", false, false);
    check("admission.secrets-init/ignore", "", false, true);
}

#[test]
fn ki_08_an_old_image_is_copied_from_by_its_system() {
    let settings = Settings { image: "registry:5000/secrets-init:0.3.9".to_owned(), ..Settings::default() };
    let before = pod(&[container("app", SECRET)]);
    let after = changed_by(&before, &plan(&before, &Found::default(), &Images::default(), &settings).unwrap());
    let copy = &after["spec"]["initContainers"][0];
    assert_eq!(copy["args"], json!(["cp", "/usr/local/bin/secrets-init", "/helper/bin"]));
    assert!(copy.get("command").is_none());
    assert!(plan(&after, &Found::default(), &Images::default(), &settings).unwrap().patch.is_empty());
}

#[test]
fn ki_09_init_containers_and_sidecars_are_wrapped_behind_the_copy_and_ephemeral_ones_never() {
    let mut sidecar = container("sidecar", SECRET);
    sidecar["restartPolicy"] = json!("Always");
    let before = pod_with(
        &[container("app", "plain")],
        &json!({
            "initContainers": [container("migrate", SECRET), sidecar, container("plain", "plain")],
            "ephemeralContainers": [container("debug", SECRET)],
        }),
    );
    let after = changed(&before);
    let init = &after["spec"]["initContainers"];
    assert_eq!(names(init), ["copy-secrets-init", "migrate", "sidecar", "plain"]);
    assert_eq!(init[1]["args"], json!(["--provider=aws", "app", "a"]));
    assert_eq!(
        (&init[2]["command"][0], &init[2]["restartPolicy"]),
        (&json!("/helper/bin/secrets-init"), &json!("Always"))
    );
    assert_eq!(init[3], before["spec"]["initContainers"][2]);
    assert_eq!(after["spec"]["containers"], before["spec"]["containers"]);
    assert_eq!(after["spec"]["ephemeralContainers"], before["spec"]["ephemeralContainers"]);
}

#[test]
fn ki_09_the_injectors_init_container_is_never_wrapped() {
    let written = json!({"name": "secrets-init-container", "env": [{"name": "SECRET_ARN", "value": SECRET}]});
    let before = pod_with(&[container("app", "plain")], &json!({"initContainers": [written]}));
    assert_eq!(planned(&before).unwrap().patch, []);
}

#[test]
fn ki_10_a_plan_is_whole_and_the_next_one_empty() {
    // A dry run gets the same plan: there is no other.
    let after = changed(&example_with_command());
    assert_eq!(names(&after["spec"]["initContainers"]), ["copy-secrets-init"]);
    assert_eq!(names(&after["spec"]["volumes"]), ["token", "secrets-init-bin"]);
    assert_eq!(planned(&after).unwrap().patch, []);
}

fn example_with_command() -> Value {
    let mut example = example();
    example["spec"]["containers"][0]["command"] = json!(["/usr/bin/env"]);
    example
}

#[test]
fn a_container_that_another_webhook_adds_later_is_wrapped_with_what_is_there() {
    let mut between = changed(&pod(&[container("app", SECRET)]));
    between["spec"]["containers"].as_array_mut().unwrap().push(container("proxy", SECRET));
    between["spec"]["initContainers"].as_array_mut().unwrap().insert(0, container("early", SECRET));
    let after = changed(&between);
    assert_eq!(names(&after["spec"]["initContainers"]), ["copy-secrets-init", "early"]);
    assert_eq!(names(&after["spec"]["volumes"]), ["secrets-init-bin"]);
    for container in [&after["spec"]["initContainers"][1], &after["spec"]["containers"][1]] {
        assert_eq!(container["args"], json!(["--provider=aws", "app", "a"]));
        assert_eq!(names(&container["volumeMounts"]), ["secrets-init-bin"]);
    }
    assert_eq!(after["spec"]["containers"][0], between["spec"]["containers"][0], "not wrapped twice");
    assert_eq!(planned(&after).unwrap().patch, []);
}

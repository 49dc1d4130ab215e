//! AWS' secret sidecar injector.

use serde_json::{Value, json};

use crate::{SECRET, annotated, changed, container, is_restricted, names, planned, pod, pod_with};

const ARN: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:database-password-hlRvvF";
const OTHER: &str = "arn:aws:secretsmanager:us-east-1:123456789012:secret:s3-bucker-2312";

/// The pod of the project's web server, and of the article about it.
fn web_server() -> Value {
    let app = json!({"name": "webserver", "image": "busybox:1.28",
        "command": ["sh", "-c", "echo $(cat /tmp/secret) && sleep 3600"]});
    let annotations = json!({"secrets.k8s.aws/sidecarInjectorWebhook": "enabled", "secrets.k8s.aws/secret-arn": ARN});
    annotated(pod_with(&[app], &json!({"serviceAccountName": "webserver-service-account"})), &annotations)
}

fn asking(arn: &str) -> Value {
    annotated(pod(&[json!({"name": "app"})]), &json!({"secrets.k8s.aws/secret-arn": arn}))
}

#[test]
fn ai_01_an_init_container_puts_the_secret_on_a_ram_disk_that_containers_mount() {
    let after = changed(&asking(ARN));
    let init = &after["spec"]["initContainers"][0];
    assert_eq!(init["name"], "secrets-init-container");
    assert_eq!(init["imagePullPolicy"], "Always");
    assert_eq!(init["command"], json!(["/strongroom-init", "aws-secrets-manager-secret-sidecar"]));
    assert_eq!(init["volumeMounts"], json!([{"name": "secret-vol", "mountPath": "/tmp"}]));
    let field = "metadata.annotations['secrets.k8s.aws/secret-arn']";
    assert_eq!(init["env"], json!([{"name": "SECRET_ARN", "valueFrom": {"fieldRef": {"fieldPath": field}}}]));
    assert!(is_restricted(init));
    assert_eq!(after["spec"]["volumes"], json!([{"name": "secret-vol", "emptyDir": {"medium": "Memory"}}]));
    let mounts = &after["spec"]["containers"][0]["volumeMounts"];
    assert_eq!(*mounts, json!([{"name": "secret-vol", "mountPath": "/tmp/"}]));
}

#[test]
fn ai_01_the_patch_is_valid_whatever_lists_the_pod_has() {
    for spec in [
        json!({}),
        json!({"volumes": []}),
        json!({"volumes": null, "initContainers": null}),
        json!({"volumes": [{"name": "v"}], "initContainers": [{"name": "i"}]}),
        json!({"initContainers": []}),
    ] {
        for arn in [ARN.to_owned(), format!("{ARN},{OTHER}")] {
            let mut app = container("app", "plain");
            app["volumeMounts"] = Value::Null;
            let before = pod_with(&[app, json!({"name": "b", "volumeMounts": []})], &spec);
            let after = changed(&annotated(before, &json!({"secrets.k8s.aws/secret-arn": arn})));
            assert!(names(&after["spec"]["initContainers"]).contains(&"secrets-init-container"), "{spec}");
            assert!(names(&after["spec"]["volumes"]).contains(&"secret-vol"), "{spec}");
        }
    }
}

#[test]
fn ai_01_the_init_container_comes_first_and_other_init_containers_mount_only_where_asked() {
    let with = |text: Option<&str>, arn: &str| {
        let before = pod_with(&[json!({"name": "app"})], &json!({"initContainers": [{"name": "migrate"}]}));
        let mut annotations = json!({"secrets.k8s.aws/secret-arn": arn});
        if let Some(text) = text {
            annotations["strongroom.dev/init-containers"] = json!(text);
        }
        annotated(before, &annotations)
    };
    let mounts = |after: &Value, name: &str| {
        let list = after["spec"]["initContainers"].as_array().unwrap();
        list.iter().find(|it| it["name"] == name).unwrap()["volumeMounts"].as_array().map_or(0, Vec::len)
    };
    let several = format!("{ARN},{OTHER}");
    for (text, arn, order, count) in [
        (None, ARN, ["secrets-init-container", "migrate"], 0),
        (Some("false"), ARN, ["secrets-init-container", "migrate"], 0),
        (Some("true"), ARN, ["secrets-init-container", "migrate"], 1),
        (None, &several, ["migrate", "secrets-init-container"], 0),
        (Some("true"), &several, ["secrets-init-container", "migrate"], 2),
    ] {
        let after = changed(&with(text, arn));
        assert_eq!(names(&after["spec"]["initContainers"]), order, "{text:?} {arn}");
        assert_eq!(mounts(&after, "migrate"), count, "{text:?} {arn}");
    }
    let refusal = planned(&with(Some("yes"), ARN)).unwrap_err().to_string();
    assert!(refusal.contains("strongroom.dev/init-containers") && refusal.contains("true, false"), "{refusal}");
}

#[test]
fn ai_02_mount_path_and_file_name_are_the_pods_to_choose() {
    let check = |mount: Option<&str>, filename: Option<&str>, at: &str, file: &str| {
        let mut annotations = json!({"secrets.k8s.aws/secret-arn": ARN});
        for (name, text) in [("mount-path", mount), ("secret-filename", filename)] {
            if let Some(text) = text {
                annotations[format!("secrets.k8s.aws/{name}")] = json!(text);
            }
        }
        let before = annotated(pod(&[json!({"name": "app"})]), &annotations);
        let after = changed(&before);
        assert_eq!(after["spec"]["containers"][0]["volumeMounts"][0]["mountPath"], at);
        let name = &after["spec"]["initContainers"][0]["env"][1];
        assert_eq!(*name, filename.map_or(Value::Null, |text| json!({"name": "SECRET_FILENAME", "value": text})));
        assert_eq!(planned(&before).unwrap().explanation.notes[0].files, [file]);
    };
    check(None, None, "/tmp/", "/tmp/secret");
    check(Some("/my"), Some("/sub/f"), "/my", "/my/sub/f");
    check(Some(""), Some("x"), "/tmp/", "/tmp/x");
    check(Some("/my"), Some("foo/"), "/my", "/my/foo/secret");
    check(None, Some("foo/bar"), "/tmp/", "/tmp/foo/bar");
    check(None, Some("a \"quoted\", {b}"), "/tmp/", "/tmp/a \"quoted\", {b}");
}

#[test]
fn ai_02_paths_that_lead_elsewhere_are_refused() {
    for (name, text) in [
        ("mount-path", "my"),
        ("mount-path", "/a/../b"),
        ("mount-path", "/"),
        ("mount-path", "/a:b"),
        ("secret-filename", "../x"),
        ("secret-filename", "a/../../x"),
        ("secret-filename", "a\nb"),
        ("secret-arn", &format!("{ARN}:/a/../../b")),
        ("secret-arn", &format!("{ARN}:/a:b")),
    ] {
        let name = format!("secrets.k8s.aws/{name}");
        let mut before = asking(ARN);
        before["metadata"]["annotations"][&name] = json!(text);
        let refusal = planned(&before).unwrap_err().to_string();
        assert!(refusal.starts_with(&format!("metadata.annotations[{name}]: ")), "{refusal}");
        assert!(refusal.contains("cannot be the path"), "{refusal}");
    }
}

#[test]
fn ai_03_a_pod_that_has_the_init_container_or_no_annotation_is_left_alone() {
    let mut has = asking(ARN);
    has["spec"]["initContainers"] = json!([{"name": "secrets-init-container"}]);
    assert_eq!(planned(&has).unwrap().patch, []);
    assert_eq!(planned(&pod(&[json!({"name": "app"})])).unwrap().patch, []);
    assert_eq!(planned(&changed(&asking(ARN))).unwrap().patch, []);
}

#[test]
fn ai_03_a_container_of_that_name_that_is_no_init_container_is_refused() {
    let mut before = asking(ARN);
    before["spec"]["containers"][0]["name"] = json!("secrets-init-container");
    let refusal = planned(&before).unwrap_err().to_string();
    assert!(refusal.starts_with("spec.containers[0].name: the name is that of the init container"), "{refusal}");
}

#[test]
fn ai_04_the_articles_pod_works_and_so_it_does_without_enabled() {
    let before = web_server();
    let after = changed(&before);
    assert_eq!(planned(&before).unwrap().explanation.notes[0].files, ["/tmp/secret"]);
    assert_eq!(after["spec"]["containers"][0]["command"], before["spec"]["containers"][0]["command"], "not wrapped");
    let mut without = before.clone();
    without["metadata"]["annotations"].as_object_mut().unwrap().remove("secrets.k8s.aws/sidecarInjectorWebhook");
    assert_eq!(changed(&without)["spec"], after["spec"]);
}

#[test]
fn ai_06_several_secrets_are_several_files() {
    let check = |arns: &str, expected: &[&str], handed: &str| {
        let mut before = asking(arns);
        before["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "b"}));
        before["spec"]["volumes"] = json!([{"name": "existing"}]);
        let after = changed(&before);
        let mount =
            |path: &&str| json!({"name": "secret-vol", "mountPath": path, "readOnly": true, "subPath": &path[1..]});
        let mounts: Vec<_> = expected.iter().map(mount).collect();
        for container in after["spec"]["containers"].as_array().unwrap() {
            assert_eq!(container["volumeMounts"], json!(mounts), "{arns}");
        }
        assert_eq!(names(&after["spec"]["volumes"]), ["existing", "secret-vol"]);
        assert_eq!(after["spec"]["initContainers"][0]["env"], json!([{"name": "SECRET_ARNS", "value": handed}]));
        assert_eq!(after["spec"]["initContainers"][0]["volumeMounts"][0]["mountPath"], "/tmp");
    };
    let (one, two) = ("/secrets/database-password-hlRvvF", "/secrets/s3-bucker-2312");
    check(&format!("{ARN},{OTHER}"), &[one, two], &format!("{ARN}:{one},{OTHER}:{two}"));
    check(&format!("{ARN}:/a"), &["/a"], &format!("{ARN}:/a"));
    // One that ends in a comma or a colon is the form of several, with the path that it has there.
    check(&format!("{ARN},"), &[one], &format!("{ARN}:{one}"));
    check(&format!("{ARN}:"), &[one], &format!("{ARN}:{one}"));
    check(
        &format!("{ARN}:/var/my-db-pass,{OTHER}, {OTHER}:/var/log/secreto/"),
        &["/var/my-db-pass", two, "/var/log/secreto"],
        &format!("{ARN}:/var/my-db-pass,{OTHER}:{two},{OTHER}:/var/log/secreto"),
    );
}

#[test]
fn ai_06_what_is_no_arn_is_refused_in_the_words_of_the_injector() {
    for text in [
        "",
        "batata",
        ",",
        " ",
        "arn:aws:s3:::bucket",
        "arn:aws:secretsmanager:us-east-1:1:secret:",
        "arn:aws:ssm:us-east-1:1:parameter/x",
        "{\"op\": \"remove\"}\"",
        "sr://aws-sm/name",
        &format!(" {ARN}"),
        &format!("{ARN}?optional"),
        &format!("{ARN}#key"),
    ] {
        let refusal = planned(&asking(text)).unwrap_err();
        let shown = text.trim();
        assert_eq!(refusal.reason.to_string(), format!("Not a valid ARN: {shown}"));
        assert_eq!(refusal.field, "metadata.annotations[secrets.k8s.aws/secret-arn]");
    }
    let wrong = format!("{ARN}:password::");
    for text in [format!("{ARN},{wrong}"), wrong.clone()] {
        assert_eq!(planned(&asking(&text)).unwrap_err().reason.to_string(), format!("Not a valid ARN: {wrong}"));
    }
    let long = planned(&asking(&"x".repeat(10_000))).unwrap_err().to_string();
    assert!(long.len() < 500, "{long}");
}

#[test]
fn ai_06_two_secrets_at_one_path_are_refused() {
    let check = |one: &str, other: &str, is_refused: bool| {
        let plan = planned(&asking(&format!("{ARN}:{one},{OTHER}:{other}")));
        assert_eq!(plan.is_err(), is_refused, "{one} {other}: {plan:?}");
    };
    check("/a", "/a", true);
    check("/a", "/a/", true);
    check("/a", "/a/b", true);
    check("/a/b/c", "/a", true);
    check("/a", "/a-b", false);
    check("/a-b", "/a", false);
    check("/a/b", "/a/c", false);
}

#[test]
fn ai_06_the_number_of_secrets_is_bounded() {
    let many = |count: usize| (0..count).map(|at| format!("{ARN}:/s/{at}")).collect::<Vec<_>>().join(",");
    assert!(planned(&asking(&many(100))).is_ok());
    let refusal = planned(&asking(&many(101))).unwrap_err().to_string();
    assert!(refusal.contains("more than 100 secrets"), "{refusal}");
}

#[test]
fn a_pod_may_want_files_and_variables() {
    let before = annotated(pod(&[container("app", SECRET)]), &json!({"secrets.k8s.aws/secret-arn": ARN}));
    let after = changed(&before);
    assert_eq!(names(&after["spec"]["initContainers"]), ["copy-secrets-init", "secrets-init-container"]);
    assert_eq!(names(&after["spec"]["containers"][0]["volumeMounts"]), ["secrets-init-bin", "secret-vol"]);
    assert_eq!(planned(&after).unwrap().patch, []);
}

//! What is added fits into whatever pod it is added to.

use serde_json::{Value, json};
use strongroom_inject::{Found, Images, Settings};

use crate::{SECRET, annotated, changed, container, is_restricted, names, plan, planned, pod, pod_with};

#[test]
fn fields_that_are_not_known_stay() {
    let mut app = container("app", SECRET);
    app["resizePolicy"] = json!([{"resourceName": "cpu", "restartPolicy": "NotRequired"}]);
    app["fieldOfTheYear2030"] = json!({"deep": [1, 2.50, null]});
    let before = pod_with(
        &[app],
        &json!({
            "schedulingGates": [{"name": "g"}],
            "resources": {"limits": {"cpu": "1"}},
            "volumes": [{"name": "weights", "image": {"reference": "r"}}],
            "initContainers": [{"name": "i", "restartPolicy": "Always", "future": true}],
        }),
    );
    let mut after = changed(&before);
    // Taking away what was added leaves what was there.
    after["spec"]["initContainers"].as_array_mut().unwrap().remove(0);
    after["spec"]["volumes"].as_array_mut().unwrap().pop();
    after["metadata"].as_object_mut().unwrap().remove("annotations");
    let app = &mut after["spec"]["containers"][0];
    app.as_object_mut().unwrap().remove("volumeMounts");
    app["command"] = before["spec"]["containers"][0]["command"].clone();
    app["args"] = before["spec"]["containers"][0]["args"].clone();
    assert_eq!(after, before);
}

#[test]
fn names_that_are_taken_are_not_taken_twice() {
    let before = pod_with(
        &[container("copy-secrets-init", SECRET)],
        &json!({
            "initContainers": [{"name": "copy-secrets-init-2"}],
            "ephemeralContainers": [{"name": "copy-secrets-init-3"}],
            "volumes": [{"name": "secrets-init-bin", "emptyDir": {}}, {"name": "secret-vol", "emptyDir": {}}],
        }),
    );
    let before = annotated(before, &json!({"secrets.k8s.aws/secret-arn": SECRET}));
    let after = changed(&before);
    let init = names(&after["spec"]["initContainers"]);
    assert_eq!(init, ["copy-secrets-init-4", "secrets-init-container", "copy-secrets-init-2"]);
    let volumes = ["secrets-init-bin", "secret-vol", "secrets-init-bin-2", "secret-vol-2"];
    assert_eq!(names(&after["spec"]["volumes"]), volumes);
    assert_eq!(planned(&after).unwrap().patch, []);
}

#[test]
fn a_path_that_is_taken_is_refused_by_name() {
    let check = |path: &str, annotations: Value, is_refused: bool| {
        let mut app = container("app", SECRET);
        app["volumeMounts"] = json!([{"name": "v", "mountPath": path}]);
        let before = annotated(pod_with(&[app], &json!({"volumes": [{"name": "v"}]})), &annotations);
        match planned(&before) {
            Ok(_) => assert!(!is_refused, "{path}"),
            Err(refusal) => {
                assert!(is_refused, "{refusal}");
                let refusal = refusal.to_string();
                assert!(refusal.contains("spec.containers[0].volumeMounts: something else is mounted at"), "{refusal}");
                assert!(refusal.contains("container \"app\""), "{refusal}");
            }
        }
    };
    check("/helper/bin", json!({}), true);
    check("/helper/bin/", json!({}), true);
    check("/helper/bin2", json!({}), false);
    check("/tmp", json!({}), false);
    check("/tmp", json!({"secrets.k8s.aws/secret-arn": SECRET}), true);
    check("/tmp/x", json!({"secrets.k8s.aws/secret-arn": SECRET}), false);
    check("/v", json!({"secrets.k8s.aws/secret-arn": format!("{SECRET}:/v")}), true);
    // Both of ours at one path.
    check("/other", json!({"secrets.k8s.aws/secret-arn": SECRET, "secrets.k8s.aws/mount-path": "/helper/bin"}), true);
}

#[test]
fn whatever_the_pod_demands_what_is_added_passes_pod_security_restricted() {
    let check = |context: Value, user: Value| {
        let before = pod_with(&[container("app", SECRET)], &json!({"securityContext": context}));
        let before = annotated(before, &json!({"secrets.k8s.aws/secret-arn": SECRET}));
        let after = changed(&before);
        assert_eq!(after["spec"]["securityContext"], context);
        assert_eq!(after["spec"]["containers"][0].get("securityContext"), None);
        for injected in &after["spec"]["initContainers"].as_array().unwrap()[..2] {
            assert!(is_restricted(injected), "{injected}");
            assert_eq!(injected["securityContext"]["runAsUser"], user, "{context}");
        }
    };
    check(json!({}), Value::Null);
    check(json!({"runAsUser": 1234, "fsGroup": 2000, "runAsNonRoot": true}), Value::Null);
    check(json!({"runAsUser": 0}), json!(65532));
    check(json!({"seccompProfile": {"type": "Unconfined"}, "fsGroup": 0}), Value::Null);
}

#[test]
fn a_wrapped_container_keeps_its_own_security_context_and_mounts() {
    let mut app = container("app", SECRET);
    app["securityContext"] = json!({"readOnlyRootFilesystem": true, "runAsUser": 7, "capabilities": {"drop": ["ALL"]}});
    app["volumeMounts"] = json!([{"name": "data", "mountPath": "/data", "subPath": "a/b"}]);
    let before = pod_with(&[app], &json!({"volumes": [{"name": "data", "emptyDir": {}}]}));
    let after = changed(&before);
    let app = &after["spec"]["containers"][0];
    assert_eq!(app["securityContext"], before["spec"]["containers"][0]["securityContext"]);
    assert_eq!(app["volumeMounts"][0], before["spec"]["containers"][0]["volumeMounts"][0]);
    assert_eq!(names(&app["volumeMounts"]), ["data", "secrets-init-bin"]);
}

/// The resources of what is injected into a pod of containers with these.
fn injected(resources: &[Value]) -> Vec<Value> {
    let app = |(place, resources): (usize, &Value)| {
        let mut app = container(&format!("app-{place}"), SECRET);
        app["resources"] = resources.clone();
        app
    };
    let apps: Vec<_> = resources.iter().enumerate().map(app).collect();
    let before = annotated(pod(&apps), &json!({"secrets.k8s.aws/secret-arn": SECRET}));
    let after = changed(&before);
    after["spec"]["initContainers"].as_array().unwrap().iter().map(|it| it["resources"].clone()).collect()
}

#[test]
fn injected_containers_have_limits_for_quotas_and_leave_the_class_of_service() {
    let check = |of_app: Value, is_guaranteed: bool| {
        for resources in injected(std::slice::from_ref(&of_app)) {
            assert!(resources["requests"]["cpu"].is_string() && resources["requests"]["memory"].is_string());
            assert!(resources["limits"]["memory"].is_string(), "{resources}");
            // A quota on these is held by all containers of a pod or by none.
            assert_eq!(resources["limits"]["cpu"].is_string(), of_app["limits"]["cpu"].is_string(), "{resources}");
            assert_eq!(resources["requests"] == resources["limits"], is_guaranteed, "{resources}");
        }
    };
    let whole = json!({"cpu": "1", "memory": "1Gi"});
    check(json!({}), false);
    check(json!({"requests": whole}), false);
    check(json!({"limits": whole}), true);
    check(json!({"limits": whole, "requests": whole}), true);
    check(json!({"limits": whole, "requests": {"cpu": "500m"}}), false);
    check(json!({"limits": {"memory": "1Gi"}}), false);
}

#[test]
fn injected_containers_have_of_the_processors_what_the_largest_of_the_pod_has() {
    let check = |of_apps: &[Value], request: Value, limit: Value| {
        let copy = &injected(of_apps)[0];
        assert_eq!((&copy["requests"]["cpu"], &copy["limits"]["cpu"]), (&request, &limit), "{of_apps:?}");
    };
    let of = |request: &str, limit: &str| json!({"requests": {"cpu": request}, "limits": {"cpu": limit}});
    check(&[json!({})], json!("10m"), Value::Null);
    check(&[of("1", "2"), json!({"requests": {"cpu": "1"}})], json!("10m"), Value::Null);
    check(&[of("100m", "2"), of("500m", "500m"), of("1", "1.5")], json!("100m"), json!("2"));
    check(&[of("500000u", "900000u"), of("1m", "0.8")], json!("500000u"), json!("900000u"));
    check(&[json!({"limits": {"cpu": 2}})], json!("10m"), json!(2));
    check(&[of("1m", "5m")], json!("10m"), json!("10m"));
    check(&[json!({"limits": {"cpu": "3", "memory": "1Gi"}})], json!("3"), json!("3"));
}

#[test]
fn an_object_of_another_kind_is_refused_and_never_patched() {
    for object in [
        json!({"kind": "Deployment", "spec": {"template": {}}}),
        json!({"kind": "ConfigMap", "data": {"a": SECRET}}),
        json!({"kind": "Pod"}),
        json!({"kind": 5, "spec": {}}),
        json!(null),
        json!([]),
    ] {
        let refusal = planned(&object).unwrap_err().to_string();
        assert!(refusal.starts_with("kind: this is not a Pod"), "{refusal}");
    }
}

#[test]
fn a_patch_reads_as_rfc_6902() {
    let before = pod(&[json!({"name": "app", "command": ["a"], "env": [{"name": "X", "value": SECRET}]})]);
    let plan = plan(&before, &Found::default(), &Images::default(), &Settings::default()).unwrap();
    let patch = serde_json::to_value(&plan.patch).unwrap();
    let lines: Vec<_> = patch.as_array().unwrap().iter().map(|it| (&it["op"], &it["path"])).collect();
    assert_eq!(
        json!(lines),
        json!([
            ["replace", "/spec/containers/0/command"],
            ["add", "/spec/containers/0/args"],
            ["add", "/spec/containers/0/volumeMounts"],
            ["add", "/spec/volumes"],
            ["add", "/spec/initContainers"],
            ["add", "/metadata/annotations"],
        ])
    );
    let annotated = annotated(before, &json!({"a": "b"}));
    let plan = planned(&annotated).unwrap();
    let last = serde_json::to_value(plan.patch.last().unwrap()).unwrap();
    assert_eq!(last["path"], "/metadata/annotations/strongroom.dev~1injection");
}
